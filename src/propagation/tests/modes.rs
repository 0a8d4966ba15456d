//! The modes before scripted servers: which are asked, when, how often, and what the verdict says
//! of itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};

use super::{TXT, VALUE, good, internet};
use crate::propagation::lab::{
    Lab, Over, PATIENCE, Script, always, answer, domain, gate, once, refusal, serve,
};
use crate::propagation::resolver::Resolver;
use crate::propagation::{
    Answer, DnsChecker, GateMode, GateSettings, InSync, Judging, Question, Verdict,
};

/// A script, and how many questions it got.
fn counted(script: Script) -> (Script, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&count);
    (
        Box::new(move |question, over| {
            (
                counter.fetch_add(1, Ordering::SeqCst),
                script(question, over),
            )
                .1
        }),
        count,
    )
}

/// The nth question, from 0, is answered by the nth reply, and all further ones by the last.
fn in_turn(replies: Vec<fn(&Message) -> Message>) -> Script {
    let nth = AtomicU32::new(0);
    always(move |question| {
        let nth = nth.fetch_add(1, Ordering::SeqCst) as usize;
        replies[nth.min(replies.len() - 1)](question)
    })
}

fn without(question: &Message) -> Message {
    answer(question, &["example.test TXT \"v=spf1 -all\""])
}

/// As a validating resolver answers.
fn resolved(question: &Message, mut reply: Message) -> Message {
    reply.metadata.authoritative = false;
    reply.metadata.recursion_available = true;
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply
}

fn resolver(lab: &Lab, nth: u8) -> Resolver {
    Resolver::Plain(lab.server(nth))
}

async fn check(settings: GateSettings, published_for: u64, in_sync: Option<bool>) -> Verdict {
    let domain = domain("example.test");
    let published_for = Duration::from_secs(published_for);
    gate(settings)
        .check(&Question {
            published_for,
            in_sync: in_sync.into(),
            ..Question::new(&domain, VALUE)
        })
        .await
}

#[tokio::test]
async fn no_resolver_is_asked_before_the_delay_has_passed() {
    let sees = || always(|q| resolved(q, good(q)));
    let lab = Lab::of(vec![sees(), sees()]).await;
    let general = Judging {
        mode: Some(GateMode::Resolvers),
        resolvers: vec![resolver(&lab, 0), resolver(&lab, 1)],
        ..Judging::default()
    };
    let settings = GateSettings {
        general,
        ..GateSettings::default()
    };
    let early = check(settings.clone(), 59, None).await;
    assert!(!early.go && early.mode == GateMode::Resolvers, "{early:?}");
    assert!(
        early.cause.contains("until 1970-01-01 00:01 UTC") && lab.questions() == 0,
        "{early:?}"
    );
    let late = check(settings, 60, None).await;
    assert!(
        late.go && late.cause.contains("2 of 2 resolvers"),
        "{late:?}"
    );
    assert_eq!(lab.questions(), 4, "two resolvers, two rounds");
}

#[tokio::test]
async fn a_resolver_is_asked_to_recurse_and_to_check_and_after_servfail_not_to_check() {
    let strict = always(|q| {
        let asked = &q.metadata;
        let fair =
            asked.recursion_desired && q.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok);
        match (fair, asked.checking_disabled) {
            (false, _) => refusal(q, ResponseCode::Refused),
            (true, false) => resolved(q, refusal(q, ResponseCode::ServFail)),
            (true, true) => resolved(q, good(q)),
        }
    });
    let lab = Lab::of(vec![strict]).await;
    let general = Judging {
        mode: Some(GateMode::Resolvers),
        resolvers: vec![resolver(&lab, 0)],
        delay: Some(Duration::ZERO),
        ..Judging::default()
    };
    let bogus = check(
        GateSettings {
            general,
            ..GateSettings::default()
        },
        0,
        None,
    )
    .await;
    assert!(
        !bogus.go
            && bogus
                .bogus
                .as_ref()
                .is_some_and(|why| why.contains("does not validate")),
        "{bogus:?}"
    );
    assert_eq!(
        lab.questions(),
        3,
        "with checking, without, and with once more"
    );
}

