//! `group …`.

use resurgam_model::{
    report::{GroupSummary, SourceSummary},
    retention::Retention,
};
use serde::Serialize;

use super::{Context, Removed};
use crate::{
    Ending,
    args::{GroupCommand, GroupCreate, GroupSet},
    failure::Failure,
    show::server,
};

/// The document of `group list`, and of what makes or changes a group.
#[derive(Serialize)]
struct GroupsDocument {
    groups: Vec<GroupSummary>,
    /// The sources of the one group that `group show` is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    sources: Option<Vec<SourceSummary>>,
}

pub(super) fn run(context: &Context<'_>, command: GroupCommand) -> Result<Ending, Failure> {
    match command {
        GroupCommand::Create(arguments) => create(context, &arguments),
        GroupCommand::List => answer(context, context.server()?.groups()?, None),
        GroupCommand::Show { group } => {
            let (group, sources) = context.server()?.group(&group)?;
            answer(context, vec![group], Some(sources))
        }
        GroupCommand::Set(arguments) => set(context, &arguments),
        GroupCommand::Remove { group } => {
            context.server()?.remove_group(&group)?;
            context.output.answer(&Removed::of(&group), || format!("Group {group} is removed.\n"))?;
            Ok(Ending::Whole)
        }
    }
}

fn answer(
    context: &Context<'_>,
    groups: Vec<GroupSummary>,
    sources: Option<Vec<SourceSummary>>,
) -> Result<Ending, Failure> {
    let document = GroupsDocument { groups, sources };
    context.output.answer(&document, || {
        let sources = document.sources.iter().filter(|sources| !sources.is_empty());
        let verbose = context.output.is_verbose();
        let below: String =
            sources.map(|sources| format!("\n{}", server::sources(sources, &context.zone, verbose))).collect();
        server::groups(&document.groups) + &below
    })?;
    Ok(Ending::Whole)
}

fn create(context: &Context<'_>, arguments: &GroupCreate) -> Result<Ending, Failure> {
    let retention = super::retention(&arguments.keep)?.unwrap_or_default();
    let server = context.server_or_new(context.passphrase_given()?)?;
    let group = server.create_group(&arguments.name, retention, arguments.every.every, arguments.at.calendar())?;
    answer(context, vec![group], None)
}

fn set(context: &Context<'_>, arguments: &GroupSet) -> Result<Ending, Failure> {
    let retention = super::retention(&arguments.keep)?.or(arguments.keep_all.then(Retention::default));
    let every = arguments.every.every.map(Some).or(arguments.no_every.then_some(None));
    let calendar = arguments.at.calendar().map(Some).or(arguments.no_at.then_some(None));
    let is_online = arguments.online.online || arguments.no_online;
    if retention.is_none() && every.is_none() && calendar.is_none() && !is_online {
        return Err(Failure::arguments(
            "nothing to change was named",
            "`resurgam group set --help` lists what can be changed",
        ));
    }
    let server = context.server()?;
    if arguments.online.online {
        let change = super::backup::online_change(&arguments.online.policy)?;
        server.protect_online(std::slice::from_ref(&arguments.group), &change)?;
    } else if arguments.no_online {
        server.stop_online(&arguments.group)?;
    }
    let group = server.change_group(&arguments.group, retention, every, calendar)?;
    answer(context, vec![group], None)
}
