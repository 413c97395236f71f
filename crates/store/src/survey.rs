//! Surveying a volume: what replicas and points it holds, each proved by its document, without any catalog.
//!
//! A survey concludes nothing from what it could not reach. What is damaged is named; everything else that fails, fails
//! the whole, so that a volume that was unmounted meanwhile is never taken for an empty one.

use std::collections::{BTreeMap, BTreeSet};

use resurgam_model::PointId;

use crate::{
    document::Documents,
    error::{Fault, StoreError},
    meter::Cancel,
    pack::MIRROR,
    parallel,
    point::{PointText, REPLICAS, ReplicaPlace, ReplicaText},
    volume::Volume,
};

/// What a volume holds.
#[derive(Debug, Default)]
pub struct Survey {
    /// Its replicas, by place; also those of which nothing could be proved.
    pub replicas: BTreeMap<ReplicaPlace, SurveyedReplica>,
    /// What is there and cannot be proved, by name; [`ReplicaPlace::of_object`] says what it should have been.
    pub unproved: Vec<Unproved>,
}

/// A replica, as far as its documents are proved.
#[derive(Debug, Default)]
pub struct SurveyedReplica {
    /// What the volume says of it. `None`: it has no description, or none that is proved.
    pub description: Option<ReplicaText>,
    /// Its points, by id.
    pub points: Vec<SurveyedPoint>,
}

/// A point that is proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedPoint {
    /// What it says.
    pub text: PointText,
    /// The signed document that says so.
    pub document: String,
}

/// An object that is not what its name promises.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unproved {
    /// Its name in the volume.
    pub object: String,
    /// Why it is not believed.
    pub why: String,
}

/// One document, proved or not.
enum Found {
    Replica(ReplicaPlace, Box<ReplicaText>),
    Point(ReplicaPlace, Box<SurveyedPoint>),
    Unproved(Unproved),
    /// Given up since it was listed.
    Gone(String),
}

impl Volume {
    /// Reads and proves every document of replicas and points, with several threads. Of each the first copy is read, and
    /// the second where the first does not do.
    ///
    /// # Errors
    /// Where anything cannot be listed or read, the volume is no longer there, or the caller asked to stop.
    pub fn survey(&self, threads: usize, cancel: &Cancel) -> Result<Survey, StoreError> {
        self.must_be_there()?;
        let names: Vec<String> = self.names_of_replicas()?.into_iter().collect();
        let found = parallel::map(
            names,
            threads,
            || self.documents(),
            |documents, name| {
                if cancel.is_cancelled() { Err(StoreError::Cancelled) } else { self.look(documents, name) }
            },
        )?;
        let mut survey = Survey::default();
        let mut gone = Vec::new();
        for found in found {
            match found {
                Found::Replica(place, text) => {
                    survey.replicas.entry(place).or_default().description = Some(*text);
                }
                Found::Point(place, point) => survey.replicas.entry(place).or_default().points.push(*point),
                Found::Unproved(what) => survey.found_unproved(what),
                Found::Gone(name) => gone.push(name),
            }
        }
        // Gone is what the listing does not have any more; anything else was out of reach.
        let still = if gone.is_empty() { BTreeSet::new() } else { self.names_of_replicas()? };
        if let Some(name) = gone.iter().find(|name| still.contains(*name)) {
            let what = "it is listed and cannot be found; see that the volume stays mounted, and try again".to_owned();
            return Err(StoreError::Refused { object: name.clone(), what });
        }
        self.must_be_there()?;
        Ok(survey)
    }

    /// The names of all objects of replicas, as those of their first copies.
    pub(crate) fn names_of_replicas(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut names = BTreeSet::new();
        for prefix in [REPLICAS.to_owned(), format!("{MIRROR}{REPLICAS}")] {
            let listed = self.backend().list(&prefix)?;
            names.extend(listed.into_iter().map(|one| one.name.strip_prefix(MIRROR).unwrap_or(&one.name).to_owned()));
        }
        Ok(names)
    }

    fn look(&self, documents: &mut Documents<'_>, name: String) -> Result<Found, StoreError> {
        let found = match ReplicaPlace::of_object(&name) {
            None => {
                let why = "nothing of this volume has such a name".to_owned();
                return Ok(Found::Unproved(Unproved { object: name, why }));
            }
            Some((place, None)) => documents
                .read(&name, |object, document| self.check_replica(object, &place, &document))
                .map(|text| Found::Replica(place.clone(), Box::new(text))),
            Some((place, Some(point))) => {
                let parse = |object: &str, document: String| {
                    let text = self.check_point(object, &place, point, &document)?;
                    Ok(Found::Point(place.clone(), Box::new(SurveyedPoint { text, document })))
                };
                documents.read(&name, parse)
            }
        };
        match found {
            Err(error) if error.is_not_found() && self.has_no_second(&name)? => Ok(Found::Gone(name)),
            Err(error) if error.is_damage() => {
                let why = format!("{}, and its second copy does not do", error.reason());
                Ok(Found::Unproved(Unproved { object: name, why }))
            }
            found => found,
        }
    }

    fn has_no_second(&self, name: &str) -> Result<bool, StoreError> {
        match self.backend().length(&format!("{MIRROR}{name}")) {
            Ok(_) => Ok(false),
            Err(error) if error.kind == Fault::NotFound => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

impl Survey {
    fn found_unproved(&mut self, what: Unproved) {
        if let Some((place, _)) = ReplicaPlace::of_object(&what.object) {
            self.replicas.entry(place).or_default();
        }
        self.unproved.push(what);
    }

    /// Every point that is proved, with its place.
    pub fn points(&self) -> impl Iterator<Item = (&ReplicaPlace, &SurveyedPoint)> {
        self.replicas.iter().flat_map(|(place, replica)| replica.points.iter().map(move |point| (place, point)))
    }

    /// A point that is proved.
    pub fn point(&self, place: &ReplicaPlace, point: PointId) -> Option<&SurveyedPoint> {
        let points = &self.replicas.get(place)?.points;
        points.binary_search_by_key(&point, |found| found.text.point).ok().map(|at| &points[at])
    }
}

#[cfg(test)]
mod tests;
