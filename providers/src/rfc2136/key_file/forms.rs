//! The forms of other tools: `K*.private` of `dnssec-keygen` and `ldns-keygen`, KEY records, the
//! sections of Knot's and NSD's configuration, and keys on one line as `dig -y` and `pdnsutil`
//! write them.

use std::path::Path;

use super::{Statement, other_form};

/// `Private-key-format: v1.3` and lines of `Field: value`. The file does not hold the key's name:
/// it is `wanted`, or is in the name of the file, `Kname.+163+12345.private`.
pub(super) fn private_key(
    text: &str,
    wanted: Option<&str>,
    path: Option<&Path>,
) -> Result<Statement, String> {
    let field = |name: &str| {
        text.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field
                .trim()
                .eq_ignore_ascii_case(name)
                .then(|| value.trim())
        })
    };
    if field("PrivateKey").is_some() || field("Modulus").is_some() {
        return Err(
            "this is the private key of a signed zone (DNSSEC) and no TSIG key: tsig-keygen NAME"
                .to_owned(),
        );
    }
    let secret = field("Key").ok_or("this K*.private file has no `Key:`")?;
    let algorithm = field("Algorithm").ok_or("this K*.private file has no `Algorithm:`")?;
    let name = wanted
        .map(str::to_owned)
        .or_else(|| path.and_then(name_in_path))
        .ok_or("a K*.private file does not hold the name of its key; set `key_name`")?;
    Ok(Statement {
        name,
        algorithm: Some(algorithm_of(algorithm)?),
        secret: Some(secret.into()),
    })
}

/// `Kname.+163+12345.private`
fn name_in_path(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?.strip_prefix('K')?;
    let (name, numbers) = file.split_once(".+")?;
    let is_theirs = numbers.ends_with(".private") && !name.is_empty();
    is_theirs.then(|| name.to_owned())
}

/// `163 (HMAC_SHA256)`: the words count, because the numbers of BIND and ldns differ.
fn algorithm_of(text: &str) -> Result<String, String> {
    let (number, words) = text.split_once('(').unwrap_or((text, ""));
    let words = words.trim_end().trim_end_matches(')').to_ascii_lowercase();
    if let Some(hash) = words.strip_prefix("hmac_") {
        return Ok(format!("hmac-{hash}"));
    }
    let known = match number.trim() {
        "157" => "hmac-md5",
        "158" | "161" => "hmac-sha1",
        "159" | "163" => "hmac-sha256",
        "162" => "hmac-sha224",
        "164" => "hmac-sha384",
        "165" => "hmac-sha512",
        _ => {
            return Err(other_form(
                "the algorithm of this K*.private file does not sign requests",
            ));
        }
    };
    Ok(known.to_owned())
}

/// A KEY record (`K*.key`) or a key on one line; `None`: it is neither.
pub(super) fn record_or_line(first: &str, text: &str) -> Option<Result<Statement, String>> {
    let others = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .count();
    if others != 1 {
        return None;
    }
    let words: Vec<&str> = first.split_whitespace().collect();
    let key = |name: &str, algorithm: &str, secret: String| Statement {
        name: name.to_owned(),
        algorithm: Some(algorithm.to_owned()),
        secret: Some(secret.into()),
    };
    if let Some(at) = words
        .iter()
        .position(|word| word.eq_ignore_ascii_case("key"))
        && (1..=3).contains(&at)
        && words.len() > at + 4
    {
        // name [TTL] [IN] KEY flags protocol algorithm secret
        let algorithm = algorithm_of(words[at + 3]);
        return Some(
            algorithm.map(|algorithm| key(words[0], &algorithm, words[at + 4..].concat())),
        );
    }
    let is_algorithm = |word: &str| word.to_ascii_lowercase().starts_with("hmac-");
    if let [name, algorithm, secret] = words[..]
        && is_algorithm(algorithm)
    {
        return Some(Ok(key(name, algorithm, secret.to_owned())));
    }
    let parts: Vec<&str> = first.split(':').collect();
    match parts[..] {
        [algorithm, name, secret] if is_algorithm(algorithm) => {
            Some(Ok(key(name, algorithm, secret.to_owned())))
        }
        [name, secret, algorithm] if is_algorithm(algorithm) => {
            Some(Ok(key(name, algorithm, secret.to_owned())))
        }
        _ => None,
    }
}

