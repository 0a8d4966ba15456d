//! From `[[server.hook_key]]` to the senders of hooks.

use super::App;
use crate::config::HookKind;
use crate::server::hooks::key::Key;
use crate::server::hooks::signature::Scheme;

impl App {
    /// The keys of the configuration with their secrets, read now. The error lists every one that
    /// cannot be used, and shows none.
    pub fn hook_keys(&self) -> Result<Vec<Key>, Vec<String>> {
        let (mut keys, mut faults): (Vec<Key>, Vec<String>) = Default::default();
        for from in self
            .settings
            .server
            .iter()
            .flat_map(|server| &server.hook_keys)
        {
            let scheme = match from.kind {
                HookKind::Standard => Scheme::Standard,
                HookKind::Hub => Scheme::Hub,
            };
            let mut secrets = Vec::new();
            for (word, source) in [
                ("secret", Some(&from.secret)),
                ("second_secret", from.second_secret.as_ref()),
            ] {
                let read = source
                    .map(|source| source.read().map_err(|error| error.to_string()))
                    .transpose();
                let usable =
                    read.and_then(|secret| secret.map(|secret| scheme.secret(&secret)).transpose());
                match usable {
                    Ok(secret) => secrets.extend(secret),
                    Err(fault) => {
                        let key = format!("server.hook_key.{word} of {}", from.name);
                        faults.push(format!("{}: {fault}", self.settings.place(&key)))
                    }
                }
            }
            let key = Key::new(&from.name, scheme, secrets, from.zones.clone());
            // It would not be known which of them it was, and what it may name.
            if let Some(known) = keys.iter().find(|known| known.shares_a_secret_with(&key)) {
                let place = self
                    .settings
                    .place(&format!("server.hook_key.secret of {}", key.name()));
                faults.push(format!("{place}: is the same as that of {}", known.name()));
            }
            keys.push(key);
        }
        if faults.is_empty() {
            Ok(keys)
        } else {
            Err(faults)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use super::*;

    fn read(folder: &Path, keys: &str) -> Result<Vec<Key>, Vec<String>> {
        use std::os::unix::fs::PermissionsExt;
        for (file, text) in [
            ("good", "a text of more than 24 bytes"),
            ("next", "another text of 24 bytes or more"),
            ("weak", "hunter2"),
        ] {
            std::fs::write(folder.join(file), text).unwrap();
            std::fs::set_permissions(folder.join(file), std::fs::Permissions::from_mode(0o600))
                .unwrap();
        }
        let text = format!(
            "[policy]\nmode = \"manage\"\n[store]\nurl = \"sqlite::memory:\"\n[ca.x]\nkind = \"swisssign\"\nurl = \
             \"http://127.0.0.1:1\"\nuser = \"u\"\napi_key = {{ env = \"X\" }}\n[[client]]\nname = \"x\"\n[server]\n{keys}"
        );
        let path = folder.join("prevalidate.toml");
        std::fs::write(&path, text).unwrap();
        let settings = crate::config::load(&path).unwrap();
        App::new(settings, crate::commands::app::clock()).hook_keys()
    }

    #[test]
    fn every_secret_that_cannot_be_used_is_named_at_once_and_none_is_shown() {
        let folder = tempfile::tempdir().unwrap();
        let key = |name: &str, second: &str, file: &str| {
            format!(
                "[[server.hook_key]]\nname = \"{name}\"\nsecret = {{ file = \"{file}\" }}\n{second}"
            )
        };
        let second = "second_secret = { file = \"next\" }\n";
        let good = key("a", second, "good");
        let keys = read(folder.path(), &good).unwrap();
        assert_eq!((keys.len(), keys[0].name()), (1, "a"));
        assert_eq!(read(folder.path(), "").unwrap().len(), 0);
        let faults = read(
            folder.path(),
            &[
                good,
                key("b", "", "next"),
                key("c", second, "weak"),
                key("d", "", "none"),
            ]
            .concat(),
        );
        let faults = faults.unwrap_err();
        let wanted = [
            "secret of b: is the same as that of a",
            "secret of c: must have 24",
            "secret of c: is the same",
            "secret of d: the secret from file",
        ];
        assert_eq!(faults.len(), wanted.len(), "{faults:?}");
        for (fault, wanted) in faults.iter().zip(wanted) {
            assert!(
                fault.contains(wanted) && !fault.contains("hunter2"),
                "{fault}"
            );
        }
    }
}
