//! The comparison itself, volume by volume.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Adoption, Description, FoundAgain, FoundPoint, Known, Missing, Observed, Plan, Proof, Quarantined, Thing,
    sight::{Believed, sight},
};
use crate::{
    GroupId, PointId, ReplicaId, SourceId, VolumeId,
    point::PointState,
    policy::{Group, Source},
    replica::ReplicaState,
};

/// A replica of a believed volume while its points are counted.
struct Tally {
    source: SourceId,
    volume: VolumeId,
    /// What the catalog says; `None`: nothing so far.
    state: Option<ReplicaState>,
    /// Whether the volume's own text tells of it.
    described: bool,
    good: u64,
    damaged: u64,
    missing: u64,
}

struct Planner<'a> {
    known: &'a Known,
    /// What the volumes say of each data source: the first that says anything.
    descriptions: BTreeMap<SourceId, &'a Description>,
    groups: BTreeMap<GroupId, Group>,
    sources: BTreeMap<SourceId, Source>,
    replicas: BTreeMap<ReplicaId, Tally>,
    points: Vec<Adoption>,
    /// Points that were found, or whose place holds something.
    met: BTreeSet<PointId>,
    plan: Plan,
}

pub(super) fn plan(known: &Known, observed: &Observed) -> Plan {
    let seen = sight(known, observed);
    let plan = Plan { unreachable: seen.unreachable, quarantined: seen.quarantined, ..Plan::default() };
    let (groups, sources) = (BTreeMap::new(), BTreeMap::new());
    let (replicas, points, met) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
    let descriptions = descriptions(&seen.believed);
    let mut planner = Planner { known, descriptions, groups, sources, replicas, points, met, plan };
    for volume in &seen.believed {
        planner.enter(volume);
    }
    for volume in &seen.believed {
        planner.compare(volume);
    }
    planner.finish()
}

/// The volume's own texts go before its capsule.
fn descriptions<'a>(volumes: &[Believed<'a>]) -> BTreeMap<SourceId, &'a Description> {
    let mut first = BTreeMap::new();
    for volume in volumes {
        for texts in [&volume.holdings.described, &volume.holdings.chartered] {
            let mut texts: Vec<_> = texts.iter().collect();
            texts.sort_by_key(|text| text.replica);
            for text in texts {
                first.entry(text.source.id).or_insert(text);
            }
        }
    }
    first
}

