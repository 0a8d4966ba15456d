//! One domain: where it is and why, its proof, its token, the way to the next one, what is in DNS
//! because of us, and everything that was done, with the CA's words. Read off the store at this
//! moment.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use jiff::Timestamp;
use maud::{Markup, html};
use url::form_urlencoded;

use super::Pages;
use super::danger::mark;
use super::layout::{Frame, Here, by_itself};
use super::orders::note;
use super::session::see_other;
use super::visitor::{Visitor, word_field};
use super::words::{away, capital, counted, link, marked, said, state, time, time_and_away};
use crate::overview::certificates::{at_stake, hanging_on};
use crate::overview::danger::Danger;
use crate::overview::{DomainView, views_of};
use crate::prevalidation::{
    DomainName, LedgerEntry, LedgerState, Mode, Registration, RowKey, Stage, State as DomainState,
};
use crate::store::{DomainRow, Event, StoreError};
use crate::text::Reason;

/// How much of the history is on the page, the latest first.
const EVENTS: usize = 200;

/// All that is known of one domain.
struct Known {
    view: DomainView,
    /// The other clients that it is at.
    also_at: Vec<String>,
    row: Option<DomainRow>,
    ledger: Vec<LedgerEntry>,
    history: Vec<Event>,
}

/// `GET /domains/{name}`
pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let domain = match DomainName::from_a_labels(&name) {
        Ok(domain) if domain.as_str() == name => domain,
        // Written in another way: with capitals, with a dot, in its own script.
        Ok(domain) => return see_other(&format!("/domains/{domain}")),
        Err(_) => match DomainName::parse(&name) {
            Ok(parsed) => return see_other(&format!("/domains/{}", parsed.name)),
            Err(_) => return pages.unknown_domain(&visitor, "This is not a name of a domain."),
        },
    };
    let asked = form_urlencoded::parse(query.as_deref().unwrap_or_default().as_bytes());
    let client = asked
        .into_iter()
        .find_map(|(name, value)| (name == "client").then_some(value));
    let known = match known(&pages, &domain, client.as_deref()).await {
        Ok(Some(known)) => known,
        Ok(None) => {
            return pages.unknown_domain(
                &visitor,
                "It is neither in the inventory nor at the CA, and nothing was ever done for it.",
            );
        }
        Err(error) => return pages.store_failed(&error),
    };
    let (now, title) = (pages.now(), known.view.unicode.clone());
    let is_observing = pages.shared.live().policy.mode == Mode::Observe;
    let frame = Frame {
        title: &said(&title),
        here: Here::Domains,
        visitor: Some(&visitor),
        snapshot: Some(now),
        now,
        copies: true,
    };
    let page = frame.page(
        StatusCode::OK,
        html! {
            (note(query.as_deref()))
            (lead(&known.view, &visitor, is_observing, now))
            (elsewhere(&known))
            (diagnosis(&known, now))
            div.columns { (proof(&known.view, now)) (token(&known, now)) (at_the_ca(&known, now)) }
            (attempt(&known.view, now))
            (in_dns(&known.ledger, now))
            (certificates(&pages, &known.view, now))
            (history(&known.history))
        },
    );
    let of_client = client.map(|client| {
        let client = form_urlencoded::byte_serialize(client.as_bytes()).collect::<String>();
        format!("?client={client}")
    });
    by_itself(
        page,
        &format!("/domains/{domain}{}", of_client.unwrap_or_default()),
    )
}

