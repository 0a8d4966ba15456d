//! Facts to findings, by tables; and that findings block exactly when the gate does not go.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::Severity::{Blocks, Info, Warns};
use super::*;
use crate::prevalidation::DomainName;
use crate::propagation::Answer::{self, CutOff, Lame, Match, NoMatch, NotChecked, Unreachable};
use crate::propagation::Wanted;
use crate::propagation::caa::{CA_NAMES, METHODS_COUNT_FROM, Property, evaluate};
use crate::propagation::dnssec::{self, FaultKind, Trust, Unsigned};
use crate::propagation::examine::{DelegationReport, Edns, Fault, ServerReport, Subject, Wildcard};
use crate::propagation::resolver::{ResolverAnswer, weigh};

const NOW: Timestamp = Timestamp::constant(1_795_000_000, 0);
const VALUE: &str = "swiss-pki=x";

/// One server each, at 192.0.2.0 and up; half an hour after the write.
fn seen(answers: &[Answer]) -> Examination {
    of(
        "example.ch",
        answers.iter().map(|answer| Some(*answer)).collect(),
        Some(VALUE),
        1800,
    )
}

fn of(
    domain: &str,
    answers: Vec<Option<Answer>>,
    value: Option<&str>,
    published_for: u64,
) -> Examination {
    let faults = vec![None; answers.len()];
    signed(domain, answers, value, published_for, (&unsigned(), faults))
}

fn unsigned() -> Trust {
    Trust::Insecure {
        at: "example.ch".to_owned(),
        why: Unsigned::NotSigned,
    }
}

fn fault(kind: FaultKind) -> dnssec::Fault {
    dnssec::Fault {
        kind,
        zone: "example.ch".to_owned(),
        detail: "as found".to_owned(),
    }
}

fn signed(
    domain: &str,
    answers: Vec<Option<Answer>>,
    value: Option<&str>,
    published_for: u64,
    (trust, faults): (&Trust, Vec<Option<dnssec::Fault>>),
) -> Examination {
    let domain = DomainName::from_a_labels(domain).unwrap();
    let published_for = Duration::from_secs(published_for);
    let subject = Subject {
        domain: &domain,
        owner: None,
        wanted: value.map(Wanted::Txt),
        follow_aliases: true,
        published_for,
        horizon: None,
        resolvers: None,
        caa_names: &[],
    };
    let mut seen = Examination::begin(&subject, GateMode::Authoritative, NOW);
    seen.servers = answers
        .into_iter()
        .enumerate()
        .map(|(nth, answer)| {
            let nth = u8::try_from(nth).unwrap();
            let mut server = ServerReport::silent(
                Some(format!("ns{nth}.example.ch")),
                ([192, 0, 2, nth], 53).into(),
                answer,
            );
            server.values = if answer == Some(Match) {
                vec![VALUE.to_owned()]
            } else {
                Vec::new()
            };
            server.detail = "as asked".to_owned();
            server
        })
        .collect();
    let names: BTreeSet<String> = seen
        .servers
        .iter()
        .filter_map(|server| server.name.clone())
        .collect();
    seen.delegation = Some(DelegationReport {
        zone: "example.ch".to_owned(),
        configured: false,
        parent: names.clone(),
        child: Some(names),
        without_address: BTreeSet::new(),
        private: BTreeSet::new(),
        warnings: Vec::new(),
    });
    seen.weigh(published_for, trust, faults);
    seen
}

fn codes(seen: &Examination) -> Vec<(&'static str, Severity)> {
    findings(seen)
        .iter()
        .map(|finding| (finding.code.as_str(), finding.severity))
        .collect()
}

/// The examination, changed, and what it means.
fn with(
    answers: &[Answer],
    change: impl FnOnce(&mut Examination),
) -> Vec<(&'static str, Severity)> {
    let mut seen = seen(answers);
    change(&mut seen);
    codes(&seen)
}

