//! What one server's reply says about one value (rule 3): the only place where a DNS message
//! becomes an [`Answer`].

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record};

use super::Answer;
use super::authority::Failure;

/// Judges a reply to "`owner` TXT?". The words are for people: the RCODE, what was missing, what
/// stood there instead.
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
    value: &str,
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
        let has_texts = reply
            .answers
            .iter()
            .any(|record| record.name == *owner && matches!(record.data, RData::TXT(_)));
        let (answer, missing) = value_in(reply, owner, value);
        if has_texts && answer == Answer::NoMatch {
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
    value_in(reply, owner, value)
}

/// Whether the answer, of whomever, holds `value` among `owner`'s TXT records; in words what stands
/// there instead.
pub(super) fn value_in(reply: &Message, owner: &Name, value: &str) -> (Answer, String) {
    let at_owner = || {
        reply
            .answers
            .iter()
            .filter(|r| r.name == *owner && r.dns_class == DNSClass::IN)
            .map(|r| &r.data)
    };
    if let Some(target) = at_owner().find_map(|data| {
        if let RData::CNAME(target) = data {
            Some(target)
        } else {
            None
        }
    }) {
        // RFC 1034, section 3.6.2: a CNAME stands alone, so no TXT can be written beside it.
        return (
            Answer::NoMatch,
            format!(
                "CNAME to {}: no TXT value can stand beside a CNAME",
                text(target)
            ),
        );
    }
    let mut others = 0;
    for data in at_owner() {
        if let RData::TXT(txt) = data {
            if txt.txt_data.concat() == value.as_bytes() {
                return (Answer::Match, "has the value".to_owned());
            }
            others += 1;
        }
    }
    let detail = match (reply.metadata.response_code, others) {
        (ResponseCode::NXDomain, _) => "the name does not exist there (NXDOMAIN)".to_owned(),
        (_, 0) => "no TXT values there".to_owned(),
        (_, 1) => "one TXT value there, not this one".to_owned(),
        (_, n) => format!("{n} TXT values there, not this one"),
    };
    (Answer::NoMatch, detail)
}

/// The TTL of `owner`'s TXT RRset in an authoritative reply.
pub(super) fn txt_ttl(reply: &Message, owner: &Name) -> Option<u32> {
    let there = |record: &&Record| record.name == *owner && matches!(record.data, RData::TXT(_));
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
