//! A CA, a folder and the binary; the name servers are the test's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prevalidate::clock::{Clock, SystemClock};
use prevalidate::prevalidation::{DomainName, Mode, Policy, Proof};
use prevalidate::sandbox::ca::{Ca, CaOptions, Call, Request, published_lifetimes};
use prevalidate::sandbox::clock::ShiftedClock;
use rand::distr::{Alphanumeric, SampleString};
use serde_json::json;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::support::NameServer;
use crate::support::name_server::write_secret;

/// No process of these tests lives longer; those that hang are killed and shown.
const PATIENCE: Duration = Duration::from_secs(90);

const USER: &str = "MPKI0000001.AutoRAO";

/// A CA that asks real name servers, and a folder for configurations and stores.
pub struct World {
    pub ca: Ca,
    /// The `cli-…` of its client.
    pub client: String,
    pub api_key: String,
    folder: TempDir,
    runtime: Runtime,
}

impl World {
    /// A friendly CA that checks these servers, whatever the domain.
    pub fn new(servers: &[&NameServer]) -> Self {
        let servers: Vec<SocketAddr> = servers.iter().map(|server| server.address()).collect();
        Self::checking(move |_| servers.clone())
    }

    /// A friendly CA that checks each name at the servers that `name_servers` says.
    pub fn checking(
        name_servers: impl Fn(&str) -> Vec<SocketAddr> + Send + Sync + 'static,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let api_key = Alphanumeric.sample_string(&mut rand::rng(), 64);
        let options = CaOptions {
            clock: ShiftedClock::over(Arc::new(SystemClock)),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            user: USER.to_owned(),
            api_key: api_key.clone().into(),
            clients: vec!["Muster AG".to_owned()],
            lifetimes: published_lifetimes(),
            behaviour: Default::default(),
            seed: 1,
            name_servers: Arc::new(name_servers),
            dns: None,
        };
        let ca = runtime.block_on(Ca::start(options)).unwrap();
        let client = ca.clients().remove(0).0;
        let folder = TempDir::with_prefix("prevalidate-e2e-").unwrap();
        write_secret(&folder.path().join("api.key"), &api_key);
        Self {
            ca,
            client,
            api_key,
            folder,
            runtime,
        }
    }

    /// Waits for something that this world's other parts run.
    pub fn wait_for<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(what)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The configuration of an operator whose providers are in `more`, which continues in the
    /// section of the client.
    pub fn setup_with(&self, domains: &[&str], roots: &[SocketAddr], more: String) -> Setup {
        Setup {
            name: "prevalidate".to_owned(),
            client: self.client.clone(),
            domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
            list: None,
            provider: None,
            name_servers: BTreeMap::new(),
            database: None,
            store: String::new(),
            policy: String::new(),
            worker: String::new(),
            more,
            instead: None,
            roots: roots.to_vec(),
            auth: "local",
        }
    }

    /// The configuration of an operator whose `zones` are served by `server`, one domain for each
    /// zone.
    pub fn setup(&self, server: &NameServer, zones: &[&str]) -> Setup {
        Setup {
            provider: Some((server.address(), server.tsig_key_file())),
            name_servers: zones
                .iter()
                .map(|&zone| (zone.to_owned(), vec![server.address()]))
                .collect(),
            ..self.setup_with(zones, &[], String::new())
        }
    }

    /// The calls that reached the CA about a domain (A-labels), in order; a `register` names
    /// several.
    pub fn calls_about(&self, domain: &str) -> Vec<Call> {
        let about = |request: &Request| request.subjects.iter().any(|subject| subject == domain);
        self.ca
            .log()
            .iter()
            .filter(|request| about(request))
            .map(|request| request.call)
            .collect()
    }

    /// Makes the CA know `domain` as validated so long ago that its renewal is due and nothing is
    /// lost yet.
    pub fn make_due(&self, domain: &str) -> Timestamp {
        let made = due_proof(domain, SystemClock.now());
        self.make_validated(domain, made);
        made
    }

