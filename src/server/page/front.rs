//! The overview: is all well, what needs a person, what comes in the next months, when the CA was
//! last asked.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};

use super::layout::{Frame, Here, by_itself};
use super::orders::note;
use super::summary::Summary;
use super::visitor::{Visitor, word_field};
use super::words::{away, capital, counted, link, link_of, marked, number, said, state, time};
use super::{Pages, calendar, cards, danger};
use crate::overview::certificates::{CertificateState, CertificateView};
use crate::overview::clients::Age;
use crate::overview::danger::Gravity;
use crate::overview::machines::Machines;
use crate::overview::snapshot::{ClientState, Snapshot};
use crate::prevalidation::State as DomainState;

/// This many cases are shown here; the list has all.
const CASES: usize = 8;

/// `GET /`
pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response {
    let (snapshot, summary) = match pages.snapshot() {
        Ok(both) => both,
        Err(response) => return *response,
    };
    let now = pages.now();
    let frame = Frame {
        title: "Overview",
        here: Here::Overview,
        visitor: Some(&visitor),
        snapshot: Some(snapshot.at),
        now,
        copies: false,
    };
    let policy = &pages.shared.live().policy;
    let page = frame.page(
        StatusCode::OK,
        html! {
            (note(query.as_deref()))
            (lead(&snapshot, &summary, now))
            (cards::refusal(&snapshot.troubles.persistent))
            (danger::section(&snapshot, &summary, policy, now))
            (counts(&summary))
            (cases(&snapshot, &summary, now))
            (calendar::section(&summary.calendar))
            (certificates(&snapshot, now))
            (cards::records(&snapshot.persistent, now))
            (cards::registrations(&snapshot.registrations, now))
            (clients(&snapshot, &summary, &visitor, now))
            (machines(&snapshot.machines, now))
        },
    );
    by_itself(page, "/")
}

/// The answer in one sentence, and what it rests on.
fn lead(snapshot: &Snapshot, summary: &Summary, now: Timestamp) -> Markup {
    let all = summary.managed;
    let late = summary.counts.waiting.late + summary.counts.waiting.overdue;
    let asked = snapshot
        .clients
        .iter()
        .map(|client| client.listed_at)
        .min()
        .flatten();
    html! {
        div.lead {
            h1 {
                @match (all, summary.needing.len(), summary.proven) {
                    (1.., needing, _) if summary.counts.lapsed > 0 => {
                        (number(summary.counts.lapsed)) " of " (counted(all, "domain is", "domains are")) " no longer validated"
                        @if needing > 0 { ", " (counted(needing, "domain needs", "domains need")) " a person" }
                    },
                    (1.., needing, _) if summary.counts.below_margin.critical > 0 => {
                        (counted(summary.counts.below_margin.critical, "proof ends", "proofs end")) " very soon"
                        @if needing > 0 { ", " (counted(needing, "domain needs", "domains need")) " a person" }
                    },
                    (0, ..) => "No domain is kept validated yet",
                    (_, 0, proven) if proven == all => { "All " (counted(all, "domain is", "domains are")) " prevalidated" },
                    (_, 0, proven) => { (number(proven)) " of " (counted(all, "domain is", "domains are")) " prevalidated" },
                    (_, needing, _) => { (number(needing)) " of " (counted(all, "domain needs", "domains need")) " a person" },
                }
            }
            p {
                @if summary.needing.is_empty() && all > 0 && snapshot.gravity(now) == Gravity::Ok { "Nothing needs a person. " }
                @if let Some(first) = summary.soonest.and_then(|place| snapshot.entries.get(place)) {
                    "The first proof ends " @if let Some(end) = first.usable_until { (away(end, now)) } ": " (link(&first.domain)) ". "
                }
                @if summary.counts.below_margin.warning > 0 { (counted(summary.counts.below_margin.warning, "domain has", "domains have")) " less than the warning margin left. " }
                @if late > 0 { (counted(late, "domain waits", "domains wait")) " longer than usual. " }
                @match asked {
                    Some(at) => { "The CA was last asked " (away(at, now)) "." },
                    None if snapshot.clients.is_empty() => "The configuration has no client.",
                    None => "The CA has not been asked about every client yet.",
                }
            }
        }
    }
}

