//! What a pass leaves behind: the states of the domains, what stays in DNS, and the exit status
//! that follows from it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::app::App;
use super::certificate::Certificates;
use super::order::Order;
use super::reasons::Cut;
use super::records::is_manual;
use super::{Exit, Failed, persistent};
use crate::config::Settings;
use crate::output::{Cell, Output, Tone, counted, moment, relative};
use crate::overview::DomainView;
use crate::overview::persistent::PersistentView;
use crate::overview::walk::Rows;
use crate::prevalidation::{
    DomainName, Lateness, LedgerEntry, LedgerState, RecordType, RowKey, State,
};
use crate::store::{DomainRow, Store};
use crate::worker::persist::Passed;
use crate::worker::{ListingState, Target};

/// Which domains a pass is about.
#[derive(Debug)]
pub(super) struct Scope {
    /// What the worker may touch; `None`: everything.
    pub only: Option<Vec<RowKey>>,
    /// Clients that the configuration does not name any more, and how many wanted domains they
    /// have.
    strays: BTreeMap<String, usize>,
    named: Option<BTreeSet<DomainName>>,
    clients: BTreeSet<String>,
    all_clients: bool,
    writers: Writers,
}

/// The providers of the configuration, by what becomes of a value of theirs.
#[derive(Debug)]
pub(super) struct Writers {
    all: BTreeSet<String>,
    /// They write nothing themselves.
    by_others: BTreeSet<String>,
}

impl Writers {
    pub(super) fn of(settings: &Settings) -> Self {
        let names = || settings.providers.keys();
        Self {
            all: names().cloned().collect(),
            by_others: names()
                .filter(|name| is_manual(settings, name))
                .cloned()
                .collect(),
        }
    }
}

impl Scope {
    /// Reads the inventory page by page: the rows of 100,000 domains are never in memory at once.
    pub(super) async fn read(app: &App, store: &dyn Store, order: &Order) -> Result<Self, Failed> {
        let key = |target: &Target| target.key.clone();
        let known: BTreeSet<String> = app.targets.iter().map(key).collect();
        let clients: BTreeSet<String> = order.targets.iter().map(key).collect();
        let all_clients = clients == known;
        let named: Option<BTreeSet<DomainName>> = order
            .only
            .as_ref()
            .map(|only| only.iter().cloned().collect());
        // No CA can be asked about the domains of a stray client: what is left of them waits.
        let allowed = |row: &&DomainRow| {
            (clients.contains(&row.client) || all_clients && row.origins.is_empty())
                && named
                    .as_ref()
                    .is_none_or(|named| named.contains(&row.domain))
        };
        let (mut strays, mut only) = (BTreeMap::new(), Vec::new());
        let mut rows = Rows::new(store, app.overlay());
        while let Some(page) = rows.next().await? {
            let wanted = page.iter().filter(|row| !row.origins.is_empty());
            for row in wanted.filter(|row| !known.contains(&row.client)) {
                *strays.entry(row.client.clone()).or_default() += 1;
            }
            only.extend(page.iter().filter(allowed).map(|row| row.key.clone()));
        }
        let everything = all_clients && strays.is_empty() && named.is_none();
        Ok(Self {
            only: (!everything).then_some(only),
            named,
            strays,
            clients,
            all_clients,
            writers: Writers::of(&app.settings),
        })
    }

    /// Tells about domains that cannot be kept validated.
    pub(super) fn warn(&self, output: &Output) {
        for (client, count) in &self.strays {
            let hint = "write the client into the configuration again, or `prevalidate remove` its domains";
            let domains = counted(*count, "domain belongs", "domains belong");
            output.warn(
                &format!("{domains} to {client}, which is not in the configuration"),
                Some(hint),
            );
        }
    }

    /// Whether the answer depends on this domain.
    pub(super) fn asked(&self, view: &DomainView) -> bool {
        view.is_managed()
            && self
                .named
                .as_ref()
                .is_none_or(|named| named.contains(&view.domain))
            && (self.all_clients || self.clients.contains(&view.client))
    }
}

