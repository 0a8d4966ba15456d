//! The record that is made of a `dcv_token`: TXT at `_dnsauth` or at the domain itself, or a CNAME.

use jiff::Timestamp;
use serde_json::Value;

use super::KIND;
use super::entry::moment;
use crate::ca::validation::Method;
use crate::prevalidation::{Challenge, Counts, DomainName};

/// Where a TXT record is. DigiCert checks both names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Label {
    /// `_dnsauth.NAME`: it leaves SPF at the domain alone, and can be delegated.
    #[default]
    DnsAuth,
    /// The domain itself.
    Apex,
}

/// How records are made of tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) method: Method,
    pub(super) label: Label,
}

impl Form {
    /// The form of an order that says by which method it is validated: what is configured since does
    /// not count for it.
    pub(super) fn of_order(self, details: &Value) -> Self {
        let method = match details["dcv_method"].as_str() {
            Some("dns-txt-token") => Method::Txt,
            Some("dns-cname-token") => Method::Cname,
            _ => self.method,
        };
        Self { method, ..self }
    }

    /// DigiCert's name of the method.
    pub(super) fn word(&self) -> &'static str {
        match self.method {
            Method::Txt => "dns-txt-token",
            Method::Cname => "dns-cname-token",
        }
    }
}

/// The challenge of a `dcv_token`; `None` for one that is used up, ended, or not there.
///
/// # Errors
/// Why the record is refused.
pub(super) fn challenge(
    token: &Value,
    domain: &DomainName,
    form: &Form,
    now: Timestamp,
) -> Result<Option<Challenge>, String> {
    let text = |key: &str| token.get(key).and_then(Value::as_str);
    let Some(value) = text("token").filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let word = text("status").map(str::to_lowercase);
    if matches!(
        word.as_deref(),
        Some("active" | "expired" | "used" | "inactive")
    ) {
        return Ok(None);
    }
    let until = text("expiration_date").and_then(moment);
    if until.is_some_and(|end| end <= now) {
        return Ok(None);
    }
    // The token is never changed: DigiCert had to revoke certificates because of a missing
    // underscore.
    let below = format!("_dnsauth.{domain}");
    let made = match form.method {
        Method::Txt => {
            let owner = match form.label {
                Label::DnsAuth => below.as_str(),
                Label::Apex => domain.as_str(),
            };
            KIND.txt(domain, owner, value, Counts::Published)
        }
        Method::Cname => {
            let target = text("verification_value").filter(|target| !target.is_empty());
            let target = target.unwrap_or("dcv.digicert.com");
            let target = match target.starts_with(value) {
                true => target.to_owned(),
                false => format!("{value}.{target}"),
            };
            KIND.cname(domain, &below, &target, Counts::Published)
        }
    };
    let made = made.map_err(|error| error.to_string())?;
    Ok(Some(made.dated(None, until)))
}

/// Whether the token belongs to the method that is configured here.
pub(super) fn is_ours(value: &Value, form: &Form) -> bool {
    method(value).is_none_or(|word| word == form.word())
}

/// Whether the domain was submitted by DNS, and by the other type of record.
pub(super) fn is_by_other(value: &Value, form: &Form) -> bool {
    method(value).is_some_and(|word| word.starts_with("dns-") && word != form.word())
}

fn method(value: &Value) -> Option<&str> {
    let method = value.get("dcv_method").or(value.pointer("/dcv/method"));
    method.and_then(Value::as_str)
}
