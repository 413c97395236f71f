use std::{fs, os::unix::fs::PermissionsExt};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

use super::*;

/// The file of the document that describes the share method, as it is printed there.
const PRINTED: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<ScriptConfiguration xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
xmlns:xsd="http://www.w3.org/2001/XMLSchema"
xmlns="https://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd">
<DatasourceScriptConfig DataSourceName="C:">
<PreBackupScript>C:\MABSDBBACKUP\bkupdb.cmd</PreBackupScript>
<TimeOut>120</TimeOut>
</DatasourceScriptConfig>
</ScriptConfiguration>
"#;

fn wrapped(inside: &str) -> String {
    let namespace = "http://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd";
    format!(r#"<ScriptConfiguration xmlns="{namespace}">{inside}</ScriptConfiguration>"#)
}

fn source(name: &str, inside: &str) -> String {
    format!(r#"<DatasourceScriptConfig DataSourceName="{name}">{inside}</DatasourceScriptConfig>"#)
}

fn parse(text: &str) -> Result<ScriptingConfig, String> {
    ScriptingConfig::parse(text.as_bytes()).map_err(|error| error.to_string())
}

/// A folder with scripts, and what they are to be run with.
struct Stage {
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A script. Another process writes it: one that this process had open for writing could not be run while some
    /// other test is just starting a program.
    fn script(&self, name: &str, body: &str) -> PathBuf {
        let (draft, path) = (self.path("draft"), self.path(name));
        fs::write(&draft, format!("#!/bin/sh\n{body}\n")).unwrap();
        let done = Command::new("install").args(["-m", "755"]).args([&draft, &path]).status().unwrap();
        assert!(done.success());
        path
    }

    fn scripts(&self, before: Option<&str>, after: Option<&str>, arguments: &str) -> Scripts {
        let call = |script: &str| Call { script: script.to_owned(), arguments: arguments.to_owned() };
        let scripts = SourceScripts {
            name: "/srv".to_owned(),
            before: before.map(call),
            after: after.map(call),
            time_out: Some(Duration::from_secs(60)),
        };
        Scripts { scripts, root: b"/srv/www \xff".to_vec(), grace: Duration::from_secs(10) }
    }

    fn before(&self, script: &Path) -> Result<(), String> {
        let scripts = self.scripts(script.to_str(), None, "");
        scripts.before(self.folder.path(), &Cancel::default()).map_err(|error| error.to_string())
    }
}

#[test]
fn the_document_s_own_file_is_understood_as_printed() {
    let config = parse(PRINTED).unwrap();
    let wanted = SourceScripts {
        name: "C:".to_owned(),
        before: Some(Call { script: r"C:\MABSDBBACKUP\bkupdb.cmd".to_owned(), arguments: String::new() }),
        after: None,
        time_out: Some(Duration::from_secs(120 * 60)),
    };
    assert_eq!(config.sources, [wanted]);
    assert_eq!(parse(&PRINTED.replace("https:", "http:")).unwrap(), config);
    assert_eq!(parse(&PRINTED.replace('\n', "\r\n")).unwrap(), config);
    assert_eq!(parse(&format!("\u{feff}{PRINTED}")).unwrap(), config);
}

#[test]
fn an_empty_root_and_every_element_are_understood() {
    assert_eq!(parse(&wrapped("")).unwrap(), ScriptingConfig::default());
    let all = "<!-- ours --><PreBackupScript> /a &amp; b </PreBackupScript>\
               <PreBackupCommandLine>x &#x79;</PreBackupCommandLine>\
               <PostBackupScript><![CDATA[/c]]></PostBackupScript><PostBackupCommandLine/><TimeOut> 5 </TimeOut>";
    let config = parse(&wrapped(&source("/srv/www//", all))).unwrap();
    let wanted = SourceScripts {
        name: "/srv/www".to_owned(),
        before: Some(Call { script: "/a & b".to_owned(), arguments: "x y".to_owned() }),
        after: Some(Call { script: "/c".to_owned(), arguments: String::new() }),
        time_out: Some(Duration::from_secs(300)),
    };
    assert_eq!(config.sources, [wanted]);
    let prefixed = wrapped("").replace("xmlns=", "xmlns:s=").replace("ScriptConfiguration", "s:ScriptConfiguration");
    assert!(parse(&prefixed).is_ok(), "{prefixed}");
}

#[test]
fn malformed_files_are_refused_by_line_and_reason() {
    let script = "<PreBackupScript>/a</PreBackupScript>";
    let cases = [
        (String::new(), "it has no element ScriptConfiguration"),
        ("not XML".to_owned(), "stands outside"),
        ("<ScriptConfiguration/>".to_owned(), "namespace"),
        (PRINTED.replace("2003/dls", "2004/dls"), "namespace"),
        (wrapped("").replace("ScriptConfiguration", "Configuration"), "where ScriptConfiguration was expected"),
        (wrapped(&source("/a", script)).replace("</DatasourceScriptConfig>", ""), "line 1: "),
        (wrapped("").replace("</ScriptConfiguration>", ""), "it ends before its last element does"),
        (wrapped("").repeat(2), "where ScriptConfiguration was expected"),
        (wrapped("text"), "`text` stands outside"),
        (wrapped(&source("/a", script).repeat(2)), "`/a` is there twice"),
        (wrapped(&(source("/a", script) + &source("/a/", script))), "`/a` is there twice"),
        (wrapped(&source("  ", script)), "has no DataSourceName"),
        (wrapped(&source("/a", script).replace("DataSourceName", "DatasourceName")), "has no DataSourceName"),
        (wrapped(&source("/a", "")), "names no script"),
        (wrapped(&source("/a", "<TimeOut>3</TimeOut>")), "names no script"),
        (wrapped(&source("/a", "<PreBackupScript/>")), "PreBackupScript names no file"),
        (wrapped(&source("/a", "<PreBackupscript>/a</PreBackupscript>")), "PreBackupscript stands where"),
        (wrapped(&source("/a", "<PreBackupCommandLine>x</PreBackupCommandLine>")), "no PreBackupScript"),
        (wrapped(&source("/a", &script.repeat(2))), "PreBackupScript is there twice"),
        (wrapped(&source("/a", "<PreBackupScript><b/></PreBackupScript>")), "holds the element b"),
        (wrapped(&source("/a", &format!("{script}<TimeOut>0</TimeOut>"))), "TimeOut `0`"),
        (wrapped(&source("/a", &format!("{script}<TimeOut>-1</TimeOut>"))), "TimeOut `-1`"),
        (wrapped(&source("/a", &format!("{script}<TimeOut>1.5</TimeOut>"))), "TimeOut `1.5`"),
        (wrapped(&source("/a", &format!("{script}<TimeOut></TimeOut>"))), "TimeOut ``"),
        (wrapped(&source("/a", &format!("{script}<TimeOut>999999999999999999</TimeOut>"))), "TimeOut `9"),
        (format!("<!DOCTYPE x [<!ENTITY e \"/bin/rm\">]>{}", wrapped("")), "document type"),
        (wrapped(&source("/a", "<PreBackupScript>&e;</PreBackupScript>")), "&e; is none of the entities"),
        (PRINTED.replace("\"utf-8\"", "\"utf-16\""), "must be UTF-8"),
        (PRINTED.replace("120", "x"), "line 8: TimeOut `x`"),
    ];
    for (text, wanted) in cases {
        let error = parse(&text).expect_err(&text);
        assert!(error.contains("30193") && error.contains(wanted), "{text}\n{error}\nwanted: {wanted}");
    }
    assert!(ScriptingConfig::parse(b"\xff\xfe<").is_err());
}

#[test]
fn no_bytes_make_the_reader_panic() {
    for length in 0..PRINTED.len() {
        fuzz_scripting(&PRINTED.as_bytes()[..length]);
        for byte in [b'<', b'>', b'"', b'&', 0, 0xff] {
            let mut bytes = PRINTED.as_bytes().to_vec();
            bytes[length] = byte;
            fuzz_scripting(&bytes);
        }
    }
}

#[test]
fn the_nearest_name_at_or_above_the_root_is_the_one() {
    let named = |name: &str| source(name, &format!("<PreBackupScript>/for{name}</PreBackupScript>"));
    let names = ["/srv", "/srv/www/", "/srv/www/a b", "DPMDB"].map(named).concat();
    let config = parse(&wrapped(&names)).unwrap();
    let find = |root: &[u8]| config.for_source(root).map(|scripts| scripts.scripts.name);
    let cases: [(&[u8], Option<&str>); 9] = [
        (b"/srv", Some("/srv")),
        (b"/srv/www", Some("/srv/www")),
        (b"/srv/www/x\xff", Some("/srv/www")),
        (b"/srv/www/a b/c", Some("/srv/www/a b")),
        (b"/srv/wwwx", Some("/srv")),
        (b"/srvx", None),
        (b"/", None),
        (b"DPMDB", Some("DPMDB")),
        (b"/DPMDB", None),
    ];
    for (root, wanted) in cases {
        assert_eq!(find(root).as_deref(), wanted, "{}", String::from_utf8_lossy(root));
    }
    let all = parse(&wrapped(&named("/"))).unwrap();
    assert!(all.for_source(b"/srv").is_some() && all.for_source(b"/").is_some() && all.for_source(b"DPMDB").is_none());
}

#[test]
fn scripts_get_their_arguments_the_outcome_and_a_small_environment() {
    let stage = Stage::new();
    let report = stage.path("report");
    let report_text = report.to_str().unwrap();
    let path =
        stage.script("show", &format!("for a; do echo \"<$a>\"; done > {report_text}; env | sort >> {report_text}"));
    let scripts = stage.scripts(path.to_str(), path.to_str(), "one  \"two words\" ");
    let cancel = Cancel::default();

    scripts.before(stage.folder.path(), &cancel).unwrap();
    let said = fs::read(&report).unwrap();
    let said = String::from_utf8_lossy(&said);
    let home = stage.folder.path().to_str().unwrap();
    let wanted = ["<one>", "<two words>", &format!("PATH={PATH}"), "PWD=/", &format!("RESURGAM_HOME={home}")];
    let lines: Vec<&str> = said.lines().filter(|line| !line.starts_with('_') && !line.starts_with("SHLVL")).collect();
    assert_eq!(lines[..5], wanted, "{said}");
    assert_eq!(lines[5..], ["RESURGAM_SOURCE=/srv/www \u{fffd}"]);

    for (done, word) in [(true, "<true>"), (false, "<false>")] {
        scripts.after(done, stage.folder.path(), &cancel).unwrap();
        let said = fs::read(&report).unwrap();
        assert_eq!(String::from_utf8_lossy(&said).lines().nth(2), Some(word));
    }
}

#[test]
fn quotation_marks_hold_a_path_and_perhaps_its_arguments() {
    let stage = Stage::new();
    let spaced = stage.script("with space", "test \"$*\" = 'x y'");
    let plain = stage.script("plain", "test \"$*\" = 'x y'");
    let (spaced, plain) = (spaced.to_str().unwrap(), plain.to_str().unwrap());
    for (script, arguments) in [
        (format!("\"{spaced}\""), "x y"),
        (format!("\"{spaced}\" x"), "y"),
        (format!("\"{plain} x\""), "y"),
        (format!("\"{plain}\" x y"), ""),
        (spaced.to_owned(), "x y"),
    ] {
        let scripts = stage.scripts(Some(&script), None, arguments);
        scripts.before(stage.folder.path(), &Cancel::default()).unwrap_or_else(|error| panic!("{script}: {error}"));
    }
}

#[test]
fn a_script_that_fails_says_how_and_with_which_words() {
    let stage = Stage::new();
    let path = stage.script("fail", "echo one; printf 'two\\033[31m\\n' >&2; exit 3");
    let error = stage.before(&path).unwrap_err();
    let wanted = format!(
        "the pre-backup script {} failed (30189): it ended with exit status: 3; it said: one | two[31m",
        path.display()
    );
    assert_eq!(error, wanted);
    let scripts = stage.scripts(None, path.to_str(), "");
    scripts.before(stage.folder.path(), &Cancel::default()).unwrap();
    let error = scripts.after(true, stage.folder.path(), &Cancel::default()).unwrap_err();
    assert!(error.to_string().contains("post-backup script") && error.to_string().contains("30190"), "{error}");

    let chatty = stage.script("chatty", "yes 'all work and no play' | head -n 100000; echo the end; exit 1");
    let error = stage.before(&chatty).unwrap_err();
    assert!(error.len() < 6000 && error.ends_with("no play | the end"), "{error}");
    let killed = stage.script("killed", "kill -9 $$");
    assert!(stage.before(&killed).unwrap_err().contains("signal: 9"));
}

#[test]
fn what_cannot_be_run_is_named() {
    let stage = Stage::new();
    let relative = stage.before(Path::new(r"C:\MABSDBBACKUP\bkupdb.cmd")).unwrap_err();
    assert!(relative.contains("30189") && relative.contains("does not begin with a slash"), "{relative}");
    let gone = stage.before(&stage.path("gone")).unwrap_err();
    assert!(gone.contains("30189") && gone.contains("it is not there"), "{gone}");
    let path = stage.script("plain", "true");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let denied = stage.before(&path).unwrap_err();
    assert!(denied.contains("30189") && denied.contains("cannot be run"), "{denied}");
}

/// The reading end of a pipe by name. Scripts open it as their descriptor 9, write to it when they are ready, and hand
/// it on to all that they begin.
struct Fifo {
    reader: File,
    /// Keeps the pipe alive until a script has it.
    both: File,
}

impl Fifo {
    fn new(stage: &Stage) -> Self {
        let path = stage.path("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        let both = File::options().read(true).write(true).open(&path).unwrap();
        Self { reader: File::open(&path).unwrap(), both }
    }

    /// Whether a script says that it is ready.
    fn is_ready(&self) -> bool {
        sees(&self.both, PollFlags::IN)
    }

    /// Whether every process that held the pipe is dead.
    fn all_dead(self) -> bool {
        drop(self.both);
        sees(&self.reader, PollFlags::HUP)
    }
}

/// Waits for an event, at most ten seconds.
fn sees(file: &File, flags: PollFlags) -> bool {
    let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
    let mut waiting = [PollFd::new(file, flags & PollFlags::IN)];
    poll(&mut waiting, Some(&limit)).unwrap() == 1 && waiting[0].revents().contains(flags)
}

/// What a script does to be heard of by [`Fifo`].
fn ready(stage: &Stage, body: &str) -> String {
    let (first, then) = body.split_once(';').unwrap_or(("true", body));
    format!("exec 9>{}; {first}; echo ready >&9; {then}", stage.path("fifo").display())
}

#[test]
fn a_script_that_outlasts_its_time_is_ended() {
    let stage = Stage::new();
    let path = stage.script("slow", "trap '' TERM; while true; do sleep 1000; done");
    let mut scripts = stage.scripts(path.to_str(), path.to_str(), "");
    scripts.scripts.time_out = Some(Duration::from_millis(100));
    scripts.grace = Duration::from_millis(20);
    let error = scripts.before(stage.folder.path(), &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("pre-backup script") && error.contains("30191"), "{error}");
    let error = scripts.after(true, stage.folder.path(), &Cancel::default()).unwrap_err().to_string();
    assert!(error.contains("post-backup script") && error.contains("30192"), "{error}");
}

#[test]
fn a_job_that_is_called_off_ends_its_script_with_all_that_it_began() {
    for body in ["true; sleep 1000 & wait", "trap '' TERM; sleep 1000 & wait; sleep 1000", "true; sleep 1000"] {
        let stage = Stage::new();
        let fifo = Fifo::new(&stage);
        let path = stage.script("slow", &ready(&stage, body));
        let mut scripts = stage.scripts(path.to_str(), None, "");
        scripts.grace = Duration::from_millis(50);
        let cancel = Cancel::default();
        let error = std::thread::scope(|scope| {
            let running = scope.spawn(|| scripts.before(stage.folder.path(), &cancel));
            assert!(fifo.is_ready(), "{body}");
            cancel.cancel();
            running.join().unwrap().unwrap_err()
        });
        assert!(error.is_cancelled());
        assert!(fifo.all_dead(), "{body}");
    }
}

#[test]
fn a_script_that_is_asked_to_end_may_tidy_up() {
    let stage = Stage::new();
    let fifo = Fifo::new(&stage);
    let body = format!("trap 'touch {}' TERM; sleep 1000 & wait", stage.path("tidied").display());
    let path = stage.script("tidy", &ready(&stage, &body));
    let scripts = stage.scripts(path.to_str(), None, "");
    let cancel = Cancel::default();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| scripts.before(stage.folder.path(), &cancel));
        assert!(fifo.is_ready());
        cancel.cancel();
        running.join().unwrap().unwrap_err()
    });
    assert!(stage.path("tidied").exists() && fifo.all_dead());
}

