//! The states of domains, as people and programs see them: from the store's rows to the objects of
//! `status --output json` and of the daemon's interface.

mod beside;
pub mod certificates;
pub mod clients;
pub mod counts;
pub mod danger;
mod finding;
pub mod machines;
mod parts;
pub mod persistent;
pub mod query;
pub mod snapshot;
pub mod trouble;
pub mod walk;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use self::beside::{Beside, stranger};
use self::danger::{Danger, Gravity, Judged};
pub use self::parts::{AttemptView, ProofView, TokenView};
use crate::prevalidation::{
    Bogus, DomainName, Lateness, LedgerEntry, Observed, OthersChanged, Policy, RowKey, Sighting,
    State, Step, Waiting, next_step,
};
use crate::store::{DomainRow, Store, StoreError};
use crate::worker::{Cover, Covering, Target};

/// What the configuration says that the store does not know.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// The clients of the configuration.
    pub targets: &'a [Target],
    /// The names of the providers.
    pub providers: &'a BTreeSet<String>,
    /// The policy.
    pub policy: &'a Policy,
}

/// One object of `status --output json`. Absent parts are `null`.
#[derive(Debug, Clone, Serialize)]
pub struct DomainView {
    /// The name.
    pub domain: DomainName,
    /// Its U-label form, for people.
    pub unicode: String,
    /// The key of its client.
    pub client: String,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// The domain has a row at another client, which came first.
    #[serde(skip)]
    pub further: bool,
    /// The `[provider.NAME]`; `None`: whichever has the zone.
    pub provider: Option<String>,
    /// The state.
    pub state: State,
    /// The domain above it, where that one's proof counts for it: state and proof are that one's.
    pub covered_by: Option<DomainName>,
    /// Valid, and for longer than the critical margin.
    pub with_margin: bool,
    /// How near it is to having no proof that counts.
    pub danger: Danger,
    /// Until when it was proven, while it has lapsed.
    pub proven_until: Option<Timestamp>,
    /// Its last proof.
    pub proof: Option<ProofView>,
    /// The outstanding token.
    pub token: Option<TokenView>,
    /// The way to the next proof.
    pub attempt: Option<AttemptView>,
    /// For what it waits, since when, and until when; `null` while it waits for nothing.
    pub waiting: Option<Waiting>,
    /// Validating resolvers refuse the zone, as far as the last check knows.
    pub bogus: Option<Bogus>,
    /// The next step in one word.
    pub next: &'static str,
    /// When its renewal is planned.
    #[serde(skip)]
    pub renew_at: Option<Timestamp>,
    /// The time of the next step.
    pub due_at: Option<Timestamp>,
    /// Why, for people.
    pub reason: String,
    /// When the CA was last asked.
    pub ca_read_at: Option<Timestamp>,
    /// DNS is the cause.
    #[serde(skip)]
    pub is_dns: bool,
    /// How often its next step, or the removal of a value, failed in a row.
    #[serde(skip)]
    pub failures: u32,
    /// Foreign TXT values changed beside ours.
    #[serde(skip)]
    pub others_changed: Option<OthersChanged>,
}

impl DomainView {
    /// When its proof stops counting, while it counts.
    pub fn usable_until(&self) -> Option<Timestamp> {
        self.proof.as_ref().and_then(|proof| proof.usable_until)
    }

    /// When its proof was made, where the CA shows it.
    pub fn made_at(&self) -> Option<Timestamp> {
        self.proof.as_ref().and_then(|proof| proof.validated_at)
    }

    /// Whether it does not come right by itself, for all that is known.
    pub fn needs_a_person(&self) -> bool {
        self.state == State::Held || self.bogus.is_some() || self.lateness() == Lateness::Overdue
    }

    /// How severe its state is.
    pub fn gravity(&self) -> Gravity {
        self.gravity_with(self.danger)
    }