impl Planner<'_> {
    /// The volume itself, and the replicas that the catalog has in it.
    fn enter(&mut self, found: &Believed<'_>) {
        let (volume, location) = (found.volume, found.location);
        if self.known.volumes.get(&volume).is_none_or(|known| known != location) {
            self.plan.adopt.push(Adoption::Volume { volume, location: location.to_owned() });
        }
        let described: BTreeSet<_> = found.holdings.described.iter().map(|text| text.replica).collect();
        for (id, replica) in self.known.replicas.iter().filter(|(_, replica)| replica.volume == volume) {
            let tally = Tally {
                source: replica.source,
                volume,
                state: Some(replica.state),
                described: described.contains(id),
                good: 0,
                damaged: 0,
                missing: 0,
            };
            self.replicas.insert(*id, tally);
        }
    }

    fn compare(&mut self, volume: &Believed<'_>) {
        let mut found: Vec<_> = volume.holdings.points.iter().collect();
        found.sort_by_key(|point| (point.point, point.replica));
        for point in found {
            if let Err(why) = self.take(volume, point) {
                self.quarantine(volume.volume, format!("recovery point {}", point.point), why);
                self.spoiled(volume.volume, point.point, point.replica);
            }
        }
        for unproved in &volume.holdings.unproved {
            self.quarantine(volume.volume, unproved.object.clone(), unproved.why.clone());
            if let Some((replica, point)) = unproved.point {
                self.spoiled(volume.volume, point, replica);
            }
        }
        let known = self.known;
        for (point, known) in &known.points {
            let here = known.volume(self.known) == Some(volume.volume);
            if here && !self.met.contains(point) {
                let was = known.state == PointState::Missing;
                self.plan.missing.push(Missing { volume: volume.volume, what: Thing::Point(*point), known: was });
                self.turn(*point, known.state, PointState::Missing);
                self.count(known.replica, PointState::Missing);
            }
        }
    }

    /// A point whose document is proved: known, or adopted, or `Err` with what is wrong about it.
    fn take(&mut self, volume: &Believed<'_>, found: &FoundPoint) -> Result<(), String> {
        if self.met.contains(&found.point) {
            return Err("it is there once more, in another replica".to_owned());
        }
        let known = self.known.points.get(&found.point);
        if let Some(known) = known.filter(|known| known.replica != found.replica) {
            return Err(format!("it lies in replica {}, and the catalog has it in {}", found.replica, known.replica));
        }
        self.replica_for(volume, found)?;
        self.met.insert(found.point);
        let state = known.map_or_else(|| adopted(found), |known| next(known.state, found));
        if let Proof::Damaged { why } = &found.proof {
            self.quarantine(volume.volume, format!("recovery point {}", found.point), why.clone());
        }
        self.count(found.replica, state);
        match known.map(|known| known.state) {
            None => {
                let (point, replica) = (found.point, found.replica);
                self.points.push(Adoption::Point { point, replica, volume: volume.volume, state });
            }
            Some(was) => {
                let healed = was == PointState::Damaged && state != PointState::Damaged;
                if was == PointState::Missing || healed {
                    let what = Thing::Point(found.point);
                    self.plan.found_again.push(FoundAgain { volume: volume.volume, what });
                }
                self.turn(found.point, was, state);
            }
        }
        Ok(())
    }

    /// Sees that the replica of a point, its source and its group are known or will be.
    fn replica_for(&mut self, volume: &Believed<'_>, found: &FoundPoint) -> Result<(), String> {
        let other = |source: SourceId, volume: VolumeId| {
            format!(
                "its replica {} is that of data source {source} in volume {volume}, and nothing else",
                found.replica
            )
        };
        if let Some(replica) = self.replicas.get(&found.replica) {
            let same = replica.volume == volume.volume && replica.source == found.source;
            return if same { Ok(()) } else { Err(other(replica.source, replica.volume)) };
        }
        if let Some(replica) = self.known.replicas.get(&found.replica) {
            return Err(other(replica.source, replica.volume));
        }
        if !self.known.sources.contains(&found.source) && !self.sources.contains_key(&found.source) {
            let text = self.descriptions.get(&found.source).ok_or_else(|| {
                format!("nothing says what its data source {} is: neither REPLICA.toml nor a capsule", found.source)
            })?;
            self.adopt_source(text);
        }
        let described = volume.holdings.described.iter().any(|text| text.replica == found.replica);
        let (source, volume) = (found.source, volume.volume);
        let tally = Tally { source, volume, state: None, described, good: 0, damaged: 0, missing: 0 };
        self.replicas.insert(found.replica, tally);
        Ok(())
    }

    fn adopt_source(&mut self, text: &Description) {
        let mut source = text.source.clone();
        source.group = text.group.id;
        if !self.known.groups.contains_key(&source.group) && !self.groups.contains_key(&source.group) {
            let name = self.free_name(&text.group.name);
            self.groups.insert(source.group, Group { name, ..text.group.clone() });
        }
        self.sources.insert(source.id, source);
    }

    /// The name of an adopted group: its own, or with a number where another group has that.
    fn free_name(&self, wanted: &str) -> String {
        let taken =
            |name: &str| self.known.groups.values().chain(self.groups.values().map(|g| &g.name)).any(|n| n == name);
        if !taken(wanted) {
            return wanted.to_owned();
        }
        // Names of groups have at most 64 characters.
        let short: String = wanted.chars().take(56).collect();
        (2u64..).map(|n| format!("{short} {n}")).find(|name| !taken(name)).unwrap_or(short)
    }

    /// Something lies in the place of a point and cannot pass for it.
    fn spoiled(&mut self, volume: VolumeId, point: PointId, replica: ReplicaId) {
        let Some(known) = self.known.points.get(&point).filter(|known| known.replica == replica) else { return };
        if known.volume(self.known) == Some(volume) && self.met.insert(point) {
            self.turn(point, known.state, PointState::Damaged);
            self.count(known.replica, PointState::Damaged);
        }
    }

    fn quarantine(&mut self, volume: VolumeId, what: String, why: String) {
        self.plan.quarantined.push(Quarantined { volume, what, why });
    }

    fn turn(&mut self, point: PointId, from: PointState, to: PointState) {
        if from != to {
            self.plan.points.push((point, to));
        }
    }

    fn count(&mut self, replica: ReplicaId, state: PointState) {
        if let Some(tally) = self.replicas.get_mut(&replica) {
            match state {
                PointState::Complete | PointState::Partial => tally.good += 1,
                PointState::Damaged => tally.damaged += 1,
                PointState::Missing => tally.missing += 1,
            }
        }
    }

    fn finish(mut self) -> Plan {
        self.plan.adopt.extend(self.groups.into_values().map(Adoption::Group));
        self.plan.adopt.extend(self.sources.into_values().map(Adoption::Source));
        for (replica, tally) in self.replicas {
            let was = tally.state.unwrap_or(ReplicaState::CreationPending);
            let (state, cause) = verdict(was, &tally);
            let (source, volume) = (tally.source, tally.volume);
            if tally.state.is_none() {
                self.plan.adopt.push(Adoption::Replica { replica, source, volume, state, cause });
                continue;
            }
            let what = Thing::Replica(replica);
            if state == ReplicaState::Missing {
                self.plan.missing.push(Missing { volume, what, known: was == state });
            } else if was == ReplicaState::Missing {
                self.plan.found_again.push(FoundAgain { volume, what });
            }
            if state != was {
                self.plan.replicas.push((replica, state, cause));
            }
        }
        self.points.sort_by_key(|adoption| match adoption {
            Adoption::Point { point, .. } => Some(*point),
            _ => None,
        });
        self.plan.adopt.append(&mut self.points);
        self.plan.points.sort_by_key(|(point, _)| *point);
        self.plan.missing.sort();
        self.plan.found_again.sort();
        self.plan.quarantined.sort();
        self.plan
    }
}