fn counts(summary: &Summary) -> Markup {
    let total = summary.managed.max(1) as f64;
    // Where each state's piece begins, and how wide it is.
    let pieces = DomainState::ALL
        .into_iter()
        .filter(|state| *state != DomainState::Unmanaged)
        .scan(0.0, |left, state| {
            let width = 1000.0 * summary.count(state) as f64 / total;
            *left += width;
            Some((state, *left - width, width))
        });
    html! {
        section aria-labelledby="states" {
            h2 #states { "Domains by state" }
            @if summary.managed > 0 {
                svg.share viewBox="0 0 1000 8" preserveAspectRatio="none" aria-hidden="true" {
                    @for (state, left, width) in pieces.filter(|(.., width)| *width > 0.0) {
                        a href={ "/domains?state=" (state) } tabindex="-1" {
                            rect class=(state) x=(format!("{left:.2}")) y="0" width=(format!("{width:.2}")) height="8" {}
                        }
                    }
                }
            }
            ul.counts {
                @for state_ in DomainState::ALL {
                    @let count = summary.count(state_);
                    @if state_ != DomainState::Unmanaged || count > 0 {
                        li { a class=[(count == 0).then_some("none")] href={ "/domains?state=" (state_) } {
                            b { (number(count)) } " " (state(state_))
                        } }
                    }
                }
            }
        }
    }
}

