//! An order that its CA does not show any more. One such answer proves nothing: a job of InterNetX is
//! nowhere while it moves to the history, a new order may not be listed yet, and the key that came with
//! the answer may be wrong. The order is paid, so it is kept and searched for in every way for a
//! while.

use jiff::{SignedDuration, Timestamp};

use super::super::task::Task;
use super::ca::FIRST_SEARCH;
use crate::ca::issuing::{Found, Order as Shown, OrderKey};
use crate::ca::{CaError, Failure};
use crate::issuance::again;
use crate::issuance::progress::{HoldKind, Order};

/// A person hears of an order that the CA has shown neither by its key nor by its tag for this
/// time.
const GONE: SignedDuration = SignedDuration::from_mins(10);

/// The result of the search for an order in every other way.
enum Sought {
    /// The list has it.
    Listed(Box<Shown>),
    /// The CA does not tell; when to ask again, where it says so.
    Unclear(Option<Timestamp>),
    /// The CA refuses to tell, in these words.
    Refused(String),
    /// It is nowhere.
    Nowhere,
}

impl Task<'_> {
    /// The CA said that it does not know the order by its key: it is searched for by its tag and
    /// its public key.
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
        let mut next_read_at = now.saturating_add(pause).ok();
        let Some(sought) = self.searched().await else {
            return;
        };
        let besides = match sought {
            Sought::Listed(shown) => {
                let is_same = shown.key.reference == key.reference;
                self.say("found", format!("{}: by what it says of itself", shown.key));
                self.saw(&shown);
                let Some(order) = self.order().filter(|_| is_same) else {
                    return;
                };
                order.gone_since = Some(since);
                next_read_at = next_read_at.max(order.next_read_at);
                format!("its list has it: {}", shown.state)
            }
            Sought::Unclear(named) => {
                next_read_at = next_read_at.max(named);
                format!("nor does it tell whether it has `{}`", self.tag())
            }
            Sought::Refused(why) => format!("nor can it be searched for: {why}"),
            Sought::Nowhere => format!("nor does it find it by `{}`", self.tag()),
        };
        if let Some(order) = self.order() {
            (order.next_read_at, order.next_read_is_from_ca) = (next_read_at, false);
        }
        self.progress().trouble = Some(words.clone());
        if passed >= GONE {
            self.given_up(format!("{words}; {besides}"));
        }
    }

    fn tag(&self) -> &str {
        let order = self.row.progress.order.as_ref();
        order.map_or("", |order| &order.tag)
    }

    /// What the CA says of the order by its tag and its key; `None`: nothing now.
    async fn searched(&mut self) -> Option<Sought> {
        let (ca, intent) = match self.call().await {
            Ok(call) => call?,
            Err(error) => {
                self.failed(error.to_string(), None);
                return None;
            }
        };
        let name = self.ca_of_order();
        let sought = match ca.find(&intent).await {
            Ok(Found::No) if self.is_stopped_by_clock(&name, &*ca) => return None,
            Ok(Found::No) => Sought::Nowhere,
            Ok(Found::NotYet { next_read_at }) => Sought::Unclear(Some(next_read_at)),
            Ok(Found::Order(shown)) => Sought::Listed(shown),
            // The order that this one comes after, or replaces, is not there either.
            Err(error) if error.failure == Failure::NotFound => Sought::Nowhere,
            Err(error) => {
                self.unread(&name, &error);
                let may_pass = error.is_account_wide() || error.is_retryable();
                return (!may_pass).then_some(Sought::Refused(error.message));
            }
        };
        self.answered(&name);
        Some(sought)
    }

    /// The CA does not show it in any way that leads to its certificate. The order is kept: it may be
    /// paid, and a person may order one more search.
    fn given_up(&mut self, words: String) {
        let progress = self.progress();
        if let Some(records) = progress.order.as_mut().map(Order::give_up_records) {
            progress.leave_behind(records);
        }
        if self.certificate().is_none() {
            // The search continues, and the order is reported as a trouble.
            return;
        }
        let name = &self.row.name;
        let hint = format!(
            "it may be paid, and come back: ask the CA for it; `prevalidate certificate issue {name}` searches for it again; {} orders a new one",
            again(name)
        );
        self.hold(HoldKind::Refused, words, Some(hint));
    }
}
