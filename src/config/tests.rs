//! The configuration as a whole: all faults at once, nothing secret in any of them, and the
//! reference file.
#![allow(clippy::unwrap_used)]

mod auto;
mod certificates;
mod files;
mod find;
mod hooks;
mod notify;
mod reference;
mod server;
mod store;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;

use super::read::SCHEMAS;
use super::*;
use crate::propagation::{GateMode, GateSettings};

const CANARY: &str = "4c9d1f0e7b2a4c9d1f0e7b2a4c9d1f0e7b2a4c9d1f0e7b2a4c9d1f0e7b2a4c9d";
const REFERENCE: &str = include_str!("../../config/prevalidate.toml");

const GOOD: &str = r#"
[policy]
mode = "manage"
[store]
url = "sqlite:prevalidate.db"
[ca.swisssign]
kind = "swisssign"
url = "https://api.ra.swisssign.ch"
user = "MPKI0000001.AutoRAO"
api_key = { file = "api.key" }
[[client]]
name = "MPKI0000001 - Muster AG"
provider = "internal"
domains = ["example.ch", "déjà.vu.com"]
[[client.domain]]
name = "example.com"
provider = "edge"
[provider.internal]
kind = "rfc2136"
server = "192.0.2.1:53"
key_file = "tsig.key"
[provider.edge]
kind = "rfc2136"
server = "198.51.100.1"
key_file = "edge.key"
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    fn load(&self, content: &str) -> Result<Settings, ConfigError> {
        load(&self.write("prevalidate.toml", content))
    }

    /// All faults without the folder's name.
    fn faults(&self, content: &str) -> Vec<String> {
        let folder = format!("{}/", self.0.path().display());
        let error = self.load(content).unwrap_err();
        error
            .faults
            .iter()
            .map(|fault| fault.to_string().replace(&folder, ""))
            .collect()
    }
}

#[test]
fn the_least_configuration_has_the_documented_defaults() {
    let folder = Folder::new();
    let settings = folder.load(GOOD).unwrap();
    let reference =
        load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prevalidate.toml")).unwrap();
    // The reference states every default, so both are the same for each setting with a default.
    assert_eq!(settings.policy, reference.policy);
    assert_eq!(settings.worker, reference.worker);
    let zones = reference.propagation.zones.clone();
    assert_eq!(
        PropagationSettings {
            zones,
            ..settings.propagation
        },
        reference.propagation
    );
    let (ours, theirs) = (&settings.cas["swisssign"], &reference.cas["swisssign"]);
    let mut ours = ours.clone();
    let key = theirs.values.get("api_key").unwrap().clone();
    ours.values.set("api_key", key);
    assert_eq!(&ours, theirs);
}

#[test]
fn paths_start_from_the_folder_of_the_file_and_domains_know_their_provider() {
    let folder = Folder::new();
    folder.write(
        "domains.txt",
        "\u{feff}example.org\r\n# old\nexample.net # shop\n",
    );
    let text = GOOD.replace(
        "[[client.domain]]",
        "domains_file = \"domains.txt\"\n[[client.domain]]",
    );
    let settings = folder.load(&text).unwrap();
    let inside = |name: &str| folder.0.path().join(name);
    assert_eq!(
        settings.store_url,
        format!("sqlite:{}", inside("prevalidate.db").display())
    );
    assert_eq!(
        *settings.cas["swisssign"].values.secret("api_key").unwrap(),
        SecretSource::File(inside("api.key"))
    );
    assert_eq!(
        settings.providers["internal"].table["key_file"],
        inside("tsig.key").to_str().unwrap()
    );
    assert_eq!(settings.clients[0].ca, "swisssign");
    let domains: Vec<_> = settings.clients[0]
        .domains
        .iter()
        .map(|d| (d.name.as_str(), d.provider.as_deref().unwrap()))
        .collect();
    let internal = |name| (name, "internal");
    assert_eq!(
        domains,
        [
            internal("example.ch"),
            internal("xn--dj-kia8a.vu.com"),
            ("example.com", "edge"),
            internal("example.org"),
            internal("example.net")
        ]
    );
    assert_eq!(settings.notices, []);
}

