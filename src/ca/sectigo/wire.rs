//! The rows and objects of Sectigo Certificate Manager as they come: every field may be missing, a
//! field of the wrong kind costs only itself, words are compared without case, spaces and
//! underscores, dates come in three forms.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::KIND;
use crate::ca::http::redact::clean;
use crate::ca::json;
use crate::prevalidation::{
    Challenge, Counts, DomainName, Order, OrderState, Proof, Registration, Status,
};

/// Where a TXT value lives (CPS 3.2.2, method 3.2.2.4.7).
const VALUE_LIFE_DAYS: i64 = 30;
/// This long after the moment of its next check an order that was validated is a leftover.
const LATE: SignedDuration = SignedDuration::from_hours(24);

/// A row of the list, or the answer to `status`.
pub(super) struct Row {
    pub(super) registration: Registration,
    /// `*.example.org`: it follows its domain.
    pub(super) is_wildcard: bool,
}

/// Reads a row of the list, which names its domain.
pub(super) fn row(text: &json::Read, now: Timestamp) -> Result<Row, String> {
    let written = text.value.get("domain").and_then(Value::as_str);
    let written = written.ok_or_else(|| {
        let excerpt: String = clean(&text.value.to_string()).chars().take(80).collect();
        format!("a row without a `domain`: {excerpt}")
    })?;
    let is_wildcard = written.starts_with("*.");
    let name = written.strip_prefix("*.").unwrap_or(written);
    let domain = name_of(name).ok_or_else(|| format!("`{}` is not a domain", clean(written)))?;
    let fields = Fields::LIST;
    let mut registration = registration(text, domain, &fields, now);
    registration.is_summary = true;
    Ok(Row {
        registration,
        is_wildcard,
    })
}

/// Reads the answer to `status` for a domain.
pub(super) fn status(text: &json::Read, domain: DomainName, now: Timestamp) -> Registration {
    registration(text, domain, &Fields::STATUS, now)
}

/// The challenge that a start, a submission or a status shows: `host` and `point`.
///
/// # Errors
/// Why it is refused. `Ok(None)` where there is none.
pub(super) fn challenge(
    value: &Value,
    domain: &DomainName,
    mode: Option<&str>,
) -> Result<Option<Challenge>, String> {
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let (Some(host), Some(point)) = (text("host"), text("point")) else {
        return Ok(None);
    };
    let challenge = match mode.map(word).as_deref() {
        Some("TXT" | "DNSTXTRANDOMVALUE") => KIND.txt(domain, host, point, Counts::BySubmit),
        Some("CNAME" | "CNAMECSRHASH") => KIND.cname(domain, host, point, Counts::Published),
        // The other methods have no record.
        _ => return Ok(None),
    };
    challenge.map(Some).map_err(|error| error.to_string())
}

/// A name in any case, as A-labels or U-labels, with or without the last full stop.
pub(super) fn name_of(text: &str) -> Option<DomainName> {
    let text = text.strip_suffix('.').unwrap_or(text);
    if text.is_ascii() {
        return DomainName::from_a_labels(&text.to_ascii_lowercase()).ok();
    }
    DomainName::parse(text).ok().map(|parsed| parsed.name)
}

/// A word of a list of values without what its spellings differ by: `NOT_VALIDATED` and `Not
/// validated` are `NOTVALIDATED`.
pub(super) fn word(text: &str) -> String {
    text.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_uppercase)
        .collect()
}

/// `2026-11-29`, `11/29/2026`, or an instant of RFC 3339. A day counts from its beginning in UTC:
/// the earliest reading of an end and of a beginning.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    let day = text
        .parse::<Date>()
        .or_else(|_| Date::strptime("%m/%d/%Y", text))
        .ok()?;
    let zoned = day.to_zoned(TimeZone::UTC).ok()?;
    Some(zoned.timestamp())
}

