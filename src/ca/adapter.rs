//! A kind of CA, as the configuration sees it.

use std::fmt;
use std::sync::Arc;

use secrecy::SecretString;

use super::CaError;
use super::issuing;
use super::settings::{Account, Conditions, Setting, Values};
use super::validation::{Kind, Validation};
use crate::clock::Clock;

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
    /// How many calls a second are made where the configuration does not say.
    pub rate: u32,
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
