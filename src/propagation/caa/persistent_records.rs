//! CAA for persistent records, pure: whether the records let a CA issue after this method. A domain
//! gets the method's label before it moves to the method, so a list of methods without it counts as
//! a refusal before CAs must obey it.

use jiff::Timestamp;

use super::issuer::is_label;
use super::{Change, KNOWN, METHODS_COUNT_FROM, Property, is_limited, issuer::Issuer, shown};
use crate::persistent::{AccountForm, METHOD};

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
        let limit = match issue.iter().any(|one| is_limited(one)) {
            true => format!("; validationmethods={METHOD}"),
            false => String::new(),
        };
        return Some(format!(
            "CAA at {at} does not let {issuer} issue: add `{at}. CAA 0 issue \"{issuer}{limit}\"`"
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

/// What stops certificates that rest on a persistent record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// Whether it does so at every CA; else only the CA can say.
    pub is_certain: bool,
    /// Why, in words.
    pub words: String,
    /// Records to change, ready to paste.
    pub changes: Vec<Change>,
}

/// What the record set found at `at` means for certificates of `issuer` that rest on a persistent
/// record with `account`, as it must be obeyed at `on`; `None` where it lets them be issued.
pub fn stops(
    at: &str,
    set: &[Property],
    issuer: &str,
    account: &str,
    on: Timestamp,
) -> Option<Stop> {
    if let Some(unknown) = unknown(at, set) {
        return Some(unknown);
    }
    let issue: Vec<&Property> = set.iter().filter(|one| one.is("issue")).collect();
    let of_issuer = issue
        .iter()
        .filter_map(|one| Some((*one, Issuer::read(&one.value)?)))
        .filter(|(_, read)| read.name.eq_ignore_ascii_case(issuer));
    let judged: Vec<(&Property, Judged)> = of_issuer
        .map(|(one, read)| (one, Judged::of(&read, account)))
        .collect();
    let add = |value: String| Change {
        remove: None,
        add: Some(format!("{at}. CAA 0 issue \"{value}\"")),
    };
    let Some((first, verdict)) = judged.iter().min_by_key(|(_, verdict)| *verdict) else {
        // A record that limits one issuer is useless beside a line without a limit.
        let limit = match issue.iter().any(|one| is_limited(one)) {
            true => limit(account, &[]),
            false => String::new(),
        };
        return (!issue.is_empty()).then(|| Stop {
            is_certain: true,
            words: format!("CAA at {at} does not let {issuer} issue"),
            changes: vec![add(format!("{issuer}{limit}"))],
        });
    };
    let named = Issuer::read(&first.value).map_or_else(Vec::new, |read| {
        let accounts = read.values("accounturi").into_iter();
        accounts.map(str::to_owned).collect()
    });
    let shown = shown(first);
    let why = match verdict {
        _ if on < METHODS_COUNT_FROM => return None,
        Judged::Allowed => return None,
        Judged::OtherSpelling => {
            format!("CAA at {at} names the method by another word than {METHOD}: `{shown}`")
        }
        Judged::OtherForm => format!(
            "CAA at {at} names an account at {issuer}, and only the CA can say whether it is the \
             account of the record, which has a hash of it: `{shown}`"
        ),
        Judged::OtherMethods => {
            format!("CAA at {at} allows {issuer} other methods than {METHOD}: `{shown}`")
        }
        Judged::OtherAccount => format!(
            "CAA at {at} lets another account at {issuer} issue than the record does, {account}: \
             `{shown}`"
        ),
    };
    // One property that lets the CA issue is enough (RFC 8659, section 4.2).
    let change = add(format!("{issuer}{}", limit(account, &named)));
    Some(Stop {
        is_certain: !matches!(verdict, Judged::OtherSpelling | Judged::OtherForm),
        words: why,
        changes: match verdict {
            Judged::OtherForm => Vec::new(),
            _ => vec![change],
        },
    })
}

/// A critical tag that no CA knows stops every certificate.
fn unknown(at: &str, set: &[Property]) -> Option<Stop> {
    let is_unknown = |one: &&Property| one.critical && !KNOWN.iter().any(|tag| one.is(tag));
    let unknown = set.iter().find(is_unknown)?;
    Some(Stop {
        is_certain: true,
        words: format!(
            "CAA at {at} has a critical tag that no CA knows: {}",
            unknown.tag
        ),
        changes: vec![Change {
            remove: Some(format!("{at}. CAA {}", shown(unknown))),
            add: None,
        }],
    })
}

/// The parameters by which only this account may issue, and only by persistent records. CAA has no
/// hash of an account, so the account that is named there stays.
fn limit(account: &str, named: &[String]) -> String {
    let account = match (AccountForm::of(account), named) {
        (AccountForm::Hash, [named]) => format!("; accounturi={named}"),
        (AccountForm::Hash, _) => String::new(),
        _ => format!("; accounturi={account}"),
    };
    format!("{account}; validationmethods={METHOD}")
}

/// What one property of the issuer says; the better, the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Judged {
    Allowed,
    OtherSpelling,
    /// CAA names the account by its URL (RFC 8657), and the record by a hash (draft-02).
    OtherForm,
    OtherMethods,
    OtherAccount,
}

