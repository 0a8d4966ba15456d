//! CAA for persistent records, pure: whether the records let a CA issue after this method. A domain
//! gets the method's label before it moves to the method, so a list of methods without it counts as
//! a refusal before CAs have to obey it.

use super::{Property, issuer::Issuer, shown};
use crate::persistent::METHOD;

/// ACME's name for the same method.
const SYNONYM: &str = "dns-persist-01";

/// Why the record set found at `at` does not let `issuer` issue after a persistent validation, with
/// the record to write; `None` where it does.
pub fn refuses(at: &str, set: &[Property], issuer: &str) -> Option<String> {
    let issue: Vec<&Property> = set.iter().filter(|one| one.is("issue")).collect();
    if issue.is_empty() {
        return None;
    }
    let of_issuer: Vec<(&Property, Issuer<'_>)> = issue
        .iter()
        .filter_map(|one| Some((*one, Issuer::read(&one.value)?)))
        .filter(|(_, read)| read.name.eq_ignore_ascii_case(issuer))
        .collect();
    let Some((first, _)) = of_issuer.first() else {
        return Some(format!(
            "CAA at {at} does not let {issuer} issue: add `{at}. CAA 0 issue \"{issuer}\"`"
        ));
    };
    let is_allowed = |read: &Issuer<'_>| {
        let methods = read.values("validationmethods");
        methods.iter().all(|methods| {
            methods.split(',').any(|method| {
                method.eq_ignore_ascii_case(METHOD) || method.eq_ignore_ascii_case(SYNONYM)
            })
        })
    };
    if of_issuer.iter().any(|(_, read)| is_allowed(read)) {
        return None;
    }
    Some(format!(
        "CAA at {at} does not allow the method of persistent records: add {METHOD} to \
         `validationmethods` of `{}`",
        shown(first)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(tag: &str, value: &str) -> Property {
        Property {
            critical: false,
            tag: tag.to_owned(),
            value: value.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_method_that_is_not_listed_is_refused_before_it_is_used() {
        for (value, words) in [
            ("ca.example", None),
            ("CA.example", None),
            ("ca.example; validationmethods=ca-tbr-22", None),
            ("ca.example; validationmethods=dns-01,dns-persist-01", None),
            (
                "ca.example; validationmethods=ca-tbr-7",
                Some("add ca-tbr-22"),
            ),
            ("ca.example; accounturi=https://ca.example/1", None),
            ("other.example", Some("does not let ca.example issue")),
            (";", Some("does not let ca.example issue")),
            ("ca.example; ;", Some("does not let ca.example issue")),
        ] {
            let said = refuses("example.ch", &[property("issue", value)], "ca.example");
            match words {
                None => assert_eq!(said, None, "{value}"),
                Some(words) => assert!(said.is_some_and(|said| said.contains(words)), "{value}"),
            }
        }
        let mail = [property("iodef", "mailto:a@example.ch")];
        assert_eq!(refuses("example.ch", &mail, "ca.example"), None);
        let two = [
            property("issue", "ca.example; validationmethods=ca-tbr-7"),
            property("issue", "ca.example; validationmethods=ca-tbr-22"),
        ];
        assert_eq!(refuses("example.ch", &two, "ca.example"), None);
    }
}
