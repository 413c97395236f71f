//! Recovery points.

use resurgam_model::{
    PointId, ReplicaId, SourceId, Timestamp, VolumeId,
    point::{PointKind, PointState},
    role::VolumeRole,
};
use sea_orm::{
    ColumnTrait, EntityTrait, FromQueryResult, Iterable, QueryFilter, QueryOrder, QuerySelect, Select, Set,
    sea_query::{Expr, Query},
};

use crate::{
    Catalog, CatalogError, Fault, cells,
    entity::{
        recovery_point::{self, Column},
        replica, volume,
    },
    sqlite,
};

/// How many rows one statement names; both databases allow many more.
const ROWS_PER_STATEMENT: usize = 500;

/// What the catalog knows of a recovery point, without its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointEntry {
    /// Its id.
    pub id: PointId,
    /// The data source.
    pub source: SourceId,
    /// The replica that it belongs to.
    pub replica: ReplicaId,
    /// The volume that holds it.
    pub volume: VolumeId,
    /// When the server received it.
    pub time: Timestamp,
    /// How it came to be.
    pub kind: PointKind,
    /// Entries that are not directories.
    pub files: u64,
    /// Bytes of content, holes included.
    pub bytes: u64,
    /// Bytes that the volume grew by.
    pub added_bytes: u64,
    /// Whether it can be recovered.
    pub state: PointState,
}

/// A recovery point with its document, as the volume holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointRecord {
    /// What listings show.
    pub entry: PointEntry,
    /// Its signed root.
    pub document: Vec<u8>,
}

impl Catalog {
    /// The points of one source or of all, the oldest first, with their documents.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn points(&self, source: Option<SourceId>) -> Result<Vec<PointRecord>, CatalogError> {
        self.run("list the recovery points", async |db| of(source).all(db).await?.into_iter().map(record).collect())
    }

    /// The points of one source or of all in the pool, the oldest first, without their documents.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn point_entries(&self, source: Option<SourceId>) -> Result<Vec<PointEntry>, CatalogError> {
        self.entries(in_role(of(source), VolumeRole::Pool))
    }

    /// The same for points in vaults.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn online_entries(&self, source: Option<SourceId>) -> Result<Vec<PointEntry>, CatalogError> {
        self.entries(in_role(of(source), VolumeRole::Vault))
    }

    /// Every point of one source or of all, wherever it lies, the oldest first, without their documents.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn every_entry(&self, source: Option<SourceId>) -> Result<Vec<PointEntry>, CatalogError> {
        self.entries(of(source))
    }

    fn entries(&self, points: Select<recovery_point::Entity>) -> Result<Vec<PointEntry>, CatalogError> {
        self.run("list the recovery points", async |db| {
            let columns = Column::iter().filter(|column| !matches!(column, Column::Document));
            let rows = points.select_only().columns(columns).into_model::<EntryRow>().all(db).await?;
            rows.into_iter().map(entry).collect()
        })
    }

    /// One point, with its document.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn point(&self, id: PointId) -> Result<Option<PointRecord>, CatalogError> {
        self.run("read a recovery point", async |db| {
            recovery_point::Entity::find_by_id(id.to_string()).one(db).await?.map(record).transpose()
        })
    }

    /// The newest point of a source in the pool, whatever its state, with its document.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn latest_point(&self, source: SourceId) -> Result<Option<PointRecord>, CatalogError> {
        self.run("read the newest recovery point", async |db| {
            let newest_first = recovery_point::Entity::find()
                .filter(Column::SourceId.eq(source.to_string()))
                .order_by_desc(Column::Time)
                .order_by_desc(Column::Id);
            in_role(newest_first, VolumeRole::Pool).one(db).await?.map(record).transpose()
        })
    }

    /// Adds a point. Adding the very same one again changes nothing.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where its replica is not there, [`Fault::Conflict`] where that is another source's or
    /// volume's or where another point has its id; and where the database cannot be written.
    pub fn add_point(&self, point: &PointRecord) -> Result<(), CatalogError> {
        self.add_points(std::slice::from_ref(point))
    }

    /// Adds several points: all, or none.
    ///
    /// # Errors
    /// As [`Catalog::add_point`].
    pub fn add_points(&self, points: &[PointRecord]) -> Result<(), CatalogError> {
        self.change("add a recovery point", async |db| {
            let mut place: Option<replica::Model> = None;
            for PointRecord { entry, document } in points {
                let id = entry.replica.to_string();
                if place.as_ref().is_none_or(|known| known.id != id) {
                    place = replica::Entity::find_by_id(id.clone()).one(db).await?;
                }
                let known = place.as_ref().ok_or_else(|| Fault::NotFound(format!("there is no replica {id}")))?;
                if known.source_id != entry.source.to_string() || known.volume_id != entry.volume.to_string() {
                    return Err(Fault::Conflict(format!(
                        "recovery point {} is of another data source or volume than its replica {id}",
                        entry.id
                    )));
                }
                let row = row(entry, document);
                if let Some(there) = recovery_point::Entity::find_by_id(row.id.clone()).one(db).await? {
                    if there == row {
                        continue;
                    }
                    return Err(Fault::Conflict(format!("there is another recovery point {} already", row.id)));
                }
                recovery_point::Entity::insert(active(row)).exec_without_returning(db).await?;
            }
            Ok(())
        })?;
        // Points are what makes a catalog grow; what they took of the reserve is put back while there is space.
        self.run("keep a reserve", async |db| {
            sqlite::keep_reserve(db).await;
            Ok(())
        })
    }

    /// Says whether a point can be recovered.
    ///
    /// # Errors
    /// [`Fault::NotFound`] where there is none of that id; and where the database cannot be written.
    pub fn set_point_state(&self, id: PointId, state: PointState) -> Result<(), CatalogError> {
        self.run("write the state of a recovery point", async |db| {
            let changed = recovery_point::Entity::update_many()
                .col_expr(Column::State, Expr::val(state.to_string()))
                .filter(Column::Id.eq(id.to_string()))
                .exec(db)
                .await?;
            match changed.rows_affected {
                0 => Err(Fault::NotFound(format!("there is no recovery point {id}"))),
                _ => Ok(()),
            }
        })
    }

    /// Forgets points: all of those named, or none. One that is not there is as good as removed. Answers how many went.
    ///
    /// With not one byte free on the disk the reserve carries about two hundred: then name a hundred at a time.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn remove_points(&self, ids: &[PointId]) -> Result<u64, CatalogError> {
        self.change("remove recovery points", async |db| {
            let mut removed = 0;
            for some in ids.chunks(ROWS_PER_STATEMENT) {
                let named = Column::Id.is_in(some.iter().map(ToString::to_string));
                removed += recovery_point::Entity::delete_many().filter(named).exec(db).await?.rows_affected;
            }
            Ok(removed)
        })
    }
}

