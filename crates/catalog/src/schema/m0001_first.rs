//! Version 1: the first schema.

use sea_orm_migration::prelude::*;

/// Makes version 1.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0001_first"
    }
}

/// A table whose first column is its key.
fn table(name: &'static str, key: ColumnDef, columns: impl IntoIterator<Item = ColumnDef>) -> TableCreateStatement {
    let mut table = Table::create();
    table.table(name).col(key.to_owned().primary_key().to_owned());
    for column in columns {
        table.col(column);
    }
    table.to_owned()
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().to_owned()
}

fn optional_text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().null().to_owned()
}

fn number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().not_null().to_owned()
}

fn bytes(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).blob().not_null().to_owned()
}

/// `table.columns` must name a row of `parent`, and the parent cannot go before it.
fn belongs<const N: usize>(
    columns: [&'static str; N],
    parent: &'static str,
    keys: [&'static str; N],
) -> ForeignKeyCreateStatement {
    let mut key = ForeignKey::create();
    for column in columns {
        key.from_col(column);
    }
    key.to_tbl(parent);
    for column in keys {
        key.to_col(column);
    }
    key.on_delete(ForeignKeyAction::Restrict).on_update(ForeignKeyAction::Restrict).to_owned()
}

fn index(name: &'static str, table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index.name(name).table(table);
    for column in columns {
        index.col(*column);
    }
    index.to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn tables() -> Vec<TableCreateStatement> {
    let mut sources = table(
        "data_source",
        text("id"),
        [text("group_id"), bytes("root"), text("selection"), optional_text("retention")],
    );
    sources.foreign_key(&mut belongs(["group_id"], "protection_group", ["id"]));

    let mut replicas =
        table("replica", text("id"), [text("source_id"), text("volume_id"), text("state"), optional_text("cause")]);
    replicas
        .foreign_key(&mut belongs(["source_id"], "data_source", ["id"]))
        .foreign_key(&mut belongs(["volume_id"], "volume", ["id"]))
        // So that a point can be bound to its replica's source and volume, not to the replica alone.
        .index(Index::create().name("replica_place").unique().col("id").col("source_id").col("volume_id"));

    let mut points = table(
        "recovery_point",
        text("id"),
        [
            text("source_id"),
            text("replica_id"),
            text("volume_id"),
            text("time"),
            text("kind"),
            number("files"),
            number("bytes"),
            number("added_bytes"),
            text("state"),
            // Last, so that a listing without documents does not read them.
            bytes("document"),
        ],
    );
    points.foreign_key(&mut belongs(
        ["replica_id", "source_id", "volume_id"],
        "replica",
        ["id", "source_id", "volume_id"],
    ));

    vec![
        table("schema_change", number("version"), [text("program"), text("applied")]),
        table("server", number("slot"), [text("id"), text("name"), bytes("public_key"), text("created")]),
        table(
            "protection_group",
            text("id"),
            [
                text("name").unique_key().to_owned(),
                text("retention"),
                ColumnDef::new("every_seconds").big_integer().null().to_owned(),
            ],
        ),
        // Stays empty: filled and emptied to keep free pages inside an SQLite file.
        table("reserve", number("slot"), [bytes("filling")]),
        sources,
        table("volume", text("id"), [text("location"), text("document"), text("added")]),
        table("setting", text("name"), [text("value")]),
        replicas,
        points,
        table(
            "job",
            text("id"),
            [
                text("kind"),
                text("subject"),
                // No foreign key: a job outlives the source that it was about.
                optional_text("source_id"),
                text("state"),
                text("holder_host"),
                text("holder_boot"),
                number("holder_pid"),
                number("holder_pid_started"),
                text("lease_until"),
                text("started"),
                optional_text("ended"),
                optional_text("message"),
            ],
        ),
    ]
}

fn indexes() -> [IndexCreateStatement; 6] {
    [
        index("data_source_group", "data_source", &["group_id"]),
        index("replica_source", "replica", &["source_id"]),
        index("replica_volume", "replica", &["volume_id"]),
        index("recovery_point_replica", "recovery_point", &["replica_id"]),
        index("recovery_point_source_time", "recovery_point", &["source_id", "time"]),
        index("job_state_started", "job", &["state", "started"]),
    ]
}
