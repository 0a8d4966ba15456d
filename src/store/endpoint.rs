//! Which CAs a store belongs to: one made for pre-production knows references that production does
//! not, and a rehearsal must never act on what is real. The identity is kept for each `[ca.NAME]`,
//! so that one may be added or removed.

use std::collections::{BTreeMap, BTreeSet};

use super::StoreError;

/// The fact of programs that kept one identity for all CAs: their hosts, with blanks between.
pub(super) const OF_ALL: &str = "endpoint";

/// The fact of one CA is this and its name.
pub(super) const OF_ONE: &str = "endpoint/";

/// The fact that keeps the host of a `[ca.NAME]`, once the store was opened for it.
pub fn endpoint_fact(ca: &str) -> String {
    format!("{OF_ONE}{ca}")
}

/// The endpoint that a store is bound to.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// By one text for all.
    pub all: Option<String>,
    /// Host by the name of the CA.
    pub each: BTreeMap<String, String>,
}

impl Bound {
    /// From the facts of both kinds.
    pub(super) fn of(facts: Vec<(String, String)>) -> Self {
        let mut bound = Self::default();
        for (key, value) in facts {
            match key.strip_prefix(OF_ONE) {
                Some(name) => drop(bound.each.insert(name.to_owned(), value)),
                None => bound.all = Some(value),
            }
        }
        bound
    }

    /// The facts that bind the store to `fingerprint` as well: `NAME=HOST …`, or any text, which is
    /// then the identity of all. Nothing when it is bound already.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when it belongs to another program.
    pub(super) fn binding(
        &self,
        fingerprint: &str,
        shown: &str,
    ) -> Result<Vec<(String, String)>, StoreError> {
        let Some(wanted) = parts(fingerprint) else {
            return match &self.all {
                Some(all) if all != fingerprint => Err(other(shown, all, fingerprint)),
                Some(_) => Ok(Vec::new()),
                None => Ok(vec![(OF_ALL.to_owned(), fingerprint.to_owned())]),
            };
        };
        for (name, host) in &wanted {
            match self.each.get(*name) {
                Some(bound) if bound != host => return Err(other(shown, bound, host)),
                _ => {}
            }
        }
        self.must_share(&wanted, fingerprint, shown)?;
        let new = wanted
            .iter()
            .filter(|(name, _)| !self.each.contains_key(**name));
        let mut facts: Vec<_> = new
            .map(|(name, host)| (format!("{OF_ONE}{name}"), (*host).to_owned()))
            .collect();
        if self.all.is_none() && self.each.is_empty() {
            // Programs that know no other identity read this one.
            facts.push((OF_ALL.to_owned(), hosts_of(&wanted)));
        }
        Ok(facts)
    }

    /// A configuration of which the store knows no CA at all is a rehearsal's, or another
    /// environment's.
    fn must_share(
        &self,
        wanted: &BTreeMap<&str, &str>,
        fingerprint: &str,
        shown: &str,
    ) -> Result<(), StoreError> {
        if self.each.keys().any(|name| wanted.contains_key(&**name)) {
            return Ok(());
        }
        if let Some(renamed) = self.renamed(wanted, shown) {
            return Err(renamed);
        }
        if !self.each.is_empty() {
            let hosts: Vec<_> = self.each.values().map(String::as_str).collect();
            return Err(other(shown, &hosts.join(" "), &hosts_of(wanted)));
        }
        // An older program has bound it, and named no CA: then one of them must be among these, and
        // a host may not have been put in the place of another.
        let Some(all) = &self.all else { return Ok(()) };
        let before: BTreeSet<&str> = all.split(' ').filter(|host| !host.is_empty()).collect();
        let now: BTreeSet<&str> = wanted.values().copied().collect();
        let only_added = before.is_subset(&now);
        let only_removed = now.is_subset(&before) && !now.is_empty();
        if only_added || only_removed || all == fingerprint {
            return Ok(());
        }
        Err(other(shown, all, &hosts_of(wanted)))
    }
}

