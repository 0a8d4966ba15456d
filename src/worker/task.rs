//! One claimed domain on its way through a round: a working copy that becomes one fenced write at a
//! time.

use jiff::{SignedDuration, Timestamp};

mod entries;
mod lapses;
mod listed;
mod lost;
mod orders;

use super::Worker;
use super::beside::Beside;
use super::covering::Covering;
use super::survey::{due_at, reconcile_attempt};
use crate::ca::{CaError, Failure};
use crate::prevalidation::{
    Decision, Effect, Hold, Observed, Policy, Progress, Proof, Registration, Sighting, Status,
    Step, Waiting, next_step,
};
use crate::store::{DomainRow, EffectMark, Event, Fence, Lease, Write};
use crate::text::Reason;

/// A held domain is tried again after this time, person or not: held is never final.
const HOLD_AGAIN: SignedDuration = SignedDuration::from_hours(6);

/// A row that was claimed this often without any stored result kills its worker (faults W09).
const CLAIMS_TOO_MANY: u32 = 3;

#[derive(Debug)]
pub(super) struct Task {
    pub(super) fence: Fence,
    pub(super) row: DomainRow,
    pub(super) observed: Observed,
    pub(super) decision: Decision,
    /// The same domain at other clients, as far as it was read.
    pub(super) beside: Beside,
    /// The ledger entries that this round changes in DNS.
    pub(super) chosen: Vec<i64>,
    /// When the CA was last asked to check, before this round.
    pub(super) submitted_before: Option<Timestamp>,
    /// A proof was won in this round.
    pub(super) won: bool,
    /// A CA read of this round, to be stored.
    read: bool,
    /// Ledger entries that changed since the last write.
    touched: Vec<i64>,
    events: Vec<Event>,
    at_risk: Option<bool>,
    /// A hold that ended in this round: the same reason again is no news.
    held_before: Option<Hold>,
}

impl Task {
    pub(super) fn new(
        lease: Lease,
        worker: &Worker,
        covering: Option<&Covering>,
        now: Timestamp,
    ) -> Self {
        let mut observed = worker.observed(lease.row.clone(), lease.ledger, covering);
        if worker.is_asked_afresh(&lease.fence.key) {
            // A person or a hook says that something changed: what was waited for may be there.
            observed.upkeep.take_up(now);
        }
        let policy = worker.policy.of(&lease.row.ca);
        let mut decision = next_step(&observed, policy, now);
        let listens = worker.options.look_every.is_some() || observed.upkeep.wake.waits;
        // Due for the entry about a lapse, and by no hook and no person.
        let is_due_for_lapse =
            observed.has_unnoted_lapse(&policy.reuse, now) || observed.has_false_lapse();
        if listens && !is_due_for_lapse && !decision.is_due(now) {
            // Due because a person or a hook said so, and not by the plan: what it waited for, or
            // was held for, may be there.
            observed.upkeep.hear(now);
            decision = next_step(&observed, policy, now);
        }
        let mut task = Self {
            fence: lease.fence,
            row: lease.row,
            observed,
            decision,
            beside: Beside::default(),
            chosen: Vec::new(),
            submitted_before: None,
            won: false,
            read: false,
            touched: Vec::new(),
            events: Vec::new(),
            at_risk: None,
            held_before: None,
        };
        task.withdraw_lapse(worker);
        task.reconcile(worker, now);
        if lease.claims > CLAIMS_TOO_MANY && task.observed.upkeep.setback.hold.is_none() {
            task.hold(
                worker,
                "workers died on it, or lost it, several times in a row; see the log",
                now,
            );
        }
        task.decision = task.next_step(worker, now);
        if task.decision.is_due(now) {
            task.observed.upkeep.wake.take_up(now);
        }
        task
    }

