//! The identity that the catalog belongs to.

use resurgam_model::{ServerId, Timestamp};
use sea_orm::{ConnectionTrait, EntityTrait, Set, sea_query::OnConflict};

use crate::{Catalog, CatalogError, Fault, cells, entity::server};

/// The server's identity. Its secret key lies in the keyring, never here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerRecord {
    /// Its id.
    pub id: ServerId,
    /// The name that people know it by.
    pub name: String,
    /// Its public key.
    pub public_key: Vec<u8>,
    /// When it was made.
    pub created: Timestamp,
}

/// The only row's key.
const SLOT: i64 = 1;

impl Catalog {
    /// The server that this catalog belongs to; `None` until it is told.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub fn server(&self) -> Result<Option<ServerRecord>, CatalogError> {
        self.run("read the server's identity", async |db| read(db).await)
    }

    /// Says which server this catalog belongs to.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn set_server(&self, server: &ServerRecord) -> Result<(), CatalogError> {
        self.run("write the server's identity", async |db| write(db, server).await)
    }
}

/// Reads the server, if there is one.
pub(crate) async fn read(db: &impl ConnectionTrait) -> Result<Option<ServerRecord>, Fault> {
    server::Entity::find_by_id(SLOT).one(db).await?.map(record).transpose()
}

pub(crate) async fn write(db: &impl ConnectionTrait, server: &ServerRecord) -> Result<(), Fault> {
    use server::Column::{Created, Directory, Id, Name, PublicKey, Slot};
    let row = server::ActiveModel {
        slot: Set(SLOT),
        id: Set(server.id.to_string()),
        name: Set(cells::text(&server.name)),
        public_key: Set(server.public_key.clone()),
        created: Set(cells::time(server.created)),
        directory: Set(directory(&server.name)),
    };
    let replace = OnConflict::column(Slot).update_columns([Id, Name, PublicKey, Created, Directory]).to_owned();
    server::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
    Ok(())
}

/// The name of the server's directory in a volume, as the store makes it; the document's views show paths.
pub(crate) fn directory(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let directory: String = name.chars().take(200).map(plain).collect();
    if directory.trim_matches('.').is_empty() { "server".to_owned() } else { directory }
}

fn record(row: server::Model) -> Result<ServerRecord, Fault> {
    let cell = cells::Row { table: "server", key: &row.id };
    Ok(ServerRecord {
        id: cell.parse("id", &row.id)?,
        created: cell.parse("created", &row.created)?,
        name: row.name,
        public_key: row.public_key,
    })
}
