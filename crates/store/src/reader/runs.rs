//! Which frames are read with one request: those that lie beside each other in a pack.

use crate::index::{IndexedPack, Located};

/// No run is longer, unless a single frame is. A store answers each request at a price of its own, in time or in money, and
/// some read a whole piece of a few MiB for whatever lies in it; above this, neither gets much better.
pub(super) const RUN_MAX: u64 = 8 << 20;

/// Frames of one pack, one behind the other.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) pack: IndexedPack,
    /// Where the first begins.
    pub(crate) start: u64,
    /// Bytes of all of them.
    pub(crate) length: u64,
    /// Offset in the pack and length of each.
    pub(crate) frames: Vec<(u32, u32)>,
}

/// Cuts frames, each given once, into runs. The run with what was wanted first comes first.
pub(crate) fn runs(wanted: &[Located]) -> Vec<Run> {
    let mut by_place: Vec<_> = wanted.iter().enumerate().collect();
    by_place.sort_unstable_by_key(|(_, at)| (at.pack.id, at.frame.offset));
    let mut runs: Vec<(usize, Run)> = Vec::new();
    for (turn, at) in by_place {
        let (offset, length) = (u64::from(at.frame.offset), u64::from(at.frame.length));
        let frame = (at.frame.offset, at.frame.length);
        match runs.last_mut() {
            Some((first, run))
                if run.pack.id == at.pack.id && run.start + run.length == offset && run.length + length <= RUN_MAX =>
            {
                run.length += length;
                run.frames.push(frame);
                *first = turn.min(*first);
            }
            _ => runs.push((turn, Run { pack: at.pack, start: offset, length, frames: vec![frame] })),
        }
    }
    runs.sort_unstable_by_key(|(first, _)| *first);
    runs.into_iter().map(|(_, run)| run).collect()
}

#[cfg(test)]
mod tests;
