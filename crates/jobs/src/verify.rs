//! Verifying the pool or the parts of vaults, mending one from the other, and writing down what was found.

use std::{collections::HashSet, path::Path, sync::Arc};

use resurgam_catalog::{PointRecord, VolumeRecord};
use resurgam_model::{
    PointId, VolumeId,
    point::PointState,
    report::{Damage, VerifyReport},
    role::VolumeRole,
};
use resurgam_store::{
    Cancel, Meter, StoreError, Volume,
    backend::Backend,
    pack::MIRROR,
    verify::{Donor, KnownPoint, Verified, heal, verify},
    volume::{VOLUME_TOML, parse_header},
};

use crate::{
    cost::Cost,
    error::JobError,
    job::{About, Ended},
    server::Server,
};

/// Arguments of `verify`.
pub struct Verify {
    /// Read this share of the data, in percent; `None`: metadata only.
    pub read_data_percent: Option<u8>,
    /// Mend what can be mended.
    pub repair: bool,
    /// The parts of vaults, instead of the pool.
    pub online: bool,
}

impl Server {
    /// Verifies every volume of the pool, or the server's part of every vault. With `repair`, each is a donor of what
    /// the others have lost.
    pub fn verify(&self, what: &Verify, meter: &Meter, cancel: &Cancel) -> Result<VerifyReport, JobError> {
        let mut report = VerifyReport::default();
        let mut first = None;
        let role = if what.online { VolumeRole::Vault } else { VolumeRole::Pool };
        let mut records = self.catalog.volumes()?;
        records.retain(|record| record.role == role);
        for record in records {
            let about = About {
                kind: "verify",
                subject: format!("volume {} in {}", record.id, record.location),
                source: None,
                even_unwritten: true,
            };
            let one = self.run(about, cancel, || {
                let (one, cost) = self.verify_volume(&record, what, meter, cancel)?;
                let left = one.damage.iter().filter(|damage| !damage.mended).count();
                let message = format!(
                    "{} bytes checked, {} faults found, {left} left{cost}",
                    one.checked_bytes,
                    one.damage.len()
                );
                Ok(Ended { partial: left > 0, message, value: one })
            });
            let one = match one {
                Err(error) if error.is_cancelled() => return Err(error),
                // One volume that is away keeps no other from being verified.
                Err(error) => {
                    self.also_failed(&mut first, error);
                    continue;
                }
                Ok(one) => one,
            };
            report.checked_bytes += one.checked_bytes;
            report.damage.extend(one.damage);
            report.affected_points.extend(one.affected_points);
        }
        first.map_or(Ok(report), Err)
    }

