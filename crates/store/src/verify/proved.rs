//! Which packs were read through and found sound, and when: so a verification that reads a share of the data goes on where
//! the one before ended, or was stopped.
//!
//! A file of this machine has a line for each time: a pack's name and the seconds since 1970. Lines are added as packs are
//! proved, and the last one of a pack counts. A line that was torn, or makes no sense, counts as none. The file is a cache:
//! without it, the round begins anew.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use resurgam_model::Timestamp;

use crate::pack::PackId;

/// When each pack was last proved.
#[derive(Debug, Default)]
pub struct Proved {
    kept: Mutex<Kept>,
    /// Seconds since 1970: when what is proved now was.
    now: u64,
}

#[derive(Debug, Default)]
struct Kept {
    times: HashMap<PackId, u64>,
    path: Option<PathBuf>,
    /// Opened with the first pack that is proved.
    file: Option<File>,
}

impl Proved {
    /// What the file says, if there is one; what is proved from now on is added to it.
    pub fn kept_in(path: PathBuf, now: Timestamp) -> Self {
        let text = fs::read(&path).unwrap_or_default();
        let kept = Kept { times: parse(&text), path: Some(path), file: None };
        Self { kept: Mutex::new(kept), now: u64::try_from(now.as_second()).unwrap_or(0) }
    }

    /// When a pack was proved, in seconds since 1970; 0: never, as far as is known.
    pub(super) fn when(&self, pack: PackId) -> u64 {
        self.kept().times.get(&pack).copied().unwrap_or(0)
    }

    /// A pack was proved. That this could not be written down only means that it will be read again sooner.
    pub(super) fn note(&self, pack: PackId) {
        let mut kept = self.kept();
        kept.times.insert(pack, self.now);
        let Kept { path: Some(path), file, .. } = &mut *kept else { return };
        if file.is_none() {
            *file = OpenOptions::new().append(true).create(true).mode(0o600).open(&*path).ok();
        }
        if let Some(file) = file {
            let _ = file.write_all(line(pack, self.now).as_bytes());
        }
    }

    /// Forgets packs that are there no more, and writes the file anew.
    pub(super) fn keep_only(&self, packs: &HashSet<PackId>) {
        let mut kept = self.kept();
        kept.times.retain(|pack, _| packs.contains(pack));
        let Kept { path: Some(path), times, .. } = &*kept else { return };
        let text: String = times.iter().map(|(pack, when)| line(*pack, *when)).collect();
        let beside = path.with_extension("new");
        let written =
            path.parent().map_or(Ok(()), |above| fs::DirBuilder::new().recursive(true).mode(0o700).create(above));
        let written = written.and_then(|()| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
            file.write_all(text.as_bytes())
        });
        if written.and_then(|()| fs::rename(&beside, path)).is_err() {
            let _ = fs::remove_file(&beside);
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(pack: PackId, when: u64) -> String {
    format!("{pack} {when}\n")
}

fn parse(text: &[u8]) -> HashMap<PackId, u64> {
    let lines = text.split_inclusive(|byte| *byte == b'\n').filter_map(|line| line.strip_suffix(b"\n"));
    let read = |line: &[u8]| {
        let (pack, when) = std::str::from_utf8(line).ok()?.split_once(' ')?;
        Some((PackId::parse(pack)?, when.parse().ok()?))
    };
    lines.filter_map(read).collect()
}

/// For fuzzing: any bytes.
pub fn fuzz_proved(bytes: &[u8]) {
    let times = parse(bytes);
    let again: String = times.iter().map(|(pack, when)| line(*pack, *when)).collect();
    assert_eq!(parse(again.as_bytes()), times);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(number: u8) -> PackId {
        PackId([number; 16])
    }

    #[test]
    fn what_was_proved_is_known_again_and_what_is_gone_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/proved");
        let at = |second| Proved::kept_in(path.clone(), Timestamp::from_second(second).unwrap());
        let first = at(100);
        first.keep_only(&HashSet::new());
        first.note(pack(1));
        first.note(pack(2));
        let second = at(200);
        assert_eq!([1, 2, 3].map(|number| second.when(pack(number))), [100, 100, 0]);
        second.keep_only(&HashSet::from([pack(2), pack(3)]));
        second.note(pack(3));
        let third = at(300);
        assert_eq!([1, 2, 3].map(|number| third.when(pack(number))), [0, 100, 200]);
    }

    #[test]
    fn strange_lines_and_torn_ones_count_as_none() {
        let mut text = line(pack(1), 7).into_bytes();
        text.extend_from_slice(b"\xff\n\nwhat 3\n");
        text.extend_from_slice(format!("{} -1\n{} 12", pack(2), pack(3)).as_bytes());
        assert_eq!(parse(&text), HashMap::from([(pack(1), 7)]));
        fuzz_proved(&text);
    }
}
