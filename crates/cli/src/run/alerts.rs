//! `alerts`.

use resurgam_catalog::AlertRecord;
use resurgam_model::alert::{Condition, Severity};
use serde::Serialize;

use super::Context;
use crate::{
    Ending, args,
    failure::Failure,
    show::{
        amount,
        table::{Align, Table},
    },
};

/// One alert, as the document has it.
#[derive(Serialize)]
struct Alert {
    #[serde(flatten)]
    condition: Condition,
    raised: resurgam_model::Timestamp,
    cleared: Option<resurgam_model::Timestamp>,
    count: u64,
}

/// The document of `alerts`.
#[derive(Serialize)]
struct AlertsDocument {
    alerts: Vec<Alert>,
}

pub(super) fn run(context: &Context<'_>, arguments: &args::Alerts) -> Result<Ending, Failure> {
    let server = context.server()?;
    let alerts = server.alerts(arguments.all)?.into_iter().map(|record| Alert {
        condition: condition(&record),
        raised: record.raised,
        cleared: record.cleared,
        count: record.count,
    });
    let document = AlertsDocument { alerts: alerts.collect() };
    context.output.answer(&document, || text(context, &document.alerts))?;
    Ok(Ending::Whole)
}

/// What is wrong, without since when.
pub(super) fn condition(record: &AlertRecord) -> Condition {
    Condition {
        kind: record.kind.clone(),
        subject: record.subject.clone(),
        severity: record.severity,
        message: record.message.clone(),
    }
}

fn text(context: &Context<'_>, alerts: &[Alert]) -> String {
    if alerts.is_empty() {
        return "Nothing is wrong.\n".to_owned();
    }
    let mut table = Table::new(&[
        ("SEVERITY", Align::Left),
        ("ALERT", Align::Left),
        ("SINCE", Align::Left),
        ("SUBJECT", Align::Left),
        ("WHAT", Align::Left),
    ]);
    for alert in alerts {
        let severity = match alert.cleared {
            Some(_) => "cleared".to_owned(),
            None if alert.condition.severity == Severity::Critical => "CRITICAL".to_owned(),
            None => alert.condition.severity.to_string(),
        };
        table.row([
            severity,
            alert.condition.kind.clone(),
            amount::time(alert.raised, &context.zone),
            alert.condition.subject.clone(),
            alert.condition.message.clone(),
        ]);
    }
    table.text()
}
