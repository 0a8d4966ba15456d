//! Sending: signed updates, and the questions that only the zone that takes the updates can answer.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::SOA;

use super::ask::Visit;
use super::edit::{absent_target, absent_value};
use super::exchange::NoAnswer;
use super::message::{Update, wire_name};
use super::reading::{Reading, unencodable};
use super::refusal::Request;
use super::tsig::{Reply, SignedRequest};
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{RecordKind, TxtRecord, Zone};

/// The outcome of a message.
#[derive(Debug)]
pub(super) enum Sent {
    /// NOERROR, verified.
    Done,
    /// A guard did not hold; nothing was changed.
    Conflict(ResponseCode),
    /// Sent, and no answer came.
    Lost(String),
    /// Refused or not sent. `stops_all`: whatever name it is about, the next message fails the same
    /// way.
    Failed {
        error: ProviderError,
        stops_all: bool,
    },
}

/// The subject of a message, for its errors.
pub(super) struct About<'a> {
    pub(super) zone: &'a Zone,
    pub(super) owners: &'a [&'a str],
    /// The primary that the zone's SOA names.
    pub(super) mname: &'a str,
    /// TXT values at the name that has most of them.
    pub(super) values: usize,
    /// The type that is written.
    pub(super) kind: RecordKind,
}

impl<'a> About<'a> {
    pub(super) fn one(
        zone: &'a Zone,
        owners: &'a [&'a str],
        mname: &'a str,
        reading: &Reading,
    ) -> Self {
        let values = reading.rrset.records.len();
        Self {
            zone,
            owners,
            mname,
            values,
            kind: reading.kind,
        }
    }
}

impl Visit<'_> {
    /// Signs, sends, judges.
    pub(super) async fn send(&self, update: Update, about: &About<'_>) -> Sent {
        let (provider, zone) = (self.provider, about.zone);
        let settings = &provider.settings;
        let server = &settings.server;
        let owners = about.owners.join(", ");
        let key = &settings.key;
        let signed = SignedRequest::sign(update.message(), key, (provider.now)());
        let request = match signed {
            Ok(request) => request,
            Err(fault) => {
                return Sent::Failed {
                    error: unencodable(format!("the update of {}: {fault}", zone.apex)),
                    stops_all: false,
                };
            }
        };
        // A connection of its own: on one that carried questions it could not be told whether the
        // server has seen the message.
        let answer = match self.connect().await {
            Ok(mut line) => {
                line.exchange(settings.patience.total, &request.octets)
                    .await
            }
            Err(what) => Err(NoAnswer::NotSent(what)),
        };
        let octets = match answer {
            Ok(octets) => octets,
            Err(NoAnswer::Sent(what)) => return Sent::Lost(what),
            Err(NoAnswer::NotSent(what)) => {
                let zone = &zone.apex;
                let text = format!("updating {owners} in the zone {zone} at {server}: {what}");
                let hint = "check `server`, and that the server listens on TCP and no firewall \
                            blocks the connection";
                return Sent::Failed {
                    error: ProviderError::new(ErrorKind::Unavailable, text).with_hint(hint),
                    stops_all: true,
                };
            }
        };
        let now = (provider.now)();
        let reply = request.judge(&octets, now);
        tracing::debug!(%server, zone = zone.apex, owners, ?reply, "update");
        match reply {
            Reply::Verified(ResponseCode::NoError) => Sent::Done,
            Reply::Verified(
                code @ (ResponseCode::NXRRSet
                | ResponseCode::YXRRSet
                | ResponseCode::NXDomain
                | ResponseCode::YXDomain),
            ) => Sent::Conflict(code),
            other => {
                use hickory_proto::rr::rdata::tsig::TsigError::{BadSig, BadTime};
                let stops_all = matches!(
                    other,
                    Reply::Rejected {
                        error: BadSig | BadTime,
                        ..
                    }
                );
                let request = Request {
                    server: server.to_string(),
                    key: &key.name,
                    algorithm: key.algorithm(),
                    zone: &zone.apex,
                    owners: about.owners,
                    kind: about.kind,
                    mname: about.mname,
                    values: about.values,
                    now,
                };
                Sent::Failed {
                    error: request.refused(&other),
                    stops_all,
                }
            }
        }
    }

    /// Whether the zone that takes the updates has this SOA now. [`Sent::Done`] says yes, and
    /// nothing is changed.
    pub(super) async fn compare_soa(
        &self,
        about: &About<'_>,
        reading: &Reading,
        soa: &SOA,
    ) -> Sent {
        self.compare(about, reading, |update| update.require_soa(soa))
            .await
    }

    /// Whether the zone that takes the updates has exactly these TXT records at the name now.
    /// [`Sent::Done`] says yes, and nothing is changed.
    pub(super) async fn compare_txt(
        &self,
        about: &About<'_>,
        reading: &Reading,
        records: &[TxtRecord],
    ) -> Sent {
        self.compare(about, reading, |update| {
            update.require_txt(&reading.name, records)
        })
        .await
    }

    /// Whether the zone that takes the updates has exactly this CNAME at the name now, or none.
    pub(super) async fn compare_cname(
        &self,
        about: &About<'_>,
        reading: &Reading,
        target: Option<&Name>,
    ) -> Sent {
        self.compare(about, reading, |update| {
            update.require_cname(&reading.name, target)
        })
        .await
    }

    /// A question in the form of an update: the guards are what is asked, and what follows deletes
    /// a value that is nowhere. A server that forwards updates forwards it to the zone that takes
    /// them.
    async fn compare(
        &self,
        about: &About<'_>,
        reading: &Reading,
        guard: impl FnOnce(&mut Update),
    ) -> Sent {
        let apex = match wire_name(&about.zone.apex) {
            Ok(apex) => apex,
            Err(fault) => {
                return Sent::Failed {
                    error: unencodable(fault),
                    stops_all: false,
                };
            }
        };
        let mut update = Update::of(apex);
        guard(&mut update);
        match reading.kind {
            RecordKind::Txt => update.delete(&reading.name, &absent_value()),
            RecordKind::Cname => update.delete_cname(&reading.name, &absent_target()),
        }
        self.send(update, about).await
    }
}
