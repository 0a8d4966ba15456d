//! A CA like SwissSign's and authoritative name servers on loopback: for the demo, for people's own
//! experiments, for tests.
//!
//! [`ca`] answers the RA API and really checks DNS before it calls a domain valid; [`dns`] takes
//! signed updates and lets secondaries lag. [`Sandbox`] is both together, with a configuration and
//! the secrets to use them. All time is that of [`clock`], so months may pass in a moment.

pub mod ca;
pub mod caa;
mod check;
pub mod clock;
pub mod digicert;
pub mod dns;
pub mod door;
#[cfg(test)]
mod hello;
pub mod internetx;
pub mod kind;
mod line;
pub mod registry;
mod secret;
pub mod sectigo;
pub mod service;

use std::any::Any;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::prevalidation::DomainName;
use ca::Ca;
pub use ca::kind::{CLIENT, USER};
use clock::ShiftedClock;
use dns::{Dns, Follow, Zone};
use kind::{Guest, Kind, Table, path_of};
use secret::{about, write_secret};

/// The name of the key that signs updates.
pub const TSIG_KEY: &str = "prevalidate";

/// How to start a sandbox.
pub struct Options {
    /// For the secrets, and for the store of a program that uses the configuration.
    pub directory: PathBuf,
    /// What time it is; the sandbox may shift its own away from it.
    pub clock: Arc<dyn Clock>,
    /// Where the first CA listens; port 0: any.
    pub ca: SocketAddr,
    /// Where the primary name server listens; port 0: any.
    pub dns: SocketAddr,
    /// The secret of the first CA's account; none: a random one.
    pub api_key: Option<SecretString>,
    /// One zone for each: SOA, NS, A and a TXT record with SPF at the apex.
    pub domains: Vec<DomainName>,
    /// The secondaries of all zones.
    pub secondaries: Vec<Follow>,
    /// The kinds of CA that the configuration names, each with its switches. All of them have the
    /// domains; the first has the address and the key.
    pub kinds: Vec<(&'static Kind, Value)>,
    /// Of references, tokens, order and perspectives; not of the secrets.
    pub seed: u64,
}

impl Options {
    /// Any ports, one secondary that follows at once, a SwissSign that behaves in a friendly way.
    pub fn new(
        directory: impl Into<PathBuf>,
        clock: Arc<dyn Clock>,
        domains: Vec<DomainName>,
    ) -> Self {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            directory: directory.into(),
            clock,
            ca: loopback,
            dns: loopback,
            api_key: None,
            domains,
            secondaries: vec![Follow::Now],
            kinds: vec![(&ca::kind::KIND, (ca::kind::KIND.switches)())],
            seed: 1,
        }
    }
}

/// A running sandbox. Dropping it stops it; the secrets stay in the directory.
#[derive(Debug)]
pub struct Sandbox {
    /// The SwissSign. It runs even where the configuration does not name it.
    pub ca: Arc<Ca>,
    /// The name servers.
    pub dns: Arc<Dns>,
    /// The CAs that the configuration names, each with its kind.
    pub guests: Vec<(&'static Kind, Arc<dyn Guest>)>,
    /// The time of all.
    pub clock: Arc<ShiftedClock>,
    directory: PathBuf,
    domains: Vec<DomainName>,
}

impl Sandbox {
    /// Starts both parts and writes fresh secrets into the directory, readable by the owner only.
    ///
    /// # Errors
    /// When an address cannot be bound or a file cannot be written; the message names it.
    pub async fn start(options: Options) -> io::Result<Self> {
        let Options {
            directory,
            domains,
            mut kinds,
            ..
        } = options;
        let clock = ShiftedClock::over(options.clock);
        let dns = Dns::start(
            Arc::clone(&clock) as Arc<dyn Clock>,
            options.dns,
            &options.secondaries,
        )
        .await;
        let dns = Arc::new(dns.map_err(|error| about(error, "listen for DNS on", options.dns))?);
        for domain in &domains {
            dns.add_zone(Zone::new(domain.as_str()).txt(domain.as_str(), "v=spf1 mx -all"));
        }
        let tsig: [u8; 32] = rand::random();
        dns.add_key(TSIG_KEY, &tsig);
        write_secret(&directory.join("tsig.key"), &tsig_keygen(TSIG_KEY, &tsig))?;
        let named = kinds.len();
        if kinds
            .iter()
            .all(|(kind, _)| kind.name != ca::kind::KIND.name)
        {
            kinds.push((&ca::kind::KIND, (ca::kind::KIND.switches)()));
        }
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut guests = Vec::new();
        for (at, (kind, switches)) in kinds.into_iter().enumerate() {
            let table = Table {
                directory: &directory,
                listen: if at == 0 { options.ca } else { any },
                key: options.api_key.clone().filter(|_| at == 0),
                clock: Arc::clone(&clock),
                dns: Arc::clone(&dns),
                domains: &domains,
                seed: options.seed,
            };
            guests.push((kind, (kind.start)(table, switches).await?));
        }
        let ca = guests.iter().find_map(|(_, guest)| {
            let guest: Arc<dyn Any + Send + Sync> = Arc::<dyn Guest>::clone(guest);
            guest.downcast::<Ca>().ok()
        });
        let ca = ca.ok_or_else(|| io::Error::other("the sandbox has no SwissSign"))?;
        guests.truncate(named);
        Ok(Self {
            ca,
            dns,
            guests,
            clock,
            directory,
            domains,
        })
    }

    /// Stops all parts. Dropping does the same.
    pub fn stop(&self) {
        self.ca.stop();
        self.guests.iter().for_each(|(_, guest)| guest.stop());
        self.dns.stop();
    }

