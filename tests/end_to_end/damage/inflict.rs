//! The damages themselves.

use std::{
    fmt, fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use resurgam_tests::{Random, plain_tree};

/// One way to break a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Damage {
    FlipBit,
    ZeroPage,
    CutOff,
    Empty,
    Delete,
    Swap,
    Garbage,
}

const ALL: [Damage; 9] = [
    Damage::FlipBit,
    Damage::ZeroPage,
    Damage::Delete,
    Damage::CutOff,
    Damage::Swap,
    Damage::FlipBit,
    Damage::ZeroPage,
    Damage::Empty,
    Damage::Garbage,
];

/// A damage that was done.
#[derive(Debug)]
pub(crate) struct Inflicted {
    damage: Damage,
    /// Below the volume.
    file: PathBuf,
    /// The name of the file that it was swapped with.
    other: Option<String>,
    detail: String,
}

impl Inflicted {
    /// One damage: of all kinds in turn, to a pack (where the bytes are), a point, or any file of the volume.
    pub(crate) fn at_random(round: u64, pool: &Path, random: &mut Random) -> Self {
        let damage = ALL[round as usize % ALL.len()];
        let part = match random.below(4) {
            0 | 1 => pool.join("packs"),
            2 => pool.join("replicas"),
            _ => pool.to_owned(),
        };
        let files = files_that_count(&part, pool);
        let file: &PathBuf = random.pick(&files);
        Self::on(damage, file, pool, random)
    }

    /// Damages this file.
    pub(crate) fn on(damage: Damage, file: &Path, pool: &Path, random: &mut Random) -> Self {
        let length = fs::metadata(file).unwrap().len();
        let (mut detail, mut swapped_with) = (String::new(), None);
        match damage {
            Damage::FlipBit => {
                let (offset, bit) = (random.below(length), random.below(8));
                let mut byte = [0];
                let handle = fs::File::options().read(true).write(true).open(file).unwrap();
                handle.read_exact_at(&mut byte, offset).unwrap();
                handle.write_all_at(&[byte[0] ^ (1 << bit)], offset).unwrap();
                detail = format!(", bit {bit} of byte {offset} of {length}");
            }
            Damage::ZeroPage => detail = zero_page(file, random),
            Damage::CutOff => {
                let left = random.below(length);
                fs::File::options().write(true).open(file).unwrap().set_len(left).unwrap();
                detail = format!(" to {left} of {length}");
            }
            Damage::Empty => fs::write(file, "").unwrap(),
            Damage::Delete => fs::remove_file(file).unwrap(),
            Damage::Garbage => fs::write(file, random.bytes(usize::try_from(length).unwrap())).unwrap(),
            Damage::Swap => {
                let top = file.strip_prefix(pool).unwrap().components().next().unwrap();
                let folder = pool.join(top);
                let beside = if folder.is_dir() { plain_tree::files_below(&folder) } else { Vec::new() };
                let alike: Vec<PathBuf> = beside
                    .into_iter()
                    .filter(|other| other != file && fs::read(other).unwrap() != fs::read(file).unwrap())
                    .collect();
                if alike.is_empty() {
                    return Self::on(Damage::Garbage, file, pool, random);
                }
                let other = random.pick(&alike);
                let (a, b) = (fs::read(file).unwrap(), fs::read(other).unwrap());
                fs::write(file, b).unwrap();
                fs::write(other, a).unwrap();
                swapped_with = other.file_name().map(|name| name.to_str().unwrap().to_owned());
                detail = format!(" with {}", other.strip_prefix(pool).unwrap().display());
            }
        }
        Self { damage, file: file.strip_prefix(pool).unwrap().to_owned(), other: swapped_with, detail }
    }

    /// Whether a report speaks of it: by the name of the object, or of the other one of a swap. Segments of the index are
    /// made anew from the packs, and what they were called matters to nobody.
    pub(crate) fn is_named_in(&self, report: &str) -> bool {
        report.contains(&self.name())
            || self.other.as_ref().is_some_and(|other| report.contains(other))
            || (self.file.starts_with("index") && report.contains("index"))
    }

    fn name(&self) -> String {
        self.file.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// For sums: what was done, to which part of the volume.
    pub(crate) fn class(&self) -> String {
        format!("{:?} in {}", self.damage, self.file.components().next().unwrap().as_os_str().display())
    }

    /// Whether nothing is lost by it: segments of the index are looked up by what they hold, not by their names.
    pub(crate) fn may_be_harmless(&self) -> bool {
        self.damage == Damage::Swap && self.file.starts_with("index")
    }

    /// Whether parity must mend it.
    pub(crate) fn is_within_parity(&self) -> bool {
        self.file.starts_with("packs") && matches!(self.damage, Damage::FlipBit | Damage::ZeroPage)
    }

    /// Whether this damage may keep the whole point `id` from coming back: it hit the volume's own document, the point,
    /// or a whole pack, which may be the one with the list of entries.
    pub(crate) fn may_stop_everything(&self, id: &str) -> bool {
        let whole_pack = self.file.starts_with("packs") && !self.is_within_parity();
        whole_pack || self.other.as_deref() == Some(id) || self.name() == id || self.name() == "VOLUME.toml"
    }
}

/// Files that hold something: not the locks, nor the space kept in reserve for deleting on a full disk.
fn files_that_count(part: &Path, pool: &Path) -> Vec<PathBuf> {
    plain_tree::files_below(part)
        .into_iter()
        .filter(|path| ["locks", "writers", "reserve"].iter().all(|empty| !path.starts_with(pool.join(empty))))
        .filter(|path| fs::metadata(path).unwrap().len() > 0)
        .collect()
}

/// Overwrites one aligned page that is not all zeroes already.
pub(crate) fn zero_page(file: &Path, random: &mut Random) -> String {
    let bytes = fs::read(file).unwrap();
    let pages: Vec<usize> = (0..bytes.len().div_ceil(4096)).collect();
    let page = loop {
        let page = *random.pick(&pages);
        if bytes[page * 4096..bytes.len().min((page + 1) * 4096)].iter().any(|&byte| byte != 0) {
            break page;
        }
    };
    let length = bytes.len().min((page + 1) * 4096) - page * 4096;
    let handle = fs::File::options().write(true).open(file).unwrap();
    handle.write_all_at(&vec![0; length], page as u64 * 4096).unwrap();
    format!(", page {page} of {}", pages.len())
}

impl fmt::Display for Inflicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {}{}", self.damage, self.file.display(), self.detail)
    }
}
