use serde_json::{Value, json};

use super::*;

/// What is printed of these items, where `failure` ends the list.
fn printed(key: Option<&str>, items: &[&str], failure: Option<&Failure>) -> String {
    let mut bytes = Vec::new();
    let mut list = List::new(&mut bytes, key);
    for item in items {
        list.item(item, &|line: &mut String, item: &&str| *line = format!("<{item}>"));
    }
    list.end(failure).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn document(items: &[&str], failure: Option<&Failure>) -> Value {
    serde_json::from_str(&printed(Some("entries"), items, failure)).unwrap()
}

#[test]
fn a_list_is_one_document() {
    assert_eq!(document(&[], None), json!({"entries": []}));
    assert_eq!(document(&["a"], None), json!({"entries": ["a"]}));
    assert_eq!(document(&["a", "b\"\n"], None), json!({"entries": ["a", "b\"\n"]}));
}

#[test]
fn a_failure_midway_is_in_the_same_document() {
    let failure = Failure::new("volume-damaged", "a page is gone", "mend it");
    let value = document(&["a"], Some(&failure));
    assert_eq!(value["entries"], json!(["a"]));
    assert_eq!(value["error"]["code"], "volume-damaged");
    // Before anything was said the failure is the whole document, which the caller prints.
    assert_eq!(printed(Some("entries"), &[], Some(&failure)), "");
}

#[test]
fn people_get_a_line_for_each() {
    assert_eq!(printed(None, &["a", "b"], None), "<a>\n<b>\n");
    assert_eq!(printed(None, &[], None), "");
}

/// Takes so many bytes and then fails.
struct Narrow(usize, io::ErrorKind);

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(self.1.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_behind_standard_output_is_told() {
    let mut list = List::new(Narrow(100, io::ErrorKind::StorageFull), Some("entries"));
    for _ in 0..100_000 {
        list.item(&"item", &|_: &mut String, _: &&str| {});
    }
    let error = list.end(None).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    let failure = cannot_write(&error);
    assert!(failure.message.contains("standard output") && !failure.remedy.is_empty());
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    assert!(quiet_if_closed(Err(io::ErrorKind::BrokenPipe.into())).is_ok());
    assert!(quiet_if_closed(Err(io::ErrorKind::StorageFull.into())).is_err());
}
