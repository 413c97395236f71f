//! Vaults and external servers: `vault …`, `external …`, and online protection wherever it can be asked for.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};
use resurgam_model::{policy::Calendar, retention::Retention, size::parse_size_bytes};

use super::{Keep, policy::span};

/// `vault`
#[derive(Debug, Subcommand)]
pub(crate) enum VaultCommand {
    /// Make a vault in an object store or a directory, and its owner's key
    Create(VaultCreate),
    /// Issue credentials, with which a server registers; those before count no more
    Credentials(VaultCredentials),
    /// Register this server with a vault
    Register(VaultRegister),
    /// List the vaults that this server is registered with
    List,
    /// Set how fast a vault may be talked to
    Set(VaultSet),
    /// Test whether a store does what a vault relies on; what is written for it is deleted again
    Check {
        /// Where: az://CONTAINER/PREFIX, s3://BUCKET/PREFIX, s3+http://HOST:PORT/BUCKET/PREFIX, or a directory
        url: String,
    },
    /// Write the first copy of what is protected online onto a disk that is carried to the vault
    Carry(VaultCarry),
    /// Load a carried disk into its vault: near the store, without a server and without keys
    Load(VaultLoad),
    /// Put back an online recovery point that was given up; without one, list those that can come back
    Undelete {
        /// The point: its id, or the beginning of it
        point: Option<String>,
        #[command(flatten)]
        of: OfVault,
    },
    /// Make a PIN, good for five minutes: the owner's leave for what cannot be taken back
    Pin(VaultPin),
    /// Change the passphrase of this server's part
    Passphrase(VaultPassphrase),
}

/// Which vault, where there are several.
#[derive(Debug, Args, Default)]
pub(crate) struct OfVault {
    /// The vault: its name, URL or id [default: the only one]
    #[arg(long, value_name = "V")]
    pub(crate) vault: Option<String>,
}

/// `vault create`
#[derive(Debug, Args)]
pub(crate) struct VaultCreate {
    /// Where: az://CONTAINER/PREFIX, s3://BUCKET/PREFIX, s3+http://HOST:PORT/BUCKET/PREFIX, or a directory
    pub(crate) url: String,
    /// The owner's key; made there where the file is missing. Keep it apart from every server
    #[arg(long, value_name = "F")]
    pub(crate) owner_key: PathBuf,
    /// What people call the vault [default: the last part of the URL]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// How long credentials are good for, in hours
    #[arg(long, value_name = "N", default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=8760))]
    pub(crate) credentials_hours: u32,
    /// How long a point that was given up can come back, in days
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=3650))]
    pub(crate) deleted_days: u32,
    /// No policy may keep points for less than this many days
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(0..=3650))]
    pub(crate) minimum_days: u32,
}

/// `vault credentials`
#[derive(Debug, Args)]
pub(crate) struct VaultCredentials {
    /// The vault's URL
    pub(crate) url: String,
    /// The owner's key
    #[arg(long, value_name = "F")]
    pub(crate) owner_key: PathBuf,
    /// Write the credentials into this file
    #[arg(long, value_name = "F")]
    pub(crate) out: PathBuf,
}

/// `vault register`
#[derive(Debug, Args)]
pub(crate) struct VaultRegister {
    /// The credentials that the vault's owner issued
    #[arg(long, value_name = "F")]
    pub(crate) credentials: PathBuf,
    /// Make a passphrase and show it; it is asked back before it counts
    #[arg(long)]
    pub(crate) generate: bool,
}

/// `vault set`
#[derive(Debug, Args)]
#[group(id = "limits", required = true, multiple = true, args = ["up", "down", "requests"])]
pub(crate) struct VaultSet {
    #[command(flatten)]
    pub(crate) of: OfVault,
    /// Send no more than this a second, such as 10M; `none` lifts the limit
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) up: Option<Limit>,
    /// Fetch no more than this a second, such as 50M; `none` lifts the limit
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub(crate) down: Option<Limit>,
    /// Make no more than N requests at once; `none` for the usual number, 16
    #[arg(long, value_name = "N", value_parser = number)]
    pub(crate) requests: Option<Limit>,
}

/// A limit, or that there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limit(pub(crate) Option<u64>);

fn rate(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    parse_size_bytes(text).map(|bytes| Limit(Some(bytes))).map_err(|error| error.to_string())
}

fn number(text: &str) -> Result<Limit, String> {
    if text == "none" {
        return Ok(Limit(None));
    }
    text.parse().map(|number| Limit(Some(number))).map_err(|_| "it is no number, and not `none`".to_owned())
}

/// `vault carry`
#[derive(Debug, Args)]
pub(crate) struct VaultCarry {
    /// A directory on the disk: empty, or begun before
    pub(crate) directory: PathBuf,
    #[command(flatten)]
    pub(crate) of: OfVault,
    /// Only the sources of this group
    #[arg(long, value_name = "G", conflicts_with = "source")]
    pub(crate) group: Option<String>,
    /// Only this source: an id or the root's path
    #[arg(long, value_name = "S")]
    pub(crate) source: Option<OsString>,
}

