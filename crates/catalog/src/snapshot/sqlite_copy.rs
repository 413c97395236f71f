//! Copies that are SQLite databases.

use std::{fs, path::Path};

use resurgam_model::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

use super::{
    Snapshot, SnapshotKind,
    partial::{Partial, with_suffix},
    stamp,
};
use crate::{Fault, ServerRecord, cells, lineage, schema, sqlite, tables};

/// How often a copy is begun anew because somebody wrote meanwhile, before a difference is put down to that.
const ATTEMPTS: u32 = 5;

/// Writes a copy of the living database and proves it.
pub(super) async fn write(db: &DatabaseConnection, to: &Path) -> Result<Snapshot, Fault> {
    refuse_damaged(db).await?;
    let version = schema::version(db).await?.map(|(version, _)| version);
    let mut attempt = 1;
    loop {
        let before = sqlite::data_version(db).await?;
        let living = tables::counts(db).await?;
        fs::write(to, []).map_err(|e| Fault::of_file(&e))?;
        sqlite::copy_into(db, to).await?;
        stamp::write(to)?;
        let snapshot = inspect(to).await?;
        let undisturbed = sqlite::data_version(db).await? == before;
        if undisturbed || attempt == ATTEMPTS {
            if Some(snapshot.version) != version || (undisturbed && snapshot.rows != living) {
                return Err(Fault::Corrupt(
                    "the copy that was written does not hold what the catalog holds".to_owned(),
                ));
            }
            return Ok(snapshot);
        }
        attempt += 1;
    }
}

/// Keeps a copy of a database beside it before its schema is changed, unless there is one already.
pub(crate) async fn keep_before_migration(db: &DatabaseConnection, path: &Path, version: i64) -> Result<(), Fault> {
    let kept = with_suffix(path, &format!(".schema{version}"));
    if kept.symlink_metadata().is_ok() {
        return Ok(());
    }
    let partial = Partial::beside(&kept)?;
    write(db, partial.path()).await?;
    match partial.publish_new() {
        // Another process keeps it at the same time.
        Err(Fault::Conflict(_)) => Ok(()),
        kept => kept,
    }
}

/// Proves a copy and tells what it holds.
pub(super) async fn inspect(path: &Path) -> Result<Snapshot, Fault> {
    let path = std::path::absolute(path).map_err(|e| Fault::of_file(&e))?;
    let db = sqlite::connect_to_copy(&path).await?;
    let described = describe(&db).await;
    let _ = db.close().await;
    // What another program or a newer one made is told from what is damaged first.
    let mut snapshot = match described {
        Err(Fault::Corrupt(_)) | Ok(_) => stamp::refuse_changed(&path).and(described),
        refused => refused,
    }?;
    snapshot.bytes = fs::metadata(&path).map_err(|e| Fault::of_file(&e))?.len();
    Ok(snapshot)
}

async fn describe(db: &DatabaseConnection) -> Result<Snapshot, Fault> {
    let Some((version, program)) = schema::version(db).await? else {
        return Err(foreign(db).await?);
    };
    super::refuse_newer(version, &program)?;
    refuse_damaged(db).await?;
    let rows = tables::counts(db).await?;
    tables::refuse_incomplete(version, |table| rows.contains_key(table))?;
    Ok(Snapshot {
        kind: SnapshotKind::Sqlite,
        version,
        program,
        server: server(db).await?,
        lineage: if version > 1 { lineage::read(db).await? } else { None },
        rows,
        newest_point: newest_point(db).await?,
        bytes: 0,
    })
}

async fn refuse_damaged(db: &DatabaseConnection) -> Result<(), Fault> {
    match sqlite::check_fully(db).await?.first() {
        Some(finding) => Err(Fault::Corrupt(format!("the database is damaged: {finding}"))),
        None => Ok(()),
    }
}

async fn foreign(db: &DatabaseConnection) -> Result<Fault, Fault> {
    let any = Statement::from_string(DbBackend::Sqlite, "SELECT name FROM sqlite_schema LIMIT 1");
    Ok(match db.query_one_raw(any).await? {
        Some(row) => {
            let name: String = row.try_get("", "name")?;
            Fault::Foreign(format!("it is an SQLite database of another program: it holds `{name}`"))
        }
        None => Fault::Empty("it is an SQLite database without a table".to_owned()),
    })
}

/// By the columns that every version has.
async fn server(db: &DatabaseConnection) -> Result<Option<ServerRecord>, Fault> {
    let ask = Statement::from_string(DbBackend::Sqlite, "SELECT id, name, public_key, created FROM server");
    let Some(row) = db.query_one_raw(ask).await? else { return Ok(None) };
    let id: String = row.try_get("", "id")?;
    let cell = cells::Row { table: "server", key: &id };
    Ok(Some(ServerRecord {
        id: cell.parse("id", &id)?,
        name: row.try_get("", "name")?,
        public_key: row.try_get("", "public_key")?,
        created: cell.parse("created", &row.try_get::<String>("", "created")?)?,
    }))
}

async fn newest_point(db: &DatabaseConnection) -> Result<Option<Timestamp>, Fault> {
    let ask = Statement::from_string(DbBackend::Sqlite, "SELECT max(time) AS time FROM recovery_point");
    let Some(row) = db.query_one_raw(ask).await? else { return Ok(None) };
    let time: Option<String> = row.try_get("", "time")?;
    let cell = cells::Row { table: "recovery_point", key: "newest" };
    time.map(|text| cell.parse("time", &text)).transpose()
}
