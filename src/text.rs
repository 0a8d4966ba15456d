//! What people read, on a terminal, on a page or in a message: times as they say them, and no
//! character that does harm.

mod escape;
mod time;

pub use escape::{escape, in_json};
pub use time::{moment, relative};
