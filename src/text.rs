//! Text: what people hand over in any encoding, and what they read on a terminal, on a page or in a
//! message: times as they say them, and no character that does harm.

mod cause;
mod encoding;
mod escape;
pub mod pem;
mod time;

pub use cause::{cause, hint};
pub use encoding::{NotText, decode};
pub use escape::{escape, in_json};
pub use time::{moment, relative};
