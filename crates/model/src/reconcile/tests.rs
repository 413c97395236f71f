use proptest::{collection::btree_map, prelude::*, sample::select};

use super::*;
use crate::retention::Retention;

fn volume(n: u8) -> VolumeId {
    VolumeId::from_bytes([n; 16])
}
fn replica(n: u8) -> ReplicaId {
    ReplicaId::from_bytes([n; 16])
}
fn point(n: u8) -> PointId {
    PointId::from_bytes([n; 16])
}
fn source(n: u8) -> SourceId {
    SourceId::from_bytes([n; 16])
}
fn group(n: u8) -> GroupId {
    GroupId::from_bytes([n; 16])
}

fn group_named(n: u8, name: &str) -> Group {
    Group {
        id: group(n),
        name: name.to_owned(),
        retention: Retention::default(),
        every_seconds: None,
        calendar: None,
        online: None,
    }
}

fn description(r: u8, s: u8, g: u8, name: &str) -> Description {
    let source = Source {
        id: source(s),
        kind: crate::policy::SourceKind::Files,
        group: group(g),
        root: format!("/data/{s}").into_bytes(),
        selection: crate::policy::Selection::default(),
        retention: None,
    };
    Description { replica: replica(r), source, group: group_named(g, name) }
}

fn found(p: u8, r: u8, s: u8, proof: Proof) -> FoundPoint {
    FoundPoint { point: point(p), replica: replica(r), source: source(s), state: PointState::Complete, proof }
}

fn damaged() -> Proof {
    Proof::Damaged { why: "a page is gone".to_owned() }
}

/// Volume 1 at `/pool`, with replica 1 of source 1 (group 1, `Default`) and the points named.
fn catalog(state: ReplicaState, points: &[(u8, PointState)]) -> Known {
    Known {
        volumes: [(volume(1), "/pool".to_owned())].into(),
        groups: [(group(1), "Default".to_owned())].into(),
        sources: [source(1)].into(),
        replicas: [(replica(1), KnownReplica { source: source(1), volume: volume(1), state })].into(),
        points: points
            .iter()
            .map(|(p, state)| (point(*p), KnownPoint { replica: replica(1), state: *state }))
            .collect(),
    }
}

fn at(location: &str, seen: Seen) -> Sighting {
    Sighting { volume: volume(1), location: location.to_owned(), seen }
}

fn here(points: Vec<FoundPoint>) -> Observed {
    let described = vec![description(1, 1, 1, "Default")];
    Observed { sightings: vec![at("/pool", Seen::Here(Holdings { described, points, ..Holdings::default() }))] }
}

/// Carries a plan out, as the catalog would: a row needs those that it refers to.
fn apply(known: &Known, plan: &Plan) -> Known {
    let mut after = known.clone();
    for adoption in &plan.adopt {
        match adoption.clone() {
            Adoption::Volume { volume, location } => {
                after.volumes.insert(volume, location);
            }
            Adoption::Group(group) => {
                assert!(after.groups.values().all(|name| *name != group.name), "two groups of one name");
                assert_eq!(after.groups.insert(group.id, group.name), None);
            }
            Adoption::Source(source) => {
                assert!(after.groups.contains_key(&source.group));
                assert!(after.sources.insert(source.id));
            }
            Adoption::Replica { replica, source, volume, state, .. } => {
                assert!(after.sources.contains(&source) && after.volumes.contains_key(&volume));
                assert_eq!(after.replicas.insert(replica, KnownReplica { source, volume, state }), None);
            }
            Adoption::Point { point, replica, volume, state } => {
                assert_eq!(after.replicas[&replica].volume, volume);
                assert_eq!(after.points.insert(point, KnownPoint { replica, state }), None);
            }
        }
    }
    for (point, state) in &plan.points {
        after.points.get_mut(point).unwrap().state = *state;
    }
    for (replica, state, _) in &plan.replicas {
        after.replicas.get_mut(replica).unwrap().state = *state;
    }
    after
}

#[test]
fn an_empty_catalog_takes_everything_from_the_volume() {
    let plan = Plan::new(&Known::default(), &here(vec![found(1, 1, 1, Proof::Metadata)]));
    assert!(plan.is_clean());
    let (location, cause) = ("/pool".to_owned(), None);
    let Description { source: the_source, group: the_group, .. } = description(1, 1, 1, "Default");
    let (volume, replica, point) = (volume(1), replica(1), point(1));
    let expected = vec![
        Adoption::Volume { volume, location },
        Adoption::Group(the_group),
        Adoption::Source(the_source),
        Adoption::Replica { replica, source: source(1), volume, state: ReplicaState::Valid, cause },
        Adoption::Point { point, replica, volume, state: PointState::Complete },
    ];
    assert_eq!(plan.adopt, expected);
}

