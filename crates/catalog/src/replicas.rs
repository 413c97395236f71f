//! Replicas: what a volume holds of a data source.

use std::collections::HashSet;

use resurgam_model::{ReplicaId, SourceId, VolumeId, replica::ReplicaState, role::VolumeRole};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Set,
    sea_query::{Expr, OnConflict},
};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::{data_source, recovery_point, replica, volume},
    volumes,
};

/// What the catalog knows of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaRecord {
    /// Its id.
    pub id: ReplicaId,
    /// The data source. Once written it stays.
    pub source: SourceId,
    /// The volume that holds it. Once written it stays: in another volume it is another replica.
    pub volume: VolumeId,
    /// How far it can be trusted.
    pub state: ReplicaState,
    /// Why it is in that state, where there is more to say.
    pub cause: Option<String>,
}

impl Catalog {
    /// Every replica in the pool, in the order of their ids.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn replicas(&self) -> Result<Vec<ReplicaRecord>, CatalogError> {
        self.replicas_in(VolumeRole::Pool)
    }

    /// Every replica in volumes that are for one thing, in the order of their ids.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn replicas_in(&self, role: VolumeRole) -> Result<Vec<ReplicaRecord>, CatalogError> {
        self.run("list the replicas", async |db| {
            let of_role = volumes::read_all(db).await?.into_iter().filter(|volume| volume.role == role);
            let there: HashSet<VolumeId> = of_role.map(|volume| volume.id).collect();
            let mut replicas = read_all(db).await?;
            replicas.retain(|replica| there.contains(&replica.volume));
            Ok(replicas)
        })
    }

    /// Every replica, wherever it lies, in the order of their ids.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn every_replica(&self) -> Result<Vec<ReplicaRecord>, CatalogError> {
        self.run("list the replicas", async |db| read_all(db).await)
    }

    /// Writes a replica, be it new or known.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where its source or volume is not there; [`Fault::Conflict`] where the replica is known with
    /// another source or volume; and where the database cannot be written.
    pub fn put_replica(&self, replica: &ReplicaRecord) -> Result<(), CatalogError> {
        self.change("write a replica", async |db| write(db, replica).await)
    }

    /// Says how far a replica can be trusted, and why.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where there is none of that id; and where the database cannot be written.
    pub fn set_replica_state(
        &self,
        id: ReplicaId,
        state: ReplicaState,
        cause: Option<&str>,
    ) -> Result<(), CatalogError> {
        self.run("write the state of a replica", async |db| {
            let changed = replica::Entity::update_many()
                .col_expr(replica::Column::State, Expr::val(state.to_string()))
                .col_expr(replica::Column::Cause, Expr::val(cause.map(cells::text)))
                .filter(replica::Column::Id.eq(id.to_string()))
                .exec(db)
                .await?;
            found(id, changed.rows_affected)
        })
    }

    /// Forgets a replica; what the volume holds stays.
    ///
    /// # Errors
    /// [`Fault::InUse`] while it has points; [`Fault::NotFound`] where there is none of that id.
    pub fn remove_replica(&self, id: ReplicaId) -> Result<(), CatalogError> {
        self.change("remove a replica", async |db| {
            let of_it = recovery_point::Column::ReplicaId.eq(id.to_string());
            let points = recovery_point::Entity::find().filter(of_it).count(db).await?;
            if points > 0 {
                return Err(Fault::InUse(format!("replica {id} has {points} recovery point(s)")));
            }
            found(id, delete(db, id).await?)
        })
    }
}

/// Every replica, by id.
pub(crate) async fn read_all(db: &impl ConnectionTrait) -> Result<Vec<ReplicaRecord>, Fault> {
    let rows = replica::Entity::find().all(db).await?;
    let mut replicas = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
    replicas.sort_by_key(|r| r.id);
    Ok(replicas)
}

pub(crate) async fn write(db: &impl ConnectionTrait, replica: &ReplicaRecord) -> Result<(), Fault> {
    use replica::Column::{Cause, Id, State};
    let (source, volume) = (replica.source.to_string(), replica.volume.to_string());
    if let Some(known) = replica::Entity::find_by_id(replica.id.to_string()).one(db).await?
        && (known.source_id != source || known.volume_id != volume)
    {
        return Err(Fault::Conflict(format!(
            "replica {} is that of data source {} in volume {}, and stays so",
            known.id, known.source_id, known.volume_id
        )));
    }
    if data_source::Entity::find_by_id(source.clone()).one(db).await?.is_none() {
        return Err(Fault::NotFound(format!("there is no data source {source}")));
    }
    if volume::Entity::find_by_id(volume.clone()).one(db).await?.is_none() {
        return Err(Fault::NotFound(format!("there is no volume {volume}")));
    }
    let row = replica::ActiveModel {
        id: Set(replica.id.to_string()),
        source_id: Set(source),
        volume_id: Set(volume),
        state: Set(replica.state.to_string()),
        cause: Set(replica.cause.as_deref().map(cells::text)),
    };
    let update = OnConflict::column(Id).update_columns([State, Cause]).to_owned();
    replica::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

async fn delete(db: &impl ConnectionTrait, id: ReplicaId) -> Result<u64, Fault> {
    Ok(replica::Entity::delete_by_id(id.to_string()).exec(db).await?.rows_affected)
}

fn found(id: ReplicaId, rows: u64) -> Result<(), Fault> {
    if rows == 0 { Err(Fault::NotFound(format!("there is no replica {id}"))) } else { Ok(()) }
}

fn record(row: replica::Model) -> Result<ReplicaRecord, Fault> {
    let cell = cells::Row { table: "replica", key: &row.id };
    Ok(ReplicaRecord {
        id: cell.parse("id", &row.id)?,
        source: cell.parse("source_id", &row.source_id)?,
        volume: cell.parse("volume_id", &row.volume_id)?,
        state: cell.parse("state", &row.state)?,
        cause: row.cause,
    })
}
