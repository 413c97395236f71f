//! A server with a life behind it, and every kind of copy of its catalog; and the way back to just after its disaster.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use resurgam_tests::{Outcome, Program, Random, Rows, Scene, args, parts::run_tool, plain_tree, rows, spoil};

/// Backups of all sources. With ten of them at a time, more than 200 recovery points.
const ROUNDS: usize = 23;
/// The round after which the native backup is made. All that comes later it does not know.
const NATIVE_AFTER: usize = 15;
/// The round after which one source is no longer protected.
const STOPPED_AFTER: usize = 8;
/// The round after which the recovery kit is made anew by itself, since there is one more place with copies.
const KIT_MADE_ANEW_AFTER: usize = 18;
/// What each tree holds.
const SIZE: plain_tree::Size = plain_tree::Size { small_files: 14, large_files: 0, large_bytes: 0 };

/// What was, and what is left of it.
pub(super) struct World {
    pub(super) scene: Scene,
    /// The second volume. It opens by the server's key or by its passphrase, and by nothing else.
    pub(super) sealed: PathBuf,
    /// The directory with the native backup.
    pub(super) native: PathBuf,
    /// The protected folder that a script puts a native backup into.
    pub(super) share: PathBuf,
    /// Passphrase of the second volume.
    pub(super) volume_passphrase: PathBuf,
    /// Passphrase of the recovery kit.
    pub(super) kit_passphrase: PathBuf,
    /// The newest point of each source, with what it must give back.
    pub(super) newest: Vec<(String, PathBuf)>,
    /// The rows of the catalog that was lost.
    pub(super) lost: Rows,
    /// Points of sources other than the catalog itself.
    pub(super) points: usize,
    random: Random,
}

impl World {
    pub(super) fn new() -> Self {
        let scene = Scene::new();
        let at = |name: &str| scene.path(name);
        let mut world = Self {
            sealed: at("sealed"),
            native: at("native"),
            share: at("share"),
            volume_passphrase: secret(&scene, "of the volume"),
            kit_passphrase: secret(&scene, "of the kit"),
            newest: Vec::new(),
            lost: Rows::default(),
            points: 0,
            random: Random::for_test("disaster", 301),
            scene,
        };
        world.protect();
        for round in 0..ROUNDS {
            world.live(round);
        }
        world.look();
        world.keep();
        world
    }

    pub(super) fn program(&self) -> Program {
        self.scene.program()
    }

    fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Outcome {
        let outcome = self.program().run(arguments);
        outcome.done();
        outcome
    }

    /// The trees that are protected, but for the share.
    fn trees(&self) -> Vec<PathBuf> {
        (0..9).map(|number| self.scene.path(&format!("tree-{number}"))).collect()
    }

    /// Three groups of all kinds, in two volumes, with everything that a policy can say.
    fn protect(&mut self) {
        let trees = self.trees();
        for tree in trees.iter().chain([&self.share]) {
            fs::create_dir(tree).unwrap();
        }
        for tree in &trees {
            plain_tree::build(tree, SIZE, &mut self.random);
        }
        fs::write(trees[4].join("left-out.tmp"), "not backed up").unwrap();
        let (pool, sealed) = (self.scene.pool.clone(), self.sealed.clone());
        let hourly = args!["--group", "Files", "--every", "1h", "--keep", "30d", "--keep-last", "40"];
        let files = args!["protect", trees[0], trees[1], trees[2], "--pool", pool];
        self.run(files.into_iter().chain(hourly));
        self.run(args!["pool", "add", sealed, "--passphrase-file", self.volume_passphrase]);
        let nightly = args!["--at", "30 2 * * 1-5", "--time-zone", "Europe/Berlin", "--keep-daily", "7"];
        self.run(args!["group", "create", "Databases"].into_iter().chain(nightly));
        let databases = args!["protect", trees[3], trees[4], trees[5], "--pool", sealed, "--group", "Databases"];
        self.run(databases.into_iter().chain(args!["--exclude", "*.tmp", "--exclude", "cache/**"]));
        self.run(args!["group", "create", "Archive", "--every", "1w", "--keep-weekly", "8", "--keep-yearly", "5"]);
        let archive = args!["protect", trees[6], trees[7], "--pool", pool, "--group", "Archive", "--exclude-caches"];
        self.run(archive);
        self.run(args!["source", "set", trees[7], "--keep-monthly", "12"]);
        self.share_by_script();
        self.run(args!["protect", self.share, "--pool", pool, "--group", "Archive"]);
    }

