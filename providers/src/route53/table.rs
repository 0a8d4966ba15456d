//! The table of the Route 53 adapter.

use std::sync::Arc;

use prevalidate_kit::secret::SecretSource;
use prevalidate_kit::table::DEFAULT_TIMEOUT;
use prevalidate_kit::table::Reader;
use prevalidate_kit::table::secrets::read_token;

use super::{Access, AccessKeys, Route53, Route53Settings};
use crate::kind::{Kind, Table, World};
use crate::provider::{Provider, ProviderError};

/// `kind = "route53"`.
pub(crate) const KIND: Kind = Kind {
    name: "route53",
    keys: &[&KEYS],
    read: |reader| Some(Arc::new(Route53Table::read(reader)?)),
};

const KEYS: [&str; 12] = [
    "access_key",
    "secret_key",
    "profile",
    "region",
    "role_arn",
    "external_id",
    "endpoint",
    "zone_id",
    "rate",
    "ttl",
    "timeout",
    "allow_wildcard_shadow",
];

/// Calls a second. AWS allows an account five, since July 2026 ten, for all users of its Route 53.
const DEFAULT_RATE: u32 = 5;
const MOST_RATE: u32 = 50;

/// The table of the Route 53 adapter; no secret has been read yet.
#[derive(Debug, Clone)]
pub struct Route53Table {
    keys: Option<(SecretSource, SecretSource)>,
    settings: Route53Settings,
}

impl Route53Table {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let keys = read_keys(reader);
        let access = Access {
            keys: None,
            profile: reader.text("profile"),
            region: reader.like("region", "a region like \"us-east-1\"", |region| {
                !region.is_empty()
                    && region.bytes().all(|octet| {
                        octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-'
                    })
            }),
            role_arn: reader.like(
                "role_arn",
                "a role like \"arn:aws:iam::123456789012:role/prevalidate\"",
                |role| role.starts_with("arn:") && role.contains(":role/"),
            ),
            external_id: reader.text("external_id"),
            endpoint: reader.like(
                "endpoint",
                "a URL like \"https://route53.us-gov.amazonaws.com\"",
                is_endpoint,
            ),
        };
        if access.external_id.is_some() && !reader.table.contains_key("role_arn") {
            reader.fault("external_id", "goes with `role_arn`, which is missing");
        }
        let zone_id = reader.like(
            "zone_id",
            "a hosted zone's id like \"Z0123456789ABCDEFGHIJ\"",
            |id| {
                let id = id.trim_start_matches("/hostedzone/");
                (1..=32).contains(&id.len())
                    && id
                        .bytes()
                        .all(|octet| octet.is_ascii_uppercase() || octet.is_ascii_digit())
            },
        );
        let rate = reader.rate(DEFAULT_RATE, MOST_RATE);
        let (ttl, timeout) = (reader.ttl(), reader.timeout(DEFAULT_TIMEOUT));
        let allow_wildcard_shadow = reader.flag("allow_wildcard_shadow").unwrap_or(false);
        let settings = Route53Settings {
            access,
            zone_id: zone_id.map(|id| id.trim_start_matches("/hostedzone/").to_owned()),
            ttl: ttl?,
            timeout: timeout?,
            rate: rate?,
            allow_wildcard_shadow,
        };
        Some(Self { keys, settings })
    }
}

impl Table for Route53Table {
    fn build(&self, world: &World) -> Result<Arc<dyn Provider>, ProviderError> {
        let mut settings = self.settings.clone();
        if let Some((id, secret)) = &self.keys {
            let origin = format!("`access_key` ({id})");
            let (id, secret) = (
                read_token("access_key", id)?,
                read_token("secret_key", secret)?,
            );
            settings.access.keys = Some(AccessKeys { id, secret, origin });
        }
        Ok(Arc::new(Route53::new(
            settings,
            world.live.clone(),
            world.pace.clone(),
        )))
    }
}

