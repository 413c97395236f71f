//! What may be typed. One type for each command, in the order in which the help lists them.
//!
//! Nothing here decides anything: `crate::run` turns these types into requests.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

mod disaster;
mod look;
mod policy;
mod recover;
mod server;
mod vault;

pub(crate) use disaster::{Alerts, CatalogBackup, CatalogCommand, Dpmsync, Drill, Drilled, RecoveryKit, Serve};
pub(crate) use look::{Diff, Find, Ls, Points};
pub(crate) use policy::{At, Every, Keep, Leave};
pub(crate) use recover::{How, Reader, ReaderLs, ReaderPoints, ReaderRecover, Recover};
pub(crate) use server::{
    Backup, Completions, Expire, GroupCommand, GroupCreate, GroupSet, Jobs, Man, PoolAdd, PoolCommand, Protect, Prune,
    SourceAdd, SourceCommand, SourceLoad, SourceRemove, SourceSet, Verify,
};
pub(crate) use vault::{
    ExternalCommand, ExternalRecover, Online, OnlinePolicy, Pin, VaultCarry, VaultCommand, VaultCreate,
    VaultCredentials, VaultLoad, VaultPassphrase, VaultPin, VaultRegister, VaultSet,
};

const AFTER_HELP: &str = "\
Ids may be shortened as long as they stay unambiguous; `latest` is the newest point of a source.
The server's home is --home, else $RESURGAM_HOME, else /var/lib/resurgam for root, else
$XDG_DATA_HOME/resurgam or ~/.local/share/resurgam.

Exit codes: 0 done; 1 failed; 2 wrong usage; 3 done, but some items could not be read or
proved, and each is named.";

/// A backup server that you can lose.
///
/// Protects folder trees in a storage pool that describes itself, and brings them back: with this server, or with
/// nothing but one volume of the pool and this program.
#[derive(Debug, Parser)]
#[command(name = "resurgam", version, after_help = AFTER_HELP, arg_required_else_help = true, max_term_width = 110)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// The server's home directory
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// Print one JSON document on standard output, also for errors
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more: whole ids, everything that was left out, the causes of errors
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Say less: no progress, no hints
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Read the passphrase from this file [default: $RESURGAM_PASSPHRASE_FILE, else the terminal]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Protect directories: make what is missing (server, volume, group, source) and take a recovery point of each
    Protect(Protect),
    /// Take the next recovery point of protected sources
    Backup(Backup),
    /// List recovery points, the newest last
    Points(Points),
    /// List what a recovery point holds
    Ls(Ls),
    /// Find entries by name in every recovery point
    Find(Find),
    /// Show what differs between two recovery points
    Diff(Diff),
    /// Bring back a recovery point, or single paths of it
    Recover(Recover),
    /// List protected sources
    Sources,
    /// Show how things stand: sources, their newest points and objectives, volumes, running jobs
    Status,
    /// List jobs, the newest first
    Jobs(Jobs),
    /// List what is wrong now
    Alerts(Alerts),
    /// Check that everything in the pool is there and sound, and mend what can be mended
    Verify(Verify),
    /// Give up the recovery points that retention no longer keeps
    Expire(Expire),
    /// Give back the space of what was given up
    Prune(Prune),
    /// The storage pool: the volumes that hold backups
    #[command(subcommand)]
    Pool(PoolCommand),
    /// Protection groups: sources that share a policy
    #[command(subcommand)]
    Group(GroupCommand),
    /// Protected sources
    #[command(subcommand)]
    Source(SourceCommand),
    /// The server's own catalog: native backups, versions, queries
    #[command(subcommand)]
    Catalog(CatalogCommand),
    /// Restore the catalog, and reconcile it with the volumes
    Dpmsync(Box<Dpmsync>),
    /// Rehearse losing the server: rebuild it in a scratch place from one copy, and compare
    Drill(Drill),
    /// What opens everything when the server is gone: one file under a passphrase, one page to print
    #[command(subcommand)]
    RecoveryKit(RecoveryKit),
    /// Run the schedules: backups, native backups, expiry, prune, verification, drills, alerts
    Serve(Serve),
    /// Vaults: online recovery points, encrypted, off site
    #[command(subcommand)]
    Vault(Box<VaultCommand>),
    /// Recover here what another server has protected in the same vault
    #[command(subcommand)]
    External(ExternalCommand),
    /// Read a volume with nothing else: no home, no catalog
    #[command(subcommand)]
    Reader(Reader),
    /// Print completions for a shell
    Completions(Completions),
    /// Print the manual page, or write all of them into a directory
    Man(Man),
}

/// One source, where it can be named.
#[derive(Debug, Args)]
pub(crate) struct OfSource {
    /// A source: its root's path, its id, or the beginning of its id
    #[arg(long, value_name = "S")]
    pub(crate) source: Option<OsString>,
}

/// Whether `--json` is among arguments that could not be understood otherwise.
pub(crate) fn ask_for_json(arguments: &[OsString]) -> bool {
    arguments.iter().skip(1).take_while(|argument| *argument != "--").any(|argument| argument == "--json")
}

#[cfg(test)]
mod tests;
