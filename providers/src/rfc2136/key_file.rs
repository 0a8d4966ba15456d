//! TSIG keys as the tools of name servers write them. [`bind`] reads
//! `key "name" { algorithm hmac-sha256; secret "…"; };`, [`forms`] the rest: `K*.private`, the
//! sections of Knot and NSD, and keys on one line.

mod bind;
mod forms;

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use secrecy::{ExposeSecret, SecretSlice, SecretString};

/// A key that signs requests (RFC 8945). Its secret shows nowhere.
#[derive(Debug, Clone)]
pub struct TsigKey {
    /// The name both sides know, lower case, no trailing dot.
    pub name: String,
    pub(super) algorithm: TsigAlgorithm,
    pub(super) secret: SecretSlice<u8>,
}

impl TsigKey {
    /// A key from its parts; the secret is base64.
    ///
    /// # Errors
    /// Says what is wrong with which part, never the secret.
    pub fn new(name: &str, algorithm: &str, secret: &SecretString) -> Result<Self, String> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if name.is_empty() || Name::from_ascii(&name).is_err() {
            return Err("the key's name is not a domain name".into());
        }
        let algorithm =
            read_algorithm(algorithm).map_err(|fault| format!("key {name}: {fault}"))?;
        // People wrap long secrets; base64 has no white space of its own.
        let compact: SecretString = secret
            .expose_secret()
            .split_ascii_whitespace()
            .collect::<Vec<_>>()
            .concat()
            .into();
        let octets = STANDARD.decode(compact.expose_secret()).map_err(|_| {
            format!("key {name}: the secret is not base64; copy it again, with its `=` at the end")
        })?;
        if octets.is_empty() {
            return Err(format!("key {name}: the secret is empty"));
        }
        Ok(Self {
            name,
            algorithm,
            secret: octets.into(),
        })
    }

    /// The algorithm's name as it is in key files.
    pub fn algorithm(&self) -> String {
        self.algorithm.to_string()
    }
}

/// The algorithm with this name; without a name the one that `tsig-keygen` uses.
///
/// # Errors
/// Refuses what RFC 8945, section 6, no longer allows or what cannot be computed here, with a hint.
pub fn read_algorithm(name: &str) -> Result<TsigAlgorithm, String> {
    const HINT: &str = "make a new key: tsig-keygen -a hmac-sha256 NAME";
    let short = name.trim_end_matches('.').to_ascii_lowercase();
    match short.strip_prefix("hmac-").unwrap_or(&short) {
        "sha256" => Ok(TsigAlgorithm::HmacSha256),
        "sha384" => Ok(TsigAlgorithm::HmacSha384),
        "sha512" => Ok(TsigAlgorithm::HmacSha512),
        "md5" | "md5.sig-alg.reg.int" | "sha1" => Err(format!(
            "algorithm {short} is too weak (RFC 8945, section 6); {HINT}"
        )),
        "sha224" | "sha256-128" | "sha384-192" | "sha512-256" => {
            Err(format!("algorithm {short} is not supported; {HINT}"))
        }
        "gss-tsig" | "gss.microsoft.com" => Err(format!(
            "GSS-TSIG needs Kerberos and is not supported; {HINT}"
        )),
        // Not shown: what is in the wrong place may be the secret.
        _ => Err("the algorithm is not one of hmac-sha256, hmac-sha384, hmac-sha512".to_owned()),
    }
}