#[tokio::test]
async fn resolvers_beside_the_name_servers_are_asked_last_and_show_what_is_cached_and_what_is_bogus()
 {
    let (stale, asked_early) = counted(in_turn(vec![without, good]));
    let fails: fn(&Message) -> Message = |q| resolved(q, refusal(q, ResponseCode::ServFail));
    let sees: fn(&Message) -> Message = |q| resolved(q, good(q));
    let cached: fn(&Message) -> Message = |q| {
        let mut reply = resolved(q, without(q));
        reply.answers.iter_mut().for_each(|record| record.ttl = 100);
        reply
    };
    let (cache, asked) = counted(in_turn(vec![cached, fails, sees, fails, fails, sees, sees]));
    let lab = Lab::of(vec![stale, cache]).await;
    let own = Judging {
        name_servers: vec![lab.server(0)],
        resolvers: vec![resolver(&lab, 1)],
        rounds: Some(1),
        ..Judging::default()
    };
    let settings = GateSettings {
        zones: [("test".to_owned(), own)].into(),
        ..GateSettings::default()
    };
    let stale = check(settings.clone(), 0, None).await;
    assert!(
        !stale.go && asked_early.load(Ordering::SeqCst) == 1,
        "{stale:?}"
    );
    assert_eq!(
        asked.load(Ordering::SeqCst),
        0,
        "asked too early, a resolver would keep the absence"
    );
    let cached = check(settings.clone(), 0, None).await;
    assert!(
        cached.go && cached.mode == GateMode::Authoritative,
        "{cached:?}"
    );
    assert_eq!(
        cached.cached_until.map(jiff::Timestamp::as_second),
        Some(100),
        "{cached:?}"
    );
    let bogus = check(settings.clone(), 0, None).await;
    assert!(
        !bogus.go && bogus.bogus.is_some() && bogus.servers[0].answer == Answer::Match,
        "{bogus:?}"
    );
    let slow = check(settings, 0, None).await;
    assert!(
        slow.go && slow.bogus.is_none(),
        "SERVFAIL once, and then an answer that was checked: {slow:?}"
    );
}

#[tokio::test]
async fn an_address_that_answers_differently_has_several_servers() {
    for (rounds, go, questions) in [(1, true, 1), (2, false, 2), (3, false, 2)] {
        let lab = Lab::of(vec![in_turn(vec![good, without])]).await;
        let mut settings = lab.without_walk();
        settings.general.rounds = Some(rounds);
        let verdict = check(settings, 0, None).await;
        assert_eq!(
            (verdict.go, verdict.gone, lab.questions()),
            (go, false, questions),
            "{verdict:?}"
        );
        assert_eq!(
            verdict.cause.contains("anycast: asked again, 127.0.0.2"),
            !go,
            "{verdict:?}"
        );
    }
    let lab = Lab::of(vec![in_turn(vec![good, good, without])]).await;
    let mut settings = lab.without_walk();
    settings.general.rounds = Some(3);
    assert!(
        !check(settings, 0, None).await.go,
        "the third round counts too"
    );
}

#[tokio::test]
async fn the_modes_provider_and_delay_ask_no_server() {
    let lab = Lab::of(internet(&[])).await;
    let with = |mode| GateSettings {
        general: Judging {
            mode: Some(mode),
            ..Judging::default()
        },
        roots: vec![lab.server(0)],
        port: lab.port,
        ..GateSettings::default()
    };
    for (mode, age, in_sync, go) in [
        (GateMode::Provider, 60, Some(true), true),
        (GateMode::Provider, 60, Some(false), false),
        (GateMode::Provider, 59, Some(true), false),
        (GateMode::Provider, 9999, None, false),
        (GateMode::Delay, 599, None, false),
        (GateMode::Delay, 600, Some(false), true),
    ] {
        let verdict = check(with(mode), age, in_sync).await;
        assert_eq!(
            (verdict.mode, verdict.go),
            (mode, go),
            "{age} {in_sync:?}: {verdict:?}"
        );
    }
    assert_eq!(lab.questions(), 0);
    assert_eq!(
        gate(with(GateMode::Provider)).mode(&domain("example.test")),
        GateMode::Provider
    );
}

