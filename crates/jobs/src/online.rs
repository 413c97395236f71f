//! Online protection: points of the pool, copied to a vault.
//!
//! Always from the pool, never from the source: so an online point is that of a moment which the pool knows, it costs the
//! source nothing, and it can be made while the source is away.

use resurgam_catalog::{PointEntry, ReplicaRecord};
use resurgam_model::{
    PointId,
    bytepath::escape,
    policy::{Online, Source, SourceKind},
    replica::ReplicaState,
    report::{BackupReport, Failed},
    retention::Retention,
    role::VolumeRole,
};
use resurgam_store::{
    Cancel, Meter, NewPoint, Reader, Session, Volume, copy_tree,
    keys::random,
    point::{PointText, ReplicaPlace},
};

use crate::{
    backup::{Made, point_record},
    cost::Cost,
    error::JobError,
    job::{About, Ended},
    points::shown,
    server::Server,
    sources::{Scope, check_retention, current_replica},
};

/// How online protection is to be; `None`: as it is, or as usual.
#[derive(Default, Clone)]
pub struct OnlineChange {
    /// Which vault, where there are several.
    pub vault: Option<String>,
    /// What is kept.
    pub retention: Option<Retention>,
    /// How often one is due, in seconds.
    pub every_seconds: Option<u64>,
    /// At which times of the calendar.
    pub calendar: Option<resurgam_model::policy::Calendar>,
}

/// The kind of a job that makes an online point.
pub const ONLINE_BACKUP: &str = "online-backup";
/// What is kept online where nobody says: at least 120 points, as the document asks for DPMDB.
const USUAL: u32 = 120;
/// A point a day, where nobody says.
const USUAL_EVERY_SECONDS: u64 = 86_400;

impl Server {
    /// Switches online protection of groups on, or changes it. The group of the server's own catalog goes along.
    ///
    /// # Errors
    /// Where no vault is meant, or the policy keeps points for less time than the vault asks for.
    pub fn protect_online(&self, groups: &[String], change: &OnlineChange) -> Result<(), JobError> {
        for name in groups {
            let mut group = self.find_group(name)?;
            let before = group.online.take();
            // Where no vault is named, a group stays with its own.
            let own = before.as_ref().map(|online| online.vault.to_string());
            let vault = self.find_vault(change.vault.as_deref().or(own.as_deref()))?;
            let usual = || Retention { last: Some(USUAL), daily: Some(USUAL), ..Retention::default() };
            let known = before.as_ref().map(|online| online.retention.clone());
            let retention = change.retention.clone().or(known).unwrap_or_else(usual);
            check_retention(&retention)?;
            self.must_keep_long_enough(&retention, &vault)?;
            let every = change.every_seconds.or(before.as_ref().and_then(|online| online.every_seconds));
            let calendar = change.calendar.clone().or(before.and_then(|online| online.calendar));
            let usual = (every.is_none() && calendar.is_none()).then_some(USUAL_EVERY_SECONDS);
            group.online = Some(Online { vault: vault.id, retention, every_seconds: every.or(usual), calendar });
            self.catalog.put_group(&group)?;
            self.protect_catalog_online(&vault)?;
        }
        self.publish_capsules()
    }

    /// What is online cannot be brought back without the catalog, unless by hand: it goes along, in the usual way, where
    /// nobody has said how.
    fn protect_catalog_online(&self, vault: &resurgam_model::charter::VaultCharter) -> Result<(), JobError> {
        let Some(catalog) = self.catalog.sources()?.into_iter().find(|source| source.kind == SourceKind::Dpmdb) else {
            return Ok(());
        };
        let Some(mut group) = self.catalog.group(catalog.group)?.filter(|group| group.online.is_none()) else {
            return Ok(());
        };
        let (_, text) = self.rules_of(vault)?;
        let days = USUAL.max(text.rules.minimum_days);
        let retention = Retention { last: Some(USUAL), daily: Some(days), ..Retention::default() };
        let every_seconds = Some(USUAL_EVERY_SECONDS);
        group.online = Some(Online { vault: vault.id, retention, every_seconds, calendar: None });
        Ok(self.catalog.put_group(&group)?)
    }

