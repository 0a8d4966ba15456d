//! CAA, pure: whom a domain's records let issue (RFC 8659, RFC 9495), and after which validation
//! (RFC 8657).
//!
//! Advice only. A prevalidation needs none of it: the CA checks CAA when it issues, for each name.

use jiff::Timestamp;
use serde::Serialize;

/// What SwissSign is called in CAA records (in the wild; its documents do not say).
pub const CA_NAMES: [&str; 1] = ["swisssign.com"];

/// What our method, 3.2.2.4.7 "DNS Change", is called in `validationmethods` (CA/B Forum BR
/// 4.2.2.1).
pub const METHOD: &str = "ca-tbr-7";

/// From 2027-03-15 00:00 UTC on a CA must obey `validationmethods` (BR 4.2.2.1).
pub const METHODS_COUNT_FROM: Timestamp = Timestamp::constant(1_805_068_800, 0);

/// Tags that a CA understands, so that their critical flag stops nobody: RFC 8659, RFC 9495, BR
/// appendix A.
const KNOWN: [&str; 6] = [
    "issue",
    "issuewild",
    "issuemail",
    "iodef",
    "contactemail",
    "contactphone",
];

/// One CAA record's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// Whoever does not understand the tag must not issue.
    pub critical: bool,
    /// As it stands there; compared without case.
    pub tag: String,
    /// As it stands there.
    pub value: Vec<u8>,
}

/// Whether the CA may issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Nothing forbids it.
    Allowed,
    /// The CA is named, but only for other validation methods than ours.
    OtherMethods,
    /// Others are named, or nobody, or a record that the CA does not understand stands there.
    Forbidden,
}

/// What the records that count for a domain mean for one CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaaAdvice {
    /// Where they stand: the domain, or the closest name above it that has any. `null`: nowhere, so
    /// everybody may issue.
    pub at: Option<String>,
    /// As in a zone file: `0 issue "swisssign.com"`.
    pub records: Vec<String>,
    /// For the domain and names below it (`issue`).
    pub certificates: Permission,
    /// For `*.` names (`issuewild`, else `issue`).
    pub wildcards: Permission,
    /// For e-mail certificates (`issuemail`).
    pub mail: Permission,
    /// Tags with the critical flag that CAs do not know: nobody may issue.
    pub unknown_critical: Vec<String>,
    /// What else is worth saying: values that are malformed, accounts, what counts later.
    pub notes: Vec<String>,
    /// What the CA is called, so what a record that names it says.
    pub ca: Vec<String>,
    /// Why the records could not all be looked up. A CA must not issue then (RFC 8659, section 3).
    pub fault: Option<String>,
}

/// Evaluates the relevant record set, found at `at`, for a CA that is called any of `ca_names`.
pub fn evaluate(
    at: Option<String>,
    set: &[Property],
    ca_names: &[String],
    now: Timestamp,
) -> CaaAdvice {
    let is = |property: &Property, tag: &str| property.tag.eq_ignore_ascii_case(tag);
    let mut notes = Vec::new();
    let mut judge = |tag: &str, otherwise: Permission| {
        let properties: Vec<&Property> = set.iter().filter(|property| is(property, tag)).collect();
        if properties.is_empty() {
            return otherwise;
        }
        let best = properties
            .into_iter()
            .map(|property| permission(property, ca_names, now, &mut notes));
        // One property that lets the CA issue is enough (RFC 8659, section 4.2).
        best.min_by_key(|permission| *permission as u8)
            .unwrap_or(otherwise)
    };
    let certificates = judge("issue", Permission::Allowed);
    let wildcards = judge("issuewild", certificates);
    let mail = judge("issuemail", Permission::Allowed);
    notes.dedup();

    let unknown =
        |property: &&Property| property.critical && !KNOWN.iter().any(|tag| is(property, tag));
    let unknown_critical: Vec<String> = set
        .iter()
        .filter(unknown)
        .map(|property| property.tag.clone())
        .collect();
    let unless_unknown = |permission| {
        if unknown_critical.is_empty() {
            permission
        } else {
            Permission::Forbidden
        }
    };
    CaaAdvice {
        at,
        records: set.iter().map(shown).collect(),
        certificates: unless_unknown(certificates),
        wildcards: unless_unknown(wildcards),
        mail: unless_unknown(mail),
        unknown_critical,
        notes,
        ca: ca_names.to_vec(),
        fault: None,
    }
}

