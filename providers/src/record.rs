//! What a zone holds and what a change did to it: plain values, shared by every layer above.

use std::fmt;

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

/// Whether `name` is `apex` or is below it, label by label.
pub fn is_within(name: &str, apex: &str) -> bool {
    name.strip_suffix(apex)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The highest name that begins to exist with a record at `owner` and that a host may have: `owner`
/// itself, or what is left after its last label with an underscore, which no host has (RFC 952).
/// Where only a wildcard answered for this name, the record ends these answers, also when it is
/// below the name (RFC 4592, section 2.2.2). `None`: such a name exists at all events.
pub(crate) fn host_of<'a>(owner: &'a str, apex: &str) -> Option<&'a str> {
    let suffixes = std::iter::successors(Some(owner), |name| Some(name.split_once('.')?.1));
    let host = match suffixes.filter(|name| name.starts_with('_')).last() {
        Some(no_host) => no_host.split_once('.')?.1,
        None => owner,
    };
    (host != apex && is_within(host, apex)).then_some(host)
}

/// Whether two names are one: without case and without the trailing dot.
pub fn same_name(one: &str, other: &str) -> bool {
    let plain = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
    plain(one) == plain(other)
}

/// One TXT record as it is in the zone: character-strings of at most 255 octets, in their stored
/// split.
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

/// What is at one name, TXT or a CNAME, as the server that is written to holds it.
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
    /// The target of the CNAME at the name, lower case without a trailing dot: then there are no
    /// TXT records, and `ttl` is the CNAME's.
    #[serde(default)]
    pub cname: Option<String>,
    /// Seconds a resolver may remember that the name has no TXT: `min(SOA TTL, SOA MINIMUM)` (RFC
    /// 2308, section 5).
    pub negative_ttl: Option<u32>,
}

impl TxtRrset {
    /// Whether `value` is here, compared by joined octets.
    pub fn holds(&self, value: &str) -> bool {
        self.records
            .iter()
            .any(|record| record.joined() == value.as_bytes())
    }

    /// Whether the name has this data.
    pub fn has(&self, data: &RecordData) -> bool {
        match data {
            RecordData::Txt(value) => self.holds(value),
            RecordData::Cname(target) => self
                .cname
                .as_ref()
                .is_some_and(|there| same_name(there, target)),
        }
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

/// One record, to be made present or absent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Record {
    /// The name, lower-case A-labels without a trailing dot.
    pub owner: String,
    /// The type and the data.
    pub data: RecordData,
}

/// The type and the data of one record.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordData {
    /// One whole TXT value; never empty. Other TXT values at the name stay.
    Txt(String),
    /// The target of a CNAME. Nothing else is at its owner (RFC 1034, section 3.6.2). Equal without
    /// case and without the trailing dot.
    Cname(String),
}

/// The type of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// A TXT value.
    Txt,
    /// An alias.
    Cname,
}

impl Record {
    /// One TXT value.
    pub fn txt(owner: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            data: RecordData::Txt(value.into()),
        }
    }

    /// A CNAME.
    pub fn cname(owner: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            data: RecordData::Cname(target.into()),
        }
    }

    /// Its type.
    pub fn kind(&self) -> RecordKind {
        match self.data {
            RecordData::Txt(_) => RecordKind::Txt,
            RecordData::Cname(_) => RecordKind::Cname,
        }
    }
}

impl RecordKind {
    /// As master files and APIs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "TXT",
            Self::Cname => "CNAME",
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `_x.example.ch TXT "value"`, `_x.example.ch CNAME target.example`.
impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.owner, self.kind())?;
        match &self.data {
            RecordData::Txt(value) => write!(f, "\"{}\"", TxtRecord::of(value).display()),
            RecordData::Cname(target) => f.write_str(target),
        }
    }
}

/// One TXT value at one name: what the adapters' ways of writing TXT take.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TxtValue {
    /// The name, lower-case A-labels without a trailing dot.
    pub(crate) owner: String,
    /// The whole value.
    pub(crate) value: String,
}

/// The TXT values among `records`, in their order.
pub(crate) fn txt_values(records: &[Record]) -> Vec<TxtValue> {
    let txt = records.iter().filter_map(|record| match &record.data {
        RecordData::Txt(value) => Some(TxtValue {
            owner: record.owner.clone(),
            value: value.clone(),
        }),
        RecordData::Cname(_) => None,
    });
    txt.collect()
}

/// The targets of the CNAMEs among `records`, in their order and in one form: lower case, without a
/// trailing dot.
pub(crate) fn cname_values(records: &[Record]) -> Vec<TxtValue> {
    let aliases = records.iter().filter_map(|record| match &record.data {
        RecordData::Cname(target) => Some(TxtValue {
            owner: record.owner.clone(),
            value: target.trim_end_matches('.').to_ascii_lowercase(),
        }),
        RecordData::Txt(_) => None,
    });
    aliases.collect()
}

/// The effect of one change, proved by a read afterwards.
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

    #[test]
    fn a_record_is_told_as_people_write_it_and_names_are_equal_without_case_and_dot() {
        let odd = Record::txt("_x.example.ch", r#"F(U_t|L%>8]iU6Yx\CFm;0O8"DViEQ/"#);
        assert_eq!(
            odd.to_string(),
            r#"_x.example.ch TXT "F(U_t|L%>8]iU6Yx\\CFm;0O8\"DViEQ/""#
        );
        let alias = Record::cname("_x.example.ch", "Target.Example.");
        assert_eq!(alias.to_string(), "_x.example.ch CNAME Target.Example.");
        let present = TxtRrset {
            zone: Zone::of("example.ch"),
            owner: "_x.example.ch".into(),
            ttl: Some(300),
            records: Vec::new(),
            cname: Some("target.example".into()),
            negative_ttl: None,
        };
        assert!(present.has(&alias.data) && !present.has(&odd.data));
        assert!(!present.has(&RecordData::Cname("arget.example".into())));
    }
}
