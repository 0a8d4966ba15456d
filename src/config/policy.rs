//! `[policy]`: what may be done, and when.

use jiff::{SignedDuration, Timestamp};

use super::quantity::{DAY, HOUR};
use super::rows::{Shown, quote, settings};
use super::tree::{Schema, Section};
use crate::prevalidation::{Mode, ReuseRow};

pub(super) const POLICY: Schema = Schema {
    path: "policy",
    keys: PolicySettings::KEYS,
};
pub(super) const REUSE: Schema = Schema {
    path: "policy.reuse",
    keys: &["start", "limit", "source"],
};

const MODES: [(&str, Mode); 2] = [("manage", Mode::Manage), ("observe", Mode::Observe)];
const NO_MODE: &str = "write mode = \"manage\", or mode = \"observe\" to read without writing";
const YEAR: SignedDuration = SignedDuration::from_hours(24 * 365);

settings! {
    /// `[policy]`: what may be done, and when.
    pub struct PolicySettings {
        /// Whether anything is ever changed.
        mode: Mode = needed_choice(&MODES, NO_MODE, Mode::Observe),
        /// How long before its end a proof is renewed.
        renew_before: SignedDuration = duration(HOUR..=YEAR, DAY * 30),
        // The alarms follow a shorter renewal window in the same proportion, so that it alone can
        // be set.
        /// A valid domain with less left than this is a warning.
        warning: SignedDuration = duration(HOUR..=YEAR, (DAY * 20).min(renew_before * 2 / 3)),
        /// A valid domain with less left than this is critical.
        critical: SignedDuration =
            duration(HOUR..=YEAR, (DAY * 7).min(renew_before * 7 / 30).min(warning)),
        // A random value lives 30 days (BR 3.2.2.4.7).
        /// A random value with less left than this is replaced.
        reset_token_before: SignedDuration = duration(HOUR..=DAY * 29, DAY * 5),
        /// How many valid domains may be between a token reset and their new proof at one time.
        max_at_risk: u32 = whole(1..=10_000, 20),
        /// Whether a domain below another registered one needs no registration of its own.
        cover: bool = flag(true),
        /// Whether names that older software reads as another domain are accepted.
        accept_idn: bool = flag(false),
        ["reuse"],
    }
    by hand {
        /// `[[policy.reuse]]`: replaces the built-in table; empty: the built-in one.
        reuse: Vec<ReuseRow>,
    }
}

impl Shown for Mode {
    fn shown(&self) -> Option<String> {
        let mut words = MODES.iter();
        let (word, _) = words.find(|(_, mode)| mode == self)?;
        Some(quote(word))
    }
}

pub(super) fn read(top: &Section<'_>) -> PolicySettings {
    let section = &top.table("policy", &POLICY);
    let rows = section.tables("reuse", &REUSE);
    let reuse = rows.iter().filter_map(reuse).collect();
    let policy = PolicySettings::read(section, reuse);
    if policy.critical > policy.warning {
        section.fault("critical", "must not be longer than `warning`");
    }
    if policy.warning > policy.renew_before {
        let line = section.line_of("warning");
        let message = "is longer than `renew_before`: every domain will be a warning before its renewal begins";
        section
            .reader
            .notice(line, &section.key("warning"), message);
    }
    policy
}

fn reuse(row: &Section<'_>) -> Option<ReuseRow> {
    row.must_have(
        "start",
        "the first instant of issuance it applies to, such as start = \"2027-03-15T00:00:00Z\"",
    );
    row.must_have(
        "limit",
        "how long a proof may be used, such as limit = \"98d\"",
    );
    row.must_have("source", "who says so, for instance the ballot");
    let start = row.text("start").and_then(|text| {
        let start = text
            .parse::<Timestamp>()
            .or_else(|_| format!("{text}T00:00:00Z").parse());
        start
            .map_err(|_| {
                row.fault(
                    "start",
                    "must be a date in quotes, \"2027-03-15\" or \"2027-03-15T00:00:00Z\"",
                )
            })
            .ok()
    });
    let limit = row
        .has("limit")
        .then(|| row.duration("limit", DAY..=DAY * 1000, DAY));
    Some(ReuseRow {
        source: row.text("source")?.to_owned(),
        start: start?,
        limit: limit?,
    })
}
