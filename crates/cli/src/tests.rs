use super::*;

#[test]
fn endings_have_the_exit_codes_of_the_contract() {
    assert_eq!([Ending::Whole, Ending::Bad, Ending::Partial].map(Ending::code), [0, 1, 3]);
}

#[test]
fn a_panic_becomes_one_failure_with_a_remedy() {
    defect::announce_in_one_line();
    let failure = defect::caught::<()>(|| panic!("two\nlines")).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.exit), ("defect", 1));
    assert!(!failure.message.contains('\n') && !failure.remedy.is_empty(), "{failure:?}");
    drop(std::panic::take_hook());
}

/// The pages that show commands.
fn pages() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut paths = vec![root.join("README.md")];
    for entry in std::fs::read_dir(root.join("docs/manual/src")).unwrap() {
        paths.push(entry.unwrap().path());
    }
    paths.sort();
    paths.iter().map(|path| (path.display().to_string(), std::fs::read_to_string(path).unwrap())).collect()
}

/// A line as a shell splits it: blanks, single quotes, comments.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '\'' | '"' => is_quoted = !is_quoted,
            // What follows is a comment, or another program's.
            '#' | '|' | '&' if !is_quoted && words.last().is_some_and(String::is_empty) => break,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_that_the_pages_show_can_be_typed() {
    let mut shown = 0;
    for (page, text) in pages() {
        for block in text.split("```sh\n").skip(1) {
            for line in block.split("\n```").next().unwrap().lines() {
                let line = line.replace("cargo run --release --bin resurgam -- ", "resurgam ");
                // Lines with placeholders are synopses, and other programs are not ours to check.
                if !line.starts_with("resurgam ") || line.contains(['[', '…', '>']) {
                    continue;
                }
                shown += 1;
                Cli::try_parse_from(words(&line)).unwrap_or_else(|error| panic!("{page}: {line}: {error}"));
            }
        }
    }
    assert!(shown > 40, "found only {shown} commands");
}

#[test]
fn every_command_that_the_text_names_exists() {
    use clap::CommandFactory;
    let command = Cli::command();
    for (page, text) in pages() {
        for code in text.split('`').filter(|code| code.starts_with("resurgam ")) {
            let Some(name) = code.split(' ').nth(1).filter(|name| name.starts_with(char::is_lowercase)) else {
                continue;
            };
            assert!(command.find_subcommand(name).is_some(), "{page}: `{code}`");
        }
    }
}

#[test]
fn every_alert_is_explained_and_no_other() {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manual/src/alerts.md");
    let text = std::fs::read_to_string(page).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    let mut explained: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    let mut kinds = resurgam_model::alert::kind::ALL.to_vec();
    explained.sort_unstable();
    kinds.sort_unstable();
    assert_eq!(explained, kinds);
}
