//! A chain of trust over servers of a few lines: root, `test` and `example.test`, each with one
//! fault.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use hickory_proto::op::Message;
use hickory_proto::rr::{Record, RecordType};

use super::signer::{DAY, NOW, Signer, now, spoiled, tampered};
use crate::clock::SimulatedClock;
use crate::propagation::dnssec::signatures::data;
use crate::propagation::dnssec::{Anchors, FaultKind, Trust, Unsigned};
use crate::propagation::lab::{Lab, Script, domain, once};
use crate::propagation::{Answer, DnsChecker, Gate, Judging, Question, Verdict};

const VALUE: &str = "swiss-pki=0123456789abcdef";
const ZONE: [&str; 5] = [
    "example.test TXT \"swiss-pki=0123456789abcdef\"",
    "example.test NS ns1.example.test",
    "example.test NS ns2.example.test",
    "ns1.example.test A 127.0.0.4",
    "ns2.example.test A 127.0.0.5",
];

/// The signers of the three zones, and what the servers of each will say.
struct Internet {
    root: Signer,
    tld: Signer,
    zone: Signer,
}

impl Internet {
    fn new() -> Self {
        Self {
            root: Signer::p256(""),
            tld: Signer::p256("test"),
            zone: Signer::p256("example.test"),
        }
    }

    fn root(&self) -> Script {
        self.root.serve(
            &["test NS a.nic.test", "a.nic.test A 127.0.0.3"],
            &[self.tld.ds()],
        )
    }

    fn tld(&self, ds: &[Record]) -> Script {
        self.tld.serve(&ZONE[1..], ds)
    }

    /// Root, `test`, and two servers of the zone.
    fn servers(&self) -> Vec<Script> {
        vec![
            self.root(),
            self.tld(&[self.zone.ds()]),
            self.zone.serve(&ZONE, &[]),
            self.zone.serve(&ZONE, &[]),
        ]
    }

    fn anchors(&self) -> Anchors {
        Anchors::parse(&self.root.ds().to_string()).unwrap()
    }

    fn gate(&self, lab: &Lab) -> Gate {
        let mut settings = lab.gate().settings().clone();
        settings.trust_anchors = self.anchors();
        Gate::new(settings, Arc::new(SimulatedClock::at(now())))
    }
}

async fn trust(gate: &Gate, of: &str) -> Trust {
    gate.trust(&gate.responsible(&domain(of)).await.unwrap())
        .await
}

async fn check(gate: &Gate) -> Verdict {
    gate.check(&Question::new(&domain("example.test"), VALUE))
        .await
}

/// The verdict of a gate about these servers.
async fn found(internet: &Internet, servers: Vec<Script>) -> (Trust, Verdict) {
    let lab = Lab::of(servers).await;
    let gate = internet.gate(&lab);
    (trust(&gate, "example.test").await, check(&gate).await)
}

