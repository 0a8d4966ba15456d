//! The provider beside `nsupdate`, which sends the same changes with no question asked: the limit
//! of what is possible.
//!
//! The provider finds each zone, reads what is there, adds with prerequisites, and reads back;
//! `nsupdate` is told the zones and believes the answer. Both are seen by the same 100 questions.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prevalidate_providers::registry::ProviderSettings;
use prevalidate_providers::{Provider, Record};
use serde_json::json;

use crate::Row;
use crate::lab::names;
use crate::support::{Keys, NameServer, Zone, process};

const DOMAINS: usize = 100;
const ROUNDS: u32 = 5;
const VALUE: &str = "swiss-pki=CTvhL6Rc2kFkOeSnAdBdIYcsl2aQnUbP";

pub fn add_and_remove() -> Vec<Row> {
    let domains = names(DOMAINS);
    let mut zones: Vec<_> = domains
        .iter()
        .map(|domain| Zone::new(domain, "@ TXT \"v=spf1 -all\""))
        .collect();
    zones.push(Zone::new("one.test", ""));
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut rows = Vec::new();
    let inside: Vec<_> = (0..DOMAINS)
        .map(|number| format!("d{number}.one.test"))
        .collect();
    for (what, owners, zone) in [
        ("100 zones", &domains, None),
        ("100 names of one zone", &inside, Some("one.test")),
    ] {
        let (mut ours, mut limit) = (Duration::MAX, Duration::MAX);
        // In turn, the best of each: what else the machine does meets both.
        for _ in 0..ROUNDS {
            limit = limit.min(by_nsupdate(&server, owners, zone));
            ours = ours.min(runtime.block_on(by_provider(&server, owners)));
        }
        let times = ours.as_secs_f64() / limit.as_secs_f64();
        let ms = |time: Duration| format!("{} ms", time.as_millis());
        rows.push(Row {
            case: format!("add, see, remove: {what}, nsupdate"),
            figure: ms(limit),
            aim: String::new(),
            met: true,
        });
        rows.push(Row {
            case: format!("add, see, remove: {what}, provider"),
            figure: ms(ours),
            aim: format!("< {}", ms(2 * limit)),
            met: times <= 2.0,
        });
    }
    rows
}

/// One `nsupdate` for all additions, one for all removals; one message for each zone.
fn by_nsupdate(server: &NameServer, owners: &[String], zone: Option<&str>) -> Duration {
    let lines = |verb: &str, ttl: &str| {
        let mut text = zone
            .map(|zone| format!("zone {zone}\n"))
            .unwrap_or_default();
        for owner in owners {
            if zone.is_none() {
                writeln!(text, "zone {owner}").unwrap();
            }
            writeln!(text, "update {verb} {owner}. {ttl} TXT \"{VALUE}\"").unwrap();
            if zone.is_none() {
                text.push_str("send\n");
            }
        }
        text
    };
    let (add, remove) = (lines("add", "3600"), lines("delete", ""));
    let begun = Instant::now();
    server.nsupdate(&add);
    see(server, owners);
    server.nsupdate(&remove);
    begun.elapsed()
}

async fn by_provider(server: &NameServer, owners: &[String]) -> Duration {
    let table = json!({
        "kind": "rfc2136", "server": server.address().to_string(), "key_file": server.tsig_key_file(), "ttl": 3600,
    });
    // A new one each round: it knows no zone yet.
    let provider: Arc<dyn Provider> = ProviderSettings::read(table.as_object().unwrap())
        .unwrap()
        .build()
        .unwrap();
    let values: Vec<_> = owners
        .iter()
        .map(|owner| Record::txt(owner.clone(), VALUE.to_owned()))
        .collect();
    let begun = Instant::now();
    let added = provider.ensure_present(&values).await;
    assert!(
        added
            .iter()
            .all(|receipt| receipt.as_ref().is_ok_and(|receipt| receipt.changed)),
        "{added:?}"
    );
    see(server, owners);
    let removed = provider.ensure_absent(&values).await;
    assert!(
        removed
            .iter()
            .all(|receipt| receipt.as_ref().is_ok_and(|receipt| receipt.changed)),
        "{removed:?}"
    );
    begun.elapsed()
}

/// Every value, by one `dig`.
fn see(server: &NameServer, owners: &[String]) {
    let port = server.address().port().to_string();
    let mut arguments = vec!["+short", "-p", &port, "@127.0.0.1"];
    owners
        .iter()
        .for_each(|owner| arguments.extend([owner.as_str(), "TXT"]));
    let seen = process::run("dig", &arguments, "").matches(VALUE).count();
    assert_eq!(seen, owners.len(), "every value is there");
}
