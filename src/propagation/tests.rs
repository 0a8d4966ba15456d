//! One check against servers that lie, fall silent or answer something else.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot continue says so by panicking"
)]

use std::time::Instant;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::Name;

use super::lab::{
    Lab, Over, PATIENCE, Script, always, answer, domain, name, once, record, refusal, serve,
};
use super::{Answer, DnsChecker, Judging, Question, ServerAnswer, Verdict};

mod astray;
mod bad_input;
mod hostile;
mod modes;
mod records;

const VALUE: &str = "swiss-pki=0123456789abcdef";
const TXT: &str = "example.test TXT \"swiss-pki=0123456789abcdef\"";

fn good(question: &Message) -> Message {
    answer(question, &["example.test TXT \"v=spf1 -all\"", TXT])
}

async fn check(lab: &Lab) -> Verdict {
    lab.gate()
        .check(&Question::new(&domain("example.test"), VALUE))
        .await
}

/// What the only server is taken to have said.
async fn alone(script: Script) -> ServerAnswer {
    let lab = Lab::of(vec![script]).await;
    let begun = Instant::now();
    let mut verdict = lab
        .gate_without_walk()
        .check(&Question::new(&domain("example.test"), VALUE))
        .await;
    assert!(
        begun.elapsed() < PATIENCE * 5,
        "a check took {:?}",
        begun.elapsed()
    );
    assert_eq!(verdict.go, verdict.servers[0].answer == Answer::Match);
    verdict.servers.remove(0)
}

#[tokio::test]
async fn strings_are_joined_and_compared_byte_for_byte_and_owners_without_case() {
    let split = always(|q| answer(q, &["EXAMPLE.test TXT \"swiss-pki=01234567\" \"89abcdef\""]));
    assert_eq!(alone(split).await.answer, Answer::Match);
    for other in [
        "swiss-pki=0123456789ABCDEF",
        "swiss-pki=0123456789abcdef ",
        "swiss-pki=0123456789abcde",
    ] {
        let text = format!("example.test TXT \"{other}\"");
        assert_eq!(
            alone(always(move |q| answer(q, &[&text]))).await.answer,
            Answer::NoMatch,
            "{other}"
        );
    }
    let elsewhere = always(|q| answer(q, &["www.example.test TXT \"swiss-pki=0123456789abcdef\""]));
    assert_eq!(alone(elsewhere).await.answer, Answer::NoMatch);
}

#[tokio::test]
async fn a_question_is_plain_and_offers_edns() {
    let exact = always(|q| {
        let edns = q.edns.as_ref().unwrap();
        let good_offer =
            !q.metadata.recursion_desired && edns.max_payload() == 1232 && edns.flags().dnssec_ok;
        if good_offer {
            good(q)
        } else {
            refusal(q, ResponseCode::Refused)
        }
    });
    assert_eq!(alone(exact).await.answer, Answer::Match);
}

