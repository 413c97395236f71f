//! Carrying a plan out. Rows are added or changed, never removed.

use resurgam_catalog::{PointRecord, ReplicaRecord, VolumeRecord};
use resurgam_jobs::{JobError, Server, point_record, role_of};
use resurgam_model::reconcile::{Adoption, Plan};

use super::observe::Observation;

pub(super) fn apply(server: &Server, plan: &Plan, found: &mut Observation) -> Result<(), JobError> {
    let catalog = server.catalog();
    let mut points: Vec<PointRecord> = Vec::new();
    for adoption in &plan.adopt {
        match adoption {
            Adoption::Volume { volume, location } => {
                let known = catalog.volume(*volume)?;
                let document = found.headers.get(&(*volume, location.clone())).cloned();
                let document = document.or(known.as_ref().map(|known| known.document.clone())).unwrap_or_default();
                catalog.put_volume(&VolumeRecord {
                    id: *volume,
                    location: location.clone(),
                    role: known.as_ref().map_or_else(|| role_of(&document), |known| known.role),
                    document,
                    added: known.map_or_else(|| (server.environment().now)(), |known| known.added),
                })?;
            }
            Adoption::Group(group) => catalog.put_group(group)?,
            Adoption::Source(source) => catalog.put_source(source)?,
            Adoption::Replica { replica, source, volume, state, cause } => catalog.put_replica(&ReplicaRecord {
                id: *replica,
                source: *source,
                volume: *volume,
                state: *state,
                cause: cause.clone(),
            })?,
            Adoption::Point { point, state, .. } => {
                // A point that was found has its document here.
                if let Some((text, document)) = found.documents.remove(point) {
                    let mut record = point_record(&text, document);
                    record.entry.state = *state;
                    points.push(record);
                }
            }
        }
    }
    // Points of one replica together: the catalog looks each replica up once.
    points.sort_by_key(|point| (point.entry.replica, point.entry.id));
    catalog.add_points(&points)?;
    for (point, state) in &plan.points {
        catalog.set_point_state(*point, *state)?;
    }
    for (replica, state, cause) in &plan.replicas {
        catalog.set_replica_state(*replica, *state, cause.as_deref())?;
    }
    refresh_documents(server, found)
}

/// What the volumes say of themselves may have changed since the catalog noted it.
fn refresh_documents(server: &Server, found: &Observation) -> Result<(), JobError> {
    for mut record in server.catalog().volumes()? {
        let document = found.headers.get(&(record.id, record.location.clone()));
        if let Some(document) = document.filter(|document| **document != record.document) {
            record.document.clone_from(document);
            server.catalog().put_volume(&record)?;
        }
    }
    Ok(())
}