    /// Makes the CA know `domain` as validated at that time, with a token made the day before.
    pub fn make_validated(&self, domain: &str, at: Timestamp) {
        if self.ca.domain(domain).is_none() {
            assert_eq!(self.ca.register(&self.client, &[domain.to_owned()]), 1);
        }
        assert!(self.ca.set_token_age(
            domain,
            SystemClock.now().duration_since(at) + SignedDuration::from_hours(24)
        ));
        assert!(self.ca.set_validated(domain, at));
    }

    pub fn write_config(&self, setup: &Setup) {
        std::fs::write(self.config(setup), setup.text(self)).unwrap();
    }

    /// A command of the binary, with this configuration.
    pub fn command(&self, setup: &Setup, arguments: &[&str]) -> Command {
        self.write_config(setup);
        let mut command = Command::new(env!("CARGO_BIN_EXE_prevalidate"));
        command
            .args(arguments)
            .arg("--config")
            .arg(self.config(setup));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn config(&self, setup: &Setup) -> PathBuf {
        self.path(&format!("{}.toml", setup.name))
    }

    /// Runs the binary to its end.
    pub fn run(&self, setup: &Setup, arguments: &[&str]) -> Ran {
        finish(self.command(setup, arguments).spawn().unwrap(), arguments)
    }

    /// Runs it with this variable.
    #[cfg(feature = "crashpoints")]
    pub fn run_with(&self, setup: &Setup, arguments: &[&str], variable: (&str, &str)) -> Ran {
        finish(
            self.command(setup, arguments)
                .env(variable.0, variable.1)
                .spawn()
                .unwrap(),
            arguments,
        )
    }

    pub fn start(&self, setup: &Setup, arguments: &[&str]) -> Child {
        self.command(setup, arguments).spawn().unwrap()
    }
}

/// What an operator writes into a configuration.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Of the configuration and the store.
    pub name: String,
    pub client: String,
    pub domains: Vec<String>,
    /// A `domains_file` instead of `domains`.
    pub list: Option<PathBuf>,
    pub provider: Option<(SocketAddr, PathBuf)>,
    pub name_servers: BTreeMap<String, Vec<SocketAddr>>,
    /// The URL of a database instead of a file.
    pub database: Option<String>,
    /// More lines of `[store]`.
    pub store: String,
    /// More lines of `[policy]`.
    pub policy: String,
    /// More lines of `[worker]`.
    pub worker: String,
    /// Where walks begin; empty: as by default.
    pub roots: Vec<SocketAddr>,
    /// More sections.
    pub more: String,
    /// The section of another CA and the head of its client, in place of the world's own.
    pub instead: Option<(String, String)>,
    pub auth: &'static str,
}

impl Setup {
    fn text(&self, world: &World) -> String {
        // Strings and arrays of strings are written alike in JSON and TOML.
        let path = |path: &Path| json!(path.display().to_string());
        let (ca, client) = self.instead.clone().unwrap_or_else(|| self.own(world));
        let mut text = format!(
            r#"[policy]
mode = "manage"
{policy}
[store]
url = {url_of_store}
{store}
{ca}[worker]
{worker}
[propagation]
poll = "1s"
settle = "0s"
timeout = "1s"
{roots}
"#,
            policy = self.policy,
            worker = self.worker,
            roots = if self.roots.is_empty() {
                String::new()
            } else {
                format!("roots = {}", json!(self.roots))
            },
            url_of_store = json!(self.store_url(world)),
            store = self.store,
        );
        for (zone, servers) in &self.name_servers {
            writeln!(
                text,
                "[propagation.zone.{}]\nname_servers = {}",
                json!(zone),
                json!(servers)
            )
            .unwrap();
        }
        text.push_str(&client);
        match &self.list {
            Some(list) => writeln!(text, "domains_file = {}", path(list)).unwrap(),
            None => writeln!(text, "domains = {}", json!(self.domains)).unwrap(),
        }
        if let Some((server, key_file)) = &self.provider {
            let key_file = path(key_file);
            writeln!(
                text,
                "provider = \"dns\"\n[provider.dns]\nkind = \"rfc2136\"\nserver = \"{server}\"\nkey_file = {key_file}"
            )
            .unwrap();
        }
        text.push_str(&self.more);
        text
    }

