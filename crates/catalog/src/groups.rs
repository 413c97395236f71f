//! Protection groups.

use resurgam_model::{GroupId, policy::Group};
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, Set, sea_query::OnConflict};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::{data_source, protection_group},
};

impl Catalog {
    /// Every group, by name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn groups(&self) -> Result<Vec<Group>, CatalogError> {
        self.run("list the protection groups", async |db| read_all(db).await)
    }

    /// One group.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn group(&self, id: GroupId) -> Result<Option<Group>, CatalogError> {
        self.run("read a protection group", async |db| {
            protection_group::Entity::find_by_id(id.to_string()).one(db).await?.map(group).transpose()
        })
    }

    /// The group of that name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn group_by_name(&self, name: &str) -> Result<Option<Group>, CatalogError> {
        self.run("look up a protection group", async |db| {
            let of_that_name = protection_group::Column::Name.eq(cells::text(name));
            protection_group::Entity::find().filter(of_that_name).one(db).await?.map(group).transpose()
        })
    }

    /// Writes a group, be it new or known.
    ///
    /// # Errors
    /// [`Fault::Conflict`] where another group has its name; and where the database cannot be written.
    pub fn put_group(&self, group: &Group) -> Result<(), CatalogError> {
        self.change("write a protection group", async |db| write(db, group).await)
    }

    /// Removes a group.
    ///
    /// # Errors
    /// [`Fault::InUse`] while data sources belong to it; [`Fault::NotFound`] where there is none of that id.
    pub fn remove_group(&self, id: GroupId) -> Result<(), CatalogError> {
        self.change("remove a protection group", async |db| {
            let members =
                data_source::Entity::find().filter(data_source::Column::GroupId.eq(id.to_string())).count(db).await?;
            if members > 0 {
                return Err(Fault::InUse(format!("{members} data source(s) belong to protection group {id}")));
            }
            match protection_group::Entity::delete_by_id(id.to_string()).exec(db).await?.rows_affected {
                0 => Err(Fault::NotFound(format!("there is no protection group {id}"))),
                _ => Ok(()),
            }
        })
    }
}

/// Every group, by name.
pub(crate) async fn read_all(db: &impl ConnectionTrait) -> Result<Vec<Group>, Fault> {
    let rows = protection_group::Entity::find().all(db).await?;
    let mut groups = rows.into_iter().map(group).collect::<Result<Vec<_>, _>>()?;
    groups.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(groups)
}

pub(crate) async fn write(db: &impl ConnectionTrait, group: &Group) -> Result<(), Fault> {
    use protection_group::Column::{Calendar, EverySeconds, Id, Name, Online, Retention};
    let row = protection_group::ActiveModel {
        id: Set(group.id.to_string()),
        name: Set(cells::text(&group.name)),
        retention: Set(cells::json(&group.retention)?),
        every_seconds: Set(group.every_seconds.map(cells::count)),
        calendar: Set(group.calendar.as_ref().map(cells::json).transpose()?),
        online: Set(group.online.as_ref().map(cells::json).transpose()?),
    };
    let update = OnConflict::column(Id).update_columns([Name, Retention, EverySeconds, Calendar, Online]).to_owned();
    match protection_group::Entity::insert(row).on_conflict(update).exec_without_returning(db).await {
        Ok(_) => Ok(()),
        Err(error) => Err(match Fault::from(error) {
            Fault::Conflict(_) => Fault::Conflict(format!("there is a group named `{}` already", group.name)),
            fault => fault,
        }),
    }
}

fn group(row: protection_group::Model) -> Result<Group, Fault> {
    let cell = cells::Row { table: "protection_group", key: &row.id };
    Ok(Group {
        id: cell.parse("id", &row.id)?,
        retention: cell.json("retention", &row.retention)?,
        every_seconds: row.every_seconds.map(cells::to_count),
        calendar: row.calendar.as_deref().map(|text| cell.json("calendar", text)).transpose()?,
        online: row.online.as_deref().map(|text| cell.json("online", text)).transpose()?,
        name: row.name,
    })
}
