//! What an API lists of a zone, and what follows from it: the RRset at a name, and whether a value
//! can be there. Pure.

use serde_json::Value;

use super::{plain_name, upwards};
use crate::provider::{ErrorKind, ProviderError, only_a_wildcard};
use crate::record::{RecordKind, TxtRecord, TxtRrset, Zone, host_of, is_within};

/// One record as an API lists it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Listed {
    /// Lower-case A-labels without a trailing dot.
    pub(crate) name: String,
    /// `TXT`, in upper case.
    pub(crate) kind: String,
    /// Seconds that name servers answer.
    pub(crate) ttl: u32,
    /// The data as the API writes it.
    pub(crate) content: String,
    /// The whole entry as it came: what the API knows the record by.
    pub(crate) raw: Value,
}

impl Listed {
    pub(crate) fn record(&self) -> TxtRecord {
        TxtRecord::from_content(&self.content)
    }

    /// What the record says: the whole TXT value, or the target of the CNAME.
    pub(crate) fn value(&self) -> String {
        match self.kind.as_str() {
            "CNAME" => plain_name(&self.content),
            _ => String::from_utf8_lossy(&self.record().joined()).into_owned(),
        }
    }

    /// Whether the record says this.
    pub(crate) fn is(&self, value: &str) -> bool {
        match self.kind.as_str() {
            "CNAME" => plain_name(&self.content) == plain_name(value),
            _ => self.record().joined() == value.as_bytes(),
        }
    }
}

/// An entry of a list that is no record as the API describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Lower-case A-labels without a trailing dot, where it is known.
    pub(crate) name: Option<String>,
    /// `TXT`, in upper case, where it is known.
    pub(crate) kind: Option<String>,
    /// Which entry, and what is wrong with it.
    pub(crate) what: String,
}

impl Unreadable {
    /// Whether it may be a TXT record at the name, or what keeps one from being there.
    fn may_concern(&self, owner: &str) -> bool {
        let kinds = ["TXT", "CNAME", "DNAME", "NS"];
        let kind = self
            .kind
            .as_deref()
            .is_none_or(|kind| kinds.contains(&kind));
        let name = self.name.as_deref().is_none_or(|name| {
            name == owner || self.kind.as_deref() != Some("TXT") && is_within(owner, name)
        });
        kind && name
    }
}

/// The records that matter for some names of a zone.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) records: Vec<Listed>,
    /// What else the list holds.
    pub(crate) unreadable: Vec<Unreadable>,
    /// The API's own mark of this state of the zone, where it has one: another one is another state.
    pub(crate) version: Option<String>,
    /// Seconds that a resolver may remember that there is no TXT, where the API tells.
    pub(crate) negative_ttl: Option<u32>,
}

