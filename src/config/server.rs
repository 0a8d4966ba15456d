//! `[server]`: the address of the daemon, and the rights of its clients.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use prevalidate_kit::secret::SecretSource;

use super::hooks::{self, HookKeySettings};
use super::tree::{Schema, Section};

pub(super) const SERVER: Schema = Schema {
    path: "server",
    keys: &["listen", "tls", "domain_labels", "token", "hook_key"],
};
pub(super) const TLS: Schema = Schema {
    path: "server.tls",
    keys: &["certificate", "key"],
};
pub(super) const TOKEN: Schema = Schema {
    path: "server.token",
    keys: &["name", "role", "secret"],
};

/// Where the daemon listens when nothing is said.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8420);

/// `[server]`: the daemon's interface over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// The address and port; port 0: any that is free.
    pub listen: SocketAddr,
    /// Never absent when other machines are listened to.
    pub tls: Option<TlsSettings>,
    /// For how many domains at most monitoring has a label of their own.
    pub domain_labels: u32,
    /// `[[server.token]]`; never empty when other machines are listened to, unless they send hooks
    /// only.
    pub tokens: Vec<TokenSettings>,
    /// `[[server.hook_key]]`
    pub hook_keys: Vec<HookKeySettings>,
}

/// `[server]` `tls`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The chain in PEM, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its key in PEM, in a file that only its owner can read.
    pub key: PathBuf,
}

/// `[[server.token]]`: a bearer token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenSettings {
    /// Its name in the log.
    pub name: String,
    /// Its role.
    pub role: TokenRole,
    /// Where it is.
    pub secret: SecretSource,
}

/// The role of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenRole {
    /// Sees everything, changes nothing.
    Read,
    /// Sends hooks, sees nothing.
    Hook,
    /// Reads, and orders listings and tries.
    Operate,
}

impl TokenRole {
    const WORDS: [(&str, Self); 3] = [
        ("read", Self::Read),
        ("hook", Self::Hook),
        ("operate", Self::Operate),
    ];

    /// The word of the configuration.
    pub(super) fn as_str(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, role)| *role == self)
            .map_or("", |(word, _)| word)
    }
}

/// The section, when the file has one: without it nothing listens.
pub(super) fn server(top: &Section<'_>) -> Option<ServerSettings> {
    if !top.has("server") {
        return None;
    }
    let section = top.table("server", &SERVER);
    let listen = listen(&section);
    let tls = section.has("tls").then(|| tls(&section.table("tls", &TLS)));
    let (tokens, hook_keys) = (tokens(&section), hooks::keys(&section));
    if !listen.ip().is_loopback() {
        let elsewhere = "must not listen to other machines";
        if tls.is_none() {
            let hint = "name the files: tls = { certificate = \"…\", key = \"…\" }; or listen on 127.0.0.1 behind a proxy";
            section.fault_hint(
                "listen",
                format!("{elsewhere} without `tls`: tokens would pass in clear"),
                hint,
            );
        }
        if !section.has("token") && !section.has("hook_key") {
            let hint = "write [[server.token]] with `name`, `role` and `secret`";
            section.fault_hint(
                "listen",
                format!("{elsewhere} without a token: no client may ask anything"),
                hint,
            );
        }
    }
    // A missing value was reported before.
    let tls = tls.and_then(|(certificate, key)| {
        Some(TlsSettings {
            certificate: certificate?,
            key: key?,
        })
    });
    Some(ServerSettings {
        listen,
        tls,
        domain_labels: section.whole("domain_labels", 0..=100_000, 0),
        tokens,
        hook_keys,
    })
}

fn listen(section: &Section<'_>) -> SocketAddr {
    let Some(text) = section.text("listen") else {
        return LISTEN;
    };
    text.parse().unwrap_or_else(|_| {
        section.fault(
            "listen",
            "must be an IP address and a port, such as \"127.0.0.1:8420\" or \"[::1]:8420\"",
        );
        LISTEN
    })
}

fn tls(section: &Section<'_>) -> (Option<PathBuf>, Option<PathBuf>) {
    section.must_have(
        "certificate",
        "the chain in PEM, the server's own certificate first",
    );
    section.must_have("key", "the certificate's key in PEM");
    (section.file("certificate"), section.file("key"))
}

fn tokens(section: &Section<'_>) -> Vec<TokenSettings> {
    let mut tokens: Vec<TokenSettings> = Vec::new();
    for table in section.tables("token", &TOKEN) {
        let name = hooks::log_name(&table);
        if name
            .as_ref()
            .is_some_and(|name| tokens.iter().any(|token| token.name == *name))
        {
            table.fault("name", "is in another [[server.token]] already");
        }
        table.must_have("role", "write role = \"read\", \"hook\" or \"operate\"");
        table.must_have(
            "secret",
            "where the token is: secret = { file = \"/etc/prevalidate/read.token\" }",
        );
        let (role, secret) = (
            table.choice("role", &TokenRole::WORDS),
            table.secret("secret"),
        );
        if let (Some(name), Some(role), Some(secret)) = (name, role, secret) {
            tokens.push(TokenSettings { name, role, secret });
        }
    }
    tokens
}
