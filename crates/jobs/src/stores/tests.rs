use super::*;

const VAULT: &str = "s3+http://127.0.0.1:9/bucket/vault";

fn stores(places: &[(&str, TransferLimits)]) -> Stores {
    let limits = places.iter().map(|(place, limits)| PlaceLimits { place: (*place).to_owned(), limits: *limits });
    Stores { variable: |_| None, directory: PathBuf::new(), known: Vec::new(), limits: limits.collect() }
}

#[test]
fn limits_hold_for_a_place_and_below_it_and_are_kept_together() {
    let slow = TransferLimits {
        up_bytes_per_second: Some(1 << 20),
        down_bytes_per_second: Some(2 << 20),
        requests_at_once: Some(3),
    };
    let slower = TransferLimits { up_bytes_per_second: Some(1 << 16), ..TransferLimits::default() };
    let inner = format!("{VAULT}/inner");
    let stores = stores(&[(VAULT, slow), (&inner, slower)]);
    let of = |url: &str| stores.limits(&ObjectPlace::parse(url).unwrap());
    for url in [VAULT.to_owned(), format!("{VAULT}/servers/1")] {
        let limits = of(&url);
        assert_eq!(limits.shared_by.as_deref(), Some(VAULT));
        assert_eq!((limits.up_bytes_per_second, limits.down_bytes_per_second), (Some(1 << 20), Some(2 << 20)));
        assert_eq!(limits.requests_at_once, 3);
        assert!(limits.fit());
    }
    let limits = of(&format!("{inner}/servers/1"));
    assert_eq!((limits.up_bytes_per_second, limits.down_bytes_per_second), (Some(1 << 16), None));
    assert_eq!(limits.requests_at_once, Limits::default().requests_at_once);
    for other in [format!("{VAULT}-2/servers/1"), "s3+http://127.0.0.1:9/bucket".to_owned()] {
        assert_eq!(of(&other), Limits::default(), "{other}");
    }
}
