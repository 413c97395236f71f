//! What is known of a server, gathered for the rules that decide what is wrong with it.

use std::collections::HashMap;

use resurgam_catalog::{AlertRecord, Changes, JobRecord, JobState, PointEntry};
use resurgam_model::{
    SourceId, Timestamp,
    alert::{CopyFacts, DamageFacts, Drilled, Facts, Kit, ReplicaFacts, SourceFacts, Space, VolumeFacts, conditions},
    bytepath::escape,
    charter::CopyKind,
    point::PointState,
    policy::{Group, SourceKind},
    replica::ReplicaState,
    report::CopyStatus,
    schedule::Schedule,
};

use crate::{error::JobError, online::ONLINE_BACKUP, server::Server};

/// The newest copy of the catalog in the pool may be this many times its interval old.
const POOL_INTERVALS: u64 = 2;
/// A native backup that only people make may be a week old.
const BY_HAND_SECONDS: u64 = 7 * 86_400;
/// So many of the newest jobs tell whether a source fails.
const JOBS_LOOKED_AT: usize = 2000;

/// Settings that say how the recovery kit stands.
pub mod kit {
    /// Where it was written.
    pub const PLACE: &str = "kit-place";
    /// Digest of what it held.
    pub const DIGEST: &str = "kit-digest";
    /// When its passphrase was proved.
    pub const PROVED: &str = "kit-proved";
    /// Fingerprint of the kit that the passphrase was last set with.
    pub const SEALED: &str = "kit-sealed";
    /// Present where what it should hold is not what it holds.
    pub const STALE: &str = "kit-stale";
}

impl Server {
    /// Everything that the rules of [`resurgam_model::alert`] ask for.
    pub fn facts(&self) -> Result<Facts, JobError> {
        let superseded = self.superseded()?;
        let frozen = self.catalog.lineage()?.and_then(|lineage| lineage.frozen).filter(|_| superseded.is_none());
        Ok(Facts {
            zone: Some(self.environment.time_zone.clone()),
            sources: self.source_facts()?,
            volumes: self.volume_facts()?,
            copies: self.copy_facts()?,
            vaults: self.vault_facts()?,
            damage: self.damage_facts()?,
            replicas: self.replica_facts()?,
            kit: Some(self.kit_state()?),
            frozen,
            superseded,
        })
    }

    fn source_facts(&self) -> Result<Vec<SourceFacts>, JobError> {
        let now = self.now();
        let groups: HashMap<_, Group> = self.catalog.groups()?.into_iter().map(|group| (group.id, group)).collect();
        let replicas = self.catalog.replicas()?;
        let newest = newest_good(self.catalog.point_entries(None)?, now);
        let mut jobs = self.catalog.jobs(JOBS_LOOKED_AT)?;
        jobs.retain(|job| job.kind != ONLINE_BACKUP);
        let failures = failures(&jobs, &["backup", "consistency-check"], &newest);
        let facts = |source: resurgam_model::policy::Source| {
            let replica = crate::sources::current_replica(&replicas, source.id);
            let failed = failures.get(&source.id);
            SourceFacts {
                id: source.id,
                root: escape(&source.root),
                schedule: groups.get(&source.group).map(Schedule::from).unwrap_or_default(),
                newest: newest.get(&source.id).copied(),
                stopped: replica.is_some_and(|replica| {
                    matches!(replica.state, ReplicaState::Stopped | ReplicaState::ManualCreationPending)
                }),
                failures: failed.map_or(0, |(count, _)| *count),
                last_failure: failed.map(|(_, message)| message.clone()),
            }
        };
        let mut all: Vec<SourceFacts> = self.catalog.sources()?.into_iter().map(facts).collect();
        all.extend(self.online_facts(&groups)?);
        Ok(all)
    }

