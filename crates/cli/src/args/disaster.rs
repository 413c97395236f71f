//! What is about losing the server: copies of the catalog, the recovery kit, `dpmsync`, drills; and the daemon.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use resurgam_model::{
    charter::CopyKind,
    retention::{InvalidSpan, parse_span_seconds},
    words::UnknownWord,
};

/// `catalog`
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogCommand {
    /// Make a native backup of the catalog: a file that stock tools open
    Backup(CatalogBackup),
    /// Show the version of the catalog's schema, and every version of the program that has opened it
    Version,
    /// Run a query on the catalog; the SQL scripts of MABS's documents run as they are printed
    Query {
        /// A file with one SELECT; `-` for standard input
        file: PathBuf,
    },
}

/// `catalog backup`
#[derive(Debug, Args)]
pub(crate) struct CatalogBackup {
    /// The directory that the file goes to; it is made where it is missing
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    /// Keep the newest N files
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep: Option<u32>,
    /// Remove files older than this, such as 14d; the newest stays
    #[arg(long, value_name = "AGE", value_parser = span)]
    pub(crate) max_age: Option<u64>,
    /// Let `resurgam serve` make one this often, such as 1h
    #[arg(long, value_name = "SPAN", value_parser = span)]
    pub(crate) every: Option<u64>,
    /// Print a systemd service and timer that do this, and make no backup
    #[arg(long, conflicts_with = "print_cron")]
    pub(crate) print_timer: bool,
    /// Print a line for crontab(5) that does this, and make no backup
    #[arg(long)]
    pub(crate) print_cron: bool,
}

/// `dpmsync`
#[derive(Debug, Args)]
#[command(after_help = DPMSYNC_HELP)]
pub(crate) struct Dpmsync {
    /// -RestoreDb: bring the catalog back from what -DbLoc names
    #[arg(long)]
    pub(crate) restore_db: bool,
    /// -DbLoc X: a native backup, a folder of them, a volume of the pool, a vault, or a folder that a recovery point was brought back to
    #[arg(long, value_name = "X")]
    pub(crate) db_loc: Option<PathBuf>,
    /// -InstanceName I: the database to restore into: the path of an SQLite file, or a postgres:// URL
    #[arg(long, value_name = "I")]
    pub(crate) instance_name: Option<String>,
    /// -DpmDbName N: the name of the database in that instance
    #[arg(long, value_name = "N")]
    pub(crate) dpm_db_name: Option<String>,
    /// -Use C: of the copies found, take this one (its path, the id of its point, or `capsules`)
    #[arg(long = "use", value_name = "C")]
    pub(crate) chosen: Option<String>,
    /// -Kit FILE: the recovery kit, for the server's keys
    #[arg(long, value_name = "FILE")]
    pub(crate) kit: Option<PathBuf>,
    /// -Sync: reconcile catalog and volumes
    #[arg(long)]
    pub(crate) sync: bool,
    /// -Volume DIR: look here too, for a volume that has moved; may be repeated
    #[arg(long, value_name = "DIR")]
    pub(crate) volume: Vec<PathBuf>,
    /// -ReadData: prove the data as well, not the metadata alone
    #[arg(long)]
    pub(crate) read_data: bool,
    /// -WhatIf: show what -Sync would do, and change nothing
    #[arg(long)]
    pub(crate) what_if: bool,
    /// -Accept: accept the report of the last -Sync although it was not clean: deleting is allowed again
    #[arg(long)]
    pub(crate) accept: bool,
    /// -ReallocateReplica: give every missing replica a new, empty place
    #[arg(long)]
    pub(crate) reallocate_replica: bool,
    /// -DataCopied: data was loaded into reallocated replicas by hand; prove them against their sources
    #[arg(long)]
    pub(crate) data_copied: bool,
}

const DPMSYNC_HELP: &str = "\
Switches may be written as in Microsoft's documents: one dash or two, in any case, and a long dash is a dash:
    dpmsync -RestoreDb -DbLoc /mnt/usb/DPMDB.bak
    dpmsync -Sync
    dpmsync -ReallocateReplica
What can be done with the next command is done in this order: -RestoreDb, -Sync, -Accept, -ReallocateReplica, -DataCopied.";

/// `drill`
#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// Which copy to rebuild the server from
    #[arg(long, value_name = "pool|vault|native|share|capsules|all", default_value = "all", value_parser = drilled)]
    pub(crate) from: Drilled,
    /// Rehearse below this directory [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) scratch: Option<PathBuf>,
    /// Restore and prove this many files of each source's newest point
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) sample: u64,
}

/// Which copies a drill is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drilled {
    /// Every copy that there is.
    All,
    /// Those of one kind.
    Kind(CopyKind),
}

fn drilled(text: &str) -> Result<Drilled, UnknownWord> {
    if text == "all" { Ok(Drilled::All) } else { text.parse().map(Drilled::Kind) }
}

/// `recovery-kit`
#[derive(Debug, Subcommand)]
pub(crate) enum RecoveryKit {
    /// Make the kit: one file under a passphrase, and a page to print
    Write {
        /// The directory that they go to; best a disk that leaves the building
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Prove that the passphrase opens the kit and that what is in it is right
    Test {
        /// The kit [default: where it was written last]
        file: Option<PathBuf>,
    },
    /// Print the page, in plain text
    Show,
}

/// `serve`
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Print a systemd unit for the daemon, and do nothing else
    #[arg(long)]
    pub(crate) print_unit: bool,
    /// Do once what is due now, and end
    #[arg(long)]
    pub(crate) once: bool,
}

/// `alerts`
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    /// Those that have cleared themselves, too
    #[arg(long)]
    pub(crate) all: bool,
}

fn span(text: &str) -> Result<u64, InvalidSpan> {
    parse_span_seconds(text)
}
