//! Losing a server and getting it back, by the commands that a user would type; and looking into a catalog by a program
//! that does not know this project.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{args, outcome::Outcome, parts::run_tool, scene::Scene};

impl Scene {
    /// Where the catalog lies, unless it was put elsewhere.
    pub fn catalog(&self) -> PathBuf {
        self.home.join("DPMDB.sqlite")
    }

    /// Moves the home away, and answers where it lies now: for the server it is lost.
    pub fn lose_home(&self) -> PathBuf {
        let free = (1..).map(|number| self.path(&format!("lost-{number}"))).find(|path| !path.exists());
        let lost = free.unwrap();
        fs::rename(&self.home, &lost).unwrap();
        lost
    }

    /// `dpmsync -RestoreDb -DbLoc FROM` with more arguments, to its end.
    pub fn restore_db_with(&self, from: &Path, more: impl IntoIterator<Item = OsString>) -> Outcome {
        let arguments = args!["dpmsync", "-RestoreDb", "-DbLoc", from];
        self.program().run(arguments.into_iter().chain(more))
    }

    /// `dpmsync -RestoreDb -DbLoc FROM`, to its end.
    pub fn restore_db(&self, from: &Path) -> Outcome {
        self.restore_db_with(from, [])
    }

    /// `dpmsync -Sync`, to its end.
    pub fn sync(&self) -> Outcome {
        self.program().run(args!["dpmsync", "-Sync"])
    }

    /// `dpmsync -Sync`, which must end clean; and once more, which must find nothing to do.
    #[track_caller]
    pub fn assert_syncs_clean(&self) -> Value {
        let outcome = self.sync();
        let report = outcome.done();
        assert_eq!(report["clean"], true, "{outcome}");
        let again = self.sync();
        let second = again.done();
        for list in ["adopted", "found_again", "replicas", "enrolled"] {
            assert_eq!(second[list].as_array().map(Vec::len), Some(0), "run twice it changes nothing: {again}");
        }
        report
    }

    /// What a person can see of what the server knows: volumes, groups, sources and points.
    #[track_caller]
    pub fn all_that_is_known(&self) -> Value {
        let run = |arguments: Vec<OsString>| self.program().run(arguments).done();
        Value::from_iter([
            ("volumes", run(args!["pool", "list"].to_vec())["volumes"].clone()),
            ("groups", run(args!["group", "list"].to_vec())["groups"].clone()),
            ("sources", run(args!["sources"].to_vec())["sources"].clone()),
            ("points", run(args!["points"].to_vec())["points"].clone()),
        ])
    }

    /// The alerts that stand, as `kind: subject`.
    #[track_caller]
    pub fn alerts(&self) -> Vec<String> {
        let document = self.program().run(args!["alerts"]).done();
        let alerts = document["alerts"].as_array().cloned().unwrap_or_default();
        let text = |alert: &Value, key: &str| alert[key].as_str().unwrap_or_default().to_owned();
        alerts.iter().map(|alert| format!("{}: {}", text(alert, "kind"), text(alert, "subject"))).collect()
    }

    /// Writes a file with a passphrase that only its owner can read.
    pub fn passphrase_file(&self, passphrase: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let file = self.path("passphrase");
        fs::write(&file, format!("{passphrase}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        file
    }
}

/// Runs a statement on an SQLite database by Python's own SQLite: the rows, cells separated by a bar.
pub fn on_database(database: &Path, statement: &str) -> Vec<String> {
    let script = "import sqlite3,sys\n\
                  c=sqlite3.connect(sys.argv[1])\n\
                  for row in c.execute(sys.argv[2]): print('|'.join(str(cell) for cell in row))\n\
                  c.commit()";
    assert!(database.is_file(), "{} is not there", database.display());
    let printed = run_tool(Command::new("python3").args(["-c", script]).arg(database).arg(statement));
    printed.lines().map(str::to_owned).collect()
}

/// How many rows a table has.
pub fn rows_of(database: &Path, table: &str) -> u64 {
    on_database(database, &format!("SELECT count(*) FROM {table}"))[0].parse().unwrap()
}

/// What SQLite's own check says of a database: `ok`.
pub fn integrity_of(database: &Path) -> String {
    on_database(database, "PRAGMA integrity_check").join("\n")
}
