//! Which provider writes a domain that names none: the one whose zone is the live one.
//!
//! [`choose`] decides (pure); the rest asks. With one provider in the configuration there is
//! nothing to choose, and none is asked: it says itself when it does not have the zone. The ledger
//! keeps the provider that wrote a value, and this provider removes it.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::join_all;
use prevalidate_providers::{ErrorKind, Provider, ProviderError, Zone};

use super::Ports;
use crate::prevalidation::{DomainName, RecordName};
use crate::propagation::{DnsChecker, LiveZone};

/// A provider that says it has a zone for the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The `[provider.NAME]`.
    pub provider: String,
    /// The zone, with its name servers where the provider states them.
    pub zone: Zone,
}

/// The one candidate whose zone is the live one. A zone above a delegation is not, nor is one with
/// other name servers.
///
/// One that does not state its name servers counts where no other fits, and where it is not known
/// what is live the longest zone counts: both only when every provider gave an answer. `unanswered`
/// are the providers that gave no answer, in words.
///
/// # Errors
/// Several or none, with all candidates: [`ErrorKind::Settings`] for several; for none
/// [`ErrorKind::NoZone`]. [`ErrorKind::Unavailable`] where it depends on a provider that gave no
/// answer.
pub fn choose(
    shown: &str,
    live: Option<&LiveZone>,
    candidates: &[Candidate],
    unanswered: &[String],
) -> Result<String, ProviderError> {
    let (proven, fitting) = fitting(live, candidates);
    match fitting.as_slice() {
        // Without proof, a provider that gave no answer may have the zone.
        [only] if proven || unanswered.is_empty() => return Ok(only.provider.clone()),
        _ => {}
    }
    let listed: Vec<String> = candidates.iter().map(described).collect();
    let listed = if listed.is_empty() {
        "no provider has a zone for it".to_owned()
    } else {
        listed.join("; ")
    };
    let zone = live.map(|live| live.apex.clone());
    let live = match live {
        Some(live) => format!(
            "; live is the zone {} with {}",
            live.apex,
            live.name_servers
                .iter()
                .cloned()
                .collect::<Vec<_>>()
                .join(", ")
        ),
        None => String::new(),
    };
    let silent = if unanswered.is_empty() {
        String::new()
    } else {
        format!("; no answer: {}", unanswered.join("; "))
    };
    let (kind, word) = match (fitting.as_slice(), unanswered.is_empty()) {
        ([], true) => (ErrorKind::NoZone, "no provider writes its live zone"),
        ([], false) => (
            ErrorKind::Unavailable,
            "no provider that answers writes its live zone",
        ),
        ([_], _) => (
            ErrorKind::Unavailable,
            "who writes its live zone is not known before all providers answer",
        ),
        (_, _) => (ErrorKind::Settings, "several providers could write it"),
    };
    let text = format!("{shown}: {word}: {listed}{live}{silent}");
    let named = "name the one with `provider = \"…\"` at the domain, or repair the delegation; `prevalidate providers` lists them";
    // An alias may lead into a zone that its provider does not find by itself.
    let hint = match zone.filter(|_| fitting.is_empty()) {
        Some(zone) => format!(
            "if a provider writes {zone}, list it there: `zones = [\"{zone}\"]` in its [provider.NAME]; else {named}"
        ),
        None => named.to_owned(),
    };
    Err(ProviderError::new(kind, text).with_hint(hint))
}

/// The candidates that may be the one, and whether the live zone proves it.
fn fitting<'a>(live: Option<&LiveZone>, candidates: &'a [Candidate]) -> (bool, Vec<&'a Candidate>) {
    match live {
        Some(live) => {
            let at_apex = || {
                candidates
                    .iter()
                    .filter(|candidate| candidate.zone.apex == live.apex)
            };
            let states = |candidate: &&Candidate| !candidate.zone.name_servers.is_empty();
            let is_live = |candidate: &&Candidate| {
                states(candidate)
                    && candidate
                        .zone
                        .name_servers
                        .iter()
                        .all(|name| live.name_servers.contains(name))
            };
            let proven: Vec<_> = at_apex().filter(is_live).collect();
            match proven.is_empty() {
                false => (true, proven),
                true => (
                    false,
                    at_apex().filter(|candidate| !states(candidate)).collect(),
                ),
            }
        }
        None => {
            let length = |candidate: &Candidate| candidate.zone.apex.len();
            let longest = candidates.iter().map(length).max();
            let all = candidates.iter();
            let fitting = all.filter(|candidate| Some(length(candidate)) == longest);
            (false, fitting.collect())
        }
    }
}

fn described(Candidate { provider, zone }: &Candidate) -> String {
    let Zone {
        apex,
        id,
        name_servers,
    } = zone;
    let id = id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
    let servers = if name_servers.is_empty() {
        "unstated name servers".to_owned()
    } else {
        name_servers.join(", ")
    };
    format!("{provider} has {apex}{id} on {servers}")
}

/// The provider that writes `domain`: the one it names, else the only one, else the one with the
/// live zone.
///
/// # Errors
/// As [`choose`]; [`ErrorKind::Unavailable`] where the delegation cannot be found.
pub async fn route(
    providers: &BTreeMap<String, Arc<dyn Provider>>,
    checker: &dyn DnsChecker,
    domain: &DomainName,
    named: Option<&str>,
) -> Result<String, ProviderError> {
    let shown = domain.both_forms();
    route_record(providers, checker, &RecordName::from(domain), &shown, named).await
}

