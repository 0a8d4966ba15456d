//! From an HTTP request to an answer: faults, authentication, the call, the log.

use std::sync::Arc;
use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::Method;
use axum::response::Response;

use super::asked::Asked;
use super::behaviour::{Call, What};
use super::calls::{perform, route};
use super::wire::{Refused, Reply};
use super::{Shared, admin, log};
use crate::sandbox::line::Line;

/// The largest body that is read, octets: 100,000 names.
const BODY_LIMIT: usize = 8 << 20;

/// Answers one request.
pub(super) async fn work(shared: Arc<Shared>, line: Line, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_LIMIT).await;
    let path = parts.uri.path();
    shared.recheck().await;
    if let Some(path) = path.strip_prefix("/_sandbox/") {
        let body = body.unwrap_or_default();
        let query = parts.uri.query().unwrap_or_default();
        let reply = admin::answer(&shared, &parts.method, path, query, &body).await;
        return reply.into_response(shared.now(), false);
    }
    let (call, subject) = route(path);
    let at = shared.now();
    let (fault, latency, throttled) = shared.state().admit(call);
    tokio::time::sleep(latency).await;
    if let Some(What::Delay(delay_ms)) = fault {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    let query = parts.uri.query().unwrap_or_default();
    let asked = body.as_ref().map(|body| Asked {
        call,
        subject,
        query,
        headers: &parts.headers,
        body,
    });
    let subjects = asked
        .as_ref()
        .map(|asked| shared.subjects(asked))
        .unwrap_or_default();
    let before = match &fault {
        Some(What::Status(status)) => Some(Refused::fault(*status).into()),
        Some(What::RetryAfter(wait)) => Some(Reply::too_many(wait)),
        Some(What::Html) => Some(Reply::html()),
        Some(What::DropBeforeDoing) => {
            line.cut();
            Some(Reply::empty())
        }
        _ if throttled => Some(Reply::too_many("1")),
        _ if parts.method != Method::POST => Some(Refused::method().into()),
        _ => None,
    };
    let mut performed = false;
    let mut reply = match (before, &asked) {
        (Some(reply), _) => reply,
        (None, Err(error)) => Refused::invalid(format!("The body cannot be read: {error}")).into(),
        (None, Ok(asked)) => {
            let outcome = shared.call(asked).await;
            performed = outcome.is_ok();
            outcome.unwrap_or_else(Reply::from)
        }
    };
    match &fault {
        Some(What::DoneButStatus(status)) => reply = Refused::fault(*status).into(),
        Some(What::DeliverThenDrop) => line.cut(),
        _ => {}
    }
    let dropped = matches!(fault, Some(What::DropBeforeDoing | What::DeliverThenDrop));
    let status = (!dropped).then_some(reply.status.as_u16());
    shared.state().log.add(log::Request {
        at,
        call,
        subjects,
        status,
        performed,
    });
    reply.into_response(shared.now(), fault == Some(What::Truncate))
}

impl Shared {
    /// Authenticates the client, then performs the call.
    async fn call(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Reply, Refused> {
        if asked.call != Call::Jwt {
            let now = self.now();
            let state = self.state();
            state
                .account
                .check(asked.headers, &state.behaviour.issuer, now)?;
        }
        perform(self, asked).await
    }

    /// What a request is about, for the log.
    fn subjects(&self, asked: &Asked<'_>) -> Vec<String> {
        if asked.call == Call::Register {
            return asked.names().unwrap_or_default();
        }
        let mut subjects = Vec::new();
        if !asked.subject.is_empty() {
            subjects.push(asked.subject.to_owned());
        }
        if let Ok(domain) = self.state().book.domain(asked.subject) {
            subjects.push(domain.name.clone());
        }
        subjects
    }
}
