//! `[provider.NAME]` tables of the configuration, and the only list of the kinds of provider: a new
//! adapter is one line here.

use std::sync::Arc;

use jiff::Timestamp;
use prevalidate_kit::nearest;
use prevalidate_kit::pace::Pace;
use prevalidate_kit::table::{Reader, SettingFault};
use serde_json::{Map, Value};

use crate::kind::{Kind, Now, Table, World};
use crate::provider::{LiveNameServers, Provider, ProviderError};

/// The kinds of this build.
const KINDS: &[Kind] = &[
    #[cfg(feature = "autodns")]
    crate::autodns::KIND,
    #[cfg(feature = "cloudflare")]
    crate::cloudflare::KIND,
    #[cfg(feature = "exec")]
    crate::exec::KIND,
    crate::manual::KIND,
    crate::rfc2136::KIND,
    #[cfg(feature = "route53")]
    crate::route53::KIND,
];
/// The kinds that bring code of their own, which a build may lack.
const FEATURES: [&str; 4] = ["autodns", "cloudflare", "exec", "route53"];

/// A checked table; no secret has been read yet.
#[derive(Debug, Clone)]
pub struct ProviderSettings(Arc<dyn Table>);

impl ProviderSettings {
    /// Reads a table.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn read(table: &Map<String, Value>) -> Result<Self, Vec<SettingFault>> {
        let mut reader = Reader::new(table);
        let settings = kind(&mut reader).and_then(|kind| {
            reader.only(&kind.keys.concat());
            (kind.read)(&mut reader)
        });
        match (settings, reader.faults()) {
            (Some(settings), faults) if faults.is_empty() => Ok(Self(settings)),
            (_, faults) => Err(faults),
        }
    }

    /// Reads the secrets and makes the provider.
    ///
    /// # Errors
    /// [`ErrorKind::Settings`](crate::ErrorKind::Settings) with what is wrong with which secret,
    /// never the secret.
    pub fn build(&self) -> Result<Arc<dyn Provider>, ProviderError> {
        #[expect(
            clippy::disallowed_methods,
            reason = "signatures carry the machine's time; tests build with their own"
        )]
        self.build_at(Arc::new(Timestamp::now))
    }

    /// The same with another clock for the signatures of dynamic updates.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_at(&self, now: Now) -> Result<Arc<dyn Provider>, ProviderError> {
        self.build_in(now, None, None)
    }

    /// The same for a world in which `live` says what a zone is delegated to, and other processes
    /// use the credentials as well: `pace` is asked before each call of an adapter that has a
    /// `rate`.
    ///
    /// # Errors
    /// As [`Self::build`].
    pub fn build_in(
        &self,
        now: Now,
        live: Option<LiveNameServers>,
        pace: Option<Pace>,
    ) -> Result<Arc<dyn Provider>, ProviderError> {
        self.0.build(&World { now, live, pace })
    }
}

