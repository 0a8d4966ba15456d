//! Records below the domain, of both types: in a zone of their own, behind aliases, missing, and
//! different on two servers.

use super::{VALUE, internet};
use crate::prevalidation::{Challenge, Counts, DomainName, RecordName};
use crate::propagation::examine::Subject;
use crate::propagation::finding::findings;
use crate::propagation::lab::{Lab, Script, always, answer, domain, serve};
use crate::propagation::{Answer, DnsChecker, Question, RecordKind, Verdict, Wanted};

const OWNER: &str = "_pki-validation.example.test";

fn owner(text: &str) -> RecordName {
    RecordName::parse(text).unwrap()
}

fn txt(of: &DomainName) -> Challenge {
    Challenge::txt(of, OWNER, VALUE, Counts::Published).unwrap()
}

fn cname(of: &DomainName, target: &str) -> Challenge {
    Challenge::cname(of, OWNER, target, Counts::Published).unwrap()
}

async fn check(scripts: Vec<Script>, challenge: &Challenge) -> Verdict {
    let lab = Lab::of(scripts).await;
    let of = domain("example.test");
    lab.gate().check(&Question::of(&of, challenge)).await
}

/// example.test on two servers with records of their own.
fn on_two(first: &[&str], second: &[&str]) -> Vec<Script> {
    let delegation = [
        "example.test NS ns1.example.test",
        "example.test NS ns2.example.test",
        "ns1.example.test A 127.0.0.4",
        "ns2.example.test A 127.0.0.5",
    ];
    let mut scripts = internet(&[&delegation, first].concat());
    scripts[1] = serve("test", &delegation);
    scripts.push(serve("example.test", &[&delegation, second].concat()));
    scripts
}

/// example.test with `records`, and small.test with `small` on a server of its own.
fn with_small(records: &[&str], small: &[&str]) -> Vec<Script> {
    let delegation = [
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
        "small.test NS ns.small.test",
        "ns.small.test A 127.0.0.5",
    ];
    let own = [
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
    ];
    let mut scripts = internet(&[&own, records].concat());
    scripts[1] = serve("test", &delegation);
    let apex = ["small.test NS ns.small.test", "ns.small.test A 127.0.0.5"];
    scripts.push(serve("small.test", &[&apex, small].concat()));
    scripts
}

#[tokio::test]
async fn a_cname_is_there_when_every_server_has_its_target_in_any_case() {
    let of = domain("example.test");
    let wanted = cname(&of, "A1.b2.Comodoca.example.");
    let there = "_pki-validation.example.test CNAME a1.B2.comodoca.example.";
    let seen = check(on_two(&[there], &[there]), &wanted).await;
    assert!(seen.go && seen.servers.len() == 2, "{seen:?}");

    let other = "_pki-validation.example.test CNAME old.comodoca.example.";
    let stale = check(on_two(&[there], &[other]), &wanted).await;
    assert!(!stale.go && !stale.gone, "{stale:?}");
    let words = "CNAME to old.comodoca.example, not to a1.b2.comodoca.example";
    assert!(stale.cause.contains(words), "{stale:?}");

    for (records, words) in [
        (&[][..], "NXDOMAIN"),
        (
            &["_pki-validation.example.test TXT \"x\""][..],
            "no CNAME there",
        ),
    ] {
        let missing = check(on_two(records, records), &wanted).await;
        assert!(!missing.go && missing.gone, "{missing:?}");
        assert!(missing.cause.contains(words), "{missing:?}");
    }
}

