//! What restoring would take, before it is begun: found by walking the entries, without fetching their content.

use std::collections::{HashSet, VecDeque};

use resurgam_model::BytePath;

use crate::{
    entry::Kind,
    error::StoreError,
    index::Located,
    meter::Cancel,
    pack::PackId,
    reader::{ENTRIES_BYTES, EXTENTS_BYTES, KEPT_MAX, Reader, runs},
    tree::{TreeReader, TreeRoot},
};

/// What restoring would take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Entries that are not directories.
    pub files: u64,
    /// Bytes of their content, holes included.
    pub bytes: u64,
    /// Requests for content, where the volume is far.
    pub requests: u64,
    /// Bytes of the frames to be read, as they are stored.
    pub stored_bytes: u64,
}

/// The frames that a restore would have at hand: those that came last.
#[derive(Default)]
struct Near {
    frames: HashSet<(PackId, u32)>,
    in_order: VecDeque<Located>,
    bytes: usize,
}

impl Near {
    /// Whether a frame has to be fetched; then it is at hand.
    fn comes(&mut self, at: &Located) -> bool {
        if !self.frames.insert((at.pack.id, at.frame.offset)) {
            return false;
        }
        self.in_order.push_back(*at);
        self.bytes += at.frame.length as usize;
        while self.bytes > KEPT_MAX
            && let Some(gone) = self.in_order.pop_front()
        {
            self.frames.remove(&(gone.pack.id, gone.frame.offset));
            self.bytes -= gone.frame.length as usize;
        }
        true
    }
}

/// Estimates what restoring a tree would take, or some paths of it with all that is below them. What cannot be read counts
/// as nothing; restoring names it.
///
/// # Errors
/// Where the volume cannot be reached, or `cancel` was set.
pub fn estimate(
    reader: &Reader,
    root: &TreeRoot,
    selection: &[BytePath],
    cancel: &Cancel,
) -> Result<Estimate, StoreError> {
    let everything = [BytePath::root()];
    let selection = if selection.is_empty() { &everything[..] } else { selection };
    let mut found = Estimate::default();
    let (mut near, mut paths) = (Near::default(), HashSet::new());
    // What is asked for at a time: half a window, as it falls to half and is filled again.
    let (mut together, mut bytes) = (Vec::new(), 0);
    for path in selection {
        for entry in TreeReader::below(reader, root, path).whole() {
            if cancel.is_cancelled() {
                return Err(StoreError::Cancelled);
            }
            let entry = match entry {
                Err(error) if error.is_damage() => continue,
                entry => entry?,
            };
            // Paths that were asked for may lie in one another.
            if entry.kind == Kind::Directory || (selection.len() > 1 && !paths.insert(entry.path.clone())) {
                continue;
            }
            found.files += 1;
            let Kind::File { size, content } = &entry.kind else { continue };
            found.bytes += size;
            let (index, mut of_file) = (reader.index(), 0);
            let walked = reader.places(content, &mut |blobs| {
                for at in blobs.iter().filter_map(|places| index.find(&places.blob)) {
                    if !near.comes(&at) {
                        continue;
                    }
                    found.stored_bytes += u64::from(at.frame.length);
                    bytes += u64::from(at.frame.length);
                    of_file += u64::from(at.frame.length);
                    together.push(at);
                    // What comes after the beginning of a long file is asked for by whoever writes it.
                    let window = if of_file > EXTENTS_BYTES { EXTENTS_BYTES } else { ENTRIES_BYTES };
                    if bytes > window / 2 {
                        found.requests += runs(&together).len() as u64;
                        (together, bytes) = (Vec::new(), 0);
                    }
                }
                Ok(())
            });
            match walked {
                Err(error) if error.is_damage() => {}
                walked => drop(walked?),
            }
        }
    }
    found.requests += runs(&together).len() as u64;
    Ok(found)
}

#[cfg(test)]
mod tests;
