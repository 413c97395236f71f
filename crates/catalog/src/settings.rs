//! Single values by name.

use sea_orm::{ConnectionTrait, EntityTrait, Set, sea_query::OnConflict};

use crate::{Catalog, CatalogError, Fault, cells, entity::setting};

impl Catalog {
    /// The value of a setting, if it was set.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn setting(&self, key: &str) -> Result<Option<String>, CatalogError> {
        self.run("read a setting", async |db| {
            Ok(setting::Entity::find_by_id(cells::text(key)).one(db).await?.map(|row| row.value))
        })
    }

    /// Every setting, by name.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn settings(&self) -> Result<Vec<(String, String)>, CatalogError> {
        self.run("list the settings", async |db| read_all(db).await)
    }

    /// Sets a value.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn set_setting(&self, key: &str, value: &str) -> Result<(), CatalogError> {
        self.run("write a setting", async |db| write(db, key, value).await)
    }

    /// Takes a value away; nothing happens where there is none.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn remove_setting(&self, key: &str) -> Result<(), CatalogError> {
        self.run("remove a setting", async |db| {
            setting::Entity::delete_by_id(cells::text(key)).exec(db).await?;
            Ok(())
        })
    }
}

/// Every setting, by name.
pub(crate) async fn read_all(db: &impl ConnectionTrait) -> Result<Vec<(String, String)>, Fault> {
    let mut all: Vec<_> = setting::Entity::find().all(db).await?.into_iter().map(|row| (row.name, row.value)).collect();
    // Here and not in the query: the two databases order text differently.
    all.sort();
    Ok(all)
}

pub(crate) async fn write(db: &impl ConnectionTrait, name: &str, value: &str) -> Result<(), Fault> {
    let row = setting::ActiveModel { name: Set(cells::text(name)), value: Set(cells::text(value)) };
    let replace = OnConflict::column(setting::Column::Name).update_column(setting::Column::Value).to_owned();
    setting::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}
