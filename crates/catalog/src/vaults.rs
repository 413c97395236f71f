//! Vaults that the server is registered with.

use resurgam_model::{VaultId, charter::VaultCharter};
use sea_orm::{ConnectionTrait, EntityTrait, Set, sea_query::OnConflict};

use crate::{Catalog, CatalogError, Fault, cells, entity::vault};

impl Catalog {
    /// Every vault, by id.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn vaults(&self) -> Result<Vec<VaultCharter>, CatalogError> {
        self.run("list the vaults", async |db| read_all(db).await)
    }

    /// Writes a vault, be it new or known. Its part must be known as a volume.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn put_vault(&self, vault: &VaultCharter) -> Result<(), CatalogError> {
        self.run("write a vault", async |db| write(db, vault).await)
    }

    /// Forgets a vault; what lies in it stays.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where there is none of that id; and where the database cannot be written.
    pub fn remove_vault(&self, id: VaultId) -> Result<(), CatalogError> {
        self.run("remove a vault", async |db| {
            match vault::Entity::delete_by_id(id.to_string()).exec(db).await?.rows_affected {
                0 => Err(Fault::NotFound(format!("there is no vault {id}"))),
                _ => Ok(()),
            }
        })
    }
}

pub(crate) async fn read_all(db: &impl ConnectionTrait) -> Result<Vec<VaultCharter>, Fault> {
    let rows = vault::Entity::find().all(db).await?;
    let mut vaults = rows.into_iter().map(record).collect::<Result<Vec<_>, _>>()?;
    vaults.sort_by_key(|vault| vault.id);
    Ok(vaults)
}

pub(crate) async fn write(db: &impl ConnectionTrait, vault: &VaultCharter) -> Result<(), Fault> {
    use vault::Column::{Document, Id, Location, Name, Part, Registered};
    let row = vault::ActiveModel {
        id: Set(vault.id.to_string()),
        name: Set(cells::text(&vault.name)),
        location: Set(cells::text(&vault.location)),
        part: Set(vault.part.to_string()),
        document: Set(cells::text(&vault.document)),
        registered: Set(cells::time(vault.registered)),
    };
    let update = OnConflict::column(Id).update_columns([Name, Location, Part, Document, Registered]).to_owned();
    vault::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

fn record(row: vault::Model) -> Result<VaultCharter, Fault> {
    let cell = cells::Row { table: "vault", key: &row.id };
    Ok(VaultCharter {
        id: cell.parse("id", &row.id)?,
        part: cell.parse("part", &row.part)?,
        registered: cell.parse("registered", &row.registered)?,
        name: row.name,
        location: row.location,
        document: row.document,
    })
}
