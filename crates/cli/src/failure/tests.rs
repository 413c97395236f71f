use clap::Parser;

use super::*;
use crate::args::Cli;

fn usage(line: &str) -> Failure {
    Failure::usage(&Cli::try_parse_from(line.split(' ')).unwrap_err())
}

#[test]
fn every_refused_argument_makes_one_line_and_a_remedy() {
    for line in [
        "resurgam",
        "resurgam frobnicate",
        "resurgam recover",
        "resurgam recover 01",
        "resurgam protect x --keep 3m",
        "resurgam pool",
    ] {
        let failure = usage(line);
        assert_eq!((failure.code.as_str(), failure.exit), ("usage", 2), "{line}");
        let text = failure.text(false);
        assert_eq!(text.lines().count(), 2, "{text}");
        assert!(text.starts_with("resurgam: ") && text.contains("\n  remedy: "), "{text}");
        assert!(!failure.message.is_empty() && !failure.message.starts_with("error"), "{text}");
    }
    assert!(usage("resurgam protekt x").remedy.contains("protect"), "a near miss is offered");
    assert!(usage("resurgam recover 01").remedy.contains("usage: resurgam recover"));
}

#[test]
fn the_document_has_the_three_keys() {
    let failure = Failure::new("volume-full", "the \"disk\" is full", "free some");
    let value = serde_json::to_value(failure.document()).unwrap();
    let expected =
        serde_json::json!({"error": {"code": "volume-full", "message": "the \"disk\" is full", "remedy": "free some"}});
    assert_eq!(value, expected);
}

#[test]
fn the_engines_code_message_and_remedy_are_kept() {
    let request =
        JobError::Request { code: "no-such-point", message: "no point 01".to_owned(), remedy: "list them".to_owned() };
    let failure = Failure::from(request);
    assert_eq!((failure.code.as_str(), failure.exit), ("no-such-point", 1));
    assert_eq!(failure.text(false), "resurgam: no point 01\n  remedy: list them\n");
    let silent = JobError::Request { code: "x", message: "y".to_owned(), remedy: String::new() };
    assert!(!Failure::from(silent).remedy.is_empty(), "there is always something to do");
}

#[test]
fn causes_are_for_those_who_ask() {
    let mut failure = Failure::new("x", "y", "z");
    failure.causes.push("the root of it".to_owned());
    assert!(!failure.text(false).contains("root of it") && failure.text(true).contains("because: the root of it"));
}
