use std::os::unix::ffi::OsStringExt;

use super::*;

#[test]
fn ids_stay_as_they_are() {
    for id in ["0b8e5f0e", "0b8e5f0e-4f4e-4c39-9f57-3f6fd0a6d1c2", "not-an-id"] {
        assert_eq!(path_or_id(OsStr::new(id)), id);
    }
}

#[test]
fn one_path_has_one_name_however_it_is_typed() {
    for typed in ["/etc", "/etc/", "//etc", "/etc/.", "/./etc"] {
        assert_eq!(path_or_id(OsStr::new(typed)), "/etc", "{typed}");
    }
    let here = std::env::current_dir().unwrap();
    assert_eq!(path_or_id(OsStr::new(".")), here.to_str().unwrap());
    assert_eq!(path_or_id(OsStr::new("./src")), here.join("src").to_str().unwrap());
    // Something that is there, and cannot be an id.
    assert_eq!(path_or_id(OsStr::new("src")), here.join("src").to_str().unwrap());
}

#[test]
fn strange_bytes_are_named_as_lists_show_them() {
    let strange = std::ffi::OsString::from_vec(b"/a\xff\n".to_vec());
    assert_eq!(path_or_id(&strange), "/a\\xff\\x0a");
    assert_eq!(path_or_id(OsStr::new("/a\\xff\\x0a")), "/a\\xff\\x0a", "copied from a list");
}
