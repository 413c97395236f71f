//! Which entries of a tree a selection leaves out.
//!
//! A glob is matched against the path below the root: `*` and `?` stay within a component, `**` crosses. A glob without
//! a slash matches a name anywhere; a leading slash ties it to the root. What `include` matches is kept; else what
//! `exclude` matches is left out; else an entry shares the fate of its directory. So an include reaches into excluded
//! directories, which are then walked in search of it and stored only if something in them is kept.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};
use resurgam_model::policy::Selection;

use crate::error::SourceError;

/// The name of the file that marks a cache.
pub(crate) const CACHE_TAG: &std::ffi::CStr = c"CACHEDIR.TAG";
/// What that file must begin with (<https://bford.info/cachedir/>).
pub(crate) const CACHE_SIGNATURE: &[u8] = b"Signature: 8a477f597d28d172789f06886806bc55";

/// A selection, ready to be asked.
pub(crate) struct Filter {
    exclude: GlobSet,
    include: GlobSet,
}

/// Whether the globs of a selection can be understood; for whoever is about to store one.
///
/// # Errors
/// Names the first that cannot.
pub fn check_selection(selection: &Selection) -> Result<(), SourceError> {
    Filter::new(selection).map(|_| ())
}

impl Filter {
    /// # Errors
    /// Where a glob cannot be understood.
    pub(crate) fn new(selection: &Selection) -> Result<Self, SourceError> {
        Ok(Self { exclude: compile(&selection.exclude)?, include: compile(&selection.include)? })
    }

    /// Whether every entry is kept, so that nobody need ask.
    pub(crate) fn keeps_all(&self) -> bool {
        self.exclude.is_empty()
    }

    /// Whether something in an excluded directory may be kept.
    pub(crate) fn may_keep_below_excluded(&self) -> bool {
        !self.include.is_empty()
    }

    /// Whether the entry at `path` is left out, if its directory is or is not.
    pub(crate) fn excludes(&self, path: &[u8], parent_excluded: bool) -> bool {
        let path = Candidate::new(OsStr::from_bytes(path));
        if self.include.is_match_candidate(&path) {
            return false;
        }
        parent_excluded || self.exclude.is_match_candidate(&path)
    }
}

fn compile(globs: &[String]) -> Result<GlobSet, SourceError> {
    let fault = |glob: &str, error: globset::Error| SourceError::Glob {
        glob: glob.to_owned(),
        reason: error.kind().to_string(),
    };
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let trimmed = glob.trim_end_matches('/');
        let anchored = trimmed.contains('/');
        let pattern = match trimmed.trim_start_matches('/') {
            "" => return Err(SourceError::Glob { glob: glob.clone(), reason: "it is empty".to_owned() }),
            rest if anchored => rest.to_owned(),
            rest => format!("**/{rest}"),
        };
        let built = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
        set.add(built.map_err(|e| fault(glob, e))?);
    }
    set.build().map_err(|e| fault(&globs.join(" "), e))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(exclude: &[&str], include: &[&str]) -> Filter {
        let owned = |list: &[&str]| list.iter().map(|&s| s.to_owned()).collect();
        Filter::new(&Selection { exclude: owned(exclude), include: owned(include), ..Selection::default() }).unwrap()
    }

    #[test]
    fn globs_match_as_the_manual_says() {
        let cases: &[(&str, &[u8], bool)] = &[
            ("*.o", b"a.o", true),
            ("*.o", b"deep/down/a.o", true),
            ("*.o", b"a.o/inside", false),
            ("/top", b"top", true),
            ("/top", b"deep/top", false),
            ("top/", b"deep/top", true),
            ("a/*/c", b"a/b/c", true),
            ("a/*/c", b"a/b/b/c", false),
            ("a/**/c", b"a/b/b/c", true),
            ("a/**", b"a/b", true),
            ("a/**", b"a", false),
            ("?", b"x", true),
            ("?", b"xy", false),
            ("[ab]", b"b", true),
            ("{x,y}.z", b"d/y.z", true),
            ("*.\u{e9}", b"n\xff.\xc3\xa9", true),
            (r"\*", b"*", true),
            (r"\*", b"x", false),
        ];
        for (glob, path, wanted) in cases {
            let found = filter(&[glob], &[]).excludes(path, false);
            assert_eq!(found, *wanted, "{glob} {}", String::from_utf8_lossy(path));
        }
    }

    #[test]
    fn include_wins_over_exclude_and_over_the_directory() {
        let filter = filter(&["cache"], &["cache/keep"]);
        assert!(filter.excludes(b"cache", false));
        assert!(!filter.excludes(b"cache/keep", true));
        assert!(!filter.excludes(b"cache/keep/file", false));
        assert!(filter.excludes(b"cache/other", true));
        assert!(filter.excludes(b"cache/keep/cache", false));
        assert!(filter.may_keep_below_excluded());
    }

    #[test]
    fn a_bad_glob_is_refused_by_name() {
        for bad in ["[", "a{b", "/", ""] {
            let selection = Selection { exclude: vec![bad.to_owned()], ..Selection::default() };
            let error = Filter::new(&selection).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(&format!("`{bad}`")), "{bad}: {error}");
        }
    }
}
