//! `ClientDNS` and `Client` as they come, read field by field: only `uuid` and `domain` must be
//! there, a field of the wrong kind costs only itself, and of two contradicting fields the safer
//! one counts (faults C08, C10).

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::ca::http::redact::clean;
use crate::ca::token::is_foreign;
use crate::ca::{Client, json};
use crate::prevalidation::guard::CLOCK_TOLERANCE;
use crate::prevalidation::{DomainName, Proof, Registration, Status, Token};

/// Reads a `Client`.
pub(super) fn client(value: &Value) -> Result<Client, String> {
    let reference = value
        .get("uuid")
        .and_then(Value::as_str)
        .filter(|text| is_reference(text));
    let reference =
        reference.ok_or_else(|| format!("a client without a usable `uuid`: {}", excerpt(value)))?;
    let name = value
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Ok(Client {
        reference: reference.to_owned(),
        name: name.to_owned(),
    })
}

/// Reads a `ClientDNS` from its text. `prefix` is put before a bare random value; `now` tells
/// whether a date has passed.
pub(super) fn registration(
    text: &json::Read,
    prefix: &str,
    now: Timestamp,
) -> Result<Registration, String> {
    let value = &text.value;
    let mut entry = Entry {
        value,
        doubts: Vec::new(),
    };
    if let Some(fault) = &text.fault {
        entry.doubt(format!(
            "the entry is not JSON throughout ({}); it was read without the bad part",
            clean(fault)
        ));
    }
    let uuid = value
        .get("uuid")
        .and_then(Value::as_str)
        .filter(|text| is_reference(text));
    let reference = uuid
        .ok_or_else(|| {
            let of = value.get("domain").and_then(Value::as_str);
            let of = of.map_or_else(String::new, |name| format!(" of {}", clean(name)));
            format!("an entry{of} without a usable `uuid`: {}", excerpt(value))
        })?
        .to_owned();
    let written = value.get("domain").and_then(Value::as_str);
    let written = written.ok_or_else(|| format!("entry {reference} has no `domain`"))?;
    let domain = domain(written)
        .ok_or_else(|| format!("entry {reference}: `{}` is not a domain", clean(written)))?;

    let token = entry.token(prefix);
    let validated = entry.flag("validated");
    let validated_at = entry.date("timeValidated");
    let ends_at = entry.date("timeExpired");
    let ended = entry.flag("expired");
    let dates = Dates {
        validated_at,
        ends_at,
        token: token.as_ref().map(|token| token.created_at),
        now,
    };
    let status = entry.status(validated, ended, &dates);
    let method = entry.text("validationMethod").map(clean);
    let has_proof = validated_at.is_some() || validated == Some(true) || status == Status::Valid;
    let first_seen = entry.first_seen(validated_at, now);
    let by_dns = method
        .as_deref()
        .is_some_and(|method| method.eq_ignore_ascii_case("cabdns"));
    if entry.flag("trustedDomain") == Some(true)
        && status == Status::Valid
        && !(by_dns && validated_at.is_some())
    {
        entry.doubt(
            "`trustedDomain` is set and no DNS proof is shown: it may count for private PKIs only",
        );
    }
    let last_words = entry.text("validationResult").map(clean);
    Ok(Registration {
        reference,
        domain,
        status,
        proof: has_proof.then_some(Box::new(Proof {
            validated_at,
            expires_at: ends_at,
            method,
            first_seen,
            ends: Default::default(),
        })),
        token: token.map(Box::new),
        remembered: false,
        challenge: None,
        order: None,
        is_summary: false,
        last_words,
        doubt: (!entry.doubts.is_empty()).then(|| entry.doubts.join("; ")),
    })
}

/// The creation time of an entry, if the entry has it. It decides between two entries of one name.
pub(super) fn age_mark(value: &Value, registration: &Registration) -> Option<Timestamp> {
    let created = value
        .get("createdOn")
        .and_then(Value::as_str)
        .and_then(date);
    let token = registration
        .token
        .as_ref()
        .and_then(|token| token.created_at);
    created.or(token).or(registration
        .proof
        .as_ref()
        .and_then(|proof| proof.validated_at))
}

