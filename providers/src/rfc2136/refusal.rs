//! What a server's refusal means and what to do about it.
//!
//! Measured on BIND 9.18, Knot 3.2 and PowerDNS 4.7: NOTAUTH alone has six causes, which the TSIG
//! record separates; Knot says BADKEY also for a known key that may not change this name or type;
//! PowerDNS says an unsigned REFUSED to everything.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use jiff::Timestamp;

use super::tsig::Reply;
use crate::provider::{ErrorKind, ProviderError};

/// Who asked whom for what: the words of each message.
pub(super) struct Request<'a> {
    pub(super) server: String,
    pub(super) key: String,
    pub(super) zone: &'a str,
    pub(super) owners: String,
    /// The primary that the zone's SOA names.
    pub(super) mname: &'a str,
    pub(super) now: Timestamp,
}

impl Request<'_> {
    /// The error for a reply that is neither success nor a failed prerequisite.
    pub(super) fn refused(&self, reply: &Reply) -> ProviderError {
        let Self {
            server,
            key,
            zone,
            owners,
            mname,
            now,
        } = self;
        let about = format!("updating {owners} in the zone {zone} at {server} with the key {key}");
        let error = |kind, said: String| ProviderError::new(kind, format!("{about}: {said}"));
        let primary = format!("the zone's SOA names {mname} as primary, and secondaries refuse");
        match reply {
            Reply::Rejected { error: TsigError::BadSig, .. } => error(
                ErrorKind::Denied,
                "BADSIG: the server knows the key and the signature does not fit its secret".into(),
            )
            .with_hint("the secret differs from the server's: copy the key again (`key_file`, or `secret`)"),
            Reply::Rejected { error: TsigError::BadTime, server_time, .. } => {
                let skew = match server_time.and_then(|time| i64::try_from(time).ok()) {
                    Some(time) if time >= now.as_second() => {
                        format!("this machine is {} s behind the server's clock", time - now.as_second())
                    }
                    Some(time) => format!("this machine is {} s ahead of the server's clock", now.as_second() - time),
                    None => "the clocks are more than 300 s apart".into(),
                };
                error(ErrorKind::ClockSkew, format!("BADTIME: {skew}"))
                    .with_hint("set the clock of whichever is wrong (chronyc tracking, timedatectl)")
            }
            Reply::Rejected { error: TsigError::BadKey, code, .. } => error(
                ErrorKind::Denied,
                format!(
                    "{code:?} with BADKEY: the server does not know this key with this algorithm, \
                     or (Knot) knows it and does not let it change TXT at this name"
                ),
            )
            .with_hint(format!(
                "compare name and algorithm of the key (`key_file`, or `key_name` and `algorithm`) with the server's, and its update policy (Knot: acl with action update; \
                 update-type TXT; owner) with {owners}; also, {primary}"
            )),
            Reply::Rejected { error: other, code, .. } => {
                error(ErrorKind::Denied, format!("{code:?} with TSIG error {other:?}"))
                    .with_hint("look into the server's log for the reason")
            }
            Reply::Verified(ResponseCode::Refused) => {
                error(ErrorKind::Denied, "REFUSED: the key is right and may not do this".into()).with_hint(format!(
                    "allow it on the server (BIND: update-policy {{ grant KEY. name {zone}. TXT; }}); or `server` is not the primary: {primary}"
                ))
            }
            Reply::Unsigned(ResponseCode::Refused) => error(
                ErrorKind::Denied,
                "REFUSED without a signature: PowerDNS answers so to an unknown key, a wrong secret, a clock that is off, \
                 and a key or address that may not update the zone"
                    .into(),
            )
            .with_hint(format!(
                "compare name, algorithm and secret of the key (`key_file`, or `key_name` and `secret`) and the clock; PowerDNS: dnsupdate=yes, metadata \
                 TSIG-ALLOW-DNSUPDATE and ALLOW-DNSUPDATE-FROM of {zone}; the reason is in the server's log"
            )),
            Reply::Verified(code @ (ResponseCode::NotAuth | ResponseCode::NotZone))
            | Reply::Unsigned(code @ (ResponseCode::NotAuth | ResponseCode::NotZone)) => {
                error(ErrorKind::NoZone, format!("{code:?}: the server is not authoritative for {zone} or the name is outside it"))
                    .with_hint(format!("check `server` and `zones`; {primary}"))
            }
            Reply::Verified(ResponseCode::NotImp) | Reply::Unsigned(ResponseCode::NotImp) => {
                error(ErrorKind::Denied, "NOTIMP: this server does not take updates (NSD never does)".into())
                    .with_hint(format!("`server` must be the primary: {primary}"))
            }
            Reply::Unsigned(ResponseCode::NoError) => error(
                ErrorKind::Unknown,
                "NOERROR without a signature: anybody between could have said it, so it proves nothing".into(),
            )
            .with_hint("look for something between that strips TSIG (a proxy, a load balancer)"),
            Reply::Verified(code) | Reply::Unsigned(code) => {
                error(ErrorKind::Unavailable, format!("the server says {code:?}"))
                    .with_hint("look into the server's log for the reason")
            }
            Reply::Bogus(what) => error(ErrorKind::Unknown, format!("{what}; whether the change was made is open"))
                .with_hint("something other than the name server answers, or the answer was changed on its way"),
        }
    }
}
