//! What is remembered of a certificate: the order under way, what is installed, what was not yet
//! told to servers, what waits for a person. It holds no secret.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{OrderState, RevocationReason};

/// Where the way to the next certificate is, and what there is already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// The order under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<Order>,
    /// The pair in the place that servers read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<Installed>,
    /// A change that servers do not know of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<Deployment>,
    /// A revocation that the CA has not confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Box<Revocation>>,
    /// Records of orders that have come to their end, which must leave DNS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<Record>,
    /// When their removal is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leftovers_at: Option<Timestamp>,
    /// How often their removal failed in a row.
    #[serde(skip_serializing_if = "is_zero")]
    pub leftovers_tries: u32,
    /// Why one of them is still in DNS, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leftovers_trouble: Option<String>,
    /// What a person must decide before anything is ordered again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// A person asked for a new one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The CA refused the order before, so the next one names no predecessor.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forgets_predecessor: bool,
    /// What was installed last was due for its renewal already.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub was_due_at_once: bool,
    /// Failures in a row that may pass by themselves.
    #[serde(skip_serializing_if = "is_zero")]
    pub failures: u32,
    /// The last failure, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Nothing is tried before this moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
}

fn is_zero(count: &u32) -> bool {
    *count == 0
}

impl Progress {
    /// What an older version stored, as this one reads it; `ca` is the account of the row.
    ///
    /// It did not say at which CA an order was made: the first line of its print does. It put a
    /// revocation that the CA refused into the hold, where it blocked every renewal.
    #[must_use]
    pub fn brought_up(mut self, ca: &str) -> Self {
        let of = |print: &str| match print.split_once('\n') {
            Some((first, _)) => first.to_owned(),
            None => ca.to_owned(),
        };
        if let Some(order) = self.order.as_mut().filter(|one| one.ca.is_empty()) {
            order.ca = of(&order.print);
        }
        if let Some(installed) = self.installed.as_mut().filter(|one| one.ca.is_empty()) {
            installed.ca = of(&installed.print);
        }
        let installed = self.installed.as_ref().map(|one| one.ca.clone());
        let Some(revocation) = self.revocation.as_mut() else {
            return self;
        };
        if revocation.ca.is_empty() {
            revocation.ca = installed.unwrap_or_else(|| ca.to_owned());
        }
        if self.hold.as_ref().is_some_and(Hold::is_about_a_revocation)
            && let Some(hold) = self.hold.take()
        {
            revocation.refused = Some(Refusal {
                since: hold.since,
                words: hold.words,
                hint: hold.hint,
            });
        }
        self
    }

    /// Records that must leave DNS from now on, as soon as that may be.
    pub fn leave_behind(&mut self, records: Vec<Record>) {
        if !records.is_empty() {
            self.leftovers.extend(records);
            self.leftovers_at = None;
        }
    }

    /// The revocation that the CA refused, while the certificate still counts.
    pub fn refused_revocation(&self, now: Timestamp) -> Option<&Refusal> {
        let revocation = self.revocation.as_ref()?;
        let is_over = revocation.not_after.is_some_and(|end| end <= now);
        revocation.refused.as_ref().filter(|_| !is_over)
    }
}

