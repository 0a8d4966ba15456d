//! What can go wrong on the way: redirects, silence, floods, nonsense.

use std::time::Duration;

use jiff::SignedDuration;

use super::server::{Reply, Server, json, text};
use super::*;
use crate::ca::http::{Permit, Timeouts};
use crate::ca::{CaError, Failure, Validation};

/// The failures of a read, of an effect, and the requests that came for each.
async fn both(reply: Reply) -> ((CaError, usize), (CaError, usize)) {
    let mut settings = settings("http://localhost");
    if matches!(reply, Reply::Silence) {
        // Only where silence is the point: a busy machine must not seem to be a silent CA.
        settings.timeouts = Timeouts {
            read: Duration::from_millis(50),
            ..settings.timeouts
        };
    }
    let server = Server::always(reply).await;
    settings.url = server.url.parse().unwrap();
    let ca = SwissSign::new(settings.clone(), Arc::new(clock())).unwrap();
    let read = ca.get(DOMAIN).await.unwrap_err();
    let reads = server.log().len();
    // An account of its own: what was said to the first is not held against it.
    let ca = SwissSign::new(settings, Arc::new(clock())).unwrap();
    let effect = ca.start(DOMAIN).await.unwrap_err();
    ((read, reads), (effect, server.log().len() - reads))
}

#[tokio::test]
async fn every_status_says_whether_it_may_have_happened_and_only_reads_are_repeated() {
    use Failure::{Forbidden, Malformed, NotFound, Refused, Throttled, Unavailable, Unknown};
    let spoken = || api_error("No.");
    for (reply, read, reads, effect) in [
        (json(400, spoken()), Refused, 1, Refused),
        (text(400, "text/html", "<p>"), Refused, 1, Unknown),
        (
            json(400, r#"{"errorCode":"011.352.0224"}"#),
            Forbidden,
            1,
            Forbidden,
        ),
        (json(403, spoken()), Forbidden, 1, Forbidden),
        (
            text(403, "text/html", "<h1>blocked</h1>"),
            Unavailable,
            1,
            Unknown,
        ),
        (json(404, spoken()), NotFound, 1, NotFound),
        (
            text(404, "text/html", "<h1>nginx</h1>"),
            Malformed,
            1,
            Unknown,
        ),
        (json(405, ""), Refused, 1, Unknown),
        (json(408, ""), Unavailable, 1, Unknown),
        (json(429, ""), Throttled, 1, Throttled),
        (
            json(429, "").with("retry-after", "7"),
            Throttled,
            1,
            Throttled,
        ),
        (json(500, spoken()), Unavailable, 3, Unknown),
        (text(502, "text/html", "<h1>"), Unavailable, 3, Unknown),
        (json(503, ""), Unavailable, 3, Unknown),
        (
            json(503, "").with("retry-after", "7"),
            Throttled,
            1,
            Throttled,
        ),
        (json(504, ""), Unavailable, 3, Unknown),
        (
            json(307, "").with("location", "https://evil.example/x?y=z"),
            Unavailable,
            1,
            Unknown,
        ),
        (json(204, ""), Malformed, 1, Malformed),
        (
            text(200, "text/html", "<html>maintenance</html>"),
            Malformed,
            1,
            Malformed,
        ),
        (
            text(200, "text/html", &valid(DOMAIN, "a.ch", NOW)),
            Malformed,
            1,
            Malformed,
        ),
        (json(200, "{\"uuid\":"), Malformed, 1, Malformed),
        (json(200, "null"), Malformed, 1, Malformed),
        (
            json(200, pending("cld-another", "a.ch")),
            Malformed,
            1,
            Malformed,
        ),
        (
            Reply::Full(200, vec![], vec![0xff, 0xfe]),
            Malformed,
            1,
            Malformed,
        ),
        (Reply::Drop, Unavailable, 3, Unknown),
        (Reply::Silence, Unavailable, 3, Unknown),
        (
            Reply::Cut(200, pending(DOMAIN, "a.ch").into_bytes(), 30),
            Unavailable,
            3,
            Unknown,
        ),
    ] {
        let shown = format!("{reply:?}");
        let (got_read, got_effect) = both(reply).await;
        assert_eq!(
            (got_read.0.failure, got_read.1),
            (read, reads),
            "read: {shown}"
        );
        assert_eq!(
            (got_effect.0.failure, got_effect.1),
            (effect, 1),
            "effect: {shown}"
        );
        assert!(got_effect.0.message.starts_with(&format!(
            "swisssign: could not reset the token of {DOMAIN}: "
        )));
    }
}

#[tokio::test]
async fn an_error_names_status_code_message_and_support_id_and_a_redirects_host_only() {
    let ((error, _), _) = both(json(400, api_error("Invalid \\u001b[31m domain"))).await;
    assert_eq!(
        error.message,
        format!(
            "swisssign: could not read {DOMAIN}: HTTP 400 Bad Request: 011.351.0226 (RA API, form validation: validation): \
             Invalid \\u{{1b}}[31m domain; for the CA's support: sup-42"
        )
    );
    let ((error, _), _) = both(json(307, "").with("location", "https://evil.example/x?y=z")).await;
    assert!(
        error
            .message
            .ends_with("a redirect to evil.example, which is not followed"),
        "{error}"
    );
    assert!(error.hint.unwrap().contains("`url`"));
}

#[tokio::test]
async fn a_call_that_never_left_is_known_not_to_have_happened() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let ca = SwissSign::new(settings(&format!("http://{gone}")), Arc::new(clock())).unwrap();
    let error = ca.start(DOMAIN).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable);
    assert!(
        error.message.contains(&format!("no connection to {gone}")),
        "{error}"
    );
}

