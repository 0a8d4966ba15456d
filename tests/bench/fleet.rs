//! Several machines on one PostgreSQL: how much faster they are together, while the CA takes its time.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::{Call, Request};

use crate::Row;
use crate::lab::{Lab, names};
use crate::support::postgres::Cluster;
use crate::support::{Keys, NameServer, Zone};

const DOMAINS: usize = 2_000;
/// Of each call to the CA.
const LATENCY_MS: u64 = 50;
/// Of each process: few, so that it waits for the CA and not for a processor, of which the machines of this fleet share two.
const CONCURRENCY: usize = 1;

/// 1, 2, 4 and 8 processes, each time with a new database, a new CA and new zones.
pub fn share() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut alone = None;
    for processes in [1, 2, 4, 8] {
        let took = first_run(processes);
        let alone = alone.get_or_insert(took);
        let mut row = |case: String, took: Duration, alone: Duration, aim: f64| {
            let (rate, times) = (DOMAINS as f64 / took.as_secs_f64(), alone.as_secs_f64() / took.as_secs_f64());
            let shown = if aim > 0.0 { format!("> {aim} x") } else { "-".to_owned() };
            rows.push(Row { case, figure: format!("{rate:.0}/s, {times:.1} x"), aim: shown, met: times > aim });
        };
        row(format!("{processes} machines, {DOMAINS} new domains, all of it"), took.all, alone.all, 0.0);
        let aim = if processes == 4 { 3.5 } else { 0.0 };
        row(format!("  while the CA takes its {LATENCY_MS} ms"), took.proving, alone.proving, aim);
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
}

fn first_run(processes: usize) -> Took {
    let domains = names(DOMAINS);
    let zones: Vec<_> = domains.iter().map(|domain| Zone::new(domain, "@ TXT \"v=spf1 -all\"")).collect();
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let lab = Lab::start(vec![server.address()]);
    lab.ca.change(|behaviour| behaviour.latency_ms = LATENCY_MS);
    let database = Cluster::shared().database_now();
    lab.configure(&domains, Some(&server));
    lab.reconfigure(|text| {
        let store = format!("url = \"sqlite:{}\"", lab.folder.path().join("prevalidate.db").display());
        assert!(text.contains(&store));
        let text = text.replace(&store, &format!("url = \"{}\"", database.url));
        format!("{text}[worker]\nconcurrency = {CONCURRENCY}\n")
    });
    let machines: Vec<Machine> = (0..processes).map(|_| Machine::start(&lab)).collect();
    let began = Instant::now();
    while lab.ca.count(Call::Validate) < DOMAINS as u64 {
        assert!(began.elapsed() < Duration::from_secs(600), "{processes} machines do not come to an end");
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = lab.ca.log();
    drop(machines);
    for domain in &domains {
        assert!(lab.ca.domain(domain).is_some_and(|shown| shown.validated), "{domain} is valid");
    }
    let done = |call| log.iter().filter(|request| request.call == call && request.performed).count();
    assert_eq!(done(Call::Validate), DOMAINS, "each need is met once");
    let between = |calls: &[&Request]| {
        let took = calls.last().unwrap().at.duration_since(calls.first().unwrap().at);
        Duration::try_from(took).unwrap()
    };
    let proofs: Vec<_> = log.iter().filter(|request| request.call == Call::Validate).collect();
    Took { all: between(&log.iter().collect::<Vec<_>>()), proving: between(&proofs) }
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
