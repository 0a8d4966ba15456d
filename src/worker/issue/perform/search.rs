//! The search for an order whose answer was lost, and what is done when the CA does not have it.

use jiff::{SignedDuration, Timestamp};

use super::super::task::Task;
use super::ca::FIRST_SEARCH;
use crate::ca::issuing::{Found, Intent};
use crate::issuance::again;

/// How often an order is sent at most while no answer comes.
const ORDERS: u32 = 2;

/// The clock of a machine may be set by this much between two processes: one that differs by more
/// orders nothing (`examine_clock`).
const STEP: SignedDuration = SignedDuration::from_mins(5);

/// When the CA does not tell for this time whether it has an order, that is reported.
const UNCLEAR: SignedDuration = SignedDuration::from_mins(10);

impl Task<'_> {
    /// When the call for an order ended, at the latest, even if the clock was set since: by the
    /// time that this process has lived, and by the clock less what it may have been set by.
    fn certainly_ended(&self, intent: &Intent) -> Option<Timestamp> {
        let (now, steady) = (self.now(), self.issuer.ports.clock.steady());
        let ended_at = intent.ended_at?;
        let known = {
            let mut state = self.issuer.state();
            *state.ended.entry(intent.tag.clone()).or_insert(steady)
        };
        let lived = SignedDuration::try_from(steady.saturating_sub(known));
        let by_clock = now.duration_since(ended_at).saturating_sub(STEP);
        let passed = lived.unwrap_or_default().max(by_clock);
        now.checked_sub(passed).ok()
    }

    /// Searches for the order whose answer was lost.
    pub(super) async fn find(&mut self) {
        let now = self.now();
        if let Some(order) = self.order() {
            // A worker that died, or lost its lease, was cut off before this one has it.
            order.ended_at = order.ended_at.or(Some(now));
        }
        let (ca, mut intent) = match self.call().await {
            Ok(Some(call)) => call,
            Ok(None) => return,
            Err(error) => return self.failed(error.to_string(), None),
        };
        intent.ended_at = self.certainly_ended(&intent);
        let name = self.ca_of_order();
        match ca.find(&intent).await {
            Ok(Found::Order(shown)) => {
                self.answered(&name);
                self.say(
                    "found",
                    format!("{}: the answer to its order was lost", shown.key),
                );
                self.saw(&shown);
            }
            Ok(Found::NotYet { next_read_at }) => {
                self.answered(&name);
                let now = self.now();
                let least = now.saturating_add(FIRST_SEARCH).unwrap_or(next_read_at);
                let Some(order) = self.order() else { return };
                order.next_read_at = Some(next_read_at.max(least));
                let since = order.ended_at.unwrap_or(now);
                if now.duration_since(since) > UNCLEAR {
                    order.gone_since.get_or_insert(since);
                }
                let order = order.clone();
                if order.is_recovered {
                    let words = self.doubt(&order);
                    self.progress().trouble = Some(words);
                } else if let Some(since) = order.gone_since {
                    let words = format!(
                        "the CA does not tell whether it has the order {}; no answer came to it on {since:.0}, and it is searched for; if the CA says that it has none, {} orders a new one",
                        order.tag,
                        again(&self.row.name)
                    );
                    self.progress().trouble = Some(words);
                }
            }
            // By a wrong clock it is not known whether the CA would show the order by now.
            Ok(Found::No) if self.is_stopped_by_clock(&name, &*ca) => {}
            Ok(Found::No) => self.not_found(),
            // Its answer to this question has no fact about the order.
            Err(error) => self.unread(&name, &error),
        }
    }

    /// The CA does not have the order. It is made again once: a second call that brings no answer
    /// and leaves nothing behind is a matter for a person, because each may cost money.
    fn not_found(&mut self) {
        self.progress().trouble = None;
        if let Some(lost) = self.row.progress.order.take_if(|order| order.is_recovered) {
            // Its key is not used: the next order has a key and a tag of its own.
            self.stepped();
            self.progress().leave_behind(lost.records);
            let words = format!("the CA has no order for version {:04}", lost.version);
            return self.say("not-found", words);
        }
        let Some(order) = self.order() else { return };
        order.not_found += 1;
        if order.not_found < ORDERS {
            (order.submitted_at, order.ended_at, order.next_read_at) = (None, None, None);
            order.gone_since = None;
            self.note_not_submitted();
            return self.say(
                "not-found",
                "the CA does not have the order: it is made again",
            );
        }
        let last = order.words.as_ref();
        let last = last.map_or_else(String::new, |last| format!("; the last one: {last}"));
        let words = format!(
            "the order was sent {ORDERS} times without an answer that says yes or no, and the CA shows none; ask the CA whether it has the order {}{last}",
            order.tag
        );
        self.say("not-found", "the CA does not have the order");
        self.end(words);
    }
}
