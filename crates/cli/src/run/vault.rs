//! `vault …`.

use std::{fs, path::Path};

use jiff::Timestamp;
use resurgam_jobs::{
    LimitsChange, Scope, Server, Stores, check_passphrase, check_vault, create_vault, generate_passphrase,
    issue_credentials, load_carried, make_pin,
};
use resurgam_model::report::{DeletedSummary, StoreCheck, VaultSummary};
use resurgam_store::{
    backend::{Backend, directory::Directory},
    vault::{Rules, owner::OwnerKey},
};
use serde::Serialize;
use zeroize::Zeroizing;

use super::{Context, pin as leave};
use crate::{
    Ending,
    args::{
        VaultCarry, VaultCommand, VaultCreate, VaultCredentials, VaultLoad, VaultPassphrase, VaultPin, VaultRegister,
        VaultSet,
    },
    environment,
    failure::Failure,
    naming,
    passphrase::{self, Passphrase},
    progress::watched,
    show::vault as show,
    signals,
};

/// The document of `vault list` and of `vault register`.
#[derive(Serialize)]
struct VaultsDocument {
    vaults: Vec<VaultSummary>,
}

/// The document of `vault create`.
#[derive(Serialize)]
struct CreatedDocument<'a> {
    vault: String,
    name: &'a str,
    url: &'a str,
    owner_key: String,
}

/// The document of `vault credentials`.
#[derive(Serialize)]
struct CredentialsDocument {
    file: String,
    expires: Timestamp,
    /// Whether the store's own grant is in it.
    grant: bool,
}

/// The document of `vault pin`.
#[derive(Serialize)]
struct PinDocument<'a> {
    pin: &'a str,
    seconds: i64,
}

/// The document of `vault undelete`.
#[derive(Serialize)]
struct DeletedDocument {
    deleted: Vec<DeletedSummary>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undeleted: Option<DeletedSummary>,
}

/// The document of `vault check`.
#[derive(Serialize)]
struct ChecksDocument {
    checks: Vec<StoreCheck>,
}

pub(super) fn run(context: &Context<'_>, command: VaultCommand) -> Result<Ending, Failure> {
    match command {
        VaultCommand::Create(arguments) => create(context, &arguments),
        VaultCommand::Credentials(arguments) => credentials(context, &arguments),
        VaultCommand::Register(arguments) => register(context, &arguments),
        VaultCommand::List => answer(context, context.server()?.vaults()?),
        VaultCommand::Set(arguments) => set(context, &arguments),
        VaultCommand::Check { url } => check(context, &url),
        VaultCommand::Carry(arguments) => carry(context, &arguments),
        VaultCommand::Load(arguments) => load(context, &arguments),
        VaultCommand::Undelete { point, of } => undelete(context, point.as_deref(), of.vault.as_deref()),
        VaultCommand::Pin(arguments) => pin(context, &arguments),
        VaultCommand::Passphrase(arguments) => change_passphrase(context, &arguments),
    }
}

fn answer(context: &Context<'_>, vaults: Vec<VaultSummary>) -> Result<Ending, Failure> {
    let document = VaultsDocument { vaults };
    context.output.answer(&document, || show::vaults(&document.vaults, &context.zone, context.output.is_verbose()))?;
    Ok(Ending::Whole)
}

/// How a vault's place is reached by its owner, who needs no server: what the server keeps, where there is one, and the
/// environment.
pub(super) fn stores(context: &Context<'_>) -> Result<Stores, Failure> {
    let home = context.home()?;
    let directory = environment::cache();
    if let Ok(server) = Server::open(&home, environment::real(None)) {
        return Ok(Stores { directory, ..server.stores() });
    }
    // Its catalog may be away, and the keys are there all the same.
    let known = resurgam_jobs::home::read_keyring(&home).ok().flatten().map(|keyring| keyring.access.clone());
    Ok(Stores { directory, known: known.unwrap_or_default(), ..environment::stores() })
}

