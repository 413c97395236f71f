//! Given up, put back, purged: and collected in between.

use std::sync::Arc;

use resurgam_model::{PointId, Timestamp};

use crate::{
    Cancel,
    backend::{Backend, memory::Memory},
    collect::{Collect, collect},
    copy::tests::{copy, new_part},
    tests::{files, new_volume, place, point, restore, signing},
};

fn id(byte: u8) -> PointId {
    PointId::from_random([byte; 16])
}

#[test]
fn a_point_that_was_given_up_comes_back_whole_until_it_is_purged() {
    let (pool, part) = (new_volume(Arc::new(Memory::default())), new_part(Arc::new(Memory::default())));
    copy(&pool, &part, &point(&pool, 1, &files(0, 80)), 11).unwrap();
    copy(&pool, &part, &point(&pool, 2, &files(500, 80)), 12).unwrap();
    let now = Timestamp::UNIX_EPOCH;
    part.set_deleted(&place(), id(11), now, &signing()).unwrap();
    part.set_deleted(&place(), id(11), now, &signing()).unwrap();
    assert_eq!(part.point_names().unwrap(), [(place(), id(12))]);
    assert_eq!(part.deleted_names().unwrap(), [(place(), id(11))]);
    assert_eq!(part.deleted_point(&place(), id(11)).unwrap().deleted, now);

    collect(&part, &Collect::default(), &Cancel::default()).unwrap();
    let found = part.undelete(&place(), id(11)).unwrap();
    assert_eq!(found.text.point, id(11));
    assert_eq!(restore(&part, 11).unwrap(), files(0, 80));
    assert!(part.deleted_names().unwrap().is_empty());

    part.set_deleted(&place(), id(11), now, &signing()).unwrap();
    part.purge(&place(), id(11)).unwrap();
    let done = collect(&part, &Collect::default(), &Cancel::default()).unwrap();
    assert!(done.deleted > 0, "{done:?}");
    assert!(restore(&part, 11).is_err());
    assert_eq!(restore(&part, 12).unwrap(), files(500, 80));
}

#[test]
fn a_deleted_point_is_believed_only_with_its_signatures_and_in_its_place() {
    let memory = Arc::new(Memory::default());
    let (pool, part) = (new_volume(Arc::new(Memory::default())), new_part(Arc::clone(&memory) as _));
    copy(&pool, &part, &point(&pool, 1, &files(0, 8)), 11).unwrap();
    part.set_deleted(&place(), id(11), Timestamp::UNIX_EPOCH, &signing()).unwrap();
    let name = memory.list("deleted/").unwrap().remove(0).name;
    let mut bytes = vec![0; memory.length(&name).unwrap() as usize];
    memory.read_at(&name, 0, &mut bytes).unwrap();
    let other = name.replace(&id(11).to_string(), &id(13).to_string());
    memory.replace(&other, &bytes).unwrap();
    assert!(part.deleted_point(&place(), id(13)).is_err_and(|error| error.is_damage()));
    // What needs it cannot be told, so nothing is collected.
    assert!(collect(&part, &Collect::default(), &Cancel::default()).is_err());
    memory.delete(&other).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    memory.replace(&name, &bytes).unwrap();
    assert!(part.undelete(&place(), id(11)).is_err_and(|error| error.is_damage()));
}
