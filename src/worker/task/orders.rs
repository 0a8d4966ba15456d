//! Orders that the CA carries out by itself: taken, rejected, gone.

use jiff::Timestamp;

use super::super::Worker;
use super::Task;
use crate::ca::Verdict;
use crate::prevalidation::{Effect, Order, OrderState, Sighting};
use crate::text::Reason;

impl Task {
    /// A start was answered: the attempt keeps the challenge. `next_read_at`: the start was a submission.
    pub(in crate::worker) fn started(
        &mut self,
        worker: &Worker,
        next_read_at: Option<Timestamp>,
        now: Timestamp,
    ) {
        if self.observed.upkeep.attempt.since.is_none() {
            // The answer showed a new proof.
            return;
        }
        let given = self.registration().and_then(|found| {
            let token = found.token.as_ref();
            let by_token = token.map(|token| found.challenge_of(token));
            found.challenge.as_deref().cloned().or(by_token)
        });
        match given {
            Some(challenge) if challenge.is_for(&self.fence.domain) => {
                self.say(worker, "started", format!("the CA wants {challenge}"));
                let token = self.registration().and_then(|found| found.token.clone());
                self.observed
                    .upkeep
                    .attempt
                    .take(&challenge, token.as_deref());
                if next_read_at.is_some() {
                    self.taken(worker, next_read_at, now);
                }
            }
            given => {
                let what = match given {
                    Some(outside) => format!("a record outside the domain: {outside}"),
                    None => "no record".to_owned(),
                };
                let text =
                    format!("the CA began a validation and named {what}; nothing is published");
                self.hold(worker, text, now);
            }
        }
    }

    /// Stores the answer to a submission. If the attempt continues, the submission brought no new
    /// proof.
    pub(in crate::worker) fn submitted(
        &mut self,
        worker: &Worker,
        verdict: Option<Verdict>,
        now: Timestamp,
    ) {
        let upkeep = &self.observed.upkeep;
        let is_over = upkeep.attempt.since.is_none() || upkeep.attempt.value.is_none();
        if is_over || upkeep.setback.hold.is_some() {
            return;
        }
        let by_itself = self.policy(worker).checks_by_itself;
        match verdict {
            Some(Verdict::Taken { next_read_at }) => {
                // If the answer names another record, that order was submitted by this call.
                let submission = &mut self.observed.upkeep.attempt.submission;
                submission.is_submitted_since(Some(now));
                self.taken(worker, Some(next_read_at), now);
            }
            // The word was true before; the date has not moved, so the CA has not checked yet.
            Some(Verdict::Proven) if by_itself => self.taken(worker, None, now),
            Some(Verdict::NotSeen) if self.has_lost_its_order(by_itself) => {
                self.order_gone(worker, now);
            }
            _ => {
                let words = self.words().unwrap_or("no reason given").to_owned();
                self.not_seen(worker, words, now);
                self.order_new_value(worker);
            }
        }
    }

    /// Whether the CA shows nothing any more of an order that it had taken, or of a challenge that
    /// it gave: another program has ended it.
    fn has_lost_its_order(&self, by_itself: bool) -> bool {
        let upkeep = &self.observed.upkeep;
        let shows_nothing = self.registration().is_some_and(|found| {
            !found.is_summary && found.order.is_none() && found.challenge.is_none()
        });
        let had_order = upkeep.attempt.submission.next_read_at.is_some()
            || upkeep.attempt.submission.order.is_some();
        let is_sure = by_itself && upkeep.attempt.submission.tries > 1 && shows_nothing;
        had_order || is_sure && upkeep.attempt.challenge.is_some()
    }

    /// Whether a submission was refused twice where the CA carries out orders: it may know nothing of
    /// the challenge any more. An order that is open all the same is gone on with by the start.
    pub(super) fn is_refused_again(&self, worker: &Worker) -> bool {
        let upkeep = &self.observed.upkeep;
        self.policy(worker).checks_by_itself
            && upkeep.attempt.challenge.is_some()
            && upkeep.attempt.submission.tries > 1
    }

    /// Ends the order if its registration is gone or was replaced: the challenge was of that one.
    pub(super) fn forget_order_of_another(&mut self, sighting: &Sighting) {
        let known = self.reference();
        let is_same = match sighting {
            Sighting::Absent => false,
            Sighting::Present(found) => known.is_none_or(|known| known == found.reference),
            Sighting::Unread | Sighting::Missing(_) => true,
        };
        if !is_same && self.observed.upkeep.attempt.challenge.is_some() {
            self.observed.upkeep.attempt.end_order();
        }
    }

    /// Whether a row of the list leaves open what has come of an order that the CA has taken.
    pub(in crate::worker) fn is_unclear(&self) -> bool {
        let has_taken = self
            .observed
            .upkeep
            .attempt
            .submission
            .next_read_at
            .is_some();
        let Some(found) = self.registration().filter(|_| has_taken) else {
            return false;
        };
        let state = found.order.as_ref().map(|order| &order.state);
        found.is_summary && state != Some(&OrderState::Submitted)
    }

