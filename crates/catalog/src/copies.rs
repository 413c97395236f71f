//! Where copies of the catalog are put, and how the drills of them went.

use resurgam_model::charter::{CatalogCopy, CopyKind, DrillRecord};
use sea_orm::{ConnectionTrait, EntityTrait, Set, sea_query::OnConflict};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::{catalog_copy, drill},
};

impl Catalog {
    /// Every place where native backups of the catalog are put, by kind and place.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn copies(&self) -> Result<Vec<CatalogCopy>, CatalogError> {
        self.run("list the places of the catalog's copies", async |db| read_copies(db).await)
    }

    /// Writes such a place, be it new or known.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn put_copy(&self, copy: &CatalogCopy) -> Result<(), CatalogError> {
        self.run("write a place of the catalog's copies", async |db| write_copy(db, copy).await)
    }

    /// Forgets such a place; what lies there stays.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where it is not known; and where the database cannot be written.
    pub fn remove_copy(&self, kind: CopyKind, place: &str) -> Result<(), CatalogError> {
        self.run("forget a place of the catalog's copies", async |db| {
            let key = (kind.to_string(), cells::text(place));
            match catalog_copy::Entity::delete_by_id(key).exec(db).await?.rows_affected {
                0 => Err(Fault::NotFound(format!("no copies of kind {kind} are known in {place}"))),
                _ => Ok(()),
            }
        })
    }

    /// How the last drill of each copy went, by kind and place.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn drills(&self) -> Result<Vec<DrillRecord>, CatalogError> {
        self.run("list the drills", async |db| read_drills(db).await)
    }

    /// Writes how a drill went, in place of the one before of that kind and place.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn put_drill(&self, drill: &DrillRecord) -> Result<(), CatalogError> {
        self.run("write how a drill went", async |db| write_drill(db, drill).await)
    }
}

pub(crate) async fn read_copies(db: &impl ConnectionTrait) -> Result<Vec<CatalogCopy>, Fault> {
    let rows = catalog_copy::Entity::find().all(db).await?;
    let mut copies = rows.into_iter().map(copy).collect::<Result<Vec<_>, _>>()?;
    copies.sort_by(|a, b| (a.kind, &a.place).cmp(&(b.kind, &b.place)));
    Ok(copies)
}

pub(crate) async fn write_copy(db: &impl ConnectionTrait, copy: &CatalogCopy) -> Result<(), Fault> {
    use catalog_copy::Column::{EverySeconds, Keep, Kind, MaxAgeSeconds, Place};
    let row = catalog_copy::ActiveModel {
        kind: Set(copy.kind.to_string()),
        place: Set(cells::text(&copy.place)),
        keep: Set(copy.keep.map(i64::from)),
        max_age_seconds: Set(copy.max_age_seconds.map(cells::count)),
        every_seconds: Set(copy.every_seconds.map(cells::count)),
    };
    let update = OnConflict::columns([Kind, Place]).update_columns([Keep, MaxAgeSeconds, EverySeconds]).to_owned();
    catalog_copy::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

pub(crate) async fn read_drills(db: &impl ConnectionTrait) -> Result<Vec<DrillRecord>, Fault> {
    let rows = drill::Entity::find().all(db).await?;
    let mut drills = rows.into_iter().map(drill_record).collect::<Result<Vec<_>, _>>()?;
    drills.sort_by(|a, b| (a.kind, &a.place).cmp(&(b.kind, &b.place)));
    Ok(drills)
}

pub(crate) async fn write_drill(db: &impl ConnectionTrait, drill: &DrillRecord) -> Result<(), Fault> {
    use drill::Column::{Kind, Message, Passed, Place, RecoveryPointSeconds, RecoveryTimeMilliseconds, Time};
    let row = drill::ActiveModel {
        kind: Set(drill.kind.to_string()),
        place: Set(cells::text(&drill.place)),
        time: Set(cells::time(drill.time)),
        passed: Set(i64::from(drill.passed)),
        recovery_point_seconds: Set(cells::count(drill.recovery_point_seconds)),
        recovery_time_milliseconds: Set(cells::count(drill.recovery_time_milliseconds)),
        message: Set(cells::text(&drill.message)),
    };
    let columns = [Time, Passed, RecoveryPointSeconds, RecoveryTimeMilliseconds, Message];
    let update = OnConflict::columns([Kind, Place]).update_columns(columns).to_owned();
    drill::Entity::insert(row).on_conflict(update).exec_without_returning(db).await?;
    Ok(())
}

fn copy(row: catalog_copy::Model) -> Result<CatalogCopy, Fault> {
    let cell = cells::Row { table: "catalog_copy", key: &row.place };
    Ok(CatalogCopy {
        kind: cell.parse("kind", &row.kind)?,
        keep: row.keep.map(|keep| cell.parse("keep", &keep.to_string())).transpose()?,
        max_age_seconds: row.max_age_seconds.map(cells::to_count),
        every_seconds: row.every_seconds.map(cells::to_count),
        place: row.place,
    })
}

fn drill_record(row: drill::Model) -> Result<DrillRecord, Fault> {
    let cell = cells::Row { table: "drill", key: &row.place };
    Ok(DrillRecord {
        kind: cell.parse("kind", &row.kind)?,
        time: cell.parse("time", &row.time)?,
        passed: row.passed != 0,
        recovery_point_seconds: cells::to_count(row.recovery_point_seconds),
        recovery_time_milliseconds: cells::to_count(row.recovery_time_milliseconds),
        message: row.message,
        place: row.place,
    })
}
