//! Answers that are cut off, endless, hostile or another server's: an error of bounded length,
//! nothing lost, no secret told.

use std::sync::Mutex;

use axum::body::Body;
use axum::http::Response;
use futures::StreamExt;
use support::web::Web;

use super::*;

fn response(status: u16) -> axum::http::response::Builder {
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
}

/// Octets without end.
fn endless() -> Body {
    let chunk = axum::body::Bytes::from(vec![b' '; 64 * 1024]);
    Body::from_stream(futures::stream::repeat(chunk).map(Ok::<_, std::io::Error>))
}

/// The begin of an answer, and nothing ever after.
fn stalled() -> Body {
    let begin = futures::stream::once(async {
        Ok::<_, std::io::Error>(axum::body::Bytes::from("{\"success\": true, "))
    });
    Body::from_stream(begin.chain(futures::stream::pending()))
}

#[tokio::test]
async fn no_answer_is_too_large_too_deep_or_too_short_to_be_an_error() {
    let (fake, zone) = prepared().await;
    let (provider, before) = (provider(&fake), fake.dump(&zone));
    provider.inspect(APEX).await.unwrap();
    let deep = "[".repeat(200_000);
    for body in [
        endless as fn() -> Body,
        || Body::from("{\"success\": true, \"result\": [{\"id\": \"1\", \"name\": \"exam"),
        || Body::from("\u{feff}{}"),
        || Body::from(vec![0xff; 4096]),
        || Body::empty(),
    ] {
        // A read is tried again; a write may have been done, so it is read, and sent again.
        (0..3).for_each(|_| fake.fail("GET", Fault::Instead(response(200).body(body()).unwrap())));
        let error = provider.inspect(APEX).await.unwrap_err();
        assert!(
            error.is_retryable() && error.message.len() < 2000,
            "{}",
            shown(&error)
        );
        fake.web.fail_none();
        fake.fail("POST", Fault::Instead(response(200).body(body()).unwrap()));
        assert!(
            add(&*provider, APEX, "swiss-pki=odd")
                .await
                .unwrap()
                .changed
        );
        remove(&*provider, APEX, "swiss-pki=odd").await.unwrap();
        assert_eq!(fake.dump(&zone), before);
    }
    fake.fail(
        "GET",
        Fault::Instead(response(200).body(Body::from(deep)).unwrap()),
    );
    let error = provider.inspect(APEX).await.unwrap_err();
    assert!(
        error.is_retryable() && error.message.len() < 2000,
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn an_answer_that_stops_in_its_middle_is_waited_for_no_longer_than_the_timeout_and_is_open() {
    let (fake, zone) = prepared().await;
    let provider = settings(&fake, json!({ "token": secret(TOKEN), "timeout": 1 })).unwrap();
    fake.fail(
        "POST",
        Fault::DoneBut(response(200).body(stalled()).unwrap()),
    );
    let receipt = add(&*provider, APEX, "swiss-pki=stalled").await.unwrap();
    assert!(receipt.changed && receipt.after.holds("swiss-pki=stalled"));
    fake.fail(
        "DELETE",
        Fault::Instead(response(200).body(stalled()).unwrap()),
    );
    assert!(
        remove(&*provider, APEX, "swiss-pki=stalled")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(
        writes(&fake.web.take_calls()),
        3,
        "the deletion was not done, which a read showed"
    );
    assert!(!fake.dump(&zone).concat().contains("stalled"));
}

#[tokio::test]
async fn a_redirection_gets_no_credentials_and_no_second_call() {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let elsewhere = Web::start("", move |call| {
        ears.lock().unwrap().push(format!("{call:?}"));
        (200, json!({ "success": true, "errors": [], "result": [] }))
    })
    .await;
    let (fake, zone) = prepared().await;
    let before = fake.dump(&zone);
    fake.global_key("me@example.test", TOKEN);
    let key = json!({ "email": "me@example.test", "global_key": secret(TOKEN) });
    for table in [json!({ "token": secret(TOKEN) }), key] {
        let provider = settings(&fake, table).unwrap();
        for status in [301, 302, 303, 307, 308] {
            let to = |path: &str| format!("http://{}/{path}", elsewhere.address());
            let redirect = |path: &str| {
                response(status)
                    .header("location", to(path))
                    .body(Body::empty())
                    .unwrap()
            };
            fake.fail("GET zones", Fault::Instead(redirect("zones")));
            let error = provider.inspect(APEX).await.unwrap_err();
            assert!(
                error.kind == ErrorKind::Settings && shown(&error).contains("not followed"),
                "{}",
                shown(&error)
            );
            fake.fail("POST", Fault::Instead(redirect("records")));
            add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
        }
    }
    assert_eq!(*heard.lock().unwrap(), [""; 0]);
    assert_eq!(fake.dump(&zone), before);
}

#[tokio::test]
async fn no_waiting_time_that_is_asked_for_shuts_the_door_for_ever() {
    for seconds in [
        "18446744073709551615",
        "9223372036854775807",
        "31536000000",
        "-1",
        "soon",
        "99999999999999999999999",
    ] {
        let (fake, _) = prepared().await;
        let provider = provider(&fake);
        let busy = response(429)
            .header("retry-after", seconds)
            .body(Body::from("{}"))
            .unwrap();
        fake.fail("GET zones", Fault::Instead(busy));
        let error = provider.inspect(APEX).await.unwrap_err();
        let wait = error.retry_after.unwrap();
        assert!(
            (Duration::from_secs(30)..=Duration::from_secs(3600)).contains(&wait),
            "{seconds}: {wait:?}"
        );
    }
}

#[tokio::test]
async fn users_of_the_same_token_wait_in_the_same_line() {
    let (fake, zone) = prepared().await;
    let (one, two) = (
        provider(&fake),
        settings(&fake, json!({ "token": secret(TOKEN), "zone_id": zone })).unwrap(),
    );
    let other = settings(&fake, json!({ "token": secret("another") })).unwrap();
    fake.fail("GET zones", Fault::Busy(Some(240)));
    one.inspect(APEX).await.unwrap_err();
    fake.web.take_calls();
    let error = two.inspect(APEX).await.unwrap_err();
    assert!(
        error
            .retry_after
            .is_some_and(|wait| wait > Duration::from_secs(200)),
        "{}",
        shown(&error)
    );
    assert!(fake.web.take_calls().is_empty());
    assert_eq!(
        other.inspect(APEX).await.unwrap_err().kind,
        ErrorKind::Denied,
        "another token is another line"
    );
}

#[tokio::test]
async fn an_error_that_repeats_the_token_is_shown_without_it_and_on_one_line() {
    let (fake, _) = prepared().await;
    let provider = provider(&fake);
    let said = format!(
        "bad \u{1b}[31m header\nAuthorization: Bearer {TOKEN} {}",
        "x".repeat(100_000)
    );
    let errors = json!([{ "code": 6003, "message": said, "error_chain": [{ "code": 6111, "message": TOKEN }] }]);
    fake.fail(
        "GET zones",
        Fault::Say(400, json!({ "success": false, "errors": errors })),
    );
    let error = provider.inspect(APEX).await.unwrap_err();
    let text = shown(&error);
    assert!(
        text.contains("[secret]") && !text.contains(TOKEN) && text.len() < 1500,
        "{text}"
    );
    assert!(!text.contains(char::is_control), "{text:?}");
    let page = Response::builder()
        .status(502)
        .header("content-type", TOKEN)
        .body(Body::from(said.clone()))
        .unwrap();
    (0..3).for_each(|_| fake.fail("GET zones", Fault::Page(502)));
    fake.web.fail_none();
    fake.fail("POST", Fault::Instead(page));
    let error = add(&*provider, APEX, "swiss-pki=x").await.map(drop);
    assert!(!format!("{error:?}").contains(TOKEN), "{error:?}");
}
