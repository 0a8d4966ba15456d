//! What the program and its DNS providers build on. Nothing here knows a CA, a provider or DNS.
//!
//! ```text
//! http                          one exchange with a web API: limits, proxy, CA file, Retry-After, time-outs
//! table                         one table of the configuration, read key by key; the secrets that it names
//! pace                          how often a credential may be used, here and on other machines
//! secret                        where a secret comes from, and reading it
//! fault                         why something does not work, and what a person can do about it
//! trust · dial · json · causes  the owners of a file; hosts of several addresses; foreign JSON; errors in words
//! text                          files of any encoding, and the certificates and keys in them
//! ```

pub mod causes;
pub mod dial;
mod fault;
pub mod http;
pub mod json;
mod nearest;
pub mod pace;
pub mod secret;
pub mod table;
pub mod text;
pub mod trust;

pub use fault::{Fault, FaultKind};
pub use nearest::nearest;
