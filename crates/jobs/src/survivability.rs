//! Survivability: which copies of the catalog there are, how old each is, and what each lacks.
//!
//! Nothing is taken from memory: each copy is looked at where it lies, so what is shown is what would be there. But for what
//! lies in a vault: that is shown as it was when it was seen last (`contact.rs`).

use std::path::Path;

use resurgam_catalog::{VolumeRecord, inspect};
use resurgam_model::{
    BytePath, Timestamp,
    charter::{CatalogCopy, CopyKind, DrillRecord},
    lineage::Lineage,
    policy::SourceKind,
    report::CopyStatus,
};
use resurgam_store::{Content, Extent, Kind, Reader, StoreError, TreeReader, TreeRoot, Volume};
use serde::{Deserialize, Serialize};

use crate::{
    contact::is_part,
    dpmdb::{ABOUT, AboutCopy},
    error::JobError,
    native,
    server::Server,
};

/// `DPMDB.toml` is some hundred bytes.
const SMALL_MAX: u64 = 1 << 16;

/// What a copy is measured against.
struct Now {
    time: Timestamp,
    lineage: Lineage,
    /// Times of all points, oldest first.
    points: Vec<Timestamp>,
    drills: Vec<DrillRecord>,
}

/// What was found out about a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Found {
    pub(crate) made: Option<Timestamp>,
    pub(crate) lineage: Option<(u64, String)>,
    pub(crate) newest_point: Option<Timestamp>,
    /// Whether it knows every point of the volume that it lies in, since it lies beside them.
    pub(crate) knows_points: bool,
}

impl Now {
    fn status(&self, kind: CopyKind, place: String, location: String, found: Result<Found, String>) -> CopyStatus {
        let drill = self.drills.iter().find(|drill| drill.kind == kind && drill.place == place).cloned();
        let mut status = CopyStatus {
            kind,
            place,
            location,
            made: None,
            age_seconds: None,
            sequence: None,
            digest: None,
            changes_lacking: None,
            points_lacking: None,
            fault: None,
            drill,
        };
        let found = match found {
            Ok(found) => found,
            Err(fault) => {
                status.fault = Some(fault);
                return status;
            }
        };
        status.made = found.made;
        status.age_seconds = found.made.map(|made| self.time.duration_since(made).as_secs().max(0).unsigned_abs());
        if let Some((sequence, digest)) = found.lineage {
            status.changes_lacking = Some(self.lineage.sequence.saturating_sub(sequence));
            status.sequence = Some(sequence);
            status.digest = Some(digest);
        }
        let unknown = self.points.iter().filter(|time| found.newest_point.is_none_or(|newest| **time > newest)).count();
        status.points_lacking = Some(if found.knows_points { 0 } else { unknown as u64 });
        status
    }
}

impl Server {
    /// Every copy of the catalog that there is or should be.
    pub fn survivability(&self) -> Result<Vec<CopyStatus>, JobError> {
        let points = self.catalog.every_entry(None)?;
        let catalog_source = self.catalog.sources()?.into_iter().find(|source| source.kind == SourceKind::Dpmdb);
        let in_pool = self.catalog.point_entries(None)?;
        let is_own = |source| catalog_source.as_ref().is_some_and(|catalog| catalog.id == source);
        let now = Now {
            time: self.now(),
            lineage: self.lineage()?,
            points: in_pool.iter().filter(|point| !is_own(point.source)).map(|point| point.time).collect(),
            drills: self.catalog.drills()?,
        };
        let mut all = Vec::new();
        for record in self.catalog.volumes()? {
            let place = |kind, found| now.status(kind, record.id.to_string(), record.location.clone(), found);
            // A volume that holds no points of the catalog is no place of such a copy.
            let newest = points.iter().rev().find(|point| is_own(point.source) && point.volume == record.id);
            if is_part(&record) {
                let contact = self.contact(&record)?;
                all.extend(newest.map(|_| place(CopyKind::Vault, contact.copy(contact.catalog.as_ref()))));
                all.push(place(CopyKind::Capsules, contact.copy(contact.capsule.as_ref())));
                continue;
            }
            let volume = self.open_volume(&record).map_err(|error| error.to_string());
            if let Some(newest) = newest {
                let about = volume
                    .as_ref()
                    .map_err(Clone::clone)
                    .and_then(|volume| self.about_copy(volume, &record, newest).map_err(|error| error.to_string()));
                all.push(place(CopyKind::Pool, about));
            }
            let capsule = volume.and_then(|volume| capsule(&volume, &now.lineage).map_err(|error| error.to_string()));
            all.push(place(CopyKind::Capsules, capsule));
        }
        for copy in self.catalog.copies()? {
            let found = newest_native(&copy);
            all.push(now.status(copy.kind, copy.place.clone(), copy.place, found));
        }
        Ok(all)
    }

