//! What a resolver's replies say about one value, pure.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData};

use super::ResolverAnswer;
use super::extended::ExtendedError;
use crate::propagation::authority::Failure;
use crate::propagation::evidence::{alias_of, negative_ttl, rcode, record_in};
use crate::propagation::{Answer, Question};

/// Whether a reply calls for the question again with checking disabled.
pub(super) fn is_unclear(reply: &Result<Message, Failure>) -> bool {
    reply
        .as_ref()
        .is_ok_and(|reply| reply.metadata.response_code == ResponseCode::ServFail)
}

/// Judges a reply to a question about `owner`, and, after SERVFAIL, the one with checking disabled (CD=1): an
/// answer then means that the zone's signatures are at fault, and so do the extended errors 6 to
/// 12. The server and the place are left to the caller.
pub(super) fn judge(
    reply: &Result<Message, Failure>,
    unchecked: Option<&Result<Message, Failure>>,
    owner: &Name,
    question: &Question<'_>,
) -> ResolverAnswer {
    let none = |answer, detail| ResolverAnswer {
        resolver: String::new(),
        address: None,
        answer,
        detail,
        ttl: None,
        validated: false,
        bogus: None,
    };
    let reply = match reply {
        Ok(reply) => reply,
        Err(Failure::NoRoute(why)) => return none(Answer::NotChecked, why.clone()),
        Err(Failure::Silent(why)) => return none(Answer::Unreachable, why.clone()),
        Err(Failure::Nonsense(why) | Failure::CutOff(why)) => {
            return none(Answer::Lame, why.clone());
        }
    };
    let told = reply.metadata.response_code;
    let errors = ExtendedError::of(reply);
    let mut words: Vec<String> = errors.iter().map(ToString::to_string).collect();
    if !has_answer(reply) {
        words.insert(0, rcode(told));
        let answers_unchecked = matches!(unchecked, Some(Ok(reply)) if has_answer(reply));
        if answers_unchecked {
            words.push("it has an answer, which does not validate (CD=1)".to_owned());
        }
        let detail = words.join("; ");
        let bogus = answers_unchecked || errors.iter().any(ExtendedError::is_bogus);
        return ResolverAnswer {
            bogus: bogus.then(|| detail.clone()),
            ..none(Answer::Lame, detail)
        };
    }
    if !reply.metadata.recursion_available {
        return none(
            Answer::Lame,
            "it offers no recursion (RA is not set): this is not a resolver".to_owned(),
        );
    }

    let chain = aliases(reply, owner, question.follows());
    let end = chain.last().unwrap_or(owner);
    let (answer, detail) = record_in(reply, end, question.wanted);
    words.insert(0, detail);
    let validated = reply.metadata.authentic_data;
    if validated {
        words.push("validated (AD)".to_owned());
    }
    let at_owner = reply.answers.iter().filter(|record| {
        let counts = matches!(record.data, RData::TXT(_) | RData::CNAME(_));
        counts && (record.name == *owner || chain.contains(&record.name))
    });
    // RFC 2308, section 5: of a negative answer the SOA record counts down.
    let ttl = at_owner
        .map(|record| record.ttl)
        .min()
        .unwrap_or_else(|| negative_ttl(reply));
    ResolverAnswer {
        ttl: Some(ttl),
        validated,
        ..none(answer, words.join("; "))
    }
}

/// Aliases in a row that are read out of one answer.
const MOST_ALIASES: usize = 16;

/// Where the aliases lead that begin at `owner`, one after the other.
fn aliases(reply: &Message, owner: &Name, follows: bool) -> Vec<Name> {
    let mut chain: Vec<Name> = Vec::new();
    while follows
        && chain.len() < MOST_ALIASES
        && let Some(target) = alias_of(reply, chain.last().unwrap_or(owner))
    {
        chain.push(target.clone());
    }
    chain
}

