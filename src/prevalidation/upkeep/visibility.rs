//! What the name servers show of an attempt's record.

use jiff::Timestamp;

/// From the change that wrote the record to the last check of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Visibility {
    /// The provider's name for the change that wrote the record, where it has one.
    pub change_id: Option<String>,
    /// When the gate first passed.
    pub visible_at: Option<Timestamp>,
    /// When the gate last passed: `validate` is called only within a minute of it (invariant I5).
    pub seen_at: Option<Timestamp>,
    /// When no resolver can remember the time before the record any more.
    pub horizon_at: Option<Timestamp>,
    /// Until when a resolver that was asked still answers from before the record. Each check says
    /// it anew.
    pub cached_until: Option<Timestamp>,
    /// Checks since the record was published, for the polling interval.
    pub checks: u32,
    /// How often the record was found gone after it had been visible.
    pub vanished: u32,
}

impl Visibility {
    /// The record was written by this change; a provider may name none for a write that changed
    /// nothing.
    pub fn written_by(&mut self, change_id: Option<String>) {
        self.change_id = change_id.or(self.change_id.take());
    }

    /// Whether any name server has the record is not known any more.
    pub fn unsee(&mut self) {
        (self.visible_at, self.seen_at) = (None, None);
    }

    /// The record was gone after it had been visible, and is written again.
    pub fn vanish(&mut self) {
        self.unsee();
        self.checks = 0;
        self.vanished += 1;
    }

    /// The gate has passed. `true` if it is the first time; then no cache is older than `horizon`.
    pub fn pass(&mut self, now: Timestamp, horizon: Timestamp) -> bool {
        self.seen_at = Some(now);
        let is_first = self.visible_at.is_none();
        if is_first {
            (self.visible_at, self.horizon_at) = (Some(now), Some(horizon));
        }
        is_first
    }

    /// The gate has not passed.
    pub fn miss(&mut self) {
        self.checks += 1;
        self.seen_at = None;
    }
}
