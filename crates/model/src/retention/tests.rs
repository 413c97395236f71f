use std::collections::BTreeSet;

use jiff::{Timestamp, tz::TimeZone};
use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;
/// Sunday, 2026-03-01T00:00:00Z.
const BASE: i64 = 1_772_323_200;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(BASE + seconds).unwrap_or_default()
}

fn good(key: u32, seconds: i64) -> Candidate<u32> {
    Candidate { key, time: at(seconds), good: true }
}

fn bad(key: u32, seconds: i64) -> Candidate<u32> {
    Candidate { good: false, ..good(key, seconds) }
}

/// No cap: what the rules alone say.
fn uncapped() -> Guards {
    Guards { cap_percent: 100, ..Guards::default() }
}

fn within(days: u64) -> Retention {
    Retention { within_seconds: Some(days * 86_400), ..Retention::default() }
}

fn last(n: u32) -> Retention {
    Retention { last: Some(n), ..Retention::default() }
}

fn run(policy: &Retention, points: &[Candidate<u32>], now: i64, guards: &Guards) -> Plan<u32> {
    policy.plan(points.to_vec(), at(now), &TimeZone::UTC, guards).unwrap()
}

fn keys<'a>(points: impl IntoIterator<Item = &'a Candidate<u32>>) -> Vec<u32> {
    points.into_iter().map(|p| p.key).collect()
}

fn kept(plan: &Plan<u32>) -> Vec<u32> {
    keys(plan.kept.iter().map(|k| &k.point))
}

/// One good point a day, the key being the day.
fn daily(days: u32) -> Vec<Candidate<u32>> {
    (0..days).map(|d| good(d, i64::from(d) * DAY)).collect()
}

#[test]
fn a_policy_that_would_keep_nothing_is_refused() {
    let zero = Retention { within_seconds: Some(0), last: Some(0), daily: Some(0), ..Retention::default() };
    assert_eq!(zero.check(), Err(KeepsNothing));
    assert!(zero.plan(daily(3), at(0), &TimeZone::UTC, &uncapped()).is_err());
    assert!(zero.check().unwrap_err().to_string().contains("keep nothing"));
    assert!(Retention { weekly: Some(1), ..zero }.check().is_ok());
    assert!(Retention::default().check().is_ok());
}

#[test]
fn without_rules_everything_stays() {
    let plan = run(&Retention::default(), &daily(5), 100 * DAY, &uncapped());
    assert_eq!(kept(&plan), [0, 1, 2, 3, 4]);
    assert_eq!(plan.notes, []);
    assert_eq!(plan.kept[4].reasons, [Reason::NoRule, Reason::NewestGood]);
}

#[test]
fn ages_are_counted_from_the_newest_good_point() {
    let policy = within(3);
    assert_eq!(kept(&run(&policy, &daily(10), 9 * DAY, &uncapped())), [6, 7, 8, 9]);
    // A year without a backup changes nothing, and says so.
    let later = run(&policy, &daily(10), 400 * DAY, &uncapped());
    assert_eq!(kept(&later), [6, 7, 8, 9]);
    assert_eq!(later.notes, [Note::Paused { newest: at(9 * DAY), spared: 3 }]);
}

#[test]
fn a_pause_in_between_does_not_age_what_lies_before_it() {
    let mut points = daily(10);
    points.push(good(10, 100 * DAY));
    let hourly = Guards { objective_seconds: Some(3600), ..uncapped() };
    assert_eq!(kept(&run(&within(3), &points, 100 * DAY, &hourly)), [7, 8, 9, 10]);
    // Without an objective nobody can say that this was a pause...
    assert_eq!(kept(&run(&within(3), &points, 100 * DAY, &uncapped())), [10]);
    // ...unless it is longer than any schedule: a clock that stepped ahead by eleven years.
    points[10] = good(10, 4000 * DAY);
    assert_eq!(kept(&run(&within(3), &points, 4000 * DAY, &uncapped())), [6, 7, 8, 9, 10]);
}

#[test]
fn points_of_the_future_stay_and_push_nothing_out() {
    let mut points = daily(5);
    points.extend([good(90, 9000 * DAY), good(91, 9001 * DAY)]);
    let plan = run(&last(2), &points, 4 * DAY, &uncapped());
    assert_eq!(kept(&plan), [3, 4, 90, 91]);
    assert_eq!(plan.notes, [Note::Future { count: 2 }]);
    assert_eq!(plan.kept[1].reasons, [Reason::Last, Reason::NewestGood]);
    assert_eq!(plan.kept[2].reasons, [Reason::Future]);
}

