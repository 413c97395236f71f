use super::*;

const NOTHING: &dyn Fn(&str) -> Option<String> = &|_| None;

#[test]
fn every_form_is_taken_and_shown_in_one_way() {
    let forms = [
        ("https://acct.blob.core.windows.net/box/a/b", "https://acct.blob.core.windows.net/box/a/b"),
        ("HTTPS://Acct.Blob.Core.Windows.Net/box/a/b/", "https://acct.blob.core.windows.net/box/a/b"),
        ("https://acct.blob.core.chinacloudapi.cn/box", "https://acct.blob.core.chinacloudapi.cn/box"),
        ("az://box/a", "az://box/a"),
        ("az+http://127.0.0.1:10000/devstoreaccount1/box", "az+http://127.0.0.1:10000/devstoreaccount1/box"),
        ("http://127.0.0.1:10000/devstoreaccount1/box/p", "az+http://127.0.0.1:10000/devstoreaccount1/box/p"),
        ("az+https://store.lan/acct/box", "az+https://store.lan/acct/box"),
        ("s3://bucket", "s3://bucket"),
        ("s3://bucket/", "s3://bucket"),
        ("s3+http://[::1]:8333/bucket/x", "s3+http://[::1]:8333/bucket/x"),
        ("s3+https://store.lan/bucket/x", "s3+https://store.lan/bucket/x"),
    ];
    for (text, shown) in forms {
        let place = ObjectPlace::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(place.to_string(), shown);
        fuzz_place(text.as_bytes());
    }
}

#[test]
fn what_is_no_place_is_refused_with_the_forms_there_are() {
    let refused = [
        "s3://",
        "s3:///x",
        "s3://bucket//x",
        "s3://bucket/../x",
        "s3://bucket/./x",
        "s3://..",
        "s3://a b/x",
        "s3://b/a b",
        "s3://b/%2e%2e",
        "ftp://b/x",
        "http://host/bucket",
        "https://example.com/x",
        "https://blob.core.windows.net/x",
        "az+http://host/ACCT/box",
        "az+http://host:0/acct/box",
        "az+http://host:1e5/acct/box",
        "az+http:///acct/box",
        "az+http://host/acct",
        "s3+http://h:99999/b",
        "/a/path",
        "s3://b/x\ny",
        "s3://-b-",
        "https://a.blob./c",
    ];
    for text in refused {
        let error = ObjectPlace::parse(text).expect_err(text).to_string();
        assert!(error.contains("forms: "), "{text}: {error}");
    }
    let error = ObjectPlace::parse("https://a.blob.core.windows.net/c?sig=hunter2").unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn an_url_is_told_from_a_path() {
    assert!(["s3://b", "az+http://h/a/c", "ftp://x"].into_iter().all(ObjectPlace::is_url));
    assert!(!["/srv/s3", "file:///srv", "./a://b", "srv", "://", "FILE:///x"].into_iter().any(ObjectPlace::is_url));
}

#[test]
fn a_place_is_settled_by_the_environment_where_it_leaves_something_open() {
    let env = |name: &str| match name {
        "AWS_ENDPOINT_URL" => Some("http://127.0.0.1:9/".to_owned()),
        "AZURE_STORAGE_ACCOUNT" => Some("acct".to_owned()),
        _ => None,
    };
    let settled = |text: &str| ObjectPlace::parse(text).unwrap().settled(&env).unwrap().to_string();
    assert_eq!(settled("s3://b/p"), "s3+http://127.0.0.1:9/b/p");
    assert_eq!(settled("s3+https://other/b/p"), "s3+https://other/b/p");
    assert_eq!(settled("az://c/p"), "https://acct.blob.core.windows.net/c/p");
    assert_eq!(ObjectPlace::parse("s3://b").unwrap().settled(NOTHING).unwrap().to_string(), "s3://b");
    let specific = |name: &str| match name {
        "AWS_ENDPOINT_URL_S3" => Some("https://s3.lan".to_owned()),
        name => env(name),
    };
    let place = ObjectPlace::parse("s3://b").unwrap().settled(&specific).unwrap();
    assert_eq!(place.to_string(), "s3+https://s3.lan/b");
    assert!(ObjectPlace::parse("s3://b").unwrap().settled(&|_| Some("nonsense".to_owned())).is_err());
}

#[test]
fn joining_goes_down_and_never_elsewhere() {
    let place = ObjectPlace::parse("s3://b").unwrap().join("servers/1").unwrap();
    assert_eq!(place.to_string(), "s3://b/servers/1");
    assert_eq!(place.join("x").unwrap().to_string(), "s3://b/servers/1/x");
    assert!(["", "..", "/x", "a//b", "a/../.."].iter().all(|below| place.join(below).is_err()));
}
