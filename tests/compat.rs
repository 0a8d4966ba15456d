//! What users built on version 0.1.0 continues working: its configuration, its store, the fields of
//! its JSON, its metrics. `tests/fixtures/v0.1.0` was written by that version.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::Daemon;
use crate::support::name_server::write_secret;
use crate::support::process;

const TOKEN: &str = "0123456789abcdef0123456789abc";

/// The files of an installation of version 0.1.0, in a folder of their own.
struct Installation {
    folder: TempDir,
}

impl Installation {
    fn new() -> Self {
        let folder = TempDir::with_prefix("prevalidate-compat-").unwrap();
        let it = Self { folder };
        process::run(
            "sqlite3",
            &[it.path("prevalidate.db").to_str().unwrap()],
            &fixture("store.sql"),
        );
        private(&it.path("prevalidate.db"));
        write_secret(&it.path("api.key"), &"k".repeat(64));
        let key = "key \"prevalidate\" { algorithm hmac-sha256; secret \"c2VjcmV0\"; };";
        write_secret(&it.path("tsig.key"), key);
        it.write(&fixture("prevalidate.toml"));
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, configuration: &str) {
        let folder = self.folder.path().to_str().unwrap();
        let text = configuration.replace("@FOLDER@", folder);
        std::fs::write(self.path("prevalidate.toml"), text).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
        command
            .arg("--config")
            .arg(self.path("prevalidate.toml"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("T", TOKEN);
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }
}

fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v0.1.0");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// Every field that `old` has is in `new`, with a value of the same kind where both have one. Of a
/// list the entries are compared with the first entry of the same name, or with the first.
fn lost(at: &str, old: &Value, new: &Value, lost_fields: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let at = format!("{at}.{key}");
                match new.get(key) {
                    Some(now) => lost(&at, value, now, lost_fields),
                    None => lost_fields.push(format!("{at} is gone")),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, entry) in old.iter().enumerate() {
                let same = new.iter().find(|now| {
                    ["domain", "name", "key"]
                        .iter()
                        .any(|key| entry.get(key).is_some() && entry.get(key) == now.get(key))
                });
                match same.or(new.first()) {
                    Some(now) => lost(&format!("{at}[{index}]"), entry, now, lost_fields),
                    None => lost_fields.push(format!("{at} is empty")),
                }
            }
        }
        // What has ended since, or has come since.
        (Value::Null, _) | (_, Value::Null) => {}
        (old, new) if std::mem::discriminant(old) == std::mem::discriminant(new) => {}
        (old, new) => lost_fields.push(format!("{at} was {old} and is {new}")),
    }
}

#[track_caller]
fn keeps_its_fields(what: &str, old: &str, new: &str) {
    let old = serde_json::from_str(old).unwrap();
    let new = serde_json::from_str(new).unwrap_or_else(|error| panic!("{what}: {error}: {new}"));
    let mut lost_fields = Vec::new();
    lost(what, &old, &new, &mut lost_fields);
    assert!(lost_fields.is_empty(), "{lost_fields:#?}\nnow: {new:#}");
}

/// The daemon answers 503 until it has read the store.
fn once_the_store_is_read(daemon: &Daemon, path: &str) -> (u16, String) {
    let began = Instant::now();
    loop {
        let (status, answer) = daemon.get(path);
        if status != 503 || began.elapsed() > Duration::from_secs(60) {
            return (status, answer);
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_configuration_of_version_0_1_0_is_in_order() {
    let installation = Installation::new();
    let ran = installation.run(&["config", "check"]);
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

#[test]
fn commands_read_a_store_of_version_0_1_0_and_their_json_keeps_its_fields() {
    let installation = Installation::new();
    // What only reads says so of an older store, and changes nothing.
    let before = std::fs::read(installation.path("prevalidate.db")).unwrap();
    let refused = installation.run(&["status"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(
        !refused.status.success() && said.contains("store upgrade"),
        "{said}"
    );
    assert_eq!(
        std::fs::read(installation.path("prevalidate.db")).unwrap(),
        before
    );
    assert!(installation.run(&["store", "upgrade"]).status.success());
    for (arguments, name) in [
        (&["status"][..], "status"),
        (&["history", "stale.test"], "history"),
        (&["records"], "records"),
        (&["providers"], "providers"),
        (&["config", "show"], "config_show"),
        (&["check"], "check"),
    ] {
        let ran = installation.run(&[&["--output", "json"][..], arguments].concat());
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(
            !said.is_empty(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&ran.stderr)
        );
        keeps_its_fields(name, &fixture(&format!("{name}.json")), &said);
    }
}

#[test]
fn a_daemon_takes_a_store_of_version_0_1_0_over_and_serves_its_api_and_metrics() {
    let installation = Installation::new();
    let configuration = fixture("prevalidate.toml");
    let (without_token, _) = configuration.split_once("[[server.token]]").unwrap();
    installation.write(&without_token.replace("127.0.0.1:18431", "127.0.0.1:0"));
    let daemon = Daemon::start(installation.command(&["serve"]));
    for (path, name) in [
        ("/api/v1/domains", "api-domains"),
        ("/api/v1/domains/xn--dj-kia8a.test", "api-domains-one"),
        ("/api/v1/overview", "api-overview"),
    ] {
        let (status, answer) = once_the_store_is_read(&daemon, path);
        assert_eq!(status, 200, "{answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        keeps_its_fields(name, &fixture(&format!("{name}.json")), body);
    }
    let (status, metrics) = daemon.get("/metrics");
    assert_eq!(status, 200, "{metrics}");
    for line in fixture("metrics").lines() {
        let name = line.split(' ').nth(2).unwrap();
        assert!(metrics.contains(name), "{name} is gone:\n{metrics}");
    }
    daemon.stop();
}
