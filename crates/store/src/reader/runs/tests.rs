use std::collections::HashSet;

use arbtest::arbtest;

use super::{RUN_MAX, runs};
use crate::{
    entry::BlobId,
    index::{IndexedBlob, IndexedFrame, IndexedPack, Located},
    pack::{PackId, PackKind},
};

fn located(pack: u8, offset: u32, length: u32) -> Located {
    Located {
        pack: IndexedPack { id: PackId([pack; 16]), kind: PackKind::Data, length: 1 << 26 },
        frame: IndexedFrame { pack: 0, offset, length, plain_length: length },
        blob: IndexedBlob { id: BlobId([0; 32]), frame: 0, start: 0, length: 1 },
        position: (0, 0),
    }
}

#[test]
fn every_frame_lies_in_one_run_and_neighbours_lie_together() {
    arbtest(|u| {
        let mut wanted = Vec::new();
        for pack in 0..u.int_in_range(1..=3_u8)? {
            let mut offset = 64_u32;
            for _ in 0..u.int_in_range(0..=12)? {
                let length = u.int_in_range(1..=RUN_MAX as u32 / 2)?;
                if u.ratio(3, 4)? {
                    wanted.insert(u.int_in_range(0..=wanted.len())?, located(pack, offset, length));
                }
                offset += length;
            }
        }
        let cut = runs(&wanted);
        let mut frames = HashSet::new();
        for run in &cut {
            let mut end = run.start;
            for (offset, length) in &run.frames {
                assert_eq!(u64::from(*offset), end, "no byte that nobody wants");
                end += u64::from(*length);
                assert!(frames.insert((run.pack.id, *offset, *length)));
            }
            assert_eq!(end, run.start + run.length);
            assert!(run.length <= RUN_MAX || run.frames.len() == 1);
        }
        let expected: HashSet<_> = wanted.iter().map(|at| (at.pack.id, at.frame.offset, at.frame.length)).collect();
        assert_eq!(frames, expected);
        // Two runs of one pack that touch would have been one, had they not been too long.
        for one in &cut {
            for other in
                cut.iter().filter(|other| other.pack.id == one.pack.id && other.start == one.start + one.length)
            {
                assert!(one.length + u64::from(other.frames[0].1) > RUN_MAX);
            }
        }
        if let (Some(first), Some(run)) = (wanted.first(), cut.first()) {
            assert!(run.pack.id == first.pack.id && run.frames.iter().any(|(offset, _)| *offset == first.frame.offset));
        }
        Ok(())
    });
}
