//! Scripts around a source's jobs, as an administrator sets them down in `HOME/Scripting/ScriptingConfig.xml`.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use resurgam_tests::{
    Outcome, Program, Random, Scene, args, assert_same,
    losing::{integrity_of, on_database},
    plain_tree,
};
use rustix::process::Signal;

/// The document's own file, as it is printed there.
const AS_PRINTED: &str = r#"    <?xml version="1.0" encoding="utf-8"?>
    <ScriptConfiguration xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xmlns:xsd="http://www.w3.org/2001/XMLSchema"
    xmlns="https://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd">
    <DatasourceScriptConfig DataSourceName="C:">
    <PreBackupScript>C:\MABSDBBACKUP\bkupdb.cmd</PreBackupScript>
    <TimeOut>120</TimeOut>
    </DatasourceScriptConfig>
    </ScriptConfiguration>
"#;

fn scene(test: &str, seed: u64) -> Scene {
    let scene = Scene::new();
    plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test(test, seed));
    scene.take_point();
    scene
}

/// Writes a file that only its owner may write to.
fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A script in the scene's own directory.
fn script(scene: &Scene, name: &str, text: &str) -> PathBuf {
    let path = scene.path(name);
    write(&path, &format!("#!/bin/sh\n{text}\n"), 0o700);
    path
}

fn config(scene: &Scene) -> PathBuf {
    scene.home.join("Scripting/ScriptingConfig.xml")
}

/// Writes the file whole.
fn configure_as(scene: &Scene, text: &str) {
    let folder = scene.home.join("Scripting");
    fs::create_dir_all(&folder).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).unwrap();
    write(&config(scene), text, 0o600);
}

/// Writes the file with these elements for the scene's source.
fn configure(scene: &Scene, elements: &[(&str, &str)]) {
    let elements: String = elements.iter().map(|(name, text)| format!("<{name}>{text}</{name}>\n")).collect();
    configure_as(
        scene,
        &format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <ScriptConfiguration xmlns=\"http://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd\">\n\
             <DatasourceScriptConfig DataSourceName=\"{}\">\n{elements}</DatasourceScriptConfig>\n\
             </ScriptConfiguration>\n",
            scene.source.display()
        ),
    );
}

/// A backup of the scene's source, which must fail with this number and make so many points.
#[track_caller]
fn fails_with(scene: &Scene, number: &str, points: usize) -> Outcome {
    let before = scene.points().len();
    let outcome = scene.protect();
    assert!(outcome.failed().speaks_of(&[number]), "{outcome}");
    assert_eq!(scene.points().len(), before + points, "{outcome}");
    outcome
}

fn path_of(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn scripts_run_before_and_after_and_the_second_is_told() {
    let scene = scene("scripts", 321);
    let log = scene.path("log");
    let note = format!("printf '%s:' \"$0\" \"$@\" \"$RESURGAM_SOURCE\" >> '{0}'; echo >> '{0}'", log.display());
    let dump = scene.source.join("dump");
    let before = script(&scene, "before it", &format!("{note}; date +%N > '{}'", dump.display()));
    let after = script(&scene, "after", &format!("{note}; rm '{}'", dump.display()));
    configure(
        &scene,
        &[
            ("PreBackupScript", path_of(&before)),
            ("PreBackupCommandLine", "--all &quot;two words&quot; a&amp;b $(x)"),
            ("PostBackupScript", path_of(&after)),
            ("PostBackupCommandLine", "--done"),
        ],
    );
    let expected = |told: &str| {
        let [source, before, after] = [&scene.source, &before, &after].map(|path| path.display());
        format!("{before}:--all:two words:a&b:$(x):{source}:\n{after}:--done:{told}:{source}:\n")
    };
    let point = scene.take_point();
    assert_eq!(fs::read_to_string(&log).unwrap(), expected("true"));
    let to = scene.recovered(&point.id);
    assert!(to.join("dump").exists() && !dump.exists(), "the point was made between the two");
    // A job that fails by itself.
    fs::remove_file(&log).unwrap();
    let away = scene.path("away");
    fs::rename(&scene.pool, &away).unwrap();
    scene.program().run(args!["backup", "--source", scene.source]).failed();
    fs::rename(&away, &scene.pool).unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), expected("false"));
    // Read anew: without the file there are no scripts.
    fs::remove_file(config(&scene)).unwrap();
    fs::remove_file(&log).unwrap();
    scene.take_point();
    assert!(!log.exists());
}

