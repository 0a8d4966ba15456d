//! The rows and details of CertCentral in this program's words: every field may be missing, and the
//! dates tell what counts.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::entry::{Entry, moment, name_of, number, titled};
use super::record::{self, Form, is_ours};
use crate::ca::http::redact::clean;
use crate::ca::json;
use crate::prevalidation::{Challenge, Proof, Registration, Status};

/// One domain as DigiCert shows it.
#[derive(Debug, Clone)]
pub(super) struct Detail {
    pub(super) registration: Registration,
    /// Id and name of the organisation that it belongs to.
    pub(super) organisation: Option<(String, String)>,
    /// The name of the container, which DigiCert's portal calls division.
    pub(super) container: Option<String>,
    pub(super) is_active: bool,
    /// A validation is under way, whether or not an older one still counts.
    pub(super) is_pending: bool,
    /// It was last submitted by DNS, and by another type of record than the configured one.
    pub(super) is_by_other_record: bool,
    /// The types for which it was submitted, and how long the organisation's side of each lasts.
    pub(super) types: Vec<(String, Option<Timestamp>)>,
    /// When the value that it shows has ended, where it has.
    pub(super) ended_at: Option<Timestamp>,
}

/// Reads a row of the list, or one domain.
pub(super) fn detail(text: &json::Read, form: &Form, now: Timestamp) -> Result<Detail, String> {
    let value = &text.value;
    let mut entry = Entry::of(value);
    let excerpt = || {
        let shown: String = clean(&value.to_string()).chars().take(80).collect();
        shown
    };
    let reference = value.get("id").and_then(number);
    let written = value.get("name").and_then(Value::as_str);
    let reference = reference.ok_or_else(|| {
        let named = written.map_or_else(String::new, |name| format!(" {}", clean(name)));
        format!("a domain{named} without an `id`: {}", excerpt())
    })?;
    let written = written.ok_or_else(|| format!("a domain without a `name`: {}", excerpt()))?;
    let domain = name_of(written).ok_or_else(|| format!("`{}` is not a domain", clean(written)))?;
    if let Some(fault) = &text.fault {
        let fault = clean(fault);
        entry.doubts.push(format!(
            "the answer is not JSON throughout ({fault}); it was read without the bad part"
        ));
    }
    let word = entry.text("status").map(str::to_lowercase);
    let is_pending = is_pending(&mut entry, word.as_deref());
    let is_active = entry.boolean("is_active").unwrap_or(true);
    let challenge = entry
        .value
        .get("dcv_token")
        .filter(|_| is_pending && is_ours(entry.value, form));
    let challenge = challenge.and_then(|token| {
        let made = entry.value.get("last_submitted_datetime");
        let made = made.and_then(Value::as_str).and_then(moment);
        match record::challenge(token, &domain, form, now) {
            Ok(found) => found.map(|challenge| {
                let until = challenge.until;
                challenge.dated(made, until)
            }),
            Err(why) => {
                entry.doubts.push(why);
                None
            }
        }
    });
    let end = entry.value.pointer("/dcv_token/expiration_date");
    let end = end.and_then(Value::as_str).and_then(moment);
    let ended_at = end.filter(|end| *end <= now);
    let proof = proof(&mut entry, is_pending, now);
    let status = status(&mut entry, word.as_deref(), proof.as_ref(), &challenge, now);
    let types = types(entry.value);
    let registration = Registration {
        proof: proof.map(Box::new),
        challenge: challenge.map(Box::new),
        last_words: (!is_active).then(|| "the domain is deactivated in CertCentral".to_owned()),
        doubt: (!entry.doubts.is_empty()).then(|| entry.doubts.join("; ")),
        ..Registration::bare(
            reference,
            domain,
            match is_active {
                true => status,
                // Whether a proof of a deactivated domain counts is not documented.
                false => Status::Unknown("DEACTIVATED".to_owned()),
            },
        )
    };
    Ok(Detail {
        registration,
        organisation: titled(value.get("organization")),
        container: titled(value.get("container")).map(|(_, name)| name),
        is_active,
        is_pending,
        is_by_other_record: record::is_by_other(value, form),
        types,
        ended_at,
    })
}

/// `is_pending_validation` replaces the word `status`, which is still sent and may contradict it.
fn is_pending(entry: &mut Entry<'_>, word: Option<&str>) -> bool {
    let by_types = || {
        let list = entry.value.get("validations").and_then(Value::as_array);
        let words = list
            .into_iter()
            .flatten()
            .filter_map(|one| one.get("status"));
        words
            .into_iter()
            .any(|word| word.as_str() == Some("pending"))
    };
    let by_word = word == Some("pending") || word.is_none() && by_types();
    entry.boolean("is_pending_validation").unwrap_or(by_word)
}

