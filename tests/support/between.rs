//! Between the program and a CA on loopback: each call is passed on, and what the CA answers in JSON
//! is handed over after a change.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde_json::Value;
use tokio::net::TcpListener;

/// What is no longer needed an answer: the path of the call, and the answer.
type Change = dyn Fn(&str, &mut Value) + Send + Sync;

/// Ends with the runtime that it was started on.
pub struct Between {
    address: SocketAddr,
}

struct Passage {
    upstream: String,
    client: reqwest::Client,
    change: Box<Change>,
}

impl Between {
    /// Passes on to `upstream`, the address of a CA without a slash at its end.
    pub async fn start(
        upstream: String,
        change: impl Fn(&str, &mut Value) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let passage = Passage {
            upstream,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            change: Box::new(change),
        };
        let routes = Router::new().fallback(pass).with_state(Arc::new(passage));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn pass(State(passage): State<Arc<Passage>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let asked = head
        .uri
        .path_and_query()
        .map_or("/", |asked| asked.as_str());
    let mut call = passage
        .client
        .request(head.method, format!("{}{asked}", passage.upstream))
        .body(to_bytes(body, usize::MAX).await.unwrap());
    for name in ["authorization", "content-type"] {
        if let Some(value) = head.headers.get(name) {
            call = call.header(name, value);
        }
    }
    let answer = call.send().await.unwrap();
    let mut reply = Response::builder().status(answer.status());
    if let Some(kind) = answer.headers().get(CONTENT_TYPE) {
        reply = reply.header(CONTENT_TYPE, kind);
    }
    let text = answer.bytes().await.unwrap();
    let text = match serde_json::from_slice::<Value>(&text) {
        Ok(mut value) => {
            (passage.change)(&path, &mut value);
            Bytes::from(value.to_string())
        }
        Err(_) => text,
    };
    reply.body(Body::from(text)).unwrap()
}