#[test]
fn a_script_that_fails_fails_its_job_and_no_other() {
    let scene = scene("scripts_fail", 322);
    let other = scene.path("other");
    fs::create_dir(&other).unwrap();
    scene.program().run(args!["protect", other, "--pool", scene.pool]).done();
    let ran = scene.path("ran");
    let bad = script(&scene, "bad", "echo no room for the dump >&2; exit 7");
    let mark = script(&scene, "mark", &format!("touch '{}'", ran.display()));
    configure(&scene, &[("PreBackupScript", path_of(&bad)), ("PostBackupScript", path_of(&mark))]);
    let failure = fails_with(&scene, "30189", 0).failed();
    assert!(failure.speaks_of(&["no room for the dump"]) && failure.speaks_of(&[path_of(&bad)]), "{failure:?}");
    assert!(!ran.exists(), "what was never begun has no end");
    let count = scene.points().len();
    let both = scene.program().run(args!["backup"]);
    assert!(both.failed().speaks_of(&["30189"]), "{both}");
    assert_eq!(scene.points().len(), count + 1, "the other source has its point: {both}");
    configure(&scene, &[("PreBackupScript", path_of(&mark)), ("PostBackupScript", path_of(&bad))]);
    fails_with(&scene, "30190", 1);
    assert!(ran.exists());
    let jobs = scene.program().run(args!["jobs"]);
    assert_eq!(jobs.texts_in("jobs", "state")[0], "failed", "{jobs}");
    configure(&scene, &[("PreBackupScript", "/no/such/script")]);
    assert!(fails_with(&scene, "30189", 0).failed().speaks_of(&["/no/such/script"]));
    configure(&scene, &[("PreBackupScript", path_of(&mark))]);
    scene.take_point();
}

#[test]
fn a_config_that_cannot_be_understood_fails_jobs_and_nothing_else() {
    let scene = scene("scripts_malformed", 323);
    let printed = AS_PRINTED.trim_start();
    let bomb = printed.replacen("?>", "?><!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>", 1);
    let malformed = [
        String::new(),
        printed[..printed.len() / 2].to_owned(),
        printed.replace("schemas.microsoft.com", "example.org"),
        printed.replace("PreBackupScript", "PreBackupSkript"),
        printed.replace(">120<", ">two hours<"),
        printed.replace("C:\\", "&c;"),
        bomb,
        "\u{0}\u{1}".repeat(500),
    ];
    for text in malformed {
        configure_as(&scene, &text);
        let failure = fails_with(&scene, "30193", 0).failed();
        assert!(failure.speaks_of(&["ScriptingConfig.xml"]), "{text}: {failure:?}");
    }
    // No source's job runs, the catalog's own neither; all else does.
    let all = scene.program().run(args!["backup"]);
    assert!(all.failed().speaks_of(&["30193"]), "{all}");
    assert!(all.stderr().is_empty() || !all.stderr().contains("panic"), "{all}");
    for command in [&args!["status"][..], &args!["points"], &args!["sources"], &args!["verify"], &args!["expire"]] {
        scene.program().run(command.to_vec()).done();
    }
    scene.program().run(args!["catalog", "backup", "--to", scene.path("native")]).done();
    assert_same(&scene.source, &scene.recovered("latest"));
    fs::remove_file(config(&scene)).unwrap();
    scene.take_point();
}

