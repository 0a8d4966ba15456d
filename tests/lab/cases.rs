//! The topologies, and what is true about each: the table that everything else is held against.

use super::internet::VALUE;
use super::topology::Copy::{Ahead, Broken, Expired, Foreign, Stale, Transferred};
use super::topology::Listed::{Child, Neither, Parent};
use super::topology::Make::{Bind, Knot, Nsd, Pdns};
use super::topology::{Case, Ds, Spoilt, case, zone};

/// All of them.
pub fn all() -> Vec<Case> {
    [
        healthy(),
        stale(),
        dead(),
        delegated(),
        names(),
        signed(),
        bogus(),
        transport(),
        split(),
    ]
    .concat()
}

fn healthy() -> Vec<Case> {
    vec![
        case(zone("plain.ch").on(Bind).on(Knot), "visible").goes(),
        case(
            zone("four.swiss").on(Bind).on(Knot).on(Nsd).on(Pdns),
            "visible",
        )
        .goes(),
        case(zone("lone.ch").on(Nsd), "visible").goes(),
        case(zone("xn--zrich-kva.ch").on(Pdns).on(Nsd), "visible").goes(),
        case(
            zone("both-families.ch")
                .on(Bind)
                .on(Bind)
                .by_ipv6()
                .named("ns1.both-families.ch")
                .on(Nsd),
            "visible",
        )
        .goes(),
        case(
            zone("v6-only.ch").on(Knot).by_ipv6().on(Nsd).by_ipv6(),
            "visible",
        )
        .goes(),
        case(
            zone("hidden.ch")
                .on(Bind)
                .listed(Neither)
                .copy(Knot, Transferred)
                .copy(Nsd, Transferred),
            "hidden-primary",
        )
        .goes(),
        case(
            zone("foreign.ch").on(Knot).copy(Nsd, Foreign),
            "answers-differ",
        )
        .goes(),
        case(
            zone("caa.ch")
                .on(Bind)
                .on(Nsd)
                .record("@ CAA 0 issue \"letsencrypt.org\""),
            "caa-forbids",
        )
        .goes(),
        case(
            zone("caa-critical.ch")
                .on(Knot)
                .on(Nsd)
                .record("@ CAA 128 tbs \"unknown\""),
            "caa-unknown-critical",
        )
        .goes(),
    ]
}

fn stale() -> Vec<Case> {
    vec![
        case(
            zone("stale-of-two.ch").on(Bind).copy(Knot, Stale),
            "stale-server",
        )
        .by_chance(),
        case(
            zone("stale-of-four.swiss")
                .on(Bind)
                .on(Knot)
                .on(Pdns)
                .copy(Nsd, Stale),
            "stale-server",
        )
        .by_chance(),
        case(
            zone("unwritten.ch").copy(Bind, Stale).copy(Nsd, Stale),
            "value-missing",
        ),
        case(zone("ahead.ch").on(Knot).copy(Nsd, Ahead), "stale-server").by_chance(),
        case(
            zone("hidden-alone.ch")
                .on(Bind)
                .listed(Neither)
                .copy(Knot, Stale)
                .copy(Nsd, Stale),
            "value-missing",
        ),
        case(
            zone("stale-v6.ch")
                .on(Knot)
                .on(Nsd)
                .copy(Bind, Stale)
                .by_ipv6()
                .named("ns2.stale-v6.ch"),
            "stale-server",
        )
        .by_chance(),
        case(
            zone("stale-dead.ch").copy(Nsd, Stale).dead(),
            "value-missing",
        ),
        case(
            zone("signed-stale.ch").on(Knot).copy(Bind, Stale).signed(),
            "stale-server",
        )
        .by_chance(),
    ]
}

fn dead() -> Vec<Case> {
    vec![
        case(
            zone("lame.ch").on(Bind).on(Nsd).refusing(Knot),
            "lame-server",
        )
        .goes(),
        case(zone("lame-of-two.ch").on(Bind).refusing(Nsd), "lame-server").goes_later(),
        case(
            zone("broken-copy.ch").on(Knot).on(Nsd).copy(Bind, Broken),
            "lame-server",
        )
        .goes(),
        case(
            zone("all-lame.ch").refusing(Bind).refusing(Knot),
            "lame-server",
        ),
        case(zone("dead.swiss").on(Knot).on(Bind).dead(), "dead-server").goes(),
        case(zone("dead-of-two.ch").on(Nsd).dead(), "dead-server").goes(),
        case(zone("closed.ch").on(Pdns).on(Knot).closed(), "dead-server").goes(),
        case(
            zone("dead-v6.ch").on(Bind).on(Nsd).dead().by_ipv6(),
            "dead-server",
        )
        .goes(),
        case(zone("all-dead.ch").dead().dead(), "no-server-reachable"),
        case(
            zone("no-route.ch").on(Knot).on(Nsd).on(Bind).unroutable(),
            "no-route",
        )
        .goes(),
    ]
}

