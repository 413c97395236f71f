//! Copies that are archives of `pg_dump`, written and read with PostgreSQL's own tools.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufReader, Read},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use sea_orm::{ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, Statement};

use super::{
    Snapshot, SnapshotKind,
    copy_text::{CopyRow, read_rows},
};
use crate::{
    Fault, Location, ServerRecord, catalog, cells, lineage,
    postgres::{self, Environment},
    schema, tables,
};

/// The first bytes of every archive in the custom format.
pub(super) const MAGIC: &[u8] = b"PGDMP";

/// Writes an archive of the living database and proves it. Rows are counted in the very moment that is dumped.
pub(super) async fn write(db: &DatabaseConnection, location: &Location, to: &Path) -> Result<Snapshot, Fault> {
    let Location::Postgres { url } = location else {
        return Err(Fault::Other("the catalog is not in PostgreSQL".to_owned()));
    };
    let environment = postgres::environment(url)?;
    let moment = catalog::read_transaction(db).await?;
    let written = dump(&moment, &environment, to).await;
    let _ = moment.rollback().await;
    let (version, living) = written?;
    let snapshot = inspect(to)?;
    if snapshot.version != version || snapshot.rows != living {
        return Err(Fault::Corrupt("the archive that was written does not hold what the catalog holds".to_owned()));
    }
    Ok(snapshot)
}

async fn dump(
    moment: &DatabaseTransaction,
    environment: &Environment,
    to: &Path,
) -> Result<(i64, BTreeMap<String, u64>), Fault> {
    let ask = "SELECT pg_export_snapshot() AS snapshot, quote_ident(current_schema()) AS schema";
    let row = moment.query_one_raw(Statement::from_string(DbBackend::Postgres, ask)).await?;
    let row = row.ok_or_else(|| Fault::Other("PostgreSQL gave no snapshot".to_owned()))?;
    let (snapshot, schema): (String, String) = (row.try_get("", "snapshot")?, row.try_get("", "schema")?);
    let version = schema::version(moment).await?.map_or(0, |(version, _)| version);
    let living = tables::counts(moment).await?;
    let mut command = Command::new("pg_dump");
    command.args(["--format=custom", "--no-owner", "--no-privileges", "--no-password", "--encoding=UTF8"]);
    command.arg(format!("--snapshot={snapshot}"));
    for table in living.keys() {
        command.arg(format!("--table={schema}.{table}"));
    }
    command.arg(format!("--table={schema}.tbl_*")).arg("--file").arg(to);
    environment.apply(&mut command);
    run(command, |_| Ok(()))?;
    Ok((version, living))
}

/// Proves an archive, reading all its rows, and tells what it holds.
pub(super) fn inspect(path: &Path) -> Result<Snapshot, Fault> {
    let mut found = Found::default();
    read(path, |row| found.take(row))?;
    let bytes = fs::metadata(path).map_err(|e| Fault::of_file(&e))?.len();
    found.snapshot(bytes)
}

/// Gives every row of an archive to `row`, table by table.
pub(crate) fn read(path: &Path, mut row: impl FnMut(CopyRow<'_>) -> Result<(), Fault>) -> Result<(), Fault> {
    let mut command = Command::new("pg_restore");
    command.args(["--data-only", "--file=-"]).arg(std::path::absolute(path).map_err(|e| Fault::of_file(&e))?);
    run(command, |out| read_rows(BufReader::new(out), &mut row)).map_err(|fault| match fault {
        // What PostgreSQL's own tool cannot read is damaged: that it is an archive was seen by its first bytes.
        Fault::Other(text) if text.starts_with("`pg_restore` failed") => {
            Fault::Corrupt(format!("the archive is damaged: {text}"))
        }
        fault => fault,
    })
}

/// Runs a tool of PostgreSQL and hands its output to `read`.
fn run(mut command: Command, read: impl FnOnce(&mut dyn Read) -> Result<(), Fault>) -> Result<(), Fault> {
    let tool = command.get_program().to_string_lossy().into_owned();
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = started.map_err(|e| {
        Fault::Other(format!("`{tool}` cannot be run ({e}); install PostgreSQL's client programs (postgresql-client)"))
    })?;
    let (out, said) = (child.stdout.take(), child.stderr.take());
    let (answer, said) = thread::scope(|threads| {
        let said = threads.spawn(move || {
            let mut text = Vec::new();
            let _ = said.map(|said| said.take(1 << 20).read_to_end(&mut text));
            String::from_utf8_lossy(&text).trim().to_owned()
        });
        let answer = out.map_or(Ok(()), |mut out| read(&mut out));
        (answer, said.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|e| Fault::Other(format!("`{tool}` was lost: {e}")))?;
    // Its own word first: what was read of its output until it failed means nothing.
    if !status.success() {
        return Err(Fault::Other(format!("`{tool}` failed ({status}): {said}")));
    }
    answer
}

/// What was seen of an archive.
#[derive(Default)]
struct Found {
    rows: BTreeMap<String, u64>,
    version: Option<(i64, String)>,
    server: Option<ServerRecord>,
    lineage: Option<lineage::Lineage>,
    newest: Option<String>,
}

impl Found {
    fn take(&mut self, row: CopyRow<'_>) -> Result<(), Fault> {
        let count = self.rows.entry(row.table.to_owned()).or_default();
        match row.cells {
            None => return Ok(()),
            Some(_) => *count += 1,
        }
        match row.table {
            "schema_change" => {
                let version = row.parse("version")?;
                if self.version.as_ref().is_none_or(|(known, _)| *known < version) {
                    self.version = Some((version, row.text("program")?));
                }
            }
            "server" => {
                self.server = Some(ServerRecord {
                    id: row.parse("id")?,
                    name: row.text("name")?,
                    public_key: row.bytes("public_key")?,
                    created: row.parse("created")?,
                });
            }
            "lineage" => self.lineage = Some(lineage_of(&row)?),
            "recovery_point" => self.newest = self.newest.take().max(Some(row.text("time")?)),
            _ => {}
        }
        Ok(())
    }

    fn snapshot(self, bytes: u64) -> Result<Snapshot, Fault> {
        let Some((version, program)) = self.version else {
            return Err(match self.rows.keys().next() {
                Some(table) => Fault::Foreign(format!(
                    "it is a `pg_dump` archive of another database: it holds `{table}` and no catalog"
                )),
                None => Fault::Empty("it is a `pg_dump` archive without a table".to_owned()),
            });
        };
        super::refuse_newer(version, &program)?;
        tables::refuse_incomplete(version, |table| self.rows.contains_key(table))?;
        let cell = cells::Row { table: "recovery_point", key: "newest" };
        Ok(Snapshot {
            kind: SnapshotKind::PgDump,
            version,
            program,
            server: self.server,
            lineage: self.lineage,
            newest_point: self.newest.map(|text| cell.parse("time", &text)).transpose()?,
            rows: self.rows.into_iter().filter(|(name, _)| tables::named(name).is_some()).collect(),
            bytes,
        })
    }
}

fn lineage_of(row: &CopyRow<'_>) -> Result<lineage::Lineage, Fault> {
    let parent = row.optional("parent")?;
    Ok(lineage::Lineage {
        id: row.parse("id")?,
        parent: parent.map(|text| cells::Row { table: "lineage", key: "1" }.parse("parent", &text)).transpose()?,
        generation: cells::to_count(row.parse("generation")?),
        sequence: cells::to_count(row.parse("sequence")?),
        digest: row.text("digest")?,
        started: row.parse("started")?,
        origin: row.text("origin")?,
        frozen: row.optional("frozen")?,
    })
}
