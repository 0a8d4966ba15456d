//! The gate before real name servers: a root, a top-level domain and a zone on Knot, on 127.0.0.x
//! and one port.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::OpCode;
use hickory_proto::rr::RecordType;
use prevalidate::clock::SystemClock;
use prevalidate::prevalidation::{Challenge, Counts, DomainName, RecordName};
use prevalidate::propagation::{Answer, DnsChecker, Gate, GateSettings, Question, Verdict};
use tempfile::TempDir;

use crate::support::ports::Port;
use crate::support::process::{self, Process};
use crate::support::zones::{Policy, Source};
use crate::support::{Keys, Refresh, Zone, ask, knot};

const VALUE: &str = "swiss-pki=0123456789abcdef";
const SOA: &str = "@ 3600 SOA ns hostmaster 1 86400 60 604800 300";

/// Knot on an address of its own, gone when dropped.
struct Server {
    address: SocketAddr,
    _process: Process,
    _directory: TempDir,
}

impl Server {
    fn start(address: SocketAddr, zone: Zone, keys: &Keys) -> Self {
        let directory = TempDir::with_prefix("prevalidate-dns-").unwrap();
        let apex = zone.apex.clone();
        knot::prepare(directory.path(), address, &[zone], keys);
        let mut process = Process::start(knot::command(directory.path()), directory.path());
        let begun = Instant::now();
        while ask::serial(address, &apex).is_none() {
            assert!(
                !process.ended() && begun.elapsed() < Duration::from_secs(30),
                "no answer from {address} for {apex}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            address,
            _process: process,
            _directory: directory,
        }
    }
}

/// `.` on .2, `test` on .3, `example.test` on .4 (primary, named only by the zone itself), .5 and
/// .6 (secondaries, named by the parent too).
struct Internet {
    primary: Server,
    secondaries: Vec<Server>,
    keys: Keys,
    gate: Gate,
    _port: Port,
    _above: [Server; 2],
}

impl Internet {
    fn start() -> Self {
        let port = Port::take();
        let at = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port.address().port()));
        let keys = Keys::of(&["prevalidate"]);
        let file =
            |apex: &str, records: &str| Zone::file(apex, &format!("$TTL 3600\n{SOA}\n{records}\n"));
        let root = file(
            "",
            "@ NS ns.\nns. A 127.0.0.2\ntest. NS ns.nic.test.\nns.nic.test. A 127.0.0.3",
        );
        let tld = file(
            "test",
            "@ NS ns.nic\nns.nic A 127.0.0.3\nexample NS ns2.example\nexample NS ns3.example\n\
                              ns2.example A 127.0.0.5\nns3.example A 127.0.0.6",
        );
        let zone = "@ NS ns1\n@ NS ns2\n@ NS ns3\nns1 A 127.0.0.4\nns2 A 127.0.0.5\nns3 A 127.0.0.6\n@ TXT \"v=spf1 -all\"";
        let root = Server::start(
            at(2),
            Zone {
                apex: ".".into(),
                ..root
            },
            &keys,
        );
        let above = [root, Server::start(at(3), tld, &keys)];
        let primary = Server::start(at(4), file("example.test", zone), &keys);
        let copy = Zone {
            apex: "example.test".into(),
            text: String::new(),
            policy: Policy::Closed,
            source: Source::Primary(primary.address, Refresh::Asked),
        };
        let secondaries = [5, 6]
            .map(|last| Server::start(at(last), copy.clone(), &keys))
            .into();
        let gate = Gate::new(
            GateSettings {
                roots: vec![at(2)],
                port: port.address().port(),
                timeout: Duration::from_secs(1),
                ..GateSettings::default()
            },
            Arc::new(SystemClock),
        );
        Self {
            primary,
            secondaries,
            keys,
            gate,
            _port: port,
            _above: above,
        }
    }

    /// Writes the value at the primary; the secondary is not told.
    fn publish(&self) {
        self.add(&format!("example.test. 60 TXT \"{VALUE}\""));
    }

    /// Writes a record at the primary.
    fn add(&self, record: &str) {
        let key = &self.keys.0[0];
        let key = format!("{}:{}:{}", key.algorithm, key.name, key.secret);
        let (ip, port) = (self.primary.address.ip(), self.primary.address.port());
        let input = format!("server {ip} {port}\nzone example.test.\nupdate add {record}\nsend\n");
        process::run("nsupdate", &["-v", "-t", "10", "-y", &key], &input);
    }

    /// Tells a secondary (RFC 1996) until it has the primary's serial.
    fn transfer(&self, secondary: usize) {
        let secondary = self.secondaries[secondary].address;
        let mut notify = ask::query("example.test", RecordType::SOA);
        notify.metadata.op_code = OpCode::Notify;
        notify.metadata.authoritative = true;
        let begun = Instant::now();
        while ask::serial(secondary, "example.test")
            != ask::serial(self.primary.address, "example.test")
        {
            assert!(
                begun.elapsed() < Duration::from_secs(30),
                "no transfer after NOTIFY"
            );
            ask::udp(secondary, &notify);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    async fn check_for(&self, challenge: &Challenge) -> Verdict {
        let domain = DomainName::from_a_labels("example.test").unwrap();
        self.gate.check(&Question::of(&domain, challenge)).await
    }

    async fn check(&self) -> Verdict {
        let domain = DomainName::from_a_labels("example.test").unwrap();
        self.gate.check(&Question::new(&domain, VALUE)).await
    }
}

fn said(verdict: &Verdict) -> Vec<(&str, Answer)> {
    verdict
        .servers
        .iter()
        .map(|server| (server.name.as_deref().unwrap_or_default(), server.answer))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_secondary_blocks_validation_and_a_dead_one_does_not() {
    let mut internet = Internet::start();
    let before = internet.check().await;
    assert!(
        !before.go && before.gone && before.servers.len() == 3,
        "{before:?}"
    );

    internet.publish();
    internet.transfer(0);
    let stale = internet.check().await;
    let [ns1, ns2, ns3] = ["ns1", "ns2", "ns3"].map(|host| format!("{host}.example.test"));
    assert_eq!(
        said(&stale),
        [
            (&*ns1, Answer::Match),
            (&*ns2, Answer::Match),
            (&*ns3, Answer::NoMatch)
        ],
        "{stale:?}"
    );
    assert!(
        !stale.go && !stale.gone && stale.cause.contains("ns3.example.test"),
        "{stale:?}"
    );

    internet.secondaries.pop();
    let dead = internet.check().await;
    assert_eq!(said(&dead)[2], (&*ns3, Answer::Unreachable), "{dead:?}");
    assert!(
        dead.go
            && dead
                .warnings
                .iter()
                .any(|warning| warning.contains("ns3.example.test")),
        "{dead:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_only_the_zone_names_are_asked_too_and_the_difference_is_a_warning() {
    let internet = Internet::start();
    internet.publish();
    internet.transfer(0);
    internet.transfer(1);
    let seen = internet.check().await;
    assert!(
        seen.go && said(&seen)[0] == ("ns1.example.test", Answer::Match),
        "{seen:?}"
    );
    assert!(
        seen.warnings
            .iter()
            .any(|w| w.contains("ns2.example.test, ns3.example.test in the parent")),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cname_counts_when_every_real_server_has_it_and_an_alias_leads_to_a_txt_value() {
    let internet = Internet::start();
    let domain = DomainName::from_a_labels("example.test").unwrap();
    let cname = Challenge::cname(
        &domain,
        "_a1.example.test",
        "b2.ca.example",
        Counts::Published,
    );
    let cname = cname.unwrap();
    let owner = "_pki-validation.example.test";
    let txt = Challenge::txt(&domain, owner, VALUE, Counts::BySubmit).unwrap();

    let before = internet.check_for(&cname).await;
    assert!(!before.go && before.gone, "{before:?}");
    assert!(before.cause.contains("NXDOMAIN"), "{before:?}");

    internet.add("_a1.example.test. 60 CNAME B2.ca.example.");
    internet.transfer(0);
    let stale = internet.check_for(&cname).await;
    assert!(!stale.go && !stale.gone, "{stale:?}");
    assert_eq!(said(&stale)[2].1, Answer::NoMatch, "{stale:?}");
    internet.transfer(1);
    let seen = internet.check_for(&cname).await;
    assert!(seen.go && said(&seen).len() == 3, "{seen:?}");

    // A person has made the label an alias; the value is at its end.
    internet.add("_pki-validation.example.test. 60 CNAME v.example.test.");
    internet.transfer(0);
    internet.transfer(1);
    let missing = internet.check_for(&txt).await;
    assert!(!missing.go && missing.gone, "{missing:?}");
    let owner = RecordName::parse(owner).unwrap();
    let target = internet.gate.target(&owner).await.unwrap();
    assert_eq!(target.as_str(), "v.example.test");
    internet.add(&format!("{target}. 60 TXT \"{VALUE}\""));
    internet.transfer(0);
    assert!(
        !internet.check_for(&txt).await.go,
        "one secondary lacks the value"
    );
    internet.transfer(1);
    let seen = internet.check_for(&txt).await;
    assert!(seen.go, "{seen:?}");
}