impl Judged {
    fn of(read: &Issuer<'_>, account: &str) -> Self {
        let named = match read.values("accounturi")[..] {
            [] => Self::Allowed,
            [one] if one == account => Self::Allowed,
            [_] if AccountForm::of(account) == AccountForm::Hash => Self::OtherForm,
            _ => return Self::OtherAccount,
        };
        let lists = read.values("validationmethods");
        let judged = lists.iter().map(|list| {
            let mut methods = list.split(',');
            let is_whole = methods.clone().all(is_label);
            let is_like = |method: &str| {
                method.eq_ignore_ascii_case(METHOD) || method.eq_ignore_ascii_case(SYNONYM)
            };
            if is_whole && methods.clone().any(|method| method == METHOD) {
                Self::Allowed
            } else if methods.any(is_like) {
                Self::OtherSpelling
            } else {
                Self::OtherMethods
            }
        });
        judged.max().unwrap_or(Self::Allowed).max(named)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
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

    /// A CAA record has the account's URL (RFC 8657), and a record of draft-02 a hash of it.
    #[test]
    fn a_hash_of_an_account_is_not_compared_with_the_account_in_caa() {
        let hash = format!("https://ca.example/sha256/{}", "a".repeat(43));
        let found = |value: &str| {
            let set = [property("issue", value)];
            stops("example.ch", &set, "ca.example", &hash, METHODS_COUNT_FROM)
        };
        let methods = "validationmethods=ca-tbr-22";
        assert_eq!(found(&format!("ca.example; {methods}")), None);
        let one = "ca.example; accounturi=https://ca.example/1";
        let stop = found(&format!("{one}; {methods}")).unwrap();
        assert!(!stop.is_certain && stop.changes.is_empty(), "{stop:?}");
        assert!(stop.words.contains("which has a hash of it"), "{stop:?}");
        for (value, add) in [
            (
                format!("{one}; validationmethods=ca-tbr-7"),
                format!("{one}; {methods}"),
            ),
            (
                "ca.example; validationmethods=ca-tbr-7".to_owned(),
                format!("ca.example; {methods}"),
            ),
        ] {
            let stop = found(&value).unwrap();
            let line = format!("example.ch. CAA 0 issue \"{add}\"");
            assert!(stop.is_certain, "{stop:?}");
            assert_eq!(stop.changes[0].add, Some(line), "{value}");
        }
    }

    #[test]
    fn a_line_for_a_new_issuer_is_limited_where_the_others_are() {
        const OURS: &str = "https://ca.example/1";
        for (value, word, line) in [
            ("other.example", "ca.example", "ca.example"),
            (
                "other.example; accounturi=https://other.example/7",
                "ca.example; validationmethods=ca-tbr-22",
                "ca.example; accounturi=https://ca.example/1; validationmethods=ca-tbr-22",
            ),
        ] {
            let set = [property("issue", value)];
            let on = METHODS_COUNT_FROM;
            let stop = stops("a.ch", &set, "ca.example", OURS, on).unwrap();
            let expected = format!("a.ch. CAA 0 issue \"{line}\"");
            assert_eq!(stop.changes[0].add, Some(expected), "{value}");
            let said = refuses("a.ch", &set, "ca.example").unwrap();
            assert!(said.ends_with(&format!("issue \"{word}\"`")), "{said}");
        }
    }

    #[test]
    fn parameters_stop_a_persistent_record_from_the_day_on_and_issuers_at_once() {
        const OURS: &str = "https://ca.example/1";
        let before = METHODS_COUNT_FROM - jiff::SignedDuration::from_secs(1);
        let table: [(&[&str], Option<bool>, Option<bool>); 12] = [
            (&[], None, None),
            (&["ca.example"], None, None),
            (&["other.example"], Some(true), Some(true)),
            (&[";"], Some(true), Some(true)),
            (&["other.example", "CA.example"], None, None),
            (
                &["ca.example; validationmethods=ca-tbr-7"],
                None,
                Some(true),
            ),
            (
                &["ca.example; validationmethods=ca-tbr-7,ca-tbr-22"],
                None,
                None,
            ),
            (
                &["ca.example; validationmethods=DNS-persist-01"],
                None,
                Some(false),
            ),
            (
                &["ca.example; validationmethods=ca-tbr-22,x_y"],
                None,
                Some(false),
            ),
            (&["ca.example; accounturi=https://ca.example/1"], None, None),
            (
                &["ca.example; accounturi=https://ca.example/2; validationmethods=ca-tbr-22"],
                None,
                Some(true),
            ),
            (
                &[
                    "ca.example; accounturi=https://ca.example/2",
                    "ca.example; validationmethods=ca-tbr-22",
                ],
                None,
                None,
            ),
        ];
        for (values, early, late) in table {
            let set: Vec<Property> = values.iter().map(|one| property("issue", one)).collect();
            for (on, expected) in [(before, early), (METHODS_COUNT_FROM, late)] {
                let found = stops("example.ch", &set, "ca.example", OURS, on);
                let certain = found.as_ref().map(|stop| stop.is_certain);
                assert_eq!(certain, expected, "{values:?} {on}");
                // What is to be pasted ends it.
                let Some(add) = found.and_then(|stop| stop.changes[0].add.clone()) else {
                    continue;
                };
                let value = add.split('"').nth(1).unwrap_or_default();
                let more = set.iter().cloned().chain([property("issue", value)]);
                let more: Vec<Property> = more.collect();
                let left = stops("example.ch", &more, "ca.example", OURS, on);
                assert_eq!(left, None, "{add}");
            }
        }
        let mut future = property("future", "x");
        future.critical = true;
        let found = stops("example.ch", &[future], "ca.example", OURS, before);
        assert!(found.is_some_and(|stop| stop.is_certain));
    }
}