#[tokio::test]
async fn a_label_that_is_a_zone_of_its_own_is_asked_for_at_its_own_servers() {
    let cut = ["_pki-validation.example.test NS ns.other.test"];
    let mut scripts = internet(&cut);
    scripts[1] = serve(
        "test",
        &[
            "example.test NS ns1.example.test",
            "ns1.example.test A 127.0.0.4",
            "other.test NS ns.other.test",
            "ns.other.test A 127.0.0.5",
        ],
    );
    let value = format!("{OWNER} TXT \"{VALUE}\"");
    let apex = format!("{OWNER} NS ns.other.test");
    let (label, hoster) = (
        serve(OWNER, &[&value, &apex]),
        serve("other.test", &["ns.other.test A 127.0.0.5"]),
    );
    scripts.push(Box::new(move |question, over| {
        let of_label = crate::propagation::lab::name(OWNER).zone_of(question.queries[0].name());
        if of_label {
            label(question, over)
        } else {
            hoster(question, over)
        }
    }));
    let lab = Lab::of(scripts).await;
    let (gate, of) = (lab.gate(), domain("example.test"));
    let wanted = txt(&of);
    let seen = gate.check(&Question::of(&of, &wanted)).await;
    assert!(seen.go, "{seen:?}");
    let zone = gate.live_zone(&owner(OWNER)).await.unwrap().unwrap();
    assert_eq!(zone.apex, OWNER);
    let lifetimes = gate
        .lifetimes(&owner(OWNER), RecordKind::Txt)
        .await
        .unwrap();
    assert_eq!(
        (lifetimes.txt_ttl, lifetimes.negative_ttl),
        (Some(300), 300)
    );
}

#[tokio::test]
async fn a_txt_value_is_checked_at_the_end_of_the_aliases() {
    let of = domain("example.test");
    let wanted = txt(&of);
    let alias = "_pki-validation.example.test CNAME v.small.test.";
    let value = format!("v.small.test TXT \"{VALUE}\"");
    let lab = Lab::of(with_small(&[alias], &[&value])).await;
    let gate = lab.gate();
    let seen = gate.check(&Question::of(&of, &wanted)).await;
    assert!(seen.go, "{seen:?}");
    let named: Vec<_> = seen
        .servers
        .iter()
        .filter_map(|it| it.name.as_deref())
        .collect();
    assert_eq!(
        named,
        ["ns1.example.test", "ns.small.test"],
        "both zones are asked"
    );
    assert_eq!(gate.target(&owner(OWNER)).await, Ok(owner("v.small.test")));
    let plain = owner("v.small.test");
    assert_eq!(gate.target(&plain).await, Ok(plain.clone()));

    let unfollowed = Question {
        follow_aliases: false,
        ..Question::of(&of, &wanted)
    };
    let unfollowed = gate.check(&unfollowed).await;
    assert!(
        !unfollowed.go && unfollowed.cause.contains("CNAME"),
        "{unfollowed:?}"
    );

    let missing = check(with_small(&[alias], &[]), &wanted).await;
    assert!(!missing.go && missing.gone, "{missing:?}");
    let words = "_pki-validation.example.test is an alias for v.small.test";
    assert!(missing.cause.contains(words), "{missing:?}");
}

