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
    /// Its directory in a volume.
    directory: String,
});

table!(protection_group, "protection_group", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    name: String,
    retention: String,
    every_seconds: Option<i64>,
    calendar: Option<String>,
    online: Option<String>,
});

table!(data_source, "data_source", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    group_id: String,
    root: Vec<u8>,
    selection: String,
    retention: Option<String>,
    kind: String,
    /// The root with every byte shown.
    root_text: String,
});

table!(volume, "volume", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    location: String,
    document: String,
    added: String,
    role: String,
});

table!(vault, "vault", {
    #[sea_orm(primary_key, auto_increment = false)]
    id: String,
    name: String,
    location: String,
    /// The volume that is the server's part.
    part: String,
    document: String,
    registered: String,
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

table!(lineage, "lineage", {
    /// Always 1: a catalog has one lineage at a time.
    #[sea_orm(primary_key, auto_increment = false)]
    slot: i64,
    id: String,
    parent: Option<String>,
    generation: i64,
    sequence: i64,
    digest: String,
    started: String,
    origin: String,
    frozen: Option<String>,
});

table!(catalog_copy, "catalog_copy", {
    #[sea_orm(primary_key, auto_increment = false)]
    kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    place: String,
    keep: Option<i64>,
    max_age_seconds: Option<i64>,
    every_seconds: Option<i64>,
});

table!(drill, "drill", {
    #[sea_orm(primary_key, auto_increment = false)]
    kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    place: String,
    time: String,
    passed: i64,
    recovery_point_seconds: i64,
    recovery_time_milliseconds: i64,
    message: String,
});

table!(alert, "alert", {
    #[sea_orm(primary_key, auto_increment = false)]
    kind: String,
    #[sea_orm(primary_key, auto_increment = false)]
    subject: String,
    severity: String,
    message: String,
    raised: String,
    last_seen: String,
    cleared: Option<String>,
    count: i64,
});

table!(agent_patch, "agent_patch", {
    #[sea_orm(primary_key, auto_increment = false)]
    major: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    minor: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    build: i64,
    file_name: String,
    installed: String,
});
