//! What one bad part costs: itself. It is named, the others continue, and the exit status tells.

use serde_json::Value;

use super::life::Lab;
use super::{Bench, Said, command};

/// What went wrong with parts, as programs get it beside the document.
fn errors(said: &str) -> Vec<Value> {
    let lines = said.lines().filter(|line| line.starts_with('{'));
    let errors = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
    errors.map(|line| line["error"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_refuses_is_an_error_of_its_own_for_programs() {
    let lab = Lab::with(&["one.test"], &["swisssign", "digicert"]).await;
    std::fs::write(lab.folder.path().join("digicert.key"), "wrong").unwrap();
    for (command, key) in [
        (&["products"][..], "ca"),
        (&["clients"], "ca"),
        (&["import", "--from-ca"], "client"),
    ] {
        let json = [command, &["--output", "json"]].concat();
        let said = lab.run(&json).await.ends(3);
        assert!(said.json()["error"].is_null(), "{said:?}");
        let errors = errors(&said.err);
        assert_eq!(errors.len(), 1, "{said:?}");
        let of = errors[0][key].as_str().unwrap();
        assert!(of.starts_with("digicert"), "{of}");
        assert_eq!(errors[0]["exit"], 3, "{said:?}");
        assert!(!said.err.contains("error: "), "{said:?}");
        lab.run(command).await.ends(3).says("error: digicert");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_a_run_name_the_ca_where_there_are_several() {
    let lab = Lab::with(&["one.test"], &["swisssign", "digicert"]).await;
    let said = lab.run(&["run", "-v", "--wait", "20s"]).await.ends(0);
    for words in [
        "one.test (sandbox) registered: ",
        "one.test (sandbox) validated: ",
        "one.test (digicert) validated: ",
    ] {
        assert!(said.err.contains(words), "{words}: {}", said.err);
    }
    let lab = Lab::of(&["one.test"]).await;
    let said = lab.run(&["run", "-v", "--wait", "20s"]).await.ends(0);
    assert!(said.err.contains(" one.test registered: "), "{}", said.err);
}

#[test]
fn a_hook_loses_only_the_names_that_are_none() {
    let bench = Bench::new();
    let list = "example.org\nbad..name # no name\n_acme-challenge.example.net\n";
    let said = bench.run_with(&["hook", "-"], list).ends(1);
    said.says("<stdin>:2: ").says("nothing to do");
    let said = bench.run_with(&["hook", "-", "-o", "json"], list).ends(1);
    let left_out = said.json()["left_out"].clone();
    assert_eq!(left_out.as_array().unwrap().len(), 1, "{left_out}");
    assert_eq!(said.json()["exit"], 1);
    bench
        .run(&["hook", "bad..name", "example.org"])
        .ends(1)
        .says("bad..name");
    // What is not a list of names at all is refused.
    bench.run(&["hook", "bad..name"]).ends(2).says("bad..name");
    bench.run_with(&["hook", "-"], "a b\nc d\n").ends(2);
    let said = bench.run_with(&["hook", "example.org", "-"], "a b\nc d\n");
    said.ends(1).says("<stdin>:2: ");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_with_a_bad_name_serves_the_other_names_and_says_so_by_status() {
    let lab = Lab::of(&["one.test"]).await;
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    let hook = ["hook", "--zone", "test", "bad..name", "--wait", "5s"];
    lab.run(&hook)
        .await
        .ends(1)
        .says("checks one.test")
        .says("bad..name");
    let json = [&hook[..], &["-o", "json"]].concat();
    let said = lab.run(&json).await.ends(1).json();
    assert_eq!((&said["exit"], &said["domains"]), (&1.into(), &1.into()));
    assert_eq!(said["left_out"].as_array().unwrap().len(), 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_lists_every_account_that_cannot_be_used_and_tries_the_rest() {
    let kinds = ["swisssign", "sectigo", "digicert"];
    let lab = Lab::with(&["one.test"], &kinds).await;
    let proxy = "proxy = \"http://127.0.0.1:9\"\nproxy_user = \"x\"\nproxy_password = { file = \"none\" }\n";
    for name in ["sectigo", "digicert"] {
        let section = format!("[ca.{name}]\n");
        lab.configure(&section, &format!("{section}{proxy}"));
    }
    let found = lab.run(&["doctor", "-o", "json"]).await.ends(2).json();
    let of = |what: &str| -> Vec<(String, bool)> {
        let found = found.as_array().unwrap().iter();
        let found = found.filter(|one| one["what"] == what);
        let shown = found.map(|one| {
            let subject = one["subject"].as_str().unwrap().split('/').next().unwrap();
            (subject.to_owned(), one["ok"] == true)
        });
        shown.collect()
    };
    let mut cas = of("ca");
    cas.sort();
    let wanted = [("digicert", false), ("sandbox", true), ("sectigo", false)];
    assert_eq!(
        cas,
        wanted.map(|(name, ok)| (name.to_owned(), ok)),
        "{found}"
    );
    assert_eq!(of("configuration").len(), 1, "{found}");
    let provider = of("provider");
    assert!(provider.iter().all(|(_, ok)| *ok) && !provider.is_empty());
    assert!(of("name servers").iter().all(|(_, ok)| *ok), "{found}");

    // A provider and the store, likewise.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(lab.folder.path().join("tsig.key"), open).unwrap();
    std::fs::write(lab.folder.path().join("prevalidate.db"), "no store").unwrap();
    let said = lab.run(&["doctor"]).await.ends(2);
    let said = said.says("error: provider sandbox: ");
    said.says("error: store ").says("error: ca digicert: ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_a_folder_for_temporary_files_can_plan() {
    let lab = Lab::of(&["one.test"]).await;
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    let folder = lab.folder.path().to_owned();
    let run = move |arguments: &[&str]| {
        Said::of(command(&folder, arguments).env("TMPDIR", folder.join("nowhere")))
    };
    let said = tokio::task::spawn_blocking(move || [run(&["plan"]), run(&["demo"])]);
    let [plan, demo] = said.await.unwrap();
    plan.ends(0).says("0 of 1 domain");
    demo.ends(2).says("--keep DIR");
}
