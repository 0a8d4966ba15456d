//! One zone in memory and what an authoritative server answers from it (RFC 1034 section 4.3.2).

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// The TTL of every record a constructor makes, seconds: what real apex TXT sets have.
pub const TTL: u32 = 3600;

/// All records of one type at one name; they share one TTL (RFC 2181 section 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RrSet {
    pub(super) ttl: u32,
    pub(super) data: Vec<RData>,
}

/// The records at one name.
pub(super) type Node = BTreeMap<RecordType, RrSet>;

/// A zone. A copy is cheap: nodes are shared until one is written.
#[derive(Debug, Clone)]
pub struct Zone {
    pub(super) apex: Name,
    nodes: BTreeMap<Name, Arc<Node>>,
}

/// The sections of an answer to a query inside the zone.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    /// The name does not exist, nor anything below it.
    pub(super) no_such_name: bool,
    /// The name is below a delegation: the answer is not ours to give.
    pub(super) referral: bool,
}

impl Zone {
    /// A zone with SOA (negative answers live 300 s), two NS and an A record; `name` in A-labels.
    pub fn new(name: &str) -> Self {
        let apex = fqdn(name);
        let below = |label: &str| apex.prepend_label(label).unwrap_or_else(|_| apex.clone());
        let soa = SOA::new(
            below("ns1"),
            below("hostmaster"),
            1,
            3600,
            600,
            604_800,
            300,
        );
        Self {
            nodes: BTreeMap::new(),
            apex: apex.clone(),
        }
        .with(name, RData::SOA(soa))
        .with(name, RData::NS(NS(below("ns1"))))
        .with(name, RData::NS(NS(below("ns2"))))
        .a(name, [192, 0, 2, 10])
    }

    /// Adds any record with [`TTL`]; the name may lie anywhere in the zone.
    #[must_use]
    pub fn with(mut self, name: &str, data: RData) -> Self {
        self.insert(&fqdn(name), TTL, data);
        self
    }

    /// Adds one TXT record with one character-string (several when the text is longer than 255
    /// octets).
    #[must_use]
    pub fn txt(self, name: &str, text: &str) -> Self {
        self.with(name, txt(text))
    }

    /// Takes away the TXT records at `name` that say `text`.
    #[must_use]
    pub fn without_txt(mut self, name: &str, text: &str) -> Self {
        let name = fqdn(name);
        if let Some(set) = self.node_mut(&name).get_mut(&RecordType::TXT) {
            set.data
                .retain(|data| joined(data).as_deref() != Some(text));
        }
        self.tidy(&name);
        self
    }

    /// Adds an A record.
    #[must_use]
    pub fn a(self, name: &str, address: [u8; 4]) -> Self {
        self.with(name, RData::A(A(address.into())))
    }

    /// Adds an AAAA record.
    #[must_use]
    pub fn aaaa(self, name: &str, address: std::net::Ipv6Addr) -> Self {
        self.with(name, RData::AAAA(AAAA(address)))
    }

    /// Adds an MX record.
    #[must_use]
    pub fn mx(self, name: &str, preference: u16, exchange: &str) -> Self {
        self.with(name, RData::MX(MX::new(preference, fqdn(exchange))))
    }

    /// Adds an alias.
    #[must_use]
    pub fn cname(self, name: &str, target: &str) -> Self {
        self.with(name, RData::CNAME(CNAME(fqdn(target))))
    }

    /// Adds a name server; below the apex that is a delegation.
    #[must_use]
    pub fn ns(self, name: &str, host: &str) -> Self {
        self.with(name, RData::NS(NS(fqdn(host))))
    }

    /// The zone's name in A-labels without a trailing dot.
    pub fn name(&self) -> String {
        self.apex.to_ascii().trim_end_matches('.').to_owned()
    }

    /// The joined TXT values at `name`, in the order they were added.
    pub fn txt_values(&self, name: &str) -> Vec<String> {
        self.set(&fqdn(name), RecordType::TXT)
            .map(|set| set.data.iter().filter_map(joined).collect())
            .unwrap_or_default()
    }

