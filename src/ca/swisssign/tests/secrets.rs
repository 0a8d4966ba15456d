//! No secret in what is shown, logged or returned.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::server::{Reply, Request, Server, json, text};
use super::*;
use crate::ca::swisssign::Auth;
use crate::ca::{ClientSelector, Validation};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Sends everything back that it was sent, in every place where the CA could.
fn echo(status: u16) -> impl Fn(&Request, usize) -> Reply + Send + Sync {
    move |request, _| {
        if request.path().contains("/jwt/") {
            return text(
                200,
                "text/plain",
                "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOjF9.Y2FuYXJ5",
            );
        }
        let all = format!("{:?} {KEY}", request.headers)
            .replace('"', "'")
            .replace('\\', "/");
        let body = match status {
            200 => pending(DOMAIN, "a.ch")
                .replace("\"PENDING\"", &format!("\"{all}\""))
                .replace(
                    "\"status\"",
                    &format!(r#""validationResult":"{all}","randomValue":"{KEY}{KEY}","status""#),
                ),
            _ => api_error(&all),
        };
        json(status, body).with("x-echo", all)
    }
}

#[tokio::test]
async fn neither_key_nor_token_shows_in_errors_debug_answers_or_the_finest_log() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    // For the whole process: what one thread alone listens to, another may have switched off at the
    // place of its first use.
    tracing::subscriber::set_global_default(subscriber)
        .expect("the only one of these tests that listens");
    let mut shown = String::new();
    for auth in [Auth::LocalSigning, Auth::Helper] {
        for status in [200, 400, 401, 403, 404, 429, 500] {
            let server = Server::start(echo(status)).await;
            let mut settings = settings(&server.url);
            settings.auth = auth;
            settings.proxy = None;
            shown += &format!("{settings:?}");
            let ca = SwissSign::new(settings, Arc::new(clock())).unwrap();
            shown += &format!("{:?}", ca.get(DOMAIN).await);
            shown += &format!("{:?}", ca.submit(DOMAIN).await);
            shown += &format!("{:?}", ca.register(CLIENT, &[name("a.ch")]).await);
            shown += &format!("{:?}", ca.list(CLIENT).await);
            shown += &format!(
                "{:?}",
                ca.find_client(&ClientSelector::Name("x".into())).await
            );
            shown += &format!("{ca:?}");
            for request in server
                .log()
                .iter()
                .filter(|request| request.headers.contains_key("authorization"))
            {
                let token = request.bearer();
                assert!(!shown.contains(token), "{status}");
                assert!(
                    !shown.contains(token.rsplit_once('.').unwrap().1),
                    "{status}: a signature"
                );
            }
        }
    }
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("CA call"), "the log was kept");
    assert!(shown.contains("[REDACTED]"), "the echo was seen");
    for (place, text) in [("shown", &shown), ("logged", &logged)] {
        assert!(!text.contains(KEY), "the key is {place}");
        assert!(!text.contains("Bearer ey"), "a token is {place}");
        assert!(!text.contains("Y2FuYXJ5"), "a fetched token is {place}");
    }
}

#[test]
fn settings_do_not_show_the_proxys_password() {
    let settings = Settings {
        proxy: Some("http://me:hunter2@proxy:3128".parse().unwrap()),
        ..settings("http://localhost")
    };
    let shown = format!("{settings:?}");
    assert!(
        shown.contains("proxy") && !shown.contains("hunter2"),
        "{shown}"
    );
}