    /// The CA has taken the order and checks by itself; it may have news at `named`. Nothing is
    /// submitted meanwhile.
    pub(in crate::worker) fn taken(
        &mut self,
        worker: &Worker,
        named: Option<Timestamp>,
        now: Timestamp,
    ) {
        let order = self.registration().and_then(|found| found.open_order());
        let id = order.and_then(|order| order.id.clone());
        let word = order.and_then(|order| order.unknown_word().map(str::to_owned));
        let attempt = &mut self.observed.upkeep.attempt;
        let is_news = attempt.submission.reads == 0;
        attempt.submission.name(id);
        let poll = worker.policy.poll;
        attempt.submission.wait_for_ca(named, poll, now);
        if attempt.outlives_its_value(now) {
            return self.value_has_ended(worker, now);
        }
        if attempt.submission.tries == 0 {
            // It was started by its submission: the record comes first.
            return;
        }
        let order = match &attempt.submission.order {
            Some(id) => format!("order {id}"),
            None => "the order".to_owned(),
        };
        let subject = match word {
            Some(word) => {
                format!("the CA (it calls {order} `{word}`, which this version does not know)")
            }
            None => format!("the CA (it has taken {order} and checks by itself)"),
        };
        let words = self.words().unwrap_or_default().to_owned();
        if is_news {
            self.say(
                worker,
                "taken",
                format!("the CA checks by itself now: {words}"),
            );
        }
        self.waits_for(worker, subject, &words, now);
    }

    /// The CA continues with the order, and no longer accepts the value that it has made for it.
    fn value_has_ended(&mut self, worker: &Worker, now: Timestamp) {
        let order = match &self.observed.upkeep.attempt.submission.order {
            Some(id) => format!("order {id}"),
            None => "the order".to_owned(),
        };
        let words = format!("the value of {order} has ended, and the CA still has the order");
        let hint = "clear the order in the CA's portal; then a new one is started";
        let reason = Reason::new(&words, Some(hint));
        self.hold(worker, reason.to_string(), now);
    }

    /// The answer to a submission was lost, and a read shows the outcome. An order that still waits
    /// to be submitted was never submitted, so the CA is asked now.
    pub(in crate::worker) fn lost_submission(&mut self, unanswered: Option<Effect>) {
        let order = self.registration().and_then(|found| found.order.as_ref());
        let (waits, is_taken) = (
            order.is_some_and(|order| order.awaits_submission()),
            order.is_some_and(|order| order.is_submitted()),
        );
        let attempt = &mut self.observed.upkeep.attempt;
        if unanswered != Some(Effect::Validate) || attempt.challenge.is_none() {
            return;
        }
        let submission = &mut attempt.submission;
        if waits {
            let was_before = submission.tries > 1;
            submission.take_back(self.submitted_before.filter(|_| was_before));
        } else if is_taken {
            // The call may have been about an order that another program has begun meanwhile. That
            // order is submitted.
            submission.is_submitted_since(self.observed.read_at);
        }
    }

    /// What a read of an order that the CA has taken has brought, where it did not end the order:
    /// it continues.
    pub(in crate::worker) fn goes_on(&mut self, worker: &Worker, now: Timestamp) {
        let upkeep = &self.observed.upkeep;
        let order = self.registration().and_then(|found| found.open_order());
        let named = order.and_then(|order| order.next_check);
        // The answer to the submission was lost, and it had reached the CA.
        let was_submitted = order.is_some_and(Order::is_submitted)
            && upkeep.attempt.challenge.is_some()
            && upkeep.attempt.submission.tries > 0;
        let is_due = match upkeep.attempt.submission.next_read_at {
            Some(at) => at <= now,
            None => was_submitted,
        };
        if upkeep.attempt.since.is_some() && is_due {
            self.taken(worker, named, now);
        }
    }

    /// The CA gave the order up. Its record goes; a person must see why.
    pub(super) fn rejected(&mut self, worker: &Worker, words: &str, now: Timestamp) {
        let words = match words {
            "" => "it gives no reason",
            words => words,
        };
        let words = format!("the CA rejected the validation order: {words}");
        let hint = format!(
            "`prevalidate diagnose {0}` shows what the CA may have seen; `prevalidate run --domain \
             {0}` begins a new one",
            self.fence.domain
        );
        let reason = Reason::new(&words, Some(&hint));
        self.hold(worker, reason.to_string(), now);
    }

    /// Another program has ended the order.
    pub(in crate::worker) fn order_gone(&mut self, worker: &Worker, now: Timestamp) {
        self.observed.upkeep.attempt.end_order();
        let text = "the CA no longer has the validation order, and shows no new proof".to_owned();
        self.wait(worker, text, None, now);
    }
}
