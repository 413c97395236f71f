//! Building the catalog from the copy that is taken; where that turns out to be of no use, from the next.

use resurgam_catalog::{Apply, Building, CatalogError, Fault, create_new};
use resurgam_jobs::JobError;
use resurgam_model::Timestamp;

use super::RestoreDb;
use crate::{
    locate::{Candidate, Copy, Found, choose_place},
    unpack::{Scratch, unpack},
};

/// What came of one copy.
enum Tried {
    Built(Box<Building>),
    /// It is of no use.
    Refused(String),
}

/// The copy that was taken, by its place in the list, and the catalog made of it.
pub(super) fn build(
    found: &mut Found,
    what: &RestoreDb<'_>,
    aside: &str,
    now: Timestamp,
) -> Result<(usize, Building), JobError> {
    loop {
        let place = choose_place(found, what.chosen)?;
        match one(found, &found.candidates[place], what, aside, now)? {
            Tried::Built(building) => return Ok((place, *building)),
            // The next time round it is not chosen.
            Tried::Refused(why) => found.candidates[place].usable = Err(why),
        }
    }
}

fn one(
    found: &Found,
    candidate: &Candidate,
    what: &RestoreDb<'_>,
    aside: &str,
    now: Timestamp,
) -> Result<Tried, JobError> {
    match &candidate.copy {
        Copy::Native { path, .. } => from_file(path, what, aside, now),
        Copy::Point { place, point } => {
            let Some(volume) = &found.volume else { return Ok(Tried::Refused("its volume is gone".to_owned())) };
            let scratch = Scratch::in_home(what.home)?;
            match unpack(&volume.volume, place, *point, &scratch.file()) {
                Ok(()) => from_file(&scratch.file(), what, aside, now),
                Err(JobError::Store(error)) if error.is_damage() => Ok(Tried::Refused(error.to_string())),
                Err(error) => Err(error),
            }
        }
        Copy::Capsule { text, .. } => {
            let Some(text) = text else { return Ok(Tried::Refused("it cannot be read".to_owned())) };
            let building = create_new(&what.to, aside, now)?;
            match building.catalog().apply_charter(&text.charter, Apply::Whole) {
                Ok(_) => Ok(Tried::Built(Box::new(building))),
                Err(error) => judge(error),
            }
        }
    }
}

fn from_file(path: &std::path::Path, what: &RestoreDb<'_>, aside: &str, now: Timestamp) -> Result<Tried, JobError> {
    Building::from_copy(path, &what.to, aside, now).map_or_else(judge, |building| Ok(Tried::Built(Box::new(building))))
}

/// Whether it is the copy that is at fault, or the place that it should go to.
fn judge(error: CatalogError) -> Result<Tried, JobError> {
    match error.fault {
        Fault::Corrupt(_) | Fault::Newer { .. } | Fault::Foreign(_) | Fault::Empty(_) | Fault::Unrecognised(_) => {
            Ok(Tried::Refused(error.fault.to_string()))
        }
        _ => Err(error.into()),
    }
}
