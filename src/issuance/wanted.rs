//! A certificate as the configuration wants it, and when it is renewed.

use std::fmt;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// The names of the certificates of `certificate order` begin so. They are not renewed.
pub const BY_HAND: &str = "csr-";

/// The command that orders a new certificate, as the middle of a sentence.
pub fn again(name: &str) -> String {
    match name.starts_with(BY_HAND) {
        true => "`prevalidate certificate order` as before, with `--again`,".to_owned(),
        false => format!("`prevalidate certificate issue {name} --again`"),
    }
}

/// What a decision needs to know of a wanted certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Its name in commands, and that of its folder.
    pub name: String,
    /// Everything that makes another certificate of it, in words: CA, client, product, names, key.
    /// When it differs from what is installed, a new one is ordered.
    pub print: String,
    /// How long before its end it is renewed.
    pub renew_before: Lead,
    /// Whether a program runs after a change.
    pub deploys: bool,
    /// Whether a new order takes the key that is there.
    pub keeps_key: bool,
}

/// What is in a print before the name of the certificate whose order is shared.
const DUPLICATE: &str = "\nduplicate of ";

/// Which certificate it was a duplicate of, by the print of an order.
pub fn duplicate_of(print: &str) -> Option<&str> {
    print.split_once(DUPLICATE).map(|(_, first)| first)
}

/// The print of an order that shares the order of `first`.
pub fn as_duplicate(print: &str, first: &str) -> String {
    format!("{print}{DUPLICATE}{first}")
}

/// The product in a print, and the print without it; `None`: it is no print of the configuration.
pub fn product_of(print: &str) -> Option<(&str, String)> {
    let lines: Vec<&str> = print.split('\n').collect();
    let [ca, client, product, rest @ ..] = lines.as_slice() else {
        return None;
    };
    Some((product, [&[*ca, *client][..], rest].concat().join("\n")))
}

impl Wanted {
    /// Whether what was ordered by this print is what is wanted. A duplicate that becomes a
    /// certificate of its own stays a duplicate until its renewal.
    pub fn is_met_by(&self, print: &str) -> bool {
        let own = print.split_once(DUPLICATE).map(|(own, _)| own);
        print == self.print || own == Some(&self.print)
    }

    /// Whether what was ordered by this print is for another spelling of the product, and else for
    /// just what is wanted, which a duplicate is until its renewal.
    pub fn differs_in_product_from(&self, print: &str) -> bool {
        let alone = print.split_once(DUPLICATE).map(|(own, _)| own);
        let alone = alone.filter(|_| duplicate_of(&self.print).is_none());
        let both = product_of(&self.print).zip(product_of(alone.unwrap_or(print)));
        both.is_some_and(|((product, own), (other, rest))| own == rest && product != other)
    }
}

/// How long before its end a certificate is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lead {
    /// A share of its life: the numerator and the denominator.
    Share(u32, u32),
    /// A length of time.
    Span(SignedDuration),
}

impl Default for Lead {
    fn default() -> Self {
        Self::Share(1, 3)
    }
}

impl fmt::Display for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(part, whole) => write!(f, "{part}/{whole}"),
            Self::Span(span) => write!(f, "{} s", span.as_secs()),
        }
    }
}

impl Lead {
    /// Reads a share: `1/3`, or `20%`. `None` where it is none between 0 and 1.
    pub fn share(text: &str) -> Option<Self> {
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let (part, whole) = match text.split_once('/') {
            Some((part, whole)) => (number(part)?, number(whole)?),
            None => (number(text.trim().strip_suffix('%')?)?, 100),
        };
        (0 < part && part < whole).then_some(Self::Share(part, whole))
    }

    /// When a certificate with these two dates is renewed. A share is exact. A length of time is
    /// never more than half of the life: else each certificate would be renewed at once.
    pub fn renew_at(self, not_before: Timestamp, not_after: Timestamp) -> Timestamp {
        let life = not_after.duration_since(not_before);
        let lead = match self {
            Self::Share(part, whole) => {
                let millis = life.as_millis() * i128::from(part) / i128::from(whole.max(1));
                SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX))
            }
            Self::Span(span) => span.min(life / 2),
        };
        not_after.saturating_sub(lead).unwrap_or(not_before)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_share_is_exact_and_has_no_least_life() {
        let third = Lead::share("1/3").unwrap();
        let begin = at("2026-12-01T00:00:00Z");
        assert_eq!(
            third.renew_at(begin, at("2026-12-01T00:00:45Z")),
            at("2026-12-01T00:00:30Z")
        );
        let days = SignedDuration::from_hours(24);
        let end = begin + days * 90;
        assert_eq!(third.renew_at(begin, end), begin + days * 60);
        assert_eq!(
            Lead::share("20%").unwrap().renew_at(begin, end),
            begin + days * 72
        );
    }

    #[test]
    fn a_length_of_time_never_makes_a_certificate_due_at_its_birth() {
        let days = SignedDuration::from_hours(24);
        let begin = at("2026-12-01T00:00:00Z");
        let lead = Lead::Span(days * 30);
        assert_eq!(lead.renew_at(begin, begin + days * 90), begin + days * 60);
        assert_eq!(lead.renew_at(begin, begin + days * 20), begin + days * 10);
    }

    #[test]
    fn a_print_tells_its_product_and_the_order_that_it_shares() {
        let print = "ca\nclient\nOV\nwww.example.ch\necdsa-p256";
        let wanted = |print: &str| Wanted {
            name: "www".to_owned(),
            print: print.to_owned(),
            renew_before: Lead::default(),
            deploys: false,
            keeps_key: false,
        };
        let shared = as_duplicate(print, "first");
        assert_eq!(duplicate_of(&shared), Some("first"));
        assert_eq!(duplicate_of(print), None);
        assert!(wanted(print).is_met_by(&shared), "until its renewal");
        assert!(
            !wanted(&shared).is_met_by(print),
            "a duplicate costs nothing"
        );
        assert!(!wanted(&shared).is_met_by(&as_duplicate(print, "other")));
        let spelled = print.replace("OV", "pma-1");
        assert!(wanted(print).differs_in_product_from(&spelled));
        assert!(!wanted(print).differs_in_product_from(print));
        let both = as_duplicate(&spelled, "first");
        assert!(wanted(print).differs_in_product_from(&both));
        assert!(!wanted(&shared).differs_in_product_from(&spelled));
        assert!(wanted(&shared).differs_in_product_from(&both));
        let other = spelled.replace("www", "ftp");
        assert!(!wanted(print).differs_in_product_from(&other));
        assert!(
            !wanted("first").differs_in_product_from("second"),
            "no print of ours"
        );
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in [
            "", "1", "3/1", "1/1", "0/3", "1/0", "-1/3", "100%", "0%", "30d", "a/b",
        ] {
            assert_eq!(Lead::share(text), None, "{text}");
        }
    }
}
