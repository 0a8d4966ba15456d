//! Chains of trust over zones signed by BIND and by Knot, judged by the gate and, beside it, by
//! unbound and BIND.

mod servers;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use prevalidate::clock::SystemClock;
use prevalidate::prevalidation::DomainName;
use prevalidate::propagation::dnssec::FaultKind::{
    self, BadSignature, DsMismatch, Expired, NoDnskey, NotYetValid,
};
use prevalidate::propagation::dnssec::{Anchors, Trust, Unsigned};
use prevalidate::propagation::{Answer, DnsChecker, Gate, GateSettings, Question};

use self::servers::{
    EARLY, ED448, ED25519, EXPIRED, OPT_OUT, P256, RSA_NSEC3, Resolver, Seen, Server, VALUE, Zone,
    leaf, signed, unsigned,
};
use crate::support::ports::Port;
use crate::support::process;

/// What the gate shall say.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Secure,
    Insecure(Unsigned),
    Bogus(FaultKind),
}

/// A zone, the DS records that its parent has for it, and what is to be said of it.
struct Case {
    zone: Zone,
    ds: String,
    said: Said,
    unbound: Seen,
    bind: Seen,
}

fn case(zone: Zone, ds: &str, said: Said) -> Case {
    let seen = match &said {
        Said::Secure => Seen::Secure,
        Said::Insecure(_) => Seen::Insecure,
        Said::Bogus(_) => Seen::Bogus,
    };
    Case {
        zone,
        ds: ds.to_owned(),
        said,
        unbound: seen,
        bind: seen,
    }
}

/// With the DS records that belong to it.
fn delegated(zone: Zone, said: Said) -> Case {
    let ds = zone.ds.clone();
    case(zone, &ds, said)
}

