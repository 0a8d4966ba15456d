//! Over real sockets: the slow, the greedy and the many, TLS by a CA of our own, a new certificate,
//! an orderly end.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use axum::routing::{get, post};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::server::http::{app, around};
use crate::server::lab::Lab;
use crate::server::tls::Tls;

const SHORT: Limits = Limits {
    header: Duration::from_millis(150),
    life: Duration::from_secs(60),
    grace: Duration::from_millis(150),
    connections: 4,
};

async fn start(lab: &Lab, app: Router, limits: Limits) -> Serving {
    let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap())
        .await
        .unwrap();
    listener.limits = limits;
    listener.begin(app, Arc::clone(&lab.shared))
}

/// Sends all at once and reads until the client has nothing more to say.
async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> String {
    // A refusal may come, and the connection go, before everything is sent.
    let _ = stream.write_all(text.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

async fn connect(running: &Serving) -> TcpStream {
    TcpStream::connect(running.address).await.unwrap()
}

const GOOD: &str = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_request_is_answered_and_nothing_says_by_what() {
    let lab = Lab::open().await;
    let running = start(&lab, app(&lab.shared), Limits::default()).await;
    let answer = exchange(connect(&running).await, GOOD).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        !answer.to_lowercase().contains("\r\nserver:") && !answer.contains("prevalidate"),
        "{answer}"
    );
}

#[tokio::test]
async fn who_sends_slowly_or_nothing_does_not_keep_the_place() {
    let lab = Lab::open().await;
    let running = start(&lab, app(&lab.shared), SHORT).await;
    for beginning in ["", "G", "GET / HTTP/1.1\r\nHost: localhost\r\nX-A: b\r\n"] {
        let answer = exchange(connect(&running).await, beginning).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{beginning:?}: {answer}"
        );
    }
    // After an answer, too: the connection is kept for the next request only for a time.
    let answer = exchange(
        connect(&running).await,
        &GOOD.replace("close", "keep-alive"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_giant_header_or_body_is_refused_and_another_protocol_not_understood() {
    let lab = Lab::open().await;
    let hooks = Router::new().route("/hooks/dns", post(async |_: bytes::Bytes| "ok"));
    let running = start(&lab, around(hooks, &lab.shared), SHORT).await;
    let begin = "HTTP/1.1\r\nHost: localhost\r\n";
    for (request, status) in [
        (format!("GET /{} {begin}\r\n", "a".repeat(1 << 20)), "431"),
        (
            format!("GET / {begin}X: {}\r\n\r\n", "a".repeat(1 << 20)),
            "431",
        ),
        (
            format!("GET / {begin}{}\r\n", "X: a\r\n".repeat(200)),
            "431",
        ),
        (
            format!("POST /hooks/dns {begin}Content-Length: 1073741824\r\n\r\nx"),
            "413",
        ),
        ("\u{16}\u{3}\u{1}\u{0}".to_owned() + &"x".repeat(100), "400"),
        (
            format!("GET / {begin}Content-Length: 1\r\nContent-Length: 2\r\n\r\n"),
            "400",
        ),
    ] {
        let answer = exchange(connect(&running).await, &request).await;
        let begins = answer.starts_with(&format!("HTTP/1.1 {status} "))
            || answer.starts_with("HTTP/1.0 400");
        // The system may throw the answer away when there is more to read; then nothing arrived at
        // all.
        assert!(
            begins || answer.is_empty() && request.len() > 1 << 20,
            "{}: {answer}",
            &request[..20]
        );
    }
    // The beginning of HTTP/2 (RFC 9113, section 3.4).
    assert_eq!(
        exchange(connect(&running).await, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await,
        ""
    );
}

#[tokio::test]
async fn there_is_a_most_of_connections_and_places_become_free_again() {
    let lab = Lab::open().await;
    let running = start(
        &lab,
        app(&lab.shared),
        Limits {
            header: Duration::from_secs(60),
            ..SHORT
        },
    )
    .await;
    let mut held = Vec::new();
    for _ in 0..SHORT.connections {
        let mut stream = connect(&running).await;
        stream
            .write_all(GOOD.replace("close", "keep-alive").as_bytes())
            .await
            .unwrap();
        assert!(stream.read_u8().await.is_ok(), "it has its place");
        held.push(stream);
    }
    assert_eq!(exchange(connect(&running).await, GOOD).await, "");
    held.clear();
    while exchange(connect(&running).await, GOOD).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_is_under_way_at_the_end_is_answered_and_what_hangs_is_cut_off() {
    let lab = Lab::open().await;
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (begun_there, go_on_there) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = async move || {
        begun_there.notify_one();
        go_on_there.notified().await;
        "done"
    };
    let routes = Router::new()
        .route("/slow", get(slow))
        .route("/never", get(std::future::pending::<()>));
    let running = start(
        &lab,
        around(routes, &lab.shared),
        Limits {
            grace: Duration::from_secs(2),
            ..SHORT
        },
    )
    .await;
    let request = |path: &str| GOOD.replace("/readyz", path).replace("close", "keep-alive");
    let (slow, never) = (connect(&running).await, connect(&running).await);
    let never = tokio::spawn(async move { exchange(never, &request("/never")).await });
    let slow = tokio::spawn(async move { exchange(slow, &request("/slow")).await });
    begun.notified().await;
    let address = running.address;
    let ending = tokio::spawn(running.end());
    go_on.notify_one();
    assert!(slow.await.unwrap().ends_with("done"));
    ending.await.unwrap();
    assert_eq!(never.await.unwrap(), "");
    assert!(
        TcpStream::connect(address).await.is_err(),
        "no process listens any more"
    );
}

/// A CA and a server's certificate of it, made by `openssl`: the root, the chain, the key.
fn certificates(folder: &Path, name: &str) -> (Vec<u8>, Vec<u8>, String) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(folder)
            .output();
        let done = done.expect("openssl is needed; tests/install puts it there");
        assert!(
            done.status.success(),
            "{}",
            String::from_utf8_lossy(&done.stderr)
        );
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout {name}-ca.key -out {name}-ca.pem -days 2 -subj /CN={name}-ca"
    ));
    openssl(&format!(
        "req -x509 {key} -keyout {name}.key -out {name}.pem -days 2 -subj /CN=localhost -CA {name}-ca.pem -CAkey {name}-ca.key \
         -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE"
    ));
    let read = |end: &str| std::fs::read(folder.join(format!("{name}{end}"))).unwrap();
    (
        read("-ca.pem"),
        read(".pem"),
        String::from_utf8(read(".key")).unwrap(),
    )
}

fn trusting(root: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(root).map(Result::unwrap));
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

async fn by_tls(connector: &TlsConnector, running: &Serving) -> io::Result<String> {
    let name = ServerName::try_from("localhost").unwrap();
    Ok(exchange(connector.connect(name, connect(running).await).await?, GOOD).await)
}

#[tokio::test]
async fn by_tls_only_who_trusts_our_ca_talks_and_a_reload_brings_the_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (
        certificates(folder.path(), "old"),
        certificates(folder.path(), "new"),
    );
    let lab = Lab::open().await;
    lab.change(|live| live.tls = Some(Tls::new(&old.1, &old.2.as_str().into()).unwrap()));
    let running = start(&lab, app(&lab.shared), SHORT).await;
    let (trusts_old, trusts_new) = (trusting(&old.0), trusting(&new.0));
    let answer = by_tls(&trusts_old, &running).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200")
            && answer.contains("\r\nstrict-transport-security: max-age=31536000\r\n"),
        "{answer}"
    );
    assert!(by_tls(&trusts_new, &running).await.is_err());
    assert!(
        !exchange(connect(&running).await, GOOD)
            .await
            .contains("200 OK"),
        "in clear there is no answer"
    );
    assert_eq!(
        exchange(connect(&running).await, "").await,
        "",
        "a client without a handshake does not keep the place"
    );

    lab.change(|live| live.tls = Some(Tls::new(&new.1, &new.2.as_str().into()).unwrap()));
    assert!(
        by_tls(&trusts_new, &running)
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    assert!(by_tls(&trusts_old, &running).await.is_err());
}

#[tokio::test]
async fn a_certificate_that_does_not_work_is_refused_and_its_key_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (
        certificates(folder.path(), "one"),
        certificates(folder.path(), "other"),
    );
    let body = one.2.lines().nth(1).unwrap().to_owned();
    for (chain, key, wanted) in [
        (&one.1, other.2.clone(), "do not fit"),
        (&one.1, String::new(), "no private key"),
        (&one.1, one.2.replace("PRIVATE", "PUBLIC"), "no private key"),
        (&one.1, one.2.replace(&body, &body[1..]), "key"),
        (&Vec::new(), one.2.clone(), "has no certificates"),
        (
            &one.2.clone().into_bytes(),
            one.2.clone(),
            "has no certificates",
        ),
    ] {
        let error = Tls::new(chain, &key.as_str().into()).unwrap_err();
        assert!(
            error.contains(wanted) && !error.contains(&body[..10]),
            "{wanted}: {error}"
        );
    }
    assert_eq!(
        format!("{:?}", Tls::new(&one.1, &one.2.as_str().into()).unwrap()),
        "Tls"
    );
}
