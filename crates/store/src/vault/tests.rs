//! Who may register, and who may not; and what a PIN is good for.

use std::sync::Arc;

use resurgam_model::{ServerId, Timestamp, VaultId};

use super::{
    Clocks, Rules, VaultText, create,
    credentials::{self, Credentials, Unaccepted},
    owner::OwnerKey,
    pin, read, servers,
};
use crate::{
    backend::{Backend, memory::Memory, read_whole},
    tests::new_volume,
};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn here(seconds: i64) -> Clocks {
    Clocks { here: at(seconds), there: None }
}

const HOUR: i64 = 3600;

struct Vault {
    place: Memory,
    owner: OwnerKey,
    text: VaultText,
}

fn vault(id: u8) -> Vault {
    let (place, (owner, _)) = (Memory::default(), OwnerKey::generate().unwrap());
    let text =
        create(&place, VaultId::from_bytes([id; 16]), "off-site", Rules::default(), owner.signing(), at(0)).unwrap();
    Vault { place, owner, text }
}

impl Vault {
    fn issue(&self, seconds: i64) -> (Credentials, String) {
        credentials::issue(&self.place, &self.text, "mem://v", None, self.owner.signing(), at(seconds)).unwrap()
    }

    fn check(&self, credentials: &Credentials, clocks: &Clocks) -> Result<(), Unaccepted> {
        credentials::check(&self.place, &self.text, credentials, clocks).unwrap()
    }
}

#[test]
fn an_owners_key_survives_its_file() {
    let (key, text) = OwnerKey::generate().unwrap();
    assert!(text.starts_with("-----BEGIN PRIVATE KEY-----\n"));
    assert_eq!(OwnerKey::parse(&text).unwrap().signing().public(), key.signing().public());
    assert!(OwnerKey::parse(&text[..60]).is_none());
    // As openssl makes it: `openssl genpkey -algorithm ed25519`.
    let foreign = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIBERERERERERERERERERERERERERERERERERERERERER\n-----END PRIVATE KEY-----\n";
    assert!(OwnerKey::parse(foreign).is_some());
}

#[test]
fn a_vault_is_made_once_and_reads_back() {
    let vault = vault(1);
    assert_eq!(read(&vault.place).unwrap().0, vault.text);
    let again =
        create(&vault.place, VaultId::from_bytes([2; 16]), "other", Rules::default(), vault.owner.signing(), at(0));
    assert!(again.is_err_and(|error| error.to_string().contains("already")));
    assert_eq!(servers(&vault.place).unwrap(), []);
    assert!(read(&Memory::default()).is_err_and(|error| error.to_string().contains("no vault")));
    let volume = Arc::new(Memory::default());
    new_volume(volume.clone());
    assert!(
        create(&*volume, VaultId::from_bytes([2; 16]), "x", Rules::default(), vault.owner.signing(), at(0)).is_err()
    );
    let mut bytes = read_whole(&vault.place, "VAULT.toml", 1 << 20).unwrap();
    let place = bytes.windows(8).position(|window| window == b"off-site").unwrap();
    bytes[place] ^= 2;
    vault.place.replace("VAULT.toml", &bytes).unwrap();
    assert!(read(&vault.place).is_err_and(|error| error.is_damage()));
}

#[test]
fn servers_are_those_with_a_whole_part() {
    let vault = vault(1);
    let server = ServerId::from_random([7; 16]);
    vault.place.replace(&format!("servers/{server}/VOLUME.toml"), b"x").unwrap();
    vault.place.replace(&format!("servers/{server}/packs/00/x"), b"x").unwrap();
    vault.place.replace("servers/nobody/VOLUME.toml", b"x").unwrap();
    assert_eq!(servers(&vault.place).unwrap(), [server]);
}

#[test]
fn credentials_count_for_two_days_and_until_newer_ones() {
    let vault = vault(1);
    let (first, text) = vault.issue(0);
    assert_eq!(Credentials::parse(&text).unwrap(), first);
    assert_eq!(vault.check(&first, &here(47 * HOUR)), Ok(()));
    assert!(matches!(vault.check(&first, &here(48 * HOUR)), Err(Unaccepted::Expired { .. })));
    // Either clock ends them.
    let clocks = Clocks { here: at(HOUR), there: Some(at(49 * HOUR)) };
    assert!(matches!(vault.check(&first, &clocks), Err(Unaccepted::Expired { .. })));
    assert!(matches!(vault.check(&first, &here(-HOUR)), Err(Unaccepted::NotYet { .. })));
    let (second, _) = vault.issue(HOUR);
    assert_eq!(vault.check(&first, &here(2 * HOUR)), Err(Unaccepted::Superseded));
    assert_eq!(vault.check(&second, &here(2 * HOUR)), Ok(()));
}

#[test]
fn what_is_no_leave_of_this_owner_is_told_apart() {
    let (mine, other) = (vault(1), vault(2));
    let (good, text) = mine.issue(0);
    let (foreign, _) = other.issue(0);
    assert!(matches!(mine.check(&foreign, &here(1)), Err(Unaccepted::Foreign { .. })));
    for length in [0, 10, text.len() / 2, text.len() - 1] {
        assert_eq!(Credentials::parse(&text[..length]), Err(Unaccepted::Damaged), "{length}");
    }
    let later = text.replace(&good.expires.to_string(), "2099-01-01T00:00:00Z");
    assert_ne!(later, text);
    assert_eq!(Credentials::parse(&later), Err(Unaccepted::Forged));
    // Signed by somebody, but not by the owner.
    let forged = Credentials { owner_key: other.owner.signing().public(), ..good };
    assert_eq!(mine.check(&forged, &here(1)), Err(Unaccepted::Forged));
}

#[test]
fn a_pin_is_good_for_five_minutes_and_until_a_newer_one() {
    let vault = vault(1);
    let check = |pin: &str, clocks: Clocks| pin::check(&vault.place, &vault.text, pin, &clocks).unwrap();
    assert_eq!(check("12345678", here(0)), Err(pin::Unaccepted::Wrong));
    let first = pin::make(&vault.place, &vault.text, vault.owner.signing(), at(0)).unwrap();
    assert!(first.len() == 8 && first.bytes().all(|digit| digit.is_ascii_digit()));
    assert_eq!(check(&first, here(299)), Ok(()));
    assert_eq!(check(&format!("{} ", *first), here(299)), Ok(()));
    assert_eq!(check(&first, here(300)), Err(pin::Unaccepted::Expired));
    assert_eq!(check(&first, Clocks { here: at(0), there: Some(at(900)) }), Err(pin::Unaccepted::Expired));
    let second = pin::make(&vault.place, &vault.text, vault.owner.signing(), at(1)).unwrap();
    if *first != *second {
        assert_eq!(check(&first, here(2)), Err(pin::Unaccepted::Wrong));
    }
    assert_eq!(check(&second, here(2)), Ok(()));
}