impl super::KnownPoint {
    fn volume(&self, known: &Known) -> Option<VolumeId> {
        known.replicas.get(&self.replica).map(|replica| replica.volume)
    }
}

/// The state of a point that is adopted.
fn adopted(found: &FoundPoint) -> PointState {
    if matches!(found.proof, Proof::Damaged { .. }) { PointState::Damaged } else { found.state }
}

/// The state of a point that was known in another.
fn next(known: PointState, found: &FoundPoint) -> PointState {
    match (&found.proof, known) {
        // What is damaged may be its data, which nobody has read.
        (Proof::Metadata, PointState::Damaged) => known,
        _ => adopted(found),
    }
}

/// The state of a replica, by what there is of it.
fn verdict(was: ReplicaState, tally: &Tally) -> (ReplicaState, Option<String>) {
    use ReplicaState::{CreationPending, Inconsistent, ManualCreationPending, Missing, Stopped, Valid};
    let gone = || (Missing, Some("its volume is there and does not hold it".to_owned()));
    match (was, tally.good, tally.damaged) {
        (Stopped, ..) => (Stopped, None),
        (Valid | Missing | CreationPending, 0, 1..) => {
            (Inconsistent, Some("none of its recovery points can be read whole".to_owned()))
        }
        (_, 1.., 0) | (Missing | CreationPending, 1.., _) => (Valid, None),
        (_, _, 1..) => (was, None),
        // Nothing is there. What should be?
        (ManualCreationPending, ..) => (was, None),
        (Valid | Inconsistent | CreationPending, ..) if tally.missing > 0 => gone(),
        (Missing, ..) if tally.missing > 0 => (was, None),
        (Valid, ..) if !tally.described => gone(),
        (Valid, ..) => (CreationPending, None),
        (Missing, ..) if tally.described => (CreationPending, None),
        _ => (was, None),
    }
}
