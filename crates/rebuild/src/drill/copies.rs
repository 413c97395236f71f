//! Which copies of the catalog there are to rehearse from.

use resurgam_jobs::{JobError, Server};
use resurgam_model::charter::CopyKind;

/// A copy to rehearse from.
pub(super) struct Copy {
    pub(super) kind: CopyKind,
    /// The volume's id, or the directory.
    pub(super) place: String,
    /// Where it lies.
    pub(super) location: String,
    pub(super) age_seconds: Option<u64>,
}

/// Every copy of the kind, or every copy.
pub(super) fn of(server: &Server, kind: Option<CopyKind>) -> Result<Vec<Copy>, JobError> {
    let mut all = server.survivability()?;
    all.retain(|copy| kind.is_none_or(|kind| kind == copy.kind));
    let copy = |status: resurgam_model::report::CopyStatus| Copy {
        kind: status.kind,
        place: status.place,
        location: status.location,
        age_seconds: status.age_seconds,
    };
    Ok(all.into_iter().map(copy).collect())
}