/// `vault load`
#[derive(Debug, Args)]
pub(crate) struct VaultLoad {
    /// The directory that `vault carry` has written
    pub(crate) directory: PathBuf,
    /// Where the vault is [default: where the server knows it]
    pub(crate) url: Option<String>,
}

/// `vault pin`
#[derive(Debug, Args)]
pub(crate) struct VaultPin {
    /// The vault's URL
    pub(crate) url: String,
    /// The owner's key
    #[arg(long, value_name = "F")]
    pub(crate) owner_key: PathBuf,
}

/// `vault passphrase`
#[derive(Debug, Args)]
pub(crate) struct VaultPassphrase {
    #[command(flatten)]
    pub(crate) of: OfVault,
    /// Read the new passphrase from this file [default: asked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) new_passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) pin: Pin,
}

/// Leave of the vault's owner.
#[derive(Debug, Args, Default)]
pub(crate) struct Pin {
    /// Read a PIN of the vault's owner from this file, `-` for standard input, for what deletes online points or changes their
    /// passphrase [default: asked for]
    #[arg(long, value_name = "FILE")]
    pub(crate) pin_file: Option<PathBuf>,
}

/// `external`
#[derive(Debug, Subcommand)]
pub(crate) enum ExternalCommand {
    /// Look at the other servers of a vault
    Add {
        /// Credentials that the vault's owner issued
        #[arg(long, value_name = "F")]
        credentials: PathBuf,
    },
    /// List the servers of the vault
    List,
    /// List the online recovery points of a server; its passphrase is asked for
    Points {
        /// The server: its name, its id, or the beginning of its id
        server: String,
        #[command(flatten)]
        of: super::OfSource,
    },
    /// Bring back an online recovery point of a server, or single paths of it; its passphrase is asked for
    Recover(ExternalRecover),
    /// Forget the vault: nothing of it stays here
    Clear,
}

/// `external recover`
#[derive(Debug, Args)]
pub(crate) struct ExternalRecover {
    /// The server: its name, its id, or the beginning of its id
    pub(crate) server: String,
    /// The recovery point: an id, the beginning of one, or `latest`
    pub(crate) point: String,
    /// Only these paths of the point, relative to the source's root
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<std::ffi::OsString>,
    /// Into this directory: what lies below the source's root comes to lie directly in it
    #[arg(long, value_name = "DIR")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) how: super::How,
    #[command(flatten)]
    pub(crate) of: super::OfSource,
}

/// Online protection.
#[derive(Debug, Args, Default)]
#[command(next_help_heading = "Online protection (copies of points in a vault)")]
pub(crate) struct Online {
    /// Switch online protection of the group on, and of the group of the server's own catalog
    #[arg(long)]
    pub(crate) online: bool,
    #[command(flatten)]
    pub(crate) policy: OnlinePolicy,
}

/// What is kept online, and how often a point is made.
#[derive(Debug, Args, Default)]
pub(crate) struct OnlinePolicy {
    /// Which vault [default: the only one]
    #[arg(long, value_name = "V", requires = "online")]
    pub(crate) vault: Option<String>,
    /// How often an online point is due [default: 1d]
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "online")]
    pub(crate) online_every: Option<u64>,
    /// Calendar times of online points, as in crontab(5)
    #[arg(long, value_name = "CRON", requires = "online")]
    pub(crate) online_at: Option<String>,
    /// Keep online points younger than this
    #[arg(long, value_name = "AGE", value_parser = span, requires = "online")]
    pub(crate) online_keep: Option<u64>,
    /// Keep the newest N online points
    #[arg(long, value_name = "N", requires = "online")]
    pub(crate) online_keep_last: Option<u32>,
    /// Keep the newest online point of each of the last N days that have one
    #[arg(long, value_name = "N", requires = "online")]
    pub(crate) online_keep_daily: Option<u32>,
    /// The same for weeks
    #[arg(long, value_name = "N", requires = "online")]
    pub(crate) online_keep_weekly: Option<u32>,
    /// The same for months
    #[arg(long, value_name = "N", requires = "online")]
    pub(crate) online_keep_monthly: Option<u32>,
    /// The same for years
    #[arg(long, value_name = "N", requires = "online")]
    pub(crate) online_keep_yearly: Option<u32>,
}

impl OnlinePolicy {
    /// The policy; `None` where no rule was given.
    ///
    /// # Errors
    /// Where it would keep nothing.
    pub(crate) fn retention(&self) -> Result<Option<Retention>, resurgam_model::retention::KeepsNothing> {
        let keep = Keep {
            keep: self.online_keep,
            keep_last: self.online_keep_last,
            keep_daily: self.online_keep_daily,
            keep_weekly: self.online_keep_weekly,
            keep_monthly: self.online_keep_monthly,
            keep_yearly: self.online_keep_yearly,
        };
        keep.retention()
    }

    /// The calendar, where one was given.
    pub(crate) fn calendar(&self) -> Option<Calendar> {
        self.online_at.clone().map(|cron| Calendar { cron, zone: None })
    }
}