#[test]
fn what_is_damaged_pushes_nothing_out_and_is_kept_as_if_mended() {
    let points = [good(0, 0), good(1, DAY), bad(2, 2 * DAY), good(3, 3 * DAY), bad(4, 4 * DAY), bad(5, 5 * DAY)];
    let plan = run(&last(2), &points, 6 * DAY, &uncapped());
    assert_eq!(kept(&plan), [1, 2, 3, 4, 5]);
    let plan = run(&Retention { daily: Some(1), ..Retention::default() }, &points, 6 * DAY, &uncapped());
    assert_eq!(kept(&plan), [3, 4, 5]);
}

#[test]
fn without_a_good_point_nothing_goes() {
    let plan = run(&last(1), &[bad(0, 0), bad(1, DAY)], 2 * DAY, &uncapped());
    assert_eq!(kept(&plan), [0, 1]);
    assert_eq!(plan.notes, [Note::NoGoodPoint]);
    assert_eq!(run(&last(1), &[], 0, &uncapped()).notes, []);
}

#[test]
fn a_run_gives_up_the_oldest_first_and_no_more_than_its_cap() {
    let guards = Guards { cap_points: 3, cap_percent: 10, ..Guards::default() };
    let plan = run(&last(1), &daily(20), 20 * DAY, &guards);
    assert_eq!(keys(&plan.expired), [0, 1, 2]);
    assert_eq!((plan.held_back(), plan.kept.len()), (16, 17));
    assert_eq!(plan.kept[0].reasons, [Reason::HeldBack]);
    let share = Guards { cap_points: 3, cap_percent: 25, ..Guards::default() };
    assert_eq!(keys(&run(&last(1), &daily(20), 20 * DAY, &share).expired), [0, 1, 2, 3, 4]);
    let none = Guards { cap_points: 0, cap_percent: 0, ..Guards::default() };
    assert!(run(&last(1), &daily(20), 20 * DAY, &none).expired.is_empty());
}

#[test]
fn periods_keep_the_newest_good_point_of_each() {
    // Four points a day for forty days, the key being the quarter of a day; 2026-03-01 is a Sunday.
    let points: Vec<_> = (0..160).map(|q| good(q, i64::from(q) * DAY / 4)).collect();
    let rule = |daily, weekly, monthly, yearly| Retention { daily, weekly, monthly, yearly, ..Retention::default() };
    let now = 41 * DAY;
    assert_eq!(kept(&run(&rule(Some(3), None, None, None), &points, now, &uncapped())), [151, 155, 159]);
    // The last day is Thursday, 9 April; the weeks before ended on 5 April (day 35) and 29 March (day 28).
    assert_eq!(kept(&run(&rule(None, Some(3), None, None), &points, now, &uncapped())), [115, 143, 159]);
    assert_eq!(kept(&run(&rule(None, None, Some(9), None), &points, now, &uncapped())), [123, 159]);
    assert_eq!(kept(&run(&rule(None, None, None, Some(9)), &points, now, &uncapped())), [159]);
}

#[test]
fn days_begin_where_the_zone_says() {
    // 22:30 and 23:30 UTC are one day in UTC and two in Vienna's winter (UTC+1).
    let points = [good(0, 22 * 3600 + 1800), good(1, 23 * 3600 + 1800)];
    let policy = Retention { daily: Some(2), ..Retention::default() };
    let vienna = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let kept_in = |zone: &TimeZone| kept(&policy.plan(points.to_vec(), at(DAY), zone, &uncapped()).unwrap());
    assert_eq!(kept_in(&TimeZone::UTC), [1]);
    assert_eq!(kept_in(&vienna), [0, 1]);
}

#[test]
fn iso_weeks_cross_the_year() {
    let day = |text: &str| text.parse::<Timestamp>().unwrap();
    // Thursday, 31 December 2026 and Friday, 1 January 2027 lie in one ISO week, 2026-W53.
    let points = vec![
        Candidate { key: 0, time: day("2026-12-31T12:00:00Z"), good: true },
        Candidate { key: 1, time: day("2027-01-01T12:00:00Z"), good: true },
    ];
    let policy = Retention { weekly: Some(5), ..Retention::default() };
    let plan = policy.plan(points, day("2027-01-02T00:00:00Z"), &TimeZone::UTC, &uncapped()).unwrap();
    assert_eq!(kept(&plan), [1]);
}