fn create(context: &Context<'_>, arguments: &VaultCreate) -> Result<Ending, Failure> {
    let stores = stores(context)?;
    let url = stores.settled(&arguments.url)?;
    let owner = match fs::exists(&arguments.owner_key) {
        Ok(false) => {
            let (owner, text) = OwnerKey::generate().map_err(resurgam_jobs::JobError::from)?;
            write_private(&arguments.owner_key, text.as_bytes(), true)?;
            owner
        }
        _ => read_owner(&arguments.owner_key)?,
    };
    let rules = Rules {
        credentials_hours: arguments.credentials_hours,
        deleted_days: arguments.deleted_days,
        minimum_days: arguments.minimum_days,
    };
    let made = create_vault(&stores, &url, arguments.name.as_deref(), rules, &owner, environment::now())?;
    let document = CreatedDocument {
        vault: made.vault.to_string(),
        name: &made.name,
        url: &url,
        owner_key: arguments.owner_key.display().to_string(),
    };
    context.output.answer(&document, || {
        format!(
            "Vault {} ({}) is made in {url}.\nIts owner's key is {}: keep it apart from every server, and a copy of it.\n",
            made.name,
            made.vault,
            arguments.owner_key.display()
        )
    })?;
    context.output.note(&format!(
        "Next: resurgam vault credentials {url} --owner-key {} --out FILE",
        arguments.owner_key.display()
    ));
    Ok(Ending::Whole)
}

fn credentials(context: &Context<'_>, arguments: &VaultCredentials) -> Result<Ending, Failure> {
    let stores = stores(context)?;
    let owner = read_owner(&arguments.owner_key)?;
    let (issued, text) = issue_credentials(&stores, &arguments.url, &owner, environment::now())?;
    write_private(&arguments.out, text.as_bytes(), false)?;
    let file = arguments.out.display().to_string();
    let document = CredentialsDocument { file, expires: issued.expires, grant: issued.grant.is_some() };
    context.output.answer(&document, || {
        let zone = &context.zone;
        format!(
            "{}: good until {}, and until newer credentials are issued.\n",
            document.file,
            issued.expires.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z")
        )
    })?;
    Ok(Ending::Whole)
}

fn register(context: &Context<'_>, arguments: &VaultRegister) -> Result<Ending, Failure> {
    let text = read_text(&arguments.credentials, "credentials")?;
    let given = context.passphrase_given()?;
    let chosen = match (given, arguments.generate) {
        (Some(given), _) => given,
        (None, true) => generated(context)?,
        (None, false) => passphrase::ask_new("this server's part of the vault")?,
    };
    check_passphrase(&chosen)?;
    let mut server = context.server_or_new(None)?;
    let vault = server.server.register(&text, &chosen)?;
    let name = vault.name.clone();
    answer(context, vec![vault])?;
    context
        .output
        .note(&format!("Registered with {name}. To protect a group there: resurgam group set GROUP --online"));
    context
        .output
        .note("Without the passphrase, what lies there is lost for everybody but this server: keep it elsewhere");
    Ok(Ending::Whole)
}

/// Makes a passphrase, shows it, and asks it back.
fn generated(context: &Context<'_>) -> Result<Passphrase, Failure> {
    if !passphrase::can_ask() {
        return Err(Failure::new(
            "passphrase",
            "a passphrase that was made must be asked back, and there is no terminal",
            "run this on a terminal, or give --passphrase-file FILE",
        ));
    }
    let made = generate_passphrase()?;
    context.output.warn(&format!("The passphrase is: {}\nWrite it down now; it is not shown again", *made));
    let typed = passphrase::ask("the vault, as you have written it down")?;
    if *typed == made.as_bytes() {
        return Ok(typed);
    }
    Err(Failure::new(
        "passphrase",
        "that is not the passphrase that was shown",
        "run the command again; nothing was changed",
    ))
}

fn set(context: &Context<'_>, arguments: &VaultSet) -> Result<Ending, Failure> {
    let change = LimitsChange {
        up_bytes_per_second: arguments.up.map(|limit| limit.0),
        down_bytes_per_second: arguments.down.map(|limit| limit.0),
        requests_at_once: arguments.requests.map(|limit| limit.0),
    };
    let vault = context.server()?.server.limit_vault(arguments.of.vault.as_deref(), &change)?;
    context.output.answer(&VaultsDocument { vaults: vec![vault.clone()] }, || {
        format!("{}: {}.\n", vault.name, show::limits(&vault.limits))
    })?;
    Ok(Ending::Whole)
}

fn check(context: &Context<'_>, url: &str) -> Result<Ending, Failure> {
    let checks = check_vault(&stores(context)?, url)?;
    let document = ChecksDocument { checks };
    context.output.answer(&document, || show::checks(&document.checks))?;
    Ok(if document.checks.iter().all(|check| check.holds || check.optional) { Ending::Whole } else { Ending::Bad })
}