#[test]
fn nothing_is_concluded_from_an_absence() {
    let known = catalog(ReplicaState::Valid, &[(1, PointState::Complete)]);
    for seen in [vec![], vec![at("/pool", Seen::Away { why: "not mounted".to_owned() })]] {
        let plan = Plan::new(&known, &Observed { sightings: seen });
        assert!(plan.changes_nothing() && !plan.is_clean());
        assert!(plan.missing.is_empty() && plan.quarantined.is_empty());
        assert_eq!(plan.unreachable.len(), 1);
    }
}

#[test]
fn what_a_present_volume_lacks_is_missing_and_is_found_again() {
    let known = catalog(ReplicaState::Valid, &[(1, PointState::Complete), (2, PointState::Complete)]);
    let one = Plan::new(&known, &here(vec![found(1, 1, 1, Proof::Metadata)]));
    assert_eq!(one.points, [(point(2), PointState::Missing)]);
    assert!(one.replicas.is_empty(), "what is there is proved");
    assert_eq!(one.missing, [Missing { volume: volume(1), what: Thing::Point(point(2)), known: false }]);

    let all = Plan::new(&known, &here(vec![]));
    assert_eq!(all.replicas[0].1, ReplicaState::Missing);
    assert_eq!(all.missing.len(), 3);
    let lost = apply(&known, &all);
    assert!(Plan::new(&lost, &here(vec![])).missing.iter().all(|missing| missing.known));

    let back = Plan::new(&lost, &here(vec![found(1, 1, 1, Proof::Metadata), found(2, 1, 1, Proof::Metadata)]));
    assert_eq!(back.found_again.len(), 3);
    assert!(back.is_clean());
    assert_eq!(apply(&lost, &back), known);
}

#[test]
fn a_damaged_point_is_told_of_and_marked_and_stays_so_until_its_data_is_proved() {
    let known = catalog(ReplicaState::Valid, &[(1, PointState::Complete), (2, PointState::Complete)]);
    let plan = Plan::new(&known, &here(vec![found(1, 1, 1, damaged()), found(2, 1, 1, Proof::Metadata)]));
    assert_eq!(plan.points, [(point(1), PointState::Damaged)]);
    assert!(plan.replicas.is_empty() && plan.quarantined.len() == 1);
    let known = apply(&known, &plan);
    for (proof, changes) in [(Proof::Metadata, 0), (Proof::Data, 1)] {
        let plan = Plan::new(&known, &here(vec![found(1, 1, 1, proof), found(2, 1, 1, Proof::Metadata)]));
        assert_eq!((plan.points.len(), plan.found_again.len()), (changes, changes));
    }
}

#[test]
fn an_object_that_cannot_be_proved_is_named_and_never_adopted() {
    let mut known = catalog(ReplicaState::Valid, &[(1, PointState::Complete)]);
    let unproved = |p| Unproved {
        object: format!("replicas/a/b/{p}"),
        why: "the signature does not hold".to_owned(),
        point: Some((replica(1), point(p))),
    };
    let holdings = Holdings { unproved: vec![unproved(1), unproved(2)], ..Holdings::default() };
    let observed = Observed { sightings: vec![at("/pool", Seen::Here(holdings))] };
    let plan = Plan::new(&known, &observed);
    assert_eq!(plan.quarantined.len(), 2);
    assert!(plan.adopt.is_empty() && plan.missing.is_empty());
    assert_eq!(plan.points, [(point(1), PointState::Damaged)]);
    known.points.clear();
    assert!(Plan::new(&known, &observed).adopt.is_empty());
}

#[test]
fn of_two_volumes_with_one_guid_neither_is_believed() {
    let known = catalog(ReplicaState::Valid, &[(1, PointState::Complete)]);
    let mut observed = here(vec![]);
    observed.sightings.push(at("/copy", Seen::Here(Holdings::default())));
    let plan = Plan::new(&known, &observed);
    assert!(plan.changes_nothing() && plan.missing.is_empty());
    assert!(plan.unreachable[0].why.contains("/copy") && plan.unreachable[0].why.contains("/pool"));
}

