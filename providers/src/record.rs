//! What a zone holds and what a change did to it: plain values, shared by every layer above.

use serde::{Deserialize, Serialize};

/// Octets that a DNS answer over UDP should not exceed (DNS Flag Day 2020); larger ones come over
/// TCP, if that is open.
const UDP_ANSWER_OCTETS: usize = 1232;
/// Octets of a random value of a CA, for questions of room: its name, `=`, and the value.
pub(crate) const USUAL_VALUE: usize = 100;

/// A zone that a provider may write, by its apex in lower-case A-labels without a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Zone {
    /// The apex, `example.ch`.
    pub apex: String,
    /// The provider's own key for the zone where a name does not say enough (Route 53, Cloudflare).
    pub id: Option<String>,
    /// The zone's own name servers as the provider states them, lower case without trailing dot;
    /// empty where it does not.
    #[serde(default)]
    pub name_servers: Vec<String>,
}

impl Zone {
    /// A zone of which only the apex is known.
    pub fn of(apex: impl Into<String>) -> Self {
        Self {
            apex: apex.into(),
            id: None,
            name_servers: Vec::new(),
        }
    }
}

/// Whether `name` is `apex` or lies below it, label by label.
pub fn is_within(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// One TXT record as it stands in the zone: character-strings of at most 255 octets, in their
/// stored split.
///
/// Two records are *the same value* when their joined octets are equal (RFC 7208, section 3.3, and
/// what the CA compares); a delete needs the *stored split*, because servers compare RDATA
/// (measured: BIND, Knot and PowerDNS answer NOERROR to a delete with another split and delete
/// nothing).
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

    /// For people: the joined octets, whatever is not printable escaped as `\ddd` (RFC 1035,
    /// section 5.1).
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
    /// Seconds; `None` when the RRset does not exist. The TTL belongs to the RRset, not to one
    /// value (RFC 2181, section 5.2).
    pub ttl: Option<u32>,
    /// All values, ours and other people's.
    pub records: Vec<TxtRecord>,
    /// Seconds a resolver may remember that the name has no TXT: `min(SOA TTL, SOA MINIMUM)` (RFC
    /// 2308, section 5).
    pub negative_ttl: Option<u32>,
}

impl TxtRrset {
    /// Whether `value` stands here, compared by joined octets.
    pub fn holds(&self, value: &str) -> bool {
        self.records
            .iter()
            .any(|record| record.joined() == value.as_bytes())
    }

    /// What to know before one more value of a CA's usual length comes in: whether the answer
    /// outgrows UDP.
    pub(crate) fn udp_warning(&self) -> Option<String> {
        // Header and question, then each record with a compressed name.
        let records = self
            .records
            .iter()
            .map(|record| record.joined().len() + record.strings.len());
        let octets: usize = 12
            + self.owner.len()
            + 2
            + 4
            + records
                .chain([USUAL_VALUE])
                .map(|length| length + 12)
                .sum::<usize>();
        (octets > UDP_ANSWER_OCTETS).then(|| {
            format!(
                "with our value the TXT answer for {} has about {octets} octets, more than fit into UDP everywhere \
                 ({UDP_ANSWER_OCTETS}): the name servers must answer over TCP",
                self.owner
            )
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_ends_at_a_label() {
        assert!(is_within("example.ch", "example.ch"));
        assert!(is_within("a.b.example.ch", "example.ch"));
        assert!(!is_within("notexample.ch", "example.ch"));
        assert!(!is_within("ch", "example.ch"));
    }
}
