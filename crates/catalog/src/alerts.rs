//! Alerts: what is wrong now, and what lately was.
//!
//! Whoever looks says the whole truth each time; what it no longer names has cleared itself. Nobody has to remember to
//! take an alert back, and one that stands for days is one row that counts.

use jiff::SignedDuration;
use resurgam_model::{
    Timestamp,
    alert::{Condition, Severity},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Set, sea_query::OnConflict};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::alert::{self, Column},
};

/// How long one that has cleared is remembered.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(90 * 24);

/// What the catalog knows of an alert. Kind and subject together say which.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRecord {
    /// What kind of thing is wrong.
    pub kind: String,
    /// What it is about.
    pub subject: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, and what to do.
    pub message: String,
    /// When it was first seen, this time.
    pub raised: Timestamp,
    /// When it was last seen.
    pub last_seen: Timestamp,
    /// When it was found gone; `None`: it stands.
    pub cleared: Option<Timestamp>,
    /// How many times it was seen since it was raised.
    pub count: u64,
}

/// What has changed since the alerts were last set.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Those that are new, or have come again.
    pub raised: Vec<AlertRecord>,
    /// Those that have cleared.
    pub cleared: Vec<AlertRecord>,
}

impl Catalog {
    /// Says everything that is wrong now: what is new is raised, what is known is counted, all else is cleared. Those
    /// that cleared more than 90 days ago are forgotten.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn set_alerts(&self, conditions: &[Condition], now: Timestamp) -> Result<Changes, CatalogError> {
        self.change("write the alerts", async |db| {
            let mut known = Vec::new();
            for row in alert::Entity::find().all(db).await? {
                known.push(record(row)?);
            }
            let mut changes = Changes::default();
            for condition in conditions {
                let (kind, subject) = (cells::text(&condition.kind), cells::text(&condition.subject));
                let before = known.iter().find(|a| a.cleared.is_none() && a.kind == kind && a.subject == subject);
                let alert = AlertRecord {
                    severity: condition.severity,
                    message: cells::text(&condition.message),
                    raised: before.map_or(now, |alert| alert.raised),
                    last_seen: now,
                    cleared: None,
                    count: before.map_or(0, |alert| alert.count).saturating_add(1),
                    kind,
                    subject,
                };
                write(db, &alert).await?;
                if before.is_none() {
                    changes.raised.push(alert);
                }
            }
            let stands = |alert: &AlertRecord| {
                let names =
                    |c: &Condition| cells::text(&c.kind) == alert.kind && cells::text(&c.subject) == alert.subject;
                conditions.iter().any(names)
            };
            for mut alert in known {
                if alert.cleared.is_none() && !stands(&alert) {
                    alert.cleared = Some(now);
                    write(db, &alert).await?;
                    changes.cleared.push(alert);
                }
            }
            if let Ok(long_ago) = now.checked_sub(REMEMBERED) {
                alert::Entity::delete_many().filter(Column::Cleared.lt(cells::time(long_ago))).exec(db).await?;
            }
            Ok(changes)
        })
    }

    /// The alerts that stand, or all that are remembered; the worst first, then the newest.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn alerts(&self, with_cleared: bool) -> Result<Vec<AlertRecord>, CatalogError> {
        self.run("list the alerts", async |db| {
            let rows = alert::Entity::find().all(db).await?;
            let mut alerts = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
            alerts.retain(|alert| with_cleared || alert.cleared.is_none());
            alerts.sort_by(|a, b| {
                let order = |alert: &AlertRecord| (alert.cleared.is_some(), alert.severity);
                order(a)
                    .cmp(&order(b))
                    .then_with(|| b.raised.cmp(&a.raised))
                    .then_with(|| (&a.kind, &a.subject).cmp(&(&b.kind, &b.subject)))
            });
            Ok(alerts)
        })
    }
}

async fn write(db: &impl sea_orm::ConnectionTrait, alert: &AlertRecord) -> Result<(), Fault> {
    let row = alert::ActiveModel {
        kind: Set(alert.kind.clone()),
        subject: Set(alert.subject.clone()),
        severity: Set(alert.severity.to_string()),
        message: Set(alert.message.clone()),
        raised: Set(cells::time(alert.raised)),
        last_seen: Set(cells::time(alert.last_seen)),
        cleared: Set(alert.cleared.map(cells::time)),
        count: Set(cells::count(alert.count)),
    };
    let columns = [Column::Severity, Column::Message, Column::Raised, Column::LastSeen, Column::Cleared, Column::Count];
    let update = OnConflict::columns([Column::Kind, Column::Subject]).update_columns(columns).to_owned();
    alert::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

fn record(row: alert::Model) -> Result<AlertRecord, Fault> {
    let cell = cells::Row { table: "alert", key: &row.subject };
    Ok(AlertRecord {
        severity: cell.parse("severity", &row.severity)?,
        raised: cell.parse("raised", &row.raised)?,
        last_seen: cell.parse("last_seen", &row.last_seen)?,
        cleared: row.cleared.as_deref().map(|text| cell.parse("cleared", text)).transpose()?,
        count: cells::to_count(row.count),
        kind: row.kind,
        message: row.message,
        subject: row.subject,
    })
}
