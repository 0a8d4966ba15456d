//! The five calls that are made: what each sends, how often it is repeated, and the pace that one
//! set of credentials keeps.

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Duration;

use aws_sdk_route53::Client;
use aws_sdk_route53::config::http::HttpResponse;
use aws_sdk_route53::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_route53::types::{
    Change, ChangeBatch, ChangeStatus, HostedZone, ResourceRecordSet, RrType,
};
use futures::TryFutureExt;
use prevalidate_kit::pace::{Pace, Paced, fingerprint};
use prevalidate_kit::table::Rate;
use tokio::sync::OnceCell;

use super::access::Access;
use super::refusal::{CHANGE, Call, Failure};
use crate::provider::ProviderError;

/// The most that one page of records may have (API reference, ListResourceRecordSets).
pub(super) const RECORDS_PAGE: u64 = 300;
/// The most that one page of zones may have (ListHostedZones).
const ZONES_PAGE: i32 = 100;

/// How often a call is made that Route 53 has no room for now. With [`PAUSE`] it takes up to a
/// minute to give up.
const TRIES_WHEN_THROTTLED: u32 = 8;
/// How often a call that changes nothing is made when no answer comes.
const TRIES_OF_A_READ: u32 = 3;
/// Before the second try; doubled for each further one up to [`LONGEST_PAUSE`], and cut at random.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(16);

/// Where a page of records begins.
#[derive(Debug, Clone, Default)]
pub(super) struct Start {
    pub(super) name: Option<String>,
    kind: Option<RrType>,
    identifier: Option<String>,
}

impl Start {
    pub(super) fn at(name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..Self::default()
        }
    }
}

/// Records in Route 53's order: by the labels from the right, then by type.
pub(super) struct Page {
    pub(super) sets: Vec<ResourceRecordSet>,
    pub(super) next: Option<Start>,
}

/// A zone with the name servers of its delegation set.
pub(super) struct Hosted {
    pub(super) zone: HostedZone,
    pub(super) name_servers: Vec<String>,
}

/// The connection.
pub(super) struct Api {
    access: Access,
    timeout: Duration,
    pace: Paced,
    client: OnceCell<Client>,
}

impl Api {
    pub(super) fn new(access: Access, timeout: Duration, rate: Rate, pace: Option<Pace>) -> Self {
        let key = access
            .keys
            .as_ref()
            .map(|keys| fingerprint(std::slice::from_ref(&keys.id)));
        let here = format!(
            "{key:?} {:?} {:?} {:?}",
            access.profile, access.role_arn, access.endpoint
        );
        let whose = format!("route53 {} {:?}", access.described(), access.endpoint);
        let pace = Paced::new(pace, whose, here, rate, burst(rate));
        Self {
            access,
            timeout,
            pace,
            client: OnceCell::new(),
        }
    }

    /// The endpoint, for errors.
    pub(super) fn place(&self) -> String {
        self.access.endpoint.as_ref().map_or_else(
            || "Route 53".to_owned(),
            |endpoint| format!("Route 53 ({endpoint})"),
        )
    }

    /// The credentials, for errors.
    pub(super) fn who(&self) -> String {
        self.access.described()
    }

    /// All zones that the credentials see.
    pub(super) async fn zones(&self) -> Result<Vec<HostedZone>, ProviderError> {
        let call = Call::new("route53:ListHostedZones", "listing the hosted zones");
        let client = self.client().await;
        let mut zones = Vec::new();
        let mut marker: Option<String> = None;
        loop {
            let list = client
                .list_hosted_zones()
                .max_items(ZONES_PAGE)
                .set_marker(marker);
            let page = self.read(&call, || list.clone().send()).await?;
            zones.extend(page.hosted_zones);
            marker = page.next_marker.filter(|_| page.is_truncated);
            if marker.is_none() {
                return Ok(zones);
            }
        }
    }

    /// One zone by its id.
    pub(super) async fn zone(&self, id: &str) -> Result<Hosted, ProviderError> {
        let call = Call::new(
            "route53:GetHostedZone",
            format!("reading the hosted zone {id}"),
        );
        let ask = self.client().await.get_hosted_zone().id(id);
        let answer = self.read(&call, || ask.clone().send()).await?;
        let zone = answer.hosted_zone.ok_or_else(|| {
            self.failed(&call, &Failure::Lost("an answer without the zone".into()))
        })?;
        let name_servers = answer
            .delegation_set
            .map(|set| set.name_servers)
            .unwrap_or_default();
        let name_servers = name_servers
            .iter()
            .map(|name| name.trim_end_matches('.').to_ascii_lowercase())
            .collect();
        Ok(Hosted { zone, name_servers })
    }

