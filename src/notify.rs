//! Notices: from a snapshot of all domains to messages, and to whatever brings
//! them to people.
//!
//! [`concern`] says what is wrong now, [`decide`] what of that a sink has not been told yet (both
//! pure), [`Notice`] is what is said, a [`Carrier`] brings it: [`carrier`] has the four there are.
//! [`Notifier`] goes through it once for a snapshot; in a daemon [`follow`] keeps it away from the
//! loop that makes the snapshots.
//!
//! What each sink has been told is in the store, topic by topic, and only changes hands by
//! comparing it: in a fleet one machine tells, and a message whose receiver may not have got it is
//! sent again with the same id.

pub mod carrier;
pub mod concern;
pub mod decide;
mod feed;
mod notice;
mod notifier;
#[cfg(test)]
mod tests;
mod topic;

use std::time::Duration;

use async_trait::async_trait;
use jiff::SignedDuration;

pub use feed::follow;
pub use notice::{Item, Notice, Status};
pub use notifier::{Notifier, Open, Undelivered};
pub use topic::{Severity, Topic};

/// Brings notices to one sink.
#[async_trait]
pub trait Carrier: Send + Sync {
    /// Delivers it, or says why not. A notice that is carried again after a lost answer has the
    /// same id and the same words.
    async fn carry(&self, notice: &Notice) -> Result<(), Failure>;
}

/// Why a notice was not delivered, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What was tried, on which receiver, its reply, and the hint. Never a secret.
    pub message: String,
    /// It may have arrived all the same.
    pub is_open: bool,
    /// Some of those who are to be told were: it is not tried again.
    pub in_part: bool,
    /// How long a pause the receiver asks for.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// It certainly did not arrive.
    pub fn refused(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            is_open: false,
            in_part: false,
            retry_after: None,
        }
    }

    /// It is not known whether it arrived.
    pub fn open(message: impl Into<String>) -> Self {
        Self {
            is_open: true,
            ..Self::refused(message)
        }
    }

    /// Some have it, the others will never take it.
    pub fn in_part(message: impl Into<String>) -> Self {
        Self {
            in_part: true,
            ..Self::refused(message)
        }
    }
}

/// One `[[notify]]`: what it is sent, and what carries it.
pub struct Sink {
    /// Its name, the same on every machine that shares the store.
    pub name: String,
    /// The payload that it gets.
    pub wants: Wants,
    /// The carrier.
    pub carrier: Box<dyn Carrier>,
}

/// The content of a notice to a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wants {
    /// These topics.
    pub topics: Vec<Topic>,
    /// Of these only concerns of at least this severity.
    pub severity: Severity,
    /// A concern that does not change is reported again after this time.
    pub repeat: SignedDuration,
    /// The same for what is critical.
    pub repeat_critical: SignedDuration,
}

impl Wants {
    /// Whether the sink hears of this topic.
    pub fn takes(&self, topic: Topic) -> bool {
        self.topics.contains(&topic) && topic.severity() >= self.severity
    }

    /// After how long it hears again of what has not changed.
    pub fn repeat(&self, topic: Topic) -> SignedDuration {
        if topic.severity() == Severity::Critical {
            self.repeat_critical
        } else {
            self.repeat
        }
    }
}

/// How quickly something is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// After a message about a topic, what else comes up is gathered for this time: many domains
    /// are one message.
    pub gather: SignedDuration,
    /// A CA that cannot be asked is told of after this time: most such troubles pass.
    pub doubt: SignedDuration,
    /// A step that failed this often in a row is reported.
    pub failures: u32,
    /// A message that could not be delivered is tried without waiting any longer: the next occasion
    /// may be tomorrow.
    pub impatient: bool,
}

impl Pace {
    /// For a pass that ends: whatever is wrong then stays so until the next one.
    pub const NIGHTLY: Self = Self {
        gather: SignedDuration::ZERO,
        doubt: SignedDuration::ZERO,
        failures: 1,
        impatient: true,
    };
    /// For a program that checks all the time. Five failures in a row are most of an hour.
    pub const DAEMON: Self = Self {
        gather: SignedDuration::from_mins(5),
        doubt: SignedDuration::from_mins(10),
        failures: 5,
        impatient: false,
    };
}