/// Whether a reference may be in a path and in a log: `cli-` or `cld-` and a UUID, or a text with
/// the same safe characters.
pub(super) fn is_reference(text: &str) -> bool {
    (1..=80).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// The CA promises Punycode; a U-label is understood all the same.
fn domain(text: &str) -> Option<DomainName> {
    if text.is_ascii() {
        return DomainName::from_a_labels(text).ok();
    }
    DomainName::parse(text).ok().map(|parsed| parsed.name)
}

/// The dates of an entry, where its words are missing.
struct Dates {
    validated_at: Option<Timestamp>,
    ends_at: Option<Timestamp>,
    /// When the random value was made, while there is one.
    token: Option<Option<Timestamp>>,
    now: Timestamp,
}

impl Dates {
    /// Whether they show a proof that counts, and no random value that came after it.
    fn show_a_proof(&self) -> bool {
        let proved = self.validated_at.filter(|&at| at <= self.now);
        let counts = self.ends_at.is_some_and(|end| end > self.now);
        let is_latest = |proved| {
            let later = |made: Option<Timestamp>| made.is_none_or(|made| made > proved);
            !self.token.is_some_and(later)
        };
        counts && proved.is_some_and(is_latest)
    }
}

struct Entry<'a> {
    value: &'a Value,
    doubts: Vec<String>,
}

impl<'a> Entry<'a> {
    fn doubt(&mut self, what: impl Into<String>) {
        self.doubts.push(what.into());
    }

    /// A text that is there and not blank.
    fn text(&mut self, key: &str) -> Option<&'a str> {
        match self.value.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.as_str()).filter(|text| !text.trim().is_empty()),
            Some(_) => {
                self.doubt(format!("`{key}` is not text"));
                None
            }
        }
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        match self.value.get(key) {
            None | Some(Value::Null) => None,
            Some(Value::Bool(flag)) => Some(*flag),
            Some(_) => {
                self.doubt(format!("`{key}` is not true or false"));
                None
            }
        }
    }

    /// A date that cannot be read is a doubt that names it: other forms, such as 21.11.2026 and
    /// milliseconds, are not guessed at.
    fn date(&mut self, key: &str) -> Option<Timestamp> {
        let text = match self.value.get(key) {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) if text.trim().is_empty() => return None,
            Some(Value::String(text)) => text,
            Some(other) => {
                self.doubt(format!("`{key}` is no date: {}", excerpt(other)));
                return None;
            }
        };
        let read = date(text);
        if read.is_none() {
            self.doubt(format!("`{key}` is no date: {}", clean(text)));
        }
        read
    }

    /// The moment of this reading, where the CA shows no day of the proof that can be believed.
    fn first_seen(&mut self, validated_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        match validated_at {
            Some(validated) if validated <= now => return None,
            // A few seconds are a difference of clocks.
            Some(validated) if validated.duration_since(now) > CLOCK_TOLERANCE => {
                self.doubt(format!(
                    "`timeValidated` is to come, {validated:.0}; the proof counts from when it was first seen"
                ));
            }
            _ => {}
        }
        Some(now)
    }

    fn status(&mut self, validated: Option<bool>, ended: Option<bool>, dates: &Dates) -> Status {
        let (ends_at, now) = (dates.ends_at, dates.now);
        let unproven = if dates.token.is_some() {
            Status::Pending
        } else {
            Status::NotValidated
        };
        let has_ended = ended == Some(true) || ends_at.is_some_and(|end| end <= now);
        let Some(written) = self.text("status") else {
            if validated.is_none() && !has_ended && dates.show_a_proof() {
                self.doubt("neither `status` nor `validated` is there; the dates show a proof");
                return Status::Valid;
            }
            // Optional in the API: the flags say the same.
            return match (validated, has_ended) {
                (Some(true), false) => Status::Valid,
                (Some(true), true) | (None, true) => Status::Expired,
                (Some(false), true) if ended == Some(true) => Status::Expired,
                _ => unproven,
            };
        };
        match written
            .trim()
            .to_ascii_uppercase()
            .replace(['-', ' '], "_")
            .as_str()
        {
            "VALID" if validated == Some(false) => {
                self.doubt("the status is VALID but `validated` is false");
                unproven
            }
            "VALID" if has_ended => {
                self.doubt("the status is VALID but the proof has ended");
                Status::Expired
            }
            "VALID" => Status::Valid,
            "PENDING" => {
                self.doubt_a_no("PENDING", validated, has_ended, dates);
                Status::Pending
            }
            "EXPIRED" => {
                if ended == Some(false) && ends_at.is_some_and(|end| end > now) {
                    self.doubt(
                        "the status is EXPIRED but `expired` is false and `timeExpired` is to come",
                    );
                } else if ended != Some(true) {
                    self.doubt_a_no("EXPIRED", validated, has_ended, dates);
                }
                Status::Expired
            }
            "NOT_VALIDATED" => {
                self.doubt_a_no("NOT_VALIDATED", validated, has_ended, dates);
                Status::NotValidated
            }
            _ => {
                let unknown = clean(written);
                self.doubt(format!(
                    "the status `{unknown}` is not known to this version"
                ));
                Status::Unknown(unknown)
            }
        }
    }

    /// A status that says no beside fields that say yes.
    fn doubt_a_no(&mut self, word: &str, validated: Option<bool>, has_ended: bool, dates: &Dates) {
        if has_ended {
            return;
        }
        if validated == Some(true) {
            self.doubt(format!("the status is {word} but `validated` is true"));
        } else if validated.is_none() && dates.show_a_proof() {
            self.doubt(format!("the status is {word} but the dates show a proof"));
        }
    }

    fn token(&mut self, prefix: &str) -> Option<Token> {
        let created_at = self.date("randomValueTimeCreated");
        let expires_at = self.date("randomValueTimeExpire");
        let expired = self.flag("randomValueTimeExpired").unwrap_or(false);
        let value = match token_value(self.text("randomValue")?, prefix) {
            Ok(value) => value,
            Err(why) => {
                self.doubt(format!("`randomValue` is not published: {why}"));
                return None;
            }
        };
        Some(Token {
            value,
            created_at,
            expires_at,
            expired,
        })
    }
}

