//! Signing a request and judging the reply (RFC 8945).
//!
//! The reply's TSIG record is read *before* it is verified: BADKEY and BADSIG come unsigned by
//! design (section 5.3.2), and a library that only says "does not verify" sends people to the wrong
//! cause.

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::TSigner;
use hickory_proto::rr::rdata::tsig::TsigError;
use jiff::Timestamp;
use secrecy::ExposeSecret;

use super::key_file::TsigKey;
use super::message::wire_name;

/// How far clocks may be apart, in seconds: what RFC 8945, section 10, recommends and what every
/// server accepts.
pub const FUDGE_SECONDS: u16 = 300;

/// A signed request, and what is needed to judge its reply.
pub(super) struct SignedRequest {
    pub(super) octets: Vec<u8>,
    id: u16,
    op_code: OpCode,
    mac: Vec<u8>,
    signer: TSigner,
}

/// The verdict on the signature of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    /// Signed with our key: the only one that proves anything.
    Verified(ResponseCode),
    /// The server could not accept our signature; unsigned or not, it is a diagnosis and not a
    /// proof.
    Rejected {
        error: TsigError,
        code: ResponseCode,
        server_time: Option<u64>,
    },
    /// No TSIG at all.
    Unsigned(ResponseCode),
    /// Not an answer to this request, whatever it is.
    Bogus(String),
}

impl SignedRequest {
    /// Signs `message` as of `now`.
    ///
    /// # Errors
    /// When the message cannot be encoded: too long, more than anything.
    pub(super) fn sign(
        mut message: Message,
        key: &TsigKey,
        now: Timestamp,
    ) -> Result<Self, String> {
        let name = wire_name(&key.name)?;
        let secret = key.secret.expose_secret().to_vec();
        let signer = TSigner::new(secret, key.algorithm.clone(), name, FUDGE_SECONDS)
            .map_err(|error| error.to_string())?;
        let seconds =
            u64::try_from(now.as_second()).map_err(|_| "the clock is before 1970".to_owned())?;
        message
            .finalize(&signer, seconds)
            .map_err(|error| error.to_string())?;
        let mac = message
            .signature()
            .map(|record| record.data.mac.clone())
            .unwrap_or_default();
        let octets = message.to_vec().map_err(|error| error.to_string())?;
        Ok(Self {
            octets,
            id: message.metadata.id,
            op_code: message.metadata.op_code,
            mac,
            signer,
        })
    }

    /// Judges a reply that arrived at `now`; it may hold any octets.
    pub(super) fn judge(&self, reply: &[u8], now: Timestamp) -> Reply {
        // Parsed first: the verification below adds header counts that only a parsed message is
        // known to keep.
        let message = match Message::from_vec(reply) {
            Ok(message) => message,
            Err(error) => {
                return Reply::Bogus(format!(
                    "{} octets that are not a DNS message: {error}",
                    reply.len()
                ));
            }
        };
        if message.metadata.message_type != MessageType::Response
            || message.metadata.op_code != self.op_code
        {
            return Reply::Bogus(format!("not a reply to {:?}", self.op_code));
        }
        if message.metadata.id != self.id {
            return Reply::Bogus("a reply with another message id".into());
        }
        let code = message.metadata.response_code;
        let Some(record) = message.signature() else {
            return Reply::Unsigned(code);
        };
        let tsig = &record.data;
        if let Some(error) = tsig.error {
            let server_time = <[u8; 6]>::try_from(tsig.other.as_slice())
                .ok()
                .map(|[a, b, c, d, e, f]| u64::from_be_bytes([0, 0, a, b, c, d, e, f]));
            return Reply::Rejected {
                error,
                code,
                server_time,
            };
        }
        // The library subtracts the fudge unchecked.
        if tsig.time < u64::from(tsig.fudge) {
            return Reply::Bogus("a reply signed in 1970".into());
        }
        let apart = i128::from(tsig.time) - i128::from(now.as_second());
        match self
            .signer
            .verify_message_byte(reply, Some(&self.mac), true)
        {
            Err(error) => Reply::Bogus(format!("a reply whose signature does not verify: {error}")),
            Ok(_) if apart.unsigned_abs() > u128::from(FUDGE_SECONDS) => {
                Reply::Bogus(format!("a reply signed {apart} s away from now"))
            }
            Ok(_) => Reply::Verified(code),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::super::message::Update;
    use super::*;

    fn request() -> SignedRequest {
        let key = TsigKey::new("k", "hmac-sha256", &"AAECAwQFBgc=".into()).unwrap();
        let message = Update::of(wire_name("example.ch").unwrap()).message();
        SignedRequest::sign(
            message,
            &key,
            Timestamp::from_second(1_800_000_000).unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn our_own_request_sent_back_is_not_a_reply() {
        let request = request();
        let reply = request.judge(
            &request.octets,
            Timestamp::from_second(1_800_000_000).unwrap(),
        );
        assert!(matches!(reply, Reply::Bogus(_)), "{reply:?}");
    }

    #[test]
    fn a_flipped_octet_anywhere_in_the_request_as_reply_never_verifies() {
        let request = request();
        for place in 0..request.octets.len() {
            for bit in 0..8 {
                let mut reply = request.octets.clone();
                reply[2] |= 0x80; // QR: a response
                reply[place] ^= 1 << bit;
                let judged = request.judge(&reply, Timestamp::from_second(1_800_000_000).unwrap());
                assert!(
                    !matches!(judged, Reply::Verified(_)),
                    "octet {place} bit {bit}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn no_reply_panics(octets in prop::collection::vec(any::<u8>(), 0..600)) {
            let request = request();
            let mut reply = request.octets[..12].to_vec();
            reply[2] |= 0x80;
            reply.extend_from_slice(&octets);
            let now = Timestamp::from_second(1_800_000_000).unwrap();
            prop_assert!(!matches!(request.judge(&reply, now), Reply::Verified(_)));
            prop_assert!(!matches!(request.judge(&octets, now), Reply::Verified(_)));
        }
    }
}
