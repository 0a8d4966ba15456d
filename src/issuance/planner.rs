//! What is done next for a certificate, and when: a pure function of what is wanted, what is
//! remembered, what is on the disk and what the proofs say.
//!
//! ```text
//! key → preflight → (prove) → submit → read → fetch → install → deploy → rest
//!                               ↓  ↑
//!                               find       after a lost answer, and never a second submit before
//!                                  ↑↓
//!                                publish   where the CA names records once it has the order
//! ```

use jiff::{SignedDuration, Timestamp};

use super::live::{obstacle, repair, restoration};
use super::progress::{Hold, Order, Progress};
use super::records::{has_written, is_overdue, is_visible, watch};
use super::wanted::duplicate_of;
use super::{BY_HAND, Live, OrderState, Step, Wanted, again};

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
    /// The stored state.
    pub progress: &'a Progress,
    /// The files on the disk.
    pub live: &'a Live,
    /// The states of its domains.
    pub proofs: &'a Proofs,
    /// Whether this is the first question of a run: an open order is read, whenever it was read
    /// before.
    pub is_fresh: bool,
}

/// A step, when it is due, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The next step.
    pub step: Step,
    /// When; [`Timestamp::MAX`]: only when something changes.
    pub at: Timestamp,
    /// In words.
    pub why: String,
    /// When something beside it is due, where it waits for a person or for a proof.
    pub beside: Option<Timestamp>,
}

impl Decision {
    pub(super) fn new(step: Step, at: Timestamp, why: impl Into<String>) -> Self {
        Self {
            step,
            at,
            why: why.into(),
            beside: None,
        }
    }

    /// The one that is due first of two that are not due. What waits for a person, or for a proof,
    /// stays the answer.
    fn beside(self, other: Self) -> Self {
        let waits = matches!(self.step, Step::Held | Step::Prove);
        match waits {
            true => Self {
                beside: self.beside.into_iter().chain([other.at]).min(),
                ..self
            },
            false if other.at < self.at => other,
            false => self,
        }
    }

    /// Whether it is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.at <= now && !matches!(self.step, Step::Rest | Step::Held)
    }
}

/// The next step. A revocation comes first, then what is damaged, then what leads to a certificate,
/// then the servers that do not know of one: none of them waits for another that is not due.
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
    let revocation = revocation(observed, now);
    if let Some(due) = revocation.as_ref().filter(|one| one.is_due(now)) {
        return due.clone();
    }
    let repair = repair(observed, now);
    if let Some(due) = repair.as_ref().filter(|one| one.is_due(now)) {
        return due.clone();
    }
    let own = own_step(observed, now);
    if own.is_due(now) {
        return own;
    }
    let deployment = deployment(observed, now);
    if let Some(due) = deployment.as_ref().filter(|one| one.is_due(now)) {
        return due.clone();
    }
    let restoration = restoration(observed, now);
    if let Some(due) = restoration.as_ref().filter(|one| one.is_due(now)) {
        return due.clone();
    }
    let beside = [revocation, repair, deployment, restoration];
    let beside = beside.into_iter().flatten();
    beside.fold(own, Decision::beside)
}

/// What a revocation wants that a person asked for, and the CA did not refuse.
fn revocation(observed: Observed<'_>, now: Timestamp) -> Option<Decision> {
    let progress = observed.progress;
    let open = progress.revocation.as_ref();
    let open = open.filter(|one| one.refused.is_none())?;
    if open.asked_at.is_none() {
        let at = progress.not_before.unwrap_or(now);
        return Some(Decision::new(
            Step::Revoke,
            at,
            "a person asked to revoke it",
        ));
    }
    let at = open.next_read_at.unwrap_or(now);
    let at = match observed.is_fresh {
        true => at.min(now),
        false => at,
    };
    let why = "the CA has not said yet that it is revoked";
    Some(Decision::new(Step::Confirm, at, why))
}

/// What servers want that do not know of a change.
fn deployment(observed: Observed<'_>, now: Timestamp) -> Option<Decision> {
    let open = observed.progress.deployment.as_ref()?;
    observed.wanted.filter(|wanted| wanted.deploys)?;
    let at = match observed.is_fresh {
        true => now,
        false => open.at,
    };
    let why = match &open.trouble {
        Some(trouble) => format!("the deploy program failed: {trouble}"),
        None => "the servers do not know the new certificate".to_owned(),
    };
    Some(Decision::new(Step::Deploy, at, why))
}