#[test]
fn what_others_may_change_is_not_run() {
    let scene = scene("scripts_refused", 324);
    let ran = scene.path("ran");
    let folder = scene.path("scripts");
    fs::create_dir(&folder).unwrap();
    let before = script(&scene, "scripts/before", &format!("touch '{}'", ran.display()));
    configure(&scene, &[("PreBackupScript", path_of(&before))]);
    let linked = scene.path("linked");
    let set = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let refused = |path: &Path| {
        let before = scene.points().len();
        let failure = scene.protect().failed();
        assert!(failure.speaks_of(&["refused"]) && failure.speaks_of(&[path_of(path)]), "{failure:?}");
        assert!(!ran.exists() && scene.points().len() == before, "{} was used", path.display());
    };
    let scripting = scene.home.join("Scripting");
    for (path, good) in [(&before, 0o700), (&folder, 0o755), (&config(&scene), 0o600), (&scripting, 0o700)] {
        for bad in [0o020, 0o002] {
            set(path, good | bad);
            refused(path);
        }
        if rustix::process::geteuid().is_root() {
            set(path, good);
            chown(path, Some(12345), None).unwrap();
            refused(path);
            chown(path, Some(0), None).unwrap();
        }
        set(path, good);
    }
    // A link does not hide what it leads to.
    std::os::unix::fs::symlink(&before, &linked).unwrap();
    configure(&scene, &[("PreBackupScript", path_of(&linked))]);
    set(&folder, 0o777);
    refused(&folder);
    set(&folder, 0o755);
    scene.take_point();
    assert!(ran.exists());
}

#[test]
fn a_script_ends_with_the_job_that_is_called_off() {
    let scene = scene("scripts_stopped", 325);
    let pid = scene.path("pid");
    let hangs = script(
        &scene,
        "hangs",
        &format!("trap '' TERM; sleep 600 & echo $! > '{0}.new'; mv '{0}.new' '{0}'; wait", pid.display()),
    );
    let log = scene.path("log");
    let after = script(&scene, "after", &format!("echo \"$1\" >> '{}'", log.display()));
    configure(&scene, &[("PreBackupScript", path_of(&hangs)), ("PostBackupScript", path_of(&after))]);
    let before = scene.points().len();
    let running = scene.program().start(args!["protect", scene.source]);
    assert!(
        (0..300).any(|_| pid.exists() || {
            thread::sleep(Duration::from_millis(50));
            false
        }),
        "it never began"
    );
    let child = PathBuf::from("/proc").join(fs::read_to_string(&pid).unwrap().trim());
    assert!(child.exists());
    running.signal(Signal::TERM);
    let outcome = running.finish(Duration::from_secs(20));
    assert_eq!(outcome.failed().code, "cancelled", "{outcome}");
    // Dead is enough: who takes note of it is not our business.
    let state = fs::read_to_string(child.join("stat")).unwrap_or_default();
    assert!(state.is_empty() || state.contains(") Z "), "what the script had begun still runs: {state}");
    assert!(!log.exists(), "what was never done has no end");
    assert_eq!(scene.points().len(), before);
}

#[test]
fn the_documents_file_as_printed_is_taken() {
    let scene = scene("scripts_printed", 326);
    configure_as(&scene, AS_PRINTED);
    scene.take_point();
    scene.program().run(args!["backup"]).done();
}

#[test]
fn the_documents_procedure_puts_the_catalog_into_a_protected_folder() {
    let scene = scene("scripts_procedure", 327);
    let folder = scene.path("MABSBACKUP");
    fs::create_dir(&folder).unwrap();
    let (program, home) = (Program::executable(), scene.home.clone());
    let text = format!(
        "exec '{}' --home '{}' -q catalog backup --to '{}' --keep 2",
        program.display(),
        home.display(),
        folder.display()
    );
    let bkupdb = script(&scene, "bkupdb.cmd", &text);
    // A drive letter is the beginning of a path here.
    let printed = AS_PRINTED.replace("\"C:\"", &format!("\"{}\"", folder.display()));
    configure_as(&scene, &printed.replace("C:\\MABSDBBACKUP\\bkupdb.cmd", path_of(&bkupdb)));
    let protect = || {
        let outcome = scene.program().run(args!["protect", folder, "--pool", scene.pool, "--group", "Share"]);
        outcome.done();
        outcome.point()
    };
    let first = protect();
    let known = scene.points();
    let second = protect();
    assert_eq!((first.files, second.files), (1, 2));
    let to = scene.recovered(&second.id);
    let newest = plain_tree::files_below(&to).pop().unwrap();
    assert_eq!(integrity_of(&newest), "ok");
    let ids = on_database(&newest, "SELECT id FROM recovery_point");
    assert!(known.iter().all(|point| ids.contains(&point.id)), "{ids:?}");
    // With the home gone, the recovered folder brings it back.
    scene.lose_home();
    scene.restore_db(&to).done();
    scene.assert_syncs_clean();
    assert!(scene.points().iter().any(|point| point.id == second.id), "adopted from the volume");
}
