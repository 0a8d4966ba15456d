//! Text: what people hand over in any encoding, and what they read on a terminal, on a page or in a
//! message: times as they say them, and no character that does harm.

mod cause;
mod escape;
pub mod file;
mod reason;
mod shared;
mod time;

pub use cause::{cause, is_cut};
pub use escape::{escape, in_json};
pub use prevalidate_kit::text::{NotText, decode, pem};
pub use reason::Reason;
pub use shared::Shared;
pub use time::{moment, relative};