#[test]
fn all_faults_come_at_once_each_with_its_line_and_key() {
    let folder = Folder::new();
    folder.write(
        "domains.txt",
        b"example.net\nexample.ch\nd\xe9j\xe0.vu.com\n",
    );
    let faults = folder.faults(
        r#"[policy]
mode = "mange"
renew_befor = "30d"
critical = "5"
max_at_risk = 0
[store]
url = "postgres://u:p@db/x"
[ca.swisssign]
kind = "swisssign"
url = "http://api.ra.swisssign.ch"
api_key = "4711"
[[client]]
ca = "swisssing"
name = "Muster AG"
provider = "intrenal"
domains = [
    "example.ch",
    "déjà.vu.com",
    "xn--dj-kia8a.vu.com",
    "co.uk",
]
domains_file = "domains.txt"
[[client]]
ca = "swisssign"
reference = "Muster AG"
domains = ["EXAMPLE.CH."]
[provider.internal]
server = "192.0.2.1"
[propagation]
poll = 10
mode = "resolvers"
rate = "1/s"
[propagation.zone."example.ch"]
name_servers = ["ns1.example.ch"]
settel = "1s"
[propagation.zone."b.example.ch"]
resolvers = ["9.9.9.9", "tls://dns.quad9.net", "https://u:p@9.9.9.9/"]
[worker]
concurrency = 1000000000
[daemon]
listen = "127.0.0.1:80"
"#,
    );
    let wanted = [
        "prevalidate.toml:2: policy.mode: must be \"manage\" or \"observe\"",
        "prevalidate.toml:3: policy.renew_befor: is not a key of this section",
        "prevalidate.toml:4: policy.critical: must be a duration with its unit",
        "prevalidate.toml:5: policy.max_at_risk: must be a whole number from 1 to 10000",
        "prevalidate.toml:7: store.url: must not hold a password",
        "prevalidate.toml:8: ca.swisssign.user: is missing",
        "prevalidate.toml:10: ca.swisssign.url: must begin with https://",
        "prevalidate.toml:11: ca.swisssign.api_key: a secret is never in the configuration itself",
        "prevalidate.toml:13: client.ca: there is no section [ca.…] of this name",
        "prevalidate.toml:15: client.provider: there is no section [provider.…] of this name",
        "prevalidate.toml:20: client.domains: `co.uk` is a public suffix",
        "prevalidate.toml:25: client.reference: must begin with cli-",
        "prevalidate.toml:27: provider.internal.kind: missing: say which kind of provider",
        "prevalidate.toml:30: propagation.poll: must be a duration with its unit in quotes",
        "prevalidate.toml:31: propagation.mode: needs `resolvers`",
        "prevalidate.toml:32: propagation.rate: must be at least \"10/s\"",
        "prevalidate.toml:33: propagation.zone.example.ch.mode: needs `resolvers`",
        "prevalidate.toml:34: propagation.zone.example.ch.name_servers: must be an IP address",
        "prevalidate.toml:35: propagation.zone.example.ch.settel: is not a key of this section",
        "prevalidate.toml:37: propagation.zone.b.example.ch.resolvers: must not hold a user name",
        "prevalidate.toml:37: propagation.zone.b.example.ch.resolvers: needs an IP address after tls://",
        "prevalidate.toml:39: worker.concurrency: must be a whole number from 1 to 256",
        "prevalidate.toml:40: daemon: is not a key of this section",
        "domains.txt:3: is not UTF-8 text",
    ];
    for (fault, wanted) in faults.iter().zip(wanted) {
        assert!(fault.starts_with(wanted), "{fault}\nwanted: {wanted}");
    }
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
}