pub(super) fn has_answer(reply: &Message) -> bool {
    matches!(
        reply.metadata.response_code,
        ResponseCode::NoError | ResponseCode::NXDomain
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hickory_proto::op::{Edns, OpCode};
    use hickory_proto::rr::rdata::opt::EdnsOption;

    use super::*;
    use crate::propagation::lab::{domain, name, record};

    const VALUE: &str = "swiss-pki=0123456789abcdef";

    fn said(
        code: ResponseCode,
        answers: &[&str],
        soa: Option<&str>,
        ede: Option<(u16, &str)>,
    ) -> Message {
        let mut reply = Message::response(7, OpCode::Query);
        reply.metadata.recursion_available = true;
        reply.metadata.response_code = code;
        reply.answers = answers.iter().map(|text| record(text)).collect();
        reply.authorities.extend(soa.map(record));
        if let Some((code, text)) = ede {
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::Unknown(
                15,
                [&code.to_be_bytes(), text.as_bytes()].concat(),
            ));
            reply.set_edns(edns);
        }
        // As it comes over the wire.
        Message::from_vec(&reply.to_vec().unwrap()).unwrap()
    }

    fn judged(reply: Message, unchecked: Option<Message>) -> ResolverAnswer {
        judge(
            &Ok(reply),
            unchecked.map(Ok).as_ref(),
            &name("example.test"),
            &Question::new(&domain("example.test"), VALUE),
        )
    }

    #[test]
    fn there_not_there_and_for_how_long() {
        let txt = format!("example.test TXT \"{VALUE}\"");
        let soa = "example.test SOA ns. hostmaster. 1 3600 600 86400 60";
        let no = ResponseCode::NoError;
        let there = judged(said(no, &[&txt], None, None), None);
        assert_eq!(
            (there.answer, there.ttl, there.validated),
            (Answer::Match, Some(300), false),
            "{there:?}"
        );
        let old = judged(
            said(no, &["example.test TXT \"v=spf1 -all\""], None, None),
            None,
        );
        assert_eq!(
            (old.answer, old.ttl),
            (Answer::NoMatch, Some(300)),
            "{old:?}"
        );
        for code in [no, ResponseCode::NXDomain] {
            let negative = judged(said(code, &[], Some(soa), None), None);
            assert_eq!(
                (negative.answer, negative.ttl),
                (Answer::NoMatch, Some(60)),
                "{negative:?}"
            );
        }
        let alias = judged(
            said(no, &["example.test CNAME www.example.net."], None, None),
            None,
        );
        assert!(
            alias.answer == Answer::NoMatch && alias.detail.contains("CNAME to www.example.net"),
            "{alias:?}"
        );
        let mut validated = said(no, &[&txt], None, None);
        validated.metadata.authentic_data = true;
        let validated = judged(validated, None);
        assert!(
            validated.validated && validated.detail == "has the value; validated (AD)",
            "{validated:?}"
        );
    }

    #[test]
    fn servfail_is_bogus_when_the_unchecked_answer_or_the_extended_error_says_so() {
        let fails = |ede| said(ResponseCode::ServFail, &[], None, ede);
        let answer = || {
            said(
                ResponseCode::NoError,
                &["example.test TXT \"x\""],
                None,
                None,
            )
        };
        let table = [
            (fails(None), None, false, "SERVFAIL"),
            (fails(None), Some(fails(None)), false, "SERVFAIL"),
            (fails(None), Some(answer()), true, "does not validate"),
            (
                fails(Some((7, ""))),
                Some(fails(None)),
                true,
                "signature expired (EDE 7)",
            ),
            (
                fails(Some((6, "no DS\0"))),
                Some(answer()),
                true,
                "DNSSEC bogus (EDE 6): no DS; it has an answer",
            ),
            (
                fails(Some((22, "timed out"))),
                Some(fails(None)),
                false,
                "could be reached (EDE 22): timed out",
            ),
            (
                fails(Some((4711, ""))),
                None,
                false,
                "extended error (EDE 4711)",
            ),
            (
                said(ResponseCode::Refused, &[], None, Some((18, ""))),
                None,
                false,
                "REFUSED; prohibited (EDE 18)",
            ),
        ];
        for (reply, unchecked, bogus, words) in table {
            let judged = judged(reply, unchecked);
            assert_eq!(
                (judged.answer, judged.bogus.is_some(), judged.ttl),
                (Answer::Lame, bogus, None),
                "{judged:?}"
            );
            assert!(judged.detail.contains(words), "{judged:?}");
        }
    }

    #[test]
    fn a_name_server_is_no_resolver() {
        let mut reply = said(
            ResponseCode::NoError,
            &[&format!("example.test TXT \"{VALUE}\"")],
            None,
            None,
        );
        reply.metadata.recursion_available = false;
        let judged = judged(reply, None);
        assert!(
            judged.answer == Answer::Lame && judged.detail.contains("no recursion"),
            "{judged:?}"
        );
    }

    #[test]
    fn malformed_extended_errors_are_passed_over() {
        let mut edns = Edns::new();
        edns.options_mut().insert(EdnsOption::Unknown(15, vec![0]));
        let mut reply = said(ResponseCode::ServFail, &[], None, None);
        reply.set_edns(edns);
        assert_eq!(judged(reply, None).detail, "SERVFAIL");
        let long = judged(
            said(
                ResponseCode::ServFail,
                &[],
                None,
                Some((0, &"x".repeat(900))),
            ),
            None,
        )
        .detail;
        assert!(long.len() < 300, "{long}");
    }
}
