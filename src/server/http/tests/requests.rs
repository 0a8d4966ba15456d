//! Which requests are not read, which come by a proxy, and in which form the metrics are reported.

use super::*;

/// As a listener hands it over.
fn over_a_connection(version: Version, uri: &str, headers: &[(&str, &str)]) -> Request {
    let builder = Request::get(uri)
        .version(version)
        .extension(Peer([127, 0, 0, 1].into()));
    let builder = headers.iter().fold(builder, |builder, (name, value)| {
        builder.header(*name, *value)
    });
    builder.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_request_names_one_host_and_its_header_has_an_end() {
    let lab = Lab::with(access()).await;
    let router = app(&lab.shared);
    lab.shared
        .metrics
        .pulse(crate::clock::Clock::now(&lab.clock));
    let long = "x".repeat(33 * 1024);
    let host = ("host", "prevalidate.example.ch");
    for (version, headers, status) in [
        (Version::HTTP_11, vec![host], 200),
        (Version::HTTP_11, vec![], 400),
        (Version::HTTP_11, vec![host, host], 400),
        (Version::HTTP_10, vec![], 200),
        (Version::HTTP_10, vec![host, host], 400),
        (Version::HTTP_11, vec![host, ("x-long", long.as_str())], 431),
    ] {
        let reply = ask(&router, over_a_connection(version, "/healthz", &headers)).await;
        assert_eq!(reply.status, status, "{version:?} {}", headers.len());
        if status != 200 {
            assert_eq!(reply.header("content-type"), "application/problem+json");
        }
    }
}

#[test]
fn a_request_of_a_proxy_is_known_by_what_any_of_them_says() {
    let by_proxy = |version, headers: &[(&str, &str)]| {
        let pairs = headers.iter().map(|(name, value)| {
            (
                name.parse::<HeaderName>().unwrap(),
                value.parse::<HeaderValue>().unwrap(),
            )
        });
        is_by_proxy(version, &pairs.collect::<HeaderMap>())
    };
    for name in [
        "forwarded",
        "via",
        "x-forwarded-for",
        "x-forwarded-server",
        "x-forwarded-port",
        "x-real-ip",
        "x-client-ip",
        "cf-connecting-ip",
        "true-client-ip",
        "x-envoy-external-address",
    ] {
        assert!(by_proxy(Version::HTTP_11, &[(name, "192.0.2.1")]), "{name}");
    }
    let (host, close) = (("host", "127.0.0.1:8420"), ("connection", "close"));
    assert!(
        by_proxy(Version::HTTP_10, &[host, close]),
        "nginx as it is installed"
    );
    assert!(!by_proxy(Version::HTTP_11, &[host, close]));
    assert!(!by_proxy(Version::HTTP_10, &[host]));
    assert!(!by_proxy(Version::HTTP_11, &[host, ("x-request-id", "1")]));
}

#[tokio::test]
async fn metrics_are_told_in_the_classic_form_unless_open_metrics_is_asked_for() {
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    let lab = Lab::open().await;
    let router = app(&lab.shared);
    fetch(&router, "/api/v1/overview").await;
    lab.shared.metrics.http_connection_refused("address");
    for accept in [
        None,
        Some("*/*"),
        Some("text/plain"),
        Some("application/openmetrics-text;q=0"),
    ] {
        let mut headers = vec![("host", "localhost")];
        headers.extend(accept.map(|accept| ("accept", accept)));
        let reply = send(&router, Method::GET, "/metrics", &headers).await;
        assert_eq!(
            reply.header("content-type"),
            "text/plain; version=0.0.4; charset=utf-8"
        );
        for line in [
            "# TYPE prevalidate_http_requests_total counter",
            "# TYPE prevalidate_build_info gauge",
            "prevalidate_http_connections_refused_total{reason=\"address\"} 1",
            "prevalidate_store_up 1",
        ] {
            assert!(
                reply.body.lines().any(|found| found == line),
                "{line}\n{}",
                reply.body
            );
        }
        assert!(!reply.body.contains("# EOF") && !reply.body.contains("# UNIT"));
        // Prometheus' own judge, where it is installed.
        let Ok(mut judge) = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
        else {
            continue;
        };
        judge
            .stdin
            .take()
            .unwrap()
            .write_all(reply.body.as_bytes())
            .unwrap();
        let said = judge.wait_with_output().unwrap();
        assert!(said.status.success(), "{said:?}");
    }
}

#[tokio::test]
async fn a_wrong_path_of_the_api_leads_to_its_description() {
    let lab = Lab::open().await;
    let router = app(&lab.shared);
    for path in [
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v1/nothing",
        "/api/v2/overview",
    ] {
        let reply = fetch(&router, path).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND);
        assert_eq!(
            reply.header("content-type"),
            "application/problem+json",
            "{path}"
        );
        assert!(
            reply.body.contains("/api/v1/openapi.json"),
            "{path}: {}",
            reply.body
        );
    }
}
