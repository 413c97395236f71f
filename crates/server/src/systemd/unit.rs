//! Texts of units and of `crontab(5)`, to be put where they belong by a person.

use std::path::Path;

use resurgam_model::retention::span_in_words;

/// An argument of `ExecStart=`: in quotation marks, with what systemd would replace taken literally.
fn quoted(path: &Path) -> String {
    let mut text = String::from("\"");
    for c in path.display().to_string().chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}

/// The unit of the daemon: `/etc/systemd/system/resurgam.service`.
pub fn unit(program: &Path, home: &Path) -> String {
    format!(
        "\
[Unit]
Description=Resurgam backup server
Wants=network-online.target
After=network-online.target local-fs.target remote-fs.target time-sync.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={program} --home {home} serve
Restart=on-failure
RestartSec=30
WatchdogSec=5min
# A job that is called off ends within moments; the next start goes on where it was.
TimeoutStopSec=5min
KillMode=mixed
Nice=5
IOSchedulingClass=best-effort
IOSchedulingPriority=6

[Install]
WantedBy=multi-user.target
",
        program = quoted(program),
        home = quoted(home),
    )
}

/// Service and timer for native backups of the catalog on their own, without the daemon: two files, each under a
/// comment that names it. `every_seconds`: how often.
pub fn catalog_backup_timer(program: &Path, home: &Path, arguments: &[String], every_seconds: u64) -> String {
    let arguments: String = arguments.iter().map(|argument| format!(" {}", quoted(Path::new(argument)))).collect();
    format!(
        "\
# /etc/systemd/system/resurgam-catalog.service
[Unit]
Description=Native backup of Resurgam's catalog

[Service]
Type=oneshot
ExecStart={program} --home {home} catalog backup{arguments}

# /etc/systemd/system/resurgam-catalog.timer
[Unit]
Description=Native backup of Resurgam's catalog every {words}

[Timer]
OnActiveSec=1min
OnUnitActiveSec={every_seconds}s
AccuracySec=1min

[Install]
WantedBy=timers.target
",
        program = quoted(program),
        home = quoted(home),
        words = span_in_words(every_seconds),
    )
}

/// A line of `/etc/cron.d/resurgam-catalog` for the same, with its user field.
pub fn catalog_backup_cron(program: &Path, home: &Path, arguments: &[String], every_seconds: u64) -> String {
    let word = |text: &str| {
        // A shell's quotation marks; cron itself takes a bare % for the end of the line.
        format!("'{}'", text.replace('\'', r"'\''")).replace('%', r"\%")
    };
    let arguments: String = arguments.iter().map(|argument| format!(" {}", word(argument))).collect();
    let (program, home) = (word(&program.display().to_string()), word(&home.display().to_string()));
    format!("{} root {program} --home {home} -q catalog backup{arguments}\n", times(every_seconds))
}

/// The times of a crontab that come nearest to an interval, never rarer: cron can only divide hours and days.
fn times(every_seconds: u64) -> String {
    let largest = |limit: u64, of: u64| (1..=limit).rev().find(|n| of.is_multiple_of(*n)).unwrap_or(1);
    match every_seconds / 60 {
        0 | 1 => "* * * * *".to_owned(),
        minutes @ 2..60 => format!("*/{} * * * *", largest(minutes, 60)),
        60..120 => "17 * * * *".to_owned(),
        minutes @ 120..1440 => format!("17 */{} * * *", largest(minutes / 60, 24)),
        1440..10_080 => "17 3 * * *".to_owned(),
        _ => "17 3 * * 0".to_owned(),
    }
}
