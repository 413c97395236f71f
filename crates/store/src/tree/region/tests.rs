use std::collections::HashMap;

use arbtest::arbtest;

use super::*;

/// A volume that keeps blobs, and nothing else.
#[derive(Default)]
struct Blobs(HashMap<BlobId, Vec<u8>>);

impl Blobs {
    fn put(&mut self, bytes: &[u8]) -> BlobId {
        let id = BlobId(*blake3::hash(bytes).as_bytes());
        self.0.insert(id, bytes.to_vec());
        id
    }

    fn length(&self, id: &BlobId) -> Option<u32> {
        self.0.get(id).map(|bytes| bytes.len() as u32)
    }
}

fn hashes(bytes: &[u8], holes: &[bool]) -> Vec<PageHash> {
    let hash = |page: &[u8]| *blake3::hash(page).as_bytes().first_chunk().unwrap();
    let all = bytes.chunks(PAGE).enumerate();
    all.map(|(number, page)| if holes.get(number) == Some(&true) { HOLE } else { hash(page) }).collect()
}

/// A region of a point, and how many bytes were stored for it.
fn take(blobs: &mut Blobs, previous: &Region, bytes: &[u8], holes: &[bool]) -> (Vec<Extent>, Region, u64) {
    let hashes = hashes(bytes, holes);
    let pages = plan(previous, &hashes, bytes.len(), &|id| blobs.length(id));
    let mut stored = 0;
    let mut ids = Vec::new();
    for ranges in new_blobs(&pages, bytes.len()) {
        let content = ranges.into_iter().flat_map(|range| &bytes[range]).copied().collect::<Vec<u8>>();
        stored += content.len() as u64;
        ids.push(blobs.put(&content));
    }
    let extents = extents(&pages, bytes.len(), &ids);
    let region = Region::of(&extents, hashes.as_flattened()).unwrap();
    (extents, region, stored)
}

fn read(blobs: &Blobs, extents: &[Extent]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for extent in extents {
        match *extent {
            Extent::Hole { length } => bytes.resize(bytes.len() + length as usize, 0),
            Extent::Data { blob, offset, length } => {
                bytes.extend_from_slice(&blobs.0[&blob][offset as usize..(offset + length) as usize]);
            }
        }
    }
    bytes
}

/// Bytes of all blobs that a region refers to.
fn referred(blobs: &Blobs, extents: &[Extent]) -> u64 {
    let ids: std::collections::HashSet<&BlobId> = extents.iter().filter_map(Extent::blob).collect();
    ids.into_iter().map(|id| blobs.0[id].len() as u64).sum()
}

fn page(seed: u64) -> Vec<u8> {
    (0..PAGE as u64 / 8).flat_map(|word| (seed * 1_000_003 + word).to_le_bytes()).collect()
}

#[test]
fn every_point_reads_as_the_file_was_and_refers_to_little_more() {
    arbtest(|u| {
        let (mut blobs, mut previous) = (Blobs::default(), Region::default());
        let (mut bytes, mut holes) = (page(0).repeat(64), [false; 96]);
        for point in 0..u.int_in_range(1..=30)? {
            for change in 0..u.int_in_range(0..=12_u64)? {
                let number = u.int_in_range(0..=95_usize)?;
                let page_end = number * PAGE + PAGE;
                match u.int_in_range(0..=8)? {
                    0 if page_end <= bytes.len() => {
                        bytes[number * PAGE..page_end].fill(0);
                        holes[number] = true;
                    }
                    1 => {
                        let length = u.int_in_range(1..=96 * PAGE)?;
                        bytes.resize(length, 0);
                        holes[length / PAGE..].fill(false);
                    }
                    2 if !blobs.0.is_empty() => {
                        let mut ids: Vec<BlobId> = blobs.0.keys().copied().collect();
                        ids.sort_unstable();
                        blobs.0.remove(&ids[number % ids.len()]);
                    }
                    3.. if number * PAGE < bytes.len() => {
                        let end = page_end.min(bytes.len());
                        bytes[number * PAGE..end].copy_from_slice(&page(point * 16 + change)[..end - number * PAGE]);
                        holes[number] = false;
                    }
                    _ => {}
                }
            }
            let (extents, region, _) = take(&mut blobs, &previous, &bytes, &holes);
            assert!(read(&blobs, &extents) == bytes);
            let data = hashes(&bytes, &holes).iter().filter(|hash| **hash != HOLE).count();
            assert!(referred(&blobs, &extents) <= SPREAD * (data * PAGE) as u64);
            previous = region;
        }
        Ok(())
    });
}

#[test]
fn a_page_that_changed_costs_itself_and_two_extents_more() {
    let mut blobs = Blobs::default();
    let mut bytes: Vec<u8> = (0..1024).flat_map(page).collect();
    let (extents, region, stored) = take(&mut blobs, &Region::default(), &bytes, &[]);
    assert_eq!((extents.len(), stored), (4, REGION as u64));
    bytes[500 * PAGE] ^= 1;
    let (extents, region, stored) = take(&mut blobs, &region, &bytes, &[]);
    assert_eq!((extents.len(), stored), (6, PAGE as u64));
    let (again, _, stored) = take(&mut blobs, &region, &bytes, &[]);
    assert_eq!((again, stored), (extents, 0));
}

/// A hundredth changes from point to point: what keeps a region together costs less than the changes themselves.
#[test]
fn keeping_together_what_changes_at_random_costs_less_than_the_changes() {
    let (mut blobs, mut previous) = (Blobs::default(), Region::default());
    let mut bytes: Vec<u8> = (0..1024).flat_map(page).collect();
    let (mut changed, mut stored, mut seed) = (0, 0, 7_u64);
    for point in 0..500 {
        let (extents, region, new) = take(&mut blobs, &previous, &bytes, &[]);
        assert!(referred(&blobs, &extents) <= SPREAD * REGION as u64);
        previous = region;
        stored += if point == 0 { 0 } else { new };
        for _ in 0..10 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = (seed >> 33) as usize % 1024;
            bytes[number * PAGE..(number + 1) * PAGE].copy_from_slice(&page(seed >> 20));
            changed += PAGE as u64;
        }
    }
    assert!(stored < 2 * changed, "{stored} bytes stored for {changed} changed");
}

#[test]
fn what_is_no_region_is_not_taken_for_one() {
    let data = Extent::Data { blob: BlobId([1; 32]), offset: 0, length: 5000 };
    assert!(Region::of(&[data], &[1; 24]).is_some());
    for wrong in [&[1; 12][..], &[1; 36], &[1; 25]] {
        assert_eq!(Region::of(&[data], wrong), None);
    }
    let endless = Extent::Hole { length: u64::from(u32::MAX) };
    assert_eq!(Region::of(&[endless], &[0; 24]), None);
}
