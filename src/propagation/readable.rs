//! A DNS message of which one record cannot be read: the record costs only itself.
//!
//! The message library refuses a whole message for one record that it cannot decode, and such
//! records are beside what is asked for: a signature or a glue record of a form that is newer than
//! the library, or plainly wrong. Their type is replaced by one that is not read. All else stays,
//! in place, because names in a message may point to any octet before them.

use hickory_proto::op::Message;
use hickory_proto::rr::{Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

/// A type for private use (RFC 6895, section 3.1): the library keeps such a record undecoded.
const UNASSIGNED: u16 = 65_400;

/// More records than this are not repaired: a message of nothing else is refused.
const MOST: usize = 64;

/// CAA records must be read all or none: one that is left out may be the one that forbids. An OPT
/// record belongs to the message itself.
const NEEDED: [RecordType; 2] = [RecordType::CAA, RecordType::OPT];

/// The message in `bytes` without the records that cannot be read; `None` when it cannot be read
/// all the same.
pub(super) fn without_unreadable(bytes: &[u8]) -> Option<Message> {
    let mut mended = bytes.to_vec();
    let count = |at: usize| Some(usize::from(u16_at(bytes, at)?));
    let mut at = 12;
    for _ in 0..count(4)? {
        at = after_name(bytes, at)? + 4;
    }
    let mut unreadable = 0;
    for _ in 0..count(6)? + count(8)? + count(10)? {
        let fields = after_name(bytes, at)?;
        let end = fields + 10 + usize::from(u16_at(bytes, fields + 8)?);
        let kind = RecordType::from(u16_at(bytes, fields)?);
        let mut decoder = BinDecoder::new(bytes).clone(u16::try_from(at).ok()?);
        if !NEEDED.contains(&kind)
            && Record::<hickory_proto::rr::RData>::read(&mut decoder).is_err()
        {
            unreadable += 1;
            mended
                .get_mut(fields..fields + 2)?
                .copy_from_slice(&UNASSIGNED.to_be_bytes());
        }
        at = end;
    }
    if unreadable == 0 || unreadable > MOST {
        return None;
    }
    Message::from_vec(&mended).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    match bytes.get(at..at + 2)? {
        &[high, low] => Some(u16::from_be_bytes([high, low])),
        _ => None,
    }
}

/// Where the name that begins at `at` ends; its pointers are the library's to follow.
fn after_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length if length & 0xc0 == 0 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use hickory_proto::op::OpCode;
    use hickory_proto::rr::RData;

    use super::*;
    use crate::propagation::lab::record;

    /// A message with a good TXT record and one record of `kind` with `data` behind it.
    fn with(kind: RecordType, data: &[u8]) -> Vec<u8> {
        let mut message = Message::response(7, OpCode::Query);
        message.answers = vec![record("example.test TXT \"v=spf1 -all\"")];
        let mut bytes = message.to_vec().unwrap();
        bytes[7] = 2;
        bytes.extend([0xc0, 12]);
        bytes.extend(u16::from(kind).to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60]);
        bytes.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn one_record_that_cannot_be_read_costs_only_itself() {
        let broken: [(RecordType, &[u8]); 6] = [
            (RecordType::A, &[127, 0, 0]),
            (RecordType::AAAA, &[1]),
            (RecordType::TXT, &[9, b'x']),
            (RecordType::SOA, &[0]),
            (RecordType::RRSIG, &[0, 16, 8]),
            (RecordType::DNSKEY, &[1]),
        ];
        for (kind, data) in broken {
            let bytes = with(kind, data);
            assert!(Message::from_vec(&bytes).is_err(), "{kind}");
            let message = without_unreadable(&bytes).unwrap();
            let texts = message
                .answers
                .iter()
                .filter(|record| matches!(record.data, RData::TXT(_)));
            assert_eq!((texts.count(), message.answers.len()), (1, 2), "{kind}");
        }
    }

    #[test]
    fn a_caa_record_that_cannot_be_read_makes_the_answer_unreadable() {
        let bytes = with(RecordType::CAA, &[0, 200, b'i']);
        assert!(Message::from_vec(&bytes).is_err());
        assert_eq!(without_unreadable(&bytes), None);
    }

    #[test]
    fn what_ends_too_early_or_points_nowhere_is_refused() {
        let whole = with(RecordType::A, &[127, 0, 0]);
        for length in 0..whole.len() {
            assert_eq!(without_unreadable(&whole[..length]), None, "{length}");
        }
        let mut lost = whole.clone();
        lost[12] = 0xbf;
        assert_eq!(without_unreadable(&lost), None);
    }
}
