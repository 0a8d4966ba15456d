//! Over HTTP, as a client sees it, which asks the sandbox's own name servers.
#![allow(clippy::unwrap_used)]

use jsonwebtoken::{EncodingKey, Header, encode};
use reqwest::{Method, StatusCode};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::clock::SimulatedClock;
use crate::sandbox::dns::{Dns, Follow, Zone};

mod persist;

const KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const USER: &str = "MPKI0000001.AutoRAO";
const START: &str = "2026-11-21T00:00:00Z";

struct Lab {
    ca: Ca,
    dns: Arc<Dns>,
    clock: SimulatedClock,
    http: reqwest::Client,
    client: String,
}

type Answer = (StatusCode, Value);

impl Lab {
    async fn start() -> Self {
        let clock = SimulatedClock::at(START.parse().unwrap());
        let shifted = ShiftedClock::over(Arc::new(clock.clone()));
        let loopback: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let follows = [Follow::Now];
        let dns = Arc::new(
            Dns::start(Arc::clone(&shifted) as Arc<dyn Clock>, loopback, &follows)
                .await
                .unwrap(),
        );
        let zones = Arc::clone(&dns);
        let ca = Ca::start(CaOptions {
            clock: shifted,
            listen: loopback,
            user: USER.to_owned(),
            api_key: KEY.into(),
            clients: vec!["MPKI0000001 - Muster AG".to_owned(), "Anders AG".to_owned()],
            lifetimes: published_lifetimes(),
            behaviour: Behaviour::default(),
            seed: 7,
            name_servers: Arc::new(move |name| zones.servers_for(name)),
            dns: Some(Arc::clone(&dns)),
        });
        let ca = ca.await.unwrap();
        let client = ca
            .clients()
            .into_iter()
            .find(|(_, name)| name.starts_with("MPKI"))
            .unwrap()
            .0;
        Self {
            ca,
            dns,
            clock,
            http: reqwest::Client::new(),
            client,
        }
    }

