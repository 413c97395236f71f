//! What the catalog says, and what is found in the volumes.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use resurgam_jobs::{Cancel, JobError, LOADED, Meter, Server, capsule::CapsuleText};
use resurgam_model::{
    LineageId, PointId, VolumeId,
    bytepath::escape,
    policy::{Group, Selection, Source, SourceKind},
    reconcile::{
        Description, FoundPoint, Holdings, Known, KnownPoint, KnownReplica, Observed, Plan, Proof, Seen, Sighting,
        Unproved,
    },
    replica::ReplicaState,
    retention::Retention,
};
use resurgam_store::{
    StoreError, Volume,
    index::INDEX,
    keys::unhex,
    pack::MIRROR,
    point::{ReplicaPlace, ReplicaText},
    verify::{Proved, Verify, verify},
    volume::VOLUME_TOML,
};
use serde::Deserialize;

use super::Sync;

/// What was found, and what carrying out the plan needs of it.
pub(super) struct Observation {
    pub(super) observed: Observed,
    /// Documents of the points found, by point: what the catalog is to keep.
    pub(super) documents: HashMap<PointId, (resurgam_store::point::PointText, String)>,
    /// The newest capsule of each volume that was read.
    pub(super) capsules: Vec<(LineageId, CapsuleText, u64)>,
    /// Descriptions of the volumes themselves, by where they lie.
    pub(super) headers: HashMap<(VolumeId, String), String>,
    /// Volumes that an earlier key has signed, and where they lie.
    to_enrol: Vec<(VolumeId, PathBuf)>,
    /// Volumes that were taken over by a new key.
    pub(super) enrolled: Vec<String>,
}

/// What the catalog says.
pub(super) fn known(server: &Server) -> Result<Known, JobError> {
    let catalog = server.catalog();
    let mut known = Known::default();
    known.volumes.extend(catalog.volumes()?.into_iter().map(|volume| (volume.id, volume.location)));
    known.groups.extend(catalog.groups()?.into_iter().map(|group| (group.id, group.name)));
    known.sources.extend(catalog.sources()?.into_iter().map(|source| source.id));
    for replica in catalog.every_replica()? {
        let row = KnownReplica { source: replica.source, volume: replica.volume, state: replica.state };
        known.replicas.insert(replica.id, row);
    }
    for point in catalog.every_entry(None)? {
        known.points.insert(point.id, KnownPoint { replica: point.replica, state: point.state });
    }
    Ok(known)
}

/// A replica that was filled by hand stays inconsistent until its source has been seen: its own hashes say nothing of it.
pub(super) fn leave_loaded_alone(server: &Server, plan: &mut Plan) -> Result<(), JobError> {
    let replicas = server.catalog().every_replica()?;
    let loaded: HashSet<_> =
        replicas.iter().filter(|replica| replica.cause.as_deref() == Some(LOADED)).map(|replica| replica.id).collect();
    plan.replicas.retain(|(replica, state, _)| !loaded.contains(replica) || *state == ReplicaState::Missing);
    Ok(())
}

/// Looks at every place where a volume is or may be.
pub(super) fn observe(server: &Server, how: &Sync, meter: &Meter, cancel: &Cancel) -> Result<Observation, JobError> {
    let mut found = Observation {
        observed: Observed::default(),
        documents: HashMap::new(),
        capsules: Vec::new(),
        headers: HashMap::new(),
        to_enrol: Vec::new(),
        enrolled: Vec::new(),
    };
    let mut places: Vec<(Option<VolumeId>, PathBuf)> = Vec::new();
    for record in server.catalog().volumes()? {
        places.push((Some(record.id), PathBuf::from(&record.location)));
    }
    for also in &how.also {
        let path = also.canonicalize().unwrap_or_else(|_| also.clone());
        if places.iter().all(|(_, known)| *known != path) {
            places.push((None, path));
        }
    }
    for (expected, place) in places {
        if cancel.is_cancelled() {
            return Err(StoreError::Cancelled.into());
        }
        let sighting = found.look(server, expected, &place, how, meter, cancel)?;
        found.observed.sightings.extend(sighting);
    }
    found.enrol(server, how.what_if);
    Ok(found)
}

