use std::sync::Arc;

use super::*;
use crate::{
    Session,
    backend::memory::Memory,
    entry::Extent,
    tests::{new_volume, noise},
};

#[test]
fn a_blob_comes_once_with_all_its_places_and_with_its_neighbours_in_the_frame() {
    let volume = new_volume(Arc::new(Memory::default()));
    let session = Session::begin(&volume).unwrap();
    let mut lane = session.lane().unwrap();
    let mut blob = |seed| {
        let id = lane.put(&noise(seed, 10_000)).unwrap();
        // The first two lie in one frame.
        if seed > 1 {
            lane.flush().unwrap();
        }
        id
    };
    let [one, two, three] = [1, 2, 3].map(&mut blob);
    session.finish().unwrap().end().unwrap();
    let reader = Reader::new(&volume).unwrap();
    let part = |blob, offset| Extent::Data { blob, offset, length: 100 };
    let unknown = BlobId([9; 32]);
    let extents = vec![
        part(one, 0),
        part(three, 200),
        Extent::Hole { length: 1000 },
        part(unknown, 0),
        part(two, 300),
        part(one, 50),
        Extent::Data { blob: three, offset: 0, length: 0 },
    ];
    let mut found = Vec::new();
    let length = reader
        .places(&Content::Extents(extents), &mut |places| {
            found.extend(places);
            Ok(())
        })
        .unwrap();
    let place = |at, offset| Place { at, offset, length: 100 };
    let expected = [
        (one, vec![place(0, 0), place(1400, 50)]),
        (two, vec![place(1300, 300)]),
        (three, vec![place(100, 200)]),
        (unknown, vec![place(1200, 0)]),
    ];
    assert_eq!(found, expected.map(|(blob, places)| BlobPlaces { blob, places }));
    assert_eq!(length, 1500);
}

#[test]
fn what_is_far_apart_is_not_waited_for() {
    let volume = new_volume(Arc::new(Memory::default()));
    let reader = Reader::new(&volume).unwrap();
    let part = Extent::Data { blob: BlobId([9; 32]), offset: 0, length: 100 };
    let extents = vec![part, Extent::Hole { length: 2 * TOGETHER_BYTES }, part, part];
    let mut found = Vec::new();
    let mut count = |blobs: Vec<BlobPlaces>| {
        found.extend(blobs.iter().map(|blob| blob.places.len()));
        Ok(())
    };
    let length = reader.places(&Content::Extents(extents), &mut count).unwrap();
    assert_eq!((found, length), (vec![1, 2], 2 * TOGETHER_BYTES + 300));
}
