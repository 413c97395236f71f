use std::{collections::BTreeMap, sync::Arc};

use resurgam_model::BytePath;

use super::{TreeReader, TreeRoot};
use crate::{
    Content, Entry, Extent, Kind, Reader, Session,
    backend::memory::Memory,
    tests::{file, new_volume},
    volume::Volume,
};

fn stored(volume: &Arc<Volume>, entries: &[Entry]) -> TreeRoot {
    let session = Session::begin(volume).unwrap();
    let mut tree = session.tree().unwrap();
    entries.iter().for_each(|entry| tree.push(entry).unwrap());
    let root = tree.finish().unwrap();
    session.finish().unwrap().end().unwrap();
    root
}

fn many(count: usize) -> Vec<Entry> {
    let mut entries: Vec<Entry> = (0..count)
        .map(|number| {
            let path = format!("d{}/e{}/f{number}", number % 13, number % 101);
            file(&path, 3, Content::Inline(number.to_le_bytes()[..3].to_vec()))
        })
        .collect();
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries
}

#[test]
fn a_tree_gives_back_its_entries_whole_or_below_a_path() {
    let volume = new_volume(Arc::new(Memory::default()));
    let entries = many(20_000);
    let root = stored(&volume, &entries);
    assert_eq!((root.entries, root.files, root.bytes), (20_000, 20_000, 60_000));
    assert!(root.level >= 1);
    let reader = Reader::new(&volume).unwrap();
    let all: Vec<Entry> = TreeReader::new(&reader, &root).collect::<Result<_, _>>().unwrap();
    assert!(all == entries);
    for path in ["d3", "d12/e7", "d3/e3/f3", "nothing", "d0"] {
        let path = BytePath::from_typed(path.as_bytes()).unwrap();
        let found: Vec<Entry> = TreeReader::below(&reader, &root, &path).collect::<Result<_, _>>().unwrap();
        let wanted: Vec<Entry> = entries.iter().filter(|entry| path.contains(&entry.path)).cloned().collect();
        assert!(found == wanted, "{path}");
    }
}

#[test]
fn skipping_a_directory_passes_over_all_of_it_and_nothing_else() {
    let volume = new_volume(Arc::new(Memory::default()));
    let entries = many(20_000);
    let root = stored(&volume, &entries);
    let reader = Reader::new(&volume).unwrap();
    let skipped = BytePath::from_typed(b"d3").unwrap();
    let mut tree = TreeReader::new(&reader, &root);
    tree.skip_below(&skipped);
    let found: Vec<Entry> = tree.collect::<Result<_, _>>().unwrap();
    let wanted: Vec<Entry> = entries.iter().filter(|entry| !skipped.contains(&entry.path)).cloned().collect();
    assert!(found == wanted);
}

#[test]
fn a_changed_entry_costs_its_page_and_those_above() {
    let volume = new_volume(Arc::new(Memory::default()));
    let mut entries = many(20_000);
    stored(&volume, &entries);
    let before = Reader::new(&volume).unwrap().index().blobs();
    entries[10_000].mode = 0o600;
    stored(&volume, &entries);
    let after = Reader::new(&volume).unwrap().index().blobs();
    assert!(after - before <= 3, "{}", after - before);
}

/// Pushes `entries` as a backup does: what stands in the previous point, there, as it was, says where it lay.
fn stored_after(volume: &Arc<Volume>, previous: &Reader, before: &TreeRoot, entries: &[Entry]) -> TreeRoot {
    let mut origins = BTreeMap::new();
    let mut reader = TreeReader::new(previous, before);
    while let Some(entry) = reader.next() {
        let entry = entry.unwrap();
        origins.insert(entry.path.clone(), (entry, reader.origin()));
    }
    let session = Session::begin(volume).unwrap();
    let mut tree = session.tree().unwrap();
    for entry in entries {
        match origins.get(&entry.path) {
            Some((was, Some(origin))) if was == entry => tree.push_same(entry.clone(), *origin).unwrap(),
            _ => tree.push(entry).unwrap(),
        }
    }
    let root = tree.finish().unwrap();
    session.finish().unwrap().end().unwrap();
    root
}

