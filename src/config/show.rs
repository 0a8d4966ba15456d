//! Effective settings in the form of the file: what `config show` prints. Secrets appear as their
//! sources, or as `[REDACTED]`.

mod certificates;
mod persistent;

use std::fmt::Write;
use std::time::Duration;

use prevalidate_kit::secret::{SecretSource, looks_like_a_secret};
use serde_json::Value;

use super::rows::{Shown, list, quote};
use super::{
    AUTO, CaSettings, ClientSettings, NotifyBy, NotifySettings, PolicySettings,
    PropagationSettings, ServerSettings, Settings,
};
use crate::ca::ClientSelector;
use crate::ca::settings::Value as Stated;
use crate::notify::carrier::web::Receiver;
use crate::propagation::{GateMode, Judging};

/// The whole configuration with all defaults.
pub(super) fn toml(settings: &Settings) -> String {
    let mut out = Page(String::new());
    out.policy(&settings.policy);
    out.heading("[store]");
    out.text("url", &settings.store_url);
    if let Some(password) = &settings.store_password {
        out.plain("password", source(password));
    }
    settings.cas.iter().for_each(|(name, ca)| out.ca(name, ca));
    settings
        .clients
        .iter()
        .for_each(|client| out.client(client));
    for (name, provider) in &settings.providers {
        out.heading(&format!("[provider.{}]", quote(name)));
        for (key, value) in &provider.table {
            let value = redacted(key, value);
            out.plain(&quote(key), inline(&value));
        }
    }
    out.propagation(&settings.propagation);
    out.heading("[worker]");
    out.rows(settings.worker.shown());
    settings.server.iter().for_each(|server| out.server(server));
    if let Some(rdap) = &settings.rdap {
        out.heading("[rdap]");
        out.text("url", rdap.url.as_str());
        out.text("rate", &rdap.rate.to_string());
        out.row("ca_file", &rdap.ca_file);
    }
    settings.notify.iter().for_each(|notify| out.notify(notify));
    out.certificates(&settings.certificates);
    settings
        .persistent
        .iter()
        .for_each(|one| out.persistent(one));
    out.0
}

struct Page(String);

impl Page {
    fn policy(&mut self, policy: &PolicySettings) {
        self.heading("[policy]");
        self.rows(policy.shown());
        for row in &policy.reuse {
            self.heading("[[policy.reuse]]");
            self.text("start", &row.start.to_string());
            self.row("limit", &row.limit);
            self.text("source", &row.source);
        }
    }

    fn propagation(&mut self, propagation: &PropagationSettings) {
        self.heading("[propagation]");
        let general = &propagation.general;
        let general_mode = general.mode.unwrap_or_default();
        // `poll` and `settle` come before the keys of a judging, and `extra_ca_file` comes last.
        let (first, mut last): (Vec<_>, Vec<_>) = propagation
            .shown()
            .into_iter()
            .partition(|(key, _)| ["poll", "settle"].contains(key));
        last.sort_by_key(|(key, _)| *key == "extra_ca_file");
        self.rows(first);
        self.judging(general, general.delay.or(default_delay(general_mode)));
        self.rows(last);
        for (zone, own) in &propagation.zones {
            self.heading(&format!("[propagation.zone.{}]", quote(zone)));
            // With its own mode a zone has that mode's delay, which the general section would hide
            // when this is read again.
            let delay = own
                .delay
                .or(general.delay)
                .or(default_delay(own.mode.unwrap_or(general_mode)));
            self.judging(own, delay);
            if !own.name_servers.is_empty() {
                self.row("name_servers", &own.name_servers);
            }
        }
    }

    fn heading(&mut self, heading: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        self.0.push_str(&format!("{gap}{heading}\n"));
    }

