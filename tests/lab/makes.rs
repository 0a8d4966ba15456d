//! The same zones on four makes: configuration, command, and waiting until everything is served.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::internet::{Content, Load, Plan, ZoneFile, dns};
use super::topology::{Make, Role};
use crate::support::process::{self, Process};
use crate::support::zones::{Keys, Policy, Source};
use crate::support::{Zone, ask, pdns};

const START: Duration = Duration::from_secs(30);

/// Starts all processes of the plan; those that transfer after those they transfer from.
pub fn start(plan: &Plan, directory: &Path) -> Vec<Process> {
    let transfers = |load: &Load| {
        load.files
            .iter()
            .any(|file| matches!(file.content, Content::TransferFrom(_)))
    };
    let (late, early): (Vec<_>, Vec<_>) = plan.loads.iter().partition(|(_, load)| transfers(load));
    let mut processes = Vec::new();
    for wave in [early, late] {
        let started: Vec<_> = std::thread::scope(|scope| {
            let all: Vec<_> = wave
                .iter()
                .map(|&(&(role, make), load)| scope.spawn(move || one(role, make, load, directory)))
                .collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        for ((_, load), mut server) in wave.into_iter().zip(started) {
            wait(load, &mut server);
            processes.push(server.process);
        }
    }
    processes
}

struct Started {
    process: Process,
    directory: PathBuf,
}

fn one(role: Role, make: Make, load: &Load, directory: &Path) -> Started {
    let directory = directory.join(format!("{make:?}-{role:?}"));
    std::fs::create_dir(&directory).unwrap();
    for (number, file) in load.files.iter().enumerate() {
        if let Content::Text(text) = &file.content {
            std::fs::write(directory.join(format!("{number}.zone")), text).unwrap();
        }
    }
    let command = match make {
        Make::Bind => bind(&directory, load),
        Make::Knot => knot(&directory, load),
        Make::Nsd => nsd(&directory, load),
        Make::Pdns => power_dns(&directory, load),
    };
    Started {
        process: Process::start(command, &directory),
        directory,
    }
}

fn wait(load: &Load, server: &mut Started) {
    let begun = Instant::now();
    let broken =
        |file: &ZoneFile| matches!(&file.content, Content::Text(text) if !text.contains("SOA"));
    let Some(&address) = load.addresses.first() else {
        return;
    };
    for file in load
        .files
        .iter()
        .filter(|file| !broken(file) && file.inside.is_none())
    {
        while ask::serial(dns(address), &file.apex).is_none() {
            if server.process.ended() || begun.elapsed() > START {
                let log =
                    std::fs::read_to_string(server.directory.join("output")).unwrap_or_default();
                panic!(
                    "{}: no answer for {}\n{log}",
                    server.directory.display(),
                    file.apex
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn list(addresses: &[IpAddr], one: impl Fn(&IpAddr) -> String) -> String {
    addresses.iter().map(one).collect()
}

fn bind(directory: &Path, load: &Load) -> Command {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) =
        load.addresses.iter().partition(|address| address.is_ipv4());
    let (v4, v6) = (
        list(&v4, |a| format!("{a}; ")),
        list(&v6, |a| format!("{a}; ")),
    );
    let none = |list: String| {
        if list.is_empty() {
            "none; ".to_owned()
        } else {
            list
        }
    };
    let mut text = format!(
        "controls {{ }};
options {{
  directory \".\"; managed-keys-directory \".\"; pid-file none; session-keyfile \"session.key\"; lock-file none;
  listen-on {{ {}}}; listen-on-v6 {{ {}}}; interface-interval 0; tcp-listen-queue 10;
  recursion no; allow-query {{ any; }}; allow-transfer {{ any; }}; notify no; dnssec-validation no; empty-zones-enable no;
  minimal-responses no; querylog no; check-integrity no;
}};
",
        none(v4),
        none(v6)
    );
    let zones = |inside: bool| {
        let chosen = load
            .files
            .iter()
            .enumerate()
            .filter(move |(_, file)| file.inside.is_some() == inside);
        chosen
            .map(|(number, file)| {
                format!(
                    "  zone \"{}\" {{ type primary; file \"{number}.zone\"; check-names ignore; }};\n",
                    named(&file.apex)
                )
            })
            .collect::<String>()
    };
    let split: Vec<IpAddr> = load
        .files
        .iter()
        .filter_map(|file| file.inside.clone())
        .flatten()
        .collect();
    if !split.is_empty() {
        let at = list(&split, |a| format!("{a}; "));
        let (outside, zones) = (super::perspectives::OUTSIDE, zones(true));
        write!(
            text,
            "view \"inside\" {{\n  match-clients {{ !{outside}; any; }}; match-destinations {{ {at}}};\n{zones}}};\n"
        )
        .unwrap();
    }
    writeln!(text, "view \"main\" {{\n{}}};", zones(false)).unwrap();
    std::fs::write(directory.join("named.conf"), text).unwrap();
    let mut command = Command::new(process::find("named"));
    command
        .args(["-g", "-n", "1", "-c"])
        .arg(directory.join("named.conf"));
    command
}

fn knot(directory: &Path, load: &Load) -> Command {
    let here = directory.display();
    std::fs::create_dir(directory.join("db")).unwrap();
    let listen = list(&load.addresses, |a| format!("    listen: {a}@53\n"));
    let mut text = format!(
        "server:\n{listen}    rundir: {here}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
         log:\n  - target: {here}/log\n    any: info\ndatabase:\n    storage: {here}/db\n    journal-db-max-size: 16M\n    \
         kasp-db-max-size: 16M\n    timer-db-max-size: 16M\nremote:\n"
    );
    for (number, file) in load.files.iter().enumerate() {
        if let Content::TransferFrom(primary) = file.content {
            writeln!(text, "  - id: primary{number}\n    address: {primary}@53").unwrap();
        }
    }
    text.push_str("zone:\n");
    for (number, file) in load.files.iter().enumerate() {
        let source = match file.content {
            Content::Text(_) => format!(
                "file: {number}.zone\n    zonefile-sync: -1\n    zonefile-load: whole\n    journal-content: none"
            ),
            Content::TransferFrom(_) => {
                format!(
                    "master: primary{number}\n    zonefile-load: none\n    zonefile-sync: -1\n    journal-content: all"
                )
            }
        };
        // A zone with faults on purpose is served as it is.
        writeln!(
            text,
            "  - domain: {}\n    storage: {here}\n    semantic-checks: off\n    {source}",
            named(&file.apex)
        )
        .unwrap();
    }
    std::fs::write(directory.join("knot.conf"), text).unwrap();
    let mut command = Command::new(process::find("knotd"));
    command.arg("-c").arg(directory.join("knot.conf"));
    command
}

fn nsd(directory: &Path, load: &Load) -> Command {
    let here = directory.display();
    let listen = list(&load.addresses, |a| format!("  ip-address: {a}\n"));
    let mut text = format!(
        "server:\n{listen}  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{here}\"\n  database: \"\"\n  pidfile: \"{here}/pid\"\n  \
         xfrdfile: \"{here}/xfrd\"\n  xfrdir: \"{here}\"\n  zonelistfile: \"{here}/list\"\n  server-count: 1\n  verbosity: 1\n  \
         rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n"
    );
    for (number, file) in load.files.iter().enumerate() {
        let transfer = match file.content {
            Content::Text(_) => String::new(),
            Content::TransferFrom(primary) => format!("  request-xfr: AXFR {primary} NOKEY\n"),
        };
        write!(
            text,
            "zone:\n  name: \"{}\"\n  zonefile: \"{number}.zone\"\n{transfer}",
            named(&file.apex)
        )
        .unwrap();
    }
    std::fs::write(directory.join("nsd.conf"), text).unwrap();
    let mut command = Command::new(process::find("nsd"));
    command.arg("-d").arg("-c").arg(directory.join("nsd.conf"));
    command
}

/// The harness of the other tests fills the database; here there are more addresses, and zones that
/// were signed before.
fn power_dns(directory: &Path, load: &Load) -> Command {
    let zones: Vec<Zone> = load
        .files
        .iter()
        .map(|file| {
            let Content::Text(text) = &file.content else {
                panic!("PowerDNS serves files here")
            };
            Zone {
                apex: file.apex.clone(),
                text: text.clone(),
                policy: Policy::Closed,
                source: Source::File,
            }
        })
        .collect();
    pdns::prepare(directory, dns(load.addresses[0]), &zones, &Keys(Vec::new()));
    let here = directory.to_str().unwrap();
    let conf = directory.join("pdns.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(
        conf,
        text + "gsqlite3-dnssec=yes\nudp-truncation-threshold=1232\n",
    )
    .unwrap();
    for file in load.files.iter().filter(|file| file.signed) {
        for act in ["rectify-zone", "set-presigned"] {
            process::run("pdnsutil", &["--config-dir", here, act, &file.apex], "");
        }
    }
    let mut command = pdns::command(directory);
    let all = load
        .addresses
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    command.arg(format!("--local-address={all}"));
    command
}

fn named(apex: &str) -> &str {
    if apex.is_empty() { "." } else { apex }
}
