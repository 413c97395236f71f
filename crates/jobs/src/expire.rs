//! Giving up points that no rule keeps.

use std::{
    collections::{HashMap, HashSet, hash_map::Entry::Vacant},
    sync::Arc,
};

use resurgam_catalog::PointEntry;
use resurgam_model::{
    bytepath::escape,
    point::PointState,
    policy::Source,
    report::{ExpireReport, Paused},
    retention::{Candidate, Guards, Note, Retention},
    role::VolumeRole,
};
use resurgam_store::{Cancel, Volume, volume::DELETED_POINTS};

use crate::{
    cost::Cost,
    error::JobError,
    job::{About, Ended},
    points::shown,
    server::Server,
};

/// A run may give up this many points of a source, or this share of them, whichever is more.
const CAP_POINTS: usize = 64;
const CAP_PERCENT: u8 = 50;
/// Rows that one statement of the catalog removes: few enough for what it can write on a full disk.
const ROWS_AT_ONCE: usize = 100;

impl Server {
    /// Gives up the points that no rule keeps; or exactly those of `points` (ids or prefixes), where there are some.
    /// Giving up an online point that is named takes a PIN of the vault's owner.
    pub fn expire(
        &self,
        points: &[String],
        pin: Option<&str>,
        dry_run: bool,
        cancel: &Cancel,
    ) -> Result<ExpireReport, JobError> {
        if dry_run {
            return Ok(self.plan_in_reach(points)?.0);
        }
        self.must_not_be_frozen("give up recovery points")?;
        if !points.is_empty() {
            let (_, entries) = self.plan(points)?;
            self.must_have_leave(&entries, pin)?;
        }
        let about = About { kind: "expire", subject: "recovery points".to_owned(), source: None, even_unwritten: true };
        self.run(about, cancel, || {
            let (report, entries) = self.plan_in_reach(points)?;
            let cost = self.give_up(&entries, cancel)?;
            let message = format!("{} points given up, {} kept{cost}", report.expired.len(), report.kept);
            Ok(Ended { value: report, partial: false, message })
        })
    }

    /// Sees that the owners of the vaults that hold some of these points give leave to delete them. Those that are missing
    /// anyway need none.
    pub(crate) fn must_have_leave(&self, entries: &[PointEntry], pin: Option<&str>) -> Result<(), JobError> {
        for vault in self.catalog.vaults()? {
            if entries.iter().any(|entry| entry.volume == vault.part && entry.state != PointState::Missing) {
                self.must_have_pin("delete online recovery points", &vault, pin)?;
            }
        }
        Ok(())
    }

    /// The points that their volume does not hold, as [`Self::expire`] takes them. One that is there again, because its disk
    /// or directory is back, is not among them: giving it up would delete it.
    pub fn missing_points(&self) -> Result<Vec<String>, JobError> {
        let mut entries = self.catalog.every_entry(None)?;
        entries.retain(|entry| entry.state == PointState::Missing);
        for record in self.catalog.volumes()? {
            if entries.iter().all(|entry| entry.volume != record.id) {
                continue;
            }
            let Ok(volume) = self.open_volume(&record) else { continue };
            let there: HashSet<_> = volume.point_names()?.into_iter().map(|(_, point)| point).collect();
            let before = entries.len();
            entries.retain(|entry| !there.contains(&entry.id));
            if entries.len() < before {
                self.notice(format!(
                    "{} point(s) that were missing are in {} again; `dpmsync -Sync` takes them back",
                    before - entries.len(),
                    record.location
                ));
            }
        }
        Ok(entries.iter().map(|entry| entry.id.to_string()).collect())
    }

    /// What is to be given up: of what no rule keeps, only what can be reached; of what was named, all.
    fn plan_in_reach(&self, named: &[String]) -> Result<(ExpireReport, Vec<PointEntry>), JobError> {
        let (mut report, mut entries) = self.plan(named)?;
        let parts: HashSet<_> = self.catalog.vaults()?.into_iter().map(|vault| vault.part).collect();
        for point in &mut report.expired {
            point.online = parts.contains(&point.volume);
        }
        if named.is_empty() {
            self.leave_out_of_reach(&mut report, &mut entries)?;
        }
        Ok((report, entries))
    }

    fn plan(&self, named: &[String]) -> Result<(ExpireReport, Vec<PointEntry>), JobError> {
        let mut report = ExpireReport::default();
        let mut expired = Vec::new();
        if !named.is_empty() {
            for wanted in named {
                let point = self.find_any_point(wanted, None)?;
                let entry = self.catalog.point(point.id)?.map(|record| record.entry);
                expired.extend(entry);
                report.expired.push(point);
            }
            report.kept = (self.catalog.every_entry(None)?.len() - expired.len()) as u64;
            return Ok((report, expired));
        }
        let groups: HashMap<_, _> = self.catalog.groups()?.into_iter().map(|group| (group.id, group)).collect();
        for source in self.catalog.sources()? {
            let group = groups.get(&source.group);
            let retention =
                source.retention.clone().or_else(|| group.map(|group| group.retention.clone())).unwrap_or_default();
            let every = group.and_then(|group| group.every_seconds);
            let in_pool = self.catalog.point_entries(Some(source.id))?;
            self.plan_source(&source, in_pool, &retention, every, &mut report, &mut expired)?;
            // Without online protection, what is online stays.
            let online = self.catalog.online_entries(Some(source.id))?;
            if let Some(policy) = group.and_then(|group| group.online.as_ref()).filter(|_| !online.is_empty()) {
                self.plan_source(&source, online, &policy.retention, policy.every_seconds, &mut report, &mut expired)?;
            }
        }
        Ok((report, expired))
    }

