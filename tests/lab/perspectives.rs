//! Validating resolvers: five of the CA's, each with an address of its own, one of the public, one
//! of our own network.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use futures::future::join_all;
use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;

use super::internet::{Plan, dns};
use super::topology::Zone;
use crate::support::ask;
use crate::support::process::{self, Process};

/// Where the CA and the public ask from.
pub const OUTSIDE: &str = "203.0.113.0/24";

/// Where our own network's resolver is.
pub const OFFICE: &str = "198.51.100.53";

/// A port that no network redirects or closes.
const OTHER_PORT: u16 = 5353;

/// The number of resolvers that check for the CA.
const CA: usize = 5;

/// Running resolvers.
pub struct Resolvers {
    all: Vec<Resolver>,
}

struct Resolver {
    address: IpAddr,
    control: PathBuf,
    _process: Process,
}

/// IPv4 and IPv6 address of each: the CA's, the public one, and our network's.
pub fn addresses() -> Vec<[IpAddr; 2]> {
    let outside = (1..=CA).map(|nth| [format!("203.0.113.{nth}"), format!("2001:db8:ffff::{nth}")]);
    let public = ["203.0.113.53", "2001:db8:ffff::53"].map(str::to_owned);
    let office = [OFFICE, "2001:db8:fffe::53"].map(str::to_owned);
    outside
        .chain([public, office])
        .map(|both| both.map(|address| address.parse().unwrap()))
        .collect()
}

impl Resolvers {
    pub fn start(plan: &Plan, directory: &Path) -> Self {
        let hints = directory.join("root.hints");
        let lines = plan.roots.iter().enumerate().map(|(nth, address)| {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            let host = format!("ns{}.", nth + 1);
            format!(". 3600 NS {host}\n{host} 3600 {kind} {address}\n")
        });
        std::fs::write(&hints, lines.collect::<String>()).unwrap();
        std::fs::write(directory.join("root.key"), format!("{}\n", plan.anchor)).unwrap();
        let all: Vec<Resolver> = addresses()
            .into_iter()
            .enumerate()
            .map(|(nth, both)| Resolver::start(nth, both, directory))
            .collect();
        let begun = Instant::now();
        for resolver in &all {
            let query = recursive("ch", RecordType::SOA);
            while ask::udp(dns(resolver.address), &query)
                .is_none_or(|reply| reply.answers.is_empty())
            {
                assert!(
                    begun.elapsed() < Duration::from_secs(60),
                    "the resolver {} finds no ch:\n{}",
                    resolver.address,
                    std::fs::read_to_string(resolver.control.with_file_name("output"))
                        .unwrap_or_default()
                );
            }
        }
        Self { all }
    }

    /// Those of the CA, the first one first.
    pub fn of_the_ca(&self) -> [SocketAddr; CA] {
        std::array::from_fn(|nth| dns(self.all[nth].address))
    }

    /// One that sees what all servers see, at two ports.
    pub fn public(&self) -> [SocketAddr; 2] {
        let ip = self.all[CA].address;
        [dns(ip), (ip, OTHER_PORT).into()]
    }

    /// Empties the caches of all but the CA's.
    pub fn flush(&self) {
        for resolver in &self.all[CA..] {
            resolver.tell("flush_zone .");
            resolver.tell("flush_infra all");
        }
    }

    /// Makes the CA's resolvers forget these zones; what they know of servers' speed they keep, as
    /// resolvers do, unless each check shall be a new draw.
    pub fn forget(&self, zones: &[Zone], speed_too: bool) {
        for resolver in &self.all[..CA] {
            for zone in zones {
                resolver.tell(&format!("flush_zone {}", zone.apex));
                for server in zone.servers.iter().filter(|_| speed_too) {
                    resolver.tell(&format!("flush_infra {}", server.address));
                }
            }
        }
    }

    /// Lets the CA's resolvers learn whom these zones themselves name as servers. A resolver begins
    /// with the parent's list; one that has met the zone before believes the zone's own (RFC 2181,
    /// section 5.4.1).
    pub async fn meet(&self, zones: &[Zone]) {
        let ask = |resolver: SocketAddr, zone: &Zone| {
            let query = recursive(&zone.apex, RecordType::NS);
            tokio::task::spawn_blocking(move || ask::udp(resolver, &query))
        };
        let all = self.of_the_ca().into_iter();
        join_all(all.flat_map(|resolver| zones.iter().map(move |zone| ask(resolver, zone)))).await;
    }
}

fn recursive(name: &str, kind: RecordType) -> Message {
    let mut query = ask::query(name, kind);
    query.metadata.recursion_desired = true;
    query
}

impl Resolver {
    fn start(nth: usize, [v4, v6]: [IpAddr; 2], directory: &Path) -> Self {
        let directory = directory.join(format!("unbound-{nth}"));
        std::fs::create_dir(&directory).unwrap();
        let (here, control) = (directory.display(), directory.join("control"));
        let text = format!(
            "server:
  directory: \"{here}\"
  chroot: \"\"
  username: \"\"
  pidfile: \"{here}/pid\"
  use-syslog: no
  log-servfail: yes
  val-log-level: 2
  interface: {v4}
  interface: {v4}@{OTHER_PORT}
  outgoing-interface: {v4}
  outgoing-interface: {v6}
  access-control: 0.0.0.0/0 allow
  do-not-query-localhost: no
  module-config: \"validator iterator\"
  root-hints: \"../root.hints\"
  trust-anchor-file: \"../root.key\"
  num-threads: 1
  ede: yes
remote-control:
  control-enable: yes
  control-interface: \"{}\"
  control-use-cert: no
",
            control.display()
        );
        std::fs::write(directory.join("unbound.conf"), text).unwrap();
        let mut command = Command::new(process::find("unbound"));
        command
            .arg("-d")
            .arg("-c")
            .arg(directory.join("unbound.conf"));
        Self {
            address: v4,
            control,
            _process: Process::start(command, &directory),
        }
    }

    /// As `unbound-control` does, without a process for each word.
    fn tell(&self, words: &str) {
        let mut stream = UnixStream::connect(&self.control).unwrap();
        stream
            .write_all(format!("UBCT1 {words}\n").as_bytes())
            .unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).unwrap();
        assert!(said.starts_with("ok"), "{words}: {said}");
    }
}
