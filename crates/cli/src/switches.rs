//! The switches of `dpmsync` as Microsoft's documents print them: one dash, any case, and dashes that a word processor has
//! made long. They become the options that the help lists.

use std::ffi::{OsStr, OsString};

/// The switches of `dpmsync`, by their names in lower case without dashes.
const SWITCHES: [(&str, &str); 13] = [
    ("restoredb", "--restore-db"),
    ("dbloc", "--db-loc"),
    ("instancename", "--instance-name"),
    ("dpmdbname", "--dpm-db-name"),
    ("use", "--use"),
    ("kit", "--kit"),
    ("sync", "--sync"),
    ("volume", "--volume"),
    ("readdata", "--read-data"),
    ("whatif", "--what-if"),
    ("accept", "--accept"),
    ("reallocatereplica", "--reallocate-replica"),
    ("datacopied", "--data-copied"),
];

/// Hyphen, minus, and the dashes of typography.
const DASHES: [char; 6] = ['-', '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}'];
const MINUS: char = '\u{2212}';

/// The arguments of the program, with those behind the word `dpmsync` put into the form that clap reads.
pub(crate) fn spelled_out(arguments: Vec<OsString>) -> Vec<OsString> {
    let Some(at) = arguments.iter().position(|argument| is_command(argument)) else { return arguments };
    let (before, behind) = arguments.split_at(at);
    let mut spelled = before.to_vec();
    spelled.push("dpmsync".into());
    spelled.extend(behind.iter().skip(1).map(|argument| option(argument).unwrap_or_else(|| argument.clone())));
    spelled
}

/// Whether this is the command, and not the value of an option that happens to read so.
fn is_command(argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|text| text.eq_ignore_ascii_case("dpmsync"))
}

fn option(argument: &OsStr) -> Option<OsString> {
    let text = argument.to_str()?;
    let name = text.trim_start_matches(|c| DASHES.contains(&c) || c == MINUS);
    if name.len() == text.len() {
        return None;
    }
    if name == "?" {
        return Some("--help".into());
    }
    let (name, value) = name.split_once(['=', ':']).map_or((name, None), |(name, value)| (name, Some(value)));
    let plain: String = name.chars().filter(|c| !DASHES.contains(c)).collect::<String>().to_ascii_lowercase();
    let (_, long) = SWITCHES.iter().find(|(switch, _)| *switch == plain)?;
    Some(value.map_or_else(|| (*long).into(), |value| format!("{long}={value}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelled(arguments: &[&str]) -> Vec<String> {
        let spelled = spelled_out(arguments.iter().map(OsString::from).collect());
        spelled.into_iter().map(|argument| argument.into_string().unwrap()).collect()
    }

    #[test]
    fn the_documents_examples_are_understood_as_printed() {
        let first = spelled(&["resurgam", "DpmSync", "–RestoreDb", "-DbLoc", "/backups/2005/November/DPMDB.bak"]);
        assert_eq!(first, ["resurgam", "dpmsync", "--restore-db", "--db-loc", "/backups/2005/November/DPMDB.bak"]);
        let second = spelled(&["dpmsync", "–RestoreDb", "-DbLoc", "X", "–InstanceName", "contoso\\ms$dpm"]);
        assert_eq!(second, ["dpmsync", "--restore-db", "--db-loc", "X", "--instance-name", "contoso\\ms$dpm"]);
        assert_eq!(
            spelled(&["x", "dpmsync", "-SYNC", "−whatif", "--read-data"])[2..],
            ["--sync", "--what-if", "--read-data"]
        );
        assert_eq!(spelled(&["x", "dpmsync", "-?"])[2], "--help");
        assert_eq!(spelled(&["x", "dpmsync", "-DbLoc=/a b"])[2], "--db-loc=/a b");
    }

    #[test]
    fn everything_else_is_left_as_it_is() {
        let other = ["resurgam", "--json", "recover", "-Sync", "–x"];
        assert_eq!(spelled(&other), other);
        assert_eq!(
            spelled(&["x", "--home", "/h", "dpmsync", "--json", "-v", "-unknown"])[4..],
            ["--json", "-v", "-unknown"]
        );
    }
}
