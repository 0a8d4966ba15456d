//! What operators are given beside the program: units, alerts, a dashboard, a container file, the
//! runbook.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ALERTS: &str = include_str!("../config/monitoring/alerts.yml");
const DASHBOARD: &str = include_str!("../config/monitoring/dashboard.json");
const CONTAINER: &str = include_str!("../config/container/Containerfile");
const RUNBOOK: &str = include_str!("../docs/operations.md");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a program that `tests/install` installs.
fn run(program: &str, arguments: &[&str]) -> Output {
    let ran = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    ran.unwrap_or_else(|error| panic!("{program}: {error}; tests/install installs it"))
}

fn succeeds(program: &str, arguments: &[&str]) -> String {
    let ran = run(program, arguments);
    let said = [ran.stdout, ran.stderr]
        .map(|said| String::from_utf8_lossy(&said).into_owned())
        .concat();
    assert!(ran.status.success(), "{program} {arguments:?}: {said}");
    said
}

fn units() -> Vec<PathBuf> {
    let files = std::fs::read_dir(root().join("config"))
        .unwrap()
        .map(|file| file.unwrap().path());
    files
        .filter(|file| file.extension().is_some_and(|ending| ending == "service"))
        .collect()
}

#[test]
fn the_units_give_the_program_next_to_nothing() {
    for unit in [
        "config/prevalidate.service",
        "config/prevalidate-serve.service",
    ] {
        let said = succeeds(
            "systemd-analyze",
            &["security", "--offline=true", "--no-pager", unit],
        );
        let (_, level) = said.split_once("Overall exposure level for ").unwrap();
        let level: f64 = level
            .split(": ")
            .nth(1)
            .unwrap()
            .split_whitespace()
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(level < 2.0, "{unit}: {level}\n{said}");
    }
}

/// Each unit that keeps the state directory makes it its user's own when it starts; of two users
/// one would be shut out.
#[test]
fn the_units_of_one_store_run_as_the_one_user_whom_the_install_makes() {
    let made = RUNBOOK
        .lines()
        .find_map(|line| line.strip_prefix("sudo useradd "))
        .unwrap();
    let user = made.split_whitespace().last().unwrap();
    for unit in [
        "config/prevalidate.service",
        "config/prevalidate-serve.service",
    ] {
        let text = std::fs::read_to_string(root().join(unit)).unwrap();
        for line in [
            format!("User={user}"),
            "StateDirectory=prevalidate".to_owned(),
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{unit} has no {line}"
            );
        }
        assert!(!text.contains("DynamicUser"), "{unit}");
        assert!(made.contains("--home-dir /var/lib/prevalidate "), "{made}");
    }
}

#[test]
fn systemd_knows_every_key_of_the_units() {
    // What is only missing on this machine is no fault of the unit: its program, and units that it
    // starts after.
    let (folder, mut seen) = (tempfile::tempdir().unwrap(), 0);
    for unit in units() {
        let text = std::fs::read_to_string(&unit)
            .unwrap()
            .replace("/usr/bin/prevalidate", "/bin/true");
        let copy = folder.path().join(
            unit.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .replace("@.", "@x."),
        );
        std::fs::write(&copy, text).unwrap();
        let ran = run(
            "systemd-analyze",
            &[
                "verify",
                "--man=no",
                "--recursive-errors=no",
                copy.to_str().unwrap(),
            ],
        );
        let said = String::from_utf8_lossy(&ran.stderr);
        let own: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(folder.path().to_str().unwrap()))
            .collect();
        assert!(own.is_empty(), "{}: {own:?}", unit.display());
        seen += 1;
    }
    assert!(seen >= 3, "{seen} units");
}

#[test]
fn the_alert_rules_fire_when_they_should_and_not_before() {
    succeeds(
        "promtool",
        &["check", "rules", "config/monitoring/alerts.yml"],
    );
    succeeds(
        "promtool",
        &["test", "rules", "config/monitoring/alerts.test.yml"],
    );
}

fn alerts() -> BTreeSet<&'static str> {
    ALERTS
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect()
}

