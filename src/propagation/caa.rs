//! CAA, pure: which CA a domain's records let issue (RFC 8659, RFC 9495), and after which
//! validation (RFC 8657).
//!
//! Advice only. A prevalidation needs none of it: the CA checks CAA when it issues, for each name.

use jiff::Timestamp;
use serde::Serialize;

mod issuer;
pub mod persistent_records;
#[cfg(test)]
mod tests;

use issuer::Issuer;
pub use issuer::is_issuer_name;

/// What SwissSign is called in CAA records (in the wild; its documents do not say).
pub const CA_NAMES: [&str; 1] = ["swisssign.com"];

/// What our method, 3.2.2.4.7 "DNS Change", is called in `validationmethods` (CA/B Forum BR
/// 4.2.2.1).
pub const METHOD: &str = "ca-tbr-7";

/// ACME's name for the same method. A CA should accept either (BR 4.2.2.1); whether ours does, only
/// the CA knows.
const SYNONYM: &str = "dns-01";

/// Records and notes of one set that are shown. A hostile set has thousands.
const MOST_SHOWN: usize = 32;

/// From 2027-03-15 00:00 UTC on a CA must obey `accounturi` and `validationmethods` (BR 4.2.2.1).
pub const METHODS_COUNT_FROM: Timestamp = Timestamp::constant(1_805_068_800, 0);

/// Tags that a CA understands, so that their critical flag stops no CA: RFC 8659, RFC 9495, BR
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
    /// A CA that does not understand the tag must not issue.
    pub critical: bool,
    /// As it is there; compared without case.
    pub tag: String,
    /// As it is there.
    pub value: Vec<u8>,
}

/// Whether the CA may issue; the better, the earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// Nothing forbids it.
    Allowed,
    /// The CA is named, with a condition of which only the CA can say whether it is met: a synonym
    /// or another spelling of our method, or an account whose form is not that of ACME.
    ProbablyAllowed,
    /// The CA is named, but only for an account of another system, such as ACME.
    OtherAccount,
    /// The CA is named, but only for other validation methods than ours.
    OtherMethods,
    /// Other CAs are named, or none, or a record that the CA does not understand is there.
    Forbidden,
}

impl Permission {
    /// Whether certificates may be counted on, or the CA must be asked.
    pub fn may(self) -> bool {
        self <= Self::ProbablyAllowed
    }
}

/// One record to take out, to put in, or to replace; as in a zone file, ready to paste.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The record to remove.
    pub remove: Option<String>,
    /// The record to add.
    pub add: Option<String>,
}

/// What the records that count for a domain mean for one CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaaAdvice {
    /// Where they are: the domain, or the closest name above it that has any. `null`: nowhere, so
    /// every CA may issue.
    pub at: Option<String>,
    /// As in a zone file: `0 issue "swisssign.com"`.
    pub records: Vec<String>,
    /// For the domain and names below it (`issue`).
    pub certificates: Permission,
    /// For `*.` names (`issuewild`, else `issue`).
    pub wildcards: Permission,
    /// For e-mail certificates (`issuemail`).
    pub mail: Permission,
    /// Tags with the critical flag that CAs do not know: no CA may issue.
    pub unknown_critical: Vec<String>,
    /// What else is worth saying: values that are malformed, accounts, what counts later.
    pub notes: Vec<String>,
    /// What to change in the zone so that the CA may issue all that it may not.
    pub changes: Vec<Change>,
    /// What the CA is called, so what a record that names it says.
    pub ca: Vec<String>,
    /// Why the records could not all be read. A CA must not issue then (RFC 8659, section 3).
    pub fault: Option<String>,
}