    fn verify_volume(
        &self,
        record: &VolumeRecord,
        what: &Verify,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<(VerifyReport, Cost), JobError> {
        let mut report = VerifyReport::default();
        let volume = match self.open_volume(record) {
            Err(JobError::Store(error)) if what.repair => {
                put_header_back(&*self.backend_at(Path::new(&record.location))?, record, error)?;
                report.damage.push(Damage {
                    object: VOLUME_TOML.to_owned(),
                    what: "both copies were damaged".to_owned(),
                    mended: true,
                });
                self.open_volume(record)?
            }
            opened => opened?,
        };
        if what.repair && record.role == VolumeRole::Vault {
            self.must_own(&volume)?;
        }
        let points: Vec<PointRecord> =
            self.catalog.points(None)?.into_iter().filter(|point| point.entry.volume == record.id).collect();
        let known: Vec<KnownPoint> = points
            .iter()
            .map(|point| KnownPoint {
                place: self.place_of(point.entry.replica),
                point: point.entry.id,
                document: String::from_utf8_lossy(&point.document).into_owned(),
            })
            .collect();
        let how = resurgam_store::verify::Verify {
            read_data: what.read_data_percent,
            proved: &self.proved_of(record.id),
            repair: what.repair,
            known: &known,
            is_known: &|id| self.catalog.point(id).map_or(true, |point| point.is_some()),
            threads: std::thread::available_parallelism().map_or(2, usize::from),
        };
        let before = meter.read.get();
        let mut found = Self::with_reserve(&volume, || verify(&volume, &how, meter, cancel))?;
        report.checked_bytes = meter.read.get() - before;
        if what.repair && found.has_losses() {
            self.heal(&volume, &mut found, how.threads, meter, cancel)?;
        }
        let damage = |finding: resurgam_store::verify::Finding| Damage {
            object: finding.object,
            what: finding.what,
            mended: finding.mended,
        };
        report.damage.extend(found.findings.into_iter().map(damage));
        let affected: HashSet<PointId> = found.affected.iter().map(|(_, point)| *point).collect();
        let present: HashSet<PointId> = volume.point_names()?.into_iter().map(|(_, point)| point).collect();
        report.affected_points.extend(self.note_states(&points, &present, &affected));
        let unknown = affected.iter().filter(|id| points.iter().all(|point| point.entry.id != **id));
        report.affected_points.extend(unknown);
        Ok((report, Cost::of(&volume)))
    }

    /// Writes down in which state points are. Those that cannot be restored whole.
    fn note_states(
        &self,
        points: &[PointRecord],
        present: &HashSet<PointId>,
        affected: &HashSet<PointId>,
    ) -> Vec<PointId> {
        let mut lost = Vec::new();
        for point in points {
            let was_partial = String::from_utf8_lossy(&point.document).contains("state = \"partial\"");
            let is_present = present.contains(&point.entry.id);
            // Given up since the catalog was asked.
            if !is_present && self.catalog.point(point.entry.id).is_ok_and(|known| known.is_none()) {
                continue;
            }
            let state = if !is_present {
                PointState::Missing
            } else if affected.contains(&point.entry.id) {
                PointState::Damaged
            } else if was_partial {
                PointState::Partial
            } else {
                PointState::Complete
            };
            if matches!(state, PointState::Missing | PointState::Damaged) {
                lost.push(point.entry.id);
            }
            if state != point.entry.state
                && let Err(error) = self.catalog.set_point_state(point.entry.id, state)
            {
                self.notice(format!(
                    "the state of point {} could not be written down: {}",
                    point.entry.id,
                    error.message()
                ));
            }
        }
        lost
    }

    /// Mends what points of a volume have lost from every other volume of the server that can be reached. Whatever keeps it
    /// from that takes nothing away from what was found.
    fn heal(
        &self,
        volume: &Arc<Volume>,
        found: &mut Verified,
        threads: usize,
        meter: &Meter,
        cancel: &Cancel,
    ) -> Result<(), JobError> {
        let donors = self.donors_for(volume.id())?;
        match Self::with_reserve(volume, || heal(volume, &donors, found, threads, meter, cancel)) {
            Ok(healed) => {
                for (name, error) in healed.passed_over {
                    self.notice(format!("{name} could not help to mend: {error}"));
                }
            }
            Err(error) if error.is_cancelled() => return Err(error),
            Err(error) => self.notice(format!("nothing more could be mended from other volumes: {error}")),
        }
        Ok(())
    }

    /// Every other volume of the server that can be opened, those of the pool first: they are near.
    fn donors_for(&self, wants: VolumeId) -> Result<Vec<Donor>, JobError> {
        let mut records = self.catalog.volumes()?;
        records.retain(|record| record.id != wants);
        records.sort_by_key(|record| record.role != VolumeRole::Pool);
        let vaults = self.catalog.vaults()?;
        let mut donors = Vec::new();
        for record in records {
            let vault = vaults.iter().find(|vault| vault.part == record.id);
            let name = match vault {
                Some(vault) => format!("the vault {}", vault.name),
                None => format!("the volume {}", record.location),
            };
            match self.open_volume(&record) {
                Ok(volume) => donors.push(Donor { name, volume }),
                Err(error) => self.notice(format!("{name} could not help to mend: {error}")),
            }
        }
        Ok(donors)
    }
}

/// Writes VOLUME.toml anew from the catalog's copy, where both that the volume has are damaged.
fn put_header_back(backend: &dyn Backend, record: &VolumeRecord, error: StoreError) -> Result<(), JobError> {
    let sound = parse_header(VOLUME_TOML, record.document.as_bytes()).is_ok_and(|header| header.volume == record.id);
    // A volume that is not there at all is not mounted; one whose packs are there has lost its head.
    if !error.is_damage() && !matches!(error, StoreError::Refused { .. })
        || !sound
        || backend.list("packs/").map_or(true, |packs| packs.is_empty())
    {
        return Err(error.into());
    }
    backend.replace(&format!("{MIRROR}{VOLUME_TOML}"), record.document.as_bytes())?;
    backend.replace(VOLUME_TOML, record.document.as_bytes())?;
    Ok(())
}