/// What the same things are called in the list and in a status.
struct Fields {
    status: &'static str,
    order: &'static str,
    mode: &'static str,
    method: &'static str,
}

impl Fields {
    const LIST: Self = Self {
        status: "dcvStatus",
        order: "dcvOrderStatus",
        mode: "dcvOrderMethod",
        method: "dcvMethod",
    };
    const STATUS: Self = Self {
        status: "status",
        order: "orderStatus",
        mode: "orderMode",
        method: "dcvMethod",
    };
}

struct Entry<'a> {
    value: &'a Value,
    doubts: Vec<String>,
}

impl<'a> Entry<'a> {
    fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.value.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
            Some(_) => {
                self.doubts.push(format!("`{key}` is not text"));
                None
            }
        }
    }

    fn moment(&mut self, key: &str) -> Option<Timestamp> {
        let value = self.value.get(key)?;
        let text = match value {
            Value::Null => return None,
            Value::String(text) if text.trim().is_empty() => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let read = moment(&text).filter(|_| value.is_string());
        if read.is_none() {
            self.doubts
                .push(format!("`{key}` is no date: {}", clean(&text)));
        }
        read
    }
}

fn registration(
    text: &json::Read,
    domain: DomainName,
    fields: &Fields,
    now: Timestamp,
) -> Registration {
    let mut entry = Entry {
        value: &text.value,
        doubts: Vec::new(),
    };
    if let Some(fault) = &text.fault {
        entry.doubts.push(format!(
            "the row is not JSON throughout ({}); it was read without the bad part",
            clean(fault)
        ));
    }
    let validated_at = entry.moment("validationDate");
    let expires_at = entry.moment("expirationDate");
    let method = entry.text(fields.method).map(clean);
    let mode = entry.text(fields.mode);
    let challenge = match challenge(entry.value, &domain, mode) {
        Ok(challenge) => challenge,
        Err(why) => {
            entry.doubts.push(why);
            None
        }
    };
    let order = order(&mut entry, fields, now);
    let challenge = challenge.map(|challenge| {
        let made = order.as_ref().and_then(|order| order.submitted_at);
        let until = made.filter(|_| challenge.counts == Counts::BySubmit);
        let life = SignedDuration::from_hours(24 * VALUE_LIFE_DAYS);
        let until = until.and_then(|made| made.saturating_add(life).ok());
        challenge.dated(made, until)
    });
    let status = match entry.text(fields.status) {
        None if expires_at.is_some_and(|end| end > now) => Status::Valid,
        None => Status::NotValidated,
        Some(written) => match word(written).as_str() {
            "VALIDATED" => Status::Valid,
            word @ ("EXPIRED" | "NOTVALIDATED") => {
                let is_proven = validated_at.is_some_and(|at| at <= now) || word == "EXPIRED";
                if is_proven && expires_at.is_some_and(|end| end > now) {
                    entry.doubts.push(format!(
                        "the status is {} but `expirationDate` is to come",
                        clean(written)
                    ));
                }
                match word {
                    "EXPIRED" => Status::Expired,
                    _ if challenge.is_some() => Status::Pending,
                    _ => Status::NotValidated,
                }
            }
            _ => {
                let unknown = clean(written);
                entry.doubts.push(format!(
                    "the status `{unknown}` is not known to this version"
                ));
                Status::Unknown(unknown)
            }
        },
    };
    let first_seen = validated_at.is_none_or(|at| at > now).then_some(now);
    let shows_proof = status == Status::Valid || validated_at.is_some() || expires_at.is_some();
    Registration {
        reference: domain.as_str().to_owned(),
        domain,
        status,
        proof: shows_proof.then_some(Box::new(Proof {
            validated_at,
            expires_at,
            method,
            first_seen,
            ends: Default::default(),
        })),
        token: None,
        remembered: false,
        challenge: challenge.map(Box::new),
        order: order.map(Box::new),
        is_summary: false,
        last_words: None,
        doubt: (!entry.doubts.is_empty()).then(|| entry.doubts.join("; ")),
    }
}