    /// The TTL of the TXT set at `name`, seconds.
    pub fn txt_ttl(&self, name: &str) -> Option<u32> {
        self.set(&fqdn(name), RecordType::TXT).map(|set| set.ttl)
    }

    /// Every record as text, sorted, without the SOA serial: equal for two zones that say the same.
    pub fn records(&self) -> Vec<String> {
        let mut same = self.clone();
        if let Some(RData::SOA(soa)) = same
            .node_mut(&self.apex)
            .get_mut(&RecordType::SOA)
            .and_then(|s| s.data.first_mut())
        {
            soa.serial = 0;
        }
        let all = same
            .nodes
            .keys()
            .flat_map(|name| same.records_at(name, name, RecordType::ANY));
        let mut lines: Vec<String> = all.map(|record| record.to_string()).collect();
        lines.sort_unstable();
        lines
    }

    /// The SOA serial.
    pub fn serial(&self) -> u32 {
        match self
            .set(&self.apex, RecordType::SOA)
            .and_then(|set| set.data.first())
        {
            Some(RData::SOA(soa)) => soa.serial,
            _ => 0,
        }
    }

    /// Counts the serial up by one.
    pub(super) fn count_up(&mut self) {
        let apex = self.apex.clone();
        if let Some(RData::SOA(soa)) = self
            .node_mut(&apex)
            .get_mut(&RecordType::SOA)
            .and_then(|s| s.data.first_mut())
        {
            soa.increment_serial();
        }
    }

    pub(super) fn node(&self, name: &Name) -> Option<&Node> {
        self.nodes.get(name).map(AsRef::as_ref)
    }

    pub(super) fn set(&self, name: &Name, kind: RecordType) -> Option<&RrSet> {
        self.node(name)?.get(&kind)
    }

    pub(super) fn node_mut(&mut self, name: &Name) -> &mut Node {
        Arc::make_mut(self.nodes.entry(name.clone()).or_default())
    }

    /// Drops empty sets and an empty node, so that the name stops existing.
    pub(super) fn tidy(&mut self, name: &Name) {
        let node = self.node_mut(name);
        node.retain(|_, set| !set.data.is_empty());
        if node.is_empty() {
            self.nodes.remove(name);
        }
    }

    /// Adds a record; the whole set takes `ttl`, as in BIND, Knot and PowerDNS. Says whether
    /// anything changed.
    pub(super) fn insert(&mut self, name: &Name, ttl: u32, data: RData) -> bool {
        let set = self
            .node_mut(name)
            .entry(data.record_type())
            .or_insert_with(|| RrSet {
                ttl,
                data: Vec::new(),
            });
        let known = set.data.contains(&data);
        let changed = !known || set.ttl != ttl;
        set.ttl = ttl;
        if !known {
            set.data.push(data);
        }
        changed
    }

    /// Answers one question about a name in this zone.
    pub(super) fn find(&self, name: &Name, kind: RecordType) -> Found {
        let mut found = Found::default();
        let mut wanted = name.clone();
        // RFC 1034 sets no bound on an alias chain; resolvers stop at 8 to 16.
        for _ in 0..8 {
            if let Some(cut) = self.delegation(&wanted) {
                found.authorities = self.records_at(&cut, &cut, RecordType::NS);
                found.referral = found.answers.is_empty();
                return found;
            }
            let Some(source) = self.source(&wanted) else {
                found.no_such_name = true;
                break;
            };
            let answers = self.records_at(&source, &wanted, kind);
            if !answers.is_empty() {
                found.answers.extend(answers);
                return found;
            }
            let alias = self.records_at(&source, &wanted, RecordType::CNAME);
            let Some(RData::CNAME(CNAME(target))) = alias.first().map(|record| &record.data) else {
                break;
            };
            wanted = target.to_lowercase();
            found.answers.extend(alias);
            if !self.apex.zone_of(&wanted) {
                return found;
            }
        }
        found.authorities = self.records_at(&self.apex, &self.apex, RecordType::SOA);
        found
    }

