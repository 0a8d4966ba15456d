//! Reading the secrets that a table points to; every error names the key, and none shows a secret.
#![cfg_attr(
    not(any(feature = "cloudflare", feature = "route53")),
    allow(
        dead_code,
        reason = "which readings are needed depends on the adapters of the build"
    )
)]

use secrecy::{ExposeSecret, SecretString};

use crate::provider::{ErrorKind, ProviderError};
use crate::secret::{SecretSource, is_header_safe};

/// The secret of a key of the table.
pub(crate) fn read_secret(key: &str, source: &SecretSource) -> Result<SecretString, ProviderError> {
    source.read().map_err(|error| {
        let hint = error.hint().map(str::to_owned);
        ProviderError {
            hint,
            ..ProviderError::new(ErrorKind::Settings, format!("{key}: {error}"))
        }
    })
}

/// One that goes into a header. What cannot stand there is refused here, in words of our own: HTTP
/// libraries print what they refuse.
pub(crate) fn read_token(key: &str, source: &SecretSource) -> Result<SecretString, ProviderError> {
    let secret = read_secret(key, source)?;
    if is_header_safe(&secret) {
        return Ok(secret);
    }
    let what = if secret.expose_secret().contains(['\n', '\r']) {
        "holds a line end inside"
    } else {
        "holds a blank or another character that no token has"
    };
    Err(ProviderError::new(
        ErrorKind::Settings,
        format!("{key}: the secret from {source} {what}"),
    )
    .with_hint("write the bare token on one line, without quotes, `Bearer` or a second line"))
}
