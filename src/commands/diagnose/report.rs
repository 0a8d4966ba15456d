//! One domain's diagnosis: everything that has a say, what it means, and the one verdict with the
//! next step.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::known::{CaReport, Known, ProviderReport, Surroundings};
use super::{Given, LONG_AGO, persistent_records};
use crate::commands::{Exit, Failed};
use crate::output::moment;
use crate::overview::DomainView;
use crate::prevalidation::{DomainName, LedgerEntry, LedgerState, Registration};
use crate::propagation::examine::{Examination, Subject};
use crate::propagation::finding::{Code, Finding, Severity, findings, sort};
use crate::propagation::resolver::Resolver;
use crate::propagation::rule::horizon;

/// One object of `diagnose --output json`; its `--help` says what is in it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Report {
    pub(super) domain: DomainName,
    pub(super) unicode: String,
    pub(super) at: Timestamp,
    pub(super) verdict: Verdict,
    pub(super) findings: Vec<Finding>,
    pub(super) value: Option<String>,
    pub(super) value_from: Option<&'static str>,
    pub(super) dns: Examination,
    pub(super) provider: Option<ProviderReport>,
    pub(super) ca: Option<CaReport>,
    pub(super) inventory: Option<DomainView>,
    pub(super) ledger: Vec<LedgerEntry>,
}

/// The most severe finding.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verdict {
    pub(super) severity: Severity,
    pub(super) code: Option<Code>,
    pub(super) text: String,
    pub(super) next: Option<String>,
}

/// What is searched for in DNS, and what is known of it.
#[derive(Default)]
struct Wanted {
    value: Option<String>,
    from: Option<&'static str>,
    published_at: Option<Timestamp>,
    horizon: Option<Timestamp>,
}

impl Report {
    /// Asks the CA, the provider, name servers and resolvers about `domain` at one of its clients.
    /// `given` is the record on the command line.
    pub(super) async fn make(
        around: &Surroundings,
        (domain, client): (&DomainName, Option<&str>),
        given: &Given,
        resolvers: &[Resolver],
        now: Timestamp,
    ) -> Result<Self, Failed> {
        let known = around.known(domain, client).await?;
        let upkeep = known.row.as_ref().map(|row| &row.upkeep);
        let of_attempt = given.of_attempt(upkeep);
        let given = of_attempt.as_ref().unwrap_or(given);
        let value = given.value.as_deref();
        let (ca, registration) = around.ask_ca(&known).await.unzip();
        let registration = registration
            .flatten()
            .filter(|registration| !around.is_proven(&known, registration, now));
        let unproven = registration.as_ref();
        let mut wanted = Wanted::of(given, &known, registration.as_ref(), now);
        if of_attempt.is_some() {
            wanted.from = Some("the attempt that is under way");
        }
        let caa_names = around.caa_names(known.view.as_ref());
        // Where we write, what the ledger does not show was not written; elsewhere it is not known
        // since when it is there.
        let we_write = around.writes(&known) && value.is_none() && given.owner.is_none();
        let unknown = if we_write {
            now
        } else {
            now.saturating_sub(LONG_AGO).unwrap_or(now)
        };
        let stood = now.duration_since(wanted.published_at.unwrap_or(unknown));
        let subject = Subject {
            domain,
            owner: given.owner.as_ref(),
            wanted: given.record(wanted.value.as_deref()),
            follow_aliases: true,
            published_for: Duration::try_from(stood).unwrap_or_default(),
            horizon: wanted.horizon,
            resolvers: (!resolvers.is_empty()).then_some(resolvers),
            caa_names: &caa_names,
        };
        let mut place = around.place(&known, domain).await;
        let known_kind = subject.wanted.as_ref();
        if let Some(owner) = &given.owner {
            let kind = known_kind.map_or(place.1, |wanted| wanted.kind());
            place = (owner.clone(), kind);
        }
        let (dns, provider) = tokio::join!(
            around.gate.examine(&subject, now),
            around.ask_provider(&known, domain, place, wanted.value.as_deref())
        );

        let mut found = findings(&dns);
        let advice = Advice {
            known: &known,
            provider: provider.as_ref(),
            ca: ca.as_ref(),
            unproven,
            domain,
        };
        if given.owner.is_none() {
            advice.sharpen(&mut found);
        }
        advice.add(&dns, &mut found);
        found.extend(persistent_records::findings(
            &known.persistent,
            known.view.is_some(),
        ));
        if given.owner.is_none() && dns.gate.as_ref().is_some_and(|gate| gate.go) {
            // What the CA says comes before everything else of its severity.
            let objections = advice.objections(wanted.value.as_deref(), value.is_some(), now);
            found.splice(0..0, objections);
        }
        sort(&mut found);
        Ok(Self {
            domain: domain.clone(),
            unicode: domain.unicode(),
            at: now,
            verdict: Verdict::of(&found, &dns),
            findings: found,
            value: wanted.value,
            value_from: wanted.from,
            dns,
            provider,
            ca,
            inventory: known.view,
            ledger: known.ledger,
        })
    }

