//! Persistent records as an operator sees them: without a CA, against BIND.

mod checks;
mod guard;
mod moved;
mod ready;
mod records;
mod refused;
mod shown;
#[cfg(feature = "crashpoints")]
mod silent;
mod words;

use prevalidate_providers::TxtRecord;

use super::world::{Setup, World};
use crate::support::{Keys, NameServer, Zone};

const ISSUER: &str = "ca.example";
const ACCOUNT: &str = "https://acme.ca.example/acct/4711";
const SPF: &str = "@ 3600 TXT \"v=spf1 -all\"";

/// Zones with more records, a world that asks no CA, and its configuration.
pub(super) fn stage(zones: &[(&str, &str)]) -> (NameServer, World, Setup) {
    let zone = |(apex, more): &(&str, &str)| Zone::new(apex, &format!("{SPF}\n{more}"));
    let zones_of: Vec<Zone> = zones.iter().map(zone).collect();
    let server = NameServer::bind(&zones_of, &Keys::of(&["prevalidate"]));
    let world = World::new(&[&server]);
    let names: Vec<&str> = zones.iter().map(|(apex, _)| *apex).collect();
    let setup = world.setup(&server, &names);
    let setup = section(setup, ACCOUNT, "canary = \"0s\"");
    (server, world, setup)
}

/// The same configuration with this account and more lines in its section.
pub(super) fn section(setup: Setup, account: &str, more: &str) -> Setup {
    let head =
        format!("[[persistent]]\nissuer = \"{ISSUER}\"\naccounturi = \"{account}\"\n{more}\n");
    Setup {
        instead: Some((String::new(), head)),
        ..setup
    }
}

/// The values at the label of a domain, as the server has them.
pub(super) fn published(server: &NameServer, domain: &str) -> Vec<String> {
    let owner = format!("_validation-persist.{domain}.");
    let lines = server.axfr(domain).into_iter();
    let mut values: Vec<String> = lines
        .filter(|line| line.starts_with(&owner))
        .filter_map(|line| Some(line.split_once('"')?.1.trim_end_matches('"').to_owned()))
        .collect();
    values.sort();
    values
}

/// A value as nsupdate takes it.
pub(super) fn quoted(value: &str) -> String {
    TxtRecord::of(value).presentation()
}
