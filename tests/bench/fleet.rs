//! Several machines on one PostgreSQL: how much faster they are together, while the CA takes its
//! time.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::{Call, Request};

use crate::Row;
use crate::lab::{Lab, names};
use crate::support::postgres::{Cluster, Database};
use crate::support::{Keys, NameServer, Zone, process};

const DOMAINS: usize = 2_000;
/// Of each call to the CA.
const LATENCY_MS: u64 = 50;
/// Of each process: few, so that it waits for the CA and not for a processor, of which the machines
/// of this fleet share two.
const CONCURRENCY: usize = 1;

/// 1, 2, 4 and 8 processes, each time with a new database, a new CA and new zones.
pub fn share() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut alone = None;
    for processes in [1, 2, 4, 8] {
        let took = first_run(processes);
        let alone = alone.get_or_insert(took);
        let mut row = |case: String, took: Duration, alone: Duration, aim: f64| {
            let (rate, times) = (
                DOMAINS as f64 / took.as_secs_f64(),
                alone.as_secs_f64() / took.as_secs_f64(),
            );
            let shown = if aim > 0.0 {
                format!("> {aim} x")
            } else {
                "-".to_owned()
            };
            rows.push(Row {
                case,
                figure: format!("{rate:.0}/s, {times:.1} x"),
                aim: shown,
                met: times > aim,
            });
        };
        row(
            format!("{processes} machines, {DOMAINS} new domains, all of it"),
            took.all,
            alone.all,
            0.0,
        );
        let aim = if processes == 4 { 3.5 } else { 0.0 };
        let busy = took.busy * 100.0;
        row(
            format!("  while the CA takes its {LATENCY_MS} ms; {busy:.0} % busy"),
            took.proving,
            alone.proving,
            aim,
        );
    }
    rows
}

/// How long it took.
#[derive(Clone, Copy)]
struct Took {
    /// From the first call to the last.
    all: Duration,
    /// From the first proof to the last: there is nothing to do but to wait for the CA.
    proving: Duration,
    /// How much of all processors was in use meanwhile, by any program: what is left is what
    /// latency takes.
    busy: f64,
}

fn first_run(processes: usize) -> Took {
    let domains = names(DOMAINS);
    let zones: Vec<_> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ TXT \"v=spf1 -all\""))
        .collect();
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let lab = Lab::start(vec![server.address()]);
    lab.ca.change(|behaviour| behaviour.latency_ms = LATENCY_MS);
    let database = Cluster::shared().database_now();
    lab.configure(&domains, Some(&server));
    lab.reconfigure(|text| {
        let store = format!(
            "url = \"sqlite:{}\"",
            lab.folder.path().join("prevalidate.db").display()
        );
        assert!(text.contains(&store));
        let text = text.replace(&store, &format!("url = \"{}\"", database.url));
        format!("{text}[worker]\nconcurrency = {CONCURRENCY}\n")
    });
    let before = contents(&lab, &server, &domains);
    let machines: Vec<Machine> = (0..processes).map(|_| Machine::start(&lab)).collect();
    let began = Instant::now();
    let until = |so: &dyn Fn() -> bool| {
        while !so() {
            assert!(
                began.elapsed() < Duration::from_secs(600),
                "{processes} machines do not come to an end"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Processors::now()
    };
    let first = until(&|| lab.ca.count(Call::Validate) > 0);
    let last = until(&|| lab.ca.count(Call::Validate) >= DOMAINS as u64);
    until(&|| is_all_removed(&database));
    let log = lab.ca.log();
    drop(machines);
    let mut needs: BTreeMap<&str, Vec<Call>> = BTreeMap::new();
    let changes = |call| matches!(call, Call::Register | Call::Validate | Call::ResetToken);
    for request in log
        .iter()
        .filter(|request| request.performed && changes(request.call))
    {
        request
            .subjects
            .iter()
            .for_each(|subject| needs.entry(subject).or_default().push(request.call));
    }
    for domain in &domains {
        assert!(
            lab.ca.domain(domain).is_some_and(|shown| shown.validated),
            "{domain} is valid"
        );
        assert_eq!(
            needs.remove(domain.as_str()),
            Some(vec![Call::Register, Call::Validate]),
            "{domain}: once for a need"
        );
    }
    assert!(
        before == contents(&lab, &server, &domains),
        "the zones are as they were"
    );
    let between = |calls: &[&Request]| {
        let took = calls
            .last()
            .unwrap()
            .at
            .duration_since(calls.first().unwrap().at);
        Duration::try_from(took).unwrap()
    };
    let proofs: Vec<_> = log
        .iter()
        .filter(|request| request.call == Call::Validate)
        .collect();
    Took {
        all: between(&log.iter().collect::<Vec<_>>()),
        proving: between(&proofs),
        busy: first.busy_until(&last),
    }
}

/// All records of all zones but the SOAs, whose serials count changes.
fn contents(lab: &Lab, server: &NameServer, domains: &[String]) -> Vec<String> {
    let (address, questions) = (server.address(), lab.folder.path().join("questions"));
    let question = |domain: &String| {
        format!(
            "@{} -p {} {domain} AXFR +tcp +noall +answer +tries=1\n",
            address.ip(),
            address.port()
        )
    };
    std::fs::write(&questions, domains.iter().map(question).collect::<String>()).unwrap();
    let text = process::run("dig", &["-f", &questions.display().to_string()], "");
    let is_one =
        |line: &&str| !line.is_empty() && !line.starts_with(';') && !line.contains("\tSOA\t");
    let mut records: Vec<_> = text.lines().filter(is_one).map(str::to_owned).collect();
    assert!(
        records.len() >= domains.len(),
        "{} records of {} zones",
        records.len(),
        domains.len()
    );
    records.sort_unstable();
    records
}

fn is_all_removed(database: &Database) -> bool {
    let open = "SELECT count(*) FROM ledger WHERE state <> 'removed'";
    process::run("psql", &[&database.url, "-qtAXc", open], "").trim() == "0"
}

/// The time that all processors together spent since the system began, and idle, in the kernel's
/// ticks.
struct Processors {
    all: u64,
    idle: u64,
}

impl Processors {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/stat").unwrap();
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are users already.
        let ticks: Vec<u64> = text
            .lines()
            .next()
            .unwrap()
            .split_whitespace()
            .skip(1)
            .take(8)
            .map(|ticks| ticks.parse().unwrap())
            .collect();
        Self {
            all: ticks.iter().sum(),
            idle: ticks[3] + ticks[4],
        }
    }

    fn busy_until(&self, later: &Self) -> f64 {
        1.0 - (later.idle - self.idle) as f64 / (later.all - self.all).max(1) as f64
    }
}

/// A daemon that ends with its owner.
struct Machine(Child);

impl Machine {
    fn start(lab: &Lab) -> Self {
        let daemon = Command::new(env!("CARGO_BIN_EXE_prevalidate"))
            .args(["--quiet", "serve", "--config"])
            .arg(lab.folder.path().join("prevalidate.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Self(daemon.unwrap())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