#[test]
fn answers_have_their_findings_and_the_cause_comes_first() {
    type Row = (&'static [Answer], &'static [(&'static str, Severity)]);
    let table: &[Row] = &[
        (&[Match, Match], &[("visible", Info)]),
        (&[Match, NoMatch], &[("stale-server", Blocks)]),
        (&[NoMatch, NoMatch], &[("value-missing", Blocks)]),
        (
            &[NoMatch, Lame, Unreachable],
            &[
                ("value-missing", Blocks),
                ("dead-server", Warns),
                ("lame-server", Warns),
            ],
        ),
        (
            &[Match, Match, Unreachable],
            &[("dead-server", Warns), ("visible", Info)],
        ),
        (
            &[Match, Match, Lame],
            &[("lame-server", Warns), ("visible", Info)],
        ),
        (
            &[Match, NotChecked],
            &[("visible", Info), ("no-route", Info)],
        ),
        (&[Lame, Lame], &[("lame-server", Blocks)]),
        (
            &[Lame, Unreachable],
            &[("lame-server", Blocks), ("dead-server", Warns)],
        ),
        (
            &[Unreachable, Unreachable],
            &[("no-server-reachable", Blocks)],
        ),
        (
            &[Unreachable, NotChecked],
            &[("no-server-reachable", Blocks), ("no-route", Info)],
        ),
        (&[NotChecked, NotChecked], &[("no-route", Blocks)]),
        (&[], &[("no-server-reachable", Blocks)]),
    ];
    for (answers, expected) in table {
        assert_eq!(codes(&seen(answers)), *expected, "{answers:?}");
    }
    let fresh = of("example.ch", vec![Some(Match), Some(Lame)], Some(VALUE), 0);
    assert_eq!(
        codes(&fresh),
        [("lame-server", Blocks)],
        "before the grace of ten minutes is over"
    );
    assert!(findings(&fresh)[0].text.contains("10 minutes"));
}

#[test]
fn without_a_value_one_answer_is_enough() {
    let check = |answers: &[Option<Answer>]| codes(&of("example.ch", answers.to_vec(), None, 0));
    assert_eq!(check(&[None, None]), []);
    assert_eq!(check(&[None, Some(Unreachable)]), [("dead-server", Warns)]);
    assert_eq!(check(&[Some(Lame), Some(Lame)]), [("lame-server", Blocks)]);
    let mut differing = of("example.ch", vec![None, None], None, 0);
    differing.servers[0].values = vec!["v=spf1 -all".to_owned()];
    assert_eq!(codes(&differing), [("answers-differ", Warns)]);
}

#[test]
fn a_stale_server_is_told_with_serials_and_chance() {
    let mut seen = seen(&[Match, NoMatch]);
    (seen.servers[0].serial, seen.servers[1].serial) = (Some(7), Some(5));
    let text = &findings(&seen)[0].text;
    assert!(
        text.contains("ns1.example.ch (192.0.2.1); serial there 5, elsewhere 7"),
        "{text}"
    );
    assert!(text.contains("would pass with 16 %"), "{text}");
}

#[test]
fn an_alias_and_a_missing_name_explain_a_missing_value() {
    let alias = with(&[NoMatch, NoMatch], |seen| {
        seen.servers
            .iter_mut()
            .for_each(|server| server.cname = Some("www.example.net".to_owned()));
    });
    assert_eq!(alias, [("cname", Blocks)]);
    let nowhere = with(&[NoMatch, NoMatch], |seen| {
        seen.servers
            .iter_mut()
            .for_each(|server| server.rcode = Some("NXDOMAIN".to_owned()));
    });
    assert_eq!(nowhere, [("no-such-name", Blocks)]);
    let suffix = of("co.uk", vec![None], None, 0);
    assert_eq!(codes(&suffix), [("public-suffix", Blocks)]);
}

#[test]
fn transports_are_told_apart() {
    let cut_off = |server: &mut ServerReport| {
        (server.truncated, server.tcp_fault) = (true, Some("refused".to_owned()))
    };
    let all = with(&[Lame, Lame], |seen| {
        seen.servers.iter_mut().for_each(cut_off)
    });
    assert_eq!(all, [("tcp-blocked", Blocks)]);
    let one = with(&[Match, Match, Lame], |seen| cut_off(&mut seen.servers[2]));
    assert_eq!(one, [("tcp-blocked", Warns), ("visible", Info)]);
    assert_eq!(
        with(&[Match, Match, CutOff], |_| ()),
        [("tcp-blocked", Blocks)],
        "resolvers wait for it in vain"
    );
    let small = with(&[Match, Match], |seen| {
        seen.servers[0].tcp_fault = Some("refused".to_owned())
    });
    assert_eq!(small, [("tcp-blocked", Warns), ("visible", Info)]);
    let large = with(&[Match, Match], |seen| seen.servers[0].octets = Some(1233));
    assert_eq!(large, [("visible", Info), ("answer-large", Info)]);
    assert_eq!(
        with(&[Match, Match], |seen| seen.servers[0].octets = Some(1232)),
        [("visible", Info)]
    );
    for (edns, code) in [
        (Edns::Dropped, true),
        (Edns::Refused, true),
        (Edns::Ignored, false),
        (Edns::Known, false),
    ] {
        let found = with(&[Match, Match], |seen| seen.servers[1].edns = Some(edns));
        assert_eq!(found.contains(&("edns-dropped", Warns)), code, "{edns:?}");
    }
    let deaf = |server: &mut ServerReport| server.edns = Some(Edns::Dropped);
    let all = with(&[Unreachable, Unreachable], |seen| {
        seen.servers.iter_mut().for_each(deaf)
    });
    assert_eq!(
        all,
        [("edns-dropped", Blocks)],
        "resolvers do not ask without EDNS any more"
    );
    let one = with(&[Match, Match, Unreachable], |seen| {
        deaf(&mut seen.servers[2])
    });
    assert_eq!(one, [("edns-dropped", Warns), ("visible", Info)]);
    let resolvers = |seen: &mut Examination| {
        seen.servers
            .iter_mut()
            .for_each(|server| server.recursive = true)
    };
    assert_eq!(
        with(&[Lame, Lame], resolvers),
        [("port53-redirected", Blocks), ("lame-server", Warns)]
    );
}

#[test]
fn what_is_wrong_with_the_delegation_is_a_warning() {
    let change = |change: fn(&mut DelegationReport)| {
        with(&[Match, Match], |seen| {
            change(seen.delegation.as_mut().unwrap())
        })
    };
    let visible = ("visible", Info);
    let less = change(|delegation| drop(delegation.parent.pop_first()));
    assert_eq!(less, [("parent-child-differ", Warns), visible]);
    assert_eq!(
        change(|delegation| delegation.parent.clear()),
        [visible],
        "one server for both zones"
    );
    assert_eq!(change(|delegation| delegation.child = None), [visible]);
    let lost = change(|delegation| {
        delegation
            .without_address
            .extend(["ns9.example.ch".to_owned()])
    });
    assert_eq!(lost, [("dead-server", Warns), visible]);
    let inside = change(|delegation| {
        delegation
            .private
            .extend(["10.0.0.1".parse::<std::net::IpAddr>().unwrap()])
    });
    assert_eq!(inside, [("split-horizon", Warns), visible]);
    let hidden = with(&[Match, Match], |seen| {
        seen.servers[0].mname = Some("primary.example.ch".to_owned())
    });
    assert_eq!(hidden, [visible, ("hidden-primary", Info)]);
    let listed = with(&[Match, Match], |seen| {
        seen.servers[0].mname = Some("ns1.example.ch".to_owned())
    });
    assert_eq!(listed, [visible]);
}

#[test]
fn a_walk_that_leads_nowhere_is_the_only_finding() {
    let lost = |code| {
        let mut seen = of("example.ch", Vec::new(), Some(VALUE), 0);
        (seen.delegation, seen.gate) = (None, None);
        seen.fault = Some(Fault::new(code, "why"));
        seen
    };
    for code in [
        Code::NotDelegated,
        Code::ReferralLoop,
        Code::NoServerReachable,
        Code::Port53Redirected,
    ] {
        let seen = lost(code);
        assert_eq!(codes(&seen), [(code.as_str(), Blocks)]);
        let elsewhere = Examination {
            mode: GateMode::Delay,
            ..seen
        };
        assert_eq!(
            codes(&elsewhere),
            [(code.as_str(), Warns)],
            "in mode delay these servers are not asked"
        );
    }
}

#[test]
fn wildcards_caa_and_caches_never_block() {
    let wildcard = |covers_name| Wildcard {
        below: "ch".to_owned(),
        kinds: vec!["A".to_owned()],
        covers_name,
    };
    let found = |covers| {
        with(&[Match, Match], |seen| {
            seen.wildcard = Some(wildcard(covers))
        })
    };
    assert_eq!(found(true), [("wildcard", Warns), ("visible", Info)]);
    assert_eq!(found(false), [("visible", Info), ("wildcard", Info)]);
    let caa = |critical, tag: &str, value: &str| {
        let set = [Property {
            critical,
            tag: tag.to_owned(),
            value: value.as_bytes().to_vec(),
        }];
        let advice = evaluate(
            Some("ch".to_owned()),
            &set,
            &CA_NAMES.map(str::to_owned),
            NOW,
        );
        with(&[Match, Match], |seen| seen.caa = Some(advice))
    };
    assert_eq!(caa(false, "issue", "swisssign.com"), [("visible", Info)]);
    assert_eq!(
        caa(false, "issue", ";"),
        [("caa-forbids", Warns), ("visible", Info)]
    );
    assert_eq!(
        caa(false, "issuewild", ";"),
        [("visible", Info), ("caa-forbids", Info)]
    );
    assert_eq!(
        caa(true, "new", "x"),
        [("caa-unknown-critical", Warns), ("visible", Info)]
    );
    let next = |tags: &[&str]| {
        let property = |tag: &&str| Property {
            critical: false,
            tag: (*tag).to_owned(),
            value: b";".to_vec(),
        };
        let set: Vec<_> = tags.iter().map(property).collect();
        let mut seen = seen(&[Match, Match]);
        seen.caa = Some(evaluate(
            Some("example.ch".to_owned()),
            &set,
            &["ca.example".to_owned()],
            NOW,
        ));
        findings(&seen)
            .into_iter()
            .find(|finding| finding.code == Code::CaaForbids)
            .unwrap()
            .next
            .unwrap()
    };
    for (tags, records) in [
        (
            &["issue"][..],
            "add: example.ch. CAA 0 issue \"ca.example\"",
        ),
        (
            &["issuewild"],
            "add: example.ch. CAA 0 issuewild \"ca.example\"",
        ),
        (
            &["issuemail"],
            "add: example.ch. CAA 0 issuemail \"ca.example\"",
        ),
        (
            &["issue", "issuemail"],
            "issue \"ca.example\" and example.ch. CAA 0 issuemail \"ca.example\"",
        ),
    ] {
        assert!(
            next(tags).ends_with(records),
            "the record is of the kind that is missing, and names the CA: {}",
            next(tags)
        );
    }
    let later = NOW + jiff::SignedDuration::from_secs(60);
    let cached = with(&[Match, Match], |seen| seen.caches.horizon = Some(later));
    assert_eq!(cached, [("visible", Info), ("still-cached", Info)]);
    assert_eq!(
        with(&[Match, Match], |seen| seen.caches.horizon = Some(NOW)),
        [("visible", Info)]
    );
}

#[test]
fn what_does_not_validate_comes_first() {
    let check = |answers: &[Answer], faulty: &[FaultKind]| {
        let faults = (0..answers.len())
            .map(|nth| faulty.get(nth).map(|kind| fault(*kind)))
            .collect();
        let said = answers.iter().map(|answer| Some(*answer)).collect();
        codes(&signed(
            "example.ch",
            said,
            Some(VALUE),
            1800,
            (&unsigned(), faults),
        ))
    };
    let all = [FaultKind::Expired; 2];
    assert_eq!(check(&[Match, Match], &all), [("dnssec-expired", Blocks)]);
    assert_eq!(
        check(&[NoMatch, NoMatch], &all),
        [("dnssec-expired", Blocks)]
    );
    assert_eq!(
        check(&[Match, Match], &all[..1]),
        [("dnssec-expired", Warns), ("visible", Info)]
    );
    assert_eq!(
        check(&[Match, NoMatch], &all[..1])[0],
        ("dnssec-expired", Blocks),
        "only the stale one is believed"
    );
    let stale = check(&[Match, Match, NoMatch], &all[..1]);
    assert_eq!(stale, [("stale-server", Blocks), ("dnssec-expired", Warns)]);
    for (kind, code) in [
        (FaultKind::Expired, "dnssec-expired"),
        (FaultKind::NotYetValid, "dnssec-not-yet-valid"),
        (FaultKind::NoDnskey, "dnssec-no-dnskey"),
        (FaultKind::DsMismatch, "dnssec-ds-mismatch"),
        (FaultKind::BadSignature, "dnssec-bad-signature"),
        (FaultKind::NotSigned, "dnssec-not-signed"),
        (FaultKind::BadDenial, "dnssec-bad-denial"),
    ] {
        let trust = Trust::Bogus(fault(kind));
        for value in [Some(VALUE), None] {
            let answer = value.map(|_| Match);
            let seen = signed(
                "example.ch",
                vec![answer, answer],
                value,
                0,
                (&trust, vec![None, None]),
            );
            assert_eq!(codes(&seen), [(code, Blocks)], "{value:?}");
            assert!(findings(&seen)[0].text.contains("as found"));
        }
    }
}

#[test]
fn a_signed_zone_without_a_ds_is_odd_and_valid() {
    let check = |why| {
        let trust = Trust::Insecure {
            at: "example.ch".to_owned(),
            why,
        };
        codes(&signed(
            "example.ch",
            vec![Some(Match); 2],
            Some(VALUE),
            0,
            (&trust, vec![None, None]),
        ))
    };
    assert_eq!(check(Unsigned::NotSigned), [("visible", Info)]);
    assert_eq!(
        check(Unsigned::Stray),
        [("visible", Info), ("dnssec-stray", Info)]
    );
    assert_eq!(
        check(Unsigned::Unsupported("16".to_owned())),
        [("dnssec-unsupported", Warns), ("visible", Info)]
    );
    let unchecked = Trust::Unchecked("no anchor".to_owned());
    let seen = signed(
        "example.ch",
        vec![Some(Match); 2],
        Some(VALUE),
        0,
        (&unchecked, vec![None, None]),
    );
    assert_eq!(codes(&seen), [("visible", Info)]);
}

fn resolver(answer: Answer, ttl: u32, bogus: Option<&str>) -> ResolverAnswer {
    ResolverAnswer {
        resolver: "9.9.9.9:53".to_owned(),
        address: None,
        answer,
        detail: "as asked".to_owned(),
        ttl: Some(ttl),
        validated: false,
        bogus: bogus.map(str::to_owned),
    }
}

#[test]
fn resolvers_show_what_is_cached_and_who_sees_another_zone() {
    let check = |answer: ResolverAnswer| {
        with(&[Match, Match], |seen| {
            (seen.caches.txt_ttl, seen.caches.negative_ttl) = (Some(3600), Some(300));
            let gate = seen.gate.take().unwrap();
            seen.gate = Some(weigh::advise(
                gate,
                std::slice::from_ref(&answer),
                seen.served(),
                NOW,
            ));
            seen.caches.resolvers = vec![answer];
        })
    };
    assert_eq!(check(resolver(Match, 7, None)), [("visible", Info)]);
    assert_eq!(
        check(resolver(NoMatch, 7, None)),
        [("still-cached", Warns), ("visible", Info)]
    );
    assert_eq!(
        check(resolver(NoMatch, 3600, None)),
        [("split-horizon", Blocks)]
    );
    assert_eq!(
        check(resolver(NoMatch, 300, None)),
        [("split-horizon", Blocks)]
    );
    assert_eq!(
        check(resolver(Unreachable, 0, None)),
        [("visible", Info)],
        "their silence changes nothing"
    );
    assert_eq!(
        check(resolver(Lame, 0, Some("expired"))),
        [("dnssec-bad-signature", Blocks)]
    );
}

#[test]
fn where_only_resolvers_can_be_asked_they_decide() {
    let check = |answers: Vec<ResolverAnswer>| {
        let mut seen = of(
            "example.ch",
            vec![Some(Unreachable); 2],
            Some(VALUE),
            90_000,
        );
        seen.mode = GateMode::Resolvers;
        seen.gate = Some(weigh::weigh(&answers, Duration::ZERO, NOW));
        seen.caches.resolvers = answers;
        let go = seen.gate.as_ref().unwrap().go;
        let found = codes(&seen);
        assert_eq!(
            found.iter().any(|(_, severity)| *severity == Blocks),
            !go,
            "{found:?}"
        );
        found
    };
    let (sees, not) = (|| resolver(Match, 7, None), || resolver(NoMatch, 7, None));
    assert_eq!(
        check(vec![sees(), sees()]),
        [("no-server-reachable", Warns), ("visible", Info)]
    );
    assert_eq!(check(vec![sees(), not()])[0], ("still-cached", Blocks));
    assert_eq!(
        check(vec![resolver(Unreachable, 0, None); 2])[0],
        ("no-server-reachable", Blocks)
    );
    assert_eq!(
        check(vec![resolver(Lame, 0, Some("expired"))])[0],
        ("dnssec-bad-signature", Blocks)
    );
}

#[test]
fn the_words_are_kebab_case_and_each_is_there_once() {
    let words: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(words.len(), Code::ALL.len());
    for word in words {
        assert!(
            word.bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{word}"
        );
    }
}

proptest! {
    #[test]
    fn findings_block_exactly_when_the_gate_does_not_go(
        answers in prop::collection::vec((0..6usize, any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 0..6),
        deaf in any::<bool>(),
        broken in prop::bool::weighted(0.1),
        published_for in prop::sample::select(vec![0, 599, 600, 90_000]),
    ) {
        let kinds = [Match, NoMatch, Lame, Unreachable, NotChecked, CutOff];
        let said = answers.iter().map(|(kind, ..)| Some(kinds[*kind])).collect();
        let of_chain = fault(FaultKind::DsMismatch);
        let trust = if broken { Trust::Bogus(of_chain.clone()) } else { unsigned() };
        let faults = answers.iter().map(|(.., faulty)| match (broken, *faulty) {
            (true, _) => Some(of_chain.clone()),
            (false, faulty) => faulty.then(|| fault(FaultKind::Expired)),
        });
        let mut seen = signed("example.ch", said, Some(VALUE), published_for, (&trust, faults.collect()));
        for (server, (_, cut_off, other, recursive, _)) in seen.servers.iter_mut().zip(&answers) {
            let answer = server.answer.unwrap();
            if *cut_off && answer == Lame {
                (server.truncated, server.tcp_fault) = (true, Some("refused".to_owned()));
            }
            if *other && answer == NoMatch {
                server.rcode = Some("NXDOMAIN".to_owned());
                server.cname = Some("example.net".to_owned());
            }
            server.recursive = *recursive && answer == Lame;
            server.edns = (deaf && *cut_off && answer == Unreachable).then_some(Edns::Dropped);
        }
        let found = findings(&seen);
        let blocks = found.iter().any(|finding| finding.severity == Blocks);
        prop_assert_eq!(blocks, !seen.gate.as_ref().unwrap().go, "{:?}", found);
        prop_assert!(!found.is_empty() && found[0].next.is_some());
        prop_assert!(found.is_sorted_by_key(|finding| finding.severity));
    }
}

#[test]
fn a_caa_line_to_add_keeps_the_limits_of_the_line_of_now() {
    let mut narrow = seen(&[Match, Match]);
    let value = b"ca.example; validationmethods=http-01".to_vec();
    let property = Property {
        critical: false,
        tag: "issue".to_owned(),
        value,
    };
    let (at, names) = (Some("example.ch".to_owned()), ["ca.example".to_owned()]);
    narrow.caa = Some(evaluate(at, &[property], &names, METHODS_COUNT_FROM));
    let mut found = findings(&narrow).into_iter();
    let next = found.find_map(|it| it.next.filter(|_| it.code == Code::CaaForbids));
    let line = "CAA 0 issue \"ca.example; validationmethods=http-01,ca-tbr-7\"";
    assert!(
        next.as_ref().is_some_and(|next| next.ends_with(line)),
        "{next:?}"
    );
}
