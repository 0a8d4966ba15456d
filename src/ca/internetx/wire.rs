//! Jobs, certificates and the DNS line of a validation as they come.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::KIND;
use crate::ca::csr;
use crate::ca::http::redact::clean;
use crate::ca::issuing::{Order, OrderKey};
use crate::issuance::OrderState;
use crate::prevalidation::{Challenge, Counts, DomainName};

/// The text before the number of a certificate whose job is not known.
pub(super) const CERTIFICATE: &str = "certificate-";

/// A number, or digits in a text.
pub(super) fn id(value: &Value) -> Option<String> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    let is_number = (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    is_number.then_some(text)
}

/// `2021-05-05T10:22:04.000+0200`: RFC 3339 but for the colon of the offset, which may be there.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let (head, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
    let is_offset =
        offset.starts_with(['+', '-']) && offset[1..].bytes().all(|b| b.is_ascii_digit());
    let (hours, minutes) = offset.split_at_checked(3)?;
    is_offset.then(|| format!("{head}{hours}:{minutes}").parse().ok())?
}

/// The job in an answer: as it is, or wrapped with the object that it is about.
pub(super) fn job(entry: &Value) -> &Value {
    match entry.get("job") {
        Some(job) if job.is_object() => job,
        _ => entry,
    }
}

/// What an answer about a job shows of the order.
pub(super) fn order(reference: &str, certificate: Option<String>, entry: &Value) -> Order {
    let job = job(entry);
    let text = |key: &str| job.get(key).and_then(Value::as_str);
    let (status, detail) = (
        text("status").unwrap_or(""),
        text("subStatus").unwrap_or(""),
    );
    let known = entry.pointer("/object/data/id").and_then(id);
    let key = OrderKey {
        reference: reference.to_owned(),
        certificate: known.or(certificate),
    };
    let mut order = Order::new(key, state(status, detail, text("action").unwrap_or("")));
    order.next_read_at = text("execution").and_then(moment);
    order.ordered_at = text("created").and_then(moment);
    order.product = text("subType").map(clean);
    if order.state != OrderState::Issued {
        order.words = words(entry, status, detail);
        order.challenges = entry["authentication"]
            .as_array()
            .into_iter()
            .flatten()
            .chain(entry.pointer("/object/data/authentication"))
            .filter_map(|one| challenge(one).ok().flatten())
            .collect();
    }
    order
}

/// The state that the word of a job means. The help prints `DEFFERED` too.
fn state(status: &str, detail: &str, action: &str) -> OrderState {
    let detail = detail.to_ascii_uppercase();
    let waits_for = |words: &[&str]| words.iter().any(|word| detail.contains(word));
    match status.to_ascii_uppercase().as_str() {
        "SUCCESS" if matches!(action, "delete" | "revoke") => OrderState::Revoked,
        "SUCCESS" => OrderState::Issued,
        "FAILED" => OrderState::Failed,
        "CANCELED" | "CANCELLED" => OrderState::Withdrawn,
        "SUPPORT" => OrderState::AwaitsPerson,
        "RUNNING" | "WAIT" | "DEFERRED" | "DEFFERED" | "NOT_SET" => {
            if waits_for(&["MAIL", "APPROV", "CALL"]) {
                OrderState::AwaitsPerson
            } else if waits_for(&["AUTH", "DCV"]) {
                OrderState::AwaitsValidation
            } else {
                OrderState::Working
            }
        }
        _ => OrderState::Unknown(clean(status)),
    }
}

/// Everything that says why a job still runs, or why it ended.
fn words(entry: &Value, status: &str, detail: &str) -> Option<String> {
    let mut words = vec![format!("{status} {detail}").trim().to_owned()];
    let list = |key: &str| entry[key].as_array().into_iter().flatten();
    for step in list("authentication") {
        if let (Some(name), Some(state)) = (
            step["step"].as_str().or(step["type"].as_str()),
            step["status"].as_str(),
        ) && !state.starts_with("COMPLETED")
        {
            words.push(format!("{name} {state}"));
        }
    }
    for domain in list("dcvAuth") {
        if let (Some(name), Some(state)) = (domain["domain"].as_str(), domain["status"].as_str()) {
            words.push(format!("{name} {state}"));
        }
    }
    for notice in list("notices") {
        let text = notice.as_str().or_else(|| notice["text"].as_str());
        words.extend(text.map(str::to_owned));
    }
    words.retain(|word| !word.is_empty());
    (!words.is_empty()).then(|| clean(&words.join("; ")))
}

