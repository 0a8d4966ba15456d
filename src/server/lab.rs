//! A daemon without a scheduler for tests: a store with a few domains in every condition, a clock
//! that is, all routes.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::{HeaderMap, Request, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tower::ServiceExt as _;

use super::access::{Access, Role};
use super::shared::{Live, Shared};
use crate::ca::ClientSelector;
use crate::clock::{Clock as _, SimulatedClock};
use crate::prevalidation::upkeep::{Attempt, Setback, Wait};
use crate::prevalidation::{
    Bogus, DomainName, Hold, LedgerEntry, LedgerState, Mode, Policy, Proof, RecordType,
    Registration, RowKey, Sighting, Status, Token, Upkeep,
};
use crate::store::sqlite::SqliteStore;
use crate::store::{Claim, Event, Origin, Seen, Store, Wanted, Write};
use crate::worker::Target;

/// The client of all domains.
pub const CLIENT: &str = "swisssign/Muster AG";
/// A token of the role `read`.
pub const READ: &str = "kI2uVqF0cQm7m4uJZr1wT3nS";
/// A token of the role `hook`.
pub const HOOK: &str = "cQm7m4uJZr1wT3nSkI2uVqF0";
/// A token of the role `operate`.
pub const OPERATE: &str = "7m4uJZr1wT3nSkI2uVqF0cQm";
/// What is where other people's words do: a page and a terminal must show it and not obey it.
pub const EVIL: &str = "<script>alert(1)</script>\u{1b}[31m\u{202e}\"'&";

/// The world.
pub struct Lab {
    pub shared: Arc<Shared>,
    pub clock: SimulatedClock,
    pub store: Arc<SqliteStore>,
    folder: tempfile::TempDir,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

pub fn name(text: &str) -> DomainName {
    DomainName::from_a_labels(text).unwrap()
}

/// With tokens.
pub fn access() -> Access {
    let mut access = Access::new(true);
    access.add("monitoring", Role::Read, &READ.into()).unwrap();
    access.add("pipeline", Role::Hook, &HOOK.into()).unwrap();
    access
        .add("people", Role::Operate, &OPERATE.into())
        .unwrap();
    access
}

impl Lab {
    /// Without tokens: this machine may read.
    pub async fn open() -> Self {
        Self::with(Access::new(true)).await
    }

    /// With these tokens, and a snapshot.
    pub async fn with(access: Access) -> Self {
        let clock = SimulatedClock::at("2026-12-01T00:00:00Z".parse().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("prevalidate.db").display());
        let store = Arc::new(SqliteStore::open(&url, None).await.unwrap());
        let live = Live {
            policy: Policy::new(Mode::Manage),
            targets: vec![Target::new(
                "swisssign",
                ClientSelector::Name("Muster AG".to_owned()),
            )],
            providers: ["internal".to_owned()].into(),
            access,
            tls: None,
            domain_labels: 0,
            persistent: Vec::new(),
            hook_keys: Vec::new(),
        };
        let shared = Arc::new(Shared::new(
            Arc::clone(&store) as Arc<dyn Store>,
            Arc::new(clock.clone()),
            live,
        ));
        shared.hinder(None);
        let lab = Self {
            shared,
            clock,
            store,
            folder,
        };
        lab.fill().await;
        lab.shared.read_again().await.unwrap();
        lab
    }

    /// Takes the store away, as a lost disk does.
    pub async fn lose_the_store(&self) {
        self.store.close().await;
        std::fs::remove_dir_all(self.folder.path()).unwrap();
    }

    /// Puts other settings into force.
    pub fn change(&self, change: impl FnOnce(&mut Live)) {
        let mut live = (*self.shared.live()).clone();
        change(&mut live);
        self.shared.reload(live);
    }

    /// Asks `router` as a program on this machine does.
    pub async fn ask(&self, router: &Router, path: &str, token: Option<&str>) -> Reply {
        let mut request = Request::get(path).header(HOST, "127.0.0.1:8420");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        ask(router, request.body(Body::empty()).unwrap()).await
    }

