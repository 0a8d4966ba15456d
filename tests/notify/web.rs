//! Webhooks and chats: what is sent is signed, goes where it should and nowhere else, and comes
//! again when it may be lost.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prevalidate::clock::{Clock, SystemClock};
use prevalidate::notify::carrier::door::{Door, Lookup};
use prevalidate::notify::carrier::web::{self, Web};
use prevalidate::notify::{Carrier, Failure};
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::receiver::{Receiver, Reply, Request};
use super::{notice, secret};
use crate::support::certificate::Certificate;
use crate::support::ports::Port;
use crate::support::process;

/// 24 octets, the least there may be.
const SECRET: [u8; 24] = *b"0123456789abcdef01234567";

fn webhook(folder: &TempDir, url: &str, door: Door) -> Web {
    let secret = secret(
        folder.path(),
        "secret",
        &format!("whsec_{}", STANDARD.encode(SECRET)),
    );
    let to = web::Receiver::Webhook {
        url: Url::parse(url).unwrap(),
        secret,
    };
    Web {
        to,
        door,
        ca_file: None,
        clock: Arc::new(SystemClock),
    }
}

fn chat(folder: &TempDir, url: &str) -> Web {
    let to = web::Receiver::Chat {
        url: secret(folder.path(), "url", url),
        field: "text".to_owned(),
    };
    Web {
        to,
        door: Door::new(true),
        ca_file: None,
        clock: Arc::new(SystemClock),
    }
}

fn folder() -> TempDir {
    TempDir::with_prefix("prevalidate-web-").unwrap()
}

fn here() -> Receiver {
    Receiver::start([127, 0, 0, 1], 0, None)
}

fn send(web: &Web) -> Result<(), Failure> {
    tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(web.carry(&notice()))
}

/// As the specification has it, by another program than ours.
fn is_signed(request: &Request) -> bool {
    let header = |name: &str| request.headers[name].clone();
    let signed = format!(
        "{}.{}.{}",
        header("webhook-id"),
        header("webhook-timestamp"),
        request.body
    );
    let key: String = SECRET.iter().map(|octet| format!("{octet:02x}")).collect();
    let digest = [
        "dgst",
        "-sha256",
        "-mac",
        "HMAC",
        "-macopt",
        &format!("hexkey:{key}"),
    ];
    let said = process::run("openssl", &digest, &signed);
    let expected = said.rsplit(' ').next().unwrap().trim();
    let found = STANDARD
        .decode(header("webhook-signature").strip_prefix("v1,").unwrap())
        .unwrap();
    let found: String = found.iter().map(|octet| format!("{octet:02x}")).collect();
    let sent: i64 = header("webhook-timestamp").parse().unwrap();
    found == expected && SystemClock.now().as_second().abs_diff(sent) < 300
}

#[test]
fn a_webhook_is_signed_and_says_the_same_as_the_message() {
    let (folder, receiver) = (folder(), here());
    send(&webhook(
        &folder,
        &format!("http://{}/hooks/dns", receiver.address),
        Door::new(true),
    ))
    .unwrap();
    let [request] = &receiver.heard()[..] else {
        panic!("one request")
    };
    assert_eq!(request.line, "POST /hooks/dns HTTP/1.1");
    assert_eq!(request.headers["content-type"], "application/json");
    assert!(is_signed(request), "{request:?}");
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert_eq!(
        (&body["type"], &body["timestamp"]),
        (&"prevalidate.test".into(), &"2026-11-22T12:00:00Z".into())
    );
    assert_eq!(body["data"]["title"], "a test message");
    assert_eq!(body["data"]["id"], request.headers["webhook-id"]);
}

#[test]
fn over_https_only_who_the_ca_file_vouches_for_gets_it() {
    let folder = folder();
    let certificate = Certificate::issue(
        &folder.path().join("root.crt"),
        "DNS:localhost, IP:127.0.0.1",
    );
    let other = TempDir::new().unwrap();
    let strange = Certificate::issue(
        &other.path().join("root.crt"),
        "DNS:localhost, IP:127.0.0.1",
    );
    let receiver = Receiver::start([127, 0, 0, 1], 0, Some(&certificate));
    let url = format!("https://127.0.0.1:{}/", receiver.address.port());
    let good = Web {
        ca_file: Some(certificate.root.clone()),
        ..webhook(&folder, &url, Door::new(true))
    };
    for ca_file in [Some(strange.root.clone()), None] {
        let failure = send(&Web {
            ca_file,
            ..webhook(&folder, &url, Door::new(true))
        })
        .unwrap_err();
        assert!(!failure.is_open, "{failure:?}");
    }
    assert_eq!(receiver.heard().len(), 0);
    send(&good).unwrap();
    assert!(is_signed(&receiver.heard()[0]));
}

