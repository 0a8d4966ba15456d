//! Delegations and answers that are built to waste time: they cost their own domain a bounded number
//! of questions and steps, and others nothing.

use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use tokio::time::timeout;

use super::{TXT, VALUE, good, internet};
use crate::prevalidation::RecordName;
use crate::propagation::lab::{
    Lab, Over, PATIENCE, Script, always, answer, domain, gate, name, once, record, serve,
};
use crate::propagation::{Answer, DnsChecker, GateSettings, Question, RecordKind};

/// Longer than any of these checks may take, and much shorter than they take without a budget.
const LONG: Duration = Duration::from_secs(60);

/// Refers every question to `count` name servers without glue, each in a zone of its own.
fn refers_without_glue(count: usize) -> Script {
    always(move |question| refer(question, count))
}

fn refer(question: &Message, count: usize) -> Message {
    let mut reply = answer(question, &[]);
    reply.metadata.authoritative = false;
    let zone = question.queries[0].name().trim_to(2).to_ascii();
    reply.authorities = (0..count)
        .map(|nth| record(&format!("{zone} NS n.v{nth}.hostile.")))
        .collect();
    reply
}

/// `test` as [`internet`] has it, and `hostile` beside it, whose servers refer without an end.
fn with_hostile_neighbour(count: usize) -> Vec<Script> {
    let mut scripts = internet(&[TXT]);
    let root = [
        "test NS a.nic.test",
        "a.nic.test A 127.0.0.3",
        "hostile NS ns.nic.hostile",
        "ns.nic.hostile A 127.0.0.5",
    ];
    scripts[0] = serve("", &root);
    scripts.push(refers_without_glue(count));
    scripts
}

#[tokio::test]
async fn a_delegation_to_a_hundred_names_without_glue_ends_within_its_budget() {
    for count in [1, 2, 20, 100] {
        let lab = Lab::of(with_hostile_neighbour(count)).await;
        let gate = lab.gate();
        let asked = domain("www.evil.hostile");
        let question = Question::new(&asked, VALUE);
        let verdict = timeout(LONG, gate.check(&question)).await.unwrap();
        assert!(!verdict.go && !verdict.gone, "{count}: {verdict:?}");
        assert!(verdict.cause.contains("gave up"), "{count}: {verdict:?}");
        assert!(lab.questions() <= 200, "{count}: {}", lab.questions());
    }
}

#[tokio::test]
async fn a_hostile_delegation_costs_other_domains_nothing() {
    let lab = Lab::of(with_hostile_neighbour(100)).await;
    let gate = lab.gate();
    let evil: Vec<_> = (0..20)
        .map(|nth| domain(&format!("d{nth}.hostile")))
        .collect();
    let good = domain("example.test");
    let checks = evil.iter().map(async |asked| {
        assert!(!gate.check(&Question::new(asked, VALUE)).await.go);
    });
    let (verdict, _) = timeout(
        LONG,
        futures::future::join(
            gate.check(&Question::new(&good, VALUE)),
            futures::future::join_all(checks),
        ),
    )
    .await
    .unwrap();
    assert!(verdict.go, "{verdict:?}");
}

