//! When a TXT value counts as visible: [`rule`] decides (pure), the rest asks.
//!
//! 1. The name servers are those that the parent's delegation or the zone itself lists, found by a
//!    walk from the root, afresh on every check ([`delegation`]). A hidden primary is in neither
//!    list and therefore never evidence, and neither is the server that the value was written to.
//! 2. Every address of each is asked by itself: no recursion, no cache, UDP, TCP, without EDNS at
//!    need ([`authority`]).
//! 3. Each answers match, no match, lame, cut off or unreachable ([`evidence`], [`Answer`]).
//! 4. Where the zone is signed, the chain of trust to the root must hold, and an answer that does
//!    not validate counts as lame, because validating resolvers pass over it ([`dnssec`]).
//! 5. It passes when no name server says "no match" or is cut off, and two name servers match, or
//!    the only one that can be reached; then all of them are asked once more, because one address
//!    may be many machines.
//!
//! [`Gate::examine`] asks about everything else, too: for people who want to know why ([`examine`],
//! [`finding`], [`caa`]).
//!
//! A record is a TXT value or a CNAME, at the domain or at a name below it. Where a person has made
//! such a name an alias, a TXT value is searched for at the end of the aliases, and each alias on
//! the way must be on every name server of its own zone ([`alias`]).
//!
//! Resolvers are advice: those of the configuration are asked when name servers cannot be (mode
//! `resolvers`), and else only after the rule says go, because a question too early leaves "not
//! there" in their caches, and in the CA's ([`resolver`]).

use std::fmt;
use std::net::SocketAddr;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::prevalidation::{DomainName, RecordName};

mod alias;
pub mod authority;
pub mod caa;
mod chance;
pub mod delegation;
pub mod dnssec;
pub mod evidence;
pub mod examine;
pub mod finding;
mod gate;
#[cfg(test)]
mod lab;
mod pace;
mod persistent_records;
mod race;
mod readable;
mod referral;
pub mod resolver;
mod roots;
pub mod rule;
mod settings;
mod shared;
pub mod survey;
#[cfg(test)]
mod tests;
mod wanted;

pub use alias::AliasReport;
pub use gate::{Gate, Lifetimes, Responsible};
pub use settings::{GateSettings, Judging, Way};
pub use wanted::{InSync, Question, RecordKind, Wanted};

/// Asks the name servers of a domain and says whether the CA will see a value.
#[async_trait]
pub trait DnsChecker: Send + Sync + fmt::Debug {
    /// One check. Never fails: what cannot be found out is part of the verdict.
    async fn check(&self, question: &Question<'_>) -> Verdict;

    /// How visibility of `domain` is judged: mode [`GateMode::Provider`] wants
    /// [`Question::in_sync`].
    fn mode(&self, domain: &DomainName) -> GateMode {
        let _ = domain;
        GateMode::default()
    }

    /// The zone that holds `owner` as its delegation is now; `None` where this mode cannot tell. A
    /// label of a domain may be delegated to a zone of its own.
    ///
    /// # Errors
    /// Why the delegation was not found, in words.
    async fn live_zone(&self, owner: &RecordName) -> Result<Option<LiveZone>, String> {
        let _ = owner;
        Ok(None)
    }

    /// What caches may hold of the name's records of this kind now, read before one is written;
    /// `None` where that is not known.
    async fn lifetimes(&self, owner: &RecordName, kind: RecordKind) -> Option<Lifetimes> {
        let _ = (owner, kind);
        None
    }

    /// Where a TXT record of `owner` must be written so that a CA finds it at `owner`: the end of
    /// the aliases that begin there, or `owner` itself. Where this mode cannot tell, it is `owner`.
    ///
    /// # Errors
    /// Why the aliases lead nowhere, or could not be read, in words.
    async fn target(&self, owner: &RecordName) -> Result<RecordName, String> {
        Ok(owner.clone())
    }

    /// The TXT records at `owner`, each in its character-strings, as any of its name servers has
    /// them; through aliases.
    ///
    /// # Errors
    /// Why none could be read, in words.
    async fn texts(&self, owner: &RecordName) -> Result<Vec<Vec<Vec<u8>>>, String> {
        Err(format!("{owner}: this mode reads no records"))
    }

    /// Why CAA does not let `issuer` issue for `domain` by a persistent record; `None` where it
    /// does, and where that is not known.
    async fn caa_refuses(&self, domain: &DomainName, issuer: &str) -> Option<String> {
        let _ = (domain, issuer);
        None
    }
}

/// A zone as the delegation has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveZone {
    /// Its apex, lower case without a trailing dot.
    pub apex: String,
    /// The names of its name servers, by the parent or by the zone itself.
    pub name_servers: std::collections::BTreeSet<String>,
}