/// The result of a pass, as `--output json` prints it.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    run: String,
    at: Timestamp,
    #[serde(rename = "exit", serialize_with = "as_number")]
    pub(super) exit: Exit,
    /// A signal ended it before its time.
    interrupted: bool,
    domains: usize,
    counts: BTreeMap<&'static str, usize>,
    /// The domains that are not valid with margin, and those that wait, for a person or for
    /// anything else.
    attention: Vec<DomainView>,
    #[serde(rename = "looks")]
    listings: Vec<ClientListing>,
    /// What a CA says that a person should know, by client or account.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    warnings: BTreeMap<String, String>,
    /// Records of ours that are or may be in DNS.
    in_dns: Vec<LedgerRecord>,
    /// The certificates, where the pass kept them.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    certificates: Option<Certificates>,
    /// The persistent records, where the pass kept them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    persistent: Vec<PersistentView>,
    /// The verdict of the guard on the persistent records.
    #[serde(skip_serializing_if = "Option::is_none")]
    persistent_alarm: Option<String>,
    /// The hint.
    #[serde(skip)]
    persistent_hint: String,
    /// What was asked for and names no domain.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct ClientListing {
    client: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip)]
    outcome: Outcome,
}

/// What a listing means for the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Done,
    Refused,
    Failed,
    /// It may pass by itself.
    NotYet,
}

/// A record of ours that is or may be in DNS.
#[derive(Debug, Serialize)]
pub(super) struct LedgerRecord {
    owner: String,
    zone: Option<String>,
    provider: String,
    #[serde(rename = "type")]
    kind: RecordType,
    value: String,
    state: LedgerState,
    /// Its provider is no longer in the configuration: no run can remove it.
    orphaned: bool,
    /// A foreign writer writes it and removes it.
    pub(super) by_others: bool,
    /// Why it could not be removed yet, after a try.
    pub(super) error: Option<String>,
}

impl Summary {
    #[expect(clippy::too_many_arguments, reason = "the parts of a pass")]
    pub(super) fn new(
        run: String,
        scope: &Scope,
        listings: BTreeMap<String, ListingState>,
        views: Vec<DomainView>,
        in_dns: Vec<LedgerEntry>,
        interrupted: bool,
        at: Timestamp,
    ) -> Self {
        let listings = client_listings(listings);
        let asked: Vec<DomainView> = views.into_iter().filter(|view| scope.asked(view)).collect();
        let mut counts = BTreeMap::new();
        asked
            .iter()
            .for_each(|view| *counts.entry(view.state.as_str()).or_default() += 1);
        let concerned = |key: &RowKey| {
            scope
                .named
                .as_ref()
                .is_none_or(|named| named.contains(key.domain()))
        };
        let open = in_dns
            .into_iter()
            .filter(|entry| entry.state.is_open() && concerned(&entry.key));
        let errors: BTreeMap<RowKey, String> = asked
            .iter()
            .filter_map(|view| Some((view.key(), view.attempt.as_ref()?.last_error.clone()?)))
            .collect();
        let in_dns: Vec<_> = open
            .map(|entry| LedgerRecord::new(entry, &scope.writers, &errors))
            .collect();
        let domains = asked.len();
        Self {
            exit: match verdict(&listings, asked.iter()) {
                Exit::Done
                    if in_dns
                        .iter()
                        .any(|entry| entry.orphaned || entry.error.is_some()) =>
                {
                    Exit::Dns
                }
                exit => exit,
            },
            attention: asked
                .into_iter()
                .filter(|view| {
                    let is_well = view.with_margin && !view.needs_a_person() && view.failures == 0;
                    !is_well || view.waiting.is_some()
                })
                .collect(),
            in_dns,
            run,
            at,
            interrupted,
            domains,
            counts,
            listings,
            warnings: BTreeMap::new(),
            certificates: None,
            persistent: Vec::new(),
            persistent_alarm: None,
            persistent_hint: String::new(),
            left_out: Vec::new(),
        }
    }

