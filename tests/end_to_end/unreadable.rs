//! Items that cannot be read are named, the point is made without them, and exit code 3 says so.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
    time::Duration,
};

use resurgam_tests::{Outcome, Part, Program, Random, Running, Scene, args, is_present, plain_tree};

/// The number of an ordinary user.
const USER: u32 = 65534;

/// The program as an ordinary user runs it, in a scene that is his.
struct AsUser {
    scene: Scene,
    program: Program,
}

impl AsUser {
    fn new() -> Self {
        let scene = Scene::new();
        plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::for_test("unreadable", 111));
        // Where the program was built, he may not look.
        let copy = scene.path("resurgam");
        fs::copy(Program::executable(), &copy).unwrap();
        fs::set_permissions(scene.dir(), fs::Permissions::from_mode(0o755)).unwrap();
        resurgam_tests::parts::run_tool(Command::new("chown").args(["-R", "65534:65534"]).arg(scene.dir()));
        let program =
            Program::without_home().as_copy(copy).with("XDG_DATA_HOME", scene.path("data")).with("HOME", scene.dir());
        Self { scene, program }
    }

    fn run(&self, arguments: impl IntoIterator<Item = OsString>) -> Outcome {
        let mut drop_rights = Command::new("setpriv");
        drop_rights.args([
            "--reuid",
            "65534",
            "--regid",
            "65534",
            "--clear-groups",
            "--inh-caps=-all",
            "--bounding-set=-all",
        ]);
        Running::start(&mut self.program.command_under(drop_rights, arguments)).finish(Duration::from_secs(120))
    }
}

#[test]
fn an_ordinary_user_protects_what_he_can_read_and_is_told_the_rest() {
    if !is_present("an_ordinary_user", &[Part::Root, Part::Tool("setpriv")]) {
        return;
    }
    let user = AsUser::new();
    let secret = user.scene.source.join("secret");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let closed = user.scene.source.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::write(closed.join("inside"), "inside").unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&user.scene.source, Some(USER), None).unwrap();

    let outcome = user.run(args!["protect", user.scene.source]);
    outcome.json_with_code(3);
    let unread = outcome.texts_in("unread", "path");
    assert_eq!(unread.len(), 2, "{outcome}");
    for path in [&secret, &closed] {
        assert!(
            unread.iter().any(|named| named == path.to_str().unwrap()),
            "{} is not named: {outcome}",
            path.display()
        );
    }
    let point = outcome.point();
    assert_eq!(point.state, "partial");
    assert!(user.scene.path("data/resurgam").is_dir(), "an ordinary user's home is in XDG_DATA_HOME");

    let to = user.scene.path("to");
    let recovered = user.run(args!["recover", point.id, "--to", to]);
    assert!(matches!(recovered.code(), Some(0 | 3)), "{recovered}");
    assert!(!to.join("secret").exists());
    for path in plain_tree::files_below(&user.scene.source) {
        let relative = path.strip_prefix(&user.scene.source).unwrap();
        if path != secret && !relative.starts_with("closed") {
            assert_eq!(fs::read(&path).unwrap(), fs::read(to.join(relative)).unwrap(), "{}", relative.display());
        }
    }

    // Readable again: the next point is whole.
    chown(&secret, Some(USER), None).unwrap();
    chown(&closed, Some(USER), None).unwrap();
    let next = user.run(args!["protect", user.scene.source]);
    next.done();
    assert_eq!(next.point().state, "complete");
}

#[test]
fn an_unreadable_item_stays_as_it_was_in_older_points() {
    if !is_present("an_unreadable_item_stays", &[Part::Root, Part::Tool("setpriv")]) {
        return;
    }
    let user = AsUser::new();
    let file = user.scene.source.join("file");
    fs::write(&file, "once readable").unwrap();
    chown(&file, Some(USER), Some(USER)).unwrap();
    let first = user.run(args!["protect", user.scene.source]);
    first.done();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
    chown(&file, Some(0), Some(0)).unwrap();
    user.run(args!["protect", user.scene.source]);
    let to = user.scene.path("to");
    user.run(args!["recover", first.point().id, "--to", to]).done();
    assert_eq!(fs::read_to_string(to.join("file")).unwrap(), "once readable");
}