#[test]
fn every_alert_has_a_section_in_the_runbook_that_says_what_to_do_and_every_section_an_alert() {
    let sections: BTreeSet<&str> = RUNBOOK
        .lines()
        .filter_map(|line| {
            line.strip_prefix("### ")
                .filter(|name| name.starts_with("Prevalidate"))
        })
        .collect();
    assert_eq!(alerts(), sections);
    for alert in alerts() {
        let link = format!("runbook: docs/operations.md#{}", alert.to_lowercase());
        assert!(ALERTS.contains(&link), "{alert} has no link");
        let section = RUNBOOK
            .split(&format!("### {alert}\n"))
            .nth(1)
            .unwrap()
            .split("\n### ")
            .next()
            .unwrap();
        assert!(section.len() > 100, "{alert}: {section}");
    }
}

#[test]
fn the_dashboard_is_one_that_grafana_reads() {
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels
        .iter()
        .map(|panel| panel["id"].as_u64().unwrap())
        .collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let mut cells = BTreeSet::new();
    for panel in panels {
        assert_eq!(
            panel["datasource"]["uid"], "${source}",
            "the person who imports it chooses the Prometheus"
        );
        assert!(
            panel["targets"]
                .as_array()
                .is_some_and(|targets| !targets.is_empty()),
            "{}",
            panel["title"]
        );
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{} is off the grid", panel["title"]);
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(cells.insert(cell), "{} is on another panel", panel["title"]);
        }
    }
}

#[test]
fn what_alerts_and_the_dashboard_ask_for_is_measured() {
    let read = |file: &str| std::fs::read_to_string(root().join(file)).unwrap();
    let files = [
        "src/metrics.rs",
        "src/server/health.rs",
        "src/server/health/records.rs",
    ];
    let source: String = files.map(read).concat();
    let known: BTreeSet<&str> = source.split('"').skip(1).step_by(2).collect();
    let asked = read("config/monitoring/alerts.test.yml") + ALERTS + DASHBOARD;
    let mut seen = 0;
    for name in asked.split("prevalidate_").skip(1) {
        let name = name
            .split(|c: char| !c.is_ascii_lowercase() && c != '_')
            .next()
            .unwrap();
        let plain = name
            .trim_end_matches("_bucket")
            .trim_end_matches("_seconds")
            .trim_end_matches("_total");
        assert!(
            known.contains(plain.trim_end_matches("_info")),
            "nothing is called prevalidate_{name}"
        );
        seen += 1;
    }
    assert!(seen > 60, "{seen}");
}

#[test]
fn the_container_file_copies_all_that_the_build_needs() {
    let folder = tempfile::tempdir().unwrap();
    for line in CONTAINER
        .lines()
        .filter(|line| line.starts_with("COPY ") && !line.contains("--from="))
    {
        let mut words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let target = folder
            .path()
            .join(words.pop().unwrap().trim_start_matches("./"));
        std::fs::create_dir_all(if words.len() > 1 {
            &target
        } else {
            target.parent().unwrap()
        })
        .unwrap();
        for source in words {
            succeeds("cp", &["-r", source, target.to_str().unwrap()]);
        }
    }
    let manifest = folder.path().join("Cargo.toml");
    succeeds(
        "cargo",
        &[
            "metadata",
            "--locked",
            "--no-deps",
            "--format-version=1",
            "--manifest-path",
            manifest.to_str().unwrap(),
        ],
    );
    for needed in [
        "src/main.rs",
        "providers/src/lib.rs",
        "config/prevalidate.toml",
        "src/store/postgres/migrations",
    ] {
        assert!(folder.path().join(needed).exists(), "{needed}");
    }
    let image = CONTAINER
        .lines()
        .find_map(|line| line.strip_prefix("FROM docker.io/library/rust:"))
        .unwrap();
    let wanted = env!("CARGO_PKG_RUST_VERSION")
        .split('.')
        .nth(1)
        .unwrap()
        .parse::<u32>()
        .unwrap();
    assert!(
        image
            .split(['.', '-'])
            .nth(1)
            .unwrap()
            .parse::<u32>()
            .unwrap()
            >= wanted,
        "{image}"
    );
    assert!(
        CONTAINER.contains("\nUSER ") && !CONTAINER.contains("USER root"),
        "it does not run as root"
    );
}
