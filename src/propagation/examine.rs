//! Everything that DNS shows about one domain, in one serialisable piece: the facts behind a
//! verdict. [`finding`](super::finding) says what they mean.
//!
//! It changes nothing, and asks no resolver before the value is everywhere: a question too early
//! would leave "not there" in its cache.

mod address;
mod climb;
mod server;
#[cfg(test)]
mod tests;
mod trust;
mod wildcard;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::caa::CaaAdvice;
use super::chance::chance;
use super::dnssec::{self, Trust};
use super::finding::code::Code;
use super::resolver::weigh::Served;
use super::resolver::{Resolver, ResolverAnswer};
use super::{AliasReport, Answer, GateMode, Question, RecordKind, Verdict, Wanted, rule};
use crate::prevalidation::{DomainName, NameError, RecordName};

pub use climb::CaaSets;
pub use server::{Edns, ServerReport};
pub use trust::{DnssecReport, DnssecStatus};
pub use wildcard::Wildcard;

/// The subject of an examination.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The domain.
    pub domain: &'a DomainName,
    /// The name of the record, in the domain; `None`: the domain itself.
    pub owner: Option<&'a RecordName>,
    /// The record that should be there, when one should.
    pub wanted: Option<Wanted<'a>>,
    /// A TXT value may be at the end of the aliases that begin at `owner`.
    pub follow_aliases: bool,
    /// How long it has been there, as far as is known.
    pub published_for: Duration,
    /// Until when resolvers may answer from before it came, where that is known.
    pub horizon: Option<Timestamp>,
    /// Resolvers whose caches are checked, instead of those of the settings.
    pub resolvers: Option<&'a [Resolver]>,
    /// The name of the CA in CAA records.
    pub caa_names: &'a [String],
}

impl Subject<'_> {
    /// The question that the gate would get.
    pub(super) fn question(&self) -> Question<'_> {
        Question {
            owner: self.owner,
            wanted: self.wanted.unwrap_or(Wanted::Txt("")),
            follow_aliases: self.follow_aliases,
            published_for: self.published_for,
            ..Question::new(self.domain, "")
        }
    }
}

/// What DNS shows about one domain. Absent parts are `null`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Examination {
    /// The domain, in A-labels.
    pub domain: DomainName,
    /// The domain as people write it.
    pub unicode: String,
    /// When it was examined.
    pub at: Timestamp,
    /// The name that was asked about: that of the record, or the end of its aliases.
    pub owner: String,
    /// The type that was asked for.
    #[serde(serialize_with = "as_text")]
    pub record_type: RecordKind,
    /// The aliases that lead to `owner`.
    pub aliases: Vec<AliasReport>,
    /// The value that should be there, or the target of the CNAME.
    pub value: Option<String>,
    /// No customer can prove control of it: it is a public suffix.
    pub public_suffix: bool,
    /// How the gate judges this domain; the examination asks authoritative servers in any mode.
    pub mode: GateMode,
    /// The zone and its name servers; `null` if they could not be found.
    pub delegation: Option<DelegationReport>,
    /// Why no responsible server could be found.
    pub fault: Option<Fault>,
    /// Each address of each name server.
    pub servers: Vec<ServerReport>,
    /// What the gate says to these answers; its `servers` are left out, they are above. `null`
    /// without a value.
    pub gate: Option<Verdict>,
    /// Records that a wildcard makes up at names beside this one.
    pub wildcard: Option<Wildcard>,
    /// Whether validating resolvers believe the zone.
    pub dnssec: Option<DnssecReport>,
    /// The meaning of the CAA records for the CA.
    pub caa: Option<CaaAdvice>,
    /// The values that caches may hold.
    pub caches: Caches,
    /// The chance, in percent, that a check from several perspectives passes now: below 100 while
    /// some servers are stale.
    pub chance_percent: Option<f64>,
}

fn as_text<S: Serializer>(kind: &RecordKind, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(kind)
}

/// The zone and the servers that are listed for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DelegationReport {
    /// The zone's apex.
    pub zone: String,
    /// The servers are those of the configuration; no server was asked for a delegation.
    pub configured: bool,
    /// The parent's list; empty when one server holds both zones.
    pub parent: BTreeSet<String>,
    /// The zone's own list; `null` when it could not be read.
    pub child: Option<BTreeSet<String>>,
    /// Listed servers of which no address was found.
    pub without_address: BTreeSet<String>,
    /// Addresses that the CA cannot reach: private and link-local ones.
    pub private: BTreeSet<IpAddr>,
    /// What else the walk stumbled over.
    pub warnings: Vec<String>,
}

