use super::*;

fn env<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

fn place(text: &str) -> ObjectPlace {
    ObjectPlace::parse(text).unwrap()
}

#[test]
fn access_comes_from_the_names_that_the_stores_tools_use() {
    let s3 = env(&[("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "hush"), ("AWS_DEFAULT_REGION", "eu")]);
    assert_eq!(StoreAccess::from_env(&place("s3://b"), &s3).unwrap(), StoreAccess::s3("id", "hush", Some("eu")));
    for name in ["AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY"] {
        let azure = [("AZURE_STORAGE_ACCOUNT_NAME", "acct"), (name, "a2V5")];
        let access = StoreAccess::from_env(&place("az://c"), &env(&azure)).unwrap();
        assert_eq!(access, StoreAccess::azure_key("acct", "a2V5"));
    }
    let sas = [("AZURE_STORAGE_SAS_TOKEN", "sv=1&sig=x")];
    let named = place("https://named.blob.core.windows.net/c");
    assert_eq!(StoreAccess::from_env(&named, &env(&sas)).unwrap(), StoreAccess::azure_sas("named", "sv=1&sig=x"));
}

#[test]
fn a_connection_string_gives_account_key_and_endpoint() {
    let text = "DefaultEndpointsProtocol=http;AccountName=acct;AccountKey=a2V5==;BlobEndpoint=http://127.0.0.1:1/acct;";
    let pairs = [("AZURE_STORAGE_CONNECTION_STRING", text)];
    let env = env(&pairs);
    let place = place("az://c/p").settled(&env).unwrap();
    assert_eq!(place.to_string(), "az+http://127.0.0.1:1/acct/c/p");
    assert_eq!(StoreAccess::from_env(&place, &env).unwrap(), StoreAccess::azure_key("acct", "a2V5=="));
}

#[test]
fn development_storage_is_the_emulator_and_its_key_still_comes_from_the_environment() {
    let pairs = [("AZURE_STORAGE_CONNECTION_STRING", "UseDevelopmentStorage=true"), ("AZURE_STORAGE_KEY", "a2V5")];
    let settled = place("az://c").settled(&env(&pairs)).unwrap();
    assert_eq!(settled.to_string(), "az+http://127.0.0.1:10000/devstoreaccount1/c");
    assert!(StoreAccess::from_env(&settled, &env(&pairs)).is_ok());
    assert!(StoreAccess::from_env(&settled, &env(&pairs[..1])).is_err());
}

#[test]
fn what_is_missing_is_named() {
    let error = |text: &str| StoreAccess::from_env(&place(text), &|_| None).unwrap_err().to_string();
    assert!(error("s3://b").contains("AWS_ACCESS_KEY_ID"));
    assert!(error("az://c").contains("AZURE_STORAGE_ACCOUNT"));
    assert!(error("https://a.blob.core.windows.net/c").contains("AZURE_STORAGE_KEY"));
}

#[test]
fn access_survives_its_text_and_shows_no_secret() {
    for access in [
        StoreAccess::s3("id", "hush", None),
        StoreAccess::azure_key("acct", "hush"),
        StoreAccess::azure_sas("acct", "sig=hush"),
    ] {
        let text = toml::to_string(&access).unwrap();
        assert_eq!(toml::from_str::<StoreAccess>(&text).unwrap(), access, "{text}");
        assert!(!format!("{access:?}").contains("hush"), "{access:?}");
        assert!(access.secrets().iter().any(|secret| secret.contains("hush")));
    }
}

#[test]
fn a_grant_is_made_of_an_accounts_key_for_a_time_to_come_and_of_nothing_else() {
    let (now, later) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(86_400).unwrap());
    let azure = StoreAccess::azure_key("acct", "a2V5");
    let there = place("https://acct.blob.core.windows.net/c/p");
    let grant = azure.grant(&there, later, now).unwrap();
    assert!(grant.starts_with("sp=racwdl&se=1970-01-02T00%3A00%3A00Z&spr=https&sv=2020-12-06&sr=c&sig="), "{grant}");
    assert!(azure.grant(&there, now, later).is_none());
    assert!(azure.grant(&place("https://other.blob.core.windows.net/c"), later, now).is_none());
    assert!(StoreAccess::azure_sas("acct", &grant).grant(&there, later, now).is_none());
    assert!(StoreAccess::s3("id", "hush", None).grant(&place("s3://b"), later, now).is_none());
    assert_eq!(StoreAccess::of_grant(&there, &grant), Some(StoreAccess::azure_sas("acct", &grant)));
}
