//! Processes that die. The test program starts itself again as the process to kill.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use super::{place::now, shared::*};
use crate::{Catalog, Location};

/// Tells a child where to work.
const CHILD: &str = "RESURGAM_TEST_CATALOG_CHILD";

fn at(path: &Path) -> Location {
    Location::Sqlite(path.to_owned())
}

fn start_child(path: &Path, number: u32) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "tests::kills::a_child_that_writes", "--nocapture", "--test-threads=1"])
        .env(CHILD, format!("{number}:{}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Not a test: what a child does, until it is killed. It says what it was told is done.
#[test]
fn a_child_that_writes() {
    let Ok(task) = env::var(CHILD) else { return };
    let (number, path) = task.split_once(':').unwrap();
    let number: u32 = number.parse().unwrap();
    let catalog = Catalog::open(&at(&PathBuf::from(path)), now()).unwrap();
    let replica = replica_in(&catalog, 1);
    for n in 0..2000 {
        let n = number * 10_000 + 2 * n;
        // Two at once, so that half of a transaction would show.
        catalog.add_points(&[point(n, &replica), point(n + 1, &replica)]).unwrap();
        let mut out = std::io::stdout();
        writeln!(out, "done {n}").unwrap();
        out.flush().unwrap();
    }
}

/// Lets children write until each has reported so many points, then kills them all. Answers what was reported.
fn kill_after(path: &Path, children: &[u32], lines: usize) -> Vec<u32> {
    let mut running: Vec<Child> = children.iter().map(|n| start_child(path, *n)).collect();
    let mut done = Vec::new();
    let report = |child: &mut Child| {
        let out = BufReader::new(child.stdout.take().unwrap());
        // The test harness prints its own name before the first line of the child.
        out.lines().map_while(Result::ok).filter_map(|line| line.rsplit_once("done ")?.1.parse::<u32>().ok())
    };
    let mut reports: Vec<_> = running.iter_mut().map(report).collect();
    for report in &mut reports {
        done.extend(report.by_ref().take(lines));
    }
    for child in &mut running {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // What it still said between the last line read and its death.
    reports.into_iter().for_each(|report| done.extend(report));
    done
}

#[test]
fn what_was_reported_done_outlives_every_kill() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("DPMDB");
    let mut done = Vec::new();
    for round in 0..12 {
        // The first rounds kill while the catalog is being made; two children write at once in every other.
        let children: &[u32] = if round % 2 == 0 { &[2 * round] } else { &[2 * round, 2 * round + 1] };
        done.extend(kill_after(&path, children, (round as usize * 7) % 20));
        let catalog = Catalog::open(&at(&path), now()).unwrap();
        assert_eq!(catalog.check().unwrap(), Vec::<String>::new());
        let there: std::collections::BTreeSet<u64> =
            catalog.point_entries(None).unwrap().iter().map(|entry| entry.files).collect();
        assert!(done.iter().all(|n| there.contains(&u64::from(*n))), "a point reported done is gone");
        assert!(there.iter().all(|n| there.contains(&(n ^ 1))), "half of a transaction is there");
    }
    assert!(done.len() > 60, "{}", done.len());
}
