use resurgam_model::{SourceId, report::Failed};

use super::*;

#[test]
fn a_source_without_a_point_makes_the_command_fail_and_is_in_its_document() {
    assert!(failure(&BackupReport::default()).is_none());
    let failed = Failed {
        source: "/a".to_owned(),
        source_id: SourceId::from_bytes([1; 16]),
        error: "it is not there".to_owned(),
    };
    let report = BackupReport { failed: vec![failed], ..BackupReport::default() };
    let failure = failure(&report).unwrap();
    assert_eq!(failure.exit, 1);
    assert!(failure.message.contains("/a: it is not there"), "{}", failure.message);
    let document = BackupDocument { report: &report, error: Some(failure.body()) };
    let value = serde_json::to_value(&document).unwrap();
    assert_eq!((&value["failed"][0]["source"], &value["error"]["code"]), (&"/a".into(), &"sources-failed".into()));
    assert!(value["points"].is_array() && value["unread"].is_array());
}
