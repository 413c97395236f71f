use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use resurgam_model::{BytePath, PointId};

use super::{Estimate, estimate};
use crate::{
    Cancel, Reader,
    backend::{
        self,
        meddled::{Meddled, Meddler},
        memory::Memory,
    },
    tests::{files, new_volume, noise, open_volume, place, point, restore},
};

/// Counts the bytes that are read of packs.
#[derive(Default)]
struct Counting(AtomicU64);

impl Meddler for Counting {
    fn before_read(&self, name: &str, bytes: u64) -> backend::Result<()> {
        if name.starts_with("packs/") {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[test]
fn an_estimate_is_what_restoring_reads() {
    let inner = Memory::default();
    let mut wanted = files(0, 200);
    wanted.push(("large".to_owned(), noise(3, 3 << 20)));
    wanted.push(("twice".to_owned(), noise(3, 3 << 20)));
    point(&new_volume(Arc::new(inner.clone())), 1, &wanted);
    let watched = Arc::new(Meddled { inner: Arc::new(inner), meddler: Counting::default() });
    let volume = open_volume(watched.clone());
    let read = || watched.meddler.0.swap(0, Ordering::Relaxed);
    let text = volume.point(&place(), PointId::from_random([1; 16])).unwrap();
    let root = text.tree_root().unwrap();
    let estimated = |selection: &[BytePath]| {
        estimate(&Reader::new(&volume).unwrap(), &root, selection, &Cancel::default()).unwrap()
    };
    read();
    let all = estimated(&[]);
    let metadata = read();
    assert_eq!((all.files, all.bytes), (text.tree.files, text.tree.bytes));
    assert!(all.stored_bytes > 3 << 20 && all.stored_bytes < 6 << 20, "what is there twice is read once: {all:?}");
    assert!(all.requests >= 1 && all.requests <= 4, "neighbours come together: {all:?}");
    assert!(metadata * 10 < all.stored_bytes, "{metadata} of {all:?}");
    restore(&volume, 1).unwrap();
    let restored = read();
    assert!(restored >= all.stored_bytes && restored <= all.stored_bytes + 2 * metadata, "{restored}: {all:?}");

    let large = BytePath::new(b"large".to_vec()).unwrap();
    let one = estimated(std::slice::from_ref(&large));
    assert_eq!((one.files, one.bytes), (1, 3 << 20));
    assert_eq!(estimated(&[large.clone(), large]), one, "what is asked for twice counts once");
    assert_eq!(estimated(&[BytePath::new(b"nothing".to_vec()).unwrap()]), Estimate::default());
}
