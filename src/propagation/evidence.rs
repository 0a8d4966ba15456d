//! What one server's reply says about one record (rule 3): the only place where a DNS message
//! becomes an [`Answer`].

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record};

use super::Answer;
use super::authority::Failure;
use super::wanted::AsRecordType;
use super::{RecordKind, Wanted};

/// Judges a reply to "`owner` TXT?" or "`owner` CNAME?". The words are for people: the RCODE, what
/// was missing, what was there instead.
///
/// A value is there when the character-strings of one TXT record of `owner`, joined, are `value`
/// byte for byte (RFC 1035, section 3.3.14; names compare without case, RFC 4343). Only
/// authoritative replies (AA) count as evidence that it is there. But resolvers believe TXT records
/// without AA, too (BIND 9.18 always, unbound 1.17 unless RA is set: measured), so such records
/// without the value count as not there; and a server of `zone` that refers to the servers of
/// `zone` says "not there" to resolvers (measured with unbound 1.17).
pub fn judge(
    reply: &Result<Message, Failure>,
    owner: &Name,
    zone: &Name,
    wanted: Wanted<'_>,
) -> (Answer, String) {
    let reply = match reply {
        Ok(reply) => reply,
        Err(Failure::NoRoute(why)) => return (Answer::NotChecked, why.clone()),
        Err(Failure::Silent(why)) => return (Answer::Unreachable, why.clone()),
        Err(Failure::Nonsense(why)) => return (Answer::Lame, why.clone()),
        Err(Failure::CutOff(why)) => return (Answer::CutOff, why.clone()),
    };
    let told = reply.metadata.response_code;
    if !matches!(told, ResponseCode::NoError | ResponseCode::NXDomain) {
        return (Answer::Lame, rcode(told));
    }
    if !reply.metadata.authoritative {
        let kind = wanted.kind().record_type();
        let has_any = reply
            .answers
            .iter()
            .any(|record| record.name == *owner && record.record_type() == kind);
        let (answer, missing) = record_in(reply, owner, wanted);
        if has_any && answer == Answer::NoMatch {
            let from = if reply.metadata.recursion_available {
                "from a cache, as a resolver"
            } else {
                "without AA"
            };
            return (
                answer,
                format!("{missing}; it answers {from}, and resolvers may believe it"),
            );
        }
        let detail = match reply.authorities.iter().find(|record| matches!(record.data, RData::NS(_))) {
            Some(referral) if reply.answers.is_empty() && referral.name == *zone && told == ResponseCode::NoError => {
                let detail = format!(
                    "it does not have {}, it only refers to its servers, itself among them; resolvers take that for \"no TXT value\"",
                    text(zone)
                );
                return (Answer::NoMatch, detail);
            }
            Some(referral) if reply.answers.is_empty() => {
                format!("it only refers to the servers of {}", text(&referral.name))
            }
            _ if reply.metadata.recursion_available => {
                "it answers as a resolver, from a cache, not as a name server (AA is not set, RA is)".to_owned()
            }
            _ => "its answer is not authoritative (AA is not set)".to_owned(),
        };
        return (Answer::Lame, detail);
    }
    record_in(reply, owner, wanted)
}

/// Whether the answer, of whatever server, holds the wanted record of `owner`; in words what is
/// there instead.
pub(super) fn record_in(reply: &Message, owner: &Name, wanted: Wanted<'_>) -> (Answer, String) {
    match wanted {
        Wanted::Txt(value) => value_in(reply, owner, value),
        Wanted::Cname(target) => alias_in(reply, owner, target),
    }
}

fn at<'a>(reply: &'a Message, owner: &'a Name) -> impl Iterator<Item = &'a RData> {
    reply
        .answers
        .iter()
        .filter(move |record| record.name == *owner && record.dns_class == DNSClass::IN)
        .map(|record| &record.data)
}

/// The target of a CNAME at `owner`.
pub(super) fn alias_of<'a>(reply: &'a Message, owner: &'a Name) -> Option<&'a Name> {
    at(reply, owner).find_map(|data| match data {
        RData::CNAME(target) => Some(&target.0),
        _ => None,
    })
}

