//! The second life: certificates, from the key to the servers that read them.
//!
//! [`Issuer::step`] claims one certificate and takes it as far as it goes now; [`Issuer::run`] is a
//! shell around it. The rules are those of the upkeep of proofs: the intent is stored before the
//! call, a call whose answer was lost is searched for and never repeated, and a lost lease stores
//! nothing. An order that waits is no failure.

mod by_hand;
mod certificate;
mod home;
mod live;
mod lying;
mod options;
mod perform;
mod proofs;
mod survey;
mod task;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

pub use self::by_hand::{ByHand, Refused};
pub use self::certificate::{Certificate, KeySource};
pub use self::home::{Keeper, Other};
pub use self::options::{IssueOptions, IssuePorts};
use self::perform::Notes;
pub use self::perform::{Against, way_out};
use self::task::Task;
use super::budget::Pauses;
use crate::ca::CaError;
use crate::certificates::Folder;
use crate::issuance::{Decision, Live, Observed, Proofs, Wanted, next_step};
use crate::prevalidation::Policy;
use crate::store::StoreError;
use crate::store::orders::{CertificateClaim, CertificateEvent, CertificateLease, CertificateRow};

/// A certificate that fails this often in one run is left to the next one.
const FAILURES_PER_RUN: u32 = 3;

/// How often proofs are asked about that a certificate waits for.
const PROOFS_AGAIN: SignedDuration = SignedDuration::from_millis(500);

/// The outcome of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Did {
    /// Worked on a certificate.
    Worked,
    /// Nothing is due; the earliest moment at which something will be.
    Idle(Option<Timestamp>),
}

/// Keeps certificates.
pub struct Issuer {
    ports: IssuePorts,
    policy: Policy,
    certificates: BTreeMap<String, Certificate>,
    options: IssueOptions,
    /// The person who orders by hand, for the history.
    person: Option<String>,
    stop: CancellationToken,
    tell: Arc<dyn Fn(&CertificateEvent) + Send + Sync>,
    pauses: Pauses,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Certificates that were asked about in this run: an open order is checked once at least.
    asked: BTreeSet<String>,
    /// Those that wait for a proof, with the reason.
    waiting: BTreeMap<String, String>,
    /// Failures of this run.
    failures: BTreeMap<String, u32>,
    /// What accounts said that lets nothing be ordered.
    accounts: BTreeMap<String, CaError>,
    /// When the calls ended that brought no answer, by tag and by a clock that cannot be set; or
    /// when this process first saw that they had ended.
    ended: BTreeMap<String, Duration>,
    /// What machines noted of the directories that they keep, by the name of the directory, and when it
    /// was read.
    homes: BTreeMap<String, (Timestamp, Option<home::Noted>)>,
    /// What the folders keep of orders, and when it was read.
    notes: Option<(Timestamp, Arc<Notes>)>,
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Issuer")
            .field("run", &self.options.run)
            .finish_non_exhaustive()
    }
}

impl Issuer {
    /// A job that has not read anything yet. `tell` hears every event as it is stored.
    pub fn new(
        ports: IssuePorts,
        policy: Policy,
        certificates: Vec<Certificate>,
        options: IssueOptions,
        stop: CancellationToken,
        tell: Arc<dyn Fn(&CertificateEvent) + Send + Sync>,
    ) -> Self {
        let certificates = certificates.into_iter();
        Self {
            ports,
            policy,
            certificates: certificates
                .map(|one| (one.wanted.name.clone(), one))
                .collect(),
            options,
            person: None,
            stop,
            tell,
            pauses: Pauses::default(),
            state: Mutex::default(),
        }
    }

    /// The same job, for a person that the history names.
    #[must_use]
    pub fn asked_by(mut self, person: String) -> Self {
        self.person = Some(person);
        self
    }

    /// The same job, which follows orders that are made and makes none.
    #[must_use]
    pub fn without_orders(mut self) -> Self {
        self.options.orders = false;
        self
    }

    /// The same job, which makes no order, and ends when the revocation has that a person asked for.
    #[must_use]
    pub fn only_revoking(mut self) -> Self {
        self.options.only_revokes = true;
        self.without_orders()
    }

