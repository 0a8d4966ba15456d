//! Reading the secrets that a table points to; every error names the key, and none shows a secret.
#![cfg_attr(
    not(any(feature = "cloudflare", feature = "route53")),
    allow(
        dead_code,
        reason = "which readings are needed depends on the adapters of the build"
    )
)]

use secrecy::SecretString;

use crate::provider::{ErrorKind, ProviderError};
use crate::secret::{SecretError, SecretSource};

/// A password of a key of the table.
pub(crate) fn read_secret(key: &str, source: &SecretSource) -> Result<SecretString, ProviderError> {
    source.read().map_err(|error| unread(key, &error))
}

/// A text of several lines, like a key file.
pub(crate) fn read_text(key: &str, source: &SecretSource) -> Result<SecretString, ProviderError> {
    source.read_text().map_err(|error| unread(key, &error))
}

/// One that goes into a header. What cannot stand there is refused here, in words of our own: HTTP
/// libraries print what they refuse.
pub(crate) fn read_token(key: &str, source: &SecretSource) -> Result<SecretString, ProviderError> {
    source.read_token().map_err(|error| unread(key, &error))
}

fn unread(key: &str, error: &SecretError) -> ProviderError {
    let hint = error.hint().map(str::to_owned);
    ProviderError {
        hint,
        ..ProviderError::new(ErrorKind::Settings, format!("{key}: {error}"))
    }
}
