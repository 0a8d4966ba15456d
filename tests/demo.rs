//! `demo` and `sandbox` as people meet them: the program itself, what it prints, and what it leaves
//! behind.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prevalidate::config;
use serde_json::Value;

fn prevalidate(temporary: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
    command
        .args(arguments)
        .env("TMPDIR", temporary)
        .env_remove("PREVALIDATE_CONFIG")
        .stdin(Stdio::null());
    command
}

/// Sends a signal to a program that we started, and gives its exit status.
fn end(mut child: Child, signal: &str) -> Option<i32> {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{signal} {}", child.id())])
        .status()
        .unwrap();
    assert!(sent.success());
    child.wait().unwrap().code()
}

fn is_empty(directory: &Path) -> bool {
    directory.read_dir().unwrap().next().is_none()
}

#[test]
fn the_demo_keeps_every_domain_proven_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let done = prevalidate(temporary.path(), &["demo", "--output", "json"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert_eq!((done.status.code(), stderr.as_ref()), (Some(0), ""));
    assert!(
        begun.elapsed() < Duration::from_secs(30),
        "{:?}",
        begun.elapsed()
    );
    assert!(is_empty(temporary.path()));

    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["domains_ever_without_proof"], 0);
    assert_eq!(report["zones_equal"], true);
    assert_eq!(report["values_left"], 0);
    assert_eq!(report["refused"].as_array().unwrap().len(), 2);
    let held = &report["held"];
    assert!(
        held["reason"].as_str().unwrap().contains("REFUSED"),
        "{held}"
    );
    assert_eq!(held["zone_equal"], true, "{held}");
    assert!(held["proof_until"].as_str() > held["proven_again_at"].as_str());
    let (to, rule) = (
        report["to"].as_str().unwrap(),
        report["rule_change"].as_str().unwrap(),
    );
    let (mut renewals, mut covered) = (0, 0);
    for domain in report["domains"].as_array().unwrap() {
        let proofs: Vec<(&str, &str)> = domain["proofs"]
            .as_array()
            .unwrap()
            .iter()
            .map(|proof| {
                (
                    proof["validated"].as_str().unwrap(),
                    proof["until"].as_str().unwrap(),
                )
            })
            .collect();
        if !domain["covered_by"].is_null() {
            assert!(proofs.is_empty(), "{domain}");
            covered += 1;
            continue;
        }
        // Times of one format compare as text. Each proof is there before the last one ends, and
        // over the change of the rule.
        assert!(proofs.windows(2).all(|two| two[1].0 < two[0].1), "{domain}");
        assert_eq!(
            proofs.first().unwrap().1,
            rule,
            "the coming rule cuts the first proof"
        );
        assert!(proofs.last().unwrap().1 > to, "{domain}");
        renewals += proofs.len() - 1;
    }
    assert_eq!(
        (report["renewals"].as_u64(), covered),
        (Some(renewals as u64), 1)
    );
    assert!(renewals >= 20, "{renewals}");
}

#[test]
fn the_demo_fits_a_terminal_of_80_columns() {
    let temporary = tempfile::tempdir().unwrap();
    let done = prevalidate(temporary.path(), &["demo", "--color", "never"])
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(done.status.success() && !text.contains('\u{1b}'));
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    for said in [
        "v=spf1 mx -all",
        "déjà-vu.example",
        "refused",
        "covered",
        "one name server does not have it yet",
        "of them validation requests",
        "6  When it needs you",
        "held: ",
    ] {
        assert!(text.contains(said), "{said}:\n{text}");
    }
    assert!(
        !text.contains("DIFFERENT") && !text.contains('×'.to_string().repeat(2).as_str()),
        "{text}"
    );
}

#[test]
fn an_interrupted_demo_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let mut child = prevalidate(temporary.path(), &["demo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines.any(|line| line.unwrap().starts_with("4 ")),
        "it comes to the fourteen months"
    );
    assert!(!is_empty(temporary.path()));
    assert_eq!(end(child, "INT"), Some(75));
    assert!(is_empty(temporary.path()));
}

/// A running `prevalidate sandbox` once it has said all; its standard output is in `file`.
fn sandbox(temporary: &Path, arguments: &[&str], file: &Path) -> Child {
    let mut child = prevalidate(temporary, &[&["sandbox"], arguments].concat())
        .stdout(std::fs::File::create(file).unwrap())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(
        said.any(|line| line.unwrap().contains("/_sandbox/state")),
        "the last line of the introduction"
    );
    child
}

#[test]
fn the_sandbox_prints_a_configuration_that_is_accepted() {
    let temporary = tempfile::tempdir().unwrap();
    let file = temporary.path().join("lab.toml");
    let lab = temporary.path().join("a lab");
    let key = "k".repeat(64);
    let arguments = [
        "--dir",
        lab.to_str().unwrap(),
        "--key",
        &key,
        "--domain",
        "Weingut.ch",
        "--secondary",
        "30s",
    ];
    let child = sandbox(
        temporary.path(),
        &[&arguments[..], &["--secondary", "dead"]].concat(),
        &file,
    );
    let settings = config::load(&file).unwrap();
    let domains: Vec<_> = settings
        .clients
        .iter()
        .flat_map(|client| &client.domains)
        .map(|d| d.name.as_str())
        .collect();
    assert_eq!(domains, ["weingut.ch"]);
    assert_eq!(
        settings.propagation.zones["weingut.ch"].name_servers.len(),
        3
    );
    assert_eq!(std::fs::read_to_string(lab.join("api.key")).unwrap(), key);
    assert_eq!(end(child, "TERM"), Some(0));
    assert!(
        lab.join("tsig.key").exists(),
        "what a person named is theirs"
    );
}

#[test]
fn a_sandbox_without_a_directory_takes_its_secrets_along() {
    let (temporary, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let file = elsewhere.path().join("lab.toml");
    let child = sandbox(temporary.path(), &[], &file);
    assert!(!is_empty(temporary.path()));
    let settings = config::load(&file).unwrap();
    assert!(
        settings.clients[0]
            .domains
            .iter()
            .any(|domain| domain.name.unicode() == "déjà-vu.example")
    );
    assert_eq!(end(child, "INT"), Some(0));
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_sandbox_listens_on_loopback_only_and_knows_its_switches() {
    let temporary = tempfile::tempdir().unwrap();
    let said = |arguments: &[&str]| {
        let done = prevalidate(temporary.path(), &[&["sandbox"], arguments].concat())
            .output()
            .unwrap();
        let text = [done.stdout, done.stderr].concat();
        (done.status.code(), String::from_utf8(text).unwrap())
    };
    for wrong in [
        ["--ca", "0.0.0.0:0"],
        ["--dns", "192.0.2.1:53"],
        ["--fault", "pols=true"],
        ["--domain", "co.uk"],
    ] {
        let (code, text) = said(&wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {text}");
    }
    for list in [&["--fault", "help"][..], &["--help"]] {
        let (code, text) = said(list);
        assert!(
            code == Some(0) && text.contains("reset_keeps_proof=true|false"),
            "{text}"
        );
    }
    assert!(is_empty(temporary.path()));
}