    /// The records of `kind` at `source`, shown as owned by `owner` (they differ when a wildcard
    /// answers).
    fn records_at(&self, source: &Name, owner: &Name, kind: RecordType) -> Vec<Record> {
        let Some(node) = self.node(source) else {
            return Vec::new();
        };
        node.iter()
            .filter(|(at, _)| kind == RecordType::ANY || **at == kind)
            .flat_map(|(_, set)| {
                set.data
                    .iter()
                    .map(|data| Record::from_rdata(owner.clone(), set.ttl, data.clone()))
            })
            .collect()
    }

    /// The zone cut at or above `name`, below the apex.
    fn delegation(&self, name: &Name) -> Option<Name> {
        let own = usize::from(self.apex.num_labels());
        (own + 1..=usize::from(name.num_labels()))
            .map(|labels| name.trim_to(labels))
            .find(|cut| self.set(cut, RecordType::NS).is_some())
    }

    /// Where the answer for `name` comes from: itself, an empty non-terminal, or the wildcard at
    /// the closest encloser (RFC 4592). `None`: the name does not exist.
    fn source(&self, name: &Name) -> Option<Name> {
        if self.exists(name) {
            return Some(name.clone());
        }
        let mut encloser = name.base_name();
        while !self.exists(&encloser) && encloser != self.apex && !encloser.is_root() {
            encloser = encloser.base_name();
        }
        let wildcard = encloser.prepend_label("*").ok()?;
        self.nodes.contains_key(&wildcard).then_some(wildcard)
    }

    /// Whether the name has records or names below it: names sort by their labels from the right
    /// (RFC 4034 section 6.1).
    fn exists(&self, name: &Name) -> bool {
        self.nodes.contains_key(name)
            || self
                .nodes
                .range((Bound::Excluded(name.clone()), Bound::Unbounded))
                .next()
                .is_some_and(|(next, _)| name.zone_of(next))
    }
}

/// A name in lower case with a trailing dot; a text that is no name becomes the root, which no zone
/// holds.
pub(in crate::sandbox) fn fqdn(text: &str) -> Name {
    let mut name = Name::from_ascii(text)
        .unwrap_or_else(|_| Name::root())
        .to_lowercase();
    name.set_fqdn(true);
    name
}

/// TXT data of one text, cut into character-strings of at most 255 octets.
pub(super) fn txt(text: &str) -> RData {
    if text.is_empty() {
        return RData::TXT(TXT::from_bytes(vec![b""]));
    }
    RData::TXT(TXT::from_bytes(text.as_bytes().chunks(255).collect()))
}

/// The character-strings of a TXT record in one piece.
pub(super) fn joined(data: &RData) -> Option<String> {
    match data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone::new("example.test")
            .a("*.example.test", [192, 0, 2, 7])
            .a("x.deep.example.test", [192, 0, 2, 8])
            .cname("www.example.test", "example.test")
            .ns("child.example.test", "ns.child.example.test")
    }

    fn find(name: &str, kind: RecordType) -> Found {
        zone().find(&fqdn(name), kind)
    }

    #[test]
    fn a_wildcard_answers_only_where_there_is_nothing() {
        assert_eq!(find("shop.example.test", RecordType::A).answers.len(), 1);
        let beside_txt = zone()
            .txt("shop.example.test", "x")
            .find(&fqdn("shop.example.test"), RecordType::A);
        assert!(
            beside_txt.answers.is_empty() && !beside_txt.no_such_name,
            "a TXT record hides the wildcard"
        );
        let empty_non_terminal = find("deep.example.test", RecordType::A);
        assert!(empty_non_terminal.answers.is_empty() && !empty_non_terminal.no_such_name);
        assert!(find("other.deep.example.test", RecordType::A).no_such_name);
    }

    #[test]
    fn an_alias_is_followed_inside_the_zone_and_a_delegation_is_a_referral() {
        assert_eq!(find("www.example.test", RecordType::A).answers.len(), 2);
        assert!(find("a.child.example.test", RecordType::TXT).referral);
    }

    #[test]
    fn a_missing_type_comes_with_the_soa() {
        let nodata = find("example.test", RecordType::TXT);
        assert!(!nodata.no_such_name);
        assert_eq!(
            nodata.authorities.first().map(Record::record_type),
            Some(RecordType::SOA)
        );
    }
}
