//! A database that throws people out, crashes, loses answers, or is full.

use prevalidate::sandbox::ca::Call;

use super::Fleet;
use crate::support::postgres::{Cluster, Database};
use crate::support::wire::{Cut, Wire};

fn fleet(database: Database, count: usize) -> Fleet {
    Fleet {
        worker: "concurrency = 1\nlease = \"10s\"",
        ..Fleet::new(database, count)
    }
}

/// How far the work has come: something to wait for between two faults.
fn progress(fleet: &Fleet) -> i64 {
    fleet.number("SELECT count(*) FROM history")
}

fn until_further(fleet: &Fleet, than: i64) {
    fleet.until("any progress", || {
        progress(fleet) > than || fleet.performed(Call::Validate) == fleet.domains.len()
    });
}

#[test]
fn sessions_that_are_terminated_again_and_again_cost_nothing_but_time() {
    let fleet = fleet(Cluster::shared().database_now(), 60);
    let machines: Vec<_> = (0..3).map(|n| fleet.start(n)).collect();
    fleet.guard_epochs();
    let mut terminated = 0;
    for _ in 0..10 {
        let before = progress(&fleet);
        terminated += fleet.number(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        );
        until_further(&fleet, before);
    }
    fleet.until_done();
    fleet.check(&format!("{terminated} sessions terminated"), machines);
}

#[test]
fn a_server_that_is_restarted_at_once_loses_nothing() {
    let mut cluster = Cluster::start();
    let fleet = fleet(cluster.database_now(), 60);
    let machines: Vec<_> = (0..3).map(|n| fleet.start(n)).collect();
    fleet.guard_epochs();
    for _ in 0..3 {
        let before = progress(&fleet);
        cluster.crash_and_restart();
        until_further(&fleet, before);
    }
    fleet.until_done();
    fleet.check("the server restarted 3 times", machines);
}

/// Whether it was stored is found out, each time, and nothing is done twice or not at all (faults
/// B08).
#[test]
fn a_connection_that_breaks_at_commit_leaves_no_doubt() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let fleet = fleet(Cluster::shared().database_now(), 60);
    let wires: Vec<Wire> = (0..3)
        .map(|_| runtime.block_on(Wire::before(Cluster::shared().address())))
        .collect();
    let machines: Vec<_> = wires
        .iter()
        .enumerate()
        .map(|(n, wire)| fleet.start_by(n, wire.address()))
        .collect();
    fleet.guard_epochs();
    let mut cuts = 0;
    for round in 0..12 {
        let cut = if round % 2 == 0 {
            Cut::AfterCommit
        } else {
            Cut::BeforeCommit
        };
        wires.iter().for_each(|wire| wire.cut(cut));
        let is_over = || fleet.performed(Call::Validate) == fleet.domains.len();
        fleet.until("a COMMIT", || wires.iter().any(Wire::is_done) || is_over());
        cuts += wires.iter().filter(|wire| wire.is_done()).count();
    }
    assert!(cuts >= 6, "only {cuts} were made in time");
    wires.iter().for_each(|wire| wire.cut(Cut::Nothing));
    fleet.until_done();
    fleet.check(&format!("{cuts} connections broken at COMMIT"), machines);
}

/// A disk that is full, for real: a file system of a few megabytes. While nothing can be stored
/// nothing is started; afterwards it continues (faults B05).
#[test]
fn a_full_disk_stops_the_work_before_it_begins_and_room_lets_it_go_on() {
    let cluster = Cluster::on_small_disk();
    let fleet = fleet(cluster.database_now(), 40);
    let mut machines: Vec<_> = (0..2).map(|n| fleet.start(n)).collect();
    fleet.guard_epochs();
    fleet.until("the first registrations", || {
        fleet.performed(Call::Register) > 0
    });
    fleet.ask("CREATE TABLE ballast (x text); ALTER TABLE ballast ALTER x SET STORAGE PLAIN");
    fleet.fill_the_disk();
    let mut nothing_more = || {
        machines
            .iter_mut()
            .for_each(|machine| drop(machine.says(&["free some space"])));
        let begun = (fleet.effects(), fleet.number("SELECT count(*) FROM ledger"));
        machines
            .iter_mut()
            .for_each(|machine| drop(machine.says(&["free some space"])));
        (fleet.effects(), fleet.number("SELECT count(*) FROM ledger")) == begun
    };
    // The first complaint may be about one table, while a page of another one still has room.
    assert!(
        (0..5).any(|_| nothing_more()),
        "it begins what it cannot store"
    );
    fleet.ask("DROP TABLE ballast");
    fleet.until_done();
    fleet.check("a full disk", machines);
    drop(cluster);
}

impl Fleet {
    /// Takes all room that is left, to the last page.
    fn fill_the_disk(&self) {
        for rows in [1000, 100, 10, 1] {
            let fill = format!(
                "INSERT INTO ballast SELECT repeat('x', 7000) FROM generate_series(1, {rows})"
            );
            while crate::support::process::try_run(
                "psql",
                &[&self.database.url, "-qtAXc", &fill],
                "",
            )
            .status
            .success()
            {}
        }
    }

    fn effects(&self) -> usize {
        [Call::Register, Call::Validate, Call::ResetToken]
            .map(|call| self.performed(call))
            .iter()
            .sum()
    }
}
