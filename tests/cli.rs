//! The built binary as people and scripts meet it: its words, its exit status, what it leaves
//! behind.

mod configuration;
mod diagnose;
mod first_steps;
mod forecast;
#[cfg(feature = "crashpoints")]
mod kept;
mod life;
mod parts;
mod reaching;
mod readiness;
mod registrations;
mod secrets;
mod unreachable;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

const CANARY: &str = "4c9d1f0e7b2a4c9d1f0e7b2a4c9d1f0e7b2a4c9d1f0e7b2a4c9d1f0e7b2a4c9d";

/// A configuration in a folder of its own, with a CA at a port without a listener.
struct Bench {
    folder: tempfile::TempDir,
    port: u16,
}

/// The output of a command, and its exit status.
#[derive(Debug)]
struct Said {
    status: Option<i32>,
    out: String,
    err: String,
}

impl Bench {
    fn new() -> Self {
        // A port of the system's choice that is closed comes back late.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
            port,
        };
        bench.write(
            "prevalidate.toml",
            bench.configuration(r#"["example.ch", "déjà.vu.com"]"#),
        );
        bench.secret("api.key", CANARY);
        bench.secret(
            "tsig.key",
            "key \"k\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0\";\n};\n",
        );
        bench
    }

    fn configuration(&self, domains: &str) -> String {
        let port = self.port;
        format!(
            r#"[policy]
mode = "manage"
[store]
url = "sqlite:prevalidate.db"
[ca.lab]
kind = "swisssign"
url = "http://127.0.0.1:{port}"
user = "MPKI0000001.AutoRAO"
api_key = {{ file = "api.key" }}
[[client]]
reference = "cli-00000000-0000-0000-0000-000000000000"
provider = "internal"
domains = {domains}
[provider.internal]
kind = "rfc2136"
server = "127.0.0.1:9"
key_file = "tsig.key"
"#
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn secret(&self, name: &str, content: &str) {
        use std::os::unix::fs::PermissionsExt;
        self.write(name, content);
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        command(self.folder.path(), args)
    }

    fn run(&self, args: &[&str]) -> Said {
        self.run_with(args, "")
    }

    fn run_with(&self, args: &[&str], input: impl AsRef<[u8]>) -> Said {
        self.write("stdin", input);
        let input = std::fs::File::open(self.path("stdin")).unwrap();
        Said::of(self.command(args).stdin(input))
    }

    /// Files beside those that were put there.
    fn leftovers(&self) -> Vec<String> {
        let known = ["prevalidate.toml", "api.key", "tsig.key", "stdin"];
        let names = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|name| !known.contains(&name.as_str()))
            .collect()
    }
}

/// The binary in a folder, with an environment that says nothing.
fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
    command
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("API_KEY", CANARY)
        .stdin(Stdio::null());
    command
}

impl Said {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        let said = Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        };
        for text in [&said.out, &said.err] {
            assert!(!text.contains(CANARY), "a secret is out: {said:?}");
            assert!(!text.contains("panicked"), "{said:?}");
            assert!(
                !text.chars().any(|c| c.is_control() && c != '\n'),
                "a control character is out: {said:?}"
            );
        }
        said
    }

    #[track_caller]
    fn ends(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{self:#?}");
        self
    }

    #[track_caller]
    fn says(self, words: &str) -> Self {
        assert!(
            self.out.contains(words) || self.err.contains(words),
            "no `{words}` in {self:#?}"
        );
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }
}

