//! What a capture has to say at its end: items that could not be read, and items left out.

use std::{
    path::Path,
    sync::{Mutex, PoisonError},
};

use resurgam_model::{
    bytepath::escape,
    report::{LeftOut, Unread},
};

/// Collected by all threads; sorted at the end, so that the order does not depend on who was faster.
pub(crate) struct Notes {
    root: String,
    unread: Mutex<Vec<(Vec<u8>, String)>>,
    left_out: Mutex<Vec<(Vec<u8>, String)>>,
}

impl Notes {
    pub(crate) fn new(root: &Path) -> Self {
        let root = escape(root.as_os_str().as_encoded_bytes());
        Self { root, unread: Mutex::default(), left_out: Mutex::default() }
    }

    /// Names an item that could not be read, or not as a whole.
    pub(crate) fn unread(&self, path: &[u8], error: impl Into<String>) {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_vec(), error.into()));
    }

    /// Names an item that was left out on purpose.
    pub(crate) fn left_out(&self, path: &[u8], reason: impl Into<String>) {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner).push((path.to_vec(), reason.into()));
    }

    /// Everything said, in path order. What was said of one item in several places is one report.
    pub(crate) fn into_reports(self) -> (Vec<Unread>, Vec<LeftOut>) {
        let sorted = |list: Mutex<Vec<(Vec<u8>, String)>>| {
            let mut list = list.into_inner().unwrap_or_else(PoisonError::into_inner);
            list.sort_by(|(a, _), (b, _)| resurgam_model::bytepath::compare(a, b));
            list.dedup_by(|(path, text), (kept_path, kept_text)| {
                let same = path == kept_path;
                if same {
                    *kept_text = format!("{kept_text}; {text}");
                }
                same
            });
            list
        };
        let full = |path: &[u8]| full_path(&self.root, path);
        let unread = sorted(self.unread).into_iter().map(|(p, error)| Unread { path: full(&p), error }).collect();
        let left_out =
            sorted(self.left_out).into_iter().map(|(p, reason)| LeftOut { path: full(&p), reason }).collect();
        (unread, left_out)
    }
}

/// The path below the root behind the root's own, every byte shown.
fn full_path(root: &str, path: &[u8]) -> String {
    if path.is_empty() { root.to_owned() } else { format!("{}/{}", root.trim_end_matches('/'), escape(path)) }
}