    /// With what a CA says that a person should know.
    pub(super) fn with_warnings(mut self, warnings: BTreeMap<String, String>) -> Self {
        self.warnings = warnings;
        self
    }

    /// Without the names that could not be read: one of them may be a domain that is not renewed.
    pub(super) fn without(mut self, left_out: Vec<String>) -> Self {
        if !left_out.is_empty() && self.exit == Exit::Done {
            self.exit = Exit::Incomplete;
        }
        self.left_out = left_out;
        self
    }

    /// With the persistent records of the same pass, and what the guard said of them.
    pub(super) fn with_persistent(mut self, views: Vec<PersistentView>, passed: Passed) -> Self {
        if passed.alarm.is_some() {
            self.exit = Exit::Guard;
        } else if self.exit == Exit::Done {
            self.exit = persistent::verdict(&views);
        }
        (self.persistent_alarm, self.persistent_hint) = (passed.alarm, passed.hint);
        self.persistent = views;
        self
    }

    /// With the certificates of the same pass: the exit status says the worse of the two.
    pub(super) fn with(mut self, certificates: Option<Certificates>) -> Self {
        if let Some(certificates) = &certificates
            && self.exit == Exit::Done
        {
            self.exit = certificates.exit();
        }
        self.certificates = certificates;
        self
    }

    pub(super) fn print(&self, output: &Output) {
        output.json(self);
        tell_bogus(&self.attention, output);
        self.listings
            .iter()
            .for_each(|listing| listing.tell(output));
        if let Some(alarm) = &self.persistent_alarm {
            let hint = Some(self.persistent_hint.as_str());
            output.error(&format!("the guard refuses: {alarm}"), hint);
        }
        tell_warnings(&self.warnings, output);
        if output.is_quiet() && self.exit == Exit::Done && self.in_dns.is_empty() {
            // Cron mails whatever is printed.
            return;
        }
        output.line(&self.headline());
        self.print_attention(output);
        self.print_records(output);
        if let Some(certificates) = &self.certificates {
            certificates.print(output);
        }
        if !self.persistent.is_empty() {
            persistent::attention(&self.persistent, self.at, output);
        }
        self.print_orphaned(output);
    }

    /// The domains that are not simply valid.
    fn print_attention(&self, output: &Output) {
        if !self.attention.is_empty() {
            let mut headers = vec!["DOMAIN", "STATE", "NEXT", "WHEN", "REASON"];
            let with_ca = self
                .attention
                .iter()
                .any(|view| view.ca != self.attention[0].ca);
            if with_ca {
                headers.insert(1, "CA");
            }
            let rows = self.attention.iter().map(|view| {
                let mut row = self.row(view);
                if with_ca {
                    row.insert(1, view.ca.clone().into());
                }
                row
            });
            output.table(&headers, rows.collect());
            let mut cut = Cut::default();
            self.attention
                .iter()
                .for_each(|view| cut.take(view, self.at));
            cut.tell(output);
        }
        if self
            .attention
            .iter()
            .any(|view| view.state == State::Held && !view.is_withdrawn())
        {
            output.line("What is held is tried again by itself; at once with `prevalidate run --domain DOMAIN`.");
        }
        let late = self
            .attention
            .iter()
            .filter(|view| view.lateness() > Lateness::InTime)
            .count();
        if late > 0 {
            let message = format!(
                "{} late: the record was written over an hour ago",
                counted(late, "domain is", "domains are")
            );
            output.warn(
                &message,
                Some("`prevalidate diagnose DOMAIN` says what blocks it"),
            );
        }
    }

