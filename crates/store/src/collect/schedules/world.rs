//! What is there beside the volume: what points hold, and what is promised of them.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use resurgam_model::{PointId, ReplicaId, SourceId, Timestamp, point::PointKind};

use crate::{
    Content, Extent, Kind, NewPoint, Reader, Session, StoreError, TreeReader, Volume,
    backend::{Backend, memory::Memory, staged::Random},
    point::{PointText, ReplicaPlace},
    tests::{file, new_volume_with, noise, open_volume, signing},
    verify::KnownPoint,
    volume::DELETED_POINTS,
};

pub(super) const REPLICAS: u64 = 2;
/// Contents that there are at all, so that points share many.
const CONTENTS: u64 = 30;
/// Names that files may have.
const NAMES: u64 = 6;
/// So many parts make a file whose list of extents is a blob of its own.
const LONG: u64 = 18;

/// Files by name, each with the contents of which it is made.
pub(super) type Files = BTreeMap<String, Vec<u64>>;

/// A point, as whoever made it knows it.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) replica: u64,
    pub(super) files: Files,
    /// Reported done, with this document, and not given up for good: it must restore.
    pub(super) promised: Option<String>,
    /// How often it was given up or put back, or begun to be: until then it lies where it lay.
    pub(super) moves: u64,
}

pub(super) struct World {
    pub(super) memory: Memory,
    points: Mutex<BTreeMap<PointId, Known>>,
}

pub(super) fn place(replica: u64) -> ReplicaPlace {
    ReplicaPlace { server: "server.example".to_owned(), replica: ReplicaId::from_random([replica as u8; 16]) }
}

impl Known {
    /// Whether it must be where its maker put it.
    pub(super) fn is_in_place(&self) -> bool {
        self.promised.is_some() && self.moves == 0
    }
}

impl World {
    /// A volume with a few points.
    pub(super) fn new(seed: u64) -> Self {
        let memory = Memory::default();
        let volume = new_volume_with(Arc::new(memory.clone()), &[DELETED_POINTS]);
        let world = Self { memory, points: Mutex::default() };
        let mut random = Random(seed);
        for _ in 0..2 + random.below(4) {
            let made = world.begin_point(&mut random);
            world.take(&volume, made).unwrap();
        }
        world
    }

    /// Another one, as it is now.
    pub(super) fn copied(&self) -> Self {
        Self { memory: self.memory.copied(), points: Mutex::new(self.points().clone()) }
    }

    pub(super) fn points(&self) -> MutexGuard<'_, BTreeMap<PointId, Known>> {
        self.points.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn volume(&self) -> Arc<Volume> {
        open_volume(Arc::new(self.memory.clone()) as Arc<dyn Backend>)
    }

    /// One of the points that are promised.
    pub(super) fn promised(&self, random: &mut Random) -> Option<PointId> {
        let points = self.points();
        let promised: Vec<PointId> =
            points.iter().filter(|(_, known)| known.promised.is_some()).map(|(id, _)| *id).collect();
        random.pick(&promised).copied()
    }

    /// The points that must be where their makers put them.
    pub(super) fn in_place(&self) -> Vec<KnownPoint> {
        let points = self.points();
        let in_place = points.iter().filter(|(_, known)| known.is_in_place());
        let named = in_place.map(|(id, known)| KnownPoint {
            place: place(known.replica),
            point: *id,
            document: known.promised.clone().unwrap_or_default(),
        });
        named.collect()
    }

    /// A point is about to be given up or put back; `withdrawn`: for good.
    pub(super) fn moved(&self, id: PointId, withdrawn: bool) {
        if let Some(known) = self.points().get_mut(&id) {
            known.moves += 1;
            if withdrawn {
                known.promised = None;
            }
        }
    }

    /// Draws a point to be made: often much like an earlier one of its replica.
    pub(super) fn begin_point(&self, random: &mut Random) -> PointId {
        let replica = random.below(REPLICAS);
        let mut points = self.points();
        let earlier: Vec<&Files> =
            points.values().filter(|known| known.replica == replica).map(|known| &known.files).collect();
        let mut files = random.pick(&earlier).copied().cloned().unwrap_or_default();
        if random.one_in(4) {
            files.clear();
        }
        for _ in 0..1 + random.below(NAMES) {
            let name = format!("file{}", random.below(NAMES));
            let parts = if random.one_in(8) { LONG } else { 1 };
            let first = random.below(CONTENTS);
            files.insert(name, (0..parts).map(|part| (first + part % 3) % CONTENTS).collect());
        }
        let id = PointId::from_random([points.len() as u8 + 1; 16]);
        points.insert(id, Known { replica, files, promised: None, moves: 0 });
        id
    }