/// The key in a key file: the one called `wanted`, or the only one. The name of the file tells that
/// of a key whose file does not hold it.
///
/// # Errors
/// Says what is wrong and in which line, never what is in it.
pub fn read_key_file(
    text: &SecretString,
    wanted: Option<&str>,
    path: Option<&Path>,
) -> Result<TsigKey, String> {
    let keys = read_statements(text.expose_secret(), wanted, path)?;
    let names = || {
        keys.iter()
            .map(|key| key.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let found = match wanted.map(|name| name.trim_end_matches('.').to_ascii_lowercase()) {
        Some(wanted) => keys
            .iter()
            .find(|key| key.name.trim_end_matches('.').eq_ignore_ascii_case(&wanted))
            .ok_or_else(|| format!("no key {wanted:?} in the key file; it has: {}", names()))?,
        None if keys.len() > 1 => {
            return Err(format!(
                "several keys in the key file; say key_name, one of: {}",
                names()
            ));
        }
        None => keys.first().ok_or_else(|| {
            other_form("no `key \"name\" { … };` in the key file; `tsig-keygen NAME` writes one")
        })?,
    };
    let algorithm = found
        .algorithm
        .as_deref()
        .ok_or_else(|| format!("key {}: no algorithm", found.name))?;
    let secret = found
        .secret
        .as_ref()
        .ok_or_else(|| format!("key {}: no secret", found.name))?;
    TsigKey::new(&found.name, algorithm, secret)
}

/// A key as it is in the file.
struct Statement {
    name: String,
    algorithm: Option<String>,
    secret: Option<SecretString>,
}

/// Why a file cannot be read, and the hint.
fn other_form(what: &str) -> String {
    format!("{what}; set `key_name`, `algorithm` and `secret` in place of `key_file`")
}

/// All keys of the file, in whichever form it is.
fn read_statements(
    text: &str,
    wanted: Option<&str>,
    path: Option<&Path>,
) -> Result<Vec<Statement>, String> {
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .unwrap_or_default();
    let word = first.split_whitespace().next().unwrap_or_default();
    if word.eq_ignore_ascii_case("private-key-format:") {
        return forms::private_key(text, wanted, path).map(|key| vec![key]);
    }
    // `key:`, and any other section of Knot's and NSD's configuration.
    if !word.is_empty() && first.ends_with(':') && !first.contains(' ') {
        return forms::sections(text);
    }
    if let Some(key) = forms::record_or_line(first, text) {
        return key.map(|key| vec![key]);
    }
    if first.starts_with('{') || first.starts_with("---") || first.starts_with('<') {
        return Err(other_form(
            "this is JSON, YAML or XML and no key file that is known here",
        ));
    }
    bind::statements(text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    const TWO: &str = "// made by tsig-keygen\nkey \"One.\" {\n\talgorithm hmac-sha256;\n\tsecret \"AAECAwQFBgc=\";\n};\n\
                       # second\nkey two { secret /* no quotes */ CAkKCw==; algorithm HMAC-SHA512; };";

    #[test]
    fn key_name_chooses_among_several_keys() {
        let key = read_key_file(&TWO.into(), Some("one"), None).unwrap();
        assert_eq!(
            (key.name.as_str(), key.algorithm().as_str()),
            ("one", "hmac-sha256")
        );
        assert_eq!(key.secret.expose_secret(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(
            read_key_file(&TWO.into(), Some("TWO."), None)
                .unwrap()
                .algorithm(),
            "hmac-sha512"
        );
        let error = read_key_file(&TWO.into(), None, None).unwrap_err();
        assert!(
            error.contains("key_name") && error.contains("two"),
            "{error}"
        );
        assert!(
            read_key_file(&TWO.into(), Some("three"), None)
                .unwrap_err()
                .contains("it has: One., two")
        );
    }

    #[test]
    fn weak_algorithms_are_refused_with_the_command_that_makes_a_better_key() {
        for weak in [
            "hmac-md5",
            "hmac-sha1",
            "hmac-sha224",
            "HMAC-MD5.SIG-ALG.REG.INT.",
        ] {
            assert!(
                read_algorithm(weak)
                    .unwrap_err()
                    .contains("tsig-keygen -a hmac-sha256"),
                "{weak}"
            );
        }
    }

    #[test]
    fn a_fault_names_the_line_and_never_the_secret() {
        for text in [
            "key a {\n algorithm hmac-sha256;\n secret \"CANARY!\"\n};",
            "key a {\n algorithm hmac-sha256;\n secret \"CANARY!\";\n};",
            "key a {\n algorithm hmac-sha256;\n secret \"CANARY!;\n};",
            "CANARY!",
            "key a { CANARY! };",
        ] {
            let error = read_key_file(&text.into(), None, None).unwrap_err();
            assert!(!error.contains("CANARY"), "{error}");
        }
        assert!(
            read_key_file(&"key a {\n\n secret \"x\" }".into(), None, None)
                .unwrap_err()
                .contains("line 3")
        );
        let key = read_key_file(&TWO.into(), Some("one"), None).unwrap();
        assert!(!format!("{key:?}").contains("AAECAw"), "{key:?}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(key|\"|[{};#/*]|algorithm|secret|[a-zü\\n =]){0,40}") {
            let _ = read_key_file(&text.into(), None, None);
        }
    }
}
