//! A kind of CA, as the configuration sees it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::CaError;
use super::issuing;
use super::settings::{Account, Conditions, Setting, Values};
use super::validation::{Kind, Method, Validation};
use crate::clock::Clock;
use crate::prevalidation::{RecordForm, RecordType};

/// A kind of CA, as the configuration sees it.
pub struct Adapter {
    /// The constants of the kind.
    pub kind: &'static Kind,
    /// What is fixed for its orders, where it issues: then what `connect` makes has
    /// [`Validation::issuing`].
    pub issuing: Option<&'static issuing::Kind>,
    /// The keys of its section, in the order in which they are shown.
    pub keys: &'static [&'static str],
    /// The same, row by row.
    pub settings: &'static [Setting],
    /// The text to write as `url`.
    pub url_hint: &'static str,
    /// The default address.
    pub default_url: fn(&Values) -> Option<&'static str>,
    /// How many calls a second are made where the configuration does not say.
    pub rate: u32,
    /// What the values ask for beyond their rows.
    pub conditions: fn(&Values) -> Conditions,
    /// The kind's own keys of a `[[client]]`.
    pub client_settings: &'static [Setting],
    /// The domains that the CA's hosts are in.
    pub hosts: &'static [&'static str],
    /// Whether a text can be the reference of a client.
    pub check_client: fn(&str) -> Result<(), &'static str>,
    /// The account of these settings: its calls share one rate.
    pub caller: fn(&Values) -> &str,
    /// How far apart calls are where the CA counts them by the address that they come from: then all
    /// processes take turns, without a burst.
    pub address_pace: Option<Duration>,
    /// Why the secret of a key may not be the CA's, where its form tells.
    pub doubt: fn(&str, &SecretString) -> Option<String>,
    /// Makes the adapter for an account.
    pub connect: Connect,
}

impl Adapter {
    /// The record by which an account with these settings validates. `method` is one of the kind's,
    /// the first where none is written; `label` says where, for kinds that leave the choice.
    pub fn record(&self, values: &Values) -> RecordForm {
        let methods = self.kind.methods;
        let method = match values.text("method") {
            "txt" => Some(Method::Txt),
            "cname" => Some(Method::Cname),
            _ => methods.first().copied(),
        };
        let kind = match method {
            Some(Method::Cname) => RecordType::Cname,
            Some(Method::Txt) | None => RecordType::Txt,
        };
        let mut labels = self.kind.labels.iter();
        let label = labels.find(|(known, _)| Some(*known) == method);
        // A CNAME cannot be at the domain itself, beside its SOA or its other records.
        let is_below = label.is_some() || method == Some(Method::Cname);
        let below = is_below && values.text("label") != "apex";
        RecordForm {
            kind,
            below,
            label: label
                .filter(|_| below)
                .map(|(_, label)| (*label).to_owned()),
        }
    }
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