#[test]
fn a_policy_is_said_in_words() {
    assert_eq!(Retention::default().describe(), "everything");
    assert_eq!(within(14).describe(), "points younger than 14 days");
    let policy = Retention { last: Some(1), daily: Some(7), yearly: Some(1), ..within(1) };
    assert_eq!(
        policy.describe(),
        "points younger than 1 day, and the newest point, and the newest point of each of the last 7 days that have \
         one, and the newest point of the last year that has one"
    );
}

#[test]
fn spans_are_read_and_said() {
    let cases = [
        ("14d", 14 * 86_400),
        ("36h", 36 * 3600),
        ("2w", 14 * 86_400),
        ("6mo", 180 * 86_400),
        ("1y", 365 * 86_400),
        ("30min", 1800),
        ("90s", 90),
        ("1d12h", 36 * 3600),
        (" 1h ", 3600),
    ];
    for (text, seconds) in cases {
        assert_eq!(parse_span_seconds(text), Ok(seconds), "{text}");
    }
    for bad in
        ["", "d", "14", "14 d", "6m", "1x", "-1d", "0d", "1.5h", "99999999999999999999d", "9999999999999999y", "1dé"]
    {
        let error = parse_span_seconds(bad).map(|s| s.to_string()).unwrap_or_else(|e| e.to_string());
        assert!(error.contains("not a length of time"), "{bad}: {error}");
    }
    assert!(parse_span_seconds("6m").unwrap_err().to_string().contains("minutes or months"));
    assert_eq!(span_in_words(36 * 3600), "36 hours");
    assert_eq!(span_in_words(86_400), "1 day");
    assert_eq!(span_in_words(0), "0 seconds");
}

fn policies() -> impl Strategy<Value = Retention> {
    let count = || proptest::option::of(0u32..6);
    (proptest::option::of(0u64..40 * 86_400), count(), count(), count(), count(), count())
        .prop_map(|(within_seconds, last, daily, weekly, monthly, yearly)| Retention {
            within_seconds,
            last,
            daily,
            weekly,
            monthly,
            yearly,
        })
        .prop_filter("keeps something", |p| p.check().is_ok())
}

/// Points over about two years, a tenth of them bad, gaps from seconds to beyond any schedule.
fn points() -> impl Strategy<Value = Vec<Candidate<u32>>> {
    let gap = prop_oneof![6 => 1i64..2 * DAY, 3 => DAY..40 * DAY, 1 => 300 * DAY..500 * DAY];
    proptest::collection::vec((gap, 0..10u8), 0..40).prop_map(|steps| {
        let mut time = 0;
        let point = |(key, (gap, luck))| {
            time += gap;
            Candidate { key, time: at(time), good: luck > 0 }
        };
        (0u32..).zip(steps).map(point).collect()
    })
}

fn guards() -> impl Strategy<Value = Guards> {
    (proptest::option::of(60u64..8 * 86_400), 0usize..8, 0u8..=100)
        .prop_map(|(objective_seconds, cap_points, cap_percent)| Guards { objective_seconds, cap_points, cap_percent })
}

