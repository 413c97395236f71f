//! How long a survey and a verification of metadata take, and how much of a volume they read.
//!
//! `RESURGAM_SURVEY="100 100 2000 20000"` (replicas, points of each, files of each, mean bytes of a file) makes it large.
//! The volume is made in memory, for speed, and read from a directory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use resurgam_model::{
    PointId, ReplicaId, SourceId, Timestamp,
    point::{PointKind, PointState},
};

use crate::{
    Cancel, Content, Extent, Session, Volume,
    backend::{
        Backend, Listed, Result,
        directory::Directory,
        meddled::{Meddled, Meddler},
        memory::Memory,
        read_whole,
    },
    document,
    keys::Unlock,
    point::{PointText, ReplicaPlace},
    tests::{file, look_over, new_volume, noise, signing},
};

/// Counts what is read.
#[derive(Default)]
struct Watched(Mutex<BTreeMap<String, u64>>);

impl Meddler for Watched {
    fn before_read(&self, name: &str, bytes: u64) -> Result<()> {
        let part = name.split('/').take(if name.starts_with("mirror/") { 2 } else { 1 }).collect::<Vec<_>>().join("/");
        *self.0.lock().unwrap().entry(part).or_default() += bytes;
        Ok(())
    }
}

/// How large the volume of a measurement is.
struct Size {
    replicas: u64,
    points: u64,
    files: u64,
    /// Mean bytes of a file.
    bytes: u64,
}

fn size() -> Size {
    let given = std::env::var("RESURGAM_SURVEY").unwrap_or_else(|_| "4 25 200 4000".to_owned());
    let numbers: Vec<u64> = given.split(' ').map(|number| number.parse().unwrap()).collect();
    let [replicas, points, files, bytes] = numbers[..] else { panic!("replicas points files bytes") };
    Size { replicas, points, files, bytes }
}

fn id(replica: u64, point: u64) -> PointId {
    PointId::from_random(noise(replica << 32 | point, 16).try_into().unwrap())
}

fn place(replica: u64) -> ReplicaPlace {
    let id = ReplicaId::from_random(noise(replica | 1 << 63, 16).try_into().unwrap());
    ReplicaPlace { server: "server.example".to_owned(), replica: id }
}

/// Points of replicas of many small files; between two points a few files of each change.
fn fill(volume: &Arc<Volume>, size: &Size) {
    let mut extents: Vec<Vec<(u64, Extent)>> = vec![Vec::new(); size.replicas as usize];
    for round in 0..size.points {
        let session = Session::begin(volume).unwrap();
        let mut roots = Vec::new();
        for replica in 0..size.replicas {
            let (mut tree, mut lane) = (session.tree().unwrap(), session.lane().unwrap());
            let extents = &mut extents[replica as usize];
            for number in 0..size.files {
                // Every file is new in the first round; three files change in each of the others.
                let seed = (replica << 40) | (number << 16) | round;
                if round == 0 || number % (size.files / 3) == round * 7 % (size.files / 3) {
                    let length = 600 + (seed % 97) * 2 * size.bytes / 97;
                    let blob = lane.put(&noise(seed, length as usize)).unwrap();
                    let extent = Extent::Data { blob, offset: 0, length: length as u32 };
                    if round == 0 { extents.push((seed, extent)) } else { extents[number as usize] = (seed, extent) }
                }
                let (seed, extent) = extents[number as usize];
                let Extent::Data { length, .. } = extent else { panic!() };
                let name = format!("dir{:03}/file{number:06}.txt", number / 50);
                let mut entry = file(&name, length.into(), Content::Extents(vec![extent]));
                entry.seen.inode = seed;
                entry.modified.seconds = 1_700_000_000 + (seed % 1_000_000) as i64;
                tree.push(&entry).unwrap();
            }
            lane.flush().unwrap();
            drop(lane);
            roots.push(tree.finish().unwrap());
        }
        let stored = session.finish().unwrap();
        for (replica, root) in (0..size.replicas).zip(&roots) {
            let text = PointText {
                document: PointText::DOCUMENT.to_owned(),
                volume: volume.id(),
                replica: place(replica).replica,
                source: SourceId::from_random([6; 16]),
                point: id(replica, round),
                root: "/data".to_owned(),
                time: Timestamp::UNIX_EPOCH,
                kind: PointKind::ExpressFull,
                state: PointState::Complete,
                unread: 0,
                added_bytes: 0,
                tree: root.into(),
            };
            let document = document::sign(&document::to_text(&text).unwrap(), &signing());
            volume.documents().unwrap().write(&place(replica).point(id(replica, round)), &document).unwrap();
        }
        stored.end().unwrap();
        crate::collect::merge_segments(volume).unwrap();
    }
}

/// What some work gives, and the bytes that it read by kind of object. Prints its wall and processor time.
#[expect(clippy::disallowed_methods, reason = "a measurement")]
fn measured<T>(
    what: &str,
    watched: &Meddled<Watched>,
    total: u64,
    work: impl FnOnce() -> T,
) -> (T, BTreeMap<String, u64>) {
    let processor = || rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    watched.meddler.0.lock().unwrap().clear();
    let (wall, began) = (std::time::Instant::now(), processor());
    let done = work();
    let (wall, used) = (wall.elapsed(), processor() - began);
    let parts = std::mem::take(&mut *watched.meddler.0.lock().unwrap());
    let read: u64 = parts.values().sum();
    let (share, used) = (read as f64 * 100.0 / total as f64, used.tv_sec * 1000 + used.tv_nsec / 1_000_000);
    println!("{what}: {wall:.2?} (processor {used} ms), {read} bytes read, {share:.2} %: {parts:?}");
    (done, parts)
}

/// A volume of that size in a directory.
fn made(size: &Size, directory: &std::path::Path) -> Vec<Listed> {
    let memory = Arc::new(Memory::default());
    fill(&new_volume(memory.clone()), size);
    let all = memory.list("").unwrap();
    for listed in &all {
        let path = directory.join(&listed.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, read_whole(&*memory, &listed.name, u64::MAX).unwrap()).unwrap();
        memory.delete(&listed.name).unwrap();
    }
    all
}

#[test]
fn what_points_share_is_read_once() {
    let (size, directory) = (size(), tempfile::tempdir().unwrap());
    let all = made(&size, directory.path());
    let watched =
        Arc::new(Meddled { inner: Arc::new(Directory::local(directory.path())), meddler: Watched::default() });
    let bytes = |prefix: &str| -> u64 {
        all.iter().filter(|listed| listed.name.starts_with(prefix)).map(|listed| listed.length).sum()
    };
    println!("{} objects, {} bytes, {} of them metadata", all.len(), bytes(""), bytes("mirror/packs/"));
    let volume = Arc::new(Volume::open(watched.clone(), &Unlock::default()).unwrap());
    let (survey, read) = measured("survey", &watched, bytes(""), || volume.survey(2, &Cancel::default()).unwrap());
    assert_eq!(survey.points().count() as u64, size.replicas * size.points);
    assert_eq!(read.get("replicas"), Some(&bytes("replicas/")));
    let (found, read) = measured("verify", &watched, bytes(""), || look_over(&volume, None, false));
    assert!(found.findings.is_empty() && found.affected.is_empty(), "{found:?}");
    assert!(read["packs"] <= bytes("mirror/packs/") && read["index"] <= bytes("index/"), "{read:?}");
}