    /// The same by margins that the caller gives.
    pub fn gravity_with(&self, danger: Danger) -> Gravity {
        let judged = Judged {
            state: self.state,
            danger,
            is_proven: self.with_margin || self.usable_until().is_some(),
            is_bogus: self.bogus.is_some(),
            lateness: self.lateness(),
        };
        judged.gravity()
    }

    /// Whether it is held because a person wants it so: then it does not continue by itself.
    pub fn is_withdrawn(&self) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|attempt| attempt.withdrawn_at.is_some())
    }

    /// How long its value waits to be proven.
    pub fn lateness(&self) -> Lateness {
        self.waiting
            .as_ref()
            .map_or(Lateness::InTime, |waiting| waiting.lateness)
    }

    /// Its row.
    pub fn key(&self) -> RowKey {
        match self.further {
            true => RowKey::further(&self.domain, &self.client),
            false => RowKey::from(&self.domain),
        }
    }

    /// The domain and the client: no two views have the same.
    pub fn at(&self) -> (DomainName, String) {
        (self.domain.clone(), self.client.clone())
    }

    /// Whether the inventory wants it.
    pub fn is_managed(&self) -> bool {
        self.state != State::Unmanaged
    }
}

/// The result of the listings of this run: the covered domains of each client.
pub type Covered = BTreeMap<String, Covering>;

/// Every domain of `rows`, by name and client, and the unmanaged ones. `covered` is what the
/// listings of this run found.
pub async fn views(
    store: &dyn Store,
    rows: Vec<DomainRow>,
    basis: &Basis<'_>,
    covered: Covered,
    now: Timestamp,
) -> Result<Vec<DomainView>, StoreError> {
    let (ledger, beside) = (
        open_entries(store, None).await?,
        Beside::read(store, basis.targets).await?,
    );
    let all = put_together(rows, ledger, beside, basis, &covered, now);
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(DomainView::key);
    Ok(all)
}

/// The state of one domain at each of its clients; nothing for a client where it is not wanted and
/// nothing of it is left.
pub async fn views_of(
    store: &dyn Store,
    domain: &DomainName,
    basis: &Basis<'_>,
    now: Timestamp,
) -> Result<Vec<DomainView>, StoreError> {
    // Those above it may make its own registration needless.
    let names: Vec<_> = std::iter::successors(Some(domain.clone()), DomainName::parent).collect();
    let rows = store.rows_of(&names).await?;
    let mut ledger = Ledger::new();
    for row in rows.iter().filter(|row| row.domain == *domain) {
        ledger.extend(open_entries(store, Some(&row.key)).await?);
    }
    let beside = Beside::read(store, basis.targets).await?;
    let all = put_together(rows, ledger, beside, basis, &Covered::new(), now);
    let own = all.into_values().filter(|view| view.domain == *domain);
    Ok(own.collect())
}

/// The open entries of each row.
type Ledger = BTreeMap<RowKey, Vec<LedgerEntry>>;

/// A domain at a client.
type At = (DomainName, String);

fn put_together(
    rows: Vec<DomainRow>,
    mut ledger: Ledger,
    mut beside: Beside,
    basis: &Basis<'_>,
    covered: &Covered,
    now: Timestamp,
) -> BTreeMap<At, DomainView> {
    let mut cover = Cover::new(basis.policy);
    rows.iter()
        .for_each(|row| cover.take(row, &row.sighting, basis.policy, now));
    let mut all: BTreeMap<At, DomainView> = BTreeMap::new();
    for row in rows {
        let entries = ledger.remove(&row.key).unwrap_or_default();
        let told = told(covered, &row, basis);
        let covered_by = told.or_else(|| cover.above(&row.client, &row.domain, &beside.above, now));
        if let Some(view) = view(row, entries, covered_by, basis, now) {
            all.insert(view.at(), view);
        }
    }
    beside
        .unmanaged
        .retain(|(domain, client), _| !cover.has_row(client, domain));
    for (at, target) in beside.unmanaged {
        let view = stranger(at.0.clone(), target);
        all.insert(at, view);
    }
    let of_parents: Vec<(At, Option<SharedState>)> = all
        .values()
        .filter_map(|view| {
            let parent = (view.covered_by.clone()?, view.client.clone());
            Some((view.at(), all.get(&parent).map(DomainView::shared_state)))
        })
        .collect();
    for (at, parent) in of_parents {
        if let Some(view) = all.get_mut(&at) {
            view.counts_with(parent);
        }
    }
    all
}

