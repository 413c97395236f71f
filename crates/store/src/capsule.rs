//! Capsules: what people decided, as the server wrote it down in the volume at each change.
//!
//! A capsule is a document like the others, only longer. The store knows which server, lineage and sequence it belongs
//! to, and nothing of what else it says.

use resurgam_model::{LineageId, VolumeId};
use serde::Deserialize;

use crate::{
    document::{self, Documents},
    error::{Fault, StoreError},
    keys::SigningKey,
    limits::CAPSULE_MAX,
    pack::MIRROR,
    volume::Volume,
};

/// Prefix of every capsule.
pub const CATALOG: &str = "catalog/";
/// The word in `document`.
const DOCUMENT: &str = "capsule";

/// Which capsule: those of a lineage are ordered by their sequence, and lineages by nothing that a name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapsuleName {
    /// The catalog that it was written from.
    pub lineage: LineageId,
    /// Which change of the charter; at most `i64::MAX`.
    pub sequence: u64,
}

impl CapsuleName {
    /// Name of the object.
    pub fn object(&self) -> String {
        format!("{CATALOG}{}/{:020}", self.lineage, self.sequence)
    }

    /// The capsule of that name. `None`: no capsule has such a name.
    pub fn of_object(name: &str) -> Option<Self> {
        let (lineage, sequence) = name.strip_prefix(CATALOG)?.split_once('/')?;
        let found = Self { lineage: lineage.parse().ok()?, sequence: sequence.parse().ok()? };
        // One spelling each; and TOML has no greater numbers.
        (found.object() == name && i64::try_from(found.sequence).is_ok()).then_some(found)
    }
}

/// What every capsule says of itself.
#[derive(Deserialize)]
struct CapsuleHead {
    document: String,
    volume: VolumeId,
    lineage: LineageId,
    sequence: u64,
}

impl Volume {
    pub(crate) fn capsule_documents(&self) -> Result<Documents<'_>, StoreError> {
        Ok(Documents { limit: CAPSULE_MAX, ..self.documents()? })
    }

    /// Every capsule by name, sorted, without reading one. One whose first or second copy is gone is there still.
    ///
    /// # Errors
    /// Where the volume cannot be listed.
    pub fn capsule_names(&self) -> Result<Vec<CapsuleName>, StoreError> {
        let mut found = std::collections::BTreeSet::new();
        for prefix in [CATALOG.to_owned(), format!("{MIRROR}{CATALOG}")] {
            for listed in self.backend().list(&prefix)? {
                found.extend(CapsuleName::of_object(listed.name.strip_prefix(MIRROR).unwrap_or(&listed.name)));
            }
        }
        Ok(found.into_iter().collect())
    }

    /// The text of a capsule, its signature proved, and that it is this very capsule: TOML with the keys `document`,
    /// `volume`, `lineage` and `sequence`, and whatever its writer put beside them.
    ///
    /// # Errors
    /// Where neither copy can be read and proved.
    pub fn capsule(&self, name: &CapsuleName) -> Result<String, StoreError> {
        self.capsule_documents()?
            .read(&name.object(), |object, document| self.check_capsule(object, name, &document).map(str::to_owned))
    }

    /// What a capsule's document says, if it is that of this very capsule.
    pub(crate) fn check_capsule<'a>(
        &self,
        object: &str,
        name: &CapsuleName,
        document: &'a str,
    ) -> Result<&'a str, StoreError> {
        let body = self.prove(object, document)?;
        let head: CapsuleHead = document::from_text(object, body)?;
        let own = (DOCUMENT, self.id(), name.lineage, name.sequence);
        if (head.document.as_str(), head.volume, head.lineage, head.sequence) != own {
            return Err(StoreError::corrupt(
                object,
                format!("it is number {} of lineage {}, in the place of another", head.sequence, head.lineage),
            ));
        }
        Ok(body)
    }

    /// Writes a capsule durably, instead of one that may be there. The keys that say which capsule it is are added to
    /// `fields`.
    ///
    /// # Errors
    /// [`StoreError::Refused`] where it is longer than [`CAPSULE_MAX`].
    pub fn put_capsule(
        &self,
        name: &CapsuleName,
        mut fields: toml::Table,
        signing: &SigningKey,
    ) -> Result<(), StoreError> {
        let sequence = i64::try_from(name.sequence)
            .map_err(|_| StoreError::Internal(format!("{} has too great a sequence", name.object())))?;
        fields.insert("document".to_owned(), DOCUMENT.into());
        fields.insert("volume".to_owned(), self.id().to_string().into());
        fields.insert("lineage".to_owned(), name.lineage.to_string().into());
        fields.insert("sequence".to_owned(), sequence.into());
        let document = document::sign(&document::to_text(&fields)?, signing);
        let object = name.object();
        let written = self.capsule_documents()?.write(&object, &document);
        if written.is_err() && self.backend().length(&object).is_err_and(|error| error.kind == Fault::NotFound) {
            // A disk that is full may have taken the second copy and not the first: it was never there.
            let _ = self.backend().delete(&format!("{MIRROR}{object}"));
        }
        written.map(|_| ())
    }

    /// Deletes the capsules that `keep` does not want, whether they are sound or not. Returns how many.
    ///
    /// # Errors
    /// Where the volume cannot be listed or written.
    pub fn forget_capsules(&self, keep: &dyn Fn(&CapsuleName) -> bool) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        for name in self.capsule_names()?.iter().filter(|name| !keep(name)) {
            // The second copy first: what is left after a crash is a capsule or none, never one that comes back.
            self.backend().delete(&format!("{MIRROR}{}", name.object()))?;
            self.backend().delete(&name.object())?;
            forgotten += 1;
        }
        Ok(forgotten)
    }
}

/// For fuzzing: names and heads of capsules, on any bytes.
pub fn fuzz_capsule(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Some(name) = CapsuleName::of_object(text) {
            assert_eq!(name.object(), text);
        }
        let _ = document::from_text::<CapsuleHead>("fuzz", text);
    }
}

#[cfg(test)]
mod tests;
