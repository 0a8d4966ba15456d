//! Zones signed by BIND's tools or by Knot, Knot to serve them, and unbound to judge them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, ResponseCode};
use hickory_proto::rr::RecordType;
use tempfile::TempDir;

use crate::support::ask;
use crate::support::ports::Port;
use crate::support::process::{self, Process};

pub const VALUE: &str = "swiss-pki=0123456789abcdef";

/// Signing with `dnssec-signzone`: the algorithm, and further arguments.
pub type By = (&'static str, &'static [&'static str]);
pub const P256: By = ("ECDSAP256SHA256", &[]);
pub const ED25519: By = ("ED25519", &[]);
pub const ED448: By = ("ED448", &[]);
pub const RSA_NSEC3: By = ("RSASHA256", &["-3", "ab", "-H", "5"]);
pub const OPT_OUT: By = ("RSASHA256", &["-3", "-", "-A"]);
pub const EXPIRED: By = (
    "ECDSAP256SHA256",
    &["-P", "-s", "now-864000", "-e", "now-172800"],
);
pub const EARLY: By = (
    "ECDSAP256SHA256",
    &["-P", "-s", "now+172800", "-e", "now+864000"],
);

/// A zone.
#[derive(Clone)]
pub struct Zone {
    pub apex: String,
    /// The zone file.
    pub text: String,
    /// Its DS records, as `dnssec-signzone` writes them.
    pub ds: String,
    /// Signed by Knot, with this many NSEC3 iterations.
    pub iterations: Option<u16>,
    /// The keys it was signed with.
    pub keys: Option<Arc<TempDir>>,
}

impl Zone {
    /// With these records too.
    pub fn with(mut self, records: &str) -> Self {
        self.text.push_str(records);
        self.text.push('\n');
        self
    }

    /// Another version of the zone, signed with the same keys.
    pub fn signed_again(&self, version: &Zone, by: By) -> Self {
        sign(version, by, self.keys.clone().unwrap())
    }
}

/// A zone with these records and a name server called `ns`.
pub fn unsigned(apex: &str, records: &str) -> Zone {
    let origin = apex.trim_end_matches('.');
    let text = format!(
        "$ORIGIN {origin}.\n$TTL 300\n@ SOA ns hostmaster 1 86400 60 604800 300\n@ NS ns\n{records}\n"
    );
    Zone {
        apex: apex.into(),
        text,
        ds: String::new(),
        iterations: None,
        keys: None,
    }
}

/// A zone with the value, on 127.0.0.4.
pub fn leaf(apex: &str) -> Zone {
    unsigned(apex, &format!("ns A 127.0.0.4\n@ TXT \"{VALUE}\""))
}

/// The zone signed with keys of its own.
pub fn signed(zone: Zone, by: By) -> Zone {
    let keys = TempDir::with_prefix("prevalidate-keys-").unwrap();
    let folder = keys.path().to_str().unwrap();
    for role in [&[][..], &["-f", "KSK"][..]] {
        process::run(
            "dnssec-keygen",
            &[&["-q", "-K", folder, "-a", by.0], role, &[&zone.apex]].concat(),
            "",
        );
    }
    sign(&zone, by, Arc::new(keys))
}

fn sign(zone: &Zone, (_, arguments): By, keys: Arc<TempDir>) -> Zone {
    let folder = keys.path().to_str().unwrap();
    let (input, output) = (format!("{folder}/in"), format!("{folder}/out"));
    std::fs::write(&input, &zone.text).unwrap();
    let fixed = [
        "-q", "-S", "-K", folder, "-d", folder, "-o", &zone.apex, "-f", &output,
    ];
    process::run(
        "dnssec-signzone",
        &[&fixed[..], arguments, &[&input]].concat(),
        "",
    );
    let ds = std::fs::read_to_string(format!(
        "{folder}/dsset-{}.",
        zone.apex.trim_end_matches('.')
    ))
    .unwrap();
    Zone {
        text: std::fs::read_to_string(output).unwrap(),
        ds,
        keys: Some(keys),
        ..zone.clone()
    }
}

/// Knot, gone when dropped.
pub struct Server {
    directory: TempDir,
    _process: Process,
}

impl Server {
    pub fn start(address: SocketAddr, zones: &[Zone]) -> Self {
        let directory = TempDir::with_prefix("prevalidate-dns-").unwrap();
        let here = directory.path().display();
        std::fs::create_dir(directory.path().join("db")).unwrap();
        let mut text = format!(
            "server:\n    listen: {}@{}\n    rundir: {here}\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
             log:\n  - target: {here}/log\n    any: info\n\
             database:\n    storage: {here}/db\n    journal-db-max-size: 16M\n    kasp-db-max-size: 16M\n    timer-db-max-size: 16M\n\
             policy:\n",
            address.ip(),
            address.port()
        );
        for iterations in zones.iter().filter_map(|zone| zone.iterations) {
            let policy = "single-type-signing: on\n    nsec3: on\n    nsec3-salt-length: 8\n    nsec3-iterations";
            writeln!(text, "  - id: p{iterations}\n    {policy}: {iterations}").unwrap();
        }
        text.push_str("zone:\n");
        for (number, zone) in zones.iter().enumerate() {
            std::fs::write(directory.path().join(format!("{number}.zone")), &zone.text).unwrap();
            let file = format!(
                "storage: {here}\n    file: {number}.zone\n    zonefile-sync: -1\n    zonefile-load: whole"
            );
            writeln!(text, "  - domain: {}\n    {file}", zone.apex).unwrap();
            if let Some(iterations) = zone.iterations {
                writeln!(
                    text,
                    "    dnssec-signing: on\n    dnssec-policy: p{iterations}"
                )
                .unwrap();
            }
        }
        std::fs::write(directory.path().join("knot.conf"), text).unwrap();
        let mut command = Command::new(process::find("knotd"));
        command.arg("-c").arg(directory.path().join("knot.conf"));
        let mut process = Process::start(command, directory.path());
        let begun = Instant::now();
        while !zones
            .iter()
            .all(|zone| ask::serial(address, &zone.apex).is_some())
        {
            let log = || std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
            assert!(
                !process.ended() && begun.elapsed() < Duration::from_secs(30),
                "{address}: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            directory,
            _process: process,
        }
    }

    /// The DS records of a zone that Knot signs itself.
    pub fn ds(&self, apex: &str) -> String {
        let configuration = self.directory.path().join("knot.conf");
        process::run(
            "keymgr",
            &["-c", configuration.to_str().unwrap(), apex, "ds"],
            "",
        )
    }
}

/// The verdict of a validating resolver on an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    Secure,
    Insecure,
    Bogus,
}

/// unbound, with a stub for each zone, because it asks delegated servers on port 53 only. Gone when
/// dropped.
pub struct Resolver {
    address: SocketAddr,
    _process: Process,
    directory: TempDir,
    _port: Port,
}

impl Resolver {
    pub fn start(anchors: &str, stubs: &[(String, SocketAddr)]) -> Self {
        let (port, directory) = (
            Port::take(),
            TempDir::with_prefix("prevalidate-dns-").unwrap(),
        );
        std::fs::write(directory.path().join("anchors"), anchors).unwrap();
        let ds: Vec<&str> = anchors.split_whitespace().collect();
        let (numbers, digest) = (ds[3..6].join(" "), ds[6..].concat());
        let for_bind = format!("trust-anchors {{ . static-ds {numbers} \"{digest}\"; }};\n");
        std::fs::write(directory.path().join("bind.anchors"), for_bind).unwrap();
        let mut text = format!(
            "server:\n  directory: \"{}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  logfile: \"\"\n\
             \x20 val-log-level: 2\n  interface: 127.0.0.1\n  port: {}\n  num-threads: 1\n  outgoing-range: 64\n\
             \x20 do-not-query-localhost: no\n  local-zone: test. nodefault\n  do-ip6: no\n  module-config: \"validator iterator\"\n  trust-anchor-file: \"anchors\"\n\
             remote-control:\n  control-enable: no\n",
            directory.path().display(),
            port.address().port()
        );
        for (zone, _) in stubs
            .iter()
            .enumerate()
            .filter(|(nth, (zone, _))| !stubs[..*nth].iter().any(|(other, _)| other == zone))
            .map(|(_, stub)| stub)
        {
            writeln!(text, "stub-zone:\n  name: \"{zone}\"").unwrap();
            for (_, server) in stubs.iter().filter(|(other, _)| other == zone) {
                writeln!(text, "  stub-addr: {}@{}", server.ip(), server.port()).unwrap();
            }
        }
        std::fs::write(directory.path().join("unbound.conf"), text).unwrap();
        let mut command = Command::new(process::find("unbound"));
        command
            .args(["-d", "-c"])
            .arg(directory.path().join("unbound.conf"));
        let process = Process::start(command, directory.path());
        Self {
            address: port.address(),
            _process: process,
            directory,
            _port: port,
        }
    }

    /// What BIND's validator makes of the TXT records of `name`, which it is given as they are
    /// (CD).
    pub fn seen_by_bind(&self, name: &str) -> Seen {
        let (folder, port) = (
            self.directory.path().to_str().unwrap(),
            self.address.port().to_string(),
        );
        let anchors = format!("{folder}/bind.anchors");
        let output = process::try_run(
            "delv",
            &[
                "-a",
                &anchors,
                "+root=.",
                "+cd",
                "@127.0.0.1",
                "-p",
                &port,
                name,
                "TXT",
            ],
            "",
        );
        match String::from_utf8_lossy(&output.stdout).lines().next() {
            Some("; fully validated") => Seen::Secure,
            Some("; unsigned answer") => Seen::Insecure,
            _ => Seen::Bogus,
        }
    }

    /// What it gives for the TXT records of `name`.
    pub fn seen(&self, name: &str) -> Seen {
        let mut query = ask::query(name, RecordType::TXT);
        query.metadata.recursion_desired = true;
        let mut edns = Edns::new();
        edns.set_dnssec_ok(true).set_max_payload(4096);
        query.set_edns(edns);
        let begun = Instant::now();
        loop {
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "unbound does not answer for {name}"
            );
            match ask::udp(self.address, &query).map(|reply| reply.metadata) {
                Some(told) if told.response_code == ResponseCode::ServFail => return Seen::Bogus,
                Some(told)
                    if told.response_code == ResponseCode::NoError && told.authentic_data =>
                {
                    return Seen::Secure;
                }
                Some(told) if told.response_code == ResponseCode::NoError => return Seen::Insecure,
                Some(told) => panic!("unbound says {} for {name}", told.response_code),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}
