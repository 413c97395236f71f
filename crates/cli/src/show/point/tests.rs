use resurgam_model::{
    PointId, ReplicaId, SourceId, VolumeId,
    point::{PointKind, PointState},
};

use super::*;

fn point(first: u8, last: u8) -> Point {
    let mut id = [0x11; 16];
    (id[0], id[15]) = (first, last);
    Point {
        id: PointId::from_bytes(id),
        source: "/etc".to_owned(),
        source_id: SourceId::from_bytes([1; 16]),
        replica: ReplicaId::from_bytes([2; 16]),
        volume: VolumeId::from_bytes([3; 16]),
        time: "2026-11-22T17:01:29Z".parse().unwrap(),
        kind: PointKind::ExpressFull,
        files: 1_234,
        bytes: 12 << 20,
        added_bytes: 1536,
        state: PointState::Partial,
        online: false,
    }
}

#[test]
fn a_point_is_one_line() {
    let text = table(&[point(0xab, 0)], &TimeZone::UTC, false);
    let line = text.lines().nth(1).unwrap();
    assert_eq!(line, "ab111111  2026-11-22 17:01:29 UTC  /etc    1,234  12 MiB  1.5 KiB  partial");
}

#[test]
fn ids_are_short_until_they_could_be_mixed_up() {
    let apart = table(&[point(0xab, 0), point(0xac, 0)], &TimeZone::UTC, false);
    assert!(apart.contains("ab111111  ") && apart.contains("ac111111  "), "{apart}");
    let alike = table(&[point(0xab, 0x01), point(0xab, 0x02)], &TimeZone::UTC, false);
    assert!(alike.contains("ab111111-1111-1111-1111-111111111101  "), "{alike}");
    assert_eq!(id_length(&[]), 8);
    assert_eq!(id_length(&["12345678a".into(), "12345678b".into(), "9".into()]), 9);
    assert_eq!(id_length(&["same".into(), "same".into()]), 8, "a point listed twice is no ambiguity");
}

#[test]
fn whole_ids_come_with_the_volume() {
    let text = table(&[point(0xab, 0)], &TimeZone::UTC, true);
    assert!(text.contains("ab111111-1111-1111-1111-111111111100") && text.contains("03030303-"), "{text}");
}