impl View {
    /// The records of a type at a name.
    pub(crate) fn of<'a>(
        &'a self,
        kind: RecordKind,
        owner: &'a str,
    ) -> impl Iterator<Item = &'a Listed> {
        self.records
            .iter()
            .filter(move |record| record.kind == kind.as_str() && record.name == owner)
    }

    /// The TXT records at a name.
    pub(crate) fn txt<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Listed> {
        self.records
            .iter()
            .filter(move |record| record.kind == "TXT" && record.name == owner)
    }

    /// The TXT RRset at a name. Where an API keeps a TTL per record and they differ, the shortest
    /// counts.
    pub(crate) fn rrset(&self, zone: &Zone, owner: &str) -> TxtRrset {
        let mut records: Vec<_> = self.txt(owner).map(Listed::record).collect();
        records.sort();
        let alias = self.of(RecordKind::Cname, owner).next();
        let ttl = self.txt(owner).chain(alias).map(|record| record.ttl).min();
        TxtRrset {
            zone: zone.clone(),
            owner: owner.to_owned(),
            ttl,
            records,
            cname: alias.map(Listed::value),
            negative_ttl: self.negative_ttl,
        }
    }

    /// Refuses a name of which the list may hold a record that cannot be read. An unreadable record
    /// elsewhere costs only itself.
    pub(crate) fn refuse_unreadable(&self, owner: &str) -> Result<(), ProviderError> {
        let Some(bad) = self.unreadable.iter().find(|bad| bad.may_concern(owner)) else {
            return Ok(());
        };
        let text = format!("the records of {owner} are not known: {}", bad.what);
        Err(ProviderError::new(ErrorKind::Unavailable, text).with_hint(
            "nothing was changed, since this entry may be a record of the name; search for it in the provider's own pages",
        ))
    }

    /// Refuses a name that cannot become an alias: the apex, one with another alias, one with any
    /// record. It allows no other record beside it (RFC 1034, section 3.6.2).
    pub(crate) fn refuse_alias(&self, apex: &str, owner: &str) -> Result<(), ProviderError> {
        let refused = |text: String, hint: &str| {
            Err(ProviderError::new(ErrorKind::Unsafe, text).with_hint(hint))
        };
        if owner == apex {
            let text = format!("{owner} is the apex of its zone, which cannot be a CNAME");
            return refused(text, "have the CA ask for TXT");
        }
        let Some(there) = self.records.iter().find(|record| record.name == owner) else {
            return Ok(());
        };
        if there.kind == "CNAME" {
            let text = format!("{owner} is a CNAME already, to {}", there.value());
            return refused(text, "remove it, if it is not needed; it is never replaced");
        }
        let text = format!(
            "{owner} has a {} record, and a CNAME allows no other record beside it",
            there.kind
        );
        refused(text, "remove what is there, if it is not needed")
    }

    /// Refuses a name at which a value would not be seen, or would take an answer away from another
    /// name.
    pub(crate) fn refuse(
        &self,
        apex: &str,
        owner: &str,
        may_shadow: bool,
    ) -> Result<(), ProviderError> {
        let unsafe_name = |text: String| ProviderError::new(ErrorKind::Unsafe, text);
        let at = |name: &str, kind: &str| {
            self.records
                .iter()
                .find(|record| record.kind == kind && record.name == name)
        };
        // At the apex these APIs answer an alias with what it points to, and other records are
        // beside it.
        let alias = at(owner, "CNAME").map(|record| format!("a CNAME to {}", record.content));
        let above = upwards(owner)
            .skip(1)
            .take_while(|name| *name != apex)
            .chain([apex]);
        let dname = above.filter_map(|name| at(name, "DNAME")).next();
        let alias =
            alias.or_else(|| dname.map(|record| format!("a DNAME at {} above it", record.name)));
        if let Some(what) = alias.filter(|_| owner != apex) {
            return Err(unsafe_name(format!(
                "{owner} is an alias ({what}) and cannot hold a TXT value beside it"
            ))
            .with_hint("validate the parent domain instead; it covers this name"));
        }
        let cut = upwards(owner)
            .take_while(|name| *name != apex)
            .find(|name| at(name, "NS").is_some());
        if let Some(cut) = cut {
            return Err(unsafe_name(format!(
                "{owner} is not in the zone {apex}: {cut} is delegated, and a value written into {apex} would be invisible"
            ))
            .with_hint(format!("give the domain a provider for the zone {cut}")));
        }
        let host = host_of(owner, apex).filter(|_| !may_shadow);
        match host.and_then(|host| Some((host, self.wildcard_of(apex, host)?))) {
            Some((host, wildcard)) => Err(only_a_wildcard(
                owner,
                host,
                &format!("the wildcard {wildcard}"),
            )),
            None => Ok(()),
        }
    }

    /// The wildcard that answers for a name that does not exist: the one at the closest name that
    /// does (RFC 4592).
    fn wildcard_of(&self, apex: &str, owner: &str) -> Option<String> {
        let exists = |name: &str| {
            name == apex
                || self
                    .records
                    .iter()
                    .any(|record| is_within(&record.name, name))
        };
        let closest = upwards(owner)
            .find(|name| exists(name))
            .filter(|closest| *closest != owner)?;
        let wildcard = format!("*.{closest}");
        self.records
            .iter()
            .any(|record| record.name == wildcard)
            .then_some(wildcard)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn view(records: &[(&str, &str, u32, &str)]) -> View {
        let records = records.iter().map(|&(name, kind, ttl, content)| Listed {
            name: name.into(),
            kind: kind.into(),
            ttl,
            content: content.into(),
            raw: Value::Null,
        });
        View {
            records: records.collect(),
            ..View::default()
        }
    }

    #[test]
    fn an_entry_that_cannot_be_read_concerns_only_the_names_it_may_belong_to() {
        let bad = |name: Option<&str>, kind: Option<&str>| View {
            unreadable: vec![Unreadable {
                name: name.map(str::to_owned),
                kind: kind.map(str::to_owned),
                what: "entry 7 has no `content`".to_owned(),
            }],
            ..View::default()
        };
        for (view, concerns) in [
            (bad(Some("b.ch"), Some("TXT")), false),
            (bad(Some("a.ch"), Some("TXT")), true),
            (bad(Some("ch"), Some("TXT")), false),
            (bad(None, Some("TXT")), true),
            (bad(Some("a.ch"), None), true),
            (bad(None, None), true),
            (bad(None, Some("MX")), false),
            (bad(Some("ch"), Some("NS")), true),
            (bad(Some("x.a.ch"), Some("CNAME")), false),
        ] {
            let refused = view.refuse_unreadable("a.ch");
            assert_eq!(refused.is_err(), concerns, "{view:?}");
            if let Err(error) = refused {
                assert!(error.message.contains("entry 7"), "{error}");
            }
        }
    }

    #[test]
    fn aliases_cuts_and_wildcards_are_refused_where_they_count() {
        let view = view(&[
            ("a.ch", "CNAME", 300, "elsewhere.ch"),
            ("alias.a.ch", "CNAME", 300, "elsewhere.ch"),
            ("cut.a.ch", "NS", 300, "ns.elsewhere.ch"),
            ("*.wild.a.ch", "A", 300, "192.0.2.1"),
            ("there.wild.a.ch", "A", 300, "192.0.2.1"),
            ("x.empty.wild.a.ch", "A", 300, "192.0.2.1"),
            ("down.a.ch", "DNAME", 300, "elsewhere.ch"),
        ]);
        for owner in [
            "alias.a.ch",
            "cut.a.ch",
            "www.cut.a.ch",
            "shop.wild.a.ch",
            "deep.shop.wild.a.ch",
            "x.down.a.ch",
        ] {
            assert_eq!(
                view.refuse("a.ch", owner, false).unwrap_err().kind,
                ErrorKind::Unsafe,
                "{owner}"
            );
        }
        for owner in [
            "a.ch",
            "new.a.ch",
            "wild.a.ch",
            "there.wild.a.ch",
            "empty.wild.a.ch",
            "down.a.ch",
            "_x.wild.a.ch",
        ] {
            view.refuse("a.ch", owner, false).unwrap();
        }
        view.refuse("a.ch", "shop.wild.a.ch", true).unwrap();
    }

    #[test]
    fn the_shortest_of_several_ttls_counts() {
        let view = view(&[
            ("a.ch", "TXT", 3600, "\"one\""),
            ("a.ch", "TXT", 60, "two"),
            ("b.a.ch", "TXT", 1, "three"),
        ]);
        let zone = Zone::of("a.ch");
        let rrset = view.rrset(&zone, "a.ch");
        assert!(
            rrset.ttl == Some(60)
                && rrset.holds("one")
                && rrset.holds("two")
                && rrset.records.len() == 2
        );
        assert_eq!(view.rrset(&zone, "c.a.ch").ttl, None);
    }
}
