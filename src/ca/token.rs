//! The prefix of a random value, `swiss-pki=`: what may be configured as one, and which prefixes
//! are known to belong to other services.

/// Prefixes under which other services search for the proof that a domain belongs to one of their
/// accounts. A CA's value under one of them would hand the domain over there.
const OTHERS: [&str; 36] = [
    "adobe-idp-site-verification",
    "adobe-sign-verification",
    "ahrefs-site-verification",
    "amazonses",
    "apple-domain-verification",
    "atlassian-domain-verification",
    "brave-ledger-verification",
    "canva-site-verification",
    "cisco-ci-domain-verification",
    "cloudflare-verify",
    "cloudflare_dashboard_sso",
    "citrix-verification-code",
    "detectify-verification",
    "docker-verification",
    "docusign",
    "dropbox-domain-verification",
    "facebook-domain-verification",
    "globalsign-domain-verification",
    "google-gws-recovery-domain-verification",
    "google-site-verification",
    "have-i-been-pwned-verification",
    "jamf-site-verification",
    "keybase-site-verification",
    "logmein-verification-code",
    "miro-verification",
    "mongodb-site-verification",
    "ms",
    "notion-domain-verification",
    "onetrust-domain-verification",
    "openai-domain-verification",
    "pinterest-site-verification",
    "protonmail-verification",
    "stripe-verification",
    "webexdomainverification",
    "yandex-verification",
    "zoom-domain-verification",
];

/// What text records at a domain say about mail and keys: never the beginning of a random value.
const RULES: [&str; 7] = ["dkim", "h", "k", "p", "spf", "t", "v"];

/// Whether `name`, without its `=`, is the mark of another service or of another kind of record.
pub fn is_foreign(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    OTHERS.contains(&name.as_str())
        || RULES.contains(&name.as_str())
        || name.starts_with("ms") && name[2..].bytes().all(|b| b.is_ascii_digit())
        || name.ends_with("-site-verification")
        || name.ends_with("-domain-verification")
}

/// The versions with which the TXT records of mail protocols begin.
const VERSIONS: [&str; 7] = [
    "v=spf1",
    "spf2.0/",
    "v=dmarc1",
    "v=dkim1",
    "v=bimi1",
    "v=stsv1",
    "v=tlsrptv1",
];

/// Whether a whole TXT value is the record of another protocol, or the mark of another service. A
/// random value may begin like the short ones by chance, and GlobalSign's mark is a CA's own.
pub fn is_of_another(value: &str) -> bool {
    let text: String = value.split_whitespace().collect();
    let text = text.to_ascii_lowercase();
    let is_mark = |(head, _): (&str, &str)| {
        let is_own = head.trim_start_matches('_') == "globalsign-domain-verification";
        head.len() > 1 && !is_own && is_foreign(head)
    };
    VERSIONS.iter().any(|begin| text.starts_with(begin))
        || text.split_once('=').is_some_and(is_mark)
}

/// Why `prefix` cannot be put before a random value, if it cannot.
///
/// # Errors
/// One sentence that says what it must be.
pub fn check_prefix(prefix: &str) -> Result<(), &'static str> {
    let name = prefix.strip_suffix('=').unwrap_or_default();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
        return Err("must be a word of at most 40 letters, digits, `-`, `_` or `.`, then `=`");
    }
    if is_foreign(name) {
        return Err(
            "is another service's prefix: a random value under it could hand the domain to an account there",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_name_with_one_equals_sign() {
        for good in ["swiss-pki=", "a=", "SwissSign-2=", "newca-domain="] {
            assert_eq!(check_prefix(good), Ok(()), "{good}");
        }
        let long = format!("{}=", "a".repeat(41));
        for bad in ["", "=", "swiss-pki", "a==", "a b=", "v=spf1 ", "ä=", &long] {
            assert!(check_prefix(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_prefixes_of_other_services_are_never_ours() {
        for foreign in [
            "google-site-verification",
            "GOOGLE-SITE-VERIFICATION",
            "facebook-domain-verification",
            "newcomer-site-verification",
            "MS",
            "ms12345678",
            "v",
            "docusign",
        ] {
            assert!(is_foreign(foreign), "{foreign}");
            assert!(check_prefix(&format!("{foreign}=")).is_err(), "{foreign}");
        }
        for ours in ["swiss-pki", "swisssign", "msca"] {
            assert!(!is_foreign(ours), "{ours}");
        }
    }

    #[test]
    fn a_value_of_another_protocol_is_known_and_a_random_one_is_not() {
        for other in [
            "v=spf1 +all",
            "V = DMARC1; p=none",
            "v=DKIM1; k=rsa; p=x",
            "spf2.0/pra",
            "v=STSv1; id=1",
            "google-site-verification=x",
            "MS=ms12345678",
        ] {
            assert!(is_of_another(other), "{other}");
        }
        for random in [
            "p=V_t|L%>8]iU6Yx",
            "v=F(U_t|L%>8]iU6Yx",
            "_abc123",
            "swiss-pki=AAAA==",
            "_globalsign-domain-verification=AbC",
        ] {
            assert!(!is_of_another(random), "{random}");
        }
    }
}
