//! Text files of any program: their encodings, and the certificates and keys that they hold.

mod encoding;
pub mod pem;

pub use encoding::{NotText, decode};