/// The record of one entry of `authentication`, if it is a validation by DNS.
pub(super) fn challenge(entry: &Value) -> Result<Option<Challenge>, String> {
    let method = entry["method"].as_str().unwrap_or("DNS");
    let Some(line) = entry["dns"].as_str().filter(|line| !line.trim().is_empty()) else {
        return Ok(None);
    };
    if !method.eq_ignore_ascii_case("DNS") {
        return Ok(None);
    }
    record(line).map(Some)
}

/// One line of a zone file: owner, perhaps TTL and class, type, data.
fn record(line: &str) -> Result<Challenge, String> {
    let wrong = |why: &str| format!("the CA's record `{}` {why}", clean(line));
    let tokens = tokens(line);
    let mut rest = tokens.iter().map(String::as_str);
    let owner = rest.next().ok_or_else(|| wrong("is empty"))?;
    let mut kind = rest.next().unwrap_or_default();
    while kind.eq_ignore_ascii_case("IN")
        || kind.bytes().all(|b| b.is_ascii_digit()) && !kind.is_empty()
    {
        kind = rest.next().unwrap_or_default();
    }
    let owner = owner.trim_end_matches('.').to_ascii_lowercase();
    let domain = registrable(&owner).ok_or_else(|| wrong("is in no domain"))?;
    let data: Vec<&str> = rest.collect();
    let made = match kind.to_ascii_uppercase().as_str() {
        "TXT" if !data.is_empty() => KIND.txt(&domain, &owner, &data.concat(), Counts::Published),
        "CNAME" if data.len() == 1 => KIND.cname(&domain, &owner, data[0], Counts::Published),
        _ => return Err(wrong("is neither TXT nor CNAME")),
    };
    made.map_err(|why| why.to_string())
}

/// The words of a line; text in quotes is one word, without them.
fn tokens(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut escaped, mut begun) =
        (Vec::new(), String::new(), false, false, false);
    for c in line.chars() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            c if c.is_whitespace() && !quoted => {
                if begun {
                    words.push(std::mem::take(&mut word));
                    begun = false;
                }
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

/// The domain that may be registered above a name: a CA may put its record there.
fn registrable(name: &str) -> Option<DomainName> {
    let domain = psl::domain_str(name)?;
    DomainName::from_a_labels(domain).ok()
}

/// The certificates of a text, however its lines end, or in one line.
pub(super) fn certificates(text: &str) -> Result<Vec<Vec<u8>>, String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, from)) = rest.split_once(BEGIN) {
        let (body, after) = from
            .split_once(END)
            .ok_or("holds half a certificate: its end is missing")?;
        let plain: String = body
            .split_whitespace()
            .collect::<String>()
            .replace("\\n", "")
            .replace("\\r", "");
        let der = STANDARD
            .decode(plain)
            .map_err(|_| "holds a damaged certificate")?;
        found.push(der);
        rest = after;
    }
    if found.is_empty() {
        return csr::certificates(text);
    }
    Ok(found)
}

/// Whether a version of the certificate with this serial number is revoked.
pub(super) fn is_revoked(value: &Value, serial: &str) -> bool {
    let all = ["histories", "history"].iter();
    let mut all = all.filter_map(|key| value[key].as_array()).flatten();
    all.any(|one| {
        let same = one["serialNumber"]
            .as_str()
            .is_some_and(|text| csr::serial(text) == serial);
        // A flag, or the moment.
        let revoked = one["revoked"] == true || one["revoked"].is_string();
        same && revoked
    })
}

