use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex},
};

use resurgam_model::PointId;

use super::EntriesAhead;
use crate::{
    Kind, Reader, TreeReader, Volume,
    backend::{
        self,
        meddled::{Meddled, Meddler},
        memory::Memory,
    },
    error::{BackendError, Fault},
    tests::{new_volume, noise, open_volume, place, point, try_point},
};

/// A far place that notes what is read of packs, and fails each long read if it is to.
#[derive(Default)]
struct Far {
    reads: Mutex<Vec<u64>>,
    fails: bool,
}

impl Meddler for Far {
    fn before_read(&self, name: &str, bytes: u64) -> backend::Result<()> {
        if name.starts_with("packs/") && bytes > 0 {
            self.reads.lock().unwrap().push(bytes);
            if self.fails && bytes > 2 << 20 {
                let source = io::Error::from(io::ErrorKind::TimedOut);
                return Err(BackendError { attempt: "read", object: name.to_owned(), kind: Fault::Io, source });
            }
        }
        Ok(())
    }

    fn reads_at_once(&self) -> usize {
        3
    }
}

fn far(inner: &Memory, fails: bool) -> (Arc<Meddled<Far>>, Arc<Volume>) {
    let place = Arc::new(Meddled { inner: Arc::new(inner.clone()), meddler: Far { fails, ..Far::default() } });
    (Arc::clone(&place), open_volume(place))
}

/// Reads everything as a restore does, the content of each file when its turn comes.
fn read(volume: &Arc<Volume>, id: u8) -> Vec<(String, Vec<u8>)> {
    let reader = Reader::new(volume).unwrap();
    let root = volume.point(&place(), PointId::from_random([id; 16])).unwrap().tree_root().unwrap();
    let mut files = Vec::new();
    for entry in EntriesAhead::new(&reader, TreeReader::new(&reader, &root).whole()) {
        let entry = entry.unwrap();
        let Kind::File { content, .. } = &entry.kind else { continue };
        let mut bytes = Vec::new();
        reader
            .extents(content, &mut |extent| {
                bytes.extend_from_slice(&reader.blob(extent.blob().unwrap())?);
                Ok(())
            })
            .unwrap();
        files.push((entry.path.to_string(), bytes));
    }
    files
}

/// A far place with one point.
fn far_point(files: &[(String, Vec<u8>)], fails: bool) -> (Arc<Meddled<Far>>, Arc<Volume>) {
    let inner = Memory::default();
    point(&new_volume(Arc::new(inner.clone())), 1, files);
    far(&inner, fails)
}

/// 60 files of 700 KB that do not compress, and a few that are what others are.
fn sixty() -> Vec<(String, Vec<u8>)> {
    let content = |number: u64| noise(if number % 10 == 9 { 3 } else { number }, 700_000);
    (0..60).map(|number| (format!("file {number:02}"), content(number))).collect()
}

#[test]
fn neighbours_are_read_together_and_once_and_come_in_order() {
    let files = sixty();
    let (place, volume) = far_point(&files, false);
    assert_eq!(read(&volume, 1), files);
    let reads = place.meddler.reads.lock().unwrap();
    let frames = files.iter().map(|(_, bytes)| bytes).collect::<HashSet<_>>().len() as u64;
    assert!(reads.iter().sum::<u64>() < (frames + 2) * 702_000, "{reads:?}");
    assert!(reads.len() as u64 <= 3 + frames / 8, "{reads:?}");
}

#[test]
fn what_could_not_be_read_ahead_is_read_when_it_is_needed() {
    let files = sixty();
    let (place, volume) = far_point(&files, true);
    assert_eq!(read(&volume, 1), files);
    assert!(place.meddler.reads.lock().unwrap().iter().any(|bytes| *bytes > 2 << 20));
}

#[test]
fn a_point_that_is_scattered_over_packs_comes_whole_too() {
    let inner = Memory::default();
    let volume = new_volume(Arc::new(inner.clone()));
    let mut files = sixty();
    for id in 1..6_u8 {
        for (_, bytes) in files.iter_mut().skip(id.into()).step_by(7) {
            *bytes = noise(1000 + u64::from(id), 300_000);
        }
        try_point(&volume, id, &files).unwrap();
    }
    let (place, volume) = far(&inner, false);
    assert_eq!(read(&volume, 5), files);
    let reads = place.meddler.reads.lock().unwrap();
    assert!(reads.len() < 40, "{reads:?}");
}
