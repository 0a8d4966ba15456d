//! Examinations of small internets of scripted servers.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot continue says so by panicking"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;

use super::*;
use crate::propagation::caa::{CA_NAMES, Permission};
use crate::propagation::finding::findings;
use crate::propagation::lab::{
    Lab, Over, PATIENCE, Script, always, answer, domain, once, record, refusal, serve,
};

const VALUE: &str = "swiss-pki=0123456789abcdef";
const TXT: &str = "example.test TXT \"swiss-pki=0123456789abcdef\"";
const NS: [&str; 2] = [
    "example.test NS ns1.example.test",
    "ns1.example.test A 127.0.0.4",
];

/// Root, `test` and example.test on three servers.
fn internet(zone: &[&str]) -> Vec<Script> {
    vec![
        serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]),
        serve("test", &NS),
        serve("example.test", &[&NS, zone].concat()),
    ]
}

async fn examine(scripts: Vec<Script>, name: &str) -> Examination {
    let lab = Lab::of(scripts).await;
    let names = CA_NAMES.map(str::to_owned);
    let domain = domain(name);
    let subject = Subject {
        domain: &domain,
        owner: None,
        wanted: Some(Wanted::Txt(VALUE)),
        follow_aliases: true,
        published_for: Duration::from_secs(90_000),
        horizon: None,
        resolvers: None,
        caa_names: &names,
    };
    let begun = Instant::now();
    let seen = lab.gate().examine(&subject, Timestamp::UNIX_EPOCH).await;
    assert!(
        begun.elapsed() < PATIENCE * 25,
        "an examination took {:?}",
        begun.elapsed()
    );
    seen
}

#[tokio::test]
async fn without_a_value_only_named_resolvers_are_asked() {
    let mut scripts = internet(&["example.test TXT \"v=spf1 -all\""]);
    scripts.push(always(|q| {
        let mut reply = answer(q, &["example.test TXT \"v=spf1 -all\""]);
        (
            reply.metadata.authoritative,
            reply.metadata.recursion_available,
        ) = (false, true);
        reply
    }));
    let lab = Lab::of(scripts).await;
    let mut settings = lab.gate().settings().clone();
    let resolver = vec![Resolver::Plain(lab.server(3))];
    settings.general.resolvers.clone_from(&resolver);
    let (gate, domain) = (
        crate::propagation::lab::gate(settings),
        domain("example.test"),
    );
    for named in [None, Some(resolver.as_slice())] {
        let subject = Subject {
            domain: &domain,
            owner: None,
            wanted: None,
            follow_aliases: true,
            published_for: Duration::ZERO,
            horizon: None,
            resolvers: named,
            caa_names: &[],
        };
        let seen = gate.examine(&subject, Timestamp::UNIX_EPOCH).await;
        assert_eq!(
            seen.caches.resolvers.len(),
            named.map_or(0, <[_]>::len),
            "{:?}",
            seen.caches
        );
        assert_eq!(seen.caches.txt_ttl, Some(300));
    }
}

fn codes(seen: &Examination) -> Vec<&'static str> {
    findings(seen)
        .iter()
        .map(|finding| finding.code.as_str())
        .collect()
}

#[tokio::test]
async fn a_good_domain_is_visible_and_everything_about_it_is_noted() {
    let seen = examine(
        internet(&[TXT, "example.test TXT \"v=spf1 -all\""]),
        "example.test",
    )
    .await;
    assert_eq!(codes(&seen), ["visible", "hidden-primary"], "{seen:#?}");
    let server = &seen.servers[0];
    assert_eq!(server.values, [VALUE, "v=spf1 -all"]);
    assert_eq!(
        (server.ttl, server.serial, server.mname.as_deref()),
        (Some(300), Some(1), Some("ns"))
    );
    assert!(
        server.authoritative && !server.truncated && server.took_ms.is_some(),
        "{server:?}"
    );
    assert_eq!(
        seen.caches,
        Caches {
            txt_ttl: Some(300),
            negative_ttl: Some(300),
            ..Caches::default()
        }
    );
    assert_eq!(seen.chance_percent, Some(100.0));
    let caa = seen.caa.as_ref().unwrap();
    assert_eq!(
        (&caa.at, caa.certificates, &caa.fault),
        (&None, Permission::Allowed, &None)
    );
    assert_eq!(
        serde_json::to_value(&seen).unwrap()["servers"][0]["answer"],
        "match"
    );
}

