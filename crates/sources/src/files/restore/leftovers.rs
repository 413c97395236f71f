//! The private names of things that are not whole yet, and what restores that were killed have left under such names.

use std::mem::MaybeUninit;

use rustix::{
    fd::AsFd,
    fs::{AtFlags, unlinkat},
    io::Errno,
    process::{Pid, test_kill_process},
};

use crate::files::listing::{LISTING_BUFFER, Listing};

const PREFIX: &[u8] = b".resurgam-";

/// A name that no other thing of this process has, nor of any other that is alive on this machine.
pub(super) fn private_name(process: i32, number: u64) -> Vec<u8> {
    [PREFIX, format!("{process}-{number}").as_bytes()].concat()
}

/// The process that a private name is of.
fn process_of(name: &[u8]) -> Option<i32> {
    let (process, number) = std::str::from_utf8(name.strip_prefix(PREFIX)?).ok()?.split_once('-')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    process.parse().ok().filter(|_| is_number(process) && is_number(number))
}

/// Removes from a directory what restores have left that are at work no more. They were killed between two calls: what they
/// were about to put into its place is put there by the restore that goes on.
pub(super) fn clear(dir: impl AsFd) {
    let is_gone =
        |process| Pid::from_raw(process).is_none_or(|process| matches!(test_kill_process(process), Err(Errno::SRCH)));
    let (names, _) = Listing::read(&dir, &mut vec![MaybeUninit::uninit(); LISTING_BUFFER]);
    for name in (0..names.len()).filter_map(|index| names.get(index)) {
        if process_of(name.to_bytes()).is_some_and(is_gone) {
            // Never a directory: those get their names at once.
            let _ = unlinkat(&dir, name, AtFlags::empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_what_a_dead_restore_has_left_is_cleared() {
        let folder = tempfile::tempdir().unwrap();
        let own = rustix::process::getpid().as_raw_nonzero().get();
        // The largest number that a process may have is 2^22.
        let (alive, gone) = (private_name(own, 3), private_name(i32::MAX, 7));
        assert_eq!((process_of(&alive), process_of(&gone)), (Some(own), Some(i32::MAX)));
        let others =
            [".resurgam-", ".resurgam-x-1", ".resurgam-12", ".resurgam--5-1", ".resurgam-1-2-3", "resurgam-1-2"];
        let names: Vec<String> = [alive, gone.clone()]
            .map(|name| String::from_utf8(name).unwrap())
            .into_iter()
            .chain(others.map(str::to_owned))
            .collect();
        names.iter().for_each(|name| fs::write(folder.path().join(name), "x").unwrap());
        clear(fs::File::open(folder.path()).unwrap());
        for name in names {
            let is_there = folder.path().join(&name).exists();
            assert_eq!(is_there, name.as_bytes() != gone, "{name}");
        }
    }
}