/// What the listings of this run say of the domain above a row's.
fn told(covered: &Covered, row: &DomainRow, basis: &Basis<'_>) -> Option<DomainName> {
    covered
        .get(&row.client)
        .and_then(|covering| covering.get(&row.domain))
        .filter(|_| basis.policy.cover)
        .cloned()
}

/// The open entries of the ledger, by the row they are for.
async fn open_entries(store: &dyn Store, key: Option<&RowKey>) -> Result<Ledger, StoreError> {
    let mut ledger = Ledger::new();
    for entry in store.open_entries(key).await? {
        ledger.entry(entry.key.clone()).or_default().push(entry);
    }
    Ok(ledger)
}

impl AttemptView {
    /// `None` where nothing is under way and nothing went wrong.
    fn of(observed: &Observed) -> Option<Self> {
        let upkeep = &observed.upkeep;
        let is_one = upkeep.attempt.since.is_some()
            || upkeep.setback.last_error.is_some()
            || upkeep.setback.hold.is_some();
        is_one.then(|| Self {
            stage: observed.stage(),
            since: upkeep.attempt.since,
            tries: upkeep.attempt.submission.tries,
            next_at: upkeep
                .setback
                .hold
                .as_ref()
                .map(|hold| hold.again_at)
                .or(upkeep.setback.not_before),
            last_error: upkeep.setback.last_error.clone(),
            withdrawn_at: upkeep.withdrawn_at,
        })
    }
}

/// One row; `None` when there is nothing to be said about it any more.
fn view(
    row: DomainRow,
    ledger: Vec<LedgerEntry>,
    covered_by: Option<DomainName>,
    basis: &Basis<'_>,
    now: Timestamp,
) -> Option<DomainView> {
    // It is not wanted, it is not at the CA, and nothing of ours is left in DNS.
    if row.origins.is_empty() && row.sighting.registration().is_none() && ledger.is_empty() {
        return None;
    }
    let policy = basis.policy.of(&row.ca);
    let observed = Observed {
        desired: !row.origins.is_empty(),
        covered_by: covered_by.clone(),
        has_provider: match &row.provider {
            Some(name) => basis.providers.contains(name),
            None => !basis.providers.is_empty(),
        },
        domain: row.domain,
        sighting: row.sighting,
        read_at: row.read_at,
        upkeep: row.upkeep,
        ledger,
    }
    .believed(now);
    let decision = next_step(&observed, policy, now);
    let end = observed.usable_until(&policy.reuse, now);
    let made = observed.last_proof().and_then(|proof| proof.validated_at);
    let upkeep = &observed.upkeep;
    let rests = !observed.desired || covered_by.is_some();
    let waiting = Waiting::of(&observed, &decision, now).filter(|_| !rests);
    let reason = match (&upkeep.setback.hold, &waiting, &upkeep.setback.last_error) {
        _ if rests => decision.why.to_string(),
        (Some(hold), ..) => hold.reason.clone(),
        (None, Some(waiting), _) => waiting.said(now),
        (None, None, Some(error)) => error.clone(),
        (None, None, None) => decision.why.to_string(),
    };
    let reason = match finding::unsaid_doubt(&observed, &reason) {
        // What the CA says of a domain whose proof counts changes nothing about it.
        Some(doubt) if !rests && end.is_none() => {
            format!("{reason}; the CA's answer is in doubt: {doubt}")
        }
        _ => reason,
    };
    let bogus = upkeep.wait.bogus.clone().filter(|_| !rests);
    let is_dns_step = upkeep.setback.dns_failed || finding::is_dns(&decision.step);
    let registration = observed.sighting.registration();
    Some(DomainView {
        unicode: observed.domain.unicode(),
        further: row.key.further_client().is_some(),
        client: row.client,
        ca: row.ca,
        provider: row.provider,
        state: observed.state(&policy.reuse, now),
        with_margin: observed.desired
            && end.is_some_and(|end| end.duration_since(now) > policy.critical_margin(end, made)),
        danger: match end {
            _ if rests => Danger::None,
            Some(end) => Danger::of_proof(end, made, policy, now),
            None if observed.was_proven() => Danger::Lapsed,
            None => Danger::None,
        },
        proven_until: (observed.is_lapsed(&policy.reuse, now))
            .then(|| observed.proven_until(&policy.reuse))
            .flatten(),
        proof: observed.last_proof().map(|proof| ProofView {
            validated_at: proof.validated_at,
            first_seen: proof.first_seen.filter(|_| proof.validated_at.is_none()),
            expires_at: proof.expires_at,
            usable_until: end,
            method: proof.method.clone(),
            ends: proof.ends.clone(),
        }),
        token: registration
            .and_then(|registration| registration.token.as_ref())
            .map(|token| TokenView {
                created_at: token.created_at,
                expires_at: token.expires_at,
            }),
        attempt: AttemptView::of(&observed),
        next: decision.step.as_str(),
        renew_at: registration
            .and_then(|found| found.proof.as_ref())
            .and_then(|proof| policy.renew_at(&observed.domain, proof))
            .filter(|_| !rests),
        due_at: row
            .due_at
            .or(Some(decision.at).filter(|&at| at < Timestamp::MAX)),
        is_dns: bogus.is_some() || is_dns_step && upkeep.setback.last_error.is_some(),
        failures: observed
            .ledger
            .iter()
            .map(|entry| entry.removal_tries)
            .fold(upkeep.setback.failures, u32::max),
        others_changed: upkeep.foreign.changed.clone(),
        waiting,
        bogus,
        ca_read_at: observed
            .read_at
            .filter(|_| observed.sighting != Sighting::Unread),
        domain: observed.domain,
        covered_by,
        reason,
    })
}

