//! `dpmsync -RestoreDb`.

use resurgam_rebuild::restore::{RestoreDb, RestoreReport, restore_db, target};

use super::{Context, needs_passphrase};
use crate::{
    args,
    failure::Failure,
    passphrase,
    show::{
        amount,
        table::{Align, Table},
    },
};

pub(super) fn restore(context: &Context<'_>, arguments: &args::Dpmsync) -> Result<RestoreReport, Failure> {
    let Some(db_loc) = &arguments.db_loc else { return Err(Failure::arguments("-RestoreDb needs -DbLoc X", "")) };
    let home = context.home()?;
    let to = target(&home, arguments.instance_name.as_deref(), arguments.dpm_db_name.as_deref())?;
    let passphrase = match context.passphrase_given()? {
        Some(given) => Some(given),
        None if arguments.kit.is_some() && passphrase::can_ask() => Some(passphrase::ask("the recovery kit")?),
        None if needs_passphrase(db_loc) => context.passphrase_of_volume(db_loc)?,
        None => None,
    };
    let report = restore_db(&RestoreDb {
        home: &home,
        db_loc,
        chosen: arguments.chosen.as_deref(),
        to,
        kit: arguments.kit.as_deref(),
        passphrase,
        now: crate::environment::now,
        variable: crate::environment::variable,
        access: Vec::new(),
    })?;
    Ok(report)
}

/// So many copies are listed for people.
const LISTED: usize = 10;

pub(super) fn text(report: &RestoreReport) -> String {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("COPY", Align::Left),
        ("RESTORES", Align::Right),
        ("CHANGES", Align::Right),
        ("WHAT", Align::Left),
    ]);
    for copy in report.found.iter().take(LISTED) {
        let state = match (&copy.refused, copy.id == report.taken.id) {
            (Some(_), _) => "no use",
            (None, true) => "TAKEN",
            (None, false) => "",
        };
        let refused = copy.refused.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        table.row([
            state.to_owned(),
            copy.id.clone(),
            copy.generation.map(|generation| amount::count(generation.saturating_sub(1))).unwrap_or_default(),
            copy.sequence.map(amount::count).unwrap_or_default(),
            format!("{}{refused}", copy.what),
        ]);
    }
    let mut text = format!("Found in {}:\n{}", report.place, table.text());
    if let Some(more) = report.found.len().checked_sub(LISTED).filter(|more| *more > 0) {
        text.push_str(&format!("and {} older ones\n", amount::count(more as u64)));
    }
    text.push_str(&format!(
        "Taken: {}, because {}.\nThe catalog of server {} is in {} now. Its keys: {}.\n",
        report.taken.id, report.why, report.name, report.catalog, report.keys
    ));
    for aside in &report.aside {
        text.push_str(&format!("Set aside: {aside}\n"));
    }
    if let Some(newer) = &report.newer {
        text.push_str(&format!("{newer}\n"));
    }
    for note in &report.notes {
        text.push_str(&format!("{note}\n"));
    }
    text.push_str("Nothing is deleted until catalog and volumes have been compared: dpmsync -Sync\n");
    text
}