impl Observation {
    fn look(
        &mut self,
        server: &Server,
        expected: Option<VolumeId>,
        place: &Path,
        how: &Sync,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<Option<Sighting>, JobError> {
        let location = place.display().to_string();
        let sighting = |volume, seen| Ok(Some(Sighting { volume, location: location.clone(), seen }));
        let away = |volume, why| sighting(volume, Seen::Away { why });
        let (header, text) = match (server.header_at(place), expected) {
            (Ok(found), _) => found,
            (Err(error), None) => return Err(error),
            (Err(error), Some(expected)) => return away(expected, error.to_string()),
        };
        if let Some(expected) = expected.filter(|expected| *expected != header.volume) {
            return away(expected, format!("volume {} is there", header.volume));
        }
        if header.server != server.record().id {
            return sighting(header.volume, Seen::OfAnother { server: header.server, name: header.server_name });
        }
        let (volume, key_is_lost) = match server.open_to_read(place) {
            Ok(opened) => opened,
            Err(error) => return away(header.volume, error.to_string()),
        };
        match self.read(server, &volume, how, meter, cancel) {
            Ok(mut holdings) => {
                // Enrolling writes both copies of VOLUME.toml, so an earlier enrolling that was interrupted is made good.
                let findings = holdings.unproved.len();
                holdings.unproved.retain(|unproved| !unproved.object.ends_with(VOLUME_TOML));
                if key_is_lost || holdings.unproved.len() < findings {
                    self.to_enrol.push((header.volume, place.to_owned()));
                }
                self.headers.insert((header.volume, location.clone()), text);
                sighting(header.volume, Seen::Here(holdings))
            }
            Err(StoreError::Cancelled) => Err(StoreError::Cancelled.into()),
            // Out of reach in the middle of it: then nothing of it is believed, neither what was found nor what was not.
            Err(error) => away(header.volume, error.to_string()),
        }
    }

    /// Takes over the volumes that an earlier key of the server has signed; but of two with one GUID neither.
    fn enrol(&mut self, server: &Server, what_if: bool) {
        for (volume, place) in std::mem::take(&mut self.to_enrol) {
            let is_it = |sighting: &&mut Sighting| sighting.volume == volume && matches!(sighting.seen, Seen::Here(_));
            let mut here: Vec<_> = self.observed.sightings.iter_mut().filter(is_it).collect();
            let [sighting] = here.as_mut_slice() else { continue };
            if !what_if && let Err(error) = server.open_or_enrol(&place) {
                sighting.seen = Seen::Away { why: error.to_string() };
                continue;
            }
            if let Ok((_, text)) = server.header_at(&place) {
                self.headers.insert((volume, sighting.location.clone()), text);
            }
            self.enrolled.push(sighting.location.clone());
        }
    }

    /// Reads and proves all that describes the volume's data.
    fn read(
        &mut self,
        server: &Server,
        volume: &Arc<Volume>,
        how: &Sync,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<Holdings, StoreError> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from);
        let mut holdings = Holdings::default();
        self.read_capsules(server, volume, &mut holdings)?;
        let survey = volume.survey(threads, cancel)?;
        let proof = Verify {
            read_data: how.read_data.then_some(100),
            proved: &Proved::default(),
            repair: false,
            known: &[],
            is_known: &|_| true,
            threads,
        };
        let verified = verify(volume, &proof, meter, cancel)?;
        let affected: HashSet<PointId> = verified.affected.iter().map(|(_, point)| *point).collect();
        for (place, replica) in &survey.replicas {
            holdings.described.extend(replica.description.as_ref().and_then(described));
            for point in &replica.points {
                let id = point.text.point;
                let proof = match () {
                    () if affected.contains(&id) => Proof::Damaged { why: WHY_DAMAGED.to_owned() },
                    () if how.read_data => Proof::Data,
                    () => Proof::Metadata,
                };
                let (source, state) = (point.text.source, point.text.state);
                holdings.points.push(FoundPoint { point: id, replica: place.replica, source, state, proof });
                self.documents.insert(id, (point.text.clone(), point.document.clone()));
            }
        }
        for what in survey.unproved {
            let point = ReplicaPlace::of_object(&what.object).and_then(|(place, point)| Some((place.replica, point?)));
            holdings.unproved.push(Unproved { object: what.object, why: what.why, point });
        }
        for finding in verified.findings.into_iter().filter(|finding| !finding.mended) {
            let plain = finding.object.strip_prefix(MIRROR).unwrap_or(&finding.object);
            let told = holdings.unproved.iter().any(|told| told.object == finding.object);
            // The index is a cache: what it lacks, the packs have said.
            if !told && !plain.starts_with(INDEX) {
                let why = format!("{}; `resurgam verify --repair` looks after it", finding.what);
                holdings.unproved.push(Unproved { object: finding.object, why, point: None });
            }
        }
        Ok(holdings)
    }

