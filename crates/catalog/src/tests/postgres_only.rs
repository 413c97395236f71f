//! What only a server can show.

use super::place::{Place, now, on_postgres};
use crate::{Catalog, CatalogError, Fault, Location};

/// The test's own URL with some part of it replaced.
fn open(place: &Place, from: &str, to: &str) -> CatalogError {
    let Location::Postgres { url } = &place.location else { panic!("not on PostgreSQL") };
    assert!(url.contains(from), "{from} is not in the URL");
    Catalog::open(&Location::Postgres { url: url.replacen(from, to, 1) }, now()).unwrap_err()
}

/// The last part of the path: the test's own database.
fn database(place: &Place) -> String {
    let Location::Postgres { url } = &place.location else { panic!("not on PostgreSQL") };
    url.split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default().to_owned()
}

#[test]
fn a_database_that_is_not_there_is_named_with_a_remedy() {
    on_postgres(|place| {
        let error = open(place, &database(place), "no_such_database");
        assert!(matches!(error.fault, Fault::NotFound(_)), "{error}");
        assert!(error.to_string().contains("createdb"), "{error}");
        // Without a name it is DPMDB, and nothing is made.
        let error = open(place, &format!("/{}", database(place)), "");
        assert!(error.to_string().contains("\"DPMDB\""), "{error}");
    });
}

#[test]
fn a_server_that_does_not_answer_is_unreachable_and_the_password_stays_secret() {
    let location: Location = "postgres://me:secret@127.0.0.1:1/DPMDB".parse().unwrap();
    let error = Catalog::open(&location, now()).unwrap_err();
    assert!(matches!(error.fault, Fault::Unreachable(_)), "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("127.0.0.1:1") && !text.contains("secret"), "{text}");
}

#[test]
fn an_unknown_user_is_denied() {
    on_postgres(|place| {
        let Location::Postgres { url } = &place.location else { panic!("not on PostgreSQL") };
        let (scheme, rest) = url.split_once("://").unwrap();
        let host = rest.split_once('@').map_or(rest, |(_, host)| host);
        let location = Location::Postgres { url: format!("{scheme}://nobody_at_all:x@{host}") };
        let error = Catalog::open(&location, now()).unwrap_err();
        assert!(matches!(error.fault, Fault::Denied(_)), "{error}");
    });
}

#[test]
fn a_connection_that_broke_is_made_again() {
    on_postgres(|place| {
        let catalog = place.open();
        place.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        // The first use after it may say that the server went away; the next one must work.
        let _ = catalog.groups();
        assert_eq!(catalog.groups().unwrap(), []);
    });
}

#[test]
fn states_are_classed() {
    use crate::error::of_postgres;
    let class = |state| of_postgres(state, String::new());
    assert!(matches!(class("53100"), Fault::Full(_)));
    assert!(matches!(class("25006"), Fault::ReadOnly(_)));
    assert!(matches!(class("55P03"), Fault::Locked(_)));
    assert!(matches!(class("57P01"), Fault::Unreachable(_)));
    assert!(matches!(class("28P01"), Fault::Denied(_)));
    assert!(matches!(class("XX001"), Fault::Corrupt(_)));
    assert!(matches!(class("42601"), Fault::Other(_)));
}

#[test]
fn encryption_that_was_asked_for_is_never_silently_left_out() {
    on_postgres(|place| {
        let Location::Postgres { url } = &place.location else { panic!("not on PostgreSQL") };
        let mark = if url.contains('?') { '&' } else { '?' };
        let location = Location::Postgres { url: format!("{url}{mark}sslmode=require") };
        let error = Catalog::open(&location, now()).unwrap_err();
        assert!(error.to_string().to_lowercase().contains("tls"), "{error}");
    });
}
