//! Points that were given up and may come back: in a part of a vault, giving up is late.
//!
//! The document of a point that is given up moves to `deleted/`, with the time; collectors keep what it needs. It comes
//! back whole, or is purged. Killed between the two steps of either way, a point lies in both places: it counts as not
//! given up, and whoever does it again ends right.

use resurgam_model::{PointId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    document::{self, Documents},
    error::StoreError,
    keys::SigningKey,
    limits::DOCUMENT_MAX,
    point::{PointText, REPLICAS, ReplicaPlace},
    volume::{DELETED_POINTS, Volume},
};

/// Prefix of points that were given up.
pub const DELETED: &str = "deleted/";
/// The word in `document`.
const DOCUMENT: &str = "deleted point";

/// A point that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletedPoint {
    /// Where it was.
    pub place: ReplicaPlace,
    /// When it was given up.
    pub deleted: Timestamp,
    /// What it says.
    pub text: PointText,
    /// The signed document that says so.
    pub document: String,
}

#[derive(Serialize, Deserialize)]
struct DeletedText {
    document: String,
    deleted: Timestamp,
    point: String,
}

fn object(place: &ReplicaPlace, point: PointId) -> String {
    let name = place.point(point);
    format!("{DELETED}{}", name.strip_prefix(REPLICAS).unwrap_or(&name))
}

impl Volume {
    fn deleted_documents(&self) -> Result<Documents<'_>, StoreError> {
        Ok(Documents { limit: 2 * DOCUMENT_MAX, ..self.documents()? })
    }

    /// Gives a point up so that it can come back.
    ///
    /// # Errors
    /// Where the volume is no part of a vault, or the point cannot be read.
    pub fn set_deleted(
        &self,
        place: &ReplicaPlace,
        point: PointId,
        now: Timestamp,
        signing: &SigningKey,
    ) -> Result<(), StoreError> {
        if !self.has(DELETED_POINTS) {
            return Err(StoreError::Internal(format!("{} keeps no deleted points", self.backend().location())));
        }
        let (_, point_document) = match self.point_document(place, point) {
            // Given up before, by a command that was killed, or by another.
            Err(error) if error.is_not_found() => return Ok(()),
            read => read?,
        };
        let text = DeletedText { document: DOCUMENT.to_owned(), deleted: now, point: point_document };
        let document = document::sign(&document::to_text(&text)?, signing);
        let name = object(place, point);
        let bytes = self.deleted_documents()?.encode(&name, &document)?;
        self.backend().replace(&name, &bytes)?;
        self.delete_point(place, point)
    }

    /// The names of the points that were given up and are not purged; and of those that a kill left in both places.
    ///
    /// # Errors
    /// Where the volume cannot be listed.
    pub fn deleted_names(&self) -> Result<Vec<(ReplicaPlace, PointId)>, StoreError> {
        if !self.has(DELETED_POINTS) {
            return Ok(Vec::new());
        }
        let listed = self.backend().list(DELETED)?;
        let named = listed.iter().filter_map(|listed| {
            let name = format!("{REPLICAS}{}", listed.name.strip_prefix(DELETED)?);
            let (place, point) = ReplicaPlace::of_object(&name)?;
            Some((place, point?))
        });
        Ok(named.collect())
    }

    /// A point that was given up, its signatures proved.
    ///
    /// # Errors
    /// Where it is not there, or is not what it should be.
    pub fn deleted_point(&self, place: &ReplicaPlace, point: PointId) -> Result<DeletedPoint, StoreError> {
        let name = object(place, point);
        let document = self.deleted_documents()?.read_one(&name)?;
        let text: DeletedText = document::from_text(&name, self.prove(&name, &document)?)?;
        if text.document != DOCUMENT {
            return Err(StoreError::corrupt(name, "it is something else, in the place of a deleted point"));
        }
        let point_text = self.check_point(&name, place, point, &text.point)?;
        Ok(DeletedPoint { place: place.clone(), deleted: text.deleted, text: point_text, document: text.point })
    }

    /// Puts a point back that was given up.
    ///
    /// # Errors
    /// Where it is not there, or is not what it should be.
    pub fn undelete(&self, place: &ReplicaPlace, point: PointId) -> Result<DeletedPoint, StoreError> {
        let found = self.deleted_point(place, point)?;
        self.restore_point_document(place, point, &found.document)?;
        self.backend().delete(&object(place, point))?;
        Ok(found)
    }

    /// Gives a point up for good: from now on nothing keeps what only it referred to.
    ///
    /// # Errors
    /// Where the volume cannot be written.
    pub fn purge(&self, place: &ReplicaPlace, point: PointId) -> Result<(), StoreError> {
        Ok(self.backend().delete(&object(place, point))?)
    }
}

/// For fuzzing: the text of a deleted point, on any bytes.
pub fn fuzz_deleted(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = document::from_text::<DeletedText>("fuzz", text);
    }
}

#[cfg(test)]
mod tests;
