//! The records that an order has in DNS: how far they are, and when they are checked.

use jiff::{SignedDuration, Timestamp};

use super::Observed;
use super::progress::{Order, Record, RecordState};

/// While the records of an order are not visible, the CA is asked for its state after this time.
const ASKED_MEANWHILE: SignedDuration = SignedDuration::from_mins(10);

pub(super) fn is_overdue(order: &Order, now: Timestamp) -> bool {
    let last = order.last_read_at.or(order.submitted_at);
    last.is_some_and(|at| now.duration_since(at) > ASKED_MEANWHILE)
}

pub(super) fn has_written(order: &Order) -> bool {
    order.records.iter().any(Record::may_stand)
}

pub(super) fn is_visible(order: &Order) -> bool {
    order
        .records
        .iter()
        .all(|record| record.state == RecordState::Visible)
}

/// The records of an order whose CA is asked later are checked after this time.
const WATCHED: SignedDuration = SignedDuration::from_hours(1);

/// When the records of an order are checked in DNS although the CA is asked later, at the
/// moment that it named: by a run at once, and now and then.
pub(super) fn watch(order: &Order, observed: Observed<'_>, now: Timestamp) -> Option<Timestamp> {
    let is_put_off = order.next_read_is_from_ca && order.next_read_at.is_some_and(|at| at > now);
    let seen = order.records.iter().filter(|_| is_put_off);
    let again = |at: Timestamp| at.checked_add(WATCHED).ok();
    let first = seen.map(|one| one.stood_at.and_then(again)).min()?;
    Some(match observed.is_fresh {
        true => now,
        false => first.unwrap_or(now),
    })
}
