//! The pure heart: what a domain is, how long a proof may be used, and the one next step. No clock,
//! no I/O, no async.
//!
//! Read [`name`], then [`registration`] (what the CA says), [`reuse`] (how long that counts),
//! [`observed`] (all that is known about a domain when a decision is due), [`planner`] (the
//! decision) and [`guard`] (when not to act at all).

pub mod belief;
pub mod challenge;
pub mod forecast;
pub mod guard;
pub mod lapse;
pub mod lateness;
pub mod ledger;
pub mod name;
pub mod observed;
mod order;
pub mod plan;
pub mod planner;
pub mod policy;
pub mod progress;
mod proof;
mod purpose;
pub mod registration;
pub mod reuse;
mod row_key;
pub mod upkeep;
pub mod waiting;
pub mod words;

pub use challenge::{Challenge, ChallengeData, ChallengeError, Counts, RecordName};
pub use guard::Alarm;
pub use lateness::Lateness;
pub use ledger::{LedgerEntry, LedgerState, RecordForm, RecordType};
pub use name::{DomainName, NameError, Notice};
pub use observed::{Observed, Sighting, State};
pub use order::{Order, OrderState};
pub use plan::{Plan, PlannedStep};
pub use planner::{Decision, Next, Step, Why, next_step};
pub use policy::{Mode, Policy};
pub use progress::{Progress, absorb};
pub use proof::Proof;
pub use purpose::Purpose;
pub use registration::{Registration, Status, Token};
pub use reuse::{ReuseRow, ReuseTable};
pub use row_key::RowKey;
pub use upkeep::{Bogus, Effect, Hold, OthersChanged, Stage, Upkeep};
pub use waiting::Waiting;
