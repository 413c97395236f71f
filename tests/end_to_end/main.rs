//! End-to-end tests: the real program, run as a user runs it, on real disks, against real kills, cuts and damage.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has failed, and says why where it is read; it measures real processes by real clocks"
)]

mod architecture;
mod bad_days;
mod bad_disks;
mod bad_input;
mod changing_files;
mod codes;
mod damage;
mod disaster;
mod disk_full;
mod document_sql;
mod drill;
mod fidelity;
mod first_run;
mod incremental;
mod kills;
mod large_files;
mod month;
mod native;
mod postgres;
mod power_cut;
mod real_trees;
mod reallocate;
mod recover;
mod retention;
mod runbook;
mod scripts;
mod serve;
mod sync_kills;
mod tidy;
mod together;
mod unreadable;
mod vaults;
mod without_home;
