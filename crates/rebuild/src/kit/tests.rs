use std::{fs, io::Write, process::Command};

use proptest::prelude::*;
use resurgam_model::{VolumeId, charter::CopyKind};
use resurgam_store::keyring::Keyring;

use super::*;

/// Made by rage (the crate `age` 0.12.1).
const BY_RAGE: &str = "\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCB2NVF6Si9uTzUvajdGL1Fo
YzVraWx3IDEwCjhNOThjU2drYVVnZFhYcmx1SGordnpjVkN4WlUvMnM2eFZ2RURT
Vkxrd00KLS0tIEQ2Tno5amplSzZJVjdVekIxVjJDYXV3QjkreHFEeHJqRCtTSWkw
V0JFcmcK4x38eLSxJyd/WMOsTX/n8kilPpA3VlRbv033iiw4UWsLcPA6/BF7Rl6B
URavxKvoY774wJ0rdMRJyw==
-----END AGE ENCRYPTED FILE-----
";
/// Made by `age -p -a`, version 1.1.1 (Go).
const BY_AGE: &str = "\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBLN1FqYUhCL2tSaVRYK2ZD
eXJwYS93IDE4CnRPZEgwZUREaVgydjhUZ3VESU85cjJXcU9wbzhXdW9LaXpBcGRS
NlhodjQKLS0tIGxwME5lYnVUTGRqcjcxcDlVYm9FVi9WRWZ6S2pTejJvaVB0RE1J
YW52bXcK2rNmKAmRFxgGUr0yVDyr7Hz6c6MZlbQOh+LWA+iLFQuW5UKDfm1BSyCf
SDKbFETd0ljGRsjoHXSQuw==
-----END AGE ENCRYPTED FILE-----
";
const PASSPHRASE: &[u8] = b"a good passphrase";
/// N = 2: what a test can afford.
const LITTLE: u8 = 1;

fn payload(kit: &str) -> Vec<u8> {
    open(PASSPHRASE, kit.as_bytes()).unwrap().payload.to_vec()
}

#[test]
fn what_other_programs_sealed_opens() {
    for kit in [BY_RAGE, BY_AGE] {
        assert_eq!(payload(kit), b"sealed by another program\n");
    }
}

/// Types a passphrase at the prompt of stock age.
const TYPING: &str = r"
import os, pty, sys
pid, tty = pty.fork()
if pid == 0:
    os.execvp('age', ['age', '--decrypt', '--output', sys.argv[2], sys.argv[1]])
told, typed = b'', False
while True:
    try:
        some = os.read(tty, 4096)
    except OSError:
        break
    if not some:
        break
    told += some
    if not typed and b'assphrase' in told:
        os.write(tty, sys.argv[3].encode() + b'\n')
        typed = True