/// The certificates that depend on the proof of the domain; nothing where there are none.
fn certificates(pages: &Pages, view: &DomainView, now: Timestamp) -> Markup {
    let snapshot = pages.shared.snapshot();
    let all = snapshot
        .as_ref()
        .map_or(&[][..], |snapshot| &snapshot.certificates[..]);
    let hang = hanging_on(all, view.domain.as_str(), &view.client);
    let is_held = view.state == DomainState::Held;
    let until = view.usable_until();
    let stake = is_held.then(|| at_stake(all, view.domain.as_str(), &view.client, until));
    html! {
        @if !hang.is_empty() {
            section aria-labelledby="certificates" {
                h2 #certificates { "Certificates that need this proof" }
                @if let Some(stake) = stake.flatten() { p { (said(&stake)) } }
                ul.cases.card {
                    @for view in hang {
                        li {
                            span { (said(&view.name)) }
                            p {
                                (said(&view.names.join(" ")))
                                @if let Some(end) = view.not_after { " — ends " (away(end, now)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The domain at `client`, or at its first one.
async fn known(
    pages: &Pages,
    domain: &DomainName,
    client: Option<&str>,
) -> Result<Option<Known>, StoreError> {
    let (store, live) = (&*pages.shared.store, pages.shared.live());
    let mut views = views_of(store, domain, &live.basis(), pages.now()).await?;
    views.sort_by_key(DomainView::key);
    let clients: Vec<String> = views.iter().map(|view| view.client.clone()).collect();
    let view = views
        .into_iter()
        .find(|view| client.is_none_or(|client| view.client == client));
    let key = view
        .as_ref()
        .map_or_else(|| RowKey::from(domain), DomainView::key);
    let (row, history) = (store.domain(&key).await?, store.history(domain).await?);
    let mut also_at = clients;
    also_at.retain(|client| view.as_ref().is_some_and(|view| view.client != *client));
    let view = match view {
        Some(view) => view,
        None if history.is_empty() => return Ok(None),
        None => DomainView {
            reason: "no longer in the inventory, not at the CA, and nothing of it is left in DNS"
                .to_owned(),
            ..DomainView::bare(domain.clone(), DomainState::Unmanaged)
        },
    };
    Ok(Some(Known {
        view,
        also_at,
        row,
        ledger: store.open_entries(Some(&key)).await?,
        history,
    }))
}

fn lead(view: &DomainView, visitor: &Visitor, is_observing: bool, now: Timestamp) -> Markup {
    let may_be_tried =
        view.is_managed() && view.covered_by.is_none() && !view.is_withdrawn() && !is_observing;
    html! {
        div.lead {
            p.trail { a href="/domains" { "Domains" } }
            h1 { (said(&view.unicode)) }
            @if view.unicode != view.domain.as_str() { p { code { (view.domain) } } }
            div.actions {
                (state(view.state))
                @if view.danger > Danger::None { (mark(view.danger)) }
                @if let Some(word) = visitor.order_word().filter(|_| may_be_tried) {
                    form.inline method="post" action={ "/domains/" (view.domain) "/try" } {
                        (word_field(word))
                        button.button.slim type="submit" { "Try now" }
                    }
                }
            }
            p { (marked(&sentence(&view.cause(now)))) }
            @if let Some(parent) = &view.covered_by { p { "The proof of " (link(parent)) " counts for it." } }
        }
    }
}

/// Where else the domain is kept.
fn elsewhere(known: &Known) -> Markup {
    let address = |client: &str| {
        let client: String = form_urlencoded::byte_serialize(client.as_bytes()).collect();
        format!("/domains/{}?client={client}", known.view.domain)
    };
    html! {
        @if !known.also_at.is_empty() {
            p { "This is the domain at " (said(&known.view.client)) ". It is also at "
                @for (place, client) in known.also_at.iter().enumerate() {
                    @if place > 0 { ", " }
                    a href=(address(client)) { (said(client)) }
                }
                "." }
        }
    }
}

/// What is in the way, as the last listing found it.
fn diagnosis(known: &Known, now: Timestamp) -> Markup {
    let view = &known.view;
    let error = view
        .attempt
        .as_ref()
        .and_then(|attempt| attempt.last_error.as_ref());
    let doubt = registration(known).and_then(|registration| registration.doubt.as_ref());
    html! {
        @if view.bogus.is_some() || view.waiting.is_some() || error.is_some() || doubt.is_some() {
            section aria-labelledby="diagnosis" {
                h2 #diagnosis { "What is in the way" }
                @if let Some(bogus) = &view.bogus {
                    div.note.wrong {
                        p { strong { "Validating resolvers refuse the zone." } " " (sentence(&bogus.fault)) }
                        p.small.soft { "Seen first " (time_and_away(bogus.since, now)) }
                    }
                }
                @if let Some(error) = error {
                    @if view.waiting.is_some() || view.is_withdrawn() {
                        div.note.wait { p { strong { "Waiting." } " " span.said { (told(error)) } } }
                    } @else {
                        div.note.wrong { p { strong { "The last try failed." } " " span.said { (told(error)) } } }
                    }
                }
                @if let Some(doubt) = doubt {
                    div.note.wait { p { strong { "The CA's answer is in doubt." } " " (told(doubt)) } }
                }
                @if let Some(waiting) = &view.waiting {
                    dl.facts.card {
                        dt { "It waits for" } dd { (said(&waiting.subject)) }
                        dt { "Since" } dd { (time_and_away(waiting.since, now)) ", " (waiting.lateness) }
                        dt { "Next" } dd { (waiting.next.as_str()) " " (time_and_away(waiting.next_at.max(now), now))
                            @if !waiting.why.is_wait() { ", " (said(&waiting.why.to_string())) } }
                        @if let Some(until) = waiting.token_until { dt { "Token lives until" } dd { (time_and_away(until, now)) } }
                    }
                }
                p.small.soft { "For a full check: " code { "prevalidate diagnose " (view.domain) } }
            }
        }
    }
}

fn proof(view: &DomainView, now: Timestamp) -> Markup {
    html! {
        section.card aria-labelledby="proof" {
            h2 #proof { "Proof" }
            @match &view.proof {
                None => p.soft { "The CA shows none." },
                Some(proof) => dl.facts {
                    dt { "Counts until" }
                    dd { @match proof.usable_until { Some(end) => strong { (time_and_away(end, now)) }, None => "it does not count" } }
                    (fact("Made", proof.validated_at, now))
                    (fact("First seen here", proof.first_seen, now))
                    (fact("The CA's own end", proof.expires_at, now))
                    (fact("Renewal planned", view.renew_at, now))
                    @if let Some(method) = &proof.method { dt { "Method" } dd { (said(method)) } }
                },
            }
        }
    }
}

fn token(known: &Known, now: Timestamp) -> Markup {
    let token = registration(known).and_then(|registration| registration.token.as_ref());
    html! {
        section.card aria-labelledby="token" {
            h2 #token { "Token" }
            @match token {
                None => p.soft { "The CA shows none." },
                Some(token) => dl.facts {
                    dt { "TXT value" } dd { (value(&token.value, "token-value")) }
                    (fact("Made", token.created_at, now))
                    (fact(if token.expired || token.expires_at.is_some_and(|end| end <= now) { "Ended" } else { "Ends" }, token.expires_at, now))
                },
            }
        }
    }
}

fn at_the_ca(known: &Known, now: Timestamp) -> Markup {
    let view = &known.view;
    html! {
        section.card aria-labelledby="ca" {
            h2 #ca { "At the CA" }
            dl.facts {
                @if !view.client.is_empty() { dt { "Client" } dd { (said(&view.client)) } }
                dt { "Provider" } dd { @match &view.provider { Some(name) => (said(name)), None => "whichever has the zone" } }
                @if let Some(registration) = registration(known) {
                    dt { "Reference" } dd { code { (said(&registration.reference)) } }
                    dt { "Status" } dd { (said(&registration.status.to_string())) }
                    @if let Some(words) = &registration.last_words { dt { "Its words" } dd.said { (said(words)) } }
                }
                (fact("Last asked", view.ca_read_at, now))
                (fact("Next step due", view.due_at.map(|at| at.max(now)), now))
            }
        }
    }
}

fn attempt(view: &DomainView, now: Timestamp) -> Markup {
    const STAGES: [(Stage, &str); 4] = [
        (Stage::Registered, "registered"),
        (Stage::Published, "published"),
        (Stage::Visible, "visible"),
        (Stage::Submitted, "submitted"),
    ];
    let Some(attempt) = &view.attempt else {
        return html! {};
    };
    let reached = attempt
        .stage
        .and_then(|stage| STAGES.iter().position(|(one, _)| *one == stage));
    html! {
        section aria-labelledby="attempt" {
            h2 #attempt { "On the way to the next proof" }
            div.card {
                @if let Some(reached) = reached {
                    ol.steps {
                        @for (place, (_, name)) in STAGES.iter().enumerate() {
                            li class=[(place < reached).then_some("done")] aria-current=[(place == reached).then_some("step")] { (name) }
                        }
                        li { "validated" }
                    }
                }
                dl.facts {
                    (fact("Under way since", attempt.since, now))
                    @if attempt.tries > 0 { dt { "The CA checked" } dd { (counted(attempt.tries as usize, "time", "times")) } }
                    (fact("Goes on", attempt.next_at.map(|at| at.max(now)), now))
                    (fact("Withdrawn by hand", attempt.withdrawn_at, now))
                }
            }
        }
    }
}

fn in_dns(ledger: &[LedgerEntry], now: Timestamp) -> Markup {
    html! {
        section aria-labelledby="dns" {
            h2 #dns { "Our TXT records in DNS" }
            @if ledger.is_empty() {
                p.card.soft { "None." }
            } @else {
                div.card.table-card.scroll tabindex="0" role="region" aria-label="Table of values in DNS" {
                    table.tight {
                        caption.unseen { "Records of the ledger that are not closed" }
                        thead { tr {
                            th scope="col" { "TXT value" } th scope="col" { "State" } th.not-phone scope="col" { "Through" } th.not-phone scope="col" { "Since" }
                        } }
                        tbody { @for (place, entry) in ledger.iter().enumerate() {
                            tr {
                                th scope="row" {
                                    @if !entry.is_plain() { code { (said(&entry.owner)) " " (entry.kind) } " " }
                                    (value(&entry.value, &format!("value-{place}")))
                                }
                                td { (ledger_state(entry)) @if entry.removal_tries > 0 { ", failed " (counted(entry.removal_tries as usize, "time", "times")) } }
                                td.not-phone { (said(&entry.provider)) @if let Some(zone) = &entry.zone { ", zone " (said(zone)) } }
                                td.not-phone { (time_and_away(entry.published_at.unwrap_or(entry.created_at), now)) }
                            }
                        } }
                    }
                }
            }
        }
    }
}

fn ledger_state(entry: &LedgerEntry) -> &'static str {
    match entry.state {
        LedgerState::Intended => "about to be written",
        LedgerState::Published if entry.is_awaited() => "a foreign writer must write it",
        LedgerState::Published => "in the zone",
        LedgerState::Foreign => "in the zone before us, by a foreign writer",
        LedgerState::Removing => "being removed",
        LedgerState::Removed => "gone",
    }
}

fn history(events: &[Event]) -> Markup {
    let clients: BTreeSet<_> = events.iter().filter_map(|e| e.client.as_ref()).collect();
    let several = clients.len() > 1;
    html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            @if events.is_empty() {
                p.card.soft { "Nothing was done yet." }
            } @else {
                ol.history.card reversed {
                    @for event in events.iter().rev().take(EVENTS) {
                        li {
                            span.soft { (time(event.at)) }
                            div {
                                b { (said(&event.kind)) } " " span.small.soft { (said(&event.run))
                                    @if let Some(client) = event.client.as_ref().filter(|_| several) { ", " (said(client)) } }
                                p.said { (marked(&said(&event.detail))) }
                            }
                        }
                    }
                }
                @if events.len() > EVENTS {
                    p.small.soft { "The latest " (EVENTS) " of " (counted(events.len(), "entry", "entries")) "; `prevalidate history` tells all." }
                }
            }
        }
    }
}

fn fact(name: &str, at: Option<Timestamp>, now: Timestamp) -> Markup {
    html! { @if let Some(at) = at { dt { (name) } dd { (time_and_away(at, now)) } } }
}

fn registration(known: &Known) -> Option<&Registration> {
    known
        .row
        .as_ref()
        .and_then(|row| row.sighting.registration())
}

/// A value with a button that copies it; the button shows itself where scripts run.
fn value(text: &str, id: &str) -> Markup {
    html! {
        code.value #(id) { (said(text)) }
        " " button.button.quiet.slim type="button" hidden data-copies=(id) aria-label="Copy the TXT value" { span role="status" { "Copy" } }
    }
}

/// Another party's words, and what to do about them on a line of its own.
fn told(text: &str) -> Markup {
    let reason = Reason::read(text);
    html! {
        (marked(&sentence(reason.words)))
        @if let Some(advice) = reason.hint { br; strong { "What to do: " } (marked(&sentence(advice))) }
    }
}

/// Texts for people begin small and end open; here they are alone.
fn sentence(text: &str) -> String {
    let text = said(text);
    let end = if text.ends_with(['.', '!', '?', ':']) {
        ""
    } else {
        "."
    };
    capital(&text) + end
}
