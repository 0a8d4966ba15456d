//! The key that signed a request, and the signature of the answer (RFC 8945), on the sandbox's own
//! clock.

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::tsig::{TSIG, TsigAlgorithm, TsigError, make_tsig_record};
use hickory_proto::rr::{Name, TSigner};
use jiff::Timestamp;

/// The content of the TSIG record of a request.
pub(super) enum Verdict {
    /// No TSIG record at all.
    Unsigned,
    /// A good signature: the answer is signed with the same key over the request's MAC.
    Good(Reply),
    /// A bad one: answer with this code and no effect.
    Bad(ResponseCode, Reply),
}

/// How the answer is to be signed.
pub(super) struct Reply {
    /// `None` for an unknown key or a bad signature: such an answer must not be signed (RFC 8945
    /// section 5.3.2).
    signer: Option<TSigner>,
    key_name: Name,
    request: TSIG,
    error: Option<TsigError>,
    time: u64,
}

/// Checks a request's signature against the known keys.
pub(super) fn check(bytes: &[u8], message: &Message, keys: &[TSigner], now: Timestamp) -> Verdict {
    let Some(record) = message.signature.as_deref() else {
        return Verdict::Unsigned;
    };
    let now = u64::try_from(now.as_second()).unwrap_or_default();
    let reply = |signer: Option<&TSigner>, error| Reply {
        signer: signer.cloned(),
        key_name: record.name.clone(),
        request: record.data.clone(),
        error,
        time: now,
    };
    let known = keys
        .iter()
        .find(|k| *k.signer_name() == record.name && *k.algorithm() == record.data.algorithm);
    let Some(key) = known else {
        return Verdict::Bad(ResponseCode::NotAuth, reply(None, Some(TsigError::BadKey)));
    };
    let (signed_at, fudge) = (record.data.time, u64::from(record.data.fudge));
    // The library subtracts the fudge from the time without a check.
    if signed_at < fudge || key.verify_message_byte(bytes, None, true).is_err() {
        return Verdict::Bad(ResponseCode::NotAuth, reply(None, Some(TsigError::BadSig)));
    }
    if now.abs_diff(signed_at) > fudge {
        return Verdict::Bad(
            ResponseCode::NotAuth,
            reply(Some(key), Some(TsigError::BadTime)),
        );
    }
    Verdict::Good(reply(Some(key), None))
}

impl Reply {
    /// Puts the TSIG record at the end of the answer. Call it last.
    pub(super) fn sign(self, answer: &mut Message) -> Result<(), ProtoError> {
        let bad_time = self.error == Some(TsigError::BadTime);
        // A BADTIME answer repeats the client's time and tells ours in 48 bits (RFC 8945 section
        // 5.2.3).
        let other = if bad_time {
            self.time.to_be_bytes()[2..].to_vec()
        } else {
            Vec::new()
        };
        let time = if bad_time {
            self.request.time
        } else {
            self.time
        };
        let algorithm = self
            .signer
            .as_ref()
            .map_or(self.request.algorithm, |s| s.algorithm().clone());
        let stub = TSIG::new(
            algorithm,
            time,
            self.request.fudge,
            Vec::new(),
            self.request.oid,
            self.error,
            other,
        );
        let mac = match &self.signer {
            Some(signer) => {
                let data =
                    signer.encode_response_tbs(&self.request.mac, &answer.to_vec()?, &stub)?;
                signer
                    .sign(&data)
                    .map_err(|error| ProtoError::from(error.to_string()))?
            }
            None => Vec::new(),
        };
        answer.set_signature(Box::new(make_tsig_record(self.key_name, stub.set_mac(mac))));
        Ok(())
    }
}

/// A key for HMAC-SHA256 with the customary fudge of 300 s.
pub(super) fn key(name: &str, secret: &[u8]) -> Option<TSigner> {
    TSigner::new(
        secret.to_vec(),
        TsigAlgorithm::HmacSha256,
        super::zone::fqdn(name),
        300,
    )
    .ok()
}
