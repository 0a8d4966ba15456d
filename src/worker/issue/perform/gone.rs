//! An order that its CA does not show any more. One such answer proves nothing: a job of InterNetX is
//! nowhere while it moves to the history, a new order may not be listed yet, and the key that came with
//! the answer may be wrong. The order is paid, so it is kept and looked for in every way for a while.

use jiff::SignedDuration;

use super::super::task::Task;
use super::ca::FIRST_SEARCH;
use crate::ca::issuing::{Found, OrderKey};
use crate::ca::{CaError, Failure};
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Order};

/// A person hears of an order that the CA has shown neither by its key nor by its tag for this
/// time.
const GONE: SignedDuration = SignedDuration::from_mins(10);

impl Task<'_> {
    /// The CA said that it does not know the order by its key: it is looked for by its tag and its
    /// public key.
    pub(super) async fn missed(&mut self, key: &OrderKey, error: &CaError) {
        let now = self.now();
        let words = format!("the CA does not show the order {key}: {}", error.message);
        let Some(order) = self.order() else { return };
        let is_first = order.gone_since.is_none();
        let since = *order.gone_since.get_or_insert(now);
        if is_first {
            self.say("missed", words.clone());
        }
        let passed = now.duration_since(since);
        let pause = (passed / 2).clamp(FIRST_SEARCH, GONE);
        let mut look_at = now.saturating_add(pause).ok();
        let is_gone = match self.looked_for().await {
            Some(Found::Order(shown)) => {
                let is_same = shown.key.reference == key.reference;
                self.say("found", format!("{}: by what it says of itself", shown.key));
                self.saw(&shown);
                let Some(order) = self.order().filter(|_| is_same) else {
                    return;
                };
                order.gone_since = Some(since);
                look_at = look_at.max(order.look_at);
                false
            }
            Some(Found::NotYet { look_at: named }) => {
                look_at = look_at.max(Some(named));
                false
            }
            Some(Found::No) => true,
            None => return,
        };
        if let Some(order) = self.order() {
            (order.look_at, order.look_at_is_the_cas) = (look_at, false);
        }
        self.progress().trouble = Some(words.clone());
        if is_gone && passed >= GONE {
            self.given_up(words);
        }
    }

    /// What the CA says of the order by its tag and its key; `None`: nothing now.
    async fn looked_for(&mut self) -> Option<Found> {
        let (ca, intent) = match self.call().await {
            Ok(call) => call?,
            Err(error) => {
                self.failed(error.to_string(), None);
                return None;
            }
        };
        let name = self.ca_of_order();
        let found = match ca.find(&intent).await {
            Ok(Found::No) if self.is_stopped_by_clock(&name, &*ca) => return None,
            Ok(found) => found,
            // The order that this one comes after, or replaces, is not there either.
            Err(error) if error.failure == Failure::NotFound => Found::No,
            Err(error) => {
                self.unread(&name, &error);
                return None;
            }
        };
        self.answered(&name);
        Some(found)
    }

    /// Neither its key nor its tag finds it. The order is kept: it may be paid, and a person may have
    /// it looked for once more.
    fn given_up(&mut self, words: String) {
        let progress = self.progress();
        if let Some(records) = progress.order.as_mut().map(Order::give_up_records) {
            progress.leave_behind(records);
        }
        if self.certificate().is_none() {
            // It continues to be looked for, and told as trouble.
            return;
        }
        let tag = self.order().map(|order| order.tag.clone());
        let words = format!(
            "{words}; nor does it find it by `{}`",
            tag.unwrap_or_default()
        );
        let name = &self.row.name;
        let hint = format!(
            "ask the CA for it; `prevalidate certificate issue {name}` looks for it again; {} orders a new one",
            again(name)
        );
        self.hold(HoldKind::Refused, words, Some(hint));
    }
}
