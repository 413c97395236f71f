use std::collections::BTreeSet;

use jiff::civil::DateTime;
use proptest::prelude::*;

use super::*;

const HOUR: i64 = 3_600;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn plus(time: Timestamp, seconds: i64) -> Timestamp {
    time + SignedDuration::from_secs(seconds)
}

fn berlin() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

fn new_york() -> TimeZone {
    TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").unwrap()
}

/// Clocks move by half an hour here.
fn lord_howe() -> TimeZone {
    TimeZone::posix("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0").unwrap()
}

fn calendar(cron: &str, zone: &TimeZone) -> Timetable {
    let schedule = Schedule { every_seconds: None, calendar: Some(Calendar { cron: cron.to_owned(), zone: None }) };
    Timetable::new(&schedule, zone).unwrap()
}

fn every(seconds: u64) -> Timetable {
    Timetable::new(&Schedule::every(seconds), &TimeZone::UTC).unwrap()
}

fn walk(timetable: &Timetable, from: &str, count: usize) -> Vec<String> {
    let next = |time: &Timestamp| timetable.next_after(*time);
    std::iter::successors(next(&at(from)), next).take(count).map(|time| time.to_string()).collect()
}

#[test]
fn a_time_that_the_clocks_leave_out_runs_right_behind_the_gap() {
    let table = calendar("30 2 * * *", &berlin());
    assert_eq!(
        walk(&table, "2026-03-27T12:00:00Z", 3),
        ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
    );
    let often = calendar("*/20 2,3 * * *", &berlin());
    assert_eq!(
        walk(&often, "2026-03-29T00:00:00Z", 4),
        ["2026-03-29T01:00:00Z", "2026-03-29T01:20:00Z", "2026-03-29T01:40:00Z", "2026-03-30T00:00:00Z"]
    );
    assert_eq!(table.latest_at_or_before(at("2026-03-29T00:59:59Z")), Some(at("2026-03-28T01:30:00Z")));
    assert_eq!(table.latest_at_or_before(at("2026-03-29T01:00:00Z")), Some(at("2026-03-29T01:00:00Z")));
}

#[test]
fn a_time_that_comes_twice_runs_once() {
    let table = calendar("30 2 * * *", &berlin());
    assert_eq!(walk(&table, "2026-10-24T12:00:00Z", 2), ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    // The same with the zone's own half hour: 01:45 comes twice on 5 April.
    let table = calendar("45 1 * * *", &lord_howe());
    assert_eq!(walk(&table, "2026-04-04T00:00:00Z", 2), ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]);
    assert_eq!(table.latest_at_or_before(at("2026-04-04T15:10:00Z")), Some(at("2026-04-04T14:45:00Z")));
}

#[test]
fn catching_up_finds_even_the_rarest_time() {
    let leap = calendar("0 2 29 2 *", &TimeZone::UTC);
    assert_eq!(leap.latest_at_or_before(at("2026-11-22T00:00:00Z")), Some(at("2024-02-29T02:00:00Z")));
    assert_eq!(leap.next_after(at("2097-01-01T00:00:00Z")), Some(at("2104-02-29T02:00:00Z")));
    assert_eq!(every(60).latest_at_or_before(at("2026-11-22T00:00:00Z")), None);
}

#[test]
fn calendars_that_cannot_be_followed_are_refused_with_an_example() {
    let check = |cron: &str, zone: Option<&str>| {
        let calendar = Calendar { cron: cron.to_owned(), zone: zone.map(str::to_owned) };
        check_calendar(&calendar).map_err(|error| error.to_string()).err()
    };
    for good in ["0 2 * * *", "*/15 8-18 * * mon-fri", "@daily", "0 2 29 2 *", "0 0 L * *", "  5 4 * * 7  "] {
        assert_eq!(check(good, None), None, "{good}");
    }
    assert_eq!(check("0 2 * * *", Some("UTC")), None);
    for bad in
        ["", "0 2 * *", "0 0 2 * * *", "60 2 * * *", "x 2 * * *", "0 24 * * *", "@reboot", "daily", "0 2 * * \u{dc}"]
    {
        let error = check(bad, None).unwrap();
        assert!(error.starts_with(&format!("`{bad}` is no calendar")) && error.contains("`0 2 * * 1-5`"), "{error}");
    }
    assert!(check("0 2 30 2 *", None).unwrap().contains("never comes"));
    assert!(check("0 2 * * *", Some("Europe/Atlantis")).unwrap().contains("Europe/Berlin"));
}