/// An order under way, from the key on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Order {
    /// The `[ca.NAME]` at which it is made, whatever the configuration says later.
    pub ca: String,
    /// Names it at the CA and nowhere else.
    pub tag: String,
    /// The version of the files that its key is in.
    pub version: u32,
    /// [`Wanted::print`](super::Wanted::print) of what was ordered.
    pub print: String,
    /// The fingerprint of the public key.
    pub fingerprint: String,
    /// The request, in PEM. It never changes.
    pub csr: String,
    /// DNS names that were ordered.
    pub names: Vec<String>,
    /// The mail address that was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The product by the CA's own key, once the rehearsal found it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The client by the CA's own key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Whether the CA names records for DNS once it has the order, so that no proof is waited for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub brings_records: bool,
    /// What goes back with the order, once its records are in DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Records that the order wants in DNS, and how far they are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// Why they are not written yet, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause: Option<String>,
    /// The order that this one comes after: its keys, and whether it is a reissue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// When `submit` was called. It is stored before the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub submitted_at: Option<Timestamp>,
    /// When that call ended or was cut off, as far as it brought no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// How often the CA did not have the order after `submit` brought no answer.
    #[serde(skip_serializing_if = "is_zero")]
    pub not_found: u32,
    /// The CA's key of the order. It is known when the answer came or the search found the order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The CA's key for the certificate, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The last words of the CA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<OrderState>,
    /// The CA's words on that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// When the CA is asked next.
    #[serde(rename = "look_at", skip_serializing_if = "Option::is_none")]
    pub next_read_at: Option<Timestamp>,
    /// Whether the CA named that moment.
    #[serde(rename = "look_at_is_the_cas")]
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub next_read_is_from_ca: bool,
    /// How often it was asked.
    #[serde(rename = "looks")]
    pub reads: u32,
    /// When it answered last.
    #[serde(rename = "looked_at", skip_serializing_if = "Option::is_none")]
    pub last_read_at: Option<Timestamp>,
    /// Since when no answer of the CA shows it; without a reference: the CA does not tell for long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gone_since: Option<Timestamp>,
    /// The certificate came, was checked, and is in its version.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_fetched: bool,
    /// When the paid period ends, where it is another moment than the certificate's end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_until: Option<Timestamp>,
    /// It was carried out and installed before: a person wants its certificate once more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_fetched_again: bool,
    /// Whether its key was made here; `None`: an older version stored it, and the configuration tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_key: Option<bool>,
    /// A person asked for it, whatever is in its place.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_again: bool,
    /// The store did not know it any more: it was found by what its version keeps of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_recovered: bool,
    /// Not even its tag is known: only its key tells.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tag_is_lost: bool,
}

/// The first check of an order comes after this time.
const FIRST_READ: SignedDuration = SignedDuration::from_secs(2);

/// The longest time between two checks.
const SLOWEST: SignedDuration = SignedDuration::from_hours(1);

impl Order {
    /// When the CA is asked next by our own measure: after 2 s at first, then ever more slowly.
    pub fn next_read(&self, now: Timestamp) -> Timestamp {
        let mut span = FIRST_READ;
        for _ in 0..self.reads.min(32) {
            span = (span * 3 / 2).min(SLOWEST);
        }
        // The store keeps microseconds: what is due by its row must be due by itself.
        let span = SignedDuration::from_secs(span.as_secs());
        now.saturating_add(span).unwrap_or(Timestamp::MAX)
    }

    /// Takes its records out of it: those that may be in DNS, which must leave it. They are wanted
    /// again when the order continues.
    pub fn give_up_records(&mut self) -> Vec<Record> {
        let mut written = Vec::new();
        for record in self.records.iter_mut().filter(|one| one.may_stand()) {
            written.push(record.clone());
            *record = record.afresh();
        }
        written
    }
}

/// A record of an order in DNS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The absolute name.
    pub owner: String,
    /// `TXT` or `CNAME`.
    pub kind: String,
    /// The value, or the target.
    pub data: String,
    /// How far it is.
    pub state: RecordState,
    /// The provider that writes it, once one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Where it is written, if a person has made an alias of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// When its provider, or every name server, had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood_at: Option<Timestamp>,
    /// The record existed before this program wrote it, and is not removed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_foreign: bool,
}

impl Record {
    /// The name that it is written at.
    pub fn place(&self) -> &str {
        self.at.as_deref().unwrap_or(&self.owner)
    }

    /// Whether it was written, or may have been.
    pub fn may_stand(&self) -> bool {
        self.provider.is_some() && self.state != RecordState::Removed
    }

    /// Whether it is an alias, which is beside nothing else.
    pub fn is_alias(&self) -> bool {
        self.kind == "CNAME"
    }

    /// The same record, of which nothing is written.
    #[must_use]
    pub fn afresh(&self) -> Self {
        Self {
            owner: self.owner.clone(),
            kind: self.kind.clone(),
            data: self.data.clone(),
            ..Self::default()
        }
    }
}

