use clap::{CommandFactory, Parser};
use resurgam_jobs::Conflict;
use resurgam_model::retention::Retention;

use super::*;

fn parse(line: &str) -> Result<Command, clap::Error> {
    Cli::try_parse_from(line.split(' ')).map(|cli| cli.command)
}

fn refused(line: &str) -> String {
    parse(line).map(|command| panic!("`{line}` was taken as {command:?}")).unwrap_err().to_string()
}

#[test]
fn the_arguments_do_not_contradict_one_another() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_of_the_contract_is_read() {
    for line in [
        "protect /etc",
        "protect a b --group G --pool P --keep 14d --every 1h --exclude *.tmp --exclude-caches --one-file-system",
        "backup",
        "backup --group G --consistency-check",
        "backup --source /etc",
        "points --source /etc",
        "ls latest",
        "ls 0123abcd a/b --recursive",
        "find *.conf --source /etc",
        "diff 01 02",
        "sources",
        "status",
        "jobs --limit 3",
        "recover latest --to /tmp/x",
        "recover 01 a/b c --original --conflict skip --no-owner",
        "verify",
        "verify --read-data",
        "verify --read-data 10 --repair",
        "verify --online --repair",
        "expire --dry-run",
        "expire --point 01 --point 02",
        "prune --dry-run",
        "pool add /mnt/backup --passphrase",
        "pool list",
        "pool remove 01",
        "group create G --keep-daily 7 --every 1d",
        "group list",
        "group show G",
        "group set G --keep-all --no-every",
        "group remove G",
        "source add /srv --group G",
        "source remove /srv --delete-points",
        "source set /srv --keep-last 3 --exclude *.o",
        "source set /srv --keep-as-group --exclude-nothing",
        "reader points V",
        "reader ls V latest a --source /etc",
        "reader recover V 01 a/b --to /tmp/x --conflict overwrite",
        "completions bash",
        "man --out /tmp/man",
    ] {
        parse(&format!("resurgam {line}")).unwrap_or_else(|error| panic!("{line}: {error}"));
        parse(&format!("resurgam --home H --json {line} -v --passphrase-file F"))
            .unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (line, thing) in [
        ("protect", "PATH"),
        ("protect x --keep banana", "banana"),
        ("protect x --keep 0d", "--keep"),
        ("protect x --keep 3m", "minutes or months"),
        ("protect x --every -3h", "-3h"),
        ("protect x --keep-last -1", "-1"),
        ("protect x --cross-file-systems --one-file-system", "--one-file-system"),
        ("recover 01", "--to"),
        ("recover 01 --to a --original", "--original"),
        ("recover 01 --to a --conflict maybe", "maybe"),
        ("verify --read-data 250", "250"),
        ("verify --read-data 0", "0"),
        ("backup --group G --source S", "--source"),
        ("group set G --keep-all --keep 1d", "--keep"),
        ("-v -q sources", "--quiet"),
        ("frobnicate", "frobnicate"),
    ] {
        let text = refused(&format!("resurgam {line}"));
        assert!(text.contains(thing), "`{thing}` is not named: {text}");
    }
}

#[test]
fn retention_options_make_a_policy() {
    let Command::Protect(protect) = parse("resurgam protect x --keep 14d --keep-last 3 --keep-yearly 2").unwrap()
    else {
        panic!()
    };
    let expected =
        Retention { within_seconds: Some(14 * 86_400), last: Some(3), yearly: Some(2), ..Retention::default() };
    assert_eq!(protect.keep.retention(), Ok(Some(expected)));
    let Command::Protect(protect) = parse("resurgam protect x").unwrap() else { panic!() };
    assert_eq!((protect.keep.retention(), protect.every.every), (Ok(None), None));
    let Command::Protect(protect) = parse("resurgam protect x --keep-last 0").unwrap() else { panic!() };
    assert!(protect.keep.retention().is_err(), "it would keep nothing");
}

#[test]
fn words_of_conflict_reach_the_engine() {
    for (option, expected) in [
        ("", Conflict::Refuse),
        (" --conflict overwrite", Conflict::Overwrite),
        (" --conflict skip", Conflict::Skip),
        (" --conflict copy", Conflict::Copy),
    ] {
        let Command::Recover(recover) = parse(&format!("resurgam recover 01 --original{option}")).unwrap() else {
            panic!()
        };
        assert_eq!(recover.how.conflict(), expected);
    }
}

#[test]
fn a_share_of_the_data_may_be_named() {
    for (line, expected) in [("verify", None), ("verify --read-data", Some(100)), ("verify --read-data 5", Some(5))] {
        let Command::Verify(verify) = parse(&format!("resurgam {line}")).unwrap() else { panic!() };
        assert_eq!(verify.read_data, expected, "{line}");
    }
}

#[test]
fn json_is_asked_for_anywhere_before_the_double_dash() {
    let ask = |line: &str| ask_for_json(&line.split(' ').map(Into::into).collect::<Vec<_>>());
    assert!(ask("resurgam --json frobnicate") && ask("resurgam ls --json"));
    assert!(!ask("resurgam ls") && !ask("resurgam protect -- --json") && !ask("--json"));
}

#[test]
fn staying_on_one_file_system_counts_as_a_selection() {
    let Command::Source(SourceCommand::Set(set)) = parse("resurgam source set /a --one-file-system").unwrap() else {
        panic!()
    };
    assert!(set.leave.is_given() && !set.leave.selection().cross_file_systems);
    let Command::Source(SourceCommand::Set(set)) = parse("resurgam source set /a --keep-last 1").unwrap() else {
        panic!()
    };
    assert!(!set.leave.is_given());
}
