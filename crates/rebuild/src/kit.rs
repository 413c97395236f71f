//! The recovery kit: one file that brings a lost server's keys back, and one page to print.
//!
//! The file is in the age format, sealed to a passphrase: [`open`] opens it, and so does stock `age -d`. It must be made
//! anew whenever a volume is added, with nobody there to type the passphrase. So what the passphrase made, the age header
//! and its file key, is kept in the server's keyring as a [`Reusable`], and a new kit is the same header before a payload
//! under a fresh nonce. `docs/decisions/2026-11-22-recovery-kit.md` says why that is sound.

use std::{io::Read, path::Path};

mod age;
mod armor;
mod content;
mod page;
mod reusable;

pub use content::{KitContent, KitCopy, KitShare, KitVolume, keyring_in};
pub use page::{page_html, page_text};
use resurgam_store::keyring::Keyring;
pub use reusable::Reusable;
use zeroize::Zeroizing;

/// Cost of a guess at the passphrase: scrypt with N = 2^18, 256 MiB and about a second. It is what stock age takes.
pub const WORK: u8 = 18;

/// Why a kit could not be made or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KitError {
    /// The file cannot be read.
    #[error("cannot read the recovery kit {0}")]
    Unreadable(String),
    /// The bytes are something else.
    #[error("this is no recovery kit: {0}")]
    NotAKit(String),
    /// The passphrase does not fit.
    #[error("the passphrase does not open this recovery kit")]
    WrongPassphrase,
    /// It is a kit, and not whole.
    #[error("the recovery kit is damaged: {0}")]
    Damaged(String),
    /// A library refused its input: a defect of this program.
    #[error("internal: {0}")]
    Internal(String),
}

impl KitError {
    /// A stable word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "kit",
            Self::NotAKit(_) => "not-a-kit",
            Self::WrongPassphrase => "kit-passphrase",
            Self::Damaged(_) => "kit-damaged",
            Self::Internal(_) => "internal",
        }
    }

    /// What to do next.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => {
                "name the file, or bring the disk that it lies on; without it, go on without the kit: the server gets new keys"
            }
            Self::NotAKit(_) => {
                "name the file that `resurgam recovery-kit write` made, or the text of the printed page"
            }
            Self::WrongPassphrase => {
                "type it once more, as it was given when the kit was made; without it, go on without the kit: the server gets new keys"
            }
            Self::Damaged(_) => {
                "take another copy of the kit, or type it from the printed page; without it, go on without the kit: the server gets new keys"
            }
            Self::Internal(_) => "this is a defect of resurgam: report it with this message",
        }
    }
}

impl From<KitError> for resurgam_jobs::JobError {
    fn from(error: KitError) -> Self {
        Self::Request { code: error.code(), message: error.to_string(), remedy: error.remedy().to_owned() }
    }
}

/// An opened kit.
pub struct Opened {
    /// What was sealed.
    pub payload: Zeroizing<Vec<u8>>,
    /// What makes the next kit under the same passphrase.
    pub reusable: Reusable,
}

/// No kit is longer.
const KIT_MAX: u64 = 16 << 20;

/// Reads a kit, or a page that carries one.
///
/// # Errors
/// [`KitError::Unreadable`].
pub fn read(file: &Path) -> Result<Vec<u8>, KitError> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(file).and_then(|opened| opened.take(KIT_MAX).read_to_end(&mut bytes));
    read.map_err(|error| KitError::Unreadable(format!("{}: {error}", file.display())))?;
    Ok(bytes)
}

/// Seals a payload to a passphrase: the kit, as text. `work` is [`WORK`] but in tests.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn seal_new(passphrase: &[u8], work: u8, payload: &[u8]) -> Result<(String, Reusable), KitError> {
    let reusable = Reusable::new(passphrase, work)?;
    Ok((seal_again(&reusable, payload)?, reusable))
}

/// Seals another payload to the same passphrase, without it.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn seal_again(reusable: &Reusable, payload: &[u8]) -> Result<String, KitError> {
    Ok(armor::wrap(&reusable.seal(payload)?))
}

/// Opens a kit, be it binary, text, or a printed page that the text stands on.
///
/// # Errors
/// As [`KitError`] says.
pub fn open(passphrase: &[u8], kit: &[u8]) -> Result<Opened, KitError> {
    let kit = armor::unwrap(kit)?;
    let (head, payload) = age::Head::parse(&kit)?;
    let reusable = Reusable::unlock(head, passphrase)?;
    Ok(Opened { payload: reusable.open(payload)?, reusable })
}

/// The keyring in a kit, or in what a capsule carries of it; with it what makes new kits under the same passphrase.
///
/// # Errors
/// As [`KitError`] says.
pub fn keyring_from(passphrase: &[u8], sealed: &[u8]) -> Result<Keyring, KitError> {
    let opened = open(passphrase, sealed)?;
    let mut keyring = keyring_in(&opened.payload)?;
    keyring.kit = Some(opened.reusable.with_keyring(&keyring)?.to_text()?);
    Ok(keyring)
}

/// The fingerprint of a kit: what tells which file a printed page belongs to. It is the same for the text and for the
/// bytes in it.
pub fn fingerprint(kit: &[u8]) -> String {
    let digest = blake3::hash(&armor::unwrap(kit).unwrap_or_else(|_| kit.to_vec()));
    let digits = digest.to_hex();
    digits.as_bytes()[..16].chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// For fuzzing: every parser of the kit, on any bytes. No passphrase is tried: that is slow by intent.
pub fn fuzz_kit(bytes: &[u8]) {
    if let Ok(kit) = armor::unwrap(bytes) {
        let _ = age::Head::parse(&kit);
    }
    let _ = keyring_in(bytes);
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(reusable) = Reusable::parse(text) {
            let _ = reusable.open(bytes);
        }
        let _ = KitContent::parse(text);
    }
}

#[cfg(test)]
mod tests;