    /// The groups of some sources.
    pub fn groups_of(&self, sources: &[String]) -> Result<Vec<String>, JobError> {
        let mut groups = Vec::new();
        for source in self.catalog.sources()? {
            let meant = sources.contains(&source.id.to_string());
            let id = source.group.to_string();
            if meant && !groups.contains(&id) {
                groups.push(id);
            }
        }
        Ok(groups)
    }

    /// Switches online protection of a group off. Its online points stay.
    pub fn stop_online(&self, group: &str) -> Result<(), JobError> {
        let mut group = self.find_group(group)?;
        group.online = None;
        self.catalog.put_group(&group)?;
        self.publish_capsules()
    }

    fn must_keep_long_enough(
        &self,
        retention: &Retention,
        vault: &resurgam_model::charter::VaultCharter,
    ) -> Result<(), JobError> {
        let (_, text) = self.rules_of(vault)?;
        let days = u64::from(text.rules.minimum_days);
        if retention.keeps_everything() || retention.surely_kept_days() >= days {
            return Ok(());
        }
        Err(JobError::request(
            "minimum-retention",
            format!(
                "the vault asks that points be kept for at least {days} days, and this policy may keep them for less"
            ),
            "add a rule by age or by days, such as --online-keep 14d",
        ))
    }

    /// Makes online points of the newest points in the pool. What fails for one source does not keep the others from theirs.
    pub fn back_up_online(&self, scope: &Scope, meter: &Meter, cancel: &Cancel) -> Result<BackupReport, JobError> {
        let sources = self.online_sources(scope)?;
        let mut report = BackupReport::default();
        let only = sources.len() == 1;
        for (source, online) in sources {
            let about = About {
                kind: ONLINE_BACKUP,
                subject: escape(&source.root),
                source: Some(source.id),
                even_unwritten: false,
            };
            let made = self.run(about, cancel, || {
                let (made, message) = self.copy_online(&source, &online, meter, cancel)?;
                Ok(Ended { value: made, partial: false, message })
            });
            match made {
                Ok(made) => {
                    report.points.push(made.point);
                    if source.kind == SourceKind::Dpmdb {
                        // There is a newer copy of the catalog to be told of.
                        self.look_again(&online);
                    }
                }
                Err(error) if only || error.is_cancelled() => return Err(error),
                Err(error) => report.failed.push(Failed {
                    source: escape(&source.root),
                    source_id: source.id,
                    error: error.to_string(),
                }),
            }
        }
        Ok(report)
    }

    /// The sources of a scope that are protected online, and how. The catalog last, so that its point knows the others'.
    pub(crate) fn online_sources(&self, scope: &Scope) -> Result<Vec<(Source, Online)>, JobError> {
        let groups = self.catalog.groups()?;
        let mut sources: Vec<(Source, Online)> = Vec::new();
        for source in self.sources_in(scope)? {
            let online = groups.iter().find(|group| group.id == source.group).and_then(|group| group.online.clone());
            sources.extend(online.map(|online| (source, online)));
        }
        if sources.is_empty() {
            return Err(JobError::request(
                "not-online",
                "nothing of this is protected online",
                "`resurgam group set GROUP --online` switches online protection on",
            ));
        }
        sources.sort_by_key(|(source, _)| source.kind == SourceKind::Dpmdb);
        Ok(sources)
    }

    /// The newest point in the pool that can be copied.
    pub(crate) fn newest_in_pool(&self, source: &Source) -> Result<PointEntry, JobError> {
        let mut entries = self.catalog.point_entries(Some(source.id))?;
        entries.retain(|entry| entry.state.is_good());
        entries.pop().ok_or_else(|| {
            JobError::request(
                "no-point",
                format!("{} has no point in the pool that could be copied", escape(&source.root)),
                "`resurgam backup` makes one",
            )
        })
    }

