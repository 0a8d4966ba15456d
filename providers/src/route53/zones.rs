//! Which zone holds a name. The list of zones is asked for once and kept for some minutes, never
//! per domain.
//!
//! Private zones do not count: a public CA cannot see them. Of several public zones of one name
//! only the one counts that the parent delegates to; where it is not known which one that is, all
//! are listed and none is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_sdk_route53::types::HostedZone;
use tokio::sync::Mutex;

use super::Route53;
use super::text::read_name;
use crate::provider::{ErrorKind, ProviderError};
use crate::record::{Zone, is_within};

/// How long the list of zones is believed.
const KEPT: Duration = Duration::from_secs(300);
/// How old it may be when a name is in none of them: the zone may have been made meanwhile.
const KEPT_FOR_A_MISS: Duration = Duration::from_secs(30);

/// A public zone as the list of zones has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: String,
    pub(super) apex: String,
    /// RRsets in it, where AWS said so.
    pub(super) records: u64,
    /// Of the delegation set; empty until they were asked for.
    pub(super) name_servers: Vec<String>,
    is_private: bool,
}

impl Known {
    fn of(zone: &HostedZone, name_servers: Vec<String>) -> Self {
        Self {
            id: zone.id.trim_start_matches("/hostedzone/").to_owned(),
            apex: read_name(&zone.name),
            records: zone
                .resource_record_set_count
                .and_then(|count| count.try_into().ok())
                .unwrap_or_default(),
            name_servers,
            is_private: zone
                .config
                .as_ref()
                .is_some_and(|config| config.private_zone),
        }
    }

    /// The zone as messages name it.
    pub(super) fn shown(&self) -> String {
        format!("the zone {} ({})", self.apex, self.id)
    }

    pub(super) fn zone(&self) -> Zone {
        Zone {
            apex: self.apex.clone(),
            id: Some(self.id.clone()),
            name_servers: self.name_servers.clone(),
        }
    }
}

/// The state between calls.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<Option<(Instant, Arc<Vec<Known>>)>>);

impl Remembered {
    /// After a zone turned out to be gone.
    pub(super) async fn forget(&self) {
        *self.0.lock().await = None;
    }

    async fn note(&self, zone: &Known) {
        if let Some((_, zones)) = self.0.lock().await.as_mut() {
            let zones = Arc::make_mut(zones);
            zones
                .iter_mut()
                .filter(|known| known.id == zone.id)
                .for_each(|known| known.clone_from(zone));
        }
    }
}

impl Route53 {
    /// The zone that holds `owner`, as far as it was asked about.
    pub(super) async fn zone_of(&self, owner: &str) -> Result<Known, ProviderError> {
        let mut zones = self.zones(KEPT).await?;
        let mut holders = holders(&zones, owner);
        if holders.is_empty() && self.settings.zone_id.is_none() {
            zones = self.zones(KEPT_FOR_A_MISS).await?;
            holders = self::holders(&zones, owner);
        }
        match holders.as_slice() {
            [] => Err(self.in_no_zone(owner, &zones)),
            [zone] => Ok((*zone).clone()),
            several => self.live_one(owner, several).await,
        }
    }

    /// The same with the name servers of its delegation set.
    pub(super) async fn zone_with_servers(&self, owner: &str) -> Result<Known, ProviderError> {
        let zone = self.zone_of(owner).await?;
        if zone.name_servers.is_empty() {
            self.ask(&zone.id).await
        } else {
            Ok(zone)
        }
    }

    async fn zones(&self, kept: Duration) -> Result<Arc<Vec<Known>>, ProviderError> {
        let mut remembered = self.remembered.0.lock().await;
        if let Some((at, zones)) = remembered.as_ref()
            && at.elapsed() < kept
        {
            return Ok(Arc::clone(zones));
        }
        let zones = match &self.settings.zone_id {
            Some(id) => {
                let found = self.api.zone(id).await?;
                let zone = Known::of(&found.zone, found.name_servers);
                if zone.is_private {
                    let text = format!(
                        "the zone {} ({id}) is private: no CA can see what is in it",
                        zone.apex
                    );
                    let hint = "set `zone_id` to the public zone of that name, or leave it out";
                    return Err(ProviderError::new(ErrorKind::Settings, text).with_hint(hint));
                }
                vec![zone]
            }
            None => self
                .api
                .zones()
                .await?
                .iter()
                .map(|zone| Known::of(zone, Vec::new()))
                .collect(),
        };
        let zones = Arc::new(zones);
        *remembered = Some((Instant::now(), Arc::clone(&zones)));
        Ok(zones)
    }