/// The next step on the way to a certificate.
fn own_step(observed: Observed<'_>, now: Timestamp) -> Decision {
    let progress = observed.progress;
    let Some(wanted) = observed.wanted else {
        return left_behind(observed, now);
    };
    let hold = holds(wanted, progress);
    let is_tried_again = hold.is_some_and(|hold| observed.is_fresh && hold.kind.is_local());
    let is_local = hold.is_some_and(|hold| hold.kind.is_local() && !is_tried_again);
    if let Live::Newer { why } = observed.live
        && !is_local
    {
        // Whatever is under way or held, it came before that.
        return Decision::new(Step::Key, progress.not_before.unwrap_or(now), why.clone());
    }
    if let Some(hold) = hold.filter(|_| !is_tried_again) {
        return Decision::new(Step::Held, Timestamp::MAX, hold.words.clone());
    }
    // What was held is over, because something else is wanted; an order without an answer is not.
    let is_answered = |order: &Order| order.submitted_at.is_none() || order.reference.is_some();
    let is_open = progress.order.as_ref().is_none_or(is_answered) && !is_fetched_again(progress);
    if progress.hold.is_some() && is_open && !is_tried_again {
        let at = progress.not_before.unwrap_or(now);
        return Decision::new(Step::Key, at, "the configuration wants another certificate");
    }
    match &progress.order {
        Some(order) => under_way(order, wanted, observed, now),
        None => {
            let retry = progress.not_before.unwrap_or(now);
            renewal(wanted, observed, retry, now)
        }
    }
}

/// What is left of a certificate that the configuration does not name any more. An order that was made
/// is followed to its end, because it is paid and has records in DNS; nothing is ordered.
fn left_behind(observed: Observed<'_>, now: Timestamp) -> Decision {
    let progress = observed.progress;
    let rest = |why: String| Decision::new(Step::Rest, Timestamp::MAX, why);
    let order = progress.order.as_ref();
    let Some(order) = order.filter(|order| !order.is_fetched_again) else {
        return rest("the configuration does not want it".to_owned());
    };
    if order.submitted_at.is_none() {
        let why = "the configuration does not want it, and it was not ordered";
        return match has_written(order) {
            true => Decision::new(Step::Withdraw, now, why),
            false => rest(why.to_owned()),
        };
    }
    let retry = progress.not_before.unwrap_or(now);
    let Some(reference) = &order.reference else {
        let at = order.next_read_at.unwrap_or(now).max(retry);
        let why = "not in the configuration; no answer came to its order, which is searched for";
        return Decision::new(Step::Find, at, why);
    };
    if order.state == Some(OrderState::Issued) {
        return rest(format!(
            "not in the configuration; the CA has issued its order {reference}, which is not fetched"
        ));
    }
    let state = order.state.as_ref();
    let state = state.map_or_else(String::new, ToString::to_string);
    let why = waiting(order, &state);
    let why = format!("not in the configuration, and its order {reference} is open: {why}");
    // Nothing is published for it any more, so nothing but time brings the next question about.
    let paced = order
        .last_read_at
        .map(|at| order.next_read(at))
        .unwrap_or(now);
    let at = match order.next_read_at {
        Some(_) => next_read_at(order, observed, retry, now),
        None if observed.is_fresh => now,
        None => paced.max(retry),
    };
    Decision::new(Step::Read, at, why)
}

/// What a person must decide before anything continues. A hold ends when something else is wanted,
/// or when a person says so. A certificate that is fetched once more orders nothing, so no hold
/// stops it.
pub fn holds<'a>(wanted: &Wanted, progress: &'a Progress) -> Option<&'a Hold> {
    let hold = progress.hold.as_ref()?;
    (hold.print == wanted.print && !is_fetched_again(progress)).then_some(hold)
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
                    false => retry.max(order.next_read_at.unwrap_or(retry)),
                };
                Decision::new(Step::Fetch, at, "the CA has issued the certificate")
            }
            // The CA is asked first, and now and then: the order may not want them any more.
            _ if !is_visible(order) && !observed.is_fresh && !is_overdue(order, now) => {
                publication(order, retry)
            }
            state => {
                let at = next_read_at(order, observed, retry, now);
                let state = state.as_ref().map_or_else(String::new, ToString::to_string);
                let why = waiting(order, &state);
                match watch(order, observed, now).filter(|&watch| watch < at) {
                    Some(at) => Decision::new(Step::Watch, at, why),
                    None => Decision::new(Step::Read, at, why),
                }
            }
        };
    }
    if order.submitted_at.is_some() {
        let at = match observed.is_fresh && order.is_recovered {
            true => now,
            false => order.next_read_at.unwrap_or(now).max(retry),
        };
        return Decision::new(
            Step::Find,
            at,
            "no answer came to the order: it is searched for before anything is ordered again",
        );
    }
    if order.print != wanted.print {
        return Decision::new(
            Step::Key,
            retry,
            "the configuration wants another certificate",
        );
    }
    if let Some(why) = is_early(order, wanted, observed, now) {
        return Decision::new(Step::Drop, now, why);
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
        Proofs::InOrder if !is_visible(order) => return publication(order, retry),
        Proofs::InOrder | Proofs::Enough => {}
    }
    Decision::new(Step::Submit, retry, "everything is ready for the order")
}

