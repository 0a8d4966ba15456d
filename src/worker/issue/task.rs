//! One claimed certificate on its way: a working copy that becomes one fenced write at a time.

use jiff::{SignedDuration, Timestamp};

use super::{Certificate, Issuer};
use crate::ca::{CaError, Failure, Issuing};
use crate::certificates::folder::Held;
use crate::issuance::planner::{backoff, holds};
use crate::issuance::progress::{Hold, HoldKind};
use crate::issuance::{Decision, Progress, Step};
use crate::prevalidation::guard::examine_clock;
use crate::store::StoreError;
use crate::store::orders::{
    CertificateEvent, CertificateFence, CertificateLease, CertificateRow, CertificateWrite,
};

/// A row that was claimed this often without any stored result kills its worker.
const CLAIMS_TOO_MANY: u32 = 5;

/// Whether the folder of a certificate is this worker's alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alone {
    /// It is, since before the last decision; or the step needs no folder.
    Yes,
    /// It is from now on: what is next is decided again, by what is there now.
    Now,
    /// It is not.
    No,
}

/// One certificate in hand.
pub(super) struct Task<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) fence: CertificateFence,
    pub(super) row: CertificateRow,
    claims: u32,
    events: Vec<CertificateEvent>,
    /// It is left alone for the rest of this run.
    is_given_up: bool,
    /// The former hold of a certificate that is tried again.
    was_held: Option<Hold>,
    /// Its folder is this worker's alone.
    pub(super) held: Option<Held>,
}

impl<'a> Task<'a> {
    pub(super) fn new(issuer: &'a Issuer, lease: CertificateLease) -> Self {
        let (mut row, now) = (lease.row, issuer.ports.clock.now());
        row.progress = row.progress.believed(now);
        let told = issuer.heed(&mut row, now);
        let events = told.map(|(kind, words)| issuer.event(&row.name, kind, words));
        Self {
            issuer,
            fence: lease.fence,
            row,
            claims: lease.claims,
            events: events.into_iter().collect(),
            is_given_up: false,
            was_held: None,
            held: None,
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.issuer.ports.clock.now()
    }

    pub(super) fn progress(&mut self) -> &mut Progress {
        &mut self.row.progress
    }

    /// The certificate as the configuration wants it. Steps are only for wanted ones, but for a
    /// revocation.
    pub(super) fn certificate(&self) -> Option<&'a Certificate> {
        self.issuer.certificates.get(&self.row.name)
    }

    /// Takes the certificate as far as it goes now.
    pub(super) async fn run(mut self) -> Result<(), StoreError> {
        if self.claims > CLAIMS_TOO_MANY && self.row.progress.hold.is_none() {
            self.hold(
                HoldKind::Refused,
                "workers died on it, or lost it, several times in a row; see the log",
                None,
            );
        }
        let mut is_fresh = self.issuer.is_first_question(&self.row.name);
        if is_fresh && self.issuer.options.orders {
            self.try_again_what_is_local();
        }
        self.rest(is_fresh).await?;
        loop {
            let now = self.now();
            let decision = self.issuer.decide(&self.row, is_fresh, now).await?;
            if decision.step.leads_to_an_order() && !self.issuer.options.orders {
                self.leave();
            }
            let waits = decision.step == Step::Prove && self.issuer.options.orders;
            {
                let mut state = self.issuer.state();
                match waits {
                    true => drop(
                        state
                            .waiting
                            .insert(self.row.name.clone(), decision.why.clone()),
                    ),
                    false => drop(state.waiting.remove(&self.row.name)),
                }
            }
            if self.issuer.options.only_revokes && self.is_revocation_over() {
                self.issuer.stop.cancel();
            }
            let stops = self.is_given_up || self.issuer.stop.is_cancelled();
            if stops || !decision.is_due(now) {
                return self.release(&decision).await;
            }
            match self.is_alone(decision.step) {
                // Another store may have been at work there since.
                Alone::Now => continue,
                Alone::No => {
                    is_fresh = false;
                    self.commit().await?;
                    continue;
                }
                Alone::Yes => is_fresh = false,
            }
            let before = self.row.progress.clone();
            self.perform(decision.step).await?;
            // What they see or change is not in the row.
            let is_seen = matches!(decision.step, Step::Watch | Step::Restore);
            if self.row.progress == before && !self.is_given_up && !is_seen {
                // It would be due again at once, and so for ever.
                let step = decision.step.as_str();
                self.failed(format!("the step `{step}` changed nothing"), None);
            }
            self.commit().await?;
        }
    }

