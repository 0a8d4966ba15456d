//! Knot DNS: configuration and command.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process;
use super::zones::{Keys, Policy, Refresh, Source, Zone, documented};

/// Writes `knot.conf` and the zone files.
pub fn prepare(directory: &Path, address: SocketAddr, zones: &[Zone], keys: &Keys) {
    let here = directory.display();
    // Knot creates each database, but not the directory above them.
    std::fs::create_dir(directory.join("db")).unwrap();
    let mut text = format!(
        "server:
    listen: {}@{}
    rundir: {here}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
log:
  - target: {here}/log
    any: info
database:
    storage: {here}/db
    journal-db-max-size: 16M
    kasp-db-max-size: 16M
    timer-db-max-size: 16M
",
        address.ip(),
        address.port(),
    );
    text.push_str("key:\n");
    for key in &keys.0 {
        writeln!(
            text,
            "  - id: {}.\n    algorithm: {}\n    secret: {}",
            key.name, key.algorithm, key.secret
        )
        .unwrap();
    }
    text.push_str("remote:\n");
    for (number, zone) in zones.iter().enumerate() {
        if let Source::Primary(primary, _) = zone.source {
            writeln!(
                text,
                "  - id: primary{number}\n    address: {}@{}",
                primary.ip(),
                primary.port()
            )
            .unwrap();
        }
    }
    text.push_str(
        "acl:\n  - id: loopback\n    address: 127.0.0.1\n    action: [ transfer, notify ]\n",
    );
    for (number, zone) in zones.iter().enumerate() {
        text += &match &zone.policy {
            Policy::AnyKey => {
                let names: Vec<_> = keys.0.iter().map(|key| format!("{}.", key.name)).collect();
                format!(
                    "  - id: update{number}\n    key: [ {} ]\n    action: update\n",
                    names.join(", ")
                )
            }
            Policy::ApexTxt(key) => documented("knot", &zone.apex, key).replacen(
                &format!("id: {key}"),
                &format!("id: update{number}"),
                1,
            ),
            Policy::Closed => continue,
        };
    }
    text.push_str("zone:\n");
    for (
        number,
        Zone {
            apex,
            text: file,
            policy,
            source,
        },
    ) in zones.iter().enumerate()
    {
        let update = if matches!(policy, Policy::Closed) {
            String::new()
        } else {
            format!(", update{number}")
        };
        write!(
            text,
            "  - domain: {apex}\n    storage: {here}\n    acl: [ loopback{update} ]\n"
        )
        .unwrap();
        match source {
            Source::File => {
                std::fs::write(directory.join(format!("{number}.zone")), file).unwrap();
                write!(
                    text,
                    "    file: {number}.zone\n    zonefile-sync: -1\n    zonefile-load: whole\n    \
                     journal-content: changes\n    serial-policy: increment\n"
                )
                .unwrap();
            }
            Source::Primary(_, refresh) => {
                let seconds = if *refresh == Refresh::EverySecond {
                    1
                } else {
                    86_400
                };
                write!(
                    text,
                    "    master: primary{number}\n    zonefile-load: none\n    zonefile-sync: -1\n    journal-content: all\n    \
                     refresh-min-interval: {seconds}\n    refresh-max-interval: {seconds}\n"
                )
                .unwrap();
            }
        }
    }
    std::fs::write(directory.join("knot.conf"), text).unwrap();
}

/// In the foreground.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(process::find("knotd"));
    command.arg("-c").arg(directory.join("knot.conf"));
    command
}