    fn plain(&mut self, key: &str, value: impl std::fmt::Display) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: &str) {
        self.plain(key, quote(value));
    }

    fn rows(&mut self, rows: Vec<(&'static str, String)>) {
        for (key, value) in rows {
            self.plain(key, value);
        }
    }

    fn row(&mut self, key: &str, value: &impl Shown) {
        if let Some(value) = value.shown() {
            self.plain(key, value);
        }
    }

    fn judging(&mut self, judging: &Judging, delay: Option<Duration>) {
        if let Some(mode) = judging.mode {
            self.text("mode", mode.as_str());
        }
        self.row("delay", &delay);
        self.row("rounds", &judging.rounds);
        if !judging.resolvers.is_empty() {
            self.plain(
                "resolvers",
                list(judging.resolvers.iter().map(ToString::to_string)),
            );
        }
    }

    fn ca(&mut self, name: &str, ca: &CaSettings) {
        self.heading(&format!("[ca.{}]", quote(name)));
        for setting in ca.kind.settings {
            match ca.values.get(setting.key) {
                Some(stated) => self.stated(setting.key, stated),
                None => self.common(setting.key, ca),
            }
        }
    }

    fn stated(&mut self, key: &str, stated: &Stated) {
        match stated {
            Stated::Text(text) => self.text(key, text),
            Stated::Secret(secret) => self.plain(key, source(secret)),
            Stated::File(path) => self.text(key, &path.to_string_lossy()),
            Stated::Flag(flag) => self.plain(key, flag),
            Stated::Whole(number) => self.plain(key, number),
            Stated::Words(words) => self.plain(key, list(words.iter().cloned())),
        }
    }

    /// A setting that every kind of CA has.
    fn common(&mut self, key: &str, ca: &CaSettings) {
        match key {
            "kind" => self.text(key, ca.kind.kind.name),
            "url" => self.text(key, ca.url.as_str()),
            "rate" => self.text(key, &ca.rate.to_string()),
            "follow_aliases" => self.plain(key, ca.follow_aliases),
            "caa_names" => self.plain(key, list(ca.caa_names.iter().cloned())),
            "ca_file" => self.row(key, &ca.ca_file),
            "proxy" => {
                if let Some(proxy) = &ca.proxy {
                    self.text(key, proxy.as_str());
                }
            }
            "proxy_user" => {
                if let Some((user, _)) = &ca.proxy_login {
                    self.text(key, user);
                }
            }
            "proxy_password" => {
                if let Some((_, password)) = &ca.proxy_login {
                    self.plain(key, source(password));
                }
            }
            _ => {}
        }
    }

    fn server(&mut self, server: &ServerSettings) {
        self.heading("[server]");
        self.text("listen", &server.listen.to_string());
        self.plain("domain_labels", server.domain_labels);
        if let Some(tls) = &server.tls {
            self.heading("[server.tls]");
            self.text("certificate", &tls.certificate.to_string_lossy());
            self.text("key", &tls.key.to_string_lossy());
        }
        for token in &server.tokens {
            self.heading("[[server.token]]");
            self.text("name", &token.name);
            self.text("role", token.role.as_str());
            self.plain("secret", source(&token.secret));
        }
        for key in &server.hook_keys {
            self.heading("[[server.hook_key]]");
            self.text("name", &key.name);
            self.text("kind", key.kind.as_str());
            self.plain("secret", source(&key.secret));
            if let Some(second) = &key.second_secret {
                self.plain("second_secret", source(second));
            }
            if !key.zones.is_empty() {
                self.plain("zones", list(key.zones.iter().map(ToString::to_string)));
            }
        }
    }

    fn client(&mut self, client: &ClientSettings) {
        self.heading("[[client]]");
        self.text("ca", &client.ca);
        match &client.selector {
            ClientSelector::Name(name) => self.text("name", name),
            ClientSelector::Reference(reference) => self.text("reference", reference),
        }
        self.text("purpose", client.purpose.as_str());
        if let Some(provider) = &client.provider {
            self.text("provider", provider);
        }
        for (key, stated) in client.values.iter() {
            self.stated(key, stated);
        }
        for domain in &client.domains {
            self.heading("[[client.domain]]");
            self.text("name", domain.name.as_str());
            match &domain.provider {
                Some(provider) => self.text("provider", provider),
                None if client.provider.is_some() => self.text("provider", AUTO),
                None => {}
            }
        }
    }
}

