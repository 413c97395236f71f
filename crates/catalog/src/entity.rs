//! The tables as the database library sees them. Nothing here leaves the crate: each verb's file turns rows into the
//! records that callers know.

// The derives make everything `pub`; the module is private.
#![allow(unreachable_pub, missing_docs)]

macro_rules! table {
    ($module:ident, $name:literal, { $($(#[$attribute:meta])* $column:ident : $type:ty),+ $(,)? }) => {
        pub mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
            #[sea_orm(table_name = $name)]
            pub struct Model {
                $($(#[$attribute])* pub $column: $type),+
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

table!(server, "server", {
    /// Always 1: a catalog belongs to one server.
    #[sea_orm(primary_key, auto_increment = false)]
    slot: i64,
    id: String,
    name: String,
    public_key: Vec<u8>,
    created: String,
});

table!(protection_group, "protection_group", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    name: String,
    retention: String,
    every_seconds: Option<i64>,
});

table!(data_source, "data_source", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    group_id: String,
    root: Vec<u8>,
    selection: String,
    retention: Option<String>,
});

table!(volume, "volume", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    location: String,
    document: String,
    added: String,
});

table!(setting, "setting", {
    #[sea_orm(primary_key, auto_increment = false)]
    name: String,
    value: String,
});

table!(replica, "replica", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    source_id: String,
    volume_id: String,
    state: String,
    cause: Option<String>,
});

table!(recovery_point, "recovery_point", {
    #[sea_orm(primary_key, auto_increment = false)]
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
    document: Vec<u8>,
});

table!(job, "job", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    kind: String,
    subject: String,
    source_id: Option<String>,
    state: String,
    holder_host: String,
    holder_boot: String,
    holder_pid: i64,
    holder_pid_started: i64,
    lease_until: String,
    started: String,
    ended: Option<String>,
    message: Option<String>,
});
