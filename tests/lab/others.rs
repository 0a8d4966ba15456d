//! Side by side: when the waiting of other tools would have let them ask the CA, by their
//! documented algorithms, restated.
//!
//! As of mid-2026, by their code and documents. They publish `_acme-challenge` names; here each is
//! given the same question about the same name as our gate.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use futures::future::join_all;
use hickory_proto::op::Message;
use hickory_proto::rr::{RData, RecordType};

use super::internet::{VALUE, dns};
use super::table::Row;
use super::topology::Success;
use super::world::Lab;
use crate::support::ask;

/// A tool and its rule: whether it lets the CA check.
type Rule = fn(&Sights) -> bool;

const TOOLS: [(&str, &str, Rule); 5] = [
    // The name servers of the zone's own list, by the system's resolver; all must have it.
    (
        "lego, cert-manager",
        "all that the zone lists, one address each",
        |seen| !seen.own.is_empty() && seen.own.iter().all(|server| *server == Sight::There),
    ),
    // The same list; the first that has it is enough, one that fails ends it.
    ("certmagic", "the first that has it", |seen| {
        let end = seen
            .own
            .iter()
            .find(|server| matches!(server, Sight::There | Sight::Silent));
        end == Some(&Sight::There)
    }),
    ("acme.sh", "one public resolver", |seen| seen.public),
    ("certbot", "sleeps, asks no server", |_| true),
    // From the parent downwards; what does not answer is passed over, the rest must agree.
    (
        "simple-acme",
        "all that the parent lists and that answer",
        |seen| {
            let mut usable = seen
                .parent
                .iter()
                .filter(|server| **server != Sight::Silent)
                .peekable();
            usable.peek().is_some() && usable.all(|server| *server == Sight::There)
        },
    ),
];

/// What one server says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    There,
    NotThere,
    Silent,
}

/// What a tool can see of a name.
struct Sights {
    /// By the zone's own list, as a resolver tells it: one address of each.
    own: Vec<Sight>,
    /// By the parent's list: all addresses.
    parent: Vec<Sight>,
    /// What a public resolver says.
    public: bool,
}

/// Asks as each other tool does, counts its wrong verdicts, and prints them beside ours.
pub async fn compare(lab: &Lab, rows: &[Row<'_>]) {
    let resolver = lab.resolvers.public()[0];
    let gate = Arc::new(lab.gate(|_| ()));
    let seen = join_all(rows.iter().map(async |row| {
        let domain =
            prevalidate::prevalidation::DomainName::from_a_labels(&row.case.domain).unwrap();
        let parent = match gate.responsible(&domain).await {
            Ok(who) => {
                let listed = who.delegation.map(|found| found.parent).unwrap_or_default();
                let listed =
                    |name: &Option<String>| name.as_ref().is_none_or(|name| listed.contains(name));
                who.servers
                    .into_iter()
                    .filter(|(name, _)| listed(name))
                    .map(|(_, address)| address)
                    .collect()
            }
            Err(_) => Vec::new(),
        };
        let name = row.case.domain.clone();
        tokio::task::spawn_blocking(move || check(resolver, &name, &parent))
            .await
            .unwrap()
    }))
    .await;

    println!(
        "{:<20} {:>5} {:>9}  HOW IT CHECKS",
        "TOOL", "EARLY", "FOR EVER"
    );
    let count = |goes: &dyn Fn(usize) -> bool| {
        let always = |nth: usize| rows[nth].checks.success == Success::Always;
        let early = (0..rows.len())
            .filter(|&nth| goes(nth) && !always(nth))
            .count();
        (
            early,
            (0..rows.len())
                .filter(|&nth| !goes(nth) && always(nth))
                .count(),
        )
    };
    for (tool, how, rule) in TOOLS {
        let (early, for_ever) = count(&|nth| rule(&seen[nth]));
        println!("{tool:<20} {early:>5} {for_ever:>9}  {how}");
        assert!(
            early + for_ever > 0,
            "{tool} is always right here: are the topologies too easy?"
        );
    }
    let (early, for_ever) = count(&|nth| rows[nth].go()[1]);
    println!(
        "{:<20} {early:>5} {for_ever:>9}  of {} topologies\n",
        "prevalidate",
        rows.len()
    );
}

fn check(resolver: SocketAddr, name: &str, parent: &[SocketAddr]) -> Sights {
    let own = zone_servers(resolver, name)
        .into_iter()
        .map(|ip| sight(dns(ip), name))
        .collect();
    let parent = parent.iter().map(|server| sight(*server, name)).collect();
    Sights {
        own,
        parent,
        public: recurse(resolver, name, RecordType::TXT).is_some_and(|reply| has_value(&reply)),
    }
}

/// One address of each name server of the zone of `name`: the zone is where an SOA record is,
/// upwards.
fn zone_servers(resolver: SocketAddr, name: &str) -> Vec<IpAddr> {
    let is_apex = |zone: &str| {
        let reply = recurse(resolver, zone, RecordType::SOA)?;
        reply
            .answers
            .iter()
            .any(|record| matches!(record.data, RData::SOA(_)))
            .then_some(())
    };
    let mut zone = Some(name);
    while let Some(at) = zone.filter(|at| is_apex(at).is_none()) {
        zone = at.split_once('.').map(|(_, above)| above);
    }
    let hosts = zone
        .and_then(|zone| recurse(resolver, zone, RecordType::NS))
        .map(|reply| reply.answers);
    let hosts = hosts
        .unwrap_or_default()
        .into_iter()
        .filter_map(|record| match record.data {
            RData::NS(host) => Some(host.0.to_ascii()),
            _ => None,
        });
    let address = |host: String| {
        [RecordType::A, RecordType::AAAA]
            .into_iter()
            .find_map(|kind| {
                recurse(resolver, &host, kind)?
                    .answers
                    .iter()
                    .find_map(|record| record.data.ip_addr())
            })
    };
    // A name without an address cannot be dialled: it counts as one that is silent.
    hosts
        .map(|host| address(host).unwrap_or(super::topology::UNROUTABLE))
        .collect()
}

fn sight(server: SocketAddr, name: &str) -> Sight {
    let query = ask::query(name, RecordType::TXT);
    let reply = ask::udp(server, &query).and_then(|reply| {
        if reply.metadata.truncation {
            ask::tcp(server, &query)
        } else {
            Some(reply)
        }
    });
    match reply {
        None => Sight::Silent,
        Some(reply) if has_value(&reply) => Sight::There,
        Some(_) => Sight::NotThere,
    }
}

fn recurse(resolver: SocketAddr, name: &str, kind: RecordType) -> Option<Message> {
    let mut query = ask::query(name, kind);
    query.metadata.recursion_desired = true;
    let reply = ask::udp(resolver, &query)?;
    if reply.metadata.truncation {
        ask::tcp(resolver, &query)
    } else {
        Some(reply)
    }
}

fn has_value(reply: &Message) -> bool {
    let is_value =
        |data: &RData| matches!(data, RData::TXT(txt) if txt.txt_data.concat() == VALUE.as_bytes());
    reply.answers.iter().any(|record| is_value(&record.data))
}
