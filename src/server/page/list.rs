//! The list of domains: search, filters, order, pages, and the same as a file for spreadsheets. All
//! of it is in the address.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use futures::stream;
use jiff::Timestamp;
use maud::{Markup, html};
use url::form_urlencoded;

use super::danger::mark;
use super::layout::{Frame, Here};
use super::visitor::Visitor;
use super::words::{away_and_day, counted, link_of, marked, number, said, state, time};
use super::{Pages, csv};
use crate::overview::danger::Danger;
use crate::overview::query::within::Within;
use crate::overview::query::{Query, Sort, Start};
use crate::overview::snapshot::{Entry, Snapshot};
use crate::prevalidation::{Lateness, State as DomainState};
use crate::text::cause;

/// Domains on one page.
const PER_PAGE: usize = 50;
/// Rows of a download that are written at once.
const ROWS: usize = 1_000;

/// `GET /domains`
pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Response {
    let (snapshot, _) = match pages.snapshot() {
        Ok(both) => both,
        Err(response) => return *response,
    };
    let (query, faults) = read(raw.as_deref(), Sort::Danger);
    let status = if faults.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::BAD_REQUEST
    };
    let live = pages.shared.live();
    let found = query.find(&snapshot);
    let now = pages.now();
    let frame = Frame {
        title: "Domains",
        here: Here::Domains,
        visitor: Some(&visitor),
        snapshot: Some(snapshot.at),
        now,
        copies: false,
    };
    frame.page(
        status,
        html! {
            div.lead { h1 { "Domains" } }
            @if !faults.is_empty() {
                div.note.wrong role="alert" {
                    p { strong { "The address asks for something that there is not." } " All domains are shown." }
                    @for fault in &faults { p { (said(fault)) } }
                }
            }
            (filters(&query, &snapshot, live.providers.iter().map(String::as_str)))
            section aria-labelledby="found" {
                div.heading {
                    h2 #found { (counted(found.total, "domain", "domains")) @if is_narrowed(&query) { " found" } }
                    @if found.total > 0 { a.small href={ "/domains.csv" (parameters(&Query { start: Start::Page(1), limit: Query::default().limit, ..query.clone() })) } { "Download as CSV" } }
                }
                (spans(&query))
                @if found.entries.is_empty() {
                    p.card.soft { "Nothing is found. " a href="/domains" { "Show all domains" } }
                } @else {
                    div.card.table-card { (table(&query, &found.entries, snapshot.clients.len() > 1, now)) }
                    (pager(&query, found.total))
                }
            }
        },
    )
}

/// `GET /domains.csv`
pub(super) async fn download(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    RawQuery(raw): RawQuery,
) -> Response {
    let snapshot = match pages.snapshot() {
        Ok((snapshot, _)) => snapshot,
        Err(response) => return *response,
    };
    let (query, faults) = read(raw.as_deref(), Sort::Name);
    if let Some(fault) = faults.first() {
        return pages.trouble_for(
            &visitor,
            StatusCode::BAD_REQUEST,
            "The address asks for something that there is not",
            &said(fault),
        );
    }
    // Places, not rows: the snapshot is there already, and is kept until the last row is sent.
    let places: Vec<u32> = query
        .all(&snapshot)
        .into_iter()
        .filter_map(|entry| snapshot.place(&entry.domain, &entry.client))
        .collect();
    let chunks = (0..places.len()).step_by(ROWS).map(move |from| {
        let to = places.len().min(from + ROWS);
        csv::rows(&snapshot, &places[from..to])
    });
    let text = std::iter::once(csv::HEAD.to_owned())
        .chain(chunks)
        .map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(stream::iter(text)));
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/csv; charset=utf-8; header=present"),
    );
    headers.insert(
        CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment; filename=\"domains.csv\""),
    );
    response
}

