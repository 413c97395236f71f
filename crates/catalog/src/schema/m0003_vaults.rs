//! Version 3: vaults, and volumes that are parts of them. The document's views go on to tell of the pool alone.

use sea_orm::{ConnectionTrait, DbBackend};
use sea_orm_migration::prelude::*;

/// Makes version 3.
pub(super) struct Migration;

impl MigrationName for Migration {
    fn name(&self) -> &str {
        "m0003_vaults"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, column) in [
            ("volume", text("role").default("pool").to_owned()),
            ("protection_group", ColumnDef::new("online").text().null().to_owned()),
        ] {
            manager.alter_table(Table::alter().table(table).add_column(column).to_owned()).await?;
        }
        let mut vault = Table::create();
        vault.table("vault").col(text("id").primary_key().to_owned());
        for column in ["name", "location", "part", "document", "registered"] {
            vault.col(text(column));
        }
        let mut part = ForeignKey::create();
        part.from_col("part").to_tbl("volume").to_col("id");
        vault.foreign_key(part.on_delete(ForeignKeyAction::Restrict).on_update(ForeignKeyAction::Restrict));
        manager.create_table(vault).await?;
        let db = manager.get_connection();
        for (name, select) in views(db.get_database_backend()) {
            db.execute_unprepared(&format!("DROP VIEW {name}")).await?;
            db.execute_unprepared(&format!("CREATE VIEW {name} AS {select}")).await?;
        }
        Ok(())
    }
}

fn text(name: &'static str) -> ColumnDef {
    ColumnDef::new(name).text().not_null().to_owned()
}

/// The views of version 2 that tell of replicas and volumes, without those of vaults.
fn views(backend: DbBackend) -> [(&'static str, String); 4] {
    let read_only = if backend == DbBackend::Postgres { " OFFSET 0" } else { "" };
    let in_pool = "EXISTS (SELECT 1 FROM volume p WHERE p.id = volume_id AND p.role = 'pool')";
    [
        (
            "tbl_PRM_LogicalReplica",
            format!(
                "SELECT source_id AS DataSourceId, id AS PhysicalReplicaId, CASE state WHEN 'inconsistent' THEN 1 \
                 WHEN 'valid' THEN 2 WHEN 'missing' THEN 4 WHEN 'stopped' THEN 5 ELSE 3 END AS Validity FROM replica \
                 WHERE {in_pool}{read_only}"
            ),
        ),
        (
            "tbl_SPM_Volume",
            format!(
                "SELECT r.id AS VolumeSetID, 1 AS Usage, v.location || '/replicas/' || s.directory || '/' || r.id AS \
                 MountPointPath, '\\\\?\\Volume{{' || r.id || '}}\\' AS GuidName \
                 FROM replica r JOIN volume v ON v.id = r.volume_id CROSS JOIN server s WHERE v.role = 'pool'{read_only}"
            ),
        ),
        (
            "tbl_PRM_ReplicaVolume",
            format!("SELECT id AS ReplicaId, volume_id AS StorageId FROM replica WHERE {in_pool}{read_only}"),
        ),
        (
            "tbl_STM_Volume",
            format!(
                "SELECT id AS StorageId, location || '/replicas' AS AccessPath FROM volume WHERE role = 'pool'{read_only}"
            ),
        ),
    ]
}
