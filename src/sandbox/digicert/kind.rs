//! DigiCert in a sandbox: started with an organisation that has the domains, and its sections of a
//! configuration.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::Value;

use super::{Behaviour, CertCentral, CertCentralOptions};
use crate::prevalidation::DomainName;
use crate::sandbox::kind::{Guest, Kind, Table, client_section, path_of};
use crate::sandbox::service;

/// The organisation.
const ORGANISATION: u64 = 117_483;
/// Its name.
const ORGANISATION_NAME: &str = "Muster AG";
/// The division that it belongs to.
const DIVISION: &str = "Muster";
/// The file of the API key.
const KEY: &str = "digicert.key";

/// DigiCert CertCentral, as the sandbox sees it.
pub static KIND: Kind = Kind {
    name: "digicert",
    explained: &[],
    switches: service::defaults::<Behaviour>,
    set: service::set::<Behaviour>,
    start: |table, switches| start(table, switches).boxed(),
};

async fn start(table: Table<'_>, switches: Value) -> io::Result<Arc<dyn Guest>> {
    let organisation = (
        ORGANISATION,
        ORGANISATION_NAME.to_owned(),
        DIVISION.to_owned(),
    );
    let cc = CertCentral::start(CertCentralOptions {
        clock: Arc::clone(&table.clock),
        listen: table.listen,
        api_key: table.secret(KEY, 64)?,
        organisations: vec![organisation],
        behaviour: service::read(switches)?,
        seed: table.seed,
        name_servers: table.name_servers(),
    });
    let cc = table.listening("DigiCert", cc.await)?;
    for domain in table.domains {
        cc.add_domain(domain.as_str(), ORGANISATION);
    }
    table.write_root("digicert-root.pem", &cc.root_pem())?;
    let _ = cc.shared.dns.set(Arc::clone(&table.dns));
    Ok(Arc::new(cc))
}

impl Guest for CertCentral {
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
            r#"[ca.digicert]
kind = "digicert"
url = "{url}"
api_key = {{ file = {key} }}
rate = "50/s"

{client}"#,
            url = self.url(),
            key = path_of(directory, KEY),
            client = client_section("digicert", ORGANISATION_NAME, domains),
        )
    }
}