fn order(entry: &mut Entry<'_>, fields: &Fields, now: Timestamp) -> Option<Order> {
    let written = entry.text(fields.order)?;
    let state = match word(written).as_str() {
        "NOTINITIATED" => return None,
        "AWAITINGSUBMISSION" | "AWAITINGSUBMITTAL" => OrderState::Begun,
        "SUBMITTED" => OrderState::Submitted,
        "REJECTED" => OrderState::Rejected,
        _ => OrderState::Unknown(clean(written)),
    };
    let id = match entry.value.get("orderBackendId") {
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => entry.text("orderBackendId").map(clean),
    };
    Some(Order {
        id,
        state,
        submitted_at: entry.moment("submittedDate"),
        last_check: entry.moment("lastCheck"),
        next_check: entry
            .moment("nextCheck")
            .filter(|&next| now.duration_since(next) < LATE),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    const NOW: &str = "2026-11-29T12:00:00Z";

    fn status_of(fields: &Value) -> Registration {
        let read = json::Read {
            value: fields.clone(),
            fault: None,
        };
        let domain = DomainName::from_a_labels("a.test").unwrap();
        status(&read, domain, NOW.parse().unwrap())
    }

    #[test]
    fn a_day_is_read_in_three_forms_and_nothing_is_guessed_at() {
        let day = Some("2026-12-09T00:00:00Z".parse().unwrap());
        for text in [
            "2026-12-09",
            "12/09/2026",
            "2026-12-09T00:00:00Z",
            " 2026-12-09 ",
        ] {
            assert_eq!(moment(text), day, "{text}");
        }
        for none in [
            "",
            "09.12.2026",
            "13/09/2026",
            "2026-13-01",
            "soon",
            "1796774400000",
        ] {
            assert_eq!(moment(none), None, "{none}");
        }
    }

    #[test]
    fn a_word_is_the_same_in_each_of_its_spellings() {
        for written in ["NOT_VALIDATED", "Not validated", "not-validated"] {
            assert_eq!(word(written), "NOTVALIDATED");
            assert_eq!(
                status_of(&json!({"status": written})).status,
                Status::NotValidated
            );
        }
        let odd = status_of(&json!({"status": "Revalidating"}));
        assert_eq!(odd.status, Status::Unknown("Revalidating".to_owned()));
        assert!(odd.doubt.unwrap().contains("not known to this version"));
    }

    #[test]
    fn a_no_beside_dates_that_show_a_proof_is_told_in_the_words_of_both() {
        let dates = |status: &str, made: &str, end: &str| {
            let fields = json!({"status": status, "validationDate": made, "expirationDate": end});
            let found = status_of(&fields);
            (found.status, found.doubt)
        };
        for (written, meant) in [
            ("EXPIRED", Status::Expired),
            ("NOT_VALIDATED", Status::NotValidated),
        ] {
            let words = format!("the status is {written} but `expirationDate` is to come");
            assert_eq!(
                dates(written, "2026-11-01", "2027-03-01"),
                (meant.clone(), Some(words))
            );
            assert_eq!(dates(written, "2026-05-01", "2026-11-01"), (meant, None));
        }
    }

    #[test]
    fn a_field_of_the_wrong_kind_costs_only_itself_and_a_missing_one_nothing() {
        let found = status_of(&json!({
            "status": "VALIDATED", "validationDate": 20261129, "expirationDate": ["x"],
            "orderStatus": 7, "orderBackendId": 12, "nextCheck": null,
        }));
        assert_eq!(found.status, Status::Valid);
        let proof = found.proof.unwrap();
        assert_eq!(
            proof.made_at(),
            Some(NOW.parse().unwrap()),
            "the first reading"
        );
        let doubt = found.doubt.unwrap();
        for field in ["validationDate", "expirationDate", "orderStatus"] {
            assert!(doubt.contains(field), "{doubt}");
        }
        assert_eq!(status_of(&json!({})).status, Status::NotValidated);
    }

    #[test]
    fn a_record_is_taken_only_from_a_method_that_has_one() {
        let record = |mode: &str, host: &str, point: &str| {
            let fields = json!({
                "status": "NOT_VALIDATED", "orderStatus": "SUBMITTED",
                "orderMode": mode, "host": host, "point": point,
            });
            let found = status_of(&fields);
            (found.challenge, found.doubt)
        };
        let (cname, _) = record("CNAME", "_A1.a.test.", "B2.C3.Sectigo.com.");
        assert_eq!(
            cname.unwrap().to_string(),
            "_a1.a.test CNAME b2.c3.sectigo.com"
        );
        let (txt, _) = record(
            "TXT",
            "_pki-validation.a.test.",
            r#"F(U_t|L%>8]\CFm;0O8"DV`"#,
        );
        assert_eq!(txt.unwrap().data.as_str(), r#"F(U_t|L%>8]\CFm;0O8"DV`"#);
        assert_eq!(record("EMAIL", "_a.a.test", "x.y"), (None, None));
        for (host, point) in [
            ("_a1.b.test.", "b.sectigo.com"),
            ("a.test.", "b.sectigo.com"),
            ("_a1.a.test", "no name"),
            ("_a1.a.test", "_a1.a.test."),
        ] {
            let (none, doubt) = record("CNAME", host, point);
            assert!(none.is_none() && doubt.is_some(), "{host} {point}");
        }
        let (none, doubt) = record("TXT", "_pki-validation.a.test", "a\nb");
        assert!(none.is_none() && doubt.unwrap().contains("control character"));
    }

    #[test]
    fn an_order_whose_next_check_is_long_past_is_a_leftover() {
        let open = |validated: &str, submitted: &str, next: &str| {
            let found = status_of(&json!({
                "status": "VALIDATED", "validationDate": validated,
                "orderStatus": "SUBMITTED", "orderMode": "CNAME", "submittedDate": submitted,
                "lastCheck": "2026-05-01T10:00:00Z", "nextCheck": next,
                "host": "_a1.a.test.", "point": "b2.sectigo.com.",
            }));
            found.open_order().is_some()
        };
        let soon = "2026-11-29T13:00:00Z";
        let past = "2026-05-01T12:00:00Z";
        assert!(
            !open("2026-05-01", "2026-05-01", past),
            "validated that day"
        );
        assert!(!open("2026-05-02", "2026-05-01", past), "validated later");
        // Right after the submission of a renewal, and when the check is a little late.
        for next in [soon, "2026-11-29T11:50:00Z"] {
            assert!(open("2026-05-17", "2026-11-29", next), "{next}");
            assert!(
                open("2026-11-29", "2026-11-29", next),
                "{next}: a second of that day"
            );
        }
        assert!(
            open("2026-05-17", "2026-11-20", "2026-11-21T12:00:00Z"),
            "it hangs"
        );
    }

    #[test]
    fn an_order_in_an_unknown_state_is_under_way_until_a_validation_came_after_it() {
        let found = |status: &str, more: Value| {
            let mut fields = json!({"status": status, "orderStatus": "IN_PROGRESS"});
            for (key, field) in more.as_object().unwrap() {
                fields[key] = field.clone();
            }
            status_of(&fields).open_order().is_some()
        };
        assert!(found("NOT_VALIDATED", json!({})));
        assert!(found("EXPIRED", json!({"expirationDate": "2026-11-01"})));
        let renewal = json!({"validationDate": "2026-05-17", "submittedDate": "2026-11-29"});
        assert!(found("VALIDATED", renewal));
        let over = json!({"validationDate": "2026-05-17", "submittedDate": "2026-05-17"});
        assert!(!found("VALIDATED", over));
    }
}
