//! What the cases share: a CA on loopback that knows many domains, a configuration for it, the
//! program, its peak memory.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use prevalidate::clock::SystemClock;
use prevalidate::sandbox::ca::{Behaviour, Ca, CaOptions, published_lifetimes};
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::sectigo::{Scm, ScmOptions};
use prevalidate::sandbox::{CLIENT, USER};
use secrecy::{ExposeSecret, SecretString};
use tempfile::TempDir;

use crate::support::NameServer;
use crate::support::name_server::write_secret;

const PASSWORD: &str = "correct horse battery";

/// A CA in this process, and a folder with what the program needs to talk to it.
pub struct Lab {
    pub ca: Ca,
    pub folder: TempDir,
    // Dropped last: the CA lives on it.
    runtime: tokio::runtime::Runtime,
}

impl Lab {
    /// A CA that knows nothing yet and checks this name server.
    pub fn start(name_servers: Vec<SocketAddr>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let api_key = SecretString::from("k".repeat(64));
        let folder = TempDir::with_prefix("prevalidate-bench-").unwrap();
        write_secret(&folder.path().join("api.key"), api_key.expose_secret());
        let options = CaOptions {
            clock: ShiftedClock::over(Arc::new(SystemClock)),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            user: USER.to_owned(),
            api_key,
            clients: vec![CLIENT.to_owned()],
            lifetimes: published_lifetimes(),
            behaviour: Behaviour::default(),
            seed: 1,
            name_servers: Arc::new(move |_| name_servers.clone()),
            dns: None,
        };
        let ca = runtime.block_on(Ca::start(options)).unwrap();
        Self {
            ca,
            folder,
            runtime,
        }
    }

    /// Writes the configuration: these domains, and the name server that the program writes to and
    /// asks.
    pub fn configure(&self, domains: &[String], server: Option<&NameServer>) {
        let folder = self.folder.path();
        let (address, key) = server.map_or_else(
            || ("127.0.0.1:9".to_owned(), self.unused_key()),
            |server| (server.address().to_string(), server.tsig_key_file()),
        );
        let mut text = format!(
            "[policy]\nmode = \"manage\"\n[store]\nurl = \"sqlite:{store}\"\n\
             [ca.bench]\nkind = \"swisssign\"\nurl = \"{url}\"\nuser = \"{USER}\"\napi_key = {{ file = \"api.key\" }}\n\
             rate = \"1000/s\"\n\
             [[client]]\nca = \"bench\"\nname = \"{CLIENT}\"\nprovider = \"bench\"\ndomains_file = \"domains\"\n\
             [provider.bench]\nkind = \"rfc2136\"\nserver = \"{address}\"\nkey_file = \"{key}\"\n\
             [propagation]\nmode = \"authoritative\"\npoll = \"1s\"\nsettle = \"0s\"\n",
            store = folder.join("prevalidate.db").display(),
            url = self.ca.url(),
            key = key.display(),
        );
        if server.is_some() {
            text.extend(domains.iter().map(|domain| {
                format!("[propagation.zone.\"{domain}\"]\nname_servers = [\"{address}\"]\n")
            }));
        }
        fs::write(folder.join("prevalidate.toml"), text).unwrap();
        fs::write(folder.join("domains"), domains.join("\n")).unwrap();
    }

    /// A Sectigo beside the CA, with one organisation.
    pub fn sectigo(&self, organisation: u64) -> Scm {
        write_secret(&self.folder.path().join("scm.password"), PASSWORD);
        let options = ScmOptions {
            clock: ShiftedClock::over(Arc::new(SystemClock)),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            user: USER.to_owned(),
            password: PASSWORD.into(),
            customer_uri: "bench".to_owned(),
            organisations: vec![(organisation, CLIENT.to_owned())],
            behaviour: Default::default(),
            seed: 1,
            name_servers: Arc::new(|_| Vec::new()),
        };
        self.runtime.block_on(Scm::start(options)).unwrap()
    }

    /// Its account, and its client with the domains of the other one.
    pub fn sectigo_sections(&self, scm: &Scm, organisation: u64) -> String {
        format!(
            "[ca.second]\nkind = \"sectigo\"\nurl = \"{}\"\nuser = \"{USER}\"\n\
             password = {{ file = \"scm.password\" }}\ncustomer_uri = \"bench\"\n\
             rate = \"1000/s\"\n[[client]]\nca = \"second\"\nreference = \"{organisation}\"\n\
             provider = \"bench\"\ndomains_file = \"domains\"\n",
            scm.url(),
        )
    }

    /// Edits the configuration.
    pub fn reconfigure(&self, edit: impl FnOnce(String) -> String) {
        let path = self.folder.path().join("prevalidate.toml");
        let text = edit(fs::read_to_string(&path).unwrap());
        fs::write(path, text).unwrap();
    }

    fn unused_key(&self) -> PathBuf {
        let path = self.folder.path().join("tsig.key");
        write_secret(
            &path,
            &crate::support::zones::Key::new("bench", "hmac-sha256").file_text(),
        );
        path
    }

    /// One `prevalidate run` to its end: how long it took and its peak memory, kB.
    pub fn run(&self) -> (Duration, u64) {
        self.program(&["run"])
    }

    /// The same of any command.
    pub fn program(&self, arguments: &[&str]) -> (Duration, u64) {
        let begun = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_prevalidate"))
            .arg("--quiet")
            .args(arguments)
            .arg("--config")
            .arg(self.folder.path().join("prevalidate.toml"))
            .stdin(Stdio::null())
            // Its summary does not belong into the table.
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut peak_kb = 0;
        let ended = loop {
            peak_kb = peak_kb.max(peak_memory_kb(format!("/proc/{}/status", child.id())));
            match child.try_wait().unwrap() {
                Some(ended) => break ended,
                // The peak only grows, so it is missed by what the last moment added.
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        let took = begun.elapsed();
        assert!(ended.success(), "prevalidate {arguments:?}: {ended}");
        (took, peak_kb)
    }
}

/// `VmHWM` of a process, kB; 0 when it has ended.
pub fn peak_memory_kb(status: impl AsRef<Path>) -> u64 {
    let text = fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok())
        .unwrap_or(0)
}

/// `d00000.test`, `d00001.test`, …
pub fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("d{number:05}.test"))
        .collect()
}
