use super::*;

#[test]
fn an_id_survives_its_text_form() {
    let id = PointId::from_random([7; 16]);
    assert_eq!(id.to_string().parse::<PointId>(), Ok(id));
    assert_eq!(PointId::from_bytes(*id.as_bytes()), id);
}

#[test]
fn text_that_is_no_id_is_named() {
    let error = "zebra".parse::<VolumeId>().err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("`zebra` is not a volume id"), "{error}");
}

#[test]
fn a_prefix_must_name_exactly_one() {
    let ids = ["aabb", "aacc", "dd"];
    assert_eq!(by_prefix("AAB", ids, |s| s.to_string()), Ok("aabb"));
    assert_eq!(by_prefix("aa", ids, |s| s.to_string()), Err(PrefixError::Ambiguous { prefix: "aa".into(), count: 2 }));
    assert_eq!(by_prefix("x", ids, |s| s.to_string()), Err(PrefixError::None("x".into())));
    assert_eq!(by_prefix("", ids, |s| s.to_string()), Err(PrefixError::None("".into())));
}
