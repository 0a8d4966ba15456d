//! `[[notify]]`: the receivers of notices, their topics, and the way of sending.

use std::collections::BTreeSet;
use std::path::PathBuf;

use lettre::message::Mailbox;
use url::{Host, Url};

use super::fault::nearest;
use super::quantity::{DAY, HOUR};
use super::tree::{Schema, Section};
use super::urls::plain_url;
use crate::notify::carrier::mail::{Begin, Letter};
use crate::notify::carrier::program::Program;
use crate::notify::carrier::web::Receiver;
use crate::notify::{Severity, Topic, Wants};

pub(super) const NOTIFY: Schema = Schema {
    path: "notify",
    keys: &[
        "name",
        "kind",
        "topics",
        "severity",
        "repeat",
        "repeat_critical",
        "allow_private",
        "ca_file",
        "url",
        "secret",
        "field",
        "command",
        "server",
        "tls",
        "user",
        "password",
        "from",
        "to",
    ],
};

/// The keys that only some kinds have.
const OF_KINDS: [(Kind, &[&str]); 4] = [
    (
        Kind::Webhook,
        &["url", "secret", "allow_private", "ca_file"],
    ),
    (Kind::Chat, &["url", "field", "allow_private", "ca_file"]),
    (Kind::Command, &["command"]),
    (
        Kind::Mail,
        &[
            "server",
            "tls",
            "user",
            "password",
            "from",
            "to",
            "allow_private",
            "ca_file",
        ],
    ),
];

/// More receivers have a list of their own at the mail server.
const MOST_RECEIVERS: usize = 50;

/// `[[notify]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifySettings {
    /// Its name.
    pub name: String,
    /// The payload that it gets.
    pub wants: Wants,
    /// Whether it may be at a private address.
    pub allow_private: bool,
    /// Root certificates in PEM instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// The carrier.
    pub by: NotifyBy,
}

/// The carrier of a notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotifyBy {
    /// HTTP.
    Web(Receiver),
    /// A program.
    Program(Program),
    /// Mail.
    Mail(Letter),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Webhook,
    Chat,
    Command,
    Mail,
}

impl Kind {
    const ALL: [(&'static str, Self); 4] = [
        ("webhook", Self::Webhook),
        ("chat", Self::Chat),
        ("command", Self::Command),
        ("mail", Self::Mail),
    ];

    fn keys(self) -> &'static [&'static str] {
        OF_KINDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(&[], |(_, keys)| keys)
    }

    fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(_, kind)| *kind == self)
            .map_or("", |(word, _)| word)
    }
}

/// All of them, in the order of the file.
pub(super) fn read(top: &Section<'_>) -> Vec<NotifySettings> {
    let mut names = BTreeSet::new();
    let sections = top.tables("notify", &NOTIFY);
    sections
        .iter()
        .filter_map(|section| one(section, &mut names))
        .collect()
}

fn one(section: &Section<'_>, names: &mut BTreeSet<String>) -> Option<NotifySettings> {
    section.must_have(
        "name",
        "yours, for messages and metrics: letters, digits, `.`, `_` and `-`",
    );
    section.must_have(
        "kind",
        "write kind = \"mail\", \"webhook\", \"chat\" or \"command\"",
    );
    let name = section.text("name");
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    match name {
        Some(name) if !name.chars().all(plain) => {
            section.fault("name", "is made of letters, digits, `.`, `_` and `-`");
        }
        Some(name) if !names.insert(name.to_owned()) => {
            section.fault("name", "has another [[notify]] already")
        }
        _ => {}
    }
    let kind = section.choice("kind", &Kind::ALL);
    let wants = wants(section);
    let kind = kind?;
    for (key, ..) in section.entries() {
        let special = OF_KINDS.iter().any(|(_, keys)| keys.contains(&key));
        if special && !kind.keys().contains(&key) {
            let owners: Vec<_> = OF_KINDS
                .iter()
                .filter(|(_, keys)| keys.contains(&key))
                .collect();
            let owners: Vec<_> = owners
                .iter()
                .map(|(kind, _)| format!("\"{}\"", kind.as_str()))
                .collect();
            section.fault(key, format!("is for kind = {}", owners.join(" and ")));
        }
    }
    let allow_private = section.flag("allow_private", false);
    let ca_file = section.trusted_file("ca_file");
    let by = match kind {
        Kind::Webhook => webhook(section, allow_private).map(NotifyBy::Web),
        Kind::Chat => {
            section.must_have(
                "url",
                "where it is: url = { file = \"…\" }; a person who knows it may write there",
            );
            let field = section.text("field").unwrap_or("text").to_owned();
            section
                .secret("url")
                .map(|url| NotifyBy::Web(Receiver::Chat { url, field }))
        }
        Kind::Command => command(section).map(NotifyBy::Program),
        Kind::Mail => letter(section).map(NotifyBy::Mail),
    };
    Some(NotifySettings {
        name: name?.to_owned(),
        wants,
        allow_private,
        ca_file,
        by: by?,
    })
}

