//! Extended DNS errors (RFC 8914): why a resolver has no answer, in its own words and the
//! registry's.

use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::EdnsOption;

/// The EDNS option (RFC 8914, section 2). The message library leaves it undecoded.
const OPTION: u16 = 15;
/// What a resolver may add in words.
const MOST_TEXT: usize = 200;

/// One extended error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ExtendedError {
    code: u16,
    text: String,
}

impl ExtendedError {
    /// All of a reply's, in its order.
    pub(super) fn of(reply: &Message) -> Vec<Self> {
        let options = reply.edns.iter().flat_map(|edns| edns.options().as_ref());
        let read = |option: &EdnsOption| match option {
            EdnsOption::Unknown(OPTION, bytes) => {
                let (code, text) = bytes.split_first_chunk()?;
                let text = String::from_utf8_lossy(text)
                    .trim_end_matches('\0')
                    .chars()
                    .take(MOST_TEXT)
                    .collect();
                Some(Self {
                    code: u16::from_be_bytes(*code),
                    text,
                })
            }
            _ => None,
        };
        options.filter_map(|(_, option)| read(option)).collect()
    }

    /// The zone's signatures are at fault (codes 6 to 12).
    pub(super) fn is_bogus(&self) -> bool {
        (6..=12).contains(&self.code)
    }
}

impl std::fmt::Display for ExtendedError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // IANA, "Extended DNS Error Codes": those that an answer about a zone may carry.
        let meaning = match self.code {
            1 => "DNSKEY algorithm not supported",
            2 => "DS digest not supported",
            3 => "stale answer",
            4 => "forged answer",
            5 => "DNSSEC indeterminate",
            6 => "DNSSEC bogus",
            7 => "signature expired",
            8 => "signature not yet valid",
            9 => "no DNSKEY that matches the DS",
            10 => "signatures are missing",
            11 => "no zone key",
            12 => "proof of absence is missing",
            13 => "cached error",
            14 => "not ready",
            15 => "blocked",
            16 => "censored",
            17 => "filtered",
            18 => "prohibited",
            19 => "stale NXDOMAIN",
            20 => "not authoritative",
            21 => "not supported",
            22 => "no authority could be reached",
            23 => "network error",
            24 => "invalid data",
            25 => "signature expired before valid",
            27 => "NSEC3 iterations not supported",
            _ => "extended error",
        };
        write!(f, "{meaning} (EDE {})", self.code)?;
        if self.text.is_empty() {
            Ok(())
        } else {
            write!(f, ": {}", self.text)
        }
    }
}
