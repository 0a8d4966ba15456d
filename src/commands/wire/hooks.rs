//! The senders of hooks, from settings to keys with their secrets.

use super::{Exit, Failed, Settings};
use crate::config::HookKind;
use crate::server::hooks::Key;
use crate::server::hooks::signature::Scheme;

/// `[[server.hook_key]]` with what is read from their sources now; all that is wrong with them comes at once.
#[allow(dead_code, reason = "the daemon asks for them")]
pub(in crate::commands) fn hook_keys(settings: &Settings) -> Result<Vec<Key>, Failed> {
    let (mut keys, mut faults): (Vec<Key>, Vec<String>) = Default::default();
    for from in settings.server.iter().flat_map(|server| &server.hook_keys) {
        let scheme = match from.kind {
            HookKind::Standard => Scheme::Standard,
            HookKind::Hub => Scheme::Hub,
        };
        let mut secrets = Vec::new();
        for source in [Some(&from.secret), from.second_secret.as_ref()].into_iter().flatten() {
            match source.read() {
                Ok(secret) => secrets.push(secret),
                Err(error) => faults.push(format!("[[server.hook_key]] {}: {error}", from.name)),
            }
        }
        match Key::new(&from.name, scheme, &secrets, from.zones.clone()) {
            Err(error) => faults.push(format!("[[server.hook_key]] {}: its secret {error}", from.name)),
            Ok(key) => {
                // Nobody could tell who of them it was, and what it may name.
                faults.extend(keys.iter().filter(|known| known.shares_a_secret_with(&key)).map(|known| {
                    format!("[[server.hook_key]] {}: has the same secret as {}", key.name(), known.name())
                }));
                keys.push(key);
            }
        }
    }
    if faults.is_empty() { Ok(keys) } else { Err(Failed::new(Exit::Usage, faults.join("\n"))) }
}
