//! What brings notices to people and programs: [`web`] for signed webhooks and for chats, [`mail`],
//! [`program`].
//!
//! Where a notice goes is in the configuration and nowhere else; [`door`] makes sure that this
//! leads out of the network unless it is meant to stay inside (faults H10).

pub mod door;
pub mod mail;
pub mod program;
pub mod web;

use prevalidate_kit::secret::SecretSource;
use secrecy::SecretString;

use super::Failure;
use crate::text::escape;

/// Characters of what the receiver said in an error.
const SAID: usize = 200;

/// Reads a secret for one delivery: a replaced secret counts at once. It may come from a slow
/// program prints.
async fn secret(what: &str, source: &SecretSource) -> Result<SecretString, Failure> {
    let source = source.clone();
    let read = tokio::task::spawn_blocking(move || source.read()).await;
    match read {
        Ok(Ok(secret)) => Ok(secret),
        Ok(Err(error)) => Err(Failure::refused(format!("{what}: {error}"))),
        Err(_) => Err(Failure::refused(format!("{what} could not be read"))),
    }
}

/// Words of the receiver: on one line, harmless, not too long.
fn said(words: &str) -> String {
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
    escape(&words).chars().take(SAID).collect()
}