fn delegated() -> Vec<Case> {
    let sub = |apex: &str| zone(apex).on(Nsd).on(Bind);
    vec![
        case(
            zone("parent-more.ch")
                .on(Bind)
                .on(Knot)
                .copy(Nsd, Stale)
                .listed(Parent),
            "stale-server",
        )
        .by_chance(),
        case(
            zone("child-more.ch")
                .on(Bind)
                .on(Knot)
                .copy(Nsd, Stale)
                .listed(Child),
            "stale-server",
        )
        .by_chance(),
        case(
            zone("differ.swiss")
                .on(Bind)
                .on(Knot)
                .listed(Parent)
                .on(Nsd)
                .listed(Child),
            "parent-child-differ",
        )
        .goes(),
        case(zone("shop.deleg.ch").on(Nsd).on(Bind), "visible")
            .with(zone("deleg.ch").on(Knot).on(Pdns))
            .goes(),
        case(
            zone("parent-only.deleg2.ch")
                .on(Nsd)
                .on(Bind)
                .refusing(Knot),
            "stale-server",
        )
        .with(zone("deleg2.ch").copy(Knot, Stale))
        .by_chance(),
        case(zone("child.both.ch").on(Knot).on(Bind), "visible")
            .with(zone("both.ch").on(Knot).on(Nsd))
            .goes(),
        case(
            zone("child.both-stale.ch").on(Knot).copy(Nsd, Stale),
            "stale-server",
        )
        .with(zone("both-stale.ch").on(Knot).on(Nsd))
        .by_chance(),
        case(zone("nonterminal.ch").on(Knot).on(Bind), "visible")
            .asked("a.b.nonterminal.ch")
            .goes(),
        case(
            zone("glueless.ch")
                .on(Knot)
                .named("a.hoster.swiss")
                .on(Nsd)
                .named("b.hoster.swiss"),
            "visible",
        )
        .with(sub("hoster.swiss"))
        .goes(),
        case(
            zone("loop.ch").on(Bind).named("ns.loop.swiss"),
            "referral-loop",
        )
        .with(zone("loop.swiss").on(Bind).named("ns.loop.ch")),
        case(zone("elsewhere.ch").on(Bind), "not-delegated").asked("unregistered.ch"),
    ]
}

fn names() -> Vec<Case> {
    vec![
        case(
            zone("gone.ch").copy(Bind, Stale).copy(Nsd, Stale),
            "no-such-name",
        )
        .asked("missing.gone.ch"),
        case(
            zone("alias.ch")
                .on(Bind)
                .on(Knot)
                .record("www CNAME plain.swiss."),
            "cname",
        )
        .asked("www.alias.ch"),
        case(
            zone("wild.ch")
                .on(Knot)
                .on(Nsd)
                .record(&format!("* TXT \"{VALUE}\"")),
            "wildcard",
        )
        .asked("any.wild.ch")
        .goes(),
        case(
            zone("shadow.ch")
                .copy(Bind, Stale)
                .copy(Nsd, Stale)
                .record("* TXT \"something else\""),
            "value-missing",
        )
        .asked("any.shadow.ch"),
        case(
            zone("signed-wild.ch")
                .on(Knot)
                .on(Nsd)
                .record(&format!("* TXT \"{VALUE}\""))
                .signed(),
            "wildcard",
        )
        .asked("any.signed-wild.ch")
        .goes(),
    ]
}

fn signed() -> Vec<Case> {
    vec![
        case(zone("signed.ch").on(Knot).on(Nsd).signed(), "visible").goes(),
        case(zone("signed.swiss").on(Bind).on(Pdns).signed(), "visible").goes(),
        case(
            zone("rsa.ch").on(Nsd).on(Pdns).signed_with("RSASHA256"),
            "visible",
        )
        .goes(),
        case(
            zone("ed25519.swiss")
                .on(Bind)
                .on(Knot)
                .signed_with("ED25519"),
            "visible",
        )
        .goes(),
        case(
            zone("ed448.ch").on(Knot).on(Nsd).signed_with("ED448"),
            "visible",
        )
        .goes(),
        case(
            zone("rollover.ch").on(Bind).on(Nsd).signed().ds(Ds::Two),
            "visible",
        )
        .goes(),
        case(
            zone("unknown-algorithm.ch")
                .on(Bind)
                .on(Knot)
                .ds(Ds::Unknown),
            "dnssec-unsupported",
        )
        .goes(),
        case(
            zone("stray.ch").on(Knot).on(Nsd).signed().ds(Ds::Missing),
            "dnssec-stray",
        )
        .goes(),
        case(
            zone("expired-one.ch")
                .on(Knot)
                .on(Bind)
                .copy(Nsd, Expired)
                .signed(),
            "dnssec-expired",
        )
        .goes(),
    ]
}

