//! What a client's proofs are for, where a CA keeps several ends of one proof apart.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::observed::Sighting;
use super::proof::Proof;

/// What certificates a client orders on its proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// Certificates for servers, of any validation.
    #[default]
    Tls,
    /// Certificates for servers with a validated organisation.
    Ov,
    /// Certificates for servers with extended validation.
    Ev,
    /// Certificates for mail.
    Smime,
}

impl Purpose {
    /// All of them, with their words in the configuration.
    pub const WORDS: [(&str, Self); 4] = [
        ("tls", Self::Tls),
        ("ov", Self::Ov),
        ("ev", Self::Ev),
        ("smime", Self::Smime),
    ];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, purpose)| *purpose == self);
        found.map_or("tls", |(word, _)| word)
    }

    /// Whether the end that a CA states under `word` ends a proof for this purpose. A word that is
    /// none of the purposes is an end of the proof itself.
    fn heeds(self, word: &str) -> bool {
        match (word, self) {
            ("ov", Self::Ov) | ("ev", Self::Ev) | ("smime", Self::Smime) => true,
            ("ov" | "ev" | "tls", Self::Tls) => true,
            ("tls", Self::Ov | Self::Ev) => true,
            ("ov" | "ev" | "tls" | "smime", _) => false,
            _ => true,
        }
    }

    /// The earliest end that matters; that of the proof where the CA states none apart.
    fn end_of(self, proof: &Proof) -> Option<Timestamp> {
        let stated = proof.ends.iter();
        let heeded = stated
            .filter(|(word, _)| self.heeds(word))
            .map(|(_, end)| *end);
        heeded.min().or(proof.expires_at)
    }
}

impl Sighting {
    /// Has the proof end when it ends for `purpose`; whether that is another moment than before.
    pub fn heed(&mut self, purpose: Purpose) -> bool {
        let (Self::Present(found) | Self::Missing(found)) = self else {
            return false;
        };
        let Some(proof) = &mut found.proof else {
            return false;
        };
        let end = purpose.end_of(proof);
        std::mem::replace(&mut proof.expires_at, end) != end
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(day: &str) -> Timestamp {
        format!("{day}T00:00:00Z").parse().unwrap()
    }

    fn end(ends: &[(&str, &str)], purpose: Purpose) -> Option<String> {
        let proof = Proof {
            expires_at: Some(at("2027-01-01")),
            ends: ends
                .iter()
                .map(|(word, day)| ((*word).to_owned(), at(day)))
                .collect(),
            ..Proof::default()
        };
        let end = purpose.end_of(&proof)?;
        Some(end.strftime("%Y-%m-%d").to_string())
    }

    #[test]
    fn the_earliest_end_that_matters_to_the_purpose_counts() {
        use Purpose::{Ev, Ov, Smime, Tls};
        let both = [("ov", "2027-03-01"), ("ev", "2027-02-01")];
        let with_mail = [("tls", "2027-02-01"), ("smime", "2027-06-01")];
        let bounded = [
            ("ov", "2027-03-01"),
            ("ev", "2027-02-01"),
            ("domain", "2027-02-15"),
        ];
        for (ends, purpose, expected) in [
            (&both[..], Tls, "2027-02-01"),
            (&both, Ov, "2027-03-01"),
            (&both, Ev, "2027-02-01"),
            // The CA states none for mail: the end of the proof itself.
            (&both, Smime, "2027-01-01"),
            (&with_mail, Tls, "2027-02-01"),
            (&with_mail, Ov, "2027-02-01"),
            (&with_mail, Smime, "2027-06-01"),
            (&bounded, Ov, "2027-02-15"),
            (&bounded, Ev, "2027-02-01"),
            (&[], Tls, "2027-01-01"),
        ] {
            assert_eq!(
                end(ends, purpose).as_deref(),
                Some(expected),
                "{ends:?} {purpose:?}"
            );
        }
    }
}
