//! What an account at Sectigo Certificate Manager needs to be reached, and what is refused before
//! anything is sent.

use std::fmt;

use url::Url;

use crate::ca::http::{Reach, SecretReader};
use crate::ca::validation::Method;
use crate::ca::{CaError, ClientSelector, Failure};

/// Where the header login is served; a client certificate goes to [`CERTIFICATE_URL`].
pub const PASSWORD_URL: &str = "https://cert-manager.com/api";
/// The word `private` is before `api` (Sectigo's REST manual, "Authentication").
pub const CERTIFICATE_URL: &str = "https://cert-manager.com/private/api";
/// The enterprise instance of the OAuth API.
pub const OAUTH_URL: &str = "https://admin.enterprise.sectigo.com/api";
/// Where a token is fetched, unless a customer has a server of its own.
pub const TOKEN_URL: &str =
    "https://auth.sso.sectigo.com/auth/realms/apiclients/protocol/openid-connect/token";

/// One account.
#[derive(Clone)]
pub struct Settings {
    /// Where and how; the base is one of the three URLs above, or a vanity host's.
    pub reach: Reach,
    /// The login.
    pub login: Login,
    /// The record by which domains are validated.
    pub method: Method,
    /// For each organisation how missing domains are created. An organisation that is not named here
    /// gets none.
    pub creation: Vec<(ClientSelector, Creation)>,
}

/// The login.
#[derive(Clone)]
pub enum Login {
    /// The headers `login`, `password` and `customerUri`.
    Password {
        /// The administrator.
        user: String,
        /// Its password.
        password: SecretReader,
        /// The customer's part of the portal's address.
        customer_uri: String,
    },
    /// The client certificate of [`Reach::identity`], with `login` and `customerUri`.
    Certificate {
        /// The administrator.
        user: String,
        /// The customer's part of the portal's address.
        customer_uri: String,
    },
    /// OAuth 2, client credentials.
    OAuth {
        /// The API client.
        client_id: String,
        /// Its secret.
        client_secret: SecretReader,
        /// Where tokens are fetched.
        token_url: Url,
    },
}

/// How a missing domain is created and delegated to an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Creation {
    /// `SSL`, `SMIME`, `CodeSign`
    pub cert_types: Vec<String>,
    /// `DOMAIN`, `SUBDOMAIN`, `WILDCARD_1ST_LEVEL`, `WILDCARD_2ND_LEVEL`; may be empty.
    pub privileges: Vec<String>,
}

impl Settings {
    /// Refuses what cannot work.
    pub(super) fn check(&self) -> Result<(), CaError> {
        let refused = |what: String| {
            let what = format!("{}: {what}", self.reach.name);
            Err(CaError::new(Failure::Settings, what))
        };
        // They go into headers.
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|b| (0x21..0x7f).contains(&b));
        match &self.login {
            Login::Password {
                user, customer_uri, ..
            }
            | Login::Certificate { user, customer_uri } => {
                if !plain(user) {
                    return refused("`user` is not the login of an administrator".to_owned());
                }
                if !plain(customer_uri) || customer_uri.contains('/') {
                    let what = "`customer_uri` is the last part of the portal's address, as `surfnet` in https://cert-manager.com/customer/surfnet";
                    return refused(what.to_owned());
                }
                let certificate = matches!(self.login, Login::Certificate { .. });
                if certificate && self.reach.identity.is_none() {
                    return refused("`certificate` and `key` are missing".to_owned());
                }
            }
            Login::OAuth {
                client_id,
                token_url,
                ..
            } => {
                if client_id.is_empty() {
                    return refused("`client_id` is empty".to_owned());
                }
                if let Err(why) = Reach::check_url(token_url) {
                    return refused(format!("`token_url` {why}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_oauth(&self) -> bool {
        matches!(self.login, Login::OAuth { .. })
    }
}

/// Neither passwords nor secrets.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.reach.name)
            .field("host", &self.reach.base.host_str())
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}
