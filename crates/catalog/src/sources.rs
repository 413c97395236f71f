//! Data sources.

use resurgam_model::{SourceId, bytepath::escape, policy::Source};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, PaginatorTrait, QueryFilter, Set, sea_query::OnConflict,
};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::{data_source, protection_group, replica},
};

impl Catalog {
    /// Every data source, by root.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn sources(&self) -> Result<Vec<Source>, CatalogError> {
        self.run("list the data sources", async |db| read_all(db).await)
    }

    /// One data source.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn source(&self, id: SourceId) -> Result<Option<Source>, CatalogError> {
        self.run("read a data source", async |db| {
            data_source::Entity::find_by_id(id.to_string()).one(db).await?.map(source).transpose()
        })
    }

    /// Writes a data source, be it new or known.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where its group is not there; and where the database cannot be written.
    pub fn put_source(&self, source: &Source) -> Result<(), CatalogError> {
        self.change("write a data source", async |db| write(db, source).await)
    }

    /// Writes a new data source, unless its root is protected already: of two that try at once, one finds the other's.
    ///
    /// # Errors
    /// [`Fault::Conflict`] where a data source has that root; otherwise as [`Catalog::put_source`].
    pub fn add_source(&self, source: &Source) -> Result<(), CatalogError> {
        self.change("add a data source", async |db| {
            if db.get_database_backend() == DbBackend::Postgres {
                // SQLite has locked all of itself; here nothing would keep another from adding between look and insert.
                db.execute_unprepared("LOCK TABLE data_source IN SHARE ROW EXCLUSIVE MODE").await?;
            }
            let same = data_source::Entity::find().filter(data_source::Column::Root.eq(source.root.clone()));
            if let Some(other) = same.one(db).await? {
                return Err(Fault::Conflict(format!("data source {} has that root already", other.id)));
            }
            write(db, source).await
        })
    }

    /// Removes a data source.
    ///
    /// # Errors
    /// [`Fault::InUse`] while it has replicas; [`Fault::NotFound`] where there is none of that id.
    pub fn remove_source(&self, id: SourceId) -> Result<(), CatalogError> {
        self.change("remove a data source", async |db| {
            let replicas =
                replica::Entity::find().filter(replica::Column::SourceId.eq(id.to_string())).count(db).await?;
            if replicas > 0 {
                return Err(Fault::InUse(format!("data source {id} has {replicas} replica(s)")));
            }
            match data_source::Entity::delete_by_id(id.to_string()).exec(db).await?.rows_affected {
                0 => Err(Fault::NotFound(format!("there is no data source {id}"))),
                _ => Ok(()),
            }
        })
    }
}

/// Every data source, by root.
pub(crate) async fn read_all(db: &impl ConnectionTrait) -> Result<Vec<Source>, Fault> {
    let rows = data_source::Entity::find().all(db).await?;
    let mut sources = rows.into_iter().map(source).collect::<Result<Vec<_>, _>>()?;
    sources.sort_by(|a, b| (&a.root, a.id).cmp(&(&b.root, b.id)));
    Ok(sources)
}

pub(crate) async fn write(db: &impl ConnectionTrait, source: &Source) -> Result<(), Fault> {
    use data_source::Column::{GroupId, Id, Kind, Retention, Root, RootText, Selection};
    let group = source.group.to_string();
    if protection_group::Entity::find_by_id(group.clone()).one(db).await?.is_none() {
        return Err(Fault::NotFound(format!("there is no protection group {group}")));
    }
    let row = data_source::ActiveModel {
        id: Set(source.id.to_string()),
        group_id: Set(group),
        kind: Set(source.kind.to_string()),
        root: Set(source.root.clone()),
        root_text: Set(cells::text(&escape(&source.root))),
        selection: Set(cells::json(&source.selection)?),
        retention: Set(source.retention.as_ref().map(cells::json).transpose()?),
    };
    let update =
        OnConflict::column(Id).update_columns([GroupId, Kind, Root, RootText, Selection, Retention]).to_owned();
    data_source::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

fn source(row: data_source::Model) -> Result<Source, Fault> {
    let cell = cells::Row { table: "data_source", key: &row.id };
    Ok(Source {
        id: cell.parse("id", &row.id)?,
        kind: cell.parse("kind", &row.kind)?,
        group: cell.parse("group_id", &row.group_id)?,
        selection: cell.json("selection", &row.selection)?,
        retention: row.retention.as_deref().map(|text| cell.json("retention", text)).transpose()?,
        root: row.root,
    })
}