fn permission(
    property: &Property,
    ca_names: &[String],
    now: Timestamp,
    notes: &mut Vec<String>,
) -> Permission {
    let Some(issuer) = Issuer::read(&property.value) else {
        notes.push(format!(
            "{} is malformed and lets nobody issue (RFC 8659, section 4.2)",
            shown(property)
        ));
        return Permission::Forbidden;
    };
    if !ca_names
        .iter()
        .any(|name| name.eq_ignore_ascii_case(issuer.name))
    {
        return Permission::Forbidden;
    }
    let values = |wanted: &str| {
        let fits = move |(tag, _): &&(&str, &str)| tag.eq_ignore_ascii_case(wanted);
        issuer
            .parameters
            .iter()
            .filter(fits)
            .map(|(_, value)| *value)
            .collect::<Vec<_>>()
    };
    if let [account] = values("accounturi")[..] {
        notes.push(format!(
            "only the CA's account {account} may issue; whether that is yours, only the CA knows"
        ));
    } else if values("accounturi").len() > 1 {
        notes.push(format!(
            "{} has several accounturi, so it lets nobody issue (RFC 8657, section 3)",
            shown(property)
        ));
        return Permission::Forbidden;
    }
    if values("validationmethods")
        .iter()
        .all(|methods| methods.split(',').any(|method| method == METHOD))
    {
        return Permission::Allowed;
    }
    if now < METHODS_COUNT_FROM {
        notes.push(format!(
            "from 2027-03-15 on {} stops certificates that rest on our method, {METHOD}",
            shown(property)
        ));
        return Permission::Allowed;
    }
    Permission::OtherMethods
}

/// An `issue` value, taken apart.
struct Issuer<'a> {
    /// Empty: nobody.
    name: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Issuer<'a> {
    /// Reads it by the grammar of RFC 8659, section 4.2; `None` when it is malformed.
    fn read(value: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let space = [' ', '\t'];
        let (name, rest) = text
            .split_once(';')
            .map_or((text, ""), |(name, rest)| (name, rest));
        let name = name.trim_matches(space);
        if !name.is_empty() && !is_issuer_name(name) {
            return None;
        }
        if rest.trim_matches(space).is_empty() {
            return Some(Self {
                name,
                parameters: Vec::new(),
            });
        }
        let parameter = |part: &'a str| {
            let (tag, value) = part.split_once('=')?;
            let (tag, value) = (tag.trim_matches(space), value.trim_matches(space));
            // parameter-value = *(%x21-3A / %x3C-7E): printable, no space, no semicolon.
            (is_label(tag) && value.bytes().all(|byte| byte.is_ascii_graphic()))
                .then_some((tag, value))
        };
        let parameters = rest.split(';').map(parameter).collect::<Option<Vec<_>>>()?;
        Some(Self { name, parameters })
    }
}

/// Whether a text may stand for a CA in a CAA record: `issuer-domain-name` of RFC 8659, section
/// 4.2.
pub fn is_issuer_name(text: &str) -> bool {
    text.split('.').all(is_label)
}

/// `(ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT))`
fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn shown(property: &Property) -> String {
    let flags = if property.critical { 128 } else { 0 };
    let value = String::from_utf8_lossy(&property.value);
    format!(
        "{flags} {} \"{}\"",
        property.tag,
        value.replace('\\', "\\\\").replace('"', "\\\"")
    )
}

#[cfg(test)]
mod tests {
    use Permission::{Allowed, Forbidden, OtherMethods};

    use super::*;

    const BEFORE: Timestamp = Timestamp::constant(1_805_068_799, 0);

    fn advice(records: &[&str], now: Timestamp) -> CaaAdvice {
        let set: Vec<Property> = records
            .iter()
            .map(|text| {
                let mut words = text.splitn(3, ' ');
                let mut word = || words.next().unwrap_or_default();
                Property {
                    critical: word() == "128",
                    tag: word().to_owned(),
                    value: word().as_bytes().to_vec(),
                }
            })
            .collect();
        evaluate(
            Some("example.ch".to_owned()),
            &set,
            &CA_NAMES.map(str::to_owned),
            now,
        )
    }

