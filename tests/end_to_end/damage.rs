//! Random single damages to a volume: each is found, none is restored as if it were right, none makes a restore hang,
//! and what one damage does not touch comes back.

mod inflict;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use inflict::{Damage, Inflicted};
use resurgam_tests::{Outcome, Program, Random, Scene, args, assert_same, differences, parts::count_from, plain_tree};

/// A restore of a few megabytes may take no longer, whatever is broken.
const RESTORE_LIMIT: Duration = Duration::from_secs(10);

/// A server with several packs and points, and copies of it from before any damage.
struct Specimen {
    scene: Scene,
    /// Id of each point and what it must give back.
    points: Vec<(String, PathBuf)>,
}

/// How a restore of a damaged volume went.
#[derive(Debug, Default)]
struct Tally {
    restores: u64,
    whole: u64,
    refused: u64,
    files_right: u64,
    files_named: u64,
}

impl Specimen {
    fn new(random: &mut Random) -> Self {
        let scene = Scene::new();
        plain_tree::build(&scene.source, plain_tree::Size::SMALL, random);
        let mut points = Vec::new();
        for round in 0..4 {
            let copy = scene.path(&format!("copy-{round}"));
            plain_tree::copy(&scene.source, &copy);
            points.push((scene.take_point().id, copy));
            plain_tree::change(&scene.source, 0.2, random);
        }
        plain_tree::copy(&scene.pool, &scene.path("whole-pool"));
        plain_tree::copy(&scene.home, &scene.path("whole-home"));
        Self { scene, points }
    }

    /// Undoes all damage, and all that verify has noted of it.
    fn make_whole(&self) {
        for (current, whole) in [(&self.scene.pool, "whole-pool"), (&self.scene.home, "whole-home")] {
            fs::remove_dir_all(current).unwrap();
            plain_tree::copy(&self.scene.path(whole), current);
        }
    }

    /// Restores a point and holds the result against what it must be.
    fn restore(&self, number: usize, by_reader: bool, inflicted: &Inflicted, tally: &mut Tally) -> Outcome {
        let (id, copy) = &self.points[number];
        let to = self.scene.path("restored");
        let outcome = if by_reader {
            let reader = Program::new(self.scene.path("no-home"));
            reader.run(args!["reader", "recover", self.scene.pool, id, "--to", to])
        } else {
            self.scene.recover(id, &to)
        };
        assert!(outcome.took() < RESTORE_LIMIT, "{inflicted}: {outcome}");
        tally.restores += 1;
        if outcome.code() == Some(0) {
            tally.whole += 1;
            assert_eq!(outcome.json()["unproved"], serde_json::json!([]), "{inflicted}: {outcome}");
            let lines = differences(copy, &to);
            assert!(lines.is_empty(), "{inflicted}: said to be right and is not: {lines:#?}");
        } else if outcome.json()["error"].is_object() {
            tally.refused += 1;
            outcome.failed();
            // Nothing at all came back: then the damage must lie where everything hangs on it.
            assert!(inflicted.may_stop_everything(id), "{inflicted}: {outcome}");
        } else {
            self.assert_named(copy, &to, &outcome, inflicted, tally);
        }
        if to.exists() {
            fs::remove_dir_all(&to).unwrap();
        }
        outcome
    }

    /// Every file is right or named.
    fn assert_named(&self, copy: &Path, to: &Path, outcome: &Outcome, inflicted: &Inflicted, tally: &mut Tally) {
        let named: BTreeSet<String> = outcome.texts_in("unproved", "path").into_iter().collect();
        let lost: Vec<(PathBuf, Option<PathBuf>)> =
            outcome.texts_in("unproved", "error").iter().filter_map(|error| range_in(error)).collect();
        assert!(!named.is_empty(), "{inflicted}: failed and names nothing: {outcome}");
        for file in plain_tree::files_below(copy) {
            let relative = file.strip_prefix(copy).unwrap().to_str().unwrap();
            let right = fs::read(to.join(relative)).is_ok_and(|bytes| bytes == fs::read(&file).unwrap());
            let path = Path::new(relative);
            // Where the list of entries itself has a hole, nobody can know the names in it, only what lies around it.
            let is_in_hole = lost.iter().any(|(from, to)| path > from && to.as_ref().is_none_or(|to| path < to));
            let is_named = is_in_hole || named.iter().any(|name| path.starts_with(name));
            assert!(right || is_named, "{inflicted}: {relative} is wrong and not named: {named:?}");
            tally.files_right += u64::from(right);
            tally.files_named += u64::from(is_named);
        }
    }
}

/// The entries between which a hole lies, from "entries between A and B could not be read"; `None` for B: to the end.
fn range_in(error: &str) -> Option<(PathBuf, Option<PathBuf>)> {
    let (from, to) = error.strip_prefix("entries between ")?.split_once(" could not be read")?.0.split_once(" and ")?;
    let from = if from == "." { "" } else { from };
    Some((from.into(), (to != "the end").then(|| to.into())))
}

