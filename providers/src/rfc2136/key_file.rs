//! TSIG keys as `tsig-keygen` and `named.conf` write them:
//! `key "name" { algorithm hmac-sha256; secret "…"; };`.

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

    /// The algorithm's name as it stands in key files.
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
        // Not shown: what stands in the wrong place may be the secret.
        _ => Err("the algorithm is not one of hmac-sha256, hmac-sha384, hmac-sha512".to_owned()),
    }
}

/// The key in a key file: the one called `wanted`, or the only one.
///
/// # Errors
/// Says what is wrong and in which line, never what stands in it.
pub fn read_key_file(text: &SecretString, wanted: Option<&str>) -> Result<TsigKey, String> {
    let keys = read_statements(text.expose_secret())?;
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
        None => keys
            .first()
            .ok_or("no `key \"name\" { … };` in the key file; `tsig-keygen NAME` writes one")?,
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

/// A `key` statement as it stands in the file.
struct Statement {
    name: String,
    algorithm: Option<String>,
    secret: Option<SecretString>,
}

/// All `key` statements; other statements of a `named.conf` are an error, because guessing past
/// them could pick a wrong key.
fn read_statements(text: &str) -> Result<Vec<Statement>, String> {
    let mut tokens = Tokens {
        rest: text,
        line: 1,
    };
    let mut keys = Vec::new();
    while let Some(word) = tokens.next()? {
        if word != "key" {
            return Err(format!("line {}: expected `key \"name\" {{`", tokens.line));
        }
        let name = tokens.word()?.to_owned();
        if name.is_empty()
            || !name
                .bytes()
                .all(|octet| octet.is_ascii_alphanumeric() || b"-._".contains(&octet))
        {
            return Err(format!(
                "line {}: the key's name is not a domain name",
                tokens.line
            ));
        }
        tokens.expect("{")?;
        let mut key = Statement {
            name,
            algorithm: None,
            secret: None,
        };
        loop {
            match tokens.word()? {
                "}" => break,
                "algorithm" => key.algorithm = Some(tokens.word()?.to_owned()),
                "secret" => key.secret = Some(tokens.word()?.into()),
                _ => {
                    return Err(format!(
                        "line {}: expected `algorithm`, `secret` or `}}`",
                        tokens.line
                    ));
                }
            }
            tokens.expect(";")?;
        }
        tokens.expect(";")?;
        keys.push(key);
    }
    Ok(keys)
}

/// Words, quoted strings and the marks `{ } ;`, with comments in the three styles that `named.conf`
/// knows skipped.
struct Tokens<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Tokens<'a> {
    fn next(&mut self) -> Result<Option<&'a str>, String> {
        loop {
            let trimmed = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
            self.advance(self.rest.len() - trimmed.len());
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.advance(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                let end = self
                    .rest
                    .find("*/")
                    .ok_or_else(|| format!("line {}: the comment has no end", self.line))?;
                self.advance(end + 2);
            } else {
                break;
            }
        }
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if "{};".contains(first) {
            return Ok(Some(self.advance(1)));
        }
        if first == '"' {
            let end = self.rest[1..]
                .find('"')
                .ok_or_else(|| format!("line {}: the string has no end", self.line))?;
            return Ok(Some(&self.advance(end + 2)[1..=end]));
        }
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || "{};\"#".contains(c))
            .unwrap_or(self.rest.len());
        Ok(Some(self.advance(end)))
    }

    fn word(&mut self) -> Result<&'a str, String> {
        self.next()?
            .ok_or_else(|| format!("line {}: the file ends in the middle of a key", self.line))
    }

    fn expect(&mut self, mark: &str) -> Result<(), String> {
        if self.word()? == mark {
            Ok(())
        } else {
            Err(format!("line {}: expected `{mark}`", self.line))
        }
    }

    fn advance(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
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
        let key = read_key_file(&TWO.into(), Some("one")).unwrap();
        assert_eq!(
            (key.name.as_str(), key.algorithm().as_str()),
            ("one", "hmac-sha256")
        );
        assert_eq!(key.secret.expose_secret(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(
            read_key_file(&TWO.into(), Some("TWO."))
                .unwrap()
                .algorithm(),
            "hmac-sha512"
        );
        let error = read_key_file(&TWO.into(), None).unwrap_err();
        assert!(
            error.contains("key_name") && error.contains("two"),
            "{error}"
        );
        assert!(
            read_key_file(&TWO.into(), Some("three"))
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
            let error = read_key_file(&text.into(), None).unwrap_err();
            assert!(!error.contains("CANARY"), "{error}");
        }
        assert!(
            read_key_file(&"key a {\n\n secret \"x\" }".into(), None)
                .unwrap_err()
                .contains("line 3")
        );
        let key = read_key_file(&TWO.into(), Some("one")).unwrap();
        assert!(!format!("{key:?}").contains("AAECAw"), "{key:?}");
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(key|\"|[{};#/*]|algorithm|secret|[a-zü\\n =]){0,40}") {
            let _ = read_key_file(&text.into(), None);
        }
    }
}
