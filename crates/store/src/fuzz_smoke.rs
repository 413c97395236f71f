//! The fuzz targets in short: random bytes, and sound ones with random changes, on every parser of this crate.

use arbtest::arbtest;

use crate::{
    BlobId, Content, Extent,
    index::Segment,
    pack::{PackId, PackKind, PackedFrame},
    tests::file,
    tree::page::LeafBuilder,
};

const TARGETS: [fn(&[u8]); 9] = [
    crate::pack::fuzz_pack,
    crate::index::fuzz_index,
    crate::tree::page::fuzz_page,
    crate::tree::fuzz_list,
    crate::document::fuzz_document,
    crate::volume::fuzz_header,
    crate::collect::fuzz_condemned,
    crate::frame::fuzz_frame,
    crate::keyring::fuzz_keyring,
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
        (crate::pack::fuzz_pack, crate::pack::encode_index(&frames)),
        (crate::index::fuzz_index, segment.encode()),
    ]
}

#[test]
fn changed_bytes_of_sound_input_make_no_parser_panic() {
    for (target, seed) in seeds() {
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
