//! What every CA of a sandbox is built on: a listener whose connections can be broken off, faults on
//! order, and switches that are set by name.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::line::{Line, Lines};

/// Which addresses a CA asks about a name: those of the authoritative servers of its zone.
pub type NameServers = Arc<dyn Fn(&str) -> Vec<SocketAddr> + Send + Sync>;

/// An address that is taken, before a server answers there.
pub(super) struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes an address; port 0 means any port.
///
/// # Errors
/// When the address cannot be bound.
pub(super) async fn bind(listen: SocketAddr) -> io::Result<Bound> {
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    Ok(Bound { listener, address })
}

impl Bound {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers every request by `work`. What has begun is finished, whether or not the client still
    /// waits for it.
    pub(super) fn serve<S, F>(
        self,
        shared: &Arc<S>,
        work: fn(Arc<S>, Line, Request) -> F,
    ) -> Service
    where
        S: Send + Sync + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        let shared = Arc::clone(shared);
        let answer = move |ConnectInfo(line): ConnectInfo<Line>, request: Request| {
            let shared = Arc::clone(&shared);
            async move {
                let done = tokio::spawn(work(shared, line, request)).await;
                done.unwrap_or_else(|_| broken())
            }
        };
        let router = Router::new().fallback(answer);
        let service = router.into_make_service_with_connect_info::<Line>();
        let cancel = CancellationToken::new();
        let stopped = cancel.clone().cancelled_owned();
        let server = axum::serve(Lines(self.listener), service).with_graceful_shutdown(stopped);
        tokio::spawn(server.into_future());
        Service {
            address: self.address,
            cancel,
        }
    }
}

/// The answer of a handler that broke off.
fn broken() -> Response {
    let mut broken = Response::default();
    *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    broken
}

/// A CA that answers. Dropping it stops it.
#[derive(Debug)]
pub(super) struct Service {
    address: SocketAddr,
    cancel: CancellationToken,
}

impl Service {
    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops taking connections; calls that are under way are finished.
    pub(super) fn stop(&self) {
        self.cancel.cancel();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Something that goes wrong with the next calls of this method and path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault<What> {
    /// The end of `POST /domain`; empty: every call.
    #[serde(default)]
    pub on: String,
    /// For how many calls.
    #[serde(default = "once")]
    pub times: u32,
    /// The event.
    pub what: What,
}

fn once() -> u32 {
    1
}

/// What goes wrong with this call; a fault that has struck often enough is gone.
pub(super) fn strike<What: Copy>(faults: &mut Vec<Fault<What>>, call: &str) -> Option<What> {
    let at = faults.iter().position(|fault| call.ends_with(&fault.on))?;
    let fault = &mut faults[at];
    let what = fault.what;
    fault.times = fault.times.saturating_sub(1);
    if fault.times == 0 {
        faults.remove(at);
    }
    Some(what)
}

/// Every switch of a behaviour with its default.
pub(super) fn defaults<B: Default + Serialize>() -> Value {
    // A behaviour is a plain object: nothing in it can fail.
    serde_json::to_value(B::default()).unwrap_or_default()
}

/// The switches with one more set by name; a value that is not JSON is a text.
///
/// # Errors
/// When there is no such switch, or it has no such value: a sentence that says which there are.
pub(super) fn set<B: Serialize + DeserializeOwned>(
    switches: &Value,
    key: &str,
    value: &str,
) -> Result<Value, String> {
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    let mut all = switches.clone();
    if let Some(map) = all.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
    let read: B = serde_json::from_value(all).map_err(|error| error.to_string())?;
    serde_json::to_value(read).map_err(|error| error.to_string())
}

/// The behaviour of these switches.
///
/// # Errors
/// When they are not this behaviour's.
pub(super) fn read<B: DeserializeOwned>(switches: Value) -> io::Result<B> {
    serde_json::from_value(switches).map_err(io::Error::other)
}
