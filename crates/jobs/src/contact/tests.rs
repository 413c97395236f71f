use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn facts(contact: &Contact) -> Option<resurgam_model::alert::VaultTrouble> {
    contact.clone().facts("vault".to_owned(), "s3://bucket/vault".to_owned()).trouble
}

#[test]
fn trouble_counts_from_its_beginning_and_ends_with_the_next_contact() {
    let mut contact = Contact::default();
    assert_eq!(facts(&contact), None, "nothing is concluded from nothing");
    contact.note(Ok(()), at(0));
    contact.note(Err(("no route".to_owned(), false)), at(10));
    contact.note(Err(("no bucket".to_owned(), true)), at(20));
    let trouble = facts(&contact).unwrap();
    assert_eq!((trouble.since, trouble.what.as_str(), trouble.gone), (at(10), "no bucket", true));
    contact.note(Ok(()), at(30));
    assert_eq!((facts(&contact), contact.reached), (None, Some(at(30))));
}

#[test]
fn what_was_seen_is_shown_while_a_vault_is_away_and_not_when_it_is_gone() {
    let found = Found { made: Some(at(0)), lineage: Some((7, "ab".to_owned())), ..Found::default() };
    let seen = Seen { fault: None, found: Some(found.clone()) };
    let mut contact = Contact { capsule: Some(seen.clone()), ..Contact::default() };
    contact.note(Err(("no route".to_owned(), false)), at(10));
    assert_eq!(contact.copy(Some(&seen)), Ok(found));
    assert_eq!(contact.copy(None), Err("no route".to_owned()));
    contact.note(Err(("no bucket".to_owned(), true)), at(20));
    assert_eq!(contact.copy(Some(&seen)), Err("no bucket".to_owned()));
}

#[test]
fn what_is_written_is_read() {
    let seen = |fault: Option<&str>, found| Some(Seen { fault: fault.map(str::to_owned), found });
    let found = Found {
        made: Some(at(0)),
        lineage: Some((7, "ab".to_owned())),
        newest_point: Some(at(-5)),
        knows_points: true,
    };
    let mut contact =
        Contact { capsule: seen(None, Some(found)), catalog: seen(Some("none"), None), ..Contact::default() };
    for outcome in [Ok(()), Err(("no route".to_owned(), false))] {
        contact.note(outcome, at(1));
        assert_eq!(toml::from_str(&toml::to_string(&contact).unwrap()), Ok(contact.clone()));
    }
}
