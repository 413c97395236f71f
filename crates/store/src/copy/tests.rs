//! What is copied comes out as it went in, is sent once, and tells nobody how small it is.

use std::sync::Arc;

use resurgam_model::{PointId, ServerId, SourceId, Timestamp, VolumeId, point::PointKind};

use super::copy_tree;
use crate::{
    Cancel, Meter, NewPoint, Reader, Session, Volume,
    backend::{Backend, memory::Memory},
    collect::{Collect, collect},
    frame::FrameHeader,
    keys::{Secret, Slot, VolumeKeys},
    limits::FILLED_FRAME,
    load::Loaded,
    pack::PACKS,
    point::PointText,
    tests::{files, look_over, new_volume, noise, place, point, restore, signing},
    volume::{NewVolume, PART},
};

/// A part of a vault of the server whose volumes [`new_volume`] makes.
pub(crate) fn new_part(backend: Arc<dyn Backend>) -> Arc<Volume> {
    let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([7; 32]) };
    let id = VolumeId::from_random([8; 16]);
    let new = NewVolume {
        volume: id,
        server: ServerId::from_random([4; 16]),
        server_name: "server.example",
        signing: &signing(),
        slots: vec![Slot::keyring(&keys, id, &Secret::new([11; 32])).unwrap()],
        keys,
        features: &PART,
        created: Timestamp::UNIX_EPOCH,
    };
    Arc::new(Volume::create(backend, new).unwrap())
}

pub(crate) fn copy(
    from: &Arc<Volume>,
    to: &Arc<Volume>,
    of: &PointText,
    id: u8,
) -> Result<PointText, crate::StoreError> {
    let reader = Reader::new(from)?;
    let session = Session::begin(to)?;
    let root = of.tree_root()?;
    copy_tree(&reader, &session, &root, 2, &Meter::default(), &Cancel::default())?;
    let new = NewPoint {
        place: &place(),
        point: PointId::from_random([id; 16]),
        source: SourceId::from_random([6; 16]),
        root: b"/data",
        time: of.time,
        kind: PointKind::ExpressFull,
        unread: 0,
    };
    session.commit(&root, &new, &signing()).map(|(text, _)| text)
}

pub(crate) fn all_is_well(volume: &Arc<Volume>) -> bool {
    let verified = look_over(volume, Some(100), false);
    verified.findings.is_empty() && verified.affected.is_empty()
}

fn stored(volume: &Volume) -> u64 {
    volume.backend().list(PACKS).unwrap().iter().map(|listed| listed.length).sum()
}

#[test]
fn a_point_copied_is_the_same_point_and_is_sent_once() {
    let (pool, part) = (new_volume(Arc::new(Memory::default())), new_part(Arc::new(Memory::default())));
    let mut wanted = files(0, 400);
    wanted.push(("large".to_owned(), noise(9, 3 << 20)));
    let first = point(&pool, 1, &wanted);
    let copied = copy(&pool, &part, &first, 11).unwrap();
    assert_eq!(copied.tree, first.tree);
    assert_eq!(restore(&part, 11).unwrap(), restore(&pool, 1).unwrap());
    assert!(all_is_well(&part));

    let before = stored(&part);
    let again = copy(&pool, &part, &first, 12).unwrap();
    assert_eq!(stored(&part), before, "nothing is sent twice");
    assert_eq!(again.tree, first.tree);

    wanted[3].1 = b"changed, and longer than what lies in an entry".repeat(40);
    let second = point(&pool, 2, &wanted);
    copy(&pool, &part, &second, 13).unwrap();
    assert_eq!(restore(&part, 13).unwrap(), restore(&pool, 2).unwrap());
    assert!(stored(&part) - before < 2 << 20, "what changed, filled up, and its pages");
    assert!(all_is_well(&part));
}

