//! Writing a charter into a catalog.

use std::collections::BTreeSet;

use resurgam_model::{
    charter::{Charter, ReplicaCharter},
    policy::{Group, Source},
    replica::ReplicaState,
};
use sea_orm::DatabaseTransaction;

use super::{Applied, Apply, CharterChange, CharterKind, CharterRow};
use crate::{
    Fault, ReplicaRecord, ServerRecord, VolumeRecord, cells, copies, groups, replicas, server, settings, sources,
    vaults, volumes,
};

pub(super) async fn apply(db: &DatabaseTransaction, charter: &Charter, how: Apply) -> Result<Applied, Fault> {
    let mut applied = Applied::default();
    if how == Apply::Whole {
        refuse_filled(db).await?;
    }
    // Parents before children.
    apply_server(db, charter, &mut applied).await?;
    apply_settings(db, charter, &mut applied).await?;
    apply_groups(db, charter, &mut applied).await?;
    apply_sources(db, charter, &mut applied).await?;
    apply_volumes(db, charter, &mut applied).await?;
    apply_vaults(db, charter, &mut applied).await?;
    apply_replicas(db, charter, &mut applied).await?;
    apply_copies(db, charter, &mut applied).await?;
    apply_drills(db, charter, &mut applied).await?;
    applied.only_here.sort();
    Ok(applied)
}

impl Applied {
    /// Notes a row that was written over `before`.
    fn note<T>(&mut self, row: CharterRow, before: Option<&T>) {
        let change = if before.is_some() { CharterChange::Changed } else { CharterChange::Added };
        self.done.push((row, change));
    }
}

fn row(kind: CharterKind, id: impl ToString, name: &str) -> CharterRow {
    CharterRow { kind, id: id.to_string(), name: name.to_owned() }
}

async fn refuse_filled(db: &DatabaseTransaction) -> Result<(), Fault> {
    let filled = server::read(db).await?.is_some()
        || !groups::read_all(db).await?.is_empty()
        || !volumes::read_all(db).await?.is_empty();
    if filled {
        return Err(Fault::Conflict("a charter can become the whole of an empty catalog only".to_owned()));
    }
    Ok(())
}

async fn apply_server(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let wanted = ServerRecord {
        id: charter.server.id,
        name: cells::text(&charter.server.name),
        public_key: unhex("public key of the server", &charter.server.public_key)?,
        created: charter.server.created,
    };
    let before = server::read(db).await?;
    if let Some(other) = before.as_ref().filter(|server| server.id != wanted.id) {
        return Err(Fault::Conflict(format!(
            "the charter is that of server {} ({}), and the catalog belongs to server {} ({})",
            wanted.id, wanted.name, other.id, other.name
        )));
    }
    if before.as_ref() != Some(&wanted) {
        server::write(db, &wanted).await?;
        applied.note(row(CharterKind::Server, wanted.id, &wanted.name), before.as_ref());
    }
    Ok(())
}

async fn apply_settings(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = settings::read_all(db).await?;
    for (name, value) in &charter.settings {
        let before = known.iter().find(|(known, _)| known == name);
        if before.is_none_or(|(_, known)| known != value) {
            settings::write(db, name, value).await?;
            applied.note(row(CharterKind::Setting, name, name), before);
        }
    }
    for (name, _) in known.iter().filter(|(name, _)| !charter.settings.contains_key(name)) {
        applied.only_here.push(row(CharterKind::Setting, name, name));
    }
    Ok(())
}

async fn apply_groups(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = groups::read_all(db).await?;
    let (shared, only_here): (Vec<_>, Vec<_>) =
        known.iter().partition(|group| charter.groups.iter().any(|wanted| wanted.id == group.id));
    // Names are unique, and two groups may have exchanged theirs: those that change are called by their ids first.
    for before in &shared {
        if charter.groups.iter().any(|wanted| wanted.id == before.id && wanted.name != before.name) {
            groups::write(db, &Group { name: before.id.to_string(), ..(*before).clone() }).await?;
        }
    }
    let mut names: BTreeSet<String> = known.iter().chain(&charter.groups).map(|group| group.name.clone()).collect();
    for group in &only_here {
        let taken = charter.groups.iter().any(|wanted| wanted.name == group.name);
        let Some(name) = (if taken { free_name(&group.name, &names) } else { None }) else {
            applied.only_here.push(row(CharterKind::Group, group.id, &group.name));
            continue;
        };
        groups::write(db, &Group { name: name.clone(), ..(*group).clone() }).await?;
        applied.done.push((row(CharterKind::Group, group.id, &name), CharterChange::Changed));
        applied.only_here.push(row(CharterKind::Group, group.id, &name));
        names.insert(name);
    }
    for wanted in &charter.groups {
        let before = shared.iter().find(|group| group.id == wanted.id);
        if before != Some(&wanted) {
            groups::write(db, wanted).await?;
            applied.note(row(CharterKind::Group, wanted.id, &wanted.name), before);
        }
    }
    Ok(())
}

/// A name like that one which nobody has.
fn free_name(name: &str, taken: &BTreeSet<String>) -> Option<String> {
    let short: String = name.chars().take(56).collect();
    (2..10_000).map(|n| format!("{short} {n}")).find(|name| !taken.contains(name))
}

