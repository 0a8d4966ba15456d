//! The route as its senders see it, over a real store: what is taken, what is refused and how, and
//! that nothing is lost or done before it is said (faults b11).
#![allow(clippy::unwrap_used)]

use axum::body::{Body, to_bytes};
use axum::http::Request;
use axum::http::request::Builder;
use futures::FutureExt;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use tower::ServiceExt;

use super::key::Key;
use super::signature::Scheme;
use super::*;
use crate::ca::ClientSelector;
use crate::clock::{Clock, SimulatedClock};
use crate::prevalidation::{Mode, Policy, Sighting};
use crate::server::access::Access;
use crate::store::sqlite::SqliteStore;
use crate::store::{Origin, Seen, Store, Wanted};
use crate::worker::Target;

const FIRST: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEXT: &str = "whsec_UFaKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS";
const HUB: &str = "a text of more than 24 bytes";
const TOKEN: &str = "kI2uVqF0cQm7m4uJZr1wT3nS";
const READER: &str = "7m4uJZr1wT3nSkI2uVqF0cQm";

/// A store with some domains that are due in a year, and a clock that is.
struct World {
    shared: Arc<Shared>,
    clock: SimulatedClock,
    store: SqliteStore,
    router: Router,
    folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Value,
}

fn name(text: &str) -> DomainName {
    DomainName::look_up(text).unwrap()
}

fn keys() -> Vec<Key> {
    let key = |name: &str, scheme: Scheme, secrets: &[&str], zones: &[&str]| {
        let secrets = secrets
            .iter()
            .map(|&secret| scheme.secret(&secret.into()).unwrap())
            .collect();
        Key::new(
            name,
            scheme,
            secrets,
            zones.iter().map(|zone| self::name(zone)).collect(),
        )
    };
    vec![
        key("everything", Scheme::Standard, &[FIRST, NEXT], &[]),
        key(
            "one-zone",
            Scheme::Standard,
            &["another text of 24 bytes or more"],
            &["example.ch"],
        ),
        key(
            "github",
            Scheme::Hub,
            &[HUB],
            &["example.ch", "example.org"],
        ),
        key(
            "github-all",
            Scheme::Hub,
            &["yet another text of 24 bytes"],
            &[],
        ),
    ]
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("prevalidate.db").display());
        let store = SqliteStore::open(&url, None).await.unwrap();
        let clock = SimulatedClock::at(Timestamp::from_second(1_800_000_000).unwrap());
        let mut access = Access::new(true);
        access.add("pipeline", Role::Hook, &TOKEN.into()).unwrap();
        access
            .add("monitoring", Role::Read, &READER.into())
            .unwrap();
        let live = Live {
            policy: Policy::new(Mode::Manage),
            targets: vec![Target::new(
                "swisssign",
                ClientSelector::Name("Muster AG".to_owned()),
            )],
            providers: ["dns".to_owned()].into(),
            access,
            hook_keys: keys(),
            tls: None,
            domain_labels: 0,
            persistent: Vec::new(),
        };
        let shared = Arc::new(Shared::new(
            Arc::new(store.clone()),
            Arc::new(clock.clone()),
            live,
        ));
        let router = routes(Arc::clone(&shared));
        let world = Self {
            shared,
            clock,
            store,
            router,
            folder,
        };
        let names = [
            "example.ch",
            "www.example.ch",
            "example.org",
            "badexample.ch",
            "xn--dj-kia8a.vu.com",
        ];
        let wanted: Vec<_> = names
            .map(|domain| Wanted {
                domain: name(domain),
                client: "swisssign/Muster AG".into(),
                ca: "swisssign".into(),
                provider: None,
            })
            .into();
        world
            .store
            .want(Origin::Config, &wanted, world.clock.now())
            .await
            .unwrap();
        world.rest().await;
        world.shared.read_again().await.unwrap();
        world
    }

    /// Puts everything off for a year.
    async fn rest(&self) {
        let now = self.clock.now();
        let due_at = now.checked_add(SignedDuration::from_hours(24 * 365)).ok();
        let rows = self.store.domains().await.unwrap().into_iter();
        let seen: Vec<_> = rows
            .map(|row| Seen {
                key: row.key,
                changed: Some(Box::new(Sighting::Absent)),
                due_at,
            })
            .collect();
        let claim = crate::store::Claim {
            holder: "tests",
            now,
            lease: SignedDuration::from_mins(5),
            limit: 100,
            only: None,
            except_clients: &[],
        };
        // What was woken is answered by a claim.
        for lease in self.store.claim(&claim).await.unwrap() {
            let write = crate::store::Write {
                fence: lease.fence,
                sighting: None,
                upkeep: lease.row.upkeep,
                due_at,
                at_risk: None,
                ledger: Vec::new(),
                events: Vec::new(),
                effect: None,
                release: true,
            };
            self.store
                .commit(&[write])
                .await
                .unwrap()
                .remove(0)
                .unwrap();
        }
        self.store
            .record_listing("swisssign/Muster AG", &seen, now)
            .await
            .unwrap();
        self.clock.advance(SignedDuration::from_secs(1));
    }

    /// The domains that are due now.
    async fn due(&self) -> Vec<String> {
        let rows = self.store.domains().await.unwrap().into_iter();
        let now = self.clock.now();
        rows.filter(|row| row.due_at.is_some_and(|due| due <= now))
            .map(|row| row.domain.to_string())
            .collect()
    }

    fn signed(&self, secret: &str, id: &str, body: &str) -> Builder {
        let time = self.clock.now().as_second().to_string();
        let secret = Scheme::Standard.secret(&secret.into()).unwrap();
        json_request()
            .header("webhook-id", id)
            .header("webhook-signature", secret.sign(id, &time, body.as_bytes()))
            .header("webhook-timestamp", time)
    }

    async fn send(&self, request: Builder, body: &str) -> Answer {
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body.to_owned())).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(
            [FIRST, NEXT, HUB, TOKEN]
                .iter()
                .all(|secret| !text.contains(secret)),
            "{text}"
        );
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// A hook with the first key.
    async fn hook(&self, id: &str, body: &str) -> Answer {
        self.send(self.signed(FIRST, id, body), body).await
    }

    fn is_woken(&self) -> bool {
        self.shared.wake.notified().now_or_never().is_some()
    }

    /// How often an outcome was counted.
    fn counted(&self, outcome: &str) -> u32 {
        let text = self
            .shared
            .metrics
            .encode(&prometheus_client::registry::Registry::default())
            .unwrap();
        let line = format!("prevalidate_hook_requests_total{{outcome=\"{outcome}\"}} ");
        text.lines()
            .find_map(|found| found.strip_prefix(&line))
            .map_or(0, |count| count.parse().unwrap())
    }
}