    /// The newest capsule that is proved; those before it that are not are named.
    fn read_capsules(&mut self, server: &Server, volume: &Volume, holdings: &mut Holdings) -> Result<(), StoreError> {
        let mut newest: BTreeMap<(u64, u64), (LineageId, CapsuleText)> = BTreeMap::new();
        for name in volume.capsule_names()? {
            let read = volume.capsule(&name).and_then(|text| CapsuleText::parse(&name.object(), &text));
            match read {
                Ok(capsule) if capsule.charter.server.id == server.record().id => {
                    newest.insert((capsule.generation, name.sequence), (name.lineage, capsule));
                }
                Ok(_) => holdings.unproved.push(Unproved {
                    object: name.object(),
                    why: "it is a capsule of another server".to_owned(),
                    point: None,
                }),
                Err(error) if error.is_not_found() => {}
                Err(error) if error.is_damage() => {
                    holdings.unproved.push(Unproved { object: name.object(), why: error.to_string(), point: None });
                }
                Err(error) => return Err(error),
            }
        }
        if let Some(((generation, sequence), (lineage, capsule))) = newest.pop_last() {
            holdings.capsule = Some((generation, sequence));
            holdings.chartered = chartered(&capsule, volume.id());
            self.capsules.push((lineage, capsule, sequence));
        }
        Ok(())
    }
}

const WHY_DAMAGED: &str = "it cannot be restored whole: something that it needs is gone or wrong";

/// The part of `REPLICA.toml` that the catalog wrote there.
#[derive(Deserialize)]
struct PolicyText {
    group: Group,
    #[serde(default)]
    kind: SourceKind,
    #[serde(default)]
    selection: Selection,
    retention: Option<Retention>,
}

/// A replica as the volume's own text describes it.
fn described(text: &ReplicaText) -> Option<Description> {
    let policy: PolicyText = toml::Value::Table(text.policy.clone()).try_into().ok()?;
    let source = Source {
        id: text.source,
        kind: policy.kind,
        group: policy.group.id,
        root: unhex(&text.root_bytes)?,
        selection: policy.selection,
        retention: policy.retention,
    };
    Some(Description { replica: text.replica, source, group: policy.group })
}

/// The replicas of a volume as a capsule describes them.
fn chartered(capsule: &CapsuleText, volume: VolumeId) -> Vec<Description> {
    let charter = &capsule.charter;
    let describe = |replica: &resurgam_model::charter::ReplicaCharter| {
        let source = charter.sources.iter().find(|source| source.id == replica.source)?;
        let group = charter.groups.iter().find(|group| group.id == source.group)?;
        Some(Description { replica: replica.id, source: source.source(unhex)?, group: group.clone() })
    };
    charter.replicas.iter().filter(|replica| replica.volume == volume).filter_map(describe).collect()
}

/// A source as people know it.
pub(super) fn named(source: &Source) -> String {
    escape(&source.root)
}
