//! Machines without faults.

use super::Fleet;
use crate::e2e::world::{Setup, finish};
use crate::support::daemon::Daemon;
use crate::support::postgres::{Bouncer, Cluster};
use prevalidate::sandbox::ca::Call;

#[test]
fn two_machines_share_two_hundred_domains_and_do_nothing_twice() {
    share(2);
}

#[test]
fn four_machines_share_two_hundred_domains_and_do_nothing_twice() {
    share(4);
}

#[test]
fn eight_machines_share_two_hundred_domains_and_do_nothing_twice() {
    share(8);
}

/// All are there before anything is due; then a process that does no work lists, and all of them go
/// to work.
fn share(count: usize) {
    // Small rounds, so that there are some for every machine.
    let fleet = Fleet {
        worker: "concurrency = 4",
        ..Fleet::new(Cluster::shared().database_now(), 200)
    };
    // The more there are, the longer it lasts: on two processors no machine wakes too late to find
    // work.
    fleet
        .world
        .ca
        .change(|behaviour| behaviour.latency_ms = 150 * count as u64);
    fleet.take_the_listing();
    let machines = (0..count).map(|n| match n {
        // One of them has a pooler before the database.
        1 => fleet.start_by(n, Bouncer::shared().address()),
        _ => fleet.start(n),
    });
    let machines: Vec<_> = machines.collect();
    fleet.guard_epochs();
    assert!(
        fleet.world.ca.log().is_empty(),
        "one lists for all: {:?}",
        fleet.world.ca.log()
    );
    fleet
        .world
        .run(&fleet.setup(count), &["status", "--refresh"]);
    let connections = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    fleet.until_valid(100);
    let connections = fleet.number(connections);
    fleet.until_done();
    assert_eq!(
        fleet.performed(Call::List),
        1,
        "a listing is for all: {:?}",
        fleet.world.ca.log()
    );
    let shares = fleet.shares();
    let least = shares
        .iter()
        .map(|(steps, _)| *steps)
        .min()
        .unwrap_or_default();
    let all: i64 = shares.iter().map(|(steps, _)| steps).sum();
    // A tenth of an even share, and of more machines than a few anything: they are no processors of
    // their own.
    let fair = if count > 4 {
        1
    } else {
        all / (10 * count as i64)
    };
    assert!(shares.len() == count && least >= fair, "{shares:?}");
    // Each has eight at most for its store and one for hints.
    assert!(connections <= 9 * count as i64, "{connections} connections");
    fleet.check(
        &format!("{count} machines, {shares:?}, {connections} connections"),
        machines,
    );
}

/// A daemon, two runs and a hook at once: one is at each domain.
#[test]
fn daemons_runs_and_hooks_at_once_do_nothing_twice() {
    let fleet = Fleet::new(Cluster::shared().database_now(), 60);
    let daemon = fleet.start(0);
    let setups: Vec<Setup> = (1..4).map(|n| fleet.setup(n)).collect();
    let hook: Vec<&str> = ["hook"]
        .into_iter()
        .chain(fleet.domains[..5].iter().map(String::as_str))
        .collect();
    let orders: [&[&str]; 3] = [&["run", "--wait", "60s"], &["run", "--wait", "60s"], &hook];
    let running: Vec<_> = setups
        .iter()
        .zip(orders)
        .map(|(setup, order)| fleet.world.start(setup, order))
        .collect();
    for (process, order) in running.into_iter().zip(orders) {
        finish(process, order).exits(0);
    }
    fleet.until_done();
    fleet.check("a daemon, two runs and a hook", vec![daemon]);
}

/// Two calls a second are two calls a second, of however many machines.
#[test]
fn the_rate_of_an_account_holds_for_all_machines_together() {
    let fleet = Fleet::new(Cluster::shared().database_now(), 20);
    let slow = |n| {
        let setup = fleet.setup(n);
        let command = fleet.world.command(&setup, &["serve", "-v"]);
        let path = fleet.world.config(&setup);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("rate = \"1000/s\""));
        std::fs::write(&path, text.replace("rate = \"1000/s\"", "rate = \"4/s\"")).unwrap();
        Daemon::start(command)
    };
    let machines: Vec<_> = (0..4).map(slow).collect();
    fleet.until_done();
    let log = fleet.world.ca.log();
    // Not sooner than the account allows: a second's worth at once, and then one after the other.
    // The CA's own clock says when each call came, and what was sent at the right time may arrive
    // late, so a window of ten has half a second to spare.
    let times: Vec<_> = log.iter().map(|request| request.at).collect();
    assert!(times.len() > 20, "{log:?}");
    for window in times.windows(10) {
        let took = window[9].duration_since(window[0]).as_secs_f64();
        assert!(took > 1.0, "ten calls in {took} s : {log:?}");
    }
    fleet.check("4 machines at 4/s", machines);
}