#[tokio::test]
async fn caa_is_found_at_the_closest_name_that_has_any() {
    let own = "www.example.test CAA 0 issue swisssign.com";
    let above = "example.test CAA 0 issue other.example";
    for (records, at, certificates) in [
        (
            vec![above, own],
            Some("www.example.test"),
            Permission::Allowed,
        ),
        (vec![above], Some("example.test"), Permission::Forbidden),
        (
            vec![
                "www.example.test CNAME alias.example.test.",
                "alias.example.test CAA 0 issue \";\"",
            ],
            Some("www.example.test"),
            Permission::Forbidden,
        ),
        (vec![], None, Permission::Allowed),
    ] {
        let seen = examine(internet(&records), "www.example.test").await;
        let caa = seen.caa.unwrap();
        assert_eq!(
            (caa.at.as_deref(), caa.certificates),
            (at, certificates),
            "{records:?}: {caa:?}"
        );
    }
    let mut scripts = internet(&[TXT]);
    scripts[1] = serve(
        "test",
        &[&NS[..], &["test CAA 0 issue other.example"]].concat(),
    );
    let seen = examine(scripts, "example.test").await;
    assert_eq!(
        seen.caa.as_ref().unwrap().at.as_deref(),
        Some("test"),
        "the climb continues above the zone"
    );
    assert!(codes(&seen).contains(&"caa-forbids"));
}

#[tokio::test]
async fn caa_that_cannot_be_read_is_a_fault_and_no_permission_by_silence() {
    let mut scripts = internet(&[TXT]);
    let good = serve("example.test", &[&NS[..], &[TXT]].concat());
    scripts[2] = Box::new(move |q, over| {
        let is_caa = q.queries[0].query_type() == hickory_proto::rr::RecordType::CAA;
        if is_caa {
            once(&refusal(q, ResponseCode::ServFail))
        } else {
            good(q, over)
        }
    });
    let seen = examine(scripts, "example.test").await;
    let fault = seen.caa.as_ref().unwrap().fault.clone().unwrap();
    assert!(
        fault.contains("CAA at example.test") && fault.contains("SERVFAIL"),
        "{fault}"
    );
    assert_eq!(codes(&seen)[0], "visible");
}

/// As a name server that has `*.example.test A` would answer.
fn wildcard(own: &'static [&'static str]) -> Script {
    let zone = serve("example.test", &[&NS[..], own].concat());
    Box::new(move |q, over| {
        let name = q.queries[0].name().to_string();
        let made_up = q.queries[0].query_type() == hickory_proto::rr::RecordType::A
            && !own
                .iter()
                .any(|record| name.starts_with(record.split(' ').next().unwrap()))
            && !name.starts_with("ns1.")
            && !name.starts_with("example.");
        if made_up {
            once(&answer(q, &[&format!("{name} A 192.0.2.7")]))
        } else {
            zone(q, over)
        }
    })
}

#[tokio::test]
async fn a_wildcard_is_found_and_whether_the_name_is_made_up_by_it() {
    let mut scripts = internet(&[]);
    scripts[2] = wildcard(&[]);
    let seen = examine(scripts, "shop.example.test").await;
    let found = seen.wildcard.as_ref().unwrap();
    assert!(
        found.covers_name && found.kinds == ["A"] && found.below == "example.test",
        "{found:?}"
    );
    assert!(codes(&seen).contains(&"wildcard"));

    let mut scripts = internet(&[]);
    scripts[2] = wildcard(&["shop.example.test A 192.0.2.8"]);
    assert!(
        !examine(scripts, "shop.example.test")
            .await
            .wildcard
            .unwrap()
            .covers_name
    );
    assert_eq!(
        examine(
            internet(&["shop.example.test A 192.0.2.8"]),
            "shop.example.test"
        )
        .await
        .wildcard,
        None
    );
    assert_eq!(
        examine(internet(&[TXT]), "example.test").await.wildcard,
        None,
        "the apex has no wildcard beside it"
    );
}

/// The zone's server, changed by how a question comes in.
fn zone_over(
    allowed: impl Fn(&Message, Over) -> bool + Send + Sync + 'static,
    large: bool,
) -> Vec<Script> {
    let mut scripts = internet(&[TXT]);
    let zone = serve("example.test", &[&NS[..], &[TXT]].concat());
    scripts[2] = Box::new(move |q, over| {
        if !allowed(q, over) {
            return Vec::new();
        }
        let is_txt = q.queries[0].query_type() == RecordType::TXT;
        if !(large && is_txt) {
            return zone(q, over);
        }
        let mut reply = answer(q, &[TXT]);
        reply.answers.extend(
            (0..20).map(|nth| record(&format!("example.test TXT \"{nth}-{}\"", "x".repeat(200)))),
        );
        if over == Over::Udp {
            reply.answers.clear();
            reply.metadata.truncation = true;
        }
        once(&reply)
    });
    scripts
}