/// The points of one source or of all, the oldest first.
fn of(source: Option<SourceId>) -> Select<recovery_point::Entity> {
    let all = recovery_point::Entity::find().order_by_asc(Column::Time).order_by_asc(Column::Id);
    match source {
        Some(source) => all.filter(Column::SourceId.eq(source.to_string())),
        None => all,
    }
}

/// Only those in volumes that are for one thing.
fn in_role(points: Select<recovery_point::Entity>, role: VolumeRole) -> Select<recovery_point::Entity> {
    let volumes = Query::select()
        .column(volume::Column::Id)
        .from(volume::Entity)
        .and_where(volume::Column::Role.eq(role.to_string()))
        .to_owned();
    points.filter(Column::VolumeId.in_subquery(volumes))
}

/// A row without its document.
#[derive(FromQueryResult)]
struct EntryRow {
    id: String,
    source_id: String,
    replica_id: String,
    volume_id: String,
    time: String,
    kind: String,
    files: i64,
    bytes: i64,
    added_bytes: i64,
    state: String,
}

fn entry(row: EntryRow) -> Result<PointEntry, Fault> {
    let cell = cells::Row { table: "recovery_point", key: &row.id };
    Ok(PointEntry {
        id: cell.parse("id", &row.id)?,
        source: cell.parse("source_id", &row.source_id)?,
        replica: cell.parse("replica_id", &row.replica_id)?,
        volume: cell.parse("volume_id", &row.volume_id)?,
        time: cell.parse("time", &row.time)?,
        kind: cell.parse("kind", &row.kind)?,
        files: cells::to_count(row.files),
        bytes: cells::to_count(row.bytes),
        added_bytes: cells::to_count(row.added_bytes),
        state: cell.parse("state", &row.state)?,
    })
}

fn record(row: recovery_point::Model) -> Result<PointRecord, Fault> {
    let recovery_point::Model {
        id,
        source_id,
        replica_id,
        volume_id,
        time,
        kind,
        files,
        bytes,
        added_bytes,
        state,
        document,
    } = row;
    let row = EntryRow { id, source_id, replica_id, volume_id, time, kind, files, bytes, added_bytes, state };
    Ok(PointRecord { entry: entry(row)?, document })
}

fn row(entry: &PointEntry, document: &[u8]) -> recovery_point::Model {
    recovery_point::Model {
        id: entry.id.to_string(),
        source_id: entry.source.to_string(),
        replica_id: entry.replica.to_string(),
        volume_id: entry.volume.to_string(),
        time: cells::time(entry.time),
        kind: entry.kind.to_string(),
        files: cells::count(entry.files),
        bytes: cells::count(entry.bytes),
        added_bytes: cells::count(entry.added_bytes),
        state: entry.state.to_string(),
        document: document.to_vec(),
    }
}

fn active(row: recovery_point::Model) -> recovery_point::ActiveModel {
    recovery_point::ActiveModel {
        id: Set(row.id),
        source_id: Set(row.source_id),
        replica_id: Set(row.replica_id),
        volume_id: Set(row.volume_id),
        time: Set(row.time),
        kind: Set(row.kind),
        files: Set(row.files),
        bytes: Set(row.bytes),
        added_bytes: Set(row.added_bytes),
        state: Set(row.state),
        document: Set(row.document),
    }
}
