//! What the servers serve and with which keys.

use std::net::SocketAddr;

use base64::Engine;
use rand::RngCore;

use super::NameServer;

/// A zone of a test server.
#[derive(Debug, Clone)]
pub struct Zone {
    /// `example.test`, no trailing dot.
    pub apex: String,
    /// The zone file.
    pub text: String,
    /// The keys that may change it.
    pub policy: Policy,
    /// Where it comes from.
    pub source: Source,
}

/// Lines of `docs/providers.md` in one language, for this zone and key.
///
/// # Panics
/// When the page has none.
pub fn documented(language: &str, apex: &str, key: &str) -> String {
    let page = include_str!("../../docs/providers.md");
    let block = page
        .split(&format!("```{language}\n"))
        .nth(1)
        .and_then(|rest| rest.split("```").next());
    let block = block.unwrap_or_else(|| panic!("docs/providers.md has no lines for {language}"));
    block
        .replace("example.ch", apex)
        .replace("prevalidate", key)
}

/// The keys that may change a zone.
#[derive(Debug, Clone)]
pub enum Policy {
    /// Every key of the server may change everything.
    AnyKey,
    /// This key may change TXT at the apex and nothing else, by the lines of `docs/providers.md`.
    /// PowerDNS cannot say this: there the key may change everything.
    ApexTxt(String),
    /// No updates.
    Closed,
}

/// Where a zone comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// Its own file.
    File,
    /// Another server.
    Primary(SocketAddr, Refresh),
}

/// When a secondary asks its primary after the first transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refresh {
    /// Only when [`NameServer::refresh`] asks: it stays stale for as long as a test wants.
    Asked,
    /// Every second, by itself.
    EverySecond,
}

impl Zone {
    /// A primary zone that every key may change; `records` are lines of a zone file below an SOA,
    /// one NS and its address.
    pub fn new(apex: &str, records: &str) -> Self {
        let head =
            "@ 3600 SOA ns1 hostmaster 1 86400 60 604800 300\n@ 3600 NS ns1\nns1 3600 A 127.0.0.1";
        Self::file(
            apex,
            &format!("$ORIGIN {apex}.\n$TTL 3600\n{head}\n{records}\n"),
        )
    }

    /// A primary zone from a whole zone file.
    pub fn file(apex: &str, text: &str) -> Self {
        Self {
            apex: apex.into(),
            text: text.into(),
            policy: Policy::AnyKey,
            source: Source::File,
        }
    }

    /// A secondary of the same zone on `primary`.
    pub fn secondary(apex: &str, primary: &NameServer, refresh: Refresh) -> Self {
        let source = Source::Primary(primary.address(), refresh);
        Self {
            apex: apex.into(),
            text: String::new(),
            policy: Policy::Closed,
            source,
        }
    }

    /// The same zone with another policy.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }
}

/// A TSIG key.
#[derive(Debug, Clone)]
pub struct Key {
    pub name: String,
    pub algorithm: String,
    /// Base64.
    pub secret: String,
}

impl Key {
    /// A new key with a random secret as long as the hash.
    pub fn new(name: &str, algorithm: &str) -> Self {
        let mut secret = vec![0; if algorithm.ends_with("512") { 64 } else { 32 }];
        rand::rng().fill_bytes(&mut secret);
        let secret = base64::engine::general_purpose::STANDARD.encode(secret);
        Self {
            name: name.into(),
            algorithm: algorithm.into(),
            secret,
        }
    }

    /// As `tsig-keygen` writes it.
    pub fn file_text(&self) -> String {
        let Self {
            name,
            algorithm,
            secret,
        } = self;
        format!("key \"{name}\" {{\n\talgorithm {algorithm};\n\tsecret \"{secret}\";\n}};\n")
    }
}

/// The keys a server knows; the first one is used by [`NameServer::nsupdate`].
#[derive(Debug, Clone)]
pub struct Keys(pub Vec<Key>);

impl Keys {
    /// HMAC-SHA256 keys with these names.
    pub fn of(names: &[&str]) -> Self {
        Self(
            names
                .iter()
                .map(|name| Key::new(name, "hmac-sha256"))
                .collect(),
        )
    }

    /// One more key.
    #[must_use]
    pub fn and(mut self, key: Key) -> Self {
        self.0.push(key);
        self
    }

    /// The key with this name.
    pub fn key(&self, name: &str) -> &Key {
        self.0
            .iter()
            .find(|key| key.name == name)
            .unwrap_or_else(|| panic!("no key {name}"))
    }

    /// All of them in one key file.
    pub fn file_text(&self) -> String {
        self.0.iter().map(Key::file_text).collect()
    }
}
