//! Reading the secrets that a table points to; every error names the key, and none shows a secret.

use secrecy::SecretString;

use crate::fault::{Fault, FaultKind};
use crate::secret::{SecretError, SecretSource};

/// A password of a key of the table.
///
/// # Errors
/// The key, the source and what is wrong, never the secret.
pub fn read_secret(key: &str, source: &SecretSource) -> Result<SecretString, Fault> {
    source.read().map_err(|error| unread(key, &error))
}

/// A text of several lines, like a key file.
///
/// # Errors
/// The key, the source and what is wrong, never the secret.
pub fn read_text(key: &str, source: &SecretSource) -> Result<SecretString, Fault> {
    source.read_text().map_err(|error| unread(key, &error))
}

/// One that goes into a header. What cannot be there is refused here, in words of our own: HTTP
/// libraries print what they refuse.
///
/// # Errors
/// The key, the source and what is wrong, never the secret.
pub fn read_token(key: &str, source: &SecretSource) -> Result<SecretString, Fault> {
    source.read_token().map_err(|error| unread(key, &error))
}

fn unread(key: &str, error: &SecretError) -> Fault {
    let hint = error.hint().map(str::to_owned);
    Fault {
        hint,
        ..Fault::new(FaultKind::Settings, format!("{key}: {error}"))
    }
}
