//! Things to put into a catalog.

use resurgam_model::{
    GroupId, JobId, PointId, ReplicaId, ServerId, SourceId, Timestamp, VolumeId,
    point::{PointKind, PointState},
    policy::{Group, Selection, Source, SourceKind},
    replica::ReplicaState,
    retention::Retention,
    role::VolumeRole,
};

use super::place::now;
use crate::{Catalog, Fault, Holder, NewJob, PointEntry, PointRecord, ReplicaRecord, ServerRecord, VolumeRecord};

pub(crate) fn server(n: u8) -> ServerRecord {
    ServerRecord {
        id: ServerId::from_random([n; 16]),
        name: format!("server {n}"),
        public_key: vec![0, n, 255],
        created: now(),
    }
}

pub(crate) fn group(n: u8) -> Group {
    Group {
        id: GroupId::from_random([n; 16]),
        name: format!("Group {n}"),
        retention: Retention { within_seconds: Some(14 * 86_400), last: Some(3), ..Retention::default() },
        every_seconds: Some(3600),
        calendar: None,
        online: None,
    }
}

pub(crate) fn source(n: u8, group: &Group) -> Source {
    Source {
        id: SourceId::from_random([n; 16]),
        kind: SourceKind::Files,
        group: group.id,
        root: format!("/srv/{n}").into_bytes(),
        selection: Selection { exclude: vec!["*.tmp".to_owned()], exclude_caches: true, ..Selection::default() },
        retention: None,
    }
}

pub(crate) fn volume(n: u8) -> VolumeRecord {
    VolumeRecord {
        id: VolumeId::from_random([n; 16]),
        location: format!("/pool/{n}"),
        document: "format = 1\n".to_owned(),
        added: now(),
        role: VolumeRole::Pool,
    }
}

pub(crate) fn replica(n: u8, source: &Source, volume: &VolumeRecord) -> ReplicaRecord {
    ReplicaRecord {
        id: ReplicaId::from_random([n; 16]),
        source: source.id,
        volume: volume.id,
        state: ReplicaState::CreationPending,
        cause: None,
    }
}

/// One group, source, volume and replica, written.
pub(crate) fn replica_in(catalog: &Catalog, n: u8) -> ReplicaRecord {
    let (group, volume) = (group(n), volume(n));
    let source = source(n, &group);
    let replica = replica(n, &source, &volume);
    catalog.put_group(&group).unwrap();
    catalog.put_source(&source).unwrap();
    catalog.put_volume(&volume).unwrap();
    catalog.put_replica(&replica).unwrap();
    replica
}

/// The n-th point of a replica, n seconds after the first.
pub(crate) fn point(n: u32, replica: &ReplicaRecord) -> PointRecord {
    let mut id = [0; 16];
    // Spread, so that the order of the ids is not that of the times.
    id[..4].copy_from_slice(&n.wrapping_mul(2_654_435_761).to_be_bytes());
    PointRecord {
        entry: PointEntry {
            id: PointId::from_random(id),
            source: replica.source,
            replica: replica.id,
            volume: replica.volume,
            time: after(i64::from(n)),
            kind: PointKind::ExpressFull,
            files: u64::from(n),
            bytes: 1 << 40,
            added_bytes: 7,
            state: PointState::Complete,
        },
        document: vec![n as u8; 1500],
    }
}

pub(crate) fn after(seconds: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(seconds)
}

pub(crate) fn holder(host: &str, pid: u32) -> Holder {
    Holder { host: host.to_owned(), boot: "b00t".to_owned(), pid, pid_started: 123_456 }
}

pub(crate) fn job(n: u8, holder: Holder) -> NewJob {
    NewJob {
        id: JobId::from_random([n; 16]),
        kind: "backup".to_owned(),
        subject: format!("/srv/{n}"),
        source: None,
        holder,
        now: after(i64::from(n)),
        lease_seconds: 60,
    }
}

/// The class of what went wrong.
pub(crate) fn fault<T: std::fmt::Debug>(result: Result<T, crate::CatalogError>) -> Fault {
    result.unwrap_err().fault
}
