//! The text form of an age file, so that it can be printed.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{KitError, age::VERSION_LINE};

const BEGIN: &str = "-----BEGIN AGE ENCRYPTED FILE-----";
const END: &str = "-----END AGE ENCRYPTED FILE-----";
const COLUMNS: usize = 64;

pub(super) fn wrap(bytes: &[u8]) -> String {
    let digits = STANDARD.encode(bytes);
    let mut text = format!("{BEGIN}\n");
    let mut rest = digits.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(COLUMNS));
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    text.push_str(END);
    text.push('\n');
    text
}

/// The bytes of an age file, be it binary, text, or a page that the text stands on. White space is of no matter: whoever
/// types a page has enough to look after.
pub(super) fn unwrap(kit: &[u8]) -> Result<Vec<u8>, KitError> {
    if kit.starts_with(VERSION_LINE) {
        return Ok(kit.to_vec());
    }
    let text =
        std::str::from_utf8(kit).map_err(|_| KitError::NotAKit("it is neither an age file nor text".to_owned()))?;
    let (_, from) = text.split_once(BEGIN).ok_or_else(|| KitError::NotAKit(format!("it has no line `{BEGIN}`")))?;
    let (digits, _) = from
        .split_once(END)
        .ok_or_else(|| KitError::Damaged(format!("the line `{END}` is missing: it was cut off")))?;
    let digits: String = digits.split_whitespace().collect();
    STANDARD.decode(digits).map_err(|error| KitError::Damaged(format!("its text was changed: {error}")))
}
