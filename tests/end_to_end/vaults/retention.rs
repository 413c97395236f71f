//! Many online points: each costs what the others do, each restores, and a policy leaves what it says.

use std::fs;

use resurgam_tests::{Service, Store, args, assert_same, parts::count_from};

use super::{Owner, Protected, last_cost};

on_each_store!(many_points_cost_the_same_each_restore_and_expire_by_the_policy);

/// As many on one store; what is left to the other shows the same, but for its hundreds.
const POINTS: u64 = 130;
const POINTS_ELSEWHERE: u64 = 30;
const KEPT: usize = 20;

fn many_points_cost_the_same_each_restore_and_expire_by_the_policy(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "many_points", 451);
    let program = server.scene.program();
    let note = server.scene.source.join("changes");
    let mut contents = Vec::new();
    let mut costs = Vec::new();
    let usual = if store.service() == Service::Azurite { POINTS } else { POINTS_ELSEWHERE };
    for number in 0..count_from("RESURGAM_POINTS", usual) {
        let content = format!("{number}: {:x}\n", server.random.number());
        fs::write(&note, &content).unwrap();
        server.run(args!["backup", "--online", "--source", server.scene.source]);
        contents.push(content);
        costs.push(last_cost(&program, &server.scene.source));
    }
    let (second, last) = (costs[1], costs[costs.len() - 1]);
    println!("the second point cost {second:?}, the last {last:?}");
    assert!(last.requests * 2 <= second.requests * 3, "{costs:?}");
    assert!(last.bytes_up * 2 <= second.bytes_up * 3, "{costs:?}");
    let made = server.points();
    assert_eq!(made.len(), contents.len());

    let step = (made.len() / 10).max(1);
    for (point, content) in made.iter().zip(&contents).step_by(step) {
        let to = server.scene.path(&format!("to-{}", point.id));
        server.run(args!["recover", point.id, "changes", "--online", "--to", to]);
        assert_eq!(&fs::read_to_string(to.join("changes")).unwrap(), content, "{point:?}");
    }

    let keep = args!["--online-keep-last", KEPT.to_string(), "--online-keep-daily", "7"];
    server.run(args!["group", "set", "Default", "--online"].into_iter().chain(keep));
    // A run gives up a part of them at most, so that a mistake does not cost all.
    for _ in 0..8 {
        let expired = server.run(args!["expire"])["expired"].clone();
        let mut of_source = expired.as_array().unwrap().iter().filter(|point| point["source"] != "DPMDB");
        assert!(of_source.all(|point| point["online"] == true), "the pool keeps everything: {expired}");
    }
    let kept = server.points();
    // Where midnight passed meanwhile, the newest point of the day before stays too.
    assert!((KEPT..KEPT + 2).contains(&kept.len()), "{} points are kept", kept.len());
    assert_eq!(kept[kept.len() - KEPT..], made[made.len() - KEPT..]);
    server.run(args!["prune"]);
    let deleted = server.run(args!["vault", "undelete"]);
    assert_eq!(deleted["deleted"].as_array().map(Vec::len), Some(made.len() - kept.len()), "they can all come back");
    let to = server.scene.path("whole");
    server.run(args!["recover", "latest", "--online", "--source", server.scene.source, "--to", to]);
    assert_same(&server.scene.source, &to);
}