    async fn fill(&self) {
        let now = self.clock.now();
        let names = [
            "example.ch",
            "xn--dj-kia8a.vu.com",
            "held.example",
            "new.example",
            "busy.example",
            "www.example.ch",
        ];
        let wanted = names.map(|text| Wanted {
            domain: name(text),
            client: CLIENT.into(),
            ca: "swisssign".into(),
            provider: (text == "example.ch").then(|| "internal".into()),
        });
        self.store
            .sync_inventory(Origin::Config, &wanted, now)
            .await
            .unwrap();
        let seen = [
            (
                "example.ch",
                registration("example.ch", Some(now - days(30))),
            ),
            (
                "xn--dj-kia8a.vu.com",
                registration("xn--dj-kia8a.vu.com", Some(now - days(195))),
            ),
            (
                "held.example",
                registration("held.example", Some(now - days(300))),
            ),
            ("busy.example", registration("busy.example", None)),
        ];
        let mut seen: Vec<Seen> = seen
            .into_iter()
            .map(|(text, found)| Seen {
                key: name(text).into(),
                changed: Some(Box::new(Sighting::Present(found))),
                due_at: Some(now),
            })
            .collect();
        let absent = |text| Seen {
            key: name(text).into(),
            changed: Some(Box::new(Sighting::Absent)),
            due_at: Some(now + days(1)),
        };
        seen.extend([absent("new.example"), absent("www.example.ch")]);
        self.store.record_listing(CLIENT, &seen, now).await.unwrap();
        self.store
            .set_fact(&crate::worker::unmanaged_fact(CLIENT), "forgotten.example")
            .await
            .unwrap();
        let only = [name("held.example"), name("busy.example")].map(RowKey::from);
        let claim = Claim {
            holder: "lab",
            now,
            lease: SignedDuration::from_mins(1),
            limit: 2,
            only: Some(&only),
            except_clients: &[],
        };
        let leases = self.store.claim(&claim).await.unwrap();
        assert_eq!(leases.len(), 2);
        let writes: Vec<Write> = leases
            .into_iter()
            .map(|lease| {
                let is_held = lease.fence.domain.as_str() == "held.example";
                let domain = Some(lease.fence.domain.clone());
                let client = Some(lease.row.client.clone());
                let event = |kind: &str, detail: &str| Event {
                    at: now,
                    run: "run-1".to_owned(),
                    domain: domain.clone(),
                    client: client.clone(),
                    kind: kind.to_owned(),
                    detail: detail.to_owned(),
                };
                Write {
                    sighting: None,
                    upkeep: if is_held { held(now) } else { busy(now) },
                    due_at: Some(now + days(1)),
                    at_risk: None,
                    ledger: if is_held {
                        Vec::new()
                    } else {
                        vec![entry(now)]
                    },
                    events: if is_held {
                        vec![event("held", EVIL)]
                    } else {
                        vec![event("registered", "a"), event("published", "b")]
                    },
                    effect: None,
                    release: true,
                    fence: lease.fence,
                }
            })
            .collect();
        assert!(
            self.store
                .commit(&writes)
                .await
                .unwrap()
                .iter()
                .all(Result::is_ok)
        );
    }
}

/// Asks `router` and reads the answer.
pub async fn ask(router: &Router, request: Request<Body>) -> Reply {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

fn registration(text: &str, proved_at: Option<Timestamp>) -> Registration {
    let made = "2026-11-30T00:00:00Z".parse().unwrap();
    Registration {
        reference: format!("cld-{text}"),
        domain: name(text),
        status: if proved_at.is_some() {
            Status::Valid
        } else {
            Status::Pending
        },
        proof: proved_at.map(|at| {
            Box::new(Proof {
                validated_at: Some(at),
                expires_at: Some(at + days(198)),
                method: Some("DNS".to_owned()),
                first_seen: None,
                ends: Default::default(),
            })
        }),
        token: Some(Box::new(Token {
            value: "swiss-pki=canary".to_owned(),
            created_at: Some(made),
            expires_at: Some(made + days(30)),
            expired: false,
        })),
        remembered: false,
        challenge: None,
        order: None,
        is_summary: false,
        last_words: Some(EVIL.to_owned()),
        doubt: None,
    }
}

fn held(now: Timestamp) -> Upkeep {
    Upkeep {
        attempt: Attempt {
            since: Some(now),
            ..Attempt::default()
        },
        setback: Setback {
            last_error: Some(EVIL.to_owned()),
            hold: Some(Hold {
                since: now,
                reason: EVIL.to_owned(),
                again_at: now + days(1),
            }),
            ..Setback::default()
        },
        ..Upkeep::default()
    }
}

fn busy(now: Timestamp) -> Upkeep {
    Upkeep {
        attempt: Attempt {
            since: Some(now - days(3)),
            value: Some("swiss-pki=canary".to_owned()),
            ..Attempt::default()
        },
        wait: Wait {
            since: Some(now - days(3)),
            bogus: Some(Bogus {
                since: now,
                fault: "the signatures have ended".to_owned(),
            }),
            ..Wait::default()
        },
        ..Upkeep::default()
    }
}

fn entry(now: Timestamp) -> LedgerEntry {
    LedgerEntry {
        id: 1,
        key: name("busy.example").into(),
        owner: "busy.example".to_owned(),
        kind: RecordType::Txt,
        value: "swiss-pki=canary".to_owned(),
        provider: "internal".to_owned(),
        zone: Some("busy.example".to_owned()),
        state: LedgerState::Published,
        ttl_before: Some(300),
        negative_ttl: None,
        created_at: now - days(3),
        published_at: Some(now - days(3)),
        removal_tries: 0,
        retry_at: None,
    }
}