#[test]
fn an_interrupted_copy_goes_on_where_it_stopped() {
    let (pool, part) = (new_volume(Arc::new(Memory::default())), new_part(Arc::new(Memory::default())));
    let first = point(&pool, 1, &files(0, 300));
    {
        // Everything is stored, and the point is never made.
        let (reader, session) = (Reader::new(&pool).unwrap(), Session::begin(&part).unwrap());
        copy_tree(&reader, &session, &first.tree_root().unwrap(), 1, &Meter::default(), &Cancel::default()).unwrap();
        session.finish().unwrap();
    }
    let before = stored(&part);
    copy(&pool, &part, &first, 11).unwrap();
    assert_eq!(stored(&part), before);
    assert_eq!(restore(&part, 11).unwrap(), restore(&pool, 1).unwrap());
}

#[test]
fn one_small_file_more_or_less_makes_no_difference_that_can_be_seen() {
    let shapes: Vec<Vec<(u32, u32)>> = [1, 2, 7]
        .map(|count| {
            let (pool, part) = (new_volume(Arc::new(Memory::default())), new_part(Arc::new(Memory::default())));
            let wanted: Vec<_> = (0..count).map(|n| (format!("f{n}"), noise(n, 600 + 900 * n as usize))).collect();
            copy(&pool, &part, &point(&pool, 1, &wanted), 11).unwrap();
            frames(&part)
        })
        .to_vec();
    assert_eq!(shapes[0], shapes[1]);
    assert_eq!(shapes[0], shapes[2]);
    assert!(shapes[0].iter().any(|(_, plain)| *plain as usize == FILLED_FRAME));
}

/// Lengths of all frames of content and metadata, and of the index of each pack, as anyone can read them.
fn frames(volume: &Volume) -> Vec<(u32, u32)> {
    let loaded =
        Loaded::segments(volume).map(|mut loaded| loaded.match_packs(volume).map(|_| loaded)).unwrap().unwrap();
    let mut found = Vec::new();
    for listed in volume.backend().list(PACKS).unwrap() {
        let mut bytes = vec![0; listed.length as usize];
        volume.backend().read_at(&listed.name, 0, &mut bytes).unwrap();
        let mut at = 64;
        while let Some(header) = bytes.get(at..).and_then(FrameHeader::parse) {
            found.push((header.sealed_length, header.plain_length));
            at += crate::frame::HEADER + header.sealed_length as usize;
        }
    }
    assert_eq!(loaded.index.parts().len(), 1);
    found.sort_unstable();
    found
}

#[test]
fn filling_is_no_waste_to_the_collector() {
    let (pool, part) = (new_volume(Arc::new(Memory::default())), new_part(Arc::new(Memory::default())));
    let first = point(&pool, 1, &[("small".to_owned(), noise(1, 900))]);
    copy(&pool, &part, &first, 11).unwrap();
    let done = collect(&part, &Collect::default(), &Cancel::default()).unwrap();
    assert_eq!((done.deleted, done.rewritten), (0, 0));
    assert_eq!(restore(&part, 11).unwrap(), restore(&pool, 1).unwrap());
}

#[test]
fn what_is_damaged_in_the_pool_is_mended_on_the_way_or_not_sent() {
    let backend = Arc::new(Memory::default());
    let (pool, part) = (new_volume(Arc::clone(&backend) as _), new_part(Arc::new(Memory::default())));
    let first = point(&pool, 1, &files(0, 200));
    for listed in backend.list(PACKS).unwrap() {
        let mut bytes = vec![0; listed.length as usize];
        backend.read_at(&listed.name, 0, &mut bytes).unwrap();
        bytes[200] ^= 1;
        backend.replace(&listed.name, &bytes).unwrap();
    }
    copy(&pool, &part, &first, 11).unwrap();
    assert_eq!(restore(&part, 11).unwrap(), files(0, 200));
    assert!(all_is_well(&part));

    let other = new_part(Arc::new(Memory::default()));
    for listed in backend.list(PACKS).unwrap() {
        backend.replace(&listed.name, &vec![0; listed.length as usize]).unwrap();
        backend.delete(&format!("mirror/{}", listed.name)).unwrap();
    }
    assert!(copy(&pool, &other, &first, 12).is_err_and(|error| error.is_damage()));
    assert!(other.point_names().unwrap().is_empty());
}
