//! Calls to the APIs of web providers, counted by strict fakes: they are what an account has few
//! of.
//!
//! Beside them is what lego's way, one value at a time, takes (read in its sources, version 4): at
//! Cloudflare a list of zones and one write for each way; at Route 53 a list of zones, a list of
//! records, a write and at least one GetChange.

use std::sync::Arc;

use prevalidate_providers::registry::ProviderSettings;
use prevalidate_providers::{Provider, Record};
use serde_json::{Value, json};

use crate::Row;
use crate::lab::names;
use crate::support::apis::cloudflare::{FakeCloudflare, Token};
use crate::support::apis::route53::{Fake as FakeRoute53, Key, Operation};

const DOMAINS: usize = 100;
const LEGO_AT_CLOUDFLARE: usize = 2 + 2;
const LEGO_AT_ROUTE_53: usize = 4 + 4;

pub fn count() -> Vec<Row> {
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut rows = Vec::new();
        let many: Vec<String> = names(DOMAINS);
        let one: Vec<String> = (0..DOMAINS)
            .map(|number| format!("d{number}.one.test"))
            .collect();
        for (what, owners, zones) in [
            ("100 zones", &many, many.as_slice()),
            ("1 zone", &one, &["one.test".to_owned()]),
        ] {
            rows.push(cloudflare(what, owners, zones).await);
            rows.push(route_53(what, owners, zones).await);
        }
        rows
    })
}

async fn cloudflare(what: &str, owners: &[String], zones: &[String]) -> Row {
    let fake = FakeCloudflare::start().await;
    fake.token("token", Token::FULL);
    zones.iter().for_each(|zone| drop(fake.zone(zone)));
    let token = json!({ "command": ["printf", "token"] });
    let provider =
        build(json!({ "kind": "cloudflare", "url": fake.url(), "token": token, "rate": "1000/s" }));
    let lists = zones.len().div_ceil(50);
    // A read and a write of each zone and way; of a hundred names in one zone they are one batch.
    let most = [2 * zones.len() + lists, 2 * zones.len()];
    let counted = [
        calls_of(&*provider, owners, true, || fake.web.take_calls().len()).await,
        calls_of(&*provider, owners, false, || fake.web.take_calls().len()).await,
    ];
    row(
        &format!(
            "calls to Cloudflare, {what}; lego: {}",
            DOMAINS * LEGO_AT_CLOUDFLARE
        ),
        counted,
        most,
    )
}

async fn route_53(what: &str, owners: &[String], zones: &[String]) -> Row {
    let fake = FakeRoute53::start().await;
    fake.key("AKIA", Key::of("ours"));
    zones
        .iter()
        .enumerate()
        .for_each(|(number, zone)| fake.zone(&format!("Z{number:03}"), zone, "ours"));
    let secret = |text: &str| json!({ "command": ["printf", text] });
    let provider = build(
        json!({ "kind": "route53", "endpoint": fake.endpoint(), "rate": "50/s",
                                 "access_key": secret("AKIA"), "secret_key": secret("secret") }),
    );
    let calls = || {
        let all = [
            Operation::ListHostedZones,
            Operation::GetHostedZone,
            Operation::ListResourceRecordSets,
            Operation::ChangeResourceRecordSets,
            Operation::GetChange,
        ];
        let count = all
            .iter()
            .map(|operation| fake.calls(*operation))
            .sum::<u64>();
        fake.forget_calls();
        usize::try_from(count).unwrap()
    };
    let most = [2 * zones.len() + zones.len().div_ceil(100), 2 * zones.len()];
    let counted = [
        calls_of(&*provider, owners, true, calls).await,
        calls_of(&*provider, owners, false, calls).await,
    ];
    row(
        &format!(
            "calls to Route 53, {what}; lego: {}",
            DOMAINS * LEGO_AT_ROUTE_53
        ),
        counted,
        most,
    )
}

fn build(table: Value) -> Arc<dyn Provider> {
    ProviderSettings::read(table.as_object().unwrap())
        .unwrap()
        .build()
        .unwrap()
}

/// The calls of one way: to publish, or to clean up.
async fn calls_of(
    provider: &dyn Provider,
    owners: &[String],
    publish: bool,
    calls: impl Fn() -> usize,
) -> usize {
    let value = |owner: &String| Record::txt(owner.clone(), "swiss-pki=counted".to_owned());
    let values: Vec<_> = owners.iter().map(value).collect();
    calls();
    let done = if publish {
        provider.ensure_present(&values).await
    } else {
        provider.ensure_absent(&values).await
    };
    assert!(
        done.iter()
            .all(|receipt| receipt.as_ref().is_ok_and(|receipt| receipt.changed)),
        "{done:?}"
    );
    calls()
}

fn row(case: &str, [publish, clean_up]: [usize; 2], most: [usize; 2]) -> Row {
    Row {
        case: case.to_owned(),
        figure: format!("{publish} + {clean_up}"),
        aim: format!("{} + {}", most[0], most[1]),
        met: publish <= most[0] && clean_up <= most[1],
    }
}