#[test]
fn a_bad_line_of_a_list_costs_only_itself_and_a_list_of_another_kind_is_refused_whole() {
    let folder = Folder::new();
    let text = GOOD.replace(
        "[[client.domain]]",
        "domains_file = \"domains.txt\"\n[[client.domain]]",
    );
    folder.write(
        "domains.txt",
        b"example.org\nexample.net,old\nd\xe9j\xe0.ch\n*.example.org\nexample.li\nexample.li\nexample.eu\n",
    );
    let settings = folder.load(&text).unwrap();
    let names: Vec<_> = settings.clients[0]
        .domains
        .iter()
        .map(|d| d.name.as_str())
        .collect();
    assert_eq!(names[3..], ["example.org", "example.li", "example.eu"]);
    let lines = |faults: &[Fault]| faults.iter().map(|f| f.line.unwrap()).collect::<Vec<_>>();
    assert_eq!(lines(&settings.left_out), [2, 3]);
    let twice: Vec<_> = settings
        .notices
        .iter()
        .filter(|n| n.message.contains("is listed twice"))
        .collect();
    assert_eq!(
        twice.iter().map(|n| n.line.unwrap()).collect::<Vec<_>>(),
        [4, 6]
    );

    for (content, words) in [
        (
            &b"<!DOCTYPE html>\n<html>example.org</html>"[..],
            "an HTML or XML page",
        ),
        (b"example.org\0\n\x01\x02", "a binary file"),
        (b"PK\x03\x04example.org", "an Excel workbook"),
        (
            b"name,provider\nexample.org,internal\n",
            "domains.txt:1: `name,provider`",
        ),
        (b"example.org\nno name\nneither this\n", "domains.txt:2: "),
    ] {
        folder.write("domains.txt", content);
        let faults = folder.faults(&text);
        assert!(faults[0].contains(words), "{faults:?}");
    }
}

#[test]
fn a_domain_may_be_at_two_clients_once_at_each() {
    let folder = Folder::new();
    let other =
        "[[client]]\nname = \"Other AG\"\nprovider = \"edge\"\ndomains = [\"example.ch\"]\n";
    let settings = folder.load(&format!("{GOOD}\n{other}")).unwrap();
    let at = |client: &ClientSettings| {
        let names = client.domains.iter();
        names.filter(|d| d.name.as_str() == "example.ch").count()
    };
    let counts: Vec<_> = settings.clients.iter().map(at).collect();
    assert_eq!(counts, [1, 1]);
    let again = other.replace("edge", "internal");
    let faults = folder.faults(&format!("{GOOD}\n{other}\n{again}"));
    assert!(
        faults[0].contains("example.ch is listed twice"),
        "{faults:?}"
    );
    assert_eq!(faults.len(), 1, "{faults:?}");
}

#[test]
fn a_name_twice_for_two_providers_is_a_fault_and_thousands_of_faults_are_bounded() {
    let folder = Folder::new();
    let both = GOOD.replace("[\"example.ch\"", "[\"example.com\", \"example.ch\"");
    assert!(
        folder.faults(&both)[0].contains("example.com is listed twice"),
        "{both}"
    );
    let names: String = (0..20_000).map(|n| format!("d{n}.example.ch\n")).collect();
    folder.write("domains.txt", &names);
    let list = "domains_file = \"domains.txt\"\n";
    let text = GOOD.replace("[[client.domain]]", &format!("{list}[[client.domain]]"));
    let text = format!(
        "{text}\n[[client]]\nname = \"MPKI0000001 - Muster AG\"\nprovider = \"edge\"\n{list}"
    );
    let faults = folder.faults(&text);
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[100], "and 19900 more faults");
    // How many are bad is not known where the file was not read to its end.
    folder.write("domains.txt", "no name\n".repeat(100_000));
    let text = GOOD.replace("[[client.domain]]", &format!("{list}[[client.domain]]"));
    let faults = folder.faults(&text);
    assert_eq!(faults.len(), 101);
    assert_eq!(faults[100], "and more faults");
}

#[test]
fn unknown_keys_and_names_come_with_what_was_probably_meant() {
    let folder = Folder::new();
    for (from, to, hint) in [
        (
            "mode =",
            "renew-before = \"30d\"\nmode =",
            "did you mean `renew_before`?",
        ),
        ("user =", "usr = \"x\"\nuser =", "did you mean `user`?"),
        ("[store]", "[stroe]\n[store]", "did you mean `store`?"),
        (
            "mode =",
            "frobnicate = 1\nmode =",
            "[policy] has mode, renew_before",
        ),
        (
            "provider = \"internal\"",
            "provider = \"internl\"",
            "did you mean \"internal\"?",
        ),
        (
            "provider = \"edge\"",
            "provider = \"aws\"",
            "defined: edge, internal",
        ),
    ] {
        let error = folder.load(&GOOD.replace(from, to)).unwrap_err();
        let hints: Vec<_> = error
            .faults
            .iter()
            .filter_map(|fault| fault.hint.as_deref())
            .collect();
        assert!(hints.iter().any(|text| text.contains(hint)), "{error}");
    }
}

