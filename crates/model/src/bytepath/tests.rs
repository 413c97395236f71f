use proptest::prelude::*;

use super::*;

fn path(text: &str) -> BytePath {
    BytePath::from_typed(text.as_bytes()).unwrap_or_default()
}

#[test]
fn a_directory_stands_before_all_that_lies_below_it_and_that_together() {
    let mut paths = [path("a.b"), path("a/b"), path("a"), path("a-b"), path(""), path("a/b/c"), path("b")];
    paths.sort();
    let shown: Vec<String> = paths.iter().map(ToString::to_string).collect();
    assert_eq!(shown, [".", "a", "a/b", "a/b/c", "a-b", "a.b", "b"]);
}

#[test]
fn what_is_no_path_is_refused() {
    for bad in ["a//b", "../a", "a/..", "/a", "a/", "a\0b"] {
        assert!(BytePath::new(bad.as_bytes().to_vec()).is_err(), "{bad:?}");
    }
    assert!(BytePath::from_typed(b"a/../b").is_err());
    assert_eq!(path("/a//./b/").to_string(), "a/b");
}

#[test]
fn every_byte_is_shown() {
    assert_eq!(escape(b"caf\xc3\xa9 \xff\n\\"), "café \\xff\\x0a\\x5c");
}

#[test]
fn containing_goes_by_components() {
    assert!(path("a").contains(&path("a/b")));
    assert!(path("a").contains(&path("a")));
    assert!(!path("a").contains(&path("ab")));
    assert!(path("").contains(&path("x")));
    assert_eq!(path("a/b/c").parent(), Some(path("a/b")));
    assert_eq!(path("a").parent(), Some(path("")));
    assert_eq!(path("").parent(), None);
}

proptest! {
    #[test]
    fn the_order_is_that_of_comparing_components(a in "[a-c/.-]{0,8}", b in "[a-c/.-]{0,8}") {
        if let (Ok(a), Ok(b)) = (BytePath::from_typed(a.as_bytes()), BytePath::from_typed(b.as_bytes())) {
            let by_components = a.components().cmp(b.components());
            prop_assert_eq!(a.cmp(&b), by_components);
        }
    }
}
