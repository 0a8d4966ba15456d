//! Providers whose API keeps single records: the one way in which values come and go there,
//! whatever the form of the API is.
//!
//! Such an API adds one record and removes one record, so no foreign record can get lost; what is
//! left to care for is the right zone, a name that can take a value, the TTL of those that are
//! there already, and replies that never came. [`view`] judges what an API lists, [`open`] says the
//! next step for a name, [`change`] makes changes out of these, and the adapter brings a
//! [`RecordApi`].

mod change;
mod open;
mod view;

use async_trait::async_trait;
use hickory_proto::rr::Name;

pub(crate) use open::Verb;
pub(crate) use view::{Listed, Unreadable, View};

use crate::edit::check_owner;
use crate::provider::ProviderError;
use crate::queues::Queues;
use crate::recent::Recent;
use crate::record::{RecordKind, TxtRrset, USUAL_VALUE, Zone};

/// One record more or less.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// The value at a name, or the target of its CNAME. `beside`: a record of the RRset that it joins, whose TTL it takes; else
    /// `ttl`.
    Add {
        kind: RecordKind,
        owner: String,
        value: String,
        ttl: u32,
        beside: Option<Listed>,
    },
    /// Exactly this record.
    Remove(Listed),
}

/// The outcome of a call that changes.
#[derive(Debug)]
pub(crate) enum Written {
    /// The answer shows the records as they are stored now.
    #[cfg_attr(
        not(feature = "cloudflare"),
        expect(dead_code, reason = "AutoDNS' answers show nothing")
    )]
    Proved(Option<String>),
    /// The API says yes; only a read shows what it did.
    Accepted(Option<String>),
    /// Nothing was done: a record to add is there already, or one to remove is not.
    Conflict,
    /// It may have been done.
    Lost(String),
    /// Nothing was done. `stops_all`: whatever the change, the next one fails the same way.
    Failed {
        error: ProviderError,
        stops_all: bool,
    },
}

/// What an adapter brings. All names are lower-case A-labels without a trailing dot.
#[async_trait]
pub(crate) trait RecordApi: Send + Sync {
    /// Changes that one call may hold.
    fn most(&self) -> usize;

    /// Seconds, for an RRset that does not exist yet.
    fn ttl(&self) -> u32;

    /// Whether a value may be written at a name that only a wildcard answered for.
    fn may_shadow(&self) -> bool;

    /// The zone that holds `owner`: the longest match on labels.
    async fn zone_of(&self, owner: &str) -> Result<Zone, ProviderError>;

    /// Refuses a zone in which a new value would not be visible.
    async fn check_zone(&self, zone: &Zone) -> Result<(), ProviderError>;

    /// The records of the zone that matter for `owners`, at least those at, above, below and beside
    /// (`*`) them.
    async fn read_zone(&self, zone: &Zone, owners: &[String]) -> Result<View, ProviderError>;

    /// Refuses new values of these lengths, in octets, beside what is there: the API's limits.
    fn check_room(
        &self,
        owner: &str,
        there: &[&Listed],
        new: &[usize],
    ) -> Result<(), ProviderError>;

    /// Makes all changes or none.
    async fn write(&self, zone: &Zone, changes: &[Change]) -> Written;

    /// A record of ours that was accepted and is at a wrong name, and the error for it.
    fn stray<'a>(
        &self,
        view: &'a View,
        zone: &Zone,
        owner: &str,
        value: &str,
    ) -> Option<(&'a Listed, ProviderError)> {
        let _ = (view, zone, owner, value);
        None
    }
}

/// The provider's common part.
pub(crate) struct Records<A> {
    pub(crate) api: A,
    /// Changes of one zone follow each other: they would only run into each other's conflicts.
    queues: Queues<Zone>,
    recent: Recent,
}

impl<A: RecordApi> Records<A> {
    pub(crate) fn new(api: A) -> Self {
        Self {
            api,
            queues: Queues::default(),
            recent: Recent::default(),
        }
    }

    pub(crate) async fn find_zone(&self, owner: &str) -> Result<Zone, ProviderError> {
        check_owner(owner)?;
        self.api.zone_of(owner).await
    }

    pub(crate) async fn inspect(&self, owner: &str) -> Result<TxtRrset, ProviderError> {
        let zone = self.find_zone(owner).await?;
        let view = self.api.read_zone(&zone, &[owner.to_owned()]).await?;
        view.refuse_unreadable(owner)?;
        Ok(view.rrset(&zone, owner))
    }

    /// Everything about a publish that can be checked without writing, and what is at the name.
    pub(crate) async fn rehearse(
        &self,
        owner: &str,
        kind: RecordKind,
    ) -> Result<TxtRrset, ProviderError> {
        let zone = self.find_zone(owner).await?;
        self.api.check_zone(&zone).await?;
        let view = self.api.read_zone(&zone, &[owner.to_owned()]).await?;
        view.refuse_unreadable(owner)?;
        self.refuse(&view, &zone, owner, kind)?;
        if kind == RecordKind::Txt {
            let there: Vec<_> = view.txt(owner).collect();
            self.api.check_room(owner, &there, &[USUAL_VALUE])?;
        }
        Ok(view.rrset(&zone, owner))
    }

    /// Refuses a name that can take no record of the type.
    fn refuse(
        &self,
        view: &View,
        zone: &Zone,
        owner: &str,
        kind: RecordKind,
    ) -> Result<(), ProviderError> {
        if kind == RecordKind::Cname {
            view.refuse_alias(&zone.apex, owner)?;
        }
        view.refuse(&zone.apex, owner, self.api.may_shadow())
    }
}

/// Lower-case A-labels without a trailing dot, whichever way an API writes a name.
pub(crate) fn plain_name(name: &str) -> String {
    let name = name.trim_end_matches('.');
    let ascii = if name.is_ascii() {
        None
    } else {
        Name::from_utf8(name).ok().map(|name| name.to_ascii())
    };
    ascii
        .as_deref()
        .unwrap_or(name)
        .trim_end_matches('.')
        .to_ascii_lowercase()
}

/// `name` and all its parents, longest first.
pub(crate) fn upwards(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.split_once('.').map(|(_, parent)| parent)
    })
}
