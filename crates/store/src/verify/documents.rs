//! The texts of a volume, both copies of each.

use std::collections::{BTreeMap, HashMap};

use resurgam_model::PointId;

use super::{Verified, Verify, packs::quarantine};
use crate::{
    backend,
    capsule::{CATALOG, CapsuleName},
    document::Documents,
    error::{Fault, StoreError},
    limits::{CAPSULE_MAX, DOCUMENT_MAX},
    meter::Cancel,
    pack::MIRROR,
    parallel,
    point::{REPLICAS, ReplicaPlace},
    tree::TreeRoot,
    volume::{VOLUME_TOML, Volume, parse_header},
};

/// The points whose documents are proved, with the roots of their trees.
pub(super) type Proved = HashMap<(ReplicaPlace, PointId), TreeRoot>;

/// What a document should be, going by its name.
enum Named {
    Replica(ReplicaPlace),
    Point(ReplicaPlace, PointId),
    Capsule(CapsuleName),
}

impl Named {
    fn of_object(name: &str) -> Option<Self> {
        match ReplicaPlace::of_object(name) {
            Some((place, Some(point))) => Some(Self::Point(place, point)),
            Some((place, None)) => Some(Self::Replica(place)),
            None => CapsuleName::of_object(name).map(Self::Capsule),
        }
    }

    /// Reads an object, and proves that it is this document: its text, and the root where it is a point.
    fn read(
        &self,
        volume: &Volume,
        documents: &mut Documents<'_>,
        object: &str,
    ) -> Result<(String, Option<TreeRoot>), StoreError> {
        let text = self.text(documents, object)?;
        let root = match self {
            Self::Replica(place) => volume.check_replica(object, place, &text).map(|_| None)?,
            Self::Point(place, point) => Some(volume.check_point(object, place, *point, &text)?.tree_root()?),
            Self::Capsule(name) => volume.check_capsule(object, name, &text).map(|_| None)?,
        };
        Ok((text, root))
    }

    fn text(&self, documents: &mut Documents<'_>, object: &str) -> Result<String, StoreError> {
        documents.limit = if let Self::Capsule(_) = self { CAPSULE_MAX } else { DOCUMENT_MAX };
        documents.read_one(object)
    }
}

/// A document by name, and which of its copies the listing has.
struct Listed {
    name: String,
    named: Named,
    first: bool,
    second: bool,
}

pub(super) fn verify(
    volume: &Volume,
    how: &Verify<'_>,
    cancel: &Cancel,
    verified: &mut Verified,
) -> Result<Proved, StoreError> {
    header(volume, how, verified)?;
    let all = list(volume, verified)?;
    // What is not listed is taken for lost only where the volume is there.
    volume.must_be_there()?;
    let known: HashMap<String, &super::KnownPoint> =
        how.known.iter().map(|known| (known.place.point(known.point), known)).collect();
    let mut missing: Vec<_> = known.iter().filter(|(name, _)| !all.contains_key(*name)).collect();
    missing.sort_by_key(|(name, _)| *name);
    for (_, known) in missing {
        let what = "the catalog has this recovery point and the volume does not";
        mend_from_catalog(volume, how, known, what, verified)?;
    }
    let (complete, single): (Vec<_>, Vec<_>) = all.into_values().partition(|listed| listed.first && listed.second);
    let sound = parallel::map(
        complete,
        how.threads,
        || volume.documents(),
        |documents, listed| {
            if cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            Ok((both_sound(volume, documents, &listed)?, listed))
        },
    )?;
    let mut proved = Proved::new();
    let mut doubtful = Vec::new();
    for (sound, listed) in sound {
        match (sound, &listed.named) {
            (Some(Some(root)), Named::Point(place, point)) => drop(proved.insert((place.clone(), *point), root)),
            (Some(_), _) => {}
            (None, _) => doubtful.push(listed),
        }
    }
    // One copy without the other may be a document that is being made or given up at this moment: those get a second look
    // when all others have been seen.
    for listed in doubtful.into_iter().chain(single) {
        let root = look_again(volume, how, &listed, known.get(&listed.name).copied(), verified)?;
        if let (Some(root), Named::Point(place, point)) = (root, listed.named) {
            proved.insert((place, point), root);
        }
    }
    Ok(proved)
}

