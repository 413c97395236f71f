//! Recovery points as a table.

use jiff::tz::TimeZone;
use resurgam_model::point::Point;

use super::{
    amount,
    table::{Align, Table},
};

/// No id is shown shorter.
const ID_SHORTEST: usize = 8;

/// How many characters of ids tell all of them apart, at least eight.
pub(crate) fn id_length(ids: &[String]) -> usize {
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    sorted.dedup();
    let common = |a: &str, b: &str| a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    sorted.windows(2).map(|pair| common(pair[0], pair[1]) + 1).fold(ID_SHORTEST, usize::max)
}

/// The beginning of an id.
pub(crate) fn short(id: &impl ToString, length: usize) -> String {
    id.to_string().chars().take(length).collect()
}

/// A table of points. `whole_ids`: shows them in full, with their volumes.
pub(crate) fn table(points: &[Point], zone: &TimeZone, whole_ids: bool) -> String {
    use Align::{Left, Right};
    let ids: Vec<String> = points.iter().map(|point| point.id.to_string()).collect();
    let length = if whole_ids { usize::MAX } else { id_length(&ids) };
    let mut columns = vec![
        ("ID", Left),
        ("TIME", Left),
        ("SOURCE", Left),
        ("FILES", Right),
        ("SIZE", Right),
        ("ADDED", Right),
        ("STATE", Left),
    ];
    if whole_ids {
        columns.push(("VOLUME", Left));
    }
    let mut table = Table::new(&columns);
    for point in points {
        let mut row = vec![
            short(&point.id, length),
            amount::time(point.time, zone),
            point.source.clone(),
            amount::count(point.files),
            amount::bytes(point.bytes),
            amount::bytes(point.added_bytes),
            point.state.to_string(),
        ];
        if whole_ids {
            row.push(point.volume.to_string());
        }
        table.row(row);
    }
    table.text()
}

#[cfg(test)]
mod tests;
