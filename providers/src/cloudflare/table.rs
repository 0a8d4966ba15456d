//! The table of the settings, and the secrets that it points to.

use std::sync::{Arc, Mutex};

use prevalidate_kit::http::{HTTP_KEYS, Http, HttpSettings};
use prevalidate_kit::secret::SecretSource;
use prevalidate_kit::table::Reader;
use prevalidate_kit::table::secrets::read_token;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::zones::Zones;
use super::{Api, Cloudflare};
use crate::kind::{Kind, Table, World};
use crate::provider::{ErrorKind, Provider, ProviderError};
use crate::records::Records;

const URL: &str = "https://api.cloudflare.com/client/v4";
/// Cloudflare allows 1,200 calls in 5 minutes to all that use the same credentials; half of it is
/// ours, and 200 of that may go at once.
const RATE: (u32, u32) = (2, 100);
/// `kind = "cloudflare"`.
pub(crate) const KIND: Kind = Kind {
    name: "cloudflare",
    keys: &[&KEYS, &HTTP_KEYS],
    read: |reader| Some(Arc::new(CloudflareTable::read(reader)?)),
};

const KEYS: [&str; 9] = [
    "token",
    "zone_token",
    "email",
    "global_key",
    "account_id",
    "zone_id",
    "zone",
    "ttl",
    "allow_wildcard_shadow",
];

/// `kind = "cloudflare"`; no secret has been read yet.
#[derive(Debug, Clone)]
pub struct CloudflareTable {
    http: HttpSettings,
    credentials: Credentials,
    account_id: Option<String>,
    zone_id: Option<String>,
    zone: Option<String>,
    ttl: u32,
    may_shadow: bool,
}

#[derive(Debug, Clone)]
enum Credentials {
    Token {
        dns: SecretSource,
        zone: Option<SecretSource>,
    },
    GlobalKey {
        email: HeaderValue,
        key: SecretSource,
    },
}

impl Credentials {
    /// Tables with the same credentials have one allowance
    /// (developers.cloudflare.com/fundamentals/api/reference/limits).
    fn whose(&self) -> String {
        match self {
            Self::Token { dns, .. } => format!("token of {dns}"),
            Self::GlobalKey { email, .. } => email.to_str().unwrap_or_default().to_owned(),
        }
    }
}

impl CloudflareTable {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let http = HttpSettings::read(reader, URL, RATE.0, RATE.1);
        let credentials = read_credentials(reader);
        let (account_id, zone_id) = (reader.id("account_id"), reader.id("zone_id"));
        let zone = reader.name("zone");
        if reader.table.contains_key("zone") && !reader.table.contains_key("zone_id") {
            reader.fault("zone", "names the zone of `zone_id`, which is missing");
        }
        let may_shadow = reader.flag("allow_wildcard_shadow").unwrap_or(false);
        let ttl = reader.ttl();
        Some(Self {
            http: http?,
            credentials: credentials?,
            account_id,
            zone_id,
            zone,
            ttl: ttl?,
            may_shadow,
        })
    }
}

impl Table for CloudflareTable {
    fn build(&self, world: &World) -> Result<Arc<dyn Provider>, ProviderError> {
        let bearer = |key: &str, source: &SecretSource| {
            let (value, secret) = header_value(key, "Bearer ", source)?;
            Ok::<_, ProviderError>((HeaderMap::from_iter([(AUTHORIZATION, value)]), secret))
        };
        let (dns, zone, secrets) = match &self.credentials {
            Credentials::Token { dns, zone } => {
                let (dns, secret) = bearer("token", dns)?;
                match zone {
                    None => (dns.clone(), dns, vec![secret]),
                    Some(zone) => {
                        let (zone, other) = bearer("zone_token", zone)?;
                        (dns, zone, vec![secret, other])
                    }
                }
            }
            Credentials::GlobalKey { email, key } => {
                tracing::warn!(
                    "a provider uses Cloudflare's global key, which may do everything in the account; prefer a token"
                );
                let (key, secret) = header_value("global_key", "", key)?;
                let names = ["x-auth-email", "x-auth-key"].map(HeaderName::from_static);
                let headers: HeaderMap = names.into_iter().zip([email.clone(), key]).collect();
                (headers.clone(), headers, vec![secret])
            }
        };
        let zones = Zones::new(
            self.account_id.clone(),
            self.zone_id.clone(),
            self.zone.clone(),
        );
        let is_global_key = matches!(self.credentials, Credentials::GlobalKey { .. });
        let (ttl, may_shadow) = (self.ttl, self.may_shadow);
        let http = Http::new(
            &self.http,
            &self.credentials.whose(),
            world.pace.clone(),
            secrets,
        )?;
        let api = Api {
            http,
            dns,
            zone,
            is_global_key,
            zones,
            ttl,
            may_shadow,
            verified: Mutex::default(),
        };
        Ok(Arc::new(Cloudflare(Records::new(api))))
    }
}

