//! `check`, metrics, the page, notifications and the interface agree on which domains have lapsed,
//! which are critical, which are a warning, and which are held: after every step of every model
//! test.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::header::HOST;
use prevalidate::clock::Clock;
use prevalidate::notify::{Pace, Topic, concern};
use prevalidate::overview::danger::{Danger, Gravity};
use prevalidate::overview::{Basis, DomainView, views};
use prevalidate::prevalidation::{DomainName, RowKey, State};
use prevalidate::server::access::Access;
use prevalidate::server::http::app;
use prevalidate::server::shared::{Live, Shared};
use prevalidate::store::{DomainRow, Store};
use tower::ServiceExt as _;

use super::world::{SECOND, World, target};

/// The names that one of the five tells of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    lapsed: BTreeSet<At>,
    critical: BTreeSet<At>,
    warning: BTreeSet<At>,
    held: BTreeSet<At>,
}

/// A domain at a client.
type At = (DomainName, String);

/// A daemon without a scheduler over the store of a world: all its routes.
pub struct Daemon {
    shared: Arc<Shared>,
    router: Router,
}

impl Daemon {
    pub fn of(store: Arc<dyn Store>, clock: Arc<dyn Clock>, world: &World) -> Self {
        let live = Live {
            policy: world.policy.clone(),
            targets: world.targets(),
            providers: ["memory", SECOND].map(str::to_owned).into(),
            access: Access::new(true),
            hook_keys: Vec::new(),
            tls: None,
            domain_labels: 0,
            persistent: Vec::new(),
        };
        let shared = Arc::new(Shared::new(store, clock, live));
        let router = app(&shared);
        Self { shared, router }
    }

    async fn get(&self, path: &str) -> String {
        let request = Request::get(path).header(HOST, "localhost");
        let request = request.body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {answer:?}");
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        String::from_utf8(body.to_vec()).unwrap()
    }
}

impl World {
    pub async fn all_five_agree(&self, rows: Vec<DomainRow>) {
        let now = self.clock.now();
        let names = ["memory", SECOND].map(str::to_owned);
        let (targets, providers) = (self.targets(), names.into());
        let basis = Basis {
            targets: &targets,
            providers: &providers,
            policy: &self.policy,
        };
        let none = BTreeMap::new();
        let all = views(&*self.store, rows, &basis, none, now).await.unwrap();
        if !is_new(&all) {
            return;
        }
        let daemon = Daemon::of(self.store.clone(), Arc::new(self.clock.clone()), self);
        let snapshot = daemon.shared.read_again().await.unwrap();
        let interface = interface(&daemon).await;
        let withdrawn: BTreeSet<_> = all
            .iter()
            .filter(|view| view.state == State::Held && view.is_withdrawn())
            .map(|view| view.at())
            .collect();

        // `check`
        let mut check = Told::default();
        for view in all.iter().filter(|view| view.is_managed()) {
            let name = || view.at();
            let found = view.finding(view.danger, now);
            let is = |gravity| found.as_ref().is_some_and(|(found, _)| *found == gravity);
            match view.usable_until() {
                // A zone that resolvers refuse is critical by itself.
                None if is(Gravity::Critical) && view.bogus.is_none() => {
                    check.lapsed.insert(name())
                }
                Some(_) if is(Gravity::Critical) => check.critical.insert(name()),
                Some(_) if found.iter().any(|(_, text)| text.contains(" ends ")) => {
                    check.warning.insert(name())
                }
                _ => false,
            };
            if view.state == State::Held {
                check.held.insert(name());
                assert!(found.is_some(), "a held domain is never fine: {view:?}");
            }
        }
        assert_eq!(check, interface, "`check` and the interface");

        // Notifications: what a person withdrew is held and no message is sent for it.
        let concerns = concern::concerns(&snapshot, &self.policy, Pace::NIGHTLY);
        let of = |topic| {
            let names = concerns.get(&topic).into_iter().flatten();
            names
                .map(|(name, _)| {
                    let key = RowKey::read(name).unwrap();
                    let first = target().key;
                    let client = key.further_client().unwrap_or(&first).to_owned();
                    (key.domain().clone(), client)
                })
                .collect::<BTreeSet<_>>()
        };
        let notified = Told {
            lapsed: of(Topic::Lapsed),
            critical: of(Topic::MarginCritical),
            warning: of(Topic::MarginWarning),
            held: of(Topic::Held).union(&withdrawn).cloned().collect(),
        };
        assert_eq!(notified, interface, "notifications and the interface");

        metrics_say(&daemon.get("/metrics").await, &interface);
        let is_fine = snapshot.gravity(now) == Gravity::Ok;
        page_says(&daemon.get("/").await, &interface, is_fine);
    }
}

/// Whether no step before had domains in this state: all that the five tell of is read off these
/// few values, and there are many thousand steps.
fn is_new(all: &[DomainView]) -> bool {
    static SEEN: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let how = all.iter().map(|view| {
        let margin = (view.danger, view.with_margin, view.usable_until().is_some());
        let calls = (view.lateness(), view.failures > 2, view.is_withdrawn());
        format!("{:?} {:?} {margin:?} {calls:?}", view.at(), view.state)
    });
    let how: Vec<_> = how.collect();
    SEEN.lock().unwrap().insert(how.join("; "))
}

async fn interface(daemon: &Daemon) -> Told {
    let text = daemon.get("/api/v1/domains").await;
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    let entries = found["domains"].as_array().unwrap();
    let names = |field: &str, word: &str| {
        let chosen = entries
            .iter()
            .filter(|entry| entry["state"] != "unmanaged" && entry[field] == word);
        chosen
            .map(|entry| {
                let text = |field: &str| entry[field].as_str().unwrap();
                let domain = DomainName::from_a_labels(text("domain")).unwrap();
                (domain, text("client").to_owned())
            })
            .collect::<BTreeSet<_>>()
    };
    Told {
        lapsed: names("danger", Danger::Lapsed.as_str()),
        critical: names("danger", Danger::Critical.as_str()),
        warning: names("danger", Danger::Warning.as_str()),
        held: names("state", "held"),
    }
}

/// The numbers that the rules of config/monitoring/alerts.yml read.
fn metrics_say(text: &str, told: &Told) {
    let critical = told.lapsed.len() + told.critical.len();
    for (series, count) in [
        ("prevalidate_domains_lapsed", told.lapsed.len()),
        (
            "prevalidate_domains_below_margin{margin=\"critical\"}",
            critical,
        ),
        (
            "prevalidate_domains_below_margin{margin=\"warning\"}",
            critical + told.warning.len(),
        ),
        ("prevalidate_domains{state=\"held\"}", told.held.len()),
    ] {
        let line = format!("{series} {count}");
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
}

/// The headline names the most severe, and says that nothing needs a person only when that is so.
fn page_says(page: &str, told: &Told, is_fine: bool) {
    let heading = page.split("<h1>").nth(1).unwrap();
    let heading = heading.split("</h1>").next().unwrap();
    let (lapsed, critical) = (!told.lapsed.is_empty(), !told.critical.is_empty());
    assert_eq!(
        heading.contains("no longer validated"),
        lapsed,
        "{heading}: {told:?}"
    );
    assert_eq!(
        heading.contains("very soon"),
        critical && !lapsed,
        "{heading}: {told:?}"
    );
    let is_calm = page.contains("Nothing needs a person");
    assert!(!is_calm || is_fine, "{heading}: {told:?}");
    if lapsed || critical || !told.held.is_empty() {
        assert!(!is_calm, "{heading}: {told:?}");
    }
}