    /// All rows of the store.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn rows(&self) -> Result<Vec<CertificateRow>, StoreError> {
        Ok(self.told_rows().await?.0)
    }

    /// All rows of the store, and the names of the rows whose files have newer facts.
    async fn told_rows(&self) -> Result<(Vec<CertificateRow>, BTreeSet<String>), StoreError> {
        let mut rows = self.ports.store.orders().certificates().await?;
        let now = self.ports.clock.now();
        let mut told = BTreeSet::new();
        for row in &mut rows {
            row.progress = std::mem::take(&mut row.progress).believed(now);
            if self.heed(row, now).is_some() {
                told.insert(row.name.clone());
            }
        }
        Ok((rows, told))
    }

    /// The certificates of the configuration, by name.
    pub fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.values()
    }

    /// One of them.
    pub fn certificate(&self, name: &str) -> Option<&Certificate> {
        self.certificates.get(name)
    }

    /// Why certificates of the configuration cannot be worked on, by name.
    pub fn faults(&self) -> &BTreeMap<String, String> {
        &self.options.faults
    }

    /// The directory of certificates.
    pub fn directory(&self) -> &std::path::Path {
        &self.options.directory
    }

    /// What the directory of certificates is called in the store.
    pub fn home(&self) -> &str {
        &self.options.home
    }

    /// Does what is due now, and returns when something is due next. For a process that does not
    /// end; `reads_all` surveys every certificate first. A job that is idle does nothing.
    ///
    /// # Errors
    /// An error of the store.
    pub async fn tend(&self, reads_all: bool) -> Result<Option<Timestamp>, StoreError> {
        if self.is_idle() {
            return Ok(None);
        }
        if reads_all {
            self.survey().await?;
        }
        if !self.state().waiting.is_empty() {
            self.ask_again(self.ports.clock.now()).await?;
        }
        let lanes = (0..self.options.lanes.max(1)).map(|_| async {
            loop {
                if self.stop.is_cancelled() {
                    return Ok(None);
                }
                if let Did::Idle(next) = self.step().await? {
                    return Ok::<_, StoreError>(next);
                }
            }
        });
        let next = futures::future::try_join_all(lanes).await?;
        Ok(next.into_iter().flatten().min())
    }

    /// Whether there is nothing that it could do: no certificate is wanted and none ever was, or the
    /// policy only observes.
    pub fn is_idle(&self) -> bool {
        let was_never_used = self.certificates.is_empty() && self.options.home.is_empty();
        self.options.observes || was_never_used
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn concerns(&self, name: &str) -> bool {
        let only = self.options.only.as_ref();
        only.is_none_or(|only| only.iter().any(|one| one == name))
    }

    fn folder(&self, certificate: &Certificate) -> Folder {
        let name = &certificate.wanted.name;
        Folder::at(&self.options.directory, name, certificate.access)
    }

    /// What accounts said that lets nothing be ordered, by `[ca.NAME]`.
    pub fn refusing_accounts(&self) -> BTreeMap<String, CaError> {
        self.state().accounts.clone()
    }

    /// What is next for a certificate at `now`, by what is remembered and what is on the disk.
    pub async fn decide(
        &self,
        row: &CertificateRow,
        is_fresh: bool,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let live = self.live(row, now).await?;
        self.decide_by(row, &live, is_fresh, now).await
    }

    /// The same, by what is on the disk as [`Issuer::live`] found it.
    pub async fn decide_by(
        &self,
        row: &CertificateRow,
        live: &Live,
        is_fresh: bool,
        now: Timestamp,
    ) -> Result<Decision, StoreError> {
        let certificate = self.certificates.get(&row.name);
        let proofs = match certificate {
            Some(certificate) if wants_proofs(row) => self.proofs(certificate, now).await?,
            _ => Proofs::Enough,
        };
        // A deploy program that fails must not delay the revocation.
        let untold = certificate.filter(|_| self.options.only_revokes);
        let untold = untold.map(|one| Wanted {
            deploys: false,
            ..one.wanted.clone()
        });
        let observed = Observed {
            wanted: untold.as_ref().or(certificate.map(|one| &one.wanted)),
            progress: &row.progress,
            live,
            proofs: &proofs,
            is_fresh,
        };
        let decision = next_step(observed, now);
        let first = match certificate {
            Some(certificate) => self.first(certificate, now).await?,
            None => None,
        };
        Ok(match first {
            Some(first) => first.decide(&row.progress, decision, now),
            None => decision,
        })
    }

    /// Claims a certificate that is due, and takes it as far as it goes now.
    pub async fn step(&self) -> Result<Did, StoreError> {
        let now = self.ports.clock.now();
        let orders = self.ports.store.orders();
        let paused: Vec<String> = self
            .ports
            .issuers
            .keys()
            .filter(|ca| self.pauses.until(ca, now).is_some())
            .cloned()
            .collect();
        let claim = CertificateClaim {
            holder: &self.options.holder,
            home: &self.options.home,
            also_of: None,
            only: self.options.only.as_deref(),
            except_cas: &paused,
            now,
            lease: self.options.lease,
        };
        let Some(lease) = orders.claim_certificate(&claim).await? else {
            let next = orders
                .next_certificate_due(&self.options.home, self.options.only.as_deref(), &paused)
                .await?;
            return Ok(Did::Idle(next));
        };
        super::crashpoint::reach("certificate-claimed");
        match self.work(lease, now).await {
            // Another worker has it, and continues from what is stored.
            Err(StoreError::CertificateLost(_)) | Ok(()) => Ok(Did::Worked),
            Err(error) => Err(error),
        }
    }

    /// Works under the lease that was asked for at `claimed`, for as long as it holds: another
    /// worker that has the certificate counts on it that the calls of this one have ended.
    async fn work(&self, lease: CertificateLease, claimed: Timestamp) -> Result<(), StoreError> {
        let fence = lease.fence.clone();
        let keep = async {
            let length = self.options.lease.unsigned_abs();
            let mut since = (Instant::now(), claimed);
            loop {
                tokio::time::sleep(length / 3).await;
                let now = self.ports.clock.now();
                let asked = (Instant::now(), now);
                let orders = self.ports.store.orders();
                match orders
                    .extend_certificate(&fence, now, self.options.lease)
                    .await
                {
                    Ok(true) => since = asked,
                    Ok(false) => break,
                    Err(error) => {
                        tracing::warn!(%error, "a lease could not be extended");
                        let by_clock = Duration::try_from(now.duration_since(since.1));
                        if since.0.elapsed().max(by_clock.unwrap_or_default()) >= length {
                            break;
                        }
                    }
                }
            }
        };
        tokio::select! {
            outcome = Task::new(self, lease).run() => outcome,
            () = keep => Ok(()),
        }
    }

    /// Works until nothing more is due before `deadline`, or until it is stopped. While the upkeep
    /// of proofs continues, certificates wait for them; `upkeep` is cancelled at its end.
    pub async fn run(
        &self,
        deadline: Timestamp,
        upkeep: &CancellationToken,
    ) -> Result<(), StoreError> {
        if self.is_idle() {
            return Ok(());
        }
        self.survey().await?;
        let lanes = (0..self.options.lanes.max(1)).map(|_| self.lane(deadline, upkeep));
        futures::future::try_join_all(lanes).await.map(|_| ())
    }

    async fn lane(
        &self,
        deadline: Timestamp,
        upkeep: &CancellationToken,
    ) -> Result<(), StoreError> {
        let mut was_over = false;
        while !self.stop.is_cancelled() {
            let Did::Idle(next) = self.step().await? else {
                continue;
            };
            let now = self.ports.clock.now();
            let is_over = upkeep.is_cancelled();
            let asks_again = !is_over || !was_over;
            if asks_again && !self.state().waiting.is_empty() {
                // What the upkeep did since the last question counts, also after its end.
                was_over = is_over;
                self.ask_again(now).await?;
                if !is_over {
                    self.rest(now.saturating_add(PROOFS_AGAIN).unwrap_or(now))
                        .await;
                }
                continue;
            }
            let next = next.filter(|&next| next.max(now) <= deadline);
            let Some(next) = next else {
                if is_over {
                    break;
                }
                tokio::select! {
                    () = upkeep.cancelled() => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            };
            let soon = now
                .saturating_add(SignedDuration::from_millis(100))
                .unwrap_or(now);
            let late = now
                .saturating_add(SignedDuration::from_secs(1))
                .unwrap_or(now);
            self.rest(next.max(soon).min(late)).await;
        }
        Ok(())
    }

    async fn rest(&self, until: Timestamp) {
        tokio::select! {
            () = self.ports.clock.sleep_until(until) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// Asks about the proofs that certificates wait for, and makes due what can continue.
    async fn ask_again(&self, now: Timestamp) -> Result<(), StoreError> {
        let names: Vec<String> = self.state().waiting.keys().cloned().collect();
        let mut due = Vec::new();
        for name in names {
            let Some(certificate) = self.certificates.get(&name) else {
                continue;
            };
            match self.proofs(certificate, now).await? {
                Proofs::Missing(why) => drop(self.state().waiting.insert(name, why)),
                _ => {
                    self.state().waiting.remove(&name);
                    due.push(name);
                }
            }
        }
        if due.is_empty() {
            return Ok(());
        }
        self.ports.store.orders().wake_certificates(&due, now).await
    }

    /// The certificates that wait for a proof, each with the reason.
    pub fn waiting(&self) -> BTreeMap<String, String> {
        self.state().waiting.clone()
    }

    /// Whether a certificate is asked about for the first time in this run.
    fn is_first_question(&self, name: &str) -> bool {
        self.state().asked.insert(name.to_owned())
    }

    /// Counts a failure of this run; true when the certificate is left to the next run.
    fn failed(&self, name: &str) -> bool {
        let mut state = self.state();
        let count = state.failures.entry(name.to_owned()).or_default();
        *count += 1;
        *count >= FAILURES_PER_RUN
    }

    fn event(&self, name: &str, kind: &str, detail: impl Into<String>) -> CertificateEvent {
        CertificateEvent {
            at: self.ports.clock.now(),
            run: self.options.run.clone(),
            certificate: name.to_owned(),
            kind: kind.to_owned(),
            detail: detail.into(),
        }
    }
}

/// Whether the next step may depend on proofs: most certificates rest, and cost no question.
fn wants_proofs(row: &CertificateRow) -> bool {
    let order = row.progress.order.as_ref();
    order.is_some_and(|order| order.submitted_at.is_none() && !order.brings_records)
}

#[cfg(test)]
mod tests;
