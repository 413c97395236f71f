//! `dpmsync`: restoring the catalog, and reconciling it with the volumes.

use resurgam_model::report::{BackupReport, Reallocated};
use resurgam_rebuild::{
    restore::RestoreReport,
    sync::{Item, Sync, SyncReport, sync},
};
use serde::Serialize;

use super::Context;
use crate::{
    Ending, args,
    failure::Failure,
    progress::watched,
    show::{
        amount,
        table::{Align, Table},
    },
    signals,
};

/// The document: one key for each thing that was done; what `-Sync` has to say stands at the top.
#[derive(Serialize, Default)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<RestoreReport>,
    #[serde(flatten)]
    sync: Option<SyncReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reallocated: Option<Vec<Reallocated>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    checked: Option<BackupReport>,
}

pub(super) fn run(context: &Context<'_>, arguments: args::Dpmsync) -> Result<Ending, Failure> {
    check(&arguments)?;
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let mut document = Document::default();
    if arguments.restore_db {
        document.restored = Some(super::restore::restore(context, &arguments)?);
    }
    if arguments.sync {
        let how = Sync { read_data: arguments.read_data, what_if: arguments.what_if, also: arguments.volume.clone() };
        let server = context.server()?;
        let report = watched(context.output, "reconciling", |meter| sync(&server, &how, meter, &cancel))?;
        document.sync = Some(report);
    }
    if arguments.accept {
        let server = context.server()?;
        server.thaw()?;
        document.accepted = Some(true);
    }
    if arguments.reallocate_replica {
        document.reallocated = Some(context.server()?.reallocate_missing()?);
    }
    if arguments.data_copied {
        let server = context.server()?;
        let checked = watched(context.output, "checking", |meter| server.check_loaded(meter, &cancel))?;
        document.checked = Some(checked);
    }
    context.output.answer(&document, || text(&document))?;
    Ok(ending(&document))
}

fn check(arguments: &args::Dpmsync) -> Result<(), Failure> {
    let does_something = arguments.restore_db
        || arguments.sync
        || arguments.accept
        || arguments.reallocate_replica
        || arguments.data_copied;
    if !does_something {
        return Err(Failure::arguments(
            "dpmsync was not told what to do",
            "give -RestoreDb -DbLoc X, -Sync, -Accept, -ReallocateReplica or -DataCopied; `dpmsync -?` tells more",
        ));
    }
    if arguments.restore_db && arguments.db_loc.is_none() {
        return Err(Failure::arguments("-RestoreDb needs -DbLoc X: where the copy lies", "`dpmsync -?` tells more"));
    }
    if !arguments.sync && (arguments.what_if || arguments.read_data || !arguments.volume.is_empty()) {
        return Err(Failure::arguments("-WhatIf, -ReadData and -Volume belong to -Sync", "`dpmsync -?` tells more"));
    }
    Ok(())
}

/// A sync that is not clean is work for a person.
fn ending(document: &Document) -> Ending {
    let failed = document.checked.as_ref().is_some_and(|checked| !checked.failed.is_empty());
    if failed || document.sync.as_ref().is_some_and(|sync| !sync.clean) {
        return Ending::Bad;
    }
    let unread = document.checked.as_ref().is_some_and(|checked| !checked.unread.is_empty());
    if unread { Ending::Partial } else { Ending::Whole }
}

fn text(document: &Document) -> String {
    let mut text = String::new();
    if let Some(restored) = &document.restored {
        text.push_str(&super::restore::text(restored));
    }
    if let Some(report) = &document.sync {
        text.push_str(&synced(report));
    }
    if document.accepted.is_some() {
        text.push_str("Accepted: expiry and prune may delete again.\n");
    }
    if let Some(reallocated) = &document.reallocated {
        text.push_str(&places(reallocated));
    }
    if let Some(checked) = &document.checked {
        let points = amount::counted(amount::length(&checked.points), "replica", "replicas");
        text.push_str(&format!("{points} proved against the source.\n"));
        for failed in &checked.failed {
            text.push_str(&format!("{}: {}\n", failed.source, failed.error));
        }
    }
    text
}

/// So many things of one kind are named; the document for programs names all.
const NAMED: usize = 20;

fn synced(report: &SyncReport) -> String {
    let mut table = Table::new(&[("", Align::Left), ("KIND", Align::Left), ("WHAT", Align::Left), ("ID", Align::Left)]);
    let lists: [(&str, &[Item]); 7] = [
        ("adopted", &report.adopted),
        ("found again", &report.found_again),
        ("changed", &report.replicas),
        ("kept", &report.kept),
        ("MISSING", &report.missing),
        ("QUARANTINED", &report.quarantined),
        ("UNREACHABLE", &report.unreachable),
    ];
    let mut rows = 0;
    for (word, items) in lists {
        for item in items.iter().take(NAMED) {
            table.row([word.to_owned(), item.kind.clone(), item.what.clone(), item.id.clone()]);
            rows += 1;
        }
        if let Some(more) = items.len().checked_sub(NAMED).filter(|more| *more > 0) {
            table.row([
                word.to_owned(),
                String::new(),
                format!("and {} more", amount::count(more as u64)),
                String::new(),
            ]);
        }
    }
    for place in &report.enrolled {
        table.row(["enrolled".to_owned(), "volume".to_owned(), place.clone(), String::new()]);
        rows += 1;
    }
    let mut text = if rows == 0 { String::new() } else { table.text() };
    text.push_str(match (report.clean, report.what_if, rows) {
        (true, _, 0) => "Catalog and volumes are one; nothing was to be done.\n",
        (true, true, _) => "That would make catalog and volumes one. Nothing was changed.\n",
        (true, false, _) => "Catalog and volumes are one now.\n",
        (false, true, _) => "That would be left open. Nothing was changed.\n",
        (false, false, _) => {
            "What is missing, quarantined or unreachable is left open. Put it right and sync again; or, where that is \
             how it has to be, `dpmsync -Accept`, and for missing replicas `dpmsync -ReallocateReplica`.\n"
        }
    });
    if report.thawed {
        text.push_str("Expiry and prune may delete again.\n");
    }
    text
}

fn places(reallocated: &[Reallocated]) -> String {
    if reallocated.is_empty() {
        return "No replica is missing.\n".to_owned();
    }
    let mut table = Table::new(&[("SOURCE", Align::Left), ("NEW REPLICA", Align::Left), ("VOLUME", Align::Left)]);
    for one in reallocated {
        table.row([one.source.clone(), one.replica.to_string(), one.volume.to_string()]);
    }
    format!(
        "{}They are empty. Take the next backup; or load them by hand (`resurgam source load SOURCE DIR`) and then run \
         `dpmsync -DataCopied`.\n",
        table.text()
    )
}
