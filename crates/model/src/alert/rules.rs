//! One rule for each kind of condition.

use jiff::{SignedDuration, tz::TimeZone};

use super::{
    Condition, CopyFacts, DRILL_OBJECTIVE, DamageFacts, FAILURES_CRITICAL, FILLING_PERCENT, FULL_PERCENT, Facts,
    GRACE_LEAST, GRACE_MOST, GRACE_SHARE, Kit, MISSED_CRITICAL, ReplicaFacts, Severity, SourceFacts, VAULT_CRITICAL,
    VAULT_PATIENCE, VaultFacts, VolumeFacts, kind,
};
use crate::{
    Timestamp,
    replica::ReplicaState,
    retention::span_in_words,
    schedule::{Due, Timetable},
};

/// What every rule says.
pub(super) fn all(facts: &Facts, now: Timestamp) -> Vec<Condition> {
    let zone = facts.zone.clone().unwrap_or(TimeZone::UTC);
    let mut found = Vec::new();
    for source in &facts.sources {
        found.extend(overdue(source, now, &zone));
        found.extend(failing(source));
    }
    found.extend(facts.volumes.iter().filter_map(volume));
    found.extend(facts.vaults.iter().filter_map(|facts| vault(facts, now)));
    for copy in &facts.copies {
        found.extend(copy_old(copy, now));
        found.extend(drill(copy, now));
    }
    found.extend(facts.damage.iter().filter_map(damage));
    found.extend(facts.replicas.iter().filter_map(replica));
    found.extend(facts.kit.and_then(kit));
    found.extend(facts.frozen.as_ref().map(|why| {
        let message =
            format!("nothing is deleted: {why}; a sync that ends clean ends this, or `resurgam dpmsync -Accept`");
        condition(kind::FROZEN, "catalog", Severity::Warning, message)
    }));
    found.extend(facts.superseded.as_ref().map(|why| {
        let message = format!("this catalog is not the newest of this server, so it deletes nothing: {why}");
        condition(kind::SUPERSEDED, "catalog", Severity::Critical, message)
    }));
    found
}

fn condition(kind: &str, subject: &str, severity: Severity, message: String) -> Condition {
    Condition { kind: kind.to_owned(), subject: subject.to_owned(), severity, message }
}

/// A run that was wanted and did not happen shows as a point that is not there.
fn overdue(source: &SourceFacts, now: Timestamp, zone: &TimeZone) -> Option<Condition> {
    if source.stopped || source.schedule.is_empty() {
        return None;
    }
    let say = |severity, message| Some(condition(kind::SOURCE_OVERDUE, &source.root, severity, message));
    let timetable = match Timetable::new(&source.schedule, zone) {
        Ok(timetable) => timetable,
        Err(error) => return say(Severity::Critical, format!("its schedule cannot be followed: {error}")),
    };
    let Some(newest) = source.newest else {
        return say(Severity::Warning, "it has no recovery point yet".to_owned());
    };
    let (since, missed) = match timetable.is_due(Some(newest), now) {
        Due::Yes { since, missed } if newest <= now => (since, missed),
        // Nothing can be said of the age of a point of the future, and that must not pass for fresh.
        Due::Yes { .. } => {
            let message = format!("its newest good point is of {newest}, which is yet to come: check the clock");
            return say(Severity::Warning, message);
        }
        Due::No { .. } => return None,
    };
    let grace = source.schedule.every_seconds.map_or(GRACE_MOST, |every| {
        SignedDuration::from_secs(i64::try_from(every / GRACE_SHARE).unwrap_or(i64::MAX)).clamp(GRACE_LEAST, GRACE_MOST)
    });
    let late = now.duration_since(since);
    if late <= grace {
        return None;
    }
    let severity = if missed >= MISSED_CRITICAL { Severity::Critical } else { Severity::Warning };
    let message = format!("its newest good point is {} old; another was wanted by {since}", age(newest, now));
    say(severity, message)
}

fn failing(source: &SourceFacts) -> Option<Condition> {
    if source.stopped || source.failures == 0 {
        return None;
    }
    let severity = if source.failures >= FAILURES_CRITICAL { Severity::Critical } else { Severity::Warning };
    let times = if source.failures == 1 { "once".to_owned() } else { format!("{} times in a row", source.failures) };
    let why = source.last_failure.as_deref().unwrap_or("no reason was given");
    Some(condition(kind::SOURCE_FAILING, &source.root, severity, format!("its backup failed {times}: {why}")))
}

fn volume(volume: &VolumeFacts) -> Option<Condition> {
    if let Some(why) = &volume.unreachable {
        let message = format!(
            "the volume cannot be used: {why}; until it is back, what lies there can be neither written nor restored"
        );
        return Some(condition(kind::VOLUME_MISSING, &volume.location, Severity::Critical, message));
    }
    let space = volume.space.filter(|space| space.total > 0)?;
    let percent = u128::from(space.free) * 100;
    let below = |limit: u64| percent < u128::from(limit) * u128::from(space.total);
    let severity = if below(FULL_PERCENT) {
        Severity::Critical
    } else if below(FILLING_PERCENT) {
        Severity::Warning
    } else {
        return None;
    };
    let message = format!(
        "{} % of the volume is free ({} of {} bytes); `resurgam expire` and `resurgam prune` give space back",
        percent / u128::from(space.total),
        space.free,
        space.total
    );
    Some(condition(kind::VOLUME_FILLING, &volume.location, severity, message))
}