    fn claims(&self) -> Value {
        let now = self.clock.now().as_second();
        json!({"iss": "SwissPKI", "aud": "REST API", "sub": USER, "iat": now, "nbf": now - 10, "exp": now + 28_800})
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Value>,
    ) -> reqwest::Result<reqwest::Response> {
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.ca.url()))
            .bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    async fn call(&self, path: &str, body: Option<Value>) -> Answer {
        let answer = self
            .send(Method::POST, path, &sign(&self.claims(), KEY), body)
            .await
            .unwrap();
        let status = answer.status();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn register(&self, names: &[&str]) -> Answer {
        self.call(
            &format!("/v2/client/domain/{}/register", self.client),
            Some(json!(names)),
        )
        .await
    }

    /// Registers one name and gives its reference and value.
    async fn one(&self, name: &str) -> (String, String) {
        let (status, domains) = self.register(&[name]).await;
        assert_eq!(status, 200, "{domains}");
        (text(&domains[0]["uuid"]), text(&domains[0]["randomValue"]))
    }

    /// Registers, publishes and validates `example.test`.
    async fn valid(&self) -> String {
        let (reference, value) = self.one("example.test").await;
        self.publish(&value);
        let (status, domain) = self.at(&reference, "/validate").await;
        assert_eq!(
            (status.as_u16(), &domain["status"]),
            (200, &json!("VALID")),
            "{domain}"
        );
        reference
    }

    fn publish(&self, value: &str) {
        if self.dns.zone(0, "example.test").is_none() {
            self.dns
                .add_zone(Zone::new("example.test").txt("example.test", "v=spf1 -all"));
        }
        self.dns
            .edit("example.test", |zone| zone.txt("example.test", value));
    }

    async fn at(&self, reference: &str, verb: &str) -> Answer {
        self.call(&format!("/v2/client/domain/{reference}{verb}"), None)
            .await
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn sign(claims: &Value, key: &str) -> String {
    let key: SecretString = key.into();
    encode(
        &Header::default(),
        claims,
        &EncodingKey::from_secret(key.expose_secret().as_bytes()),
    )
    .unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * days)
}

#[tokio::test]
async fn a_domain_lives_from_token_to_proof_to_expiry() {
    let lab = Lab::start().await;
    let (status, domains) = lab.register(&["Déjà.vu.com"]).await;
    assert_eq!(status, 200);
    let new: ClientDns = serde_json::from_value(domains[0].clone()).unwrap();
    assert_eq!(
        (new.domain.as_str(), new.domain_unicode.as_str()),
        ("xn--dj-kia8a.vu.com", "déjà.vu.com")
    );
    assert_eq!(
        (new.status.as_str(), new.validated, new.time_validated),
        ("PENDING", false, None)
    );
    assert_eq!(
        new.random_value_time_expire,
        Some("2026-12-21T00:00:00Z".parse().unwrap())
    );
    assert!(new.random_value.unwrap().starts_with("swiss-pki="));

    let reference = lab.valid().await;
    let proven = lab.ca.domain("example.test").unwrap();
    assert_eq!(proven.time_validated, Some(START.parse().unwrap()));
    assert_eq!(
        proven.time_expired,
        Some("2027-03-15T00:00:00Z".parse().unwrap()),
        "cut by the rule of 2027"
    );
    lab.clock.advance(days(114));
    let (_, ended) = lab.at(&reference, "").await;
    assert_eq!(
        (&ended["status"], &ended["validated"], &ended["expired"]),
        (&json!("EXPIRED"), &json!(false), &json!(true))
    );

    let (_, reset) = lab.at(&reference, "/token/reset").await;
    assert_eq!(reset["status"], "PENDING");
    lab.publish(&text(&reset["randomValue"]));
    assert_eq!(
        lab.at(&reference, "/validate").await.1["timeExpired"],
        "2027-06-21T00:00:00Z",
        "98 days now"
    );
    assert_eq!(lab.at(&reference, "/delete").await.0, 204);
    assert_eq!(lab.at(&reference, "").await.0, 404);
}

#[tokio::test]
async fn every_server_that_can_be_reached_must_show_the_value() {
    let lab = Lab::start().await;
    let (reference, value) = lab.one("example.test").await;
    let words = lab.at(&reference, "/validate").await.1;
    assert!(
        text(&words["validationResult"]).contains("No name server"),
        "{words}"
    );
    lab.dns.add_zone(Zone::new("example.test"));
    lab.dns.follow(1, Follow::Never);
    lab.publish(&value);
    let (status, stale) = lab.at(&reference, "/validate").await;
    assert_eq!(
        (status.as_u16(), &stale["status"]),
        (200, &json!("PENDING")),
        "one stale server is fatal"
    );
    let stale_server = lab.dns.addresses()[1].to_string();
    assert!(
        text(&stale["validationResult"]).contains(&stale_server),
        "the CA names the stale server: {stale}"
    );
    lab.dns.follow(1, Follow::Dead);
    assert_eq!(
        lab.at(&reference, "/validate").await.1["status"],
        "VALID",
        "a dead one is not"
    );
}

#[tokio::test]
async fn an_old_or_used_token_proves_nothing() {
    let lab = Lab::start().await;
    let (reference, value) = lab.one("example.test").await;
    lab.publish(&value);
    lab.clock.advance(days(30));
    let (_, late) = lab.at(&reference, "/validate").await;
    assert_eq!(
        (&late["status"], &late["randomValueTimeExpired"]),
        (&json!("NOT_VALIDATED"), &json!(true))
    );
    let (_, reset) = lab.at(&reference, "/token/reset").await;
    assert_eq!(
        lab.at(&reference, "/validate").await.1["status"],
        "PENDING",
        "the old value is still the only one in DNS"
    );
    lab.publish(&text(&reset["randomValue"]));
    let first = lab.at(&reference, "/validate").await.1;
    lab.clock.advance(days(1));
    let again = lab.at(&reference, "/validate").await.1;
    assert_eq!(
        first["timeValidated"], again["timeValidated"],
        "a used token gives no new proof"
    );
    lab.ca.expire("example.test");
    assert_eq!(lab.at(&reference, "/validate").await.1["status"], "EXPIRED");
}

#[tokio::test]
async fn a_jwt_is_checked_to_the_letter() {
    let lab = Lab::start().await;
    let now = lab.clock.now().as_second();
    let path = "/v2/clients";
    let with = |key: &str, value: Value| {
        let mut claims = lab.claims();
        claims[key] = value;
        sign(&claims, KEY)
    };
    let other = SecretString::from(KEY.replace('0', "1"));
    let mut refused = vec![
        sign(&lab.claims(), other.expose_secret()),
        "nonsense".to_owned(),
    ];
    for (claim, value) in [
        ("iss", json!("SwissSign CA")),
        ("aud", json!(["REST API"])),
        ("sub", json!("unknown")),
        ("nbf", json!(now + 1)),
        ("exp", json!(now)),
        ("exp", json!(now + 28_801)),
    ] {
        refused.push(with(claim, value));
    }
    for token in refused {
        let answer = lab.send(Method::POST, path, &token, None).await.unwrap();
        assert_eq!(answer.status(), 401);
        let error: Value = answer.json().await.unwrap();
        assert_eq!(error["errorCode"], "009.250.0228");
        assert!(error["uuid"].is_string() && error["errorMessages"][0].is_string());
    }
    assert_eq!(lab.call(path, None).await.0, 200);
    let token = sign(&lab.claims(), KEY);
    lab.clock.advance(SignedDuration::from_hours(8));
    assert_eq!(
        lab.send(Method::POST, path, &token, None)
            .await
            .unwrap()
            .status(),
        401,
        "8 hours later"
    );

    lab.ca.renew_key(other.clone());
    assert_eq!(
        lab.call(path, None).await.0,
        200,
        "the old key is good for 7 more days"
    );
    lab.clock.advance(days(7));
    assert_eq!(lab.call(path, None).await.0, 401);
}

#[tokio::test]
async fn the_token_helper_gives_a_jwt_that_works() {
    let lab = Lab::start().await;
    let helper = async |user: &str, secret: &str| {
        let url = format!("{}/v2/jwt/{user}", lab.ca.url());
        let answer = lab
            .http
            .post(url)
            .form(&[("userSecret", secret)])
            .send()
            .await
            .unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (status, token) = helper(USER, KEY).await;
    assert_eq!(status, 200);
    assert_eq!(
        lab.send(Method::POST, "/v2/clients", &token, None)
            .await
            .unwrap()
            .status(),
        200
    );
    lab.ca.change(|b| b.quoted_jwt = true);
    assert!(helper(USER, KEY).await.1.starts_with("\"ey"));
    assert_eq!(helper(USER, "wrong").await.0, 401);
    assert_eq!(helper("other", KEY).await.0, 401);
}

#[tokio::test]
async fn what_the_api_does_not_take_is_refused() {
    let lab = Lab::start().await;
    let token = sign(&lab.claims(), KEY);
    let list = format!("/v2/client/domain/{}/list", lab.client);
    let by_get = lab.send(Method::GET, &list, &token, None).await.unwrap();
    assert_eq!(
        (by_get.status().as_u16(), &by_get.headers()["allow"]),
        (405, &"POST".parse().unwrap())
    );
    for (query, status) in [("start=-1", 400), ("start=x", 400), ("start=0", 200)] {
        let path = format!("/v2/clients/paged?{query}");
        assert_eq!(lab.call(&path, None).await.0, status, "{query}");
    }
    assert_eq!(
        lab.call(&list, Some(json!({}))).await.0,
        400,
        "a body where none belongs"
    );
    assert_eq!(
        lab.call(&format!("/v2/client/domain/{}/register", lab.client), None)
            .await
            .0,
        400
    );
    assert_eq!(
        lab.call(&list.replace("domain", "domains"), None).await.0,
        404
    );
    assert_eq!(lab.call(&list.replace("cli-", "cld-"), None).await.0, 404);
    assert_eq!(
        lab.call(&format!("/v2/client/cli-{}", uuid::Uuid::nil()), None)
            .await
            .0,
        404
    );
    let foreign = lab.ca.add_client("Fremd AG", false);
    assert_eq!(
        lab.call(&format!("/v2/client/{foreign}"), None).await.0,
        403
    );
    let counted: u64 = [Call::List, Call::Register, Call::Client, Call::Unknown]
        .map(|call| lab.ca.count(call))
        .iter()
        .sum();
    assert_eq!(counted, 7, "every request is in the log");
}

#[tokio::test]
async fn clients_are_found_by_wildcards_and_in_pages() {
    let lab = Lab::start().await;
    for n in 0..400 {
        lab.ca.add_client(&format!("Kunde {n}"), true);
    }
    let found = async |query: &str| {
        lab.call(&format!("/v2/clients?search={query}"), None)
            .await
            .1
            .as_array()
            .unwrap()
            .len()
    };
    assert_eq!(
        (
            found("MPKI*").await,
            found("?nders+AG").await,
            found("").await
        ),
        (1, 1, 300)
    );
    assert_eq!(
        found("Muster").await,
        0,
        "without wildcards the name is the whole name"
    );
    let (_, page) = lab
        .call("/v2/clients/paged?search=Kunde*&length=500&start=350", None)
        .await;
    assert_eq!(
        (&page["recordsTotal"], &page["recordsFiltered"]),
        (&json!(402), &json!(400))
    );
    assert_eq!(page["data"].as_array().unwrap().len(), 50);
}

#[tokio::test]
async fn a_reset_keeps_or_drops_the_proof() {
    let lab = Lab::start().await;
    let reference = lab.valid().await;
    let (_, kept) = lab.at(&reference, "/token/reset").await;
    assert_eq!(
        (&kept["status"], &kept["randomValueTimeExpired"]),
        (&json!("VALID"), &json!(false))
    );
    lab.ca.change(|b| b.reset_keeps_proof = false);
    let (_, dropped) = lab.at(&reference, "/token/reset").await;
    assert_eq!(
        (&dropped["status"], &dropped["timeValidated"]),
        (&json!("PENDING"), &Value::Null)
    );
    assert_ne!(kept["randomValue"], dropped["randomValue"]);
    let (_, deleted) = lab.at(&reference, "/token/delete").await;
    assert_eq!(
        (&deleted["status"], &deleted["randomValue"]),
        (&json!("NOT_VALIDATED"), &Value::Null)
    );
}

#[tokio::test]
async fn a_refused_validation_is_a_word_or_an_error() {
    let lab = Lab::start().await;
    let (reference, _) = lab.one("example.test").await;
    assert_eq!(lab.at(&reference, "/validate").await.0, 200);
    lab.ca.change(|b| b.not_seen = Refusal::Error);
    assert_eq!(lab.at(&reference, "/validate").await.0, 400);
    lab.ca.set_token_age("example.test", days(31));
    assert_eq!(lab.at(&reference, "/validate").await.0, 200);
    lab.ca.change(|b| b.stale_token = Refusal::Error);
    assert_eq!(lab.at(&reference, "/validate").await.0, 400);
}

#[tokio::test]
async fn a_known_name_is_an_error_the_same_or_a_new_token() {
    let lab = Lab::start().await;
    let (reference, value) = lab.one("example.test").await;
    assert_eq!(lab.register(&["EXAMPLE.test"]).await.0, 400);
    lab.ca.change(|b| b.register_known = Known::Same);
    assert_eq!(
        lab.one("example.test").await,
        (reference.clone(), value.clone())
    );
    lab.ca.change(|b| b.register_known = Known::NewToken);
    let (same, new) = lab.one("example.test").await;
    assert!(same == reference && new != value);
}

#[tokio::test]
async fn a_bad_name_costs_the_batch_or_itself() {
    let lab = Lab::start().await;
    let batch = ["a.test", "*.b.test", "c.test"];
    assert_eq!(lab.register(&batch).await.0, 400);
    assert!(lab.ca.domain("a.test").is_none(), "nothing is done");
    lab.ca.change(|b| b.bad_name_fails_batch = false);
    let (status, some) = lab.register(&batch).await;
    assert_eq!((status.as_u16(), some.as_array().unwrap().len()), (200, 2));
    assert_eq!(lab.register(&["*.b.test"]).await.0, 400);
}

#[tokio::test]
async fn values_statuses_names_and_order_come_in_other_shapes() {
    let lab = Lab::start().await;
    lab.ca.change(|b| {
        b.value_has_prefix = false;
        b.lower_case_status = true;
        b.folds_sharp_s = true;
    });
    let (reference, value) = lab.one("example.test").await;
    assert!(!value.contains('='));
    lab.publish(&value);
    assert_eq!(
        lab.at(&reference, "/validate").await.1["status"],
        "pending",
        "the record needs the prefix"
    );
    lab.publish(&format!("swiss-pki={value}"));
    assert_eq!(lab.at(&reference, "/validate").await.1["status"], "valid");
    assert_eq!(
        lab.register(&["straße.ch"]).await.1[0]["domain"],
        "strasse.ch"
    );

    let names: Vec<String> = (0..50).map(|n| format!("d{n}.test")).collect();
    lab.ca.register(&lab.client, &names);
    lab.ca.change(|b| b.shuffled = true);
    let list = format!("/v2/client/domain/{}/list", lab.client);
    let order = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|d| text(&d["domain"]))
            .collect::<Vec<_>>()
    };
    let (first, second) = (
        order(&lab.call(&list, None).await.1),
        order(&lab.call(&list, None).await.1),
    );
    assert!(first != second && first.len() == 52 && second.len() == 52);
}

