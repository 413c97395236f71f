//! The lineage of this catalog: whether it is the current one.

pub(crate) use resurgam_model::lineage::Lineage;
use sea_orm::{ConnectionTrait, EntityTrait, Set, sea_query::OnConflict};

use crate::{Catalog, CatalogError, Fault, cells, entity::lineage};

/// The only row's key.
const SLOT: i64 = 1;

impl Catalog {
    /// The lineage of this catalog; `None` until it is told, as in one that is new or was made by an older program.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn lineage(&self) -> Result<Option<Lineage>, CatalogError> {
        self.run("read the catalog's lineage", async |db| read(db).await)
    }

    /// Says which lineage this catalog is.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn set_lineage(&self, lineage: &Lineage) -> Result<(), CatalogError> {
        use lineage::Column::{Digest, Frozen, Generation, Id, Origin, Parent, Sequence, Slot, Started};
        let row = lineage::ActiveModel {
            slot: Set(SLOT),
            id: Set(lineage.id.to_string()),
            parent: Set(lineage.parent.map(|id| id.to_string())),
            generation: Set(cells::count(lineage.generation)),
            sequence: Set(cells::count(lineage.sequence)),
            digest: Set(cells::text(&lineage.digest)),
            started: Set(cells::time(lineage.started)),
            origin: Set(cells::text(&lineage.origin)),
            frozen: Set(lineage.frozen.as_deref().map(cells::text)),
        };
        let columns = [Id, Parent, Generation, Sequence, Digest, Started, Origin, Frozen];
        let replace = OnConflict::column(Slot).update_columns(columns).to_owned();
        self.run("write the catalog's lineage", async |db| {
            lineage::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
            Ok(())
        })
    }
}

/// Reads the lineage, if there is one.
pub(crate) async fn read(db: &impl ConnectionTrait) -> Result<Option<Lineage>, Fault> {
    lineage::Entity::find_by_id(SLOT).one(db).await?.map(record).transpose()
}

fn record(row: lineage::Model) -> Result<Lineage, Fault> {
    let cell = cells::Row { table: "lineage", key: &row.id };
    Ok(Lineage {
        id: cell.parse("id", &row.id)?,
        parent: row.parent.as_deref().map(|text| cell.parse("parent", text)).transpose()?,
        generation: cells::to_count(row.generation),
        sequence: cells::to_count(row.sequence),
        started: cell.parse("started", &row.started)?,
        digest: row.digest,
        origin: row.origin,
        frozen: row.frozen,
    })
}
