//! A volume whose index is in tables on this machine, whatever becomes of them.

use std::{fs, path::Path, sync::Arc};

use super::*;
use crate::{
    Cancel, Reader,
    backend::memory::Memory,
    collect::{Collect, collect},
    copy::tests::all_is_well,
    index::kept::Tables,
    keys::Unlock,
    tests::{files, new_volume, place, point, restore},
};

/// The volume, opened by who keeps tables of every segment, however short.
fn opened(memory: &Arc<Memory>, directory: &Path) -> Arc<Volume> {
    let volume = Volume::open(Arc::clone(memory) as _, &Unlock::default()).unwrap();
    Arc::new(volume.with_tables(Tables::kept_in(directory).from_length(0)))
}

fn tables(directory: &Path) -> Vec<std::path::PathBuf> {
    fs::read_dir(directory).map_or(Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
}

/// Changes a byte in the last record of every table.
fn damage(directory: &Path) {
    for table in tables(directory) {
        let mut bytes = fs::read(&table).unwrap();
        let at = bytes.len() - 64;
        // Where it is open, the same file changes.
        bytes[at..].iter_mut().for_each(|byte| *byte ^= 1);
        fs::write(&table, bytes).unwrap();
    }
}

#[test]
fn points_come_and_go_by_tables_as_by_memory() {
    let (memory, directory) = (Arc::new(Memory::default()), tempfile::tempdir().unwrap());
    new_volume(Arc::clone(&memory) as _);
    for number in 1..=40_u8 {
        point(&opened(&memory, directory.path()), number, &files(u64::from(number) * 3, 12));
    }
    let volume = opened(&memory, directory.path());
    let loaded = Loaded::segments(&volume).unwrap();
    assert!(loaded.objects.len() <= 17 && loaded.damaged.is_empty());
    assert_eq!(tables(directory.path()).len(), loaded.objects.len());
    for number in 1..=30 {
        volume.delete_point(&place(), resurgam_model::PointId::from_random([number; 16])).unwrap();
    }
    assert!(collect(&volume, &Collect::default(), &Cancel::default()).unwrap().deleted > 0);
    for number in 31..=40_u8 {
        assert_eq!(restore(&volume, number).unwrap(), files(u64::from(number) * 3, 12));
    }
    assert!(all_is_well(&volume));
}

#[test]
fn a_reader_makes_damaged_tables_anew() {
    let (memory, directory) = (Arc::new(Memory::default()), tempfile::tempdir().unwrap());
    new_volume(Arc::clone(&memory) as _);
    let volume = opened(&memory, directory.path());
    point(&volume, 1, &files(0, 30));
    let reader = Reader::new(&volume).unwrap();
    let index = reader.index();
    let last: Vec<_> =
        (0..index.parts().len()).filter_map(|part| index.scan(part).last()).map(Result::unwrap).collect();
    drop(index);
    damage(directory.path());
    for at in last {
        let read = if at.pack.kind == PackKind::Data { reader.blob(&at.blob.id) } else { reader.meta(&at.blob.id) };
        assert_eq!(read.unwrap().len(), at.blob.length as usize);
    }
    assert_eq!(restore(&volume, 1).unwrap(), files(0, 30));
}

#[test]
fn tables_that_are_damaged_or_gone_cost_no_point() {
    let (memory, directory) = (Arc::new(Memory::default()), tempfile::tempdir().unwrap());
    new_volume(Arc::clone(&memory) as _);
    for number in 1..=9_u8 {
        let volume = opened(&memory, directory.path());
        point(&volume, number, &files(u64::from(number) * 5, 20));
        if number % 3 == 1 {
            damage(directory.path());
        } else if number % 3 == 2 {
            fs::remove_dir_all(directory.path()).unwrap();
        }
        if number > 4 {
            volume.delete_point(&place(), resurgam_model::PointId::from_random([number - 4; 16])).unwrap();
            // By a table that cannot be read it is not told what is needed, and nothing is called damaged either.
            let collected = collect(&volume, &Collect::default(), &Cancel::default());
            assert!(collected.as_ref().map_or_else(|error| !error.is_damage(), |_| true), "{collected:?}");
        }
        for kept in number.saturating_sub(3).max(1)..=number {
            assert_eq!(restore(&volume, kept).unwrap(), files(u64::from(kept) * 5, 20), "{kept} after {number}");
        }
    }
}

#[test]
fn verifying_reads_segments_that_have_tables() {
    let (memory, directory) = (Arc::new(Memory::default()), tempfile::tempdir().unwrap());
    new_volume(Arc::clone(&memory) as _);
    let volume = opened(&memory, directory.path());
    point(&volume, 1, &files(0, 20));
    let segment = memory.list(INDEX).unwrap().remove(0).name;
    let mut bytes = backend::read_whole(&*memory, &segment, u64::MAX).unwrap();
    bytes[100] ^= 1;
    memory.replace(&segment, &bytes).unwrap();
    assert_eq!(restore(&volume, 1).unwrap(), files(0, 20));
    assert!(!all_is_well(&volume));
    assert!(all_is_well(&volume) && memory.length(&segment).is_err());
    assert_eq!(restore(&opened(&memory, directory.path()), 1).unwrap(), files(0, 20));
}

#[test]
fn a_place_that_cannot_be_used_costs_no_more_than_the_tables() {
    let (memory, directory) = (Arc::new(Memory::default()), tempfile::tempdir().unwrap());
    new_volume(Arc::clone(&memory) as _);
    let file = directory.path().join("a file, not a directory");
    fs::write(&file, b"").unwrap();
    point(&opened(&memory, &file), 1, &files(0, 20));
    assert_eq!(restore(&opened(&memory, &file), 1).unwrap(), files(0, 20));
}
