//! What a listing leaves in the store as facts, which are texts: their keys, and the form of those
//! that have more than one part. Other processes read them, of older versions too, so only this
//! file knows the forms.

use jiff::Timestamp;

use crate::prevalidation::DomainName;
use crate::store::{Store, StoreError};

/// What the guard refused at the last listing of a client; empty when it did not.
pub fn refusal_fact(client: &str) -> String {
    format!("guard/{client}")
}

/// The CA's reference for a client that is configured by its name, once it was found.
pub fn reference_fact(client: &str) -> String {
    format!("client-reference/{client}")
}

/// Since when the CA cannot be asked about a client, and why: a [`Failing`]; empty when it can be.
pub fn failure_fact(client: &str) -> String {
    format!("unreachable/{client}")
}

/// What a person should know about a client, by its key, or about the login at a CA, by its name;
/// empty when there is nothing.
pub fn warning_fact(whom: &str) -> String {
    format!("warnings/{whom}")
}

/// The domains that a client's last listing showed and that the inventory does not know there: see
/// [`unmanaged`].
pub fn unmanaged_fact(client: &str) -> String {
    format!("unmanaged/{client}")
}

/// When the state of the login at a CA was last asked for.
pub(super) fn login_fact(ca: &str) -> String {
    format!("login/{ca}")
}

/// What fails, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Since when.
    pub since: Timestamp,
    /// What the CA or server, or the way to it, said last.
    pub error: String,
}

impl Failing {
    /// From a fact.
    pub fn read(fact: &str) -> Option<Self> {
        let (since, error) = fact.split_once(' ')?;
        Some(Self {
            since: since.parse().ok()?,
            error: error.to_owned(),
        })
    }

    /// As a fact.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.since, self.error)
    }
}

/// What the last listing of `client` stored, see [`unmanaged_fact`].
///
/// # Errors
/// What the store says.
pub async fn unmanaged(store: &dyn Store, client: &str) -> Result<Vec<DomainName>, StoreError> {
    let text = store.fact(&unmanaged_fact(client)).await?;
    Ok(names(&text.unwrap_or_default()))
}

/// As [`unmanaged`] reads it.
pub(super) fn unmanaged_text(names: &[DomainName]) -> String {
    let names: Vec<_> = names.iter().map(DomainName::as_str).collect();
    names.join(" ")
}

fn names(text: &str) -> Vec<DomainName> {
    let names = text.split_whitespace();
    names
        .filter_map(|name| DomainName::from_a_labels(name).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_a_fact_says_is_read_as_it_was_written() {
        let failing = Failing {
            since: "2026-11-22T12:03:00.5Z".parse().unwrap(),
            error: "no connection (hint: check the firewall)".to_owned(),
        };
        let text = "2026-11-22T12:03:00.5Z no connection (hint: check the firewall)";
        assert_eq!(failing.text(), text);
        assert_eq!(Failing::read(text), Some(failing));
        assert_eq!(Failing::read(""), None);

        let both = ["a.example", "b.example"].map(|name| DomainName::from_a_labels(name).unwrap());
        assert_eq!(unmanaged_text(&both), "a.example b.example");
        assert_eq!(names(&unmanaged_text(&both)), both);
        assert!(names(&unmanaged_text(&[])).is_empty());
    }
}