/// The kind that the table names.
fn kind(reader: &mut Reader<'_>) -> Option<&'static Kind> {
    let name = reader.text("kind");
    let known = KINDS.iter().find(|kind| Some(kind.name) == name.as_deref());
    if known.is_some() {
        return known;
    }
    let mut names: Vec<&str> = KINDS.iter().map(|kind| kind.name).chain(FEATURES).collect();
    names.sort_unstable();
    names.dedup();
    let all = names.join(", ");
    let fault = match name.as_deref() {
        Some(name) if FEATURES.contains(&name) => {
            format!("this build has no {name}: it was made without the feature of that name")
        }
        Some(other) => {
            let hint = nearest(other, names)
                .map(|kind| format!("; did you mean {kind:?}?"))
                .unwrap_or_default();
            format!("no such kind of provider; there is: {all}{hint}")
        }
        None if reader.table.contains_key("kind") => return None,
        None => format!("missing: say which kind of provider, one of: {all}"),
    };
    reader.fault("kind", fault);
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::provider::ErrorKind;

    fn faults(value: Value) -> Vec<String> {
        let faults = ProviderSettings::read(value.as_object().unwrap())
            .map(drop)
            .unwrap_err();
        faults
            .into_iter()
            .map(|fault| format!("{}: {}", fault.key, fault.message))
            .collect()
    }

    #[test]
    fn all_faults_of_a_table_come_at_once_and_none_shows_a_secret() {
        let found = faults(json!({
            "kind": "rfc2136", "sevrer": "x", "server": "ns1:CANARY", "key_file": 7, "secret": "CANARY",
            "algorithm": "hmac-md5", "zones": ["a..b"], "ttl": 5, "timeout": "CANARY", "allow_wildcard_shadow": "yes",
        }));
        for key in [
            "sevrer",
            "server",
            "key_file",
            "secret",
            "algorithm",
            "zones",
            "ttl",
            "timeout",
            "allow_wildcard_shadow",
        ] {
            assert!(
                found
                    .iter()
                    .any(|fault| fault.starts_with(&format!("{key}: "))),
                "{key}: {found:#?}"
            );
        }
        assert!(
            found
                .iter()
                .any(|fault| fault.contains("did you mean \"server\"")),
            "{found:#?}"
        );
        assert!(!found.concat().contains("CANARY"), "{found:#?}");
    }

    #[test]
    fn a_key_comes_from_a_file_or_from_its_parts_but_not_from_both() {
        let both = json!({ "kind": "rfc2136", "server": "ns1", "key_file": "/k", "key_name": "k", "secret": { "env": "K" } });
        assert!(faults(both)[0].contains("not both"));
        assert!(faults(json!({ "kind": "rfc2136", "server": "ns1" }))[0].contains("tsig-keygen"));
        assert!(
            faults(json!({ "kind": "rfc2136", "server": "ns1", "secret": { "env": "K" } }))[0]
                .contains("key_name")
        );
        assert!(faults(json!({ "kind": "rfc2163" }))[0].contains("did you mean \"rfc2136\""));
        assert!(faults(json!({ "server": "ns1" }))[0].contains("kind"));
    }

    #[cfg(feature = "exec")]
    #[test]
    fn a_program_is_a_path_and_its_environment_names_with_values() {
        let found = faults(json!({
            "kind": "exec", "program": "nsupdate", "environment": { "A B": "CANARY" }, "timeout": 0, "arguments": [],
        }));
        for key in ["program", "environment", "timeout", "arguments"] {
            assert!(
                found
                    .iter()
                    .any(|fault| fault.starts_with(&format!("{key}: "))),
                "{key}: {found:#?}"
            );
        }
        for environment in [
            json!("CANARY"),
            json!({ "A": 1 }),
            json!({ "A": { "file": "" } }),
        ] {
            let found =
                faults(json!({ "kind": "exec", "program": "/p", "environment": environment }));
            assert!(
                found.len() == 1 && !found[0].contains("CANARY"),
                "{found:#?}"
            );
        }
        assert!(faults(json!({ "kind": "exec" }))[0].contains("config/exec"));
        let table = json!({ "kind": "exec", "program": "/p", "environment": { "A": "CANARY", "B": { "env": "B" } } });
        let settings = ProviderSettings::read(table.as_object().unwrap()).unwrap();
        assert!(!format!("{settings:?}").contains("CANARY"), "{settings:?}");
    }

    #[test]
    #[cfg(all(
        feature = "autodns",
        feature = "cloudflare",
        feature = "exec",
        feature = "route53"
    ))]
    fn the_reference_file_shows_every_key_of_every_kind() {
        let reference = include_str!("../../config/prevalidate.toml");
        for Kind {
            name: kind, keys, ..
        } in KINDS
        {
            let heading = format!("# \"{kind}\": ");
            let begin = reference
                .find(&heading)
                .unwrap_or_else(|| panic!("{kind} is explained"));
            let section = &reference[begin + heading.len()..];
            let section = section
                .split("\n\n\n")
                .next()
                .unwrap()
                .split("\n# \"")
                .next()
                .unwrap();
            for key in keys.concat() {
                assert!(
                    section.contains(&format!("{key} = ")) || section.contains(&format!("`{key}`")),
                    "{kind}: {key}"
                );
            }
        }
    }

    #[test]
    fn a_missing_key_file_is_a_fault_of_the_settings_with_its_path() {
        let table = json!({ "kind": "rfc2136", "server": "ns1", "key_file": "/nonexistent/tsig.key", "timeout": "2m" });
        let error = ProviderSettings::read(table.as_object().unwrap())
            .unwrap()
            .build()
            .unwrap_err();
        assert_eq!(error.kind, ErrorKind::Settings);
        assert!(error.message.contains("/nonexistent/tsig.key"), "{error}");
    }
}
