//! The daemon itself with 100,000 domains, all of them valid: its first night, its start after
//! that, its pages while it continues, and what it takes of the machine.

use std::process::Command;
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use prevalidate::clock::{Clock as _, SystemClock};

use crate::Row;
use crate::lab::{Lab, names, peak_memory_kb};
use crate::pages::{asked, downloaded};
use crate::support::daemon::Daemon;
use crate::support::postgres::Cluster;

const DOMAINS: usize = 100_000;

/// Ten clients, each listed in one answer of some 8 MB.
const PER_CLIENT: usize = 10_000;

/// Over each store.
pub fn hundred_thousand() -> Vec<Row> {
    let (lab, domains) = (Lab::start(Vec::new()), names(DOMAINS));
    lab.configure(&domains, None);
    lab.reconfigure(|text| {
        let (before, _) = text.split_once("[[client]]").unwrap();
        let (_, after) = text.split_once("domains_file = \"domains\"\n").unwrap();
        let clients = domains
            .chunks(PER_CLIENT)
            .enumerate()
            .map(|(number, own)| client(&lab, number, own));
        format!(
            "{before}{}{after}[server]\nlisten = \"127.0.0.1:0\"\n",
            clients.collect::<String>()
        )
    });
    let mut rows = measure("SQLite", &lab);
    let file = format!(
        "url = \"sqlite:{}\"",
        lab.folder.path().join("prevalidate.db").display()
    );
    let server = format!("url = \"{}\"", Cluster::shared().database_now().url);
    lab.reconfigure(|text| text.replace(&file, &server));
    rows.extend(measure("PostgreSQL", &lab));
    rows
}

/// A client whose domains are all valid, and its section.
fn client(lab: &Lab, number: usize, domains: &[String]) -> String {
    let reference = lab.ca.add_client(&format!("Client {number}"), true);
    assert_eq!(lab.ca.register(&reference, domains), domains.len());
    let now = SystemClock.now();
    for (number, domain) in (0_i64..).zip(domains) {
        // Proofs of the last month: all of them far from their end, no two alike.
        lab.ca
            .set_validated(domain, now - SignedDuration::from_mins(4 * number + 60));
    }
    let file = format!("domains{number}");
    std::fs::write(lab.folder.path().join(&file), domains.join("\n")).unwrap();
    format!(
        "[[client]]\nca = \"bench\"\nreference = \"{reference}\"\nprovider = \"bench\"\ndomains_file = \"{file}\"\n"
    )
}

fn measure(name: &str, lab: &Lab) -> Vec<Row> {
    let mut rows = Vec::new();
    for (night, most) in [("first night", 60), ("start after that", 20)] {
        let begun = Instant::now();
        let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
        command
            .arg("serve")
            .arg("--config")
            .arg(lab.folder.path().join("prevalidate.toml"));
        let mut daemon = Daemon::start(command);
        daemon.hears(&format!("{DOMAINS} domains: {DOMAINS} valid"));
        let case = format!("{name}: the daemon's {night}, to the snapshot of {DOMAINS}");
        rows.push(Row::below(
            &case,
            begun.elapsed(),
            Duration::from_secs(most),
        ));
        let address = daemon.address();
        if night != "first night" {
            for (case, path) in [
                ("overview, 95th percentile", "/"),
                (
                    "list, by the end of proofs",
                    "/domains?sort=usable_until&page=9",
                ),
            ] {
                rows.push(asked(
                    &format!("  {case}"),
                    &format!("http://{address}{path}"),
                ));
            }
            rows.push(downloaded(&format!("http://{address}/domains.csv")));
            let before = processor_ms(daemon.pid());
            // Two snapshots, a dozen searches for work.
            std::thread::sleep(Duration::from_secs(60));
            let took = Duration::from_millis(processor_ms(daemon.pid()) - before);
            rows.push(Row::below(
                "  processor time of a minute in which nothing is due",
                took,
                Duration::from_secs(6),
            ));
        }
        let peak = peak_memory_kb(format!("/proc/{}/status", daemon.pid()));
        rows.push(Row::memory("  peak memory", peak, 300));
        let (ended, said) = daemon.stop();
        assert!(ended.success(), "{said}");
    }
    rows
}

/// What a process has used of the processors: fields 14 and 15 of `/proc/PID/stat`, in hundredths
/// of a second.
fn processor_ms(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = text.rsplit_once(')').unwrap();
    fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| 10 * field.parse::<u64>().unwrap())
        .sum()
}