    /// One page of a zone's records, as they are now (API reference: "the most current version",
    /// `PENDING` ones included).
    pub(super) async fn records(
        &self,
        id: &str,
        apex: &str,
        start: &Start,
    ) -> Result<Page, ProviderError> {
        let call = Call::new(
            "route53:ListResourceRecordSets",
            format!("reading the records of zone {apex} ({id})"),
        );
        let list = self
            .client()
            .await
            .list_resource_record_sets()
            .hosted_zone_id(id)
            .max_items(RECORDS_PAGE as i32);
        let list = list
            .set_start_record_name(start.name.clone())
            .set_start_record_type(start.kind.clone())
            .set_start_record_identifier(start.identifier.clone());
        let page = self.read(&call, || list.clone().send()).await?;
        let next = page
            .next_record_name
            .filter(|_| page.is_truncated)
            .map(|name| Start {
                name: Some(name),
                kind: page.next_record_type,
                identifier: page.next_record_identifier,
            });
        Ok(Page {
            sets: page.resource_record_sets,
            next,
        })
    }

    /// Whether all name servers have a change; `None` where Route 53 does not know the change.
    pub(super) async fn in_sync(&self, change_id: &str) -> Result<Option<bool>, ProviderError> {
        let call = Call::new(
            "route53:GetChange",
            format!("asking for the state of change {change_id}"),
        );
        let ask = self.client().await.get_change().id(change_id);
        match self
            .repeat(&call, TRIES_OF_A_READ, || {
                ask.clone().send().map_err(Failure::from)
            })
            .await
        {
            Ok(answer) => Ok(answer
                .change_info
                .map(|change| change.status == ChangeStatus::Insync)),
            Err(failure) if failure.is("NoSuchChange") || failure.is("InvalidInput") => Ok(None),
            Err(failure) => Err(self.failed(&call, &failure)),
        }
    }

    /// Makes all changes or none; the change's id. Never repeated when the answer was lost.
    pub(super) async fn change(&self, id: &str, changes: Vec<Change>) -> Result<String, Failure> {
        let batch = ChangeBatch::builder()
            .comment("prevalidate")
            .set_changes(Some(changes))
            .build();
        let batch = batch.map_err(|error| Failure::Unsent(error.to_string()))?;
        let call = Call::new(CHANGE, format!("changing the zone {id}"));
        let send = self
            .client()
            .await
            .change_resource_record_sets()
            .hosted_zone_id(id)
            .change_batch(batch);
        let send = || send.clone().send().map_err(Failure::from);
        let answer = self.repeat(&call, 1, send).await?;
        let id = answer
            .change_info
            .map(|change| change.id)
            .unwrap_or_default();
        Ok(id.trim_start_matches("/change/").to_owned())
    }

    pub(super) fn failed(&self, call: &Call, failure: &Failure) -> ProviderError {
        match failure {
            Failure::NoCredentials { why, passing } => self.access.without(why, *passing),
            failure => call.failed(failure, &self.who(), &self.place()),
        }
    }

    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| self.access.connect(self.timeout))
            .await
    }

    async fn read<T, E, F>(&self, call: &Call, send: impl Fn() -> F) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let send = || send().map_err(Failure::from);
        self.repeat(call, TRIES_OF_A_READ, send)
            .await
            .map_err(|failure| self.failed(call, &failure))
    }

    /// Makes the call in its turn, again while Route 53 has no room for it, and `tries` times when
    /// no answer comes.
    async fn repeat<T, F>(
        &self,
        call: &Call,
        tries: u32,
        send: impl Fn() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let (mut throttled, mut lost) = (0, 0);
        loop {
            self.pace
                .turn()
                .await
                .map_err(|why| Failure::Unpaced(format!("not asked: {why}")))?;
            let failure = match send().await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let doing = &call.doing;
            tracing::debug!(doing, failure = failure.said(), "Route 53 call failed");
            let count = match &failure {
                failure if failure.is_throttling() => {
                    throttled += 1;
                    if throttled >= TRIES_WHEN_THROTTLED {
                        None
                    } else {
                        Some(throttled)
                    }
                }
                Failure::Lost(_) => {
                    lost += 1;
                    if lost >= tries { None } else { Some(lost) }
                }
                _ => None,
            };
            let Some(count) = count else {
                return Err(failure);
            };
            let pause = PAUSE
                .saturating_mul(1 << (count - 1).min(16))
                .min(LONGEST_PAUSE);
            tokio::time::sleep(pause.mul_f64(rand::random_range(0.5..=1.0))).await;
        }
    }
}

/// What a second gives may go at once.
fn burst((count, per): Rate) -> NonZeroU32 {
    let a_second = count.get() / u32::try_from(per.as_secs()).unwrap_or(u32::MAX).max(1);
    NonZeroU32::new(a_second).unwrap_or(NonZeroU32::MIN)
}