    pub(super) fn known(&self, id: PointId) -> Known {
        self.points()[&id].clone()
    }

    /// Takes a point as a backup does: what the previous one has is taken over without being stored again.
    pub(super) fn take(&self, volume: &Arc<Volume>, id: PointId) -> Result<(), StoreError> {
        let known = self.known(id);
        let reader = Reader::new(volume)?;
        let previous = self.previous(volume, id);
        let session = Session::begin(volume)?;
        let mut taken_over = match &previous {
            Some((files, text)) => entries(&reader, files, text),
            None => BTreeMap::new(),
        };
        let mut tree = session.tree()?;
        let mut lane = session.lane()?;
        for (name, parts) in &known.files {
            let earlier = taken_over.remove(name).filter(|(earlier, _)| earlier == parts).map(|(_, content)| content);
            let content = match earlier {
                Some(content) if session.has(&reader, &content)? => content,
                _ => {
                    let mut extents = Vec::new();
                    for part in parts {
                        let bytes = content_bytes(*part);
                        let blob = lane.put(&bytes)?;
                        extents.push(Extent::Data { blob, offset: 0, length: bytes.len() as u32 });
                    }
                    tree.content(extents)?
                }
            };
            let size = parts.iter().map(|part| content_bytes(*part).len() as u64).sum();
            tree.push(&file(name, size, content))?;
        }
        lane.flush()?;
        drop(lane);
        let root = tree.finish()?;
        let new = NewPoint {
            place: &place(known.replica),
            point: id,
            source: SourceId::from_random([6; 16]),
            root: b"/data",
            time: Timestamp::UNIX_EPOCH,
            kind: PointKind::ExpressFull,
            unread: 0,
        };
        let (_, document) = session.commit(&root, &new, &signing())?;
        if let Some(known) = self.points().get_mut(&id) {
            known.promised = Some(document);
        }
        Ok(())
    }

    /// The newest promised point of the same replica, if it is there.
    fn previous(&self, volume: &Volume, id: PointId) -> Option<(Files, PointText)> {
        let replica = self.known(id).replica;
        let newest = self.points().iter().rev().find_map(|(earlier, known)| {
            (*earlier < id && known.replica == replica && known.promised.is_some())
                .then(|| (*earlier, known.files.clone()))
        });
        let (earlier, files) = newest?;
        Some((files, volume.point(&place(replica), earlier).ok()?))
    }
}

/// The entries of a point, as far as they can be read, each with what is known to be in it.
fn entries(reader: &Reader, files: &Files, text: &PointText) -> BTreeMap<String, (Vec<u64>, Content)> {
    let Ok(root) = text.tree_root() else { return BTreeMap::new() };
    TreeReader::new(reader, &root)
        .map_while(Result::ok)
        .filter_map(|entry| {
            let name = entry.path.to_string();
            let parts = files.get(&name)?.clone();
            match entry.kind {
                Kind::File { content, .. } => Some((name, (parts, content))),
                _ => None,
            }
        })
        .collect()
}

fn content_bytes(number: u64) -> Vec<u8> {
    noise(number, 20 + number as usize * 7)
}

/// What a point gives back, as names and bytes.
pub(super) fn restored(volume: &Arc<Volume>, text: &PointText) -> Result<BTreeMap<String, Vec<u8>>, StoreError> {
    let reader = Reader::new(volume)?;
    let mut files = BTreeMap::new();
    for entry in TreeReader::new(&reader, &text.tree_root()?) {
        let entry = entry?;
        let Kind::File { content, .. } = &entry.kind else { continue };
        let mut bytes = Vec::new();
        reader.extents(content, &mut |extent| {
            if let Extent::Data { blob, .. } = extent {
                bytes.extend_from_slice(&reader.blob(&blob)?);
            }
            Ok(())
        })?;
        files.insert(entry.path.to_string(), bytes);
    }
    Ok(files)
}

/// What it should give back.
pub(super) fn expected(files: &Files) -> BTreeMap<String, Vec<u8>> {
    let bytes = |parts: &Vec<u64>| parts.iter().flat_map(|part| content_bytes(*part)).collect();
    files.iter().map(|(name, parts)| (name.clone(), bytes(parts))).collect()
}
