//! The examples for pipelines in config/pipelines, with the tools they are for, against the
//! daemon's own route on a socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::ca::ClientSelector;
use prevalidate::clock::{Clock, SystemClock};
use prevalidate::prevalidation::{DomainName, Mode, Policy, Sighting};
use prevalidate::server::access::Access;
use prevalidate::server::hooks;
use prevalidate::server::hooks::key::Key;
use prevalidate::server::hooks::signature::Scheme;
use prevalidate::server::http;
use prevalidate::server::shared::{Live, Shared};
use prevalidate::store::sqlite::SqliteStore;
use prevalidate::store::{Origin, Seen, Store, Wanted};
use prevalidate::worker::Target;
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::process;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// More than a block of SHA-256, with characters that shells and printf read as something else.
const TEXT: &str = r"a long text with % and \ and $HOME and `id` and 'quotes' that is not base64, for the same key of hooks";

fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("config/pipelines")
        .join(name)
}

/// The route on a socket, over a store with two domains that rest.
struct Daemon {
    url: String,
    store: SqliteStore,
    folder: TempDir,
    runtime: Runtime,
}

impl Daemon {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let folder = TempDir::with_prefix("prevalidate-pipelines-").unwrap();
        let store_url = format!("sqlite:{}", folder.path().join("prevalidate.db").display());
        let (url, store) = runtime.block_on(async {
            let store = SqliteStore::open(&store_url, None).await.unwrap();
            let target = Target::new("swisssign", ClientSelector::Name("Muster AG".to_owned()));
            let now = SystemClock.now();
            let names = ["a.test", "www.b.test"].map(|name| DomainName::look_up(name).unwrap());
            let wanted = names.clone().map(|domain| Wanted {
                domain,
                client: target.key.as_str().into(),
                ca: target.ca.as_str().into(),
                provider: None,
            });
            store.want(Origin::Config, &wanted, now).await.unwrap();
            let due_at = Some(now + SignedDuration::from_hours(1000));
            let seen = names.map(|domain| Seen {
                key: domain.into(),
                changed: Some(Box::new(Sighting::Absent)),
                due_at,
            });
            store.record_listing(&target.key, &seen, now).await.unwrap();
            let secrets = [SECRET, TEXT].map(|text| Scheme::Standard.secret(&text.into()).unwrap());
            let live = Live {
                policy: Policy::new(Mode::Manage),
                targets: vec![target],
                providers: Default::default(),
                access: Access::new(true),
                hook_keys: vec![Key::new(
                    "pipeline",
                    Scheme::Standard,
                    secrets.into(),
                    Vec::new(),
                )],
                tls: None,
                domain_labels: 0,
                persistent: Vec::new(),
            };
            let shared = Arc::new(Shared::new(
                Arc::new(store.clone()),
                Arc::new(SystemClock),
                live,
            ));
            shared.read_again().await.unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}{}", listener.local_addr().unwrap(), hooks::PATH);
            tokio::spawn(axum::serve(listener, http::app(&shared)).into_future());
            (url, store)
        });
        Self {
            url,
            store,
            folder,
            runtime,
        }
    }

    /// Runs a command in the folder, with the shared script in its PATH; whether it went well, and
    /// what it said.
    fn run(&self, secret: &str, command: &str, input: &str) -> (bool, String) {
        let tools = process::tool("octodns-sync");
        let paths = [example(""), tools.parent().unwrap().to_owned()]
            .map(|path| path.display().to_string())
            .join(":");
        let mut child = Command::new("sh")
            .args(["-c", command])
            .current_dir(self.folder.path())
            .env(
                "PATH",
                format!("{paths}:{}", std::env::var("PATH").unwrap()),
            )
            .env("PREVALIDATE_URL", &self.url)
            .env("PREVALIDATE_SECRET", secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(!said.contains(&SECRET[6..]), "{said}");
        (output.status.success(), said)
    }

    /// The domains that are due now.
    fn due(&self) -> Vec<String> {
        let rows = self.runtime.block_on(self.store.domains()).unwrap();
        let now = SystemClock.now();
        rows.iter()
            .filter(|row| row.due_at.unwrap() <= now)
            .map(|row| row.domain.to_string())
            .collect()
    }
}