fn header(volume: &Volume, how: &Verify<'_>, verified: &mut Verified) -> Result<(), StoreError> {
    let backend = volume.backend();
    let mut read = |name: &str| -> Result<Vec<u8>, StoreError> {
        let bytes = backend::read_whole(backend, name, DOCUMENT_MAX as u64)?;
        let header = parse_header(name, &bytes).map_err(as_damage)?;
        if header == *volume.about() {
            Ok(bytes)
        } else if header.volume == volume.id() {
            Err(StoreError::corrupt(name, "it differs from the other copy: enrolling the volume again was interrupted"))
        } else {
            Err(StoreError::corrupt(name, "it is that of another volume"))
        }
    };
    let mut write = |name: &str, bytes: &[u8]| Ok(backend.replace(name, bytes)?);
    both(VOLUME_TOML, how, verified, &mut read, &mut write, &|| false)?;
    Ok(())
}

/// A newer format in one copy alone is damage.
fn as_damage(error: StoreError) -> StoreError {
    match error {
        StoreError::Refused { object, what } => StoreError::Corrupt { object, what },
        other => other,
    }
}

/// Everything that should be a document, by name.
fn list(volume: &Volume, verified: &mut Verified) -> Result<BTreeMap<String, Listed>, StoreError> {
    let mut all: BTreeMap<String, Listed> = BTreeMap::new();
    let mut foreign = std::collections::BTreeSet::new();
    for prefix in [REPLICAS, CATALOG] {
        for (prefix, is_first) in [(prefix.to_owned(), true), (format!("{MIRROR}{prefix}"), false)] {
            for object in volume.backend().list(&prefix)? {
                let name = object.name.strip_prefix(MIRROR).unwrap_or(&object.name).to_owned();
                let Some(named) = Named::of_object(&name) else {
                    foreign.insert(name);
                    continue;
                };
                let entry = all.entry(name.clone());
                let listed = entry.or_insert(Listed { name, named, first: false, second: false });
                if is_first { listed.first = true } else { listed.second = true }
            }
        }
    }
    for name in foreign {
        verified.found(name, "nothing of this volume has such a name; it was left alone", false);
    }
    Ok(all)
}

/// Whether both copies are there, proved and equal; with the root where it is a point. `None`: that takes a closer look.
fn both_sound(
    volume: &Volume,
    documents: &mut Documents<'_>,
    listed: &Listed,
) -> Result<Option<Option<TreeRoot>>, StoreError> {
    let first = listed.named.read(volume, documents, &listed.name);
    // What equals a proved text is proved.
    let second = listed.named.text(documents, &format!("{MIRROR}{}", listed.name));
    match (first, second) {
        (Err(error), _) | (_, Err(error)) if !error.is_damage() => Err(error),
        (Ok((text, root)), Ok(second)) if text == second => Ok(Some(root)),
        _ => Ok(None),
    }
}

