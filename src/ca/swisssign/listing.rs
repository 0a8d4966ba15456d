//! The list of a client's domains, read as it arrives: an entry that cannot be read costs only
//! itself and is named, some dozens of them at most, and there is an end to how many entries
//! there may be.

use jiff::Timestamp;

use super::{choose, wire};
use crate::ca::Listing;
use crate::ca::http::Sink;
use crate::ca::http::answer::Answer;
use crate::ca::http::redact::{Redactor, clean};
use crate::ca::json::{self, Element, Elements};
use crate::ca::registrations::{Packed, Registrations};
use crate::prevalidation::Registration;

/// No client has this many domains: a list that continues is answered wrongly.
const MOST_ENTRIES: usize = 200_000;

/// This many faults are described; more of them are counted.
const MOST_TOLD: usize = 24;

/// A registration, and when it came to be as far as the entry tells.
pub(super) type Found = (Option<Timestamp>, Registration);

/// Reads one entry from its text.
pub(super) fn entry(text: &[u8], prefix: &str, now: Timestamp) -> Result<Found, String> {
    read(text, prefix, now).map(|(found, _)| found)
}

/// Reads one entry, and says what had to be repaired in its text.
fn read(text: &[u8], prefix: &str, now: Timestamp) -> Result<(Found, Option<String>), String> {
    let read = json::read(text).map_err(|why| no_entry("entry", &why, text))?;
    let registration = wire::registration(&read, prefix, now)?;
    let found = (wire::age_mark(&read.value, &registration), registration);
    Ok((found, read.fault))
}

/// What is said of an entry that is not JSON: its beginning is all that tells which one it is.
pub(super) fn no_entry(noun: &str, why: &str, text: &[u8]) -> String {
    let beginning = String::from_utf8_lossy(&text[..text.len().min(160)]);
    format!(
        "one {noun} is not JSON ({}): {}",
        clean(why),
        clean(&beginning)
    )
}

/// Takes a list as it arrives.
pub(super) struct Reader<'a> {
    prefix: &'a str,
    redactor: &'a Redactor,
    at: Timestamp,
    elements: Elements,
    found: Vec<(Option<Timestamp>, Packed)>,
    faults: Faults,
    entries: usize,
}

/// Faults, of which only the first are kept.
#[derive(Default)]
struct Faults {
    told: Vec<String>,
    count: usize,
    /// Entries that were not read at all.
    unreadable: usize,
}

impl Faults {
    fn unreadable(&mut self, why: String) {
        self.unreadable += 1;
        self.note(|| why);
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push(what());
        }
    }

    fn words(mut self) -> Vec<String> {
        let more = self.count - self.told.len();
        if more > 0 {
            self.told.push(format!("and {more} more of its entries"));
        }
        self.told
    }
}

impl<'a> Reader<'a> {
    pub(super) fn new(prefix: &'a str, redactor: &'a Redactor) -> Self {
        Self {
            prefix,
            redactor,
            at: Timestamp::MIN,
            elements: Elements::default(),
            found: Vec::new(),
            faults: Faults::default(),
            entries: 0,
        }
    }

    /// What the whole list says, or why it cannot be believed.
    pub(super) fn listing(mut self, answer: &Answer) -> Result<Listing, String> {
        self.elements.end()?;
        let unreadable = self.faults.unreadable;
        if unreadable > MOST_TOLD && unreadable * 2 > self.entries {
            return Err(format!(
                "{unreadable} of the {} entries of the list cannot be read; the first: {}",
                self.entries, self.faults.told[0]
            ));
        }
        let registrations = one_each(self.found, answer.at, &mut self.faults);
        Ok(Listing {
            registrations,
            unreadable: self.faults.words(),
            warnings: Vec::new(),
            clock_skew: answer.skew,
            read_at: answer.at,
        })
    }
}

impl Sink for Reader<'_> {
    fn begin(&mut self, at: Timestamp) {
        *self = Self {
            at,
            ..Self::new(self.prefix, self.redactor)
        };
    }

    fn take(&mut self, piece: &[u8]) -> Result<(), String> {
        let Self {
            prefix,
            redactor,
            at,
            elements,
            found,
            faults,
            entries,
        } = self;
        elements.feed(piece, &mut |element| {
            *entries += 1;
            if *entries > MOST_ENTRIES {
                return Err(format!("a list of more than {MOST_ENTRIES} entries"));
            }
            let struck = |text| redactor.strike(String::from_utf8_lossy(text).into_owned());
            match element {
                Element::Whole(text) => match read(struck(text).as_bytes(), prefix, *at) {
                    Ok((one, None)) => found.push((one.0, one.1.into())),
                    Ok((one, Some(fault))) => {
                        faults.note(|| {
                            format!(
                                "{} ({}) is not JSON throughout, and was read without the bad part: {}",
                                one.1.domain,
                                one.1.reference,
                                clean(&fault)
                            )
                        });
                        found.push((one.0, one.1.into()));
                    }
                    Err(why) => faults.unreadable(why),
                },
                Element::TooLarge(text) => {
                    let why = "it is larger than 64 KiB";
                    faults.unreadable(no_entry("entry", why, struck(text).as_bytes()));
                }
            }
            Ok(())
        })
    }
}

/// One registration for each name; of several one is chosen, and the others are named.
fn one_each(
    mut found: Vec<(Option<Timestamp>, Packed)>,
    now: Timestamp,
    faults: &mut Faults,
) -> Registrations {
    found.sort_by(|(_, one), (_, other)| one.domain.cmp(&other.domain));
    let is_next = |packed: &Packed, first: &Packed| packed.domain == first.domain;
    let mut found = found.into_iter().peekable();
    std::iter::from_fn(|| {
        let (age_mark, first) = found.next()?;
        let mut same_name = Vec::new();
        while let Some((age_mark, next)) = found.next_if(|(_, next)| is_next(next, &first)) {
            same_name.push((age_mark, next.unpack()));
        }
        if same_name.is_empty() {
            return Some(first);
        }
        same_name.insert(0, (age_mark, first.unpack()));
        let (chosen, others) = choose(same_name, now)?;
        for other in others {
            faults.note(|| {
                format!(
                    "{} is registered more than once: {} ({}) is used, {} ({}) is left alone; a person should remove it",
                    chosen.domain, chosen.reference, chosen.status, other.reference, other.status
                )
            });
        }
        Some(chosen.into())
    })
    .collect()
}
