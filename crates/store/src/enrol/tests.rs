use std::{io::ErrorKind, sync::Arc};

use resurgam_model::{LineageId, PointId, ServerId, SourceId, Timestamp, VolumeId, point::PointKind};
use zeroize::Zeroizing;

use super::enrol_again;
use crate::{
    Cancel, NewPoint, Session, StoreError, Volume,
    backend::{
        Backend,
        faulty::{Faulty, Plan},
        memory::Memory,
        read_whole,
    },
    capsule::CapsuleName,
    keyring::Keyring,
    keys::{Secret, SigningKey, Slot, Unlock, VolumeKeys},
    tests::{files, look_over, new_volume, open_volume, place, point, restore, signing},
    verify::Verified,
    volume::{FORMER_KEYS, NewVolume, VOLUME_TOML, parse_header},
};

const PASSPHRASE: &[u8] = b"correct horse";

fn server() -> ServerId {
    ServerId::from_random([4; 16])
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&Secret::new([seed; 32])).unwrap()
}

fn check(volume: &Arc<Volume>, repair: bool) -> Verified {
    look_over(volume, Some(100), repair)
}

/// A volume with a point and a capsule by the first key.
fn volume() -> Arc<Memory> {
    let backend = Arc::new(Memory::default());
    let volume = new_volume(backend.clone());
    point(&volume, 1, &files(0, 50));
    volume.put_capsule(&capsule(1), toml::Table::new(), &signing()).unwrap();
    backend
}

fn capsule(sequence: u64) -> CapsuleName {
    CapsuleName { lineage: LineageId::from_bytes([1; 16]), sequence }
}

fn enrol(backend: &Arc<Memory>, seed: u8) -> Result<Volume, StoreError> {
    enrol_again(backend.clone(), &Unlock::default(), server(), &key(seed), &Secret::new([seed; 32]))
}

/// Takes a point of nothing, signed by `signing`.
fn new_point(volume: &Arc<Volume>, id: u8, signing: &SigningKey) {
    let session = Session::begin(volume).unwrap();
    let tree = session.tree().unwrap().finish().unwrap();
    let new = NewPoint {
        place: &place(),
        point: PointId::from_random([id; 16]),
        source: SourceId::from_random([6; 16]),
        root: b"/data",
        time: Timestamp::UNIX_EPOCH,
        kind: PointKind::ExpressFull,
        unread: 0,
    };
    session.commit(&tree, &new, signing).unwrap();
}

#[test]
fn what_earlier_keys_signed_is_proved_after_every_loss() {
    let backend = volume();
    for (number, seed) in [(2, 20), (3, 30), (4, 40)] {
        let volume = Arc::new(enrol(&backend, seed).unwrap());
        let about = volume.about();
        assert_eq!((about.server_key, about.former_keys.len()), (key(seed).public(), number as usize - 1));
        assert_eq!(about.former_keys.last(), Some(&signing().public()));
        assert_eq!(about.features, [FORMER_KEYS]);
        new_point(&volume, number, &key(seed));
        volume.put_capsule(&capsule(number.into()), toml::Table::new(), &key(seed)).unwrap();
        let volume = open_volume(backend.clone());
        assert_eq!(restore(&volume, 1).unwrap(), files(0, 50));
        for earlier in 1..=number {
            volume.point(&place(), PointId::from_random([earlier; 16])).unwrap();
            volume.capsule(&capsule(earlier.into())).unwrap();
        }
        let survey = volume.survey(2, &Cancel::default()).unwrap();
        assert_eq!((survey.points().count(), survey.unproved.len()), (number as usize, 0));
        let found = check(&volume, false);
        assert!(found.findings.is_empty() && found.affected.is_empty(), "{found:?}");
    }
    // The first key is found again: it signs, and the others are the former ones.
    enrol(&backend, 9).unwrap();
    let volume = open_volume(backend);
    assert_eq!((volume.about().server_key, volume.about().former_keys.len()), (signing().public(), 3));
    assert_eq!(volume.survey(1, &Cancel::default()).unwrap().points().count(), 4);
    // The key of somebody else is none of them.
    volume.put_capsule(&capsule(9), toml::Table::new(), &key(99)).unwrap();
    assert!(matches!(volume.capsule(&capsule(9)), Err(StoreError::Corrupt { .. })));
}

#[test]
fn enrolling_twice_changes_nothing() {
    let backend = volume();
    enrol(&backend, 20).unwrap();
    let read = || backend.list("").unwrap().into_iter().map(|one| read_whole(&*backend, &one.name, u64::MAX).unwrap());
    let before: Vec<_> = read().collect();
    enrol(&backend, 20).unwrap();
    assert!(before == read().collect::<Vec<_>>());
    // A copy that is missing is put back.
    backend.delete(VOLUME_TOML).unwrap();
    enrol(&backend, 20).unwrap();
    assert_eq!(before.len(), backend.list("").unwrap().len());
}

#[test]
fn only_its_own_server_takes_a_volume_over() {
    let backend = volume();
    let other = ServerId::from_random([5; 16]);
    let before = read_whole(&*backend, VOLUME_TOML, u64::MAX).unwrap();
    let refused = enrol_again(backend.clone(), &Unlock::default(), other, &key(20), &Secret::new([20; 32]));
    assert!(matches!(refused, Err(StoreError::Refused { .. })));
    assert_eq!(read_whole(&*backend, VOLUME_TOML, u64::MAX).unwrap(), before);
}

