use std::{io::ErrorKind, sync::Arc};

use resurgam_model::LineageId;

use super::{CATALOG, CapsuleName};
use crate::{
    StoreError, Volume,
    backend::{
        Backend,
        faulty::{Faulty, Plan},
        memory::Memory,
        read_whole,
    },
    document,
    keys::{Secret, SigningKey, Slot, Unlock, VolumeKeys},
    limits::{CAPSULE_MAX, DOCUMENT_MAX},
    tests::{look_over, new_volume, open_volume, signing},
    verify::Verified,
};

fn name(lineage: u8, sequence: u64) -> CapsuleName {
    CapsuleName { lineage: LineageId::from_bytes([lineage; 16]), sequence }
}

fn fields(text: &str) -> toml::Table {
    toml::Table::from_iter([
        ("charter".to_owned(), toml::Table::from_iter([("word".to_owned(), text.into())]).into()),
        ("zeal".to_owned(), text.into()),
    ])
}

fn word(volume: &Volume, name: &CapsuleName) -> Result<String, StoreError> {
    let text: toml::Table = toml::from_str(&volume.capsule(name)?).unwrap();
    assert_eq!(text["sequence"].as_integer(), i64::try_from(name.sequence).ok());
    assert_eq!(text["charter"]["word"], text["zeal"]);
    Ok(text["zeal"].as_str().unwrap().to_owned())
}

fn check(volume: &Arc<Volume>, repair: bool) -> Verified {
    look_over(volume, None, repair)
}

fn volume_with_capsules() -> (Arc<Memory>, Arc<Volume>) {
    let backend = Arc::new(Memory::default());
    let volume = new_volume(backend.clone());
    for sequence in 1..=3 {
        volume.put_capsule(&name(1, sequence), fields(&format!("number {sequence}")), &signing()).unwrap();
    }
    (backend, volume)
}

#[test]
fn a_capsule_says_what_was_put_into_it() {
    let (backend, volume) = volume_with_capsules();
    volume.put_capsule(&name(0, i64::MAX as u64), fields("last"), &signing()).unwrap();
    assert!(volume.put_capsule(&name(0, u64::MAX), fields("beyond"), &signing()).is_err());
    assert_eq!(
        volume.capsule_names().unwrap(),
        [name(0, i64::MAX as u64), name(1, 1), name(1, 2), name(1, 3)],
        "sorted by lineage and number"
    );
    let volume = open_volume(backend);
    assert_eq!(word(&volume, &name(1, 2)).unwrap(), "number 2");
    assert_eq!(word(&volume, &name(0, i64::MAX as u64)).unwrap(), "last");
    assert!(word(&volume, &name(1, 4)).unwrap_err().is_not_found());
    volume.put_capsule(&name(1, 2), fields("again"), &signing()).unwrap();
    assert_eq!(word(&volume, &name(1, 2)).unwrap(), "again");
    let found = check(&volume, false);
    assert!(found.findings.is_empty(), "{:?}", found.findings);
}

#[test]
fn names_have_one_spelling() {
    for good in [name(7, 0), name(7, 1), name(255, i64::MAX as u64)] {
        assert_eq!(CapsuleName::of_object(&good.object()), Some(good));
    }
    let lineage = LineageId::from_bytes([0xab; 16]).to_string();
    let number = "00000000000000000001";
    assert!(CapsuleName::of_object(&format!("{CATALOG}{lineage}/{number}")).is_some());
    for bad in [
        format!("{CATALOG}{}/{number}", lineage.to_uppercase()),
        format!("{CATALOG}{}/{number}", lineage.replace('-', "")),
        format!("{CATALOG}{lineage}/1"),
        format!("{CATALOG}{lineage}/+0000000000000000001"),
        format!("{CATALOG}{lineage}/99999999999999999999"),
        format!("{CATALOG}{lineage}/{number}/x"),
        format!("{lineage}/{number}"),
    ] {
        assert_eq!(CapsuleName::of_object(&bad), None, "{bad}");
    }
}

