//! Several machines on one PostgreSQL: how much faster they are together, while the CA takes its time.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use prevalidate::sandbox::ca::Call;

use crate::Row;
use crate::lab::{Lab, names};
use crate::support::postgres::Cluster;
use crate::support::{Keys, NameServer, Zone};

const DOMAINS: usize = 2_000;
/// Of each call to the CA.
const LATENCY_MS: u64 = 50;
/// Calls that one round has under way: few, so that a process waits for the CA and not for a processor.
const CONCURRENCY: usize = 1;

/// 1, 2, 4 and 8 processes, each time with a new database, a new CA and new zones.
pub fn share() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut alone = 0.0;
    for processes in [1, 2, 4, 8] {
        let rate = DOMAINS as f64 / first_run(processes).as_secs_f64();
        if processes == 1 {
            alone = rate;
        }
        let times = rate / alone;
        let (aim, met) = match processes {
            4 => ("> 3.5 times".to_owned(), times > 3.5),
            _ => ("-".to_owned(), true),
        };
        let case = format!("{processes} machines, {DOMAINS} new domains, CA with {LATENCY_MS} ms");
        rows.push(Row { case, figure: format!("{rate:.0}/s ({times:.1} x)"), aim, met });
    }
    rows
}

/// From the first call to the last proof.
fn first_run(processes: usize) -> Duration {
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
    let (first, last) = (log.first().unwrap().at, log.last().unwrap().at);
    Duration::try_from(last.duration_since(first)).unwrap()
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
