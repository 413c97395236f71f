//! Protection groups.

use resurgam_model::{
    GroupId,
    id::by_prefix,
    policy::{Calendar, Group, check_group_name},
    report::{GroupSummary, SourceSummary},
    retention::Retention,
};
use resurgam_store::keys::random;

use crate::{error::JobError, server::Server, sources::check_retention};

impl Server {
    /// Every group.
    pub fn groups(&self) -> Result<Vec<GroupSummary>, JobError> {
        let sources = self.catalog.sources()?;
        let count = |id: GroupId| sources.iter().filter(|source| source.group == id).count() as u64;
        Ok(self.catalog.groups()?.iter().map(|group| summary(group, count(group.id))).collect())
    }

    /// Makes a group.
    pub fn create_group(
        &self,
        name: &str,
        retention: Retention,
        every_seconds: Option<u64>,
        calendar: Option<Calendar>,
    ) -> Result<GroupSummary, JobError> {
        check_calendar(calendar.as_ref())?;
        check_group_name(name)
            .map_err(|error| JobError::request("group-name", error.to_string(), "choose another name"))?;
        check_retention(&retention)?;
        if self.catalog.group_by_name(name)?.is_some() {
            return Err(JobError::request(
                "group-exists",
                format!("there is a group `{name}` already"),
                "`resurgam group set` changes it",
            ));
        }
        let group = Group {
            id: GroupId::from_random(random()?),
            name: name.to_owned(),
            retention,
            every_seconds,
            calendar,
            online: None,
        };
        self.catalog.put_group(&group)?;
        self.publish_capsules()?;
        Ok(summary(&group, 0))
    }

    /// Changes a group; `None`: as it is.
    pub fn change_group(
        &self,
        name: &str,
        retention: Option<Retention>,
        every_seconds: Option<Option<u64>>,
        calendar: Option<Option<Calendar>>,
    ) -> Result<GroupSummary, JobError> {
        let mut group = self.find_group(name)?;
        if let Some(retention) = retention {
            check_retention(&retention)?;
            group.retention = retention;
        }
        if let Some(every) = every_seconds {
            group.every_seconds = every;
        }
        if let Some(calendar) = calendar {
            check_calendar(calendar.as_ref())?;
            group.calendar = calendar;
        }
        self.catalog.put_group(&group)?;
        self.publish_capsules()?;
        Ok(self.group(&group.id.to_string())?.0)
    }

    /// One group (name, id or prefix of one) with its sources.
    pub fn group(&self, name: &str) -> Result<(GroupSummary, Vec<SourceSummary>), JobError> {
        let group = self.find_group(name)?;
        let mut sources = self.catalog.sources()?;
        sources.retain(|source| source.group == group.id);
        Ok((summary(&group, sources.len() as u64), self.summaries(&sources)?))
    }

    /// Removes a group without sources.
    pub fn remove_group(&self, name: &str) -> Result<(), JobError> {
        let group = self.find_group(name)?;
        self.catalog.remove_group(group.id)?;
        self.publish_capsules()
    }

    pub(crate) fn find_group(&self, wanted: &str) -> Result<Group, JobError> {
        if let Some(group) = self.catalog.group_by_name(wanted)? {
            return Ok(group);
        }
        by_prefix(wanted, self.catalog.groups()?, |group| group.id.to_string()).map_err(|error| {
            JobError::request(
                "no-group",
                format!("group `{wanted}`: {error}"),
                "`resurgam group list` shows the groups",
            )
        })
    }
}

fn check_calendar(calendar: Option<&Calendar>) -> Result<(), JobError> {
    let checked = calendar.map_or(Ok(()), resurgam_model::schedule::check_calendar);
    checked.map_err(|error| JobError::request("calendar", error.to_string(), "give five fields as in crontab, quoted"))
}

fn summary(group: &Group, sources: u64) -> GroupSummary {
    GroupSummary {
        id: group.id,
        name: group.name.clone(),
        retention: group.retention.describe(),
        every_seconds: group.every_seconds,
        calendar: group.calendar.clone(),
        online: group.online.clone(),
        sources,
    }
}
