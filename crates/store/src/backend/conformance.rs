//! What every backend must do: one suite for all forms, and for a user's own store.

use super::Backend;
use crate::error::Fault;

/// Runs the suite on an empty backend. The message says which promise was broken.
pub fn run(backend: &dyn Backend) -> Result<(), String> {
    each(backend).try_for_each(|(name, kept)| kept.map_err(|what| format!("{name}: {what}")))
}

/// Runs the suite on an empty backend, promise by promise: what is promised, and how it was broken.
pub fn each(backend: &dyn Backend) -> impl Iterator<Item = (&'static str, Result<(), String>)> {
    CHECKS.iter().map(move |(name, check)| (*name, check(backend)))
}

type Check = fn(&dyn Backend) -> Result<(), String>;

const CHECKS: [(&str, Check); 6] = [
    ("an object appears when it is committed, and not before", appears_on_commit),
    ("a name that is taken is not given again", put_if_absent),
    ("ranges are exact", exact_ranges),
    ("listings are complete, sorted, and empty where nothing is", listings),
    ("deleting is final, and may be repeated", deleting),
    ("locks and registrations end with their holds", holds),
];

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn ensure(holds: bool, what: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(what.to_owned()) }
}

fn put(backend: &dyn Backend, name: &str, bytes: &[u8]) -> Result<(), String> {
    let mut upload = backend.create(name).map_err(text)?;
    upload.append(bytes).map_err(text)?;
    upload.commit().map_err(text)
}

fn appears_on_commit(backend: &dyn Backend) -> Result<(), String> {
    let mut upload = backend.create("a/b/one").map_err(text)?;
    upload.append(b"he").map_err(text)?;
    upload.append(b"llo").map_err(text)?;
    ensure(backend.length("a/b/one").is_err_and(|error| error.kind == Fault::NotFound), "it was there early")?;
    ensure(backend.list("a/").map_err(text)?.is_empty(), "it was listed early")?;
    upload.commit().map_err(text)?;
    ensure(backend.length("a/b/one").map_err(text)? == 5, "its length is wrong")?;
    drop(backend.create("a/b/two").map_err(text)?);
    ensure(backend.list("a/").map_err(text)?.len() == 1, "an abandoned upload left something")
}

fn put_if_absent(backend: &dyn Backend) -> Result<(), String> {
    put(backend, "once", b"first")?;
    let mut upload = backend.create("once").map_err(text)?;
    upload.append(b"second").map_err(text)?;
    ensure(upload.commit().is_err_and(|error| error.kind == Fault::Exists), "a second object took the name")?;
    let mut bytes = [0; 5];
    backend.read_at("once", 0, &mut bytes).map_err(text)?;
    ensure(&bytes == b"first", "the first object changed")?;
    backend.replace("once", b"third").map_err(text)?;
    backend.read_at("once", 0, &mut bytes).map_err(text)?;
    ensure(&bytes == b"third", "replacing did not replace")
}

fn exact_ranges(backend: &dyn Backend) -> Result<(), String> {
    put(backend, "range", b"0123456789")?;
    let mut bytes = [0; 4];
    backend.read_at("range", 3, &mut bytes).map_err(text)?;
    ensure(&bytes == b"3456", "a range holds other bytes")?;
    ensure(backend.read_at("range", 8, &mut bytes).is_err(), "a range beyond the end was answered")?;
    ensure(
        backend.read_at("nothing", 0, &mut bytes).is_err_and(|error| error.kind == Fault::NotFound),
        "nothing was read",
    )
}

fn listings(backend: &dyn Backend) -> Result<(), String> {
    for name in ["list/z", "list/a/2", "list/a/1", "list.b"] {
        put(backend, name, name.as_bytes())?;
    }
    let names: Vec<_> = backend.list("list/").map_err(text)?.into_iter().map(|listed| listed.name).collect();
    ensure(names == ["list/a/1", "list/a/2", "list/z"], &format!("{names:?}"))?;
    ensure(backend.list("none/").map_err(text)?.is_empty(), "an empty prefix has objects")
}

fn deleting(backend: &dyn Backend) -> Result<(), String> {
    put(backend, "gone", b"x")?;
    backend.delete("gone").map_err(text)?;
    ensure(backend.length("gone").is_err_and(|error| error.kind == Fault::NotFound), "it is still there")?;
    backend.delete("gone").map_err(text)
}

fn holds(backend: &dyn Backend) -> Result<(), String> {
    let lock = backend.lock("lock").map_err(text)?;
    ensure(lock.is_some(), "a free lock was refused")?;
    ensure(backend.lock("lock").map_err(text)?.is_none(), "a lock was given twice")?;
    drop(lock);
    ensure(backend.lock("lock").map_err(text)?.is_some(), "a lock outlived its hold")?;
    let writer = backend.register("w1").map_err(text)?;
    ensure(backend.writers().map_err(text)?.alive == ["w1"], "a registered writer is not listed")?;
    drop(writer);
    ensure(backend.writers().map_err(text)?.alive.is_empty(), "a writer that ended is alive")?;
    backend.forget_writer("w1").map_err(text)?;
    ensure(backend.writers().map_err(text)? == super::Writers::default(), "a writer that ended is listed")
}