sys.stderr.buffer.write(told)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[test]
fn stock_age_opens_a_kit_and_one_made_without_the_passphrase() {
    let present = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    if !present("age") || !present("python3") {
        let line = "SKIPPED stock_age_opens_a_kit: no age, or no python3";
        assert!(std::env::var("CI").is_err(), "{line}: this run must have all parts");
        eprintln!("{line}");
        if let Some(list) = std::env::var_os("RESURGAM_SKIPPED") {
            writeln!(fs::OpenOptions::new().append(true).create(true).open(list).unwrap(), "{line}").unwrap();
        }
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (kit, plain) = (directory.path().join("kit.age"), directory.path().join("plain"));
    // More than two chunks, so that the order of chunks and the mark of the last one count.
    let long: Vec<u8> = (0..150_000u32).map(|n| n as u8).collect();
    let (first, reusable) = seal_new(PASSPHRASE, LITTLE, &long).unwrap();
    for (text, expected) in [(first, long.as_slice()), (seal_again(&reusable, b"again").unwrap(), b"again")] {
        fs::write(&kit, text).unwrap();
        let _ = fs::remove_file(&plain);
        let ran = Command::new("python3")
            .args(["-c", TYPING])
            .args([&kit, &plain])
            .arg(String::from_utf8_lossy(PASSPHRASE).as_ref())
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        assert_eq!(fs::read(&plain).unwrap(), expected);
    }
}

#[test]
fn a_new_kit_is_made_without_the_passphrase_and_opens_with_it() {
    let (first, reusable) = seal_new(PASSPHRASE, LITTLE, b"one").unwrap();
    let kept = reusable.to_text().unwrap();
    let reusable = Reusable::parse(&kept).unwrap();
    let (second, third) = (seal_again(&reusable, b"two").unwrap(), seal_again(&reusable, b"two").unwrap());
    assert_eq!((payload(&first), payload(&second)), (b"one".to_vec(), b"two".to_vec()));
    assert_ne!(second, third, "each has a nonce of its own");
    let opened = open(PASSPHRASE, second.as_bytes()).unwrap();
    assert_eq!(*opened.reusable.to_text().unwrap(), *kept, "opening gives back what makes the next kit");
}

#[test]
fn what_does_not_open_says_why() {
    let (kit, reusable) = seal_new(PASSPHRASE, LITTLE, b"one").unwrap();
    let error = |kit: &[u8]| open(PASSPHRASE, kit).err().unwrap();
    assert_eq!(open(b"a bad passphrase", kit.as_bytes()).err(), Some(KitError::WrongPassphrase));
    assert!(matches!(error(b""), KitError::NotAKit(_)));
    assert!(matches!(error(b"\xff\xfe"), KitError::NotAKit(_)));
    assert!(matches!(error(b"some text"), KitError::NotAKit(_)));
    assert!(matches!(error(&kit.as_bytes()[..kit.len() / 2]), KitError::Damaged(_)));
    let binary = armor::unwrap(kit.as_bytes()).unwrap();
    assert!(matches!(error(&binary[..binary.len() - 1]), KitError::Damaged(_)));
    assert!(matches!(error(&binary[..120]), KitError::Damaged(_)));
    let head = reusable.to_text().unwrap();
    assert!(Reusable::parse(&head.replace("file_key = \"", "file_key = \"00")).is_err());
    assert!(Reusable::parse("header = 3").is_err());
    let to_a_key = b"age-encryption.org/v1\n-> X25519 abc\nabc\n--- abc\n";
    assert!(matches!(error(to_a_key), KitError::NotAKit(_)));
    let costly = String::from_utf8_lossy(&binary[..60]).replace(" 1\n", " 30\n");
    assert!(matches!(error(costly.as_bytes()), KitError::NotAKit(_)));
}

#[test]
fn every_flipped_bit_is_found() {
    let (kit, _) = seal_new(PASSPHRASE, LITTLE, b"one").unwrap();
    let binary = armor::unwrap(kit.as_bytes()).unwrap();
    for bit in 0..binary.len() * 8 {
        let mut bad = binary.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        // A flip in the work factor must not cost minutes.
        if age::Head::parse(&bad).is_ok_and(|(head, _)| head.work() > 12) {
            continue;
        }
        assert!(open(PASSPHRASE, &bad).is_err(), "bit {bit}");
    }
}

fn keyring() -> Keyring {
    let mut keyring = Keyring::generate().unwrap();
    let (_, reusable) = seal_new(PASSPHRASE, LITTLE, b"").unwrap();
    keyring.kit = Some(reusable.with_keyring(&keyring).unwrap().to_text().unwrap());
    keyring
}

fn content(keyring: &Keyring) -> KitContent {
    let made = "2026-11-22T10:00:00Z".parse().unwrap();
    let mut content = KitContent::new(made, "<backup> & co", "/var/lib/resurgam", keyring).unwrap();
    let location = "/mnt/pool \"one\"".to_owned();
    let volume =
        KitVolume { id: VolumeId::from_bytes([7; 16]), location: location.clone(), protection: "clear".into() };
    content.volumes.push(volume);
    let copy = |kind, place: &str| KitCopy { kind, place: place.to_owned(), share: None };
    content.copies = vec![copy(CopyKind::Pool, &location), copy(CopyKind::Capsules, &location)];
    content.copies.push(copy(CopyKind::Native, "/mnt/usb"));
    let share = KitShare { source: "/srv".to_owned(), volume: location };
    content.copies.push(KitCopy { share: Some(share), ..copy(CopyKind::Share, "/srv/catalog") });
    content
}

#[test]
fn the_content_survives_its_text_and_leads_back_to_the_keyring() {
    let keyring = keyring();
    let content = content(&keyring);
    let text = content.to_text().unwrap();
    assert_eq!(KitContent::parse(&text).unwrap(), content);
    let restored = keyring_in(text.as_bytes()).unwrap();
    assert!(restored.server == keyring.server && restored.identity == keyring.identity);
    assert!(restored.kit.is_none());
    assert!(keyring_in(b"format = 1").is_err());

    // What a capsule carries.
    let kept = Reusable::parse(keyring.kit.as_ref().unwrap()).unwrap();
    let opened = open(PASSPHRASE, kept.keyring.unwrap().as_bytes()).unwrap();
    assert!(keyring_in(&opened.payload).unwrap().wrapping == keyring.wrapping);
}

#[test]
fn a_kit_is_out_of_date_when_anything_in_it_but_the_time_has_changed() {
    let keyring = keyring();
    let (one, mut two) = (content(&keyring), content(&keyring));
    two.made = "2027-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(one.digest(), two.digest());
    two.copies.pop();
    assert_ne!(one.digest(), two.digest());
}

#[test]
fn the_page_holds_everything_but_secrets() {
    let keyring = keyring();
    let content = content(&keyring);
    let (kit, _) = seal_new(PASSPHRASE, LITTLE, content.to_text().unwrap().as_bytes()).unwrap();
    let (text, html) = (page_text(&content, &kit), page_html(&content, &kit));
    for page in [&text, &html] {
        assert!(page.contains(&fingerprint(kit.as_bytes())) && page.contains("2026-11-22"));
        for command in ["-Use capsules", "-DbLoc /mnt/usb", "-DbLoc ./share/catalog", "--source /srv"] {
            assert!(page.contains(command), "{command}");
        }
        let secrets = keyring.to_text().unwrap();
        for secret in secrets.lines().filter(|line| line.contains("_key") || line.contains("_seed")) {
            let secret = secret.split('"').nth(1).unwrap();
            assert!(!page.contains(secret));
        }
        // Paper alone is enough.
        assert_eq!(payload(page), content.to_text().unwrap().as_bytes());
    }
    assert!(text.contains("-DbLoc '/mnt/pool \"one\"'"));
    assert!(html.contains("&lt;backup&gt; &amp; co") && !html.contains("<backup>"));
    let (_, folded) = (fingerprint(kit.as_bytes()), kit.replace('\n', "\r\n   "));
    assert_eq!(fingerprint(folded.as_bytes()), fingerprint(kit.as_bytes()));
}

proptest! {
    #[test]
    fn the_parsers_stand_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        fuzz_kit(&bytes);
        let mut head = b"age-encryption.org/v1\n-> scrypt ".to_vec();
        head.extend(&bytes);
        fuzz_kit(&head);
    }

    #[test]
    fn any_payload_comes_back(length in prop_oneof![0usize..10, 65_530usize..65_545, 131_070usize..131_075]) {
        let payload = vec![5; length];
        let (_, reusable) = seal_new(PASSPHRASE, LITTLE, b"").unwrap();
        let kit = seal_again(&reusable, &payload).unwrap();
        prop_assert_eq!(&*open(PASSPHRASE, kit.as_bytes()).unwrap().payload, &payload);
    }
}
