//! Finding recovery points, and telling of them.

use resurgam_catalog::PointEntry;
use resurgam_model::{
    bytepath::escape,
    id::by_prefix,
    point::Point,
    policy::{DPMDB, Source},
};

use crate::{error::JobError, server::Server};

/// A point as people and programs see it.
pub(crate) fn shown(entry: &PointEntry, root: &[u8]) -> Point {
    Point {
        id: entry.id,
        source: escape(root),
        source_id: entry.source,
        replica: entry.replica,
        volume: entry.volume,
        time: entry.time,
        kind: entry.kind,
        files: entry.files,
        bytes: entry.bytes,
        added_bytes: entry.added_bytes,
        state: entry.state,
        online: false,
    }
}

/// The point that `wanted` names among `points`, oldest first: an id, the beginning of one, or `latest`.
pub(crate) fn pick(mut points: Vec<Point>, wanted: &str, source_named: bool) -> Result<Point, JobError> {
    if wanted != "latest" {
        return by_prefix(wanted, points, |point| point.id.to_string()).map_err(|error| {
            JobError::request(
                "no-point",
                format!("recovery point `{wanted}`: {error}"),
                "`resurgam points` shows the points",
            )
        });
    }
    if !source_named {
        // The server's own catalog is meant only where it is named.
        points.retain(|point| point.source != DPMDB);
    }
    let mut sources: Vec<_> = points.iter().map(|point| point.source_id).collect();
    sources.sort();
    sources.dedup();
    if sources.len() > 1 && !source_named {
        let remedy = "name the source with --source ID-or-PATH, or the point by its id";
        return Err(JobError::request(
            "which-source",
            format!("`latest` of which source? There are {}", sources.len()),
            remedy,
        ));
    }
    points.into_iter().next_back().ok_or_else(|| {
        JobError::request(
            "no-point",
            "there is no recovery point yet",
            "`resurgam protect PATH` or `resurgam backup` makes one",
        )
    })
}

impl Server {
    /// Points, newest last.
    pub fn points(&self, source: Option<&str>) -> Result<Vec<Point>, JobError> {
        let only = source.map(|wanted| self.find_source(wanted)).transpose()?;
        let sources = self.catalog.sources()?;
        let root = |entry: &PointEntry| {
            let of = |source: &&Source| source.id == entry.source;
            sources.iter().find(of).map(|source| source.root.clone()).unwrap_or_default()
        };
        let entries = self.catalog.point_entries(only.map(|source| source.id))?;
        Ok(entries.iter().map(|entry| shown(entry, &root(entry))).collect())
    }

    /// Online points, newest last.
    pub fn online_points(&self, source: Option<&str>) -> Result<Vec<Point>, JobError> {
        let only = source.map(|wanted| self.find_source(wanted)).transpose()?;
        let sources = self.catalog.sources()?;
        let entries = self.catalog.online_entries(only.map(|source| source.id))?;
        let shown = |entry: &PointEntry| {
            let root = sources.iter().find(|source| source.id == entry.source).map(|source| source.root.as_slice());
            Point { online: true, ..shown(entry, root.unwrap_or_default()) }
        };
        Ok(entries.iter().map(shown).collect())
    }

    /// The point in the pool that a person named; or the online one, where its id is given.
    pub(crate) fn find_point(&self, wanted: &str, source: Option<&str>) -> Result<Point, JobError> {
        if wanted == "latest" {
            pick(self.points(source)?, wanted, source.is_some())
        } else {
            self.find_any_point(wanted, source)
        }
    }

    /// The newest online point of a source, or the point of that id wherever it lies.
    pub(crate) fn find_online_point(&self, wanted: &str, source: Option<&str>) -> Result<Point, JobError> {
        pick(self.online_points(source)?, wanted, source.is_some())
    }

    /// The point of that id, wherever it lies.
    pub(crate) fn find_any_point(&self, wanted: &str, source: Option<&str>) -> Result<Point, JobError> {
        let mut all = self.points(source)?;
        all.extend(self.online_points(source)?);
        all.sort_by_key(|point| (point.time, point.id));
        pick(all, wanted, source.is_some())
    }
}
