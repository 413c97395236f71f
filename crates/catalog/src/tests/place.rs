//! Empty places for catalogs, one per test.

use std::sync::atomic::{AtomicU32, Ordering};

use resurgam_model::Timestamp;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr};
use tempfile::TempDir;

use crate::{Catalog, Location};

/// An empty place.
pub(crate) struct Place {
    pub(crate) location: Location,
    /// Kept for its end, when it removes the folder.
    _folder: Option<TempDir>,
    /// Where to remove the database, and its name.
    database: Option<(String, String)>,
}

pub(crate) fn now() -> Timestamp {
    "2026-11-22T16:23:00.123456789Z".parse().unwrap()
}

impl Place {
    /// A file that is the test's own.
    pub(crate) fn for_sqlite(path: &std::path::Path) -> Self {
        Self { location: Location::Sqlite(path.to_owned()), _folder: None, database: None }
    }

    pub(crate) fn open(&self) -> Catalog {
        Catalog::open(&self.location, now()).unwrap()
    }

    /// Runs a statement of a test's own, past all that the crate does.
    pub(crate) fn sql(&self, statement: &str) {
        self.try_sql(statement).unwrap();
    }

    pub(crate) fn try_sql(&self, statement: &str) -> Result<(), DbErr> {
        let url = match &self.location {
            Location::Sqlite(path) => format!("sqlite://{}", path.display()),
            Location::Postgres { url } => url.clone(),
        };
        let mut done = Ok(());
        with_connection(&url, async |db| done = db.execute_unprepared(statement).await.map(|_| ()));
        done
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some((server, name)) = &self.database {
            with_connection(server, async |db| {
                let _ = db.execute_unprepared(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)")).await;
            });
        }
    }
}

fn with_connection(url: &str, work: impl AsyncFnOnce(&DatabaseConnection)) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let db = Database::connect(url).await.unwrap();
        work(&db).await;
        db.close().await.unwrap();
    });
}

pub(crate) fn on_sqlite(test: fn(&Place)) {
    let folder = tempfile::tempdir().unwrap();
    test(&Place { location: Location::Sqlite(folder.path().join("DPMDB")), _folder: Some(folder), database: None });
}

pub(crate) fn on_postgres(test: fn(&Place)) {
    with_postgres(&test);
}

pub(crate) fn with_postgres(test: &dyn Fn(&Place)) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let Ok(server) = std::env::var("RESURGAM_TEST_POSTGRES") else {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "RESURGAM_TEST_POSTGRES is not set");
        eprintln!("SKIPPED: RESURGAM_TEST_POSTGRES is not set, so nothing was tested on PostgreSQL");
        return;
    };
    let name = format!("resurgam_test_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    with_connection(&server, async |db| {
        db.execute_unprepared(&format!("CREATE DATABASE \"{name}\" TEMPLATE template0")).await.unwrap();
    });
    test(&Place {
        location: Location::Postgres { url: database_of(&server, &name) },
        _folder: None,
        database: Some((server, name)),
    });
}

/// The URL with another database.
fn database_of(url: &str, name: &str) -> String {
    let (place, options) = url.split_once('?').map_or((url, String::new()), |(p, o)| (p, format!("?{o}")));
    let (scheme, rest) = place.split_once("://").unwrap();
    let host = rest.split_once('/').map_or(rest, |(host, _)| host);
    format!("{scheme}://{host}/{name}{options}")
}
