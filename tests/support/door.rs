//! One address for two parts of an API, as InterNetX' real one is: zones at the fake of AutoDNS,
//! everything else at the sandbox of the SSL Manager. It counts the calls of both.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};

/// What happens after each call about a zone.
type After = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone)]
struct Behind {
    /// The URLs up to the path.
    zones: String,
    others: String,
    after: After,
    client: reqwest::Client,
    log: Arc<Mutex<Vec<(Instant, String)>>>,
}

/// The door; gone when dropped.
pub struct Door {
    address: SocketAddr,
    log: Arc<Mutex<Vec<(Instant, String)>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Door {
    /// Before two servers whose URLs end with `/v1`.
    pub async fn before(
        zones: &str,
        others: &str,
        after: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let root = |url: &str| url.strip_suffix("/v1").unwrap().to_owned();
        let log: Arc<Mutex<Vec<_>>> = Arc::default();
        let behind = Behind {
            zones: root(zones),
            others: root(others),
            after: Arc::new(after),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            log: Arc::clone(&log),
        };
        let router = Router::new().fallback(hand_on).with_state(behind);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, log, task }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The calls so far, `POST /v1/zone/_search`.
    pub fn calls(&self) -> Vec<String> {
        let log = self.log.lock().unwrap();
        log.iter().map(|(_, call)| call.clone()).collect()
    }

    /// The most calls that came within any second.
    pub fn busiest_second(&self) -> usize {
        let log = self.log.lock().unwrap();
        let within = |start: Instant| {
            let calls = log.iter().filter(|(at, _)| {
                let after = at.checked_duration_since(start);
                after.is_some_and(|after| after < Duration::from_secs(1))
            });
            calls.count()
        };
        log.iter().map(|(at, _)| within(*at)).max().unwrap_or(0)
    }
}

async fn hand_on(
    State(behind): State<Behind>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let call = format!("{method} {}", uri.path());
    behind.log.lock().unwrap().push((Instant::now(), call));
    let is_zone = uri.path().starts_with("/v1/zone/");
    let root = if is_zone {
        &behind.zones
    } else {
        &behind.others
    };
    let mut headers = headers;
    for own in [
        header::HOST,
        header::CONTENT_LENGTH,
        header::ACCEPT_ENCODING,
    ] {
        headers.remove(own);
    }
    let request = behind.client.request(method, format!("{root}{uri}"));
    let answer = request.headers(headers).body(body).send().await;
    let Ok(answer) = answer else {
        let mut broken = Response::new(Body::empty());
        *broken.status_mut() = StatusCode::BAD_GATEWAY;
        return broken;
    };
    let (status, kind) = (
        answer.status(),
        answer.headers().get(header::CONTENT_TYPE).cloned(),
    );
    let mut response = Response::new(Body::from(answer.bytes().await.unwrap()));
    *response.status_mut() = status;
    if let Some(kind) = kind {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    if is_zone {
        (behind.after)();
    }
    response
}