/// Reads a secret that goes into a header, bare or behind `prefix`.
fn header_value(
    key: &str,
    prefix: &str,
    source: &SecretSource,
) -> Result<(HeaderValue, SecretString), ProviderError> {
    let secret = read_token(key, source)?;
    let value = SecretString::from(format!("{prefix}{}", secret.expose_secret()));
    let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
        ProviderError::new(
            ErrorKind::Settings,
            format!("{key}: the secret from {source} cannot be in a header"),
        )
    })?;
    value.set_sensitive(true);
    Ok((value, secret))
}

fn read_credentials(reader: &mut Reader<'_>) -> Option<Credentials> {
    let (dns, zone, key) = (
        reader.secret("token"),
        reader.secret("zone_token"),
        reader.secret("global_key"),
    );
    let email = reader.text("email");
    let has = |key: &str| reader.table.contains_key(key);
    let (has_token, has_key) = (has("token"), has("global_key"));
    let stray = [
        ("zone_token", has_token, "token"),
        ("email", has_key, "global_key"),
    ]
    .into_iter()
    .find(|(key, served, _)| has(key) && !served);
    if has_token && has_key {
        reader.fault(
            "global_key",
            "`token` is there already; keep the token, it may do less",
        );
    } else if let Some((key, _, missing)) = stray {
        reader.fault(key, format!("goes with `{missing}`, which is missing"));
    } else if has_key {
        let email = email
            .map(|email| HeaderValue::from_str(&email).map_err(|_| "not an address".to_owned()));
        match email {
            Some(email) => {
                return Some(Credentials::GlobalKey {
                    email: reader.good("email", email)?,
                    key: key?,
                });
            }
            None => reader.fault(
                "email",
                "missing: the address of the user that `global_key` belongs to",
            ),
        }
    } else if has_token {
        return Some(Credentials::Token { dns: dns?, zone });
    } else {
        reader
            .fault("token", "missing: an API token with Zone / Zone / Read and Zone / DNS / Edit, as { file = \"…\" }");
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use crate::registry::ProviderSettings;

    #[test]
    fn all_faults_of_a_table_come_at_once_and_none_shows_a_secret() {
        let faults = |table: Value| {
            let faults = ProviderSettings::read(table.as_object().unwrap())
                .map(drop)
                .unwrap_err();
            faults
                .into_iter()
                .map(|fault| format!("{}: {}", fault.key, fault.message))
                .collect::<Vec<_>>()
        };
        let found = faults(
            json!({ "kind": "cloudflare", "token": "CANARY", "url": "http://api.cloudflare.com", "rate": "CANARY",
            "zone_id": "a/b", "zone": "a..b", "proxy": "http://u:CANARY@p", "tokn": 1, "ttl": 7, "timeout": 0 }),
        );
        for key in [
            "token", "url", "rate", "zone_id", "zone", "proxy", "tokn", "ttl", "timeout",
        ] {
            assert!(
                found
                    .iter()
                    .any(|fault| fault.starts_with(&format!("{key}: "))),
                "{key}: {found:#?}"
            );
        }
        assert!(!found.concat().contains("CANARY"), "{found:#?}");
        let env = json!({ "env": "T" });
        for (table, word) in [
            (json!({ "kind": "cloudflare" }), "Zone / DNS / Edit"),
            (
                json!({ "kind": "cloudflare", "token": env, "global_key": env }),
                "keep the token",
            ),
            (
                json!({ "kind": "cloudflare", "global_key": env }),
                "email: missing",
            ),
            (
                json!({ "kind": "cloudflare", "zone_token": env }),
                "goes with `token`",
            ),
            (
                json!({ "kind": "cloudflare", "token": env, "zone": "a.ch" }),
                "`zone_id`",
            ),
            (
                json!({ "kind": "cloudflar" }),
                "did you mean \"cloudflare\"",
            ),
        ] {
            let found = faults(table);
            assert!(
                found.len() == 1 && found[0].contains(word),
                "{word}: {found:#?}"
            );
        }
    }
}