#[test]
fn nothing_is_decided_for_the_user_that_could_destroy_something() {
    let folder = Folder::new();
    let faults = folder.faults(&GOOD.replace("mode = \"manage\"", ""));
    assert_eq!(faults, ["prevalidate.toml:2: policy.mode: is missing"]);
    let faults = folder.faults("");
    assert!(
        faults
            .iter()
            .any(|fault| fault == "prevalidate.toml: policy.mode: is missing"),
        "{faults:?}"
    );
}

#[test]
fn a_line_that_is_no_toml_is_named_and_does_not_hide_the_other_faults() {
    let folder = Folder::new();
    let text = GOOD
        .replace(
            "user = \"MPKI0000001.AutoRAO\"",
            "user = MPKI0000001.AutoRAO",
        )
        .replace("domains =", "domain_list =");
    let faults = folder.faults(&text);
    assert!(
        faults[0].starts_with("prevalidate.toml:9: is not TOML"),
        "{faults:?}"
    );
    assert!(
        faults
            .iter()
            .any(|fault| fault.contains("client.domain_list: is not a key")),
        "{faults:?}"
    );
    assert!(
        !faults.iter().any(|fault| fault.contains("missing")),
        "{faults:?}"
    );
}

#[test]
fn an_api_key_in_the_wrong_place_is_never_shown() {
    let folder = Folder::new();
    let quoted = format!("\"{CANARY}\"");
    let mut texts = Vec::new();
    // In the place of every value, and of every key, of a good file and of the reference.
    for base in [GOOD, REFERENCE] {
        for (number, line) in base
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.starts_with("# ") && !line.trim().is_empty())
        {
            let mut variants = vec![
                CANARY.to_owned(),
                quoted.clone(),
                format!("{line} {CANARY}"),
                format!("{CANARY} = {quoted}"),
                format!("[{CANARY}]"),
                format!("[ca.{CANARY}]"),
                format!("[[{CANARY}]]"),
                format!("{line}\n{CANARY} = 1\n{CANARY} = 2"),
            ];
            if let Some((key, _)) = line.split_once('=') {
                for value in [
                    quoted.clone(),
                    CANARY.to_owned(),
                    format!("\"{CANARY}"),
                    format!("'{CANARY}\""),
                    format!("[{quoted}]"),
                    format!("{{ file = {quoted} }}"),
                    format!("{{ env = {quoted} }}"),
                    format!("{{ value = {quoted} }}"),
                    format!("{{ {CANARY} = 1 }}"),
                    format!("https://{CANARY}@host"),
                    format!("\"https://u:{CANARY}@host/\""),
                    format!("\"sqlite:x?key={CANARY}\""),
                    format!("\"{CANARY}/s\""),
                    format!("\"{CANARY}.ch/\""),
                    format!("\"\"\"{CANARY}"),
                ] {
                    variants.push(format!("{key}= {value}"));
                }
            }
            for variant in variants {
                let lines = base
                    .lines()
                    .enumerate()
                    .map(|(n, old)| if n == number { variant.as_str() } else { old });
                texts.push(lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }
    let mut refused = 0;
    for text in texts {
        let shown = match folder.load(&text) {
            Ok(settings) => format!("{:?}", settings.notices),
            Err(error) => {
                refused += 1;
                format!("{error}\n{error:?}")
            }
        };
        assert!(!shown.contains(&CANARY[..16]), "{shown}\n---\n{text}");
    }
    assert!(refused > 500, "{refused}");
    folder.write("domains.txt", CANARY);
    let text = GOOD.replace(
        "[[client.domain]]",
        "domains_file = \"domains.txt\"\n[[client.domain]]",
    );
    assert!(!folder.faults(&text)[0].contains(CANARY));
}

#[test]
fn what_is_shown_is_the_same_configuration_again_without_secrets() {
    let folder = Folder::new();
    let reference =
        load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/prevalidate.toml")).unwrap();
    let shown = reference.redacted_toml();
    let again = folder.load(&shown).unwrap();
    assert_eq!(
        Settings {
            file: reference.file.clone(),
            notices: Vec::new(),
            ..again.clone()
        }
        .redacted_toml(),
        shown
    );
    assert_eq!(
        (&again.policy, &again.cas, &again.worker),
        (&reference.policy, &reference.cas, &reference.worker)
    );
    assert_eq!(
        (&again.clients, &again.propagation),
        (&reference.clients, &reference.propagation)
    );

    let text = GOOD.replace(
        "key_file = \"tsig.key\"",
        "key_name = \"k\"\nsecret = { command = [\"pass\", \"hunter2\"] }",
    );
    let shown = folder.load(&text).unwrap().redacted_toml();
    assert!(
        !shown.contains("hunter2") && shown.contains("[REDACTED]"),
        "{shown}"
    );
}

#[test]
fn a_zone_is_shown_with_what_counts_there() {
    let folder = Folder::new();
    let text = format!(
        "{GOOD}[propagation]\nmode = \"resolvers\"\nresolvers = [\"9.9.9.9\", \"tls://9.9.9.9#dns.quad9.net\"]\n\
         [propagation.zone.\"déjà.vu.com\"]\nmode = \"delay\"\n[propagation.zone.\"example.ch\"]\nrounds = 1\n"
    );
    let settings = folder.load(&text).unwrap();
    let delays = |settings: &Settings| {
        let propagation = settings.propagation.clone();
        let gate = GateSettings {
            general: propagation.general,
            zones: propagation.zones,
            ..GateSettings::default()
        };
        ["xn--dj-kia8a.vu.com", "example.ch", "example.com"].map(|name| {
            gate.way(&DomainName::from_a_labels(name).unwrap())
                .delay
                .as_secs()
        })
    };
    assert_eq!(delays(&settings), [600, 60, 60]);
    let shown = settings.redacted_toml();
    assert!(
        shown.contains("\"tls://9.9.9.9:853#dns.quad9.net\""),
        "{shown}"
    );
    assert_eq!(
        delays(&folder.load(&shown).unwrap()),
        [600, 60, 60],
        "{shown}"
    );
    assert_eq!(settings.notices, []);
    let one = folder.load(&text.replace("\"9.9.9.9\", ", "")).unwrap();
    assert!(
        one.notices[0].message.contains("is one only"),
        "{:?}",
        one.notices
    );
}

#[test]
fn a_secret_goes_to_no_host_in_clear_and_to_no_strange_host_in_silence() {
    let folder = Folder::new();
    let with = |url: &str| folder.load(&GOOD.replace("https://api.ra.swisssign.ch", url));
    for url in [
        "https://api.ra.pre.swisssign.ch/v2",
        "http://127.0.0.1:8080",
        "http://[::1]:1",
        "http://localhost:1",
    ] {
        assert_eq!(with(url).unwrap().notices, [], "{url}");
    }
    for url in [
        "https://api.ra.swisssign.ch.evil.example",
        "https://evilswisssign.ch",
    ] {
        assert!(
            with(url).unwrap().notices[0]
                .message
                .contains("no host of swisssign.ch"),
            "{url}"
        );
    }
    for url in [
        "http://api.ra.swisssign.ch",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "api.ra.swisssign.ch",
        "https://u:p@h",
    ] {
        assert!(with(url).is_err(), "{url}");
    }
}

#[test]
fn a_sandbox_on_this_machine_can_be_configured() {
    let folder = Folder::new();
    let text = GOOD
        .replace("https://api.ra.swisssign.ch", "http://127.0.0.1:40123")
        .replace("example.ch\", \"déjà.vu.com", "example.test\", \"shop.test")
        .replace("user =", "rate = \"50/s\"\nuser =")
        + "[propagation]\nmode = \"authoritative\"\npoll = \"1s\"\nsettle = \"0s\"\n[propagation.zone.\"example.test\"]\n\
           name_servers = [\"127.0.0.1:40124\", \"127.0.0.1:40125\"]\n";
    let settings = folder.load(&text).unwrap();
    assert_eq!(settings.propagation.settle, Duration::ZERO);
    assert_eq!(
        settings.propagation.zones["example.test"]
            .name_servers
            .len(),
        2
    );
    assert_eq!(settings.cas["swisssign"].rate.per_second(), 50.0);
    assert_eq!(settings.notices, [], "such names belong to a sandbox");
    // To any other CA they do not; that is said once, not for each of them.
    let settings = folder
        .load(&text.replace("http://127.0.0.1:40123", "https://api.ra.swisssign.ch"))
        .unwrap();
    assert_eq!(settings.notices.len(), 1, "{:?}", settings.notices);
}

#[test]
fn shorter_renewal_windows_take_their_alarms_along() {
    let folder = Folder::new();
    let with = |keys: &str| folder.load(&GOOD.replace("[store]", &format!("{keys}\n[store]")));
    let policy = with("renew_before = \"3d\"").unwrap().policy;
    assert_eq!(
        (policy.warning, policy.critical),
        (
            SignedDuration::from_hours(48),
            SignedDuration::from_secs(60_480)
        )
    );
    assert!(with("warning = \"2d\"\ncritical = \"3d\"").is_err());
    assert!(
        with("warning = \"40d\"").unwrap().notices[0]
            .message
            .contains("renew_before")
    );
}

#[test]
fn the_reuse_table_is_replaced_as_a_whole() {
    let folder = Folder::new();
    let rows = "[[policy.reuse]]\nstart = \"2027-03-15\"\nlimit = \"98d\"\nsource = \"SC-081\"\n";
    let settings = folder
        .load(&GOOD.replace("[store]", &format!("{rows}[store]")))
        .unwrap();
    let row = &settings.policy.reuse[0];
    assert_eq!(
        (row.start.to_string().as_str(), row.limit.as_hours()),
        ("2027-03-15T00:00:00Z", 98 * 24)
    );
    let faults =
        folder.faults(&GOOD.replace("[store]", "[[policy.reuse]]\nstart = \"soon\"\n[store]"));
    assert_eq!(faults.len(), 3, "{faults:?}");
}

#[test]
fn the_reference_shows_every_key_and_no_other() {
    let mut schema = None;
    let mut shown: BTreeSet<(&str, &str)> = BTreeSet::new();
    for line in REFERENCE.lines().map(str::trim) {
        let line = line
            .strip_prefix('#')
            .filter(|rest| !rest.starts_with(' '))
            .unwrap_or(line);
        if line.starts_with('[') {
            let heading = line.trim_matches(['[', ']']);
            let (sections, name) = heading
                .split_once(".\"")
                .map_or((heading, None), |(s, name)| (s, Some(name)));
            let parts: Vec<_> = sections.split('.').chain(name).collect();
            schema = SCHEMAS.iter().find(|schema| {
                let known: Vec<_> = schema.path.split('.').collect();
                known.len() == parts.len()
                    && known
                        .iter()
                        .zip(&parts)
                        .all(|(known, part)| *known == "NAME" || known == part)
            });
            // A section is a key of the section above it.
            shown.insert(("", parts[0]));
            shown.extend(parts.get(1).map(|part| (parts[0], *part)));
        } else if let (Some(schema), Some((key, _))) = (schema, line.split_once('=')) {
            let key = key.trim();
            if !line.starts_with('#') {
                assert!(
                    schema.keys.contains(&key),
                    "[{}] {key} is shown and not known",
                    schema.path
                );
                shown.insert((schema.path, key));
            }
        }
    }
    for schema in SCHEMAS {
        for key in schema.keys {
            assert!(
                shown.contains(&(schema.path, key)),
                "[{}] {key} is known and not shown",
                schema.path
            );
        }
    }
}

#[test]
fn the_settings_that_are_comments_in_the_reference_work_as_they_are() {
    let folder = Folder::new();
    folder.write("domains.txt", "example.org\n");
    folder.write("persistent.txt", "example.net\n");
    let ca_file = folder.write("ca.pem", files::certificate().0);
    let anchors = folder.write(
        "root.ds",
        ". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\n",
    );
    let text: String = REFERENCE
        .lines()
        .filter(|line| !line.starts_with("name = \"MPKI"))
        // For other kinds of CA than the one of the reference.
        .filter(|line| {
            ![
                "#term",
                "#requester",
                "#fields",
                "#contact",
                "#duplicate_of",
            ]
            .iter()
            .any(|key| line.starts_with(key))
        })
        .map(|line| {
            line.strip_prefix('#')
                .filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
                .unwrap_or(line)
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let ca_file = ca_file.to_str().unwrap();
    let text = text
        .replace("/etc/prevalidate/ca.pem", ca_file)
        .replace("/etc/prevalidate/root.ds", anchors.to_str().unwrap());
    let text = text
        .replace("/etc/prevalidate/server.pem", ca_file)
        .replace("/etc/prevalidate/server.key", ca_file);
    let key = crate::certificates::PrivateKey::generate(Default::default()).unwrap();
    let content = crate::certificates::key::RequestContent {
        common_name: "Joe Muster".to_owned(),
        dns_names: Vec::new(),
        email: Some("joe@example.ch".to_owned()),
    };
    let csr = folder.write("joe.csr", key.request(&content).unwrap().pem());
    let text = text.replace("/etc/prevalidate/joe.csr", csr.to_str().unwrap());
    let settings = folder.load(&text).unwrap();
    let certificates = &settings.certificates.certificates;
    assert_eq!(certificates.len(), 2);
    assert_eq!(
        settings.propagation.zones["example.ch"].mode,
        Some(GateMode::Resolvers)
    );
    assert_eq!(settings.policy.reuse.len(), 1);
    assert!(
        settings.cas["swisssign"]
            .values
            .secret("second_api_key")
            .is_some()
            && settings.cas["swisssign"].proxy.is_some()
    );
    assert_eq!(settings.clients[0].domains.len(), 4);
    assert_eq!(settings.persistent[0].domains.len(), 2);
}

#[test]
fn names_in_caa_records_are_host_names_and_there_is_one_at_least() {
    let folder = Folder::new();
    let with = |names: &str| GOOD.replace("user =", &format!("caa_names = {names}\nuser ="));
    assert_eq!(
        folder.load(GOOD).unwrap().cas["swisssign"].caa_names,
        ["swisssign.com"]
    );
    let two = folder
        .load(&with(r#"["swisssign.com", "ca.example"]"#))
        .unwrap();
    assert_eq!(
        two.cas["swisssign"].caa_names,
        ["swisssign.com", "ca.example"]
    );
    for names in [
        "[]",
        r#"["swisssign.com."]"#,
        r#"["swiss sign"]"#,
        r#"[""]"#,
        "7",
    ] {
        let faults = folder.faults(&with(names));
        assert!(
            faults
                .iter()
                .any(|fault| fault.contains("ca.swisssign.caa_names")),
            "{names}: {faults:?}"
        );
    }
}

#[test]
fn a_host_of_accounts_is_a_name_alone_and_a_wildcard_of_a_record_is_told() {
    let folder = Folder::new();
    let with = |host: &str, domain: &str| {
        format!(
            "{GOOD}\n[[persistent]]\nissuer = \"ca.example\"\n\
             accounturi = \"https://acme.ca.example/1\"\naccount_host = \"{host}\"\n\
             domains = [\"{domain}\"]\n"
        )
    };
    let settings = folder.load(&with("acme.ca.example", "*.d1.ch")).unwrap();
    assert_eq!(settings.persistent[0].domains[0].as_str(), "d1.ch");
    let notices = &settings.notices;
    assert!(
        notices
            .iter()
            .any(|notice| notice.message.contains("the record is kept at d1.ch")),
        "{notices:?}"
    );
    for host in ["https://x/", "acme.ca.example:443", "acme.ca.example."] {
        let faults = folder.faults(&with(host, "d1.ch"));
        assert!(
            faults.len() == 1 && faults[0].contains("account_host: must be a host name alone"),
            "{host}: {faults:?}"
        );
    }
}