    /// The policy for the domain's CA.
    pub(super) fn policy<'a>(&self, worker: &'a Worker) -> &'a Policy {
        worker.policy.of(&self.row.ca)
    }

    /// The next step.
    pub(super) fn next_step(&self, worker: &Worker, now: Timestamp) -> Decision {
        next_step(&self.observed, self.policy(worker), now)
    }

    /// The CA's `cld-…`, when there is one.
    pub(super) fn reference(&self) -> Option<&str> {
        self.observed
            .sighting
            .registration()
            .map(|registration| registration.reference.as_str())
    }

    pub(super) fn say(&mut self, worker: &Worker, kind: &str, detail: impl Into<String>) {
        self.events
            .push(worker.event(Some(&self.row), kind, detail.into()));
    }

    /// The CA's fresh word on this domain.
    pub(super) fn saw(&mut self, worker: &Worker, sighting: Sighting, now: Timestamp) {
        let known = self.observed.last_proof().cloned();
        self.forget_order_of_another(&sighting);
        let mut sighting = sighting;
        sighting.heed(worker.purpose_of(&self.row.client));
        self.observed.sighting = sighting.with_memory_of(&self.observed, now);
        self.observed.upkeep.past.last_proof = known;
        self.observed.read_at = Some(now);
        if !matches!(self.observed.sighting, Sighting::Missing(_)) {
            // Missing proves nothing: what was unanswered stays so until the reference is read.
            self.observed.upkeep.calls.answer();
        }
        self.read = true;
        self.reconcile(worker, now);
    }

    fn reconcile(&mut self, worker: &Worker, now: Timestamp) {
        let tries = self.observed.upkeep.attempt.submission.tries;
        let reuse = &self.policy(worker).reuse;
        match reconcile_attempt(&mut self.observed, reuse, now) {
            Progress::Won => {
                self.won = true;
                let detail = self.outcome(worker, now, tries);
                self.say(worker, "validated", detail);
                self.close_foreign();
            }
            Progress::TokenReplaced => self.say(
                worker,
                "token-replaced",
                "the CA shows another token now; the old value dies",
            ),
            Progress::Rejected(words) => self.rejected(worker, &words, now),
            Progress::OrderGone => self.order_gone(worker, now),
            Progress::None => {}
        }
        if self.observed.hold_is_over(self.policy(worker), now) {
            self.went_well();
        }
        self.note_lapse(worker, now);
    }

    /// The last proof that the CA shows.
    pub(super) fn shown_proof(&self) -> Option<Proof> {
        self.registration()
            .and_then(|found| found.shown_proof().cloned())
    }

    fn outcome(&self, worker: &Worker, now: Timestamp, tries: u32) -> String {
        let until = self
            .observed
            .usable_until(&self.policy(worker).reuse, now)
            .map_or_else(|| "?".to_owned(), |end| format!("{end:.0}"));
        let words = self
            .words()
            .map(|words| format!("; the CA: {words}"))
            .unwrap_or_default();
        let calls = if tries > 1 {
            format!(" after {tries} calls")
        } else {
            String::new()
        };
        format!("valid until {until}{calls}{words}")
    }

    pub(super) fn words(&self) -> Option<&str> {
        self.observed
            .sighting
            .registration()
            .and_then(|registration| registration.last_words.as_deref())
    }

    /// Waits for a person, and says so; tried again after six hours all the same.
    pub(super) fn hold(&mut self, worker: &Worker, reason: impl Into<String>, now: Timestamp) {
        let reason = reason.into();
        let known = self.observed.upkeep.setback.hold.as_ref();
        let known = known.or(self.held_before.as_ref());
        let since = known.map_or(now, |hold| hold.since);
        if known.is_none_or(|hold| hold.reason != reason) {
            self.say(worker, "held", reason.clone());
        }
        let again_at = now.saturating_add(HOLD_AGAIN).unwrap_or(Timestamp::MAX);
        self.observed.upkeep.setback.hold(since, reason, again_at);
    }

    /// A step went well: nothing is held, nothing waits.
    pub(super) fn went_well(&mut self) {
        let ended = self.observed.upkeep.went_well();
        self.held_before = ended.or(self.held_before.take());
    }

    /// It waits for `subject`: told when that is another one than before, and when it is late.
    pub(super) fn waits_for(
        &mut self,
        worker: &Worker,
        subject: String,
        words: &str,
        now: Timestamp,
    ) {
        let wait = &mut self.observed.upkeep.wait;
        let is_news = wait.turn_to(subject);
        let (told, lateness) = wait.tell(now);
        let decision = self.next_step(worker, now);
        let Some(waiting) = Waiting::of(&self.observed, &decision, now) else {
            return;
        };
        let said = waiting.said(now);
        if is_news {
            let words = if said.contains(words) {
                String::new()
            } else {
                format!(": {words}")
            };
            self.say(worker, "waiting", format!("{said}{words}"));
        }
        if lateness > told {
            self.say(worker, &lateness.to_string(), said);
        }
    }

    /// The CA checked and did not accept: the schedule of `validate` says when it is asked again.
    pub(super) fn not_seen(&mut self, worker: &Worker, mut words: String, now: Timestamp) {
        let found = self.registration();
        // VALID was true before a renewal too: these words must not contradict the CA's. Neither
        // may they where it says yes and no at once.
        let verdict = match found {
            Some(found) if found.status == Status::Valid => "shows no newer proof yet".to_owned(),
            Some(found) if found.doubt.is_some() => format!("says {}", found.status),
            _ => "does not see it yet".to_owned(),
        };
        if let Some(doubt) = found.and_then(|found| found.doubt.as_ref()) {
            words = format!("{words}; its answer is in doubt: {doubt}");
        }
        let text = format!("the CA {verdict}: {words}");
        self.say(worker, "not-yet", text.clone());
        self.observed.upkeep.setback.note(text);
        self.waits_for(worker, format!("the CA ({verdict}: {words})"), &words, now);
    }

    /// The CA says that its random value does not count any more, whatever it showed before: a new
    /// one is asked for. Once an attempt, so that an answer that never changes brings no series.
    pub(super) fn order_new_value(&mut self, worker: &Worker) {
        let token = self.registration().and_then(|found| found.token.as_ref());
        let attempt = &self.observed.upkeep.attempt;
        if token.is_none_or(|token| !token.expired) || attempt.replaces.is_some() {
            return;
        }
        self.observed.upkeep.order_new_value();
        self.say(
            worker,
            "ordered",
            "a new random value: the CA says that it has none",
        );
    }

    /// What a check said about the zone's signatures: told when it changed.
    pub(super) fn saw_bogus(&mut self, worker: &Worker, fault: Option<String>, now: Timestamp) {
        let wait = &mut self.observed.upkeep.wait;
        let known = wait.saw_bogus(fault.clone(), now);
        let Some(fault) = fault else {
            if known.is_some() {
                self.say(
                    worker,
                    "signed-well",
                    "validating resolvers take the zone's answers again",
                );
            }
            return;
        };
        if known.as_ref().is_none_or(|known| known.fault != fault) {
            self.say(
                worker,
                "bogus",
                format!("validating resolvers refuse the zone: {fault}"),
            );
        }
    }

    /// A step failed and may go better later.
    pub(super) fn wait(
        &mut self,
        worker: &Worker,
        error: String,
        retry_after: Option<std::time::Duration>,
        now: Timestamp,
    ) {
        let asked = retry_after
            .and_then(|wait| SignedDuration::try_from(wait).ok())
            .unwrap_or_default();
        let setback = &mut self.observed.upkeep.setback;
        setback.fail(asked, now);
        if setback.note(error.clone()) {
            self.say(worker, "failed", error);
        }
    }

    /// The CA gave no token that can be published: a person must decide, asking again would change
    /// nothing.
    pub(super) fn hold_without_token(&mut self, worker: &Worker, now: Timestamp) {
        let next = self.next_step(worker, now);
        if next.is_due(now) && matches!(next.step, Step::ResetToken { .. } | Step::Preflight) {
            let doubt = self.registration().and_then(|found| found.doubt.clone());
            let doubt = doubt.unwrap_or_else(|| "it shows none, or one that has ended".to_owned());
            self.hold(
                worker,
                format!("the CA gave no random value that can be published: {doubt}"),
                now,
            );
        }
    }

    /// A CA call failed: what it means for this domain alone.
    pub(super) fn ca_failed(
        &mut self,
        worker: &Worker,
        effect: Option<Effect>,
        error: &CaError,
        now: Timestamp,
    ) {
        let text = Reason::new(&error.message, error.hint.as_deref()).to_string();
        if error.outcome_unknown() && effect.is_some() {
            // Stays unanswered: the next step reads.
            self.observed.upkeep.setback.note(text.clone());
            self.say(worker, "answer-lost", text);
            return;
        }
        if effect.is_some() {
            // A read that failed answers nothing.
            self.observed.upkeep.calls.answer();
        }
        self.observed.upkeep.setback.dns_failed = false;
        if effect == Some(Effect::Validate) && error.is_retryable() {
            // It never checked: the schedule counts its checks. The budget counts calls and keeps
            // this one.
            let submission = &mut self.observed.upkeep.attempt.submission;
            submission.take_back(self.submitted_before);
        }
        match error.failure {
            Failure::NotFound => {
                if let Some(known) = self.observed.sighting.registration() {
                    self.observed.sighting = Sighting::Missing(known.clone());
                    self.read = true;
                }
                self.wait(worker, text, None, now);
            }
            Failure::Refused if effect == Some(Effect::Validate) => {
                self.not_seen(worker, text, now);
                if self.is_refused_again(worker) {
                    self.order_gone(worker, now);
                }
            }
            Failure::Forbidden | Failure::Refused => self.hold(worker, text, now),
            _ => self.wait(worker, text, error.retry_after, now),
        }
    }

    pub(super) fn take_risk(&mut self, at_risk: bool) {
        self.at_risk = Some(at_risk);
    }

    /// The intent of a step: stored before its effect, the lease kept.
    pub(super) fn intent(&mut self, effect: Option<EffectMark>) -> Write {
        Write {
            effect,
            ..self.write(None, false)
        }
    }

    /// The result of a step: stored after its effect, the lease given back.
    pub(super) fn result(&mut self, worker: &Worker, now: Timestamp) -> Write {
        let decision = self.next_step(worker, now);
        if self.row.at_risk && !self.is_on_its_way(&decision, now) {
            self.at_risk = Some(false);
        }
        let reuse = &self.policy(worker).reuse;
        let lapse = self.observed.lapse_due_at(reuse, now);
        let due = due_at(&decision, &self.observed.upkeep, lapse);
        self.decision = decision;
        self.write(due, true)
    }

    /// Whether an attempt continues, so that its turn is kept.
    fn is_on_its_way(&self, decision: &Decision, now: Timestamp) -> bool {
        let soon = now.saturating_add(HOLD_AGAIN).unwrap_or(Timestamp::MAX);
        self.observed.upkeep.attempt.since.is_some()
            && !matches!(decision.step, Step::Rest | Step::Remove { .. })
            && (decision.at <= soon || !matches!(decision.step, Step::ResetToken { .. }))
    }

    fn write(&mut self, due_at: Option<Timestamp>, release: bool) -> Write {
        let touched = std::mem::take(&mut self.touched);
        Write {
            fence: self.fence.clone(),
            sighting: std::mem::take(&mut self.read).then(|| {
                (
                    self.observed.sighting.clone(),
                    self.observed.read_at.unwrap_or(Timestamp::MIN),
                )
            }),
            upkeep: self.observed.upkeep.clone(),
            due_at: if release { due_at } else { self.row.due_at },
            at_risk: self.at_risk.take(),
            ledger: self
                .observed
                .ledger
                .iter()
                .filter(|entry| touched.contains(&entry.id))
                .cloned()
                .collect(),
            events: std::mem::take(&mut self.events),
            effect: None,
            release,
        }
    }

    pub(super) fn registration(&self) -> Option<&Registration> {
        self.observed.sighting.registration()
    }
}
