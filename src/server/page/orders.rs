//! What a person may order on a page: list a client now, try a domain now. Orders are for the
//! scheduler, which does the work; here is only written down what is due.

use std::sync::Arc;

use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};
use serde::Deserialize;
use url::form_urlencoded;

use super::Pages;
use super::session::{Word, is_from_elsewhere, see_other};
use super::visitor::Visitor;
use crate::prevalidation::{DomainName, Sighting};
use crate::store::{DomainRow, Event, Lease, Store, StoreError};
use crate::worker::by_hand::Orderer;

/// How an order went, as the address of the next page says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Tried,
    Busy,
    Unread,
    Withdrawn,
    Listing,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Tried,
        Self::Busy,
        Self::Unread,
        Self::Withdrawn,
        Self::Listing,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Tried => "tried",
            Self::Busy => "busy",
            Self::Unread => "unread",
            Self::Withdrawn => "withdrawn",
            Self::Listing => "looking",
        }
    }

    fn said(self) -> &'static str {
        match self {
            Self::Tried => "Retry started. The page shows the result within a minute.",
            Self::Busy => {
                "A worker is working on it at this moment. It comes up again as soon as that is done."
            }
            Self::Unread => {
                "The CA has not been asked about it yet. It is tried right after the first listing of its client."
            }
            Self::Withdrawn => {
                "A person took it out of DNS by hand, so nothing was done. `prevalidate run --domain` takes it up again."
            }
            Self::Listing => "The CA is asked now. The page shows its answer within a minute.",
        }
    }
}

/// What the address says about the order before, if it says something.
pub(super) fn note(query: Option<&str>) -> Markup {
    let pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let word = pairs
        .into_iter()
        .find_map(|(name, value)| (name == "note").then_some(value));
    let outcome = Outcome::ALL
        .into_iter()
        .find(|outcome| word.as_deref() == Some(outcome.word()));
    html! { @if let Some(outcome) = outcome { p.note role="status" { (outcome.said()) } } }
}

/// The fields of the form of a listing.
#[derive(Debug, Deserialize)]
pub(super) struct ListNow {
    client: String,
    word: String,
}

/// `POST /clients/look`
pub(super) async fn list_now(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    headers: HeaderMap,
    form: Result<Form<ListNow>, FormRejection>,
) -> Response {
    let form = match allowed(&pages, &visitor, &headers, form, |form| &form.word) {
        Ok(form) => form,
        Err(response) => return *response,
    };
    let live = pages.shared.live();
    let Some(target) = live.targets.iter().find(|target| target.key == form.client) else {
        return pages.trouble_for(
            &visitor,
            StatusCode::NOT_FOUND,
            "This was not done",
            "The configuration has no such client.",
        );
    };
    let event = Event {
        at: pages.now(),
        run: run(&visitor),
        domain: None,
        client: None,
        kind: "ordered".to_owned(),
        detail: format!("{}: a listing of the CA, by hand", target.key),
    };
    if let Err(error) = pages.shared.store.note(&[event]).await {
        return pages.store_failed(&error);
    }
    pages.shared.order_listing(&target.key);
    tracing::info!(
        client = target.key,
        by = visitor.name(),
        "a listing was ordered"
    );
    after("/", Outcome::Listing)
}

/// `POST /domains/{name}/try`
pub(super) async fn try_now(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(name): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Word>, FormRejection>,
) -> Response {
    if let Err(response) = allowed(&pages, &visitor, &headers, form, |form| &form.word) {
        return *response;
    }
    let Ok(domain) = DomainName::from_a_labels(&name) else {
        return pages.unknown_domain(&visitor, "This is not a name of a domain.");
    };
    match order_all(&*pages.shared.store, &domain, &run(&visitor), pages.now()).await {
        Ok(Some(outcome)) => {
            pages.shared.wake.notify_one();
            tracing::info!(%domain, by = visitor.name(), outcome = outcome.word(), "a try was ordered");
            after(&format!("/domains/{domain}"), outcome)
        }
        Ok(None) => pages.unknown_domain(&visitor, "It is not in the inventory."),
        Err(error) => pages.store_failed(&error),
    }
}

/// The same for the domain at each of its clients; one that is tried is the outcome. `None`: it is
/// not wanted.
async fn order_all(
    store: &dyn Store,
    domain: &DomainName,
    run: &str,
    now: Timestamp,
) -> Result<Option<Outcome>, StoreError> {
    let mut outcome = None;
    for row in store.rows_of(std::slice::from_ref(domain)).await? {
        let one = order(store, row, run, now).await?;
        if outcome.is_none() || one == Some(Outcome::Tried) {
            outcome = one.or(outcome);
        }
    }
    Ok(outcome)
}

/// Takes back, under a lease of the row, what the domain waits for there: a hold, a waiting time.
/// `None`: it is not wanted.
async fn order(
    store: &dyn Store,
    row: DomainRow,
    run: &str,
    now: Timestamp,
) -> Result<Option<Outcome>, StoreError> {
    if row.origins.is_empty() {
        return Ok(None);
    }
    if row.sighting == Sighting::Unread {
        return Ok(Some(Outcome::Unread));
    }
    if row.upkeep.withdrawn_at.is_some() {
        return Ok(Some(Outcome::Withdrawn));
    }
    let by = Orderer {
        holder: run,
        run,
        now,
    };
    // A run that works on it now checks it again afterwards.
    let mut outcome = Outcome::Busy;
    let change = |lease: &mut Lease| {
        let upkeep = &mut lease.row.upkeep;
        if upkeep.withdrawn_at.is_some() {
            outcome = Outcome::Withdrawn;
            return None;
        }
        outcome = Outcome::Tried;
        upkeep.try_at_once();
        Some(("ordered", "a try at once, by hand".to_owned()))
    };
    match by.order(store, &[row.key], change).await {
        Ok(_) => Ok(Some(outcome)),
        Err(StoreError::LeaseLost(_)) => Ok(Some(Outcome::Busy)),
        Err(error) => Err(error),
    }
}

/// The form of an order, when it came from one of our pages and its sender may give it.
fn allowed<T>(
    pages: &Pages,
    visitor: &Visitor,
    headers: &HeaderMap,
    form: Result<Form<T>, FormRejection>,
    word: impl Fn(&T) -> &str,
) -> Result<T, Box<Response>> {
    let trouble = |status, advice| {
        let title = "This was not done";
        Err(Box::new(pages.trouble_for(visitor, status, title, advice)))
    };
    if is_from_elsewhere(headers) {
        return trouble(StatusCode::FORBIDDEN, "Another site sent this form.");
    }
    let Ok(Form(form)) = form else {
        return trouble(StatusCode::BAD_REQUEST, "The form was not complete.");
    };
    visitor.may_order(pages, word(&form))?;
    Ok(form)
}

/// Names the orderer in the history.
fn run(visitor: &Visitor) -> String {
    format!("page/{}", visitor.name().unwrap_or_default())
}

fn after(path: &str, outcome: Outcome) -> Response {
    see_other(&format!("{path}?note={}", outcome.word()))
}