/// The last finished validation: `dcv_approval_datetime` and the earliest end that is stated.
fn proof(entry: &mut Entry<'_>, is_pending: bool, now: Timestamp) -> Option<Proof> {
    let ends = entry
        .value
        .get("dcv_expiration")
        .filter(|ends| ends.is_object());
    let mut ends = ends.map(Entry::of);
    let validated_at = entry.moment("dcv_approval_datetime").or_else(|| {
        let ends = ends.as_mut()?;
        ends.moment("dcv_approval_date")
    });
    let exact = entry.moment("dcv_expiration_datetime");
    let mut apart: BTreeMap<String, Timestamp> = BTreeMap::new();
    for (key, word) in [("ov", "ov"), ("ev", "ev"), ("ov_shortened", "ov")] {
        if let Some(end) = ends.as_mut().and_then(|ends| ends.moment(key)) {
            let kept = apart.entry(word.to_owned()).or_insert(end);
            *kept = end.min(*kept);
        }
    }
    if let Some(end) = exact.filter(|_| !apart.is_empty()) {
        apart.insert("domain".to_owned(), end);
    }
    let expires_at = apart.values().copied().chain(exact).min();
    if let Some(ends) = ends {
        entry.doubts.extend(ends.doubts);
    }
    let method = entry.text("dcv_method").filter(|_| !is_pending).map(clean);
    let first_seen = validated_at.is_none_or(|at| at > now).then_some(now);
    (validated_at.is_some() || expires_at.is_some()).then_some(Proof {
        validated_at,
        expires_at,
        method,
        first_seen,
        ends: apart,
    })
}

/// The dates tell whether a domain is valid: "pending" is said of valid domains too.
fn status(
    entry: &mut Entry<'_>,
    word: Option<&str>,
    proof: Option<&Proof>,
    challenge: &Option<Challenge>,
    now: Timestamp,
) -> Status {
    let end = proof.and_then(|proof| proof.expires_at);
    let unknown = word.filter(|word| {
        !matches!(
            *word,
            "active" | "pending" | "expired" | "inactive" | "complete"
        )
    });
    if let Some(unknown) = unknown {
        let unknown = clean(unknown);
        entry.doubts.push(format!(
            "the status `{unknown}` is not known to this version"
        ));
    }
    match end {
        Some(end) if end > now => {
            if word == Some("expired") {
                let why = "the status is expired but the end of the proof is to come";
                entry.doubts.push(why.to_owned());
            }
            Status::Valid
        }
        Some(_) => Status::Expired,
        // Validated once, and no end is stated: then the rules alone tell it.
        None if proof.is_some() && word == Some("expired") => Status::Expired,
        None if proof.is_some() => Status::Valid,
        None if challenge.is_some() => Status::Pending,
        None => match unknown {
            Some(unknown) => Status::Unknown(clean(unknown)),
            None => Status::NotValidated,
        },
    }
}