#[test]
fn what_never_ran_is_due_at_once_and_what_has_no_schedule_never() {
    let now = at("2026-11-22T12:00:00Z");
    assert_eq!(every(60).is_due(None, now), Due::Yes { since: now, missed: 0 });
    let daily = calendar("0 2 * * *", &TimeZone::UTC);
    assert_eq!(daily.is_due(None, now), Due::Yes { since: at("2026-11-22T02:00:00Z"), missed: 0 });
    let none = Timetable::new(&Schedule::default(), &TimeZone::UTC).unwrap();
    assert_eq!(none.is_due(None, now), Due::No { next: None });
    assert_eq!(none.is_due(Some(now), now), Due::No { next: None });
}

#[test]
fn missed_runs_are_counted_and_made_good_by_one() {
    let now = at("2026-11-22T12:00:00Z");
    let last = plus(now, -5 * HOUR - 1);
    assert_eq!(every(3_600).is_due(Some(last), now), Due::Yes { since: plus(last, HOUR), missed: 4 });
    assert_eq!(every(3_600).is_due(Some(plus(now, -HOUR + 1)), now), Due::No { next: Some(plus(now, 1)) });
    let daily = calendar("0 2 * * *", &TimeZone::UTC);
    let since = at("2026-11-18T02:00:00Z");
    assert_eq!(daily.is_due(Some(at("2026-11-17T02:00:00Z")), now), Due::Yes { since, missed: 4 });
}

#[test]
fn an_interval_beside_a_calendar_takes_whichever_comes_first() {
    let schedule =
        Schedule { every_seconds: Some(86_400), calendar: Some(Calendar { cron: "0 2 * * *".to_owned(), zone: None }) };
    let both = Timetable::new(&schedule, &TimeZone::UTC).unwrap();
    let noon = at("2026-11-22T12:00:00Z");
    assert_eq!(both.is_due(Some(noon), noon), Due::No { next: Some(at("2026-11-23T02:00:00Z")) });
    assert!(matches!(both.is_due(Some(plus(noon, -3 * 86_400)), noon), Due::Yes { missed: 2, .. }));
}

#[test]
fn a_clock_that_leaps_ten_years_ahead_makes_one_run_due() {
    let now = at("2036-11-22T12:00:00Z");
    for table in [every(60), calendar("* * * * *", &berlin())] {
        let last = at("2026-11-22T12:00:00Z");
        assert!(matches!(table.is_due(Some(last), now), Due::Yes { missed: MISSED_MAX, .. }));
        assert!(matches!(table.is_due(Some(now), now), Due::No { next: Some(next) } if next == plus(now, 60)));
    }
}

#[test]
fn a_clock_that_falls_back_ten_years_makes_nothing_wait_for_them() {
    let now = at("2026-11-22T12:00:00Z");
    let last = at("2036-11-22T12:00:00Z");
    for table in [every(60), every(86_400), calendar("0 2 * * *", &berlin())] {
        assert!(matches!(table.is_due(Some(last), now), Due::Yes { missed: 0, .. }));
        assert_eq!(table.last_of([last, plus(now, -5)], now), Some(plus(now, -5)));
        assert_eq!(table.last_of([last], now), None);
    }
    // The rare ones too: the time that was thought to be past is far ahead.
    let monthly = calendar("0 2 1 * *", &berlin());
    assert!(matches!(monthly.is_due(Some(last), now), Due::Yes { .. }));
}

#[test]
fn a_clock_that_falls_back_a_little_runs_nothing_twice() {
    let table = calendar("0 2 * * *", &TimeZone::UTC);
    let last = at("2026-11-22T02:00:05Z");
    let back = at("2026-11-22T00:30:00Z");
    assert_eq!(table.is_due(Some(last), back), Due::No { next: Some(at("2026-11-23T02:00:00Z")) });
    let hourly = every(3_600);
    assert_eq!(hourly.is_due(Some(last), plus(last, -1)), Due::No { next: Some(plus(last, HOUR)) });
}

/// Fields of a calendar as sets, so that the oracle needs no reader of its own.
#[derive(Debug, Clone)]
struct Fields {
    minutes: BTreeSet<i8>,
    hours: BTreeSet<i8>,
    weekdays: BTreeSet<i8>,
}

impl Fields {
    fn cron(&self) -> String {
        let list = |set: &BTreeSet<i8>| set.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        format!("{} {} * * {}", list(&self.minutes), list(&self.hours), list(&self.weekdays))
    }

    fn matches(&self, wall: DateTime) -> bool {
        self.minutes.contains(&wall.minute())
            && self.hours.contains(&wall.hour())
            && self.weekdays.contains(&wall.weekday().to_sunday_zero_offset())
    }
}