/// What was written down with a clock that was ahead is as old as it is far away: it must not pass for a moment.
fn vault(vault: &VaultFacts, now: Timestamp) -> Option<Condition> {
    let trouble = vault.trouble.as_ref()?;
    let since = trouble.since.strftime("%Y-%m-%d %H:%M UTC");
    if trouble.gone {
        let message = format!(
            "the vault {} no longer holds this server's part: {}; nothing is begun anew there: bring back what was there, or \
             have the pool copied again (`resurgam vault register`)",
            vault.name, trouble.what
        );
        return Some(condition(kind::VAULT_LOST, &vault.location, Severity::Critical, message));
    }
    let age = now.duration_since(trouble.since).abs();
    if age < VAULT_PATIENCE {
        return None;
    }
    let severity = if age >= VAULT_CRITICAL { Severity::Critical } else { Severity::Warning };
    let message = format!("the vault {} cannot be used since {since}: {}", vault.name, trouble.what);
    Some(condition(kind::VAULT_UNREACHABLE, &vault.location, severity, message))
}

fn copy_name(copy: &CopyFacts) -> String {
    format!("{} {}", copy.kind, copy.place)
}

fn copy_old(copy: &CopyFacts, now: Timestamp) -> Option<Condition> {
    let say = |severity, message: String| Some(condition(kind::CATALOG_COPY_OLD, &copy_name(copy), severity, message));
    let because = copy.problem.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let Some(newest) = copy.newest else {
        return say(Severity::Critical, format!("there is no usable copy of the catalog{because}"));
    };
    let lacks = match (copy.lacks_changes, copy.lacks_points) {
        (0, 0) => String::new(),
        (changes, points) => format!("; it lacks {changes} change(s) of the configuration and {points} point(s)"),
    };
    match copy.allowed_age_seconds {
        None if copy.lacks_changes == 0 && because.is_empty() => None,
        None => say(Severity::Warning, format!("the copy of the catalog is not up to date{because}{lacks}")),
        Some(allowed) => {
            let allowed = SignedDuration::from_secs(i64::try_from(allowed).unwrap_or(i64::MAX));
            let old = now.duration_since(newest);
            // A copy of the future is as doubtful as one that is too old.
            if old <= allowed && -old <= allowed {
                return None;
            }
            let severity = if old / 3 > allowed { Severity::Critical } else { Severity::Warning };
            let age = age(newest, now);
            let allowed = span_in_words(allowed.as_secs().unsigned_abs());
            say(severity, format!("the newest copy of the catalog is {age} old; {allowed} are allowed{because}{lacks}"))
        }
    }
}

fn drill(copy: &CopyFacts, now: Timestamp) -> Option<Condition> {
    let name = copy_name(copy);
    let Some(last) = &copy.drill else {
        let message = format!("it was never drilled; `resurgam drill --from {}` proves it", copy.kind);
        return Some(condition(kind::DRILL_OVERDUE, &name, Severity::Information, message));
    };
    let time = last.time.strftime("%Y-%m-%d %H:%M UTC");
    if !last.passed {
        let message = format!("the drill of {time} failed: {}", last.message);
        return Some(condition(kind::DRILL_FAILED, &name, Severity::Critical, message));
    }
    let since = now.duration_since(last.time);
    if since <= DRILL_OBJECTIVE && -since <= DRILL_OBJECTIVE {
        return None;
    }
    let message = format!("its last drill was at {time}; `resurgam drill --from {}` proves it", copy.kind);
    Some(condition(kind::DRILL_OVERDUE, &name, Severity::Warning, message))
}

fn damage(damage: &DamageFacts) -> Option<Condition> {
    if damage.objects == 0 && damage.affected_points == 0 {
        return None;
    }
    let severity = if damage.affected_points > 0 { Severity::Critical } else { Severity::Warning };
    let message = format!(
        "{} object(s) are damaged and {} recovery point(s) affected; `resurgam verify --repair` mends what can be",
        damage.objects, damage.affected_points
    );
    Some(condition(kind::DAMAGE_FOUND, &damage.location, severity, message))
}

fn replica(replica: &ReplicaFacts) -> Option<Condition> {
    let because = replica.cause.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    let (kind, message) = match replica.state {
        ReplicaState::Inconsistent => (
            kind::REPLICA_INCONSISTENT,
            format!(
                "replica {} must be checked against its source{because}; `resurgam backup --consistency-check` does it",
                replica.id
            ),
        ),
        ReplicaState::Missing => (
            kind::REPLICA_MISSING,
            format!(
                "the volume does not hold replica {}{because}; `dpmsync -ReallocateReplica` gives it a new place",
                replica.id
            ),
        ),
        ReplicaState::Valid
        | ReplicaState::CreationPending
        | ReplicaState::ManualCreationPending
        | ReplicaState::Stopped => return None,
    };
    Some(condition(kind, &replica.root, Severity::Critical, message))
}

fn kit(kit: Kit) -> Option<Condition> {
    let (severity, message) = match kit {
        Kit::Current => return None,
        Kit::NeverMade => (
            Severity::Warning,
            "there is no recovery kit: with this machine the server's keys are lost; `resurgam recovery-kit write` makes \
             one",
        ),
        Kit::NeverProved => {
            (Severity::Warning, "nobody has proved that the recovery kit opens; `resurgam recovery-kit test` does")
        }
        Kit::OutOfDate => (
            Severity::Warning,
            "the recovery kit is out of date; `resurgam recovery-kit write` makes it anew, to lie where the old one does",
        ),
    };
    Some(condition(kind::KIT_MISSING, "recovery kit", severity, message.to_owned()))
}

/// How old something is, in words, to the minute.
fn age(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(time).as_secs().max(0).unsigned_abs();
    match seconds {
        0..60 => span_in_words(seconds),
        60..7_200 => span_in_words(seconds / 60 * 60),
        7_200..172_800 => span_in_words(seconds / 3_600 * 3_600),
        _ => span_in_words(seconds / 86_400 * 86_400),
    }
}