#[test]
fn the_script_signs_what_the_daemon_takes() {
    process::find("curl");
    let daemon = Daemon::start();
    let (good, said) = daemon.run(SECRET, "prevalidate-hook b.test other.test", "");
    assert!(
        good && said.contains(r#""accepted":["b.test"],"ignored":["other.test"],"domains":1"#),
        "{said}"
    );
    assert_eq!(daemon.due(), ["www.b.test"]);
    // Any text is a secret, also one longer than a block, and names come one a line.
    let (good, said) = daemon.run(TEXT, "prevalidate-hook", "a.test\n");
    assert!(good && said.contains(r#""domains":1"#), "{said}");
    assert_eq!(daemon.due(), ["a.test", "www.b.test"]);
    let (good, said) = daemon.run(&SECRET.replace('M', "N"), "prevalidate-hook a.test", "");
    assert!(
        !good && said.contains("the signature does not hold"),
        "{said}"
    );
    let (good, said) = daemon.run(SECRET, "prevalidate-hook 'a\".test'", "");
    assert!(!good && said.contains("is not a domain name"), "{said}");
    // Through a proxy, under the name that the proxy has; no token is in this configuration.
    let address = daemon
        .url
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix(hooks::PATH)
        .unwrap();
    fs::write(
        daemon.folder.path().join(".curlrc"),
        format!("connect-to = \"::{address}\"\nheader = \"X-Forwarded-For: 192.0.2.7\"\n"),
    )
    .unwrap();
    let by_proxy = "CURL_HOME=$PWD PREVALIDATE_URL=http://prevalidate.example.ch/hooks/dns prevalidate-hook a.test";
    let (good, said) = daemon.run(SECRET, by_proxy, "");
    assert!(good && said.contains(r#""domains":1"#), "{said}");
    // Nothing changed: nothing is sent.
    assert_eq!(
        daemon.run(
            SECRET,
            "PREVALIDATE_URL=http://127.0.0.1:1 prevalidate-hook",
            ""
        ),
        (true, String::new())
    );
    let many: String = (0..1001).map(|n| format!("n{n}.a.test\n")).collect();
    let (good, said) = daemon.run(SECRET, "prevalidate-hook", &many);
    assert!(
        good && said.lines().count() == 3,
        "three hooks of 500 names at most: {said}"
    );
}

/// octoDNS itself, from one folder of YAML to another: its plan names the zones that it changed,
/// and only those.
#[test]
fn octodns_tells_of_the_zones_it_changed() {
    process::find("jq");
    let daemon = Daemon::start();
    for folder in ["config", "target"] {
        fs::create_dir(daemon.folder.path().join(folder)).unwrap();
    }
    let zone = |value: &str| format!("---\n'':\n  type: TXT\n  value: {value}\n");
    let put = |path: &str, text: &str| fs::write(daemon.folder.path().join(path), text).unwrap();
    put("config/a.test.yaml", &zone("new"));
    put("config/b.test.yaml", &zone("same"));
    put("target/b.test.yaml", &zone("same"));
    fs::copy(
        example("octodns.yaml"),
        daemon.folder.path().join("octodns.yaml"),
    )
    .unwrap();
    let text = fs::read_to_string(example("octodns.yaml")).unwrap();
    let commands: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("#     "))
        .collect();
    assert_eq!(commands.len(), 2);
    let (good, said) = daemon.run(SECRET, &commands.join(" && "), "");
    assert!(good && said.contains(r#""accepted":["a.test"]"#), "{said}");
    assert_eq!(daemon.due(), ["a.test"], "{said}");
}

/// DNSControl is in no registry that the tests install from: the report is that of its
/// documentation ("JSON Reports").
#[test]
fn the_report_of_dnscontrol_names_the_zones_it_changed() {
    let daemon = Daemon::start();
    let report = json!([
        { "domain": "a.test", "corrections": 10, "provider": "bind" },
        { "domain": "a.test", "corrections": 0, "registrar": "none" },
        { "domain": "b.test", "corrections": 0, "provider": "bind" },
    ]);
    let stub = "#!/bin/sh\ntest \"$*\" = 'push --report report.json' && cat <<'END' >report.json\n";
    fs::create_dir(daemon.folder.path().join("bin")).unwrap();
    fs::write(
        daemon.folder.path().join("bin/dnscontrol"),
        format!("{stub}{report}\nEND\n"),
    )
    .unwrap();
    let command = format!(
        "chmod +x bin/dnscontrol && PATH=$PWD/bin:$PATH {}",
        example("dnscontrol").display()
    );
    let (good, said) = daemon.run(SECRET, &command, "");
    assert!(good && said.contains(r#""accepted":["a.test"]"#), "{said}");
    assert_eq!(daemon.due(), ["a.test"]);
}

#[test]
fn the_examples_are_what_their_tools_read() {
    let read = "import sys, yaml, json; print(json.dumps(yaml.safe_load(open(sys.argv[1]))))";
    let python = process::tool("octodns-sync").with_file_name("python");
    for (name, key) in [
        ("gitlab-ci.yml", "prevalidate"),
        ("github-actions.yml", "jobs"),
        ("octodns.yaml", "manager"),
    ] {
        let output = Command::new(&python)
            .args(["-c", read])
            .arg(example(name))
            .output()
            .unwrap();
        let found: serde_json::Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(found.get(key).is_some(), "{name}");
    }
    for (schema, name) in [
        ("vendor.github-workflows", "github-actions.yml"),
        ("vendor.gitlab-ci", "gitlab-ci.yml"),
    ] {
        let check = process::tool("check-jsonschema");
        let output = Command::new(check)
            .args(["--builtin-schema", schema])
            .arg(example(name))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let parse = "import sys, hcl2, json; print(json.dumps(hcl2.load(open(sys.argv[1]))))";
    let output = Command::new(&python)
        .args(["-c", parse])
        .arg(example("terraform.tf"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(
        output.status.success() && said.contains("prevalidate-hook"),
        "{said}"
    );
}

#[test]
fn the_page_names_every_example_and_every_key() {
    let page = fs::read_to_string(example("README.md")).unwrap();
    for entry in fs::read_dir(example("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(
            name == "README.md" || page.contains(&format!("[{name}]({name})")),
            "{name}"
        );
    }
}