/// A certificate as the list and its own call show it; only the latter tells that it is revoked.
pub(super) fn certificate(value: &Value) -> Option<Order> {
    let certificate = value.get("id").and_then(id)?;
    let text = |key: &str| value.get(key).and_then(Value::as_str);
    let key = OrderKey {
        reference: format!("{CERTIFICATE}{certificate}"),
        certificate: Some(certificate),
    };
    let serial = text("serialNumber").filter(|serial| !matches!(*serial, "" | "NOT_SET"));
    let is_there = serial.is_some() || text("server").is_some_and(|pem| pem.contains("BEGIN"));
    let serial = serial.map(csr::serial);
    let state = match &serial {
        Some(serial) if is_revoked(value, serial) => OrderState::Revoked,
        _ if is_there => OrderState::Issued,
        _ => OrderState::Working,
    };
    let mut order = Order::new(key, state);
    order.serial = serial;
    order.product = text("product").map(clean);
    order.ordered_at = text("created").and_then(moment);
    order.ends_at = text("expire").and_then(moment);
    order.paid_until = text("payable").and_then(moment);
    order.wants_reissue = value["reissueRequired"] == true;
    let others = ["subjectAlternativeNames", "san"].iter();
    let others = others.filter_map(|key| value[key].as_array()).flatten();
    let others = others.filter_map(|one| one["name"].as_str().or(one.as_str()));
    for name in text("name").into_iter().chain(others) {
        let name = name.to_ascii_lowercase();
        if !order.names.contains(&name) {
            order.names.push(name);
        }
    }
    Some(order)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::prevalidation::ChallengeData;
    use serde_json::json;

    #[test]
    fn a_date_is_read_with_and_without_the_colon_of_its_offset() {
        for text in [
            "2021-05-05T10:22:04.000+0200",
            "2021-05-05T10:22:04.000+02:00",
            "2021-05-05T08:22:04Z",
        ] {
            assert_eq!(
                moment(text).unwrap().to_string(),
                "2021-05-05T08:22:04Z",
                "{text}"
            );
        }
        for bad in ["", "soon", "2021-05-05", "é+020"] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_line_of_a_zone_file_becomes_the_record_that_it_means() {
        let line = "_dnsauth.example.de.\t300\tIN\tTXT\t\t\"2020abc\" \"def\"";
        let txt = record(line).unwrap();
        assert_eq!(txt.owner.as_str(), "_dnsauth.example.de");
        assert_eq!(txt.data, ChallengeData::Txt("2020abcdef".to_owned()));
        let line = "_1a2b.www.example.de. CNAME 3c4d.5e6f.id.sectigo.com.";
        let cname = record(line).unwrap();
        assert!(
            matches!(cname.data, ChallengeData::Cname(target) if target.as_str() == "3c4d.5e6f.id.sectigo.com")
        );
        for bad in [
            "",
            "x",
            "_a.example.de. 300 IN MX 10 a.",
            "_a.de TXT",
            "example.de. CNAME a.b.",
        ] {
            assert!(record(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_job_that_waits_is_no_failure_whatever_its_word() {
        for (status, detail, expected) in [
            ("DEFERRED", "WF_DNS_AUTH", OrderState::AwaitsValidation),
            ("DEFFERED", "", OrderState::Working),
            ("WAIT", "WAIT_FOR_EMAIL_APPROVAL", OrderState::AwaitsPerson),
            ("SUPPORT", "", OrderState::AwaitsPerson),
            ("SUCCESS", "", OrderState::Issued),
            ("CANCELED", "", OrderState::Withdrawn),
        ] {
            assert_eq!(
                state(status, detail, "create"),
                expected,
                "{status} {detail}"
            );
        }
        assert!(state("QUANTUM", "", "create").is_open());
        assert_eq!(state("SUCCESS", "", "delete"), OrderState::Revoked);
    }

    #[test]
    fn a_certificate_is_read_with_any_line_ends_or_none() {
        let der = vec![0x30, 0x03, 0x02, 0x01, 0x01];
        let body = STANDARD.encode(&der);
        for text in [
            format!("-----BEGIN CERTIFICATE-----\r\n{body}\r\n-----END CERTIFICATE-----\r\n"),
            format!("-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----"),
        ] {
            assert_eq!(certificates(&text).unwrap(), std::slice::from_ref(&der));
        }
        assert!(
            certificates("-----BEGIN CERTIFICATE-----MA")
                .unwrap_err()
                .contains("half")
        );
        assert!(certificates("<html>").is_err());
    }

    #[test]
    fn a_certificate_whose_history_says_so_is_revoked() {
        let of = |histories: Value| {
            let value = json!({"id": 770, "serialNumber": "0A1B", "histories": histories});
            certificate(&value).unwrap().state
        };
        assert_eq!(of(json!(null)), OrderState::Issued);
        let older = json!([{"serialNumber": "0A1A", "revoked": true}]);
        assert_eq!(of(older), OrderState::Issued);
        let own = json!([{"serialNumber": "a1b", "revoked": true}]);
        assert_eq!(of(own), OrderState::Revoked);
        let open = json!([{"serialNumber": "a1b", "revoked": false}]);
        assert_eq!(of(open), OrderState::Issued);
    }

    #[test]
    fn a_job_tells_its_certificate_and_when_it_goes_on() {
        let entry = json!({"job": {"id": 4_299_710_353_i64, "status": "DEFERRED", "subStatus": "WF_DNS_AUTH",
            "execution": "2026-11-29T13:10:00.000+0100"}, "object": {"data": {"id": 774}},
            "dcvAuth": [{"domain": "a.de", "status": "IN_PROGRESS"}]});
        let order = order("4299710353", None, &entry);
        assert_eq!(order.key.certificate.as_deref(), Some("774"));
        assert_eq!(
            order.next_read_at.unwrap().to_string(),
            "2026-11-29T12:10:00Z"
        );
        assert!(order.words.unwrap().contains("a.de IN_PROGRESS"));
    }
}