/// Tells what is wrong with a document of which something is, and mends it. The root where it is a point and proved.
fn look_again(
    volume: &Volume,
    how: &Verify<'_>,
    listed: &Listed,
    known: Option<&super::KnownPoint>,
    verified: &mut Verified,
) -> Result<Option<TreeRoot>, StoreError> {
    let name = &listed.name;
    let second = format!("{MIRROR}{name}");
    let backend = volume.backend();
    let mut documents = volume.documents()?;
    let mut root = None;
    let mut check = |object: &str| -> Result<Vec<u8>, StoreError> {
        let (text, found) = listed.named.read(volume, &mut documents, object)?;
        root = root.or(found);
        documents.encode(object, &text)
    };
    let mut write = |name: &str, bytes: &[u8]| Ok(backend.replace(name, bytes)?);
    let half = there(volume, name)? != there(volume, &second)?;
    match &listed.named {
        // It was whole a moment ago: it is being given up. Or it was half, and is whole now.
        Named::Capsule(_) if half != (listed.first != listed.second) => return Ok(None),
        // Its writer was killed, or a copy was lost. What is left is as good, and nobody needs to be asked.
        Named::Capsule(_) if half => {
            let (gone, left) = if there(volume, name)? { (&second, name) } else { (name, &second) };
            if let Ok(bytes) = check(left) {
                let mended = put_back(&mut write, gone, &bytes)?;
                verified.found(gone, "it is missing", mended);
                return Ok(None);
            }
        }
        Named::Capsule(_) => {}
        _ if listed.first != listed.second && !backend.writers()?.alive.is_empty() => return Ok(None),
        // A point of which only the second copy is there, and which nobody reported done: its writer was killed between
        // the two copies. All of it is durable, so it is completed; it is no damage.
        Named::Point(..) if known.is_none() && !there(volume, name)? => {
            if let Ok(bytes) = check(&second) {
                put_back(&mut write, name, &bytes)?;
            }
            return Ok(root);
        }
        _ => {}
    }
    // What is given up leaves the catalog first, so whoever finds a copy gone asks there before it is missed.
    let given_up = || matches!(&listed.named, Named::Point(_, point) if !(how.is_known)(*point));
    let sound = both(name, how, verified, &mut check, &mut write, &given_up)?;
    match (sound, &listed.named, known) {
        (false, Named::Point(..), Some(known)) => {
            mend_from_catalog(volume, how, known, "both copies are damaged", verified)?;
        }
        // No other copy will ever come, and what does not prove itself helps nobody.
        (false, Named::Capsule(_), _) if how.repair => {
            quarantine(volume, name)?;
            quarantine(volume, &second)?;
        }
        _ => {}
    }
    Ok(root)
}

fn there(volume: &Volume, name: &str) -> Result<bool, StoreError> {
    match volume.backend().length(name) {
        Ok(_) => Ok(true),
        Err(error) if error.kind == Fault::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Puts back a copy that is missing, whether or not it was asked for. `false`: there is no room for it.
fn put_back(write: Write<'_>, name: &str, bytes: &[u8]) -> Result<bool, StoreError> {
    match write(name, bytes) {
        Ok(()) => Ok(true),
        Err(StoreError::Backend(error)) if matches!(error.kind, Fault::Full | Fault::ReadOnly) => Ok(false),
        Err(error) => Err(error),
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

/// Checks an object and its second copy, and mends one from the other. `given_up` is asked where a copy is gone. `false`:
/// neither is sound.
fn both(
    name: &str,
    how: &Verify<'_>,
    verified: &mut Verified,
    check: Check<'_>,
    write: Write<'_>,
    given_up: &dyn Fn() -> bool,
) -> Result<bool, StoreError> {
    let second = format!("{MIRROR}{name}");
    let mut results = [check(name), check(&second)];
    if let Some(unreachable) = results.iter_mut().find(|result| result.as_ref().is_err_and(|error| !error.is_damage()))
    {
        std::mem::replace(unreachable, Ok(Vec::new()))?;
    }
    let gone = results.iter().any(|result| result.as_ref().is_err_and(StoreError::is_not_found));
    match (&results[0], &results[1]) {
        (Ok(_), Ok(_)) => Ok(true),
        _ if gone && given_up() => Ok(true),
        (Ok(bytes), Err(error)) => {
            let mended = how.repair && write(&second, bytes).is_ok();
            verified.found(second, error.reason(), mended);
            Ok(true)
        }
        (Err(error), Ok(bytes)) => {
            let mended = how.repair && write(name, bytes).is_ok();
            verified.found(name, error.reason(), mended);
            Ok(true)
        }
        // Deleted since it was listed.
        (Err(one), Err(other)) if one.is_not_found() && other.is_not_found() => Ok(true),
        (Err(error), Err(_)) => {
            verified.found(name, format!("{}, and its second copy too", error.reason()), false);
            Ok(false)
        }
    }
}