fn types(value: &Value) -> Vec<(String, Option<Timestamp>)> {
    let list = value.get("validations").and_then(Value::as_array);
    let one = |one: &Value| {
        let kind = one.get("type").and_then(Value::as_str)?;
        let until = one.get("validated_until").and_then(Value::as_str);
        Some((kind.to_lowercase(), until.and_then(moment)))
    };
    list.into_iter().flatten().filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::super::record::Label;
    use super::*;
    use crate::ca::validation::Method;

    const NOW: &str = "2026-11-29T12:00:00Z";
    const TXT: Form = Form {
        method: Method::Txt,
        label: Label::DnsAuth,
    };

    fn read(fields: &Value, form: &Form) -> Detail {
        let mut value = json!({"id": 7, "name": "a.test"});
        for (key, field) in fields.as_object().unwrap() {
            value[key] = field.clone();
        }
        let read = json::Read { value, fault: None };
        detail(&read, form, NOW.parse().unwrap()).unwrap()
    }

    fn day(text: &str) -> Option<Timestamp> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_domain_may_be_valid_and_pending_at_once() {
        let found = read(
            &json!({
                "status": "pending", "is_pending_validation": true,
                "dcv_method": "dns-txt-token",
                "dcv_approval_datetime": "2026-06-01T10:00:00+00:00",
                "dcv_expiration_datetime": "2026-12-17T10:00:00+00:00",
                "dcv_token": {"token": "_abc123", "status": "pending",
                    "expiration_date": "2026-12-20T00:00:00Z"},
            }),
            &TXT,
        );
        assert!(found.is_pending);
        assert_eq!(found.registration.status, Status::Valid);
        let challenge = found.registration.challenge.unwrap();
        assert_eq!(challenge.to_string(), "_dnsauth.a.test TXT _abc123");
        assert_eq!(challenge.until, day("2026-12-20T00:00:00Z"));
        assert_eq!(found.registration.doubt, None);
    }

    #[test]
    fn the_earliest_stated_end_counts_and_an_end_in_the_past_is_expired() {
        let ends = |fields| {
            let found = read(&fields, &TXT).registration;
            (found.status, found.proof.unwrap().expires_at)
        };
        let (status, end) = ends(json!({
            "dcv_expiration": {"ov": "2026-12-20", "ev": "2026-12-18", "ov_status": "valid"},
            "dcv_expiration_datetime": "2026-12-20T08:00:00Z",
        }));
        assert_eq!((status, end), (Status::Valid, day("2026-12-18T00:00:00Z")));
        let (status, _) = ends(json!({"dcv_expiration": {"ov": "2026-11-29"}}));
        assert_eq!(status, Status::Expired, "the day has begun");
        let (status, end) = ends(json!({
            "dcv_approval_datetime": "2026-11-01", "status": "active",
        }));
        assert_eq!((status, end), (Status::Valid, None));
    }

    #[test]
    fn a_word_that_the_dates_contradict_is_told() {
        let found = |word: &str| {
            let fields = json!({"status": word, "dcv_expiration_datetime": "2027-03-01T00:00:00Z"});
            read(&fields, &TXT).registration
        };
        let odd = found("expired");
        let words = "the status is expired but the end of the proof is to come";
        assert_eq!(
            (odd.status, odd.doubt.as_deref()),
            (Status::Valid, Some(words))
        );
        assert_eq!(found("active").doubt, None);
    }

    #[test]
    fn booleans_are_read_in_their_odd_forms_and_the_flag_goes_before_the_word() {
        for (flag, pending) in [
            (json!(true), true),
            (json!("1"), true),
            (json!(0), false),
            (json!("false"), false),
        ] {
            let found = read(
                &json!({"status": "active", "is_pending_validation": flag}),
                &TXT,
            );
            assert_eq!(found.is_pending, pending);
        }
        assert!(read(&json!({"status": "pending"}), &TXT).is_pending);
        assert!(
            read(
                &json!({"validations": [{"type": "ov", "status": "pending"}]}),
                &TXT
            )
            .is_pending
        );
        let odd = read(&json!({"is_active": "perhaps", "status": "Sleeping"}), &TXT);
        assert!(odd.is_active);
        assert_eq!(odd.registration.status, Status::Unknown("sleeping".into()));
        assert!(odd.registration.doubt.unwrap().contains("is_active"));
        let off = read(&json!({"is_active": "0"}), &TXT);
        assert!(!off.is_active && off.registration.last_words.is_some());
    }

    #[test]
    fn a_token_is_taken_only_while_it_lives_and_for_its_own_method() {
        let shown = |token: Value, method: &str, form: &Form| {
            let fields = json!({
                "is_pending_validation": true, "dcv_method": method, "dcv_token": token,
            });
            let found = read(&fields, form).registration;
            (found.challenge.map(|one| one.to_string()), found.doubt)
        };
        let live = json!({"token": "_Abc", "status": "pending"});
        let txt = "dns-txt-token";
        assert_eq!(
            shown(live.clone(), txt, &TXT).0.unwrap(),
            "_dnsauth.a.test TXT _Abc"
        );
        let apex = Form {
            label: Label::Apex,
            ..TXT
        };
        assert_eq!(
            shown(live.clone(), txt, &apex).0.unwrap(),
            "a.test TXT _Abc"
        );
        for dead in [
            json!({"token": "x", "status": "active"}),
            json!({"token": "x", "expiration_date": "2026-11-28T00:00:00Z"}),
            json!({"token": ""}),
            json!({"status": "pending"}),
            json!(null),
        ] {
            assert_eq!(shown(dead, txt, &TXT), (None, None));
        }
        for other in ["email", "dns-cname-token", "http-token"] {
            assert_eq!(shown(live.clone(), other, &TXT), (None, None));
        }
        let (quoted, doubt) = shown(json!({"token": "a\"b\\c d"}), txt, &TXT);
        assert_eq!(quoted.unwrap(), "_dnsauth.a.test TXT a\"b\\c d");
        assert_eq!(doubt, None);
        let (none, doubt) = shown(json!({"token": "a\nb"}), txt, &TXT);
        assert!(none.is_none() && doubt.unwrap().contains("control character"));
    }

    #[test]
    fn the_target_of_a_cname_is_the_token_before_the_verification_value() {
        let cname = Form {
            method: Method::Cname,
            ..TXT
        };
        let target = |token: Value| {
            let fields = json!({
                "is_pending_validation": true, "dcv_method": "dns-cname-token", "dcv_token": token,
            });
            let found = read(&fields, &cname).registration;
            (found.challenge.map(|one| one.to_string()), found.doubt)
        };
        for token in [
            json!({"token": "_abc", "verification_value": "dcv.digicert.com"}),
            json!({"token": "_abc", "verification_value": "_abc.dcv.digicert.com"}),
            json!({"token": "_abc"}),
        ] {
            assert_eq!(
                target(token).0.unwrap(),
                "_dnsauth.a.test CNAME _abc.dcv.digicert.com"
            );
        }
        let (none, doubt) = target(json!({"token": "a\"b"}));
        assert!(none.is_none() && doubt.unwrap().contains("not a DNS name"));
    }
}