/// `key:` and its lines: Knot begins an entry with `- id: NAME`, NSD with `name: NAME`. Other
/// sections are passed over.
pub(super) fn sections(text: &str) -> Result<Vec<Statement>, String> {
    let mut keys: Vec<Statement> = Vec::new();
    let (mut is_key, mut is_open) = (false, false);
    for (index, line) in text.lines().enumerate() {
        let is_entry = line.trim_start().starts_with("- ");
        let line = line.trim().trim_start_matches("- ").trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fault = |what: &str| other_form(&format!("line {}: {what}", index + 1));
        let (field, value) = line
            .split_once(':')
            .ok_or_else(|| fault("expected `field: value`"))?;
        let value = unquoted(value).ok_or_else(|| fault("the string has no end"))?;
        let field = field.trim().to_ascii_lowercase();
        if value.is_empty() {
            (is_key, is_open) = (field == "key", false);
            continue;
        }
        if !is_key {
            continue;
        }
        if is_entry || !is_open {
            is_open = true;
            keys.push(Statement {
                name: String::new(),
                algorithm: None,
                secret: None,
            });
        }
        let Some(key) = keys.last_mut() else { continue };
        match field.as_str() {
            "id" | "name" => value.clone_into(&mut key.name),
            "algorithm" => key.algorithm = Some(value.to_owned()),
            "secret" => key.secret = Some(value.into()),
            _ => return Err(fault("a key has an id or name, an algorithm and a secret")),
        }
    }
    if keys.iter().any(|key| key.name.is_empty()) {
        return Err(other_form("a key of this file has no `id` or `name`"));
    }
    if keys.is_empty() {
        return Err(other_form("this file has no section `key:`"));
    }
    Ok(keys)
}

