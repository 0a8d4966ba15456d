//! An HTTP server on loopback that counts calls and goes wrong on demand.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri, header};
use prevalidate_providers::TxtRecord;
use serde_json::Value;

/// One call, taken apart.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    /// Without the base.
    pub path: Vec<String>,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: Option<Value>,
}

impl Call {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// The fault of one call.
pub enum Fault {
    /// The work is done, and the connection breaks.
    LoseAnswer,
    /// The work is done, and a gateway gives up: this status, and a page for people.
    GiveUp(u16),
    /// The connection breaks and nothing is done.
    LoseRequest,
    /// Nothing is done: 429, with `Retry-After` in seconds.
    Busy(Option<u64>),
    /// Nothing is done: this status, and a page for people.
    Page(u16),
    /// Nothing is done: this status and body.
    Say(u16, Value),
    /// Nothing is done, another writer does something, and this is the answer.
    Meanwhile(u16, Value, Box<dyn FnOnce() + Send>),
    /// Nothing is done: this answer.
    Instead(Response<Body>),
    /// The work is done, and this is the answer.
    DoneBut(Response<Body>),
    /// Another writer is quicker.
    Before(Box<dyn FnOnce() + Send>),
}

type Handle = Arc<dyn Fn(&Call) -> (u16, Value) + Send + Sync>;

#[derive(Default)]
struct Log {
    calls: Vec<String>,
    faults: Vec<(String, Fault)>,
    gone: bool,
}

/// The server; gone when dropped.
pub struct Web {
    address: SocketAddr,
    log: Arc<Mutex<Log>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Web {
    /// The server listens no more, and connections that are kept alive answer nothing.
    fn drop(&mut self) {
        self.log.lock().unwrap().gone = true;
        self.task.abort();
    }
}

impl Web {
    /// Starts a server whose paths begin with `base` ("/client/v4").
    pub async fn start(
        base: &'static str,
        handle: impl Fn(&Call) -> (u16, Value) + Send + Sync + 'static,
    ) -> Self {
        let log: Arc<Mutex<Log>> = Arc::default();
        let state = (base, Arc::new(handle) as Handle, Arc::clone(&log));
        let router = Router::new().fallback(answer).with_state(state);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, log, task }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// All calls since the last time, as `GET zones/abc/dns_records`.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap().calls)
    }

    /// The next call that begins so meets this fault.
    pub fn fail(&self, call: &str, fault: Fault) {
        self.log
            .lock()
            .unwrap()
            .faults
            .push((call.to_owned(), fault));
    }

    /// Cancels the faults that have not happened yet.
    pub fn fail_none(&self) {
        self.log.lock().unwrap().faults.clear();
    }
}

async fn answer(
    State((base, handle, log)): State<(&'static str, Handle, Arc<Mutex<Log>>)>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let path = uri
        .path()
        .strip_prefix(base)
        .expect("a path under the base");
    let path: Vec<_> = path
        .trim_matches('/')
        .split('/')
        .map(str::to_owned)
        .collect();
    let name = format!("{method} {}", path.join("/"));
    let query = axum::extract::Query::<BTreeMap<String, String>>::try_from_uri(&uri)
        .unwrap()
        .0;
    let fault = {
        let mut log = log.lock().unwrap();
        if log.gone {
            return broken();
        }
        log.calls.push(name.clone());
        let place = log
            .faults
            .iter()
            .position(|(call, _)| name.starts_with(call));
        place.map(|place| log.faults.remove(place).1)
    };
    let body = (!body.is_empty()).then(|| serde_json::from_slice(&body).unwrap_or(Value::Null));
    let call = Call {
        method: method.to_string(),
        path,
        query,
        headers,
        body,
    };
    match fault {
        Some(Fault::LoseRequest) => return broken(),
        Some(Fault::Busy(wait)) => {
            let mut response = Response::builder().status(StatusCode::TOO_MANY_REQUESTS);
            if let Some(wait) = wait {
                response = response.header(header::RETRY_AFTER, wait);
            }
            return response.body(Body::from("{}")).unwrap();
        }
        Some(Fault::Page(status)) => return page(status),
        Some(Fault::GiveUp(status)) => {
            handle(&call);
            return page(status);
        }
        Some(Fault::Say(status, body)) => return json(status, &body),
        Some(Fault::Meanwhile(status, body, another)) => {
            another();
            return json(status, &body);
        }
        Some(Fault::LoseAnswer) => {
            handle(&call);
            return broken();
        }
        Some(Fault::Instead(response)) => return response,
        Some(Fault::DoneBut(response)) => {
            handle(&call);
            return response;
        }
        Some(Fault::Before(another)) => another(),
        None => {}
    }
    let (status, body) = handle(&call);
    json(status, &body)
}

fn json(status: u16, body: &Value) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json");
    response.body(Body::from(body.to_string())).unwrap()
}

fn page(status: u16) -> Response<Body> {
    let response = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html");
    response
        .header(header::LOCATION, "https://elsewhere.invalid/")
        .body(Body::from("<h1>Hello</h1>"))
        .unwrap()
}

/// An answer that breaks off before its first octet.
fn broken() -> Response<Body> {
    let nothing = futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("lost")) });
    Response::new(Body::from_stream(nothing))
}

/// The keys of an object that are not among those known.
pub fn unknown_keys(object: &Value, known: &[&str]) -> Vec<String> {
    let keys = object
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys());
    keys.filter(|key| !known.contains(&key.as_str()))
        .cloned()
        .collect()
}

/// TXT data as master files have it, non-ASCII as `\DDD`.
pub fn quoted(record: &TxtRecord) -> String {
    let octet = |octet: &u8| match octet {
        b'"' | b'\\' => format!("\\{}", char::from(*octet)),
        0x20..=0x7e => char::from(*octet).to_string(),
        other => format!("\\{other:03}"),
    };
    let string = |octets: &Vec<u8>| format!("\"{}\"", octets.iter().map(octet).collect::<String>());
    record
        .strings
        .iter()
        .map(string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// The lengths of the quoted strings of a content, or `None` when it is something else.
pub fn strings(content: &str) -> Option<Vec<usize>> {
    let (mut rest, mut lengths) = (content.as_bytes(), Vec::new());
    while let [b'"', inside @ ..] = rest {
        let (mut length, mut at) = (0, 0);
        while *inside.get(at)? != b'"' {
            at += match inside[at..] {
                [b'\\', b'0'..=b'9', ..] => 4,
                [b'\\', ..] => 2,
                _ => 1,
            };
            length += 1;
        }
        lengths.push(length);
        rest = inside.get(at + 1..)?;
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    (rest.is_empty() && !lengths.is_empty()).then_some(lengths)
}

/// What a content says, without its quotes: how an API tells that two are the same.
pub fn bare(content: &str) -> String {
    if strings(content).is_none() {
        content.to_owned()
    } else {
        content.trim_matches('"').replace("\" \"", "")
    }
}