    /// Whether the CA has revoked, or refused to: nothing is waited for any more.
    fn is_revocation_over(&self) -> bool {
        let open = self.row.progress.revocation.as_ref();
        open.is_none_or(|open| open.refused.is_some())
    }

    /// A run sees whether a person has repaired what is wrong on this machine.
    fn try_again_what_is_local(&mut self) {
        let Some(certificate) = self.certificate() else {
            return;
        };
        let is_local = |hold: &&Hold| hold.kind.is_local();
        if holds(&certificate.wanted, &self.row.progress)
            .filter(is_local)
            .is_some()
        {
            self.was_held = self.progress().hold.take();
        }
    }

    /// Stores what is in hand and lets go of it; it is due at once.
    pub(super) async fn let_go(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.write(Some(now), true).await
    }

    async fn release(&mut self, decision: &Decision) -> Result<(), StoreError> {
        let mut at = decision.at;
        if !matches!(decision.step, Step::Deploy | Step::Confirm) {
            at = at.max(self.row.progress.not_before.unwrap_or(at));
        }
        let at = decision.beside.map_or(at, |beside| at.min(beside));
        let due_at = match self.is_given_up {
            // The next run wakes it.
            true => Some(
                at.max(
                    self.now()
                        .saturating_add(SignedDuration::from_mins(15))
                        .unwrap_or(at),
                ),
            ),
            false => Some(at),
        };
        let due_at = due_at.filter(|&at| at < Timestamp::MAX);
        let untold = self.row.progress.deployment.as_ref();
        let untold = untold.filter(|_| self.issuer.options.only_revokes);
        let due_at = due_at.into_iter().chain(untold.map(|one| one.at)).min();
        let due_at = match self.row.progress.leftovers.is_empty() {
            true => due_at,
            false => due_at
                .into_iter()
                .chain(self.row.progress.leftovers_at)
                .min(),
        };
        self.write(due_at, true).await
    }

    /// Stores what is in hand, and continues.
    pub(super) async fn commit(&mut self) -> Result<(), StoreError> {
        // Found by every run until the last step lets go of it.
        let now = self.now();
        self.write(Some(now), false).await
    }

    async fn write(&mut self, due_at: Option<Timestamp>, release: bool) -> Result<(), StoreError> {
        let write = CertificateWrite {
            fence: self.fence.clone(),
            progress: self.row.progress.clone(),
            due_at,
            events: std::mem::take(&mut self.events),
            release,
        };
        self.issuer
            .ports
            .store
            .orders()
            .commit_certificate(&write)
            .await?;
        write
            .events
            .iter()
            .for_each(|event| (self.issuer.tell)(event));
        Ok(())
    }

    pub(super) fn say(&mut self, kind: &str, detail: impl Into<String>) {
        let event = self.issuer.event(&self.row.name, kind, detail);
        self.events.push(event);
    }

    /// A person must decide before anything is ordered again.
    pub(super) fn hold(&mut self, kind: HoldKind, words: impl Into<String>, hint: Option<String>) {
        let words = words.into();
        if self.is_fetched_again() {
            return self.not_fetched_again(words);
        }
        let before = self.was_held.take();
        let before = before.filter(|hold| hold.kind == kind && hold.words == words);
        if before.is_none() {
            self.say("held", words.clone());
        }
        let order = self.row.progress.order.as_ref();
        let print = match (self.certificate(), order) {
            (Some(certificate), _) => certificate.wanted.print.clone(),
            (None, Some(order)) => order.print.clone(),
            (None, None) => String::new(),
        };
        let since = before.map_or_else(|| self.now(), |hold| hold.since);
        let progress = self.progress();
        progress.hold = Some(Hold {
            since,
            kind,
            words,
            hint,
            print,
        });
        progress.not_before = None;
    }