    /// What `DPMDB.toml` in a point of the catalog says.
    pub(crate) fn about_copy(
        &self,
        volume: &std::sync::Arc<Volume>,
        record: &VolumeRecord,
        entry: &resurgam_catalog::PointEntry,
    ) -> Result<Found, JobError> {
        let place = self.place_of(entry.replica);
        let root = volume.point(&place, entry.id)?.tree_root()?;
        let reader = Reader::new(volume)?;
        let about = read_about(&reader, &root).ok_or_else(|| {
            JobError::request(
                "catalog-copy",
                format!("point {} in {} does not say which catalog it is", entry.id, record.location),
                "`resurgam backup --source DPMDB` makes a new one",
            )
        })?;
        Ok(Found {
            made: Some(entry.time),
            lineage: Some((about.lineage.sequence, about.lineage.digest)),
            newest_point: about.newest_point,
            knows_points: false,
        })
    }
}

/// Reads `DPMDB.toml` of an opened point; `None`: it has none that makes sense.
pub fn read_about(reader: &Reader, root: &TreeRoot) -> Option<AboutCopy> {
    let bytes = small_file(reader, root, ABOUT)?;
    toml::from_str(std::str::from_utf8(&bytes).ok()?).ok()
}

/// A short file of a point; `None`: there is none, it is long, or it cannot be proved.
fn small_file(reader: &Reader, root: &TreeRoot, name: &str) -> Option<Vec<u8>> {
    let path = BytePath::from_typed(name.as_bytes()).ok()?;
    let entry = TreeReader::below(reader, root, &path).next()?.ok()?;
    let Kind::File { size, content, .. } = entry.kind else { return None };
    if let Content::Inline(bytes) = content {
        return Some(bytes);
    }
    let mut bytes = Vec::new();
    let mut add = |extent: Extent| {
        if let Extent::Data { blob, offset, length } = extent {
            let whole = reader.blob(&blob)?;
            let (start, end) = (offset as usize, offset as usize + length as usize);
            bytes.extend_from_slice(whole.get(start..end).ok_or(StoreError::MissingBlob(blob))?);
        }
        Ok(())
    };
    (size <= SMALL_MAX && reader.extents(&content, &mut add).is_ok()).then_some(bytes)
}

/// The newest capsule of a volume, proved.
pub(crate) fn capsule(volume: &Volume, own: &Lineage) -> Result<Found, JobError> {
    let mut names = volume.capsule_names()?;
    names.retain(|name| name.lineage == own.id);
    names.sort();
    let Some(name) = names.pop() else {
        return Err(JobError::request(
            "no-capsule",
            "the volume holds no capsule of this catalog yet",
            "`resurgam backup` writes one",
        ));
    };
    let capsule = crate::capsule::CapsuleText::parse(&name.object(), &volume.capsule(&name)?)?;
    let text = toml::to_string(&capsule.charter).unwrap_or_default();
    let digest = blake3::hash(text.as_bytes()).to_hex().to_string();
    Ok(Found {
        made: Some(capsule.written),
        lineage: Some((name.sequence, digest)),
        newest_point: None,
        knows_points: true,
    })
}

/// The newest native backup in a directory that is sound.
fn newest_native(copy: &CatalogCopy) -> Result<Found, String> {
    let directory = Path::new(&copy.place);
    let mut files = native::older_files(directory).map_err(|error| format!("{}: {error}", copy.place))?;
    files.sort();
    let mut fault = format!("{} holds no native backup", copy.place);
    for (time, path) in files.into_iter().rev() {
        match inspect(&path) {
            Ok(snapshot) => {
                return Ok(Found {
                    made: Some(time),
                    lineage: snapshot.lineage.map(|lineage| (lineage.sequence, lineage.digest)),
                    newest_point: snapshot.newest_point,
                    knows_points: false,
                });
            }
            Err(error) => fault = error.message(),
        }
    }
    Err(fault)
}
