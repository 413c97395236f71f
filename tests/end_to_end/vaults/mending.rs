//! Mending across copies, as a user does it: what the pool lost comes from the vault, and what the vault lost from the pool.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use resurgam_tests::{Outcome, Service, Store, args, assert_same, plain_tree};
use serde_json::Value;

use super::{Owner, Protected};

on_each_store!(what_the_pool_lost_comes_from_the_vault_and_the_other_way_round);

/// Points that are in both copies.
const ROUNDS: usize = 5;
const PAGE: [u8; 4096] = [0x5a; 4096];
/// Places in which a copy is spoiled, at least.
const PLACES: usize = 50;

/// A server whose points are in its pool and in a vault.
struct Specimen<'a> {
    server: Protected<'a>,
    /// The server's part of the vault.
    part: String,
    /// Packs of the pool with what was never copied: points of the catalog, and the source's first.
    only_here: BTreeSet<PathBuf>,
    /// Id of each point in the pool that was copied, and what it must give back.
    points: Vec<(String, PathBuf)>,
    /// The same of each online point.
    online: Vec<(String, PathBuf)>,
}

/// What was done to a volume.
#[derive(Debug, Default)]
struct Spoiled {
    packs: usize,
    places: usize,
}

impl<'a> Specimen<'a> {
    fn new(store: &'a Store, seed: u64) -> Self {
        let mut server = Protected::new(&Owner::new(store), "mending", seed);
        let source = server.scene.source.clone();
        let only_here: BTreeSet<PathBuf> =
            plain_tree::files_below(&server.scene.pool.join("packs")).into_iter().collect();
        let (mut points, mut online) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            if round == 0 {
                fs::create_dir(source.join("tree")).unwrap();
                plain_tree::build(&source.join("tree"), plain_tree::Size::SMALL, &mut server.random);
            } else {
                plain_tree::change(&source.join("tree"), 0.1, &mut server.random);
            }
            let copy = server.scene.path(&format!("copy-{round}"));
            plain_tree::copy(&source, &copy);
            // A point of the pool, and its copy in the vault.
            let made = server.scene.program().run(args!["backup", "--online", "--source", source]);
            let ids: Vec<String> = made.done()["points"].as_array().unwrap().iter().map(id_of).collect();
            assert_eq!(ids.len(), 2, "{made}");
            points.push((ids[0].clone(), copy.clone()));
            online.push((ids[1].clone(), copy));
        }
        let part = server.part();
        Self { server, part, only_here, points, online }
    }

    fn verify(&self, more: &[&str]) -> Outcome {
        let arguments = ["verify", "--read-data"].iter().chain(more).map(Into::into);
        self.server.scene.program().run(arguments)
    }

    fn ravage_pool(&self) -> Spoiled {
        ravage(&self.server.scene.pool, &self.only_here)
    }

    /// By a program that has the store's keys and knows nothing of vaults.
    fn ravage_part(&self) -> Spoiled {
        let here = self.server.scene.path("part");
        self.server.store.dump(&self.part, &here);
        let spoiled = ravage(&here, &BTreeSet::new());
        self.server.store.put(&self.part, &here);
        fs::remove_dir_all(here).unwrap();
        spoiled
    }

    /// Every point of both copies restores, and nothing is found in either.
    fn assert_well(&self) {
        for more in [&[][..], &["--online"]] {
            assert_eq!(self.verify(more).done()["damage"].as_array().map(Vec::len), Some(0));
        }
        for (id, copy) in &self.points {
            assert_same(copy, &self.server.scene.recovered(id));
        }
        for (id, copy) in &self.online {
            let to = self.server.scene.path(&format!("online-{id}"));
            self.server.run(args!["recover", id, "--online", "--to", to]);
            assert_same(copy, &to);
            fs::remove_dir_all(to).unwrap();
        }
    }
}

fn id_of(point: &Value) -> String {
    point["id"].as_str().unwrap().to_owned()
}

