//! Which of several clients a person means by a name: the exact one, or by a pattern the only one
//! that fits; and what is configured for a client.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::http::redact::clean;
use super::{CaError, Client, ClientSelector, Validation};

/// The outcome of searching for a name among clients.
pub(super) enum Found {
    One(Client),
    /// None of this name; what the CA found besides, for a hint.
    None {
        near: String,
    },
    Several(String),
}

/// Chooses among the clients that a CA shows.
pub(super) fn choose(name: &str, clients: Vec<Client>) -> Found {
    let has_wildcard = name.contains(['?', '*']);
    let (mut fitting, others): (Vec<Client>, Vec<Client>) =
        clients.into_iter().partition(|client| {
            if has_wildcard {
                fits(name, &client.name)
            } else {
                client.name == name
            }
        });
    match (fitting.pop(), fitting.is_empty()) {
        (Some(one), true) => Found::One(one),
        (Some(last), false) => {
            fitting.push(last);
            Found::Several(format!(
                "{} clients fit: {}",
                fitting.len(),
                names(&fitting)
            ))
        }
        (None, _) => Found::None {
            near: if others.is_empty() {
                String::new()
            } else {
                format!("; it did find {}", names(&others))
            },
        },
    }
}

/// Whether `name` fits `pattern`, without case: the CA may find more than was meant.
fn fits(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let name: Vec<char> = name.to_lowercase().chars().collect();
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, taken)) = star else {
                    return false;
                };
                star = Some((at, taken + 1));
                p = at + 1;
                n = taken + 1;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

fn names(clients: &[Client]) -> String {
    let shown: Vec<String> = clients
        .iter()
        .take(10)
        .map(|client| format!("`{}` ({})", clean(&client.name), client.reference))
        .collect();
    let more = clients.len() - shown.len();
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {more} more", shown.join(", "))
    }
}

/// What the configuration says of each client, to be found by the CA's key for it.
pub(super) struct PerClient<T> {
    rows: Vec<(ClientSelector, T)>,
    /// The keys of the clients that are configured by name.
    keys: Mutex<BTreeMap<ClientSelector, String>>,
}

impl<T> PerClient<T> {
    pub(super) fn new(rows: Vec<(ClientSelector, T)>) -> Self {
        Self {
            rows,
            keys: Mutex::default(),
        }
    }

    /// What is configured for the client with this key. A client that is configured by name is found
    /// once.
    pub(super) async fn of(
        &self,
        client: &str,
        ca: &dyn Validation,
    ) -> Result<Option<&T>, CaError> {
        for (selector, row) in &self.rows {
            if let ClientSelector::Reference(key) = selector {
                if key == client {
                    return Ok(Some(row));
                }
                continue;
            }
            let lock = || self.keys.lock().unwrap_or_else(PoisonError::into_inner);
            let known = lock().get(selector).cloned();
            let key = match known {
                Some(key) => key,
                None => {
                    let key = ca.find_client(selector).await?.reference;
                    lock().insert(selector.clone(), key.clone());
                    key
                }
            };
            if key == client {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn patterns_fit_as_the_vendor_describes_them() {
        assert!(fits("C?mpan* Ltd", "Company XYZ Ltd"));
        assert!(fits("*", ""));
        assert!(fits("a*b*c", "aXbXbc"));
        assert!(!fits("C?mpan* Ltd", "Company XYZ"));
        assert!(!fits("a?", "a"));
    }
}