#[test]
fn what_a_script_leaves_running_goes_with_it_and_holds_nothing_up() {
    let stage = Stage::new();
    let fifo = Fifo::new(&stage);
    let path = stage.script("leaves", &format!("exec 9>{}; sleep 1000 & exit 0", stage.path("fifo").display()));
    stage.before(&path).unwrap();
    assert!(fifo.all_dead());
}

#[test]
fn the_second_script_runs_after_a_job_that_was_called_off_as_well() {
    let stage = Stage::new();
    let undo = stage.script("undo", &format!("touch {}", stage.path("undone").display()));
    let scripts = stage.scripts(undo.to_str(), undo.to_str(), "");
    let cancel = Cancel::default();
    cancel.cancel();
    assert!(scripts.before(stage.folder.path(), &cancel).unwrap_err().is_cancelled());
    assert!(!stage.path("undone").exists());
    scripts.after(false, stage.folder.path(), &cancel).unwrap();
    assert!(stage.path("undone").exists());
}

#[test]
fn what_others_may_write_to_is_refused() {
    let stage = Stage::new();
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    let path = stage.script("open", "true");
    stage.before(&path).unwrap();
    for mode in [0o775, 0o757, 0o777] {
        set(&path, mode);
        let error = stage.before(&path).unwrap_err();
        assert!(error.contains("is refused: others may write to it"), "{error}");
    }
    set(&path, 0o755);
    set(stage.folder.path(), 0o777);
    assert!(stage.before(&path).unwrap_err().contains("is refused"));
    // Nor does a link from a safe place help.
    let safe = Stage::new();
    std::os::unix::fs::symlink(&path, safe.path("link")).unwrap();
    assert!(safe.before(&safe.path("link")).unwrap_err().contains("is refused"));
    if rustix::process::geteuid().is_root() {
        set(stage.folder.path(), 0o755);
        std::os::unix::fs::chown(&path, Some(4711), None).unwrap();
        assert!(stage.before(&path).unwrap_err().contains("belongs to user 4711"));
    }
}

#[test]
fn the_file_is_read_from_its_folder_anew_and_only_if_it_is_safe() {
    let stage = Stage::new();
    let folder = stage.path("Scripting");
    assert_eq!(ScriptingConfig::read(&folder).unwrap(), ScriptingConfig::default());
    fs::create_dir(&folder).unwrap();
    assert_eq!(ScriptingConfig::read(&folder).unwrap(), ScriptingConfig::default());
    let file = folder.join(FILE);
    fs::write(&file, PRINTED).unwrap();
    assert_eq!(ScriptingConfig::read(&folder).unwrap().sources.len(), 1);
    fs::write(&file, "<").unwrap();
    let error = ScriptingConfig::read(&folder).unwrap_err().to_string();
    assert!(error.contains("30193") && error.contains(file.to_str().unwrap()), "{error}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(matches!(ScriptingConfig::read(&folder), Err(ScriptError::Refused { .. })));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(ScriptingConfig::read(&folder), Err(ScriptError::Refused { .. })));
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    File::options().write(true).open(&file).unwrap().set_len(FILE_MAX + 1).unwrap();
    assert!(matches!(ScriptingConfig::read(&folder), Err(ScriptError::Malformed { .. })));
}