#[tokio::test]
async fn a_ca_that_polls_needs_no_validate() {
    let lab = Lab::start().await;
    let (reference, value) = lab.one("example.test").await;
    lab.publish(&value);
    assert_eq!(lab.at(&reference, "").await.1["status"], "PENDING");
    lab.ca.change(|b| b.polls = true);
    assert_eq!(lab.at(&reference, "").await.1["status"], "VALID");
    assert_eq!(lab.ca.count(Call::Validate), 0);
}

#[tokio::test]
async fn faults_strike_on_order_and_the_log_tells_what_was_done() {
    let lab = Lab::start().await;
    let token = sign(&lab.claims(), KEY);
    let register = format!("/v2/client/domain/{}/register", lab.client);
    let send = async |name: &str| {
        lab.send(Method::POST, &register, &token, Some(json!([name])))
            .await
    };
    let order = |what: What| lab.ca.fault(Fault::nth(Call::Register, 1, what));

    order(What::DropBeforeDoing);
    assert!(send("a.test").await.is_err() && lab.ca.domain("a.test").is_none());
    order(What::DeliverThenDrop);
    assert!(send("a.test").await.is_err() && lab.ca.domain("a.test").is_some());
    order(What::Truncate);
    let cut = send("b.test").await.unwrap();
    assert!(cut.status() == 200 && cut.bytes().await.is_err() && lab.ca.domain("b.test").is_some());
    order(What::Status(500));
    assert!(send("c.test").await.unwrap().status() == 500 && lab.ca.domain("c.test").is_none());
    order(What::DoneButStatus(503));
    assert!(send("d.test").await.unwrap().status() == 503 && lab.ca.domain("d.test").is_some());
    order(What::RetryAfter("-1".to_owned()));
    let wait = send("e.test").await.unwrap();
    assert!(wait.status() == 429 && wait.headers()["retry-after"] == "-1");
    order(What::Html);
    assert_eq!(
        send("e.test").await.unwrap().headers()["content-type"],
        "text/html"
    );
    order(What::Delay(50));
    let start = Instant::now();
    assert!(
        send("f.test").await.unwrap().status() == 200
            && start.elapsed() >= Duration::from_millis(50)
    );

    let log = lab.ca.log();
    assert_eq!((log[0].status, log[0].performed), (None, false));
    assert_eq!(
        (log[1].status, log[1].performed, log[1].subjects.as_slice()),
        (None, true, ["a.test".to_owned()].as_slice())
    );
    assert_eq!(lab.ca.count(Call::Register), log.len() as u64);
}

