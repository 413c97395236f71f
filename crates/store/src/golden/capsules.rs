//! Volumes with capsules that a second key of their server has taken over: version 1 as of the addition `former-keys`.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_model::{LineageId, PointId, ReplicaId, ServerId, SourceId, Timestamp, VolumeId, point::PointKind};
use zeroize::Zeroizing;

use crate::{
    Content, NewPoint, Reader, Session, TreeReader, Volume,
    backend::{Backend, directory::Directory},
    capsule::CapsuleName,
    enrol::enrol_again,
    keys::{Secret, SigningKey, Slot, Unlock, VolumeKeys},
    point::ReplicaPlace,
    tests::{file, look_over, signing},
    volume::{FORMER_KEYS, NewVolume},
};

const PASSPHRASE: &[u8] = b"golden passphrase";
/// The wrapping keys of the lost keyring and of the new one.
const WRAPPING: [[u8; 32]; 2] = [[8; 32], [18; 32]];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1-capsules").join(name)
}

fn place() -> ReplicaPlace {
    ReplicaPlace { server: "golden.example".to_owned(), replica: ReplicaId::from_bytes([5; 16]) }
}

fn second_key() -> SigningKey {
    SigningKey::from_seed(&Secret::new([19; 32])).unwrap()
}

fn unlock(wrapping: Option<usize>, passphrase: bool) -> Unlock {
    Unlock {
        wrapping: wrapping.map(|number| Secret::new(WRAPPING[number])),
        passphrase: passphrase.then(|| Zeroizing::new(PASSPHRASE.to_vec())),
    }
}

/// Capsule and point number 1 are by the first key, number 2 by the second.
fn capsule(number: u8) -> CapsuleName {
    CapsuleName { lineage: LineageId::from_bytes([number; 16]), sequence: 41 + u64::from(number) }
}

fn point(number: u8) -> PointId {
    PointId::from_bytes([number; 16])
}

fn write(volume: &Arc<Volume>, number: u8, signing: &SigningKey) {
    let charter = toml::Table::from_iter([("of".to_owned(), i64::from(number).into())]);
    let fields = toml::Table::from_iter([("charter".to_owned(), charter.into()), ("written".to_owned(), "é".into())]);
    volume.put_capsule(&capsule(number), fields, signing).unwrap();
    let session = Session::begin(volume).unwrap();
    let mut tree = session.tree().unwrap();
    tree.push(&file("one", 1, Content::Inline(vec![number]))).unwrap();
    let root = tree.finish().unwrap();
    let new = NewPoint {
        place: &place(),
        point: point(number),
        source: SourceId::from_bytes([6; 16]),
        root: b"/golden",
        time: Timestamp::UNIX_EPOCH,
        kind: PointKind::ExpressFull,
        unread: 0,
    };
    session.commit(&root, &new, signing).unwrap();
}

fn make(folder: &Path, clear: bool) {
    std::fs::create_dir_all(folder).unwrap();
    let backend: Arc<dyn Backend> = Arc::new(Directory::local(folder));
    let (id, server) = (VolumeId::from_bytes([3; 16]), ServerId::from_bytes([4; 16]));
    let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([2; 32]) };
    let slots = if clear {
        vec![Slot::clear(&keys)]
    } else {
        let keyring = Slot::keyring(&keys, id, &Secret::new(WRAPPING[0])).unwrap();
        vec![keyring, Slot::passphrase(&keys, id, PASSPHRASE).unwrap()]
    };
    let new = NewVolume {
        volume: id,
        server,
        server_name: "golden.example",
        signing: &signing(),
        keys,
        slots,
        features: &[],
        created: Timestamp::UNIX_EPOCH,
    };
    write(&Arc::new(Volume::create(Arc::clone(&backend), new).unwrap()), 1, &signing());
    let (key, wrapping) = (second_key(), Secret::new(WRAPPING[1]));
    let volume = enrol_again(backend, &unlock(None, !clear), server, &key, &wrapping).unwrap();
    write(&Arc::new(volume), 2, &key);
    // Nothing of these is part of what is to be read.
    std::fs::remove_file(folder.join("reserve")).unwrap();
    std::fs::remove_dir_all(folder.join("writers")).unwrap();
}

fn check(name: &str, clear: bool, unlock: &Unlock) {
    let folder = folder(name);
    if !folder.exists() {
        make(&folder, clear);
        panic!("{} was missing and has been made: look at it and commit it", folder.display());
    }
    let volume = Arc::new(Volume::open(Arc::new(Directory::local(&folder)), unlock).unwrap());
    let about = volume.about();
    assert_eq!((about.server_key, &*about.former_keys), (second_key().public(), &[signing().public()][..]));
    assert_eq!(about.features, [FORMER_KEYS]);
    let reader = Reader::new(&volume).unwrap();
    for number in [1, 2] {
        let text: toml::Table = toml::from_str(&volume.capsule(&capsule(number)).unwrap()).unwrap();
        assert_eq!(text["charter"]["of"].as_integer(), Some(number.into()));
        assert_eq!(text["written"].as_str(), Some("é"));
        let root = volume.point(&place(), point(number)).unwrap().tree_root().unwrap();
        let entries: Vec<_> = TreeReader::new(&reader, &root).collect::<Result<_, _>>().unwrap();
        assert_eq!(entries, [file("one", 1, Content::Inline(vec![number]))]);
    }
    assert_eq!(volume.capsule_names().unwrap(), [capsule(1), capsule(2)]);
    let found = look_over(&volume, Some(100), false);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn a_clear_volume_that_was_taken_over_is_read() {
    check("clear", true, &Unlock::default());
}

#[test]
fn a_volume_with_a_passphrase_that_was_taken_over_opens_with_it_and_with_the_new_keyring_alone() {
    check("passphrase", false, &unlock(None, true));
    check("passphrase", false, &unlock(Some(1), false));
    assert!(Volume::open(Arc::new(Directory::local(&folder("passphrase"))), &unlock(Some(0), false)).is_err());
}
