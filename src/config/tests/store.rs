//! `[store]`: which databases there are, and where a password is.

use super::*;

#[test]
fn a_store_is_a_file_or_a_database_of_postgresql() {
    let folder = Folder::new();
    let with = |store: &str| GOOD.replace("url = \"sqlite:prevalidate.db\"", store);
    let url = "postgres://prevalidate@db.example.com/prevalidate?sslmode=verify-full";
    let settings = folder
        .load(&with(&format!(
            "url = \"{url}\"\npassword = {{ env = \"PW\" }}"
        )))
        .unwrap();
    assert_eq!(settings.store_url, url);
    assert_eq!(
        settings.store_password,
        Some(SecretSource::Env("PW".to_owned()))
    );
    assert!(
        settings
            .redacted_toml()
            .contains("password = { env = \"PW\" }"),
        "{}",
        settings.redacted_toml()
    );
    let settings = folder
        .load(&with("url = \"sqlite:x.db\"\npassword = { env = \"PW\" }"))
        .unwrap();
    assert!(
        settings.notices[0]
            .to_string()
            .contains("store.password: is not used"),
        "{:?}",
        settings.notices
    );
    for wrong in ["mysql://db/x", "postgres:", "sqlite:x?mode=ro"] {
        assert_eq!(
            folder.faults(&with(&format!("url = \"{wrong}\""))).len(),
            1,
            "{wrong}"
        );
    }
    for open in [
        format!("postgres://u:{CANARY}@host/db"),
        format!("postgres://u@host/db?password={CANARY}"),
    ] {
        let faults = folder.faults(&with(&format!("url = \"{open}\"")));
        assert!(
            faults[0].contains("must not hold a password") && !faults[0].contains(CANARY),
            "{faults:?}"
        );
    }
}
