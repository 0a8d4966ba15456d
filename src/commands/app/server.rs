//! From `[server]` to the rights of clients over HTTP, and the certificate.

use prevalidate_kit::secret::SecretSource;

use super::App;
use crate::config::{TlsSettings, TokenRole};
use crate::server::access::{Access, Role};
use crate::server::tls::Tls;

impl App {
    /// The tokens of the configuration, read now. The error lists every one that cannot be used, and
    /// shows none.
    pub fn access(&self) -> Result<Access, Vec<String>> {
        let Some(server) = &self.settings.server else {
            return Ok(Access::default());
        };
        let (mut access, mut faults) = (Access::new(server.listen.ip().is_loopback()), Vec::new());
        for token in &server.tokens {
            let role = match token.role {
                TokenRole::Read => Role::Read,
                TokenRole::Hook => Role::Hook,
                TokenRole::Operate => Role::Operate,
            };
            let added = match token.secret.read_token() {
                Ok(secret) => access.add(&token.name, role, &secret),
                Err(error) => {
                    let hint = error
                        .hint()
                        .map(|hint| format!("\n  hint: {hint}"))
                        .unwrap_or_default();
                    Err(format!("{error}{hint}"))
                }
            };
            faults.extend(added.err().map(|fault| {
                let key = format!("server.token.secret of {}", token.name);
                format!("{}: {fault}", self.settings.place(&key))
            }));
        }
        if faults.is_empty() {
            Ok(access)
        } else {
            Err(faults)
        }
    }

    /// The certificate of the configuration, read now.
    pub fn tls(&self) -> Result<Option<Tls>, String> {
        let Some(TlsSettings { certificate, key }) = self
            .settings
            .server
            .as_ref()
            .and_then(|server| server.tls.as_ref())
        else {
            return Ok(None);
        };
        let chain = crate::text::file::read(certificate).map_err(|error| {
            format!(
                "{}: {} cannot be read: {error}",
                self.settings.place("server.tls.certificate"),
                certificate.display()
            )
        })?;
        // Like any secret: only its owner may read the file.
        let key = SecretSource::File(key.clone())
            .read_text()
            .map_err(|error| format!("{}: {error}", self.settings.place("server.tls.key")))?;
        Tls::new(&chain, &key)
            .map(Some)
            .map_err(|error| format!("server.tls: {error}"))
    }
}