fn fields(ds: &str, change: impl Fn(usize, &str) -> String) -> String {
    ds.split_whitespace()
        .enumerate()
        .map(|(nth, field)| change(nth, field))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A DS record of this digest type that names the right key and fits nothing.
fn wrong(ds: &str, digest: &str, length: usize) -> String {
    let ds: Vec<&str> = ds
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .take(6)
        .collect();
    let named = fields(&ds.join(" "), |nth, field| {
        if nth == 5 {
            digest.to_owned()
        } else {
            field.to_owned()
        }
    });
    format!("{named} {}\n", "00".repeat(length))
}

fn sha1(zone: &Zone) -> String {
    process::run(
        "dnssec-dsfromkey",
        &["-1", "-f", "-", &zone.apex],
        &zone.text,
    )
}

fn cases() -> Vec<Case> {
    let unknown = |of: &str| Said::Insecure(Unsigned::Unsupported(of.to_owned()));
    let not_signed = || Said::Insecure(Unsigned::NotSigned);
    let foreign = |apex: &str| signed(leaf(apex), P256).ds;

    let inner = signed(leaf("a.inner.cut.test"), ED25519);
    let cut = leaf("cut.test").with(&format!(
        "a.inner NS ns.a.inner\nns.a.inner A 127.0.0.4\nb.inner NS ns.b.inner\nns.b.inner A 127.0.0.4\n{}",
        inner.ds
    ));
    let forged = signed(leaf("forged.test"), P256);
    let text = forged
        .text
        .replace(VALUE, "swiss-pki=01234567\" \"89abcdef");
    let forged = Zone { text, ..forged };
    let (weak, weakest, strong) = (
        signed(leaf("weak.test"), P256),
        signed(leaf("sha1.test"), P256),
        signed(leaf("strong.test"), P256),
    );
    let weak_ds = format!("{}{}", sha1(&weak), wrong(&weak.ds, "2", 32));
    let strong_ds = format!("{}{}", strong.ds, wrong(&strong.ds, "4", 48));
    let sha1_ds = sha1(&weakest);
    let mut ed448 = delegated(
        signed(leaf("ed448.test"), ED448),
        unknown("algorithm 16, digest 2"),
    );
    (ed448.unbound, ed448.bind) = (Seen::Secure, Seen::Secure);
    // RFC 4509, section 3: SHA-1 does not count beside a stronger digest. BIND keeps to it, unbound
    // does not; one that does is enough to refuse.
    let mut weak = case(weak, &weak_ds, Said::Bogus(DsMismatch));
    weak.unbound = Seen::Secure;
    vec![
        delegated(signed(leaf("p256.test"), P256), Said::Secure),
        delegated(signed(leaf("ed25519.test"), ED25519), Said::Secure),
        delegated(signed(leaf("rsa.test"), RSA_NSEC3), Said::Secure),
        delegated(signed(leaf("p256.plain"), P256), Said::Secure),
        delegated(signed(leaf("p256.many"), P256), Said::Secure),
        delegated(signed(cut, P256), Said::Secure),
        case(inner, "", Said::Secure),
        case(leaf("b.inner.cut.test"), "", not_signed()),
        delegated(leaf("unsigned.test"), not_signed()),
        delegated(leaf("unsigned.plain"), not_signed()),
        delegated(leaf("unsigned.few"), not_signed()),
        delegated(
            leaf("unsigned.many"),
            Said::Insecure(Unsigned::Iterations(151)),
        ),
        case(
            signed(leaf("stray.test"), P256),
            "",
            Said::Insecure(Unsigned::Stray),
        ),
        case(
            leaf("unknown.test"),
            &fields(&foreign("unknown.test"), |nth, field| {
                if nth == 4 {
                    "200".to_owned()
                } else {
                    field.to_owned()
                }
            }),
            unknown("algorithm 200, digest 2"),
        ),
        ed448,
        delegated(signed(leaf("expired.test"), EXPIRED), Said::Bogus(Expired)),
        delegated(signed(leaf("early.test"), EARLY), Said::Bogus(NotYetValid)),
        case(
            signed(leaf("mismatch.test"), P256),
            &foreign("mismatch.test"),
            Said::Bogus(DsMismatch),
        ),
        case(
            leaf("nokeys.test"),
            &foreign("nokeys.test"),
            Said::Bogus(NoDnskey),
        ),
        delegated(forged, Said::Bogus(BadSignature)),
        weak,
        case(weakest, &sha1_ds, Said::Secure),
        case(strong, &strong_ds, Said::Secure),
    ]
}

/// The delegations of a top-level domain.
fn tld(apex: &str, cases: &[Case]) -> Zone {
    let mut records = "ns A 127.0.0.3\n".to_owned();
    for Case { zone, ds, .. } in cases {
        if let Some(label) = zone
            .apex
            .strip_suffix(&format!(".{apex}"))
            .filter(|label| !label.contains('.'))
        {
            records.push_str(&format!(
                "{label} NS ns.{label}\nns.{label} A 127.0.0.4\n{ds}\n"
            ));
        }
    }
    unsigned(apex, &records)
}

#[tokio::test(flavor = "multi_thread")]
async fn real_signed_zones_are_judged_as_unbound_and_bind_judge_them() {
    let port = Port::take();
    let at = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port.address().port()));
    let cases = cases();
    let tops = [
        signed(tld("test", &cases), OPT_OUT),
        signed(tld("plain", &cases), ED25519),
        Zone {
            iterations: Some(150),
            ..tld("few", &cases)
        },
        Zone {
            iterations: Some(151),
            ..tld("many", &cases)
        },
    ];
    let top = Server::start(at(3), &tops);
    let mut records = "ns A 127.0.0.2\n".to_owned();
    for zone in &tops {
        let ds = if zone.iterations.is_some() {
            top.ds(&zone.apex)
        } else {
            zone.ds.clone()
        };
        records.push_str(&format!(
            "{0} NS ns.{0}\nns.{0} A 127.0.0.3\n{ds}\n",
            zone.apex
        ));
    }
    let root = signed(unsigned(".", &records), P256);
    let anchors = root.ds.clone();
    let zones: Vec<Zone> = cases.iter().map(|case| case.zone.clone()).collect();
    let _servers = [Server::start(at(2), &[root]), Server::start(at(4), &zones)];

    let stubs = tops.iter().map(|zone| (zone.apex.clone(), at(3)));
    let stubs = stubs
        .chain(zones.iter().map(|zone| (zone.apex.clone(), at(4))))
        .chain([(".".to_owned(), at(2))]);
    let resolver = Resolver::start(&anchors, &stubs.collect::<Vec<_>>());
    let gate = Gate::new(
        GateSettings {
            roots: vec![at(2)],
            port: port.address().port(),
            timeout: Duration::from_secs(2),
            trust_anchors: Anchors::parse(&anchors).unwrap(),
            ..GateSettings::default()
        },
        Arc::new(SystemClock),
    );

    let mut wrong = Vec::new();
    for Case {
        zone,
        said,
        unbound,
        bind,
        ..
    } in &cases
    {
        let domain = DomainName::from_a_labels(&zone.apex).unwrap();
        let who = gate.responsible(&domain).await.unwrap();
        let trust = gate.trust(&who).await;
        let verdict = gate.check(&Question::new(&domain, VALUE)).await;
        // A forged record breaks no chain; it shows when the answer is judged.
        let found = match (&trust, &verdict.bogus) {
            (Trust::Secure(_), Some(why)) if why.contains("does not fit the key") => {
                Said::Bogus(BadSignature)
            }
            (Trust::Secure(_), _) => Said::Secure,
            (Trust::Insecure { why, .. }, _) => Said::Insecure(why.clone()),
            (Trust::Bogus(fault), _) => Said::Bogus(fault.kind),
            (Trust::Unchecked(why), _) => panic!("{domain}: {why}"),
        };
        let seen = (resolver.seen(&zone.apex), resolver.seen_by_bind(&zone.apex));
        let goes = !matches!(said, Said::Bogus(_));
        if found != *said
            || seen != (*unbound, *bind)
            || verdict.go != goes
            || verdict.bogus.is_some() == goes
        {
            wrong.push(format!(
                "{domain}: {found:?}, unbound and BIND {seen:?}, expected {said:?}, {verdict:?}"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_expired_signatures_is_passed_over_as_unbound_does() {
    let port = Port::take();
    let at = |last| SocketAddr::from((Ipv4Addr::new(127, 0, 0, last), port.address().port()));
    let records = "ns A 127.0.0.4\n@ NS ns2\nns2 A 127.0.0.5\n";
    let with_value = unsigned("half.test", &format!("{records}@ TXT \"{VALUE}\""));
    let good = signed(with_value, P256);
    let old = good.signed_again(&unsigned("half.test", records), EXPIRED);
    let top = signed(
        unsigned(
            "test",
            &format!(
                "ns A 127.0.0.3\nhalf NS ns.half\nhalf NS ns2.half\nns.half A 127.0.0.4\nns2.half A 127.0.0.5\n{}",
                good.ds
            ),
        ),
        OPT_OUT,
    );
    let root = signed(
        unsigned(
            ".",
            &format!(
                "ns A 127.0.0.2\ntest NS ns.test\nns.test A 127.0.0.3\n{}",
                top.ds
            ),
        ),
        P256,
    );
    let anchors = root.ds.clone();
    let _servers = [
        Server::start(at(2), &[root]),
        Server::start(at(3), &[top]),
        Server::start(at(4), &[good]),
        Server::start(at(5), &[old]),
    ];
    let stubs = [(".", 2), ("test", 3), ("half.test", 4), ("half.test", 5)]
        .map(|(zone, last)| (zone.to_owned(), at(last)));
    let gate = Gate::new(
        GateSettings {
            roots: vec![at(2)],
            port: port.address().port(),
            timeout: Duration::from_secs(2),
            trust_anchors: Anchors::parse(&anchors).unwrap(),
            ..GateSettings::default()
        },
        Arc::new(SystemClock),
    );
    // Which server is asked first is left to chance, here and there.
    for _ in 0..6 {
        assert_eq!(
            Resolver::start(&anchors, &stubs).seen("half.test"),
            Seen::Secure
        );
        let verdict = gate
            .check(&Question::new(
                &DomainName::from_a_labels("half.test").unwrap(),
                VALUE,
            ))
            .await;
        let said: Vec<Answer> = verdict.servers.iter().map(|server| server.answer).collect();
        assert_eq!(
            (said.as_slice(), verdict.bogus.as_ref()),
            (&[Answer::Match, Answer::Lame][..], None),
            "{verdict:?}"
        );
        assert!(
            verdict.servers[1].detail.contains("expired at"),
            "{verdict:?}"
        );
    }
}
