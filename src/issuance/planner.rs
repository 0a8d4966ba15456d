//! What is done next for a certificate, and when: a pure function of what is wanted, what is
//! remembered, what lies on the disk and what the proofs say.
//!
//! ```text
//! key → preflight → (prove) → submit → look → fetch → install → deploy → rest
//!                               ↓  ↑
//!                               find       after a lost answer, and never a second submit before
//! ```

use jiff::{SignedDuration, Timestamp};

use super::progress::{Hold, HoldKind, Order, Progress, RecordState};
use super::{OrderState, Wanted};

/// The next thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing: the certificate is there, or nobody wants it.
    Rest,
    /// A person is needed.
    Held,
    /// Make the key, or read the request.
    Key,
    /// Have the CA say for free whether it would take the order.
    Preflight,
    /// Wait for the proof of a domain.
    Prove,
    /// Ask the CA which records the order wants in DNS.
    Challenge,
    /// Write these records, and wait until every name server has them.
    Publish,
    /// Order: the one step that costs money.
    Submit,
    /// Look for an order whose answer was lost.
    Find,
    /// Ask the CA how the order stands.
    Look,
    /// Fetch the certificate and check it.
    Fetch,
    /// Make it count.
    Install,
    /// Remove the records of an order from DNS.
    Withdraw,
    /// Run the program that tells the servers.
    Deploy,
    /// Ask the CA to revoke.
    Revoke,
    /// Ask the CA whether it has revoked.
    Confirm,
}

impl Step {
    /// Whether it leads to an order that is not made yet.
    pub fn leads_to_an_order(self) -> bool {
        matches!(
            self,
            Self::Key
                | Self::Preflight
                | Self::Prove
                | Self::Challenge
                | Self::Publish
                | Self::Submit
        )
    }

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Held => "held",
            Self::Key => "key",
            Self::Preflight => "preflight",
            Self::Prove => "prove",
            Self::Challenge => "challenge",
            Self::Publish => "publish",
            Self::Submit => "submit",
            Self::Find => "find",
            Self::Look => "look",
            Self::Fetch => "fetch",
            Self::Install => "install",
            Self::Withdraw => "withdraw",
            Self::Deploy => "deploy",
            Self::Revoke => "revoke",
            Self::Confirm => "confirm",
        }
    }
}

/// What lies in the place that servers read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Live {
    /// Nobody looked: another machine keeps the files.
    Unknown,
    /// Nothing.
    Nothing,
    /// A certificate with these dates, by its serial number.
    There {
        /// Its serial number.
        serial: String,
        /// From when it counts.
        not_before: Timestamp,
        /// Until when it counts.
        not_after: Timestamp,
    },
}

/// How the domains of a certificate are proven at its CA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proofs {
    /// Its CA validates within the order.
    InOrder,
    /// All of them, for long enough.
    Enough,
    /// Not all of them; the reason in words.
    Missing(String),
}

/// Everything that a decision is made of.
#[derive(Debug, Clone, Copy)]
pub struct Observed<'a> {
    /// What the configuration wants; `None`: nothing any more.
    pub wanted: Option<&'a Wanted>,
    /// What is remembered.
    pub progress: &'a Progress,
    /// What lies on the disk.
    pub live: &'a Live,
    /// How its domains stand.
    pub proofs: &'a Proofs,
    /// Whether this is the first question of a run: an open order is looked at, whenever it was
    /// looked at before.
    pub is_fresh: bool,
}

/// A step, when it is due, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub step: Step,
    /// When; [`Timestamp::MAX`]: only when something changes.
    pub at: Timestamp,
    /// In words.
    pub why: String,
}

impl Decision {
    fn new(step: Step, at: Timestamp, why: impl Into<String>) -> Self {
        Self {
            step,
            at,
            why: why.into(),
        }
    }

    /// Whether it is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.at <= now && !matches!(self.step, Step::Rest | Step::Held)
    }
}

/// The next step.
pub fn next_step(observed: Observed<'_>, now: Timestamp) -> Decision {
    let progress = observed.progress;
    let removal = progress.leftovers_at.unwrap_or(now);
    if !progress.leftovers.is_empty() && (removal <= now || observed.is_fresh) {
        return Decision::new(
            Step::Withdraw,
            removal.min(now),
            "records of an order must leave DNS",
        );
    }
    let is_refused = |hold: &Hold| hold.kind == HoldKind::Revocation;
    let is_asked = !progress.hold.as_ref().is_some_and(is_refused);
    if let Some(revocation) = progress.revocation.as_ref().filter(|_| is_asked) {
        let at = progress.not_before.unwrap_or(now);
        return match (revocation.asked_at, revocation.look_at) {
            (Some(_), Some(look_at)) if observed.is_fresh => Decision::new(
                Step::Confirm,
                look_at.min(now),
                "the CA has not said yet that it is revoked",
            ),
            (Some(_), look_at) => Decision::new(
                Step::Confirm,
                look_at.unwrap_or(now),
                "the CA has not said yet that it is revoked",
            ),
            (None, _) => Decision::new(Step::Revoke, at, "a person asked to revoke it"),
        };
    }
    let Some(wanted) = observed.wanted else {
        return Decision::new(
            Step::Rest,
            Timestamp::MAX,
            "the configuration does not want it",
        );
    };
    if let Some(deployment) = progress.deployment.as_ref().filter(|_| wanted.deploys) {
        let at = if observed.is_fresh {
            now
        } else {
            deployment.at
        };
        return Decision::new(
            Step::Deploy,
            at,
            "the servers do not know the new certificate",
        );
    }
    if let Some(hold) = progress.hold.as_ref().filter(|_| is_held(observed)) {
        return Decision::new(Step::Held, Timestamp::MAX, hold.words.clone());
    }
    // What was held is over, because something else is wanted; an order without an answer is not.
    let is_answered = |order: &Order| order.submitted_at.is_none() || order.reference.is_some();
    let is_open = progress.order.as_ref().is_none_or(is_answered) && !is_fetched_again(progress);
    if progress.hold.is_some() && is_open {
        let at = progress.not_before.unwrap_or(now);
        return Decision::new(Step::Key, at, "the configuration wants another certificate");
    }
    match &progress.order {
        Some(order) => under_way(order, wanted, observed, now),
        None => renewal(wanted, observed, now),
    }
}

