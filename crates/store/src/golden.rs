//! Volumes of every format version that was ever written, kept in the project. Each release must read all of them.
//!
//! `golden/` is only ever added to. Where a volume is missing, this test makes it and fails, so that a person looks at it and
//! commits it.

mod capsules;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_model::{PointId, ReplicaId, ServerId, SourceId, Timestamp, VolumeId, point::PointKind};

use crate::{
    Content, Entry, Extent, FileTime, Kind, NewPoint, Reader, Session, TreeReader, Volume, Xattr,
    backend::{Backend, directory::Directory},
    keys::{Secret, Slot, Unlock, VolumeKeys},
    point::{ReplicaPlace, ReplicaText, root_texts},
    tests::{file, look_over, noise, signing},
    volume::NewVolume,
};

const PASSPHRASE: &[u8] = b"golden passphrase";

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1").join(name)
}

fn place() -> ReplicaPlace {
    ReplicaPlace { server: "golden.example".to_owned(), replica: ReplicaId::from_bytes([5; 16]) }
}

fn point() -> PointId {
    PointId::from_bytes([7; 16])
}

/// The plain content of the golden point: path and bytes of each file.
fn contents() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a/inline", b"a few bytes".to_vec()),
        ("a/one-blob", noise(1, 10_000)),
        ("a/text", "all work and no play\n".repeat(2000).into_bytes()),
        ("large", noise(2, 900_000)),
        ("many-extents", (0..40_u64).flat_map(|number| noise(100 + number, 700)).collect()),
        ("sparse", [noise(3, 5000), vec![0; 100_000], noise(4, 5000)].concat()),
    ]
}

/// Everything that an entry can say, besides files.
fn oddities() -> Vec<Entry> {
    let mut made = Vec::new();
    let mut add = |path: &str, kind: Kind| made.push(Entry { kind, ..file(path, 0, Content::Inline(Vec::new())) });
    add("", Kind::Directory);
    add("a", Kind::Directory);
    add("z-block", Kind::BlockDevice { major: 8, minor: 1 });
    add("z-char", Kind::CharacterDevice { major: 1, minor: 3 });
    add("z-fifo", Kind::Fifo);
    add("z-link", Kind::Symlink { target: b"some\xffwhere".to_vec() });
    add("z-socket", Kind::Socket);
    let mut linked = file("z-torn", 3, Content::Inline(b"abc".to_vec()));
    linked.link = Some(4711);
    linked.torn = true;
    linked.seen.racy = true;
    linked.flags = 0x10;
    linked.modified = FileTime { seconds: -5_000_000_000, nanos: 999_999_999 };
    linked.xattrs = vec![
        Xattr { name: b"user.empty".to_vec(), value: Vec::new() },
        Xattr { name: b"user.x".to_vec(), value: vec![0, 255] },
    ];
    made.push(linked);
    made
}

fn content_of(session: &Session, tree: &mut crate::TreeWriter<'_>, path: &str, bytes: &[u8]) -> Content {
    let mut lane = session.lane().unwrap();
    let mut put = |bytes: &[u8]| Extent::Data { blob: lane.put(bytes).unwrap(), offset: 0, length: bytes.len() as u32 };
    let content = match path {
        "a/inline" => Content::Inline(bytes.to_vec()),
        "many-extents" => tree.content(bytes.chunks(700).map(&mut put).collect()).unwrap(),
        "sparse" => {
            let extents = vec![put(&bytes[..5000]), Extent::Hole { length: 100_000 }, put(&bytes[105_000..])];
            tree.content(extents).unwrap()
        }
        _ => tree.content(bytes.chunks(700_000).map(&mut put).collect()).unwrap(),
    };
    lane.flush().unwrap();
    content
}