#[tokio::test]
async fn a_foreign_record_is_checked_in_the_modes_without_questions() {
    for mode in [GateMode::Provider, GateMode::Delay] {
        for (records, go) in [(&[][..], false), (&[TXT][..], true)] {
            let lab = Lab::of(internet(records)).await;
            let general = Judging {
                mode: Some(mode),
                delay: Some(Duration::from_secs(3600)),
                ..Judging::default()
            };
            let settings = GateSettings {
                general,
                roots: vec![lab.server(0)],
                port: lab.port,
                ..GateSettings::default()
            };
            let domain = domain("example.test");
            let published_for = Duration::from_secs(9999);
            let question = Question {
                by_others: true,
                published_for,
                in_sync: InSync::Unnamed,
                ..Question::new(&domain, VALUE)
            };
            let verdict = gate(settings).check(&question).await;
            assert_eq!(
                (verdict.mode, verdict.go, verdict.gone),
                (GateMode::Authoritative, go, !go),
                "{verdict:?}"
            );
        }
        // Where name servers cannot be asked, resolvers can.
        let lab = Lab::of(vec![always(|q| resolved(q, without(q)))]).await;
        let general = Judging {
            mode: Some(mode),
            resolvers: vec![resolver(&lab, 0)],
            ..Judging::default()
        };
        let domain = domain("example.test");
        let question = Question {
            by_others: true,
            ..Question::new(&domain, VALUE)
        };
        let verdict = gate(GateSettings {
            general,
            ..GateSettings::default()
        })
        .check(&question)
        .await;
        assert_eq!(
            (verdict.mode, verdict.go, lab.questions()),
            (GateMode::Resolvers, false, 1),
            "{verdict:?}"
        );
    }
}