/// A hold ends when something else is wanted, or when a person says so. What is fetched once more
/// orders nothing, and so no hold stands in its way.
fn is_held(observed: Observed<'_>) -> bool {
    let hold = observed.progress.hold.as_ref();
    if is_fetched_again(observed.progress) {
        return false;
    }
    hold.is_some_and(|hold| {
        observed
            .wanted
            .is_none_or(|wanted| wanted.print == hold.print)
    })
}

fn is_fetched_again(progress: &Progress) -> bool {
    let order = progress.order.as_ref();
    order.is_some_and(|order| order.is_fetched_again)
}

fn under_way(order: &Order, wanted: &Wanted, observed: Observed<'_>, now: Timestamp) -> Decision {
    let progress = observed.progress;
    let retry = progress.not_before.unwrap_or(now);
    if order.is_fetched {
        return Decision::new(Step::Install, retry, "the certificate came and was checked");
    }
    if order.reference.is_some() {
        return match &order.state {
            Some(OrderState::Issued) => {
                let at = match observed.is_fresh {
                    true => now,
                    false => retry.max(order.look_at.unwrap_or(retry)),
                };
                Decision::new(Step::Fetch, at, "the CA has issued the certificate")
            }
            state => {
                let at = order.look_at.unwrap_or(now);
                let at = match observed.is_fresh && !order.look_at_is_the_cas {
                    true => now,
                    false => at.max(retry),
                };
                let state = state.as_ref().map_or_else(String::new, ToString::to_string);
                Decision::new(Step::Look, at, waiting(order, &state))
            }
        };
    }
    if order.submitted_at.is_some() {
        let at = order.look_at.unwrap_or(now).max(retry);
        return Decision::new(
            Step::Find,
            at,
            "no answer came to the order: it is looked for before anything is ordered again",
        );
    }
    if order.print != wanted.print {
        return Decision::new(
            Step::Key,
            retry,
            "the configuration wants another certificate",
        );
    }
    if order.product.is_none() {
        return Decision::new(
            Step::Preflight,
            retry,
            "the CA is asked first whether it would take the order",
        );
    }
    match observed.proofs {
        Proofs::Missing(why) => return Decision::new(Step::Prove, Timestamp::MAX, why.clone()),
        Proofs::InOrder if order.answer.is_none() => {
            return Decision::new(Step::Challenge, retry, "the order wants records in DNS");
        }
        Proofs::InOrder if !is_visible(order) => {
            return Decision::new(
                Step::Publish,
                order.look_at.map_or(retry, |at| at.max(retry)),
                "the records of the order are not visible yet",
            );
        }
        Proofs::InOrder | Proofs::Enough => {}
    }
    Decision::new(Step::Submit, retry, "everything is ready for the order")
}

fn is_visible(order: &Order) -> bool {
    order
        .records
        .iter()
        .all(|record| record.state == RecordState::Visible)
}

fn waiting(order: &Order, state: &str) -> String {
    match (&order.words, state) {
        (Some(words), state) => format!("the order {state}: {words}"),
        (None, "") => "the CA has the order".to_owned(),
        (None, state) => format!("the order: {state}"),
    }
}

fn renewal(wanted: &Wanted, observed: Observed<'_>, now: Timestamp) -> Decision {
    let progress = observed.progress;
    let retry = progress.not_before.unwrap_or(now);
    if progress.again {
        return Decision::new(Step::Key, retry, "a person asked for a new one");
    }
    let Some(installed) = &progress.installed else {
        return Decision::new(Step::Key, retry, "there is no certificate yet");
    };
    if installed.print != wanted.print {
        return Decision::new(
            Step::Key,
            retry,
            "the configuration wants another certificate",
        );
    }
    if installed.revoked_at.is_some() {
        // Who revoked it, revoked it for a reason: a new one is ordered when that person says so.
        return Decision::new(
            Step::Rest,
            Timestamp::MAX,
            format!(
                "it is revoked; `prevalidate certificate issue {} --again` orders a new one",
                wanted.name
            ),
        );
    }
    let (not_before, not_after) = match observed.live {
        Live::Nothing => {
            let why = format!(
                "its files are gone; `prevalidate certificate issue {} --again` orders a new one",
                wanted.name
            );
            return Decision::new(Step::Held, Timestamp::MAX, why);
        }
        Live::There {
            not_before,
            not_after,
            ..
        } => (*not_before, *not_after),
        Live::Unknown => (installed.not_before, installed.not_after),
    };
    let at = wanted
        .renew_before
        .renew_at(not_before, not_after)
        .max(retry);
    if at <= now {
        return Decision::new(Step::Key, at, format!("it ends on {not_after}"));
    }
    Decision::new(
        Step::Rest,
        at,
        format!("it is renewed then, and ends on {not_after}"),
    )
}

/// How long to wait after the so manieth failure in a row.
pub fn backoff(failures: u32) -> SignedDuration {
    let seconds = 5_i64 << failures.clamp(1, 10).saturating_sub(1);
    SignedDuration::from_secs(seconds.min(3600))
}

#[cfg(test)]
mod tests;