#[test]
fn every_fault_of_the_configuration_is_told_by_every_command_and_nothing_is_made() {
    let bench = Bench::new();
    let text = bench.configuration(r#"["example.ch", "_dmarc.example.ch", "co.uk"]"#);
    let text = text
        .replace("mode =", "mdoe =")
        .replace("server =", "sevrer =")
        .replace("[store]", "[store]\nmode = 1");
    bench.write("prevalidate.toml", text);
    let commands: [&[&str]; 10] = [
        &["config", "check"],
        &["config", "show"],
        &["run"],
        &["plan"],
        &["status"],
        &["add", "example.org"],
        &["remove", "example.org"],
        &["import", "-"],
        &["history", "example.ch"],
        &["hook", "example.ch"],
    ];
    for command in commands {
        let said = bench.run(command).ends(2);
        for fault in [
            "policy.mode: is missing",
            "policy.mdoe: is not a key",
            "did you mean `mode`?",
            "store.mode: is not a key",
            "`_dmarc.example.ch` has an underscore label",
            "`co.uk` is a public suffix",
            "provider.internal.sevrer: no such setting; did you mean \"server\"?",
        ] {
            assert!(
                said.err.contains(fault),
                "{command:?} does not say `{fault}`: {said:#?}"
            );
        }
        assert_eq!(said.out, "");
    }
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_good_configuration_is_in_order_and_is_shown_without_its_secrets() {
    let bench = Bench::new();
    bench
        .run(&["config", "check"])
        .ends(0)
        .says("is in order: 1 client, 2 domains, 1 provider");
    let shown = bench
        .run(&["config", "show"])
        .ends(0)
        .says("renew_before = \"30d\"")
        .says("api.key");
    let again: toml::Table = shown.out.parse().unwrap();
    let json = bench
        .run(&["config", "show", "--output", "json"])
        .ends(0)
        .json();
    assert_eq!(json, serde_json::to_value(again).unwrap());

    std::fs::remove_file(bench.path("api.key")).unwrap();
    std::fs::remove_file(bench.path("tsig.key")).unwrap();
    let said = bench
        .run(&["config", "check"])
        .ends(2)
        .says("ca.lab.api_key")
        .says("provider.internal");
    assert!(said.err.contains("--without-secrets"), "{said:#?}");
    bench.run(&["config", "check", "--without-secrets"]).ends(0);
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn every_secret_and_file_that_a_daemon_would_miss_is_named_at_once() {
    let bench = Bench::new();
    let more = r#"
[[server.token]]
name = "people"
role = "read"
secret = { file = "people.token" }
[[server.hook_key]]
name = "octodns"
secret = { file = "hook.secret" }
[propagation]
extra_ca_file = "ours.pem"
"#;
    let text = bench.configuration(r#"["example.ch"]"#) + more;
    let text = text.replace(
        "sqlite:prevalidate.db\"",
        "postgres://p@127.0.0.1:1/p\"\npassword = { file = \"db\" }",
    );
    bench.write("prevalidate.toml", text);
    bench.write("ours.pem", "no certificate");
    let said = bench.run(&["config", "check"]).ends(2);
    for key in [
        "store.password",
        "server.token",
        "server.hook_key.secret of octodns",
        "propagation.extra_ca_file",
    ] {
        assert!(said.err.contains(key), "does not say `{key}`: {said:#?}");
    }
    bench.run(&["config", "check", "--without-secrets"]).ends(0);
}

#[test]
fn what_only_reads_leaves_no_trace() {
    let bench = Bench::new();
    bench.run(&["plan"]);
    bench.run(&["run", "--dry-run"]);
    bench.run(&["status"]);
    bench.run(&["check"]);
    bench
        .run(&["history", "example.ch"])
        .ends(2)
        .says("not in the inventory");
    bench
        .run(&["remove", "example.org"])
        .ends(2)
        .says("example.org is not in the inventory");
    bench
        .run(&["remove", "example.ch"])
        .ends(2)
        .says("is in the configuration");
    bench
        .run(&["run", "--domain", "example.org"])
        .ends(2)
        .says("prevalidate add");
    bench
        .run(&["hook", "example.org", "--zone", "ch.example"])
        .ends(0)
        .says("nothing to do");
    bench
        .run(&["reset", "example.ch"])
        .ends(2)
        .says("not registered");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn bad_names_come_back_at_once_and_none_of_the_good_ones_is_taken() {
    let bench = Bench::new();
    let bad = [
        "good.ch",
        "co.uk",
        "192.0.2.1",
        "a b.ch",
        "localhost",
        "https://x.ch/",
        "evil\u{1b}[2J.ch",
        "straße.ch",
    ];
    for command in ["add", "remove", "reset"] {
        let said = bench.run(&[&[command], &bad[..]].concat()).ends(2);
        for word in [
            "`co.uk` is a public suffix",
            "`192.0.2.1` is an IP",
            "a b.ch",
            "localhost",
            "https://x.ch/",
            "evil\\u",
        ] {
            assert!(
                said.err.contains(word),
                "{command}: no `{word}` in {said:#?}"
            );
        }
    }
    bench
        .run(&["add", "straße.ch"])
        .ends(2)
        .says("--accept-idn");
    bench.run(&["add", "-example.ch"]).ends(2).says("'-- -e'");
    bench
        .run(&["add", "--", "-example.ch"])
        .ends(2)
        .says("begins or ends with a hyphen");
    bench.run(&["add", CANARY]).ends(2).says("may be a secret");
    assert_eq!(bench.leftovers(), [""; 0]);
}

#[test]
fn a_domain_comes_into_the_inventory_and_goes_again() {
    let bench = Bench::new();
    let said = bench
        .run(&["add", "Example.ORG.", "*.xn--bcher-kva.ch", "example.ch"])
        .ends(0);
    let said = said.says("taken in: example.org, bücher.ch (xn--bcher-kva.ch)");
    let said = said
        .says("in the configuration anyway: example.ch")
        .says("the next `prevalidate run`");
    said.says("made a new store");
    bench
        .run(&["add", "example.org"])
        .ends(0)
        .says("known before: example.org")
        .says("nothing new");
    bench
        .run(&["add", "www.example.org"])
        .ends(0)
        .says("example.org covers it");
    bench
        .run(&["add", "x.ch", "--provider", "intrenal"])
        .ends(2)
        .says("did you mean internal?");
    bench
        .run(&["add", "x.ch", "--client", "unknown"])
        .ends(2)
        .says("is not a client of the configuration");

    let rows = bench.run(&["status", "--output", "json"]).json();
    let names: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["domain"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "example.ch",
            "example.org",
            "www.example.org",
            "xn--bcher-kva.ch",
            "xn--dj-kia8a.vu.com"
        ]
    );

    let history = bench
        .run(&["history", "bücher.ch", "--output", "json"])
        .ends(0)
        .json();
    assert_eq!(history[0]["kind"], "added");
    bench
        .run(&["remove", "bücher.ch", "example.ch"])
        .ends(2)
        .says("is in the configuration");
    bench
        .run(&["remove", "bücher.ch"])
        .ends(0)
        .says("removed: bücher.ch");
    bench
        .run(&["remove", "bücher.ch"])
        .ends(0)
        .says("removed before: bücher.ch");
    bench.run(&["history", "bücher.ch"]).ends(0).says("dropped");
    let rows = bench.run(&["status", "--output", "json"]).json();
    assert!(
        rows.as_array()
            .unwrap()
            .iter()
            .all(|row| row["domain"] != "xn--bcher-kva.ch"),
        "{rows}"
    );
}

#[test]
fn a_bad_line_of_an_import_costs_only_itself_and_is_named() {
    let bench = Bench::new();
    let list = "example.org\nco.uk\nexample.net # ours\nno name\nexample.com\n";
    let rehearsed = bench.run_with(&["import", "-", "--dry-run"], list).ends(1);
    rehearsed.says("<stdin>:4: ");
    assert_eq!(bench.leftovers(), [""; 0]);
    let said = bench.run_with(&["import", "-", "--output", "json"], list);
    let said = said.ends(1).says("<stdin>:2: `co.uk`");
    let said = said.says("2 lines of the list name no domain");
    let found = said.json();
    assert_eq!(found["added"].as_array().unwrap().len(), 3, "{found}");
    assert_eq!(found["left_out"].as_array().unwrap().len(), 2, "{found}");
    bench.run_with(&["import", "-"], "example.org\n").ends(0);
}

#[test]
fn a_list_that_is_mostly_bad_or_cannot_be_read_is_refused_as_a_whole() {
    let bench = Bench::new();
    let bad = b"\xef\xbb\xbfexample.org\r\n# ours\r\nd\xe9j\xe0.ch\r\nco.uk\r\n\x1b[2J.ch\r\n";
    let said = bench.run_with(&["import", "-"], bad).ends(2);
    for fault in [
        "<stdin>:3: is not UTF-8",
        "<stdin>:4: `co.uk`",
        "<stdin>:5: `\\u{1b}[2J.ch`",
    ] {
        assert!(said.err.contains(fault), "no `{fault}` in {said:#?}");
    }
    bench
        .run_with(&["import", "-"], r#"["example.org", {"name": 7}, "#)
        .ends(2)
        .says("is not JSON from here on");
    bench
        .run_with(&["import", "-"], "no list\n".repeat(100_000))
        .ends(2)
        .says("the rest was not read");
    bench
        .run_with(&["import", "-"], vec![b'a'; 17 << 20])
        .ends(2)
        .says("longer than 16 MiB");
    bench
        .run(&["import", "nowhere.txt"])
        .ends(2)
        .says("nowhere.txt cannot be read");
    bench.run(&["import"]).ends(2).says("--from-ca");
    assert_eq!(bench.leftovers(), [""; 0]);

    bench
        .run_with(&["import", "-"], "")
        .ends(0)
        .says("nothing new");
    bench
        .run_with(
            &["import", "-"],
            "\u{feff}[\"example.org\", {\"zone\": \"example.net.\"}]",
        )
        .ends(0);
    let many: String = (0..5_000)
        .map(|n| format!("host-{n}.example.com\r\n"))
        .collect();
    bench
        .run_with(&["import", "-"], many)
        .ends(0)
        .says("(5000 in all)");
    let rows = bench.run(&["status", "--output", "json"]).json();
    assert_eq!(rows.as_array().unwrap().len(), 5_004);
}

#[test]
fn a_ca_that_cannot_be_reached_is_temporary_and_costs_nothing() {
    let bench = Bench::new();
    bench
        .run(&["import", "--from-ca"])
        .ends(75)
        .says("127.0.0.1");
    assert_eq!(bench.leftovers(), [""; 0]);
    bench.run(&["add", "example.org"]).ends(0);
    bench
        .run(&["remove", "example.org", "--at-ca", "--yes"])
        .ends(75);
    let kept = bench.run(&["status", "--output", "json"]).json();
    assert!(
        kept.as_array()
            .unwrap()
            .iter()
            .any(|row| row["domain"] == "example.org"),
        "{kept}"
    );
    bench.run(&["run", "--wait", "0s"]).ends(75);
    bench.run(&["hook", "example.ch", "--wait", "0s"]).ends(75);
}

#[test]
fn a_configuration_that_lost_its_domains_stops_before_anything_is_touched() {
    let bench = Bench::new();
    bench.run(&["add", "example.org"]).ends(0);
    bench.write("prevalidate.toml", bench.configuration("[]"));
    bench
        .run(&["run", "--wait", "0s"])
        .ends(5)
        .says("2 of 2 domains are gone")
        .says("--force");
    bench
        .run(&["add", "example.net"])
        .ends(5)
        .says("2 of 2 domains are gone");
}

/// Secrets in the environment never come out of a help page, and every page comes out.
#[test]
fn help_and_completions_show_no_secret() {
    let bench = Bench::new();
    let text = bench
        .configuration("[]")
        .replace("{ file = \"api.key\" }", "{ env = \"API_KEY\" }");
    bench.write("prevalidate.toml", text);
    for command in [
        "run",
        "plan",
        "status",
        "add",
        "remove",
        "import",
        "reset",
        "withdraw",
        "history",
        "check",
        "diagnose",
        "readiness",
        "hook",
        "config",
        "store",
        "sandbox",
        "demo",
        "completions",
    ] {
        bench.run(&[command, "--help"]).ends(0).says("Usage:");
    }
    bench.run(&["--help"]).ends(0).says("Exit status: 0");
    bench
        .run(&["config", "show"])
        .ends(0)
        .says("env = \"API_KEY\"");
    for shell in ["bash", "zsh", "fish"] {
        bench
            .run(&["completions", shell])
            .ends(0)
            .says("prevalidate");
    }
}

#[test]
fn what_was_typed_comes_back_harmless() {
    let bench = Bench::new();
    let evil = "--x\rforged\nerror: all is well\u{1b}[2J\u{9b}\u{202e}";
    for args in [
        &["hook", evil][..],
        &[evil],
        &["status", "--state", evil],
        &["run", "--wait", evil],
        &["-c", evil, "plan"],
    ] {
        let said = bench.run(args).ends(2).says("forged\\nerror");
        assert!(!said.err.contains('\u{202e}'), "{said:?}");
    }
}

#[test]
fn results_that_could_not_be_stored_are_a_failure() {
    let bench = Bench::new();
    let full = std::fs::File::create("/dev/full").unwrap();
    Said::of(bench.command(&["config", "show"]).stdout(full))
        .ends(75)
        .says("could not be written: No space left");
}

#[test]
fn a_configuration_that_is_named_and_not_there_is_not_replaced_by_another() {
    use std::os::unix::ffi::OsStrExt;
    let bench = Bench::new();
    for name in [&b"nowhere.toml"[..], b"\xff"] {
        let mut command = bench.command(&["config", "check"]);
        Said::of(command.env("PREVALIDATE_CONFIG", std::ffi::OsStr::from_bytes(name)))
            .ends(2)
            .says("there is no such file");
    }
}

/// `prevalidate … | head -1`, and a reader that was never there.
#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let bench = Bench::new();
    let many: String = (0..5_000)
        .map(|n| format!("host-{n}.example.com\n"))
        .collect();
    bench.run_with(&["import", "-"], many).ends(0);
    let commands: [&[&str]; 6] = [
        &["config", "show"],
        &["history", "host-1.example.com"],
        &["status"],
        &["status", "--output", "json"],
        &["completions", "bash"],
        &["--help"],
    ];
    for args in commands {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = bench
            .command(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let err = String::from_utf8_lossy(&closed.stderr);
        assert!(
            !err.contains("panicked") && !err.contains("roken pipe"),
            "{args:?}: {err}"
        );
        let open = bench.run(args);
        assert_eq!(closed.status.code(), open.status, "{args:?}: {err}");
    }
}

#[test]
fn a_pipe_gets_plain_lines_whatever_the_terminal_is_called() {
    let bench = Bench::new();
    bench.run(&["add", "example.org"]).ends(0);
    let plain = bench.run(&["status"]).out;
    for (name, value) in [
        ("COLUMNS", "20"),
        ("COLUMNS", "0"),
        ("COLUMNS", "x"),
        ("TERM", "dumb"),
        ("NO_COLOR", "1"),
        ("TERM", "xterm-256color"),
    ] {
        let said = Said::of(bench.command(&["status"]).env(name, value));
        assert_eq!(said.out, plain, "{name}={value}");
    }
}
