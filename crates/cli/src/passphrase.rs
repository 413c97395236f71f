//! Passphrases and PINs: from a file, or from the terminal without showing it. Wiped from memory when they are dropped.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, IsTerminal, Read, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{failure::Failure, output::Output};

/// A passphrase, wiped when it is dropped.
pub(crate) type Passphrase = Zeroizing<Vec<u8>>;

/// No passphrase is longer.
const LENGTH_MAX: usize = 4096;

/// What is read, for messages.
struct Secret {
    /// The code of what goes wrong with it.
    code: &'static str,
    name: &'static str,
    remedy: &'static str,
}

const PASSPHRASE: Secret = Secret {
    code: "passphrase",
    name: "passphrase",
    remedy: "give a file that holds the passphrase: --passphrase-file FILE",
};
const PIN: Secret = Secret {
    code: "pin",
    name: "PIN",
    remedy: "the vault's owner makes a PIN with `resurgam vault pin URL --owner-key F`; give it in a file, or on standard \
             input: --pin-file FILE",
};

/// The file that was named: by `--passphrase-file`, else by `RESURGAM_PASSPHRASE_FILE`.
pub(crate) fn file_named(given: Option<&Path>, variable: Option<OsString>) -> Option<PathBuf> {
    given.map(Path::to_owned).or_else(|| variable.filter(|value| !value.is_empty()).map(PathBuf::from))
}

/// Reads a passphrase file. One newline at its end is not part of the passphrase.
pub(crate) fn from_file(path: &Path, output: &Output) -> Result<Passphrase, Failure> {
    read(path, output, &PASSPHRASE)
}

/// Reads a PIN from a file, or from standard input where that is `-`.
pub(crate) fn pin_from_file(path: &Path, output: &Output) -> Result<Passphrase, Failure> {
    if path == Path::new("-") {
        read_whole(io::stdin().lock(), "standard input", &PIN)
    } else {
        read(path, output, &PIN)
    }
}

fn read(path: &Path, output: &Output, secret: &Secret) -> Result<Passphrase, Failure> {
    let (shown, name) = (path.display(), secret.name);
    let failed = |error: io::Error| {
        Failure::new(secret.code, format!("cannot read the {name} file {shown}: {error}"), secret.remedy)
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_file() && metadata.mode() & 0o077 != 0 {
        output.warn(&format!("the {name} file {shown} can be read by other users; `chmod 600 {shown}` closes it"));
    }
    read_whole(file, &format!("file {shown}"), secret)
}

fn read_whole(from: impl Read, shown: &str, secret: &Secret) -> Result<Passphrase, Failure> {
    let what = format!("the {} in {shown}", secret.name);
    let failed = |error: io::Error| Failure::new(secret.code, format!("cannot read {what}: {error}"), secret.remedy);
    // Of its full size from the start: growing would leave copies behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH_MAX + 3));
    from.take(LENGTH_MAX as u64 + 3).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    checked(bytes, &what, secret)
}

fn checked(bytes: Passphrase, what: &str, secret: &Secret) -> Result<Passphrase, Failure> {
    let fault = match bytes.len() {
        0 => "is empty",
        length if length > LENGTH_MAX => "is longer than 4096 bytes",
        _ => return Ok(bytes),
    };
    Err(Failure::new(secret.code, format!("{what} {fault}"), secret.remedy))
}

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks on the terminal for the passphrase of something that has one.
pub(crate) fn ask(what: &str) -> Result<Passphrase, Failure> {
    checked(prompt(&format!("Passphrase of {what}: "), &PASSPHRASE)?, "the passphrase", &PASSPHRASE)
}

/// Asks on the terminal for a PIN of a vault's owner.
pub(crate) fn ask_pin() -> Result<Passphrase, Failure> {
    checked(prompt("PIN of the vault's owner: ", &PIN)?, "the PIN", &PIN)
}

/// Asks on the terminal for a new passphrase, twice.
pub(crate) fn ask_new(what: &str) -> Result<Passphrase, Failure> {
    if !can_ask() {
        let message = format!("{what} needs a passphrase, and there is no terminal to ask for it");
        return Err(Failure::new(PASSPHRASE.code, message, PASSPHRASE.remedy));
    }
    let first = checked(prompt(&format!("New passphrase for {what}: "), &PASSPHRASE)?, "the passphrase", &PASSPHRASE)?;
    let second = prompt("The same again: ", &PASSPHRASE)?;
    if *first == *second {
        return Ok(first);
    }
    Err(Failure::new("passphrase", "the two passphrases differ", "type the same passphrase twice; nothing was changed"))
}

/// Asks a question and reads one line that is not shown.
fn prompt(question: &str, secret: &Secret) -> Result<Passphrase, Failure> {
    let Secret { code, name, remedy } = secret;
    let failed = |error: io::Error| Failure::new(code, format!("cannot ask for the {name}: {error}"), *remedy);
    let silence = Silence::begin().map_err(failed)?;
    let mut error = io::stderr();
    write!(error, "{question}").and_then(|()| error.flush()).map_err(failed)?;
    let line = read_line(&mut io::stdin().lock());
    drop(silence);
    let _ = writeln!(error);
    line.map_err(failed)?.ok_or_else(|| Failure::new(code, format!("no {name} was typed"), *remedy))
}

/// The terminal, keeping to itself what is typed. ^C arrives as a byte, so that it cannot end the program and leave the
/// terminal silent.
struct Silence(Termios);

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut silent = before.clone();
        silent.local_modes &= !(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Reads up to Enter, with Backspace and ^U as everywhere. `None` for ^C, and for ^D on an empty line.
fn read_line(input: &mut impl Read) -> io::Result<Option<Passphrase>> {
    let mut line = Zeroizing::new(Vec::with_capacity(LENGTH_MAX + 1));
    let mut byte = Zeroizing::new([0u8]);
    while line.len() <= LENGTH_MAX {
        if input.read(byte.as_mut())? == 0 {
            return Ok((!line.is_empty()).then_some(line));
        }
        match byte[0] {
            b'\r' | b'\n' => return Ok(Some(line)),
            3 => return Ok(None),
            4 if line.is_empty() => return Ok(None),
            4 => {}
            8 | 127 => remove_last_character(&mut line),
            21 => line.clear(),
            other => line.push(other),
        }
    }
    Ok(Some(line))
}

fn remove_last_character(line: &mut Vec<u8>) {
    // Bytes that continue a UTF-8 character go together with the one that begins it.
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

#[cfg(test)]
mod tests;
