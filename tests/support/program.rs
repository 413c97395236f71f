//! The program under test: where it lies, and with what surroundings it runs.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{outcome::Outcome, parts::count_from, running::Running};

/// Seconds. No command of a test may take longer: it hangs.
const COMMAND_LIMIT: u64 = 180;

/// What would open an object store, or lead to another.
const STORES: &[&str] = &[
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING",
];

/// Arguments of mixed types as the list that [`Program::run`] takes.
#[macro_export]
macro_rules! args {
    ($($argument:expr),* $(,)?) => {
        [$(std::ffi::OsStr::new(&$argument).to_owned()),*]
    };
}

/// The program, with one home and one environment.
#[derive(Debug, Clone)]
pub struct Program {
    executable: PathBuf,
    home: Option<PathBuf>,
    environment: Vec<(OsString, OsString)>,
    json: bool,
}

impl Program {
    /// With `--home`, and `--json` on every command.
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: Some(home.into()), ..Self::without_home() }
    }

    /// Without `--home`: the environment or the default decides.
    pub fn without_home() -> Self {
        Self { executable: Self::executable(), home: None, environment: Vec::new(), json: true }
    }

    /// The same, as another copy of the executable.
    pub fn as_copy(&self, executable: PathBuf) -> Self {
        Self { executable, ..self.clone() }
    }

    /// The same without `--json`: what a person sees.
    pub fn for_people(&self) -> Self {
        Self { json: false, ..self.clone() }
    }

    /// The same with one more variable in its environment.
    pub fn with(&self, name: &str, value: impl Into<OsString>) -> Self {
        let mut program = self.clone();
        program.environment.push((name.into(), value.into()));
        program
    }

    /// Where the executable lies: `RESURGAM_BIN`, else beside the test's own folder in the target directory.
    pub fn executable() -> PathBuf {
        if let Some(path) = std::env::var_os("RESURGAM_BIN") {
            return path.into();
        }
        // A test lies in target/<profile>/deps.
        let test = std::env::current_exe().unwrap();
        let beside = test.parent().and_then(Path::parent).unwrap().join("resurgam");
        assert!(beside.is_file(), "no {}: `cargo build -p resurgam-cli` first, or use scripts/test", beside.display());
        beside
    }

    /// The command, ready to start. Nothing of the caller's own set-up reaches it.
    pub fn command(&self, arguments: impl IntoIterator<Item = OsString>) -> Command {
        let mut command = Command::new(&self.executable);
        self.surround(&mut command);
        command.args(self.arguments(arguments));
        command
    }

    /// The command, run by another program such as strace, which is given whole.
    pub fn command_under(&self, mut outer: Command, arguments: impl IntoIterator<Item = OsString>) -> Command {
        self.surround(&mut outer);
        outer.arg(&self.executable).args(self.arguments(arguments));
        outer
    }

    fn surround(&self, command: &mut Command) {
        for name in ["RESURGAM_HOME", "RESURGAM_PASSPHRASE_FILE", "RESURGAM_CATALOG", "XDG_DATA_HOME", "RUST_BACKTRACE"]
            .iter()
            .chain(STORES)
        {
            command.env_remove(name);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
    }

    fn arguments(&self, arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
        let mut all = Vec::new();
        if let Some(home) = &self.home {
            all.extend(["--home".into(), home.clone().into_os_string()]);
        }
        if self.json {
            all.push("--json".into());
        }
        all.extend(arguments);
        all
    }

    /// Starts a command.
    pub fn start(&self, arguments: impl IntoIterator<Item = OsString>) -> Running {
        Running::start(&mut self.command(arguments))
    }

    /// Runs a command to its end; where trees are large, `RESURGAM_COMMAND_SECONDS` says how long it may take.
    pub fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Outcome {
        self.start(arguments).finish(Duration::from_secs(count_from("RESURGAM_COMMAND_SECONDS", COMMAND_LIMIT)))
    }
}