#[tokio::test]
async fn one_hostile_name_server_of_two_costs_itself_alone() {
    let mut scripts = with_hostile_neighbour(100);
    // The domain has a good server and one whose address is never found.
    scripts[1] = serve(
        "test",
        &[
            "example.test NS ns1.example.test",
            "example.test NS n.evil.hostile",
            "ns1.example.test A 127.0.0.4",
        ],
    );
    scripts[2] = serve(
        "example.test",
        &[
            TXT,
            "example.test NS ns1.example.test",
            "example.test NS n.evil.hostile",
            "ns1.example.test A 127.0.0.4",
        ],
    );
    let lab = Lab::of(scripts).await;
    let asked = domain("example.test");
    let gate = lab.gate();
    let question = Question::new(&asked, VALUE);
    let verdict = timeout(LONG, gate.check(&question)).await.unwrap();
    assert!(verdict.go, "{verdict:?}");
    assert!(
        verdict
            .warnings
            .iter()
            .any(|warning| warning.contains("n.evil.hostile")),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn name_servers_that_hang_on_each_other_are_found_by_the_one_that_does_not() {
    // a.test depends on b.test or c.test, b.test on a.test, and c.test has glue: the search for
    // b.test fails first in some orders, and must not be remembered when a.test is found.
    let tld = [
        "example.test NS ns.a.test",
        "example.test NS ns.b.test",
        "a.test NS ns.b.test",
        "a.test NS ns.c.test",
        "b.test NS ns.a.test",
        "c.test NS ns.c.test",
        "ns.c.test A 127.0.0.4",
    ];
    let zones: [(&str, &[&str]); 4] = [
        ("a.test", &["ns.a.test A 127.0.0.4"]),
        ("b.test", &["ns.b.test A 127.0.0.4"]),
        ("c.test", &["ns.c.test A 127.0.0.4"]),
        (
            "example.test",
            &[
                TXT,
                "example.test NS ns.a.test",
                "example.test NS ns.b.test",
            ],
        ),
    ];
    for _ in 0..8 {
        let mut scripts = internet(&[]);
        scripts[1] = serve("test", &tld);
        scripts[2] = Box::new(move |question, over| {
            let asked = question.queries[0].name();
            let zone = zones.iter().find(|(apex, _)| name(apex).zone_of(asked));
            zone.map_or_else(Vec::new, |(apex, records)| {
                serve(apex, records)(question, over)
            })
        });
        let lab = Lab::of(scripts).await;
        let asked = domain("example.test");
        let verdict = lab.gate().check(&Question::new(&asked, VALUE)).await;
        assert!(verdict.go && verdict.warnings.is_empty(), "{verdict:?}");
        let named: Vec<_> = verdict
            .servers
            .iter()
            .filter_map(|it| it.name.as_deref())
            .collect();
        assert_eq!(named, ["ns.a.test", "ns.b.test"], "{verdict:?}");
    }
}

#[tokio::test]
async fn servers_with_a_thousand_addresses_are_asked_a_bounded_number_of_times() {
    let mut delegation = vec![
        "example.test NS ns1.example.test".to_owned(),
        "ns1.example.test A 127.0.0.4".to_owned(),
    ];
    for host in 0..40 {
        delegation.push(format!("example.test NS x{host}.example.test"));
        let addresses = (0..30).map(|nth| format!("x{host}.example.test A 127.0.9.{nth}"));
        delegation.extend(addresses);
    }
    let records: Vec<&str> = delegation.iter().map(String::as_str).collect();
    let referral = serve("test", &records);
    let mut scripts = internet(&[TXT]);
    scripts[1] = Box::new(move |question, over| {
        let mut reply = Message::from_vec(&referral(question, over)[0]).unwrap();
        if over == Over::Udp {
            reply.metadata.truncation = true;
            reply.authorities.clear();
            reply.additionals.clear();
        }
        once(&reply)
    });
    let lab = Lab::of(scripts).await;
    let gate = lab.gate();
    let asked = domain("example.test");
    let question = Question::new(&asked, VALUE);
    let verdict = timeout(LONG, gate.check(&question)).await.unwrap();
    let said = verdict.warnings.join("; ");
    assert!(
        said.contains("41 name servers; 32 were asked"),
        "{verdict:?}"
    );
    assert!(said.contains("addresses; 4 were asked"), "{said}");
    assert!(verdict.servers.len() <= 128, "{}", verdict.servers.len());
}

/// An example.test with a silent server that has glue, four whose zones are silent, and a good one.
fn mostly_silent() -> Vec<Script> {
    let mut tld = vec![
        "example.test NS ns1.example.test".to_owned(),
        "ns1.example.test A 127.0.0.5".to_owned(),
        "example.test NS ns.good.test".to_owned(),
        "good.test NS ns.good.test".to_owned(),
        "ns.good.test A 127.0.0.4".to_owned(),
    ];
    for nth in 0..4 {
        tld.push(format!("example.test NS ns.dead{nth}.test"));
        tld.push(format!("dead{nth}.test NS a.dead{nth}.test"));
        tld.push(format!("a.dead{nth}.test A 127.0.0.5"));
    }
    let tld: Vec<&str> = tld.iter().map(String::as_str).collect();
    let mut scripts = internet(&[]);
    scripts[1] = serve("test", &tld);
    scripts[2] = Box::new(|question, over| {
        let of_host = name("good.test").zone_of(question.queries[0].name());
        let (apex, records): (_, &[&str]) = if of_host {
            ("good.test", &["ns.good.test A 127.0.0.4"])
        } else {
            ("example.test", &[TXT, "example.test NS ns.good.test"])
        };
        serve(apex, records)(question, over)
    });
    scripts.push(Box::new(|_, _| Vec::new()));
    scripts
}

#[tokio::test]
async fn silent_servers_leave_time_for_those_that_answer() {
    for _ in 0..4 {
        let lab = Lab::of(mostly_silent()).await;
        let asked = domain("example.test");
        let verdict = lab.gate().check(&Question::new(&asked, VALUE)).await;
        assert!(verdict.go, "{verdict:?}");
        let silent = verdict
            .servers
            .iter()
            .find(|it| it.address.ip() == lab.server(3).ip());
        assert_eq!(silent.unwrap().answer, Answer::Unreachable, "{verdict:?}");
    }
}

#[tokio::test]
async fn what_caches_hold_is_asked_of_the_first_server_that_answers() {
    let mut scripts: Vec<Script> = (0..8)
        .map(|_| -> Script { Box::new(|_, _| Vec::new()) })
        .collect();
    scripts.push(always(good));
    let lab = Lab::of(scripts).await;
    let begun = Instant::now();
    let lifetimes = lab
        .gate_without_walk()
        .lifetimes(&RecordName::from(&domain("example.test")), RecordKind::Txt)
        .await;
    assert_eq!(lifetimes.unwrap().txt_ttl, Some(300));
    // One after the other, each silent server would take at least two tries.
    assert!(begun.elapsed() < 2 * 8 * PATIENCE, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_walk_that_takes_too_long_names_the_addresses_that_are_silent() {
    let silent: Vec<Script> = (0..40)
        .map(|_| -> Script { Box::new(|_, _| Vec::new()) })
        .collect();
    let lab = Lab::of(silent).await;
    let settings = GateSettings {
        roots: (0..40).map(|nth| lab.server(nth)).collect(),
        port: lab.port,
        ..GateSettings::default()
    };
    let asked = domain("example.test");
    let verdict = gate(settings).check(&Question::new(&asked, VALUE)).await;
    assert!(
        verdict.cause.contains("no answer yet from 127.0.0."),
        "{verdict:?}"
    );
    assert!(verdict.cause.len() < 250, "{verdict:?}");
}

#[tokio::test]
async fn names_that_no_root_server_can_know_are_told_without_a_question() {
    for reserved in [
        "a.test",
        "example",
        "www.b.example",
        "x.invalid",
        "y.localhost",
        "z.internal",
    ] {
        let gate = gate(GateSettings::default());
        let asked = domain(reserved);
        let verdict = gate.check(&Question::new(&asked, VALUE)).await;
        assert_eq!(
            (verdict.go, verdict.lasting, gate.questions()),
            (false, true, 0)
        );
        for words in ["does not exist on the Internet", "name_servers", reserved] {
            assert!(verdict.cause.contains(words), "{verdict:?}");
        }
        assert!(verdict.cause.len() < 220, "{verdict:?}");
    }
    // Where the roots are one's own, or the name servers are configured, such a name may exist.
    let lab = Lab::of(internet(&[TXT])).await;
    let asked = domain("example.test");
    let question = Question::new(&asked, VALUE);
    assert!(lab.gate().check(&question).await.go);
}
