//! Learning: what refused guards and the server's own comparison show that no read can show.

use std::collections::BTreeMap;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SOA;

use super::edit::{Plan, Verb};
use super::reading::Reading;
use crate::edit::Edit;
use crate::record::{RecordKind, TxtRecord, TxtRrset, same_name};

/// Whether the zone that is read is the zone that takes the writes, in the same state.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Not found out yet.
    #[default]
    Open,
    /// The zone that takes the writes has the SOA that was read.
    Same,
    /// It has another SOA: it is another view, or the server that is read has not got the latest
    /// state yet.
    Other,
    /// The server shows another SOA than it stores (PowerDNS's SOA-EDIT, BIND's inline signing), so
    /// that nothing can be compared.
    Incomparable,
}

/// The facts that refused guards have shown about the name.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The name has no records and still exists, so no wildcard answers for it.
    pub(super) new_name: bool,
    pub(super) place: Place,
    /// How often the zone that takes the writes said, or may have said, that it has another SOA.
    /// With SOA-EDIT the serial may change with every second.
    pub(super) others: u32,
    /// Whether records equal to the wildcard's are the name's own; `None`: not found out.
    own: Option<bool>,
    /// The subject of the last refused guards.
    stale: Option<Stale>,
    /// The name was wanted unused and is in use.
    pub(super) in_use: bool,
    /// How often the server said that no TXT is stored where it shows some.
    made_up: u32,
}

#[derive(Debug)]
struct Stale {
    soa: SOA,
    answer: BTreeMap<TxtRecord, u32>,
    rrset: TxtRrset,
}

impl Findings {
    /// The reading to plan with: `reading` as an answer from the wildcard where that is possible,
    /// unless shown otherwise or a value to remove is in it. The guards refuse the wrong reading.
    pub(super) fn read(&self, reading: Reading, edit: &Edit, verb: Verb) -> Reading {
        let own = reading.clone().own();
        let shown = |value: &String| match edit.kind {
            RecordKind::Txt => own.rrset.holds(value),
            RecordKind::Cname => own
                .rrset
                .cname
                .as_ref()
                .is_some_and(|to| same_name(to, value)),
        };
        let at_stake = verb == Verb::Absent && edit.values.iter().any(shown);
        if self.own.unwrap_or(at_stake) {
            own
        } else {
            reading
        }
    }

    /// Takes in a new read; true when the last guards were refused and the server still shows what
    /// they were made from.
    pub(super) fn is_unmoved(&mut self, reading: &Reading) -> bool {
        let unmoved = self
            .stale
            .as_ref()
            .is_some_and(|stale| stale.soa == reading.soa && stale.answer == reading.ttls);
        if !unmoved && self.place != Place::Incomparable {
            self.place = Place::Open;
        }
        unmoved
    }

    /// Whether "there are TXT values" must do instead of "the TXT values are these": a guard failed
    /// although the zone is in the state that was read, so the server compares it wrongly. What is
    /// written is one value more or less in either case. PowerDNS 4.7 says NXRRSET to its own
    /// records when one has octets that are not ASCII or characters that it escapes (measured).
    pub(super) fn any_values(&self, rrset: &TxtRrset) -> bool {
        let known = matches!(self.place, Place::Same | Place::Incomparable);
        let stale = self.stale.as_ref();
        known && !rrset.records.is_empty() && stale.is_some_and(|stale| stale.rrset == *rrset)
    }

    /// Takes in that the guards of `plan` were refused with `code`.
    pub(super) fn refused(&mut self, plan: Plan, code: ResponseCode) {
        let Plan {
            reading,
            any_value,
            soa_required,
            ..
        } = plan;
        self.others += u32::from(soa_required && code == ResponseCode::NXRRSet);
        let is_there = matches!(code, ResponseCode::YXRRSet | ResponseCode::YXDomain);
        if is_there && reading.is_taken_for_made_up() {
            self.own = Some(true);
        } else if code == ResponseCode::NXRRSet && reading.rrset.cname.is_some() {
            if reading.is_taken_for_own() {
                self.own = Some(false);
            }
        } else if code == ResponseCode::NXRRSet && any_value {
            if reading.is_taken_for_own() {
                self.own = Some(false);
            } else {
                self.made_up += 1;
            }
        }
        self.in_use |= code == ResponseCode::YXDomain && !reading.is_ambiguous();
        self.stale = Some(Stale {
            soa: reading.soa,
            answer: reading.ttls,
            rrset: reading.rrset,
        });
    }

    /// The serial that the last refused guards were made from.
    pub(super) fn serial(&self) -> Option<u32> {
        self.stale.as_ref().map(|stale| stale.soa.serial)
    }

    /// Whether the server makes up the TXT answers of the name: it is in the state that was read,
    /// and stores no TXT there. Asked twice, because a change in between has the same effect.
    pub(super) fn is_made_up(&self) -> bool {
        self.made_up >= 2
    }
}