fn json_request() -> Builder {
    Request::post(PATH).header("content-type", "application/json")
}

fn hub(secret: &str, body: &str) -> Builder {
    let secret = Scheme::Hub.secret(&secret.into()).unwrap();
    json_request().header(
        "x-hub-signature-256",
        signature::tests::sign_hub(&secret, body.as_bytes()),
    )
}

#[tokio::test]
async fn domains_at_or_below_what_is_named_are_due_once_202_is_said() {
    let world = World::new().await;
    let body = r#"{"names": ["www.example.ch", "example.net"], "zones": ["example.ch", "co.uk"]}"#;
    let answer = world.hook("one", body).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
    let expected = json!({"accepted": ["example.ch", "www.example.ch"], "ignored": ["co.uk", "example.net"], "domains": 2});
    assert_eq!(answer.body, expected);
    assert_eq!(
        world.due().await,
        ["example.ch", "www.example.ch"],
        "on a label boundary, and no other"
    );
    assert!(world.is_woken() && world.counted("accepted") == 1);
    assert_eq!(
        world.store.domains().await.unwrap().len(),
        5,
        "nothing was added"
    );
    let answer = world.hook("two", r#"{"zones": ["DÉJÀ.vu.com."]}"#).await;
    assert_eq!(answer.body["accepted"], json!(["xn--dj-kia8a.vu.com"]));
}

#[tokio::test]
async fn the_same_message_again_is_the_same_hint_and_another_under_its_id_is_none() {
    let world = World::new().await;
    let body = r#"{"zones": ["example.org"]}"#;
    let first = world.hook("one", body).await;
    world.rest().await;
    world.clock.advance(SignedDuration::from_mins(90));
    let again = world.hook("one", body).await;
    assert_eq!(
        (again.status, &again.body),
        (StatusCode::ACCEPTED, &first.body),
        "with a new time, as senders repeat"
    );
    world.rest().await;
    assert!(world.is_woken());
    let other = world.hook("one", r#"{"zones": ["example.ch"]}"#).await;
    assert_eq!(other.status, StatusCode::CONFLICT);
    assert!(
        world.due().await.is_empty() && !world.is_woken(),
        "nothing came of it"
    );
    assert_eq!(
        (
            world.counted("accepted"),
            world.counted("repeated"),
            world.counted("reused")
        ),
        (1, 1, 1)
    );
    // Another key has ids of its own.
    let body = r#"{"zones": ["example.ch"]}"#;
    let answer = world
        .send(
            world.signed("another text of 24 bytes or more", "one", body),
            body,
        )
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn either_secret_of_a_key_counts_and_whatever_is_wrong_sounds_the_same() {
    let world = World::new().await;
    let body = r#"{"zones": ["example.ch"]}"#;
    for (id, secret) in [("one", FIRST), ("two", NEXT)] {
        assert_eq!(
            world
                .send(world.signed(secret, id, body), body)
                .await
                .status,
            StatusCode::ACCEPTED
        );
    }
    let good = || world.signed(FIRST, "three", body);
    let late = || {
        let time = (world.clock.now().as_second() - 301).to_string();
        let secret = Scheme::Standard.secret(&FIRST.into()).unwrap();
        let signature = secret.sign("three", &time, body.as_bytes());
        json_request()
            .header("webhook-id", "three")
            .header("webhook-timestamp", time)
            .header("webhook-signature", signature)
    };
    let mut told = std::collections::BTreeSet::new();
    for (request, body) in [
        (json_request(), body),
        (good(), "{\"zones\": [\"example.ch\"]} "),
        (
            world.signed("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "three", body),
            body,
        ),
        (good().header("webhook-id", "three"), body),
        (good().header("x-hub-signature-256", "sha256=00"), body),
        (late(), body),
        (hub(HUB, "{}"), body),
        // A secret counts for the way of signing that it was made for.
        (hub("another text of 24 bytes or more", body), body),
        (world.signed(HUB, "three", body), body),
    ] {
        let answer = world.send(request, body).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        told.insert(answer.body.to_string());
    }
    assert_eq!((told.len(), world.counted("unsigned")), (1, 9), "{told:?}");
    let shown = format!("{:?}", world.shared.live());
    assert!(
        shown.contains("one-zone") && !shown.contains("MfKQ9") && !shown.contains(HUB),
        "{shown}"
    );
}

#[tokio::test]
async fn a_key_names_nothing_outside_its_zones() {
    let world = World::new().await;
    let send = async |body: &str| {
        let id = hex(&digest(body.as_bytes()));
        world
            .send(
                world.signed("another text of 24 bytes or more", &id, body),
                body,
            )
            .await
    };
    for body in [
        r#"{"zones":["example.ch","example.org"]}"#,
        r#"["ch"]"#,
        r#"["badexample.ch"]"#,
        r#"["vu.com"]"#,
    ] {
        let answer = send(body).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{body}");
        assert!(
            !answer.body["detail"]
                .as_str()
                .unwrap()
                .contains(" example.ch"),
            "{}",
            answer.body
        );
    }
    assert!(world.due().await.is_empty() && world.counted("outside") == 4);
    assert_eq!(send(r#"["www.example.ch"]"#).await.body["domains"], 1);
    assert_eq!(
        send(r#"["new.example.ch"]"#).await.body["ignored"],
        json!(["new.example.ch"])
    );
}

#[tokio::test]
async fn what_is_too_long_or_no_plain_json_is_refused() {
    let world = World::new().await;
    let status = async |request: Builder, body: &str| world.send(request, body).await.status;
    let long = format!(
        "{{\"zones\": [\"example.ch\"]{}}}",
        " ".repeat(body::MOST_BYTES)
    );
    assert_eq!(
        world.hook("one", &long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let body = r#"["example.ch"]"#;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "",
    ] {
        let mut request = world.signed(FIRST, "two", body);
        request
            .headers_mut()
            .unwrap()
            .insert("content-type", kind.parse().unwrap());
        assert_eq!(
            status(request, body).await,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "{kind}"
        );
    }
    let request = world
        .signed(FIRST, "two", body)
        .header("content-encoding", "gzip");
    assert_eq!(
        status(request, body).await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE
    );
    let request = world
        .signed(FIRST, "two", body)
        .header("content-type", "application/json");
    assert_eq!(
        status(request, body).await,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "said twice"
    );
    let mut request = world.signed(FIRST, "two", body);
    request.headers_mut().unwrap().insert(
        "content-type",
        "Application/JSON; charset=utf-8".parse().unwrap(),
    );
    assert_eq!(status(request, body).await, StatusCode::ACCEPTED);
    let many = serde_json::to_string(&vec!["example.ch"; 501]).unwrap();
    for body in ["", "{", "[[]]", r#"["a b"]"#, "{}", &many] {
        assert_eq!(
            world
                .hook(&format!("bad-{}", body.len()), body)
                .await
                .status,
            StatusCode::BAD_REQUEST,
            "{body}"
        );
    }
    assert_eq!(
        status(Request::get(PATH), "").await,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn a_hook_that_cannot_be_stored_is_sent_again_by_its_sender() {
    let world = World::new().await;
    let body = r#"["example.ch"]"#;
    let blind = Shared::new(
        Arc::new(world.store.clone()),
        Arc::new(world.clock.clone()),
        (*world.shared.live()).clone(),
    );
    let request = world
        .signed(FIRST, "one", body)
        .body(Body::from(body))
        .unwrap();
    let answer = routes(Arc::new(blind)).oneshot(request).await.unwrap();
    assert_eq!(
        answer.status(),
        StatusCode::SERVICE_UNAVAILABLE,
        "before anything was read"
    );
    world.store.close().await;
    let answer = world.hook("one", body).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&answer.headers["retry-after"], world.counted("unavailable")),
        (&HeaderValue::from(10), 1)
    );
    assert!(!world.is_woken());
}

#[tokio::test]
async fn a_store_that_hangs_is_said_to_be_down_before_the_request_is_given_up() {
    let mut world = World::new().await;
    let path = world.folder.path().join("prevalidate.db");
    let mut other = SqliteConnectOptions::new()
        .filename(path)
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    assert!(STORE_TIME < crate::server::http::ANSWER_TIME);
    world.router = routes_within(Duration::from_millis(20), Arc::clone(&world.shared));
    let answer = world.hook("one", r#"["example.ch"]"#).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        answer.body["detail"],
        "the store did not answer in time; send it again"
    );
    assert_eq!(
        (&answer.headers["retry-after"], world.counted("unavailable")),
        (&HeaderValue::from(10), 1)
    );
    other.close().await.unwrap();
    world.router = routes(Arc::clone(&world.shared));
    assert_eq!(
        world.hook("one", r#"["example.ch"]"#).await.status,
        StatusCode::ACCEPTED,
        "once it answers"
    );
}

#[tokio::test]
async fn one_sender_that_sends_too_many_is_held_back_and_no_other_one() {
    let world = World::new().await;
    let mut limited = None;
    for _ in 0..BURST.get() * 10 {
        let answer = world.hook("one", "no JSON").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            limited = Some(answer);
            break;
        }
    }
    let limited = limited.unwrap();
    assert!(limited.headers.contains_key("retry-after") && world.counted("limited") == 1);
    assert!(world.counted("malformed") >= BURST.get());
    let body = r#"["example.ch"]"#;
    let answer = world
        .send(
            world.signed("another text of 24 bytes or more", "one", body),
            body,
        )
        .await;
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_hub_that_knows_nothing_of_us_means_the_zones_of_its_key() {
    let world = World::new().await;
    let ping = r#"{"zen": "Design for failure.", "hook_id": 1}"#;
    let answer = world
        .send(hub(HUB, ping).header("x-github-delivery", "d-1"), ping)
        .await;
    assert_eq!(
        (answer.status, &answer.body["domains"]),
        (StatusCode::ACCEPTED, &json!(3))
    );
    assert_eq!(
        world.due().await,
        ["example.ch", "example.org", "www.example.ch"]
    );
    let other = r#"{"zones": ["example.ch"]}"#;
    // Its id is not signed, so that it says nothing: a message is known by its content, and may
    // come again. An attacker that has seen one cannot send it under many ids, nor take the id of
    // another one away from it.
    let taken = format!("sha256:{}", hex(&digest(other.as_bytes())));
    for id in ["d-1", "d-2", &taken, "a.b", &"a".repeat(1000)] {
        assert_eq!(
            world
                .send(hub(HUB, ping).header("x-github-delivery", id), ping)
                .await
                .status,
            StatusCode::ACCEPTED
        );
    }
    assert_eq!(
        (world.counted("accepted"), world.counted("repeated")),
        (1, 5)
    );
    for outcome in ["accepted", "repeated"] {
        let before = world.counted(outcome);
        assert_eq!(world.send(hub(HUB, other), other).await.body["domains"], 2);
        assert_eq!(world.counted(outcome), before + 1);
    }
    let answer = world
        .send(hub("yet another text of 24 bytes", ping), ping)
        .await;
    assert_eq!(
        answer.status,
        StatusCode::BAD_REQUEST,
        "a sender that may name all does not mean all"
    );
}

#[tokio::test]
async fn a_token_of_the_role_hook_is_as_good_as_a_signature_and_no_other_token_is() {
    let world = World::new().await;
    let body = r#"{"zones": ["example.ch"]}"#;
    for (token, status) in [
        (TOKEN, 202),
        (READER, 403),
        ("kI2uVqF0cQm7m4uJZr1wT3nX", 401),
        ("", 401),
    ] {
        let request = json_request().header("authorization", format!("Bearer {token}"));
        let answer = world.send(request, body).await;
        assert_eq!(answer.status.as_u16(), status);
        assert_eq!(
            answer.headers.contains_key("www-authenticate"),
            status == 401
        );
    }
    // A wrong signature is not made good by a right token.
    for request in [
        hub(HUB, "other"),
        hub(HUB, "other").header("webhook-signature", "v1,x"),
    ] {
        let request = request.header("authorization", format!("Bearer {TOKEN}"));
        assert_eq!(
            world.send(request, body).await.status,
            StatusCode::UNAUTHORIZED
        );
    }
}
