//! The name of a domain's row. A domain has one row for each client that keeps it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::name::{DomainName, NameError};

/// Between the domain and the client: no domain holds it, and it sorts before all that may follow a
/// name, so that the rows of one domain are adjacent.
const BETWEEN: char = ' ';

/// Names one row: a domain at one client.
///
/// The row of a domain's first client has the plain name as its key, as in stores of programs that
/// knew one row per domain; each further row has the name and its client. A key never changes while
/// its row is there, and only the row itself says the client of a first one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey {
    domain: DomainName,
    /// The whole text, of a further row.
    further: Option<String>,
}

impl RowKey {
    /// The key of `domain` at a further client.
    pub fn further(domain: &DomainName, client: &str) -> Self {
        Self {
            further: Some(format!("{domain}{BETWEEN}{client}")),
            domain: domain.clone(),
        }
    }

    /// Reads what [`text`](Self::text) has written.
    ///
    /// # Errors
    /// The part before the client is not a name.
    pub fn read(text: &str) -> Result<Self, NameError> {
        let name = text.split_once(BETWEEN).map_or(text, |(name, _)| name);
        Ok(Self {
            domain: DomainName::from_a_labels(name)?,
            further: (name.len() < text.len()).then(|| text.to_owned()),
        })
    }

    /// The domain.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// The client of a further row; the first row's is told by the row.
    pub fn further_client(&self) -> Option<&str> {
        let text = self.further.as_deref()?;
        text.split_once(BETWEEN).map(|(_, client)| client)
    }

    /// As it is stored. Not a name for DNS: that is [`domain`](Self::domain).
    pub fn text(&self) -> &str {
        self.further.as_deref().unwrap_or(self.domain.as_str())
    }
}

impl From<&DomainName> for RowKey {
    fn from(domain: &DomainName) -> Self {
        Self::from(domain.clone())
    }
}

impl From<DomainName> for RowKey {
    fn from(domain: DomainName) -> Self {
        Self {
            domain,
            further: None,
        }
    }
}

/// For people: the domain, and the client of a further row.
impl fmt::Display for RowKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.domain)?;
        match self.further_client() {
            Some(client) => write!(f, " at {client}"),
            None => Ok(()),
        }
    }
}

impl Serialize for RowKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.text())
    }
}

impl<'de> Deserialize<'de> for RowKey {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn name(text: &str) -> DomainName {
        DomainName::from_a_labels(text).unwrap()
    }

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let domain = name("example.ch");
        let further = RowKey::further(&domain, "sectigo/Example Org, Bern");
        for (key, text, client) in [
            (RowKey::from(&domain), "example.ch", None),
            (
                further,
                "example.ch sectigo/Example Org, Bern",
                Some("sectigo/Example Org, Bern"),
            ),
        ] {
            assert_eq!(key.text(), text);
            assert_eq!(key.further_client(), client);
            assert_eq!(key.domain(), &domain);
            assert_eq!(RowKey::read(text).unwrap(), key);
            let stored = serde_json::to_string(&key).unwrap();
            assert_eq!(serde_json::from_str::<RowKey>(&stored).unwrap(), key);
        }
        assert!(RowKey::read(" ca/one").is_err());
        assert!(RowKey::read("").is_err());
    }

    #[test]
    fn the_rows_of_a_domain_are_adjacent_in_both_orders() {
        let mut keys = [
            RowKey::from(name("a.ch-b.ch")),
            RowKey::from(name("a.ch")),
            RowKey::from(name("a.ch.org")),
            RowKey::further(&name("a.ch"), "z/1"),
            RowKey::further(&name("a.ch"), "b/1"),
            RowKey::from(name("a.cha")),
        ];
        keys.sort();
        let texts: Vec<_> = keys.iter().map(RowKey::text).collect();
        let mut sorted = texts.clone();
        sorted.sort_unstable();
        assert_eq!(texts, sorted);
        assert_eq!(texts[..3], ["a.ch", "a.ch b/1", "a.ch z/1"]);
    }
}
