//! Vaults: online recovery points, encrypted, in stores that speak Azure and S3; what they are for, and what goes wrong.

/// Makes each function a test on each store.
macro_rules! on_each_store {
    ($($test:ident),+ $(,)?) => {$(
        mod $test {
            use resurgam_tests::Service;

            #[test]
            fn azurite() {
                crate::vaults::on(Service::Azurite, stringify!($test), super::$test);
            }

            #[test]
            fn seaweedfs() {
                crate::vaults::on(Service::SeaweedFs, stringify!($test), super::$test);
            }
        }
    )+};
}

mod alerts;
mod bad_days;
mod bad_line;
mod carried;
mod deleting;
mod external;
mod far_pool;
mod kills;
mod limits;
mod mending;
mod object_lock;
mod privacy;
mod procedure;
mod purging;
mod retention;

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_tests::{
    Outcome, Point, Program, Random, Running, Scene, Service, Store, args, parts::run_tool, plain_tree,
};
use serde_json::Value;

/// What every server here says to its vault.
const PASSPHRASE: &str = "a passphrase of many letters";

fn on(service: Service, test: &str, run: fn(&Store)) {
    if let Some(store) = Store::of(service, &format!("{test}::{service:?}")) {
        run(&store);
    }
}

/// A server that protects its source online, in a vault.
struct Protected<'a> {
    store: &'a Store,
    scene: Scene,
    random: Random,
    passphrase: PathBuf,
}

/// The owner of a vault, with the key, apart from every server.
struct Owner<'a> {
    store: &'a Store,
    scene: Scene,
}

impl<'a> Owner<'a> {
    /// Makes a vault.
    fn new(store: &'a Store) -> Self {
        let owner = Self { store, scene: Scene::new() };
        owner.run(args!["vault", "create", store.url(), "--owner-key", owner.key()]).done();
        owner
    }

    fn key(&self) -> PathBuf {
        self.scene.path("owner.pem")
    }

    fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Outcome {
        self.store.opened_by(&self.scene.program()).run(arguments)
    }

    /// Issues credentials: the file.
    fn credentials(&self, name: &str) -> PathBuf {
        let to = self.scene.path(name);
        let outcome = self.run(args!["vault", "credentials", self.store.url(), "--owner-key", self.key(), "--out", to]);
        assert_eq!(outcome.done()["file"], to.to_str().unwrap(), "{outcome}");
        to
    }

    /// A document with the owner's signature, which another program has made.
    fn signed(&self, body: &str) -> String {
        let (message, signature) = (self.scene.path("message"), self.scene.path("signature"));
        fs::write(&message, [b"resurgam document v1\0", body.as_bytes()].concat()).unwrap();
        let mut command = Command::new("openssl");
        command.args(["pkeyutl", "-sign", "-rawin", "-inkey"]).arg(self.key());
        run_tool(command.arg("-in").arg(message).arg("-out").arg(&signature));
        let digits: String = fs::read(signature).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{body}# signature ed25519 {digits}\n")
    }

    fn pin(&self) -> String {
        let outcome = self.run(args!["vault", "pin", self.store.url(), "--owner-key", self.key()]);
        outcome.done()["pin"].as_str().unwrap().to_owned()
    }

    /// A new PIN, in a file.
    fn pin_file(&self) -> PathBuf {
        secret(&self.scene, "pin", &self.pin())
    }
}

