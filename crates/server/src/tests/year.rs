//! A year in the life of a server: whatever was wanted was done, or caught up with, or told; nothing was done twice; and
//! expiry kept what the policy says and nothing else.

use std::{cell::Cell, collections::BTreeMap, rc::Rc, sync::OnceLock};

use jiff::{SignedDuration, tz::TimeZone};
use resurgam_model::{
    Timestamp,
    alert::{Severity, kind},
    retention::Retention,
};

use super::{
    oracle::{Wall, kept},
    simulation::{CAP_PERCENT, CAP_POINTS, DAY, Dice, HOUR, Happening, MINUTE, Simulation, Source},
};

const START: &str = "2026-01-10T00:00:00Z";
const YEAR: i64 = 365 * DAY;
const DECADE: i64 = 3_653 * DAY;
/// With two places for jobs of up to 40 minutes and six sources, nobody waits longer than this for a place.
const QUEUE: i64 = 3 * HOUR;
/// No alert is due before this has passed: the grace of the model, and its rounding.
const GRACE: i64 = 6 * HOUR;
const GRACE_LEAST: i64 = 15 * MINUTE;
const EVERY_DAY: &[i8] = &[0, 1, 2, 3, 4, 5, 6];

/// Calendars whose times lie where the clocks change.
static WALLS: [Wall; 4] = [
    Wall { zone: "Europe/Berlin", minutes: &[30], hours: &[2], weekdays: EVERY_DAY },
    Wall { zone: "Australia/Lord_Howe", minutes: &[45], hours: &[1], weekdays: EVERY_DAY },
    Wall { zone: "America/New_York", minutes: &[15], hours: &[1], weekdays: &[0] },
    Wall { zone: "Europe/Berlin", minutes: &[0, 20, 40], hours: &[2, 3], weekdays: EVERY_DAY },
];

fn sources() -> Vec<Source> {
    let rule = Retention::default;
    let walls = [
        Retention { daily: Some(30), monthly: Some(12), ..rule() },
        Retention { last: Some(20), ..rule() },
        Retention { weekly: Some(8), yearly: Some(2), ..rule() },
        Retention { within_seconds: Some(3 * DAY as u64), last: Some(5), ..rule() },
    ];
    let hourly = Retention { within_seconds: Some(2 * DAY as u64), daily: Some(7), weekly: Some(4), ..rule() };
    let six_hourly = Retention { daily: Some(3), monthly: Some(3), ..rule() };
    let calendars = WALLS
        .iter()
        .zip(walls)
        .zip(1..)
        .map(|((wall, retention), number)| Source::new(number, None, Some(wall.clone()), retention));
    let intervals =
        [Source::new(8, Some(HOUR as u64), None, hourly), Source::new(9, Some(6 * HOUR as u64), None, six_hourly)];
    calendars.chain(intervals).collect()
}

fn start() -> Timestamp {
    START.parse().unwrap()
}

fn after(seconds: i64) -> Timestamp {
    start() + SignedDuration::from_secs(seconds)
}

/// The moments of each calendar in the year; they take a while, and are the same in every life.
fn moments_of_the_year() -> &'static [Vec<Timestamp>] {
    static MOMENTS: OnceLock<Vec<Vec<Timestamp>>> = OnceLock::new();
    MOMENTS.get_or_init(|| WALLS.iter().map(|wall| wall.moments(after(-8 * DAY), (YEAR + 10 * DAY) / MINUTE)).collect())
}

