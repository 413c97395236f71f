//! Getting on with systemd: telling it how things stand, and the texts of units. It is no condition; without it, the
//! telling goes nowhere.

mod notify;
mod unit;

pub use notify::Notifier;
pub use unit::{catalog_backup_cron, catalog_backup_timer, unit};