/// The moments of a calendar, minute by minute and by nothing but what a wall clock shows: a minute shown for the first
/// time, and minutes that were jumped over, where the clock shows the minute behind them.
fn by_brute_force(fields: &Fields, zone: &TimeZone, from: Timestamp, minutes: i64) -> Vec<Timestamp> {
    let mut found = Vec::new();
    let mut shown: Option<DateTime> = None;
    // A day ahead, so that what is shown a second time at the beginning is known.
    for minute in -1440..minutes {
        let moment = plus(from, minute * 60);
        let wall = zone.to_datetime(moment);
        let newest = shown.unwrap_or(wall - SignedDuration::from_mins(1));
        let mut passed = newest;
        let mut wanted = false;
        while passed < wall {
            passed += SignedDuration::from_mins(1);
            wanted |= fields.matches(passed);
        }
        shown = Some(newest.max(wall));
        if wanted && minute >= 0 {
            found.push(moment);
        }
    }
    found
}

fn fields() -> impl Strategy<Value = Fields> {
    let set = |range: std::ops::Range<i8>, most| proptest::collection::btree_set(range, 1..most);
    let night = prop_oneof![3 => proptest::collection::btree_set(0i8..4, 1..4), 1 => set(0..24, 6)];
    (set(0..60, 5), night, proptest::collection::btree_set(0i8..7, 3..8))
        .prop_map(|(minutes, hours, weekdays)| Fields { minutes, hours, weekdays })
}

/// Midnight before a change of the clocks, or any other.
fn days() -> impl Strategy<Value = (TimeZone, Timestamp)> {
    let of = |zone: fn() -> TimeZone, days: &'static [&'static str]| {
        proptest::sample::select(days).prop_map(move |day| (zone(), at(day)))
    };
    prop_oneof![
        of(berlin, &["2026-03-28T22:00:00Z", "2026-10-24T21:00:00Z", "2026-06-01T00:00:00Z"]),
        of(new_york, &["2026-03-08T03:00:00Z", "2026-11-01T03:00:00Z", "2026-12-31T12:00:00Z"]),
        of(lord_howe, &["2026-10-03T12:00:00Z", "2026-04-04T12:00:00Z", "2026-07-01T00:00:00Z"]),
    ]
}

proptest! {
    #[test]
    fn times_are_those_that_a_wall_clock_shows(fields in fields(), (zone, from) in days()) {
        let minutes = 2 * 1440;
        let table = calendar(&fields.cron(), &zone);
        let wanted = by_brute_force(&fields, &zone, from, minutes);
        let until = plus(from, minutes * 60);
        let next = |time: &Timestamp| table.next_after(*time);
        let found: Vec<_> =
            std::iter::successors(next(&plus(from, -1)), next).take_while(|time| *time < until).collect();
        prop_assert_eq!(&found, &wanted);

        for minute in (0..minutes).step_by(7) {
            let now = plus(from, minute * 60 + 3);
            let latest = wanted.iter().copied().filter(|time| *time <= now).max();
            let answer = table.latest_at_or_before(now);
            prop_assert_eq!(answer.filter(|time| *time >= from), latest);
            prop_assert!(answer.is_some_and(|time| time <= now));
            let next = wanted.iter().copied().find(|time| *time > now);
            prop_assert_eq!(table.next_after(now).filter(|time| *time < until), next);
        }
    }

    #[test]
    fn a_run_makes_good_everything_up_to_now(
        fields in fields(), (zone, from) in days(), back in 1i64..40 * HOUR,
        interval in proptest::option::of(60u64..200_000),
    ) {
        let calendar = Some(Calendar { cron: fields.cron(), zone: None });
        let table = Timetable::new(&Schedule { every_seconds: interval, calendar }, &zone).unwrap();
        let now = plus(from, 40 * HOUR);
        let last = plus(now, -back);
        match table.is_due(Some(last), now) {
            Due::No { next } => prop_assert!(next.is_none_or(|next| next > now)),
            Due::Yes { since, missed } => {
                prop_assert!(last < since && since <= now);
                prop_assert!(missed <= MISSED_MAX);
            }
        }
        // Having run now, nothing is due, and the next run is later.
        let rests = matches!(table.is_due(Some(now), now), Due::No { next: Some(next) } if next > now);
        prop_assert!(rests);
    }

    #[test]
    fn nothing_waits_longer_than_its_schedule_says_whatever_the_clock_did(
        last in -300_000_000i64..300_000_000, interval in 60u64..2_000_000,
    ) {
        let now = at("2026-11-22T12:00:00Z");
        let last = plus(now, last);
        if let Due::No { next } = every(interval).is_due(Some(last), now) {
            let interval = SignedDuration::from_secs(interval as i64);
            prop_assert!(next.is_some_and(|next| next.duration_since(now) <= interval + interval));
        }
    }

    #[test]
    fn any_text_is_a_calendar_or_an_error(cron in "[-0-9*/,LW#@?+ a-z]{0,20}", zone in "\\PC{0,12}") {
        let _ = check_calendar(&Calendar { cron, zone: Some(zone) });
    }
}