#[test]
fn a_volume_that_was_moved_gets_its_new_place_and_one_of_another_server_none() {
    let known = catalog(ReplicaState::Valid, &[(1, PointState::Complete)]);
    let Seen::Here(holdings) = here(vec![found(1, 1, 1, Proof::Metadata)]).sightings.remove(0).seen else { panic!() };
    let away = at("/pool", Seen::Away { why: "not mounted".to_owned() });
    let plan = Plan::new(&known, &Observed { sightings: vec![away, at("/mnt", Seen::Here(holdings))] });
    assert_eq!(plan.adopt, [Adoption::Volume { volume: volume(1), location: "/mnt".to_owned() }]);
    assert!(plan.is_clean());

    let foreign = Seen::OfAnother { server: ServerId::from_bytes([9; 16]), name: "other".to_owned() };
    let sightings = vec![Sighting { volume: volume(7), location: "/theirs".to_owned(), seen: foreign }];
    let plan = Plan::new(&Known::default(), &Observed { sightings });
    assert!(plan.changes_nothing() && plan.unreachable.is_empty());
    assert!(plan.quarantined[0].why.contains("other"));
}

#[test]
fn a_source_is_made_from_the_capsule_where_the_volume_has_no_text_of_its_own() {
    let points = vec![found(1, 1, 1, Proof::Metadata)];
    let chartered = vec![description(1, 1, 2, "Default")];
    let with = |chartered| {
        let holdings = Holdings { chartered, points: points.clone(), ..Holdings::default() };
        Observed { sightings: vec![at("/pool", Seen::Here(holdings))] }
    };
    let mut known = catalog(ReplicaState::Valid, &[]);
    (known.sources, known.replicas) = Default::default();
    let plan = Plan::new(&known, &with(chartered));
    assert!(plan.is_clean());
    assert!(
        plan.adopt.contains(&Adoption::Group(group_named(2, "Default 2"))),
        "two groups of one name: {:?}",
        plan.adopt
    );
    let plan = Plan::new(&known, &with(vec![]));
    assert!(plan.adopt.is_empty() && plan.quarantined.len() == 1);
}

#[test]
fn states_that_people_decided_stay() {
    let point = || vec![found(1, 1, 1, Proof::Metadata)];
    for state in [ReplicaState::Stopped, ReplicaState::ManualCreationPending, ReplicaState::Inconsistent] {
        assert!(Plan::new(&catalog(state, &[]), &here(vec![])).replicas.is_empty(), "{state}");
    }
    assert!(Plan::new(&catalog(ReplicaState::Stopped, &[]), &here(point())).replicas.is_empty());
    let gone = Plan::new(&catalog(ReplicaState::Stopped, &[(1, PointState::Complete)]), &here(vec![]));
    assert!(gone.replicas.is_empty() && gone.missing.len() == 1);
}

// Random catalogs and volumes, out of few ids, so that they often meet.

fn replica_states() -> impl Strategy<Value = ReplicaState> {
    select(ReplicaState::ALL.map(|(state, _)| state).to_vec())
}

fn point_states() -> impl Strategy<Value = PointState> {
    select(vec![PointState::Complete, PointState::Partial, PointState::Damaged, PointState::Missing])
}

prop_compose! {
    fn catalogs()(
        volumes in btree_map(0u8..3, 0u8..3, 0..3),
        groups in btree_map(0u8..3, 0u8..2, 0..3),
        replicas in btree_map(0u8..4, (0u8..3, 0u8..3, replica_states()), 0..4),
        points in btree_map(0u8..8, (0u8..4, point_states()), 0..8),
    ) -> Known {
        let volumes = volumes.iter().map(|(v, place)| (volume(*v), format!("/v{v}/{place}"))).collect();
        let mut known = Known { volumes, ..Known::default() };
        // Names are unique in a catalog.
        for (g, name) in groups {
            let name = format!("Group {name}");
            if known.groups.values().all(|other| *other != name) {
                known.groups.insert(group(g), name);
            }
        }
        for (r, (v, s, state)) in replicas {
            if known.volumes.contains_key(&volume(v)) {
                known.sources.insert(source(s));
                known.replicas.insert(replica(r), KnownReplica { source: source(s), volume: volume(v), state });
            }
        }
        for (p, (r, state)) in points {
            if known.replicas.contains_key(&replica(r)) {
                known.points.insert(point(p), KnownPoint { replica: replica(r), state });
            }
        }
        known
    }
}

fn proofs() -> impl Strategy<Value = Proof> {
    prop_oneof![3 => Just(Proof::Metadata), 1 => Just(Proof::Data), 1 => Just(damaged())]
}

fn descriptions() -> impl Strategy<Value = Vec<Description>> {
    let one = (0u8..3, 0u8..3, 0u8..2);
    btree_map(0u8..4, one, 0..4).prop_map(|all| {
        all.into_iter().map(|(r, (s, g, name))| description(r, s, g, &format!("Group {name}"))).collect()
    })
}

