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

    /// The point that a person named.
    pub(crate) fn find_point(&self, wanted: &str, source: Option<&str>) -> Result<Point, JobError> {
        pick(self.points(source)?, wanted, source.is_some())
    }
}