    /// How the program ends because of it.
    pub(super) fn exit(&self) -> Exit {
        let of = |finding: &Finding| match (finding.severity, finding.code) {
            (Severity::Blocks, Code::CaRefuses) => Exit::Ca,
            (Severity::Blocks, _) => Exit::Dns,
            _ => Exit::Done,
        };
        self.findings.iter().map(of).max().unwrap_or(Exit::Done)
    }
}

impl Verdict {
    fn of(found: &[Finding], dns: &Examination) -> Self {
        match found.first() {
            Some(Finding {
                code,
                severity,
                text,
                next,
            }) => Self {
                severity: *severity,
                code: Some(*code),
                text: text.clone(),
                next: next.clone(),
            },
            None => Self {
                severity: Severity::Info,
                code: None,
                text: format!("nothing in DNS blocks {}", dns.domain),
                next: None,
            },
        }
    }
}

impl Wanted {
    /// What the command line names; else what is known of the domain, which says nothing about
    /// another name.
    fn of(
        given: &Given,
        known: &Known,
        registration: Option<&Registration>,
        now: Timestamp,
    ) -> Self {
        if let Some(target) = &given.cname {
            return Self {
                value: Some(target.to_string()),
                from: Some("the command line"),
                ..Self::default()
            };
        }
        if given.owner.is_some() && given.value.is_none() {
            return Self::default();
        }
        Self::find(given.value.as_deref(), known, registration, now)
    }

    /// The value that should be in DNS now: from the command line, the attempt, the ledger, or the
    /// CA.
    fn find(
        given: Option<&str>,
        known: &Known,
        registration: Option<&Registration>,
        now: Timestamp,
    ) -> Self {
        let upkeep = known.row.as_ref().map(|row| &row.upkeep);
        let on_its_way = |entry: &&LedgerEntry| entry.state != LedgerState::Removing;
        let entry = known.ledger.iter().rev().find(on_its_way);
        let token = registration.and_then(|registration| {
            let live = registration.live_token(SignedDuration::ZERO, now)?;
            (!registration.is_used(live)).then(|| live.value.clone())
        });
        let found = [
            (given.map(str::to_owned), "the command line"),
            (
                upkeep.and_then(|upkeep| upkeep.attempt.value.clone()),
                "the attempt that is under way",
            ),
            (entry.map(|entry| entry.value.clone()), "the ledger"),
            (token, "the CA, which waits for it"),
        ];
        let found = found
            .into_iter()
            .find_map(|(value, from)| Some((value?, from)));
        let Some((value, from)) = found else {
            return Self::default();
        };
        let entry = known.ledger.iter().find(|entry| entry.value == value);
        let published_at = entry.and_then(|entry| entry.published_at);
        let by_attempt = upkeep.filter(|upkeep| upkeep.attempt.value.as_ref() == Some(&value));
        let by_ledger = || {
            Some(horizon(
                published_at?,
                entry?.ttl_before,
                entry?.negative_ttl.unwrap_or(0),
            ))
        };
        Self {
            horizon: by_attempt
                .and_then(|upkeep| upkeep.attempt.visibility.horizon_at)
                .or_else(by_ledger),
            published_at,
            value: Some(value),
            from: Some(from),
        }
    }
}

/// What the inventory, the provider and the CA add to what DNS shows.
struct Advice<'a> {
    known: &'a Known,
    provider: Option<&'a ProviderReport>,
    ca: Option<&'a CaReport>,
    /// The registration, while it has no proof that counts.
    unproven: Option<&'a Registration>,
    domain: &'a DomainName,
}

