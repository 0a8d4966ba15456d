//! Sectigo in a sandbox: started with an organisation that has the domains, and its sections of a
//! configuration.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::Value;

use super::{Behaviour, Scm, ScmOptions};
use crate::prevalidation::DomainName;
use crate::sandbox::kind::{Guest, Kind, Table, client_section, path_of};
use crate::sandbox::service;

/// The administrator.
const USER: &str = "prevalidate";
/// The customer.
const CUSTOMER: &str = "muster";
/// Its organisation.
const ORGANISATION: u64 = 12345;
/// The name of the organisation.
const ORGANISATION_NAME: &str = "Muster AG";
/// The file of the password.
const PASSWORD: &str = "sectigo.password";

/// Sectigo Certificate Manager, as the sandbox sees it.
pub static KIND: Kind = Kind {
    name: "sectigo",
    explained: &[],
    switches: service::defaults::<Behaviour>,
    set: service::set::<Behaviour>,
    start: |table, switches| start(table, switches).boxed(),
};

async fn start(table: Table<'_>, switches: Value) -> io::Result<Arc<dyn Guest>> {
    let scm = Scm::start(ScmOptions {
        clock: Arc::clone(&table.clock),
        listen: table.listen,
        user: USER.to_owned(),
        password: table.secret(PASSWORD, 32)?,
        customer_uri: CUSTOMER.to_owned(),
        organisations: vec![(ORGANISATION, ORGANISATION_NAME.to_owned())],
        behaviour: service::read(switches)?,
        seed: table.seed,
        name_servers: table.name_servers(),
    });
    let scm = table.listening("Sectigo", scm.await)?;
    for domain in table.domains {
        scm.add_domain(domain.as_str(), ORGANISATION);
    }
    table.write_root("sectigo-root.pem", &scm.root_pem())?;
    let _ = scm.shared.dns.set(Arc::clone(&table.dns));
    Ok(Arc::new(scm))
}

impl Guest for Scm {
    fn url(&self) -> String {
        self.url()
    }

    fn stop(&self) {
        self.stop();
    }

    fn back_door(&self) -> Option<String> {
        Some(format!("http://{}/_sandbox/state", self.service.address()))
    }

    fn sections(&self, directory: &Path, domains: &[DomainName]) -> String {
        format!(
            r#"[ca.sectigo]
kind = "sectigo"
url = "{url}"
user = "{USER}"
password = {{ file = {password} }}
customer_uri = "{CUSTOMER}"
rate = "50/s"

{client}"#,
            url = self.url(),
            password = path_of(directory, PASSWORD),
            client = client_section("sectigo", ORGANISATION_NAME, domains),
        )
    }
}
