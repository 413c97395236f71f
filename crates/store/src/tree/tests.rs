use std::sync::Arc;

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
