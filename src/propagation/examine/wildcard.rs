//! Whether a wildcard is beside a name, by what servers say about a random sibling that cannot
//! exist.

use std::net::SocketAddr;

use hickory_proto::op::Message;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use rand::Rng;
use serde::Serialize;

use crate::propagation::authority::Asker;
use crate::propagation::evidence::text;

/// Records that a wildcard makes up (RFC 4592).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wildcard {
    /// Below which name: `*.` before it, or before a name above it.
    pub below: String,
    /// The types it makes up, of those that were asked for.
    pub kinds: Vec<String>,
    /// The name says the same as its made-up sibling: it is made up, too. A TXT value of its own
    /// hides the wildcard there.
    pub covers_name: bool,
}

/// The types that sites have at a wildcard.
const KINDS: [RecordType; 4] = [
    RecordType::TXT,
    RecordType::A,
    RecordType::AAAA,
    RecordType::MX,
];

/// Compares `owner` with a random name beside it, at one server.
pub(super) async fn check(
    asker: &Asker,
    address: SocketAddr,
    owner: &Name,
    zone: &Name,
) -> Option<Wildcard> {
    let above = owner.base_name();
    let sibling = above
        .prepend_label(format!("prevalidate-{:016x}", rand::rng().random::<u64>()))
        .ok()?;
    if !zone.zone_of(&sibling) {
        return None;
    }
    let asked = KINDS.map(async |kind| {
        let (own, made_up) = futures::join!(
            asker.ask(address, owner, kind),
            asker.ask(address, &sibling, kind)
        );
        let made_up = data(&made_up.ok()?, &sibling, kind);
        let own = own.ok().map(|reply| data(&reply, owner, kind));
        (!made_up.is_empty()).then_some((kind, own.is_some_and(|own| own == made_up)))
    });
    let found: Vec<_> = futures::future::join_all(asked)
        .await
        .into_iter()
        .flatten()
        .collect();
    (!found.is_empty()).then(|| Wildcard {
        below: text(&above),
        covers_name: found.iter().all(|(_, same)| *same),
        kinds: found
            .into_iter()
            .map(|(kind, _)| kind.to_string())
            .collect(),
    })
}

/// The data of one type, or of an alias, at a name; sorted, so that two replies compare.
fn data(reply: &Message, owner: &Name, kind: RecordType) -> Vec<String> {
    let fits = |record: &&Record| {
        let is_kind = [kind, RecordType::CNAME].contains(&record.record_type());
        record.name == *owner && record.dns_class == DNSClass::IN && is_kind
    };
    let mut data: Vec<String> = reply
        .answers
        .iter()
        .filter(fits)
        .map(|record| record.data.to_string())
        .collect();
    data.sort_unstable();
    data
}
