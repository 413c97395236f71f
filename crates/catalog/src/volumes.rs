//! Volumes: where the backups lie.

use resurgam_model::{Timestamp, VolumeId, role::VolumeRole};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Set, sea_query::OnConflict};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::{replica, volume},
};

/// What the catalog knows of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeRecord {
    /// Its id.
    pub id: VolumeId,
    /// Where it lies.
    pub location: String,
    /// Its description of itself, as last read.
    pub document: String,
    /// When it was added to the pool.
    pub added: Timestamp,
    /// What it is for.
    pub role: VolumeRole,
}

impl Catalog {
    /// Every volume, parts of vaults too, the first added first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn volumes(&self) -> Result<Vec<VolumeRecord>, CatalogError> {
        self.run("list the volumes", async |db| read_all(db).await)
    }

    /// The volumes of the pool, the first added first.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn pool(&self) -> Result<Vec<VolumeRecord>, CatalogError> {
        let mut volumes = self.volumes()?;
        volumes.retain(|volume| volume.role == VolumeRole::Pool);
        Ok(volumes)
    }

    /// One volume.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn volume(&self, id: VolumeId) -> Result<Option<VolumeRecord>, CatalogError> {
        self.run("read a volume", async |db| {
            volume::Entity::find_by_id(id.to_string()).one(db).await?.map(record).transpose()
        })
    }

    /// Writes a volume, be it new or known.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn put_volume(&self, volume: &VolumeRecord) -> Result<(), CatalogError> {
        self.run("write a volume", async |db| write(db, volume).await)
    }

    /// Forgets a volume; what lies in it stays.
    ///
    /// # Errors
    /// [`Fault::InUse`] while replicas lie there; [`Fault::NotFound`] where there is none of that id.
    pub fn remove_volume(&self, id: VolumeId) -> Result<(), CatalogError> {
        self.change("remove a volume", async |db| {
            let replicas =
                replica::Entity::find().filter(replica::Column::VolumeId.eq(id.to_string())).count(db).await?;
            if replicas > 0 {
                return Err(Fault::InUse(format!("{replicas} replica(s) lie in volume {id}")));
            }
            match volume::Entity::delete_by_id(id.to_string()).exec(db).await?.rows_affected {
                0 => Err(Fault::NotFound(format!("there is no volume {id}"))),
                _ => Ok(()),
            }
        })
    }
}

/// Every volume, the first added first.
pub(crate) async fn read_all(db: &impl ConnectionTrait) -> Result<Vec<VolumeRecord>, Fault> {
    let rows = volume::Entity::find().all(db).await?;
    let mut volumes = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
    volumes.sort_by_key(|v| (v.added, v.id));
    Ok(volumes)
}

pub(crate) async fn write(db: &impl ConnectionTrait, volume: &VolumeRecord) -> Result<(), Fault> {
    use volume::Column::{Added, Document, Id, Location, Role};
    let row = volume::ActiveModel {
        id: Set(volume.id.to_string()),
        location: Set(cells::text(&volume.location)),
        document: Set(cells::text(&volume.document)),
        added: Set(cells::time(volume.added)),
        role: Set(volume.role.to_string()),
    };
    let update = OnConflict::column(Id).update_columns([Location, Document, Added, Role]).to_owned();
    volume::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

fn record(row: volume::Model) -> Result<VolumeRecord, Fault> {
    let cell = cells::Row { table: "volume", key: &row.id };
    Ok(VolumeRecord {
        id: cell.parse("id", &row.id)?,
        added: cell.parse("added", &row.added)?,
        role: cell.parse("role", &row.role)?,
        location: row.location,
        document: row.document,
    })
}