fn cases(snapshot: &Snapshot, summary: &Summary, now: Timestamp) -> Markup {
    let refused: Vec<&ClientState> = snapshot
        .clients
        .iter()
        .filter(|client| !client.refusal.is_empty())
        .collect();
    let stale: Vec<&ClientState> = snapshot
        .clients
        .iter()
        .filter(|client| {
            client
                .listed_at
                .is_some_and(|at| Age::of(Some(at), now) != Age::Fresh)
        })
        .collect();
    let entries = summary
        .needing
        .iter()
        .filter_map(|place| snapshot.entries.get(*place));
    html! {
        @if !refused.is_empty() || !stale.is_empty() || !summary.needing.is_empty() {
            section aria-labelledby="needs" {
                div.heading {
                    h2 #needs { "What needs a person" }
                    @if summary.needing.len() > CASES {
                        a href="/domains?needs_a_person=true&sort=usable_until" { "All " (number(summary.needing.len())) }
                    }
                }
                @for client in refused {
                    div.note.wrong {
                        p { strong { "The guard refuses to act for " (said(&client.key)) "." } }
                        p { (said(&client.refusal)) "." }
                        p.small { "Nothing is done for this client until the CA's list is right again. If it is meant so, "
                            code { "prevalidate run --force" } " acts all the same." }
                    }
                }
                @for client in stale {
                    div.note.wait { p {
                        strong { (said(&client.key)) ": the CA was last asked " @if let Some(at) = client.listed_at { (away(at, now)) } "." }
                        " What is shown of its domains is as old."
                    } }
                }
                @if !summary.needing.is_empty() {
                    ul.cases.card {
                        @for entry in entries.take(CASES) {
                            li {
                                span { (link_of(entry)) }
                                (state(entry.state))
                                p { (marked(&capital(&said(&entry.reason)))) @if let Some(end) = entry.usable_until { " — its proof ends " (away(end, now)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The certificates, when each ends and what is next; nothing where there are none.
fn certificates(snapshot: &Snapshot, now: Timestamp) -> Markup {
    let shown = || {
        let all = snapshot.certificates.iter();
        all.filter(|view| view.state != CertificateState::Unmanaged)
    };
    let of = |view: &CertificateView| (view.ca.clone(), view.product.clone());
    let first = shown().next().map(of);
    let differ = shown().any(|view| Some(of(view)) != first);
    // Where there are several.
    let source = |view: &CertificateView| {
        let product = view.product.as_deref().unwrap_or_default();
        differ.then(|| format!("{} {product}", view.ca))
    };
    html! {
        @if shown().next().is_some() {
            section aria-labelledby="certificates" {
                h2 #certificates { "Certificates" }
                div.card.table-card.scroll tabindex="0" role="region" aria-label="Table of the certificates" {
                    table.clients {
                        caption.unseen { "Each certificate with its state, its end and what is next" }
                        thead { tr {
                            th scope="col" { "Certificate" }
                            th scope="col" { "State" }
                            th scope="col" { "Ends" }
                            th.not-phone scope="col" { "What is next" }
                        } }
                        tbody {
                            @for view in shown() {
                                tr {
                                    th scope="row" {
                                        (said(&view.name))
                                        @if view.names != [view.name.clone()] { br; span.soft { (said(&view.names.join(" "))) } }
                                        @if let Some(from) = source(view) { br; span.soft.small { (said(&from)) } }
                                        @if view.needs_attention() { span.only-phone.soft.small { (capital(&said(&view.reason))) } }
                                    }
                                    @let word = view.word();
                                    td { @if view.needs_attention() { strong { (word) } } @else { (word) } }
                                    td { @match view.not_after { Some(at) => (away(at, now)), None => "-" } }
                                    td.not-phone { (capital(&said(&view.reason))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn clients(snapshot: &Snapshot, summary: &Summary, visitor: &Visitor, now: Timestamp) -> Markup {
    let order = visitor.order_word();
    html! {
        section aria-labelledby="clients" {
            h2 #clients { "Clients at the CA" }
            div.card.table-card.scroll tabindex="0" role="region" aria-label="Table of the clients" {
                table.clients {
                    caption.unseen { "Each client with its domains and the last listing of the CA" }
                    thead { tr {
                        th scope="col" { "Client" }
                        th.number.not-phone scope="col" { "Domains" }
                        th.number.not-phone scope="col" { "Need a person" }
                        th scope="col" { "CA last asked" }
                        @if order.is_some() { th scope="col" { span.unseen { "Order" } } }
                    } }
                    tbody {
                        @for client in &snapshot.clients {
                            @let (domains, needing) = summary.clients.get(&client.key).copied().unwrap_or_default();
                            tr {
                                th scope="row" { a href={ "/domains?client=" (encoded(&client.key)) } { (key(&client.key)) } }
                                td.number.not-phone { (number(domains)) }
                                td.number.not-phone { (number(needing)) }
                                td { @match client.listed_at {
                                    Some(at) => { (away(at, now)) " " span.soft.wide-only { (time(at)) } },
                                    None => "not yet",
                                } }
                                @if let Some(word) = order {
                                    td.number { form method="post" action="/clients/look" {
                                        (word_field(word))
                                        input type="hidden" name="client" value=(client.key);
                                        button.button.quiet.slim type="submit" { "List now" span.unseen { " " (said(&client.key)) } }
                                    } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Whether a worker is at work, and how the last run ended; nothing before the first.
fn machines(machines: &Machines, now: Timestamp) -> Markup {
    html! {
        @if machines.last_run.is_some() || !machines.daemons.is_empty() {
            section aria-labelledby="machines" {
                h2 #machines { "Machines" }
                ul.cases.card {
                    @if let Some(run) = &machines.last_run {
                        li {
                            span { "Last run" }
                            p {
                                "It ended " (away(run.ended_at, now)) " on " (said(&run.host))
                                " with exit status " (run.exit) ": " (ended(run.exit)) "."
                            }
                        }
                    }
                    @for (host, seen_at) in &machines.daemons {
                        li {
                            span { "Daemon on " (said(host)) }
                            @match Machines::works(*seen_at, now) {
                                true => p { "It works; last seen " (away(*seen_at, now)) "." },
                                false => p { strong { "It is silent" } "; last seen " (away(*seen_at, now)) "." },
                            }
                        }
                    }
                }
            }
        }
    }
}

/// What an exit status of `run` means (docs/operations.md).
fn ended(exit: u8) -> &'static str {
    match exit {
        0 => "every domain is valid with margin",
        1 => "some domains or certificates are not as they should be",
        3 => "the CA refused the account",
        4 => "only DNS is in the way",
        5 => "the guard refused",
        75 => "a failure that may pass; the next run tries again",
        _ => "it could not do its work",
    }
}

/// A client's key, which may continue in a new line after the name of the CA.
fn key(text: &str) -> Markup {
    html! { @for part in text.split_inclusive('/') { (said(part)) wbr; } }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