/// Outages of the daemon, and settings of the clock; none of the latter beside another or in the last week.
fn happenings(dice: &mut Dice) -> Vec<(i64, Happening)> {
    let mut all = Vec::new();
    let mut time = dice.between(DAY, 20 * DAY);
    while time < YEAR - 20 * DAY {
        let long = dice.between(0, 4) == 0;
        let end = time + if long { dice.between(DAY, 6 * DAY) } else { dice.between(10 * MINUTE, 20 * HOUR) };
        all.extend([(time, Happening::Down), (end, Happening::Up)]);
        time = end + dice.between(DAY, 30 * DAY);
    }
    for month in 0..8 {
        let time = month * 30 * DAY + dice.between(5 * DAY, 25 * DAY);
        all.push((time, Happening::Step(dice.between(-90 * MINUTE, 2 * HOUR))));
    }
    let leap = 300 * DAY + dice.between(0, 10 * DAY);
    all.extend([(leap, Happening::Step(DECADE)), (leap + dice.between(MINUTE, 9 * HOUR), Happening::Step(-DECADE))]);
    all.sort_by_key(|(time, _)| *time);
    all
}

/// The times of each calendar that the clock can have shown, by the naive way.
struct Expected {
    moments: Vec<Vec<Timestamp>>,
}

impl Expected {
    fn new(happenings: &[(i64, Happening)]) -> Self {
        let mut moments = moments_of_the_year().to_vec();
        let leaps = happenings.iter().filter(|(_, happening)| *happening == Happening::Step(DECADE));
        for (time, _) in leaps {
            for (wall, moments) in WALLS.iter().zip(&mut moments) {
                moments.extend(wall.moments(after(time - time % MINUTE + DECADE - 9 * DAY), 12 * DAY / MINUTE));
            }
        }
        Self { moments }
    }

    /// The last time that a source wanted a run, up to `now`.
    fn latest(&self, number: usize, source: &Source, now: Timestamp) -> Option<Timestamp> {
        if let Some(moments) = self.moments.get(number) {
            return moments[..moments.partition_point(|time| *time <= now)].last().copied();
        }
        let every = SignedDuration::from_secs(source.every? as i64);
        let last = source.runs.iter().filter(|run| run.well && run.begun <= now).map(|run| run.begun).max()?;
        Some(last + every).filter(|time| *time <= now)
    }
}

#[derive(Default)]
struct Seen {
    overdue: usize,
    failing: usize,
}

/// Looks at a life from outside, at some moment of it.
fn audit(life: &Simulation, expected: &Expected, seen: &mut Seen) {
    let now = life.clock();
    let alerts = life.alerts();
    let healthy_since = life.up_since.max(life.stepped);
    for (number, source) in life.sources.iter().enumerate() {
        let root = source.root();
        let stands = |kind| alerts.iter().any(|alert| alert.subject == root && alert.kind == kind);
        let (overdue, failing) = (stands(kind::SOURCE_OVERDUE), stands(kind::SOURCE_FAILING));
        seen.overdue += usize::from(overdue);
        seen.failing += usize::from(failing);
        let well = life.is_up() && life.truly - healthy_since > QUEUE;

        let Some(wanted) = expected.latest(number, source, now) else { continue };
        let late = now.duration_since(wanted).as_secs();
        // Begun or ended: a clock that is set back meanwhile turns the two round.
        let in_time = |time| wanted <= time && time <= now;
        let ended = source.runs.iter().rev().any(|run| run.well && in_time(run.ended));
        let done = ended || source.runs.iter().rev().any(|run| run.well && in_time(run.begun));
        let where_ = || format!("{root} at {now}, wanted {wanted}, up {}, healthy since {healthy_since}", life.is_up());
        if !done && late > GRACE + HOUR {
            assert!(overdue || failing, "a missed run is silent: {}", where_());
        }
        if !done && well && late > QUEUE && !source.failed_within(life.truly, DAY) && !life.is_running(source) {
            panic!("not caught up with: {}", where_());
        }
        // A wait for a place in the queue may be told of, but nothing that was done or has just become due.
        let fresh = ended || source.every.is_some() && late < GRACE_LEAST;
        let fresh = fresh && life.truly - life.stepped > QUEUE;
        assert!(!(overdue && fresh), "a false alarm: {} {alerts:?}", where_());
    }
}