    /// The records that stay in DNS, by the party that must act.
    fn print_records(&self, output: &Output) {
        let ours = self.in_dns.iter().filter(|entry| !entry.orphaned);
        let (failed, waiting): (Vec<_>, Vec<_>) = ours.partition(|entry| entry.error.is_some());
        let (others, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|entry| entry.by_others);
        if !others.is_empty() {
            output.line("These records are for the zone's own writer to write or to remove; `prevalidate records` says which:");
            others
                .iter()
                .for_each(|entry| output.line(&format!("  {}", entry.place())));
        }
        if !waiting.is_empty() {
            output.line(
                "These records stay in DNS; the next run continues with them and removes them:",
            );
            waiting
                .iter()
                .for_each(|entry| output.line(&format!("  {}", entry.place())));
        }
        if !failed.is_empty() {
            output.line(
                "These records are no longer needed and could not be removed; the next run tries again:",
            );
        }
        for entry in failed {
            output.line(&format!("  {}", entry.place()));
            entry
                .error
                .iter()
                .for_each(|error| output.line(&format!("    {error}")));
        }
    }

    fn print_orphaned(&self, output: &Output) {
        for entry in self.in_dns.iter().filter(|entry| entry.orphaned) {
            let provider = &entry.provider;
            output.error(
                &format!(
                    "{} stays in DNS: provider `{provider}` is no longer in the configuration",
                    entry.place()
                ),
                Some(&format!(
                    "bring [provider.{provider}] back until a run has removed the record"
                )),
            );
        }
    }

    /// `5 domains: 3 valid, 2 pending`
    fn headline(&self) -> String {
        let states = State::ALL.iter().filter_map(|state| {
            self.counts
                .get(state.as_str())
                .map(|count| format!("{count} {state}"))
        });
        let states: Vec<_> = states.collect();
        let ended = if self.interrupted {
            " (ended by a signal)"
        } else {
            ""
        };
        match self.domains {
            0 => format!("no domains{ended}"),
            count => format!(
                "{}: {}{ended}",
                counted(count, "domain", "domains"),
                states.join(", ")
            ),
        }
    }

    fn row(&self, view: &DomainView) -> Vec<Cell> {
        let when = view
            .due_at
            .map_or_else(|| "-".to_owned(), |at| relative(at.max(self.at), self.at));
        vec![
            view.domain.both_forms().into(),
            Cell::new(view.state.as_str(), tone(view)),
            view.next.into(),
            when.into(),
            view.cause(self.at).into(),
        ]
    }
}

/// Zones that validating resolvers refuse, before everything else: all of their names are
/// concerned, not our value alone.
pub(super) fn tell_bogus<'a>(views: impl IntoIterator<Item = &'a DomainView>, output: &Output) {
    for view in views {
        let Some(bogus) = &view.bogus else { continue };
        let (name, since) = (view.domain.both_forms(), moment(bogus.since));
        output.error(
            &format!("{name}: validating resolvers refuse its zone, seen since {since}: {}", bogus.fault),
            Some(&format!(
                "repair the zone's signatures first of all, most of the world cannot resolve any name in it; \
                 `prevalidate withdraw {}` takes our value out",
                view.domain
            )),
        );
    }
}

/// What CAs say that a person should know.
pub(super) fn tell_warnings(warnings: &BTreeMap<String, String>, output: &Output) {
    for (whom, said) in warnings {
        output.warn(&format!("{whom}: {said}"), None);
    }
}

/// What a state means for a reader of a table.
pub(super) fn tone(view: &DomainView) -> Tone {
    match view.state {
        State::Unmanaged => Tone::Dim,
        _ if view.needs_a_person() => Tone::Bad,
        State::Expired => Tone::Bad,
        _ if view.with_margin => Tone::Good,
        _ => Tone::Warn,
    }
}

/// Guard, then CA, then what the domains asked for say. A listing that failed for the moment, or
/// did not begin before a signal, decides the exit status only when nothing else is wrong.
pub(super) struct Verdict<'a> {
    listings: &'a [ClientListing],
    unseen: BTreeSet<&'a str>,
    wrong: usize,
    all_dns: bool,
}

