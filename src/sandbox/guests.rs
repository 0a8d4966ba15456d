//! The kinds of CA that a sandbox can have beside the first: each with an account, a client that
//! holds the domains, and its sections of the configuration.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::clock::ShiftedClock;
use super::dns::Dns;
use super::internetx::{self, Robot, RobotOptions};
use super::secret::write_secret;
use super::sectigo::{Behaviour, Scm, ScmOptions};
use crate::prevalidation::DomainName;

/// The administrator of a sandbox's Sectigo, and the user of its InterNetX.
const USER: &str = "prevalidate";
/// The customer.
const CUSTOMER: &str = "muster";
/// Its organisation.
const ORGANISATION: u64 = 12345;
/// The name of the organisation.
const ORGANISATION_NAME: &str = "Muster AG";

/// The context of a sandbox's InterNetX.
const CONTEXT: u32 = 9;

/// A CA of another kind than the first.
#[derive(Debug)]
pub enum Guest {
    /// Sectigo Certificate Manager.
    Sectigo(Scm),
    /// InterNetX' SSL Manager.
    InterNetX(Robot),
}

/// What a guest needs to be started.
pub(super) struct Table<'a> {
    pub(super) directory: &'a Path,
    pub(super) listen: SocketAddr,
    pub(super) clock: Arc<ShiftedClock>,
    pub(super) dns: Arc<Dns>,
    pub(super) domains: &'a [DomainName],
    pub(super) seed: u64,
}

impl Guest {
    /// Starts a Sectigo whose organisation has the domains.
    pub(super) async fn sectigo(table: Table<'_>, behaviour: Behaviour) -> io::Result<Self> {
        let password = SecretString::from(Alphanumeric.sample_string(&mut rand::rng(), 32));
        write_secret(
            &table.directory.join("sectigo.password"),
            password.expose_secret(),
        )?;
        let zones = table.dns;
        let scm = Scm::start(ScmOptions {
            clock: table.clock,
            listen: table.listen,
            user: USER.to_owned(),
            password,
            customer_uri: CUSTOMER.to_owned(),
            organisations: vec![(ORGANISATION, ORGANISATION_NAME.to_owned())],
            behaviour,
            seed: table.seed,
            name_servers: Arc::new(move |name| zones.servers_for(name)),
        })
        .await?;
        for domain in table.domains {
            scm.add_domain(domain.as_str(), ORGANISATION);
        }
        write_root(table.directory, "sectigo-root.pem", &scm.root_pem())?;
        Ok(Self::Sectigo(scm))
    }

    /// Starts an InterNetX, which keeps no domains.
    pub(super) async fn internetx(
        table: Table<'_>,
        behaviour: internetx::Behaviour,
    ) -> io::Result<Self> {
        let password = SecretString::from(Alphanumeric.sample_string(&mut rand::rng(), 32));
        write_secret(
            &table.directory.join("internetx.password"),
            password.expose_secret(),
        )?;
        let zones = table.dns;
        let robot = Robot::start(RobotOptions {
            clock: table.clock,
            listen: table.listen,
            user: USER.to_owned(),
            password,
            context: CONTEXT,
            behaviour,
            seed: table.seed,
            name_servers: Arc::new(move |name| zones.servers_for(name)),
        })
        .await?;
        write_root(table.directory, "internetx-root.pem", &robot.root_pem())?;
        Ok(Self::InterNetX(robot))
    }

    /// Its `kind`, which is also the name of its section.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sectigo(_) => "sectigo",
            Self::InterNetX(_) => "internetx",
        }
    }

    /// Where it is called.
    pub fn url(&self) -> String {
        match self {
            Self::Sectigo(scm) => scm.url(),
            Self::InterNetX(robot) => robot.url(),
        }
    }

    /// Stops taking connections.
    pub(super) fn stop(&self) {
        match self {
            Self::Sectigo(scm) => scm.stop(),
            Self::InterNetX(robot) => robot.stop(),
        }
    }

    /// The sections `[ca.…]` and `[[client]]`.
    pub(super) fn sections(&self, directory: &Path, domains: &[DomainName]) -> String {
        let password = directory.join(format!("{}.password", self.kind()));
        if let Self::InterNetX(_) = self {
            return format!(
                r#"[ca.internetx]
kind = "internetx"
url = "{url}"
user = "{USER}"
password = {{ file = {password} }}
"#,
                url = self.url(),
                password = json!(password.display().to_string()),
            );
        }
        format!(
            r#"[ca.sectigo]
kind = "sectigo"
url = "{url}"
user = "{USER}"
password = {{ file = {password} }}
customer_uri = "{CUSTOMER}"
rate = "50/s"

[[client]]
ca = "sectigo"
name = "{ORGANISATION_NAME}"
provider = "sandbox"
domains = {domains}
"#,
            url = self.url(),
            password = json!(password.display().to_string()),
            domains = json!(domains),
        )
    }
}

/// What a client of the certificates has to trust.
fn write_root(directory: &Path, name: &str, pem: &str) -> io::Result<()> {
    let path = directory.join(name);
    std::fs::write(&path, pem).map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot write {}: {error}", path.display()),
        )
    })
}
