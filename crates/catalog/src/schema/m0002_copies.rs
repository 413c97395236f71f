//! Version 2: what a lost server is rebuilt from, and how that is watched; the document's views.

use resurgam_model::bytepath::escape;
use sea_orm::{ConnectionTrait, Statement};
use sea_orm_migration::prelude::*;

use super::m0002_views::views;

/// Makes version 2.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0002_copies"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in columns() {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        for table in tables() {
            manager.create_table(table).await?;
        }
        let newest =
            Index::create().name("job_kind_subject").table("job").col("kind").col("subject").col("started").to_owned();
        manager.create_index(newest).await?;
        let db = manager.get_connection();
        show_roots(db).await?;
        name_directory(db).await?;
        for view in views(db.get_database_backend()) {
            db.execute_unprepared(&view).await?;
        }
        Ok(())
    }
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

fn optional_number(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).big_integer().null().to_owned()
}

/// What the tables of version 1 get.
fn columns() -> [(&'static str, ColumnDef); 4] {
    [
        ("protection_group", optional_text("calendar")),
        ("data_source", text("kind").default("files").to_owned()),
        // The root with every byte shown, and the server's directory in a volume: for the views, which cannot work
        // them out.
        ("data_source", text("root_text").default("").to_owned()),
        ("server", text("directory").default("").to_owned()),
    ]
}

/// A table with the first `keys` columns for its key.
fn table(name: &'static str, keys: usize, columns: Vec<ColumnDef>) -> TableCreateStatement {
    let mut key = Index::create();
    let mut table = Table::create();
    table.table(name);
    for (at, mut column) in columns.into_iter().enumerate() {
        if at < keys {
            key.col(column.get_column_name());
        }
        table.col(&mut column);
    }
    table.primary_key(&mut key).to_owned()
}

fn tables() -> [TableCreateStatement; 5] {
    [
        table(
            "lineage",
            1,
            vec![
                number("slot"),
                text("id"),
                optional_text("parent"),
                number("generation"),
                number("sequence"),
                text("digest"),
                text("started"),
                text("origin"),
                optional_text("frozen"),
            ],
        ),
        table(
            "catalog_copy",
            2,
            vec![
                text("kind"),
                text("place"),
                optional_number("keep"),
                optional_number("max_age_seconds"),
                optional_number("every_seconds"),
            ],
        ),
        table(
            "drill",
            2,
            vec![
                text("kind"),
                text("place"),
                text("time"),
                // 0 or 1.
                number("passed"),
                number("recovery_point_seconds"),
                number("recovery_time_milliseconds"),
                text("message"),
            ],
        ),
        table(
            "alert",
            2,
            vec![
                text("kind"),
                text("subject"),
                text("severity"),
                text("message"),
                text("raised"),
                text("last_seen"),
                optional_text("cleared"),
                number("count"),
            ],
        ),
        table(
            "agent_patch",
            3,
            vec![number("major"), number("minor"), number("build"), text("file_name"), text("installed")],
        ),
    ]
}

/// Fills `data_source.root_text`.
async fn show_roots(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    for row in db.query_all_raw(Statement::from_string(backend, "SELECT id, root FROM data_source")).await? {
        let (id, root): (String, Vec<u8>) = (row.try_get("", "id")?, row.try_get("", "root")?);
        let update = Query::update()
            .table("data_source")
            .value("root_text", escape(&root))
            .and_where(Expr::col("id").eq(id))
            .to_owned();
        db.execute(&update).await?;
    }
    Ok(())
}

/// Fills `server.directory`.
async fn name_directory(db: &SchemaManagerConnection<'_>) -> Result<(), DbErr> {
    let backend = db.get_database_backend();
    for row in db.query_all_raw(Statement::from_string(backend, "SELECT name FROM server")).await? {
        let name: String = row.try_get("", "name")?;
        let update = Query::update().table("server").value("directory", crate::server::directory(&name)).to_owned();
        db.execute(&update).await?;
    }
    Ok(())
}