/// Evaluates the relevant record set, found at `at`, for a CA that is called any of `ca_names`, as
/// it must be obeyed at `now`.
pub fn evaluate(
    at: Option<String>,
    set: &[Property],
    ca_names: &[String],
    now: Timestamp,
) -> CaaAdvice {
    let judge = Judge {
        set,
        ca_names,
        binds: now >= METHODS_COUNT_FROM,
    };
    let mut notes = Vec::new();
    let certificates = judge.tag("issue", Permission::Allowed, &mut notes);
    let wildcards = judge.tag("issuewild", certificates, &mut notes);
    // The S/MIME rules know neither parameter yet.
    let mail = match judge.tag("issuemail", Permission::Allowed, &mut notes) {
        Permission::OtherAccount | Permission::OtherMethods => Permission::ProbablyAllowed,
        other => other,
    };
    notes.dedup();
    notes.truncate(MOST_SHOWN);

    let unknown =
        |property: &&Property| property.critical && !KNOWN.iter().any(|tag| property.is(tag));
    let unknown_critical: Vec<String> = set
        .iter()
        .filter(unknown)
        .map(|property| property.tag.clone())
        .take(MOST_SHOWN)
        .collect();
    let unless_unknown = |permission| {
        if unknown_critical.is_empty() {
            permission
        } else {
            Permission::Forbidden
        }
    };
    let changes = match &at {
        Some(at) => judge.changes(at, [("issue", certificates), ("issuewild", wildcards)]),
        None => Vec::new(),
    };
    CaaAdvice {
        at,
        records: set.iter().take(MOST_SHOWN).map(shown).collect(),
        certificates: unless_unknown(certificates),
        wildcards: unless_unknown(wildcards),
        mail: unless_unknown(mail),
        unknown_critical,
        notes,
        changes,
        ca: ca_names.to_vec(),
        fault: None,
    }
}

impl CaaAdvice {
    /// Whether a line to add lets every account at the CA issue, where a current record names one.
    pub fn admits_other_accounts(&self) -> bool {
        let names_one = |text: &String| text.to_ascii_lowercase().contains("accounturi=");
        let mut added = self.changes.iter().filter_map(|change| change.add.as_ref());
        self.records.iter().any(names_one) && added.any(|add| !names_one(add))
    }
}

impl Property {
    fn is(&self, tag: &str) -> bool {
        self.tag.eq_ignore_ascii_case(tag)
    }
}

/// A record set, read for one CA.
struct Judge<'a> {
    set: &'a [Property],
    ca_names: &'a [String],
    /// Whether the parameters of RFC 8657 must be obeyed.
    binds: bool,
}

impl Judge<'_> {
    /// What the properties of one tag permit; `otherwise` where there are none. One property that
    /// lets the CA issue is enough (RFC 8659, section 4.2).
    fn tag(&self, tag: &str, otherwise: Permission, notes: &mut Vec<String>) -> Permission {
        let properties = self.set.iter().filter(|property| property.is(tag));
        let judged = properties.map(|property| self.property(property, notes));
        judged.min().unwrap_or(otherwise)
    }

    fn property(&self, property: &Property, notes: &mut Vec<String>) -> Permission {
        let mut note = |text: String| {
            if notes.len() < MOST_SHOWN {
                notes.push(text);
            }
        };
        let Some(issuer) = Issuer::read(&property.value) else {
            note(format!(
                "{} is malformed and lets no CA issue (RFC 8659, section 4.2)",
                shown(property)
            ));
            return Permission::Forbidden;
        };
        let is_ours = |name: &String| name.eq_ignore_ascii_case(issuer.name);
        if !self.ca_names.iter().any(is_ours) {
            return Permission::Forbidden;
        }
        let account = match issuer.values("accounturi")[..] {
            [] => Permission::Allowed,
            [account] => {
                note(format!(
                    "only the CA's account {account} may issue; whether that is yours, only the \
                     CA knows"
                ));
                of_account(account)
            }
            _ => {
                note(format!(
                    "{} has several accounturi, so it lets no CA issue (RFC 8657, section 3)",
                    shown(property)
                ));
                Permission::Forbidden
            }
        };
        let methods = of_methods(&issuer.values("validationmethods"));
        let permission = account.max(methods);
        if permission == Permission::Allowed || self.binds {
            return permission;
        }
        let stops = if permission == Permission::ProbablyAllowed {
            "may stop"
        } else {
            "stops"
        };
        if methods > Permission::Allowed {
            note(format!(
                "from 2027-03-15 on {} {stops} certificates that rest on our method, {METHOD}",
                shown(property)
            ));
        }
        if account > Permission::Allowed {
            note(format!(
                "from 2027-03-15 on {} {stops} certificates of every other account",
                shown(property)
            ));
        }
        Permission::Allowed
    }

    /// The smallest changes that let the CA issue by our method.
    fn changes(&self, at: &str, tags: [(&str, Permission); 2]) -> Vec<Change> {
        let Some(ca) = self.ca_names.first() else {
            return Vec::new();
        };
        let line = |property: &Property| format!("{at}. CAA {}", shown(property));
        let mut changes: Vec<Change> = self
            .set
            .iter()
            .filter(|property| property.critical && !KNOWN.iter().any(|tag| property.is(tag)))
            .take(MOST_SHOWN)
            .map(|property| Change {
                remove: Some(line(property)),
                add: None,
            })
            .collect();
        for (tag, permission) in tags {
            let own = self.set.iter().filter(|property| property.is(tag));
            // Without records of its own, a wildcard is covered by what `issue` says.
            if permission == Permission::Allowed || own.clone().next().is_none() {
                continue;
            }
            let narrow = own
                .clone()
                .find(|property| self.names_us_for_other_methods(property));
            // A record that limits one issuer is useless beside a line without a limit.
            let limit = match own.clone().any(is_limited) {
                true => format!("; validationmethods={METHOD}"),
                false => String::new(),
            };
            changes.push(match narrow {
                Some(property) => Change {
                    remove: Some(line(property)),
                    add: Some(line(&with_our_method(property))),
                },
                None => Change {
                    remove: None,
                    add: Some(format!("{at}. CAA 0 {tag} \"{ca}{limit}\"")),
                },
            });
        }
        changes
    }

    /// Whether a property is well-formed, names the CA without an account or with one that may be
    /// ours, and not our method.
    fn names_us_for_other_methods(&self, property: &Property) -> bool {
        Issuer::read(&property.value).is_some_and(|issuer| {
            let methods = issuer.values("validationmethods");
            let may_be_ours = match issuer.values("accounturi")[..] {
                [] => true,
                [account] => of_account(account).may(),
                _ => false,
            };
            self.ca_names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(issuer.name))
                && may_be_ours
                && methods.len() == 1
                && of_methods(&methods) > Permission::Allowed
        })
    }
}

