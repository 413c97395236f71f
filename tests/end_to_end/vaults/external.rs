//! Another server of the vault recovers what the first has protected there; and credentials that do not count.

use std::{fs, path::Path, process::Command};

use resurgam_tests::{
    Outcome, Part, Program, Scene, Service, Store, args, assert_same, is_present, parts::run_tool, plain_tree,
};

use super::{Owner, Protected, at_another_time, secret};

on_each_store!(another_server_recovers_catalog_and_files, credentials_that_do_not_count_are_refused_each_by_its_name);

/// What another server does with the credentials in a file.
fn add(store: &Store, program: &Program, credentials: &Path) -> Outcome {
    store.opened_by(program).run(args!["external", "add", "--credentials", credentials])
}

fn another_server_recovers_catalog_and_files(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "external", 411);
    let (older, older_copy) = server.back_up_online();
    let (newer, newer_copy) = server.back_up_online();

    let other = Scene::new();
    let passphrase = secret(&other, "passphrase", super::PASSPHRASE);
    let added = add(store, &other.program(), &owner.credentials("fresh"));
    let servers = added.done()["servers"].clone();
    assert_eq!(servers.as_array().map(Vec::len), Some(1), "{added}");
    // From here on it needs nothing in its environment.
    let run = |arguments: &[std::ffi::OsString]| {
        let outcome = other.program().run(arguments.to_vec());
        outcome.done();
        outcome
    };
    assert_eq!(run(&args!["external", "list"]).json()["servers"], servers);
    let (id, name) = (servers[0]["id"].as_str().unwrap(), servers[0]["name"].as_str().unwrap());
    let with = args!["--passphrase-file", passphrase];
    let listed = run(&[args!["external", "points", name].as_slice(), &with].concat());
    assert_eq!(listed.points().iter().map(|point| &point.id).collect::<Vec<_>>(), [&older.id, &newer.id], "{listed}");
    assert_eq!(listed.all_points().len(), 4, "those of its catalog are there too: {listed}");

    let recover = |point: &str, source: &str, to: &Path| {
        let what = args!["external", "recover", &id[..13], point, "--source", source, "--to", to];
        run(&[what.as_slice(), &with].concat())
    };
    let source = server.scene.source.to_str().unwrap();
    for (point, copy) in [(older.id.as_str(), &older_copy), ("latest", &newer_copy)] {
        let to = other.path(&format!("to-{point}"));
        recover(point, source, &to);
        assert_same(copy, &to);
    }
    // A single path, too.
    let file = plain_tree::files_below(&newer_copy).pop().unwrap();
    let path = file.strip_prefix(&newer_copy).unwrap();
    let to = other.path("single");
    run(&[args!["external", "recover", id, newer.id, path, "--to", to].as_slice(), &with].concat());
    assert_eq!(fs::read(to.join(path)).unwrap(), fs::read(&file).unwrap());
    // The catalog comes byte for byte as the first server brings it back itself.
    let (theirs, own) = (other.path("catalog"), server.scene.path("catalog"));
    recover("latest", "DPMDB", &theirs);
    server.run(args!["recover", "latest", "--online", "--source", "DPMDB", "--to", own]);
    assert_same(&own, &theirs);
    assert!(
        plain_tree::files_below(&theirs).iter().any(|file| fs::read(file).unwrap().starts_with(b"SQLite format 3"))
    );

    let wrong = secret(&other, "wrong", "another passphrase of letters");
    let refused = other.program().run(args!["external", "points", name, "--passphrase-file", wrong]).failed();
    assert_eq!(refused.code, "passphrase-wrong", "{refused:?}");
    let stranger =
        other.program().run(args!["external", "points", "stranger", "--passphrase-file", passphrase]).failed();
    assert_eq!(stranger.code, "no-server", "{stranger:?}");

    run(&args!["external", "clear"]);
    let left = plain_tree::files_below(&other.home);
    for file in &left {
        let bytes = fs::read(file).unwrap();
        for trace in [store.url(), id, "BEGIN", "sig=", "AccountKey"] {
            let found = bytes.windows(trace.len()).any(|window| window == trace.as_bytes());
            assert!(!found, "{} holds `{trace}`", file.display());
        }
    }
    assert!(left.iter().all(|file| fs::metadata(file).unwrap().len() < 4096), "{left:?}");
    let gone = other.program().run(args!["external", "list"]).failed();
    assert_eq!(gone.code, "no-external", "{gone:?}");
}

