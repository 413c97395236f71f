//! `drill`.

use resurgam_rebuild::drill::{Drill, DrillReport, drill};

use super::Context;
use crate::{
    Ending,
    args::{self, Drilled},
    failure::Failure,
    progress::watched,
    show::{
        amount,
        table::{Align, Table},
    },
    signals,
};

pub(super) fn run(context: &Context<'_>, arguments: args::Drill) -> Result<Ending, Failure> {
    let what = Drill {
        kind: match arguments.from {
            Drilled::All => None,
            Drilled::Kind(kind) => Some(kind),
        },
        scratch: arguments.scratch.unwrap_or_else(std::env::temp_dir),
        sample: arguments.sample,
    };
    let cancel = signals::cancel_on_signals(context.output.is_quiet())?;
    let server = context.server()?;
    let report = watched(context.output, "rehearsing", |meter| drill(&server, &what, meter, &cancel))?;
    context.output.answer(&report, || text(&report))?;
    Ok(if report.passed { Ending::Whole } else { Ending::Bad })
}

fn text(report: &DrillReport) -> String {
    let mut table = Table::new(&[
        ("COPY", Align::Left),
        ("WHERE", Align::Left),
        ("OUTCOME", Align::Left),
        ("COPY IS", Align::Right),
        ("REBUILT IN", Align::Right),
        ("ROWS", Align::Right),
        ("FILES PROVED", Align::Right),
        ("KEYS", Align::Left),
    ]);
    for copy in &report.copies {
        table.row([
            copy.kind.to_string(),
            copy.location.clone(),
            if copy.passed { "passed" } else { "FAILED" }.to_owned(),
            copy.recovery_point_seconds.map_or_else(|| "none".to_owned(), amount::span),
            format!("{}.{:03} s", copy.recovery_time_milliseconds / 1000, copy.recovery_time_milliseconds % 1000),
            amount::count(copy.rows),
            amount::count(copy.files_proved),
            copy.keys.clone(),
        ]);
    }
    let mut text = table.text();
    for copy in &report.copies {
        for line in copy.missing.iter().chain(&copy.notes) {
            text.push_str(&format!("{} {}: {line}\n", copy.kind, copy.location));
        }
    }
    text.push_str(if report.passed {
        "Each of these copies alone brings the server back.\n"
    } else {
        "A copy that failed does not bring the server back as it is. The others do what they say.\n"
    });
    text
}
