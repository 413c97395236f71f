//! The charter, on either database.

use resurgam_model::{
    VaultId,
    charter::{Charter, VaultCharter},
    policy::{Calendar, Online, SourceKind},
    replica::ReplicaState,
    retention::Retention,
    role::VolumeRole,
};

use super::{
    Place,
    place::now,
    shared::*,
    watch::{copy, drill},
};
use crate::{Apply, Catalog, CharterChange, CharterKind, Fault, VolumeRecord};

/// A catalog in which every kind of row is there.
pub(crate) fn fill(catalog: &Catalog) {
    catalog.set_server(&server(1)).unwrap();
    catalog.set_setting("colour", "blue").unwrap();
    let mut nightly = group(2);
    nightly.calendar = Some(Calendar { cron: "0 2 * * 1-5".to_owned(), zone: Some("Europe/Berlin".to_owned()) });
    catalog.put_group(&nightly).unwrap();
    let first = replica_in(catalog, 1);
    let second = replica_in(catalog, 3);
    catalog.set_replica_state(first.id, ReplicaState::Valid, Some("proved")).unwrap();
    catalog.set_replica_state(second.id, ReplicaState::Inconsistent, Some("a file changed")).unwrap();
    let mut dpmdb = source(4, &nightly);
    dpmdb.kind = SourceKind::Dpmdb;
    dpmdb.root = b"DPMDB".to_vec();
    catalog.put_source(&dpmdb).unwrap();
    // A source may have several replicas: one missing, one new.
    let mut missing = replica(5, &source(1, &group(1)), &volume(3));
    missing.state = ReplicaState::Missing;
    catalog.put_replica(&missing).unwrap();
    catalog.put_replica(&replica(6, &dpmdb, &volume(1))).unwrap();
    // A vault, and a group that is protected there.
    let part = VolumeRecord { role: VolumeRole::Vault, location: "az://vault/part".to_owned(), ..volume(7) };
    catalog.put_volume(&part).unwrap();
    let vault = VaultCharter {
        id: VaultId::from_bytes([7; 16]),
        name: "off-site".to_owned(),
        location: "az://vault".to_owned(),
        part: part.id,
        document: "document = \"vault\"\n".to_owned(),
        registered: now(),
    };
    catalog.put_vault(&vault).unwrap();
    nightly.online = Some(Online {
        vault: vault.id,
        retention: Retention { daily: Some(120), ..Retention::default() },
        every_seconds: Some(86_400),
        calendar: None,
    });
    catalog.put_group(&nightly).unwrap();
    catalog.put_copy(&copy("/mnt/usb")).unwrap();
    catalog.put_drill(&drill("/mnt/usb")).unwrap();
    catalog.add_points(&[point(1, &first), point(2, &first), point(3, &second)]).unwrap();
}

fn change(charter: &Charter, change: impl FnOnce(&mut Charter)) -> Charter {
    let mut changed = charter.clone();
    change(&mut changed);
    changed
}

pub(crate) fn a_charter_makes_the_same_charter(place: &Place) {
    let catalog = place.open();
    assert!(matches!(fault(catalog.charter()), Fault::NotFound(_)));
    fill(&catalog);
    let charter = catalog.charter().unwrap();
    assert!(charter.groups.is_sorted_by_key(|g| g.id) && charter.sources.is_sorted_by_key(|s| s.id));
    let states: Vec<_> = charter.replicas.iter().map(|r| (r.state, r.cause.as_deref())).collect();
    let wanted = [
        (None, None),
        (Some(ReplicaState::Inconsistent), Some("a file changed")),
        (Some(ReplicaState::Missing), None),
        (None, None),
    ];
    assert_eq!(states, wanted);
    let json = serde_json::to_string(&charter).unwrap();
    assert_eq!(serde_json::from_str::<Charter>(&json).unwrap(), charter);

    let folder = tempfile::tempdir().unwrap();
    let other = Place::for_sqlite(&folder.path().join("other")).open();
    let applied = other.apply_charter(&charter, Apply::Whole).unwrap();
    assert!(applied.only_here.is_empty());
    assert!(applied.done.iter().all(|(_, change)| *change == CharterChange::Added));
    assert_eq!(other.charter().unwrap(), charter);
    assert_eq!(other.replicas().unwrap()[0].state, ReplicaState::CreationPending);
    assert!(matches!(fault(other.apply_charter(&charter, Apply::Whole)), Fault::Conflict(_)));
    // What it has already changes nothing.
    assert_eq!(catalog.apply_charter(&charter, Apply::Adopt).unwrap(), crate::Applied::default());
}