/// A file with a passphrase, which nobody else can read.
fn secret(scene: &Scene, name: &str, passphrase: &str) -> PathBuf {
    let file = scene.path(name);
    fs::write(&file, format!("{passphrase}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

impl<'a> Protected<'a> {
    /// Registered with the owner's vault; its source and its catalog are protected online, and have no online point yet.
    fn new(owner: &Owner<'a>, test: &str, seed: u64) -> Self {
        let scene = Scene::new();
        let mut random = Random::for_test(test, seed);
        plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut random);
        scene.take_point();
        let passphrase = secret(&scene, "vault-passphrase", PASSPHRASE);
        let server = Self { store: owner.store, scene, random, passphrase };
        server.register(&owner.credentials(&format!("credentials-{seed}"))).done();
        server.run(args!["group", "set", "Default", "--online"]);
        server
    }

    fn register(&self, credentials: &Path) -> Outcome {
        let arguments = args!["vault", "register", "--credentials", credentials, "--passphrase-file", self.passphrase];
        self.store.opened_by(&self.scene.program()).run(arguments)
    }

    /// Runs a command that must be done. What opens the store, the server keeps itself.
    #[track_caller]
    fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Value {
        self.scene.program().run(arguments).done()
    }

    /// Some changes; then a point in the pool and an online point, and a copy of what the source was.
    #[track_caller]
    fn back_up_online(&mut self) -> (Point, PathBuf) {
        plain_tree::change(&self.scene.source, 0.05, &mut self.random);
        let outcome = self.scene.program().run(args!["backup", "--online"]);
        outcome.done();
        let online = online(&outcome).pop().unwrap();
        let copy = self.scene.path(&format!("copy-{}", online.id));
        plain_tree::copy(&self.scene.source, &copy);
        (online, copy)
    }

    /// The online points of the source.
    #[track_caller]
    fn points(&self) -> Vec<Point> {
        let outcome = self.scene.program().run(args!["points", "--online"]);
        outcome.done();
        outcome.points()
    }

    /// A recovery kit: the arguments of `-RestoreDb` that use it.
    fn kit(&self) -> Vec<OsString> {
        let passphrase = secret(&self.scene, "kit-passphrase", "correct horse battery staple");
        let to = self.scene.path("kit");
        let kit = self.run(args!["recovery-kit", "write", "--to", to, "--passphrase-file", passphrase]);
        args!["-Kit", kit["file"].as_str().unwrap(), "--passphrase-file", passphrase].to_vec()
    }

    /// What the vault calls this server's part.
    fn part(&self) -> String {
        let names = self.store.names("servers");
        let mut parts: Vec<&str> = names.iter().filter_map(|name| name.split('/').nth(1)).collect();
        parts.dedup();
        assert_eq!(parts.len(), 1, "{parts:?}");
        format!("servers/{}", parts[0])
    }
}

/// Runs a command under a clock that is wrong by so much.
fn at_another_time(program: &Program, step: &str, arguments: impl IntoIterator<Item = OsString>) -> Outcome {
    let mut faketime = Command::new("faketime");
    faketime.args(["-f", step]);
    Running::start(&mut program.command_under(faketime, arguments)).finish(Duration::from_secs(180))
}

/// The online ones of the points that a command made or lists, but for those of the catalog.
fn online(outcome: &Outcome) -> Vec<Point> {
    let document = outcome.json();
    let is_online: Vec<bool> = document["points"].as_array().unwrap().iter().map(|p| p["online"] == true).collect();
    let all = outcome.all_points().into_iter().zip(is_online);
    all.filter(|(point, online)| *online && point.source != "DPMDB").map(|(point, _)| point).collect()
}

/// What the last online backup of a source says that it cost: requests, bytes up and bytes down.
#[derive(Debug, Clone, Copy)]
struct Cost {
    requests: u64,
    bytes_up: u64,
    bytes_down: u64,
}

fn last_cost(program: &Program, source: &Path) -> Cost {
    cost_of(program, |job| job["kind"] == "online-backup" && job["subject"] == source.to_str().unwrap())
}

/// What the newest such job says that it cost.
fn cost_of(program: &Program, meant: impl Fn(&Value) -> bool) -> Cost {
    let outcome = program.run(args!["jobs", "--limit", "8"]);
    let document = outcome.done();
    let mut jobs = document["jobs"].as_array().unwrap().iter();
    let job = jobs.find(|job| meant(job)).unwrap_or_else(|| panic!("no job: {outcome}"));
    let message = job["message"].as_str().unwrap();
    let before = |word: &str| -> u64 {
        let text = message.split(word).next().unwrap().rsplit(' ').next().unwrap();
        text.parse().unwrap_or_else(|_| panic!("no number before `{word}`: {message}"))
    };
    Cost { requests: before(" requests"), bytes_up: before(" bytes up"), bytes_down: before(" bytes down") }
}