    fn is_fetched_again(&self) -> bool {
        let order = self.row.progress.order.as_ref();
        order.is_some_and(|order| order.is_fetched_again)
    }

    /// The certificate cannot be fetched once more: the installed one stays, and a hold stays.
    fn not_fetched_again(&mut self, words: String) {
        self.say("failed", words.clone());
        let progress = self.progress();
        progress.order = None;
        progress.trouble = Some(words);
        self.leave();
    }

    /// Something failed that may pass by itself.
    pub(super) fn failed(&mut self, words: impl Into<String>, wait: Option<std::time::Duration>) {
        let words = words.into();
        self.say("failed", words.clone());
        let now = self.now();
        let progress = &mut self.row.progress;
        progress.failures += 1;
        let wait = wait.and_then(|wait| SignedDuration::try_from(wait).ok());
        let wait = backoff(progress.failures).max(wait.unwrap_or_default());
        progress.not_before = now.saturating_add(wait).ok();
        progress.trouble = Some(words);
        self.is_given_up |= self.issuer.failed(&self.row.name);
    }

    /// It is left to the next run.
    pub(super) fn leave(&mut self) {
        self.is_given_up = true;
    }

    /// A step came to its end. It says nothing of the account: see [`Task::answered`].
    pub(super) fn stepped(&mut self) {
        self.issuer.state().failures.remove(&self.row.name);
        let progress = self.progress();
        (progress.failures, progress.trouble, progress.not_before) = (0, None, None);
    }

    /// The CA answered a call as it should, and the step came to its end with it.
    pub(super) fn answered(&mut self, ca: &str) {
        self.heard(ca);
        self.stepped();
    }

    /// The CA answered a call as it should. The step continues, and may fail on this machine: what
    /// failed before continues to count until it comes to its end.
    pub(super) fn heard(&mut self, ca: &str) {
        self.issuer.pauses.answered(ca);
        self.issuer.state().accounts.remove(ca);
    }

    /// Whether the clocks of this machine and of the CA differ (faults T01). Then nothing is
    /// ordered until they agree.
    pub(super) fn is_stopped_by_clock(&mut self, name: &str, ca: &dyn Issuing) -> bool {
        let Some(alarm) = examine_clock(self.now(), None, ca.clock_skew()) else {
            return false;
        };
        self.issuer.pauses.answered(name);
        let words = format!("{name}: {alarm}; nothing is ordered until they agree");
        self.say("failed", words.clone());
        self.progress().trouble = Some(words);
        self.leave();
        true
    }

    /// The CA refused a call that has no effect, or that certainly had none. True where the same
    /// would be refused again, and a person must see why.
    pub(super) fn refused_for_good(&mut self, ca: &str, error: &CaError) -> bool {
        let now = self.now();
        self.issuer.pauses.failed(ca, error, now);
        if error.is_account_wide() {
            // The fault is of the account, not of the certificate. The certificate continues when
            // the account does.
            self.issuer
                .state()
                .accounts
                .insert(ca.to_owned(), error.clone());
            self.say("failed", error.message.clone());
            self.progress().trouble = Some(error.message.clone());
            self.is_given_up = true;
            return false;
        }
        let is_lasting = matches!(
            error.failure,
            Failure::Refused | Failure::Forbidden | Failure::NotFound | Failure::Untrusted
        );
        if !is_lasting {
            self.failed(error.message.clone(), error.retry_after);
        }
        is_lasting
    }

    /// The same, and what is refused for good is held.
    pub(super) fn refused(&mut self, ca: &str, error: &CaError) {
        if self.refused_for_good(ca, error) {
            let hint = error.hint.clone();
            self.hold(HoldKind::Refused, error.message.clone(), hint);
        }
    }
}