#[test]
fn one_damaged_copy_is_read_past_and_mended_and_two_are_named_and_moved_away() {
    for open in [true, false] {
        let backend = Arc::new(Memory::default());
        let volume = if open { new_volume(backend.clone()) } else { sealed_volume(backend.clone()) };
        volume.put_capsule(&name(1, 1), fields("one"), &signing()).unwrap();
        let object = name(1, 1).object();
        let copies = [object.clone(), format!("mirror/{object}")];
        let sound = copies.clone().map(|copy| read_whole(&*backend, &copy, u64::MAX).unwrap());
        assert_eq!(String::from_utf8_lossy(&sound[0]).contains("one"), open);
        for (copy, sound) in copies.iter().zip(&sound) {
            for at in [0, sound.len() / 2, sound.len() - 1] {
                let mut damaged = sound.clone();
                damaged[at] ^= 1;
                backend.replace(copy, &damaged).unwrap();
                assert_eq!(word(&volume, &name(1, 1)).unwrap(), "one");
                let found = check(&volume, false);
                assert_eq!(found.findings.iter().map(|f| (&f.object, f.mended)).collect::<Vec<_>>(), [(copy, false)]);
                assert!(check(&volume, true).findings.iter().all(|finding| finding.mended));
                assert!(check(&volume, false).findings.is_empty());
                assert_eq!(word(&volume, &name(1, 1)).unwrap(), "one");
            }
            // A copy that is gone is put back without being asked for.
            backend.delete(copy).unwrap();
            assert_eq!(word(&volume, &name(1, 1)).unwrap(), "one");
            let found = check(&volume, false);
            assert_eq!(found.findings.iter().map(|f| (&f.object, f.mended)).collect::<Vec<_>>(), [(copy, true)]);
            assert!(check(&volume, false).findings.is_empty());
        }
        copies.iter().for_each(|copy| backend.replace(copy, b"what = \"nothing\"\n").unwrap());
        assert!(matches!(volume.capsule(&name(1, 1)), Err(StoreError::Corrupt { .. })));
        for repair in [false, true] {
            let found = check(&volume, repair);
            assert_eq!(found.findings.len(), 1);
            assert_eq!((&found.findings[0].object, found.findings[0].mended), (&object, false));
        }
        assert!(check(&volume, false).findings.is_empty());
        assert!(volume.capsule_names().unwrap().is_empty());
        assert_eq!(backend.list("quarantine/").unwrap().len(), 2);
    }
}

fn sealed_volume(backend: Arc<dyn Backend>) -> Arc<Volume> {
    let keys = VolumeKeys { identity: Secret::new([1; 32]), sealing: Secret::new([2; 32]) };
    let wrapping = Secret::new([8; 32]);
    let id = resurgam_model::VolumeId::from_bytes([3; 16]);
    let new = crate::volume::NewVolume {
        volume: id,
        server: resurgam_model::ServerId::from_bytes([4; 16]),
        server_name: "sealed.example",
        signing: &signing(),
        slots: vec![Slot::keyring(&keys, id, &wrapping).unwrap()],
        keys,
        features: &[],
        created: resurgam_model::Timestamp::UNIX_EPOCH,
    };
    Volume::create(Arc::clone(&backend), new).unwrap();
    Arc::new(Volume::open(backend, &Unlock { wrapping: Some(wrapping), passphrase: None }).unwrap())
}

