//! One address of one name server, examined: what it says about the name, and over which transports
//! it says anything.

use std::net::{IpAddr, SocketAddr};

use futures::future::join_all;
use hickory_proto::dnssec::rdata::DNSSECRData;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use prevalidate_providers::record::TxtRecord;
use serde::Serialize;
use tokio::time::Instant;

use crate::propagation::authority::{Asker, Failure, Question, knows_no_edns};
use crate::propagation::evidence::{self, rcode, text};
use crate::propagation::wanted::AsRecordType;
use crate::propagation::{Answer, RecordKind, ServerAnswer, Wanted};

use super::Fault;

/// The answer of one address of one name server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServerReport {
    /// The server's name; `null` for an address of the configuration.
    pub name: Option<String>,
    /// The address that was asked.
    pub address: SocketAddr,
    /// As the gate judges it; `null` when it answers for the zone and no value is searched for.
    pub answer: Option<Answer>,
    /// In words: the RCODE, the transport error, what was missing.
    pub detail: String,
    /// The RCODE of its answer.
    pub rcode: Option<String>,
    /// It answers as an authority (AA).
    pub authoritative: bool,
    /// It offers to ask others (RA), which no authoritative server should.
    pub recursive: bool,
    /// All TXT values at the name, each in one piece, escaped as in a zone file.
    pub values: Vec<String>,
    /// The TTL of that RRset, seconds.
    pub ttl: Option<u32>,
    /// The size of the answer with all its sections, octets.
    pub octets: Option<usize>,
    /// The answer did not fit into a datagram of 1,232 octets (TC).
    pub truncated: bool,
    /// The target of a CNAME at the name.
    pub cname: Option<String>,
    /// The RRset came with a signature.
    pub signed: bool,
    /// Its signature shows that the RRset was made from a wildcard (RFC 4034, section 3.1.3).
    pub from_wildcard: bool,
    /// Why validating resolvers pass over its answer.
    pub dnssec_fault: Option<Fault>,
    /// The SOA serial it serves.
    pub serial: Option<u32>,
    /// The primary that its SOA record names.
    pub mname: Option<String>,
    /// How it takes EDNS; `null` when nothing came back.
    pub edns: Option<Edns>,
    /// Why UDP does not work; `null` when it does.
    pub udp_fault: Option<String>,
    /// Why TCP does not work; `null` when it does.
    pub tcp_fault: Option<String>,
    /// From the question over UDP to its answer.
    pub took_ms: Option<u64>,
}

/// How a server takes EDNS (RFC 6891).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Edns {
    /// It knows it.
    Known,
    /// It answers as if nothing had been offered.
    Ignored,
    /// It says that it does not know it, and answers without.
    Refused,
    /// It, or something before it, drops what has EDNS, and answers without.
    Dropped,
}

/// Datagrams, beside the first, that a network may lose without this being taken for dropped EDNS
/// or a dead server.
const LOST: usize = 4;

/// The questions to each address.
pub(super) struct Topic<'a> {
    pub(super) owner: &'a Name,
    pub(super) zone: &'a Name,
    pub(super) wanted: Option<Wanted<'a>>,
}

impl Topic<'_> {
    /// The type that is asked for.
    pub(super) fn kind(&self) -> RecordType {
        self.wanted
            .map_or(RecordKind::Txt, Wanted::kind)
            .record_type()
    }
}

