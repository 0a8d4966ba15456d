//! The word list of findings: their codes, which are stable, and how severe they are.

use std::fmt;

use serde::{Serialize, Serializer};

/// One thing worth saying.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// For programs; stable.
    pub code: Code,
    /// How severe it is.
    pub severity: Severity,
    /// The finding, in a sentence.
    pub text: String,
    /// The hint.
    pub next: Option<String>,
}

/// How severe a finding is, the most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// No validation can be counted on while this lasts.
    Blocks,
    /// It does not block now; a person should act.
    Warns,
    /// Good to know.
    Info,
}

macro_rules! codes {
    ($($(#[$meta:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of finding: one word list for findings of DNS, of the provider, of the CA and
        /// of the records here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$meta])* $name,)* }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// As in JSON: stable, kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// Every name server that answers has the value.
    Visible = "visible",
    /// No name server has the value.
    ValueMissing = "value-missing",
    /// Some have it, some do not: transfers are late or do not work.
    StaleServer = "stale-server",
    /// A listed server does not answer for the zone.
    LameServer = "lame-server",
    /// A listed server does not answer, or has no address.
    DeadServer = "dead-server",
    /// No name server of the zone answers.
    NoServerReachable = "no-server-reachable",
    /// This machine has no route to an address.
    NoRoute = "no-route",
    /// The parent's and the zone's lists of name servers differ.
    ParentChildDiffer = "parent-child-differ",
    /// The SOA's primary is no listed server.
    HiddenPrimary = "hidden-primary",
    /// The registry does not know the name.
    NotDelegated = "not-delegated",
    /// The name can never be delegated on the Internet.
    ReservedName = "reserved-name",
    /// The zone does not have the name.
    NoSuchName = "no-such-name",
    /// No customer can prove control of it.
    PublicSuffix = "public-suffix",
    /// The delegation leads nowhere.
    ReferralLoop = "referral-loop",
    /// An alias is where the TXT value should.
    Cname = "cname",
    /// A wildcard makes up records at the name or beside it.
    Wildcard = "wildcard",
    /// DNSSEC: signatures have ended.
    DnssecExpired = "dnssec-expired",
    /// DNSSEC: signatures begin later.
    DnssecNotYetValid = "dnssec-not-yet-valid",
    /// DNSSEC: the parent has a DS record, the zone no key.
    DnssecNoDnskey = "dnssec-no-dnskey",
    /// DNSSEC: the parent's DS record fits no key of the zone.
    DnssecDsMismatch = "dnssec-ds-mismatch",
    /// DNSSEC: a signature is wrong.
    DnssecBadSignature = "dnssec-bad-signature",
    /// DNSSEC: a signature is missing.
    DnssecNotSigned = "dnssec-not-signed",
    /// DNSSEC: that something is not there is not proven.
    DnssecBadDenial = "dnssec-bad-denial",
    /// DNSSEC: algorithms that validators do not know; they treat the zone as unsigned.
    DnssecUnsupported = "dnssec-unsupported",
    /// DNSSEC: signatures in a zone without a DS record.
    DnssecStray = "dnssec-stray",
    /// A server answers only without EDNS.
    EdnsDropped = "edns-dropped",
    /// The TXT answer needs TCP.
    AnswerLarge = "answer-large",
    /// A server does not answer over TCP.
    TcpBlocked = "tcp-blocked",
    /// The network answers DNS itself.
    Port53Redirected = "port53-redirected",
    /// The CA sees another zone than this machine.
    SplitHorizon = "split-horizon",
    /// CAA lets the CA issue nothing.
    CaaForbids = "caa-forbids",
    /// CAA has an unknown critical tag.
    CaaUnknownCritical = "caa-unknown-critical",
    /// Resolvers may still answer from before the value.
    StillCached = "still-cached",
    /// The other values differ between servers.
    AnswersDiffer = "answers-differ",
    /// The provider says that it cannot write the name.
    ProviderRefuses = "provider-refuses",
    /// The provider could not be asked.
    ProviderUnavailable = "provider-unavailable",
    /// The CA does not let us in, or does not know the registration.
    CaRefuses = "ca-refuses",
    /// The CA has checked and said why it does not accept the value.
    CaLastWords = "ca-last-words",
    /// The CA waits for another value, or for none.
    CaOtherValue = "ca-other-value",
    /// The CA could not be asked.
    CaUnavailable = "ca-unavailable",
    /// Another process works on the domain.
    WorkedOn = "worked-on",
    /// The domain waits for a person.
    Held = "held",
    /// A record of ours is there that has done its work, or could not be removed.
    LeftBehind = "left-behind",
    /// A persistent record of the domain needs attention.
    PersistentRecord = "persistent-record",
}

impl Code {
    /// Whether it is about DNSSEC.
    pub fn is_dnssec(self) -> bool {
        self.as_str().starts_with("dnssec-")
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Finding {
    /// A finding without a next step.
    pub fn new(code: Code, severity: Severity, text: impl Into<String>) -> Self {
        Self {
            code,
            severity,
            text: text.into(),
            next: None,
        }
    }

    /// The same with what to do about it.
    #[must_use]
    pub fn with_next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}