fn unlock(wrapping: Option<u8>, passphrase: Option<&[u8]>) -> Unlock {
    Unlock {
        wrapping: wrapping.map(|byte| Secret::new([byte; 32])),
        passphrase: passphrase.map(|bytes| Zeroizing::new(bytes.to_vec())),
    }
}

#[test]
fn the_keyring_slot_is_replaced_and_the_passphrase_stays() {
    let backend: Arc<dyn Backend> = Arc::new(Memory::default());
    let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([2; 32]) };
    let id = VolumeId::from_bytes([3; 16]);
    let new = NewVolume {
        volume: id,
        server: server(),
        server_name: "sealed.example",
        signing: &signing(),
        slots: vec![
            Slot::keyring(&keys, id, &Secret::new([8; 32])).unwrap(),
            Slot::passphrase(&keys, id, PASSPHRASE).unwrap(),
        ],
        keys: keys.clone(),
        features: &[],
        created: Timestamp::UNIX_EPOCH,
    };
    Volume::create(Arc::clone(&backend), new).unwrap();
    let open = |unlock: &Unlock| Volume::open(Arc::clone(&backend), unlock).map(|_| ());
    let (_, found) = Volume::open_keys(&*backend, &unlock(None, Some(PASSPHRASE))).unwrap();
    let keyring = Keyring::with(server(), found.identity).unwrap();
    assert!(keyring.identity == keys.identity && keyring.server == server());
    let enrol = |unlock: &Unlock| {
        enrol_again(Arc::clone(&backend), unlock, server(), &keyring.signing, &keyring.wrapping).map(|_| ())
    };
    assert!(matches!(enrol(&unlock(Some(9), None)), Err(StoreError::Refused { .. })), "nothing opens it");
    enrol(&unlock(None, Some(PASSPHRASE))).unwrap();
    let by_keyring = Unlock { wrapping: Some(keyring.wrapping.clone()), passphrase: None };
    open(&by_keyring).unwrap();
    open(&unlock(None, Some(PASSPHRASE))).unwrap();
    assert!(open(&unlock(Some(8), None)).is_err(), "the lost keyring opens it still");
    let header = Volume::header(&*backend).unwrap();
    assert_eq!(header.slots.len(), 2);
    enrol(&by_keyring).unwrap();
    assert_eq!(Volume::header(&*backend).unwrap(), header);
}

#[test]
fn interrupted_anywhere_it_ends_right_when_it_is_done_again() {
    for fail_at in 0.. {
        let backend = volume();
        let faulty = Arc::new(Faulty::new(backend.clone(), Plan::from(fail_at, ErrorKind::Other)));
        let done = enrol_again(faulty, &Unlock::default(), server(), &key(20), &Secret::new([20; 32]));
        // Whichever copy is the new one, the volume opens, and so it does when one of them is lost.
        assert_eq!(restore(&open_volume(backend.clone()), 1).unwrap(), files(0, 50));
        let half = read_whole(&*backend, VOLUME_TOML, u64::MAX).unwrap()
            != read_whole(&*backend, &format!("mirror/{VOLUME_TOML}"), u64::MAX).unwrap();
        if half {
            let found = check(&open_volume(backend.clone()), false);
            assert_eq!(found.findings.len(), 1);
            assert!(found.findings[0].what.contains("was interrupted"), "{found:?}");
            let first = read_whole(&*backend, VOLUME_TOML, u64::MAX).unwrap();
            backend.delete(VOLUME_TOML).unwrap();
            assert_eq!(open_volume(backend.clone()).about().server_key, key(20).public());
            assert_eq!(restore(&open_volume(backend.clone()), 1).unwrap(), files(0, 50));
            backend.replace(VOLUME_TOML, &first).unwrap();
        }
        // Done again by the same key, or by a third because the second was lost at once.
        let seed = if fail_at % 2 == 0 { 20 } else { 30 };
        let volume = Arc::new(enrol(&backend, seed).unwrap());
        assert_eq!(volume.about().server_key, key(seed).public());
        assert_eq!(restore(&volume, 1).unwrap(), files(0, 50));
        assert!(check(&volume, false).findings.is_empty());
        if done.is_ok() {
            break;
        }
        assert!(fail_at < 50);
    }
}

#[test]
fn unknown_additions_are_refused_by_name_and_former_keys_are_known() {
    let backend = volume();
    enrol(&backend, 20).unwrap();
    let text = String::from_utf8(read_whole(&*backend, VOLUME_TOML, u64::MAX).unwrap()).unwrap();
    parse_header(VOLUME_TOML, text.as_bytes()).unwrap();
    let newer = text.replace("\"former-keys\"", "\"former-keys\", \"striping\"");
    assert_ne!(newer, text);
    let refused = parse_header(VOLUME_TOML, newer.as_bytes()).unwrap_err();
    assert!(matches!(refused, StoreError::Refused { .. }));
    assert!(refused.to_string().contains("with striping"), "{refused}");
}
