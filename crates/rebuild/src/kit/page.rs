//! The page to print: what to do when the server is gone, and the kit itself, so that paper alone is enough. It holds no
//! secret in clear.

use maud::{DOCTYPE, PreEscaped, html};
use resurgam_model::charter::CopyKind;

use super::{
    content::{KitContent, KitCopy},
    fingerprint,
};

/// The name that the commands give the kit.
const FILE: &str = "recovery-kit.age";

/// One thing to do.
struct Step {
    heading: String,
    words: String,
    commands: Vec<String>,
}

/// A word for the shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn steps(kit: &KitContent) -> Vec<Step> {
    let mut steps = vec![Step {
        heading: "Prepare".to_owned(),
        words: format!(
            "Any Linux machine will do. Install resurgam, attach the disks named above, and put the kit there as \
             {FILE}: the file, or what is printed at the end of this page, typed or scanned, from BEGIN to END."
        ),
        commands: Vec::new(),
    }];
    steps.push(Step {
        heading: "Bring the server back, from ONE of these copies".to_owned(),
        words:
            "The first that can be reached is the best. Each command asks for the passphrase of the kit, says which \
                copies it found and which it took, sets aside what it replaces, and then compares catalog and volumes. \
                Where a volume lies somewhere else now, add -Volume and the directory."
                .to_owned(),
        commands: Vec::new(),
    });
    steps.extend(kit.copies.iter().map(|copy| of_copy(kit, copy)));
    let home = format!("resurgam --home {}", quoted(&kit.home));
    steps.push(Step {
        heading: "See that everything is there".to_owned(),
        words:
            "Until a sync has ended clean nothing is deleted. The first command shows what there is, the second reads \
                and proves every byte, the third puts a recovery point back."
                .to_owned(),
        commands: vec![
            format!("{home} status"),
            format!("{home} verify --read-data"),
            format!("{home} recover latest --source PATH --to DIR"),
        ],
    });
    steps.push(Step {
        heading: "Without any of this".to_owned(),
        words:
            "A volume can be read with nothing but itself (and its passphrase, if it has one). The kit itself opens \
                with any program for age files; the server's keys are in it."
                .to_owned(),
        commands: vec![
            "resurgam reader points DIR".to_owned(),
            "resurgam reader recover DIR POINT --to DIR".to_owned(),
            format!("age --decrypt {FILE}"),
        ],
    });
    steps
}

fn of_copy(kit: &KitContent, copy: &KitCopy) -> Step {
    let restore = |place: &str, more: &str| {
        let instance = kit.instance.as_ref().map(|url| format!(" -InstanceName {}", quoted(url))).unwrap_or_default();
        let home = quoted(&kit.home);
        format!("resurgam --home {home} dpmsync -RestoreDb -DbLoc {} -Kit {FILE}{instance}{more} -Sync", quoted(place))
    };
    let place = &copy.place;
    let (heading, words, commands) = match copy.kind {
        CopyKind::Pool => (
            format!("from the storage pool: the volume at {place}"),
            "Everything, as of the last hourly copy; what the volumes hold beyond that is adopted.",
            vec![restore(place, "")],
        ),
        CopyKind::Native => (
            format!("from native backups: {place}"),
            "Everything, as of the newest file; what the volumes hold beyond that is adopted.",
            vec![restore(place, "")],
        ),
        CopyKind::Share => share(copy, &restore),
        CopyKind::Vault => (
            format!("from the vault: {place}"),
            "Everything, as of the last online point of the catalog. What opens the object store is in the kit.",
            vec![restore(place, "")],
        ),
        CopyKind::Capsules => (
            format!("from the configuration in a volume: {place}"),
            "All configuration and all recovery points, where there is no copy of the catalog at all. Only the history \
             of jobs is lost.",
            vec![restore(place, " -Use capsules")],
        ),
    };
    Step { heading, words: words.to_owned(), commands }
}

fn share(copy: &KitCopy, restore: &dyn Fn(&str, &str) -> String) -> (String, &'static str, Vec<String>) {
    let place = &copy.place;
    let heading = format!("from a protected folder: {place}");
    let Some(share) = &copy.share else {
        return (heading, "If the folder is still there.", vec![restore(place, "")]);
    };
    let inside = place.strip_prefix(&share.source).unwrap_or_default().trim_matches('/');
    let path = if inside.is_empty() { String::new() } else { format!(" {}", quoted(inside)) };
    let brought = if inside.is_empty() { "./share".to_owned() } else { format!("./share/{inside}") };
    (
        heading,
        "The folder comes out of its newest recovery point first; if it is still there, leave the first command out \
         and name the folder itself.",
        vec![
            format!(
                "resurgam reader recover {} latest{path} --source {} --to ./share",
                quoted(&share.volume),
                quoted(&share.source)
            ),
            restore(&brought, ""),
        ],
    )
}