async fn apply_sources(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = sources::read_all(db).await?;
    for wanted in &charter.sources {
        let source: Source = wanted
            .source(cells::unhex)
            .ok_or_else(|| unreadable(&format!("root of data source {}", wanted.id), &wanted.root_bytes))?;
        let before = known.iter().find(|known| known.id == source.id);
        if before != Some(&source) {
            sources::write(db, &source).await?;
            applied.note(row(CharterKind::Source, wanted.id, &wanted.root), before);
        }
    }
    for source in known.iter().filter(|known| !charter.sources.iter().any(|wanted| wanted.id == known.id)) {
        let root = resurgam_model::bytepath::escape(&source.root);
        applied.only_here.push(row(CharterKind::Source, source.id, &root));
    }
    Ok(())
}

async fn apply_volumes(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = volumes::read_all(db).await?;
    for wanted in &charter.volumes {
        let volume = VolumeRecord {
            id: wanted.id,
            location: wanted.location.clone(),
            document: wanted.document.clone(),
            added: wanted.added,
            role: wanted.role,
        };
        let before = known.iter().find(|known| known.id == volume.id);
        if before != Some(&volume) {
            volumes::write(db, &volume).await?;
            applied.note(row(CharterKind::Volume, volume.id, &volume.location), before);
        }
    }
    for volume in known.iter().filter(|known| !charter.volumes.iter().any(|wanted| wanted.id == known.id)) {
        applied.only_here.push(row(CharterKind::Volume, volume.id, &volume.location));
    }
    Ok(())
}

async fn apply_vaults(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = vaults::read_all(db).await?;
    for wanted in &charter.vaults {
        let before = known.iter().find(|known| known.id == wanted.id);
        if before != Some(wanted) {
            vaults::write(db, wanted).await?;
            applied.note(row(CharterKind::Vault, wanted.id, &wanted.name), before);
        }
    }
    for vault in known.iter().filter(|known| !charter.vaults.iter().any(|wanted| wanted.id == known.id)) {
        applied.only_here.push(row(CharterKind::Vault, vault.id, &vault.name));
    }
    Ok(())
}

async fn apply_replicas(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = replicas::read_all(db).await?;
    for wanted in &charter.replicas {
        let before = known.iter().find(|known| known.id == wanted.id);
        let replica = replica(wanted, before);
        if before != Some(&replica) {
            replicas::write(db, &replica).await?;
            applied.note(row(CharterKind::Replica, replica.id, &replica.state.to_string()), before);
        }
    }
    for replica in known.iter().filter(|known| !charter.replicas.iter().any(|wanted| wanted.id == known.id)) {
        applied.only_here.push(row(CharterKind::Replica, replica.id, &replica.state.to_string()));
    }
    Ok(())
}

/// A replica as it is to be: what the charter says, else what is known, else that its volume has yet to be read.
fn replica(wanted: &ReplicaCharter, before: Option<&ReplicaRecord>) -> ReplicaRecord {
    let known = before.filter(|replica| replica.state != ReplicaState::Stopped);
    let (state, cause) = match (wanted.state, known) {
        (Some(state), _) => (state, wanted.cause.clone()),
        (None, Some(known)) => (known.state, known.cause.clone()),
        (None, None) => (ReplicaState::CreationPending, None),
    };
    ReplicaRecord { id: wanted.id, source: wanted.source, volume: wanted.volume, state, cause }
}

async fn apply_copies(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = copies::read_copies(db).await?;
    for wanted in &charter.copies {
        let before = known.iter().find(|known| (known.kind, &known.place) == (wanted.kind, &wanted.place));
        if before != Some(wanted) {
            copies::write_copy(db, wanted).await?;
            applied.note(row(CharterKind::Copy, wanted.kind, &wanted.place), before);
        }
    }
    for copy in &known {
        if !charter.copies.iter().any(|wanted| (wanted.kind, &wanted.place) == (copy.kind, &copy.place)) {
            applied.only_here.push(row(CharterKind::Copy, copy.kind, &copy.place));
        }
    }
    Ok(())
}

async fn apply_drills(db: &DatabaseTransaction, charter: &Charter, applied: &mut Applied) -> Result<(), Fault> {
    let known = copies::read_drills(db).await?;
    for wanted in &charter.drills {
        let before = known.iter().find(|known| (known.kind, &known.place) == (wanted.kind, &wanted.place));
        if before != Some(wanted) {
            copies::write_drill(db, wanted).await?;
            applied.note(row(CharterKind::Drill, wanted.kind, &wanted.place), before);
        }
    }
    for drill in &known {
        if !charter.drills.iter().any(|wanted| (wanted.kind, &wanted.place) == (drill.kind, &drill.place)) {
            applied.only_here.push(row(CharterKind::Drill, drill.kind, &drill.place));
        }
    }
    Ok(())
}

fn unhex(what: &str, digits: &str) -> Result<Vec<u8>, Fault> {
    cells::unhex(digits).ok_or_else(|| unreadable(what, digits))
}

fn unreadable(what: &str, digits: &str) -> Fault {
    Fault::Other(format!("the charter cannot be applied: the {what} is not hexadecimal: `{digits}`"))
}
