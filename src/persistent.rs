//! The pure heart of persistent records (BR 3.2.2.4.22): what such a record says and allows, which
//! are wanted, what is in DNS because of us, and the next step that follows. No clock, no I/O.
//!
//! A persistent record is *kept*: it stays in DNS for months, beside the records that CAs ask for
//! once. Read [`record`] (the grammar), [`validator`] (how CAs read it), [`lint`] (what is wrong
//! with one), [`kept`] (what is remembered) and [`planner`] (the decision).

pub mod account;
pub mod guard;
pub mod kept;
pub mod lint;
pub mod planner;
pub mod record;
pub mod trouble;
pub mod validator;
pub mod wanted;

#[cfg(test)]
mod tests;

pub use account::{AccountForm, Belonging};
pub use kept::{Kept, KeptHold, KeptRecord, KeptState};
pub use lint::{Fault, Severity};
pub use planner::{Decision, Seen, Step, Surroundings, Wait, Why, next_step};
pub use record::{LABEL, PersistentRecord, owner_of};
pub use trouble::Trouble;
pub use validator::{Accepted, Validator};
pub use wanted::{End, Wanted};

/// What the method is called in `validationmethods` of CAA records (BR 4.2.2.1).
pub const METHOD: &str = "ca-tbr-22";
