use super::*;

fn at(given: Option<&str>, variables: &[(&str, &str)], is_root: bool) -> Result<PathBuf, Failure> {
    let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| OsString::from(value));
    locate(given.map(Path::new), variable, is_root)
}

#[test]
fn the_nearest_word_counts() {
    let all = [("RESURGAM_HOME", "/env"), ("XDG_DATA_HOME", "/data"), ("HOME", "/home/u")];
    for (given, variables, is_root, expected) in [
        (Some("/given"), &all[..], true, "/given"),
        (None, &all[..], true, "/env"),
        (None, &all[1..], true, "/var/lib/resurgam"),
        (None, &all[1..], false, "/data/resurgam"),
        (None, &all[2..], false, "/home/u/.local/share/resurgam"),
        (None, &[("RESURGAM_HOME", ""), ("XDG_DATA_HOME", ""), ("HOME", "/h")], false, "/h/.local/share/resurgam"),
        (None, &[("XDG_DATA_HOME", "relative"), ("HOME", "/h")], false, "/h/.local/share/resurgam"),
    ] {
        assert_eq!(at(given, variables, is_root).unwrap(), Path::new(expected));
    }
}

#[test]
fn a_relative_home_is_made_absolute() {
    assert!(at(Some("h"), &[], false).unwrap().is_absolute());
}

#[test]
fn without_any_place_it_says_what_to_give() {
    let failure = at(None, &[], false).unwrap_err();
    assert!(failure.remedy.contains("--home") && failure.exit == 2, "{failure:?}");
}