pub(crate) fn adopting_adds_and_changes_and_deletes_nothing(place: &Place) {
    let catalog = place.open();
    fill(&catalog);
    let charter = catalog.charter().unwrap();
    let only_here = replica_in(&catalog, 9);
    catalog.set_setting("colour", "red").unwrap();
    catalog.remove_copy(copy("").kind, "/mnt/usb").unwrap();
    let first = charter.replicas[0].id;
    catalog.set_replica_state(first, ReplicaState::Stopped, None).unwrap();
    let applied = catalog.apply_charter(&charter, Apply::Adopt).unwrap();
    let done: Vec<_> = applied.done.iter().map(|(row, change)| (row.kind, row.name.as_str(), *change)).collect();
    let wanted = [
        (CharterKind::Setting, "colour", CharterChange::Changed),
        (CharterKind::Replica, "creation-pending", CharterChange::Changed),
        (CharterKind::Copy, "/mnt/usb", CharterChange::Added),
    ];
    assert_eq!(done, wanted);
    let kinds: Vec<_> = applied.only_here.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [CharterKind::Group, CharterKind::Source, CharterKind::Volume, CharterKind::Replica]);
    assert!(catalog.replicas().unwrap().contains(&only_here));
    let again = catalog.apply_charter(&charter, Apply::Adopt).unwrap();
    assert_eq!((again.done.len(), again.only_here.len()), (0, 4));
    // States that were found stay as they are, where the charter gives none.
    catalog.set_replica_state(first, ReplicaState::Inconsistent, Some("found")).unwrap();
    assert!(catalog.apply_charter(&charter, Apply::Adopt).unwrap().done.is_empty());
    // A charter that cannot be applied changes nothing at all.
    let broken = change(&charter, |c| {
        c.settings.insert("new".to_owned(), "value".to_owned());
        c.sources[0].root_bytes = "xyz".to_owned();
    });
    assert!(catalog.apply_charter(&broken, Apply::Adopt).unwrap_err().to_string().contains("xyz"));
    assert_eq!(catalog.setting("new").unwrap(), None);
}

pub(crate) fn names_of_groups_may_be_exchanged(place: &Place) {
    let catalog = place.open();
    catalog.set_server(&server(1)).unwrap();
    catalog.put_group(&group(1)).unwrap();
    catalog.put_group(&group(2)).unwrap();
    let exchanged = change(&catalog.charter().unwrap(), |charter| {
        charter.groups[0].name = "Group 2".to_owned();
        charter.groups[1].name = "Group 1".to_owned();
    });
    catalog.apply_charter(&exchanged, Apply::Adopt).unwrap();
    assert_eq!(catalog.charter().unwrap(), exchanged);
    // One that only the catalog knows gives way with its name.
    let taken = change(&exchanged, |charter| charter.groups[1].id = group(7).id);
    let applied = catalog.apply_charter(&taken, Apply::Adopt).unwrap();
    assert_eq!(applied.done.len(), 2);
    let names: Vec<_> = catalog.groups().unwrap().into_iter().map(|group| group.name).collect();
    assert_eq!(names, ["Group 1", "Group 1 2", "Group 2"]);
    assert!(catalog.apply_charter(&taken, Apply::Adopt).unwrap().done.is_empty());
}

pub(crate) fn the_charter_of_another_server_is_refused(place: &Place) {
    let catalog = place.open();
    fill(&catalog);
    let charter = change(&catalog.charter().unwrap(), |charter| charter.server.id = server(2).id);
    assert!(matches!(fault(catalog.apply_charter(&charter, Apply::Adopt)), Fault::Conflict(_)));
    let moved = change(&catalog.charter().unwrap(), |charter| charter.replicas[0].volume = volume(3).id);
    assert!(matches!(fault(catalog.apply_charter(&moved, Apply::Adopt)), Fault::Conflict(_)));
}
