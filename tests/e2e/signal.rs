//! The end by a signal, in the middle of a wait.

use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::Call;

use super::world::{World, finish, kill};
use crate::support::name_server::write_secret;
use crate::support::zones::Key;
use crate::support::{Keys, NameServer, Refresh, Zone};

#[test]
fn sigterm_during_the_wait_ends_within_seconds_and_the_next_run_goes_on() {
    ends_within_seconds("-TERM");
}

#[test]
fn a_terminal_that_hangs_up_ends_a_run_as_sigterm_does() {
    ends_within_seconds("-HUP");
}

/// A receiver that is slow delays no run that is to end.
#[test]
fn a_signal_ends_a_run_that_tells_people_of_it() {
    let keys = Keys::of(&["prevalidate"]);
    let server = NameServer::bind(
        &[Zone::new("told.test", "@ 3600 TXT \"v=spf1 -all\"")],
        &keys,
    );
    let world = World::new(&[&server]);
    let mut setup = world.setup(&server, &["told.test"]);
    let key_file = world.path("wrong.key");
    write_secret(
        &key_file,
        &Key::new("prevalidate", "hmac-sha256").file_text(),
    );
    setup.provider = Some((server.address(), key_file));
    let fifo = world.path("begun");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let script = format!("echo begun >{}; exec sleep 600", fifo.display());
    let command = serde_json::json!(["/bin/sh", "-c", script]);
    setup.more.push_str(&format!(
        "[[notify]]\nname = \"slow\"\nkind = \"command\"\ncommand = {command}\n"
    ));
    let mut child = world.start(&setup, &["run", "--wait", "1s"]);
    // Opens once the program runs.
    assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "begun\n");
    let asked = Instant::now();
    kill(child.id(), "-TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
}

#[test]
fn sigterm_lets_a_call_under_way_end_and_keeps_what_came_of_it() {
    let keys = Keys::of(&["prevalidate"]);
    let zone = Zone::new("slow.test", "@ 3600 TXT \"v=spf1 -all\"");
    let server = NameServer::bind(&[zone], &keys);
    let world = World::new(&[&server]);
    let setup = world.setup(&server, &["slow.test"]);
    world.ca.change(|behaviour| behaviour.latency_ms = 1_000);
    let child = world.start(&setup, &["run"]);
    let begun = Instant::now();
    while world.ca.count(Call::Validate) == 0 {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the CA is not asked"
        );
        std::thread::yield_now();
    }
    kill(child.id(), "-TERM");
    finish(child, &["run"])
        .exits(0)
        .says(&["ended by a signal"]);
    let status = world.run(&setup, &["status", "--output", "json"]).json();
    assert_eq!(status[0]["state"], "valid", "{status}");
    world.ca.change(|behaviour| behaviour.latency_ms = 0);
    world.run(&setup, &["run"]).exits(0);
    assert_eq!(
        world.calls_about("slow.test"),
        [Call::Register, Call::Validate],
        "nothing is done twice"
    );
    let ours = |value: &String| value.starts_with("swiss-pki=");
    assert!(!server.txt("slow.test").iter().any(ours));
}

fn ends_within_seconds(signal: &str) {
    let keys = Keys::of(&["prevalidate"]);
    let primary = NameServer::bind(
        &[Zone::new("stale.test", "@ 3600 TXT \"v=spf1 -all\"")],
        &keys,
    );
    let secondary = NameServer::knot(
        &[Zone::secondary("stale.test", &primary, Refresh::Asked)],
        &keys,
    );
    let before = primary.axfr("stale.test");
    let world = World::new(&[&primary, &secondary]);
    let mut setup = world.setup(&primary, &["stale.test"]);
    setup.name_servers.insert(
        "stale.test".into(),
        vec![primary.address(), secondary.address()],
    );

    let mut child = world.start(&setup, &["run", "-v"]);
    let mut told = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains(" waiting: ") {
        assert_ne!(
            told.read_line(&mut said).unwrap(),
            0,
            "ended before it waited: {said}"
        );
    }
    assert!(
        said.contains(&secondary.address().to_string()),
        "says which server it waits for: {said}"
    );
    let value = primary
        .txt("stale.test")
        .into_iter()
        .find(|value| value.starts_with("swiss-pki="))
        .unwrap();
    let asked = Instant::now();
    kill(child.id(), signal);
    told.read_to_string(&mut said).unwrap();
    let ran = finish(child, &["run"]);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "took {:?}: {said}",
        asked.elapsed()
    );
    assert_eq!(ran.status.code(), Some(4), "{}{said}", ran.said());
    let ran = ran.says(&[
        "ended by a signal",
        "stay in DNS",
        &value,
        "zone stale.test",
    ]);
    assert!(primary.txt("stale.test").contains(&value), "{}", ran.said());
    assert_eq!(world.ca.count(Call::Validate), 0);

    secondary.refresh("stale.test");
    world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(
        world.calls_about("stale.test"),
        [Call::Register, Call::Validate]
    );
    assert_eq!(primary.axfr("stale.test"), before);
}
