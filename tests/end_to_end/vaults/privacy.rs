//! Whoever has the whole vault and no passphrase learns nothing of what is protected.

use std::fs;

use resurgam_tests::{Random, Service, Store, args, plain_tree};

use super::{Owner, Protected, on};

on_each_store!(the_vault_tells_nothing_of_what_is_in_it);

#[test]
fn a_vault_in_a_directory_tells_nothing_either() {
    on(Service::Directory, "a_vault_in_a_directory", the_vault_tells_nothing_of_what_is_in_it);
}

fn the_vault_tells_nothing_of_what_is_in_it(store: &Store) {
    let owner = Owner::new(store);
    let mut server = Protected::new(&owner, "privacy", 431);
    let planted =
        ["Nightingale-folder", "quarterly-Secrets.odt", "the cuckoo lays its eggs elsewhere", "nobody@planted.example"];
    let [folder, file, content, link] = planted;
    let at = server.scene.source.join(folder);
    fs::create_dir(&at).unwrap();
    fs::write(at.join(file), format!("{content}\n").repeat(300)).unwrap();
    std::os::unix::fs::symlink(link, at.join("link")).unwrap();
    let noise = Random::new(431).bytes(40_000);
    fs::write(at.join("noise"), &noise).unwrap();
    server.run(args!["group", "create", "Group-of-whisperers"]);
    server.back_up_online();
    let (deleted, _) = server.back_up_online();
    server.run(args!["expire", "--point", deleted.id, "--pin-file", owner.pin_file()]);
    server.run(args!["prune"]);

    let dump = server.scene.path("dump");
    store.dump("", &dump);
    let objects = plain_tree::files_below(&dump);
    assert!(objects.len() > 10, "{objects:?}");
    let source = server.scene.source.to_str().unwrap();
    let root = server.scene.dir().file_name().unwrap().to_str().unwrap();
    let mut secrets: Vec<Vec<u8>> = planted.iter().map(|text| text.as_bytes().to_vec()).collect();
    secrets.extend(["Group-of-whisperers", source, root, super::PASSPHRASE].map(|text| text.as_bytes().to_vec()));
    secrets.extend(["SQLite format 3", "recovery_point", "file-000", "dir-0000"].map(|text| text.as_bytes().to_vec()));
    secrets.push(noise[..24].to_vec());
    secrets.push(noise[20_000..20_024].to_vec());
    let mut sizes = 0;
    for object in objects {
        let bytes =
            [fs::read(&object).unwrap(), object.as_os_str().as_encoded_bytes()[dump.as_os_str().len()..].to_vec()]
                .concat();
        sizes += bytes.len();
        let found = secrets.iter().find(|secret| bytes.windows(secret.len()).any(|window| window == &secret[..]));
        assert!(found.is_none(), "{} holds `{}`", object.display(), found.unwrap().escape_ascii());
    }
    assert!(sizes > 500_000, "only {sizes} bytes were looked at");
    // The same search finds each of them where they are meant to be.
    let source = fs::read(at.join(file)).unwrap();
    assert!(source.windows(content.len()).any(|window| window == content.as_bytes()));
}
