//! SwissSign in a sandbox: started with a client that has no domains yet, and its sections of a
//! configuration.

use std::io;
use std::path::Path;
use std::sync::Arc;

use futures::FutureExt as _;
use serde_json::Value;

use super::{Behaviour, Ca, CaOptions, published_lifetimes};
use crate::prevalidation::DomainName;
use crate::sandbox::kind::{Guest, Kind, Table, client_section, path_of};
use crate::sandbox::service;

/// The service account of a sandbox.
pub const USER: &str = "MPKI0000001.AutoRAO";
/// The client of a sandbox.
pub const CLIENT: &str = "MPKI0000001 - Muster AG";

/// SwissSign, as the sandbox sees it.
pub static KIND: Kind = Kind {
    name: "swisssign",
    explained: SWITCHES,
    switches: service::defaults::<Behaviour>,
    set: service::set::<Behaviour>,
    start: |table, switches| start(table, switches).boxed(),
};

/// The client registers its domains by itself.
async fn start(table: Table<'_>, switches: Value) -> io::Result<Arc<dyn Guest>> {
    let ca = Ca::start(CaOptions {
        clock: Arc::clone(&table.clock),
        listen: table.listen,
        user: USER.to_owned(),
        api_key: table.secret("api.key", 64)?,
        clients: vec![CLIENT.to_owned()],
        lifetimes: published_lifetimes(),
        behaviour: service::read(switches)?,
        seed: table.seed,
        name_servers: table.name_servers(),
        dns: Some(Arc::clone(&table.dns)),
    });
    let ca = table.listening("SwissSign", ca.await)?;
    table.write_root("root.pem", &ca.root_pem())?;
    Ok(Arc::new(ca))
}

impl Guest for Ca {
    fn url(&self) -> String {
        self.url()
    }

    fn stop(&self) {
        self.stop();
    }

    fn sections(&self, directory: &Path, domains: &[DomainName]) -> String {
        format!(
            r#"[ca.sandbox]
kind = "swisssign"
url = "{url}"
user = "{USER}"
api_key = {{ file = {api_key} }}
rate = "50/s"

{client}"#,
            url = self.url(),
            api_key = path_of(directory, "api.key"),
            client = client_section("sandbox", CLIENT, domains),
        )
    }

    fn back_door(&self) -> Option<String> {
        Some(format!("{}/_sandbox/state", self.url()))
    }
}

/// Every switch with the values it takes and what it means; the default first.
const SWITCHES: &[(&str, &str, &str)] = &[
    (
        "reset_keeps_proof",
        "true|false",
        "a reset leaves a valid domain valid",
    ),
    ("not_seen", "unchanged|error", "how validate says: not seen"),
    (
        "stale_token",
        "unchanged|error",
        "how validate says: no token to search for",
    ),
    (
        "register_known",
        "error|same|new_token",
        "what register does with a known name",
    ),
    (
        "bad_name_fails_batch",
        "true|false",
        "one bad name fails the whole register",
    ),
    (
        "value_has_prefix",
        "true|false",
        "the value comes with swiss-pki= in front",
    ),
    (
        "lower_case_status",
        "false|true",
        "the status is in lower case",
    ),
    ("polls", "false|true", "the CA checks by itself"),
    ("folds_sharp_s", "false|true", "ß becomes ss"),
    ("shuffled", "false|true", "lists come in any order"),
    (
        "cuts_late",
        "false|true",
        "a rule cuts shown dates when it starts",
    ),
    (
        "quoted_jwt",
        "false|true",
        "the token helper's JWT is in quotes",
    ),
    ("issuer", "SwissPKI|TEXT", "the `iss` that is accepted"),
    (
        "client_search_limit",
        "300|N",
        "how many clients a search returns",
    ),
    (
        "perspectives",
        "0|N",
        "places that check; 0: at every name server",
    ),
    (
        "resolvers",
        "[]|[\"192.0.2.1:53\"]",
        "one resolver per place, asked instead",
    ),
    ("perspective_failures", "1|N", "how many of them may fail"),
    ("caa", "off|orders|validate", "CAA is asked for before this"),
    (
        "caa_names",
        "[\"swisssign.com\"]",
        "what the CA is called in CAA",
    ),
    (
        "caa_accounts",
        "[]|[\"acct:…\"]",
        "the account in `accounturi` of CAA",
    ),
    (
        "caa_from",
        "2027-03-15T00:00:00Z",
        "from when on parameters of CAA count",
    ),
    (
        "caa_lenient",
        "true|false",
        "the CA takes dns-01 and other spellings",
    ),
    (
        "persistent",
        "both|boulder|digicert",
        "how persistent records are read",
    ),
    (
        "persistent_issuer",
        "swisssign.com|TEXT",
        "the CA in persistent records",
    ),
    (
        "persistent_accounts",
        "[\"acct:sandbox@swisssign.com\"]",
        "the account in persistent records",
    ),
    (
        "persistent_every",
        "691200|N",
        "seconds between two checks at one",
    ),
    (
        "issued_after",
        "0|N",
        "seconds from an order to its certificate",
    ),
    (
        "orders_become",
        "ISSUED|WORD",
        "the state that an order reaches",
    ),
    (
        "certificate_life",
        "7776000|N",
        "how long certificates live, seconds",
    ),
    (
        "unproven",
        "waits|hangs|fails",
        "an order for a name without validation",
    ),
    (
        "validate_sees_domains",
        "false|true",
        "the rehearsal of orders sees domains",
    ),
    (
        "tags_are_exact",
        "true|false",
        "a search by tag finds that very tag only",
    ),
    (
        "tags_found_after",
        "0|N",
        "seconds until a search by tag finds an order",
    ),
    (
        "submit_fails",
        "no|without_order|with_order",
        "0239, and the order exists or not",
    ),
    (
        "chain_order",
        "leaf_first|root_first|any",
        "in which order a chain comes",
    ),
    ("chain_has_root", "true|false", "a chain holds the root"),
    ("chain_in_pem", "false|true", "a chain is PEM, not DER"),
    ("bare_status", "false|true", "a state is a bare word"),
    (
        "for_another_key",
        "false|true",
        "certificates are for another key",
    ),
    (
        "leaves_a_name_out",
        "false|true",
        "certificates lack the last name",
    ),
    (
        "revoked_at_once",
        "false|true",
        "certificates are revoked as they are issued",
    ),
    ("revoked_after", "0|N", "seconds until a revocation shows"),
    (
        "wants_requestor",
        "true|false",
        "a revocation names who asks for it",
    ),
    (
        "latency_ms",
        "0|N",
        "the least time of a call, as --latency",
    ),
    (
        "calls_per_second",
        "0|N",
        "429 for more than this; 0: no limit",
    ),
];
