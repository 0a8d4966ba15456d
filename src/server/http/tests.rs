//! The rules of every request, tested without a socket: names, sizes, forms of errors, headers, and
//! that no token comes back.
#![allow(clippy::unwrap_used)]

mod requests;

use axum::body::{Body, Bytes};
use axum::http::Method;
use axum::http::header::AUTHORIZATION;
use axum::routing::{get, post};
use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::overview::trouble::INVENTORY;
use crate::server::lab::{HOOK, Lab, READ, Reply, access, ask};
use crate::store::Store as _;
use crate::worker::refusal_fact;

/// The routes of this part and some more.
fn with(more: Router, lab: &Lab) -> Router {
    let own = health::routes(Arc::clone(&lab.shared)).merge(api::routes(Arc::clone(&lab.shared)));
    around(own.merge(more), &lab.shared)
}

async fn send(router: &Router, method: Method, uri: &str, headers: &[(&str, &str)]) -> Reply {
    let request = headers.iter().fold(
        Request::builder().method(method).uri(uri),
        |request, (name, value)| request.header(*name, *value),
    );
    ask(router, request.body(Body::empty()).unwrap()).await
}

async fn fetch(router: &Router, uri: &str) -> Reply {
    send(router, Method::GET, uri, &[("host", "localhost:8420")]).await
}