#[tokio::test]
async fn an_alias_at_the_domain_itself_is_never_followed() {
    let of = domain("www.example.test");
    let alias = "www.example.test CNAME v.small.test.";
    let value = format!("v.small.test TXT \"{VALUE}\"");
    let lab = Lab::of(with_small(&[alias], &[&value])).await;
    let seen = lab.gate().check(&Question::new(&of, VALUE)).await;
    assert!(
        !seen.go && seen.cause.contains("beside a CNAME"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn an_alias_that_one_server_lacks_keeps_the_gate_shut_and_says_nothing_of_the_value() {
    let of = domain("example.test");
    let alias = "_pki-validation.example.test CNAME v.example.test.";
    let value = format!("v.example.test TXT \"{VALUE}\"");
    let seen = check(on_two(&[alias, &value], &[&value]), &txt(&of)).await;
    assert!(!seen.go && !seen.gone, "{seen:?}");
    assert!(
        seen.cause.contains("is an alias for v.example.test"),
        "{seen:?}"
    );
    let stale = seen
        .servers
        .iter()
        .find(|it| it.answer == Answer::NoMatch)
        .unwrap();
    assert_eq!(stale.name.as_deref(), Some("ns2.example.test"));
}

#[tokio::test]
async fn a_loop_of_aliases_ends() {
    let of = domain("example.test");
    let around = [
        "_pki-validation.example.test CNAME a.example.test.",
        "a.example.test CNAME _pki-validation.example.test.",
    ];
    let lab = Lab::of(internet(&around)).await;
    let gate = lab.gate();
    let wanted = txt(&of);
    let seen = gate.check(&Question::of(&of, &wanted)).await;
    assert!(
        !seen.go && seen.cause.contains("loop of aliases"),
        "{seen:?}"
    );
    let target = gate.target(&owner(OWNER)).await.unwrap_err();
    assert!(target.contains("loop of aliases"), "{target}");
}

#[tokio::test]
async fn an_examination_shows_the_aliases_and_the_record_of_either_type() {
    let of = domain("example.test");
    let alias = "_pki-validation.example.test CNAME v.small.test.";
    let value = format!("v.small.test TXT \"{VALUE}\"");
    let examine = async |scripts, wanted| {
        let lab = Lab::of(scripts).await;
        let at = owner(OWNER);
        let subject = Subject {
            domain: &of,
            owner: Some(&at),
            wanted: Some(wanted),
            follow_aliases: true,
            published_for: std::time::Duration::from_secs(90_000),
            horizon: None,
            resolvers: None,
            caa_names: &[],
        };
        lab.gate()
            .examine(&subject, jiff::Timestamp::UNIX_EPOCH)
            .await
    };
    let codes = |seen: &_| -> Vec<_> { findings(seen).iter().map(|it| it.code.as_str()).collect() };
    let seen = examine(with_small(&[alias], &[&value]), Wanted::Txt(VALUE)).await;
    assert_eq!(
        (seen.owner.as_str(), seen.aliases.len()),
        ("v.small.test", 1)
    );
    assert!(seen.gate.as_ref().is_some_and(|gate| gate.go), "{seen:#?}");
    assert_eq!(codes(&seen)[0], "visible");
    assert!(codes(&seen).contains(&"cname"), "{seen:#?}");
    let zone = seen.delegation.as_ref().map(|it| it.zone.as_str());
    assert_eq!(
        zone,
        Some("small.test"),
        "the zone of the record, not of the domain"
    );

    let seen = examine(with_small(&[alias], &[]), Wanted::Cname("v.small.test")).await;
    assert!(seen.gate.as_ref().is_some_and(|gate| gate.go), "{seen:#?}");
    assert_eq!(
        (seen.record_type, codes(&seen)[0]),
        (RecordKind::Cname, "visible")
    );

    let seen = examine(with_small(&[alias], &[]), Wanted::Cname("w.small.test")).await;
    assert_eq!(codes(&seen)[0], "value-missing", "{seen:#?}");
    let text = &findings(&seen)[0].text;
    assert!(text.contains("points to v.small.test"), "{text}");
}

#[tokio::test]
async fn a_resolver_that_follows_the_aliases_is_believed_where_they_are_followed() {
    use crate::propagation::resolver::Resolver;
    use crate::propagation::{GateMode, GateSettings, Judging, lab};
    let of = domain("example.test");
    let wanted = txt(&of);
    let value = format!("v.small.test TXT \"{VALUE}\"");
    let resolver = always(move |question| {
        let alias = "_pki-validation.example.test CNAME v.small.test.";
        let mut reply = answer(question, &[alias, &value]);
        reply.metadata.authoritative = false;
        reply.metadata.recursion_available = true;
        reply
    });
    let servers = Lab::of(vec![resolver]).await;
    let general = Judging {
        mode: Some(GateMode::Resolvers),
        resolvers: vec![Resolver::Plain(servers.server(0))],
        delay: Some(std::time::Duration::ZERO),
        ..Judging::default()
    };
    let gate = lab::gate(GateSettings {
        general,
        ..GateSettings::default()
    });
    assert!(gate.check(&Question::of(&of, &wanted)).await.go);
    let unfollowed = Question {
        follow_aliases: false,
        ..Question::of(&of, &wanted)
    };
    assert!(!gate.check(&unfollowed).await.go);
    assert_eq!(gate.target(&owner(OWNER)).await, Ok(owner("v.small.test")));
    let alias = cname(&of, "v.small.test");
    assert!(gate.check(&Question::of(&of, &alias)).await.go);
}
