//! What the daemon does with certificates, and what it shows of them.

use super::*;
use crate::support::daemon::Daemon;

const LISTEN: &str = "[server]\nlisten = \"127.0.0.1:0\"\n";

/// The daemon of a configuration after this change of its text.
fn serve(lab: &Lab, setup: &Setup, change: impl Fn(&str) -> String) -> Daemon {
    let command = lab.world.command(setup, &["serve"]);
    let file = lab.world.config(setup);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, change(&text)).unwrap();
    Daemon::start(command)
}

#[test]
fn serve_orders_in_the_mode_manage_and_nothing_in_the_mode_observe() {
    let lab = Lab::new();
    lab.world.run(&lab.setup(&[]), &WAIT).exits(0);
    let mut setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    setup.more.push_str(LISTEN);
    let observing = |text: &str| text.replace("\"manage\"", "\"observe\"");
    let mut daemon = serve(&lab, &setup, observing);
    daemon.hears("STATUS=3 domains: 3 valid");
    // It has checked its certificates before it says this again and again.
    for _ in 0..5 {
        daemon.hears("WATCHDOG=1");
    }
    let (_, metrics) = daemon.get("/metrics");
    let line = "prevalidate_certificates{state=\"missing\"} 1";
    assert!(metrics.lines().any(|told| told == line), "{metrics}");
    let (ended, said) = daemon.stop();
    assert!(ended.success(), "{said}");
    assert_eq!(lab.world.ca.orders().len(), 0, "{said}");
    assert_eq!(lab.world.ca.count(Call::Issue), 0, "{said}");
    assert!(!lab.directory().join("www/current").exists());

    let mut daemon = serve(&lab, &setup, str::to_owned);
    daemon.says(&["installed", "www"]);
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_revoked_certificate_is_told_by_the_metrics_and_on_the_page() {
    let lab = Lab::new();
    let mut setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    setup.more.push_str(LISTEN);
    lab.world.run(&setup, &WAIT).exits(0);
    let shown = || {
        let mut daemon = serve(&lab, &setup, str::to_owned);
        daemon.hears("STATUS=3 domains: 3 valid");
        let (metrics, page) = (daemon.get("/metrics").1, daemon.get("/").1);
        daemon.stop();
        (metrics, page)
    };
    let has = |metrics: &str, line: &str| {
        assert!(
            metrics.lines().any(|told| told == line),
            "{line}\n{metrics}"
        );
    };
    let (metrics, page) = shown();
    has(&metrics, "prevalidate_certificates{state=\"valid\"} 1");
    has(
        &metrics,
        "prevalidate_certificate_needs_attention{certificate=\"www\"} 0",
    );
    assert!(page.contains("www") && !page.contains("revoked"), "{page}");

    let revoke = ["certificate", "revoke", "www", "--reason", "superseded"];
    let revoke = [&revoke[..], &["--yes", "--wait", "30s"]].concat();
    lab.world.run(&setup, &revoke).exits(0);
    let (metrics, page) = shown();
    has(&metrics, "prevalidate_certificates{state=\"revoked\"} 1");
    has(
        &metrics,
        "prevalidate_certificate_needs_attention{certificate=\"www\"} 1",
    );
    let mut rows = page.split("<tr").skip(1);
    let row = rows.find(|row| row.contains("www")).unwrap();
    assert!(row.contains("revoked"), "{row}");
    assert_eq!(
        lab.world.ca.orders().len(),
        1,
        "a person decides on the next"
    );
}

#[test]
fn serve_keeps_certificates_as_soon_as_their_directory_can_be_made() {
    let lab = Lab::new();
    lab.world.run(&lab.setup(&[]), &WAIT).exits(0);
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    std::fs::write(lab.directory(), "a file").unwrap();
    let mut daemon = serve(&lab, &setup, str::to_owned);
    daemon.says(&["no certificate is kept"]);
    std::fs::remove_file(lab.directory()).unwrap();
    daemon.says(&["certificates are kept again"]);
    daemon.says(&["installed", "www"]);
    assert_eq!(lab.world.ca.orders().len(), 1);
}