/// The same for the owner of a record.
///
/// # Errors
/// As [`route`].
pub async fn route_record(
    providers: &BTreeMap<String, Arc<dyn Provider>>,
    checker: &dyn DnsChecker,
    owner: &RecordName,
    shown: &str,
    named: Option<&str>,
) -> Result<String, ProviderError> {
    if let Some(name) = named {
        return Ok(name.to_owned());
    }
    let mut names = providers.keys();
    match (names.next(), names.next()) {
        (Some(only), None) => return Ok(only.clone()),
        (None, _) => {
            return Err(ProviderError::new(
                ErrorKind::Settings,
                "no provider is configured",
            ));
        }
        _ => {}
    }
    let asked = providers
        .iter()
        .map(async |(name, provider)| (name, provider.find_zone(owner.as_str()).await));
    let (mut candidates, mut unanswered) = (Vec::new(), Vec::new());
    for (name, found) in join_all(asked).await {
        match found {
            Ok(zone) => candidates.push(Candidate {
                provider: name.clone(),
                zone,
            }),
            Err(error) if error.kind == ErrorKind::NoZone => {}
            Err(error) => unanswered.push(format!("{name}: {error}")),
        }
    }
    let live = if candidates.is_empty() {
        None
    } else {
        checker.live_zone(owner).await.map_err(|error| {
            let text = format!("which provider writes {shown} is not known: {error}");
            ProviderError::new(ErrorKind::Unavailable, text)
                .with_hint("name it with `provider = \"…\"` at the domain")
        })?
    };
    choose(shown, live.as_ref(), &candidates, &unanswered)
}

impl Ports {
    /// [`route`] among these.
    ///
    /// # Errors
    /// As [`route`].
    pub async fn route(
        &self,
        domain: &DomainName,
        named: Option<&str>,
    ) -> Result<String, ProviderError> {
        route(&self.providers, &*self.checker, domain, named).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn candidate(provider: &str, apex: &str, servers: &[&str]) -> Candidate {
        let name_servers = servers.iter().map(|&name| name.to_owned()).collect();
        Candidate {
            provider: provider.into(),
            zone: Zone {
                name_servers,
                ..Zone::of(apex)
            },
        }
    }

    fn chosen(
        live: Option<(&str, &[&str])>,
        candidates: &[Candidate],
    ) -> Result<String, (ErrorKind, String)> {
        let live = live.map(|(apex, names)| LiveZone {
            apex: apex.into(),
            name_servers: names.iter().map(|&name| name.to_owned()).collect(),
        });
        choose("www.sub.example.ch", live.as_ref(), candidates, &[])
            .map_err(|error| (error.kind, error.message))
    }

    #[test]
    fn the_zone_that_is_live_wins_over_stale_ones_parents_and_those_that_do_not_say() {
        let live: Option<(&str, &[&str])> = Some(("sub.example.ch", &["ns1", "ns2", "ns3"]));
        let good = candidate("good", "sub.example.ch", &["ns1", "ns2"]);
        let parent = candidate("parent", "example.ch", &["ns1", "ns2"]);
        let stale = candidate("stale", "sub.example.ch", &["ns1", "ns9"]);
        let mute = candidate("mute", "sub.example.ch", &[]);
        assert_eq!(
            chosen(
                live,
                &[parent.clone(), stale.clone(), mute.clone(), good.clone()]
            )
            .unwrap(),
            "good"
        );
        assert_eq!(
            chosen(live, &[parent.clone(), stale.clone(), mute.clone()]).unwrap(),
            "mute"
        );
        let (kind, said) = chosen(live, &[parent.clone(), stale.clone()]).unwrap_err();
        assert_eq!(kind, ErrorKind::NoZone);
        for words in [
            "parent has example.ch on ns1, ns2",
            "stale has sub.example.ch on ns1, ns9",
            "live is the zone sub",
        ] {
            assert!(said.contains(words), "{said}");
        }
        let twin = candidate("twin", "sub.example.ch", &["ns3"]);
        assert_eq!(
            chosen(live, &[good.clone(), twin]).unwrap_err().0,
            ErrorKind::Settings
        );
        assert_eq!(chosen(live, &[]).unwrap_err().0, ErrorKind::NoZone);
        // It is not known what is live.
        assert_eq!(
            chosen(None, &[parent.clone(), good.clone()]).unwrap(),
            "good"
        );
        assert_eq!(
            chosen(None, &[stale, good]).unwrap_err().0,
            ErrorKind::Settings
        );
    }

    #[test]
    fn while_a_provider_gives_no_answer_nothing_is_decided_for_good() {
        let error = choose(
            "www.example.ch",
            None,
            &[],
            &["edge: no connection".to_owned()],
        )
        .unwrap_err();
        assert!(
            error.is_retryable() && error.message.contains("edge: no connection"),
            "{error}"
        );
        // One that cannot say whether its zone is the live one must not win because another is away
        // for a moment.
        let live = LiveZone {
            apex: "example.ch".into(),
            name_servers: ["ns1".to_owned()].into(),
        };
        let (mute, good) = (
            candidate("mute", "example.ch", &[]),
            candidate("good", "example.ch", &["ns1"]),
        );
        let silent = ["edge: no connection".to_owned()];
        for live in [Some(&live), None] {
            let error =
                choose("www.example.ch", live, std::slice::from_ref(&mute), &silent).unwrap_err();
            assert!(
                error.is_retryable() && error.message.contains("edge: no connection"),
                "{live:?}: {error}"
            );
        }
        assert_eq!(
            choose("www.example.ch", Some(&live), &[mute, good], &silent).unwrap(),
            "good",
            "proven is proven"
        );
    }
}
