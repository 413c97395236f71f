//! For `benches/scale`: an index of any size in a real volume, and points that share pages, made without content.
//!
//! What is simulated: names of blobs are drawn, not computed; packs are holes of the right length that nothing is read from.
//! What is real: sealed segments, their tables, the listing of packs, pages of entries in packs, signed points, marking.

use std::{
    fs::{self, File},
    path::Path,
    sync::Arc,
};

use resurgam_model::{
    BytePath, PointId, SourceId, Timestamp,
    point::{PointKind, PointState},
};

use crate::{
    BlobId, Cancel, Content, Entry, Extent, FileTime, Kind, Owner, Reader, Seen, Session, StoreError, TreeRoot, Volume,
    collect::Marks,
    document,
    index::{Index, Segment},
    keys::SigningKey,
    load::{Loaded, write_segment},
    pack::{MIRROR, PackId, PackKind, PackedFrame},
    point::{PointText, ReplicaPlace, root_texts},
};

/// Blobs of a synthetic pack, and of each of its frames: as with blobs of 64 KiB.
const BLOBS_A_PACK: u64 = 1024;
const BLOBS_A_FRAME: u64 = 16;
const PACK_BYTES: u64 = 64 << 20;

/// The name of synthetic blob `number`: spread like a hash.
pub fn name_of(number: u64) -> BlobId {
    let mut id = [0; 32];
    for (word, at) in id.as_chunks_mut().0.iter_mut().zip(0..) {
        // SplitMix64.
        let mut bits = (number * 4 + at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        *word = (bits ^ (bits >> 31)).to_le_bytes();
    }
    BlobId(id)
}

/// Stores a segment with the synthetic blobs `first..first + count`, and their packs as holes below `root`.
///
/// # Errors
/// Where the volume cannot be written.
pub fn add_segment(volume: &Volume, root: &Path, first: u64, count: u64) -> Result<(), StoreError> {
    let mut segment = Segment::default();
    for pack in (first..first + count).step_by(BLOBS_A_PACK as usize) {
        let mut id = [0; 16];
        id.copy_from_slice(&name_of(u64::MAX / 8 + pack).0[..16]);
        let blobs: Vec<(BlobId, u32)> = (pack..pack + BLOBS_A_PACK).map(|number| (name_of(number), 65_000)).collect();
        let frames = blobs.chunks(BLOBS_A_FRAME as usize).zip(0_u32..).map(|(blobs, number)| PackedFrame {
            offset: 64 + number * (1 << 20),
            length: 1 << 20,
            plain_length: 65_003 * blobs.len() as u32,
            blobs: blobs.to_vec(),
        });
        segment.add(PackId(id), PackKind::Data, PACK_BYTES, &frames.collect::<Vec<_>>());
        let file = root.join(PackId(id).object());
        file.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| File::create(file)?.set_len(PACK_BYTES))
            .map_err(io)?;
    }
    segment.sort();
    let payload = segment.encode();
    drop(segment);
    write_segment(volume, &mut volume.sealer()?, payload).map(drop)
}

fn io(error: std::io::Error) -> StoreError {
    StoreError::Internal(format!("the bench cannot write: {error}"))
}

/// The index, as a reader loads it.
///
/// # Errors
/// Where the volume cannot be read.
pub fn load(volume: &Volume) -> Result<Index, StoreError> {
    Loaded::segments(volume).map(|loaded| loaded.index)
}

/// The index, as a writer loads it: compared with the listing of packs.
///
/// # Errors
/// Where the volume cannot be read.
pub fn load_and_match(volume: &Volume) -> Result<Index, StoreError> {
    let mut loaded = Loaded::segments(volume)?;
    loaded.match_packs(volume)?;
    Ok(loaded.index)
}

/// A tree whose file `number` has the synthetic blob that `blob_of` says.
///
/// # Errors
/// Where the volume cannot be written.
pub fn add_tree(session: &Session, files: u64, blob_of: &dyn Fn(u64) -> u64) -> Result<TreeRoot, StoreError> {
    let mut tree = session.tree()?;
    for number in 0..files {
        let path = format!("{:04}/{:06}", number / 1000, number % 1000);
        let path = BytePath::from_typed(path.as_bytes()).map_err(|error| StoreError::Internal(error.to_string()))?;
        let extent = Extent::Data { blob: name_of(blob_of(number)), offset: 0, length: 65_000 };
        tree.push(&entry(path, Content::Extents(vec![extent])))?;
    }
    tree.finish()
}

fn entry(path: BytePath, content: Content) -> Entry {
    Entry {
        path,
        kind: Kind::File { size: 65_000, content },
        mode: 0o644,
        owner: Owner { uid: 0, gid: 0, user: (*b"root").into(), group: (*b"root").into() },
        modified: FileTime { seconds: 0, nanos: 0 },
        xattrs: Vec::new(),
        flags: 0,
        link: None,
        seen: Seen { inode: 0, changed: FileTime { seconds: 0, nanos: 0 }, racy: false },
        torn: false,
    }
}

/// Makes what trees were stored durable.
///
/// # Errors
/// Where the volume cannot be written.
pub fn finish(session: Session) -> Result<(), StoreError> {
    session.finish()?.end()
}

/// A signed point of a tree in an open volume below `root`, both copies; not synced.
///
/// # Errors
/// Where the volume cannot be written.
pub fn add_point(
    volume: &Volume,
    root: &Path,
    place: &ReplicaPlace,
    point: PointId,
    tree: &TreeRoot,
    signing: &SigningKey,
) -> Result<(), StoreError> {
    let text = PointText {
        document: PointText::DOCUMENT.to_owned(),
        volume: volume.id(),
        replica: place.replica,
        source: SourceId::from_random([6; 16]),
        point,
        root: root_texts(b"/data").0,
        time: Timestamp::UNIX_EPOCH,
        kind: PointKind::Incremental,
        state: PointState::Complete,
        unread: 0,
        added_bytes: 0,
        tree: tree.into(),
    };
    let document = document::sign(&document::to_text(&text)?, signing);
    for name in [place.point(point), format!("{MIRROR}{}", place.point(point))] {
        let file = root.join(name);
        file.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(file, &document)).map_err(io)?;
    }
    Ok(())
}

/// Marks what all points need, as a collector does. Returns the number of points, and the time that `clock` says when all are
/// marked, and when it is known what each pack is needed for.
///
/// # Errors
/// Where the volume cannot be read.
pub fn mark<T>(volume: &Arc<Volume>, index: Index, clock: &dyn Fn() -> T) -> Result<(usize, T, T), StoreError> {
    let mut marks = Marks::new(Reader::with_index(volume, Arc::new(index)), &[]);
    marks.all(volume, &Cancel::default())?;
    let marked = clock();
    marks.usage()?;
    Ok((marks.seen.len(), marked, clock()))
}