proptest! {
    #[test]
    fn every_point_is_kept_or_expired_once_in_order_and_for_a_reason(
        policy in policies(), points in points(), guards in guards(), now in 0i64..900 * DAY,
    ) {
        let plan = run(&policy, &points, now, &guards);
        let mut all: Vec<u32> = kept(&plan);
        all.extend(keys(&plan.expired));
        all.sort_unstable();
        prop_assert_eq!(all, (0..points.len() as u32).collect::<Vec<_>>());
        prop_assert!(kept(&plan).is_sorted() && keys(&plan.expired).is_sorted());
        prop_assert!(plan.kept.iter().all(|k| !k.reasons.is_empty()));
        let cap = guards.cap_points.max(points.len() * usize::from(guards.cap_percent) / 100);
        prop_assert!(plan.expired.len() <= cap);
        prop_assert_eq!(plan.held_back() > 0, plan.kept.iter().any(|k| k.reasons == [Reason::HeldBack]));
    }

    #[test]
    fn the_newest_good_point_and_those_of_the_future_stay(
        policy in policies(), points in points(), now in 0i64..900 * DAY,
    ) {
        let stay: BTreeSet<u32> = kept(&run(&policy, &points, now, &uncapped())).into_iter().collect();
        let newest = points.iter().rev().find(|p| p.good && p.time <= at(now));
        prop_assert!(newest.is_none_or(|p| stay.contains(&p.key)));
        prop_assert!(points.iter().all(|p| p.time <= at(now) || stay.contains(&p.key)));
    }

    #[test]
    fn a_more_generous_policy_keeps_no_less(
        policy in policies(), more in policies(), points in points(), now in 0i64..900 * DAY,
        objective_seconds in proptest::option::of(60u64..8 * 86_400),
    ) {
        // The greater of two numbers for each rule; a rule that only one has stays, so all that `policy` keeps is kept.
        let generous = Retention {
            within_seconds: policy.within_seconds.max(more.within_seconds),
            last: policy.last.max(more.last),
            daily: policy.daily.max(more.daily),
            weekly: policy.weekly.max(more.weekly),
            monthly: policy.monthly.max(more.monthly),
            yearly: policy.yearly.max(more.yearly),
        };
        prop_assume!(!policy.keeps_everything());
        let guards = Guards { objective_seconds, ..uncapped() };
        let few: BTreeSet<u32> = kept(&run(&policy, &points, now, &guards)).into_iter().collect();
        let many: BTreeSet<u32> = kept(&run(&generous, &points, now, &guards)).into_iter().collect();
        prop_assert!(few.is_subset(&many), "{:?} {:?}", few, many);
    }

    #[test]
    fn a_second_run_changes_nothing(policy in policies(), points in points(), guards in guards(), now in 0i64..900 * DAY) {
        let first = run(&policy, &points, now, &Guards { cap_percent: 100, ..guards.clone() });
        let left: Vec<_> = first.kept.into_iter().map(|k| k.point).collect();
        let second = run(&policy, &left, now, &Guards { cap_percent: 100, ..guards });
        prop_assert!(second.expired.is_empty(), "{:?}", second.expired);
    }

    #[test]
    fn runs_under_a_cap_end_where_one_run_without_would(
        policy in policies(), points in points(), now in 0i64..900 * DAY,
    ) {
        let goal = kept(&run(&policy, &points, now, &uncapped()));
        let capped = Guards { cap_points: 2, cap_percent: 0, ..Guards::default() };
        let mut left = points;
        loop {
            let plan = run(&policy, &left, now, &capped);
            if plan.expired.is_empty() {
                break;
            }
            left = plan.kept.into_iter().map(|k| k.point).collect();
        }
        prop_assert_eq!(keys(&left), goal);
    }

    #[test]
    fn time_that_passes_without_backups_changes_nothing(
        policy in policies(), points in points(), wait in 0i64..9000 * DAY,
    ) {
        let end = points.last().map_or(0, |p| p.time.as_second() - BASE);
        prop_assert_eq!(
            kept(&run(&policy, &points, end, &uncapped())),
            kept(&run(&policy, &points, end + wait, &uncapped()))
        );
    }

    #[test]
    fn one_point_after_a_leap_of_the_clock_pushes_out_at_most_what_any_new_point_would(
        points in points(), leap in 401i64..9000,
    ) {
        let policy = within(14);
        let end = points.last().map_or(0, |p| p.time.as_second() - BASE);
        let before = kept(&run(&policy, &points, end, &uncapped()));
        let mut more = points.clone();
        // Measured from the newest good point, so let the last be good.
        if let Some(last) = more.last_mut() {
            last.good = true;
        }
        more.push(good(1000, end + leap * DAY));
        let after: BTreeSet<u32> = kept(&run(&policy, &more, end + leap * DAY, &uncapped())).into_iter().collect();
        let known_good = points.last().is_some_and(|p| p.good);
        prop_assert!(!known_good || before.iter().all(|k| after.contains(k)));
    }

    #[test]
    fn any_text_is_a_span_or_an_error(text in "\\PC{0,12}") {
        if let Ok(seconds) = parse_span_seconds(&text) {
            prop_assert!(seconds > 0);
        }
    }
}

#[test]
fn what_a_policy_surely_keeps_is_counted_in_days() {
    let policy = Retention::default;
    assert_eq!(policy().surely_kept_days(), 0);
    assert_eq!(Retention { last: Some(120), ..policy() }.surely_kept_days(), 0);
    assert_eq!(Retention { within_seconds: Some(3 * 86_400 - 1), ..policy() }.surely_kept_days(), 2);
    assert_eq!(Retention { daily: Some(7), weekly: Some(4), ..policy() }.surely_kept_days(), 28);
    assert_eq!(Retention { yearly: Some(1), monthly: Some(3), ..policy() }.surely_kept_days(), 365);
}
