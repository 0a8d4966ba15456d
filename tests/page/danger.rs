//! What is in danger comes first on the page, in the numbers of the metrics.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::ClientSelector;
use prevalidate::clock::Clock as _;
use prevalidate::prevalidation::DomainName;
use prevalidate::server::access::Access;
use prevalidate::server::http;
use prevalidate::store::Store;
use prevalidate::store::sqlite::SqliteStore;
use prevalidate::worker::Target;

use super::{Page, Site};
use crate::support::inventory::{Inventory, name};

/// Domains of the inventory, each with the age of its proof in days.
async fn site(kinds: &[(&str, usize, i64)], targets: usize) -> Site {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open("sqlite::memory:", None).await.unwrap());
    let mut inventory = Inventory::over(store);
    inventory.targets[1] = Target::new("second", ClientSelector::Name("Muster AG".into()));
    inventory.targets.truncate(targets);
    let now = inventory.clock.now();
    let mut all: Vec<(DomainName, Option<Timestamp>)> = Vec::new();
    for (kind, count, days) in kinds {
        let made = now - SignedDuration::from_hours(24 * days + 2);
        all.extend(
            (0..*count).map(|number| (name(&format!("{kind}{number}.example")), Some(made))),
        );
    }
    for (place, target) in inventory.targets.iter().enumerate() {
        let own = all.iter().enumerate();
        let own = own.filter(|(number, _)| number % targets == place);
        let own = own.map(|(_, domain)| domain.clone()).collect();
        inventory.list(target, own, now).await;
    }
    let shared = inventory.shared(Access::new(true)).await;
    Site {
        app: http::app(&shared),
        inventory,
        shared,
    }
}

const TROUBLE: [(&str, usize, i64); 4] = [
    ("valid", 40, 20),
    ("warning", 5, 185),
    ("lapsed", 3, 230),
    ("critical", 2, 196),
];

/// The section with its heading.
fn section(page: &Page) -> &str {
    let from = page.text.find("aria-labelledby=\"danger\"").unwrap();
    page.text[from..].split("</section>").next().unwrap()
}

#[tokio::test]
async fn the_danger_is_named_first_and_in_the_numbers_of_the_metrics() {
    let site = site(&TROUBLE, 2).await;
    let page = site.get("/").await;
    let danger = section(&page);
    assert!(
        page.text.find("id=\"danger\"").unwrap() < page.text.find("id=\"states\"").unwrap(),
        "before everything else"
    );
    assert!(page.has("3 of 50\u{a0}domains are no longer validated"));
    for said in [
        "3\u{a0}domains have lapsed",
        "2\u{a0}domains lapse very soon",
        "5\u{a0}domains are below the warning margin",
        "No proof counts since",
        "in danger since",
        "Next try",
        "2026-11-24",
    ] {
        assert!(danger.contains(said), "{said}: {danger}");
    }
    // The most severe first, and no other.
    let places: Vec<_> = danger.match_indices("class=\"danger ").collect();
    let words: Vec<_> = places
        .iter()
        .map(|(at, mark)| danger[at + mark.len()..].split('"').next().unwrap())
        .collect();
    let wanted = [&["lapsed"; 3][..], &["critical"; 2], &["warning"; 5]].concat();
    assert_eq!(words, wanted);
    assert!(!danger.contains("valid0.example"));

    let metrics = site.get("/metrics").await;
    for line in [
        "prevalidate_domains_lapsed 3",
        "prevalidate_domains_below_margin{margin=\"critical\"} 5",
        "prevalidate_domains_below_margin{margin=\"warning\"} 10",
    ] {
        assert!(
            metrics.text.lines().any(|told| told == line),
            "{line}: {}",
            metrics.text
        );
    }
    let list = site.get("/domains").await;
    let first: Vec<_> = list.names().into_iter().take(5).collect();
    assert_eq!(
        first,
        ["lapsed0", "lapsed1", "lapsed2", "critical0", "critical1"]
            .map(|name| format!("{name}.example"))
    );
    assert!(list.has("class=\"margin critical\"") && list.has(">second/Muster AG<"));
}

#[tokio::test]
async fn without_danger_there_is_no_such_section_and_one_client_needs_no_column() {
    let site = site(&[("valid", 10, 20)], 1).await;
    let page = site.get("/").await;
    assert!(!page.has("id=\"danger\"") && page.has("Nothing needs a person"));
    let list = site.get("/domains").await;
    assert!(!list.has("columnheader\">Client"), "{}", list.text);
    // A wall shows what is, and no note about an order of an hour ago.
    for path in ["/", "/?note=looking"] {
        assert_eq!(site.get(path).await.header("refresh"), "60; url=/");
    }
    let one = site.get("/domains/valid0.example?note=tried").await;
    assert_eq!(one.header("refresh"), "60; url=/domains/valid0.example");
}

#[tokio::test]
async fn a_domain_is_found_by_the_beginning_of_its_a_label() {
    let site = Site::open(10).await;
    for search in ["xn--bch", "XN--BCHER", "xn--bcher-kva.example", "b%C3%BCch"] {
        let found = site.get(&format!("/domains?q={search}&sort=name")).await;
        assert_eq!(
            found.names(),
            ["below.xn--bcher-kva.example", "xn--bcher-kva.example"],
            "{search}"
        );
    }
    assert!(
        site.get("/domains?q=xn--bch")
            .await
            .has("<span class=\"why\">xn--bcher-kva.example</span>")
    );
}

#[tokio::test]
async fn waiting_is_amber_and_only_a_failure_is_red() {
    let site = Site::open(10).await;
    let late = site.get("/domains/late.example").await;
    assert!(!late.has("The last try failed"), "{}", late.text);
    let held = site.get("/domains/held.example").await;
    assert!(held.has("class=\"note wrong\"") && held.has("The last try failed"));
    assert!(held.has("<code>acme</code>"), "back-ticks are marks");
}