fn carry(context: &Context<'_>, arguments: &VaultCarry) -> Result<Ending, Failure> {
    let source = arguments.source.as_deref().map(naming::path_or_id);
    let scope = Scope { group: arguments.group.clone(), source };
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let (server, vault) = (context.server()?, arguments.of.vault.as_deref());
    let carried = watched(context.output, "writing the disk", |meter| {
        server.carry(&scope, vault, &arguments.directory, meter, &cancel)
    })?;
    context.output.answer(&carried, || show::carried(&carried, &context.zone))?;
    context.output.note(&format!("Where the disk arrives: resurgam vault load DIR {}", carried.vault));
    context.output.note("After that, `resurgam backup --online` sends only what has changed since");
    Ok(Ending::Whole)
}

fn load(context: &Context<'_>, arguments: &VaultLoad) -> Result<Ending, Failure> {
    let stores = stores(context)?;
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let loaded = watched(context.output, "loading the disk", |meter| {
        load_carried(&stores, &arguments.directory, arguments.url.as_deref(), meter, &cancel)
    })?;
    context.output.answer(&loaded, || show::loaded(&loaded))?;
    Ok(Ending::Whole)
}

fn undelete(context: &Context<'_>, point: Option<&str>, vault: Option<&str>) -> Result<Ending, Failure> {
    let server = context.server()?;
    let undeleted = point.map(|point| server.undelete(point, vault)).transpose()?;
    let document = DeletedDocument { deleted: server.deleted_points(vault)?, undeleted };
    context.output.answer(&document, || match &document.undeleted {
        Some(point) => format!("The point {} of {} is back.\n", point.id, point.source),
        None => show::deleted(&document.deleted, &context.zone, context.output.is_verbose()),
    })?;
    Ok(Ending::Whole)
}

fn pin(context: &Context<'_>, arguments: &VaultPin) -> Result<Ending, Failure> {
    let owner = read_owner(&arguments.owner_key)?;
    let pin = make_pin(&stores(context)?, &arguments.url, &owner, environment::now())?;
    let document = PinDocument { pin: &pin, seconds: resurgam_store::vault::pin::LIFE_SECONDS };
    context.output.answer(&document, || format!("{}\n", *pin))?;
    context.output.note("It is good for five minutes, for any server of the vault");
    Ok(Ending::Whole)
}

fn change_passphrase(context: &Context<'_>, arguments: &VaultPassphrase) -> Result<Ending, Failure> {
    let new = match &arguments.new_passphrase_file {
        Some(file) => passphrase::from_file(file, context.output)?,
        None => passphrase::ask_new("this server's part of the vault")?,
    };
    let server = context.server()?;
    let vault = arguments.of.vault.as_deref();
    let vault = leave::with(context, &arguments.pin, |pin| server.change_part_passphrase(vault, &new, pin))?;
    answer(context, vec![vault])
}

fn read_owner(file: &Path) -> Result<OwnerKey, Failure> {
    let text = Zeroizing::new(read_text(file, "owner's key")?);
    OwnerKey::parse(&text).ok_or_else(|| {
        let message = format!("{} holds no owner's key", file.display());
        Failure::new("owner-key", message, "give the file that `vault create` wrote: an Ed25519 key in PKCS#8 PEM")
    })
}

/// Credentials and keys are a few hundred bytes.
const TEXT_MAX: u64 = 1 << 16;

pub(super) fn read_text(file: &Path, what: &str) -> Result<String, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Failure::new(
            "file",
            format!("cannot read the {what} in {}: {error}", file.display()),
            "see that the path is right",
        )
    };
    let length = fs::metadata(file).map_err(|error| unreadable(&error))?.len();
    if length > TEXT_MAX {
        return Err(unreadable(&format!("it is {length} bytes long, which it never is")));
    }
    // What is no text is told by whoever parses it.
    Ok(String::from_utf8_lossy(&fs::read(file).map_err(|error| unreadable(&error))?).into_owned())
}

/// Writes a file that its owner alone can read, whole or not at all. `new`: one that is there is not written over.
fn write_private(file: &Path, bytes: &[u8], new: bool) -> Result<(), Failure> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().and_then(|name| name.to_str()).ok_or_else(|| {
        Failure::new("file", format!("{} is no name of a file", file.display()), "name one in plain text")
    })?;
    let folder = Directory::local(folder);
    let written = if new {
        folder.create(name).and_then(|mut upload| upload.append(bytes).and_then(|()| upload.commit()))
    } else {
        folder.replace(name, bytes)
    };
    written.map_err(|error| Failure::new("file", error.to_string(), "name a file in a directory that can be written"))
}