impl Advice<'_> {
    /// Next steps that are better when more is known than DNS shows.
    fn sharpen(&self, found: &mut [Finding]) {
        let domain = self.domain;
        let Some(view) = self.known.view.as_ref().filter(|view| view.is_managed()) else {
            return;
        };
        let holds = self
            .provider
            .and_then(|provider| Some((&provider.name, provider.holds_value?)));
        for finding in found {
            let next = match (finding.code, holds) {
                // The whole zone is concerned, not our value alone; the last writer is asked to
                // undo it.
                (code, _)
                    if code.is_dnssec()
                        && finding.severity == Severity::Blocks
                        && self.is_in_dns() =>
                {
                    let mend = finding.next.as_deref().unwrap_or_default();
                    format!("{mend} `prevalidate withdraw {domain}` takes our value out.")
                }
                (Code::ValueMissing | Code::NoSuchName, Some((name, true))) => format!(
                    "The value is on the server that provider `{name}` writes to, and on no listed name server: check that this is the zone's primary, and NOTIFY and transfers from it."
                ),
                (Code::ValueMissing | Code::NoSuchName, Some((_, false))) => {
                    format!("`prevalidate run --domain {domain}` publishes it.")
                }
                (Code::ValueMissing, None)
                    if view.provider.is_none() && self.provider.is_none() =>
                {
                    format!(
                        "No provider is configured for {domain}: publish the TXT value by hand."
                    )
                }
                (Code::Visible, _) => {
                    format!("`prevalidate run --domain {domain}` asks the CA to check.")
                }
                _ => continue,
            };
            finding.next = Some(next);
        }
    }

    fn is_in_dns(&self) -> bool {
        self.known.ledger.iter().any(|entry| entry.state.is_open())
    }

    /// Why the CA may not accept a value that every name server has: it waits for another one, or
    /// it has checked already and said no.
    fn objections(&self, wanted: Option<&str>, given: bool, now: Timestamp) -> Vec<Finding> {
        let (Some(registration), Some(wanted)) = (self.unproven, wanted) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        let live = registration.live_token(SignedDuration::ZERO, now);
        if !given && live.is_none_or(|token| token.value != wanted) {
            let text = match live {
                None => "the CA has no random value that it would accept now".to_owned(),
                Some(token) => {
                    format!("the CA waits for another random value: \"{}\"", token.value)
                }
            };
            let next = format!(
                "`prevalidate run --domain {}` continues from there.",
                self.domain
            );
            found.push(Finding::new(Code::CaOtherValue, Severity::Warns, text).with_next(next));
        }
        let upkeep = self.known.row.as_ref().map(|row| &row.upkeep);
        let asked = upkeep.is_some_and(|upkeep| upkeep.attempt.submission.tries > 0);
        // Words of a listing that made a proof are no objection; they are never parsed.
        let objects = asked || registration.proof.is_none();
        if let Some(words) = registration.last_words.as_ref().filter(|_| objects) {
            let when = upkeep
                .and_then(|upkeep| upkeep.attempt.submission.submitted_at)
                .map(|at| format!(" at {}", moment(at)))
                .unwrap_or_default();
            let text = format!("the CA checked{when} and did not accept the value: {words}");
            found.push(
                Finding::new(Code::CaLastWords, Severity::Warns, text).with_next(
                    "Compare its words with the value and the name servers above; the CA is asked \
                     again by itself.",
                ),
            );
        }
        found
    }

    fn add(&self, dns: &Examination, found: &mut Vec<Finding>) {
        let go = dns.gate.as_ref().is_some_and(|gate| gate.go);
        if let Some((provider, error)) = self
            .provider
            .and_then(|provider| Some((provider, provider.error.as_ref()?)))
        {
            let text = format!(
                "provider `{}` cannot write {} now: {error}",
                provider.name, self.domain
            );
            let finding = match provider.temporary {
                true => Finding::new(Code::ProviderUnavailable, Severity::Warns, text),
                // Where the value is already seen, nothing needs to be written.
                false => Finding::new(
                    Code::ProviderRefuses,
                    if go {
                        Severity::Warns
                    } else {
                        Severity::Blocks
                    },
                    text,
                ),
            };
            found.push(Finding {
                next: provider.hint.clone(),
                ..finding
            });
        }
        if let Some((ca, error)) = self.ca.and_then(|ca| Some((ca, ca.error.as_ref()?))) {
            let finding = match ca.temporary {
                true => Finding::new(Code::CaUnavailable, Severity::Warns, error.clone()),
                false => Finding::new(Code::CaRefuses, Severity::Blocks, error.clone()),
            };
            found.push(Finding {
                next: ca.hint.clone(),
                ..finding
            });
        }
        if let Some(hold) = self
            .known
            .row
            .as_ref()
            .and_then(|row| row.upkeep.setback.hold.as_ref())
        {
            let text = format!("the domain waits for a person: {}", hold.reason);
            found.push(
                Finding::new(Code::Held, Severity::Warns, text).with_next(format!(
                    "When that is repaired: `prevalidate run --domain {}`.",
                    self.domain
                )),
            );
        }
        if let Some(held) = &self.known.held {
            let finding = Finding::new(Code::WorkedOn, Severity::Warns, held.clone());
            found.push(
                finding.with_next("Wait until it lets go: no other run can continue before."),
            );
        }
        let tried =
            |entry: &&LedgerEntry| entry.state == LedgerState::Removing && entry.removal_tries > 0;
        if let Some(entry) = self.known.ledger.iter().find(tried) {
            let text = format!(
                "a record of ours that is no longer needed could not be removed ({} tries): \"{}\"",
                entry.removal_tries, entry.value
            );
            found.push(
                Finding::new(Code::LeftBehind, Severity::Warns, text).with_next(
                    "Every run tries again; what the provider said is in `prevalidate history`.",
                ),
            );
        }
    }
}