/// The target that most of the replies name for an alias at `owner`, of equally many the first by
/// name; `None` when most authoritative replies show no alias there.
pub(super) fn alias_target<'a>(
    replies: impl Iterator<Item = &'a Message>,
    owner: &Name,
) -> Option<String> {
    let said: Vec<Option<String>> = replies
        .filter(|reply| is_authoritative(reply))
        .map(|reply| alias_of(reply, owner).map(text))
        .collect();
    let (all, mut targets) = (said.len(), Vec::new());
    targets.extend(said.into_iter().flatten());
    if targets.len() * 2 < all {
        return None;
    }
    targets.sort_unstable();
    let count = |target: &String| targets.iter().filter(|other| *other == target).count();
    targets
        .iter()
        .rev()
        .max_by_key(|target| count(target))
        .cloned()
}

fn is_authoritative(reply: &Message) -> bool {
    let told = reply.metadata.response_code;
    reply.metadata.authoritative && matches!(told, ResponseCode::NoError | ResponseCode::NXDomain)
}

/// A target compares without case and without the last full stop.
fn alias_in(reply: &Message, owner: &Name, target: &str) -> (Answer, String) {
    let wanted = target.trim_end_matches('.').to_ascii_lowercase();
    match alias_of(reply, owner).map(text) {
        Some(found) if found == wanted => (Answer::Match, format!("is an alias for {found}")),
        Some(found) => {
            let detail = format!("CNAME to {found}, not to {wanted}");
            (Answer::NoMatch, detail)
        }
        None if reply.metadata.response_code == ResponseCode::NXDomain => {
            (Answer::NoMatch, NO_NAME.to_owned())
        }
        None => (Answer::NoMatch, "no CNAME there".to_owned()),
    }
}

const NO_NAME: &str = "the name does not exist there (NXDOMAIN)";

fn value_in(reply: &Message, owner: &Name, value: &str) -> (Answer, String) {
    if let Some(target) = alias_of(reply, owner) {
        // RFC 1034, section 3.6.2: a CNAME is alone, so no TXT can be written beside it.
        return (
            Answer::NoMatch,
            format!(
                "CNAME to {}: no TXT value can be beside a CNAME",
                text(target)
            ),
        );
    }
    let mut others = 0;
    for data in at(reply, owner) {
        if let RData::TXT(txt) = data {
            if txt.txt_data.concat() == value.as_bytes() {
                return (Answer::Match, "has the value".to_owned());
            }
            others += 1;
        }
    }
    let detail = match (reply.metadata.response_code, others) {
        (ResponseCode::NXDomain, _) => NO_NAME.to_owned(),
        (_, 0) => "no TXT values there".to_owned(),
        (_, 1) => "one TXT value there, not this one".to_owned(),
        (_, n) => format!("{n} TXT values there, not this one"),
    };
    (Answer::NoMatch, detail)
}

/// The TTL of `owner`'s RRset of this kind in an authoritative reply.
pub(super) fn ttl(reply: &Message, owner: &Name, kind: RecordKind) -> Option<u32> {
    let kind = kind.record_type();
    let there = |record: &&Record| record.name == *owner && record.record_type() == kind;
    let ttls = reply.answers.iter().filter(there).map(|record| record.ttl);
    ttls.max().filter(|_| reply.metadata.authoritative)
}

/// How long "not there" may be cached after this reply to an SOA question: RFC 2308, section 5.
pub(super) fn negative_ttl(reply: &Message) -> u32 {
    let of = |record: &Record| {
        if let RData::SOA(soa) = &record.data {
            Some(record.ttl.min(soa.minimum))
        } else {
            None
        }
    };
    reply
        .answers
        .iter()
        .chain(&reply.authorities)
        .find_map(of)
        .unwrap_or(0)
}

/// An RCODE as operators know it.
pub(super) fn rcode(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::NXDomain => "NXDOMAIN".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        other => format!("RCODE {}", u16::from(other)),
    }
}

/// A name for people: lower case, escaped where it is not plain, no trailing dot.
pub(super) fn text(name: &Name) -> String {
    let shown = name.to_lowercase().to_ascii();
    if shown == "." {
        shown
    } else {
        shown.trim_end_matches('.').to_owned()
    }
}
