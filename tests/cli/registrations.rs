//! The ends of registrations: asked at an RDAP server, told by the commands, and never asked in vain.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::SignedDuration;
use prevalidate::clock::{Clock, SystemClock};
use serde_json::json;

use super::life::Lab;

/// What the server answers about a domain.
type Answers = fn(&str) -> Option<SignedDuration>;

/// A server that sends each question on to a second path, as common entries send it on to the
/// registry. It refuses what is not a question of RDAP.
struct Registry {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

#[derive(Clone)]
struct Known {
    answers: Answers,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Registry {
    async fn start(answers: Answers) -> Self {
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let known = Known {
            answers,
            asked: Arc::clone(&asked),
        };
        let router = Router::new()
            .route("/rdap/domain/{name}", get(redirect))
            .route("/registry/domain/{name}", get(answer))
            .fallback(async || StatusCode::BAD_REQUEST)
            .with_state(known);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked }
    }

    /// The domains that were asked about since the last time, sorted.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }

    async fn of(&self, domains: &[&str]) -> Lab {
        let lab = Lab::of(domains).await;
        let own = format!(
            "[rdap]\nurl = \"http://{}/rdap\"\nrate = \"100/s\"\n\n[policy]",
            self.address
        );
        lab.configure("[policy]", &own);
        lab
    }
}

async fn redirect(Path(name): Path<String>) -> Response {
    let to = format!("/registry/domain/{name}");
    (StatusCode::FOUND, [(header::LOCATION, to)]).into_response()
}

async fn answer(
    State(known): State<Known>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if headers
        .get(header::ACCEPT)
        .is_none_or(|media| media != "application/rdap+json")
    {
        return StatusCode::NOT_ACCEPTABLE.into_response();
    }
    known.asked.lock().unwrap().push(name.clone());
    let Some(left) = (known.answers)(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let end = (SystemClock.now() + left).to_string();
    let body = json!({
        "objectClassName": "domain",
        "ldhName": name.to_uppercase(),
        "events": [
            {"eventAction": "registration", "eventDate": "2001-02-03T04:05:06Z"},
            {"eventAction": "expiration", "eventDate": end},
        ],
    });
    let media = [(header::CONTENT_TYPE, "application/rdap+json")];
    (media, body.to_string()).into_response()
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count) + SignedDuration::from_hours(1)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_that_ends_soon_is_told_by_run_status_check_and_readiness() {
    let registry = Registry::start(|name| match name {
        "soon.test" => Some(days(12)),
        "gone.test" => Some(days(-3)),
        "far.test" => Some(days(300)),
        _ => None,
    })
    .await;
    let names = [
        "soon.test",
        "www.soon.test",
        "gone.test",
        "far.test",
        "other.test",
    ];
    let lab = registry.of(&names).await;
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    // One question for each registrable domain.
    assert_eq!(
        registry.asked(),
        ["far.test", "gone.test", "other.test", "soon.test"]
    );
    // None of them is due again: the end of `soon.test` is asked for tomorrow.
    lab.run(&["run", "--wait", "20s"]).await.ends(0);
    assert_eq!(registry.asked(), Vec::<String>::new());

    let soon = "the registration of soon.test ends in 12 d";
    let gone = "the registration of gone.test ended 2 d ago";
    let said = lab.run(&["check"]).await.ends(2);
    let said = said.says(soon).says(gone).says("renew it at its registrar");
    assert!(
        !said.out.contains("registration of far.test"),
        "{}",
        said.out
    );
    let said = lab.run(&["status"]).await.ends(0);
    said.says(soon).says(gone);
    let said = lab.run(&["status", "far.test"]).await.ends(0);
    said.says("far.test: its registration ends in 300 d");

    let said = lab
        .run(&["readiness", "gone.test", "-o", "json"])
        .await
        .ends(4);
    let codes = said.json();
    let codes: Vec<&str> = codes["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|finding| finding["code"].as_str())
        .collect();
    assert!(codes.contains(&"registration-ends"), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_nothing_useful_costs_a_warning_and_no_domain() {
    let lab = Lab::of(&["one.test"]).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let own = format!(
        "[rdap]\nurl = \"http://{}\"\n\n[policy]",
        closed.local_addr().unwrap()
    );
    drop(closed);
    lab.configure("[policy]", &own);
    lab.run(&["run", "--wait", "20s"])
        .await
        .ends(0)
        .says("1 domain: 1 valid")
        .says("when registrations end: 1 of 1 questions brought no answer");
    lab.run(&["check"]).await.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_of_the_section_are_told_all_at_once() {
    let lab = Lab::of(&["one.test"]).await;
    lab.configure(
        "[policy]",
        "[rdap]\nurl = \"http://rdap.org\"\nrate = \"fast\"\nurk = 1\n\n[policy]",
    );
    lab.run(&["config", "check"])
        .await
        .ends(2)
        .says("rdap.url: must begin with https://")
        .says("rdap.rate: must be a rate such as")
        .says("rdap.urk");
    lab.configure("url = \"http://rdap.org\"\nrate = \"fast\"\nurk = 1\n", "");
    lab.run(&["config", "check"])
        .await
        .ends(2)
        .says("url = \"https://rdap.org\"");
}