/// What one check found. It names its mode, so that a waiting time is not taken for evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// How it was judged.
    pub mode: GateMode,
    /// Whether the CA may be asked to check.
    pub go: bool,
    /// Every authoritative answer was "not there": the value is gone, not late.
    pub gone: bool,
    /// Validating resolvers will refuse the zone's answers, and why: before everything else, for it
    /// breaks the whole zone.
    pub bogus: Option<String>,
    /// Until when resolvers may still answer from before the write, where one was asked and said
    /// so.
    pub cached_until: Option<jiff::Timestamp>,
    /// Why not, or on what evidence: one line for people.
    pub cause: String,
    /// Only a change of the configuration can open the gate: asking again is of no use.
    #[serde(default)]
    pub lasting: bool,
    /// Tolerable faults: lame or dead servers, parent and child NS sets that differ.
    pub warnings: Vec<String>,
    /// Each address that was asked.
    pub servers: Vec<ServerAnswer>,
    /// The name that was asked about last: that of the record, or the end of its aliases. `None`
    /// where that was not found out.
    #[serde(skip)]
    pub end: Option<RecordName>,
}

impl Verdict {
    /// A verdict with nothing but its cause.
    pub fn new(mode: GateMode, go: bool, cause: String) -> Self {
        Self {
            mode,
            go,
            gone: false,
            bogus: None,
            cached_until: None,
            cause,
            lasting: false,
            warnings: Vec::new(),
            servers: Vec::new(),
            end: None,
        }
    }

    /// The server or event that a closed gate waits for, in words that stay the same while it is
    /// the same.
    pub fn waits_for(&self) -> String {
        let mut stale: Vec<String> = self
            .servers
            .iter()
            .filter(|server| server.answer == Answer::NoMatch)
            .map(ServerAnswer::label)
            .collect();
        stale.sort_unstable();
        stale.dedup();
        let word = if self.mode == GateMode::Resolvers {
            "still cached"
        } else {
            "stale"
        };
        match (&self.bogus, self.mode) {
            (Some(fault), _) => format!("signatures that hold (bogus: {fault})"),
            (None, GateMode::Delay) => "the configured delay".to_owned(),
            (None, GateMode::Provider) => "the provider's name servers to be in sync".to_owned(),
            (None, _) if !stale.is_empty() => {
                let more = stale.len().saturating_sub(SHOWN);
                stale.truncate(SHOWN);
                let more = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                format!("{}{more} ({word})", stale.join(", "))
            }
            (None, GateMode::Authoritative) => format!("its name servers ({})", self.cause),
            (None, GateMode::Resolvers) => format!("resolvers ({})", self.cause),
        }
    }
}

/// This many servers are named before the rest is counted.
const SHOWN: usize = 3;

/// One address of one name server, or of a resolver, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAnswer {
    /// The server's name, when it has one; a resolver's is what is in the configuration.
    pub name: Option<String>,
    /// The address that was asked.
    pub address: SocketAddr,
    /// The answer.
    pub answer: Answer,
    /// In words: the RCODE, the transport error, what was missing.
    pub detail: String,
}

impl ServerAnswer {
    /// What tells one name server from another: its name, or else its address.
    pub fn label(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| self.address.to_string())
    }
}

impl fmt::Display for ServerAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{name} ({})", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

/// The five answers that count, and the one that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Authoritative, the value is there.
    Match,
    /// Authoritative, the value is not there: this server is stale, and stale is fatal.
    NoMatch,
    /// REFUSED, SERVFAIL, not authoritative, a referral.
    Lame,
    /// Its answer is too large for a datagram, and TCP connections hang: a resolver that asks it
    /// learns nothing and waits too long to ask another server (unbound 1.17 for more than 25 s).
    /// Fatal as stale is, but no evidence.
    CutOff,
    /// No answer: dead, and dead is tolerable.
    Unreachable,
    /// We have no route to it (IPv6 without IPv6).
    NotChecked,
}

/// How visibility is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateMode {
    /// Every address of every authoritative name server is asked.
    #[default]
    Authoritative,
    /// Resolvers that the configuration names are asked; for networks that let no DNS out but to
    /// them.
    Resolvers,
    /// The provider says that its own name servers have the change, plus a delay.
    Provider,
    /// A fixed time after the write; for networks that let no DNS out. No evidence.
    Delay,
}

impl GateMode {
    /// All of them, the default first.
    pub const ALL: [Self; 4] = [
        Self::Authoritative,
        Self::Resolvers,
        Self::Provider,
        Self::Delay,
    ];

    /// As in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authoritative => "authoritative",
            Self::Resolvers => "resolvers",
            Self::Provider => "provider",
            Self::Delay => "delay",
        }
    }
}
