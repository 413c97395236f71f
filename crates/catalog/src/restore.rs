//! Another catalog in the place of the one that is there: from a copy, or new.
//!
//! It is built beside the place that it goes to, proved, and put there in one step. What was there is set aside under
//! another name and never overwritten. A kill at any moment leaves the old catalog in its place, or the new one there and
//! the old one aside; running it again ends right.
//!
//! | | built | put in place |
//! |---|---|---|
//! | SQLite | in a private file in the same directory | the old file gets a second name, then the new one takes over the first |
//! | PostgreSQL | in a schema of its own | one transaction moves the old tables into a schema that is named for it, and the new ones to where they were |
//!
//! A copy of either kind restores into either kind of database. An older schema is brought up to date while it is
//! built, so the copy stays as it is.

mod files;
mod load;
mod schemas;

use std::path::{Path, PathBuf};

use resurgam_model::Timestamp;

use crate::{
    Catalog, CatalogError, Fault, Location, Snapshot,
    catalog::{self, or_close},
    schema,
    snapshot::{self, partial::Partial},
    sqlite,
};

/// A catalog that is being built beside the place that it goes to. Dropped, it goes, and nothing has changed.
#[derive(Debug)]
pub struct Building {
    /// Closed before the place where it was built is given up.
    catalog: Catalog,
    place: Place,
    location: Location,
    aside: String,
    copy: Option<Snapshot>,
}

/// Where it is built.
enum Place {
    File { partial: Partial, target: PathBuf },
    Schema { target: String },
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { partial, .. } => write!(f, "File({})", partial.path().display()),
            Self::Schema { target } => write!(f, "Schema({target})"),
        }
    }
}

/// A catalog that was put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The copy that it was made from, as it was found; `None`: it was made new.
    pub copy: Option<Snapshot>,
    /// Where what was there before lies now: the path of the file, or the name of the schema. `None`: nothing was there.
    pub aside: Option<String>,
}

/// Puts a copy in the place of the catalog. `aside` names what was there: `DPMDB.sqlite` becomes
/// `DPMDB.sqlite.<aside>`, tables of PostgreSQL go into a schema of that name; a number is added where that is taken.
/// Nobody else should have the catalog open.
///
/// Whoever has to change the catalog before anybody can see it uses [`Building::from_copy`].
///
/// # Errors
/// As [`inspect`](crate::inspect) for the copy; [`Fault::Locked`] where somebody is at work in the old catalog; and where
/// the place cannot be read or written. The old catalog is then where it was.
pub fn restore(copy: &Path, to: &Location, aside: &str, now: Timestamp) -> Result<Restored, CatalogError> {
    Building::from_copy(copy, to, aside, now)?.put_in_place()
}

/// Begins an empty catalog, to be filled and then put in the place of the one that is there. `aside` as in [`restore`].
///
/// # Errors
/// Where the place cannot be written.
pub fn create_new(to: &Location, aside: &str, now: Timestamp) -> Result<Building, CatalogError> {
    let begun = match to {
        Location::Sqlite(path) => in_file(path, to, async |partial| {
            let db = sqlite::connect(partial, false).await?;
            or_close(db, async |db| bring_up_to_date(db, now).await).await
        }),
        Location::Postgres { url } => schemas::scratch(url).and_then(|target| {
            let catalog = Catalog::start(to, None, async || {
                let db = schemas::connect(url).await?;
                or_close(db, async |db| bring_up_to_date(db, now).await).await
            });
            Ok((catalog?, Place::Schema { target }))
        }),
    };
    building(begun, "begin a new catalog", to, aside, None)
}

impl Building {
    /// Builds a catalog from a copy. `aside` as in [`restore`].
    ///
    /// # Errors
    /// As [`inspect`](crate::inspect) for the copy; and where the place cannot be written.
    pub fn from_copy(copy: &Path, to: &Location, aside: &str, now: Timestamp) -> Result<Self, CatalogError> {
        let snapshot = snapshot::inspect(copy)?;
        let begun = match to {
            Location::Sqlite(path) => in_file(path, to, async |partial| {
                let db = load::into_file(copy, &snapshot, partial, now).await?;
                or_close(db, async |db| bring_up_to_date(db, now).await).await
            }),
            Location::Postgres { url } => schemas::scratch(url).and_then(|target| {
                let catalog = Catalog::start(to, None, async || {
                    let db = schemas::connect(url).await?;
                    or_close(db, async |db| {
                        load::rows_into(db, copy, &snapshot, now).await?;
                        bring_up_to_date(db, now).await
                    })
                    .await
                });
                Ok((catalog?, Place::Schema { target }))
            }),
        };
        building(begun, &format!("restore {}", copy.display()), to, aside, Some(snapshot))
    }

    /// The catalog that is being built.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The copy that it is built from, as it was found.
    pub fn copy(&self) -> Option<&Snapshot> {
        self.copy.as_ref()
    }

    /// Proves it and puts it in the place of what is there.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] where it is not sound; [`Fault::Locked`] where somebody is at work in the old catalog; and
    /// where the place cannot be written. The old catalog is then where it was.
    pub fn put_in_place(self) -> Result<Restored, CatalogError> {
        let Self { catalog, place, location, aside, copy } = self;
        let name = location.to_string();
        if let Some(finding) = catalog.check()?.first() {
            return Err(Fault::Corrupt(format!("what was built is not sound: {finding}")).at(ATTEMPT, &name));
        }
        let aside = match place {
            Place::File { partial, target } => {
                drop(catalog);
                let put = catalog::runtime()
                    .and_then(|runtime| runtime.block_on(files::put_in_place(partial, &target, &aside)));
                put.map_err(|fault| fault.at(ATTEMPT, &name))?
            }
            Place::Schema { target } => schemas::put_in_place(&catalog, &target, &aside, ATTEMPT)?,
        };
        Ok(Restored { copy, aside })
    }
}

const ATTEMPT: &str = "put a catalog in place";

/// What was begun, as a building or as an error.
fn building(
    begun: Result<(Catalog, Place), Fault>,
    attempt: &str,
    to: &Location,
    aside: &str,
    copy: Option<Snapshot>,
) -> Result<Building, CatalogError> {
    let (catalog, place) = begun.map_err(|fault| fault.at(attempt, &to.to_string()))?;
    Ok(Building { catalog, place, location: to.clone(), aside: aside.to_owned(), copy })
}

/// Builds in a file beside the target.
fn in_file(
    path: &Path,
    to: &Location,
    fill: impl AsyncFnOnce(&Path) -> Result<sea_orm::DatabaseConnection, Fault>,
) -> Result<(Catalog, Place), Fault> {
    // Where a link stands, what it leads to is replaced, not the link.
    let target = path.canonicalize().or_else(|_| std::path::absolute(path)).map_err(|e| Fault::of_file(&e))?;
    let partial = Partial::beside(&target)?;
    let catalog = Catalog::start(to, Some(partial.path()), async || fill(partial.path()).await)?;
    Ok((catalog, Place::File { partial, target }))
}

async fn bring_up_to_date(db: &sea_orm::DatabaseConnection, now: Timestamp) -> Result<(), Fault> {
    schema::bring_up_to_date(db, now, async |_| Ok(())).await?;
    schema::note_program(db, now).await?;
    sqlite::keep_reserve(db).await;
    Ok(())
}