impl<'a> Verdict<'a> {
    pub(super) fn new(listings: &'a [ClientListing]) -> Self {
        let unseen = listings
            .iter()
            .filter(|listing| listing.outcome == Outcome::NotYet)
            .map(|listing| listing.client.as_str());
        Self {
            listings,
            unseen: unseen.collect(),
            wrong: 0,
            all_dns: true,
        }
    }

    /// One domain that was asked for.
    pub(super) fn take(&mut self, view: &DomainView) {
        let is_wrong = !view.with_margin || view.needs_a_person();
        if is_wrong && !self.unseen.contains(view.client.as_str()) {
            self.wrong += 1;
            self.all_dns &= view.is_dns;
        }
    }

    pub(super) fn end(self) -> Exit {
        let any = |outcome| {
            self.listings
                .iter()
                .any(|listing| listing.outcome == outcome)
        };
        if any(Outcome::Refused) {
            return Exit::Guard;
        }
        if any(Outcome::Failed) {
            return Exit::Ca;
        }
        match self.wrong {
            0 if self.unseen.is_empty() => Exit::Done,
            0 => Exit::Temporary,
            _ if self.all_dns => Exit::Dns,
            _ => Exit::Incomplete,
        }
    }
}

/// The same for all of them.
pub(super) fn verdict<'a>(
    listings: &[ClientListing],
    asked: impl Iterator<Item = &'a DomainView>,
) -> Exit {
    let mut verdict = Verdict::new(listings);
    asked.for_each(|view| verdict.take(view));
    verdict.end()
}

fn as_number<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}

impl ClientListing {
    /// Says what went wrong.
    pub(super) fn tell(&self, output: &Output) {
        for alarm in &self.alarms {
            output.error(
                &format!("{}: the guard refuses: {alarm}; nothing was done", self.client),
                Some("check the CA and the configuration first; if it is meant so, `prevalidate run --force` acts all the same"),
            );
        }
        if let Some(error) = &self.error {
            output.error(&format!("{}: {error}", self.client), None);
        }
    }
}

/// How the listing of each client ended.
pub(super) fn client_listings(states: BTreeMap<String, ListingState>) -> Vec<ClientListing> {
    states.into_iter().map(ClientListing::from).collect()
}

impl From<(String, ListingState)> for ClientListing {
    fn from((client, state): (String, ListingState)) -> Self {
        let listing = |state, outcome| Self {
            client,
            state,
            outcome,
            alarms: Vec::new(),
            error: None,
        };
        match state {
            ListingState::Waiting | ListingState::Running => listing("not begun", Outcome::NotYet),
            ListingState::Done => listing("done", Outcome::Done),
            ListingState::Refused(alarms) => {
                let alarms = alarms.iter().map(ToString::to_string).collect();
                Self {
                    alarms,
                    ..listing("refused", Outcome::Refused)
                }
            }
            ListingState::Failed { error, temporary } => {
                let outcome = if temporary {
                    Outcome::NotYet
                } else {
                    Outcome::Failed
                };
                Self {
                    error: Some(error),
                    ..listing("failed", outcome)
                }
            }
        }
    }
}

impl LedgerRecord {
    pub(super) fn new(
        entry: LedgerEntry,
        writers: &Writers,
        errors: &BTreeMap<RowKey, String>,
    ) -> Self {
        let tried = entry.removal_tries > 0;
        let error = errors.get(&entry.key).filter(|_| tried).cloned();
        let LedgerEntry {
            owner,
            zone,
            provider,
            kind,
            value,
            state,
            ..
        } = entry;
        let (orphaned, by_others) = (
            !writers.all.contains(&provider),
            writers.by_others.contains(&provider),
        );
        Self {
            orphaned,
            by_others,
            owner,
            zone,
            provider,
            kind,
            value,
            state,
            error,
        }
    }

