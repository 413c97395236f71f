//! A volume from one end to the other: what goes in comes out, whatever is done to it in between.

use std::sync::Arc;

use resurgam_model::{BytePath, PointId, ReplicaId, ServerId, SourceId, Timestamp, VolumeId, point::PointKind};

use crate::{
    Cancel, Content, Entry, Extent, FileTime, Kind, Meter, NewPoint, Owner, Reader, Seen, Session, TreeReader, Volume,
    backend::{Backend, memory::Memory},
    collect::{Collect, collect},
    keys::{Secret, SigningKey, Slot, Unlock, VolumeKeys},
    point::{PointText, ReplicaPlace},
    verify::{Proved, Verified, Verify, verify},
    volume::NewVolume,
};

pub(crate) fn signing() -> SigningKey {
    SigningKey::from_seed(&Secret::new([9; 32])).unwrap()
}

pub(crate) fn new_volume(backend: Arc<dyn Backend>) -> Arc<Volume> {
    new_volume_with(backend, &[])
}

pub(crate) fn new_volume_with(backend: Arc<dyn Backend>, features: &[&str]) -> Arc<Volume> {
    let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([2; 32]) };
    let slots = vec![Slot::clear(&keys)];
    let volume = VolumeId::from_random([3; 16]);
    let new = NewVolume {
        volume,
        server: ServerId::from_random([4; 16]),
        server_name: "server.example",
        signing: &signing(),
        keys,
        slots,
        features,
        created: Timestamp::UNIX_EPOCH,
    };
    Arc::new(Volume::create(backend, new).unwrap())
}

pub(crate) fn open_volume(backend: Arc<dyn Backend>) -> Arc<Volume> {
    Arc::new(Volume::open(backend, &Unlock::default()).unwrap())
}

pub(crate) fn place() -> ReplicaPlace {
    ReplicaPlace { server: "server.example".to_owned(), replica: ReplicaId::from_random([5; 16]) }
}

pub(crate) fn file(path: &str, size: u64, content: Content) -> Entry {
    Entry {
        path: BytePath::from_typed(path.as_bytes()).unwrap(),
        kind: Kind::File { size, content },
        mode: 0o644,
        owner: Owner { uid: 1, gid: 2, user: (*b"daemon").into(), group: (*b"bin").into() },
        modified: FileTime { seconds: -1, nanos: 5 },
        xattrs: Vec::new(),
        flags: 0,
        link: None,
        seen: Seen { inode: 77, changed: FileTime { seconds: 1 << 40, nanos: 0 }, racy: false },
        torn: false,
    }
}

/// Bytes that do not compress, told apart by a seed.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Takes a point of `files`: name and content.
pub(crate) fn try_point(
    volume: &Arc<Volume>,
    id: u8,
    files: &[(String, Vec<u8>)],
) -> Result<PointText, crate::StoreError> {
    let session = Session::begin(volume)?;
    let mut tree = session.tree()?;
    let mut lane = session.lane()?;
    for (name, bytes) in files {
        let blob = lane.put(bytes)?;
        let extent = Extent::Data { blob, offset: 0, length: bytes.len() as u32 };
        let content = tree.content(vec![extent])?;
        tree.push(&file(name, bytes.len() as u64, content))?;
    }
    lane.flush()?;
    drop(lane);
    let root = tree.finish()?;
    let new = NewPoint {
        place: &place(),
        point: PointId::from_random([id; 16]),
        source: SourceId::from_random([6; 16]),
        root: b"/data",
        time: Timestamp::UNIX_EPOCH,
        kind: PointKind::ExpressFull,
        unread: 0,
    };
    session.commit(&root, &new, &signing()).map(|(text, _)| text)
}

pub(crate) fn point(volume: &Arc<Volume>, id: u8, files: &[(String, Vec<u8>)]) -> PointText {
    try_point(volume, id, files).unwrap()
}

pub(crate) fn restore(volume: &Arc<Volume>, id: u8) -> Result<Vec<(String, Vec<u8>)>, crate::StoreError> {
    let reader = Reader::new(volume)?;
    let root = volume.point(&place(), PointId::from_random([id; 16]))?.tree_root()?;
    let mut files = Vec::new();
    for entry in TreeReader::new(&reader, &root) {
        let entry = entry?;
        let Kind::File { content, .. } = &entry.kind else { continue };
        let mut bytes = Vec::new();
        reader.extents(content, &mut |extent| {
            if let Extent::Data { blob, offset, length } = extent {
                bytes.extend_from_slice(&reader.blob(&blob)?[offset as usize..(offset + length) as usize]);
            }
            Ok(())
        })?;
        files.push((entry.path.to_string(), bytes));
    }
    Ok(files)
}

/// What a verification finds that knows no points.
pub(crate) fn look_over(volume: &Arc<Volume>, read_data: Option<u8>, repair: bool) -> Verified {
    let how = Verify { read_data, proved: &Proved::default(), repair, known: &[], is_known: &|_| true, threads: 2 };
    verify(volume, &how, &Meter::default(), &Cancel::default()).unwrap()
}

pub(crate) fn files(seed: u64, count: usize) -> Vec<(String, Vec<u8>)> {
    let name = |number: usize| format!("dir{:03}/file{number:06}", number / 100);
    let mut files: Vec<_> =
        (0..count).map(|number| (name(number), noise(seed + number as u64, 600 + (number * 37) % 3000))).collect();
    files.sort_by(|a, b| {
        BytePath::from_typed(a.0.as_bytes()).unwrap().cmp(&BytePath::from_typed(b.0.as_bytes()).unwrap())
    });
    files
}

