//! Networks between this machine and the name servers: the zones are well, the CA succeeds, and the
//! gate must say what is in the way here, and find another way where one is configured.

use prevalidate::prevalidation::DomainName;
use prevalidate::propagation::{DnsChecker, GateMode, Question, Verdict};

use super::internet::VALUE;
use super::namespace;
use super::perspectives::{OFFICE, OUTSIDE};
use super::table;
use super::world::{Lab, weather};

/// Checks a domain from a network that does this to what leaves it.
struct Network<'a> {
    lab: &'a Lab,
    name: &'static str,
}

pub async fn try_all(lab: &Lab) {
    // Resolvers ask name servers themselves, and are asked at a port that no rule touches.
    let ours = format!("ip saddr != {{ {OUTSIDE}, {OFFICE} }}");
    let ours6 = "ip6 saddr != { 2001:db8:ffff::/48, 2001:db8:fffe::/48 }";
    let redirect = format!(
        "chain out {{ type nat hook output priority -100;\n{ours} udp dport 53 dnat ip to {OFFICE}\n{ours} tcp dport 53 dnat ip to \
         {OFFICE}\n}}\nchain six {{ type filter hook output priority 0;\n{ours6} udp dport 53 drop\n{ours6} tcp dport 53 drop\n}}"
    );
    let closed = [ours.as_str(), ours6]
        .map(|ours| format!("{ours} udp dport 53 drop\n{ours} tcp dport 53 drop\n"))
        .concat();
    let closed = format!("chain out {{ type filter hook output priority 0;\n{closed}}}");
    for (name, rules, code) in [
        ("redirected port 53", &redirect, "port53-redirected"),
        ("closed port 53", &closed, "no-server-reachable"),
    ] {
        namespace::weather(&weather(&lab.cases), rules);
        lab.resolvers.flush();
        let network = Network { lab, name };
        let verdict = network.check(GateMode::Authoritative, "plain.ch").await;
        assert!(!verdict.go && !verdict.gone, "{name}: {verdict:?}");
        let codes = table::diagnose_these(lab, &["plain.ch"]).await;
        assert_eq!(
            codes["plain.ch"].first().map(String::as_str),
            Some(code),
            "{name}: {codes:?}"
        );
        // (domain, go)
        for (domain, go) in [
            ("plain.ch", true),
            ("signed.swiss", true),
            ("unwritten.ch", false),
            ("forged.swiss", false),
        ] {
            let verdict = network.check(GateMode::Resolvers, domain).await;
            assert_eq!(verdict.go, go, "{name}: {verdict:?}");
        }
    }
    namespace::weather(&weather(&lab.cases), "");
}

impl Network<'_> {
    async fn check(&self, mode: GateMode, domain: &str) -> Verdict {
        let gate = self.lab.gate(|settings| {
            settings.general.mode = Some(mode);
            // The one at port 53 is not to be reached from here.
            settings.general.resolvers = self.lab.public_resolvers().split_off(1);
        });
        let name = DomainName::from_a_labels(domain).unwrap();
        let published_for = std::time::Duration::from_secs(3600);
        let verdict = gate
            .check(&Question {
                published_for,
                ..Question::new(&name, VALUE)
            })
            .await;
        let word = if verdict.go { "go" } else { "wait" };
        println!(
            "{}, mode {}, {domain}: {word}: {}",
            self.name,
            mode.as_str(),
            verdict.cause
        );
        verdict
    }
}
