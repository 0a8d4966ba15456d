//! What stays or ends beside the proofs: records that are kept in DNS, and registrations of domains.

use jiff::Timestamp;
use maud::{Markup, html};

use super::words::{away, capital, counted, said};
use crate::overview::persistent::PersistentView;
use crate::rdap::Ending;

/// This many records are shown here; `prevalidate persistent list` has all.
const RECORDS: usize = 8;

/// What the guard said of the records that stay in DNS, before everything else; nothing where it did
/// not speak.
pub(super) fn refusal(refusal: &str) -> Markup {
    html! {
        @if !refusal.is_empty() {
            div.note.wrong {
                p { strong { "The guard refuses to act for persistent records." } }
                p { (said(refusal)) "." }
                p.small { "Check the zones and the configuration first. If it is meant so, "
                    code { "prevalidate run --force" } " acts all the same." }
            }
        }
    }
}

/// The records that stay in DNS, those with trouble by name; nothing where there are none.
pub(super) fn records(views: &[PersistentView], now: Timestamp) -> Markup {
    let open: Vec<&PersistentView> = views.iter().filter(|view| view.needs_attention()).collect();
    let first = views.iter().filter_map(|view| view.until).min();
    html! {
        @if !views.is_empty() {
            section aria-labelledby="records" {
                h2 #records { "Persistent records" }
                ul.cases.card {
                    li {
                        span { (counted(views.len(), "record", "records")) }
                        p {
                            @match open.len() {
                                0 => "None needs attention.",
                                1 => strong { "1 needs attention." },
                                count => strong { (count) " need attention." },
                            }
                            @if let Some(end) = first { " The first ends " (away(end, now)) "." }
                        }
                    }
                    @for view in open.iter().take(RECORDS) {
                        li {
                            span { (said(view.domain.as_str())) " " span.soft { (said(&view.issuer)) } }
                            p { (capital(view.state.as_str())) ": " (said(&view.reason)) }
                        }
                    }
                }
            }
        }
    }
}

/// The registrations that end soon, or have ended; nothing where there are none.
pub(super) fn registrations(endings: &[Ending], now: Timestamp) -> Markup {
    html! {
        @if !endings.is_empty() {
            section aria-labelledby="registrations" {
                h2 #registrations { "Registrations that end" }
                ul.cases.card {
                    @for ending in endings {
                        li {
                            span { (said(&ending.domain)) }
                            p { (capital(&said(&ending.said(now)))) "." }
                        }
                    }
                }
            }
        }
    }
}