fn make(folder: &Path, passphrase: Option<&[u8]>) {
    let backend: Arc<dyn Backend> = Arc::new(Directory::local(folder));
    std::fs::create_dir_all(folder).unwrap();
    let id = VolumeId::from_bytes([3; 16]);
    let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([2; 32]) };
    let slots = match passphrase {
        Some(passphrase) => vec![
            Slot::passphrase(&keys, id, passphrase).unwrap(),
            Slot::keyring(&keys, id, &Secret::new([8; 32])).unwrap(),
        ],
        None => vec![Slot::clear(&keys)],
    };
    let (server, signing) = (ServerId::from_bytes([4; 16]), signing());
    let new = NewVolume {
        volume: id,
        server,
        server_name: "golden.example",
        signing: &signing,
        keys,
        slots,
        features: &[],
        created: Timestamp::UNIX_EPOCH,
    };
    let volume = Arc::new(Volume::create(backend, new).unwrap());
    let source = SourceId::from_bytes([6; 16]);
    let (root, root_bytes) = root_texts(b"/golden\xff");
    let document = ReplicaText::DOCUMENT.to_owned();
    let text = ReplicaText {
        document,
        volume: id,
        server,
        replica: place().replica,
        source,
        root,
        root_bytes,
        policy: toml::Table::new(),
    };
    volume.describe_replica(&place(), &text, &signing).unwrap();
    let session = Session::begin(&volume).unwrap();
    let mut tree = session.tree().unwrap();
    let mut entries = oddities();
    for (path, bytes) in contents() {
        let content = content_of(&session, &mut tree, path, &bytes);
        entries.push(file(path, bytes.len() as u64, content));
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries.iter().for_each(|entry| tree.push(entry).unwrap());
    let root = tree.finish().unwrap();
    let (place, point) = (place(), point());
    let time = Timestamp::UNIX_EPOCH;
    let new =
        NewPoint { place: &place, point, source, root: b"/golden\xff", time, kind: PointKind::ExpressFull, unread: 0 };
    session.commit(&root, &new, &signing).unwrap();
    // Nothing of these is part of what is to be read.
    std::fs::remove_file(folder.join("reserve")).unwrap();
    std::fs::remove_dir_all(folder.join("writers")).unwrap();
}

fn check(name: &str, passphrase: Option<&[u8]>, unlock: &Unlock) {
    let folder = folder(name);
    if !folder.exists() {
        make(&folder, passphrase);
        panic!("{} was missing and has been made: look at it and commit it", folder.display());
    }
    let volume = Arc::new(Volume::open(Arc::new(Directory::local(&folder)), unlock).unwrap());
    let root = volume.point(&place(), point()).unwrap().tree_root().unwrap();
    let reader = Reader::new(&volume).unwrap();
    let (mut odd, mut plain) = (Vec::new(), Vec::new());
    for entry in TreeReader::new(&reader, &root) {
        let entry = entry.unwrap();
        let wanted = contents().into_iter().find(|(path, _)| entry.path.as_bytes() == path.as_bytes());
        let Some((path, wanted)) = wanted else {
            odd.push(entry);
            continue;
        };
        let Kind::File { content, size } = &entry.kind else { panic!("{path} is no file") };
        let mut bytes = if let Content::Inline(bytes) = content { bytes.clone() } else { Vec::new() };
        reader
            .extents(content, &mut |extent| {
                match extent {
                    Extent::Hole { length } => bytes.resize(bytes.len() + length as usize, 0),
                    Extent::Data { blob, offset, length } => {
                        bytes.extend_from_slice(&reader.blob(&blob)?[offset as usize..(offset + length) as usize]);
                    }
                }
                Ok(())
            })
            .unwrap();
        assert_eq!(bytes.len() as u64, *size, "{path}");
        assert!(bytes == wanted, "{path}");
        plain.push(path);
    }
    assert_eq!(plain.len(), contents().len());
    assert_eq!(odd, oddities());
    let found = look_over(&volume, Some(100), false);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn a_clear_volume_of_version_1_is_read() {
    check("clear", None, &Unlock::default());
}

#[test]
fn a_volume_of_version_1_opens_with_its_passphrase_and_with_its_keyring() {
    let passphrase = Some(zeroize::Zeroizing::new(PASSPHRASE.to_vec()));
    check("passphrase", Some(PASSPHRASE), &Unlock { passphrase, wrapping: None });
    check("passphrase", Some(PASSPHRASE), &Unlock { passphrase: None, wrapping: Some(Secret::new([8; 32])) });
    let wrong =
        Unlock { passphrase: Some(zeroize::Zeroizing::new(b"wrong".to_vec())), wrapping: Some(Secret::new([9; 32])) };
    let refused = Volume::open(Arc::new(Directory::local(&folder("passphrase"))), &wrong).err().unwrap();
    assert!(refused.to_string().contains("the passphrase is wrong"), "{refused}");
}
