//! Trees in, trees out: what was captured and restored is compared with what was there.

mod captures;
mod changing;
mod in_place;
mod long_files;
mod restores;

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicU8},
};

use resurgam_model::{
    BytePath, PointId, ReplicaId, ServerId, SourceId, Timestamp, VolumeId, bytepath::escape, point::PointKind,
    policy::Selection,
};
use resurgam_store::{
    Cancel, Entry, Meter, NewPoint, Reader, Session, TreeReader, TreeRoot, Volume,
    backend::{Backend, memory::Memory},
    keys::{Secret, SigningKey, Slot, VolumeKeys},
    point::ReplicaPlace,
    volume::NewVolume,
};

use super::{
    capture::{Capture, Captured, capture_at},
    moment::{Moment, System},
    restore::{Conflict, Restore, Restored, restore},
    testkit::{OddDir, Sizes, compare, is_root, noise, odd_tree},
};
use crate::error::SourceError;

/// A volume in memory, with its points.
struct Pool {
    volume: Arc<Volume>,
    points: AtomicU8,
}

/// One point: its tree and what was said when it was made.
struct Taken {
    captured: Captured,
    read: u64,
    /// Bytes that the volume grew by.
    added: u64,
}

fn signing() -> SigningKey {
    SigningKey::from_seed(&Secret::new([9; 32])).unwrap()
}

impl Pool {
    fn new() -> Self {
        Self::on(Arc::new(Memory::default()))
    }

    fn on(backend: Arc<dyn Backend>) -> Self {
        let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([2; 32]) };
        let slots = vec![Slot::clear(&keys)];
        let new = NewVolume {
            volume: VolumeId::from_random([3; 16]),
            server: ServerId::from_random([4; 16]),
            server_name: "server.example",
            signing: &signing(),
            keys,
            slots,
            features: &[],
            created: Timestamp::UNIX_EPOCH,
        };
        Self { volume: Arc::new(Volume::create(backend, new).unwrap()), points: AtomicU8::new(0) }
    }

    fn try_take(&self, what: &Capture, before: Option<&TreeRoot>, moment: &dyn Moment) -> Result<Taken, SourceError> {
        let session = Session::begin(&self.volume)?;
        let reader = Reader::new(&self.volume)?;
        let previous = before.map(|root| TreeReader::new(&reader, root));
        let meter = Meter::default();
        let captured = capture_at(&session, previous, what, &meter, &Cancel::default(), moment)?;
        let number = self.points.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let new = NewPoint {
            place: &ReplicaPlace { server: "server.example".to_owned(), replica: ReplicaId::from_random([5; 16]) },
            point: PointId::from_random([number; 16]),
            source: SourceId::from_random([6; 16]),
            root: b"/data",
            time: Timestamp::UNIX_EPOCH,
            kind: PointKind::ExpressFull,
            unread: captured.unread.len() as u64,
        };
        let (text, _) = session.commit(&captured.root, &new, &signing())?;
        Ok(Taken { captured, read: meter.read.get(), added: text.added_bytes })
    }

    fn take(&self, root: &Path) -> Taken {
        self.try_take(&of(root), None, &System).unwrap()
    }

    fn take_again(&self, root: &Path, before: &Taken) -> Taken {
        self.try_take(&of(root), Some(&before.captured.root), &System).unwrap()
    }

    fn entries(&self, taken: &Taken) -> Vec<Entry> {
        let reader = Reader::new(&self.volume).unwrap();
        TreeReader::new(&reader, &taken.captured.root).map(Result::unwrap).collect()
    }

    fn paths(&self, taken: &Taken) -> Vec<String> {
        self.entries(taken).iter().map(|e| escape(e.path.as_bytes())).collect()
    }

    fn try_restore(&self, taken: &Taken, what: &Restore) -> Result<Restored, SourceError> {
        let reader = Reader::new(&self.volume)?;
        restore(&reader, &taken.captured.root, what, &Meter::default(), &Cancel::default())
    }

    fn restore(&self, taken: &Taken, what: &Restore) -> Restored {
        self.try_restore(taken, what).unwrap()
    }
}

fn of(root: &Path) -> Capture {
    Capture { root: root.to_owned(), selection: Selection::default(), never_entered: Vec::new(), threads: 3 }
}

fn to(target: &Path) -> Restore {
    Restore {
        target: target.to_owned(),
        selection: Vec::new(),
        conflict: Conflict::Refuse,
        owner: true,
        root_name: Vec::new(),
        threads: 3,
    }
}

fn assert_nothing_said(taken: &Taken) {
    assert!(taken.captured.unread.is_empty(), "{:#?}", taken.captured.unread);
    assert!(taken.captured.left_out.is_empty(), "{:#?}", taken.captured.left_out);
}

fn assert_all_proved(restored: &Restored) {
    assert!(restored.unproved.is_empty(), "{:#?}", restored.unproved);
}

fn assert_same(a: &Path, b: &Path) {
    let differences = compare(a, b);
    assert!(
        differences.is_empty(),
        "{} differences: {:#?}",
        differences.len(),
        &differences[..differences.len().min(20)]
    );
}