#[test]
fn a_capsule_is_believed_only_in_its_place_and_from_its_server() {
    let (backend, volume) = volume_with_capsules();
    let put = |to: &CapsuleName, bytes: &[u8]| {
        backend.replace(&to.object(), bytes).unwrap();
        backend.replace(&format!("mirror/{}", to.object()), bytes).unwrap();
    };
    // In the place of another, of the same lineage and of another one.
    let bytes = read_whole(&*backend, &name(1, 1).object(), u64::MAX).unwrap();
    for place in [name(1, 2), name(2, 1)] {
        put(&place, &bytes);
        let error = volume.capsule(&place).unwrap_err();
        assert!(error.to_string().contains("in the place of another"), "{error}");
    }
    // Signed by somebody else; by the server, but something else; of another volume.
    let stranger = SigningKey::from_seed(&Secret::new([77; 32])).unwrap();
    let text = volume.capsule(&name(1, 3)).unwrap();
    put(&name(1, 3), document::sign(&text, &stranger).as_bytes());
    assert!(volume.capsule(&name(1, 3)).unwrap_err().to_string().contains("signature"));
    for (from, to) in
        [("\"capsule\"", "\"recovery point\""), (&*volume.id().to_string(), &*name(9, 0).lineage.to_string())]
    {
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        put(&name(1, 3), document::sign(&changed, &signing()).as_bytes());
        assert!(volume.capsule(&name(1, 3)).is_err());
    }
    put(&name(1, 3), document::sign(&text, &signing()).as_bytes());
    assert_eq!(word(&volume, &name(1, 3)).unwrap(), "number 3");
}

#[test]
fn capsules_may_be_long_and_other_documents_may_not() {
    let (backend, volume) = volume_with_capsules();
    let long = "x".repeat(3 * DOCUMENT_MAX);
    volume.put_capsule(&name(1, 4), fields(&long), &signing()).unwrap();
    assert_eq!(word(&open_volume(backend), &name(1, 4)).unwrap(), long);
    let too_long = volume.put_capsule(&name(1, 5), fields(&"x".repeat(CAPSULE_MAX)), &signing());
    assert!(matches!(too_long, Err(StoreError::Refused { .. })));
    assert!(!volume.capsule_names().unwrap().contains(&name(1, 5)));
    let refused = volume.documents().unwrap().write("VOLUME.toml", &long);
    assert!(matches!(refused, Err(StoreError::Refused { .. })));
}

#[test]
fn forgetting_takes_what_is_not_to_be_kept_and_goes_on_where_it_was_stopped() {
    for fail_at in 0.. {
        let (backend, _) = volume_with_capsules();
        let plan = Plan::once(fail_at, ErrorKind::Other);
        // Opening reads as well: the plan counts from there.
        let faulty = Arc::new(Faulty::new(backend.clone(), Arc::clone(&plan)));
        let done = Volume::open(faulty, &Unlock::default())
            .and_then(|volume| volume.forget_capsules(&|name| name.sequence == 3));
        let volume = open_volume(backend.clone());
        assert_eq!(word(&volume, &name(1, 3)).unwrap(), "number 3");
        for left in volume.capsule_names().unwrap() {
            assert_eq!(word(&volume, &left).unwrap(), format!("number {}", left.sequence));
        }
        volume.forget_capsules(&|name| name.sequence == 3).unwrap();
        assert_eq!(volume.capsule_names().unwrap(), [name(1, 3)]);
        assert_eq!(backend.list("mirror/catalog/").unwrap().len(), 1);
        if done.is_ok() {
            assert!(fail_at > 5);
            break;
        }
    }
}

#[test]
fn a_capsule_that_found_no_room_was_never_there() {
    for fail_at in 0.. {
        let (backend, _) = volume_with_capsules();
        let plan = Plan::once(fail_at, ErrorKind::StorageFull);
        let faulty = Arc::new(Faulty::new(backend.clone(), plan));
        let put = Volume::open(faulty, &Unlock::default())
            .and_then(|volume| volume.put_capsule(&name(1, 4), fields("number 4"), &signing()));
        let volume = open_volume(backend);
        assert_eq!(volume.capsule_names().unwrap().contains(&name(1, 4)), put.is_ok());
        let found = check(&volume, false);
        assert!(found.findings.is_empty(), "{:?}", found.findings);
        if put.is_ok() {
            break;
        }
    }
}