    /// The same with the world's CA at another address.
    pub fn with_ca_at(mut self, world: &World, url: &str) -> Self {
        let (ca, client) = self.own(world);
        self.instead = Some((ca.replace(&world.ca.url(), url), client));
        self
    }

    /// The section of the world's own CA, and the head of its client.
    fn own(&self, world: &World) -> (String, String) {
        let ca = format!(
            "[ca.sandbox]\nkind = \"swisssign\"\nurl = \"{}\"\nuser = \"{USER}\"\n\
             api_key = {{ file = {} }}\nauth = \"{}\"\nrate = \"1000/s\"\n",
            world.ca.url(),
            json!(world.path("api.key").display().to_string()),
            self.auth,
        );
        let client = format!(
            "[[client]]\nca = \"sandbox\"\nreference = \"{}\"\n",
            self.client
        );
        (ca, client)
    }

    pub fn store_url(&self, world: &World) -> String {
        self.database
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", self.store(world).display()))
    }

    pub fn store(&self, world: &World) -> PathBuf {
        world.path(&format!("{}.db", self.name))
    }

    /// The same when no server answers where the name servers should be: the gate never opens.
    pub fn with_dead_name_servers(mut self) -> Self {
        for servers in self.name_servers.values_mut() {
            *servers = vec![SocketAddr::from(([127, 0, 0, 1], 1))];
        }
        self
    }

    /// The same without this domain.
    pub fn without(mut self, domain: &str) -> Self {
        self.domains.retain(|known| known != domain);
        self
    }
}

/// The output of a process.
#[derive(Debug)]
pub struct Ran {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    arguments: String,
}

impl Ran {
    /// Everything it said.
    pub fn said(&self) -> String {
        format!(
            "`{}`: {}\n{}\n{}",
            self.arguments, self.status, self.stdout, self.stderr
        )
    }

    /// Asserts how it ended.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.status.code(), Some(code), "{}", self.said());
        self
    }

    /// Asserts that it said these words.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        // Tables break lines.
        let said = self.said();
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(
                said.contains(word) || flat.contains(word),
                "does not say `{word}`: {said}"
            );
        }
        self
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", self.said()))
    }
}

/// Waits for the end of a process; one that hangs is killed and shown.
pub fn finish(child: Child, arguments: &[&str]) -> Ran {
    let pid = child.id();
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait_with_output()));
    let arguments = arguments.join(" ");
    let output = match ended.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            kill(pid, "-KILL");
            let output = ended.recv().unwrap().unwrap();
            panic!(
                "`{arguments}` hangs: {}",
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            );
        }
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran {
        status: output.status,
        stdout: text(output.stdout),
        stderr: text(output.stderr),
        arguments,
    }
}

/// Sends a signal to a process of this test.
pub fn kill(pid: u32, signal: &str) {
    crate::support::process::run("kill", &[signal, &pid.to_string()], "");
}

/// The latest moment of a proof whose renewal is due at `now` while there is still something to
/// spare.
fn due_proof(domain: &str, now: Timestamp) -> Timestamp {
    let (policy, domain) = (
        Policy::new(Mode::Manage),
        DomainName::from_a_labels(domain).unwrap(),
    );
    let is_due = |made: &Timestamp| {
        let proof = Proof {
            validated_at: Some(*made),
            expires_at: None,
            method: None,
            first_seen: None,
            ends: Default::default(),
        };
        let end = policy.reuse.end_of(*made);
        policy
            .renew_at(&domain, &proof)
            .is_some_and(|due| due < now - SignedDuration::from_hours(1))
            && end.duration_since(now)
                > policy.critical_margin(end, None) + SignedDuration::from_hours(1)
    };
    let hours = (1..=400 * 24).map(|hours| now - SignedDuration::from_hours(hours));
    hours
        .into_iter()
        .find(is_due)
        .expect("some proof is due for its renewal on any day but the last before the rule of 2029")
}