    /// The same of what is protected online: a source of its own, as far as the rules go. A run that ended well counts as a
    /// point: where the pool had nothing new, it found everything in the vault.
    fn online_facts(&self, groups: &HashMap<resurgam_model::GroupId, Group>) -> Result<Vec<SourceFacts>, JobError> {
        let now = self.now();
        let mut newest = newest_good(self.catalog.online_entries(None)?, now);
        let mut jobs = self.catalog.jobs(JOBS_LOOKED_AT)?;
        jobs.retain(|job| job.kind == ONLINE_BACKUP);
        let failures = failures(&jobs, &[ONLINE_BACKUP], &newest);
        for job in jobs.iter().filter(|job| job.state == JobState::Done && job.started <= now) {
            let newest = job.source.and_then(|source| newest.get_mut(&source));
            if let Some(newest) = newest.filter(|newest| **newest < job.started) {
                *newest = job.started;
            }
        }
        let mut all = Vec::new();
        for source in self.catalog.sources()? {
            let online = groups.get(&source.group).and_then(|group| group.online.as_ref());
            let Some(online) = online else { continue };
            let failed = failures.get(&source.id);
            all.push(SourceFacts {
                id: source.id,
                root: format!("{}, online", escape(&source.root)),
                schedule: Schedule { every_seconds: online.every_seconds, calendar: online.calendar.clone() },
                newest: newest.get(&source.id).copied(),
                stopped: false,
                failures: failed.map_or(0, |(count, _)| *count),
                last_failure: failed.map(|(_, message)| message.clone()),
            });
        }
        Ok(all)
    }

    fn volume_facts(&self) -> Result<Vec<VolumeFacts>, JobError> {
        let mut all = Vec::new();
        for record in self.catalog.pool()? {
            let unreachable = self.open_volume(&record).err().map(|error| error.to_string());
            let space = rustix::fs::statvfs(record.location.as_str())
                .ok()
                .map(|found| Space { free: found.f_bavail * found.f_frsize, total: found.f_blocks * found.f_frsize });
            all.push(VolumeFacts { id: record.id, location: record.location, unreachable, space });
        }
        Ok(all)
    }

    fn copy_facts(&self) -> Result<Vec<CopyFacts>, JobError> {
        let copies = self.catalog.copies()?;
        let sources = self.catalog.sources()?;
        let catalog_group = sources.iter().find(|source| source.kind == SourceKind::Dpmdb).map(|source| source.group);
        let group = catalog_group.map(|group| self.catalog.group(group)).transpose()?.flatten();
        let every = group.as_ref().and_then(|group| group.every_seconds);
        let online = group.and_then(|group| group.online).and_then(|online| online.every_seconds);
        let facts = |status: CopyStatus| {
            let allowed_age_seconds = match status.kind {
                CopyKind::Pool => every.map(|every| every.saturating_mul(POOL_INTERVALS)),
                CopyKind::Vault => online.map(|every| every.saturating_mul(POOL_INTERVALS)),
                CopyKind::Capsules => None,
                CopyKind::Native | CopyKind::Share => {
                    let copy = copies.iter().find(|copy| copy.place == status.place);
                    let every = copy.and_then(|copy| copy.every_seconds);
                    Some(every.map_or(BY_HAND_SECONDS, |every| every.saturating_mul(POOL_INTERVALS)))
                }
            };
            CopyFacts {
                kind: status.kind,
                place: status.location,
                newest: status.made,
                problem: status.fault,
                allowed_age_seconds,
                lacks_changes: status.changes_lacking.unwrap_or(0),
                lacks_points: status.points_lacking.unwrap_or(0),
                drill: status.drill.map(|drill| Drilled {
                    time: drill.time,
                    passed: drill.passed,
                    message: drill.message,
                }),
            }
        };
        Ok(self.survivability()?.into_iter().map(facts).collect())
    }