/// What an `accounturi` permits to an account that orders without ACME (RFC 8657, section 3; the
/// CA/B Forum asks CAs without ACME to use `acct:`).
fn of_account(account: &str) -> Permission {
    match account.split_once(':') {
        Some((scheme, rest)) if !rest.is_empty() && is_scheme(scheme) => {
            if scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http") {
                Permission::OtherAccount
            } else {
                Permission::ProbablyAllowed
            }
        }
        // What is no URI names no account at all.
        _ => Permission::Forbidden,
    }
}

/// RFC 3986, section 3.1.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .chars()
            .all(|it| it.is_ascii_alphanumeric() || "+-.".contains(it))
}

/// What the `validationmethods` of one property permit (RFC 8657, section 4): all of them must.
fn of_methods(values: &[&str]) -> Permission {
    let judged = values.iter().map(|list| {
        let mut methods = list.split(',');
        // Some CAs refuse a list of which one entry is not a label: Boulder's
        // `caaValidationMethodsAuthorized` does.
        let is_whole = methods.clone().all(issuer::is_label);
        if is_whole && methods.clone().any(|method| method == METHOD) {
            Permission::Allowed
        } else if methods.any(|method| {
            method.eq_ignore_ascii_case(METHOD) || method.eq_ignore_ascii_case(SYNONYM)
        }) {
            Permission::ProbablyAllowed
        } else {
            Permission::OtherMethods
        }
    });
    match judged.max() {
        // Readers differ about a parameter that is there twice.
        Some(Permission::Allowed) if values.len() > 1 => Permission::ProbablyAllowed,
        Some(permission) => permission,
        None => Permission::Allowed,
    }
}

/// Whether a property names an issuer and limits it by RFC 8657.
fn is_limited(property: &Property) -> bool {
    Issuer::read(&property.value).is_some_and(|issuer| {
        let mut limits = ["accounturi", "validationmethods"].into_iter();
        limits.any(|parameter| !issuer.values(parameter).is_empty())
    })
}

/// The same property with our method among its methods.
fn with_our_method(property: &Property) -> Property {
    let value = String::from_utf8_lossy(&property.value);
    let parts = value.split(';').map(|part| {
        let is_methods = |key: &str| key.trim().eq_ignore_ascii_case("validationmethods");
        let Some((key, list)) = part.split_once('=').filter(|(key, _)| is_methods(key)) else {
            return part.to_owned();
        };
        // Text that is not a label makes some CAs refuse the whole list.
        let labels = list.split(',').map(str::trim);
        let labels = labels.filter(|label| issuer::is_label(label) && *label != METHOD);
        let labels: Vec<&str> = labels.chain([METHOD]).collect();
        format!("{key}={}", labels.join(","))
    });
    Property {
        value: parts.collect::<Vec<_>>().join(";").into_bytes(),
        ..property.clone()
    }
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