/// Why no responsible server could be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The finding it makes.
    pub code: Code,
    /// The fault, in one short line.
    pub text: String,
    /// Each address that was asked, and what came back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<String>,
}

impl Fault {
    pub(super) fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            tried: Vec::new(),
        }
    }
}

/// What resolvers may remember, and until when.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Caches {
    /// The TTL of the TXT RRset that is there now, seconds.
    pub txt_ttl: Option<u32>,
    /// How long "not there" may be remembered, seconds: min(SOA TTL, SOA MINIMUM).
    pub negative_ttl: Option<u32>,
    /// The time after which no resolver can have an answer without the value in its cache.
    pub horizon: Option<Timestamp>,
    /// What resolvers say that were asked once the value was everywhere.
    pub resolvers: Vec<ResolverAnswer>,
}

impl Examination {
    /// For resolvers' answers. When the value was written is mostly not known.
    pub(super) fn served(&self) -> Served {
        Served {
            ttls: [self.caches.txt_ttl, self.caches.negative_ttl],
            published_for: Duration::ZERO,
        }
    }

    /// An examination before any question.
    pub(super) fn begin(subject: &Subject<'_>, mode: GateMode, now: Timestamp) -> Self {
        Self {
            domain: subject.domain.clone(),
            unicode: subject.domain.unicode(),
            at: now,
            owner: subject.question().owner().to_string(),
            record_type: subject.question().wanted.kind(),
            aliases: Vec::new(),
            value: subject.wanted.map(|wanted| wanted.as_str().to_owned()),
            public_suffix: matches!(
                DomainName::parse(subject.domain.as_str()),
                Err(NameError::PublicSuffix(_))
            ),
            mode,
            delegation: None,
            fault: None,
            servers: Vec::new(),
            gate: None,
            wildcard: None,
            dnssec: None,
            caa: None,
            caches: Caches {
                horizon: subject.horizon,
                ..Caches::default()
            },
            chance_percent: None,
        }
    }

    /// What follows from the answers alone.
    pub(super) fn weigh(
        &mut self,
        published_for: Duration,
        trust: &Trust,
        faults: Vec<Option<dnssec::Fault>>,
    ) {
        self.caches.txt_ttl = self.servers.iter().filter_map(|server| server.ttl).max();
        let codes: Vec<Option<Fault>> = faults
            .iter()
            .map(|fault| fault.as_ref().map(trust::fault))
            .collect();
        let answers = self
            .servers
            .iter()
            .map(ServerReport::evidence)
            .zip(faults)
            .collect();
        let (answers, bogus) = rule::validate(answers, trust);
        for ((server, judged), code) in self.servers.iter_mut().zip(&answers).zip(codes) {
            if server.serves() && judged.answer == Answer::Lame {
                (server.answer, server.dnssec_fault) = (Some(Answer::Lame), code);
                server.detail.clone_from(&judged.detail);
            }
        }
        self.dnssec = Some(DnssecReport::of(trust, bogus.as_ref()));
        if self.value.is_none() {
            return;
        }
        let of = |wanted| {
            answers
                .iter()
                .filter(|server| server.answer == wanted)
                .count()
        };
        let (stale, serving) = (of(Answer::NoMatch), of(Answer::NoMatch) + of(Answer::Match));
        self.chance_percent = Some((chance(stale, serving, self.at) * 1000.0).round() / 10.0);
        let mut verdict = rule::weigh(answers, Vec::new(), published_for);
        if let Some(fault) = &bogus {
            verdict = rule::refuse(verdict, fault);
        }
        if let Some(alias) = self.aliases.iter().find(|alias| !alias.everywhere) {
            verdict.go = false;
            verdict.cause = format!("the alias {}: {}", alias.owner, alias.cause);
        }
        // It counts from the moment at which the last server had the value.
        self.caches.horizon = self.caches.horizon.filter(|_| verdict.go);
        self.gate = Some(Verdict {
            servers: Vec::new(),
            ..verdict
        });
    }
}
