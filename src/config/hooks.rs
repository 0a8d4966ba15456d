//! `[[server.hook_key]]`: the senders of hooks, how they sign, and the names that they may send.

use prevalidate_kit::secret::SecretSource;

use super::tree::{Schema, Section};
use crate::prevalidation::DomainName;

/// A sender of hooks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookKeySettings {
    /// Its name in the log; no other one has it.
    pub name: String,
    /// How it signs.
    pub kind: HookKind,
    /// Its secret.
    pub secret: SecretSource,
    /// The next secret, while they roll over.
    pub second_secret: Option<SecretSource>,
    /// What it may name, with everything below; empty: anything.
    pub zones: Vec<DomainName>,
}

/// How hooks are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HookKind {
    /// Standard Webhooks.
    Standard,
    /// `X-Hub-Signature-256`.
    Hub,
}

impl HookKind {
    const ALL: [(&'static str, Self); 2] = [("standard", Self::Standard), ("hub", Self::Hub)];

    /// The word of the configuration.
    pub fn as_str(self) -> &'static str {
        if self == Self::Standard {
            "standard"
        } else {
            "hub"
        }
    }
}

/// Longer names are not readable in a log.
const LONGEST_NAME: usize = 40;

pub(super) const HOOK_KEY: Schema = Schema {
    path: "server.hook_key",
    keys: &["name", "kind", "secret", "second_secret", "zones"],
};

/// All keys of `[server]`; what is wrong with one is reported, and the others are read all the
/// same.
pub(super) fn keys(server: &Section<'_>) -> Vec<HookKeySettings> {
    let mut keys: Vec<HookKeySettings> = Vec::new();
    for section in server.tables("hook_key", &HOOK_KEY) {
        if let Some(key) = key(&section) {
            if keys.iter().any(|known| known.name == key.name) {
                section.fault("name", "is in another [[server.hook_key]] already");
            }
            keys.push(key);
        }
    }
    keys
}

/// A name that is in logs as it is.
pub(super) fn log_name(section: &Section<'_>) -> Option<String> {
    section.must_have("name", "what it is called in the log");
    let name = section.text("name")?;
    if name.len() > LONGEST_NAME
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    {
        section.fault(
            "name",
            format!("must be at most {LONGEST_NAME} letters, digits, `-`, `_` and `.`"),
        );
        return None;
    }
    Some(name.to_owned())
}

fn key(section: &Section<'_>) -> Option<HookKeySettings> {
    section.must_have(
        "secret",
        "where the secret is: secret = { file = \"/etc/prevalidate/hook.secret\" }",
    );
    let name = log_name(section);
    let kind = section
        .choice("kind", &HookKind::ALL)
        .unwrap_or(HookKind::Standard);
    let (secret, second_secret) = (section.secret("secret"), section.secret("second_secret"));
    if section.is_empty_list("zones") {
        // A list means these entries, and not everything.
        section.fault(
            "zones",
            "is empty; name the zones, or leave it out for a key that may name anything",
        );
    }
    Some(HookKeySettings {
        zones: section.each("zones", super::names::read_known),
        name: name?,
        kind,
        secret: secret?,
        second_secret,
    })
}