fn wants(section: &Section<'_>) -> Wants {
    let named = section.texts("topics").into_iter().filter_map(|item| {
        let found = Topic::ALL
            .into_iter()
            .find(|topic| topic.as_str() == item.text);
        if found.is_none() {
            let hint = match nearest(item.text, Topic::ALL.map(Topic::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => format!(
                    "the topics are {}",
                    Topic::ALL.map(Topic::as_str).join(", ")
                ),
            };
            section.reader.fault(
                Some(item.line),
                &section.key("topics"),
                "names no topic",
                Some(hint),
            );
        }
        found
    });
    let topics: Vec<Topic> = named.collect();
    if section.has("topics") && section.texts("topics").is_empty() {
        section.fault("topics", "must name at least one, or be left out");
    }
    let repeat = |key, default| section.duration(key, HOUR..=DAY * 30, default);
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let topics = if section.has("topics") {
        topics
    } else {
        Topic::ALL
            .into_iter()
            .filter(|&topic| topic != Topic::DailySummary)
            .collect()
    };
    Wants {
        topics,
        severity: section
            .choice("severity", &severities)
            .unwrap_or(Severity::Info),
        repeat: repeat("repeat", DAY),
        repeat_critical: repeat("repeat_critical", HOUR * 6),
    }
}

fn webhook(section: &Section<'_>, allow_private: bool) -> Option<Receiver> {
    section.must_have("url", "where it is: url = \"https://…\"");
    section.must_have(
        "secret",
        "where it is: secret = { file = \"…\" }; `whsec_` and base64, or 24 characters at least",
    );
    let url = section
        .text("url")
        .and_then(|text| plain_url(section, "url", text));
    let good = |url: &Url| url.scheme() == "https" || url.scheme() == "http" && allow_private;
    if url.as_ref().is_some_and(|url| !good(url)) {
        section.fault(
            "url",
            "must begin with https:// (http:// only with `allow_private = true`)",
        );
    }
    Some(Receiver::Webhook {
        secret: section.secret("secret")?,
        url: url.filter(good)?,
    })
}

fn command(section: &Section<'_>) -> Option<Program> {
    section.must_have(
        "command",
        "the program and its arguments: command = [\"/usr/local/bin/tell\", \"oncall\"]",
    );
    let words: Vec<String> = section
        .texts("command")
        .iter()
        .map(|item| item.text.to_owned())
        .collect();
    if !section.has("command") {
        return None;
    }
    if words
        .first()
        .is_none_or(|program| !program.starts_with('/'))
    {
        section.fault(
            "command",
            "must be a list: the program with its whole path, then its arguments",
        );
        return None;
    }
    Some(Program(words))
}

fn letter(section: &Section<'_>) -> Option<Letter> {
    section.must_have(
        "server",
        "the mail server: server = \"smtp.example.ch:587\"",
    );
    section.must_have("from", "the sender: from = \"prevalidate@example.ch\"");
    section.must_have("to", "who gets the mail: to = [\"pki@example.ch\"]");
    let tls = section.choice(
        "tls",
        &[("starttls", Begin::StartTls), ("implicit", Begin::Implicit)],
    );
    let tls = tls.unwrap_or(Begin::StartTls);
    let server = section
        .text("server")
        .and_then(|text| server(section, text, tls));
    let from = section
        .text("from")
        .and_then(|text| mailbox(section, "from", text, section.line_of("from")));
    let texts = section.texts("to");
    if section.has("to") && !(1..=MOST_RECEIVERS).contains(&texts.len()) {
        section.fault("to", format!("must hold 1 to {MOST_RECEIVERS} addresses"));
    }
    let to: Vec<Mailbox> = texts
        .iter()
        .filter_map(|item| mailbox(section, "to", item.text, Some(item.line)))
        .collect();
    let (user, password) = (section.text("user"), section.secret("password"));
    if section.has("user") != section.has("password") {
        section.fault("user", "goes with `password`: give both or none");
    }
    let (host, port) = server?;
    let login = user.map(str::to_owned).zip(password);
    Some(Letter {
        host,
        port,
        tls,
        login,
        from: from?,
        to,
    })
}

fn server(section: &Section<'_>, text: &str, tls: Begin) -> Option<(Host<String>, u16)> {
    // The rules for hosts are those of URLs.
    let url = Url::parse(&format!("https://{text}")).ok();
    let plain = |url: &Url| url.path() == "/" && url.query().is_none() && url.username().is_empty();
    let url = url.filter(|url| plain(url) && url.fragment().is_none() && !text.ends_with('/'));
    let Some(host) = url.as_ref().and_then(Url::host) else {
        section.fault(
            "server",
            "must be a host, with or without its port: \"smtp.example.ch:587\"",
        );
        return None;
    };
    let usual = if tls == Begin::Implicit { 465 } else { 587 };
    Some((
        host.to_owned(),
        url.as_ref().and_then(Url::port).unwrap_or(usual),
    ))
}

/// An address of mail; a line break in it would be another header.
fn mailbox(section: &Section<'_>, key: &str, text: &str, line: Option<usize>) -> Option<Mailbox> {
    let found = text
        .parse()
        .ok()
        .filter(|_| !text.chars().any(char::is_control));
    if found.is_none() {
        let message =
            "must be an address such as \"pki@example.ch\" or \"PKI team <pki@example.ch>\"";
        section.reader.fault(line, &section.key(key), message, None);
    }
    found
}
