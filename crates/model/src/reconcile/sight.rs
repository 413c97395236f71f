//! Which volumes are believed.

use std::collections::{BTreeMap, BTreeSet};

use super::{Holdings, Known, Observed, Quarantined, Seen, Unreachable};
use crate::VolumeId;

/// A volume that is there, once, whole and ours.
pub(super) struct Believed<'a> {
    pub(super) volume: VolumeId,
    pub(super) location: &'a str,
    pub(super) holdings: &'a Holdings,
}

/// What the sightings come to.
#[derive(Default)]
pub(super) struct Sight<'a> {
    /// Those with the newest capsule first: what they say of groups and sources goes before what others say.
    pub(super) believed: Vec<Believed<'a>>,
    pub(super) unreachable: Vec<Unreachable>,
    pub(super) quarantined: Vec<Quarantined>,
}

pub(super) fn sight<'a>(known: &'a Known, observed: &'a Observed) -> Sight<'a> {
    let mut places: BTreeMap<VolumeId, BTreeMap<&str, &Seen>> = BTreeMap::new();
    for sighting in &observed.sightings {
        places.entry(sighting.volume).or_default().insert(&sighting.location, &sighting.seen);
    }
    let volumes: BTreeSet<VolumeId> = known.volumes.keys().chain(places.keys()).copied().collect();
    let mut sight = Sight::default();
    for volume in volumes {
        let nowhere = BTreeMap::new();
        look(
            &mut sight,
            known.volumes.get(&volume).map(String::as_str),
            volume,
            places.get(&volume).unwrap_or(&nowhere),
        );
    }
    sight.believed.sort_by_key(|found| (std::cmp::Reverse(found.holdings.capsule), found.volume));
    sight
}

/// Judges one volume by all the places where it was seen or missed.
fn look<'a>(sight: &mut Sight<'a>, known: Option<&str>, volume: VolumeId, places: &BTreeMap<&'a str, &'a Seen>) {
    let mut here = Vec::new();
    let mut away = None;
    for (location, seen) in places {
        match seen {
            Seen::Here(holdings) => here.push(Believed { volume, location, holdings }),
            Seen::Away { why } => away = away.or(Some((*location, why.clone()))),
            Seen::OfAnother { server, name } => sight.quarantined.push(Quarantined {
                volume,
                what: (*location).to_owned(),
                why: format!("the volume there belongs to another server, {name} ({server})"),
            }),
        }
    }
    match here.len() {
        1 => sight.believed.append(&mut here),
        0 if known.is_none() && away.is_none() => {}
        0 => {
            let (location, why) = away.unwrap_or(("", "it was found in no place that was looked at".to_owned()));
            let location = known.unwrap_or(location).to_owned();
            sight.unreachable.push(Unreachable { volume, location, why });
        }
        _ => {
            let all: Vec<&str> = here.iter().map(|found| found.location).collect();
            let why = format!(
                "there are two of it, at {}: one is a copy of the other, and neither is believed; take the wrong one away",
                all.join(" and at ")
            );
            let location = known.unwrap_or(all[0]).to_owned();
            sight.unreachable.push(Unreachable { volume, location, why });
        }
    }
}
