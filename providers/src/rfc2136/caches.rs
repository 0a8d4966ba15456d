//! The caches of PowerDNS: what it shows may be older than what it stores.
//!
//! As packaged it keeps answers (`packet-cache-ttl`) and what it has read of its database
//! (`query-cache-ttl`) for 20 s each. A signed question gets past the first, and no question gets
//! past the second: other EDNS options, another case of the name and another type do not matter
//! (measured on 4.7). Updates are compared with the database, but no prerequisite compares a TTL. So
//! an SOA that is shown and refused is waited out for as long as it can come from a cache.

use hickory_proto::rr::rdata::SOA;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::Rfc2136;
use super::ask::Visit;
use crate::record::Zone;

/// Longer than PowerDNS keeps anything as packaged: 20 s an answer that was made from what it had
/// kept for 20 s already.
const KEPT_AT_MOST: SignedDuration = SignedDuration::from_secs(60);
/// How far a serial may be from the clock to be taken for the clock (`SOA-EDIT` with `EPOCH`).
const SERIAL_IS_CLOCK: u64 = 90;

/// An SOA that a server shows and says it has not.
#[derive(Debug)]
pub(super) struct Disowned {
    shown: String,
    since: Timestamp,
    /// For longer than it can come from a cache.
    is_lasting: bool,
}

impl Rfc2136 {
    /// Takes in that PowerDNS shows this SOA and says that it has another. True when it has done so
    /// for longer than its caches keep anything: it changes the SOA in its answers (`SOA-EDIT`).
    pub(super) fn disowns_for_long(&self, zone: &Zone, soa: &SOA) -> bool {
        let now = (self.now)();
        let mut shown = soa.clone();
        let seconds = u64::try_from(now.as_second()).unwrap_or_default();
        if seconds.abs_diff(u64::from(shown.serial)) <= SERIAL_IS_CLOCK {
            shown.serial = 0;
        }
        let shown = shown.to_string();
        let mut all = self.disowned();
        let known = all
            .entry(zone.apex.clone())
            .and_modify(|known| {
                // A moment that is to come was noted by a clock that was ahead.
                if known.shown != shown && !known.is_lasting || known.since > now {
                    known.since = now;
                }
                known.shown.clone_from(&shown);
            })
            .or_insert(Disowned {
                shown,
                since: now,
                is_lasting: false,
            });
        known.is_lasting |= now.duration_since(known.since) > KEPT_AT_MOST;
        known.is_lasting
    }

    /// The SOAs that are disowned, as text; empty without any.
    pub(super) fn remembered(&self) -> String {
        let all = self.disowned();
        if all.is_empty() {
            return String::new();
        }
        let zones = all.iter().map(|(apex, known)| {
            let Disowned {
                shown,
                since,
                is_lasting,
            } = known;
            let since = since.to_string();
            let known = json!({ "shown": shown, "since": since, "lasting": is_lasting });
            (apex.clone(), known)
        });
        let zones: Map<_, _> = zones.collect();
        json!({ "server": self.settings.server.to_string(), "disowned": zones }).to_string()
    }

    /// Takes over what another process has remembered of this server; what this one knows itself
    /// is younger.
    pub(super) fn remember(&self, memory: &str) {
        let memory = serde_json::from_str(memory).unwrap_or(Value::Null);
        if memory["server"] != self.settings.server.to_string().as_str() {
            return;
        }
        let now = (self.now)();
        let mut all = self.disowned();
        for (apex, known) in memory["disowned"].as_object().into_iter().flatten() {
            let since = known["since"].as_str().and_then(|at| at.parse().ok());
            // A moment that is to come was noted by a wrong clock.
            let since = since.filter(|&since: &Timestamp| since <= now);
            if let (Some(shown), Some(since)) = (known["shown"].as_str(), since) {
                all.entry(apex.clone()).or_insert_with(|| Disowned {
                    shown: shown.to_owned(),
                    since,
                    is_lasting: known["lasting"] == true,
                });
            }
        }
    }

    /// Takes in that the zone has the SOA that is shown.
    pub(super) fn owns_soa(&self, zone: &Zone) {
        self.disowned().remove(&zone.apex);
    }
}

impl Visit<'_> {
    pub(super) async fn is_powerdns(&self) -> bool {
        let asked = self.is_powerdns.get_or_init(async || {
            let software = self.questions().software().await;
            software.is_some_and(|software| software.contains("PowerDNS"))
        });
        *asked.await
    }
}