#[test]
fn a_lost_answer_leaves_it_open_and_the_next_try_has_the_same_id() {
    let (folder, receiver) = (folder(), here());
    let web = webhook(
        &folder,
        &format!("http://{}/", receiver.address),
        Door::new(true),
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let notice = notice();
    receiver.replies(Reply::Nothing);
    let failure = runtime.block_on(web.carry(&notice)).unwrap_err();
    assert!(failure.is_open, "{failure:?}");
    receiver.replies(Reply::Status(
        "200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
    ));
    runtime.block_on(web.carry(&notice)).unwrap();
    let [first, second] = &receiver.heard()[..] else {
        panic!("two requests")
    };
    assert!(is_signed(first) && is_signed(second));
    assert_eq!(
        (&first.headers["webhook-id"], &first.body),
        (&second.headers["webhook-id"], &second.body)
    );
}

#[test]
fn a_closed_port_is_certain_and_a_busy_receiver_says_when_to_retry() {
    let (folder, receiver) = (folder(), here());
    let port = Port::take();
    let gone = port.address();
    let failure = send(&webhook(
        &folder,
        &format!("http://{gone}/"),
        Door::new(true),
    ))
    .unwrap_err();
    assert!(
        !failure.is_open && failure.message.contains("127.0.0.1"),
        "{failure:?}"
    );
    receiver.replies(Reply::Status(
        "429 Too Many Requests\r\nRetry-After: 90\r\nContent-Length: 4\r\n\r\nbusy".into(),
    ));
    let failure = send(&webhook(
        &folder,
        &format!("http://{}/", receiver.address),
        Door::new(true),
    ))
    .unwrap_err();
    assert_eq!(failure.retry_after, Some(Duration::from_secs(90)));
    assert!(
        failure
            .message
            .ends_with("answers 429 Too Many Requests: busy"),
        "{failure:?}"
    );
}

#[test]
fn a_redirect_is_not_followed() {
    let (folder, receiver, inside) = (folder(), here(), here());
    for status in ["301 Moved Permanently", "307 Temporary Redirect"] {
        let location = format!(
            "{status}\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
            inside.address
        );
        receiver.replies(Reply::Status(location));
        let failure = send(&webhook(
            &folder,
            &format!("http://{}/", receiver.address),
            Door::new(true),
        ))
        .unwrap_err();
        assert!(failure.message.contains("points elsewhere"), "{failure:?}");
    }
    assert_eq!((receiver.heard().len(), inside.heard().len()), (2, 0));
}

#[test]
fn an_address_inside_the_network_is_refused_however_it_is_written() {
    let (folder, receiver) = (folder(), here());
    let port = receiver.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "127.1",
        "0x7f000001",
        "2130706433",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.0.0.1",
        "[fe80::1]",
    ] {
        let failure = send(&webhook(
            &folder,
            &format!("https://{host}:{port}/"),
            Door::new(false),
        ))
        .unwrap_err();
        assert!(
            !failure.is_open && failure.message.contains("is not a public address"),
            "{host}: {failure:?}"
        );
        let failure = send(&webhook(
            &folder,
            &format!("http://{host}:{port}/"),
            Door::new(false),
        ))
        .unwrap_err();
        assert!(
            failure.message.contains("must begin with https://"),
            "{host}: {failure:?}"
        );
    }
    assert_eq!(receiver.heard().len(), 0);
}