#[tokio::test]
async fn without_a_permit_nothing_is_sent_and_nothing_has_happened() {
    let server = Server::always(json(200, pending(DOMAIN, "a.ch"))).await;
    let permits = Arc::new(std::sync::atomic::AtomicI32::new(2));
    let permit: Permit = Arc::new(move || {
        let left = permits.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async move {
            if left > 0 {
                Ok(())
            } else {
                Err("the count failed".to_owned())
            }
        })
    });
    let ca = SwissSign::new(
        Settings {
            permit: Some(permit),
            ..settings(&server.url)
        },
        Arc::new(clock()),
    )
    .unwrap();
    ca.get(DOMAIN).await.unwrap();
    ca.start(DOMAIN).await.unwrap();
    for error in [
        ca.get(DOMAIN).await.unwrap_err(),
        ca.start(DOMAIN).await.unwrap_err(),
    ] {
        assert_eq!(error.failure, Failure::Unavailable);
        assert!(
            error.message.ends_with("was not asked: the count failed"),
            "{error}"
        );
    }
    assert_eq!(server.log().len(), 2, "one call, one permit");
}

#[tokio::test]
async fn a_read_survives_two_failures() {
    for trouble in [
        Reply::Drop,
        json(500, ""),
        Reply::Cut(200, vec![b'{'; 100], 3),
    ] {
        let server = Server::turns(vec![
            trouble.clone(),
            trouble,
            json(200, pending(DOMAIN, "a.ch")),
        ])
        .await;
        assert_eq!(
            client(&server).get(DOMAIN).await.unwrap().domain,
            name("a.ch")
        );
    }
}

