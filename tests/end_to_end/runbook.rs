//! The runbook: the commands of its pages are run as they stand, each page by itself, on a machine of its own.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use resurgam_tests::{
    Program, Random, Running, Scene,
    parts::{Part, is_present},
    plain_tree,
};

use crate::architecture::workspace;

/// No page may take longer: somebody is waiting for the server.
const PAGE_LIMIT: Duration = Duration::from_secs(180);
const README: &str = "README.md";

fn folder() -> PathBuf {
    workspace().join("docs/runbook")
}

/// The pages by name, the overview not among them.
fn pages() -> BTreeSet<String> {
    let names = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md") && name != README).collect()
}

/// The shell commands of a page, its blocks one after the other.
fn commands(page: &str) -> String {
    let text = fs::read_to_string(folder().join(page)).unwrap();
    let mut commands = String::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => commands.push_str(&format!("{line}\n")),
            _ => {}
        }
    }
    assert!(!inside, "{page}: a block does not end");
    commands
}

/// What the pages take for granted: the places that the overview names, and the programs in the path.
struct Machine {
    scene: Scene,
}

impl Machine {
    fn new() -> Self {
        let scene = Scene::new();
        plain_tree::build(&scene.source, plain_tree::Size::TINY, &mut Random::new(331));
        for name in ["backups", "work", "bin"] {
            fs::create_dir(scene.path(name)).unwrap();
        }
        for name in ["passphrase", "vault-passphrase"] {
            let passphrase = scene.path(name);
            fs::write(&passphrase, format!("six words that nobody else knows: {name}\n")).unwrap();
            fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let resurgam = fs::canonicalize(Program::executable()).unwrap();
        let dpmsync = resurgam.with_file_name("dpmsync");
        assert!(
            dpmsync.is_file(),
            "no {}: `cargo build -p resurgam-cli` first, or use scripts/test",
            dpmsync.display()
        );
        for (name, program) in [("resurgam", &resurgam), ("dpmsync", &dpmsync), ("DpmSync", &dpmsync)] {
            symlink(program, scene.path("bin").join(name)).unwrap();
        }
        Self { scene }
    }

    /// Runs a page; what it printed, if it did not run to its end.
    fn run(&self, page: &str, vault: &Vault) -> Result<(), String> {
        let script = self.scene.path("page.sh");
        fs::write(&script, commands(page)).unwrap();
        let path = std::env::join_paths(
            [self.scene.path("bin")].into_iter().chain(["/usr/bin", "/bin", "/usr/sbin", "/sbin"].map(PathBuf::from)),
        );
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-x"]).arg(&script).current_dir(self.scene.path("work"));
        command.env_clear().env("PATH", path.unwrap()).env("HOME", self.scene.dir()).env("LANG", "C.UTF-8");
        command.env("TMPDIR", self.scene.dir());
        let places = [
            ("RESURGAM_HOME", "home"),
            ("POOL", "pool"),
            ("DATA", "source"),
            ("BACKUPS", "backups"),
            ("WORK", "work"),
            ("PASSPHRASE", "passphrase"),
            ("VAULT_PASSPHRASE", "vault-passphrase"),
        ];
        command.envs(places.map(|(name, place)| (name, self.scene.path(place))));
        match vault {
            Vault::Directory => command.env("VAULT", self.scene.path("vault")),
            Vault::Store { url, variables } => command.env("VAULT", url).envs(variables.clone()),
        };
        let outcome = Running::start(&mut command).finish(PAGE_LIMIT);
        let ran = outcome.code() == Some(0);
        if ran { Ok(()) } else { Err(format!("{page}: {outcome}")) }
    }
}

/// Where the vault lies that a page speaks of.
enum Vault {
    Directory,
    Store { url: String, variables: Vec<(&'static str, String)> },
}

impl Vault {
    /// A directory, and each object store that `scripts/test` has started.
    fn everywhere(page: &str) -> Vec<Self> {
        let variable = |name: &str| std::env::var(name).unwrap();
        let mut all = vec![Self::Directory];
        // Both are shared by all tests: each page has a prefix of its own.
        let prefix = format!("resurgam/runbook-{}-{}", page.trim_end_matches(".md"), std::process::id());
        if is_present(page, &[Part::Azurite]) {
            let variables = vec![
                ("AZURE_STORAGE_ACCOUNT", "devstoreaccount1".to_owned()),
                ("AZURE_STORAGE_KEY", variable("RESURGAM_TEST_AZURITE_KEY")),
            ];
            all.push(Self::Store { url: format!("{}/{prefix}", variable("RESURGAM_TEST_AZURITE")), variables });
        }
        if is_present(page, &[Part::S3]) {
            let variables = vec![
                ("AWS_ACCESS_KEY_ID", variable("RESURGAM_TEST_S3_KEY_ID")),
                ("AWS_SECRET_ACCESS_KEY", variable("RESURGAM_TEST_S3_SECRET")),
            ];
            all.push(Self::Store { url: format!("{}/{prefix}", variable("RESURGAM_TEST_S3")), variables });
        }
        all
    }
}

/// The pages that are run here; the rest has no commands or is run elsewhere.
fn run(page: &str) {
    let vaults = if commands(page).contains("$VAULT") { Vault::everywhere(page) } else { vec![Vault::Directory] };
    for vault in vaults {
        if let Err(failure) = Machine::new().run(page, &vault) {
            panic!("{failure}");
        }
    }
}

macro_rules! pages {
    ($($test:ident: $page:literal,)*) => {
        const RUN: &[&str] = &[$($page),*];
        $(#[test]
        fn $test() {
            run($page);
        })*
    };
}

pages! {
    prepare: "prepare.md",
    back_up_natively: "back-up-natively.md",
    back_up_to_a_share: "back-up-to-a-share.md",
    back_up_to_the_pool: "back-up-to-the-pool.md",
    back_up_to_the_vault: "back-up-to-the-vault.md",
    dpmsync: "dpmsync.md",
    missing_replica: "missing-replica.md",
    move_to_another_machine: "move-to-another-machine.md",
    recover_by_hand: "recover-by-hand.md",
    recover_from_a_native_backup: "recover-from-a-native-backup.md",
    recover_from_a_share: "recover-from-a-share.md",
    recover_from_capsules: "recover-from-capsules.md",
    recover_from_the_pool: "recover-from-the-pool.md",
    recover_from_the_vault: "recover-from-the-vault.md",
    recover_on_another_server: "recover-on-another-server.md",
}

#[test]
fn every_page_is_run_and_is_linked_from_the_overview() {
    let pages = pages();
    assert_eq!(pages, RUN.iter().map(|page| (*page).to_owned()).collect(), "give each page its line in `pages!`");
    let overview = fs::read_to_string(folder().join(README)).unwrap();
    let unlinked: Vec<&String> = pages.iter().filter(|page| !overview.contains(&format!("({page})"))).collect();
    assert!(unlinked.is_empty(), "{README} does not link {unlinked:?}");
    for page in &pages {
        assert!(!commands(page).is_empty(), "{page} has no commands");
        let text = fs::read_to_string(folder().join(page)).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            assert!(folder().join(link).exists(), "{page} links {link}, which is not there");
        }
    }
}

#[test]
fn the_pages_use_no_place_that_the_overview_does_not_explain() {
    let overview = fs::read_to_string(folder().join(README)).unwrap();
    let explained = |name: &str| overview.contains(&format!("`${name}`"));
    let mut unexplained = BTreeSet::new();
    for page in pages() {
        let text = commands(&page);
        for rest in text.split('$').skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_uppercase() || *c == '_').collect();
            let is_its_own = text.contains(&format!("{name}="));
            if name.len() > 1 && !explained(&name) && !is_its_own {
                unexplained.insert(format!("{page}: ${name}"));
            }
        }
    }
    assert!(unexplained.is_empty(), "{unexplained:?}");
    assert!(Path::new(&folder()).join(README).is_file());
}