impl DomainView {
    /// A domain of which nothing is known.
    pub fn bare(domain: DomainName, state: State) -> Self {
        Self {
            unicode: domain.unicode(),
            domain,
            client: String::new(),
            ca: String::new(),
            further: false,
            provider: None,
            state,
            covered_by: None,
            with_margin: false,
            danger: Danger::None,
            proven_until: None,
            proof: None,
            token: None,
            attempt: None,
            waiting: None,
            bogus: None,
            next: Step::Rest.as_str(),
            renew_at: None,
            due_at: None,
            reason: String::new(),
            ca_read_at: None,
            is_dns: false,
            failures: 0,
            others_changed: None,
        }
    }

    /// A covered domain is as valid as the one above it; that one is only known by name when it is
    /// not wanted here.
    fn counts_with(&mut self, parent: Option<SharedState>) {
        let Some(parent) = parent.filter(|parent| parent.state != State::Unmanaged) else {
            (self.state, self.with_margin) = (State::Valid, true);
            return;
        };
        self.state = parent.state;
        self.with_margin = parent.with_margin;
        (self.danger, self.proven_until) = (parent.danger, parent.proven_until);
        self.proof = parent.proof;
        self.is_dns = parent.is_dns;
        self.ca_read_at = self.ca_read_at.min(parent.ca_read_at);
    }

    fn shared_state(&self) -> SharedState {
        SharedState {
            state: self.state,
            with_margin: self.with_margin,
            danger: self.danger,
            proven_until: self.proven_until,
            proof: self.proof.clone(),
            is_dns: self.is_dns,
            ca_read_at: self.ca_read_at,
        }
    }
}

/// The state of a domain, as far as those below it share it.
struct SharedState {
    state: State,
    with_margin: bool,
    danger: Danger,
    proven_until: Option<Timestamp>,
    proof: Option<ProofView>,
    is_dns: bool,
    ca_read_at: Option<Timestamp>,
}