/// Examines one address. The answer that counts is the one that the gate would get; the rest says
/// why.
pub(super) async fn examine(
    asker: &Asker,
    name: Option<String>,
    address: SocketAddr,
    topic: &Topic<'_>,
) -> (ServerReport, Option<Message>) {
    let with_edns = Question::new(topic.owner, topic.kind(), true);
    let without = Question::new(topic.owner, topic.kind(), false);
    let timed = async || {
        let begun = Instant::now();
        (asker.over_udp(address, &with_edns).await, begun.elapsed())
    };
    let (reply, (mut udp, mut took), mut tcp, plain, soa) = futures::join!(
        asker.ask(address, topic.owner, topic.kind()),
        timed(),
        asker.over_tcp(address, &with_edns),
        asker.over_udp(address, &without),
        asker.ask(address, topic.zone, RecordType::SOA),
    );
    // A lost datagram is no dropped EDNS, and no dead server.
    if udp.is_err() && (plain.is_ok() || tcp.is_ok()) {
        let again = join_all((0..LOST).map(|_| timed())).await;
        if let Some(heard) = again.into_iter().find(|(answer, _)| answer.is_ok()) {
            (udp, took) = heard;
        }
    }
    // What drops EDNS may drop it over TCP, too.
    if tcp.is_err() && edns(&udp, &plain) == Some(Edns::Dropped) {
        tcp = asker.over_tcp(address, &without).await;
    }

    let wanted = topic.wanted.unwrap_or(Wanted::Txt(""));
    let truncated = udp.as_ref().is_ok_and(|reply| reply.metadata.truncation);
    // The network lost all questions that the gate sends, and let the same question through once
    // more. Resolvers ask more often, so they get answers from this server.
    let reply = match (reply, &udp) {
        (Err(Failure::Silent(_)), Ok(heard)) if !truncated && !knows_no_edns(heard) => {
            Ok(heard.clone())
        }
        (reply, _) => reply,
    };
    let (mut answer, mut detail) = evidence::judge(&reply, topic.owner, topic.zone, wanted);
    let others =
        [&udp, &tcp, &plain].map(|other| evidence::judge(other, topic.owner, topic.zone, wanted));
    if answer == Answer::Match
        && !truncated
        && let Some((stale, why)) = others
            .into_iter()
            .find(|(other, _)| *other == Answer::NoMatch)
    {
        (answer, detail) = (
            stale,
            format!("anycast: it has the value, and asked again it has not: {why}"),
        );
    }
    let no_route = answer == Answer::NotChecked;
    let answer = Some(answer)
        .filter(|_| topic.wanted.is_some() || !matches!(answer, Answer::Match | Answer::NoMatch));
    let fault = |tried: &Result<Message, Failure>| tried.as_ref().err().map(ToString::to_string);
    let mut report = ServerReport {
        detail: if answer.is_none() {
            "answers for the zone".to_owned()
        } else {
            detail
        },
        edns: edns(&udp, &plain),
        // With EDNS dropped, UDP works all the same.
        udp_fault: fault(&udp).filter(|_| plain.is_err()),
        tcp_fault: fault(&tcp).filter(|_| !no_route),
        truncated,
        took_ms: udp
            .is_ok()
            .then(|| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
        ..ServerReport::silent(name, address, answer)
    };
    if let Ok(reply) = &reply {
        report.read(reply, topic.owner, topic.kind());
    }
    if let Some((serial, mname)) = soa
        .ok()
        .as_ref()
        .and_then(|reply| authority(reply, topic.zone))
    {
        (report.serial, report.mname) = (Some(serial), Some(mname));
    }
    (report, reply.ok())
}

impl ServerReport {
    /// A report about an address of which only the verdict is known.
    pub(in crate::propagation) fn silent(
        name: Option<String>,
        address: SocketAddr,
        answer: Option<Answer>,
    ) -> Self {
        Self {
            name,
            address,
            answer,
            detail: String::new(),
            rcode: None,
            authoritative: false,
            recursive: false,
            values: Vec::new(),
            ttl: None,
            octets: None,
            truncated: false,
            cname: None,
            signed: false,
            from_wildcard: false,
            dnssec_fault: None,
            serial: None,
            mname: None,
            edns: None,
            udp_fault: None,
            tcp_fault: None,
            took_ms: None,
        }
    }

    /// Whether it answers for the zone.
    pub fn serves(&self) -> bool {
        matches!(self.answer, None | Some(Answer::Match | Answer::NoMatch))
    }

    /// For people: `ns1.example.ch (192.0.2.1)`; the port only where it is not 53.
    pub fn label(&self) -> String {
        match &self.name {
            Some(name) => format!("{name} ({})", self.place()),
            None => self.place(),
        }
    }

    /// The address for people; the port only where it is not 53.
    pub fn place(&self) -> String {
        match (self.address.port(), self.address.ip()) {
            (53, ip) => ip.to_string(),
            (_, IpAddr::V4(_) | IpAddr::V6(_)) => self.address.to_string(),
        }
    }

    /// The values that are not the one searched for, sorted.
    pub fn foreign<'a>(&'a self, value: Option<&str>) -> Vec<&'a str> {
        let ours = value.map(|value| TxtRecord::of(value).display());
        let mut foreign: Vec<&str> = self
            .values
            .iter()
            .map(String::as_str)
            .filter(|shown| Some(*shown) != ours.as_deref())
            .collect();
        foreign.sort_unstable();
        foreign
    }

    /// For the rule; one that serves while no value is searched for counts as one without it.
    pub(super) fn evidence(&self) -> ServerAnswer {
        let (name, address, detail) = (self.name.clone(), self.address, self.detail.clone());
        ServerAnswer {
            name,
            address,
            answer: self.answer.unwrap_or(Answer::NoMatch),
            detail,
        }
    }

    fn read(&mut self, reply: &Message, owner: &Name, kind: RecordType) {
        self.rcode = Some(rcode(reply.metadata.response_code));
        self.authoritative = reply.metadata.authoritative;
        self.recursive = reply.metadata.recursion_available;
        self.octets = reply.to_vec().ok().map(|bytes| bytes.len());
        for record in at(&reply.answers, owner) {
            if record.record_type() == kind {
                self.ttl = Some(record.ttl.max(self.ttl.unwrap_or(0)));
            }
            match &record.data {
                RData::TXT(txt) => {
                    let strings = txt.txt_data.iter().map(|string| string.to_vec()).collect();
                    self.values.push(TxtRecord { strings }.display());
                }
                RData::CNAME(target) => self.cname = Some(text(target)),
                RData::DNSSEC(DNSSECRData::RRSIG(signature))
                    if signature.input().type_covered == kind =>
                {
                    self.signed = true;
                    self.from_wildcard |= signature.input().num_labels < owner.num_labels();
                }
                _ => {}
            }
        }
    }
}

fn at<'a>(records: &'a [Record], owner: &'a Name) -> impl Iterator<Item = &'a Record> {
    records
        .iter()
        .filter(move |record| record.name == *owner && record.dns_class == DNSClass::IN)
}

/// Serial and primary of an authoritative SOA answer.
fn authority(reply: &Message, zone: &Name) -> Option<(u32, String)> {
    if !reply.metadata.authoritative || reply.metadata.response_code != ResponseCode::NoError {
        return None;
    }
    at(&reply.answers, zone).find_map(|record| match &record.data {
        RData::SOA(soa) => Some((soa.serial, text(&soa.mname))),
        _ => None,
    })
}

fn edns(with: &Result<Message, Failure>, plain: &Result<Message, Failure>) -> Option<Edns> {
    match (with, plain) {
        (Ok(answer), _) if knows_no_edns(answer) => Some(Edns::Refused),
        (Ok(answer), _) if answer.edns.is_some() => Some(Edns::Known),
        (Ok(_), _) => Some(Edns::Ignored),
        (Err(_), Ok(_)) => Some(Edns::Dropped),
        (Err(_), Err(_)) => None,
    }
}