#[tokio::test]
async fn a_network_that_answers_port_53_itself_is_noticed_and_the_other_way_is_named() {
    // What such boxes say to a question that was meant for a root server: a cached answer, nothing,
    // or no.
    let cached = || always(|q| resolved(q, good(q)));
    let empty = || always(|q| resolved(q, answer(q, &[])));
    let refuses = || always(|q| resolved(q, refusal(q, ResponseCode::Refused)));
    // Or they refer to what they know, also in the root's place, and then answer as all of them do.
    let refers = || -> Script {
        Box::new(|q, over| {
            let served = serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"])(q, over);
            once(&resolved(q, Message::from_vec(&served[0]).unwrap()))
        })
    };
    for (what, scripts) in [
        ("cached", vec![cached(), cached()]),
        ("empty", vec![empty(), empty()]),
        ("refuses", vec![refuses(), refuses()]),
        ("refers", vec![refers(), cached()]),
    ] {
        let lab = Lab::of(scripts).await;
        let roots = if what == "refers" {
            vec![lab.server(0)]
        } else {
            vec![lab.server(0), lab.server(1)]
        };
        let settings = GateSettings {
            roots,
            port: lab.port,
            ..GateSettings::default()
        };
        let verdict = check(settings, 0, None).await;
        assert!(!verdict.go && !verdict.gone, "{what}: {verdict:?}");
        for words in [
            "port 53 is redirected",
            "propagation.mode = \"resolvers\"",
            "tls://",
            "https://",
        ] {
            assert!(
                verdict.cause.contains(words),
                "{what}: {words}: {verdict:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_lame_resolver_among_true_servers_is_no_redirection() {
    let mut scripts = internet(&[TXT]);
    scripts[2] = always(|q| resolved(q, good(q)));
    let lab = Lab::of(scripts).await;
    let verdict = lab
        .gate()
        .check(&Question::new(&domain("example.test"), VALUE))
        .await;
    assert!(
        !verdict.go && !verdict.cause.contains("redirected"),
        "{verdict:?}"
    );
    assert!(
        verdict.servers[0].detail.contains("answers as a resolver"),
        "{verdict:?}"
    );
}

/// Root and `test` on two servers, `hoster.test` and every other domain on four.
fn hoster() -> Vec<Script> {
    let hosts: Vec<String> = (0..4).map(|nth| format!("ns{nth}.hoster.test")).collect();
    let mut addresses: Vec<String> = (0..4)
        .map(|nth| format!("ns{nth}.hoster.test A 127.0.0.{}", nth + 4))
        .collect();
    addresses.extend(hosts.iter().map(|host| format!("hoster.test NS {host}")));
    let tld = {
        let (hosts, glue) = (hosts.clone(), addresses.clone());
        move |q: &Message, over: Over| {
            let zone = q.queries[0].name().trim_to(2).to_ascii();
            let mut records: Vec<String> = hosts
                .iter()
                .map(|host| format!("{zone} NS {host}"))
                .collect();
            // The hoster's own delegation needs glue, the others have none.
            if zone == "hoster.test." {
                records.extend(glue.clone());
            }
            serve(
                "test",
                &records.iter().map(String::as_str).collect::<Vec<_>>(),
            )(q, over)
        }
    };
    let mut scripts: Vec<Script> = vec![
        serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]),
        Box::new(tld),
    ];
    for _ in 0..4 {
        let (hosts, addresses) = (hosts.clone(), addresses.clone());
        scripts.push(Box::new(move |q, over| {
            let zone = q.queries[0].name().trim_to(2).to_ascii();
            let mut records = vec![format!("{zone} TXT \"{VALUE}\"")];
            records.extend(hosts.iter().map(|host| format!("{zone} NS {host}")));
            if zone == "hoster.test." {
                records.extend(addresses.clone());
            }
            let apex = zone.trim_end_matches('.');
            serve(
                apex,
                &records.iter().map(String::as_str).collect::<Vec<_>>(),
            )(q, over)
        }));
    }
    scripts
}

#[tokio::test]
async fn many_domains_on_the_same_servers_cost_eleven_questions_each() {
    const DOMAINS: u32 = 100;
    let (scripts, counts): (Vec<_>, Vec<_>) = hoster().into_iter().map(counted).unzip();
    let lab = Lab::of(scripts).await;
    let gate = lab.gate();
    let checks = (0..DOMAINS).map(async |nth| {
        let verdict = gate
            .check(&Question::new(&domain(&format!("d{nth}.test")), VALUE))
            .await;
        assert!(
            verdict.go && verdict.warnings.is_empty() && verdict.servers.len() == 4,
            "{verdict:?}"
        );
    });
    futures::future::join_all(checks).await;
    let counts: Vec<u32> = counts
        .iter()
        .map(|count| count.load(Ordering::SeqCst))
        .collect();
    // Each: one to the parent, two about the zone and its list, two rounds at four servers. The
    // rest, the way to the servers' addresses, is shared; a datagram that was lost on a busy
    // machine may be asked for again.
    let (all, shared) = (
        counts.iter().sum::<u32>(),
        counts.iter().sum::<u32>() - 11 * DOMAINS,
    );
    assert!(
        all >= 11 * DOMAINS && shared < 2 * DOMAINS,
        "{counts:?}: {all} questions for {DOMAINS} domains"
    );
    assert!(
        counts[2..].iter().all(|&count| count < 3 * DOMAINS),
        "no server has much more to do than others: {counts:?}"
    );
    assert!(
        gate.questions() >= u64::from(lab.questions()),
        "every try is counted"
    );
    // Nothing about a zone itself is remembered.
    let before = lab.questions();
    gate.check(&Question::new(&domain("d0.test"), VALUE)).await;
    assert_eq!(lab.questions() - before, 11);
}

#[tokio::test]
async fn two_walks_that_need_each_others_servers_do_not_wait_for_each_other() {
    let lab = Lab::of(vec![serve(
        "",
        &["a.test NS ns.b.test", "b.test NS ns.a.test"],
    )])
    .await;
    let gate = lab.gate();
    let begun = std::time::Instant::now();
    let checks = ["a.test", "b.test"]
        .map(async |name| gate.check(&Question::new(&domain(name), VALUE)).await);
    for verdict in futures::future::join_all(checks).await {
        assert!(!verdict.go && !verdict.cause.is_empty(), "{verdict:?}");
    }
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
}
