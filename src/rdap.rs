//! When the registrations of domains end, as their registries say by RDAP (RFC 9082, RFC 9083).
//!
//! A proof of a domain whose registration lapses is worthless: another party may register it then.
//! This is not the registration of a domain at a CA, which is
//! [`crate::prevalidation::Registration`].
//!
//! [`Book`] is what is known, pure; [`Rdap`] asks; [`ask_due`] brings the book up to date.

mod answer;
mod book;
mod client;

use std::collections::BTreeSet;

pub use book::{Book, Ending, Known};
pub use client::{Asked, Rdap};

use crate::clock::Clock;
use crate::prevalidation::DomainName;
use crate::store::{Pages, Store, StoreError};

/// The fact of the store that holds the book.
const FACT: &str = "rdap";

/// Answers after which the book is stored, so that little is asked again after a crash.
const STORED_AFTER: usize = 20;

/// The outcome of one pass.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pass {
    /// Registrable domains that a registry was asked about.
    pub asked: usize,
    /// Those whose end is not known after it, with the reason; and why the pass stopped early.
    pub faults: Vec<String>,
}

/// The domain that a registry sells, of a name: `example.co.uk` of `www.example.co.uk`.
pub fn registrable(name: &DomainName) -> Option<&str> {
    registrable_of(name.as_str())
}

/// The same for the name of any record, in A-labels.
pub fn registrable_of(name: &str) -> Option<&str> {
    psl::domain_str(name)
}

/// The registrable domains of all names that the inventory wants.
///
/// # Errors
/// When the store fails.
pub async fn wanted(store: &dyn Store) -> Result<BTreeSet<String>, StoreError> {
    let mut found = BTreeSet::new();
    let mut pages = Pages::of(store);
    while let Some(page) = pages.next().await? {
        let desired = page.iter().filter(|row| !row.origins.is_empty());
        found.extend(desired.filter_map(|row| registrable(&row.domain).map(str::to_owned)));
    }
    Ok(found)
}

/// What the store knows; an empty book where it knows nothing, or cannot be read any more.
///
/// # Errors
/// When the store fails.
pub async fn book(store: &dyn Store) -> Result<Book, StoreError> {
    Ok(Book::read(&store.fact(FACT).await?.unwrap_or_default()))
}

/// Asks about what is due, one domain after the other, until all is known, `goes_on` says no, or
/// the registry asks for a pause. Each answer is stored before many more are asked for.
///
/// # Errors
/// When the store fails.
pub async fn ask_due(
    rdap: &Rdap,
    store: &dyn Store,
    clock: &dyn Clock,
    goes_on: &(dyn Fn() -> bool + Sync),
) -> Result<Pass, StoreError> {
    let names = wanted(store).await?;
    let due = book(store).await?.due(&names, clock.now());
    let mut pass = Pass::default();
    for some in due.chunks(STORED_AFTER) {
        let mut answers = Vec::new();
        let mut is_busy = false;
        for name in some {
            if is_busy || !goes_on() {
                break;
            }
            let asked = rdap.ask(name).await;
            pass.asked += 1;
            if let Some(fault) = asked.fault() {
                pass.faults.push(format!("{name}: {fault}"));
            }
            is_busy = matches!(asked, Asked::Busy(_));
            answers.push((name.clone(), asked, clock.now()));
        }
        // Read again: another process may have written meanwhile.
        let mut known = book(store).await?;
        for (name, asked, at) in answers {
            known.note(&name, asked, at);
        }
        known.keep(&names);
        store.set_fact(FACT, &known.text()).await?;
        if is_busy || !goes_on() {
            break;
        }
    }
    Ok(pass)
}
