use std::{
    ffi::OsStr,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::Path,
    process::Command,
    time::Duration,
};

use crate::systemd::{Notifier, catalog_backup_cron, catalog_backup_timer, unit};

fn next(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 256];
    let length = socket.recv(&mut bytes).unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

#[test]
fn systemd_is_told_how_things_stand() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let abstract_name = format!("resurgam-test-{}", std::process::id());
    let abstract_address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
    let sockets = [
        (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
        (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{abstract_name}").into()),
    ];
    for (socket, name) in sockets {
        let notifier = Notifier::new(Some(&name), None, None, 1).unwrap();
        notifier.ready();
        notifier.status("two backups\nand more");
        notifier.alive();
        notifier.stopping();
        let told: Vec<String> = (0..4).map(|_| next(&socket)).collect();
        assert_eq!(told, ["READY=1", "STATUS=two backups", "WATCHDOG=1", "STOPPING=1"]);
    }
}

#[test]
fn who_does_not_listen_holds_nobody_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    let notifier = Notifier::new(Some(path.as_os_str()), None, None, 1).unwrap();
    notifier.ready();
    // More than any queue holds.
    (0..5_000).for_each(|_| notifier.status("a backup"));
    assert_eq!(next(&socket), "READY=1");
}

#[test]
fn without_systemd_the_telling_goes_nowhere() {
    for name in [None, Some("")] {
        let notifier = Notifier::new(name.map(OsStr::new), None, None, 1).unwrap();
        notifier.ready();
        assert_eq!(notifier.watchdog(), None);
    }
    let gone = Notifier::new(Some(OsStr::new("/nowhere/notify")), None, None, 1).unwrap();
    gone.ready();
    assert!(Notifier::new(Some(OsStr::new(&"x".repeat(200))), None, None, 1).is_err());
}

#[test]
fn the_watchdog_is_fed_twice_as_often_as_it_wants_if_it_is_ours() {
    let watchdog = |usec, pid| Notifier::new(None, usec, pid, 7).unwrap().watchdog();
    assert_eq!(watchdog(Some("10000000"), Some("7")), Some(Duration::from_secs(5)));
    assert_eq!(watchdog(Some("10000000"), None), Some(Duration::from_secs(5)));
    assert_eq!(watchdog(Some("10000000"), Some("8")), None);
    assert_eq!(watchdog(Some("0"), None), None);
    assert_eq!(watchdog(Some("soon"), None), None);
}

#[test]
fn units_name_program_and_home_so_that_systemd_takes_them_literally() {
    let text = unit(Path::new("/usr/bin/resurgam"), Path::new("/srv/100% \"mine\" $HOME"));
    assert!(text.contains(r#"ExecStart="/usr/bin/resurgam" --home "/srv/100%% \"mine\" $$HOME" serve"#), "{text}");
    assert!(text.contains("Type=notify") && text.contains("WantedBy=multi-user.target"), "{text}");
    let arguments = ["--to".to_owned(), "/mnt/usb".to_owned()];
    let timer = catalog_backup_timer(Path::new("/usr/bin/resurgam"), Path::new("/srv/home"), &arguments, 3_600);
    assert!(timer.contains(r#"catalog backup "--to" "/mnt/usb""#), "{timer}");
    assert!(timer.contains("OnUnitActiveSec=3600s") && timer.contains("every 1 hour"), "{timer}");
}

/// Where systemd is installed, it has the last word.
#[test]
fn systemd_accepts_the_units() {
    let folder = tempfile::tempdir().unwrap();
    let (program, home) = (Path::new("/bin/true"), Path::new("/srv/100% \"mine\""));
    let timer = catalog_backup_timer(program, home, &["--to".to_owned(), "/mnt/a b".to_owned()], 3_600);
    let (service, timer) = timer.split_once("\n# ").unwrap();
    let files = [
        ("resurgam.service", unit(program, home)),
        ("resurgam-catalog.service", service.to_owned()),
        ("resurgam-catalog.timer", format!("# {timer}")),
    ];
    let paths = files.map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    });
    let Ok(output) = Command::new("systemd-analyze").arg("verify").args(&paths).output() else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<&str> = said.lines().filter(|line| line.contains("resurgam")).collect();
    assert!(ours.is_empty(), "{said}");
}

#[test]
fn a_crontab_line_divides_hours_and_days_and_is_never_rarer_than_asked() {
    let line = |every| {
        let arguments = ["--to".to_owned(), "/mnt/it's 5%".to_owned()];
        catalog_backup_cron(Path::new("/usr/bin/resurgam"), Path::new("/srv/home"), &arguments, every)
    };
    assert_eq!(
        line(3_600),
        "17 * * * * root '/usr/bin/resurgam' --home '/srv/home' -q catalog backup '--to' '/mnt/it'\\''s 5\\%'\n"
    );
    let times = [
        (30, "* * * * * root"),
        (15 * 60, "*/15 * * * * root"),
        (25 * 60, "*/20 * * * * root"),
        (7 * 3_600, "17 */6 * * * root"),
        (23 * 3_600, "17 */12 * * * root"),
        (86_400, "17 3 * * * root"),
        (30 * 86_400, "17 3 * * 0 root"),
    ];
    for (every, wanted) in times {
        assert!(line(every).starts_with(wanted), "{every}: {}", line(every));
    }
}
