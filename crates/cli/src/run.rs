//! One function for each command: arguments become a request, the answer is shown.

mod alerts;
mod backup;
mod catalog;
mod dpmsync;
mod drill;
mod external;
mod group;
mod kit;
mod look;
mod man;
mod pin;
mod pool;
mod reader;
mod recover;
mod restore;
mod serve;
mod source;
mod status;
mod upkeep;
mod vault;

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use resurgam_jobs::Server;
use resurgam_model::retention::Retention;
use serde::Serialize;

use crate::{
    Ending,
    args::{Cli, Command, Global, Keep},
    environment,
    failure::Failure,
    home,
    output::Output,
    passphrase::{self, Passphrase},
};

/// What every command works with.
struct Context<'a> {
    global: Global,
    output: &'a Output,
    zone: TimeZone,
}

/// Runs a command.
pub(crate) fn run(cli: Cli, output: &Output) -> Result<Ending, Failure> {
    let context = Context { global: cli.global, output, zone: environment::time_zone() };
    match cli.command {
        Command::Protect(arguments) => backup::protect(&context, arguments),
        Command::Backup(arguments) => backup::backup(&context, arguments),
        Command::Points(arguments) => look::points(&context, arguments),
        Command::Ls(arguments) => look::ls(&context, arguments),
        Command::Find(arguments) => look::find(&context, arguments),
        Command::Diff(arguments) => look::diff(&context, arguments),
        Command::Recover(arguments) => recover::recover(&context, arguments),
        Command::Sources => source::list(&context),
        Command::Status => status::status(&context),
        Command::Jobs(arguments) => status::jobs(&context, arguments),
        Command::Alerts(arguments) => alerts::run(&context, &arguments),
        Command::Verify(arguments) => upkeep::verify(&context, arguments),
        Command::Expire(arguments) => upkeep::expire(&context, arguments),
        Command::Prune(arguments) => upkeep::prune(&context, arguments),
        Command::Pool(command) => pool::run(&context, command),
        Command::Group(command) => group::run(&context, command),
        Command::Source(command) => source::run(&context, command),
        Command::Catalog(command) => catalog::run(&context, command),
        Command::Dpmsync(arguments) => dpmsync::run(&context, *arguments),
        Command::Drill(arguments) => drill::run(&context, arguments),
        Command::RecoveryKit(command) => kit::run(&context, command),
        Command::Serve(arguments) => serve::run(&context, &arguments),
        Command::Vault(command) => vault::run(&context, *command),
        Command::External(command) => external::run(&context, command),
        Command::Reader(command) => reader::run(&context, command),
        Command::Completions(arguments) => man::completions(&context, arguments),
        Command::Man(arguments) => man::man(&context, arguments),
    }
}

/// An open server. What it has to say besides its answers is said when the command lets go of it.
struct Opened<'a> {
    server: Server,
    output: &'a Output,
}

impl std::ops::Deref for Opened<'_> {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        // What the command changed may belong into the recovery kit.
        if let Err(error) = resurgam_rebuild::recovery_kit::refresh(&self.server) {
            self.output.warn(&format!("the recovery kit could not be brought up to date: {error}"));
        }
        for notice in self.server.take_notices() {
            self.output.warn(&notice);
        }
    }
}

impl<'a> Context<'a> {
    /// The server's home.
    fn home(&self) -> Result<PathBuf, Failure> {
        let is_root = rustix::process::geteuid().is_root();
        home::locate(self.global.home.as_deref(), |name| std::env::var_os(name), is_root)
    }

    /// The server, which must be there.
    fn server(&self) -> Result<Opened<'a>, Failure> {
        let server = Server::open(&self.home()?, environment::real(self.passphrase_given()?))?;
        Ok(Opened { server, output: self.output })
    }

    /// The server, made where it is missing.
    fn server_or_new(&self, passphrase: Option<Passphrase>) -> Result<Opened<'a>, Failure> {
        let server = Server::open_or_create(&self.home()?, environment::real(passphrase))?;
        Ok(Opened { server, output: self.output })
    }

    /// The file that holds the passphrase, where one was named.
    fn passphrase_file(&self) -> Option<PathBuf> {
        let variable = std::env::var_os("RESURGAM_PASSPHRASE_FILE");
        passphrase::file_named(self.global.passphrase_file.as_deref(), variable)
    }

    /// The passphrase in the file that was named, if one was.
    fn passphrase_given(&self) -> Result<Option<Passphrase>, Failure> {
        self.passphrase_file().map(|file| passphrase::from_file(&file, self.output)).transpose()
    }

    /// The passphrase of a volume that is to be opened by itself: as given, else asked for if the volume needs one.
    fn passphrase_of_volume(&self, directory: &Path) -> Result<Option<Passphrase>, Failure> {
        if self.passphrase_file().is_some() || !passphrase::can_ask() || !needs_passphrase(directory) {
            return self.passphrase_given();
        }
        passphrase::ask(&format!("the volume {}", directory.display())).map(Some)
    }
}

/// Whether a volume lies there whose keys are not open to everyone. What cannot be read needs none: opening it says why.
fn needs_passphrase(directory: &Path) -> bool {
    use resurgam_store::{Volume, keys::Slot};
    let Ok(place) = environment::stores().backend(directory) else { return false };
    Volume::header(&*place).is_ok_and(|header| !header.slots.iter().any(|slot| matches!(slot, Slot::Clear { .. })))
}

/// The policy that the retention options make; one that would keep nothing is refused.
fn retention(keep: &Keep) -> Result<Option<Retention>, Failure> {
    keep.retention().map_err(|error| Failure::arguments(error, "give a rule of --keep… that keeps something"))
}

/// The document of commands that take something out of the server's care.
#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a str,
}

impl<'a> Removed<'a> {
    fn of(what: &'a str) -> Self {
        Self { removed: what }
    }
}
