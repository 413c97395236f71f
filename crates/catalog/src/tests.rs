//! One suite for both databases, and what only one of them can show.
//!
//! PostgreSQL is tested where `RESURGAM_TEST_POSTGRES` holds the URL of a server on which databases may be made; each
//! test makes its own. Where it is not set, `CI=true` makes that a failure.

// Only to say in messages how long something took, and that it did not take too long.
#![allow(clippy::disallowed_methods)]

mod disks;
mod kills;
mod place;
mod postgres_only;
mod shared;
mod sqlite_only;
mod suite;

use place::{Place, on_postgres, on_sqlite};

/// Makes two tests of every function named in `suite`.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::on_sqlite(super::suite::$name); })+
        }
        mod postgres {
            $(#[test] fn $name() { super::on_postgres(super::suite::$name); })+
        }
    };
}

on_both!(
    opening_makes_it_once_and_finds_it_again,
    opening_what_must_exist_makes_nothing,
    a_newer_schema_is_refused_by_name_and_left_alone,
    many_may_open_an_empty_place_at_once,
    the_server_is_one,
    settings_are_set_and_removed,
    groups_have_one_name_each,
    a_group_with_sources_stays,
    sources_keep_every_byte_of_their_root,
    of_two_that_protect_one_root_one_finds_the_other,
    volumes_and_replicas_hold_each_other,
    points_come_oldest_first_and_whole,
    points_must_fit_their_replica,
    removing_points_is_all_or_nothing,
    ten_thousand_points_are_listed_at_once,
    a_job_runs_and_ends,
    dead_jobs_are_closed_once,
    a_job_closed_by_another_is_lost,
    writers_wait_for_each_other,
    odd_text_and_numbers_survive,
    every_error_says_what_where_and_what_next,
    a_sound_database_has_no_findings,
    calling_from_an_asynchronous_task_is_an_error,
);
