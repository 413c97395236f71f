use std::collections::{BTreeMap, BTreeSet, HashSet};

use arbtest::{arbitrary::Unstructured, arbtest};
use resurgam_model::VolumeId;

use super::{kept::Tables, merge::groups, merge::merge, *};

fn blob(number: u8) -> BlobId {
    let mut id = [0; 32];
    id[0] = number % 7;
    id[31] = number;
    BlobId(id)
}

fn volume() -> VolumeId {
    VolumeId::from_bytes([3; 16])
}

/// A segment as a table without a name.
fn table(segment: &Segment) -> Part {
    let part = Tables::default().from_length(0).hold(volume(), None, segment.clone());
    assert!(matches!(part, Part::OnDisk(_)));
    part
}

/// A pack of random frames of random blobs, some of which other packs have too.
fn random_pack(u: &mut Unstructured<'_>, name: &dyn Fn(u8) -> BlobId) -> arbtest::arbitrary::Result<Vec<PackedFrame>> {
    let (mut frames, mut offset) = (Vec::new(), 64);
    for _ in 0..u.int_in_range(1..=3)? {
        let blobs: Vec<(BlobId, u32)> = (0..u.int_in_range(1..=8)?)
            .map(|_| Ok((name(u.arbitrary()?), u.int_in_range(0..=50)?)))
            .collect::<Result<_, _>>()?;
        let plain_length = 1 + blobs.len() as u32 + blobs.iter().map(|(_, length)| length).sum::<u32>();
        frames.push(PackedFrame { offset, length: 100, plain_length, blobs });
        offset += 100;
    }
    Ok(frames)
}

type Model = BTreeMap<BlobId, BTreeSet<PackId>>;

fn assert_agrees(index: &Index, model: &Model, excluded: &HashSet<PackId>, name: &dyn Fn(u8) -> BlobId) {
    for number in 0..=255 {
        let id = name(number);
        let all = model.get(&id).cloned().unwrap_or_default();
        let wanted: BTreeSet<PackId> = all.iter().filter(|pack| !excluded.contains(pack)).copied().collect();
        let found: BTreeSet<PackId> = index.copies(&id).map(|copy| copy.pack.id).collect();
        assert_eq!(found, wanted, "{id}");
        assert_eq!(index.find(&id).is_some(), !wanted.is_empty());
        let every: BTreeSet<PackId> = index.every_copy(&id).map(|copy| copy.pack.id).collect();
        assert_eq!(every, all);
        assert!(index.every_copy(&id).all(|copy| copy.blob.id == id && copy.frame.offset >= 64));
    }
    for pack in index.packs() {
        let blobs: BTreeSet<BlobId> = index.blobs_of(pack.id).collect();
        let wanted = model.iter().filter(|(_, packs)| packs.contains(&pack.id)).map(|(id, _)| *id);
        assert_eq!(blobs, wanted.collect());
    }
    for ordinal in 0..index.parts().len() {
        let all: Vec<Located> = index.scan(ordinal).map(Result::unwrap).collect();
        assert!(all.is_sorted_by_key(|at| at.blob.id) && all.len() == index.parts()[ordinal].len());
        assert!(all.iter().all(|at| index.every_copy(&at.blob.id).any(|copy| copy == *at)));
    }
    index.check().unwrap();
}

/// The index in both forms against a plain map, through adding, excluding and merging in any order.
#[test]
fn the_index_agrees_with_a_plain_map() {
    arbtest(|u| {
        let spread = u.arbitrary::<bool>()?;
        let name = |number: u8| if spread { BlobId(*blake3::hash(&[number]).as_bytes()) } else { blob(number) };
        let (mut index, mut model, mut excluded) = (Index::default(), Model::new(), HashSet::new());
        for pack in 0..u.int_in_range(1..=6_u8)? {
            let id = PackId([pack; 16]);
            let mut segment = Segment::default();
            segment.add(id, PackKind::Data, 8192, &random_pack(u, &name)?);
            segment.sort();
            for blob in &segment.blobs {
                model.entry(blob.id).or_default().insert(id);
            }
            assert_eq!(Segment::parse(&segment.encode()).as_ref(), Some(&segment));
            index.add_part(if u.arbitrary()? { table(&segment) } else { segment.into() });
            if u.ratio(1, 4)? {
                index.exclude(id);
                excluded.insert(id);
            }
        }
        if u.ratio(1, 2)? {
            // Twice the same, as after a merge that was killed: each pack comes out once.
            let parts: Vec<&Part> = index.parts().iter().chain(index.parts().first()).collect();
            let payload = merge(&parts, &|pack| !excluded.contains(&pack)).unwrap();
            index = Index::default();
            model.values_mut().for_each(|packs| packs.retain(|pack| !excluded.contains(pack)));
            excluded.clear();
            if let Some(segment) = payload.map(|payload| Segment::parse(&payload).unwrap()) {
                index.add_part(if u.arbitrary()? { table(&segment) } else { segment.into() });
            }
        }
        assert_agrees(&index, &model, &excluded, &name);
        Ok(())
    })
    .budget_ms(3000);
}