    async fn ask(&self, id: &str) -> Result<Known, ProviderError> {
        let found = self.api.zone(id).await?;
        let zone = Known::of(&found.zone, found.name_servers);
        self.remembered.note(&zone).await;
        Ok(zone)
    }

    /// Of several public zones of one name, the one that the world asks. Two zones of one name have
    /// no name server in common (API reference, CreateHostedZone), so one name server that matches
    /// is enough.
    async fn live_one(&self, owner: &str, several: &[&Known]) -> Result<Known, ProviderError> {
        let mut asked = Vec::with_capacity(several.len());
        for zone in several {
            asked.push(if zone.name_servers.is_empty() {
                self.ask(&zone.id).await?
            } else {
                (*zone).clone()
            });
        }
        let apex = asked
            .first()
            .map(|zone| zone.apex.clone())
            .unwrap_or_default();
        let why = match &self.live {
            None => "nothing here can ask for its delegation".to_owned(),
            Some(live) => match live(apex.clone()).await {
                Err(why) => format!("its delegation cannot be found out: {why}"),
                Ok(servers) => {
                    let is_live = |zone: &&Known| {
                        zone.name_servers
                            .iter()
                            .any(|server| servers.contains(server))
                    };
                    let found: Vec<_> = asked.iter().filter(is_live).collect();
                    if let [zone] = found[..] {
                        return Ok(zone.clone());
                    }
                    format!("it is delegated to {}", servers.join(", "))
                }
            },
        };
        let zones: Vec<_> = asked
            .iter()
            .map(|zone| format!("{} with {}", zone.id, zone.name_servers.join(", ")))
            .collect();
        let text = format!(
            "{} sees {} public zones of the name {apex}, which holds {owner}, and which of them is live is not known ({why}): {}",
            self.api.who(),
            zones.len(),
            zones.join("; ")
        );
        let hint = format!(
            "set `zone_id` to the one whose name servers {apex} is delegated to, and delete the other"
        );
        Err(ProviderError::new(ErrorKind::NoZone, text).with_hint(hint))
    }

    fn in_no_zone(&self, owner: &str, zones: &[Known]) -> ProviderError {
        let public: Vec<_> = zones
            .iter()
            .filter(|zone| !zone.is_private)
            .map(|zone| zone.apex.as_str())
            .collect();
        let private = zones
            .iter()
            .find(|zone| zone.is_private && is_within(owner, &zone.apex));
        let seen = match (public.len(), &public[..public.len().min(5)]) {
            (0, _) => "no public zone at all".to_owned(),
            (1..=5, some) => some.join(", "),
            (more, some) => format!("{} and {} more", some.join(", "), more - 5),
        };
        let private =
            private.map(|zone| format!("; the zone {} is private and does not count", zone.apex));
        let text = format!(
            "{owner} is in no zone at {}: {} sees {seen}{}",
            self.api.place(),
            self.api.who(),
            private.unwrap_or_default()
        );
        ProviderError::new(ErrorKind::NoZone, text).with_hint(
            "check that these credentials belong to the account with the zone (`profile`, `access_key`, `role_arn`) and that \
             `zone_id`, if set, is right; or route the domain to the provider that has its zone",
        )
    }
}

/// The public zones with the longest apex that holds `owner`: several where the account has several
/// of one name.
fn holders<'a>(zones: &'a [Known], owner: &str) -> Vec<&'a Known> {
    let holding = || {
        zones
            .iter()
            .filter(|zone| !zone.is_private && is_within(owner, &zone.apex))
    };
    let longest = holding().map(|zone| zone.apex.len()).max();
    holding()
        .filter(|zone| Some(zone.apex.len()) == longest)
        .collect()
}
