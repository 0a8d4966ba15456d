//! The account that a record names, and whether it is one of the issuer's. A record that names a
//! foreign account at an honest CA lets that account have certificates.

use crate::prevalidation::name::is_within;

/// Issuer domain names, and the hosts that their accounts are on, with everything below them. From
/// the CAs' ACME directories and CPS documents; a CA that is not here is unknown, not refused.
const KNOWN: [(&str, &[&str]); 13] = [
    ("actalis.it", &["actalis.com", "actalis.it"]),
    ("amazon.com", &["amazontrust.com"]),
    ("buypass.com", &["buypass.com", "buypass.no"]),
    ("certum.pl", &["certum.pl"]),
    ("digicert.com", &["digicert.com"]),
    (
        "emsign.com",
        &["emsign.com", "emudhra.com", "certinext.com"],
    ),
    ("globalsign.com", &["globalsign.com"]),
    ("harica.gr", &["harica.gr"]),
    ("letsencrypt.org", &["letsencrypt.org"]),
    ("pki.goog", &["pki.goog"]),
    ("sectigo.com", &["sectigo.com", "zerossl.com"]),
    ("ssl.com", &["ssl.com"]),
    ("swisssign.com", &["swisssign.com", "swisssign.ch"]),
];

/// How an account is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountForm {
    /// The URL of an ACME account in clear text: draft-01 of `dns-persist-01`.
    Url,
    /// A hash of the account: draft-02. It changes when the account's key changes.
    Hash,
    /// `acct:NAME@HOST` (RFC 7565), as the BR ask of CAs without ACME.
    Acct,
    /// Another URI.
    Other,
}

impl AccountForm {
    /// The form of an account.
    pub fn of(account: &str) -> Self {
        let lower = account.to_ascii_lowercase();
        if lower.starts_with("acct:") {
            return Self::Acct;
        }
        if !(lower.starts_with("https://") || lower.starts_with("http://")) {
            return Self::Other;
        }
        let mut segments = account.trim_end_matches('/').rsplit('/');
        let (hash, algorithm) = (segments.next(), segments.next());
        let is_hash = |text: &str| {
            text.len() >= 43
                && text
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        };
        let is_algorithm = |text: &str| text.to_ascii_lowercase().starts_with("sha");
        match hash.is_some_and(is_hash) && algorithm.is_some_and(is_algorithm) {
            true => Self::Hash,
            false => Self::Url,
        }
    }

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Url => "an account URL (draft-01)",
            Self::Hash => "a hash of the account (draft-02)",
            Self::Acct => "an acct: URI",
            Self::Other => "another URI",
        }
    }
}

/// Whether an account is one of the issuer's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belonging {
    /// Its host is the issuer's.
    Ours,
    /// Its host is that of another issuer, or not one of a known issuer's.
    Foreign {
        /// The host of the account.
        host: String,
        /// The issuer that has this host, where it is known.
        whose: Option<&'static str>,
    },
    /// Neither the issuer nor the host is known here.
    Unknown,
}

/// Judges the account of a record for `issuer`; `host` is what the CA says its accounts are on, in
/// the place of what is known here.
pub fn belonging(issuer: &str, account: &str, host: Option<&str>) -> Belonging {
    let issuer = issuer.trim_end_matches('.').to_ascii_lowercase();
    let Some(found) = host_of(account) else {
        return Belonging::Unknown;
    };
    let owner = KNOWN
        .iter()
        .find(|(_, hosts)| hosts.iter().any(|host| is_within(&found, host)))
        .map(|(issuer, _)| *issuer);
    let is_known = KNOWN.iter().any(|(known, _)| *known == issuer);
    match owner {
        Some(owner) if owner == issuer => Belonging::Ours,
        Some(owner) => Belonging::Foreign {
            host: found,
            whose: Some(owner),
        },
        None if host.is_some_and(|host| host.eq_ignore_ascii_case(&found)) => Belonging::Ours,
        None if is_within(&found, &issuer) => Belonging::Ours,
        None if is_known || host.is_some() => Belonging::Foreign {
            host: found,
            whose: None,
        },
        None => Belonging::Unknown,
    }
}

/// The host that an account is on, in lower case; `None` where its form has none.
pub fn host_of(account: &str) -> Option<String> {
    let (scheme, rest) = account.split_once(':')?;
    let host = match rest.strip_prefix("//") {
        Some(rest) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            match host.strip_prefix('[') {
                Some(address) => address.split(']').next().unwrap_or_default(),
                None => host.split(':').next().unwrap_or_default(),
            }
        }
        None if scheme.eq_ignore_ascii_case("acct") => rest.rsplit_once('@')?.1,
        None => return None,
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    (!host.is_empty()).then_some(host)
}

/// Why a text is no URI that an account may have; `None` where it is one (RFC 3986). Every scheme may
/// be an account's: CAs without ACME assign URIs of their own (RFC 8657, section 3.2).
pub fn why_no_uri(account: &str) -> Option<&'static str> {
    let Some((scheme, rest)) = account.split_once(':') else {
        return Some("it has no scheme such as `https:`");
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let allowed = |c: char| c.is_ascii_graphic() && !"<>\"{}|\\^`".contains(c);
    if !is_scheme {
        Some("its scheme is malformed")
    } else if rest.is_empty() || rest == "//" {
        Some("nothing follows its scheme")
    } else if rest.contains(';') {
        Some("it holds a semicolon, which ends it in the record")
    } else if !rest.chars().all(allowed) {
        Some("it holds a character that a URI cannot have")
    } else if rest.starts_with("//") && host_of(account).is_none() {
        Some("it names no host")
    } else {
        None
    }
}