#[tokio::test]
async fn a_call_takes_effect_though_its_client_has_hung_up() {
    let lab = Lab::start().await;
    lab.ca
        .fault(Fault::nth(Call::Register, 1, What::Delay(1_000)));
    let hung_up =
        tokio::time::timeout(Duration::from_millis(300), lab.register(&["late.test"])).await;
    assert!(hung_up.is_err() && lab.ca.domain("late.test").is_none());
    let done = async {
        while lab.ca.domain("late.test").is_none() {
            tokio::task::yield_now().await
        }
    };
    assert!(
        tokio::time::timeout(Duration::from_secs(5), done)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn calls_beyond_the_limit_of_a_second_get_429() {
    let lab = Lab::start().await;
    lab.ca.change(|b| b.calls_per_second = 3);
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(lab.call("/v2/clients", None).await.0.as_u16());
    }
    assert!(
        statuses[..3] == [200; 3] && statuses.contains(&429),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn the_back_door_moves_time_and_domains_and_needs_no_jwt() {
    let lab = Lab::start().await;
    let door = async |path: &str, body: Value| {
        let url = format!("{}/_sandbox/{path}", lab.ca.url());
        let answer = lab.http.post(url).json(&body).send().await.unwrap();
        (answer.status(), answer.json::<Value>().await.unwrap())
    };
    lab.valid().await;
    let domain = json!({"domain": "example.test"});
    assert_eq!(door("expire", domain.clone()).await.1["status"], "EXPIRED");
    let at = json!({"domain": "example.test", "at": "2026-11-01T00:00:00Z"});
    assert_eq!(
        door("validated", at).await.1["timeValidated"],
        "2026-11-01T00:00:00Z"
    );
    let aged = door("token-age", json!({"domain": "example.test", "age": "31d"}))
        .await
        .1;
    assert_eq!(aged["randomValueTimeExpired"], true);
    assert_eq!(
        door("clock", json!({"advance": "2d 1h"})).await.1["now"],
        "2026-11-23T01:00:00Z"
    );
    assert_eq!(door("behaviour", json!({"polls": true})).await.0, 200);
    assert_eq!(door("behaviour", json!({"pols": true})).await.0, 400);
    assert_eq!(
        door("faults", json!({"on": "list", "what": {"status": 500}}))
            .await
            .0,
        200
    );
    let state = door("state", Value::Null).await.1;
    assert_eq!(
        (&state["behaviour"]["polls"], &state["faults"][0]["nth"]),
        (&json!(true), &json!(1))
    );
    assert!(!state.to_string().contains(KEY));
    let log = door("log", Value::Null).await.1;
    assert_eq!(
        (&log["counts"]["validate"], &log["requests"][1]["call"]),
        (&json!(1), &json!("validate"))
    );
    let value = json!({"name": "example.test", "add": "by hand"});
    assert_eq!(
        door("dns", json!({"server": 1, "follow": "stale"})).await.0,
        200
    );
    assert_eq!(door("dns", value).await.0, 200);
    assert!(lab.dns.txt("example.test").contains(&"by hand".to_owned()));
    assert!(
        !lab.dns
            .zone(1, "example.test")
            .unwrap()
            .txt_values("example.test")
            .contains(&"by hand".to_owned())
    );
    assert_eq!(
        door("dns", json!({"name": "example.test", "remove": "by hand"}))
            .await
            .0,
        200
    );
    assert!(!lab.dns.txt("example.test").contains(&"by hand".to_owned()));
    assert_eq!(
        door("dns", json!({"server": 1, "follow": "sometimes"}))
            .await
            .0,
        400
    );
    assert_eq!(door("delete", domain.clone()).await.0, 200);
    assert_eq!(door("expire", domain).await.0, 404);
}

#[tokio::test]
async fn the_back_door_takes_every_request_that_the_help_lists() {
    let lab = Lab::start().await;
    lab.valid().await;
    // What is deleted goes last.
    let (last, first): (Vec<_>, Vec<_>) = super::REQUESTS
        .iter()
        .partition(|(_, path, ..)| *path == "delete");
    for (method, path, body, meaning) in first.into_iter().chain(last) {
        let path = path.replace('N', "0");
        let name = if path == "register" {
            "b.test"
        } else {
            "example.test"
        };
        let body = body.replace("a.test", name);
        let url = format!("{}/_sandbox/{path}", lab.ca.url());
        let method: Method = method.parse().unwrap();
        let answer = lab.http.request(method, url).body(body).send().await;
        let answer = answer.unwrap();
        // There is no order yet.
        let known = if path == "order" { 404 } else { 200 };
        assert_eq!(answer.status(), known, "{path}: {:?}", answer.text().await);
        assert!(!meaning.is_empty());
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_references_and_values() {
    let (one, other) = (Lab::start().await, Lab::start().await);
    assert_eq!(
        one.one("example.test").await,
        other.one("example.test").await
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_domains_are_validated_sixteen_at_a_time_and_ten_thousand_listed() {
    let lab = Lab::start().await;
    let names: Vec<String> = (0..1000).map(|n| format!("d{n}.test")).collect();
    let (_, domains) = lab
        .call(
            &format!("/v2/client/domain/{}/register", lab.client),
            Some(json!(names)),
        )
        .await;
    for domain in domains.as_array().unwrap() {
        let name = text(&domain["domain"]);
        lab.dns
            .add_zone(Zone::new(&name).txt(&name, &text(&domain["randomValue"])));
    }
    let validations = domains.as_array().unwrap().iter().map(async |domain| {
        let (_, domain) = lab.at(&text(&domain["uuid"]), "/validate").await;
        assert_eq!(domain["status"], "VALID", "{domain}");
    });
    futures::StreamExt::collect::<()>(futures::StreamExt::buffer_unordered(
        futures::stream::iter(validations),
        16,
    ))
    .await;

    let more: Vec<String> = (1000..10_000).map(|n| format!("d{n}.test")).collect();
    assert_eq!(lab.ca.register(&lab.client, &more), 9000);
    let token = sign(&lab.claims(), KEY);
    let list = lab
        .send(
            Method::POST,
            &format!("/v2/client/domain/{}/list", lab.client),
            &token,
            None,
        )
        .await
        .unwrap();
    let bytes = list.bytes().await.unwrap();
    assert!(bytes.len() > 2_000_000, "{}", bytes.len());
    let listed: Vec<Value> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(listed.len(), 10_000);
}