#[test]
fn every_single_damage_is_found_and_never_restored_as_right() {
    let mut random = Random::for_test("damage", 71);
    let specimen = Specimen::new(&mut random);
    let mut tallies: std::collections::BTreeMap<String, Tally> = std::collections::BTreeMap::new();
    for round in 0..count_from("RESURGAM_DAMAGES", 30) {
        let inflicted = Inflicted::at_random(round, &specimen.scene.pool, &mut random);
        println!("{round}: {inflicted}");
        let tally = tallies.entry(inflicted.class()).or_default();
        // Restored before verify has seen it: nobody has been warned.
        let number = random.index(specimen.points.len());
        specimen.restore(number, round % 2 == 0, &inflicted, tally);
        specimen.restore(specimen.points.len() - 1, round % 2 == 1, &inflicted, tally);

        let verify = specimen.scene.verify();
        let document = verify.json();
        let listed = document["damage"].as_array().is_some_and(|damage| !damage.is_empty());
        let found = verify.code() == Some(1) || listed;
        if !found && inflicted.may_be_harmless() {
            specimen.make_whole();
            continue;
        }
        assert!(found, "{inflicted} was not found: {verify}");
        assert!(inflicted.is_named_in(verify.stdout()), "{inflicted}: the damaged object is not named: {verify}");

        if inflicted.is_within_parity() {
            let repair = specimen.scene.program().run(args!["verify", "--read-data", "--repair"]);
            repair.done();
            specimen.scene.assert_sound();
            let whole = specimen.restore(specimen.points.len() - 1, false, &inflicted, tally);
            whole.done();
        }
        specimen.make_whole();
    }
    for (class, tally) in tallies {
        println!("{class}: {tally:?}");
    }
    specimen.scene.assert_sound();
}

#[test]
fn a_damaged_page_in_every_pack_is_mended_from_parity_alone() {
    let mut random = Random::for_test("damaged_pages", 72);
    let specimen = Specimen::new(&mut random);
    let packs = plain_tree::files_below(&specimen.scene.pool.join("packs"));
    assert!(packs.len() >= 4, "{packs:?}");
    let before: Vec<Vec<u8>> = packs.iter().map(|pack| fs::read(pack).unwrap()).collect();
    for pack in &packs {
        inflict::zero_page(pack, &mut random);
    }
    let found = specimen.scene.verify();
    let found = found.json_with_code(1);
    assert!(found["damage"].as_array().unwrap().len() >= packs.len(), "{found}");
    let repaired = specimen.scene.program().run(args!["verify", "--read-data", "--repair"]).done();
    let mended = repaired["damage"].as_array().unwrap().iter().filter(|damage| damage["mended"] == true).count();
    assert!(mended >= packs.len(), "{repaired}");
    for (pack, before) in packs.iter().zip(&before) {
        assert!(fs::read(pack).is_ok_and(|bytes| bytes == *before), "{} is not what it was", pack.display());
    }
    specimen.scene.assert_sound();
    for (id, copy) in &specimen.points {
        assert_same(copy, &specimen.scene.recovered(id));
    }
}

#[test]
fn what_the_source_still_has_heals_at_the_next_backup() {
    let mut random = Random::for_test("heal", 73);
    let specimen = Specimen::new(&mut random);
    let packs = plain_tree::files_below(&specimen.scene.pool.join("packs"));
    let largest = packs.iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap();
    fs::remove_file(largest).unwrap();
    assert_eq!(specimen.scene.verify().code(), Some(1));
    // Whatever the verified volume lacks is read and stored again: the new point is whole.
    let outcome =
        specimen.scene.program().run(args!["backup", "--source", specimen.scene.source, "--consistency-check"]);
    outcome.done();
    assert_same(&specimen.scene.source, &specimen.scene.recovered(&outcome.point().id));
}

#[test]
fn a_deleted_point_is_missed_and_the_others_stay() {
    let mut random = Random::for_test("deleted_point", 74);
    let specimen = Specimen::new(&mut random);
    let (id, copy) = &specimen.points[1];
    let copies: Vec<PathBuf> = plain_tree::files_below(&specimen.scene.pool)
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name == id.as_str()))
        .collect();
    assert!(!copies.is_empty(), "no file for {id}");
    for (number, file) in copies.iter().enumerate() {
        fs::remove_file(file).unwrap();
        let verify = specimen.scene.verify();
        assert!(verify.code() == Some(1) || verify.json()["damage"] != serde_json::json!([]), "{verify}");
        assert!(verify.stdout().contains(id.as_str()), "{verify}");
        let to = specimen.scene.path(&format!("to-{number}"));
        let outcome = specimen.scene.recover(id, &to);
        if number + 1 < copies.len() && outcome.code() == Some(0) {
            assert_same(copy, &to);
        } else {
            let failure = outcome.failed();
            assert!(failure.speaks_of(&[id]), "{failure:?}");
        }
    }
    for (id, copy) in specimen.points.iter().filter(|(other, _)| other != id) {
        assert_same(copy, &specimen.scene.recovered(id));
    }
}

#[test]
fn a_prune_of_a_damaged_volume_deletes_nothing_that_a_point_needs() {
    let mut random = Random::for_test("prune_damaged", 75);
    let specimen = Specimen::new(&mut random);
    for damage in [Damage::Delete, Damage::CutOff, Damage::Garbage] {
        for part in ["index", "packs", "replicas"] {
            let files = plain_tree::files_below(&specimen.scene.pool.join(part));
            let Some(file) = files.first() else { continue };
            let inflicted = Inflicted::on(damage, file, &specimen.scene.pool, &mut random);
            let before = restorable(&specimen, &inflicted);
            for _ in 0..2 {
                // It may refuse; it may not make it worse.
                let outcome = specimen.scene.program().run(args!["prune"]);
                assert!(matches!(outcome.code(), Some(0 | 1)), "{inflicted}: {outcome}");
            }
            let after = restorable(&specimen, &inflicted);
            assert!(after >= before, "{inflicted}: {before} files came back before the prune, {after} after it");
            specimen.make_whole();
        }
    }
}

/// How many files come back right, over all points.
fn restorable(specimen: &Specimen, inflicted: &Inflicted) -> u64 {
    let mut right = 0;
    for (number, (_, copy)) in specimen.points.iter().enumerate() {
        let mut tally = Tally::default();
        specimen.restore(number, false, inflicted, &mut tally);
        right += if tally.whole == 1 { plain_tree::files_below(copy).len() as u64 } else { tally.files_right };
    }
    right
}
