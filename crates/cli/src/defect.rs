//! Panics: defects of this program, told in one line that can be reported instead of a trace that nobody can read.

use std::{
    panic::{self, AssertUnwindSafe, PanicHookInfo},
    sync::Mutex,
};

use crate::failure::Failure;

/// What the last panic said.
static LAST: Mutex<Option<String>> = Mutex::new(None);

/// From now on a panic of any thread is kept as one line, and nothing is printed.
pub(crate) fn announce_in_one_line() {
    panic::set_hook(Box::new(|info| {
        if let Ok(mut last) = LAST.lock() {
            last.get_or_insert(describe(info));
        }
    }));
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let payload = info.payload();
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    format!("{} (at {place})", text.unwrap_or("no message").replace('\n', "; "))
}

/// Runs `work`; a panic in it becomes a failure like any other.
pub(crate) fn caught<T>(work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let what = LAST.lock().ok().and_then(|mut last| last.take()).unwrap_or_default();
        Err(Failure::new(
            "defect",
            format!("there is a defect in the program: {what}"),
            "nothing that was reported done is lost; run the command again, and report this line if it comes back",
        ))
    })
}