fn credentials_that_do_not_count_are_refused_each_by_its_name(store: &Store) {
    let owner = Owner::new(store);
    let server = Protected::new(&owner, "credentials", 412);
    let other = Scene::new();
    let program = other.program();
    let refused = |credentials: &Path, code: &str| {
        for outcome in [add(store, &program, credentials), server.register(credentials)] {
            let failure = outcome.failed();
            assert_eq!(failure.code, code, "{outcome}");
        }
        let nothing = program.run(args!["external", "list"]).failed();
        assert_eq!(nothing.code, "no-external", "{code}: {nothing:?}");
    };
    let older = owner.credentials("older");
    let newest = owner.credentials("newest");
    refused(&older, "credentials-superseded");

    let text = fs::read_to_string(&newest).unwrap();
    let altered = other.path("altered");
    // One byte of what is signed, and one of the signature.
    let expires = text.find("expires = \"2").unwrap() + "expires = \"".len();
    let signature = text.find("signature ed25519 ").unwrap() + "signature ed25519 ".len();
    for at in [expires, signature] {
        let mut bytes = text.clone().into_bytes();
        bytes[at] = if bytes[at] == b'3' { b'4' } else { b'3' };
        fs::write(&altered, bytes).unwrap();
        refused(&altered, "credentials-forged");
    }
    for length in [0, text.len() / 3, signature - 30, text.len() - 10] {
        fs::write(&altered, &text[..length]).unwrap();
        refused(&altered, "credentials-damaged");
    }
    fs::write(&altered, [0xFF; 300]).unwrap();
    refused(&altered, "credentials-damaged");
    let missing = program.run(args!["external", "add", "--credentials", other.path("none")]).failed();
    assert_eq!(missing.code, "file", "{missing:?}");

    // Those of another vault, signed by its owner, with the place of this one.
    let below = store.beside("another");
    let stranger = Owner::new(&below);
    let foreign = fs::read_to_string(stranger.credentials("foreign")).unwrap();
    fs::write(&altered, foreign.replace(below.url(), store.url())).unwrap();
    refused(&altered, "credentials-forged");

    if is_present("credentials_that_do_not_count", &[Part::Tool("openssl")]) {
        // Signed by the owner, by another program: the same credentials, but that they ended yesterday.
        let serial = text.find("issued = ").unwrap();
        let grant = text.find("grant = ").map_or("", |at| text[at..].split_inclusive('\n').next().unwrap());
        let day = |ago: &str| run_tool(Command::new("date").args(["-u", "-d", ago, "+%Y-%m-%dT%H:%M:%SZ"]));
        let (issued, expires) = (day("3 days ago"), day("1 day ago"));
        let times = format!("issued = \"{}\"\nexpires = \"{}\"\n", issued.trim(), expires.trim());
        fs::write(&altered, owner.signed(&format!("{}{times}{grant}", &text[..serial]))).unwrap();
        refused(&altered, "credentials-expired");
    }
    // S3 itself refuses whoever's clock is wrong.
    if store.service() == Service::Azurite && is_present("credentials_that_do_not_count", &[Part::Tool("faketime")]) {
        let opened = store.opened_by(&program);
        let expired = at_another_time(&opened, "+49h", args!["external", "add", "--credentials", newest]).failed();
        assert_eq!(expired.code, "credentials-expired", "{expired:?}");
        let early = at_another_time(&opened, "-49h", args!["external", "add", "--credentials", newest]).failed();
        assert_eq!(early.code, "clock-wrong", "{early:?}");
    }
    add(store, &program, &newest).done();
}