/// How far a record of an order is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordState {
    /// It is about to be written.
    #[default]
    Intended,
    /// It was written.
    Published,
    /// Every name server has it.
    Visible,
    /// It was removed.
    Removed,
}

/// The order that another one comes after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct After {
    /// The CA's key for it.
    pub reference: String,
    /// The CA's key for its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Within the paid period, and not for the next one.
    pub is_reissue: bool,
    /// Beside its certificate, with another key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_duplicate: bool,
}

/// A certificate in the place that servers read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Installed {
    /// The `[ca.NAME]` that issued it.
    #[serde(default)]
    pub ca: String,
    /// The version of the files.
    pub version: u32,
    /// Its serial number, lower-case hexadecimal digits.
    pub serial: String,
    /// Its issuer.
    pub issuer: String,
    /// From when it counts.
    pub not_before: Timestamp,
    /// Until when it counts.
    pub not_after: Timestamp,
    /// Its names.
    pub names: Vec<String>,
    /// The fingerprint of its key.
    pub fingerprint: String,
    /// [`Wanted::print`](super::Wanted::print) of what was ordered.
    pub print: String,
    /// The CA's key for its order.
    pub reference: String,
    /// The CA's key for the certificate, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// When it was installed.
    pub at: Timestamp,
    /// When the CA said that it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// When the paid period ends, where it is another moment than its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid_until: Option<Timestamp>,
    /// Whether its key was made here; `None`: an older version stored it, and the configuration tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_key: Option<bool>,
}

/// A change that servers do not know of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// The version that they are to read.
    pub version: u32,
    /// Runs of the program that failed.
    pub failures: u32,
    /// When the program runs next.
    pub at: Timestamp,
    /// The last words of the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// A revocation that the CA has not confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    /// The `[ca.NAME]` that issued the certificate.
    #[serde(default)]
    pub ca: String,
    /// The serial number of the certificate.
    pub serial: String,
    /// The CA's key for its order.
    pub reference: String,
    /// The CA's key for the certificate, where it is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Why.
    pub reason: RevocationReason,
    /// The person that asks for it.
    pub requestor: String,
    /// When a person asked for it; `None`: an older version stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When the CA was asked for it; `None`: it was not, or refused it for the moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// When the CA is asked for its state.
    #[serde(rename = "look_at", default, skip_serializing_if = "Option::is_none")]
    pub next_read_at: Option<Timestamp>,
    /// How often that was.
    #[serde(rename = "looks", default)]
    pub reads: u32,
    /// When the certificate ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// Why the CA refused it. It is not asked for again by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// What a CA refused, in its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub words: String,
    /// The hint, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a person must decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Since when.
    pub since: Timestamp,
    /// The subject.
    pub kind: HoldKind,
    /// The words of the CA, or the fault, in words.
    pub words: String,
    /// The hint, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// [`Wanted::print`](super::Wanted::print) at that time: with another one it is over.
    pub print: String,
}

impl Hold {
    fn is_about_a_revocation(&self) -> bool {
        self.kind == HoldKind::Revocation
    }
}

/// The subject of a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldKind {
    /// The CA refuses the order for what it says.
    Refused,
    /// The CA ended the order without a certificate.
    Ended,
    /// What came is not what was ordered.
    Check,
    /// The folder cannot be used.
    Folder,
    /// The request or the key cannot be used.
    Key,
    /// What came was due for its renewal when it was installed, and so would the next one be.
    Short,
    /// The CA refuses the revocation. Older versions stored it so: see [`Revocation::refused`].
    Revocation,
}

impl HoldKind {
    /// Whether only an explicit order of a person ends it: the one before came to its end at the CA,
    /// and the next one may cost money.
    pub fn orders_by_hand_only(self) -> bool {
        matches!(self, Self::Ended | Self::Short)
    }

    /// Whether its cause is on this machine, so that the next run sees whether it was repaired.
    pub fn is_local(self) -> bool {
        matches!(self, Self::Folder | Self::Key)
    }

    /// The word in JSON and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Ended => "ended",
            Self::Check => "check",
            Self::Folder => "folder",
            Self::Key => "key",
            Self::Short => "short",
            Self::Revocation => "revocation",
        }
    }
}