/// Why a renewal that was started and not made is not due: a wrong clock has begun it, or another
/// setting.
fn is_early(
    order: &Order,
    wanted: &Wanted,
    observed: Observed<'_>,
    now: Timestamp,
) -> Option<String> {
    let installed = observed.progress.installed.as_ref()?;
    let is_renewal = !order.is_again && wanted.is_met_by(&installed.print);
    // A duplicate is renewed with its first, and costs nothing.
    let is_duplicate = duplicate_of(&wanted.print).is_some();
    if !is_renewal || is_duplicate || wanted.name.starts_with(BY_HAND) {
        return None;
    }
    // A pause after a failure says nothing of it.
    let next = renewal(wanted, observed, now, now);
    (next.step == Step::Rest).then(|| format!("it was started and is not due: {}", next.why))
}

/// The time of the next read of an order. A run reads at once, unless the CA named the moment.
fn next_read_at(
    order: &Order,
    observed: Observed<'_>,
    retry: Timestamp,
    now: Timestamp,
) -> Timestamp {
    match observed.is_fresh && !order.next_read_is_from_ca {
        true => now,
        false => order.next_read_at.unwrap_or(now).max(retry),
    }
}

fn publication(order: &Order, retry: Timestamp) -> Decision {
    let why = "the records of the order are not visible yet";
    Decision::new(
        Step::Publish,
        order.next_read_at.map_or(retry, |at| at.max(retry)),
        order.pause.as_deref().unwrap_or(why),
    )
}

fn waiting(order: &Order, state: &str) -> String {
    match (&order.words, state) {
        (Some(words), state) => format!("the order {state}: {words}"),
        (None, "") => "the CA has the order".to_owned(),
        (None, state) => format!("the order: {state}"),
    }
}

fn renewal(wanted: &Wanted, observed: Observed<'_>, retry: Timestamp, now: Timestamp) -> Decision {
    let progress = observed.progress;
    if progress.again {
        return Decision::new(Step::Key, retry, "a person asked for a new one");
    }
    let Some(installed) = &progress.installed else {
        return Decision::new(Step::Key, retry, "there is no certificate yet");
    };
    let foreign = matches!(observed.live, Live::Foreign { .. });
    let obstacle = obstacle(observed, installed, &wanted.name, now);
    if let Some(why) = obstacle
        .clone()
        .filter(|_| foreign && installed.revoked_at.is_none())
    {
        return Decision::new(Step::Held, Timestamp::MAX, why);
    }
    if !wanted.is_met_by(&installed.print) {
        return Decision::new(
            Step::Key,
            retry,
            "the configuration wants another certificate",
        );
    }
    if installed.revoked_at.is_some() {
        // It was revoked for a reason: a new one is ordered when a person says so.
        return Decision::new(
            Step::Rest,
            Timestamp::MAX,
            format!("it is revoked; {} orders a new one", again(&wanted.name)),
        );
    }
    if let Some(why) = obstacle {
        return Decision::new(Step::Held, Timestamp::MAX, why);
    }
    let (not_before, not_after) = match observed.live {
        Live::There {
            not_before,
            not_after,
            ..
        } => (*not_before, *not_after),
        _ => (installed.not_before, installed.not_after),
    };
    if wanted.name.starts_with(BY_HAND) {
        let words = match not_after > now {
            true => {
                format!("it was ordered by hand, and nothing renews it; it ends on {not_after}")
            }
            false => format!(
                "it ended on {not_after}; {} orders a new one",
                again(&wanted.name)
            ),
        };
        return Decision::new(Step::Rest, Timestamp::MAX, words);
    }
    let at = wanted
        .renew_before
        .renew_at(not_before, not_after)
        .max(retry);
    if at <= now {
        return Decision::new(Step::Key, at, format!("it ends on {not_after}"));
    }
    let words = format!("it is renewed then, and ends on {not_after}");
    let words = match duplicate_of(&installed.print).filter(|_| installed.print != wanted.print) {
        Some(first) => {
            format!("it is a duplicate of {first}, and its renewal is an order of its own; {words}")
        }
        None => words,
    };
    Decision::new(Step::Rest, at, words)
}

/// How long to wait after the so manieth failure in a row.
pub fn backoff(failures: u32) -> SignedDuration {
    let seconds = 5_i64 << failures.clamp(1, 10).saturating_sub(1);
    SignedDuration::from_secs(seconds.min(3600))
}

#[cfg(test)]
mod tests;
