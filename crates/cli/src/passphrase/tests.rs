use std::{fs, os::unix::fs::PermissionsExt};

use super::*;

fn read(bytes: &[u8]) -> Result<Passphrase, Failure> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("passphrase");
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    from_file(&path, &Output::plain(false))
}

#[test]
fn one_newline_at_the_end_is_not_part_of_it() {
    for (bytes, expected) in [
        (&b"secret"[..], &b"secret"[..]),
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b" two words \n", b" two words "),
        (b"ends with two\n\n", b"ends with two\n"),
        (b"\xff\x00\n", b"\xff\x00"),
    ] {
        assert_eq!(read(bytes).unwrap().as_slice(), expected);
    }
    let longest = vec![b'x'; LENGTH_MAX];
    assert_eq!(read(&[&longest[..], b"\r\n"].concat()).unwrap().len(), LENGTH_MAX);
}

#[test]
fn what_is_no_passphrase_is_refused_with_a_remedy() {
    for bytes in [&b""[..], b"\n", b"\r\n", &[b'x'; LENGTH_MAX + 1]] {
        let failure = read(bytes).unwrap_err();
        assert!(failure.message.contains("passphrase") && failure.remedy.contains("--passphrase-file"), "{failure:?}");
    }
    let gone = from_file(Path::new("/no/such/file"), &Output::plain(false)).unwrap_err();
    assert!(gone.message.contains("/no/such/file"), "{gone:?}");
}

#[test]
fn the_option_comes_before_the_variable() {
    let (option, variable) = (Path::new("a"), Some(OsString::from("b")));
    assert_eq!(file_named(Some(option), variable.clone()), Some("a".into()));
    assert_eq!(file_named(None, variable), Some("b".into()));
    assert_eq!(file_named(None, Some(OsString::new())), None);
}

#[test]
fn typing_can_be_corrected_and_given_up() {
    let typed = |bytes: &[u8]| read_line(&mut &bytes[..]).unwrap().map(|line| line.to_vec());
    assert_eq!(typed(b"secret\nrest"), Some(b"secret".to_vec()));
    assert_eq!(typed(b"sx\x7fecret\r"), Some(b"secret".to_vec()));
    assert_eq!(typed("wrong\u{15}gr\u{fc}n\u{8}\u{8}\u{f6}n\n".as_bytes()), Some("gr\u{f6}n".into()));
    assert_eq!(typed(b"\x7f\x7fok\n"), Some(b"ok".to_vec()));
    assert_eq!(typed(b"half\x03"), None, "^C");
    assert_eq!(typed(b"\x04"), None, "^D");
    assert_eq!(typed(b""), None);
    assert_eq!(typed(b"no newline"), Some(b"no newline".to_vec()));
}
