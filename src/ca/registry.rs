//! The kinds of CA that this program knows: the only list of them. A kind brings its own settings,
//! and makes the adapter for an account of them.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use super::CaError;
use super::issuing;
use super::settings::{Account, Conditions, Setting, Values};
use super::validation::{Kind, Validation};
use super::{sectigo, swisssign};
use crate::clock::Clock;

/// Every kind, in the order in which the documentation names them.
pub static ADAPTERS: [&Adapter; 2] = [&swisssign::ADAPTER, &sectigo::ADAPTER];

/// The keys of the kind that the reference configuration shows.
pub const REFERENCE_KEYS: &[&str] = swisssign::KEYS;

/// A kind of CA, as the configuration sees it.
pub struct Adapter {
    /// What is fixed for the kind.
    pub kind: &'static Kind,
    /// What is fixed for its orders, where it issues: then what `connect` makes has
    /// [`Validation::issuing`].
    pub issuing: Option<&'static issuing::Kind>,
    /// The keys of its section, in the order in which they are shown.
    pub keys: &'static [&'static str],
    /// The same, row by row.
    pub settings: &'static [Setting],
    /// What to write as `url`.
    pub url_hint: &'static str,
    /// The address that counts where none is written.
    pub default_url: fn(&Values) -> Option<&'static str>,
    /// What the values ask for beyond their rows.
    pub conditions: fn(&Values) -> Conditions,
    /// The kind's own keys of a `[[client]]`.
    pub client_settings: &'static [Setting],
    /// The domains that the CA's hosts lie in.
    pub hosts: &'static [&'static str],
    /// Whether a text can be the reference of a client.
    pub check_client: fn(&str) -> Result<(), &'static str>,
    /// Who calls, of these settings: calls of one account share one rate.
    pub caller: fn(&Values) -> &str,
    /// Why the secret of a key may not be the CA's, where its form tells.
    pub doubt: fn(&str, &SecretString) -> Option<String>,
    /// Makes the adapter for an account.
    pub connect: Connect,
}

/// Makes the adapter for an account, with the clock that its logins are dated by.
pub type Connect = fn(Account<'_>, Arc<dyn Clock>) -> Result<Arc<dyn Validation>, CaError>;

/// Two are the same when their kind is.
impl PartialEq for Adapter {
    fn eq(&self, other: &Self) -> bool {
        self.kind.name == other.kind.name
    }
}

impl fmt::Debug for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Adapter").field(&self.kind.name).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_a_method_and_a_name_in_caa_records() {
        for (at, one) in ADAPTERS.iter().enumerate() {
            let kind = one.kind;
            assert!(ADAPTERS[at + 1..].iter().all(|other| other != one));
            assert!(
                !kind.methods.is_empty() && !kind.caa_names.is_empty(),
                "{one:?}"
            );
            assert!(kind.register_batch > 0 && !one.hosts.is_empty(), "{one:?}");
        }
    }

    #[test]
    fn the_keys_and_the_rows_of_every_kind_are_the_same_and_the_common_ones_are_there() {
        for one in ADAPTERS {
            let rows: Vec<_> = one.settings.iter().map(|row| row.key).collect();
            assert_eq!(rows, one.keys, "{one:?}");
            for common in ["kind", "url", "rate", "caa_names", "ca_file", "proxy"] {
                assert!(rows.contains(&common), "{one:?}: {common}");
            }
        }
    }
}
