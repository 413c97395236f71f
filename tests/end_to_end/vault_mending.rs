//! Mending across copies, as a user does it: what the pool lost comes from the vault, and what the vault lost from the pool.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use resurgam_tests::{Outcome, Random, Scene, args, assert_same, plain_tree};
use serde_json::Value;

/// A server whose points are in its pool and in a vault.
struct Specimen {
    scene: Scene,
    /// The server's part of the vault.
    part: PathBuf,
    /// Packs of the pool with what was never copied: points of the catalog, and the source's first.
    only_here: BTreeSet<PathBuf>,
    /// Id of each point in the pool that was copied, and what it must give back.
    points: Vec<(String, PathBuf)>,
    /// The same of each online point.
    online: Vec<(String, PathBuf)>,
}

impl Specimen {
    fn new(random: &mut Random) -> Self {
        let scene = Scene::new();
        fs::write(scene.source.join("first"), "what the first point has").unwrap();
        scene.take_point();
        let (vault, owner) = (scene.path("vault"), scene.path("owner.pem"));
        let (credentials, passphrase) = (scene.path("credentials"), scene.path("passphrase"));
        fs::write(&passphrase, "a passphrase of many letters\n").unwrap();
        fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        let program = scene.program();
        program.run(args!["vault", "create", vault, "--owner-key", owner]).done();
        program.run(args!["vault", "credentials", vault, "--owner-key", owner, "--out", credentials]).done();
        let register = args!["vault", "register", "--credentials", credentials, "--passphrase-file", passphrase];
        program.run(register).done();
        program.run(args!["group", "set", "Default", "--online"]).done();
        let only_here: BTreeSet<PathBuf> = plain_tree::files_below(&scene.pool.join("packs")).into_iter().collect();
        let (mut points, mut online) = (Vec::new(), Vec::new());
        for round in 0..2 {
            if round == 0 {
                fs::create_dir(scene.source.join("tree")).unwrap();
                plain_tree::build(&scene.source.join("tree"), plain_tree::Size::SMALL, random);
            } else {
                plain_tree::change(&scene.source.join("tree"), 0.2, random);
            }
            let copy = scene.path(&format!("copy-{round}"));
            plain_tree::copy(&scene.source, &copy);
            // A point of the pool, and its copy in the vault.
            let made = program.run(args!["backup", "--online", "--source", scene.source]);
            let ids: Vec<String> = made.done()["points"].as_array().unwrap().iter().map(id_of).collect();
            assert_eq!(ids.len(), 2, "{made}");
            points.push((ids[0].clone(), copy.clone()));
            online.push((ids[1].clone(), copy));
        }
        let part = fs::read_dir(vault.join("servers")).unwrap().next().unwrap().unwrap().path();
        Self { scene, part, only_here, points, online }
    }

    fn verify(&self, more: &[&str]) -> Outcome {
        let arguments = ["verify", "--read-data"].iter().chain(more).map(Into::into);
        self.scene.program().run(arguments)
    }

    /// Every point of both copies restores, and nothing is found in either.
    fn assert_well(&self) {
        for more in [&[][..], &["--online"]] {
            assert_eq!(self.verify(more).done()["damage"].as_array().map(Vec::len), Some(0));
        }
        for (id, copy) in &self.points {
            assert_same(copy, &self.scene.recovered(id));
        }
        for (id, copy) in &self.online {
            let to = self.scene.path(&format!("online-{id}"));
            self.scene.program().run(args!["recover", id, "--online", "--to", to]).done();
            assert_same(copy, &to);
            fs::remove_dir_all(to).unwrap();
        }
    }
}

fn id_of(point: &Value) -> String {
    point["id"].as_str().unwrap().to_owned()
}

/// Spoils every second pack of a volume beyond parity, in all its copies. How many it were.
fn ravage(volume: &Path, spared: &BTreeSet<PathBuf>) -> usize {
    let mut packs = plain_tree::files_below(&volume.join("packs"));
    packs.retain(|pack| !spared.contains(pack));
    assert!(packs.len() >= 3, "{packs:?}");
    for (number, pack) in packs.iter().enumerate().step_by(2) {
        for file in [pack.clone(), volume.join("mirror").join(pack.strip_prefix(volume).unwrap())] {
            if !file.exists() {
                continue;
            }
            match number % 3 {
                0 => fs::remove_file(file).unwrap(),
                1 => fs::write(&file, vec![0; fs::metadata(&file).unwrap().len() as usize]).unwrap(),
                _ => fs::write(&file, &fs::read(&file).unwrap()[..100]).unwrap(),
            }
        }
    }
    packs.len().div_ceil(2)
}

fn assert_mended(report: &Value, spoiled: usize, from: &str) {
    let damage = report["damage"].as_array().unwrap();
    assert!(damage.len() >= spoiled, "{report}");
    assert!(damage.iter().all(|one| one["mended"] == true), "{report}");
    let told = |one: &&Value| one["what"].as_str().unwrap().contains(&format!("; mended from {from}"));
    assert!(damage.iter().filter(told).count() >= spoiled, "{report}");
    assert_eq!(report["affected_points"], serde_json::json!([]), "{report}");
}

#[test]
fn what_the_pool_lost_comes_from_the_vault_and_the_other_way_round() {
    let specimen = Specimen::new(&mut Random::for_test("vault_mending", 81));
    let spoiled = ravage(&specimen.scene.pool, &specimen.only_here);
    let found = specimen.verify(&[]).json_with_code(1);
    assert!(!found["affected_points"].as_array().unwrap().is_empty(), "{found}");
    assert_mended(&specimen.verify(&["--repair"]).done(), spoiled, "the vault vault");
    specimen.assert_well();

    let spoiled = ravage(&specimen.part, &BTreeSet::new());
    specimen.verify(&["--online"]).json_with_code(1);
    let from = format!("the volume {}", specimen.scene.pool.display());
    assert_mended(&specimen.verify(&["--online", "--repair"]).done(), spoiled, &from);
    specimen.assert_well();
}

#[test]
fn a_vault_that_is_away_is_named_and_what_is_lost_stays_named() {
    let specimen = Specimen::new(&mut Random::for_test("vault_away", 82));
    ravage(&specimen.scene.pool, &specimen.only_here);
    let (vault, away) = (specimen.scene.path("vault"), specimen.scene.path("away"));
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