/// The query of an address, in the `usual` order where it names none, or all domains and what is
/// wrong with it.
fn read(raw: Option<&str>, usual: Sort) -> (Query, Vec<String>) {
    let pairs: Vec<_> = form_urlencoded::parse(raw.unwrap_or_default().as_bytes()).collect();
    let query = Query::read(pairs.iter().map(|(name, value)| (&**name, &**value)));
    let (mut query, faults) = query.map_or_else(
        |faults| (Query::default(), faults),
        |query| (query, Vec::new()),
    );
    let names_order =
        |(name, value): &(_, std::borrow::Cow<'_, str>)| *name == "sort" && !value.is_empty();
    if !faults.is_empty() || !pairs.iter().any(names_order) {
        query.sort = usual;
    }
    let limit = if query.limit == Query::default().limit {
        PER_PAGE
    } else {
        query.limit
    };
    (Query { limit, ..query }, faults)
}

/// The query as the end of an address.
fn parameters(query: &Query) -> String {
    let limit = if query.limit == PER_PAGE {
        Query::default().limit
    } else {
        query.limit
    };
    let mut pairs = Query {
        limit,
        ..query.clone()
    }
    .pairs();
    // The order of the page is another one than that of the interface.
    match (query.sort, query.descending) {
        (Sort::Danger, false) => pairs.retain(|(name, _)| *name != "sort"),
        (Sort::Name, false) => pairs.push(("sort", Sort::Name.as_str().to_owned())),
        _ => {}
    }
    if pairs.is_empty() {
        return String::new();
    }
    format!(
        "?{}",
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    )
}

fn is_narrowed(query: &Query) -> bool {
    let all = Query {
        sort: query.sort,
        descending: query.descending,
        start: query.start.clone(),
        limit: query.limit,
        ..Query::default()
    };
    *query != all
}

/// The spans that a link of the calendar asked for, in words.
fn spans(query: &Query) -> Markup {
    let spans = [
        ("Renewal planned", query.renewal),
        ("Proof ends", query.ends),
    ];
    html! {
        @for (what, span) in spans.into_iter().filter(|(_, span)| *span != Within::default()) {
            p.small.soft {
                (what)
                @if let Some(from) = span.from { " from " (time(from)) }
                @if let Some(before) = span.before { " before " (time(before)) }
                ". " a href="/domains" { "Show all domains" }
            }
        }
    }
}

fn filters<'a>(
    query: &Query,
    snapshot: &'a Snapshot,
    providers: impl Iterator<Item = &'a str>,
) -> Markup {
    let clients = snapshot.clients.iter().map(|client| &*client.key);
    let is_filtered = query.state.is_some()
        || query.client.is_some()
        || query.provider.is_some()
        || query.needs_a_person == Some(true);
    html! {
        form.filters method="get" action="/domains" role="search" aria-label="Domains" {
            div.field.search {
                label for="q" { "Name" }
                input #q type="search" name="q" value=(said(&query.text)) maxlength="253" spellcheck="false" autocapitalize="none" autocomplete="off";
            }
            div.go { button.button type="submit" { "Search" } }
            @if query.sort != Sort::Danger || query.descending {
                input type="hidden" name="sort" value={ @if query.descending { "-" } (query.sort.as_str()) };
            }
            @for (name, value) in query.spans() { input type="hidden" name=(name) value=(value); }
            // Folded, it costs a phone one line.
            details.more open[is_filtered] {
                summary { "Filters" }
                div.choices {
                    (choice("state", "State", query.state.map(DomainState::as_str), DomainState::ALL.into_iter().map(DomainState::as_str)))
                    (choice("client", "Client", query.client.as_deref(), clients))
                    (choice("provider", "Provider", query.provider.as_deref(), providers))
                    label.check {
                        input type="checkbox" name="needs_a_person" value="true" checked[query.needs_a_person == Some(true)];
                        "Only what needs a person"
                    }
                }
            }
        }
    }
}

fn choice<'a>(
    name: &str,
    label: &str,
    chosen: Option<&str>,
    words: impl Iterator<Item = &'a str>,
) -> Markup {
    html! {
        div.field {
            label for=(name) { (label) }
            select #(name) name=(name) {
                option value="" { "any" }
                @for word in words { option value=(word) selected[chosen == Some(word)] { (said(word)) } }
            }
        }
    }
}