/// Nothing was done twice for the same time.
fn check_runs(life: &Simulation, expected: &Expected, steps: &[(i64, Happening)]) {
    for (number, source) in life.sources.iter().enumerate() {
        let well: Vec<_> = source.runs.iter().filter(|run| run.well).collect();
        if source.every.is_none() {
            // Times as close as these come again with a clock that is set back by more than two of them.
            let is_dense = source.wall.as_ref().is_some_and(|wall| wall.minutes.len() > 1);
            let mut served: BTreeMap<Timestamp, i64> = BTreeMap::new();
            for run in &well {
                let time = expected.latest(number, source, run.begun).unwrap();
                let before = served.insert(time, run.begun_truly);
                let set_back = |before: i64| {
                    let is_back = |step: Happening| matches!(step, Happening::Step(seconds) if seconds < 0);
                    steps.iter().any(|(time, step)| (before..=run.begun_truly).contains(time) && is_back(*step))
                };
                let twice = before.is_some_and(|before| !(is_dense && set_back(before)));
                assert!(!twice, "{}: {time} was served twice, at last by {run:?}", source.root());
            }
            let in_year = expected.moments[number].iter().filter(|time| (start()..after(YEAR)).contains(*time)).count();
            // Three in four are served by a run of their own, whatever befell the server; the rest by one for several.
            assert!(well.len() * 4 > in_year * 3 || is_dense, "{}: {} of {in_year}", source.root(), well.len());
        }
        let Some(every) = source.every else { continue };
        for pair in well.windows(2) {
            let stepped: i64 = steps
                .iter()
                .filter(|(time, _)| (pair[0].begun_truly..=pair[1].begun_truly).contains(time))
                .map(|(_, happening)| if let Happening::Step(seconds) = happening { seconds.abs() } else { 0 })
                .sum();
            let apart = pair[1].begun_truly - pair[0].begun_truly;
            assert!(apart + stepped >= every as i64, "{}: {pair:?}", source.root());
        }
    }
}

fn live(seed: u64) -> Seen {
    let mut dice = Dice(seed);
    let mut sources = sources();
    for source in &mut sources {
        for _ in 0..dice.between(1, 6) {
            let from = dice.between(0, YEAR - 20 * DAY);
            source.fails.push((from, from + dice.between(HOUR, 4 * DAY)));
        }
    }
    let happenings = happenings(&mut dice);
    let expected = Expected::new(&happenings);
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut life = Simulation::new(start(), zone.clone(), sources, dice);
    life.happenings.clone_from(&happenings);
    let given_up = Rc::new(Cell::new(0));
    let count = Rc::clone(&given_up);
    life.expired = Box::new(move |source, before, left, now| {
        let cap = CAP_POINTS.max(before.len() * usize::from(CAP_PERCENT) / 100);
        let wanted = kept(&source.retention, before, now, &zone, source.every, cap);
        assert_eq!(left, wanted, "{} at {now}", source.root());
        count.set(count.get() + before.len() - left.len());
    });

    let mut seen = Seen::default();
    for quarter in 1..=YEAR / (6 * HOUR) {
        while life.truly < quarter * 6 * HOUR {
            life.advance(quarter * 6 * HOUR);
        }
        audit(&life, &expected, &mut seen);
    }
    check_runs(&life, &expected, &happenings);
    // At most, somebody waits for a place in the queue.
    let left = life.alerts();
    assert!(
        left.iter().all(|alert| alert.severity > Severity::Critical && alert.kind == kind::SOURCE_OVERDUE),
        "{left:?}"
    );
    assert!(life.expiries.len() > 250 && given_up.get() > 5_000, "{} {}", life.expiries.len(), given_up.get());
    seen
}

#[test]
fn in_a_year_every_run_happened_was_caught_up_with_or_raised_an_alert() {
    // More of them: RESURGAM_YEARS=100.
    let lives = std::env::var("RESURGAM_YEARS").ok().and_then(|count| count.parse().ok()).unwrap_or(3);
    for seed in 1..=lives {
        let seen = live(seed);
        assert!(seen.overdue > 10 && seen.failing > 10, "seed {seed}: {} {}", seen.overdue, seen.failing);
    }
}
