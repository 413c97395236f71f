use std::{sync::Arc, thread};

use super::{Fetched, KEPT_MAX, Key, Room, Spare};
use crate::{
    index::IndexedPack,
    pack::{PackId, PackKind},
    reader::runs::{RUN_MAX, Run},
};

fn pack() -> PackId {
    PackId([1; 16])
}

fn run(start: u32, lengths: &[u32]) -> Run {
    let mut offset = start;
    let frames = lengths.iter().map(|length| {
        offset += length;
        (offset - length, *length)
    });
    let frames: Vec<_> = frames.collect();
    let length = lengths.iter().map(|length| u64::from(*length)).sum();
    Run { pack: IndexedPack { id: pack(), kind: PackKind::Data, length: 0 }, start: start.into(), length, frames }
}

fn room(bytes: &[u8]) -> Room {
    let mut room = Spare::default().room(bytes.len());
    room.copy_from_slice(bytes);
    room
}

fn key(offset: u32) -> Key {
    (pack(), offset)
}

#[test]
fn what_came_is_cut_into_frames_and_can_be_had_again() {
    let fetched = Fetched::default();
    let asked = run(100, &[2, 3]);
    assert!(fetched.take(&key(100)).is_none(), "nobody asked for it");
    fetched.expect(&asked);
    assert!(fetched.has(&key(100)) && fetched.has(&key(102)) && !fetched.has(&key(103)));
    fetched.arrive(&asked, Some(room(b"abcde")));
    for _ in 0..2 {
        assert_eq!(fetched.take(&key(102)).as_deref(), Some(&b"cde"[..]));
        assert_eq!(fetched.take(&key(100)).as_deref(), Some(&b"ab"[..]));
    }
}

#[test]
fn whoever_needs_what_is_on_its_way_waits_for_it_and_is_told_when_it_does_not_come() {
    let fetched = Arc::new(Fetched::default());
    let (comes, fails, short) = (run(0, &[4]), run(10, &[4]), run(20, &[4]));
    [&comes, &fails, &short].into_iter().for_each(|run| fetched.expect(run));
    let waiting = [0, 10, 20].map(|offset| {
        let fetched = Arc::clone(&fetched);
        thread::spawn(move || fetched.take(&key(offset)).map(|came| came.to_vec()))
    });
    fetched.arrive(&fails, None);
    fetched.arrive(&short, Some(room(b"abc")));
    fetched.arrive(&comes, Some(room(b"abcd")));
    let took = waiting.map(|thread| thread.join().unwrap());
    assert_eq!(took, [Some(b"abcd".to_vec()), None, None]);
    assert!(!fetched.has(&key(10)), "it can be asked for again");
}

#[test]
fn of_more_than_fits_the_opened_goes_first_and_then_the_oldest() {
    let fetched = Fetched::default();
    let third = KEPT_MAX as u32 / 3;
    let runs = [0, 1, 2, 3, 4].map(|number| run(number * third, &[third]));
    let arrive = |number: usize| {
        fetched.expect(&runs[number]);
        fetched.arrive(&runs[number], Some(fetched.spare.room(third as usize)));
    };
    (0..3).for_each(arrive);
    assert!(fetched.take(&key(third)).is_some());
    let there = || [0, 1, 2, 3, 4].map(|number| fetched.has(&key(number * third)));
    arrive(3);
    assert_eq!(there(), [true, false, true, true, false]);
    arrive(4);
    assert_eq!(there(), [false, false, true, true, true]);
}

#[test]
fn a_long_buffer_is_used_again_and_never_shows_more_than_its_run() {
    let spare = Spare::default();
    let long = RUN_MAX as usize - 1;
    let mut first = spare.room(long);
    first.fill(7);
    let place = first.as_ptr();
    drop(first);
    let second = spare.room(long - 9);
    assert_eq!((second.as_ptr(), second.len()), (place, long - 9));
    assert_ne!(spare.room(long).as_ptr(), place, "it is in use");
    assert_eq!(spare.room(3).len(), 3);
}