#[test]
fn blobs_lie_behind_the_list_of_lengths() {
    let parts: [&[u8]; 3] = [b"one", b"", b"three"];
    let mut payload = crate::pack::frame_directory(parts.iter().map(|part| part.len()));
    payload.extend(parts.concat());
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

/// A segment of one pack with `count` blobs, every name twice.
fn segment_of(count: u32, name: &dyn Fn(u32) -> BlobId) -> Segment {
    let blobs = (0..count).map(|number| (name(number / 2), 1)).collect();
    let frame = PackedFrame { offset: 64, length: 100, plain_length: 9 * count, blobs };
    let mut segment = Segment::default();
    segment.add(PackId([1; 16]), PackKind::Meta, 8192, &[frame]);
    segment.sort();
    segment
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
        let segment = segment_of(count, &name);
        for part in [table(&segment), segment.clone().into()] {
            for number in 0..=count {
                let there = part.positions(part.near(&name(number)), &name(number));
                let found: Vec<_> = there.filter(|at| segment.blobs[*at].id == name(number)).collect();
                let wanted: Vec<_> =
                    (0..segment.blobs.len()).filter(|at| segment.blobs[*at].id == name(number)).collect();
                assert_eq!(found, wanted);
            }
        }
        Ok(())
    })
    .budget_ms(500);
}

/// Whatever has become of its file, a table answers rightly, or says that it cannot, or is not opened.
#[test]
fn a_damaged_table_never_answers_wrongly() {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::kept_in(directory.path()).from_length(0);
    let name = |number: u32| BlobId(*blake3::hash(&number.to_le_bytes()).as_bytes());
    let segment = segment_of(60, &name);
    tables.hold(volume(), Some(("index/ab", 1)), segment.clone());
    let file = directory.path().join("ab");
    let sound = std::fs::read(&file).unwrap();
    super::fuzz_table(&sound);
    assert!(tables.open(VolumeId::from_bytes([4; 16]), "index/ab").is_none());
    assert!(tables.open(volume(), "index/ac").is_none());
    assert!(tables.open(volume(), "index/../ab").is_none());
    arbtest(|u| {
        let mut bytes = sound.clone();
        match u.int_in_range(0..=2)? {
            0 => bytes.truncate(u.choose_index(sound.len())?),
            1 => bytes.extend_from_slice(&[0; 64]),
            _ => {
                for _ in 0..u.int_in_range(1..=3)? {
                    let at = u.choose_index(bytes.len())?;
                    bytes[at] = u.arbitrary()?;
                }
            }
        }
        std::fs::write(&file, &bytes).unwrap();
        let Some(part) = tables.open(volume(), "index/ab") else {
            assert!(bytes != sound);
            return Ok(());
        };
        let mut index = Index::default();
        index.add_part(part);
        for (position, blob) in segment.blobs.iter().enumerate() {
            let found = index.every_copy(&blob.id).find(|at| at.position.1 == position);
            assert_eq!(found.map(|at| at.blob).or(index.check().is_err().then_some(*blob)), Some(*blob));
        }
        assert!((60..90).all(|number| index.find(&name(number)).is_none()));
        let scanned: Vec<_> = index.scan(0).collect();
        assert!(scanned.iter().zip(&segment.blobs).all(|(at, blob)| at.as_ref().map_or(true, |at| at.blob == *blob)));
        assert_eq!(index.check().is_err(), !file.exists());
        Ok(())
    })
    .budget_ms(1000);
}

#[test]
fn what_somebody_holds_is_shared_and_nothing_is_held_longer() {
    let name = |number: u32| BlobId(*blake3::hash(&number.to_le_bytes()).as_bytes());
    for tables in [Tables::default(), Tables::default().from_length(0)] {
        let held = tables.hold(volume(), Some(("index/ab", 1)), segment_of(60, &name));
        let shared = tables.open(volume(), "index/ab").unwrap();
        assert_eq!(shared.packs().as_ptr(), held.packs().as_ptr(), "the same memory");
        drop(held);
        assert!(tables.open(volume(), "index/ab").is_some());
        drop(shared);
        assert!(tables.open(volume(), "index/ab").is_none());
    }
}

#[test]
fn what_is_merged_is_bounded() {
    let made = groups(vec![3, 3, 5, 1, 9, 2, 2, 20, 1], 8, |blobs| *blobs);
    assert_eq!(made, [vec![3, 3], vec![5, 1], vec![9], vec![2, 2], vec![20], vec![1]]);
}
