//! Looking into points: `ls`, `find`, `diff`. The walks work on any volume, with a catalog or without.

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use resurgam_model::{
    BytePath, PointId,
    bytepath::escape,
    point::Point,
    report::{Change, Difference, Listed, Modified},
};
use resurgam_store::{Entry, Kind, Reader, TreeReader, TreeRoot, Volume, point::ReplicaPlace};

use crate::{error::JobError, server::Server, sources::Scope};

/// A point opened for reading.
pub(crate) struct OpenPoint {
    pub(crate) point: Point,
    pub(crate) volume: Arc<Volume>,
    pub(crate) reader: Reader,
    pub(crate) root: TreeRoot,
}

impl OpenPoint {
    pub(crate) fn open(volume: &Arc<Volume>, place: &ReplicaPlace, point: Point) -> Result<Self, JobError> {
        let root = volume.point(place, point.id)?.tree_root()?;
        Ok(Self { point, volume: Arc::clone(volume), reader: Reader::new(volume)?, root })
    }

    pub(crate) fn list(&self, path: &[u8], recursive: bool, each: &mut dyn FnMut(Listed)) -> Result<(), JobError> {
        let path = typed(path)?;
        let mut entries = TreeReader::below(&self.reader, &self.root, &path);
        let mut found = false;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let is_itself = entry.path == path;
            found = true;
            let is_directory = entry.kind == Kind::Directory;
            if !(is_itself && is_directory) {
                each(listed(self.point.id, &entry));
            }
            if is_directory && !is_itself && !recursive {
                entries.skip_below(&entry.path);
            }
        }
        if found {
            return Ok(());
        }
        let message = format!("point {} has no {path}", self.point.id);
        Err(JobError::request("no-such-entry", message, "`resurgam ls POINT` shows what it has"))
    }

    fn find(&self, glob: &Pattern, each: &mut dyn FnMut(Listed)) -> Result<(), JobError> {
        for entry in TreeReader::new(&self.reader, &self.root) {
            let entry = entry?;
            if glob.matches(&entry.path) {
                each(listed(self.point.id, &entry));
            }
        }
        Ok(())
    }
}

pub(crate) fn typed(path: &[u8]) -> Result<BytePath, JobError> {
    BytePath::from_typed(path).map_err(|error| {
        JobError::request("bad-path", error.to_string(), "give a path relative to the root of the source, without `..`")
    })
}

/// A glob: with a slash it is matched against the path, without one against the name.
struct Pattern {
    matcher: GlobMatcher,
    whole_path: bool,
}

impl Pattern {
    fn new(glob: &str) -> Result<Self, JobError> {
        let trimmed = glob.trim_start_matches('/');
        let built = GlobBuilder::new(trimmed).literal_separator(true).build();
        let built = built.map_err(|error| {
            JobError::request(
                "bad-glob",
                format!("`{glob}` is not a glob: {}", error.kind()),
                "quote it, and see the manual for the form",
            )
        })?;
        Ok(Self { matcher: built.compile_matcher(), whole_path: glob.contains('/') })
    }

    fn matches(&self, path: &BytePath) -> bool {
        use std::os::unix::ffi::OsStrExt;
        let bytes = if self.whole_path { path.as_bytes() } else { path.name() };
        !bytes.is_empty() && self.matcher.is_match(std::ffi::OsStr::from_bytes(bytes))
    }
}

pub(crate) fn listed(point: PointId, entry: &Entry) -> Listed {
    let name = |name: &[u8], number: u32| if name.is_empty() { number.to_string() } else { escape(name) };
    let modified = i32::try_from(entry.modified.nanos)
        .ok()
        .and_then(|nanos| jiff::Timestamp::new(entry.modified.seconds, nanos).ok())
        .map_or(Modified::Beyond(entry.modified.seconds), Modified::At);
    Listed {
        point,
        path: entry.path.to_string(),
        kind: entry.kind.word(),
        size: if let Kind::File { size, .. } = entry.kind { size } else { 0 },
        mode: entry.mode,
        owner: name(&entry.owner.user, entry.owner.uid),
        group: name(&entry.owner.group, entry.owner.gid),
        modified,
        target: if let Kind::Symlink { target } = &entry.kind { Some(escape(target)) } else { None },
    }
}

/// How two entries of one path differ.
fn difference(old: &Entry, new: &Entry) -> Option<Change> {
    if old.kind != new.kind {
        return Some(Change::Modified);
    }
    let attributes =
        |entry: &Entry| (entry.mode, entry.owner.clone(), entry.modified, entry.xattrs.clone(), entry.flags);
    (attributes(old) != attributes(new)).then_some(Change::Attributes)
}

fn diff(old: &OpenPoint, new: &OpenPoint, each: &mut dyn FnMut(Difference)) -> Result<(), JobError> {
    let mut before = TreeReader::new(&old.reader, &old.root);
    let mut after = TreeReader::new(&new.reader, &new.root);
    let (mut left, mut right) = (before.next().transpose()?, after.next().transpose()?);
    loop {
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(old), Some(new)) => old.path.cmp(&new.path),
        };
        let mut tell = |change: Change, entry: &Option<Entry>| {
            if let Some(entry) = entry {
                each(Difference { change, path: entry.path.to_string() });
            }
        };
        if order.is_lt() {
            tell(Change::Removed, &left);
        } else if order.is_gt() {
            tell(Change::Added, &right);
        } else if let (Some(old), Some(new)) = (&left, &right)
            && let Some(change) = difference(old, new)
        {
            tell(change, &right);
        }
        if order.is_le() {
            left = before.next().transpose()?;
        }
        if order.is_ge() {
            right = after.next().transpose()?;
        }
    }
}

impl Server {
    pub(crate) fn open_point(&self, wanted: &str, source: Option<&str>) -> Result<OpenPoint, JobError> {
        let point = self.find_point(wanted, source)?;
        self.open_found(point)
    }

    fn open_found(&self, point: Point) -> Result<OpenPoint, JobError> {
        let volume = self.open_volume(&self.volume_record(point.volume)?)?;
        let place = self.place_of(point.replica);
        OpenPoint::open(&volume, &place, point)
    }

    /// Entries of a point: `path` and, with `recursive`, all below; without, a directory's children.
    pub fn list(
        &self,
        point: &str,
        source: Option<&str>,
        path: &[u8],
        recursive: bool,
        each: &mut dyn FnMut(Listed),
    ) -> Result<(), JobError> {
        self.open_point(point, source)?.list(path, recursive, each)
    }

    /// Entries whose path or name matches a glob, in every point of the scope.
    pub fn find(&self, glob: &str, scope: &Scope, each: &mut dyn FnMut(Listed)) -> Result<(), JobError> {
        let pattern = Pattern::new(glob)?;
        let sources = self.sources_in(scope)?;
        for point in self.points(None)? {
            if sources.iter().any(|source| source.id == point.source_id) {
                self.open_found(point)?.find(&pattern, each)?;
            }
        }
        Ok(())
    }

    /// What differs from one point to another.
    pub fn diff(
        &self,
        from: &str,
        to: &str,
        source: Option<&str>,
        each: &mut dyn FnMut(Difference),
    ) -> Result<(), JobError> {
        let (old, new) = (self.open_point(from, source)?, self.open_point(to, source)?);
        diff(&old, &new, each)
    }
}
