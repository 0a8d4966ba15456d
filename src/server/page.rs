//! The status page: for a person who wants to see the state. Drawn by the server, without a script
//! and without anything from elsewhere; everything on it is read off the last snapshot, and a
//! domain's own page off the store.
//!
//! A client that may read may see it. Orders (`list now`, `try now`) need a session of the role
//! `operate` and the word of that session in every form, see [`session`].

mod assets;
mod calendar;
mod cards;
mod csv;
mod danger;
mod detail;
mod doorkeeper;
mod front;
mod layout;
mod list;
mod orders;
mod session;
mod summary;
mod visitor;
mod words;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::header::{CONTENT_SECURITY_POLICY, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use jiff::Timestamp;
use maud::html;

use self::doorkeeper::Doorkeeper;
use self::layout::{Frame, Here};
use self::summary::Summary;
use self::visitor::Visitor;
use self::words::capital;
use super::shared::Shared;
use crate::overview::snapshot::Snapshot;
use crate::store::StoreError;

/// Nothing but our own sheet and forms: a name or a word of a CA that became markup all the same
/// would still do nothing.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// The same for a page with the one script of ours; nothing that is in a page runs.
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; form-action 'self'; \
                      frame-ancestors 'none'; base-uri 'none'";

/// A form holds a token and a word or two.
const LONGEST_FORM: usize = 16 * 1024;

/// The state that the pages show.
#[derive(Debug)]
struct Pages {
    shared: Arc<Shared>,
    doorkeeper: Doorkeeper,
    /// What was counted of the last snapshot, with that snapshot.
    summary: Mutex<Option<(Arc<Snapshot>, Arc<Summary>)>>,
}

/// `/`, `/domains`, `/domains/{name}`, `/session`, `/assets/*`.
pub fn routes(shared: Arc<Shared>) -> Router {
    let pages = Pages {
        shared,
        doorkeeper: Doorkeeper::default(),
        summary: Mutex::default(),
    };
    Router::new()
        .route("/", get(front::show))
        .route("/clients/look", post(orders::list_now))
        .route("/domains", get(list::show))
        .route("/domains.csv", get(list::download))
        .route("/domains/{name}", get(detail::show))
        .route("/domains/{name}/try", post(orders::try_now))
        .route("/session", get(session::form).post(session::begin))
        .route("/session/end", post(session::end))
        .route("/assets/{file}", get(assets::serve))
        .layer(DefaultBodyLimit::max(LONGEST_FORM))
        .layer(from_fn(seal))
        .with_state(Arc::new(pages))
}

/// Says to the browser, for every answer, what it may do with it; what holds for everything the
/// server says is added there.
async fn seal(request: Request, next: Next) -> Response {
    sealed(next.run(request).await)
}

fn sealed(mut response: Response) -> Response {
    let headers = response.headers_mut();
    // A page with a script of ours has said so itself.
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(POLICY));
    headers.insert(
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    );
    response
}

/// The page for an error that no page of ours has written.
pub(super) fn error(status: StatusCode, what: &str, now: Timestamp) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let advice = format!("{}.", capital(what));
    sealed(trouble(None, status, title, &advice, now))
}

impl Pages {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// The last snapshot and what was counted of it.
    fn snapshot(&self) -> Result<(Arc<Snapshot>, Arc<Summary>), Box<Response>> {
        let snapshot = self
            .shared
            .snapshot()
            .ok_or_else(|| Box::new(self.no_snapshot()))?;
        let known = self
            .summary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some((of, summary)) = known.filter(|(of, _)| Arc::ptr_eq(of, &snapshot)) {
            return Ok((of, summary));
        }
        // Two that come at once may both count; that is cheaper than to wait for each other.
        let summary = Arc::new(Summary::of(&snapshot, &self.shared.live().policy));
        *self.summary.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Arc::clone(&snapshot), Arc::clone(&summary)));
        Ok((snapshot, summary))
    }

    fn no_snapshot(&self) -> Response {
        self.trouble(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store has not been read yet",
            "This takes a moment after the start. If it lasts, the log says what is wrong with the store.",
        )
    }

    fn store_failed(&self, error: &StoreError) -> Response {
        tracing::warn!("a page could not be drawn: {error}");
        self.trouble(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store cannot be read now",
            "The overview and the list still show the last snapshot. The log says what the database said.",
        )
    }

    /// A page that says what is wrong, for any visitor.
    fn trouble(&self, status: StatusCode, title: &str, advice: &str) -> Response {
        trouble(None, status, title, advice, self.now())
    }

    /// The same for a person who has signed in, and is told so.
    fn trouble_for(
        &self,
        visitor: &Visitor,
        status: StatusCode,
        title: &str,
        advice: &str,
    ) -> Response {
        trouble(Some(visitor), status, title, advice, self.now())
    }

    fn unknown_domain(&self, visitor: &Visitor, what: &str) -> Response {
        self.trouble_for(visitor, StatusCode::NOT_FOUND, "Unknown domain", what)
    }
}

fn trouble(
    visitor: Option<&Visitor>,
    status: StatusCode,
    title: &str,
    advice: &str,
    now: Timestamp,
) -> Response {
    let frame = Frame {
        title,
        here: Here::Elsewhere,
        visitor,
        snapshot: None,
        now,
        copies: false,
    };
    let mut response = frame.page(
        status,
        html! {
            div.lead {
                h1 { (title) }
                p { (advice) }
                p { a href="/" { "To the overview" } }
            }
        },
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
