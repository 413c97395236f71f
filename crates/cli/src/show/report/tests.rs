use resurgam_model::{
    PointId, SourceId,
    report::{Damage, Paused},
};

use super::*;

#[test]
fn a_recovery_says_how_much_and_where() {
    let report = RecoverReport { files: 2, bytes: 1536, skipped: 1, unproved: Vec::new() };
    assert_eq!(
        recovered(&report, "/tmp/x"),
        "Recovered 2 files, 1.5 KiB, to /tmp/x.\n1 entry was there already and left alone.\n"
    );
}

#[test]
fn damage_is_named_and_what_to_do_next() {
    let damage = |mended| Damage { object: "packs/00/x".to_owned(), what: "page 3".to_owned(), mended };
    let sound = VerifyReport { checked_bytes: 1024, ..VerifyReport::default() };
    assert_eq!(verified(&sound, true, false), "Checked 1.0 KiB: all of it is sound.\n");
    assert!(
        verified(&sound, false, false).contains("not the data itself"),
        "a quick look is not called more than that"
    );
    let mended = VerifyReport { damage: vec![damage(true)], ..sound.clone() };
    assert!(verified(&mended, true, true).contains("nothing left to mend"));
    let bad =
        VerifyReport { damage: vec![damage(false)], affected_points: vec![PointId::from_bytes([7; 16])], ..sound };
    let (found, repaired) = (verified(&bad, true, false), verified(&bad, true, true));
    assert!(
        found.contains("DAMAGED  packs/00/x: page 3") && found.contains("--repair") && found.contains("07070707-"),
        "{found}"
    );
    assert!(repaired.contains("--consistency-check") && !repaired.contains("--repair"), "{repaired}");
}

#[test]
fn a_dry_run_never_sounds_like_a_deed() {
    let report = ExpireReport {
        expired: Vec::new(),
        kept: 3,
        paused: vec![Paused {
            source_id: SourceId::from_bytes([1; 16]),
            source: "/etc".to_owned(),
            reason: "no new point".to_owned(),
        }],
    };
    let text = expired(&report, true, &TimeZone::UTC, false);
    assert!(
        text.contains("0 points would be given up, 3 kept") && text.contains("Held back for /etc: no new point"),
        "{text}"
    );
    let prune = PruneReport { packs_deleted: 1, freed_bytes: 2048, packs_waiting: 2, ..PruneReport::default() };
    assert_eq!(pruned(&prune, true).matches("would be").count(), 2);
    let real = pruned(&prune, false);
    assert!(!real.contains("would") && real.contains("1 pack deleted") && real.contains("2 packs wait"), "{real}");
}
