//! `[[notify]]`.

use super::*;
use crate::notify::{Severity, Topic};

const ALL: &str = r#"
[[notify]]
name = "team"
kind = "mail"
server = "smtp.example.ch"
from = "Prevalidate <prevalidate@example.ch>"
to = ["pki@example.ch", "PKI second line <second@example.ch>"]
user = "prevalidate"
password = { file = "mail.password" }
topics = ["held", "daily_summary"]
[[notify]]
name = "incidents"
kind = "webhook"
severity = "critical"
url = "https://incidents.example.ch/hooks?team=pki"
secret = { env = "SECRET" }
[[notify]]
name = "chat"
kind = "chat"
url = { file = "chat.url" }
[[notify]]
name = "pager"
kind = "command"
command = ["/usr/local/bin/page", "pki"]
repeat_critical = "1h"
"#;

#[test]
fn what_is_told_whom_is_read_and_shown_as_it_is() {
    let folder = Folder::new();
    let text = format!("{GOOD}{}", ALL.replace("?team=pki", ""));
    let settings = folder.load(&text).unwrap();
    assert_eq!(settings.notices, []);
    let [team, incidents, chat, pager] = &settings.notify[..] else {
        panic!("{:?}", settings.notify)
    };
    assert_eq!(team.wants.topics, [Topic::Held, Topic::DailySummary]);
    assert!(team.wants.takes(Topic::DailySummary) && !team.wants.takes(Topic::Lapsed));
    assert!(!incidents.wants.takes(Topic::Held) && incidents.wants.takes(Topic::Lapsed));
    assert!(
        chat.wants.takes(Topic::Held) && !chat.wants.takes(Topic::DailySummary),
        "unless a person wants it"
    );
    assert_eq!(
        (chat.wants.severity, chat.allow_private),
        (Severity::Info, false)
    );
    let repeats = [Topic::Held, Topic::Lapsed].map(|topic| pager.wants.repeat(topic).as_hours());
    assert_eq!(repeats, [24, 1]);
    let NotifyBy::Mail(letter) = &team.by else {
        panic!("{team:?}")
    };
    assert_eq!(
        (letter.port, letter.to.len(), letter.login.is_some()),
        (587, 2, true)
    );
    assert_eq!(
        folder.load(&settings.redacted_toml()).unwrap().notify,
        settings.notify
    );
}

#[test]
fn faults_of_notify_come_all_at_once_and_show_no_secret() {
    let folder = Folder::new();
    let text = format!(
        r#"{GOOD}
[[notify]]
name = "team"
kind = "mail"
server = "smtp.example.ch/x"
tls = "none"
from = "prevalidate"
to = ["pki@example.ch\r\nBcc: all@example.ch"]
user = "prevalidate"
field = "text"
[[notify]]
name = "team"
kind = "webhook"
url = "http://127.0.0.1/"
secret = "{CANARY}"
topics = ["hold", "expired"]
repeat = "1m"
[[notify]]
name = "a chat"
kind = "chat"
url = "https://hooks.example/services/{CANARY}"
topics = []
[[notify]]
name = "pager"
kind = "command"
command = ["page"]
[[notify]]
kind = "pigeon"
"#
    );
    let faults = folder.faults(&text);
    for fault in [
        "notify.server: must be a host",
        "notify.tls: must be \"starttls\" or \"implicit\"",
        "notify.from: must be an address",
        "notify.to: must be an address",
        "notify.user: goes with `password`",
        "notify.field: is for kind = \"chat\"",
        "notify.name: has another [[notify]] already",
        "notify.url: must begin with https://",
        "notify.secret: a secret is never in the configuration itself",
        "notify.topics: names no topic",
        "notify.repeat: must be from 1h to 30d",
        "notify.name: is made of letters",
        "notify.url: a secret is never in the configuration itself",
        "notify.topics: must name at least one",
        "notify.command: must be a list: the program with its whole path",
        "notify.name: is missing",
        "notify.kind: must be",
    ] {
        assert!(
            faults.iter().any(|found| found.contains(fault)),
            "{fault} is not in {faults:#?}"
        );
    }
    assert_eq!(faults.len(), 18, "{faults:#?}");
    assert!(!faults.concat().contains(CANARY));
}
