//! A place of its own for one test: home, pool, source, all below one temporary directory.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::{
    args,
    outcome::{Outcome, Point},
    program::Program,
};

/// The directories of one test. They go with it.
#[derive(Debug)]
pub struct Scene {
    dir: TempDir,
    /// The server's home.
    pub home: PathBuf,
    /// The volume's directory; made by the first `protect`.
    pub pool: PathBuf,
    /// What is protected; exists and is empty.
    pub source: PathBuf,
}

impl Scene {
    /// Empty, in the system's temporary directory.
    pub fn new() -> Self {
        Self::with_dir(TempDir::with_prefix("resurgam-test-").unwrap())
    }

    /// Empty, below `parent`.
    pub fn below(parent: &Path) -> Self {
        Self::with_dir(TempDir::with_prefix_in("scene-", parent).unwrap())
    }

    fn with_dir(dir: TempDir) -> Self {
        let at = |name: &str| dir.path().join(name);
        let scene = Self { home: at("home"), pool: at("pool"), source: at("source"), dir };
        std::fs::create_dir(&scene.source).unwrap();
        scene
    }

    /// A path in the scene's own directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The scene's own directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The program with the scene's home.
    pub fn program(&self) -> Program {
        Program::new(&self.home)
    }

    /// `protect SOURCE --pool POOL`, to its end.
    pub fn protect(&self) -> Outcome {
        self.program().run(args!["protect", self.source, "--pool", self.pool])
    }

    /// The next point of the source, which must come out whole.
    #[track_caller]
    pub fn take_point(&self) -> Point {
        let outcome = self.protect();
        outcome.done();
        outcome.point()
    }

    /// `points`, which must be done.
    #[track_caller]
    pub fn points(&self) -> Vec<Point> {
        let outcome = self.program().run(args!["points"]);
        outcome.done();
        outcome.points()
    }

    /// `recover POINT --to DIR`, to its end.
    pub fn recover(&self, point: &str, to: &Path) -> Outcome {
        self.program().run(args!["recover", point, "--to", to])
    }

    /// Recovers a point into a fresh directory, which must come out whole.
    #[track_caller]
    pub fn recovered(&self, point: &str) -> PathBuf {
        let to = TempDir::with_prefix_in("recovered-", self.dir()).unwrap().keep();
        std::fs::remove_dir(&to).unwrap();
        self.recover(point, &to).done();
        to
    }

    /// Bytes that the volume takes, without the space that it keeps in reserve for a full disk.
    pub fn stored_bytes(&self) -> u64 {
        let reserve = std::fs::metadata(self.pool.join("reserve")).map_or(0, |metadata| metadata.len());
        crate::plain_tree::bytes_below(&self.pool) - reserve
    }

    /// `verify --read-data`, to its end.
    pub fn verify(&self) -> Outcome {
        self.program().run(args!["verify", "--read-data"])
    }

    /// `verify --read-data`, which must find nothing.
    #[track_caller]
    pub fn assert_sound(&self) {
        let outcome = self.verify();
        let document = outcome.done();
        assert_eq!(document["damage"].as_array().map(Vec::len), Some(0), "{outcome}");
    }

    /// `verify --read-data` after something was interrupted: what the interruption left is put right without being
    /// asked, so that nothing is left unmended.
    #[track_caller]
    pub fn assert_sound_or_mended(&self) {
        let outcome = self.verify();
        let document = outcome.done();
        let unmended = document["damage"].as_array().map(|damage| damage.iter().any(|one| one["mended"] != true));
        assert_eq!(unmended, Some(false), "{outcome}");
    }
}

impl Default for Scene {
    fn default() -> Self {
        Self::new()
    }
}