#[tokio::test]
async fn transports_that_fail_are_named() {
    let large = examine(zone_over(|_, _| true, true), "example.test").await;
    assert_eq!(codes(&large), ["visible", "answer-large", "hidden-primary"]);
    assert!(
        large.servers[0].truncated && large.servers[0].octets.unwrap() > 4096,
        "{large:?}"
    );

    let cut_off = examine(zone_over(|_, over| over == Over::Udp, true), "example.test").await;
    assert_eq!(codes(&cut_off)[0], "tcp-blocked", "{cut_off:#?}");
    assert!(!cut_off.gate.as_ref().unwrap().go);

    let udp_only = examine(
        zone_over(|_, over| over == Over::Udp, false),
        "example.test",
    )
    .await;
    assert_eq!(
        codes(&udp_only),
        ["tcp-blocked", "visible", "hidden-primary"]
    );

    let no_edns = examine(zone_over(|q, _| q.edns.is_none(), false), "example.test").await;
    assert_eq!(codes(&no_edns), ["edns-dropped"], "{no_edns:#?}");
    assert!(!no_edns.gate.as_ref().unwrap().go);
    assert_eq!(
        (no_edns.servers[0].edns, &no_edns.servers[0].udp_fault),
        (Some(Edns::Dropped), &None)
    );

    let plain = examine(internet(&[TXT]), "example.test").await;
    assert_eq!(plain.servers[0].edns, Some(Edns::Ignored));
}

#[tokio::test]
async fn a_stale_server_that_was_heard_once_is_not_dead() {
    let unheard = AtomicUsize::new(6);
    let mut scripts = internet(&["example.test TXT \"old\""]);
    let zone = scripts.pop().unwrap();
    scripts.push(Box::new(move |q, over| {
        // The gate's own five, and the first one that checks EDNS.
        let counts =
            over == Over::Udp && q.edns.is_some() && q.queries[0].query_type() == RecordType::TXT;
        let take = |left: usize| left.checked_sub(1);
        let lost = counts
            && unheard
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_ok();
        if lost { Vec::new() } else { zone(q, over) }
    }));
    let seen = examine(scripts, "example.test").await;
    assert_eq!(seen.servers[0].answer, Some(Answer::NoMatch), "{seen:#?}");
}

#[tokio::test]
async fn parent_and_child_that_differ_are_shown_with_their_lists() {
    let mut scripts = internet(&[TXT]);
    scripts[2] = serve(
        "example.test",
        &[
            TXT,
            "example.test NS ns2.example.test",
            "ns2.example.test A 127.0.0.5",
            "ns1.example.test A 127.0.0.4",
        ],
    );
    scripts.push(serve("example.test", &["example.test NS ns2.example.test"]));
    let seen = examine(scripts, "example.test").await;
    let delegation = seen.delegation.as_ref().unwrap();
    assert_eq!(
        delegation.parent,
        BTreeSet::from(["ns1.example.test".to_owned()])
    );
    assert_eq!(
        delegation.child,
        Some(BTreeSet::from(["ns2.example.test".to_owned()]))
    );
    assert_eq!(codes(&seen)[..2], ["stale-server", "parent-child-differ"]);
    assert_eq!(
        seen.chance_percent,
        Some(if seen.at.as_second() == 0 { 15.6 } else { 0.0 })
    );
}

#[tokio::test]
async fn names_that_lead_nowhere_have_their_own_codes() {
    let code = async |scripts, name| codes(&examine(scripts, name).await)[0];
    assert_eq!(code(internet(&[]), "exampel.test").await, "not-delegated");
    assert_eq!(
        code(internet(&[]), "gone.example.test").await,
        "no-such-name"
    );
    assert_eq!(
        code(
            internet(&["www.example.test CNAME example.net."]),
            "www.example.test"
        )
        .await,
        "cname"
    );
    let hanging = vec![
        serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]),
        serve(
            "test",
            &["example.test NS ns.b.test", "b.test NS ns.example.test"],
        ),
    ];
    assert_eq!(code(hanging, "example.test").await, "referral-loop");
    let silent: Vec<Script> = vec![Box::new(|_, _| Vec::new())];
    assert_eq!(code(silent, "example.test").await, "no-server-reachable");
    let redirecting = always(|q| {
        let mut reply = answer(q, &["example.test TXT \"x\""]);
        reply.metadata.authoritative = false;
        reply.metadata.recursion_available = true;
        reply
    });
    assert_eq!(
        code(vec![redirecting], "example.test").await,
        "port53-redirected"
    );
}
