//! The table of the settings, and the secrets that it points to.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prevalidate_kit::http::{HTTP_KEYS, Http, HttpSettings};
use prevalidate_kit::secret::SecretSource;
use prevalidate_kit::table::Reader;
use prevalidate_kit::table::secrets::read_secret;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

use super::{Api, Autodns, RecordNames};
use crate::kind::{Kind, Table, World};
use crate::provider::{ErrorKind, Provider, ProviderError};
use crate::records::Records;

const URL: &str = "https://api.autodns.com/v1";
/// InterNetX allows 3 calls in a second and from an address ("JSON API Basics", Limits); never
/// several at once.
const RATE: (u32, u32) = (3, 0);
/// The live system; 1 is the demo.
const CONTEXT: u64 = 4;
/// `kind = "autodns"`.
pub(crate) const KIND: Kind = Kind {
    name: "autodns",
    keys: &[&KEYS, &HTTP_KEYS],
    read: |reader| Some(Arc::new(AutodnsTable::read(reader)?)),
};

const KEYS: [&str; 7] = [
    "user",
    "password",
    "context",
    "record_names",
    "zones",
    "ttl",
    "allow_wildcard_shadow",
];

/// `kind = "autodns"`; no secret has been read yet.
#[derive(Debug, Clone)]
pub struct AutodnsTable {
    http: HttpSettings,
    user: String,
    password: SecretSource,
    context: u32,
    names: RecordNames,
    zones: Vec<String>,
    ttl: u32,
    may_shadow: bool,
}

impl AutodnsTable {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let http = HttpSettings::read(reader, URL, RATE.0, RATE.1);
        for (key, what) in [
            ("user", "the name of the user"),
            ("password", "the user's password, as { file = \"…\" }"),
        ] {
            if !reader.table.contains_key(key) {
                reader.fault(key, format!("missing: {what}"));
            }
        }
        let (user, password) = (reader.text("user"), reader.secret("password"));
        if user
            .as_ref()
            .is_some_and(|user| user.contains(|c: char| c == ':' || c.is_control()))
        {
            reader.fault(
                "user",
                "a user's name has no colon and no control character",
            );
        }
        let context = u32::try_from(reader.number("context").unwrap_or(CONTEXT)).ok();
        if context.is_none() {
            reader.fault(
                "context",
                "expected a number; 4 is the live system, 1 the demo",
            );
        }
        let names = match reader.text("record_names").as_deref() {
            None | Some("absolute") => RecordNames::Absolute,
            Some("relative") => RecordNames::Relative,
            Some(_) => {
                reader.fault(
                    "record_names",
                    "expected \"absolute\" (www.example.ch.) or \"relative\" (www)",
                );
                return None;
            }
        };
        let (zones, ttl) = (reader.names("zones"), reader.ttl());
        let may_shadow = reader.flag("allow_wildcard_shadow").unwrap_or(false);
        let (user, password, context) = (user?, password?, context?);
        Some(Self {
            http: http?,
            user,
            password,
            context,
            names,
            zones,
            ttl: ttl?,
            may_shadow,
        })
    }
}

impl Table for AutodnsTable {
    fn build(&self, world: &World) -> Result<Arc<dyn Provider>, ProviderError> {
        let refused = |text: String| ProviderError::new(ErrorKind::Settings, text);
        let password = read_secret("password", &self.password)?;
        if password.expose_secret().contains(char::is_control) {
            let text = format!(
                "password: the secret from {} holds a line end or another control character inside",
                self.password
            );
            return Err(refused(text).with_hint("write the bare password on one line"));
        }
        let pair = Zeroizing::new(format!("{}:{}", self.user, password.expose_secret()));
        let pair = SecretString::from(STANDARD.encode(pair.as_bytes()));
        let basic = SecretString::from(format!("Basic {}", pair.expose_secret()));
        let mut basic = HeaderValue::from_str(basic.expose_secret())
            .map_err(|_| refused("user and password cannot be in a header".into()))?;
        basic.set_sensitive(true);
        let context = HeaderName::from_static("x-domainrobot-context");
        let auth = HeaderMap::from_iter([
            (AUTHORIZATION, basic),
            (context, HeaderValue::from(self.context)),
        ]);
        let api = Api {
            http: Http::new(
                &self.http,
                &self.user,
                world.pace.clone(),
                vec![password, pair],
            )?,
            auth,
            names: self.names,
            only: self.zones.clone(),
            ttl: self.ttl,
            may_shadow: self.may_shadow,
            known: Mutex::default(),
        };
        Ok(Arc::new(Autodns(Records::new(api))))
    }
}
