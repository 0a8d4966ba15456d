//! Signing, the token helper, expiry, two keys.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use secrecy::SecretString;
use serde_json::{Value, json as value};

use super::server::{Reply, Request, Server, json, text};
use super::*;
use crate::ca::swisssign::Auth;
use crate::ca::{Failure, Validation as _};

const SECOND: &str = "second-key-second-key-second-key-second-key-second-key-second-ke";
const THIRD: &str = "third-key-third-key-third-key-third-key-third-key-third-key-third";

/// The claims, if `key` signed them.
fn claims(token: &str, key: &str) -> Option<Value> {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let key = DecodingKey::from_secret(key.as_bytes());
    Some(decode::<Value>(token, &key, &validation).ok()?.claims)
}

/// A server that takes tokens signed by `good` only.
async fn takes(good: &'static str) -> Server {
    Server::start(move |request, _| match claims(request.bearer(), good) {
        Some(_) => json(200, "[]"),
        None => json(401, r#"{"uuid":"sup-1","errorCode":"009.353.0223"}"#).with("date", NOW_HTTP),
    })
    .await
}

fn with_keys(url: &str, keys: Vec<SecretReader>) -> (SwissSign, SimulatedClock) {
    let clock = clock();
    let ca = SwissSign::new(
        Settings {
            api_keys: keys,
            ..settings(url)
        },
        Arc::new(clock.clone()),
    )
    .unwrap();
    (ca, clock)
}

fn helper(server: &Server) -> (SwissSign, SimulatedClock) {
    let clock = clock();
    let settings = Settings {
        auth: Auth::Helper,
        ..settings(&server.url)
    };
    (
        SwissSign::new(settings, Arc::new(clock.clone())).unwrap(),
        clock,
    )
}

/// A token as the CA's helper would make it.
fn fetched(life: i64) -> String {
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    format!(
        "{}.{}.c2ln",
        part(r#"{"alg":"HS256"}"#),
        part(&format!(r#"{{"iat":1000,"exp":{}}}"#, 1000 + life))
    )
}

#[tokio::test]
async fn the_token_has_the_claims_the_ca_asks_for_and_is_signed_with_the_keys_characters() {
    let server = takes(KEY).await;
    client(&server).list(CLIENT).await.unwrap();
    let token = server.log()[0].bearer().to_owned();
    let now = clock_second();
    assert_eq!(
        claims(&token, KEY).unwrap(),
        value!({"iss": "SwissPKI", "sub": "robot", "aud": "REST API", "iat": now, "nbf": now - 10, "exp": now + 3600})
    );
    let header = URL_SAFE_NO_PAD
        .decode(token.split('.').next().unwrap())
        .unwrap();
    assert_eq!(
        serde_json::from_slice::<Value>(&header).unwrap(),
        value!({"typ": "JWT", "alg": "HS256"})
    );
}

fn clock_second() -> i64 {
    NOW.parse::<jiff::Timestamp>().unwrap().as_second()
}

#[tokio::test]
async fn one_token_serves_until_its_life_nears_its_end() {
    let server = takes(KEY).await;
    let (ca, clock) = with_keys(&server.url, vec![key(KEY)]);
    for minutes in [0, 20, 27, 1] {
        clock.advance(SignedDuration::from_mins(minutes));
        ca.list(CLIENT).await.unwrap();
    }
    let tokens: Vec<String> = server
        .log()
        .iter()
        .map(|request| request.bearer().to_owned())
        .collect();
    assert_eq!(tokens[0], tokens[2], "47 minutes of 60");
    assert_ne!(tokens[2], tokens[3], "48 minutes of 60");
}

#[tokio::test]
async fn a_refused_token_is_made_anew_once_and_the_call_repeated_even_an_effect() {
    let server = Server::turns(vec![
        json(401, ""),
        json(200, pending(DOMAIN, "example.ch")),
    ])
    .await;
    client(&server).start(DOMAIN).await.unwrap();
    assert_eq!(server.log().len(), 2);
}

#[tokio::test]
async fn the_second_key_takes_over_when_the_first_is_refused_and_stays() {
    let server = takes(SECOND).await;
    let (ca, _) = with_keys(&server.url, vec![key(KEY), key(SECOND)]);
    ca.list(CLIENT).await.unwrap();
    assert_eq!(
        server.log().len(),
        3,
        "first key, first key afresh, second key"
    );
    ca.list(CLIENT).await.unwrap();
    assert_eq!(server.log().len(), 4);
}

#[tokio::test]
async fn a_key_rotated_under_a_running_daemon_is_read_again() {
    let server = takes(THIRD).await;
    let reads = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let source: SecretReader = Arc::new(move || {
        Ok(SecretString::from(
            if counted.fetch_add(1, Ordering::SeqCst) == 0 {
                KEY
            } else {
                THIRD
            },
        ))
    });
    let (ca, _) = with_keys(&server.url, vec![source]);
    ca.list(CLIENT).await.unwrap();
    assert_eq!(reads.load(Ordering::SeqCst), 2);
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn a_wrong_key_makes_no_storm_and_is_tried_again_after_a_rest() {
    let server = takes(THIRD).await;
    let now_good = Arc::new(Mutex::new(KEY));
    let kept = Arc::clone(&now_good);
    let source: SecretReader = Arc::new(move || Ok(SecretString::from(*kept.lock().unwrap())));
    let (ca, clock) = with_keys(&server.url, vec![source, key(SECOND)]);
    let error = ca.list(CLIENT).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unauthenticated);
    assert!(
        error.message.contains("`robot`") && error.message.contains("sup-1"),
        "{error}"
    );
    assert_eq!(server.log().len(), 3, "unchanged keys are not tried twice");

    let again = futures::future::join_all((0..20).map(|_| ca.list(CLIENT))).await;
    assert!(
        again
            .iter()
            .all(|result| result.as_ref().unwrap_err().failure == Failure::Unauthenticated)
    );
    assert_eq!(
        server.log().len(),
        3,
        "nothing is sent while the account rests"
    );

    *now_good.lock().unwrap() = THIRD;
    clock.advance(SignedDuration::from_mins(5));
    ca.list(CLIENT).await.unwrap();
}

#[tokio::test]
async fn many_workers_with_a_dead_token_make_one_new_one() {
    let server =
        Server::start(
            |request, _| match claims(request.bearer(), KEY).unwrap()["iat"].as_i64() {
                Some(iat) if iat == clock_second() => json(401, ""),
                _ => json(200, "[]"),
            },
        )
        .await;
    let (ca, clock) = with_keys(&server.url, vec![key(KEY)]);
    ca.credentials.bearer(&ca.http).await.unwrap();
    clock.advance(SignedDuration::from_secs(60));
    let results = futures::future::join_all((0..8).map(|_| ca.list(CLIENT))).await;
    assert!(results.iter().all(Result::is_ok));
    let tokens: BTreeSet<String> = server
        .log()
        .iter()
        .map(|request| request.bearer().to_owned())
        .collect();
    assert_eq!(tokens.len(), 2);
    assert!(server.log().len() <= 16);
}

#[tokio::test]
async fn a_wrong_clock_is_called_a_wrong_clock() {
    for (date, words) in [
        (
            "Sat, 21 Nov 2026 11:54:48 GMT",
            "the local clock is 312 s ahead of the CA's",
        ),
        (
            "Sat, 21 Nov 2026 13:00:00 GMT",
            "the local clock is 3600 s behind the CA's",
        ),
    ] {
        let server = Server::always(json(401, "").with("date", date)).await;
        let error = client(&server).list(CLIENT).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unauthenticated);
        assert!(error.message.contains(words), "{error}");
        assert!(error.hint.unwrap().contains("clock"));
    }
}

#[tokio::test]
async fn a_refusal_for_one_client_only_does_not_cost_the_account() {
    let server = Server::start(|request, _| {
        if request.path().contains(CLIENT) {
            json(200, "[]")
        } else {
            json(401, r#"{"errorCode":"011.352.0224"}"#)
        }
    })
    .await;
    let ca = client(&server);
    ca.list(CLIENT).await.unwrap();
    let error = ca.list("cli-other").await.unwrap_err();
    assert_eq!(error.failure, Failure::Forbidden);
    assert!(error.message.contains("access denied") && !error.is_account_wide());
    ca.list(CLIENT).await.unwrap();
    assert_eq!(server.log().len(), 3);
}

#[tokio::test]
async fn the_helpers_token_is_understood_bare_and_quoted_and_nothing_else_is() {
    let token = fetched(8 * 3600);
    for body in [
        token.clone(),
        format!("\"{token}\""),
        format!("{token}\r\n"),
        format!(" \"{token}\" \n"),
    ] {
        let server = Server::turns(vec![text(200, "text/plain", &body), json(200, "[]")]).await;
        helper(&server).0.list(CLIENT).await.unwrap();
        let log = server.log();
        assert_eq!(
            (log[0].path(), log[0].body.as_str()),
            ("/v2/jwt/robot", format!("userSecret={KEY}").as_str())
        );
        assert_eq!(
            log[0].headers["content-type"],
            "application/x-www-form-urlencoded"
        );
        assert!(!log[0].headers.contains_key("authorization"));
        assert_eq!(log[1].bearer(), token);
    }
    for body in [
        "",
        "a.b",
        "{\"token\":\"a.b.c\"}",
        "<html>a.b.c</html>",
        "a.b.c\r\nX-Evil: 1",
        "ä.b.c",
    ] {
        let server = Server::turns(vec![text(200, "text/plain", body), json(200, "[]")]).await;
        let error = helper(&server).0.start(DOMAIN).await.unwrap_err();
        assert!(
            !error.outcome_unknown(),
            "{body:?}: the effect was never sent"
        );
        assert_eq!(server.paths(), ["/v2/jwt/robot"], "{body:?}");
    }
}

#[tokio::test]
async fn a_fetched_token_is_used_for_most_of_its_own_life() {
    let server = Server::start(|request, _| match request.path() {
        "/v2/jwt/robot" => text(200, "text/plain", &fetched(1000)),
        _ => json(200, "[]"),
    })
    .await;
    let (ca, clock) = helper(&server);
    for seconds in [0, 690, 20] {
        clock.advance(SignedDuration::from_secs(seconds));
        ca.list(CLIENT).await.unwrap();
    }
    let fetches: Vec<bool> = server
        .paths()
        .iter()
        .map(|path| path.contains("jwt"))
        .collect();
    assert_eq!(
        fetches,
        [true, false, false, true, false],
        "700 s of 1000 s: five minutes before its end"
    );
}

#[tokio::test]
async fn concurrent_calls_fetch_one_token() {
    let server = Server::start(|request, _| match request.path() {
        "/v2/jwt/robot" => text(200, "text/plain", &fetched(8 * 3600)),
        _ => json(200, "[]"),
    })
    .await;
    let (ca, _) = helper(&server);
    let results = futures::future::join_all((0..20).map(|_| ca.list(CLIENT))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(
        server
            .paths()
            .iter()
            .filter(|path| path.contains("jwt"))
            .count(),
        1
    );
}

#[tokio::test]
async fn a_key_that_the_helper_refuses_is_not_sent_again() {
    let refuses = |request: &Request, _| {
        if request.body.contains(SECOND) {
            text(200, "text/plain", &fetched(3600))
        } else {
            json(401, "")
        }
    };
    let server = Server::start(refuses).await;
    let settings = Settings {
        auth: Auth::Helper,
        api_keys: vec![key(KEY), key(SECOND)],
        ..settings(&server.url)
    };
    let ca = SwissSign::new(settings, Arc::new(clock())).unwrap();
    ca.credentials.bearer(&ca.http).await.unwrap();
    assert_eq!(
        server
            .log()
            .iter()
            .filter(|request| request.body.contains(KEY))
            .count(),
        1
    );
}

#[tokio::test]
async fn the_key_does_not_follow_a_redirect() {
    let elsewhere = Server::always(text(200, "text/plain", &fetched(3600))).await;
    for status in [301, 302, 303, 307, 308] {
        let target = format!("{}/v2/jwt/robot?k=v", elsewhere.url);
        let server = Server::always(text(status, "text/plain", "").with("location", target)).await;
        let error = helper(&server).0.list(CLIENT).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unavailable);
        assert!(
            error.message.contains("redirect to 127.0.0.1") && !error.message.contains("k=v"),
            "{error}"
        );
    }
    assert!(elsewhere.log().is_empty());
}

#[tokio::test]
async fn a_user_name_stays_one_segment_of_the_path() {
    for (user, path) in [
        ("a/b?c%2f#d e", "/v2/jwt/a%2Fb%3Fc%252f%23d%20e"),
        ("ops@example.ch", "/v2/jwt/ops%40example.ch"),
        ("../clients", "/v2/jwt/..%2Fclients"),
    ] {
        let server = Server::always(Reply::Drop).await;
        let settings = Settings {
            auth: Auth::Helper,
            user: user.to_owned(),
            ..settings(&server.url)
        };
        let ca = SwissSign::new(settings, Arc::new(clock())).unwrap();
        ca.list(CLIENT).await.unwrap_err();
        assert_eq!(server.paths()[0], path);
    }
    for user in ["", "..", ".", "a\nb"] {
        let settings = Settings {
            user: user.to_owned(),
            ..settings("https://api.ra.swisssign.ch")
        };
        let error = SwissSign::new(settings, Arc::new(clock())).unwrap_err();
        assert_eq!(error.failure, Failure::Settings, "{user:?}");
    }
}

#[tokio::test]
async fn a_key_that_cannot_be_read_is_a_matter_of_settings() {
    for source in [
        Arc::new(|| Err("no such file".to_owned())) as SecretReader,
        Arc::new(|| Ok(SecretString::from(""))),
        Arc::new(|| panic!("a source that panics")),
    ] {
        let server = takes(KEY).await;
        let error = with_keys(&server.url, vec![source])
            .0
            .list(CLIENT)
            .await
            .unwrap_err();
        assert_eq!(error.failure, Failure::Settings);
        assert!(
            error
                .message
                .contains("API key 1 of `robot` cannot be read"),
            "{error}"
        );
        assert!(server.log().is_empty());
    }
}