    /// A configuration (TOML) for `prevalidate` that uses this sandbox.
    pub fn configuration(&self) -> String {
        // Arrays of strings are written alike in JSON and TOML.
        let servers = json!(self.dns.addresses());
        let guests = self.guests.iter();
        let cas: Vec<_> = guests
            .map(|(_, guest)| guest.sections(&self.directory, &self.domains))
            .collect();
        let mut text = format!(
            r#"[policy]
mode = "manage"

[store]
url = {store}

[certificates]
directory = {certificates}

{cas}
[provider.sandbox]
kind = "rfc2136"
server = "{primary}"
key_file = {tsig}

[propagation]
mode = "authoritative"
poll = "1s"
settle = "0s"
"#,
            cas = cas.join("\n"),
            primary = self.dns.address(),
            store = json!(format!(
                "sqlite:{}",
                self.directory.join("prevalidate.db").display()
            )),
            certificates = path_of(&self.directory, "certificates"),
            tsig = path_of(&self.directory, "tsig.key"),
        );
        for domain in &self.domains {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "\n[propagation.zone.\"{domain}\"]\nname_servers = {servers}"
            );
        }
        text
    }

    /// Where the CAs of the configuration are called, each with its kind.
    pub fn urls(&self) -> Vec<(&'static str, String)> {
        let guests = self.guests.iter();
        guests
            .map(|(kind, guest)| (kind.name, guest.url()))
            .collect()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What `tsig-keygen` prints.
fn tsig_keygen(name: &str, secret: &[u8]) -> String {
    format!(
        "key \"{name}\" {{\n\talgorithm hmac-sha256;\n\tsecret \"{}\";\n}};\n",
        STANDARD.encode(secret)
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use std::path::Path;

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn every_kind_of_ca_takes_what_the_help_lists_for_its_back_door() {
        let directory = tempfile::tempdir().unwrap();
        let domain = DomainName::from_a_labels("example.test").unwrap();
        let kinds = registry::KINDS.iter().filter(|kind| kind.name != "hello");
        let options = Options {
            kinds: kinds.map(|kind| (*kind, (kind.switches)())).collect(),
            ..Options::new(directory.path(), Arc::new(SystemClock), vec![domain])
        };
        let sandbox = Sandbox::start(options).await.unwrap();
        assert_eq!(sandbox.guests.len(), 4);
        let http = reqwest::Client::new();
        for (kind, guest) in &sandbox.guests {
            let state = guest.back_door().unwrap();
            let ask = async |method: &str, path: &str, body: &str| {
                let url = state.replace("/state", &format!("/{path}"));
                let request = http.request(method.parse().unwrap(), url);
                let answer = request.body(body.to_owned()).send().await.unwrap();
                (answer.status().as_u16(), answer.text().await.unwrap())
            };
            for (method, path, body, _) in door::REQUESTS {
                let name = kind.name;
                let known = match (name, method, path) {
                    // Its own kinds of faults.
                    ("swisssign", "POST", "faults") => 400,
                    // They have no domain yet, and no orders.
                    ("internetx" | "swisssign", _, "validated") | (_, _, "order") => 404,
                    _ => 200,
                };
                let path = path.replace('N', "0");
                let body = body.replace("a.test", "example.test");
                let (status, text) = ask(method, &path, &body).await;
                assert_eq!(status, known, "{name}: {method} {path}: {text}");
            }
            assert_eq!(ask("POST", "behaviour", r#"{"no_switch": 1}"#).await.0, 400);
            assert_eq!(ask("GET", "nothing", "").await.0, 404);
        }
        let shown = sandbox.clock.now();
        let real = SystemClock.now();
        assert!(shown.duration_since(real).as_hours() > 24, "{shown}");
    }

    #[tokio::test]
    async fn the_configuration_names_what_is_there_and_the_secrets_are_private() {
        let directory = tempfile::Builder::new()
            .prefix("a \"quoted\" path")
            .tempdir()
            .unwrap();
        let domain = DomainName::from_a_labels("example.test").unwrap();
        let options = Options::new(directory.path(), Arc::new(SystemClock), vec![domain]);
        let sandbox = Sandbox::start(options).await.unwrap();
        let configuration: toml::Table = sandbox.configuration().parse().unwrap();
        assert_eq!(
            configuration["ca"]["sandbox"]["url"].as_str(),
            Some(sandbox.ca.url().as_str())
        );
        let servers = configuration["propagation"]["zone"]["example.test"]["name_servers"]
            .as_array()
            .unwrap();
        assert_eq!(servers.len(), 2);
        let key_file = configuration["provider"]["sandbox"]["key_file"]
            .as_str()
            .unwrap();
        assert_eq!(Path::new(key_file), directory.path().join("tsig.key"));
        for file in ["api.key", "tsig.key"] {
            let path = directory.path().join(file);
            assert_eq!(
                std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600
            );
            assert!(
                !sandbox
                    .configuration()
                    .contains(&std::fs::read_to_string(path).unwrap())
            );
        }
        let nsupdate = tokio::process::Command::new("nsupdate")
            .args(["-k", directory.path().join("tsig.key").to_str().unwrap()])
            .stdin(std::process::Stdio::piped())
            .spawn();
        let mut nsupdate = nsupdate.expect("nsupdate (package bind9-dnsutils) is installed");
        let server = sandbox.dns.address();
        let script = format!(
            "server {} {}\nzone example.test\nupdate add example.test 3600 TXT x\nsend\n",
            server.ip(),
            server.port()
        );
        let mut input = nsupdate.stdin.take().unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut input, script.as_bytes())
            .await
            .unwrap();
        drop(input);
        assert!(
            nsupdate.wait().await.unwrap().success(),
            "nsupdate understands the key file"
        );
        assert_eq!(sandbox.dns.txt("example.test"), ["v=spf1 mx -all", "x"]);
    }
}