/// The value without its quotes and the comment behind it.
fn unquoted(value: &str) -> Option<&str> {
    let value = value.trim();
    match value.strip_prefix(['"', '\'']) {
        Some(rest) => rest.split_once(&value[..1]).map(|(inside, _)| inside),
        None => Some(value.split(" #").next().unwrap_or_default().trim()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use secrecy::ExposeSecret;

    use super::super::{TsigKey, read_key_file};
    use super::*;

    fn read(text: &str, name: Option<&str>, path: &str) -> Result<TsigKey, String> {
        let key = read_key_file(&text.into(), name, Some(Path::new(path)));
        key.inspect_err(|error| assert!(!error.contains("AAEC"), "{error}"))
    }

    fn assert_read(text: &str, name: Option<&str>, path: &str) {
        let key = read(text, name, path).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            (key.name.as_str(), key.algorithm().as_str()),
            ("k.example", "hmac-sha256"),
            "{text}"
        );
        assert_eq!(
            key.secret.expose_secret(),
            [0, 1, 2, 3, 4, 5, 6, 7],
            "{text}"
        );
    }

    #[test]
    fn what_the_tools_of_name_servers_write_is_read() {
        for text in [
            // dnssec-keygen wrote this until BIND 9.13, ldns-keygen writes it still.
            "key:\n  - id: k.example\n    algorithm: hmac-sha256\n    secret: AAECAwQFBgc=\n",
            "# hmac-sha256:k.example:AAECAwQFBgc=\nkey:\n- id: k.example.\n  algorithm: hmac-sha256\n  secret: AAECAwQFBgc=\n",
            "key:\n\tname: \"k.example\"\n\talgorithm: hmac-sha256\n\tsecret: \"AAECAwQFBgc=\" # NSD\n",
            "server:\n  listen: 0.0.0.0@53\nkey:\n  - id: K.Example\n    algorithm: hmac-sha256\n    secret: AAECAwQFBgc=\nzone:\n  - domain: a.example\n",
            "k.example. IN KEY 512 3 163 AAECAwQF Bgc=\n",
            "k.example. 3600 IN KEY 512 3 163 AAECAwQFBgc=\n",
            "hmac-sha256:k.example:AAECAwQFBgc=\n",
            "k.example:AAECAwQFBgc=:hmac-sha256\n",
            "k.example. hmac-sha256. AAECAwQFBgc=\n",
            "KEY \"k.example\" { Algorithm HMAC-SHA256; Secret \"AAECAwQFBgc=\"; };",
            "key \"k.example\" {\n algorithm hmac-sha256;\n secret \"AAECAwQFBgc=\";\n};\noptions {\n default-key \"k.example\";\n default-server 127.0.0.1;\n};\n",
            "options { directory \"/var\"; };\ninclude \"/etc/other\";\nkey k.example { secret AAECAwQFBgc=; algorithm hmac-sha256; };",
        ] {
            assert_read(text, None, "/etc/tsig.key");
        }
    }

    #[test]
    fn a_private_key_has_its_name_from_the_settings_or_from_its_file() {
        for algorithm in ["163 (HMAC_SHA256)", "159 (HMAC_SHA256)", "163"] {
            let text = format!(
                "Private-key-format: v1.3\nAlgorithm: {algorithm}\nKey: AAECAwQFBgc=\nBits: AAA=\n"
            );
            assert_read(&text, Some("k.example"), "/etc/tsig.key");
            assert_read(&text, None, "/etc/Kk.example.+163+12345.private");
            let said = read(&text, None, "/etc/tsig.key").unwrap_err();
            assert!(said.contains("set `key_name`"), "{said}");
        }
        let zone = "Private-key-format: v1.3\nAlgorithm: 13 (ECDSAP256SHA256)\nPrivateKey: AAEC\n";
        let said = read(zone, Some("k"), "/k").unwrap_err();
        assert!(said.contains("DNSSEC"), "{said}");
        let weak = "Private-key-format: v1.3\nAlgorithm: 157 (HMAC_MD5)\nKey: AAECAwQFBgc=\n";
        let said = read(weak, Some("k"), "/k").unwrap_err();
        assert!(said.contains("too weak"), "{said}");
    }

    #[test]
    fn of_several_keys_one_must_be_chosen_in_every_form() {
        let two = "key:\n  - id: one\n    algorithm: hmac-sha256\n    secret: AAECAwQFBgc=\n  - id: k.example\n    algorithm: hmac-sha256\n    secret: AAECAwQFBgc=\n";
        let said = read(two, None, "/k").unwrap_err();
        assert!(
            said.contains("key_name") && said.contains("one, k.example"),
            "{said}"
        );
        assert_read(two, Some("K.example."), "/k");
        let nsd = two
            .replace("  - id: k", "key:\n    name: k")
            .replace("  - id", "  name");
        assert_read(&nsd, Some("k.example"), "/k");
    }

    #[test]
    fn what_is_no_key_file_is_refused_with_the_way_round_it() {
        for text in [
            "{\"key\": \"AAEC\"}",
            "---\nkey: AAEC\n",
            "AAECAwQFBgc=\n",
            "k.example:AAECAwQFBgc=\n",
            "server:\n  listen: 0.0.0.0@53\n",
            "options { directory \"/var\"; };",
            "key:\n  - id: a\n    algorithm hmac\n",
        ] {
            let said = read(text, None, "/k").unwrap_err();
            for words in ["`key_name`", "`secret`"] {
                assert!(said.contains(words), "{text}: {said}");
            }
        }
    }
}
