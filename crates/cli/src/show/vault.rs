//! Vaults, their servers, and what was given up in them.

use jiff::{Timestamp, tz::TimeZone};
use resurgam_model::{
    report::{CarriedSummary, DeletedSummary, LoadedSummary, ServerSummary, StoreCheck, VaultSummary},
    transfer::TransferLimits,
};

use super::{
    amount,
    point::{id_length, short},
    table::{Align, Table},
};

use Align::{Left, Right};

fn when(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// Vaults as a table.
pub(crate) fn vaults(vaults: &[VaultSummary], zone: &TimeZone, verbose: bool) -> String {
    let ids: Vec<String> = vaults.iter().map(|vault| vault.id.to_string()).collect();
    let length = if verbose { usize::MAX } else { id_length(&ids) };
    let mut columns =
        vec![("ID", Left), ("NAME", Left), ("POINTS", Right), ("NEWEST", Left), ("URL", Left), ("STATE", Left)];
    if verbose {
        columns.push(("LIMITS", Left));
    }
    let mut table = Table::new(&columns);
    for vault in vaults {
        let mut cells = vec![
            short(&vault.id.to_string(), length),
            vault.name.clone(),
            amount::count(vault.points),
            vault.newest.map(|time| when(time, zone)).unwrap_or_default(),
            vault.url.clone(),
            vault.state.clone(),
        ];
        if verbose {
            cells.push(limits(&vault.limits));
        }
        table.row(cells);
    }
    table.text()
}

/// Limits in words.
pub(crate) fn limits(limits: &TransferLimits) -> String {
    let rate = |rate: Option<u64>| rate.map_or("no limit".to_owned(), |rate| format!("{}/s", amount::bytes(rate)));
    let requests = limits.requests_at_once.map_or("the usual number of".to_owned(), amount::count);
    format!(
        "up {}, down {}, {requests} requests at once",
        rate(limits.up_bytes_per_second),
        rate(limits.down_bytes_per_second)
    )
}

/// Servers of a vault as a table.
pub(crate) fn servers(servers: &[ServerSummary], zone: &TimeZone) -> String {
    let mut table = Table::new(&[("ID", Left), ("NAME", Left), ("REGISTERED", Left)]);
    for server in servers {
        table.row([server.id.to_string(), server.name.clone(), when(server.registered, zone)]);
    }
    table.text()
}

/// What a disk carries.
pub(crate) fn carried(disk: &CarriedSummary, zone: &TimeZone) -> String {
    let mut table = Table::new(&[("TIME", Left), ("SOURCE", Left), ("FILES", Right), ("SIZE", Right)]);
    for point in &disk.points {
        let (files, size) = (amount::count(point.files), amount::bytes(point.bytes));
        table.row([when(point.time, zone), point.source.clone(), files, size]);
    }
    format!("{}{} in {} on the disk.\n", table.text(), amount::bytes(disk.bytes), objects(disk.objects))
}

/// What a disk gave to a vault.
pub(crate) fn loaded(loaded: &LoadedSummary) -> String {
    let sent = format!("{} in {} loaded into {}", amount::bytes(loaded.bytes), objects(loaded.objects), loaded.vault);
    if loaded.there == 0 { format!("{sent}.\n") } else { format!("{sent}; {} were there.\n", objects(loaded.there)) }
}

fn objects(count: u64) -> String {
    amount::counted(count, "object", "objects")
}

/// Deleted points as a table.
pub(crate) fn deleted(points: &[DeletedSummary], zone: &TimeZone, verbose: bool) -> String {
    let ids: Vec<String> = points.iter().map(|point| point.id.to_string()).collect();
    let length = if verbose { usize::MAX } else { id_length(&ids) };
    let mut table = Table::new(&[("ID", Left), ("TIME", Left), ("SOURCE", Left), ("CAN COME BACK UNTIL", Left)]);
    for point in points {
        table.row([
            short(&point.id.to_string(), length),
            when(point.time, zone),
            point.source.clone(),
            when(point.until, zone),
        ]);
    }
    table.text()
}

/// What a store was tested for.
pub(crate) fn checks(checks: &[StoreCheck]) -> String {
    let mut table = Table::new(&[("", Left), ("WHAT A VAULT RELIES ON", Left), ("", Left)]);
    for check in checks {
        let word = match (check.holds, check.optional) {
            (true, _) => "holds",
            (false, true) => "is not there",
            (false, false) => "FAILS",
        };
        table.row([word.to_owned(), check.promise.clone(), check.what.clone().unwrap_or_default()]);
    }
    table.text()
}
