//! From nothing to a configuration, and whether it works: `config init`, `config reference`, `doctor`.

use std::process::Command;

use prevalidate::ca::registry::ADAPTERS;
use prevalidate::ca::settings::Form;
use serde_json::Value;
use tempfile::TempDir;

use super::life::Lab;

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

/// The program in an empty folder, without a terminal.
fn run(folder: &TempDir, arguments: &[&str]) -> Said {
    let ran = Command::new(env!("CARGO_BIN_EXE_prevalidate"))
        .args(arguments)
        .current_dir(folder.path())
        .env_remove("PREVALIDATE_CONFIG")
        .output()
        .unwrap();
    Said {
        code: ran.status.code(),
        out: String::from_utf8(ran.stdout).unwrap(),
        err: String::from_utf8(ran.stderr).unwrap(),
    }
}

#[test]
fn init_writes_a_commented_file_that_config_check_accepts() {
    let folder = TempDir::with_prefix("prevalidate-init-").unwrap();
    let arguments = [
        "config",
        "init",
        "--provider",
        "cloudflare",
        "--domain",
        "example.ch",
    ];
    let said = run(&folder, &arguments);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("wrote prevalidate.toml"), "{}", said.out);
    assert!(
        said.out.contains("api.key")
            && said.out.contains("cloudflare.token")
            && said.out.contains("doctor")
            && said.out.contains("set mode = \"manage\""),
        "{}",
        said.out
    );
    let text = std::fs::read_to_string(folder.path().join("prevalidate.toml")).unwrap();
    assert!(
        text.contains("# An API token with the permissions")
            && text.contains("\nkind = \"cloudflare\"")
    );
    let checked = run(
        &folder,
        &[
            "--config",
            "prevalidate.toml",
            "config",
            "check",
            "--without-secrets",
        ],
    );
    assert_eq!(checked.code, Some(0), "{}", checked.err);
    assert!(
        checked
            .out
            .contains("is in order: 1 client, 1 domain, 1 provider"),
        "{}",
        checked.out
    );
    // With the secrets in their places nothing is missing.
    let checked = run(
        &folder,
        &["--config", "prevalidate.toml", "config", "check"],
    );
    assert_eq!(checked.code, Some(2), "{}", checked.out);
    assert!(
        checked.err.contains("api.key") && checked.err.contains("cloudflare.token"),
        "{}",
        checked.err
    );
    // What is there is never written over.
    let again = run(&folder, &arguments);
    assert_eq!(again.code, Some(2));
    assert!(again.err.contains("is there already"), "{}", again.err);
    assert_eq!(
        std::fs::read_to_string(folder.path().join("prevalidate.toml")).unwrap(),
        text
    );
}

#[test]
fn init_lists_all_that_is_wrong_with_its_answers_and_writes_nothing() {
    let folder = TempDir::with_prefix("prevalidate-init-").unwrap();
    let said = run(
        &folder,
        &["config", "init", "--ca", "swissign", "--provider", "bind"],
    );
    assert_eq!(said.code, Some(2));
    for words in [
        "--ca swissign",
        "did you mean swisssign?",
        "--provider bind",
        "rfc2136",
        "--domain",
    ] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    let said = run(&folder, &["config", "init", "--domain", "not a domain"]);
    assert_eq!(said.code, Some(2), "{}", said.out);
    assert!(!folder.path().join("prevalidate.toml").exists());
    // To standard output, for those who keep it elsewhere.
    let said = run(
        &folder,
        &["config", "init", "--domain", "example.ch", "--file", "-"],
    );
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.out.contains("domains = [\"example.ch\"]") && !folder.path().join("-").exists());
}