    /// Damage as the last verification of each volume and the states of points tell it.
    fn damage_facts(&self) -> Result<Vec<DamageFacts>, JobError> {
        let points = self.catalog.every_entry(None)?;
        let verified = self.catalog.last_jobs("verify")?;
        let mut all = Vec::new();
        for record in self.catalog.volumes()? {
            let is_bad = |state| matches!(state, PointState::Damaged | PointState::Missing);
            let affected =
                points.iter().filter(|point| point.volume == record.id && is_bad(point.state)).count() as u64;
            let of_this = |job: &&JobRecord| job.subject.contains(&record.id.to_string());
            let found_some = |job: &JobRecord| job.state == JobState::Partial;
            let objects = verified.iter().find(of_this).map_or(0, |job| u64::from(found_some(job)));
            all.push(DamageFacts {
                volume: record.id,
                location: record.location,
                objects: objects.max(affected),
                affected_points: affected,
            });
        }
        Ok(all)
    }

    fn replica_facts(&self) -> Result<Vec<ReplicaFacts>, JobError> {
        let replicas = self.catalog.replicas()?;
        let mut all = Vec::new();
        for source in self.catalog.sources()? {
            // What a source's place was before is history.
            if let Some(replica) = crate::sources::current_replica(&replicas, source.id) {
                all.push(ReplicaFacts {
                    id: replica.id,
                    root: escape(&source.root),
                    state: replica.state,
                    cause: replica.cause.clone(),
                });
            }
        }
        Ok(all)
    }

    fn kit_state(&self) -> Result<Kit, JobError> {
        if self.catalog.setting(kit::DIGEST)?.is_none() {
            return Ok(Kit::NeverMade);
        }
        if self.catalog.setting(kit::PROVED)?.is_none() {
            return Ok(Kit::NeverProved);
        }
        Ok(if self.catalog.setting(kit::STALE)?.is_some() { Kit::OutOfDate } else { Kit::Current })
    }

    /// Works out what is wrong now and writes it down: what is new is raised, what is no more clears itself.
    pub fn evaluate_alerts(&self) -> Result<Changes, JobError> {
        let conditions = conditions(&self.facts()?, self.now());
        Ok(self.catalog.set_alerts(&conditions, self.now())?)
    }

    /// The alerts that stand; with `cleared`, those of the last time that no longer do as well.
    pub fn alerts(&self, cleared: bool) -> Result<Vec<AlertRecord>, JobError> {
        // On a full or read-only disk they are shown as they were last written.
        if let Err(error) = self.evaluate_alerts() {
            self.notice(format!("the alerts could not be worked out anew: {error}"));
        }
        Ok(self.catalog.alerts(cleared)?)
    }
}

/// When the newest good point of each source was made. One of the future, made by a clock that was ahead, counts where there
/// is no other. Points come oldest first.
fn newest_good(points: Vec<PointEntry>, now: Timestamp) -> HashMap<SourceId, Timestamp> {
    let mut newest = HashMap::new();
    for point in points.into_iter().filter(|point| point.state.is_good()) {
        if point.time <= now || !newest.contains_key(&point.source) {
            newest.insert(point.source, point.time);
        }
    }
    newest
}

/// How many backups of each source have failed since one succeeded, and what the last said. Jobs come newest first. Of one
/// that was interrupted a point may have come all the same: its process was killed when the point was there, or the
/// catalog is a copy that was made meanwhile.
fn failures(
    jobs: &[JobRecord],
    kinds: &[&str],
    newest: &HashMap<SourceId, Timestamp>,
) -> HashMap<SourceId, (u64, String)> {
    let mut failed: HashMap<SourceId, (u64, String)> = HashMap::new();
    let mut settled = std::collections::HashSet::new();
    for job in jobs.iter().filter(|job| kinds.contains(&job.kind.as_str())) {
        let Some(source) = job.source.filter(|source| !settled.contains(source)) else { continue };
        match job.state {
            JobState::Done | JobState::Partial => {
                settled.insert(source);
            }
            JobState::Interrupted if newest.get(&source).is_some_and(|point| *point >= job.started) => {
                settled.insert(source);
            }
            JobState::Failed | JobState::Interrupted => {
                let message = job.message.clone().unwrap_or_default();
                failed.entry(source).or_insert((0, message)).0 += 1;
            }
            JobState::Running | JobState::Cancelled => {}
        }
    }
    failed
}