#[tokio::test]
async fn a_page_whose_name_was_made_to_lead_here_reads_nothing() {
    let open = Lab::open().await;
    let router = app(&open.shared);
    let path = "/api/v1/overview";
    for host in [
        "localhost",
        "LOCALHOST:8420",
        "127.0.0.1:8420",
        "127.1.2.3",
        "[::1]:8420",
    ] {
        assert_eq!(
            send(&router, Method::GET, path, &[("host", host)])
                .await
                .status,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8420",
        "10.0.0.1",
        "",
        "localhost@evil.example",
        "[::1",
    ] {
        let reply = send(&router, Method::GET, path, &[("host", host)]).await;
        assert_eq!(reply.status, StatusCode::MISDIRECTED_REQUEST, "{host}");
        assert!(!reply.body.contains("evil"));
    }
    assert_eq!(
        send(&router, Method::GET, path, &[]).await.status,
        StatusCode::MISDIRECTED_REQUEST
    );
    assert_eq!(
        send(
            &router,
            Method::GET,
            "http://evil.example/api/v1/overview",
            &[("host", "localhost")]
        )
        .await
        .status,
        421
    );
    // Where a token is needed, a proxy may pass any name on.
    let closed = Lab::with(access()).await;
    let bearer = format!("Bearer {READ}");
    let headers = [("host", "status.example.ch"), ("authorization", &*bearer)];
    assert_eq!(
        send(&app(&closed.shared), Method::GET, path, &headers)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_a_proxy_passes_on_needs_a_token_whatever_name_it_gives_us() {
    let open = Lab::open().await;
    for header in [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "via",
    ] {
        for uri in ["/api/v1/overview", "/metrics", "/", "/domains.csv"] {
            // Many proxies call what is behind them by the address that they know it by.
            let headers = [("host", "127.0.0.1:8420"), (header, "192.0.2.7")];
            let reply = send(&app(&open.shared), Method::GET, uri, &headers).await;
            assert_eq!(
                reply.status,
                StatusCode::MISDIRECTED_REQUEST,
                "{header} {uri}"
            );
            assert!(
                reply.body.contains("[[server.token]]"),
                "it says what to do: {}",
                reply.body
            );
        }
    }
    let closed = Lab::with(access()).await;
    let bearer = format!("Bearer {READ}");
    let headers = [
        ("host", "status.example.ch"),
        ("x-forwarded-for", "192.0.2.7"),
        ("authorization", &*bearer),
    ];
    assert_eq!(
        send(&app(&closed.shared), Method::GET, "/metrics", &headers)
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn what_asks_for_a_signature_or_tells_nothing_is_there_under_every_name() {
    let open = Lab::open().await;
    let headers = [
        ("host", "prevalidate.example.ch"),
        ("x-forwarded-for", "192.0.2.7"),
    ];
    for uri in ["/healthz", "/readyz"] {
        assert_eq!(
            send(&app(&open.shared), Method::GET, uri, &headers)
                .await
                .status,
            200,
            "{uri}"
        );
    }
    // No token is in the configuration: the hook is refused for its signature only.
    assert_eq!(
        send(&app(&open.shared), Method::POST, "/hooks/dns", &headers)
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        send(
            &app(&open.shared),
            Method::GET,
            "/api/v1/overview",
            &headers
        )
        .await
        .status,
        421
    );
}

#[tokio::test]
async fn a_fault_of_the_program_is_an_answer_that_shows_nothing_and_the_next_one_is_right() {
    let lab = Lab::open().await;
    let more = Router::new()
        .route(
            "/api/fault",
            get(async || -> &'static str { panic!("swiss-pki=canary") }),
        )
        .route(
            "/fault",
            get(async || -> &'static str { panic!("swiss-pki=canary") }),
        );
    let router = with(more, &lab);
    for (uri, kind) in [
        ("/api/fault", "application/problem+json"),
        ("/fault", "text/html; charset=utf-8"),
    ] {
        let reply = fetch(&router, uri).await;
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (StatusCode::INTERNAL_SERVER_ERROR, kind)
        );
        assert!(
            !reply.body.contains("canary") && reply.body.contains("the log says what"),
            "{}",
            reply.body
        );
        assert_eq!(fetch(&router, "/healthz").await.status, 200);
    }
    let counted = "prevalidate_http_requests_total{route=\"/fault\",status=\"500\"} 1";
    assert!(
        fetch(&router, "/metrics")
            .await
            .body
            .lines()
            .any(|line| line == counted)
    );
}

#[tokio::test]
async fn a_client_without_a_token_does_not_hear_the_version() {
    let (closed, open) = (Lab::with(access()).await, Lab::open().await);
    for uri in [
        "/session",
        "/nowhere",
        "/healthz",
        "/readyz",
        "/api/v1/overview",
        "/metrics",
        "/%ff",
    ] {
        let reply = fetch(&app(&closed.shared), uri).await;
        assert!(
            !reply
                .body
                .contains(concat!("prevalidate ", env!("CARGO_PKG_VERSION"))),
            "{uri}: {}",
            reply.body
        );
    }
    assert!(
        fetch(&app(&open.shared), "/")
            .await
            .body
            .contains(env!("CARGO_PKG_VERSION")),
        "each client that may read sees it"
    );
}

#[tokio::test]
async fn errors_come_as_problems_for_programs_and_as_pages_for_people() {
    let lab = Lab::open().await;
    let more = Router::new()
        .route("/hooks/dns", post(async |_: Bytes| "ok"))
        .route("/domains", get(async || "ok"));
    let parts = with(more, &lab);
    for (method, uri, status, is_program) in [
        (Method::GET, "/api/v1/nothing", 404, true),
        (
            Method::GET,
            "/api/v1/domains/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            404,
            true,
        ),
        (Method::GET, "/api/v1/domains/%ff%fe", 400, true),
        (Method::GET, "/api/v1/../../etc/passwd", 404, true),
        (Method::GET, "/%2e%2e/etc/passwd", 404, false),
        (
            Method::GET,
            "/<script>".trim_end_matches("<script>"),
            404,
            false,
        ),
        (Method::POST, "/api/v1/domains", 405, true),
        (Method::DELETE, "/healthz", 405, true),
        (
            Method::from_bytes(b"BREW").unwrap(),
            "/api/v1/overview",
            405,
            true,
        ),
        (Method::TRACE, "/metrics", 405, true),
        (Method::POST, "/domains", 405, false),
        (Method::GET, "/hooks/dns", 405, true),
    ] {
        let reply = send(&parts, method, uri, &[("host", "localhost")]).await;
        assert_eq!(reply.status, status, "{uri}: {reply:?}");
        assert_eq!(reply.headers.contains_key("allow"), status == 405, "{uri}");
        if is_program {
            assert_eq!(
                (reply.header("content-type"), reply.json()["status"].clone()),
                ("application/problem+json", json!(status))
            );
        } else {
            assert!(
                reply.header("content-type").starts_with("text/html")
                    && reply.body.contains("<h1>"),
                "{reply:?}"
            );
        }
        assert!(
            !reply.body.contains("etc"),
            "what was asked does not come back"
        );
    }
    let long = Request::post("/hooks/dns")
        .header(HOST, "localhost")
        .body(Body::from(vec![b'x'; BODY_BYTES + 1]))
        .unwrap();
    assert_eq!(
        ask(&parts, long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let fits = Request::post("/hooks/dns")
        .header(HOST, "localhost")
        .body(Body::from(vec![b'x'; BODY_BYTES]))
        .unwrap();
    assert_eq!(ask(&parts, fits).await.status, StatusCode::OK);
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_browsers_from_doing_more() {
    let lab = Lab::open().await;
    let own = Router::new().route(
        "/assets/x",
        get(async || ([(CACHE_CONTROL, "max-age=31536000, immutable")], "x")),
    );
    let router = with(own, &lab);
    for uri in [
        "/healthz",
        "/api/v1/overview",
        "/api/v1/x",
        "/x",
        "/metrics",
        "/assets/x",
    ] {
        let reply = fetch(&router, uri).await;
        assert_eq!(reply.header("x-content-type-options"), "nosniff");
        assert_eq!(reply.header("x-frame-options"), "DENY");
        assert_eq!(reply.header("referrer-policy"), "no-referrer");
        assert!(
            reply
                .header("content-security-policy")
                .contains("frame-ancestors 'none'")
        );
        assert_eq!(
            reply.header("cache-control"),
            if uri == "/assets/x" {
                "max-age=31536000, immutable"
            } else {
                "no-store"
            }
        );
        assert!(!reply.headers.contains_key("server"));
        assert!(!uri.starts_with("/api") || reply.header("content-type").contains("json"));
    }
}

#[tokio::test]
async fn search_terms_of_a_megabyte_are_refused_and_forgotten() {
    let lab = Lab::open().await;
    // The head of a request has a limit of its own.
    let refused = [
        (20_000, StatusCode::BAD_REQUEST),
        (60_000, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
    ];
    for (term, (characters, status)) in ["%3Cb%3E", "a", "%f0%9f%a6%80"]
        .into_iter()
        .flat_map(|term| refused.map(|refused| (term, refused)))
    {
        let reply = fetch(
            &app(&lab.shared),
            &format!(
                "/api/v1/domains?q={}",
                term.repeat((1 << 20) / term.len())
                    .chars()
                    .take(characters)
                    .collect::<String>()
            ),
        )
        .await;
        assert_eq!(reply.status, status);
        assert!(reply.body.len() < 500, "{}", reply.body.len());
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_given_up() {
    let lab = Lab::open().await;
    let router = around_within(
        Duration::from_millis(20),
        Router::new().route("/api/slow", get(std::future::pending::<()>)),
        &lab.shared,
    );
    let reply = fetch(&router, "/api/slow").await;
    assert_eq!(
        (reply.status, reply.header("connection")),
        (StatusCode::REQUEST_TIMEOUT, "close")
    );
}

#[tokio::test]
async fn readiness_is_the_store_and_the_snapshot_health_the_pulse() {
    let lab = Lab::open().await;
    let router = app(&lab.shared);
    assert_eq!(
        fetch(&router, "/healthz").await.status,
        200,
        "it has only begun"
    );
    lab.clock.advance(SignedDuration::from_mins(3));
    assert_eq!(
        fetch(&router, "/healthz").await.status,
        503,
        "no pulse since"
    );
    lab.shared
        .metrics
        .pulse(crate::clock::Clock::now(&lab.clock));
    assert_eq!(fetch(&router, "/healthz").await.status, 200);
    assert_eq!(fetch(&router, "/readyz").await.status, 200);
    lab.shared.draining.cancel();
    let reply = fetch(&router, "/readyz").await;
    assert!(
        reply.status == 503
            && reply.body.contains("ending")
            && reply.headers.contains_key("retry-after"),
        "{reply:?}"
    );

    let lab = Lab::with(access()).await;
    let router = app(&lab.shared);
    lab.lose_the_store().await;
    let reply = fetch(&router, "/readyz").await;
    assert!(
        reply.status == 503 && reply.body.contains("store does not answer"),
        "{reply:?}"
    );
    assert!(
        !reply.body.contains("prevalidate.db"),
        "a client without a token hears no path"
    );
    let bearer = format!("Bearer {READ}");
    let metrics = send(
        &router,
        Method::GET,
        "/metrics",
        &[("authorization", &bearer)],
    )
    .await;
    assert!(metrics.body.contains("\nprevalidate_store_up 0\n"));
}

#[tokio::test]
async fn metrics_say_the_states_and_name_domains_only_when_asked_to() {
    let lab = Lab::open().await;
    let router = app(&lab.shared);
    fetch(&router, "/api/v1/domains/example.ch").await;
    fetch(&router, "/api/v1/domains/unknown.example").await;
    fetch(&router, "/secret-of-a-user").await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let headers = [("host", "localhost:8420"), ("accept", accept)];
    let reply = send(&router, Method::GET, "/metrics", &headers).await;
    assert_eq!(
        reply.header("content-type"),
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    for line in [
        "prevalidate_store_up 1",
        "prevalidate_snapshot_timestamp_seconds 1796083200.0",
        "prevalidate_domains{state=\"valid\"} 3",
        "prevalidate_domains{state=\"held\"} 1",
        "prevalidate_domains{state=\"unmanaged\"} 1",
        "prevalidate_domains{state=\"expired\"} 0",
        "prevalidate_domains_below_margin{margin=\"warning\"} 2",
        "prevalidate_domains_below_margin{margin=\"critical\"} 2",
        "prevalidate_domains_lapsed 1",
        "prevalidate_domains_needing_a_person 2",
        "prevalidate_domains_waiting{lateness=\"late\"} 0",
        "prevalidate_domains_waiting{lateness=\"overdue\"} 0",
        "prevalidate_client_looked_timestamp_seconds{client=\"swisssign/Muster AG\"} 1796083200.0",
        "prevalidate_client_refused{client=\"swisssign/Muster AG\"} 0",
        "prevalidate_http_requests_total{route=\"/api/v1/domains/{name}\",status=\"404\"} 1",
        "prevalidate_http_requests_total{route=\"none\",status=\"404\"} 1",
    ] {
        assert!(
            reply.body.lines().any(|found| found == line),
            "{line}\n{}",
            reply.body
        );
    }
    assert!(
        reply
            .body
            .contains("prevalidate_soonest_proof_end_timestamp_seconds 17963"),
        "{}",
        reply.body
    );
    for secret in ["example", "secret-of-a-user"] {
        assert!(!reply.body.contains(secret), "{}", reply.body);
    }
    lab.store
        .set_fact(&refusal_fact(INVENTORY), "5 of 5 domains are gone")
        .await
        .unwrap();
    lab.shared.read_again().await.unwrap();
    lab.change(|live| live.domain_labels = 1);
    let body = fetch(&router, "/metrics").await.body;
    assert!(
        body.contains("prevalidate_client_refused{client=\"configuration\"} 1"),
        "{body}"
    );
    let labelled: Vec<&str> = body
        .lines()
        .filter(|line| line.contains("{domain="))
        .collect();
    assert!(
        labelled.len() == 1 && labelled[0].contains("\"xn--dj-kia8a.vu.com\""),
        "the soonest: {labelled:?}"
    );
}

#[tokio::test]
async fn metrics_are_for_who_may_read() {
    let lab = Lab::with(access()).await;
    let router = app(&lab.shared);
    for (token, status) in [(None, 401), (Some(HOOK), 403), (Some(READ), 200)] {
        assert_eq!(lab.ask(&router, "/metrics", token).await.status, status);
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(lab.ask(&router, path, None).await.status, 200);
    }
}

#[tokio::test]
async fn no_token_comes_back_whatever_is_wrong_with_it() {
    let lab = Lab::with(access()).await;
    let canary = "q7f1canaryq7f1canaryq7f1canary";
    for value in [
        format!("Bearer {canary}"),
        canary.to_owned(),
        format!("Basic {canary}"),
        format!("Bearer {canary} {canary}"),
    ] {
        for uri in ["/api/v1/overview", "/metrics"] {
            let request = Request::get(uri)
                .header(AUTHORIZATION, &value)
                .body(Body::empty())
                .unwrap();
            let reply = ask(&app(&lab.shared), request).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
            assert!(!format!("{reply:?}").contains("canary"), "{reply:?}");
        }
    }
}