    fn copy_online(
        &self,
        source: &Source,
        online: &Online,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<(Made, String), JobError> {
        let vault = self.find_vault(Some(&online.vault.to_string()))?;
        let part = self.part_of(&vault)?;
        self.must_own(&part)?;
        let newest = self.newest_in_pool(source)?;
        let replica = self.online_replica(source, part.id())?;
        let place = self.place_of(replica.id);
        self.describe(&part, &place, source)?;
        let Some(_lock) = part.lock_replica(&place)? else {
            let message = format!("another online backup of {} is running", escape(&source.root));
            return Err(JobError::request("busy", message, "wait until it has ended; `resurgam jobs` shows it"));
        };
        self.publish_capsule_to(&part)?;
        self.adopt_points(&part, &place, source, cancel)?;
        let made = |entry: &PointEntry| {
            let point = resurgam_model::point::Point { online: true, ..shown(entry, &source.root) };
            Made { point, unread: Vec::new(), left_out: Vec::new() }
        };
        let there = self.catalog.online_entries(Some(source.id))?;
        let same =
            |entry: &&PointEntry| entry.volume == part.id() && entry.time == newest.time && entry.state.is_good();
        if let Some(entry) = there.iter().find(same) {
            return Ok((made(entry), format!("point {} is online already", entry.id)));
        }
        let (text, document) = self.send(&part, &place, source, &newest, meter, cancel)?;
        let record = point_record(&text, document);
        self.catalog.add_point(&record)?;
        self.catalog.set_replica_state(replica.id, ReplicaState::Valid, None)?;
        let message = format!(
            "point {}: {} files, {} bytes, {} added{}",
            text.point,
            text.tree.files,
            text.tree.bytes,
            text.added_bytes,
            Cost::of(&part)
        );
        Ok((made(&record.entry), message))
    }

    /// Copies a point of the pool into a part, wherever that lies.
    pub(crate) fn send(
        &self,
        part: &std::sync::Arc<Volume>,
        place: &ReplicaPlace,
        source: &Source,
        newest: &PointEntry,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<(PointText, String), JobError> {
        let text = self.point_text(newest)?;
        let root = text.tree_root()?;
        meter.expected.add(root.bytes);
        let volume = self.open_volume(&self.volume_record(newest.volume)?)?;
        let reader = Reader::new(&volume)?;
        let session = Session::begin(part)?;
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        copy_tree(&reader, &session, &root, threads, meter, cancel)?;
        self.must_own(part)?;
        let new = NewPoint {
            place,
            point: PointId::from_random(random()?),
            source: source.id,
            root: &source.root,
            time: newest.time,
            kind: newest.kind,
            unread: text.unread,
        };
        Ok(session.commit(&root, &new, &self.keyring.signing)?)
    }

    /// What the pool says of a point.
    fn point_text(&self, entry: &PointEntry) -> Result<PointText, JobError> {
        let volume = self.open_volume(&self.volume_record(entry.volume)?)?;
        let place = self.place_of(entry.replica);
        Ok(volume.point(&place, entry.id)?)
    }

    /// Sees that no other catalog of this server has taken the part on: one that was rebuilt, while this one was thought lost.
    pub(crate) fn must_own(&self, part: &Volume) -> Result<(), JobError> {
        self.must_not_be_superseded("write into the vault")?;
        let own = self.lineage()?;
        if own.frozen.is_some() {
            return Ok(());
        }
        match Self::successor_in(part, &own)? {
            None => Ok(()),
            Some(reason) => {
                self.give_way(own, &reason)?;
                self.must_not_be_superseded("write into the vault")
            }
        }
    }

    /// The replica of a source in a part; made where it has none.
    pub(crate) fn online_replica(
        &self,
        source: &Source,
        part: resurgam_model::VolumeId,
    ) -> Result<ReplicaRecord, JobError> {
        let mut replicas = self.catalog.replicas_in(VolumeRole::Vault)?;
        replicas.retain(|replica| replica.volume == part);
        match current_replica(&replicas, source.id) {
            Some(replica) => Ok(replica.clone()),
            None => self.new_replica(source.id, part, ReplicaState::CreationPending, None),
        }
    }

    /// Takes a point of a part into the catalog, which lacks it.
    pub(crate) fn adopt_online(
        &self,
        part: &Volume,
        place: &ReplicaPlace,
        text: &PointText,
        document: String,
    ) -> Result<(), JobError> {
        if self.catalog.point(text.point)?.is_some() {
            return Ok(());
        }
        let known = self.catalog.every_replica()?.into_iter().any(|replica| replica.id == place.replica);
        if !known {
            let message =
                format!("the catalog does not know the replica {} in {}", place.replica, part.backend().location());
            return Err(JobError::request("no-replica", message, "`dpmsync -Sync` adopts it"));
        }
        Ok(self.catalog.add_point(&point_record(text, document))?)
    }
}
