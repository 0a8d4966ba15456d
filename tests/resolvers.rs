//! Mode `resolvers` before real ones: BIND over UDP, TLS and HTTPS, and unbound, in front of a BIND
//! that has the zone.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, RecordType};
use prevalidate::clock::{Clock, SystemClock};
use prevalidate::prevalidation::DomainName;
use prevalidate::propagation::{
    Answer, DnsChecker, Gate, GateMode, GateSettings, Judging, Question, ServerAnswer, Verdict,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use tempfile::TempDir;

use crate::support::ports::Port;
use crate::support::process::{self, Process};
use crate::support::{Keys, NameServer, Zone, ask};

const VALUE: &str = "swiss-pki=0123456789abcdef";
/// A trust anchor for a zone that is not signed: a resolver that believes it finds the zone broken.
const WRONG_ANCHOR: &str =
    "12345 13 2 \"3490A6806D47F17A34C29E2CE80E8A999FFBE4BE3490A6806D47F17A34C29E2C\"";

/// A resolver that knows where one zone is served, gone when dropped.
struct Resolver {
    _process: Process,
    ports: Vec<Port>,
    directory: TempDir,
}

impl Resolver {
    /// BIND, on a port for UDP and TCP, one for TLS and one for HTTPS; with the wrong anchor when
    /// it is to find fault.
    fn bind(server: &NameServer, anchored: bool) -> Self {
        Self::start(
            3,
            "named",
            &["-f", "-n", "1", "-c", "named.conf"],
            |directory, ports| {
                let anchors = if anchored {
                    format!("trust-anchors {{ example.test. static-ds {WRONG_ANCHOR}; }};")
                } else {
                    String::new()
                };
                let text = format!(
                "tls own {{ cert-file \"cert.pem\"; key-file \"key.pem\"; }};
                 http own {{ endpoints {{ \"/dns-query\"; }}; }};
                 controls {{ }};
                 {anchors}
                 options {{
                   directory \".\"; managed-keys-directory \".\"; pid-file none; session-keyfile \"session.key\"; lock-file none;
                   listen-on port {} {{ 127.0.0.1; }}; listen-on port {} tls own {{ 127.0.0.1; }};
                   listen-on port {} tls own http own {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
                   recursion yes; dnssec-validation {}; empty-zones-enable no; qname-minimization off;
                 }};
                 zone \"example.test\" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {}; }}; }};",
                ports[0].address().port(),
                ports[1].address().port(),
                ports[2].address().port(),
                if anchored { "yes" } else { "no" },
                server.address().port(),
            );
                fs::write(directory.join("named.conf"), text).unwrap();
            },
        )
    }

    /// unbound with the wrong anchor.
    fn unbound(server: &NameServer) -> Self {
        Self::start(
            1,
            "unbound",
            &["-d", "-p", "-c", "unbound.conf"],
            |directory, ports| {
                let text = format!(
                    "server:\n interface: 127.0.0.1@{}\n directory: \"{}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n \
                 do-not-query-localhost: no\n use-syslog: no\n do-daemonize: no\n module-config: \"validator iterator\"\n \
                 local-zone: \"test.\" nodefault\n ede: yes\n trust-anchor: \"example.test. DS {}\"\n\
                 stub-zone:\n name: \"example.test\"\n stub-addr: 127.0.0.1@{}\nremote-control:\n control-enable: no\n",
                    ports[0].address().port(),
                    directory.display(),
                    WRONG_ANCHOR.replace('"', ""),
                    server.address().port(),
                );
                fs::write(directory.join("unbound.conf"), text).unwrap();
            },
        )
    }

    fn start(
        ports: usize,
        program: &str,
        arguments: &[&str],
        prepare: impl Fn(&Path, &[Port]),
    ) -> Self {
        let directory = TempDir::with_prefix("prevalidate-resolver-").unwrap();
        let path = |file: &str| directory.path().join(file).display().to_string();
        let (key, certificate) = (path("key.pem"), path("cert.pem"));
        let request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=resolver.test \
                       -addext subjectAltName=DNS:resolver.test,IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
        let own = ["-keyout", &key, "-out", &certificate];
        process::run(
            "openssl",
            &request.split_whitespace().chain(own).collect::<Vec<_>>(),
            "",
        );
        let ports: Vec<Port> = (0..ports).map(|_| Port::take()).collect();
        prepare(directory.path(), &ports);
        let mut command = Command::new(process::find(program));
        command.args(arguments);
        let mut process = Process::start(command, directory.path());
        let begun = Instant::now();
        // What a server knows about itself: nothing that a test is about gets into the cache.
        let mut query = ask::query("version.bind", RecordType::TXT);
        query.queries[0].set_query_class(DNSClass::CH);
        while ask::tcp(ports[0].address(), &query).is_none() {
            let said = || fs::read_to_string(directory.path().join("output")).unwrap_or_default();
            assert!(
                !process.ended() && begun.elapsed() < Duration::from_secs(30),
                "{program}: {}",
                said()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        Self {
            _process: process,
            ports,
            directory,
        }
    }

    fn plain(&self) -> SocketAddr {
        self.ports[0].address()
    }

    fn tls(&self, name: &str) -> String {
        format!("tls://{}{name}", self.ports[1].address())
    }

    fn https(&self, host: &str) -> String {
        format!(
            "https://{host}:{}/dns-query",
            self.ports[2].address().port()
        )
    }

    fn roots(&self) -> Vec<CertificateDer<'static>> {
        vec![CertificateDer::from_pem_file(self.directory.path().join("cert.pem")).unwrap()]
    }

    /// Fills its cache with what the zone says now, for as long as the zone lets it.
    fn remember(&self) -> Message {
        let mut query = ask::query("example.test", RecordType::TXT);
        query.metadata.recursion_desired = true;
        ask::udp(self.plain(), &query).unwrap()
    }
}

fn zone(records: &str) -> NameServer {
    NameServer::bind(
        &[Zone::new("example.test", records)],
        &Keys::of(&["prevalidate"]),
    )
}

fn publish(server: &NameServer) {
    server.nsupdate(&format!(
        "zone example.test.\nupdate add example.test. 60 TXT \"{VALUE}\""
    ));
}

async fn check(resolvers: &[&str], extra_roots: Vec<CertificateDer<'static>>) -> Verdict {
    let general = Judging {
        mode: Some(GateMode::Resolvers),
        resolvers: resolvers.iter().map(|text| text.parse().unwrap()).collect(),
        delay: Some(Duration::ZERO),
        ..Judging::default()
    };
    let gate = Gate::new(
        GateSettings {
            general,
            extra_roots,
            ..GateSettings::default()
        },
        Arc::new(SystemClock),
    );
    let domain = DomainName::from_a_labels("example.test").unwrap();
    gate.check(&Question::new(&domain, VALUE)).await
}

fn answers(servers: &[ServerAnswer]) -> Vec<Answer> {
    servers.iter().map(|server| server.answer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn resolvers_are_asked_over_udp_tls_and_https() {
    let server = zone(&format!("@ TXT \"{VALUE}\""));
    let resolver = Resolver::bind(&server, false);
    let plain = resolver.plain().to_string();
    let (by_name, by_address, https) = (
        resolver.tls("#Resolver.test"),
        resolver.tls(""),
        resolver.https("127.0.0.1"),
    );
    let seen = check(&[&plain, &by_name, &by_address, &https], resolver.roots()).await;
    assert!(
        seen.go && seen.mode == GateMode::Resolvers && seen.warnings.is_empty(),
        "{seen:?}"
    );
    assert_eq!(answers(&seen.servers), [Answer::Match; 4], "{seen:?}");
    assert_eq!(seen.servers[3].name.as_deref(), Some(https.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_the_resolvers_own_is_not_believed() {
    let server = zone(&format!("@ TXT \"{VALUE}\""));
    let resolver = Resolver::bind(&server, false);
    let (good, other) = (resolver.tls("#resolver.test"), resolver.tls("#other.test"));
    let (https, elsewhere) = (resolver.https("127.0.0.1"), resolver.https("localhost"));
    for (asked, roots) in [
        ([&good, &https], Vec::new()),
        ([&other, &elsewhere], resolver.roots()),
        ([&good, &elsewhere], resolver.roots()),
    ] {
        let seen = check(&[asked[0], asked[1]], roots).await;
        assert!(!seen.go && !seen.gone, "{asked:?}: {seen:?}");
        assert!(
            seen.warnings
                .iter()
                .any(|warning| warning.contains("certificate")),
            "{asked:?}: {seen:?}"
        );
    }
    let not_found = resolver.https("127.0.0.1").replace("dns-query", "other");
    let seen = check(&[&good, &not_found], resolver.roots()).await;
    assert!(
        !seen.go && seen.warnings[0].contains("HTTP 404"),
        "{seen:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_cache_still_holds_is_told_with_its_end() {
    for (before, at_most) in [("", 300), ("@ 1200 TXT \"v=spf1 -all\"", 1200)] {
        let server = zone(before);
        let [early, late] = [(); 2].map(|()| Resolver::bind(&server, false));
        early.remember();
        publish(&server);
        let now = SystemClock.now();
        let (early_at, late_at) = (early.plain().to_string(), late.plain().to_string());
        let seen = check(&[&early_at, &late_at], Vec::new()).await;
        assert_eq!(
            answers(&seen.servers),
            [Answer::NoMatch, Answer::Match],
            "{seen:?}"
        );
        assert!(
            !seen.go && !seen.gone && seen.cause.contains("cache until"),
            "{seen:?}"
        );
        let left = seen.cached_until.unwrap().duration_since(now).as_secs();
        assert!(
            (at_most - 60..=at_most + 5).contains(&left),
            "{left} s of {at_most}"
        );
        assert!(check(&[&late_at, &late_at], Vec::new()).await.go);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_that_does_not_validate_is_bogus_and_the_extended_error_says_why() {
    let server = zone(&format!("@ TXT \"{VALUE}\""));
    let (unbound, bind) = (Resolver::unbound(&server), Resolver::bind(&server, true));
    let (first, second) = (unbound.plain().to_string(), bind.plain().to_string());
    let seen = check(&[&first, &second], Vec::new()).await;
    assert!(!seen.go && !seen.gone, "{seen:?}");
    let bogus = seen.bogus.unwrap();
    assert!(
        bogus.contains("SERVFAIL; no DNSKEY that matches the DS (EDE 9)"),
        "{bogus}"
    );
    assert!(
        bogus.contains("it has an answer, which does not validate"),
        "{bogus}"
    );
    let by_bind = check(&[&second], Vec::new()).await;
    assert!(
        !by_bind.go
            && by_bind
                .bogus
                .is_some_and(|why| why.contains("does not validate")),
        "BIND sends no EDE"
    );
}