impl Page {
    fn notify(&mut self, notify: &NotifySettings) {
        self.heading("[[notify]]");
        self.text("name", &notify.name);
        match &notify.by {
            NotifyBy::Web(Receiver::Webhook { url, secret }) => {
                self.text("kind", "webhook");
                self.text("url", url.as_str());
                self.plain("secret", source(secret));
            }
            NotifyBy::Web(Receiver::Chat { url, field }) => {
                self.text("kind", "chat");
                self.plain("url", source(url));
                self.text("field", field);
            }
            NotifyBy::Program(program) => {
                self.text("kind", "command");
                self.plain("command", list(program.0.iter().cloned()));
            }
            NotifyBy::Mail(letter) => {
                self.text("kind", "mail");
                self.text("server", &format!("{}:{}", letter.host, letter.port));
                self.text("tls", &letter.tls.to_string());
                if let Some((user, password)) = &letter.login {
                    self.text("user", user);
                    self.plain("password", source(password));
                }
                self.text("from", &letter.from.to_string());
                self.plain("to", list(letter.to.iter().map(ToString::to_string)));
            }
        }
        self.plain(
            "topics",
            list(notify.wants.topics.iter().map(ToString::to_string)),
        );
        self.text("severity", notify.wants.severity.as_str());
        self.row("repeat", &notify.wants.repeat);
        self.row("repeat_critical", &notify.wants.repeat_critical);
        if !matches!(notify.by, NotifyBy::Program(_)) {
            self.plain("allow_private", notify.allow_private);
        }
        self.row("ca_file", &notify.ca_file);
    }
}

/// The default delay of a mode; `None` for a mode without a delay.
fn default_delay(mode: GateMode) -> Option<Duration> {
    Some(mode.default_delay()).filter(|delay| !delay.is_zero())
}

/// The source of a secret; of a command only the program, its arguments may hold one.
fn source(source: &SecretSource) -> String {
    let (key, value) = match source {
        SecretSource::File(path) => ("file", quote(&path.to_string_lossy())),
        SecretSource::Env(name) => ("env", quote(name)),
        SecretSource::Credential(name) => ("credential", quote(name)),
        SecretSource::Command(args) => {
            let shown = args
                .iter()
                .take(1)
                .cloned()
                .chain((args.len() > 1).then(|| "[REDACTED]".to_owned()));
            ("command", list(shown))
        }
    };
    format!("{{ {key} = {value} }}")
}

/// A provider's value without anything that is or may be a secret.
fn redacted(key: &str, value: &Value) -> Value {
    const SECRET_WORDS: [&str; 5] = ["secret", "password", "token", "credential", "key"];
    const NO_SECRETS: [&str; 4] = ["_file", "_name", "_id", "_path"];
    let key = key.to_lowercase();
    let secret = SECRET_WORDS.iter().any(|word| key.contains(word))
        && !NO_SECRETS.iter().any(|end| key.ends_with(end));
    match value {
        Value::Object(table) => match SecretSource::read_json(value) {
            Ok(SecretSource::Command(args)) => {
                let shown = args
                    .into_iter()
                    .take(1)
                    .chain(["[REDACTED]".to_owned()])
                    .collect::<Vec<_>>();
                Value::from_iter([("command".to_owned(), Value::from(shown))])
            }
            Ok(_) => value.clone(),
            Err(_) => table
                .iter()
                .map(|(key, value)| (key.clone(), redacted(key, value)))
                .collect(),
        },
        Value::Array(items) => items.iter().map(|item| redacted(&key, item)).collect(),
        Value::String(text) if secret || looks_like_a_secret(text) => Value::from("[REDACTED]"),
        other => other.clone(),
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        Value::Array(items) => format!(
            "[{}]",
            items.iter().map(inline).collect::<Vec<_>>().join(", ")
        ),
        Value::Object(table) => {
            let entries: Vec<_> = table
                .iter()
                .map(|(key, value)| format!("{} = {}", quote(key), inline(value)))
                .collect();
            format!("{{ {} }}", entries.join(", "))
        }
        other => other.to_string(),
    }
}