/// What the page says of the server: names and values.
fn facts(kit: &KitContent) -> Vec<(String, String)> {
    let mut facts =
        vec![("Server".to_owned(), format!("{} ({})", kit.name, kit.server)), ("Home".to_owned(), kit.home.clone())];
    facts.extend(kit.instance.as_ref().map(|url| ("Catalog".to_owned(), url.clone())));
    for volume in &kit.volumes {
        let opens = if volume.protection == "clear" {
            "open to whoever can read it"
        } else {
            "opens with the keyring in the kit, or with its passphrase"
        };
        facts.push(("Volume".to_owned(), format!("{} ({}); {opens}", volume.location, volume.id)));
    }
    facts
}

fn title(kit: &KitContent) -> String {
    format!("Recovery kit of the backup server {}", kit.name)
}

fn day(kit: &KitContent) -> String {
    kit.made.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

const KEEP: &str = "Keep it where neither fire nor thief reaches it together with the server: in a safe, another building, a \
                    bank. Keep it away from the volumes that it opens, and the passphrase away from both. Without the \
                    passphrase it is of no use to anybody. When a newer one is printed, destroy this one.";

/// The heading of what is sealed: short, since it is printed and perhaps typed as part of the kit.
pub(super) fn heading(kit: &KitContent) -> String {
    let mut text = format!("{}, made {}.\n", title(kit), day(kit));
    for step in kit.copies.iter().map(|copy| of_copy(kit, copy)) {
        text.push_str(&format!("\n{}\n", step.heading));
        for command in &step.commands {
            text.push_str(&format!("    {command}\n"));
        }
    }
    text
}

/// What to do: the page without the kit itself.
fn instructions(kit: &KitContent) -> String {
    let title = title(kit);
    let mut text = format!("{title}\n{}\n\nMade {}.\n", "=".repeat(title.chars().count()), day(kit));
    for (name, value) in facts(kit) {
        text.push_str(&format!("{:<9}{value}\n", format!("{name}:")));
    }
    for (number, step) in numbered(&steps(kit)) {
        text.push_str(&format!("\n{number}{}\n", step.heading));
        text.push_str(&folded(&step.words, "   "));
        for command in &step.commands {
            text.push_str(&format!("\n       {command}\n"));
        }
    }
    text
}

/// Numbers for the steps; copies, of which one is enough, have a letter each.
fn numbered(steps: &[Step]) -> Vec<(String, &Step)> {
    let (mut number, mut letter) = (0u32, 0u32);
    let mut label = |step: &Step| {
        if step.heading.starts_with("from ") {
            letter += 1;
            return format!("   {}) ", char::from_u32(u32::from('a') + (letter - 1) % 26).unwrap_or('a'));
        }
        number += 1;
        format!("{number}. ")
    };
    steps.iter().map(|step| (label(step), step)).collect()
}

/// Words in lines of at most 90 characters.
fn folded(words: &str, indent: &str) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for word in words.split_whitespace() {
        if column == 0 || column + 1 + word.chars().count() > 90 {
            text.push_str(if column == 0 { "" } else { "\n" });
            text.push_str(indent);
            column = indent.len();
        } else {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += word.chars().count();
    }
    text.push('\n');
    text
}

/// The page as plain text. `kit` is the sealed file.
pub fn page_text(content: &KitContent, kit: &str) -> String {
    format!(
        "{}\nWhere to keep this page\n{}\nThe kit itself, {FILE}. Fingerprint: {}\n\n{kit}",
        instructions(content),
        folded(KEEP, "   "),
        fingerprint(kit.as_bytes())
    )
}

const STYLE: &str = "body{font:11pt/1.45 serif;color:#000;background:#fff;max-width:46em;margin:2em auto;padding:0 1em}\
h1{font-size:1.5em}h2{font-size:1.1em;margin:1.2em 0 .2em}h3{font-size:1em;margin:1em 0 .2em}\
th{text-align:left;padding-right:1em;vertical-align:top}p{margin:.2em 0}\
pre{font:9pt/1.3 monospace;border:1px solid #000;padding:.5em;white-space:pre-wrap;word-break:break-all;page-break-inside:avoid}\
pre.kit{border:0;padding:0;white-space:pre;word-break:normal}@media print{body{margin:0;max-width:none}}";

/// The page as one HTML document that needs nothing else.
pub fn page_html(content: &KitContent, kit: &str) -> String {
    let title = title(content);
    let steps = steps(content);
    html! {
        (DOCTYPE)
        html lang="en" {
            head { meta charset="utf-8"; title { (title) } style { (PreEscaped(STYLE)) } }
            body {
                h1 { (title) }
                p { "Made " (day(content)) ". Fingerprint of the kit: " b { (fingerprint(kit.as_bytes())) } }
                table { @for (name, value) in facts(content) { tr { th { (name) } td { (value) } } } }
                @for (number, step) in numbered(&steps) {
                    @if number.starts_with(' ') { h3 { (number.trim_start()) (step.heading) } }
                    @else { h2 { (number) (step.heading) } }
                    p { (step.words) }
                    @for command in &step.commands { pre { (command) } }
                }
                h2 { "Where to keep this page" }
                p { (KEEP) }
                h2 { "The kit itself, " (FILE) }
                pre.kit { (kit) }
            }
        }
    }
    .into_string()
}