#[tokio::test]
async fn a_silence_ends_at_the_limits_of_a_byte_and_of_a_call() {
    let server = Server::always(Reply::Silence).await;
    for (timeouts, words) in [
        (
            Timeouts {
                read: Duration::from_millis(30),
                ..Timeouts::default()
            },
            "silence for 0.03 s",
        ),
        (
            Timeouts {
                total: Duration::from_millis(30),
                ..Timeouts::default()
            },
            "no whole answer within 0.03 s",
        ),
    ] {
        let settings = Settings {
            timeouts,
            ..settings(&server.url)
        };
        let ca = SwissSign::new(settings, Arc::new(clock())).unwrap();
        let error = ca.start(DOMAIN).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unknown);
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn a_wait_is_handed_on_and_not_slept() {
    for (header, seconds) in [
        ("30", 30),
        ("-1", 1),
        ("1000000000000", 21600),
        ("tomorrow", 60),
        // A date counts from the CA's own clock.
        ("Sat, 21 Nov 2026 11:02:00 GMT", 120),
    ] {
        let reply = json(429, api_error("Slow down")).with("retry-after", header);
        let reply = reply.with("date", "Sat, 21 Nov 2026 11:00:00 GMT");
        let server = Server::always(reply).await;
        let clock = clock();
        let before = crate::clock::Clock::now(&clock);
        let ca = SwissSign::new(settings(&server.url), Arc::new(clock.clone())).unwrap();
        let error = ca.submit(DOMAIN).await.unwrap_err();
        assert_eq!(error.failure, Failure::Throttled);
        assert_eq!(
            error.retry_after,
            Some(Duration::from_secs(seconds)),
            "{header}"
        );
        assert_eq!(crate::clock::Clock::now(&clock), before);
    }
}

#[tokio::test]
async fn no_answer_is_read_beyond_its_cap_however_small_it_came() {
    let huge = Reply::Full(
        200,
        vec![("content-type", "application/json".into())],
        vec![b' '; 2 << 20],
    );
    let bomb = Reply::Full(
        200,
        vec![
            ("content-type", "application/json".into()),
            ("content-encoding", "gzip".into()),
        ],
        gzip_of_spaces(97 << 20),
    );
    let ((error, reads), _) = both(huge).await;
    assert_eq!((error.failure, reads), (Failure::Malformed, 1));
    assert!(error.message.contains("larger than 1 MiB"), "{error}");
    let server = Server::always(bomb).await;
    let error = client(&server).list(CLIENT).await.unwrap_err();
    assert!(error.message.contains("larger than 96 MiB"), "{error}");
}

#[tokio::test]
async fn a_long_list_is_read_whole() {
    let entries: Vec<String> = (0..10_000)
        .map(|i| pending(&format!("cld-{i}"), &format!("d{i}.example.ch")))
        .collect();
    let body = format!("[{}]", entries.join(","));
    assert!(body.len() > 3 << 20, "{}", body.len());
    let server = Server::always(json(200, body)).await;
    assert_eq!(
        client(&server)
            .list(CLIENT)
            .await
            .unwrap()
            .registrations
            .len(),
        10_000
    );
    assert_eq!(server.log().len(), 1);
}

#[tokio::test]
async fn a_call_without_a_body_says_so_and_names_the_program() {
    let server = Server::always(json(200, "[]")).await;
    client(&server).list(CLIENT).await.unwrap();
    let request = &server.log()[0];
    assert_eq!(
        request.line,
        format!("POST /v2/client/domain/{CLIENT}/list HTTP/1.1")
    );
    assert_eq!(request.headers["content-length"], "0");
    assert_eq!(request.headers["accept"], "application/json");
    assert!(request.headers["user-agent"].starts_with("prevalidate/"));
}

#[tokio::test]
async fn the_base_url_is_taken_with_and_without_v2() {
    for (suffix, base) in [
        ("", ""),
        ("/", ""),
        ("/v2", ""),
        ("/v2/", ""),
        ("/ra/v2/", "/ra"),
        ("/ra", "/ra"),
    ] {
        let server = Server::always(json(200, "[]")).await;
        let url = format!("{}{suffix}", server.url);
        SwissSign::new(settings(&url), Arc::new(clock()))
            .unwrap()
            .list(CLIENT)
            .await
            .unwrap();
        assert_eq!(
            server.paths()[0],
            format!("{base}/v2/client/domain/{CLIENT}/list"),
            "{suffix}"
        );
    }
}

#[test]
fn settings_that_cannot_work_or_would_leak_are_refused_before_anything_is_sent() {
    for url in [
        "http://api.ra.swisssign.ch",
        "http://127.0.0.1.evil.example",
        "ftp://127.0.0.1",
        "https://user:pw@api.ra.swisssign.ch",
        "https://api.ra.swisssign.ch/?a=b",
        "https://api.ra.swisssign.ch/#x",
    ] {
        let error = SwissSign::new(settings(url), Arc::new(clock())).unwrap_err();
        assert_eq!(error.failure, Failure::Settings, "{url}");
    }
    let good = || settings("http://localhost:1");
    for bad in [
        Settings {
            rate: 0.0,
            ..good()
        },
        Settings {
            api_keys: vec![],
            ..good()
        },
        Settings {
            token_prefix: "v=spf1 ".into(),
            ..good()
        },
        Settings {
            token_prefix: "=".into(),
            ..good()
        },
        Settings {
            ca_file: Some("/nowhere/ca.pem".into()),
            ..settings("https://api.ra.swisssign.ch")
        },
    ] {
        assert_eq!(
            SwissSign::new(bad, Arc::new(clock())).unwrap_err().failure,
            Failure::Settings
        );
    }
    for url in [
        "http://[::1]:8",
        "http://localhost:1/v2",
        "http://127.9.9.9",
    ] {
        SwissSign::new(settings(url), Arc::new(clock())).unwrap();
    }
}

#[tokio::test]
async fn a_reference_of_the_wrong_kind_is_never_sent() {
    let server = Server::always(json(200, "[]")).await;
    let ca = client(&server);
    for bad in [
        "",
        "cld-",
        "cli-1",
        "cld-../x",
        "cld-1/token/reset",
        "cld-1?x",
        "cld-1\r\nX: y",
    ] {
        let refused = ca.delete(bad).await;
        if bad == "cld-" {
            continue;
        }
        assert_eq!(refused.unwrap_err().failure, Failure::Refused, "{bad:?}");
    }
    assert_eq!(ca.list(DOMAIN).await.unwrap_err().failure, Failure::Refused);
    assert!(ca.register(DOMAIN, &[name("a.ch")]).await[0].1.is_err());
    assert_eq!(server.log().len(), 1);
}

#[tokio::test]
async fn the_difference_of_clocks_comes_with_the_list() {
    let server =
        Server::always(json(200, "[]").with("date", "Sat, 21 Nov 2026 11:59:00 GMT")).await;
    assert_eq!(
        client(&server).list(CLIENT).await.unwrap().clock_skew,
        Some(SignedDuration::from_secs(60))
    );
    let server = Server::always(json(200, "[]")).await;
    assert_eq!(client(&server).list(CLIENT).await.unwrap().clock_skew, None);
}

/// This many zero bytes in a gzip member: one literal, then matches of 258 bytes at distance 1 (RFC
/// 1951, section 3.2.6).
fn gzip_of_spaces(length: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    let (mut bits, mut count) = (0_u64, 0);
    let mut push = |value: u64, width: u32| {
        bits |= value << count;
        count += width;
        while count >= 8 {
            out.push((bits & 0xff) as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    push(0b011, 3); // last block, fixed codes
    push(0b0000_1010, 8); // literal 32: 01010000, first bit first
    for _ in 0..length / 258 {
        push(0b1010_0011, 8); // length 258: 11000101
        push(0, 5); // distance 1
    }
    push(0, 16); // the end of the block, and the byte filled up
    out
}
