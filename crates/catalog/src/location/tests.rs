use super::*;

#[test]
fn a_path_or_a_url_is_told_apart() {
    let sqlite = |path: &str| Ok(Location::Sqlite(PathBuf::from(path)));
    assert_eq!("/var/lib/resurgam/DPMDB".parse(), sqlite("/var/lib/resurgam/DPMDB"));
    assert_eq!("sqlite:///x/DPMDB".parse(), sqlite("/x/DPMDB"));
    assert_eq!("sqlite:DPMDB".parse(), sqlite("DPMDB"));
    assert_eq!("./odd://name".parse(), sqlite("./odd://name"));
    for url in ["postgres://u@h/DPMDB", "postgresql:///x?host=/run", "POSTGRES://h"] {
        assert_eq!(url.parse(), Ok(Location::Postgres { url: url.to_owned() }));
    }
    for bad in ["", "mysql://u:secret@h/x", "sqlite://", "a\0b"] {
        let error = bad.parse::<Location>().unwrap_err().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_password_is_never_shown() {
    let cases = [
        ("postgres://me:secret@host:5432/DPMDB", "postgres://me:***@host:5432/DPMDB"),
        ("postgres://me:se@cret@host/DPMDB", "postgres://me:***@host/DPMDB"),
        ("postgres://me@host/DPMDB?password=secret&a=b", "postgres://me@host/DPMDB?password=***&a=b"),
        ("postgres://host/DPMDB?sslpassword=secret", "postgres://host/DPMDB?sslpassword=***"),
        ("postgres://host/DPMDB", "postgres://host/DPMDB"),
    ];
    for (url, shown) in cases {
        let location: Location = url.parse().unwrap();
        assert_eq!(location.to_string(), shown);
        assert_eq!(format!("{location:?}"), format!("Location({shown})"));
    }
}
