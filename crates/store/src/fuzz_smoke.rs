//! The fuzz targets in short: random bytes, and sound ones with random changes, on every parser of this crate.

use std::sync::Arc;

use arbtest::arbtest;
use resurgam_model::{LineageId, ServerId, VolumeId};

use crate::{
    BlobId, Content, Extent,
    backend::{memory::Memory, read_whole},
    capsule::CapsuleName,
    enrol::enrol_again,
    index::{Segment, kept::Tables},
    keyring::Keyring,
    keys::{Secret, SigningKey, Unlock},
    pack::{PackId, PackKind, PackedFrame},
    tests::{file, new_volume},
    tree::page::LeafBuilder,
    volume::VOLUME_TOML,
};

const TARGETS: [fn(&[u8]); 17] = [
    crate::pack::fuzz_pack,
    crate::index::fuzz_index,
    crate::index::fuzz_table,
    crate::tree::page::fuzz_page,
    crate::tree::fuzz_list,
    crate::document::fuzz_document,
    crate::capsule::fuzz_capsule,
    crate::volume::fuzz_header,
    crate::collect::fuzz_condemned,
    crate::frame::fuzz_frame,
    crate::keyring::fuzz_keyring,
    crate::backend::object::fuzz_place,
    crate::backend::object::fuzz_lease,
    crate::vault::fuzz_vault,
    crate::deleted::fuzz_deleted,
    crate::carried::fuzz_carried,
    crate::verify::fuzz_proved,
];

#[test]
fn no_bytes_make_a_parser_panic() {
    for target in TARGETS {
        arbtest(|u| {
            let bytes: Vec<u8> = u.arbitrary()?;
            target(&bytes);
            Ok(())
        })
        .budget_ms(300);
    }
}

/// A target, and input that it takes as sound.
type Seed = (fn(&[u8]), Vec<u8>);

/// A head of a volume that was taken over, a capsule and its name, and a keyring with a kit.
fn texts() -> Vec<Seed> {
    let backend = Arc::new(Memory::default());
    new_volume(backend.clone());
    let (key, secret) = (SigningKey::from_seed(&Secret::new([7; 32])).unwrap(), Secret::new([8; 32]));
    let volume =
        enrol_again(backend.clone(), &Unlock::default(), ServerId::from_random([4; 16]), &key, &secret).unwrap();
    let capsule = CapsuleName { lineage: LineageId::from_bytes([1; 16]), sequence: 7 };
    volume.put_capsule(&capsule, toml::Table::from_iter([("a".to_owned(), 1.into())]), &key).unwrap();
    let header = read_whole(&*backend, VOLUME_TOML, u64::MAX).unwrap();
    let document = read_whole(&*backend, &capsule.object(), u64::MAX).unwrap();
    let mut keyring = Keyring::generate().unwrap();
    keyring.kit = Some(zeroize::Zeroizing::new("a = 1\nb = \"two\"\n".to_owned()));
    vec![
        (crate::volume::fuzz_header, header.clone()),
        (crate::document::fuzz_document, header),
        (crate::document::fuzz_document, document),
        (crate::capsule::fuzz_capsule, volume.capsule(&capsule).unwrap().into_bytes()),
        (crate::capsule::fuzz_capsule, capsule.object().into_bytes()),
        (crate::backend::object::fuzz_place, b"az+http://127.0.0.1:10000/devstoreaccount1/box/a/b".to_vec()),
        (crate::backend::object::fuzz_place, b"s3+https://[::1]:8333/bucket/prefix".to_vec()),
        (crate::backend::object::fuzz_lease, b"home = \"a\"\nholder = \"b\"\nbeat = 7\nstate = \"held\"\n".to_vec()),
        (crate::keyring::fuzz_keyring, keyring.to_text().unwrap().as_bytes().to_vec()),
    ]
}

/// Sound input of each binary parser.
fn seeds() -> Vec<Seed> {
    let mut leaf = LeafBuilder::default();
    leaf.push(&file("a/b", 5, Content::Inline(b"hello".to_vec())));
    leaf.push(&file(
        "a/c",
        9,
        Content::Extents(vec![
            Extent::Hole { length: 4 },
            Extent::Data { blob: BlobId([7; 32]), offset: 0, length: 5 },
        ]),
    ));
    let pieces = [0, 3 << 20, 1 << 20].map(|length| Extent::Data { blob: BlobId([7; 32]), offset: 0, length });
    let list = crate::tree::list_of_extents(&pieces);
    let frames = [PackedFrame {
        offset: 64,
        length: 100,
        plain_length: 40,
        blobs: vec![(BlobId([1; 32]), 20), (BlobId([2; 32]), 18)],
    }];
    let mut segment = Segment::default();
    segment.add(PackId([9; 16]), PackKind::Data, 8192, &frames);
    segment.sort();
    vec![
        (crate::tree::page::fuzz_page, leaf.take()),
        (crate::tree::fuzz_list, list),
        (crate::pack::fuzz_pack, crate::pack::encode_index(&frames)),
        (crate::index::fuzz_index, segment.encode()),
        (crate::index::fuzz_table, table_of(segment)),
        (crate::verify::fuzz_proved, format!("{} 7\n{} 8\n", PackId([1; 16]), PackId([2; 16])).into_bytes()),
    ]
}

fn table_of(segment: Segment) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let tables = Tables::kept_in(directory.path()).from_length(0);
    tables.hold(VolumeId::from_bytes([1; 16]), Some(("index/ab", 1)), segment);
    std::fs::read(directory.path().join("ab")).unwrap()
}

#[test]
fn changed_bytes_of_sound_input_make_no_parser_panic() {
    for (target, seed) in seeds().into_iter().chain(texts()) {
        target(&seed);
        arbtest(|u| {
            let mut bytes = seed.clone();
            for _ in 0..u.int_in_range(1..=4)? {
                let at = u.choose_index(bytes.len())?;
                bytes[at] = u.arbitrary()?;
            }
            bytes.truncate(u.int_in_range(0..=bytes.len())?);
            target(&bytes);
            Ok(())
        })
        .budget_ms(300);
    }
}
