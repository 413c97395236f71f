//! `catalog …`: native backups, versions, queries.

use std::io::Read;

use resurgam_catalog::QueryResult;
use resurgam_jobs::CatalogBackup;
use resurgam_server::systemd::{catalog_backup_cron, catalog_backup_timer};
use serde::Serialize;

use super::Context;
use crate::{
    Ending, args,
    args::CatalogCommand,
    failure::Failure,
    show::{
        amount,
        table::{Align, Table},
    },
    signals,
};

/// No query is longer.
const QUERY_MAX: u64 = 1 << 20;

pub(super) fn run(context: &Context<'_>, command: CatalogCommand) -> Result<Ending, Failure> {
    match command {
        CatalogCommand::Backup(arguments) => backup(context, arguments),
        CatalogCommand::Version => version(context),
        CatalogCommand::Query { file } => query(context, &file),
    }
}

fn backup(context: &Context<'_>, arguments: args::CatalogBackup) -> Result<Ending, Failure> {
    if arguments.print_timer || arguments.print_cron {
        context.output.text(&printed(context, &arguments)?)?;
        return Ok(Ending::Whole);
    }
    let what = CatalogBackup {
        to: arguments.to,
        keep: arguments.keep,
        max_age_seconds: arguments.max_age,
        every_seconds: arguments.every,
    };
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let report = context.server()?.catalog_backup(&what, &cancel)?;
    context.output.answer(&report, || {
        let removed = match report.removed.len() {
            0 => String::new(),
            count => format!(" {} removed.", amount::counted(count as u64, "older file", "older files")),
        };
        format!(
            "{} ({}), proved: it holds every row of the catalog.{removed}\n",
            report.file,
            amount::bytes(report.bytes)
        )
    })?;
    Ok(Ending::Whole)
}

/// How often a printed timer makes a backup where nobody says.
const EVERY_SECONDS: u64 = 3600;

/// The unit files or the line for cron that do what these arguments do.
fn printed(context: &Context<'_>, arguments: &args::CatalogBackup) -> Result<String, Failure> {
    let program = std::env::current_exe().unwrap_or_else(|_| "resurgam".into());
    let to = std::path::absolute(&arguments.to).unwrap_or_else(|_| arguments.to.clone());
    let mut options = vec!["--to".to_owned(), to.display().to_string()];
    if let Some(keep) = arguments.keep {
        options.extend(["--keep".to_owned(), keep.to_string()]);
    }
    if let Some(age) = arguments.max_age {
        options.extend(["--max-age".to_owned(), format!("{age}s")]);
    }
    let every = arguments.every.unwrap_or(EVERY_SECONDS);
    let print = if arguments.print_cron { catalog_backup_cron } else { catalog_backup_timer };
    Ok(print(&program, &context.home()?, &options, every))
}

/// The document of `catalog version`.
#[derive(Serialize)]
struct VersionDocument {
    /// Version of the schema.
    schema: i64,
    /// The newest schema that this program knows.
    supported: i64,
    /// The version of this program.
    program: &'static str,
    /// Every version of the program that has opened this catalog.
    history: Vec<Vec<Option<String>>>,
}

/// The document's own query for what has been installed.
const HISTORY: &str = "SELECT DISTINCT MajorVersionNumber, MinorVersionNumber, BuildNumber, FileName \
                       FROM dbo.tbl_AM_AgentPatch ORDER BY MajorVersionNumber, MinorVersionNumber, BuildNumber";

fn version(context: &Context<'_>) -> Result<Ending, Failure> {
    let server = context.server()?;
    let found = server.catalog().query(HISTORY).map_err(resurgam_jobs::JobError::from)?;
    let document = VersionDocument {
        schema: server.catalog().version().map_err(resurgam_jobs::JobError::from)?,
        supported: resurgam_catalog::SCHEMA_VERSION,
        program: env!("CARGO_PKG_VERSION"),
        history: found.rows.clone(),
    };
    context.output.answer(&document, || {
        format!(
            "Schema {}; this is Resurgam {}, which knows schemas up to {}. Opened so far by:\n{}",
            document.schema,
            document.program,
            document.supported,
            table(&found)
        )
    })?;
    Ok(Ending::Whole)
}

fn query(context: &Context<'_>, file: &std::path::Path) -> Result<Ending, Failure> {
    let failed = |error: std::io::Error| {
        let message = format!("cannot read the query {}: {error}", file.display());
        Failure::new("query", message, "name a file with one SELECT, or `-` for standard input")
    };
    let mut bytes = Vec::new();
    if file.as_os_str() == "-" {
        std::io::stdin().lock().take(QUERY_MAX).read_to_end(&mut bytes).map_err(failed)?;
    } else {
        std::fs::File::open(file).map_err(failed)?.take(QUERY_MAX).read_to_end(&mut bytes).map_err(failed)?;
    }
    let text = String::from_utf8_lossy(&bytes);
    // What Windows writes at the beginning of a text file is no part of the query.
    let text = text.trim_start_matches('\u{feff}');
    let found = context.server()?.catalog().query(text).map_err(resurgam_jobs::JobError::from)?;
    context.output.answer(&QueryDocument { columns: &found.columns, rows: &found.rows }, || table(&found))?;
    Ok(Ending::Whole)
}

/// The document of `catalog query`.
#[derive(Serialize)]
struct QueryDocument<'a> {
    columns: &'a [String],
    rows: &'a [Vec<Option<String>>],
}

fn table(found: &QueryResult) -> String {
    let heads: Vec<(&str, Align)> = found.columns.iter().map(|column| (column.as_str(), Align::Left)).collect();
    let mut table = Table::new(&heads);
    for row in &found.rows {
        table.row(row.iter().map(|cell| cell.clone().unwrap_or_else(|| "NULL".to_owned())));
    }
    table.text()
}