#[test]
fn pages_that_come_back_whole_are_those_that_would_be_made() {
    let volume = new_volume(Arc::new(Memory::default()));
    let entries = many(3000);
    let before = stored(&volume, &entries);
    let reader = Reader::new(&volume).unwrap();
    // Entries gone, changed and new, each alone and in runs, so that pages break off at every place.
    let mut variants = vec![entries.clone(), entries[1..].to_vec(), entries[..2990].to_vec(), Vec::new()];
    for step in [1, 2, 5, 11, 23, 60] {
        let (mut gone, mut changed, mut new) = (entries.clone(), entries.clone(), entries.clone());
        for number in (step..3000 - step).step_by(step * 7).rev() {
            gone.drain(number..number + step.min(gone.len() - number));
            changed[number].mode ^= 1;
            let path = format!("{}.new", entries[number].path);
            new.insert(number + 1, file(&path, 3, Content::Inline(vec![1, 2, 3])));
        }
        new.sort_by(|a, b| a.path.cmp(&b.path));
        variants.extend([gone, changed, new]);
    }
    for variant in &variants {
        let found = stored_after(&volume, &reader, &before, variant);
        assert_eq!(found, stored(&volume, variant), "{} entries", variant.len());
        let reader = Reader::new(&volume).unwrap();
        let all: Vec<Entry> = TreeReader::new(&reader, &found).collect::<Result<_, _>>().unwrap();
        assert!(all == *variant);
    }
}

#[test]
fn a_page_that_the_volume_has_lost_is_stored_again_although_nothing_changed() {
    // Both have the same keys, and the second one has none of the pages that the first one's reader finds.
    let (whole, bare) = (new_volume(Arc::new(Memory::default())), new_volume(Arc::new(Memory::default())));
    let entries = many(3000);
    let before = stored(&whole, &entries);
    let found = stored_after(&bare, &Reader::new(&whole).unwrap(), &before, &entries);
    assert_eq!(found, before);
    let reader = Reader::new(&bare).unwrap();
    let all: Vec<Entry> = TreeReader::new(&reader, &found).collect::<Result<_, _>>().unwrap();
    assert!(all == entries);
}

#[test]
fn a_single_entry_and_an_empty_stream_are_trees() {
    let volume = new_volume(Arc::new(Memory::default()));
    let one = [file("a", 0, Content::Inline(Vec::new()))];
    let (single, empty) = (stored(&volume, &one), stored(&volume, &[]));
    let reader = Reader::new(&volume).unwrap();
    assert_eq!(TreeReader::new(&reader, &single).collect::<Result<Vec<_>, _>>().unwrap(), one);
    assert_eq!(TreeReader::new(&reader, &empty).count(), 0);
}

#[test]
fn long_lists_of_extents_come_back_in_order_and_change_in_one_place() {
    let volume = new_volume(Arc::new(Memory::default()));
    let session = Session::begin(&volume).unwrap();
    let mut tree = session.tree().unwrap();
    let mut extents: Vec<Extent> = (0..5000_u32)
        .map(|number| {
            let blob = volume.keys().data_id(&number.to_le_bytes());
            if number % 17 == 0 { Extent::Hole { length: 9 } } else { Extent::Data { blob, offset: 0, length: 4 } }
        })
        .collect();
    let content = tree.content(extents.clone()).unwrap();
    extents.insert(2500, Extent::Hole { length: 1 });
    let changed = tree.content(extents.clone()).unwrap();
    let (Content::Listed { lists: old, .. }, Content::Listed { lists: new, .. }) = (&content, &changed) else {
        panic!("not listed")
    };
    let shared = new.iter().filter(|list| old.contains(list)).count();
    assert!(shared + 3 >= new.len(), "{shared} of {}", new.len());
    tree.push(&file("f", extents.iter().map(Extent::length).sum(), changed)).unwrap();
    let root = tree.finish().unwrap();
    session.finish().unwrap().end().unwrap();
    let reader = Reader::new(&volume).unwrap();
    let entry = TreeReader::new(&reader, &root).next().unwrap().unwrap();
    let Kind::File { content, .. } = entry.kind else { panic!("not a file") };
    let mut found = Vec::new();
    reader
        .extents(&content, &mut |extent| {
            found.push(extent);
            Ok(())
        })
        .unwrap();
    assert_eq!(found, extents);
}
