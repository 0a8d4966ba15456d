//! `[ca.NAME]`: what every kind of CA has, and the table of settings that the kind declares.

use prevalidate_kit::secret::SecretSource;
use url::Url;

use super::CaSettings;
use super::files;
use super::persistent::{METHOD_PERSISTENT, PERSISTENT_INSTEAD};
use super::quantity::Rate;
use super::tree::{Schema, Section};
use super::urls::{is_loopback, plain_url};
use crate::ca::registry::{self, Adapter};
use crate::ca::settings::{Form, Setting, Value, Values};
use crate::prevalidation::name::is_within;
use crate::propagation::caa;

/// The keys of the kind that the reference file shows.
pub(super) const CA: Schema = Schema {
    path: "ca.NAME",
    keys: registry::REFERENCE_KEYS,
};

/// The kind of an account, as far as it is written: also of one that has faults.
pub(super) fn kind(section: &Section<'_>) -> Option<&'static Adapter> {
    let kind = section.peek("kind")?;
    let mut all = registry::ADAPTERS.iter();
    all.find(|adapter| adapter.kind.name == kind).copied()
}

/// Reads one account; `None` only after a fault was reported.
pub(super) fn read(section: Section<'_>) -> Option<CaSettings> {
    let kinds: Vec<_> = registry::ADAPTERS
        .iter()
        .map(|adapter| (adapter.kind.name, *adapter))
        .collect();
    let kind = section.choice("kind", &kinds);
    // Without a kind the keys are those of the first: most accounts are of it.
    let shape = kind.unwrap_or(registry::ADAPTERS[0]);
    let section = section.check(&Schema {
        path: CA.path,
        keys: shape.keys,
    });
    section.must_have("kind", "write kind = \"swisssign\"");
    let mut values = Values::default();
    let mut whole = true;
    for setting in shape.settings {
        if let Some(hint) = setting.required {
            section.must_have(setting.key, hint);
        }
        match own(&section, setting) {
            Some(value) => values.set(setting.key, value),
            None => whole &= setting.required.is_none(),
        }
    }
    if let (Some(certificate), Some(key)) = (values.file("certificate"), values.file("key")) {
        files::identity(&section, certificate, key);
    }
    let conditions = (shape.conditions)(&values);
    for (key, hint) in conditions.needed {
        section.must_have(key, hint);
        whole &= values.get(key).is_some();
    }
    for (key, why) in conditions.useless {
        if section.has(key) {
            section.fault(key, why);
        }
    }
    let url = match (shape.default_url)(&values) {
        Some(url) if !section.has("url") => Some(url),
        _ => {
            section.must_have("url", shape.url_hint);
            section.text("url")
        }
    };
    let url = url.and_then(|text| ca_url(&section, shape, text));
    let rate = section
        .text("rate")
        .map(|text| Rate::read(text).map_err(|message| section.fault("rate", message)));
    let caa_names = caa_names(&section, shape);
    let ca_file = section.trusted_file("ca_file");
    let proxy = section
        .text("proxy")
        .and_then(|text| proxy_url(&section, text));
    Some(CaSettings {
        kind: kind.filter(|_| whole)?,
        url: url?,
        rate: rate.unwrap_or(Ok(Rate::a_second(shape.rate))).ok()?,
        follow_aliases: section.flag("follow_aliases", true),
        caa_names,
        ca_file,
        proxy,
        proxy_login: proxy_login(&section),
        values,
    })
}

/// The value of a setting that is the kind's own, or its default.
pub(super) fn own(section: &Section<'_>, setting: &Setting) -> Option<Value> {
    let key = setting.key;
    let text = |default: Option<&str>| {
        let text = if section.has(key) {
            section.text(key)
        } else {
            default
        };
        text.map(|text| Value::Text(text.to_owned()))
    };
    match &setting.form {
        Form::Common => None,
        Form::Text(default) => text(*default),
        Form::Checked(default, check) => {
            let value = text(Some(default));
            if let Some(Value::Text(text)) = &value
                && let Err(why) = check(text)
            {
                section.fault(key, why);
            }
            value
        }
        Form::Choice(words)
            if key == "method"
                && section.peek(key) == Some(METHOD_PERSISTENT)
                && !words.contains(&METHOD_PERSISTENT) =>
        {
            let words = "this kind of CA does not offer persistent records by its API";
            section.fault_hint(key, words, PERSISTENT_INSTEAD);
            None
        }
        Form::Choice(words) => {
            let choices: Vec<_> = words.iter().map(|word| (*word, *word)).collect();
            let word = if section.has(key) {
                section.choice(key, &choices)
            } else {
                words.first().copied()
            };
            word.map(|word| Value::Text(word.to_owned()))
        }
        Form::Secret => section.secret(key).map(Value::Secret),
        Form::File => section.file(key).map(Value::File),
        Form::Whole(default) => Some(Value::Whole(section.whole(key, 0..=u32::MAX, *default))),
        Form::Flag(default) => Some(Value::Flag(section.flag(key, *default))),
        Form::Words { known, default } => Some(Value::Words(words(section, key, known, default))),
    }
}

fn words(section: &Section<'_>, key: &str, known: &[&str], default: &[&str]) -> Vec<String> {
    if !section.has(key) {
        return default.iter().map(ToString::to_string).collect();
    }
    let texts = section.texts(key);
    for text in &texts {
        if !known.contains(&text.text) {
            let quoted: Vec<_> = known.iter().map(|word| format!("\"{word}\"")).collect();
            let message = format!("must hold some of {}", quoted.join(", "));
            let line = Some(text.line);
            section.reader.fault(line, &section.key(key), message, None);
        }
    }
    texts.iter().map(|text| text.text.to_owned()).collect()
}

/// What the CA is called in CAA records: host names, as RFC 8659, section 4.2, writes them.
fn caa_names(section: &Section<'_>, adapter: &Adapter) -> Vec<String> {
    let names = adapter.kind.caa_names;
    if !section.has("caa_names") {
        return names.iter().map(ToString::to_string).collect();
    }
    let texts = section.texts("caa_names");
    let example = names.first().copied().unwrap_or("example.com");
    if texts.is_empty() {
        section.fault(
            "caa_names",
            format!("must name at least one, such as \"{example}\""),
        );
    }
    for text in &texts {
        if !caa::is_issuer_name(text.text) {
            let message = format!("must hold names as in CAA records, such as \"{example}\"");
            section
                .reader
                .fault(Some(text.line), &section.key("caa_names"), message, None);
        }
    }
    texts.iter().map(|text| text.text.to_owned()).collect()
}

/// Only `https`; `http` for a sandbox on this machine.
fn ca_url(section: &Section<'_>, adapter: &Adapter, text: &str) -> Option<Url> {
    let url = plain_url(section, "url", text)?;
    let loopback = is_loopback(&url);
    if !(url.scheme() == "https" || url.scheme() == "http" && loopback) {
        section.fault(
            "url",
            "must begin with https:// (http:// only for a loopback address)",
        );
        return None;
    }
    let known = url
        .domain()
        .is_some_and(|host| adapter.hosts.iter().any(|zone| is_within(host, zone)));
    if !known && !loopback {
        let message = format!(
            "is no host of {}; what the account signs or sends goes there",
            adapter.hosts.join(" or ")
        );
        section
            .reader
            .notice(section.line_of("url"), &section.key("url"), message);
    }
    Some(url)
}

/// The keys of the parts that use the proxy: both, with a proxy, or neither.
fn proxy_login(section: &Section<'_>) -> Option<(String, SecretSource)> {
    for (key, other) in [
        ("proxy_user", "proxy_password"),
        ("proxy_password", "proxy_user"),
        ("proxy_user", "proxy"),
    ] {
        if section.has(key) && !section.has(other) {
            section.fault(key, format!("goes with `{other}`, which is missing"));
        }
    }
    let user = section.text("proxy_user")?.to_owned();
    Some((user, section.secret("proxy_password")?))
}

fn proxy_url(section: &Section<'_>, text: &str) -> Option<Url> {
    let url = plain_url(section, "proxy", text)?;
    if !["http", "https"].contains(&url.scheme()) {
        section.fault("proxy", "must begin with http:// or https://");
        return None;
    }
    Some(url)
}