#[test]
fn a_name_that_leads_elsewhere_a_moment_later_leads_nowhere() {
    let first = here();
    // The same port at another address: where the name leads from the second question on.
    let second = Receiver::start([127, 0, 0, 2], first.address.port(), None);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let lookup: Lookup = Arc::new(move |_| {
        let last = if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            1
        } else {
            2
        };
        Box::pin(async move { Ok(vec![IpAddr::from([127, 0, 0, last])]) })
    });
    let folder = folder();
    let url = format!("http://hooks.example.ch:{}/", first.address.port());
    send(&webhook(&folder, &url, Door::with(true, lookup))).unwrap();
    assert_eq!(
        (
            asked.load(Ordering::SeqCst),
            first.heard().len(),
            second.heard().len()
        ),
        (1, 1, 0)
    );
    assert!(first.heard()[0].headers["host"].starts_with("hooks.example.ch:"));
}

#[test]
fn a_chat_gets_one_text_and_its_url_is_never_repeated() {
    let (folder, receiver) = (folder(), here());
    let path = "services/T00000000/c4n4ryc4n4ryc4n4ry";
    let web = chat(
        &folder,
        &format!(
            "http://{}/{path}?api_key=c4n4ry-of-the-query",
            receiver.address
        ),
    );
    send(&web).unwrap();
    let request = receiver.heard().remove(0);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert!(
        body["text"]
            .as_str()
            .unwrap()
            .starts_with("prevalidate: a test message"),
        "{body}"
    );
    assert_eq!(
        (
            body.as_object().unwrap().len(),
            request.headers.contains_key("webhook-signature")
        ),
        (1, false)
    );
    let echo = format!(
        "404 Not Found\r\nContent-Length: 200\r\n\r\nno hook /{path}?api_key=c4n4ry-of-the-query"
    );
    receiver.replies(Reply::Status(format!("{echo:<300}")));
    let failure = send(&web).unwrap_err();
    assert!(
        failure.message.contains("404") && failure.message.contains("no hook"),
        "{failure:?}"
    );
    assert!(!failure.message.contains("c4n4ry"), "{failure:?}");
    let port = Port::take();
    let gone = port.address();
    let failure = send(&chat(&folder, &format!("http://{gone}/{path}"))).unwrap_err();
    assert!(!failure.message.contains("c4n4ry"), "{failure:?}");
    let failure = send(&chat(&folder, "c4n4ry, which is not a URL")).unwrap_err();
    assert!(!failure.message.contains("c4n4ry"), "{failure:?}");
}

#[test]
fn a_secret_that_is_too_short_signs_nothing() {
    let (folder, receiver) = (folder(), here());
    let mut web = webhook(
        &folder,
        &format!("http://{}/", receiver.address),
        Door::new(true),
    );
    let url = Url::parse(&format!("http://{}/", receiver.address)).unwrap();
    web.to = web::Receiver::Webhook {
        url,
        secret: secret(folder.path(), "short", "c4n4ry"),
    };
    let failure = send(&web).unwrap_err();
    assert!(
        failure.message.contains("must have 24") && !failure.message.contains("c4n4ry"),
        "{failure:?}"
    );
    assert_eq!(receiver.heard().len(), 0);
}

#[test]
fn no_part_of_a_chats_url_is_repeated_where_an_answer_is_cut_nor_in_other_writing() {
    let (folder, receiver) = (folder(), here());
    let at = receiver.address;
    for (url, echo) in [
        (
            format!("http://{at}/c4n4ryc4n4ryc4n4ry"),
            format!("{}c4n4ryc4n4ryc4n4ry", "x ".repeat(95)),
        ),
        (
            format!("http://{at}/c4n4ry%2Fc4n4ry%2Fc4n4ry"),
            "no c4n4ry/c4n4ry/c4n4ry here".to_owned(),
        ),
        (
            format!("http://{at}/hook?key=c4n4ry%20c4n4ry"),
            "no c4n4ry c4n4ry here".to_owned(),
        ),
        (
            format!("http://c4n4ry-user:c4n4ry-word@{at}/hook"),
            "c4n4ry-user:c4n4ry-word may not".to_owned(),
        ),
    ] {
        receiver.replies(Reply::Status(format!(
            "404 Not Found\r\nContent-Length: {}\r\n\r\n{echo}",
            echo.len()
        )));
        let failure = send(&chat(&folder, &url)).unwrap_err();
        assert!(
            failure.message.contains("404") && !failure.message.contains("c4n4"),
            "{url}: {failure:?}"
        );
    }
}
