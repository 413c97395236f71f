//! What a sync found and did, as one list for people and one document for programs.

use std::collections::HashMap;

use resurgam_jobs::{JobError, Server};
use resurgam_model::reconcile::{Adoption, Plan, Thing};
use serde::Serialize;

use super::observe::{Observation, named};

/// Something of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    /// `volume`, `group`, `source`, `replica`, `point`, `object`, or another kind of row.
    pub kind: String,
    /// Its id, or its name in the volume.
    pub id: String,
    /// What it is, in words; or why it is in this list.
    pub what: String,
}

impl Item {
    pub(super) fn new(kind: impl Into<String>, id: impl ToString, what: impl Into<String>) -> Self {
        Self { kind: kind.into(), id: id.to_string(), what: what.into() }
    }
}

/// Answer of `dpmsync -Sync`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SyncReport {
    /// What the volumes had and the catalog lacked.
    pub adopted: Vec<Item>,
    /// What the catalog has and its volume, which was read, lacks.
    pub missing: Vec<Item>,
    /// What was missing or damaged before, and is there and proved.
    pub found_again: Vec<Item>,
    /// What could not be proved; left where it is.
    pub quarantined: Vec<Item>,
    /// Volumes of which nothing could be concluded.
    pub unreachable: Vec<Item>,
    /// Replicas whose state changed.
    pub replicas: Vec<Item>,
    /// What the catalog has and a newer configuration did not have any more; kept.
    pub kept: Vec<Item>,
    /// Volumes that were enrolled again with the server's new key.
    pub enrolled: Vec<String>,
    /// Whether nothing is missing, quarantined or unreachable.
    pub clean: bool,
    /// Whether deleting had been forbidden and is allowed again.
    pub thawed: bool,
    /// Whether nothing was changed: this is what would be done.
    pub what_if: bool,
}

impl SyncReport {
    /// Whether anything was, or would be, changed.
    pub fn changes_nothing(&self) -> bool {
        self.adopted.is_empty() && self.found_again.is_empty() && self.replicas.is_empty() && self.enrolled.is_empty()
    }

    pub(super) fn tell(&mut self, server: &Server, plan: &Plan, found: &Observation) -> Result<(), JobError> {
        let names = Names::of(server, found)?;
        for adoption in &plan.adopt {
            self.adopted.push(match adoption {
                Adoption::Volume { volume, location } => Item::new("volume", volume, location),
                Adoption::Group(group) => Item::new("group", group.id, &group.name),
                Adoption::Source(source) => Item::new("source", source.id, named(source)),
                Adoption::Replica { replica, source, .. } => Item::new("replica", replica, names.source(source)),
                Adoption::Point { point, replica, .. } => Item::new("point", point, names.replica(replica)),
            });
        }
        let thing = |what: &Thing| match what {
            Thing::Replica(replica) => Item::new("replica", replica, names.replica(replica)),
            Thing::Point(point) => Item::new("point", point, names.point(point)),
        };
        self.missing.extend(plan.missing.iter().map(|missing| thing(&missing.what)));
        self.missing.sort_by_cached_key(|item| (item.kind == "point", item.what.clone(), item.id.clone()));
        self.found_again.extend(plan.found_again.iter().map(|again| thing(&again.what)));
        for one in &plan.quarantined {
            self.quarantined.push(Item::new("object", &one.what, &one.why));
        }
        for one in &plan.unreachable {
            // Most reasons say where; the others are told it.
            let told = one.why.starts_with(&one.location);
            let what = if told { one.why.clone() } else { format!("{}: {}", one.location, one.why) };
            self.unreachable.push(Item::new("volume", one.volume, what));
        }
        for (replica, state, cause) in &plan.replicas {
            let cause = cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
            self.replicas.push(Item::new("replica", replica, format!("{} {state}{cause}", names.replica(replica))));
        }
        self.enrolled.clone_from(&found.enrolled);
        self.clean = plan.is_clean();
        Ok(())
    }
}

/// What people call sources, replicas and points.
struct Names {
    sources: HashMap<String, String>,
    replicas: HashMap<String, String>,
    points: HashMap<String, String>,
}

impl Names {
    fn of(server: &Server, found: &Observation) -> Result<Self, JobError> {
        let catalog = server.catalog();
        let mut sources: HashMap<String, String> =
            catalog.sources()?.iter().map(|source| (source.id.to_string(), named(source))).collect();
        let mut replicas = HashMap::new();
        let mut points = HashMap::new();
        for (text, _) in found.documents.values() {
            sources.entry(text.source.to_string()).or_insert_with(|| text.root.clone());
            replicas.insert(text.replica.to_string(), text.root.clone());
        }
        for replica in catalog.every_replica()? {
            let name = sources.get(&replica.source.to_string()).cloned().unwrap_or_default();
            replicas.insert(replica.id.to_string(), name);
        }
        for point in catalog.every_entry(None)? {
            let source = sources.get(&point.source.to_string()).cloned().unwrap_or_default();
            let time = point.time.strftime("%Y-%m-%d %H:%M:%S UTC");
            points.insert(point.id.to_string(), format!("{source} of {time}"));
        }
        Ok(Self { sources, replicas, points })
    }

    fn source(&self, id: &impl ToString) -> String {
        self.sources.get(&id.to_string()).cloned().unwrap_or_default()
    }

    fn replica(&self, id: &impl ToString) -> String {
        self.replicas.get(&id.to_string()).cloned().unwrap_or_default()
    }

    fn point(&self, id: &impl ToString) -> String {
        self.points.get(&id.to_string()).cloned().unwrap_or_default()
    }
}
