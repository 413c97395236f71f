//! One suite for both databases, and what only one of them can show.
//!
//! PostgreSQL is tested where `RESURGAM_TEST_POSTGRES` holds the URL of a server on which databases may be made; each
//! test makes its own. Where it is not set, `CI=true` makes that a failure.

// Only to say in messages how long something took, and that it did not take too long.
#![allow(clippy::disallowed_methods)]

mod charter;
mod copies;
mod disks;
mod document_sql;
mod golden;
mod kills;
mod online;
mod place;
mod postgres_only;
mod restore_files;
mod restore_kills;
mod shared;
mod sqlite_only;
mod suite;
mod watch;

use place::{Place, on_postgres, on_sqlite};

/// Makes two tests of every function named in `suite`.
macro_rules! on_both {
    ($($file:ident { $($name:ident),+ $(,)? })+) => {
        mod sqlite {
            $($(#[test] fn $name() { super::on_sqlite(super::$file::$name); })+)+
        }
        mod postgres {
            $($(#[test] fn $name() { super::on_postgres(super::$file::$name); })+)+
        }
    };
}

on_both!(
    suite {
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
    }
    watch {
        the_lineage_is_one,
        places_of_copies_are_kept,
        the_last_drill_of_each_copy_is_kept,
        alerts_rise_count_clear_and_are_forgotten,
        the_newest_ended_job_on_each_subject_is_found,
        the_running_program_is_noted,
    }
    charter {
        a_charter_makes_the_same_charter,
        adopting_adds_and_changes_and_deletes_nothing,
        names_of_groups_may_be_exchanged,
        the_charter_of_another_server_is_refused,
    }
    document_sql {
        the_documents_scripts_lead_to_the_replica,
        the_documents_version_query_runs,
        only_one_select_is_let_through,
        the_dialect_is_translated,
        validity_says_how_a_replica_stands,
        views_cannot_be_written,
    }
    copies {
        a_copy_is_whole_and_private,
        a_copy_restores_into_either_database,
        restoring_sets_the_old_catalog_aside,
        a_new_catalog_is_put_in_place_when_it_is_filled,
        what_was_not_put_in_place_changes_nothing,
        what_is_no_copy_is_refused,
        a_copy_of_a_newer_schema_is_refused,
        rows_tell_two_catalogs_apart,
        a_copy_is_made_while_others_write,
        ten_thousand_points_are_copied_and_restored,
    }
    online {
        the_pool_and_the_vaults_are_asked_for_apart,
    }
    golden {
        the_golden_database_of_schema_1_restores,
        the_golden_archive_of_schema_1_restores,
        the_golden_database_of_schema_2_restores,
        the_golden_archive_of_schema_2_restores,
    }
);