    fn plan_source(
        &self,
        source: &Source,
        entries: Vec<PointEntry>,
        retention: &Retention,
        every: Option<u64>,
        report: &mut ExpireReport,
        expired: &mut Vec<PointEntry>,
    ) -> Result<(), JobError> {
        let candidates =
            entries.iter().map(|entry| Candidate { key: entry.id, time: entry.time, good: entry.state.is_good() });
        let guards = Guards { objective_seconds: every, cap_points: CAP_POINTS, cap_percent: CAP_PERCENT };
        let plan = retention.plan(candidates.collect(), self.now(), &self.environment.time_zone, &guards).map_err(
            |error| {
                JobError::request(
                    "keeps-nothing",
                    format!("{}: {error}", escape(&source.root)),
                    "change the retention of the source or its group",
                )
            },
        )?;
        report.kept += plan.kept.len() as u64;
        for note in &plan.notes {
            if !matches!(note, Note::NoGoodPoint) || !entries.is_empty() {
                report.paused.push(Paused {
                    source_id: source.id,
                    source: escape(&source.root),
                    reason: note.to_string(),
                });
            }
        }
        for candidate in plan.expired {
            if let Some(entry) = entries.iter().find(|entry| entry.id == candidate.key) {
                report.expired.push(shown(entry, &source.root));
                expired.push(entry.clone());
            }
        }
        Ok(())
    }

    /// Leaves points alone whose volume is away: what is given up in the catalog alone would come back with the next sync.
    /// Points that are missing anyway are the catalog's to forget.
    fn leave_out_of_reach(&self, report: &mut ExpireReport, entries: &mut Vec<PointEntry>) -> Result<(), JobError> {
        for record in self.catalog.volumes()? {
            let Err(error) = self.open_volume(&record) else { continue };
            let stays = |entry: &PointEntry| entry.volume == record.id && entry.state != PointState::Missing;
            let staying: HashSet<_> = entries.iter().filter(|entry| stays(entry)).map(|entry| entry.id).collect();
            for point in report.expired.iter().filter(|point| staying.contains(&point.id)) {
                let known = report.paused.iter().any(|paused| paused.source_id == point.source_id);
                if !known {
                    report.paused.push(Paused {
                        source_id: point.source_id,
                        source: point.source.clone(),
                        reason: format!("the volume {} is out of reach: {error}", record.location),
                    });
                }
            }
            entries.retain(|entry| !staying.contains(&entry.id));
            report.expired.retain(|point| !staying.contains(&point.id));
            report.kept += staying.len() as u64;
        }
        Ok(())
    }

    /// Gives points up: in the catalog first, then in the volumes. A kill between the two leaves points that the next
    /// backup adopts and the next expiry gives up again; never rows of points that are not there.
    pub(crate) fn give_up(&self, entries: &[PointEntry], cancel: &Cancel) -> Result<Cost, JobError> {
        let mut volumes: HashMap<_, Arc<Volume>> = HashMap::new();
        for entry in entries {
            if let Vacant(place) = volumes.entry(entry.volume) {
                let record = self.volume_record(entry.volume)?;
                match self.open_volume(&record) {
                    Ok(volume) => {
                        if record.role == VolumeRole::Vault {
                            self.must_own(&volume)?;
                        }
                        place.insert(volume);
                    }
                    // Nothing is there to be deleted.
                    Err(_) if entry.state == PointState::Missing => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let mut entries: Vec<&PointEntry> = entries.iter().collect();
        entries.sort_by_key(|entry| (entry.volume, entry.replica));
        for of_replica in entries.chunk_by(|one, next| (one.volume, one.replica) == (next.volume, next.replica)) {
            let volume = of_replica.first().and_then(|entry| volumes.get(&entry.volume));
            self.give_up_of_replica(of_replica, volume, cancel)?;
        }
        self.forget_lost_places()?;
        let mut cost = Cost::default();
        volumes.values().for_each(|volume| cost.add(volume));
        Ok(cost)
    }

    /// `volume`: theirs; `None`: it is away, and they are missing.
    fn give_up_of_replica(
        &self,
        entries: &[&PointEntry],
        volume: Option<&Arc<Volume>>,
        cancel: &Cancel,
    ) -> Result<(), JobError> {
        let Some(first) = entries.first() else { return Ok(()) };
        let place = self.place_of(first.replica);
        // A lock is a file, which on a full disk may need the reserve.
        let lock = |volume: &Arc<Volume>| Self::with_reserve(volume, || volume.lock_points(&place, cancel));
        let _lock = volume.map(lock).transpose()?;
        // By the clock that is ahead: one that is behind must not end the days that a point can come back.
        let deleted =
            volume.filter(|volume| volume.has(DELETED_POINTS)).map(|part| self.clocks(part.backend()).latest());
        for batch in entries.chunks(ROWS_AT_ONCE) {
            let ids: Vec<_> = batch.iter().map(|entry| entry.id).collect();
            self.catalog.remove_points(&ids)?;
            let Some(volume) = volume else { continue };
            for entry in batch {
                match deleted {
                    Some(now) => volume.set_deleted(&place, entry.id, now, &self.keyring.signing)?,
                    None => volume.delete_point(&place, entry.id)?,
                }
            }
        }
        Ok(())
    }
}
