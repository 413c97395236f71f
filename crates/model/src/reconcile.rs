//! Reconciling: what the catalog says ([`Known`]), what was found in the volumes ([`Observed`]), and what follows
//! ([`Plan`]).
//!
//! The rules:
//! - No step deletes. What a volume has and the catalog lacks is adopted; what the catalog has and the volume lacks is
//!   marked missing, and found again when it is back.
//! - Of a volume that is away nothing is concluded, neither about its replicas nor about its points.
//! - What cannot be proved is quarantined: named, and left where it is. It is never adopted.
//! - Two volumes with one GUID: neither is believed until a person has taken one of them away.
//! - A replica that was stopped stays so, whatever is found of it.
//! - Damage that the catalog knows of ends when the data was read and proved, not when the metadata was.
//! - Carried out and made again, a plan changes nothing; and the order in which things were found does not matter.

mod planner;
mod sight;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    GroupId, PointId, ReplicaId, ServerId, SourceId, VolumeId,
    point::PointState,
    policy::{Group, Source},
    replica::ReplicaState,
};

/// What the catalog says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    /// Volumes, with where they lie.
    pub volumes: BTreeMap<VolumeId, String>,
    /// Protection groups, with their names.
    pub groups: BTreeMap<GroupId, String>,
    /// Data sources.
    pub sources: BTreeSet<SourceId>,
    /// Replicas.
    pub replicas: BTreeMap<ReplicaId, KnownReplica>,
    /// Recovery points.
    pub points: BTreeMap<PointId, KnownPoint>,
}

/// A replica of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownReplica {
    /// Its data source.
    pub source: SourceId,
    /// The volume that holds it.
    pub volume: VolumeId,
    /// Its state.
    pub state: ReplicaState,
}

/// A recovery point of the catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownPoint {
    /// Its replica.
    pub replica: ReplicaId,
    /// Its state.
    pub state: PointState,
}

/// What was found: one sighting for each place that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Observed {
    /// The sightings, in any order.
    pub sightings: Vec<Sighting>,
}

/// What was found at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The volume that is there, or should be.
    pub volume: VolumeId,
    /// The place.
    pub location: String,
    /// What was found there.
    pub seen: Seen,
}

/// What a place held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Not the volume, or not all of it could be read.
    Away {
        /// Why.
        why: String,
    },
    /// A volume of another server.
    OfAnother {
        /// That server.
        server: ServerId,
        /// Its name.
        name: String,
    },
    /// The volume, read to the end.
    Here(Holdings),
}

/// What a volume holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Holdings {
    /// What the volume's own texts (`REPLICA.toml`) say of its replicas.
    pub described: Vec<Description>,
    /// What its newest capsule says of them.
    pub chartered: Vec<Description>,
    /// The points whose signature and place were proved.
    pub points: Vec<FoundPoint>,
    /// What could not be proved.
    pub unproved: Vec<Unproved>,
    /// Generation and sequence of its newest capsule.
    pub capsule: Option<(u64, u64)>,
}

/// A replica, with all that is needed to make its rows of the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// The replica.
    pub replica: ReplicaId,
    /// Its data source.
    pub source: Source,
    /// The group of that source.
    pub group: Group,
}

/// A recovery point that was found, its document proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPoint {
    /// The point.
    pub point: PointId,
    /// Its replica.
    pub replica: ReplicaId,
    /// Its data source.
    pub source: SourceId,
    /// What its document says: `complete` or `partial`.
    pub state: PointState,
    /// How far the rest of it was proved.
    pub proof: Proof,
}

/// How far a point was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// Every page of entries is there and right.
    Metadata,
    /// And so is every byte of content.
    Data,
    /// Something that belongs to it is gone or wrong.
    Damaged {
        /// What.
        why: String,
    },
}

/// An object that could not be proved, in neither of its copies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproved {
    /// Its name in the volume.
    pub object: String,
    /// Why not.
    pub why: String,
    /// Whose place it is in, if it is the place of a point.
    pub point: Option<(ReplicaId, PointId)>,
}

/// What follows. `adopt`, `points` and `replicas` are to be carried out, in that order; the rest is to be told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// Rows to make, each after those that it refers to.
    pub adopt: Vec<Adoption>,
    /// States of points to change.
    pub points: Vec<(PointId, PointState)>,
    /// States of replicas to change, with the cause that is to stand beside them.
    pub replicas: Vec<(ReplicaId, ReplicaState, Option<String>)>,
    /// What a volume that is there lacks, be it newly so or known before.
    pub missing: Vec<Missing>,
    /// What was missing or damaged, and is not any more.
    pub found_again: Vec<FoundAgain>,
    /// What could not be proved.
    pub quarantined: Vec<Quarantined>,
    /// Volumes of which nothing could be concluded.
    pub unreachable: Vec<Unreachable>,
}

/// Something to take into the catalog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// A volume, or a new place of one that is known.
    Volume {
        /// The volume.
        volume: VolumeId,
        /// Where it lies.
        location: String,
    },
    /// A protection group.
    Group(Group),
    /// A data source.
    Source(Source),
    /// A replica.
    Replica {
        /// The replica.
        replica: ReplicaId,
        /// Its data source.
        source: SourceId,
        /// The volume that holds it.
        volume: VolumeId,
        /// Its state.
        state: ReplicaState,
        /// Why it is in that state, where there is more to say.
        cause: Option<String>,
    },
    /// A recovery point.
    Point {
        /// The point.
        point: PointId,
        /// Its replica.
        replica: ReplicaId,
        /// The volume that holds it.
        volume: VolumeId,
        /// Its state.
        state: PointState,
    },
}

/// A thing that can be missing and be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// A replica as a whole.
    Replica(ReplicaId),
    /// One recovery point.
    Point(PointId),
}

/// What a volume lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The volume.
    pub volume: VolumeId,
    /// What it lacks.
    pub what: Thing,
    /// Whether the catalog has it as missing already.
    pub known: bool,
}

/// What is there again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundAgain {
    /// The volume.
    pub volume: VolumeId,
    /// What is there again.
    pub what: Thing,
}

/// What could not be proved, and why. It is left where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quarantined {
    /// The volume.
    pub volume: VolumeId,
    /// What: an object of the volume, a point, or the volume's own place.
    pub what: String,
    /// Why.
    pub why: String,
}

/// A volume of which nothing was concluded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unreachable {
    /// The volume.
    pub volume: VolumeId,
    /// Where it should lie.
    pub location: String,
    /// Why.
    pub why: String,
}

impl Plan {
    /// Compares catalog and volumes.
    pub fn new(known: &Known, observed: &Observed) -> Self {
        planner::plan(known, observed)
    }

    /// Whether carrying it out would change nothing in the catalog.
    pub fn changes_nothing(&self) -> bool {
        self.adopt.is_empty() && self.points.is_empty() && self.replicas.is_empty()
    }

    /// Whether catalog and volumes are one: everything is there, proved and in reach. Such a plan ends a freeze.
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.quarantined.is_empty() && self.unreachable.is_empty()
    }
}

#[cfg(test)]
mod tests;