fn bogus() -> Vec<Case> {
    let two = |apex: &str| zone(apex).on(Knot).on(Nsd);
    vec![
        case(two("expired.ch").spoilt(Spoilt::Expired), "dnssec-expired"),
        case(
            two("future.ch").spoilt(Spoilt::Future),
            "dnssec-not-yet-valid",
        ),
        case(
            two("ds-wrong.ch").signed().ds(Ds::Wrong),
            "dnssec-ds-mismatch",
        ),
        case(two("no-dnskey.swiss").ds(Ds::Wrong), "dnssec-no-dnskey"),
        case(
            two("unsigned-txt.ch").spoilt(Spoilt::Unsigned),
            "dnssec-not-signed",
        ),
        case(
            two("forged.swiss").spoilt(Spoilt::Forged),
            "dnssec-bad-signature",
        ),
        case(
            zone("shop.no-denial.ch").on(Bind).on(Knot),
            "dnssec-bad-denial",
        )
        .with(two("no-denial.ch").spoilt(Spoilt::NoDenial)),
    ]
}

fn transport() -> Vec<Case> {
    const NO_TCP: [&str; 2] = [
        "ip daddr {1} tcp dport 53 drop",
        "ip daddr {2} tcp dport 53 drop",
    ];
    const NO_UDP: [&str; 2] = [
        "ip daddr {1} udp dport 53 drop",
        "ip daddr {2} udp dport 53 drop",
    ];
    // ARCOUNT is 10 octets behind the UDP header's 8; an OPT record is the only thing that a query
    // adds there.
    const NO_EDNS: [&str; 2] = [
        "ip daddr {1} udp dport 53 @th,144,16 != 0 drop",
        "ip daddr {2} udp dport 53 @th,144,16 != 0 drop",
    ];
    const LOSS: &str = "ip daddr { {1}, {2} } udp dport 53 numgen random mod 100 < 30 drop";
    let large = |apex: &str| zone(apex).on(Bind).on(Knot).padded(8);
    vec![
        case(large("large.ch"), "answer-large").goes(),
        case(zone("huge.ch").on(Nsd).on(Pdns).padded(24), "answer-large").goes(),
        case(
            zone("huge-signed.swiss")
                .on(Nsd)
                .on(Bind)
                .padded(24)
                .signed(),
            "answer-large",
        )
        .goes(),
        case(large("tcp-blocked.ch"), "tcp-blocked").weather(&NO_TCP),
        case(large("tcp-blocked-one.ch"), "tcp-blocked")
            .weather(&NO_TCP[..1])
            .by_chance(),
        case(large("tcp-refused-one.ch"), "tcp-blocked")
            .weather(&["ip daddr {1} tcp dport 53 reject with tcp reset"])
            .goes_later(),
        case(zone("tcp-unneeded.ch").on(Bind).on(Nsd), "tcp-blocked")
            .weather(&NO_TCP)
            .goes(),
        case(
            zone("udp-blocked.ch").on(Bind).on(Knot),
            "no-server-reachable",
        )
        .weather(&NO_UDP),
        case(
            zone("udp-blocked-one.ch").copy(Bind, Stale).on(Knot),
            "dead-server",
        )
        .weather(&NO_UDP[..1])
        .goes(),
        case(zone("edns-dropped.ch").on(Bind).on(Knot), "edns-dropped").weather(&NO_EDNS),
        case(zone("edns-dropped-one.ch").on(Nsd).on(Knot), "edns-dropped")
            .weather(&NO_EDNS[..1])
            .goes(),
        case(
            zone("edns-dropped-stale.ch").copy(Bind, Stale).on(Knot),
            "edns-dropped",
        )
        .weather(&NO_EDNS[..1])
        .goes(),
        case(zone("lossy.ch").on(Bind).on(Nsd), "visible")
            .weather(&[LOSS])
            .goes(),
        case(
            zone("lossy-stale.ch").copy(Bind, Stale).on(Nsd),
            "stale-server",
        )
        .weather(&[LOSS])
        .by_chance(),
    ]
}

/// Our network sees other zones than the world. Only resolvers outside know.
fn split() -> Vec<Case> {
    vec![
        case(
            zone("view.ch").copy(Bind, Stale).copy(Bind, Stale).split(),
            "split-horizon",
        ),
        case(
            zone("split.ch").copy(Bind, Stale).copy(Bind, Stale).split(),
            "split-horizon",
        )
        .by_resolvers(),
        case(zone("public.ch").on(Bind).on(Knot), "visible")
            .by_resolvers()
            .goes_later(),
    ]
}
