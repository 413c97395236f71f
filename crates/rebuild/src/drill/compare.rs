//! The rebuilt catalog beside the living one, row by row.

use resurgam_catalog::{RowChange, Rows};

/// What a comparison came to.
pub(super) struct Compared {
    /// Rows that are the same.
    pub(super) equal: u64,
    /// Every row that should be the same and is not.
    pub(super) differences: Vec<String>,
}

/// Compares what was rebuilt with the living catalog as it was before and after. A row that changed in between may be as
/// it was at either time, or not there if it came or went.
pub(super) fn compare(before: &Rows, after: &Rows, rebuilt: &Rows, new_key: bool) -> Compared {
    let changed: std::collections::HashSet<(String, String)> =
        before.compare(after).into_iter().map(|row| (row.table, row.key)).collect();
    let mut differences = Vec::new();
    for row in before.compare(rebuilt) {
        if changed.contains(&(row.table.clone(), row.key.clone())) {
            continue;
        }
        // Without the kit the server's key is lost, and the kit with it, which is told by itself.
        let of_key = (row.table == "server" && matches!(row.what, RowChange::Differs { .. }))
            || (row.table == "setting" && row.key.trim_start_matches('\'').starts_with("kit-"));
        if new_key && of_key {
            continue;
        }
        differences.push(match row.what {
            RowChange::OnlyLeft => format!("row {} of {} did not come back", row.key, row.table),
            RowChange::OnlyRight => format!("row {} of {} came from nowhere", row.key, row.table),
            RowChange::Differs { left, right } => {
                let (was, is) = apart(&left, &right);
                format!("row {} of {} came back as {is}, and it is {was}", row.key, row.table)
            }
        });
    }
    let all: usize = before.tables.values().map(std::collections::BTreeMap::len).sum();
    let equal = (all as u64).saturating_sub(differences.len() as u64);
    Compared { equal, differences }
}

/// What stands between the cells of a row.
const BETWEEN: &str = " | ";

/// Of two forms of a row, the cells in which they differ.
fn apart(left: &str, right: &str) -> (String, String) {
    let (lefts, rights): (Vec<_>, Vec<_>) = (left.split(BETWEEN).collect(), right.split(BETWEEN).collect());
    if lefts.len() != rights.len() {
        return (left.to_owned(), right.to_owned());
    }
    let differ = || lefts.iter().zip(&rights).filter(|(left, right)| left != right);
    let (was, is): (Vec<&str>, Vec<&str>) = differ().unzip();
    (was.join(BETWEEN), is.join(BETWEEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_row_that_differs_only_the_cells_that_do_are_told() {
        let (was, is) =
            apart("id=1 | state='complete' | document=\"long\"", "id=1 | state='damaged' | document=\"long\"");
        assert_eq!((was.as_str(), is.as_str()), ("state='complete'", "state='damaged'"));
        assert_eq!(apart("a=1", "a=1 | b=2"), ("a=1".to_owned(), "a=1 | b=2".to_owned()));
    }
}