/// The TXT value for a random value, with exactly one prefix.
///
/// A prefix that the CA sends is kept when it is the configured one or begins with `swiss`. Any
/// other is refused: with `google-site-verification=…` the CA's text would hand our domain to
/// another party (faults C08, C09).
fn token_value(text: &str, prefix: &str) -> Result<String, String> {
    let sent = text
        .find('=')
        .map(|at| text.split_at(at + 1))
        .filter(|(head, _)| {
            head.eq_ignore_ascii_case(prefix)
                || head
                    .get(..5)
                    .is_some_and(|head| head.eq_ignore_ascii_case("swiss"))
                    && head
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'='))
                    && head.len() <= 40
        });
    // A Base64 value may itself begin with `swiss` and end in `=`: then nothing is left behind the
    // prefix.
    let (head, body) = match sent {
        Some((head, body)) if !body.trim_matches('=').is_empty() => (head, body),
        _ => (prefix, text),
    };
    let inner = body.trim_end_matches('=');
    let harmless = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'_' | b'-');
    if !(16..=200).contains(&body.len()) {
        Err(format!(
            "{} characters, where 16 to 200 are expected",
            body.chars().count()
        ))
    } else if let Some((other, _)) = inner.split_once('=') {
        Err(format!(
            "it begins with `{}=`{}",
            clean(other),
            if is_foreign(other) {
                ", the prefix of another service: published, it could hand the domain to an account there"
            } else {
                "; if the CA means it so, set `token_prefix`"
            }
        ))
    } else if !inner.bytes().all(harmless) {
        Err("it holds characters that no random value has".to_owned())
    } else {
        Ok(format!("{head}{body}"))
    }
}

/// RFC 3339 with or without a fraction; without a zone it is UTC; what lies beyond the calendar is
/// its end (faults T06).
pub(super) fn date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at);
    }
    if text.starts_with("9999-12-3") {
        return Some(Timestamp::MAX);
    }
    let has_zone = text
        .get(10..)
        .is_some_and(|rest| rest.contains(['Z', 'z', '+', '-', '[']));
    if has_zone {
        return None;
    }
    let civil = text
        .parse::<DateTime>()
        .or_else(|_| text.parse::<Date>().map(DateTime::from))
        .ok()?;
    civil
        .to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// The beginning of an entry that could not be read, for people.
fn excerpt(value: &Value) -> String {
    clean(&value.to_string()).chars().take(80).collect()
}

/// The day a proof ends, for choosing between two: none shown counts as now at best.
pub(super) fn end_of(registration: &Registration, now: Timestamp) -> SignedDuration {
    let end = registration
        .proof
        .as_ref()
        .and_then(|proof| proof.expires_at);
    end.map_or(SignedDuration::ZERO, |end| end.duration_since(now))
}

#[cfg(test)]
#[path = "tests/wire.rs"]
mod tests;
