//! The list of an organisation's domains, page by page until `page.total`. The list shows the domains
//! of the whole account, and no tokens.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::DigiCert;
use super::entry::is_id;
use super::wire::{self, Detail};
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::json;
use crate::ca::{CaError, Failure, Listing};
use crate::prevalidation::{DomainName, Registration};

/// The largest page that DigiCert gives.
const PAGE: usize = 1000;
/// No account has this many domains: a list that continues is answered wrongly.
const MOST_ROWS: usize = 500_000;
/// This many faults are described; more of them are counted.
const MOST_TOLD: usize = 24;
/// How long before its end the organisation's side is spoken of.
const AHEAD: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The rows of one page, and how many there are on all.
pub(super) struct Page {
    pub(super) rows: Vec<Vec<u8>>,
    pub(super) total: Option<usize>,
    pub(super) at: Timestamp,
    skew: Option<SignedDuration>,
}

/// The result of the pages so far.
#[derive(Default)]
struct Rows {
    found: BTreeMap<DomainName, Registration>,
    /// Ids of all rows, also of other organisations.
    seen: std::collections::BTreeSet<String>,
    rows: usize,
    unreadable: usize,
    told: Vec<String>,
    /// For each type of validation the earliest end of the organisation's side.
    ends: BTreeMap<String, Timestamp>,
}

impl DigiCert {
    /// Every domain of an organisation.
    pub(super) async fn pages(&self, client: &str) -> Result<Listing, CaError> {
        let subject = format!("organisation {}", clean(client));
        let verb = "list the domains of";
        let call = Call::new(Kind::Read, verb, subject, &["domain"]).by_get();
        if !is_id(client) {
            let why = "the id of an organisation is a number";
            return Err(self.http.error(Failure::Refused, &call, why));
        }
        let malformed = |why: String| self.http.error(Failure::Malformed, &call, &why);
        let mut rows = Rows::default();
        let (mut skew, mut read_at) = (None, self.http.clock.now());
        loop {
            let page = self.page(&call, "domains", rows.rows).await?;
            if rows.rows == 0 {
                (skew, read_at) = (page.skew, page.at);
            }
            let news = rows.take(&page, client, self);
            // A page may be shorter than was asked for: only an empty one and the total end a list.
            if page.rows.is_empty() || page.total.is_some_and(|total| rows.rows >= total) {
                rows.miss(page.total);
                break;
            }
            if !news {
                let why = format!("the list repeats itself from row {} on", rows.rows);
                return Err(malformed(why));
            }
            if rows.rows > MOST_ROWS {
                return Err(malformed(format!("a list of more than {MOST_ROWS} rows")));
            }
        }
        if rows.unreadable > MOST_TOLD && rows.unreadable * 2 > rows.rows {
            let why = format!(
                "{} of the {} rows cannot be read; the first: {}",
                rows.unreadable, rows.rows, rows.told[0]
            );
            return Err(malformed(why));
        }
        Ok(rows.listing(skew, read_at))
    }

    /// One page of a list that is called `key`. `call` may have a query of its own.
    pub(super) async fn page(
        &self,
        call: &Call<'_>,
        key: &str,
        offset: usize,
    ) -> Result<Page, CaError> {
        let mut paged = Call::new(Kind::List, call.verb, &*call.subject, call.path).by_get();
        paged.query = call.query.clone();
        paged.query.push(("limit", PAGE.to_string()));
        paged.query.push(("offset", offset.to_string()));
        let answer = self.call(&paged).await?;
        if !answer.is_json() {
            return Err(self.http.no_json(&paged, &answer));
        }
        let rows = json::elements_of(answer.body.as_bytes(), key)
            .map_err(|_| self.http.no_json(&paged, &answer))?;
        let total = json::read(answer.body.as_bytes()).ok();
        let total = total.and_then(|read| match read.value.pointer("/page/total")? {
            Value::String(text) => text.parse().ok(),
            number => usize::try_from(number.as_u64()?).ok(),
        });
        Ok(Page {
            rows,
            total,
            at: answer.at,
            skew: answer.skew,
        })
    }
}

impl Rows {
    /// Takes a page, and says whether it brought anything that was not there yet.
    fn take(&mut self, page: &Page, client: &str, ca: &DigiCert) -> bool {
        let known = self.seen.len() + self.unreadable;
        for row in &page.rows {
            self.rows += 1;
            let read = json::read(row);
            let detail = read.and_then(|read| wire::detail(&read, &ca.settings.form(), page.at));
            match detail {
                Ok(detail) => self.add(detail, client),
                Err(why) => self.misread(why),
            }
        }
        self.seen.len() + self.unreadable > known
    }

    fn add(&mut self, detail: Detail, client: &str) {
        let mut registration = detail.registration;
        // It has no value, and does not say whether one was given.
        registration.is_summary = true;
        // The list changes between two pages: then a row may come twice.
        if !self.seen.insert(registration.reference.clone()) {
            return;
        }
        match &detail.organisation {
            None => {
                let domain = &registration.domain;
                return self.misread(format!("{domain} is shown without its organisation"));
            }
            Some((id, _)) if id != client => return,
            Some(_) => {}
        }
        let proven_until = registration.proof.as_ref();
        let proven_until = proven_until.and_then(|proof| proof.expires_at);
        for (kind, until) in detail.types {
            // The end of a type is the domain's own, unless the organisation's side is shorter.
            let Some(until) = until.filter(|&until| proven_until.is_some_and(|own| until < own))
            else {
                continue;
            };
            let earliest = self.ends.entry(kind).or_insert(until);
            *earliest = until.min(*earliest);
        }
        let Some(known) = self.found.get(&registration.domain) else {
            self.found.insert(registration.domain.clone(), registration);
            return;
        };
        let end = |found: &Registration| found.proof.as_ref().and_then(|proof| proof.expires_at);
        let (kept, name) = (end(known), known.domain.clone());
        let words = format!(
            "{name} is in the list more than once (ids {} and {})",
            known.reference, registration.reference
        );
        if end(&registration) > kept {
            self.found.insert(name, registration);
        }
        self.tell(words);
    }

    fn misread(&mut self, why: String) {
        self.unreadable += 1;
        self.tell(why);
    }

    /// Rows that DigiCert counts and did not show, where a page came twice too: a name that is missing
    /// is not taken for gone.
    fn miss(&mut self, total: Option<usize>) {
        let rows = self.seen.len() + self.unreadable;
        if let Some(total) = total.filter(|&total| total > rows) {
            self.tell(format!("DigiCert counts {total} rows and showed {rows}"));
        }
    }

    fn tell(&mut self, what: String) {
        if self.told.len() < MOST_TOLD {
            self.told.push(what);
        } else if self.told.len() == MOST_TOLD {
            self.told.push("and more of its rows".to_owned());
        }
    }

    fn listing(self, clock_skew: Option<SignedDuration>, read_at: Timestamp) -> Listing {
        let soon = read_at.saturating_add(AHEAD).unwrap_or(Timestamp::MAX);
        let warning = |(kind, until): (String, Timestamp)| {
            (until <= soon).then(|| {
                format!(
                    "the organisation's `{}` validation ends on {}, before that of its domains: submit the organisation again in CertCentral",
                    clean(&kind),
                    until.strftime("%Y-%m-%d")
                )
            })
        };
        Listing {
            registrations: self.found.into_values().collect(),
            unreadable: self.told,
            warnings: self.ends.into_iter().filter_map(warning).collect(),
            clock_skew,
            read_at,
        }
    }
}