impl Bound {
    /// What is said where a CA that the store knows has got another name in the configuration.
    fn renamed(&self, wanted: &BTreeMap<&str, &str>, shown: &str) -> Option<StoreError> {
        let same = |(name, host): (&&str, &&str)| {
            let before = self
                .each
                .iter()
                .find(|(_, bound)| bound.as_str() == *host)?
                .0;
            Some(((*name).to_owned(), before.clone(), (*host).to_owned()))
        };
        let (now, before, host) = wanted.iter().find_map(same)?;
        Some(StoreError::Unfit {
            message: format!(
                "{shown} knows the CA at `{host}` as [ca.{before}], and the configuration calls it [ca.{now}]"
            ),
            hint: format!(
                "call it [ca.{before}] again: all that the store knows of its clients, orders and certificates goes by this name"
            ),
        })
    }
}

/// `NAME=HOST …`; `None` when the text has another form.
fn parts(fingerprint: &str) -> Option<BTreeMap<&str, &str>> {
    let parts = fingerprint.split(' ').filter(|part| !part.is_empty());
    let parts: Option<BTreeMap<_, _>> = parts.map(|part| part.split_once('=')).collect();
    parts.filter(|parts| !parts.is_empty())
}

fn hosts_of(wanted: &BTreeMap<&str, &str>) -> String {
    wanted.values().copied().collect::<Vec<_>>().join(" ")
}

fn other(shown: &str, bound: &str, wanted: &str) -> StoreError {
    StoreError::Unfit {
        message: format!("{shown} was made for the CA at `{bound}`, not for `{wanted}`"),
        hint: "give each CA environment its own store".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn bound(facts: &[(&str, &str)]) -> Bound {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        Bound::of(facts.iter().map(own).collect())
    }

    fn binds(facts: &[(&str, &str)], fingerprint: &str) -> Option<usize> {
        bound(facts)
            .binding(fingerprint, "s.db")
            .ok()
            .map(|facts| facts.len())
    }

    #[test]
    fn a_ca_may_come_and_go_and_never_be_another_one_of_the_same_name() {
        let one = [("endpoint/a", "a.example")];
        let two = [("endpoint/a", "a.example"), ("endpoint/b", "b.example")];
        for (facts, fingerprint, new) in [
            (&[][..], "a=a.example", Some(2)),
            (&one, "a=a.example", Some(0)),
            (&one, "a=a.example b=b.example", Some(1)),
            (&two, "b=b.example", Some(0)),
            (&two, "b=b.example c=c.example", Some(1)),
            (&one, "a=pre.a.example", None),
            (&two, "a=a.example b=pre.b.example", None),
            // A rehearsal that calls its CA otherwise.
            (&one, "sandbox=127.0.0.1:8443", None),
        ] {
            assert_eq!(binds(facts, fingerprint), new, "{facts:?} {fingerprint}");
        }
    }

    #[test]
    fn a_ca_that_got_another_name_is_told_by_both_names() {
        let one = [("endpoint/a", "a.example")];
        let refused = bound(&one).binding("b=a.example", "s.db").unwrap_err();
        let StoreError::Unfit { message, hint } = refused else {
            panic!("{refused:?}");
        };
        let words =
            "s.db knows the CA at `a.example` as [ca.a], and the configuration calls it [ca.b]";
        assert_eq!(message, words);
        assert!(hint.starts_with("call it [ca.a] again"), "{hint}");
    }

    #[test]
    fn what_an_older_program_has_bound_is_taken_over_unless_a_host_was_replaced() {
        let old = [("endpoint", "a.example b.example")];
        for (fingerprint, new) in [
            ("a=a.example b=b.example", Some(2)),
            ("x=a.example y=b.example z=c.example", Some(3)),
            ("a=a.example", Some(1)),
            ("a=a.example c=c.example", None),
            ("a=pre.example b=b.example", None),
            ("sandbox=127.0.0.1:8443", None),
        ] {
            assert_eq!(binds(&old, fingerprint), new, "{fingerprint}");
        }
    }

    #[test]
    fn a_text_of_another_form_is_the_identity_of_all() {
        assert_eq!(binds(&[], "https://prod"), Some(1));
        assert_eq!(
            binds(&[("endpoint", "https://prod")], "https://prod"),
            Some(0)
        );
        assert_eq!(binds(&[("endpoint", "https://prod")], "https://pre"), None);
    }
}