#[test]
fn what_goes_in_comes_out() {
    let backend = Arc::new(Memory::default());
    let volume = new_volume(backend.clone());
    let all = files(0, 3000);
    let made = point(&volume, 1, &all);
    assert_eq!(made.tree.files, 3000);
    assert_eq!(restore(&open_volume(backend), 1).unwrap(), all);
}

#[test]
fn the_same_again_adds_only_the_point() {
    let volume = new_volume(Arc::new(Memory::default()));
    let all = files(0, 2000);
    point(&volume, 1, &all);
    let second = point(&volume, 2, &all);
    assert!(second.added_bytes < 4096, "{}", second.added_bytes);
    assert_eq!(restore(&volume, 2).unwrap(), all);
}

#[test]
fn collecting_keeps_what_is_needed_and_frees_the_rest() {
    let backend = Arc::new(Memory::default());
    let volume = new_volume(backend.clone());
    let (first, second) = (files(0, 1000), files(500, 1000));
    point(&volume, 1, &first);
    point(&volume, 2, &second);
    let full: u64 = backend.list("").unwrap().iter().map(|listed| listed.length).sum();
    volume.delete_point(&place(), PointId::from_random([1; 16])).unwrap();
    let done = collect(&volume, &Collect::default(), &Cancel::default()).unwrap();
    assert!(done.deleted > 0, "{done:?}");
    let left: u64 = backend.list("").unwrap().iter().map(|listed| listed.length).sum();
    assert!(left < full * 3 / 4, "{left} of {full}");
    assert_eq!(restore(&open_volume(backend), 2).unwrap(), second);
    let again = collect(&volume, &Collect::default(), &Cancel::default()).unwrap();
    assert_eq!((again.deleted, again.rewritten), (0, 0));
}

#[test]
fn a_writer_that_relies_on_a_condemned_pack_rescues_it() {
    let volume = new_volume(Arc::new(Memory::default()));
    let all = files(0, 500);
    point(&volume, 1, &all);
    // A writer begins and relies on what point 1 has ...
    let session = Session::begin(&volume).unwrap();
    let mut lane = session.lane().unwrap();
    let mut tree = session.tree().unwrap();
    for (name, bytes) in &all {
        let blob = lane.put(bytes).unwrap();
        let content = tree.content(vec![Extent::Data { blob, offset: 0, length: bytes.len() as u32 }]).unwrap();
        tree.push(&file(name, bytes.len() as u64, content)).unwrap();
    }
    lane.flush().unwrap();
    drop(lane);
    let root = tree.finish().unwrap();
    // ... while point 1 is given up and collected.
    volume.delete_point(&place(), PointId::from_random([1; 16])).unwrap();
    let done = collect(&volume, &Collect::default(), &Cancel::default()).unwrap();
    assert_eq!(done.deleted, 0);
    assert!(done.waiting > 0);
    let new = NewPoint {
        place: &place(),
        point: PointId::from_random([2; 16]),
        source: SourceId::from_random([6; 16]),
        root: b"/data",
        time: Timestamp::UNIX_EPOCH,
        kind: PointKind::ExpressFull,
        unread: 0,
    };
    session.commit(&root, &new, &signing()).unwrap();
    let done = collect(&volume, &Collect::default(), &Cancel::default()).unwrap();
    assert_eq!((done.deleted, done.waiting), (0, 0));
    assert_eq!(restore(&volume, 2).unwrap(), all);
}

#[test]
fn the_text_of_a_header_is_that_of_the_copy_that_is_sound() {
    let backend: Arc<dyn Backend> = Arc::new(Memory::default());
    drop(new_volume(Arc::clone(&backend)));
    let (header, text) = Volume::header_document(&*backend).unwrap();
    let mut damaged = text.clone().into_bytes();
    let at = text.find("created").unwrap() + 12;
    damaged[at] ^= 1;
    backend.replace(crate::volume::VOLUME_TOML, &damaged).unwrap();
    assert_eq!(Volume::header_document(&*backend).unwrap(), (header, text));
    backend.replace(&format!("mirror/{}", crate::volume::VOLUME_TOML), &damaged).unwrap();
    assert!(Volume::header_document(&*backend).is_err());
}

#[test]
fn what_is_left_of_a_pack_that_was_cut_off_is_read_whatever_was_missed_before() {
    let backend = Arc::new(Memory::default());
    let volume = new_volume(backend.clone());
    let all: Vec<_> = (0..6).map(|n| (format!("f{n}"), noise(n, 1 << 20))).collect();
    let made = point(&volume, 1, &all);
    let pack = backend.list("packs/").unwrap().into_iter().max_by_key(|listed| listed.length).unwrap();
    let mut bytes = vec![0; pack.length as usize];
    backend.read_at(&pack.name, 0, &mut bytes).unwrap();
    bytes.truncate(4 << 20);
    backend.replace(&pack.name, &bytes).unwrap();
    let reader = Reader::new(&open_volume(backend)).unwrap();
    let blobs: Vec<_> = TreeReader::new(&reader, &made.tree_root().unwrap())
        .filter_map(|entry| match entry.unwrap().kind {
            Kind::File { content, .. } => Some(content),
            _ => None,
        })
        .map(|content| {
            let mut found = None;
            let each = &mut |extent| {
                if let Extent::Data { blob, .. } = extent {
                    found = Some(blob);
                }
                Ok(())
            };
            reader.extents(&content, each).unwrap();
            found.unwrap()
        })
        .collect();
    let readable = |order: &mut dyn Iterator<Item = &crate::BlobId>| order.filter(|id| reader.blob(id).is_ok()).count();
    let first = readable(&mut blobs.iter().rev());
    assert!((3..6).contains(&first), "{first}");
    assert_eq!(readable(&mut blobs.iter()), first);
    assert!(reader.blob(&blobs[0]).is_ok());
}
