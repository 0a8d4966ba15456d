//! Machines that stop for a while, die, or do not know what time it is.

use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::Call;

use super::{Fleet, PATIENCE};
use crate::support::daemon::Daemon;
use crate::support::postgres::Cluster;

/// A lease that is shorter than any that an operator would choose, so that no test waits for its
/// end, and slow work.
const WORKER: &str = "concurrency = 1\nlease = \"4s\"";

/// The CA is slow, so that machines are stopped in the middle of something.
const SLOW_MS: u64 = 250;

fn fleet(count: usize) -> Fleet {
    let fleet = Fleet {
        worker: WORKER,
        ..Fleet::new(Cluster::shared().database_now(), count)
    };
    fleet
        .world
        .ca
        .change(|behaviour| behaviour.latency_ms = SLOW_MS);
    fleet
}

/// The kinds of work in which a machine may stop for a while.
const ANYTHING: &str = "TRUE";
/// What one that dies may be at: the CA is not asked again for five minutes when it is not known
/// whether it was asked, and no test waits so long. `tests/model` kills there.
const NO_SUBMISSION: &str = "attempt::json ->> 'visible_at' IS NULL";

impl Fleet {
    /// Stops one of these in the middle of `work`, the first of them rather than the last; `None`
    /// when all is done before. Not a machine that took a domain over from another machine that
    /// stopped: a domain that three in a row stop at is held for a person (faults W09), and here no
    /// person comes.
    fn stop_at<'a>(&self, work: &str, machines: &[&'a Daemon]) -> Option<&'a Daemon> {
        let began = Instant::now();
        while self.performed(Call::Validate) < self.domains.len() {
            let pid = self.said_soon(&who_is_at(work, machines));
            let found = machines
                .iter()
                .find(|machine| machine.pid().to_string() == pid);
            if let Some(&machine) = found {
                machine.signal("-STOP");
                // Meanwhile it may have come to the end of that, and gone to something else.
                if self.ask(&who_is_at(work, &[machine])) == pid
                    && self.has_submitted_what_it_said(machine)
                {
                    return found.copied();
                }
                machine.signal("-CONT");
            }
            assert!(
                began.elapsed() < PATIENCE,
                "no machine works: {}",
                self.state()
            );
        }
        None
    }

    /// Whether the CA was asked what a machine that stopped has said to ask. Between the two words
    /// it is not asked again for five minutes, and no test waits so long; `tests/model` stops
    /// there.
    fn has_submitted_what_it_said(&self, machine: &Daemon) -> bool {
        let said = self.ask(&format!(
            "SELECT name FROM domain WHERE lease_holder LIKE '%/{}' AND attempt::json ->> 'unanswered' = 'validate'",
            machine.pid()
        ));
        let stopped = Instant::now();
        // What is on its way arrives at once, although it is not answered yet.
        while stopped.elapsed() < Duration::from_secs(1) {
            if said
                .lines()
                .all(|domain| self.world.calls_about(domain).contains(&Call::Validate))
            {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        false
    }

    /// Waits until nothing is leased to a machine that does not give its leases back.
    fn until_taken_over(&self, pid: u32) {
        let over = format!(
            "SELECT 'all' WHERE NOT EXISTS (SELECT FROM domain WHERE lease_holder LIKE '%/{pid}' AND lease_until IS NOT NULL)"
        );
        self.until_said("that others take over", &over);
    }
}

/// Which of these is at such work that no machine stopped at.
fn who_is_at(work: &str, machines: &[&Daemon]) -> String {
    let pids: Vec<_> = machines
        .iter()
        .map(|machine| format!("'{}'", machine.pid()))
        .collect();
    let pids = pids.join(", ");
    format!(
        "SELECT pid FROM (SELECT split_part(lease_holder, '/', 2) AS pid, claims = 1 AND {work} AS fits FROM domain
             WHERE lease_until > clock_timestamp()) AS held
         GROUP BY pid HAVING bool_and(fits) AND pid IN ({pids}) ORDER BY array_position(ARRAY[{pids}], pid) LIMIT 1"
    )
}