fn read_keys(reader: &mut Reader<'_>) -> Option<(SecretSource, SecretSource)> {
    let (id, secret) = (reader.secret("access_key"), reader.secret("secret_key"));
    let has = |key: &str| reader.table.contains_key(key);
    match (has("access_key"), has("secret_key")) {
        (true, false) => reader.fault("secret_key", "missing: it goes with `access_key`"),
        (false, true) => reader.fault("access_key", "missing: it goes with `secret_key`"),
        (true, true) if has("profile") => {
            reader.fault(
                "profile",
                "the keys are in the table already; keep `profile` or the keys, not both",
            );
        }
        _ => {}
    }
    Some((id?, secret?))
}

/// Whether a text is a URL without name and password: those would go into logs.
fn is_endpoint(url: &str) -> bool {
    let rest = url
        .strip_prefix("https://")
        .or_else(|| url.strip_prefix("http://"));
    let plain = |octet: u8| octet.is_ascii_graphic() && !b"@?#\\\"".contains(&octet);
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && rest.bytes().all(plain))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use crate::provider::ErrorKind;
    use crate::registry::ProviderSettings;

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
            "kind": "route53", "acces_key": "CANARY", "access_key": "CANARY", "profile": "", "region": "eu central",
            "role_arn": "CANARY", "external_id": 7, "endpoint": "https://name:CANARY@host", "zone_id": "not one", "rate": "51/s",
            "ttl": 1, "timeout": "ever", "allow_wildcard_shadow": "yes",
        }));
        for key in [
            "acces_key",
            "access_key",
            "secret_key",
            "profile",
            "region",
            "role_arn",
            "external_id",
            "endpoint",
            "zone_id",
            "rate",
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
        assert!(!found.concat().contains("CANARY"), "{found:#?}");
    }

    #[test]
    fn keys_come_in_pairs_and_not_beside_a_profile() {
        let (id, secret) = (json!({ "env": "ID" }), json!({ "env": "SECRET" }));
        assert!(
            faults(json!({ "kind": "route53", "access_key": id }))[0]
                .starts_with("secret_key: missing")
        );
        assert!(
            faults(json!({ "kind": "route53", "secret_key": secret }))[0]
                .starts_with("access_key: missing")
        );
        let both =
            json!({ "kind": "route53", "access_key": id, "secret_key": secret, "profile": "dns" });
        assert!(faults(both)[0].contains("not both"));
        assert!(faults(json!({ "kind": "route53", "external_id": "x" }))[0].contains("role_arn"));
        assert!(faults(json!({ "kind": "route35" }))[0].contains("did you mean \"route53\""));
        let least = json!({ "kind": "route53" });
        assert_eq!(
            ProviderSettings::read(least.as_object().unwrap())
                .unwrap()
                .build()
                .unwrap()
                .kind(),
            "route53"
        );
    }

    #[test]
    fn a_key_with_a_line_end_in_it_names_its_setting_and_shows_nothing() {
        let folder =
            std::env::temp_dir().join(format!("prevalidate-route53-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let write = |name: &str, text: &str| {
            use std::os::unix::fs::PermissionsExt;
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            json!({ "file": path })
        };
        let table = |id: Value, secret: Value| json!({ "kind": "route53", "access_key": id, "secret_key": secret });
        let build = |table: Value| {
            ProviderSettings::read(table.as_object().unwrap())
                .unwrap()
                .build()
        };
        let good = write("id", "AKIACANARY\n");
        let provider = build(table(good.clone(), write("secret", "CANARY/secret\n"))).unwrap();
        assert!(!format!("{provider:?}").contains("CANARY"));
        let error = build(table(good.clone(), write("two-lines", "CANARY\nCANARY\n"))).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Settings);
        assert!(
            error.message.starts_with("secret_key: ") && !error.message.contains("CANARY"),
            "{error}"
        );
        let error = build(table(good, json!({ "file": folder.join("none") }))).unwrap_err();
        assert!(
            error.message.starts_with("secret_key: ") && error.message.contains("none"),
            "{error}"
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
