//! The charter out of the rows, and the rows out of the charter.

mod apply;

use resurgam_model::{
    charter::{Charter, ReplicaCharter, ServerCharter, SourceCharter, VolumeCharter},
    replica::ReplicaState,
};
use sea_orm::ConnectionTrait;

use crate::{
    Catalog, CatalogError, Fault, ReplicaRecord, ServerRecord, VolumeRecord, cells, copies, groups, replicas, server,
    settings, sources, vaults, volumes,
};

/// How a charter is written into a catalog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Apply {
    /// An empty catalog becomes that charter. Replicas of which the charter gives no state are `creation-pending`,
    /// until their volume is read.
    Whole,
    /// What is missing is added and what differs is changed; nothing is deleted. Replicas keep the state that the
    /// catalog gives them where the charter gives none, except that one whose protection was stopped, and is not any
    /// more by the charter, becomes `creation-pending`.
    Adopt,
}

/// A kind of row of the charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CharterKind {
    /// The server.
    Server,
    /// A setting.
    Setting,
    /// A protection group.
    Group,
    /// A data source.
    Source,
    /// A volume.
    Volume,
    /// A vault.
    Vault,
    /// A replica.
    Replica,
    /// A place of the catalog's copies.
    Copy,
    /// A drill.
    Drill,
}

impl std::fmt::Display for CharterKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Setting => "setting",
            Self::Group => "group",
            Self::Source => "source",
            Self::Volume => "volume",
            Self::Vault => "vault",
            Self::Replica => "replica",
            Self::Copy => "copy",
            Self::Drill => "drill",
        })
    }
}

/// Which row of the charter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CharterRow {
    /// Of which kind.
    pub kind: CharterKind,
    /// Its id; of a setting its name, of a copy or drill its kind.
    pub id: String,
    /// What people call it: a name, a root, a location, a place.
    pub name: String,
}

/// What was done to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CharterChange {
    /// It was not there.
    Added,
    /// It was there and differed.
    Changed,
}

/// What applying a charter did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// Each row that was written.
    pub done: Vec<(CharterRow, CharterChange)>,
    /// Rows that the catalog has and the charter lacks; they stay.
    pub only_here: Vec<CharterRow>,
}

impl Catalog {
    /// Everything that people decided: every list by id.
    ///
    /// # Errors
    /// [`Fault::NotFound`] while the catalog does not know its server; and where the database cannot be read.
    pub fn charter(&self) -> Result<Charter, CatalogError> {
        self.view("read the charter", async |db| read(db).await)
    }

    /// Writes a charter into the catalog; all of it, or nothing.
    ///
    /// # Errors
    /// [`Fault::Conflict`] where it is that of another server, gives a replica another place than it has, or is to
    /// become the whole of a catalog that holds something; and where the database cannot be written.
    pub fn apply_charter(&self, charter: &Charter, how: Apply) -> Result<Applied, CatalogError> {
        self.change("apply a charter", async |db| apply::apply(db, charter, how).await)
    }
}

async fn read(db: &impl ConnectionTrait) -> Result<Charter, Fault> {
    let Some(server) = server::read(db).await? else {
        return Err(Fault::NotFound("the catalog does not know yet which server it belongs to".to_owned()));
    };
    let mut groups = groups::read_all(db).await?;
    groups.sort_by_key(|group| group.id);
    let mut sources = sources::read_all(db).await?;
    sources.sort_by_key(|source| source.id);
    let mut volumes = volumes::read_all(db).await?;
    volumes.sort_by_key(|volume| volume.id);
    Ok(Charter {
        server: server_charter(&server),
        settings: settings::read_all(db).await?.into_iter().collect(),
        groups,
        sources: sources.iter().map(|source| SourceCharter::new(source, cells::hex)).collect(),
        volumes: volumes.into_iter().map(volume_charter).collect(),
        vaults: vaults::read_all(db).await?,
        replicas: replicas::read_all(db).await?.into_iter().map(replica_charter).collect(),
        copies: copies::read_copies(db).await?,
        drills: copies::read_drills(db).await?,
    })
}

fn server_charter(server: &ServerRecord) -> ServerCharter {
    ServerCharter {
        id: server.id,
        name: server.name.clone(),
        public_key: cells::hex(&server.public_key),
        created: server.created,
    }
}

fn volume_charter(volume: VolumeRecord) -> VolumeCharter {
    let VolumeRecord { id, location, document, added, role } = volume;
    VolumeCharter { id, location, added, document, role }
}

/// A state that the volume itself shows is left out, and its cause with it.
fn replica_charter(replica: ReplicaRecord) -> ReplicaCharter {
    let derived = matches!(replica.state, ReplicaState::Valid | ReplicaState::CreationPending);
    ReplicaCharter {
        id: replica.id,
        source: replica.source,
        volume: replica.volume,
        state: (!derived).then_some(replica.state),
        cause: if derived { None } else { replica.cause },
    }
}