/// Each time in another moment of its work, it stops until other machines have taken over, and
/// wakes in the middle of theirs (faults W01, W02).
#[test]
fn a_machine_that_sleeps_past_its_leases_does_no_harm() {
    let fleet = fleet(60);
    let mut machines: Vec<_> = (0..3).map(|n| fleet.start(n)).collect();
    fleet.guard_epochs();
    let mut stood = 0;
    while stood < 4
        && let Some(sleeper) = fleet.stop_at(ANYTHING, &machines.iter().collect::<Vec<_>>())
    {
        stood += 1;
        fleet.until_taken_over(sleeper.pid());
        sleeper.signal("-CONT");
        machines.rotate_left(1);
    }
    assert!(stood > 1, "only {stood} times in the middle of something");
    // One that died while the others work is the same to them.
    fleet.stop_at(NO_SUBMISSION, &[&machines[2]]);
    drop(machines.pop());
    fleet.until_done();
    fleet.check(
        &format!("was stopped {stood} times with leases, and one killed"),
        machines,
    );
}

/// What a machine that died was at waits for the end of its leases, and for the round that other
/// machines are in then (faults W01, K02).
#[test]
fn what_a_killed_machine_held_is_taken_over_after_a_lease_and_a_round() {
    let fleet = fleet(60);
    let mut doomed = fleet.start(0);
    let other = fleet.start(1);
    fleet.guard_epochs();
    let mut longest = Duration::ZERO;
    for round in 0..4 {
        fleet.stop_at(NO_SUBMISSION, &[&doomed]);
        let pid = doomed.pid();
        doomed.signal("-KILL");
        let died = Instant::now();
        fleet.until_taken_over(pid);
        longest = longest.max(died.elapsed());
        doomed = fleet.start(2 + round);
    }
    // The leases last 4 s, and a round of eight domains as long on an idle machine; not five
    // minutes, as a lease does otherwise.
    assert!(
        longest < Duration::from_secs(30),
        "a lease of 4 s was taken over after {longest:?}"
    );
    fleet.until_done();
    fleet.check(
        &format!("killed 4 times, taken over after {longest:.1?} at most"),
        vec![doomed, other],
    );
}

/// Its clock says that nothing is valid any more, or that everything is for long: it decides
/// nothing (faults T01, T02).
#[cfg(feature = "crashpoints")]
#[test]
fn a_machine_whose_clock_is_a_year_off_decides_nothing() {
    const YEAR: &str = "31536000";
    let fleet = fleet(20);
    let off = |n: usize, by: String| {
        let mut command = fleet.world.command(&fleet.setup(n), &["serve", "-v"]);
        command.env("PREVALIDATE_CLOCK_AHEAD", by);
        Daemon::start(command)
    };
    let mut wrong = [off(0, YEAR.to_owned()), off(1, format!("-{YEAR}"))];
    wrong
        .iter_mut()
        .for_each(|machine| drop(machine.says(&["clock"])));
    // Nor does one that cron starts.
    for ahead in [YEAR.to_owned(), format!("-{YEAR}")] {
        let ran = fleet.world.run_with(
            &fleet.setup(9),
            &["run"],
            ("PREVALIDATE_CLOCK_AHEAD", &ahead),
        );
        ran.exits(75).says(&["clock"]);
    }
    assert!(
        fleet.world.ca.log().is_empty(),
        "{:?}",
        fleet.world.ca.log()
    );
    assert_eq!(fleet.number("SELECT count(*) FROM history"), 0);
    let right = fleet.start(2);
    fleet.until_done();
    assert_eq!(
        fleet.number("SELECT count(DISTINCT run) FROM history WHERE domain IS NOT NULL"),
        1,
        "the right one did it all"
    );
    let [ahead, behind] = wrong;
    fleet.check("two clocks a year off", vec![ahead, behind, right]);
}
