//! The texts of a volume, both copies of each.

use std::collections::{BTreeSet, HashMap};

use super::{Verified, Verify};
use crate::{
    backend,
    error::{Fault, StoreError},
    limits::DOCUMENT_MAX,
    pack::MIRROR,
    point::{REPLICAS, ReplicaPlace},
    volume::{VOLUME_TOML, Volume, parse_header},
};

pub(super) fn verify(volume: &Volume, how: &Verify<'_>, verified: &mut Verified) -> Result<(), StoreError> {
    let backend = volume.backend();
    let read = |name: &str| -> Result<Vec<u8>, StoreError> {
        let bytes = backend::read_whole(backend, name, DOCUMENT_MAX as u64)?;
        let header = parse_header(name, &bytes).map_err(as_damage)?;
        if header == *volume.about() {
            Ok(bytes)
        } else {
            Err(StoreError::corrupt(name, "it is that of another volume"))
        }
    };
    both(VOLUME_TOML, how, verified, &mut |name| read(name), &mut |name, bytes| Ok(backend.replace(name, bytes)?))?;

    let mut names = BTreeSet::new();
    for prefix in [REPLICAS.to_owned(), format!("{MIRROR}{REPLICAS}")] {
        names.extend(
            backend
                .list(&prefix)?
                .into_iter()
                .map(|listed| listed.name.strip_prefix(MIRROR).unwrap_or(&listed.name).to_owned()),
        );
    }
    let known: HashMap<String, &super::KnownPoint> =
        how.known.iter().map(|known| (known.place.point(known.point), known)).collect();
    // One copy without the other may be a point that is being made or given up at this moment: those get a second look
    // when all others have been seen.
    let there = |name: &str| {
        backend
            .length(name)
            .map(|_| true)
            .or_else(|error| if error.kind == Fault::NotFound { Ok(false) } else { Err(error) })
    };
    let (mut complete, mut single) = (Vec::new(), Vec::new());
    for name in &names {
        if there(name)? && there(&format!("{MIRROR}{name}"))? { complete.push(name) } else { single.push(name) }
    }
    let second_look = complete.len();
    for (number, name) in complete.into_iter().chain(single).enumerate() {
        if number >= second_look && !backend.writers()?.alive.is_empty() {
            continue;
        }
        let Some((place, point)) = ReplicaPlace::of_object(name) else {
            verified.found(name, "nothing of this volume has such a name; it was left alone", false);
            continue;
        };
        let mut documents = volume.documents()?;
        let mut check = |object: &str| -> Result<Vec<u8>, StoreError> {
            let text = documents.read_one(object)?;
            match point {
                Some(point) => volume.check_point(object, &place, point, &text).map(|_| ())?,
                None => volume.check_replica(object, &place, &text).map(|_| ())?,
            }
            documents.encode(&text)
        };
        // A point of which only the second copy is there, and which nobody reported done: its writer was killed between the
        // two copies. All of it is durable, so it is completed; it is no damage.
        if point.is_some() && !known.contains_key(name) && !there(name)? {
            if let Ok(bytes) = check(&format!("{MIRROR}{name}")) {
                match backend.replace(name, &bytes) {
                    Err(error) if !matches!(error.kind, Fault::Full | Fault::ReadOnly) => return Err(error.into()),
                    _ => {}
                }
            }
            continue;
        }
        let sound = both(name, how, verified, &mut check, &mut |name, bytes| Ok(backend.replace(name, bytes)?))?;
        if let (false, Some(known)) = (sound, known.get(name)) {
            mend_from_catalog(volume, how, known, "both copies are damaged", verified)?;
        }
    }
    for known in how.known.iter().filter(|known| !names.contains(&known.place.point(known.point))) {
        mend_from_catalog(volume, how, known, "the catalog has this recovery point and the volume does not", verified)?;
    }
    Ok(())
}

/// A newer format in one copy alone is damage.
fn as_damage(error: StoreError) -> StoreError {
    match error {
        StoreError::Refused { object, what } => StoreError::Corrupt { object, what },
        other => other,
    }
}

fn mend_from_catalog(
    volume: &Volume,
    how: &Verify<'_>,
    known: &super::KnownPoint,
    what: &str,
    verified: &mut Verified,
) -> Result<(), StoreError> {
    if !(how.is_known)(known.point) {
        return Ok(());
    }
    let mended = how.repair && volume.restore_point_document(&known.place, known.point, &known.document).is_ok();
    let name = known.place.point(known.point);
    verified.findings.retain(|finding| finding.object != name || finding.mended);
    verified.found(name, what, mended);
    Ok(())
}

/// Reads an object and proves it; the bytes that its other copy should have.
type Check<'a> = &'a mut dyn FnMut(&str) -> Result<Vec<u8>, StoreError>;
/// Stores an object.
type Write<'a> = &'a mut dyn FnMut(&str, &[u8]) -> Result<(), StoreError>;

/// Checks an object and its second copy, and mends one from the other. `false`: neither is sound.
fn both(
    name: &str,
    how: &Verify<'_>,
    verified: &mut Verified,
    check: Check<'_>,
    write: Write<'_>,
) -> Result<bool, StoreError> {
    let second = format!("{MIRROR}{name}");
    let mut results = [check(name), check(&second)];
    if let Some(unreachable) = results.iter_mut().find(|result| result.as_ref().is_err_and(|error| !error.is_damage()))
    {
        std::mem::replace(unreachable, Ok(Vec::new()))?;
    }
    match (&results[0], &results[1]) {
        (Ok(_), Ok(_)) => Ok(true),
        (Ok(bytes), Err(error)) => {
            let mended = how.repair && write(&second, bytes).is_ok();
            verified.found(second, describe(error), mended);
            Ok(true)
        }
        (Err(error), Ok(bytes)) => {
            let mended = how.repair && write(name, bytes).is_ok();
            verified.found(name, describe(error), mended);
            Ok(true)
        }
        // Deleted since it was listed.
        (Err(one), Err(other)) if one.is_not_found() && other.is_not_found() => Ok(true),
        (Err(error), Err(_)) => {
            verified.found(name, format!("{}, and its second copy too", describe(error)), false);
            Ok(false)
        }
    }
}

/// What is wrong, without the name of the object.
fn describe(error: &StoreError) -> String {
    match error {
        StoreError::Corrupt { what, .. } => what.clone(),
        error if error.is_not_found() => "it is missing".to_owned(),
        error => error.to_string(),
    }
}
