//! A database of its own on the PostgreSQL that the tests were given.

use std::{
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use crate::parts::run_tool;

/// An empty database. It goes with this value.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
}

impl Database {
    /// Makes one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let server = std::env::var("RESURGAM_TEST_POSTGRES").unwrap();
        let name = format!("end_to_end_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let database = Self { server, name };
        database.ask_server(&format!("CREATE DATABASE {}", database.name));
        database
    }

    fn ask_server(&self, statement: &str) -> String {
        run_tool(Command::new("psql").args(["-qtA", "-c", statement]).arg(&self.server))
    }

    /// Runs a statement in the database, by psql: the rows, cells separated by a bar.
    pub fn ask(&self, statement: &str) -> String {
        run_tool(Command::new("psql").args(["-qtA", "-c", statement]).arg(self.url()))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}/{}", self.instance(), self.name)
    }

    /// The URL of its server, without a database.
    pub fn instance(&self) -> &str {
        self.server.rsplit_once('/').unwrap().0
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        Command::new("psql").args(["-qtA", "-c", &statement]).arg(&self.server).status().ok();
    }
}
