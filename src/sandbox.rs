//! A CA like SwissSign's and authoritative name servers on loopback: for the demo, for people's own
//! experiments, for tests.
//!
//! [`ca`] answers the RA API and really looks at DNS before it calls a domain valid; [`dns`] takes
//! signed updates and lets secondaries lag. [`Sandbox`] is both together, with a configuration and
//! the secrets to use them. All time is that of [`clock`], so months may pass in a moment.

pub mod ca;
pub mod clock;
pub mod digicert;
pub mod dns;
pub mod guests;
pub mod internetx;
mod line;
mod look;
mod secret;
pub mod sectigo;

use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::clock::Clock;
use crate::prevalidation::DomainName;
use ca::{Behaviour, Ca, CaOptions, Lifetimes, published_lifetimes};
use clock::ShiftedClock;
use dns::{Dns, Follow, Zone};
use guests::Guest;
use secret::{about, write_secret};

/// The service account of a sandbox.
pub const USER: &str = "MPKI0000001.AutoRAO";
/// The client of a sandbox.
pub const CLIENT: &str = "MPKI0000001 - Muster AG";
/// The name of the key that signs updates.
pub const TSIG_KEY: &str = "prevalidate";

/// How to start a sandbox.
pub struct Options {
    /// For the secrets, and for the store of whoever uses the configuration.
    pub directory: PathBuf,
    /// What time it is; the sandbox may shift its own away from it.
    pub clock: Arc<dyn Clock>,
    /// Where the CA listens; port 0: any.
    pub ca: SocketAddr,
    /// Where the primary name server listens; port 0: any.
    pub dns: SocketAddr,
    /// The key of the CA's account; none: a random one.
    pub api_key: Option<SecretString>,
    /// One zone for each: SOA, NS, A and a TXT record with SPF at the apex.
    pub domains: Vec<DomainName>,
    /// The secondaries of all zones.
    pub secondaries: Vec<Follow>,
    /// What is unknown about the real CA.
    pub behaviour: Behaviour,
    /// Whether the configuration names the CA of the first kind.
    pub is_first: bool,
    /// A Sectigo beside it, and how it behaves; the domains are those of both.
    pub sectigo: Option<sectigo::Behaviour>,
    /// An InterNetX beside it, and how it behaves.
    pub internetx: Option<internetx::Behaviour>,
    /// How proofs end.
    pub lifetimes: Lifetimes,
    /// Of references, tokens, order and perspectives; not of the secrets.
    pub seed: u64,
}

impl Options {
    /// Any ports, one secondary that follows at once, friendly behaviour, published lifetimes.
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
            behaviour: Behaviour::default(),
            is_first: true,
            sectigo: None,
            internetx: None,
            lifetimes: published_lifetimes(),
            seed: 1,
        }
    }
}

/// A running sandbox. Dropping it stops it; the secrets stay in the directory.
#[derive(Debug)]
pub struct Sandbox {
    /// The CA.
    pub ca: Ca,
    /// The name servers.
    pub dns: Arc<Dns>,
    /// The CAs of other kinds.
    pub guests: Vec<Guest>,
    /// The time of all.
    pub clock: Arc<ShiftedClock>,
    is_first: bool,
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
            behaviour,
            lifetimes,
            seed,
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
        let random = || SecretString::from(Alphanumeric.sample_string(&mut rand::rng(), 64));
        let api_key = options.api_key.unwrap_or_else(random);
        let tsig: [u8; 32] = rand::random();
        dns.add_key(TSIG_KEY, &tsig);
        write_secret(&directory.join("api.key"), api_key.expose_secret())?;
        write_secret(&directory.join("tsig.key"), &tsig_keygen(TSIG_KEY, &tsig))?;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // The address is for the CA that was asked for first.
        let (first, next) = match options.is_first {
            true => (options.ca, any),
            false => (any, options.ca),
        };
        let mut guests = Vec::new();
        let table = |listen| guests::Table {
            directory: &directory,
            listen,
            clock: Arc::clone(&clock),
            dns: Arc::clone(&dns),
            domains: &domains,
            seed,
        };
        let has_sectigo = options.sectigo.is_some();
        if let Some(behaviour) = options.sectigo {
            let guest = Guest::sectigo(table(next), behaviour).await;
            guests.push(guest.map_err(|error| about(error, "listen for Sectigo on", next))?);
        }
        if let Some(behaviour) = options.internetx {
            let listen = if has_sectigo { any } else { next };
            let guest = Guest::internetx(table(listen), behaviour).await;
            guests.push(guest.map_err(|error| about(error, "listen for InterNetX on", listen))?);
        }
        let zones = Arc::clone(&dns);
        let ca = Ca::start(CaOptions {
            clock: Arc::clone(&clock),
            listen: first,
            user: USER.to_owned(),
            api_key,
            clients: vec![CLIENT.to_owned()],
            lifetimes,
            behaviour,
            seed,
            name_servers: Arc::new(move |name| zones.servers_for(name)),
            dns: Some(Arc::clone(&dns)),
        });
        let ca = ca
            .await
            .map_err(|error| about(error, "listen for the CA on", first))?;
        let root = directory.join("root.pem");
        std::fs::write(&root, ca.root_pem())
            .map_err(|error| about(error, "write the root", root.display()))?;
        Ok(Self {
            ca,
            dns,
            guests,
            clock,
            is_first: options.is_first,
            directory,
            domains,
        })
    }

    /// Stops both parts. Dropping does the same.
    pub fn stop(&self) {
        self.ca.stop();
        self.guests.iter().for_each(Guest::stop);
        self.dns.stop();
    }

    /// A configuration (TOML) for `prevalidate` that uses this sandbox.
    pub fn configuration(&self) -> String {
        // Strings and arrays of strings are written alike in JSON and TOML.
        let path = |before: &str, file: &str| {
            json!(format!("{before}{}", self.directory.join(file).display()))
        };
        let servers = json!(self.dns.addresses());
        let mut cas = Vec::new();
        if self.is_first {
            cas.push(self.first());
        }
        let guests = self.guests.iter();
        cas.extend(guests.map(|guest| guest.sections(&self.directory, &self.domains)));
        let mut text = format!(
            r#"[policy]
mode = "manage"

[store]
url = {store}

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
            store = path("sqlite:", "prevalidate.db"),
            tsig = path("", "tsig.key"),
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

    /// The sections of the first CA and its client.
    fn first(&self) -> String {
        format!(
            r#"[ca.sandbox]
kind = "swisssign"
url = "{url}"
user = "{USER}"
api_key = {{ file = {api_key} }}
rate = "50/s"

[[client]]
ca = "sandbox"
name = "{CLIENT}"
provider = "sandbox"
domains = {domains}
"#,
            url = self.ca.url(),
            api_key = json!(self.directory.join("api.key").display().to_string()),
            domains = json!(self.domains),
        )
    }

    /// Where the CAs of the configuration are called, each with its kind.
    pub fn urls(&self) -> Vec<(&'static str, String)> {
        let first = self.is_first.then(|| ("swisssign", self.ca.url()));
        let guests = self.guests.iter().map(|guest| (guest.kind(), guest.url()));
        first.into_iter().chain(guests).collect()
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
