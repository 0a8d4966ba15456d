//! What a server's refusal means and what to do about it.
//!
//! Measured on BIND 9.18, Knot 3.2 and PowerDNS 4.7: NOTAUTH alone has six causes, which the TSIG
//! record separates; Knot says BADKEY also for a known key that may not change this name or type;
//! PowerDNS says an unsigned REFUSED to everything.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::tsig::TsigError;
use jiff::Timestamp;

use super::tsig::Reply;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::RecordKind;

/// Records of one type at one name that BIND keeps by default (`max-records-per-type`).
pub(super) const BIND_RECORDS_PER_TYPE: usize = 100;
/// A message is about many names; this many are named with their grant.
const MOST_GRANTS: usize = 3;
/// When a refusal that may come from a frozen zone is worth another try.
const FROZEN_FOR: Duration = Duration::from_secs(15 * 60);

/// Which server was asked what: the words of each message.
pub(super) struct Request<'a> {
    pub(super) server: String,
    /// The key's name.
    pub(super) key: &'a str,
    pub(super) algorithm: String,
    pub(super) zone: &'a str,
    pub(super) owners: &'a [&'a str],
    /// The type that is written.
    pub(super) kind: RecordKind,
    /// The primary that the zone's SOA names.
    pub(super) mname: &'a str,
    /// TXT values at the name that has most of them.
    pub(super) values: usize,
    pub(super) now: Timestamp,
}

impl Request<'_> {
    /// The error for a reply that is neither success nor a failed prerequisite.
    pub(super) fn refused(&self, reply: &Reply) -> ProviderError {
        let Self {
            server,
            key,
            algorithm,
            zone,
            owners,
            kind,
            mname,
            values,
            now,
        } = self;
        let owners = owners.join(", ");
        let about = format!(
            "updating {owners} in the zone {zone} at {server} with the key {key} ({algorithm})"
        );
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
                     or (Knot) knows it and does not let it change {kind} at this name"
                ),
            )
            .with_hint(format!(
                "compare name and algorithm of the key (`key_file`, or `key_name` and `algorithm`) with the server's, and its update policy (Knot: acl with action update; \
                 update-type {kind}; owner) with {owners}; also, {primary}"
            )),
            Reply::Rejected { error: other, code, .. } => {
                error(ErrorKind::Denied, format!("{code:?} with TSIG error {other:?}"))
                    .with_hint("read the reason in the server's log")
            }
            Reply::Verified(ResponseCode::Refused) => {
                let refused = error(
                    ErrorKind::Denied,
                    "REFUSED: the key is right and may not do this, or the zone is frozen".into(),
                );
                let refused = refused.with_hint(format!(
                    "allow it on the server (BIND: update-policy {{ {} }}, beside the grants that \
                     are there); or the zone is frozen (BIND: rndc thaw {zone}); or `server` is not \
                     the primary: {primary}",
                    self.grants()
                ));
                // A zone is frozen for minutes.
                ProviderError {
                    retry_after: Some(FROZEN_FOR),
                    ..refused
                }
            }
            Reply::Verified(code @ ResponseCode::ServFail) | Reply::Unsigned(code @ ResponseCode::ServFail)
                if *values >= BIND_RECORDS_PER_TYPE =>
            {
                error(
                    ErrorKind::Unsafe,
                    format!("the server says {code:?}, and {values} TXT values are there already"),
                )
                .with_hint(format!(
                    "BIND keeps at most {BIND_RECORDS_PER_TYPE} records of one type at a name: remove \
                     values that are not needed, or raise `max-records-per-type` in its options; its \
                     log says whether it is that"
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
                "NOERROR without a signature: a machine in between could have said it, so it proves nothing".into(),
            )
            .with_hint("search for a proxy or a load balancer on the way that strips TSIG"),
            Reply::Verified(code) | Reply::Unsigned(code) => {
                error(ErrorKind::Unavailable, format!("the server says {code:?}"))
                    .with_hint(
                        "read the reason in the server's log (PowerDNS: a TXT row at the \
                         name that has no quotes in the database)",
                    )
            }
            Reply::Bogus(what) => error(ErrorKind::Unknown, format!("{what}; whether the change was made is open"))
                .with_hint("something other than the name server answers, or the answer was changed on its way"),
        }
    }
}

impl Request<'_> {
    /// What BIND's `update-policy` needs for these names.
    fn grants(&self) -> String {
        let Self {
            key, owners, kind, ..
        } = self;
        let key = key.trim_end_matches('.');
        let lines = owners.iter().take(MOST_GRANTS);
        let lines = lines.map(|owner| format!("grant {key}. name {owner}. {kind};"));
        let lines = lines.collect::<Vec<_>>().join(" ");
        match owners.len() > MOST_GRANTS {
            true => format!("{lines} and so on"),
            false => lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_at(
        owners: &[&str],
        kind: RecordKind,
        values: usize,
        reply: &Reply,
    ) -> ProviderError {
        let request = Request {
            server: "192.0.2.1:53".into(),
            key: "k",
            algorithm: "hmac-sha256".into(),
            zone: "example.ch",
            owners,
            kind,
            mname: "ns1.example.ch",
            values,
            now: Timestamp::UNIX_EPOCH,
        };
        request.refused(reply)
    }

    fn refused(values: usize, reply: &Reply) -> ProviderError {
        refused_at(&["example.ch"], RecordKind::Txt, values, reply)
    }

    #[test]
    fn the_grant_in_the_hint_is_for_the_name_and_the_type_that_were_refused() {
        let refused = Reply::Verified(ResponseCode::Refused);
        let four = [
            "a.example.ch",
            "b.example.ch",
            "c.example.ch",
            "d.example.ch",
        ];
        for (owners, kind, expected) in [
            (
                &["_validation-persist.example.ch"][..],
                RecordKind::Txt,
                "{ grant k. name _validation-persist.example.ch. TXT; }",
            ),
            (
                &["_x.example.ch", "example.ch"],
                RecordKind::Cname,
                "{ grant k. name _x.example.ch. CNAME; grant k. name example.ch. CNAME; }",
            ),
            (
                &four,
                RecordKind::Txt,
                "grant k. name c.example.ch. TXT; and so on }",
            ),
        ] {
            let error = refused_at(owners, kind, 1, &refused);
            let hint = error.hint.unwrap_or_default();
            assert!(hint.contains(expected), "{hint}");
            assert!(error.message.contains("the key k (hmac-sha256)"));
        }
    }

    #[test]
    fn a_refusal_that_a_frozen_zone_may_cause_says_so_and_is_tried_again_soon() {
        let error = refused(1, &Reply::Verified(ResponseCode::Refused));
        assert_eq!(error.kind, ErrorKind::Denied);
        let hint = error.hint.unwrap_or_default();
        assert!(hint.contains("rndc thaw example.ch"), "{hint}");
        assert_eq!(error.retry_after, Some(FROZEN_FOR));
    }

    #[test]
    fn a_failure_at_a_name_that_is_full_names_the_limit_and_one_at_another_does_not() {
        let failed = Reply::Verified(ResponseCode::ServFail);
        for (values, named) in [(99, false), (100, true), (250, true)] {
            let hint = refused(values, &failed).hint.unwrap_or_default();
            assert_eq!(hint.contains("max-records-per-type"), named, "{hint}");
        }
    }
}
