//! What people and programs are shown of persistent records by the daemon.

use super::*;
use crate::support::daemon::Daemon;

fn has_line(metrics: &str, line: &str) {
    let is_there = metrics.lines().any(|told| told == line);
    assert!(is_there, "{line}\n{metrics}");
}

#[test]
fn a_daemon_keeps_the_record_and_metrics_api_and_page_say_so() {
    let (server, world, mut setup) = stage(&[("shown.test", "")]);
    setup.more.push_str("[server]\nlisten = \"127.0.0.1:0\"\n");
    world.run(&setup, &["run", "--wait", "30s"]);
    assert_eq!(published(&server, "shown.test").len(), 1);

    let mut daemon = Daemon::start(world.command(&setup, &["serve"]));
    daemon.hears("STATUS=");
    let (_, metrics) = daemon.get("/metrics");
    has_line(
        &metrics,
        "prevalidate_persistent_records{state=\"visible\"} 1",
    );
    has_line(
        &metrics,
        "prevalidate_persistent_records_needing_attention 0",
    );
    assert!(metrics.contains("prevalidate_persistent_record_first_end_timestamp_seconds "));
    let (_, told) = daemon.get("/api/v1/persistent");
    for part in ["\"domain\":\"shown.test\"", "\"state\":\"visible\"", ISSUER] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (_, page) = daemon.get("/");
    assert!(page.contains("Persistent records") && page.contains("None needs attention."));
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(published(&server, "shown.test").len(), 1, "it stays");

    // CAA does not allow the issuer any more, and another account is wanted: held.
    server.nsupdate("update add shown.test. 60 CAA 0 issue \"other.example\"");
    let held = Setup {
        more: setup.more.clone(),
        ..section(
            setup.clone(),
            "https://acme.ca.example/acct/9",
            "canary = \"0s\"",
        )
    };
    world.run(&held, &["run", "--wait", "10s"]);
    let mut daemon = Daemon::start(world.command(&held, &["serve"]));
    daemon.hears("STATUS=");
    let (_, metrics) = daemon.get("/metrics");
    has_line(
        &metrics,
        "prevalidate_persistent_records_needing_attention 1",
    );
    let (_, page) = daemon.get("/");
    assert!(
        page.contains("1 needs attention.") && page.contains("shown.test"),
        "{page}"
    );
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
}
