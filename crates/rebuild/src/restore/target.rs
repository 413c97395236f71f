//! Where the catalog is restored to: the home's own place, or what `-InstanceName` and `-DpmDbName` say.

use std::{fs, path::Path};

use resurgam_catalog::Location;
use resurgam_jobs::{JobError, home};
use resurgam_store::backend::{Backend, directory::Directory};

use super::aside::Aside;

/// The name of the database where none is given.
const DATABASE: &str = "DPMDB";
const CONFIG: &str = "config.toml";

fn refused(message: String) -> JobError {
    JobError::Request {
        code: "instance",
        message,
        remedy: "give the path of a file or directory, or postgres://USER@HOST, to -InstanceName; the name of the database to -DpmDbName"
            .to_owned(),
    }
}

/// The place for the catalog. `instance` is a file, a directory or a PostgreSQL URL, `name` the database in it; without
/// both it is where the home says.
///
/// # Errors
/// Where they make no sense.
pub fn target(home: &Path, instance: Option<&str>, name: Option<&str>) -> Result<Location, JobError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    if let Some(name) = name.filter(|name| name.is_empty() || !name.chars().all(plain)) {
        return Err(refused(format!("`{name}` cannot be the name of a catalog's database")));
    }
    let given = match instance {
        None => home::catalog_location(home)?,
        Some(text) => text.parse().map_err(|error: resurgam_catalog::InvalidLocation| refused(error.to_string()))?,
    };
    match (given, name) {
        (Location::Postgres { url }, Some(name)) => Ok(Location::Postgres { url: with_database(&url, name) }),
        (Location::Sqlite(path), name) if instance.is_some() => {
            let path = std::path::absolute(&path).map_err(|error| refused(format!("{}: {error}", path.display())))?;
            let file = format!("{}.sqlite", name.unwrap_or(DATABASE));
            Ok(Location::Sqlite(if path.is_dir() { path.join(file) } else { path }))
        }
        (Location::Sqlite(path), Some(name)) => Ok(Location::Sqlite(path.with_file_name(format!("{name}.sqlite")))),
        (given, _) => Ok(given),
    }
}

/// A PostgreSQL URL with another database.
fn with_database(url: &str, name: &str) -> String {
    let (place, options) = url.split_once('?').map_or((url, None), |(place, options)| (place, Some(options)));
    let host = place.find("://").map_or(0, |at| at + "://".len());
    let end = place[host..].find('/').map_or(place.len(), |at| host + at);
    let options = options.map(|options| format!("?{options}")).unwrap_or_default();
    format!("{}/{name}{options}", &place[..end])
}

/// Makes the home say where its catalog lies.
pub(super) fn settle(home: &Path, to: &Location, aside: &mut Aside) -> Result<(), JobError> {
    if home::catalog_location(home)? == *to {
        return Ok(());
    }
    let text = match to {
        Location::Sqlite(path) => path.to_str().map(str::to_owned),
        Location::Postgres { url } => Some(url.clone()),
    };
    let text = text.ok_or_else(|| refused(format!("the path {to} is not UTF-8")))?;
    let config = home.join(CONFIG);
    if fs::exists(&config).unwrap_or(false) {
        aside.set(&config)?;
    }
    let line = toml::Table::from_iter([("catalog".to_owned(), toml::Value::String(text))]);
    Ok(Directory::local(home).replace(CONFIG, line.to_string().as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(instance: Option<&str>, name: Option<&str>) -> String {
        match target(Path::new("/no/such/home"), instance, name).unwrap() {
            Location::Sqlite(path) => path.display().to_string(),
            Location::Postgres { url } => url,
        }
    }

    #[test]
    fn instance_and_name_say_where() {
        assert_eq!(at(None, None), "/no/such/home/DPMDB.sqlite");
        assert_eq!(at(None, Some("DPMDB")), "/no/such/home/DPMDB.sqlite");
        assert_eq!(at(Some("/usr"), Some("X")), "/usr/X.sqlite");
        assert_eq!(at(Some("/usr"), None), "/usr/DPMDB.sqlite");
        assert_eq!(at(Some("/no/file.db"), Some("DPMDB")), "/no/file.db");
        assert_eq!(at(Some("postgres://u:p@h:1"), Some("X")), "postgres://u:p@h:1/X");
        assert_eq!(at(Some("postgres://u@h/old?a=b/c"), Some("X")), "postgres://u@h/X?a=b/c");
        assert_eq!(at(Some("postgres://u@h/old"), None), "postgres://u@h/old");
        assert!(target(Path::new("/"), None, Some("a/b")).is_err());
        assert!(target(Path::new("/"), Some("mysql://x"), None).is_err());
    }
}
