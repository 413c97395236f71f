//! The previous point beside the walk: both are in the order of paths, so finding an item's entry there is going along.

use resurgam_model::bytepath::compare;
use resurgam_store::{Entry, Kind, Origin, TreeReader};
use rustix::fs::FileType;

use super::{
    stat::Stat,
    walk::{Batch, Item},
};

/// The previous point, one entry ahead.
pub(super) struct Previous<'a> {
    reader: Option<TreeReader<'a>>,
    next: Option<(Entry, Option<Origin>)>,
}

impl<'a> Previous<'a> {
    pub(super) fn new(reader: Option<TreeReader<'a>>) -> Self {
        let mut previous = Self { reader, next: None };
        previous.advance();
        previous
    }

    /// Pages that cannot be read are passed over: what they held is read from the source again.
    fn advance(&mut self) {
        self.next = self.reader.as_mut().and_then(|r| Some((r.find_map(Result::ok)?, r.origin())));
    }

    /// The previous point's entry for an item, if it has one.
    pub(super) fn find(&mut self, batch: &Batch, item: &Item, path: &mut Vec<u8>) -> Option<(Entry, Option<Origin>)> {
        let mut path_known = false;
        loop {
            let (candidate, _) = self.next.as_ref()?;
            if batch.is_path_of(item, candidate.path.as_bytes()) {
                let found = self.next.take();
                self.advance();
                return found;
            }
            if !path_known {
                batch.path_of(item, path);
                path_known = true;
            }
            if compare(candidate.path.as_bytes(), path).is_gt() {
                return None;
            }
            self.advance();
        }
    }
}

/// Whether the entry can be taken over: nothing that `stat` can show has changed since it was read.
pub(super) fn is_unchanged(entry: &Entry, stat: &Stat) -> bool {
    let same_kind = match &entry.kind {
        Kind::File { size, .. } => stat.kind == FileType::RegularFile && *size == stat.size,
        Kind::Directory => stat.kind == FileType::Directory,
        Kind::Symlink { .. } => stat.kind == FileType::Symlink,
        Kind::Fifo => stat.kind == FileType::Fifo,
        Kind::Socket => stat.kind == FileType::Socket,
        Kind::CharacterDevice { major, minor } => {
            stat.kind == FileType::CharacterDevice && stat.stands_for == (*major, *minor)
        }
        Kind::BlockDevice { major, minor } => stat.kind == FileType::BlockDevice && stat.stands_for == (*major, *minor),
    };
    same_kind
        && entry.seen.inode == stat.inode
        && entry.seen.changed == stat.changed
        && entry.modified == stat.modified
        && (entry.mode, entry.owner.uid, entry.owner.gid) == (stat.mode, stat.uid, stat.gid)
        && !entry.seen.racy
        && !entry.torn
}
