//! Which versions of the program have opened this catalog: the document's `tbl_AM_AgentPatch`.

use resurgam_model::Timestamp;
use sea_orm::{ConnectionTrait, EntityTrait, Set, sea_query::OnConflict};

use crate::{
    Fault, cells,
    entity::agent_patch::{self, Column},
};

/// The running program's version: major, minor, patch.
fn running() -> (i64, i64, i64) {
    let mut numbers = env!("CARGO_PKG_VERSION").split(['.', '-', '+']).map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// Notes the version of the running program.
pub(super) async fn note(db: &impl ConnectionTrait, now: Timestamp) -> Result<(), Fault> {
    let (major, minor, build) = running();
    let row = agent_patch::ActiveModel {
        major: Set(major),
        minor: Set(minor),
        build: Set(build),
        file_name: Set("resurgam".to_owned()),
        installed: Set(cells::time(now)),
    };
    let once = OnConflict::columns([Column::Major, Column::Minor, Column::Build]).do_nothing().to_owned();
    agent_patch::Entity::insert(row).on_conflict(once).exec_without_returning(db).await?;
    Ok(())
}

/// The same, where it is not noted yet. What cannot be written for want of space or rights is done without: a catalog
/// must open on a full disk.
pub(crate) async fn note_unless_known(db: &impl ConnectionTrait, now: Timestamp) -> Result<(), Fault> {
    if agent_patch::Entity::find_by_id(running()).one(db).await?.is_some() {
        return Ok(());
    }
    match note(db, now).await {
        Err(Fault::Full(_) | Fault::ReadOnly(_) | Fault::Denied(_) | Fault::Locked(_)) => Ok(()),
        done => done,
    }
}