    /// `a.example.ch TXT "…" (zone example.ch, provider internal)`
    pub(super) fn place(&self) -> String {
        let zone = self
            .zone
            .as_ref()
            .map(|zone| format!("zone {zone}, "))
            .unwrap_or_default();
        let data = match self.kind {
            RecordType::Txt => format!("\"{}\"", self.value),
            RecordType::Cname => format!("{}.", self.value),
        };
        format!(
            "{} {} {data} ({zone}provider {})",
            self.owner, self.kind, self.provider
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prevalidation::{Alarm, Bogus, Next, Waiting};

    fn view(client: &str, with_margin: bool, is_dns: bool) -> DomainView {
        let domain = DomainName::from_a_labels("example.ch").expect("a name");
        DomainView {
            client: client.to_owned(),
            with_margin,
            is_dns,
            ..DomainView::bare(domain, State::Pending)
        }
    }

    fn listing(client: &str, state: ListingState) -> ClientListing {
        ClientListing::from((client.to_owned(), state))
    }

    #[test]
    fn a_domain_that_a_person_must_check_is_no_success() {
        let domain = || view("a", true, true);
        assert_eq!(verdict(&[], [&domain()].into_iter()), Exit::Done);
        let waits = |lateness| {
            let at = Timestamp::UNIX_EPOCH;
            let waiting = Waiting {
                subject: "ns3.example.ch (stale)".to_owned(),
                since: at,
                lateness,
                late_at: at,
                overdue_at: at,
                next_at: at,
                next: Next::Check,
                why: "".into(),
                token_until: None,
            };
            DomainView {
                waiting: Some(waiting),
                ..domain()
            }
        };
        assert_eq!(
            verdict(&[], [&waits(Lateness::Late)].into_iter()),
            Exit::Done,
            "late is a warning"
        );
        assert_eq!(
            verdict(&[], [&waits(Lateness::Overdue)].into_iter()),
            Exit::Dns
        );
        let bogus = Bogus {
            since: Timestamp::UNIX_EPOCH,
            fault: "expired".to_owned(),
        };
        assert_eq!(
            verdict(
                &[],
                [&DomainView {
                    bogus: Some(bogus),
                    ..domain()
                }]
                .into_iter()
            ),
            Exit::Dns
        );
    }

    #[test]
    fn the_gravest_cause_gives_the_exit_status() {
        let failed = |temporary| ListingState::Failed {
            error: "no".to_owned(),
            temporary,
        };
        let refused = || ListingState::Refused(vec![Alarm::ClockSkew { ahead_seconds: 900 }]);
        let (good, dns, other) = (
            view("a", true, true),
            view("a", false, true),
            view("a", false, false),
        );
        for (states, views, exit) in [
            (vec![ListingState::Done], vec![], Exit::Done),
            (vec![ListingState::Done], vec![&good], Exit::Done),
            (vec![ListingState::Done], vec![&good, &dns], Exit::Dns),
            (
                vec![ListingState::Done],
                vec![&dns, &other],
                Exit::Incomplete,
            ),
            (vec![failed(true)], vec![&dns, &other], Exit::Temporary),
            (vec![ListingState::Waiting], vec![&good], Exit::Temporary),
            (
                vec![ListingState::Done, failed(true)],
                vec![&good],
                Exit::Temporary,
            ),
            (
                vec![ListingState::Done, failed(true)],
                vec![&other],
                Exit::Incomplete,
            ),
            (
                vec![ListingState::Done, failed(false)],
                vec![&good],
                Exit::Ca,
            ),
            (vec![failed(true), failed(false)], vec![&other], Exit::Ca),
            (vec![refused(), failed(false)], vec![&other], Exit::Guard),
        ] {
            let clients = ["a", "b"];
            let listings: Vec<_> = clients
                .iter()
                .zip(states.clone())
                .map(|(client, state)| listing(client, state))
                .collect();
            assert_eq!(
                verdict(&listings, views.iter().copied()),
                exit,
                "{states:?} {views:?}"
            );
        }
    }
}