prop_compose! {
    fn holdings()(
        described in descriptions(),
        chartered in descriptions(),
        points in btree_map((0u8..8, 0u8..4), (0u8..3, proofs()), 0..8),
        unproved in btree_map((0u8..4, 0u8..8), Just(()), 0..2),
        capsule in proptest::option::of((1u64..3, 0u64..3)),
    ) -> Holdings {
        let points = points.into_iter().map(|((p, r), (s, proof))| found(p, r, s, proof)).collect();
        let unproved = unproved.into_keys().map(|(r, p)| Unproved {
            object: format!("replicas/x/{r}/{p}"),
            why: "unsigned".to_owned(),
            point: Some((replica(r), point(p))),
        });
        Holdings { described, chartered, points, unproved: unproved.collect(), capsule }
    }
}

fn sights() -> impl Strategy<Value = Seen> {
    prop_oneof![
        4 => holdings().prop_map(Seen::Here),
        1 => Just(Seen::Away { why: "unplugged".to_owned() }),
        1 => Just(Seen::OfAnother { server: ServerId::from_bytes([9; 16]), name: "other".to_owned() }),
    ]
}

fn observations() -> impl Strategy<Value = Observed> {
    btree_map((0u8..4, 0u8..3), sights(), 0..5).prop_map(|all| {
        let one = |((v, place), seen)| Sighting { volume: volume(v), location: format!("/v{v}/{place}"), seen };
        Observed { sightings: all.into_iter().map(one).collect() }
    })
}

fn reversed(observed: &Observed) -> Observed {
    let mut observed = observed.clone();
    observed.sightings.reverse();
    for sighting in &mut observed.sightings {
        if let Seen::Here(holdings) = &mut sighting.seen {
            holdings.described.reverse();
            holdings.chartered.reverse();
            holdings.points.reverse();
            holdings.unproved.reverse();
        }
    }
    observed
}

/// Volumes that were seen at exactly one place, whole.
fn in_sight(observed: &Observed) -> BTreeSet<VolumeId> {
    let here = |v: VolumeId| {
        observed.sightings.iter().filter(|s| s.volume == v && matches!(s.seen, Seen::Here(_))).count() == 1
    };
    observed.sightings.iter().map(|s| s.volume).filter(|v| here(*v)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn a_plan_carried_out_and_made_again_changes_nothing((known, observed) in (catalogs(), observations())) {
        let plan = Plan::new(&known, &observed);
        let after = apply(&known, &plan);
        let again = Plan::new(&after, &observed);
        prop_assert!(again.changes_nothing(), "{again:#?}");
        prop_assert!(again.found_again.is_empty());
        let told = |plan: &Plan| plan.quarantined.iter().map(|q| (q.volume, q.what.clone())).collect::<Vec<_>>();
        prop_assert_eq!(told(&again), told(&plan));
        prop_assert_eq!(&again.unreachable, &plan.unreachable);
        prop_assert!(again.missing.iter().all(|missing| missing.known));
        prop_assert_eq!(again.is_clean(), plan.is_clean());
    }

    #[test]
    fn the_order_of_finding_does_not_matter((known, observed) in (catalogs(), observations())) {
        prop_assert_eq!(Plan::new(&known, &observed), Plan::new(&known, &reversed(&observed)));
    }

    #[test]
    fn nothing_is_lost_and_nothing_invented((known, observed) in (catalogs(), observations())) {
        let plan = Plan::new(&known, &observed);
        let after = apply(&known, &plan);
        prop_assert!(known.points.keys().all(|point| after.points.contains_key(point)));
        prop_assert!(known.replicas.keys().all(|replica| after.replicas.contains_key(replica)));
        let believed = in_sight(&observed);
        let mut proved = BTreeSet::new();
        for sighting in observed.sightings.iter().filter(|s| believed.contains(&s.volume)) {
            if let Seen::Here(holdings) = &sighting.seen {
                proved.extend(holdings.points.iter().map(|found| found.point));
            }
        }
        let told = |point: &PointId| plan.quarantined.iter().any(|q| q.what.ends_with(&point.to_string()));
        prop_assert!(proved.iter().all(|point| after.points.contains_key(point) || told(point)));
        prop_assert!(after.points.keys().all(|point| known.points.contains_key(point) || proved.contains(point)));
    }

    #[test]
    fn what_is_away_keeps_its_state((known, observed) in (catalogs(), observations())) {
        let after = apply(&known, &Plan::new(&known, &observed));
        let believed = in_sight(&observed);
        for (id, replica) in known.replicas.iter() {
            if !believed.contains(&replica.volume) || replica.state == ReplicaState::Stopped {
                prop_assert_eq!(&after.replicas[id], replica);
            }
        }
        for (id, point) in &known.points {
            if !believed.contains(&known.replicas[&point.replica].volume) {
                prop_assert_eq!(&after.points[id], point);
            }
        }
    }
}