    #[test]
    fn records_let_the_named_issue_and_nobody_else() {
        type Row = (&'static [&'static str], Permission, Permission, Permission);
        let table: &[Row] = &[
            (&[], Allowed, Allowed, Allowed),
            (&["0 issue swisssign.com"], Allowed, Allowed, Allowed),
            (&["0 ISSUE SwissSign.COM"], Allowed, Allowed, Allowed),
            (
                &["0 issue other.example", "0 issue swisssign.com; account=1"],
                Allowed,
                Allowed,
                Allowed,
            ),
            (&["0 issue other.example"], Forbidden, Forbidden, Allowed),
            (
                &["0 issue www.swisssign.com"],
                Forbidden,
                Forbidden,
                Allowed,
            ),
            (&["0 issue ;"], Forbidden, Forbidden, Allowed),
            (&["0 issue "], Forbidden, Forbidden, Allowed),
            (&["0 iodef mailto:a@b.c"], Allowed, Allowed, Allowed),
            (&["0 issuewild swisssign.com"], Allowed, Allowed, Allowed),
            (&["0 issuewild other.example"], Allowed, Forbidden, Allowed),
            (
                &["0 issue other.example", "0 issuewild swisssign.com"],
                Forbidden,
                Allowed,
                Allowed,
            ),
            (
                &["0 issue swisssign.com", "0 issuewild ;"],
                Allowed,
                Forbidden,
                Allowed,
            ),
            (&["0 issuemail other.example"], Allowed, Allowed, Forbidden),
            (
                &["0 issue ;", "0 issuemail swisssign.com"],
                Forbidden,
                Forbidden,
                Allowed,
            ),
            (&["0 unknown x"], Allowed, Allowed, Allowed),
            (
                &["0 issue swisssign.com", "128 unknown x"],
                Forbidden,
                Forbidden,
                Forbidden,
            ),
            (
                &["128 issue swisssign.com", "128 contactemail a@b.c"],
                Allowed,
                Allowed,
                Allowed,
            ),
            // Malformed values let nobody issue.
            (
                &["0 issue swisssign.com; account"],
                Forbidden,
                Forbidden,
                Allowed,
            ),
            (
                &["0 issue swisssign.com; a=b c"],
                Forbidden,
                Forbidden,
                Allowed,
            ),
            (
                &["0 issue swisssign.com; a=b;"],
                Forbidden,
                Forbidden,
                Allowed,
            ),
            (&["0 issue swisssign.com."], Forbidden, Forbidden, Allowed),
            (&["0 issue -swisssign.com"], Forbidden, Forbidden, Allowed),
            (&["0 issue swisssign com"], Forbidden, Forbidden, Allowed),
            (
                &["0 issue swisssign.com \t;\t a = b "],
                Allowed,
                Allowed,
                Allowed,
            ),
        ];
        for (records, certificates, wildcards, mail) in table {
            let advice = advice(records, METHODS_COUNT_FROM);
            assert_eq!(
                (advice.certificates, advice.wildcards, advice.mail),
                (*certificates, *wildcards, *mail),
                "{records:?}: {advice:?}"
            );
        }
        assert_eq!(
            advice(&["128 unknown x"], BEFORE).unknown_critical,
            ["unknown"]
        );
        assert_eq!(
            advice(&["128 unknown x"], BEFORE).records,
            ["128 unknown \"x\""]
        );
    }

    #[test]
    fn validation_methods_count_from_a_day_on_and_are_told_before() {
        let table = [
            ("ca-tbr-7", Allowed),
            ("dns-01,ca-tbr-7", Allowed),
            ("dns-01", OtherMethods),
            ("", OtherMethods),
            ("ca-tbr-77", OtherMethods),
        ];
        for (methods, then) in table {
            let record = format!("0 issue swisssign.com; validationmethods={methods}");
            assert_eq!(
                advice(&[&record], METHODS_COUNT_FROM).certificates,
                then,
                "{methods}"
            );
            let now = advice(&[&record], BEFORE);
            assert_eq!(now.certificates, Allowed);
            assert_eq!(
                now.notes
                    .iter()
                    .any(|note| note.contains("from 2027-03-15")),
                then == OtherMethods,
                "{now:?}"
            );
        }
        let beside = [
            "0 issue swisssign.com; validationmethods=dns-01",
            "0 issue swisssign.com",
        ];
        assert_eq!(advice(&beside, METHODS_COUNT_FROM).certificates, Allowed);
    }

    #[test]
    fn an_account_is_the_cas_to_know_and_two_are_nobodys() {
        let one = advice(
            &["0 issue swisssign.com; accounturi=https://a.example/1"],
            BEFORE,
        );
        assert!(
            one.certificates == Allowed && one.notes[0].contains("https://a.example/1"),
            "{one:?}"
        );
        let two = advice(
            &["0 issue swisssign.com; accounturi=https://a/1; accounturi=https://a/2"],
            BEFORE,
        );
        assert!(
            two.certificates == Forbidden && two.notes[0].contains("several accounturi"),
            "{two:?}"
        );
    }

    #[test]
    fn what_is_no_text_is_malformed_and_shown_all_the_same() {
        let set = [Property {
            critical: false,
            tag: "issue".to_owned(),
            value: vec![0xff, b'"'],
        }];
        let advice = evaluate(None, &set, &CA_NAMES.map(str::to_owned), BEFORE);
        assert_eq!(advice.certificates, Forbidden);
        assert_eq!(advice.records, ["0 issue \"\u{fffd}\\\"\""]);
    }
}
