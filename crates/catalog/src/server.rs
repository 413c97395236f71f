//! The identity that the catalog belongs to.

use resurgam_model::{ServerId, Timestamp};
use sea_orm::{EntityTrait, Set, sea_query::OnConflict};

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
        self.run("read the server's identity", async |db| {
            server::Entity::find_by_id(SLOT).one(db).await?.map(record).transpose()
        })
    }

    /// Says which server this catalog belongs to.
    ///
    /// # Errors
    /// Where the database cannot be written.
    pub fn set_server(&self, server: &ServerRecord) -> Result<(), CatalogError> {
        use server::Column::{Created, Id, Name, PublicKey};
        let row = server::ActiveModel {
            slot: Set(SLOT),
            id: Set(server.id.to_string()),
            name: Set(cells::text(&server.name)),
            public_key: Set(server.public_key.clone()),
            created: Set(cells::time(server.created)),
        };
        let replace =
            OnConflict::column(server::Column::Slot).update_columns([Id, Name, PublicKey, Created]).to_owned();
        self.run("write the server's identity", async |db| {
            server::Entity::insert(row).on_conflict(replace).exec_without_returning(db).await?;
            Ok(())
        })
    }
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
