//! The gate at many domains: how long a batch takes, and what it costs the servers.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::{StreamExt, stream};
use prevalidate::clock::SystemClock;
use prevalidate::prevalidation::DomainName;
use prevalidate::propagation::{DnsChecker, Gate, GateSettings, Judging, Question};
use tempfile::TempDir;

use crate::Row;
use crate::lab::{names, peak_memory_kb};
use crate::support::ports::Port;
use crate::support::process::Process;
use crate::support::zones::Policy;
use crate::support::{Keys, Zone, ask, knot};

const DOMAINS: u32 = 1_000;
const VALUE: &str = "swiss-pki=CTvhL6Rc2kFkOeSnAdBdIYcsl2aQnUbP";
/// As many as a worker has on the way.
const AT_ONCE: usize = 64;

/// 1,000 zones on four servers, found from the root, judged in two rounds at the default rate.
pub fn thousand() -> Vec<Row> {
    let port = Port::take();
    let at = |last: u8| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port.address().port()));
    let domains = names(DOMAINS as usize);
    let file = |apex: &str, records: &str| {
        let text = format!("$TTL 3600\n@ SOA ns hostmaster 1 86400 60 604800 300\n{records}\n");
        Zone::file(apex, &text).policy(Policy::Closed)
    };
    let list: String = (4..8)
        .map(|last| format!("@ NS ns{last}.hoster.test.\n"))
        .collect();
    let addresses: String = (4..8)
        .map(|last| format!("ns{last}.hoster.test. A 127.0.0.{last}\n"))
        .collect();
    let mut test = format!("@ NS ns.nic\nns.nic A 127.0.0.3\n{addresses}");
    for domain in domains.iter().map(String::as_str).chain(["hoster.test"]) {
        test.push_str(&list.replace('@', &format!("{domain}.")));
    }
    let mut hosted: Vec<Zone> = domains
        .iter()
        .map(|name| file(name, &format!("{list}@ TXT \"{VALUE}\"")))
        .collect();
    hosted.push(file("hoster.test", &format!("{list}{addresses}")));
    let mut servers = vec![
        start(
            at(2),
            &[file(
                ".",
                "@ NS ns.\nns. A 127.0.0.2\ntest. NS ns.nic.test.\nns.nic.test. A 127.0.0.3",
            )],
        ),
        start(at(3), &[file("test", &test)]),
    ];
    servers.extend((4..8).map(|last| start(at(last), &hosted)));

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let settings = |rounds| GateSettings {
        general: Judging {
            rounds: Some(rounds),
            ..Judging::default()
        },
        roots: vec![at(2)],
        port: port.address().port(),
        ..GateSettings::default()
    };
    let mut rows = Vec::new();
    let mut per_domain = Vec::new();
    for rounds in [1, 2] {
        let gate = Gate::new(settings(rounds), Arc::new(SystemClock));
        let begun = Instant::now();
        let went = runtime.block_on(check(&gate, &domains));
        let took = begun.elapsed();
        assert_eq!(went, domains.len(), "all of them are visible");
        let mut case = String::new();
        write!(
            case,
            "gate, 1,000 domains on four servers, {rounds} round{}",
            if rounds > 1 { "s" } else { "" }
        )
        .unwrap();
        rows.push(Row::below(&case, took, Duration::from_secs(10)));
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        per_domain.push(gate.questions() as f64 / f64::from(DOMAINS));
    }
    rows.push(Row {
        case: "  questions per domain: the walk, and each round".into(),
        figure: format!(
            "{:.1} + {:.1}",
            2.0 * per_domain[0] - per_domain[1],
            per_domain[1] - per_domain[0]
        ),
        aim: "< 5 + 5".into(),
        met: per_domain[1] < 15.0,
    });
    rows.push(Row::memory(
        "  peak memory, with the zones",
        peak_memory_kb("/proc/self/status"),
        150,
    ));
    rows
}

async fn check(gate: &Gate, domains: &[String]) -> usize {
    let checks = stream::iter(domains).map(|name| async move {
        let domain = DomainName::from_a_labels(name).unwrap();
        let verdict = gate.check(&Question::new(&domain, VALUE)).await;
        assert!(verdict.go && verdict.servers.len() == 4, "{verdict:?}");
    });
    checks.buffer_unordered(AT_ONCE).count().await
}

fn start(address: SocketAddr, zones: &[Zone]) -> (Process, TempDir) {
    let directory = TempDir::with_prefix("prevalidate-bench-").unwrap();
    knot::prepare(
        directory.path(),
        address,
        zones,
        &Keys::of(&["prevalidate"]),
    );
    let mut process = Process::start(knot::command(directory.path()), directory.path());
    for zone in [&zones[0], &zones[zones.len() - 1]] {
        while ask::serial(address, &zone.apex).is_none() {
            assert!(!process.ended(), "knotd at {address} ended");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    (process, directory)
}
