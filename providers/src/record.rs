//! What a zone holds and what a change did to it: plain values, shared by every layer above.

use serde::{Deserialize, Serialize};

/// A zone that a provider may write, by its apex in lower-case A-labels without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Zone {
    /// The apex, `example.ch`.
    pub apex: String,
    /// The provider's own key for the zone where a name does not say enough (Route 53, Cloudflare).
    pub id: Option<String>,
    /// The zone's own name servers as the provider states them, lower case without trailing dot; empty where it does not.
    #[serde(default)]
    pub name_servers: Vec<String>,
}

impl Zone {
    /// A zone of which only the apex is known.
    pub fn of(apex: impl Into<String>) -> Self {
        Self { apex: apex.into(), id: None, name_servers: Vec::new() }
    }
}

/// One TXT record as it stands in the zone: character-strings of at most 255 octets, in their stored split.
///
/// Two records are *the same value* when their joined octets are equal (RFC 7208, section 3.3, and what the CA compares);
/// a delete needs the *stored split*, because servers compare RDATA (measured: BIND, Knot and PowerDNS answer NOERROR
/// to a delete with another split and delete nothing).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TxtRecord {
    /// The character-strings, raw octets.
    pub strings: Vec<Vec<u8>>,
}

impl TxtRecord {
    /// The record that holds `value`, split at 255 octets.
    pub fn of(value: &str) -> Self {
        let strings = if value.is_empty() {
            vec![Vec::new()]
        } else {
            value.as_bytes().chunks(255).map(<[u8]>::to_vec).collect()
        };
        Self { strings }
    }

    /// The octets that count when values are compared.
    pub fn joined(&self) -> Vec<u8> {
        self.strings.concat()
    }

    /// For people: the joined octets, whatever is not printable escaped as `\ddd` (RFC 1035, section 5.1).
    pub fn display(&self) -> String {
        let mut shown = String::new();
        for octet in self.joined() {
            match octet {
                b'"' | b'\\' => {
                    shown.push('\\');
                    shown.push(char::from(octet));
                }
                0x20..=0x7e => shown.push(char::from(octet)),
                other => shown.push_str(&format!("\\{other:03}")),
            }
        }
        shown
    }
}

/// The TXT RRset at one name, as the server that is written to holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TxtRrset {
    /// The zone that holds the name.
    pub zone: Zone,
    /// The name, lower-case A-labels without a trailing dot.
    pub owner: String,
    /// Seconds; `None` when the RRset does not exist. The TTL belongs to the RRset, not to one value (RFC 2181, section 5.2).
    pub ttl: Option<u32>,
    /// All values, ours and other people's.
    pub records: Vec<TxtRecord>,
    /// Seconds a resolver may remember that the name has no TXT: `min(SOA TTL, SOA MINIMUM)` (RFC 2308, section 5).
    pub negative_ttl: Option<u32>,
}

impl TxtRrset {
    /// Whether `value` stands here, compared by joined octets.
    pub fn holds(&self, value: &str) -> bool {
        self.records.iter().any(|record| record.joined() == value.as_bytes())
    }
}

/// One value at one name, to be made present or absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TxtValue {
    /// The name, lower-case A-labels without a trailing dot.
    pub owner: String,
    /// The whole value; never empty.
    pub value: String,
}

/// What one change did, proved by reading it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The RRset before the change.
    pub before: TxtRrset,
    /// The RRset after it: `before` with our value more or less, everything else and the TTL equal.
    pub after: TxtRrset,
    /// Whether this call wrote anything; false when the world already was as wanted.
    pub changed: bool,
    /// The provider's name for the change, where it has one: an SOA serial, a Route 53 change id.
    pub change_id: Option<String>,
}
