//! The list of an organisation's validations, page by page: by the total that SCM names, and by a
//! page that is shorter than asked for.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Sectigo;
use super::error::Endpoint;
use super::organisations::is_id;
use super::wire::{self, Row};
use crate::ca::http::redact::clean;
use crate::ca::http::{Call, Kind};
use crate::ca::json;
use crate::ca::{CaError, Failure, Listing};
use crate::prevalidation::{DomainName, Registration, Status};

/// SCM cuts a page at 200 however many are asked for.
const PAGE: usize = 200;
/// No organisation has this many domains: if the list continues, the answers are wrong.
const MOST_ROWS: usize = 200_000;
/// This many faults are described; more of them are counted.
const MOST_TOLD: usize = 24;

/// The result of the pages so far.
#[derive(Default)]
struct Rows {
    found: BTreeMap<DomainName, Registration>,
    /// Wildcard entries that do not count although their domain may.
    stars: Vec<(DomainName, Status)>,
    rows: usize,
    unreadable: usize,
    told: Vec<String>,
}

impl Sectigo {
    /// Every validation of an organisation.
    pub(super) async fn pages(&self, client: &str) -> Result<Listing, CaError> {
        let path = ["dcv", self.version(), "validation"];
        let mut rows = Rows::default();
        let (mut skew, mut read_at) = (None, self.http.clock.now());
        loop {
            let verb = "list the validations of organisation";
            let mut call = Call::new(Kind::Read, verb, clean(client), &path).by_get();
            if !is_id(client) {
                let why = "the id of an organisation is a number";
                return Err(self.http.error(Failure::Refused, &call, why));
            }
            call.query = vec![
                ("size", PAGE.to_string()),
                ("position", rows.rows.to_string()),
                ("org", client.to_owned()),
            ];
            let answer = self.call(Endpoint::Dcv, &call).await?;
            let malformed = |why: String| self.http.error(Failure::Malformed, &call, &why);
            if rows.rows == 0 {
                (skew, read_at) = (answer.skew, answer.at);
            }
            if !answer.is_json() {
                return Err(self.http.no_json(&call, &answer));
            }
            let entries = json::elements(answer.body.as_bytes())
                .map_err(|_| self.http.no_json(&call, &answer))?;
            let news = rows.take(&entries, answer.at);
            let total = answer.total.and_then(|total| usize::try_from(total).ok());
            if entries.len() < PAGE || total.is_some_and(|total| rows.rows >= total) {
                rows.miss(total);
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
            let call = Call::new(Kind::Read, "list the validations of", clean(client), &path);
            let why = format!(
                "{} of the {} rows cannot be read; the first: {}",
                rows.unreadable, rows.rows, rows.told[0]
            );
            return Err(self.http.error(Failure::Malformed, &call, &why));
        }
        Ok(rows.listing(skew, read_at))
    }
}

impl Rows {
    /// Takes a page, and says whether it brought anything that was not there yet.
    fn take(&mut self, entries: &[Vec<u8>], now: Timestamp) -> bool {
        let known = self.found.len() + self.stars.len() + self.unreadable;
        for entry in entries {
            self.rows += 1;
            let row = json::read(entry).and_then(|read| wire::row(&read, now));
            match row {
                Ok(Row {
                    registration,
                    is_wildcard: true,
                }) => {
                    let star = (registration.domain, registration.status);
                    if !self.stars.contains(&star) {
                        self.stars.push(star);
                    }
                }
                Ok(Row { registration, .. }) => self.add(registration),
                Err(why) => {
                    self.unreadable += 1;
                    self.tell(|| why);
                }
            }
        }
        self.found.len() + self.stars.len() + self.unreadable > known
    }

    /// Of two rows of one name the one that counts longer is taken: a row may come twice when the
    /// list changes between two pages.
    fn add(&mut self, registration: Registration) {
        let Some(known) = self.found.get(&registration.domain) else {
            self.found.insert(registration.domain.clone(), registration);
            return;
        };
        if *known == registration {
            return;
        }
        let end = |found: &Registration| {
            let ends = found.proof.as_ref().and_then(|proof| proof.expires_at);
            (found.status == Status::Valid, ends)
        };
        let (kept, words) = (end(known), known.domain.clone());
        if end(&registration) > kept {
            self.found.insert(registration.domain.clone(), registration);
        }
        self.tell(|| format!("{words} is in the list more than once, with different dates"));
    }

    /// Rows that SCM counts and did not show: a name that is missing is not taken for gone.
    fn miss(&mut self, total: Option<usize>) {
        let Some(missing) = total.and_then(|total| total.checked_sub(self.rows)) else {
            return;
        };
        if missing > 0 {
            let rows = self.rows;
            self.tell(|| format!("Sectigo counts {} rows and showed {rows}", rows + missing));
        }
    }

    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told.len() < MOST_TOLD {
            self.told.push(what());
        } else if self.told.len() == MOST_TOLD {
            self.told.push("and more of its rows".to_owned());
        }
    }

    fn listing(mut self, clock_skew: Option<jiff::SignedDuration>, read_at: Timestamp) -> Listing {
        // A wildcard entry follows its domain; one that does not is reported, and changes nothing.
        for (domain, status) in self.stars {
            if let Some(base) = self.found.get_mut(&domain)
                && base.status == Status::Valid
                && status != Status::Valid
            {
                base.last_words = Some(format!("*.{domain} is {status}"));
            }
        }
        Listing {
            registrations: self.found.into_values().collect(),
            unreadable: self.told,
            warnings: Vec::new(),
            clock_skew,
            read_at,
        }
    }
}
