//! What a hook names: the JSON of its body. Pure. Nothing in it is an address to call, and nothing
//! in it is believed.
//!
//! ```json
//! { "zones": ["example.ch"], "names": ["www.example.org"] }
//! ```
//!
//! Either list may be missing, and may hold objects with a `name`, `zone` or `domain`; the whole
//! may be the `data` of an envelope, or be one list (what `dnscontrol push --report` writes).
//! Whether a name was called a zone makes no difference.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::prevalidation::DomainName;

/// The longest body, in bytes.
pub const MOST_BYTES: usize = 64 * 1024;
/// The most names in it.
const MOST_NAMES: usize = 500;
/// This many bad names are shown.
const MOST_FAULTS: usize = 10;

/// The changed names.
#[derive(Debug, PartialEq, Eq)]
pub enum Changed {
    /// These names or zones.
    Named(BTreeSet<DomainName>),
    /// It does not say: a program that knows nothing of us, such as GitHub itself, tells of
    /// something else.
    Unnamed,
}

/// Reads a body. The error is for its sender, which is authenticated.
pub fn read(body: &[u8]) -> Result<Changed, String> {
    // serde_json goes 128 levels deep and no deeper; its errors hold a place and no text.
    let document: Value =
        serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))?;
    let within = match &document {
        Value::Object(object) if !has_lists(&document) => {
            object.get("data").filter(|data| has_lists(data))
        }
        _ => None,
    };
    let items: Vec<&Value> = match within.unwrap_or(&document) {
        Value::Array(items) => items.iter().collect(),
        object @ Value::Object(_) if !has_lists(object) => return Ok(Changed::Unnamed),
        Value::Object(object) => {
            let mut items = Vec::new();
            for key in LISTS {
                match object.get(key) {
                    None => {}
                    Some(Value::Array(list)) => items.extend(list),
                    Some(_) => return Err(format!("`{key}` must be a list of names")),
                }
            }
            items
        }
        _ => {
            return Err(
                "the body must be an object with `names` and `zones`, or a list of names"
                    .to_owned(),
            );
        }
    };
    if items.len() > MOST_NAMES {
        return Err(format!(
            "{} names are too many for one hook; send {MOST_NAMES}, or their zone",
            items.len()
        ));
    }
    let (mut names, mut faults) = (BTreeSet::new(), Vec::new());
    for item in items {
        match name_in(item).map(DomainName::look_up) {
            Some(Ok(name)) => drop(names.insert(name)),
            Some(Err(error)) => faults.push(error.to_string()),
            None => faults
                .push("neither a string nor an object with `name`, `zone` or `domain`".to_owned()),
        }
    }
    if faults.is_empty() {
        return Ok(Changed::Named(names));
    }
    // If one entry is no name at all, the whole list is refused: it may be no list of names.
    let more = faults.len().saturating_sub(MOST_FAULTS);
    faults.truncate(MOST_FAULTS);
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    Err(format!("{}{more}", faults.join("; ")))
}

const LISTS: [&str; 2] = ["names", "zones"];

fn has_lists(value: &Value) -> bool {
    LISTS.iter().any(|key| value.get(key).is_some())
}

fn name_in(item: &Value) -> Option<&str> {
    match item {
        Value::String(text) => Some(text),
        Value::Object(object) => ["name", "zone", "domain"]
            .iter()
            .find_map(|key| object.get(*key)?.as_str()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::{any, *};

    use super::*;

    fn names(body: &str) -> Vec<String> {
        match read(body.as_bytes()).unwrap_or_else(|error| panic!("{body}: {error}")) {
            Changed::Named(names) => names.iter().map(ToString::to_string).collect(),
            Changed::Unnamed => panic!("{body} names nothing"),
        }
    }

    #[test]
    fn names_come_in_the_shapes_that_pipelines_have() {
        let both = ["example.ch", "xn--dj-kia8a.vu.com"];
        for body in [
            r#"{"names": ["example.ch"], "zones": ["déjà.vu.com"]}"#,
            r#"{"zones": ["EXAMPLE.CH.", "xn--dj-kia8a.vu.com", "example.ch"]}"#,
            r#"{"type": "dns.changed", "timestamp": "2026-11-03T20:26:10Z", "data": {"zones": ["example.ch", "déjà.vu.com"]}}"#,
            r#"[{"domain": "example.ch", "corrections": 2, "provider": "bind"}, {"domain": "déjà.vu.com", "registrar": "none"}]"#,
            r#"["example.ch", {"zone": "déjà.vu.com.", "serial": 7}]"#,
        ] {
            assert_eq!(names(body), both, "{body}");
        }
        assert_eq!(names(r#"{"names": []}"#), [""; 0], "nothing is nothing");
        assert_eq!(
            names(r#"{"zones": ["co.uk", "2.0.192.in-addr.arpa", "_dmarc.example.ch"]}"#).len(),
            3
        );
        for body in [
            r#"{"zen": "ping", "hook_id": 7}"#,
            r#"{"data": {"id": 1}}"#,
            "{}",
            r#"{"url": "http://[::1]/"}"#,
        ] {
            assert_eq!(read(body.as_bytes()), Ok(Changed::Unnamed), "{body}");
        }
    }

    #[test]
    fn what_is_no_list_of_names_is_refused_as_a_whole() {
        let many = format!("[{}]", vec!["\"a.ch\""; 501].join(","));
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for (body, said) in [
            ("", "not JSON"),
            ("\u{feff}{}", "not JSON"),
            ("[\"example.ch\"", "not JSON"),
            ("[\"example.ch\"] []", "not JSON"),
            (&deep, "not JSON"),
            ("7", "must be an object"),
            ("\"example.ch\"", "must be an object"),
            (r#"{"zones": "example.ch"}"#, "`zones` must be a list"),
            (r#"{"names": {"a": 1}}"#, "`names` must be a list"),
            (r#"["example.ch", 7]"#, "neither a string"),
            (r#"["example.ch", ["example.org"]]"#, "neither a string"),
            (r#"["example.ch", "exa mple.ch"]"#, "is not a domain name"),
            (
                r#"["http://169.254.169.254/latest"]"#,
                "is not a domain name",
            ),
            ("[\"a\\u0000b.ch\"]", "is not a domain name"),
            (&many, "501 names are too many"),
        ] {
            let error = read(body.as_bytes()).unwrap_err();
            assert!(
                error.contains(said) && !error.contains('\0'),
                "{body:.80}: {error}"
            );
        }
        let error = read(format!("[{}]", vec!["\"a b\""; 100].join(",")).as_bytes()).unwrap_err();
        assert!(error.ends_with("and 90 more"), "{error}");
    }

    proptest! {
        #[test]
        fn no_body_upsets_it(body in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&body);
        }
    }
}