    /// A script before each backup of the share puts a native backup there.
    fn share_by_script(&self) {
        let folder = self.scene.home.join("Scripting");
        let script = folder.join("bkupdb.sh");
        private(&folder);
        let text = format!(
            "#!/bin/sh\nexec '{}' --home '{}' -q catalog backup --to '{}' --keep 1\n",
            Program::executable().display(),
            self.scene.home.display(),
            self.share.display()
        );
        fs::write(&script, text).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let config = format!(
            "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
             <ScriptConfiguration xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"\n\
             xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\"\n\
             xmlns=\"https://schemas.microsoft.com/2003/dls/ScriptingConfig.xsd\">\n\
             <DatasourceScriptConfig DataSourceName=\"{}\">\n<PreBackupScript>{}</PreBackupScript>\n\
             <TimeOut>120</TimeOut>\n</DatasourceScriptConfig>\n</ScriptConfiguration>\n",
            self.share.display(),
            script.display()
        );
        fs::write(folder.join("ScriptingConfig.xml"), config).unwrap();
        fs::set_permissions(folder.join("ScriptingConfig.xml"), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// One round of changes and backups; and what else happens in the life of a server.
    fn live(&mut self, round: usize) {
        let trees = self.trees();
        for tree in &trees {
            plain_tree::change(tree, 0.1, &mut self.random);
        }
        self.run(args!["backup"]);
        match round {
            STOPPED_AFTER => {
                self.run(args!["source", "remove", trees[2]]);
            }
            NATIVE_AFTER => {
                self.run(args!["catalog", "backup", "--to", self.native, "--keep", "3", "--every", "1d"]);
                self.run(args!["drill", "--from", "native", "--scratch", self.scene.dir()]);
                // From here on the native backup is old: policies change, and a source comes that it has never seen.
                self.run(args!["group", "set", "Files", "--every", "2h", "--keep-last", "50"]);
                self.run(args!["protect", trees[8], "--pool", self.sealed, "--group", "Databases"]);
                let kit = args!["--passphrase-file", self.kit_passphrase, "recovery-kit"];
                self.run(kit.clone().into_iter().chain(args!["write", "--to", self.scene.path("kit")]));
                self.run(kit.into_iter().chain(args!["test"]));
            }
            KIT_MADE_ANEW_AFTER => {
                self.run(args!["catalog", "backup", "--to", self.scene.path("native-too")]);
            }
            _ => {}
        }
    }

    /// What the catalog says on its last day.
    fn look(&mut self) {
        let points = self.scene.points();
        self.points = points.len();
        let mut roots: Vec<PathBuf> = self.trees();
        roots.push(self.share.clone());
        for root in roots {
            let newest = points.iter().rfind(|point| Path::new(&point.source) == root).unwrap();
            self.newest.push((newest.id.clone(), self.scene.path("as-it-was").join(root.file_name().unwrap())));
        }
        self.lost = Rows::of(&self.program());
    }

    /// The kit that was made last.
    pub(super) fn kit(&self) -> PathBuf {
        let files = plain_tree::files_below(&self.scene.path("kit"));
        files.into_iter().find(|file| file.extension().is_some_and(|suffix| suffix == "age")).unwrap()
    }

    /// What the disaster does not take, in the state of the last day; the rest is forgotten.
    fn keep(&self) {
        let kept = self.scene.path("kept");
        fs::create_dir(&kept).unwrap();
        for place in [&self.scene.pool, &self.sealed, &self.native] {
            plain_tree::copy(place, &kept.join(place.file_name().unwrap()));
        }
        // What a point of the stopped source must give back lies only in the living server.
        for (point, to) in &self.newest {
            self.scene.recover(point, to).done();
        }
        for tree in self.trees() {
            let was = self.scene.path("as-it-was").join(tree.file_name().unwrap());
            let stopped = tree == self.trees()[2];
            assert!(stopped || was_as_it_is(&tree, &was), "{} was not backed up as it is", tree.display());
        }
    }

    /// The disaster; whatever was done since another is undone first.
    pub(super) fn lose_everything_but_the_copies(&self) {
        for place in [&self.scene.pool, &self.sealed, &self.native, &self.scene.home] {
            if place.exists() {
                fs::remove_dir_all(place).unwrap();
            }
            let kept = self.scene.path("kept").join(place.file_name().unwrap());
            if kept.exists() {
                plain_tree::copy(&kept, place);
            }
        }
    }

    /// Takes every recovery point of the catalog itself out of its volume, as if there had never been any.
    pub(super) fn delete_points_of_catalog(&self) {
        let replica = self.lost.table("recovery_point").values().find(|row| self.is_of_catalog(row));
        let replica = replica.unwrap()["replica_id"].clone().unwrap();
        for directory in spoil::directories_of(&self.scene.pool, &replica) {
            for file in plain_tree::files_below(&directory) {
                if file.file_name().is_some_and(|name| name != "REPLICA.toml") {
                    fs::remove_file(file).unwrap();
                }
            }
        }
    }

    /// Whether a row of `recovery_point` or `replica` is one of the catalog itself.
    pub(super) fn is_of_catalog(&self, row: &rows::Row) -> bool {
        let source = row["source_id"].as_ref().unwrap();
        self.lost.table("data_source")[source]["kind"].as_deref() == Some("dpmdb")
    }
}

/// Without the caches and temporary files, which are left out; rsync keeps the times of directories.
fn was_as_it_is(tree: &Path, was: &Path) -> bool {
    let mut command = Command::new("rsync");
    command.args(["-aHAXn", "--delete", "--checksum", "--itemize-changes", "--exclude=*.tmp"]);
    run_tool(command.arg(tree.join("")).arg(was.join(""))).is_empty()
}

fn private(folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
}

/// A file with a passphrase, which nobody else can read.
fn secret(scene: &Scene, text: &str) -> PathBuf {
    let file = scene.path(&text.replace(' ', "-"));
    fs::write(&file, format!("the passphrase {text}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}