#[test]
fn the_reference_is_in_the_program_by_section_and_kind() {
    let folder = TempDir::with_prefix("prevalidate-reference-").unwrap();
    let whole = run(&folder, &["config", "reference"]);
    assert_eq!(
        (whole.code, whole.out.as_str()),
        (Some(0), include_str!("../../config/prevalidate.toml"))
    );
    let one = run(&folder, &["config", "reference", "cloudflare"]);
    assert!(
        one.out.contains("#token = ") && !one.out.contains("rfc2136"),
        "{}",
        one.out
    );
    let none = run(&folder, &["config", "reference", "nothing"]);
    assert_eq!(none.code, Some(2));
    assert!(
        none.err.contains("there are: ") && none.err.contains("worker"),
        "{}",
        none.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_tries_everything_and_changes_nothing() {
    let lab = Lab::of(&["one.test"]).await;
    let before = lab.sandbox.dns.txt("one.test");
    let said = lab.run(&["doctor", "--output", "json"]).await.ends(0);
    let found = said.json();
    let found = found.as_array().unwrap();
    for what in ["configuration", "ca", "provider", "name servers"] {
        let one = found.iter().find(|one| one["what"] == what);
        assert_eq!(
            one.map(|one| &one["ok"]),
            Some(&Value::Bool(true)),
            "{what}: {found:?}"
        );
    }
    assert!(
        !lab.folder.path().join("prevalidate.db").exists(),
        "no store is made"
    );
    assert_eq!(lab.sandbox.dns.txt("one.test"), before);
    assert!(lab.reference("one.test").is_none(), "nothing is registered");

    // Each trouble is reported, and the most severe gives the status.
    lab.sandbox.dns.remove_keys();
    lab.run(&["doctor"]).await.ends(4).says("BADKEY");
    let key = lab.folder.path().join("api.key");
    std::fs::write(&key, "x".repeat(64)).unwrap();
    lab.run(&["doctor"])
        .await
        .ends(3)
        .says("BADKEY")
        .says("2 things are wrong");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, open).unwrap();
    lab.run(&["doctor"]).await.ends(2).says("chmod 600");
}

#[test]
fn every_kind_of_ca_can_be_begun_with_and_its_keys_are_in_the_reference() {
    let folder = TempDir::with_prefix("prevalidate-kinds-").unwrap();
    let client = run(&folder, &["config", "reference", "client"]).out;
    assert_eq!(ADAPTERS.len(), 4);
    for adapter in ADAPTERS {
        let kind = adapter.kind.name;
        let arguments = ["config", "init", "--ca", kind, "--domain", "example.ch"];
        let said = run(&folder, &[&arguments[..], &["--file", "-"]].concat());
        assert_eq!(said.code, Some(0), "{kind}: {}", said.err);
        assert!(
            said.out.contains(&format!("\nkind = \"{kind}\"")),
            "{}",
            said.out
        );

        let block = run(&folder, &["config", "reference", kind]).out;
        let shows = |text: &str, key: &str| {
            let keys = text.lines().map(|line| line.trim_start_matches(['#', ' ']));
            let mut keys = keys.filter_map(|line| line.split_once(" = "));
            keys.any(|(known, _)| known == key)
        };
        let own = adapter.settings.iter();
        for setting in own.filter(|setting| !matches!(setting.form, Form::Common)) {
            assert!(
                shows(&block, setting.key),
                "{kind}: {}: {block}",
                setting.key
            );
        }
        for setting in adapter.client_settings {
            assert!(
                shows(&client, setting.key),
                "{kind}: {}: {client}",
                setting.key
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_logs_in_to_every_kind_of_ca_also_where_no_client_is_of_it() {
    let kinds = ["swisssign", "sectigo", "internetx", "digicert"];
    let lab = Lab::with(&["one.test"], &kinds).await;
    let found = lab
        .run(&["doctor", "--output", "json"])
        .await
        .ends(0)
        .json();
    let of_cas = |found: &Value| -> Vec<(String, bool)> {
        let found = found.as_array().unwrap().iter();
        let of_cas = found.filter(|one| one["what"] == "ca");
        let shown = of_cas.map(|one| {
            let subject = one["subject"].as_str().unwrap();
            let ca = subject.split('/').next().unwrap();
            (ca.to_owned(), one["ok"] == true)
        });
        shown.collect()
    };
    let mut all = of_cas(&found);
    all.sort();
    let names = ["digicert", "internetx", "sandbox", "sectigo"];
    assert_eq!(all, names.map(|name| (name.to_owned(), true)), "{found}");

    // Accounts whose clients are still to come.
    let file = lab.folder.path().join("prevalidate.toml");
    let whole = std::fs::read_to_string(&file).unwrap();
    let sections = whole.split("[[client]]");
    let without: Vec<_> = sections
        .enumerate()
        .map(|(at, section)| match section.split_once("\n\n[") {
            // Up to the next heading is the client.
            Some((_, rest)) if at > 0 => format!("[{rest}"),
            _ => section.to_owned(),
        })
        .collect();
    let first = "[[client]]\nca = \"sandbox\"\nname = \"*\"\nprovider = \"sandbox\"\ndomains = [\"one.test\"]\n";
    std::fs::write(&file, format!("{}\n{first}", without.concat())).unwrap();
    let found = lab
        .run(&["doctor", "--output", "json"])
        .await
        .ends(0)
        .json();
    let mut all = of_cas(&found);
    all.sort();
    assert_eq!(all, names.map(|name| (name.to_owned(), true)), "{found}");

    for file in ["internetx.password", "digicert.key"] {
        std::fs::write(lab.folder.path().join(file), "wrong").unwrap();
    }
    let found = lab
        .run(&["doctor", "--output", "json"])
        .await
        .ends(3)
        .json();
    let wrong: Vec<_> = of_cas(&found).into_iter().filter(|(_, ok)| !ok).collect();
    let wrong: Vec<_> = wrong.into_iter().map(|(name, _)| name).collect();
    assert_eq!(wrong, ["digicert", "internetx"], "{found}");
}