#[tokio::test]
async fn a_server_that_says_it_has_no_edns_is_heard_and_one_that_drops_it_is_dead_to_resolvers() {
    for code in [ResponseCode::FormErr, ResponseCode::NotImp] {
        let old = always(move |q| {
            if q.edns.is_some() {
                refusal(q, code)
            } else {
                good(q)
            }
        });
        assert_eq!(alone(old).await.answer, Answer::Match, "{code}");
    }
    let headers_only = always(|q| {
        let mut bare = refusal(q, ResponseCode::FormErr);
        bare.queries.clear();
        if q.edns.is_some() { bare } else { good(q) }
    });
    assert_eq!(alone(headers_only).await.answer, Answer::Match);
    let middlebox: Script = Box::new(|q, over| {
        if q.edns.is_some() || over == Over::Tcp {
            Vec::new()
        } else {
            once(&good(q))
        }
    });
    let said = alone(middlebox).await;
    assert_eq!(said.answer, Answer::Unreachable, "{said:?}");
    assert!(
        said.detail.contains("it answers only to what has no EDNS"),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_large_answer_comes_over_tcp_and_a_lost_datagram_once_more() {
    let large: Script = Box::new(|q, over| {
        let mut whole = good(q);
        for nth in 0..200 {
            whole.answers.push(record(&format!(
                "example.test TXT \"{nth}-{}\"",
                "x".repeat(200)
            )));
        }
        let mut cut = answer(q, &[]);
        cut.metadata.truncation = true;
        once(if over == Over::Tcp { &whole } else { &cut })
    });
    assert_eq!(alone(large).await.answer, Answer::Match);
    let cut_inside_a_record: Script = Box::new(|q, over| {
        let mut bytes = once(&good(q));
        if over == Over::Udp {
            bytes[0].truncate(50);
            bytes[0][2] |= 2;
        }
        bytes
    });
    let begun = Instant::now();
    assert_eq!(alone(cut_inside_a_record).await.answer, Answer::Match);
    assert!(
        begun.elapsed() < PATIENCE,
        "TC is believed at once, not after a time-out"
    );
    let lost = std::sync::atomic::AtomicBool::new(false);
    let lossy: Script = Box::new(move |q, over| {
        let first = over == Over::Udp && !lost.swap(true, std::sync::atomic::Ordering::Relaxed);
        if first { Vec::new() } else { once(&good(q)) }
    });
    assert_eq!(alone(lossy).await.answer, Answer::Match);
    let only_tcp: Script = Box::new(|q, over| {
        if over == Over::Tcp {
            once(&good(q))
        } else {
            Vec::new()
        }
    });
    let said = alone(only_tcp).await;
    assert_eq!(said.answer, Answer::Unreachable, "{said:?}");
    assert!(said.detail.contains("it answers only over TCP"), "{said:?}");
}

#[tokio::test]
async fn truncation_without_end_is_lame_and_not_stale() {
    let bomb = always(|q| {
        let mut cut = answer(q, &[]);
        cut.metadata.truncation = true;
        cut
    });
    let said = alone(bomb).await;
    assert_eq!(said.answer, Answer::Lame, "{said:?}");
    assert!(said.detail.contains("truncated"), "{said:?}");
}

#[tokio::test]
async fn what_does_not_answer_the_question_is_never_believed() {
    let wrong_id = always(|q| {
        let mut reply = good(q);
        reply.metadata.id = reply.metadata.id.wrapping_add(1);
        reply
    });
    let other_question = always(|q| {
        let mut reply = good(q);
        reply.queries[0].set_name(name("www.example.test"));
        reply
    });
    let no_question = always(|q| {
        let mut reply = good(q);
        reply.queries.clear();
        reply
    });
    let no_response = always(|q| {
        let mut reply = good(q);
        reply.metadata.message_type = MessageType::Query;
        reply
    });
    let garbage: Script = Box::new(|q, _| {
        let [high, low] = q.metadata.id.to_be_bytes();
        let pointer_loop = [
            high, low, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0xc0, 12, 0, 16, 0, 1,
        ];
        vec![
            pointer_loop.to_vec(),
            vec![0xff; 300],
            vec![high, low],
            Vec::new(),
        ]
    });
    for (what, script) in [
        ("wrong id", wrong_id),
        ("other question", other_question),
        ("no question", no_question),
        ("no response", no_response),
        ("garbage", garbage),
    ] {
        let said = alone(script).await;
        assert_eq!(said.answer, Answer::Lame, "{what}: {said:?}");
    }
}

#[tokio::test]
async fn the_true_answer_is_awaited_behind_false_ones() {
    let guessed: Script = Box::new(|q, _| {
        let mut guess = answer(q, &[]);
        guess.metadata.id = guess.metadata.id.wrapping_add(1);
        [once(&guess), once(&guess), once(&good(q))].concat()
    });
    assert_eq!(alone(guessed).await.answer, Answer::Match);
}

#[tokio::test]
async fn a_flood_of_datagrams_costs_neither_time_nor_the_answer() {
    let flood: Script = Box::new(|q, over| {
        if over == Over::Tcp {
            once(&good(q))
        } else {
            vec![vec![7; 40]; 100]
        }
    });
    let begun = Instant::now();
    assert_eq!(alone(flood).await.answer, Answer::Match);
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn silence_is_unreachable_and_says_what_was_tried() {
    let said = alone(Box::new(|_, _| Vec::new())).await;
    assert_eq!(said.answer, Answer::Unreachable, "{said:?}");
    assert!(
        said.detail
            .contains("UDP: no answer in 500ms; TCP: the connection was closed"),
        "{said:?}"
    );
}

#[tokio::test]
async fn refusals_referrals_and_hearsay_are_lame() {
    for code in [
        ResponseCode::Refused,
        ResponseCode::ServFail,
        ResponseCode::NotAuth,
        ResponseCode::BADCOOKIE,
    ] {
        let said = alone(always(move |q| refusal(q, code))).await;
        assert_eq!(said.answer, Answer::Lame, "{said:?}");
    }
    let hearsay = always(|q| {
        let mut reply = good(q);
        reply.metadata.authoritative = false;
        reply
    });
    let said = alone(hearsay).await;
    assert!(
        said.answer == Answer::Lame && said.detail.contains("not authoritative"),
        "{said:?}"
    );
    for recursive in [true, false] {
        let stale = always(move |q| {
            let mut reply = answer(q, &["example.test TXT \"v=spf1 -all\""]);
            (
                reply.metadata.authoritative,
                reply.metadata.recursion_available,
            ) = (false, recursive);
            reply
        });
        let said = alone(stale).await;
        assert!(
            said.answer == Answer::NoMatch && said.detail.contains("resolvers may believe it"),
            "{said:?}"
        );
    }
    let referral = alone(serve("", &["test NS ns.test"])).await;
    assert!(
        referral.answer == Answer::Lame
            && referral.detail.contains("refers to the servers of test"),
        "{referral:?}"
    );
}

#[tokio::test]
async fn a_cname_at_the_name_is_told_as_such() {
    let alias = always(|q| answer(q, &["example.test CNAME www.example.net.", TXT]));
    let said = alone(alias).await;
    assert!(
        said.answer == Answer::NoMatch && said.detail.contains("CNAME to www.example.net"),
        "{said:?}"
    );
}

#[tokio::test]
async fn an_override_of_the_longest_zone_replaces_the_walk() {
    let lab = Lab::of(vec![always(good), always(|q| answer(q, &[]))]).await;
    let served_by = |nth| Judging {
        name_servers: vec![lab.server(nth)],
        ..Judging::default()
    };
    let mut settings = lab.without_walk();
    settings.zones = [
        ("test".to_owned(), served_by(1)),
        ("example.test".to_owned(), served_by(0)),
    ]
    .into();
    let gate = super::lab::gate(settings);
    assert!(
        gate.check(&Question::new(&domain("example.test"), VALUE))
            .await
            .go
    );
    assert_eq!(
        gate.responsible(&domain("a.b.example.test"))
            .await
            .unwrap()
            .zone,
        "example.test"
    );
    assert_eq!(
        gate.responsible(&domain("notexample.test"))
            .await
            .unwrap()
            .zone,
        "test"
    );
}

/// Root, `test` and the zone on three servers, the zone on two.
fn internet(zone: &[&str]) -> Vec<Script> {
    vec![
        serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]),
        serve(
            "test",
            &[
                "example.test NS ns1.example.test",
                "ns1.example.test A 127.0.0.4",
            ],
        ),
        serve("example.test", zone),
    ]
}

#[tokio::test]
async fn a_walk_asks_parent_and_child_and_warns_when_they_differ() {
    let mut scripts = internet(&[
        TXT,
        "example.test NS ns2.example.test",
        "ns2.example.test A 127.0.0.5",
        "ns1.example.test A 127.0.0.4",
    ]);
    scripts.push(serve("example.test", &["example.test NS ns2.example.test"]));
    let verdict = check(&Lab::of(scripts).await).await;
    assert!(!verdict.go && !verdict.gone, "{verdict:?}");
    let said: Vec<_> = verdict
        .servers
        .iter()
        .map(|s| (s.name.as_deref().unwrap(), s.answer))
        .collect();
    assert_eq!(
        said,
        [
            ("ns1.example.test", Answer::Match),
            ("ns2.example.test", Answer::NoMatch)
        ]
    );
    assert!(
        verdict
            .warnings
            .iter()
            .any(|w| w.contains("ns1.example.test in the parent, ns2.example.test in the zone"))
    );
}

#[tokio::test]
async fn a_name_deep_in_a_zone_belongs_to_the_cut_that_servers_answer() {
    let scripts = internet(&[
        "a.b.example.test TXT \"swiss-pki=0123456789abcdef\"",
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
    ]);
    let lab = Lab::of(scripts).await;
    let gate = lab.gate();
    let found = gate.responsible(&domain("a.b.example.test")).await.unwrap();
    assert_eq!(
        (found.zone.as_str(), found.warnings),
        ("example.test", Vec::new())
    );
    assert!(
        gate.check(&Question::new(&domain("a.b.example.test"), VALUE))
            .await
            .go
    );
    let alias = internet(&[
        "www.example.test CNAME example.net.",
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
    ]);
    let lab = Lab::of(alias).await;
    let verdict = lab
        .gate()
        .check(&Question::new(&domain("www.example.test"), VALUE))
        .await;
    assert!(
        verdict.gone && verdict.cause.contains("CNAME to example.net"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn one_server_for_root_and_zone_needs_no_delegation() {
    let lab = Lab::of(vec![serve(
        "example.test",
        &[
            TXT,
            "example.test NS ns1.example.test",
            "ns1.example.test A 127.0.0.2",
        ],
    )])
    .await;
    let verdict = check(&lab).await;
    assert!(verdict.go && verdict.warnings.is_empty(), "{verdict:?}");
}

#[tokio::test]
async fn a_name_server_without_glue_is_found_by_the_same_walk() {
    let scripts = vec![
        serve(
            "",
            &[
                "test NS a.nic.test",
                "a.nic.test A 127.0.0.3",
                "net NS a.nic.net",
                "a.nic.net A 127.0.0.4",
            ],
        ),
        serve("test", &["example.test NS ns.hoster.net"]),
        serve(
            "net",
            &["hoster.net NS ns.hoster.net", "ns.hoster.net A 127.0.0.5"],
        ),
        Box::new(|q, over| {
            let zones = [
                serve(
                    "hoster.net",
                    &["hoster.net NS ns.hoster.net", "ns.hoster.net A 127.0.0.5"],
                ),
                serve("example.test", &[TXT, "example.test NS ns.hoster.net"]),
            ];
            zones[usize::from(name("example.test").zone_of(q.queries[0].name()))](q, over)
        }),
    ];
    let lab = Lab::of(scripts).await;
    let gate = lab.gate();
    let verdict = gate
        .check(&Question::new(&domain("example.test"), VALUE))
        .await;
    assert!(
        verdict.go && verdict.warnings.is_empty() && verdict.servers.len() == 1,
        "{verdict:?}"
    );
    let first = lab.questions();
    assert!(
        first <= 11,
        "{first} questions for a walk of two branches and two rounds"
    );
    gate.check(&Question::new(&domain("example.test"), VALUE))
        .await;
    assert!(
        lab.questions() - first <= first - 2,
        "the second check does not ask the root again"
    );
}

#[tokio::test]
async fn a_name_without_a_delegation_is_told_and_is_not_gone() {
    let lab = Lab::of(internet(&[])).await;
    let verdict = lab
        .gate()
        .check(&Question::new(&domain("exampel.test"), VALUE))
        .await;
    assert!(
        !verdict.go && !verdict.gone && verdict.cause.contains("exampel.test is not delegated"),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_zone_whose_servers_all_fail_shows_each_of_them() {
    let delegation = [
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
        "example.test NS ns2.example.test",
        "ns2.example.test A 127.0.0.5",
    ];
    let scripts = vec![
        serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]),
        serve("test", &delegation),
        always(|q| refusal(q, ResponseCode::Refused)),
        Box::new(|_, _| Vec::new()),
    ];
    let verdict = check(&Lab::of(scripts).await).await;
    assert!(
        !verdict.go && !verdict.gone && verdict.cause.contains("REFUSED"),
        "{verdict:?}"
    );
    let said: Vec<Answer> = verdict.servers.iter().map(|server| server.answer).collect();
    assert_eq!(said, [Answer::Lame, Answer::Unreachable]);
}

#[tokio::test]
async fn a_name_server_whose_own_zone_is_dead_is_a_warning() {
    let names = [
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
        "example.test NS ns.dead.test",
    ];
    let mut scripts = internet(&[names[0], names[1], names[2], TXT]);
    scripts[1] = serve(
        "test",
        &[
            &names[..],
            &["dead.test NS ns.dead.test", "ns.dead.test A 127.0.0.5"],
        ]
        .concat(),
    );
    scripts.push(Box::new(|_, _| Vec::new()));
    let verdict = check(&Lab::of(scripts).await).await;
    // The glue of ns.dead.test is below `test` and believed, so that it is asked and found dead.
    assert!(verdict.go, "{verdict:?}");
    assert!(
        verdict
            .warnings
            .iter()
            .any(|w| w.starts_with("ns.dead.test (127.0.0.5")),
        "{verdict:?}"
    );
}

#[tokio::test]
async fn a_remembered_top_level_domain_that_moved_is_found_again_from_the_root() {
    let moved = std::sync::atomic::AtomicBool::new(false);
    let zone = [
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
        TXT,
    ];
    let mut scripts = internet(&zone);
    scripts.push(serve(
        "test",
        &[
            "example.test NS ns1.example.test",
            "ns1.example.test A 127.0.0.4",
        ],
    ));
    scripts[0] = Box::new(move |q, over| {
        let second = moved.load(std::sync::atomic::Ordering::Relaxed);
        moved.store(true, std::sync::atomic::Ordering::Relaxed);
        let tld = if second {
            "a.nic.test A 127.0.0.5"
        } else {
            "a.nic.test A 127.0.0.3"
        };
        serve("", &["test NS a.nic.test", tld])(q, over)
    });
    let once_only = std::sync::atomic::AtomicBool::new(false);
    scripts[1] = Box::new(move |q, over| {
        if once_only.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return once(&refusal(q, ResponseCode::Refused));
        }
        serve(
            "test",
            &[
                "example.test NS ns1.example.test",
                "ns1.example.test A 127.0.0.4",
            ],
        )(q, over)
    });
    let lab = Lab::of(scripts).await;
    let gate = lab.gate();
    assert!(
        gate.check(&Question::new(&domain("example.test"), VALUE))
            .await
            .go
    );
    assert!(
        gate.check(&Question::new(&domain("example.test"), VALUE))
            .await
            .go
    );
}

#[tokio::test]
async fn hostile_delegations_end_in_bounded_time_and_questions() {
    let refer = |zone: &'static str, hosts: &'static [&'static str], glue: &'static str| {
        always(move |q| {
            let mut reply = answer(q, &[]);
            reply.metadata.authoritative = false;
            reply.authorities = hosts
                .iter()
                .map(|host| record(&format!("{zone} NS {host}.")))
                .collect();
            reply.additionals = hosts
                .iter()
                .map(|host| record(&format!("{host} A {glue}")))
                .collect();
            reply
        })
    };
    let hanging = || {
        let hosts: Vec<String> = (0..64)
            .map(|nth| format!("example.test NS ns.of-{nth}.test"))
            .collect();
        let zones: Vec<String> = (0..64)
            .map(|nth| format!("of-{nth}.test NS ns.of-{}.test", (nth + 1) % 64))
            .collect();
        let all: Vec<&str> = hosts.iter().chain(&zones).map(String::as_str).collect();
        serve("test", &all)
    };
    let root = || serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]);
    let cases: Vec<(&str, Vec<Script>)> = vec![
        (
            "a referral to itself",
            vec![root(), refer("test", &["a.nic.test"], "127.0.0.3")],
        ),
        (
            "a referral upwards",
            vec![root(), refer("", &["a.nic.test"], "127.0.0.2")],
        ),
        (
            "a referral to another's zone",
            vec![
                root(),
                refer("victim.test", &["ns.victim.test"], "127.0.0.3"),
            ],
        ),
        (
            "64 servers that depend on one another",
            vec![root(), hanging()],
        ),
        (
            "two servers that depend on one another",
            vec![
                root(),
                serve(
                    "test",
                    &["example.test NS ns.b.test", "b.test NS ns.example.test"],
                ),
            ],
        ),
        ("silence", vec![root(), Box::new(|_, _| Vec::new())]),
        (
            "garbage",
            vec![root(), Box::new(|_, _| vec![vec![0x5a; 700]])],
        ),
    ];
    for (what, scripts) in cases {
        let lab = Lab::of(scripts).await;
        let begun = Instant::now();
        let verdict = check(&lab).await;
        assert!(
            !verdict.go && !verdict.gone && !verdict.cause.is_empty(),
            "{what}: {verdict:?}"
        );
        assert!(
            begun.elapsed() < PATIENCE * 11,
            "{what} took {:?}",
            begun.elapsed()
        );
        assert!(
            lab.questions() <= 210,
            "{what} cost {} questions",
            lab.questions()
        );
    }
}

#[tokio::test]
async fn sixty_four_name_servers_are_too_many_to_ask_and_that_is_said() {
    let mut records: Vec<String> = (0..64)
        .map(|nth| format!("example.test NS ns{nth:02}.example.test"))
        .collect();
    records.extend((0..64).map(|nth| format!("ns{nth:02}.example.test A 127.0.0.4")));
    let all: Vec<&str> = records.iter().map(String::as_str).collect();
    let zone: Vec<&str> = all.iter().copied().chain([TXT]).collect();
    let mut scripts = internet(&zone);
    scripts[1] = serve("test", &all);
    let lab = Lab::of(scripts).await;
    let verdict = check(&lab).await;
    assert!(verdict.go && verdict.servers.len() == 32, "{verdict:?}");
    assert!(
        verdict
            .warnings
            .iter()
            .any(|w| w.contains("lists 64 name servers; 32 were asked")),
        "{:?}",
        verdict.warnings
    );
}

#[tokio::test]
async fn glue_for_another_zone_is_not_believed() {
    // The parent of example.test claims to know an address below `net`, and that address lies about
    // everything.
    let mut scripts = vec![
        serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]),
        serve(
            "test",
            &["example.test NS ns.hoster.net", "ns.hoster.net A 127.0.0.4"],
        ),
    ];
    scripts.push(always(good));
    let verdict = check(&Lab::of(scripts).await).await;
    assert!(!verdict.go && verdict.servers.is_empty(), "{verdict:?}");
}

#[tokio::test]
async fn a_walk_that_fails_the_same_way_has_the_same_words() {
    let codes = [
        ResponseCode::Refused,
        ResponseCode::ServFail,
        ResponseCode::NotImp,
        ResponseCode::NotAuth,
    ];
    let lab = Lab::of(codes.map(|code| always(move |q| refusal(q, code))).into()).await;
    let roots = (0..4).map(|nth| lab.server(nth)).collect();
    let gate = super::lab::gate(super::GateSettings {
        roots,
        port: lab.port,
        ..super::GateSettings::default()
    });
    let mut words = std::collections::BTreeSet::new();
    // The servers are asked in random order, and the history keeps a line for each change of words.
    for _ in 0..8 {
        words.insert(
            gate.check(&Question::new(&domain("example.test"), VALUE))
                .await
                .waits_for(),
        );
    }
    assert_eq!(words.len(), 1, "{words:?}");
}

#[test]
fn a_name_for_people_is_plain() {
    assert_eq!(super::evidence::text(&Name::root()), ".");
    assert_eq!(
        super::evidence::text(&name("NS1.Example.TEST")),
        "ns1.example.test"
    );
}
