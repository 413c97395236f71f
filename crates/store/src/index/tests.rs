use std::collections::{BTreeMap, HashSet};

use arbtest::arbtest;

use super::*;

fn blob(number: u8) -> BlobId {
    let mut id = [0; 32];
    id[0] = number % 7;
    id[31] = number;
    BlobId(id)
}

/// The index against a plain map, through adding, excluding and merging in any order.
#[test]
fn the_index_agrees_with_a_plain_map() {
    arbtest(|u| {
        let mut index = Index::default();
        let mut model: BTreeMap<BlobId, HashSet<PackId>> = BTreeMap::new();
        let mut excluded = HashSet::new();
        for pack in 0..u.int_in_range(1..=6_u8)? {
            let id = PackId([pack; 16]);
            let mut segment = Segment::default();
            let mut frames = Vec::new();
            let mut offset = 64;
            for _ in 0..u.int_in_range(1..=3)? {
                let blobs: Vec<(BlobId, u32)> = (0..u.int_in_range(1..=8)?)
                    .map(|_| Ok((blob(u.arbitrary()?), u.int_in_range(0..=50)?)))
                    .collect::<Result<_, _>>()?;
                for (name, _) in &blobs {
                    model.entry(*name).or_default().insert(id);
                }
                let plain_length = 1 + blobs.len() as u32 + blobs.iter().map(|(_, length)| length).sum::<u32>();
                frames.push(PackedFrame { offset, length: 100, plain_length, blobs });
                offset += 100;
            }
            segment.add(id, PackKind::Data, 8192, &frames);
            segment.sort();
            assert_eq!(Segment::parse(&segment.encode()).as_ref(), Some(&segment));
            index.add(segment);
            if u.ratio(1, 4)? {
                index.exclude(id);
                excluded.insert(id);
            }
        }
        if u.ratio(1, 2)? {
            let merged = Segment::merge(index.segments(), &|pack| !excluded.contains(&pack));
            index = Index::default();
            index.add(merged);
        }
        for number in 0..=255 {
            let id = blob(number);
            let wanted: HashSet<PackId> =
                model.get(&id).into_iter().flatten().filter(|pack| !excluded.contains(pack)).copied().collect();
            let found: HashSet<PackId> = index.copies(&id).map(|copy| copy.pack.id).collect();
            assert_eq!(found, wanted, "{id}");
            assert!(index.copies(&id).all(|copy| copy.blob.id == id));
        }
        Ok(())
    })
    .budget_ms(1500);
}

#[test]
fn blobs_lie_behind_the_list_of_lengths() {
    let parts: [&[u8]; 3] = [b"one", b"", b"three"];
    let payload = crate::pack::frame_payload(parts.into_iter());
    let blobs = parts.iter().enumerate().map(|(number, part)| (blob(number as u8), part.len() as u32)).collect();
    let frame = PackedFrame { offset: 64, length: 100, plain_length: payload.len() as u32, blobs };
    let mut segment = Segment::default();
    segment.add(PackId([0; 16]), PackKind::Data, 8192, &[frame]);
    segment.sort();
    for (number, part) in parts.iter().enumerate() {
        let at = segment.blobs.iter().find(|at| at.id == blob(number as u8)).unwrap();
        assert_eq!(&payload[at.start as usize..(at.start + at.length) as usize], *part);
    }
}

/// Finding by the first bits of a name against looking at every name, whether the names are spread like hashes or not.
#[test]
fn first_bits_lead_to_the_same_blobs_as_looking_at_all() {
    arbtest(|u| {
        let spread = u.arbitrary::<bool>()?;
        let count = u.int_in_range(0..=200_u32)?;
        let name = |number: u32| {
            if spread { BlobId(*blake3::hash(&number.to_le_bytes()).as_bytes()) } else { blob(number as u8) }
        };
        let of = |number: u32| IndexedBlob { id: name(number / 2), frame: number, start: 0, length: 0 };
        let mut blobs: Vec<IndexedBlob> = (0..count).map(of).collect();
        blobs.sort_unstable_by_key(|blob| (blob.id, blob.frame));
        let fanout = Fanout::of(&blobs);
        for number in 0..=count {
            let found: Vec<_> = fanout.positions(&blobs, &name(number)).collect();
            let wanted: Vec<_> = (0..blobs.len()).filter(|at| blobs[*at].id == name(number)).collect();
            assert_eq!(found, wanted);
        }
        Ok(())
    })
    .budget_ms(500);
}