/// Spoils every second pack of a volume beyond parity, in all its copies.
fn ravage(volume: &Path, spared: &BTreeSet<PathBuf>) -> Spoiled {
    let mut packs = plain_tree::files_below(&volume.join("packs"));
    packs.retain(|pack| !spared.contains(pack));
    // The largest ones are spoiled in many places.
    packs.sort_by_key(|pack| std::cmp::Reverse(fs::metadata(pack).unwrap().len()));
    let mut spoiled = Spoiled::default();
    for pack in packs.iter().step_by(2) {
        for file in [pack.clone(), volume.join("mirror").join(pack.strip_prefix(volume).unwrap())] {
            if file.exists() {
                spoiled.places += ravage_pack(&file, spoiled.packs);
            }
        }
        spoiled.packs += 1;
    }
    assert!(spoiled.packs >= ROUNDS && spoiled.places >= PLACES, "{spoiled:?} of {packs:?}");
    println!("{spoiled:?}");
    spoiled
}

/// In how many places.
fn ravage_pack(file: &Path, number: usize) -> usize {
    let length = fs::metadata(file).unwrap().len();
    match number % 4 {
        0 => {
            // Every second page of the file: parity has one for 64.
            let pages = fs::File::options().write(true).open(file).unwrap();
            let starts = (0..length).step_by(2 * PAGE.len());
            return starts.map(|at| pages.write_all_at(&PAGE, at).unwrap()).count();
        }
        1 => fs::remove_file(file).unwrap(),
        2 => fs::write(file, &fs::read(file).unwrap()[..100]).unwrap(),
        _ => fs::write(file, vec![0; usize::try_from(length).unwrap()]).unwrap(),
    }
    1
}

fn assert_mended(report: &Value, spoiled: &Spoiled, from: &str) {
    let damage = report["damage"].as_array().unwrap();
    assert!(damage.len() >= spoiled.packs, "{report}");
    assert!(damage.iter().all(|one| one["mended"] == true), "{report}");
    let told = |one: &&Value| one["what"].as_str().unwrap().contains(&format!("; mended from {from}"));
    assert!(damage.iter().filter(told).count() >= spoiled.packs, "{report}");
    assert_eq!(report["affected_points"], serde_json::json!([]), "{report}");
}

fn what_the_pool_lost_comes_from_the_vault_and_the_other_way_round(store: &Store) {
    let specimen = Specimen::new(store, 81);
    let spoiled = specimen.ravage_pool();
    let found = specimen.verify(&[]).json_with_code(1);
    assert!(!found["affected_points"].as_array().unwrap().is_empty(), "{found}");
    let listed = specimen.server.run(args!["vault", "list"]);
    let name = listed["vaults"][0]["name"].as_str().unwrap_or_else(|| panic!("{listed}"));
    assert_mended(&specimen.verify(&["--repair"]).done(), &spoiled, &format!("the vault {name}"));
    specimen.assert_well();

    let spoiled = specimen.ravage_part();
    let found = specimen.verify(&["--online"]).json_with_code(1);
    assert!(!found["affected_points"].as_array().unwrap().is_empty(), "{found}");
    let from = format!("the volume {}", specimen.server.scene.pool.display());
    assert_mended(&specimen.verify(&["--online", "--repair"]).done(), &spoiled, &from);
    specimen.assert_well();
}

#[test]
fn what_a_pool_lost_comes_from_a_vault_in_a_directory_and_the_other_way_round() {
    super::on(Service::Directory, "mending", what_the_pool_lost_comes_from_the_vault_and_the_other_way_round);
}

#[test]
fn a_vault_that_is_away_is_named_and_what_is_lost_stays_named() {
    let store = Store::of(Service::Directory, "vault_away").unwrap();
    let specimen = Specimen::new(&store, 82);
    specimen.ravage_pool();
    let (vault, away) = (PathBuf::from(store.url()), specimen.server.scene.path("away"));
    fs::rename(&vault, &away).unwrap();
    let outcome = specimen.verify(&["--repair"]);
    let report = outcome.json_with_code(1);
    assert!(!report["affected_points"].as_array().unwrap().is_empty(), "{report}");
    assert!(outcome.stderr().contains("the vault vault could not help to mend"), "{outcome}");
    // Back again, it mends what is missed still, although the damaged packs have left.
    fs::rename(&away, &vault).unwrap();
    let report = specimen.verify(&["--repair"]).done();
    assert_eq!(report["affected_points"], serde_json::json!([]), "{report}");
    specimen.assert_well();
}
