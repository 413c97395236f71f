//! The passphrase of a part: how long it must be, and making one.

use resurgam_store::keys::random;
use zeroize::Zeroizing;

use crate::error::JobError;

/// A passphrase of a part has at least this many characters: the rule of MABS.
const PASSPHRASE_MIN: usize = 16;

/// Sees that a passphrase is good for a part.
///
/// # Errors
/// Where it is too short, or has characters that not every keyboard has.
pub fn check_passphrase(passphrase: &[u8]) -> Result<(), JobError> {
    let fault = if passphrase.len() < PASSPHRASE_MIN {
        format!("has {} characters, and needs at least {PASSPHRASE_MIN}", passphrase.len())
    } else if !passphrase.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        "has characters that are not plain ASCII, which another keyboard may not have".to_owned()
    } else {
        return Ok(());
    };
    Err(JobError::request(
        "passphrase-weak",
        format!("the passphrase {fault}"),
        "choose a longer one of plain letters, digits and signs, or let the program make one with --generate",
    ))
}

/// A new passphrase, easy to copy by hand: 25 letters and digits in groups, 125 bits.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn generate_passphrase() -> Result<Zeroizing<String>, JobError> {
    // Without those that are mistaken for others.
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let bytes = Zeroizing::new(random::<25>()?);
    let mut text = Zeroizing::new(String::with_capacity(29));
    for (number, byte) in bytes.iter().enumerate() {
        if number > 0 && number % 5 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS[usize::from(byte & 31)]));
    }
    Ok(text)
}