#[track_caller]
fn bogus((trust, verdict): (Trust, Verdict), kind: FaultKind, zone: &str) {
    let Trust::Bogus(fault) = trust else {
        panic!("{trust:?}")
    };
    assert_eq!((fault.kind, fault.zone.as_str()), (kind, zone), "{fault}");
    assert!(
        !verdict.go && verdict.bogus == Some(fault.to_string()),
        "{verdict:?}"
    );
    assert!(
        verdict
            .servers
            .iter()
            .all(|server| server.answer == Answer::Match),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_signed_zone_costs_one_question_more_the_first_check_three() {
    let internet = Internet::new();
    let lab = Lab::of(internet.servers()).await;
    let gate = internet.gate(&lab);
    let Trust::Secure(keys) = trust(&gate, "example.test").await else {
        panic!("not secure")
    };
    assert_eq!(keys.zone().to_string(), "example.test.");
    let mut counts = Vec::new();
    for _ in 0..2 {
        let before = lab.questions();
        let verdict = check(&gate).await;
        assert!(verdict.go && verdict.warnings.is_empty(), "{verdict:?}");
        counts.push(lab.questions() - before);
    }

    let unsigned = Lab::of(vec![
        internet.root(),
        internet.tld(&[]),
        crate::propagation::lab::serve("example.test", &ZONE),
        crate::propagation::lab::serve("example.test", &ZONE),
    ])
    .await;
    let gate = internet.gate(&unsigned);
    let first = check(&gate).await;
    assert!(first.go && first.bogus.is_none(), "{first:?}");
    let before = unsigned.questions();
    assert!(check(&gate).await.go);
    let plain = unsigned.questions() - before;
    assert_eq!(
        counts,
        [plain + 1, plain + 1],
        "DNSKEY of the zone; DS comes with the referral"
    );

    // The first check of all asks for the keys of the root and of the top-level domain too.
    let fresh = Lab::of(internet.servers()).await;
    let gate = internet.gate(&fresh);
    check(&gate).await;
    let first = fresh.questions();
    check(&gate).await;
    assert_eq!(
        first - (fresh.questions() - first),
        3,
        "two keys, and the root's referral"
    );
}

#[tokio::test]
async fn each_fault_of_a_chain_is_told_with_its_zone() {
    let internet = Internet::new();
    let (stranger, mut late) = (Signer::p256("example.test"), internet.zone.clone());
    late.valid = (NOW - 2 * DAY, NOW - DAY);
    let with_zone = |script: &dyn Fn() -> Script| {
        vec![
            internet.root(),
            internet.tld(&[internet.zone.ds()]),
            script(),
            script(),
        ]
    };

    let mismatch = vec![
        internet.root(),
        internet.tld(&[stranger.ds()]),
        internet.servers().remove(2),
        internet.servers().remove(3),
    ];
    bogus(
        found(&internet, mismatch).await,
        FaultKind::DsMismatch,
        "example.test",
    );
    bogus(
        found(&internet, with_zone(&|| late.serve(&ZONE, &[]))).await,
        FaultKind::Expired,
        "example.test",
    );
    let mut early = late.clone();
    early.valid = (NOW + DAY, NOW + 2 * DAY);
    bogus(
        found(&internet, with_zone(&|| early.serve(&ZONE, &[]))).await,
        FaultKind::NotYetValid,
        "example.test",
    );
    let unsigned = || crate::propagation::lab::serve("example.test", &ZONE);
    bogus(
        found(&internet, with_zone(&unsigned)).await,
        FaultKind::NoDnskey,
        "example.test",
    );
    let stripped = || {
        tampered(internet.zone.serve(&ZONE, &[]), |reply| {
            reply
                .answers
                .retain(|r| r.record_type() != RecordType::RRSIG)
        })
    };
    bogus(
        found(&internet, with_zone(&stripped)).await,
        FaultKind::NotSigned,
        "example.test",
    );

    // The parent signs neither the DS record nor its absence.
    let without_ds = tampered(internet.tld(&[internet.zone.ds()]), |reply| {
        reply
            .authorities
            .retain(|r| ![RecordType::DS, RecordType::RRSIG].contains(&r.record_type()));
        reply.answers.retain(|r| r.record_type() != RecordType::DS);
    });
    let with_tld = |tld: Script| {
        vec![
            internet.root(),
            tld,
            internet.servers().remove(2),
            internet.servers().remove(3),
        ]
    };
    bogus(
        found(&internet, with_tld(without_ds)).await,
        FaultKind::BadDenial,
        "test",
    );
    let mut spoil = internet.tld.clone();
    spoil.valid = (NOW - 3 * DAY, NOW - DAY);
    bogus(
        found(
            &internet,
            with_tld(spoil.serve(&ZONE[1..], &[internet.zone.ds()])),
        )
        .await,
        FaultKind::Expired,
        "test",
    );
}

#[tokio::test]
async fn one_server_with_good_keys_is_enough_and_its_neighbours_answer_is_passed_over() {
    let internet = Internet::new();
    let mut late = internet.zone.clone();
    late.valid = (NOW - 2 * DAY, NOW - DAY);
    for _ in 0..4 {
        let mut servers = internet.servers();
        servers[3] = late.serve(&ZONE, &[]);
        let (trust, verdict) = found(&internet, servers).await;
        assert!(matches!(trust, Trust::Secure(_)), "{trust:?}");
        let said: Vec<Answer> = verdict.servers.iter().map(|server| server.answer).collect();
        assert_eq!(said, [Answer::Match, Answer::Lame], "{verdict:?}");
        assert!(
            verdict.bogus.is_none() && verdict.servers[1].detail.contains("expired"),
            "{verdict:?}"
        );
    }
    // The keys are good everywhere, the value nowhere.
    let spoil = || {
        tampered(internet.zone.serve(&ZONE, &[]), |reply| {
            let text = reply
                .answers
                .iter()
                .any(|r| r.record_type() == RecordType::TXT);
            for record in reply
                .answers
                .iter_mut()
                .filter(|r| text && r.record_type() == RecordType::RRSIG)
            {
                *record = spoiled(record);
            }
        })
    };
    let mut servers = internet.servers();
    (servers[2], servers[3]) = (spoil(), spoil());
    let (trust, verdict) = found(&internet, servers).await;
    assert!(
        matches!(trust, Trust::Secure(_)) && !verdict.go,
        "{verdict:?}"
    );
    assert!(
        verdict
            .bogus
            .is_some_and(|why| why.contains("the signature over example.test TXT does not fit"))
    );
}

/// A server of a zone whose keys `ksk` vouches for, and which `zsk` signs.
fn signed_by(ksk: &Signer, zsk: &Signer, records: &[&str]) -> Script {
    let keys = ksk.signed(&[ksk.dnskey(), zsk.dnskey()]);
    tampered(zsk.serve(records, &[]), move |reply| {
        if reply.queries[0].query_type() == RecordType::DNSKEY {
            reply.answers.clone_from(&keys);
        }
    })
}

#[tokio::test]
async fn a_stale_server_that_still_signs_with_last_months_key_is_stale_and_not_lame() {
    let internet = Internet::new();
    let (old, new) = (Signer::p256("example.test"), Signer::p256("example.test"));
    let stale = [&["example.test TXT \"v=spf1 -all\""], &ZONE[1..]].concat();
    for without in [&stale[..], &ZONE[1..]] {
        let mut servers = internet.servers();
        servers[2] = signed_by(&internet.zone, &new, &ZONE);
        servers[3] = signed_by(&internet.zone, &old, without);
        let lab = Lab::of(servers).await;
        let gate = internet.gate(&lab);
        let domain = domain("example.test");
        let published_for = std::time::Duration::from_secs(3600);
        // The order of the keys is chance.
        for _ in 0..6 {
            let verdict = gate
                .check(&Question {
                    published_for,
                    ..Question::new(&domain, VALUE)
                })
                .await;
            let said: Vec<Answer> = verdict.servers.iter().map(|server| server.answer).collect();
            assert_eq!(said, [Answer::Match, Answer::NoMatch], "{verdict:?}");
            assert!(!verdict.go && verdict.bogus.is_none(), "{verdict:?}");
        }
    }
}

#[tokio::test]
async fn signatures_must_hold_in_the_second_round_too() {
    let internet = Internet::new();
    let in_turn = || {
        let asked = AtomicU32::new(0);
        tampered(internet.zone.serve(&ZONE, &[]), move |reply| {
            let is_text = reply
                .answers
                .iter()
                .any(|r| r.record_type() == RecordType::TXT);
            if is_text && asked.fetch_add(1, Ordering::Relaxed) > 0 {
                let signatures = reply
                    .answers
                    .iter_mut()
                    .filter(|r| r.record_type() == RecordType::RRSIG);
                signatures.for_each(|record| *record = spoiled(record));
            }
        })
    };
    let mut servers = internet.servers();
    (servers[2], servers[3]) = (in_turn(), in_turn());
    let lab = Lab::of(servers).await;
    let verdict = check(&internet.gate(&lab)).await;
    assert!(
        !verdict.go
            && verdict
                .bogus
                .is_some_and(|why| why.contains("does not fit")),
        "{:?}",
        verdict.cause
    );
}

#[tokio::test]
async fn unsigned_delegations_end_the_chain_properly_and_stray_signatures_are_told() {
    let internet = Internet::new();
    let insecure = |(trust, verdict): (Trust, Verdict)| {
        assert!(
            verdict.go && verdict.bogus.is_none() && verdict.warnings.is_empty(),
            "{verdict:?}"
        );
        let Trust::Insecure { at, why } = trust else {
            panic!("{trust:?}")
        };
        assert_eq!(at, "example.test");
        why
    };
    let plain = || crate::propagation::lab::serve("example.test", &ZONE);
    let unsigned = vec![internet.root(), internet.tld(&[]), plain(), plain()];
    assert_eq!(
        insecure(found(&internet, unsigned).await),
        Unsigned::NotSigned
    );
    let mut stray = internet.servers();
    stray[1] = internet.tld(&[]);
    assert_eq!(insecure(found(&internet, stray).await), Unsigned::Stray);

    // Below an unsigned top-level domain DS records lead nowhere.
    let mut island = internet.servers();
    island[0] = internet
        .root
        .serve(&["test NS a.nic.test", "a.nic.test A 127.0.0.3"], &[]);
    let (trust, verdict) = found(&internet, island).await;
    assert_eq!(
        trust,
        Trust::Insecure {
            at: "test".to_owned(),
            why: Unsigned::NotSigned
        }
    );
    assert!(verdict.go && verdict.warnings.is_empty(), "{verdict:?}");
}

#[tokio::test]
async fn without_an_anchor_nothing_is_checked_and_that_is_a_warning_for_a_signed_zone() {
    let internet = Internet::new();
    let lab = Lab::of(internet.servers()).await;
    let verdict = check(&lab.gate()).await;
    assert!(verdict.go && verdict.warnings.len() == 1, "{verdict:?}");
    assert!(
        verdict.warnings[0].contains("no trust anchor"),
        "{verdict:?}"
    );

    // An anchor that does not fit is the fault of no zone.
    let mut settings = lab.gate().settings().clone();
    settings.trust_anchors = Anchors::parse(&Signer::p256("").ds().to_string()).unwrap();
    let verdict = check(&Gate::new(settings, Arc::new(SimulatedClock::at(now())))).await;
    assert!(
        verdict.go && verdict.warnings[0].contains("the trust anchors do not fit"),
        "{verdict:?}"
    );
    let mut settings = lab.gate().settings().clone();
    settings.trust_anchors = internet.anchors();
    let servers = Judging {
        name_servers: vec![lab.server(2)],
        ..Judging::default()
    };
    settings.zones = [("example.test".to_owned(), servers)].into();
    let verdict = check(&Gate::new(settings, Arc::new(SimulatedClock::at(now())))).await;
    assert!(
        verdict.go && verdict.warnings[0].contains("are configured, not found"),
        "{verdict:?}"
    );
}

/// One server for several zones: the deepest that holds the question answers, DS questions one zone
/// above.
fn together(zones: Vec<(&'static str, Script)>) -> Script {
    Box::new(move |question, over| {
        let asked = &question.queries[0];
        let name = match asked.query_type() {
            RecordType::DS => asked.name().base_name(),
            _ => asked.name().clone(),
        };
        let holds =
            |zone: &&(&'static str, Script)| crate::propagation::lab::name(zone.0).zone_of(&name);
        zones
            .iter()
            .filter(holds)
            .max_by_key(|(zone, _)| zone.len())
            .map_or_else(Vec::new, |(_, zone)| zone(question, over))
    })
}

#[tokio::test]
async fn zones_cut_inside_one_server_are_followed_label_by_label() {
    let internet = Internet::new();
    let sub = Signer::p256("a.b.example.test");
    let text = "a.b.example.test TXT \"swiss-pki=0123456789abcdef\"";
    let own = [text, "a.b.example.test NS ns1.example.test"];
    // No referral is ever seen: one server answers for all of them.
    let serve = |ds: &[Record]| {
        let nodes = [
            "example.test NS ns1.example.test",
            "ns1.example.test A 127.0.0.2",
            "a.b.example.test NS ns1.example.test",
        ];
        vec![together(vec![
            ("", internet.root()),
            ("test", internet.tld(&[internet.zone.ds()])),
            ("example.test", internet.zone.serve(&nodes, ds)),
            ("a.b.example.test", sub.serve(&own, &[])),
        ])]
    };
    let lab = Lab::of(serve(&[sub.ds()])).await;
    let gate = internet.gate(&lab);
    let Trust::Secure(keys) = trust(&gate, "a.b.example.test").await else {
        panic!("not secure")
    };
    assert_eq!(keys.zone().to_string(), "a.b.example.test.");
    assert!(
        gate.check(&Question::new(&domain("a.b.example.test"), VALUE))
            .await
            .go
    );
    let lab = Lab::of(serve(&[])).await;
    let found = trust(&internet.gate(&lab), "a.b.example.test").await;
    assert_eq!(
        found,
        Trust::Insecure {
            at: "a.b.example.test".to_owned(),
            why: Unsigned::Stray
        }
    );
    let lab = Lab::of(serve(&[Signer::p256("a.b.example.test").ds()])).await;
    let found = trust(&internet.gate(&lab), "a.b.example.test").await;
    assert!(
        matches!(found, Trust::Bogus(ref fault) if fault.kind == FaultKind::DsMismatch),
        "{found:?}"
    );
}

#[tokio::test]
async fn a_top_level_domain_that_changed_its_keys_is_asked_again() {
    let internet = Internet::new();
    let next = Signer::p256("test");
    let rolled = Arc::new(AtomicU32::new(0));
    let of = |before: Script, after: Script| -> Script {
        let rolled = Arc::clone(&rolled);
        Box::new(move |question, over| {
            if rolled.load(Ordering::Relaxed) == 0 {
                before(question, over)
            } else {
                after(question, over)
            }
        })
    };
    let ds = [internet.zone.ds()];
    // The old key, which the root names, signs both; only the new one signs the rest.
    let both = internet.tld.serve(&ZONE[1..], &[next.dnskey()]);
    let rest = next.serve(&ZONE[1..], &ds);
    let after: Script = Box::new(move |question, over| {
        let of_keys = question.queries[0].query_type() == RecordType::DNSKEY;
        if of_keys {
            both(question, over)
        } else {
            rest(question, over)
        }
    });
    let mut servers = internet.servers();
    servers[1] = of(internet.tld(&ds), after);
    let lab = Lab::of(servers).await;
    let gate = internet.gate(&lab);
    assert!(matches!(
        trust(&gate, "example.test").await,
        Trust::Secure(_)
    ));
    rolled.store(1, Ordering::Relaxed);
    let found = trust(&gate, "example.test").await;
    assert!(matches!(found, Trust::Secure(_)), "{found:?}");
}

#[tokio::test]
async fn a_network_that_drops_edns_leaves_the_chain_unchecked_and_not_bogus() {
    let internet = Internet::new();
    let stripped = internet.servers().into_iter().map(|script| -> Script {
        tampered(script, |reply| {
            let dnssec = [RecordType::RRSIG, RecordType::NSEC, RecordType::DS];
            reply.edns = None;
            reply
                .authorities
                .retain(|r| !dnssec.contains(&r.record_type()));
            reply
                .answers
                .retain(|r| r.record_type() != RecordType::RRSIG);
        })
    });
    let lab = Lab::of(stripped.collect()).await;
    let verdict = check(&internet.gate(&lab)).await;
    assert!(verdict.bogus.is_none() && verdict.go, "{verdict:?}");
}

#[tokio::test]
async fn hostile_zones_cost_a_bounded_number_of_questions() {
    let internet = Internet::new();
    let asked: Arc<Mutex<Vec<RecordType>>> = Arc::default();
    let mut servers = internet.servers();
    for server in &mut servers[2..] {
        let (script, asked) = (internet.zone.serve(&ZONE, &[]), Arc::clone(&asked));
        *server = Box::new(move |question, over| {
            asked.lock().unwrap().push(question.queries[0].query_type());
            let mut reply = Message::from_vec(&script(question, over)[0]).unwrap();
            if question.queries[0].query_type() == RecordType::DNSKEY {
                // Hundreds of keys and signatures, and none of them fits.
                let keys = (0..200).map(|_| Signer::p256("example.test").dnskey());
                reply.answers = reply
                    .answers
                    .iter()
                    .map(|r| {
                        if data_is_signature(r) {
                            spoiled(r)
                        } else {
                            r.clone()
                        }
                    })
                    .chain(keys)
                    .collect();
            }
            once(&reply)
        });
    }
    let (trust, verdict) = found(&internet, servers).await;
    assert!(matches!(trust, Trust::Bogus(_)) && !verdict.go, "{trust:?}");
    let keys = asked
        .lock()
        .unwrap()
        .iter()
        .filter(|kind| **kind == RecordType::DNSKEY)
        .count();
    assert!(keys <= 16, "{keys} questions for keys in two checks");
}

fn data_is_signature(record: &Record) -> bool {
    data::<hickory_proto::dnssec::rdata::RRSIG>(record).is_some()
}