/// The roles say again what the elements say: on a phone the rows are laid out otherwise, and some
/// browsers then forget.
fn table(query: &Query, entries: &[&Entry], has_clients: bool, now: Timestamp) -> Markup {
    html! {
        table.domains role="table" {
            caption.unseen { "Domains with their state, the end of their proof and their next renewal" }
            thead role="rowgroup" { tr role="row" {
                (column(query, Sort::Name, "Domain", ""))
                (column(query, Sort::State, "State", ""))
                (column(query, Sort::Danger, "Danger", "not-phone"))
                (column(query, Sort::UsableUntil, "Proof ends", ""))
                (column(query, Sort::RenewAt, "Renewal", "not-phone"))
                (column(query, Sort::DueAt, "Next step", "wide-only"))
                @if has_clients { th.wide-only scope="col" role="columnheader" { "Client" } }
            } }
            tbody role="rowgroup" { @for entry in entries { (row(entry, has_clients, now)) } }
        }
    }
}

fn column(query: &Query, sort: Sort, name: &str, class: &str) -> Markup {
    let is_sorted = query.sort == sort;
    let turned = Query {
        sort,
        descending: is_sorted && !query.descending,
        start: Start::Page(1),
        ..query.clone()
    };
    let order = if query.descending {
        "descending"
    } else {
        "ascending"
    };
    html! {
        th scope="col" role="columnheader" class=(class) aria-sort=[is_sorted.then_some(order)] {
            a href={ "/domains" (parameters(&turned)) } { (name) }
        }
    }
}

fn row(entry: &Entry, has_clients: bool, now: Timestamp) -> Markup {
    let tells = entry.needs_a_person
        || entry.lateness != Lateness::InTime
        || !matches!(entry.state, DomainState::Valid);
    let moment = |at: Option<Timestamp>| match at {
        Some(at) => away_and_day(at.max(now), now),
        None => html! { span.soft { "–" span.unseen { "none" } } },
    };
    html! {
        tr role="row" {
            th scope="row" role="rowheader" {
                (link_of(entry))
                @if entry.domain.as_str().contains("xn--") { span.why { (entry.domain) } }
                @if entry.covered || tells { span.why { (marked(&said(&cause(&entry.reason, now)))) } }
            }
            td role="cell" { (state(entry.state)) }
            td.not-phone role="cell" { @if entry.danger > Danger::None { (mark(entry.danger)) } }
            td class={ "margin " (entry.danger.as_str()) } role="cell" {
                @match (entry.usable_until, entry.proven_until) {
                    (None, Some(end)) if end <= now => { "ended " (away_and_day(end, now)) },
                    (end, _) => (moment(end)),
                }
            }
            td.not-phone role="cell" { (moment(entry.renew_at)) }
            td.wide-only role="cell" { (moment(entry.due_at)) }
            @if has_clients { td.wide-only.soft.client role="cell" { (said(&entry.client)) } }
        }
    }
}

fn pager(query: &Query, total: usize) -> Markup {
    let last = total.div_ceil(query.limit).max(1);
    let Start::Page(page) = query.start else {
        return html! {};
    };
    let to = |page: usize| {
        format!(
            "/domains{}",
            parameters(&Query {
                start: Start::Page(page),
                ..query.clone()
            })
        )
    };
    html! {
        @if last > 1 || page > 1 {
            nav.pages aria-label="Pages of the list" {
                span { "Page " (number(page)) " of " (number(last)) }
                ul {
                    @if page > 1 {
                        @if page > 2 { li { a href=(to(1)) { "First" } } }
                        li { a href=(to((page - 1).min(last))) rel="prev" { "Previous" } }
                    }
                    @if page < last {
                        li { a href=(to(page + 1)) rel="next" { "Next" } }
                        @if page + 1 < last { li { a href=(to(last)) { "Last" } } }
                    }
                }
            }
        }
    }
}
