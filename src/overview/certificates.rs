//! The state of every certificate: for tables, JSON, the page, metrics and notices. It asks no CA.

mod asked;
mod kept;
mod revoking;
mod stake;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use self::stake::{at_stake, hanging_on};
use crate::issuance::planner::holds;
use crate::issuance::progress::Installed;
use crate::issuance::{BY_HAND, Decision, Lead, Live, OrderState, Progress, Step};
use crate::store::StoreError;
use crate::store::orders::CertificateRow;
use crate::worker::issue::{Certificate, Issuer, Keeper, way_out};

/// This long after its end one that nothing renews is reported.
const TOLD_AFTER_ITS_END: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The state of a certificate, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateState {
    /// It is installed and counts.
    Valid,
    /// It counts, and the next one is under way.
    Renewing,
    /// The first one is under way.
    Ordering,
    /// There is none, and nothing is under way.
    Missing,
    /// It counts no more.
    Expired,
    /// The CA revoked it.
    Revoked,
    /// The configuration does not want it any more.
    Unmanaged,
}

impl CertificateState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Valid,
        Self::Renewing,
        Self::Ordering,
        Self::Missing,
        Self::Expired,
        Self::Revoked,
        Self::Unmanaged,
    ];

    /// The word in tables and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Renewing => "renewing",
            Self::Ordering => "ordering",
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Unmanaged => "unmanaged",
        }
    }
}

/// One certificate.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateView {
    /// Its name.
    pub name: String,
    /// The `[ca.NAME]`.
    pub ca: String,
    /// The client there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The product.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// Its names: those that are wanted, or those of what is installed.
    pub names: Vec<String>,
    /// Its state.
    pub state: CertificateState,
    /// Whether a person must act.
    pub held: bool,
    /// Whether something failed that is tried again.
    pub failing: bool,
    /// Why, in words.
    pub reason: String,
    /// What to do, where a person must act.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The next step.
    pub next: &'static str,
    /// When.
    pub due_at: Option<Timestamp>,
    /// From when the installed certificate counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// Until when the installed certificate counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Timestamp>,
    /// When it is renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_at: Option<Timestamp>,
    /// Its serial number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// Its issuer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The version of its files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// The CA's key for the order under way, or else for that of what is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// How far the order under way is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_state: Option<String>,
    /// When the order under way was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered_at: Option<Timestamp>,
    /// When the CA said that it is revoked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
    /// The output of the deploy program at its last failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy_error: Option<String>,
    /// Why a record of an order that has come to its end is still in DNS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record_left: Option<String>,
    /// Whether its files are kept by another machine.
    pub elsewhere: bool,
    /// Whether its files are not as they were installed, so that servers cannot use them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub damaged: bool,
    /// Whether owner, group or mode of its files are not those of the settings: other users may
    /// read its key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub loose: bool,
    /// Whether half of the time that a renewal has is over, and there is no new certificate.
    #[serde(skip)]
    pub late: bool,
    /// Whether the deploy program of what is installed has not run to its end: servers may present
    /// the certificate before.
    #[serde(skip)]
    pub undeployed: bool,
    /// Whether a person has asked for its revocation, and the CA has not confirmed it for minutes.
    #[serde(skip)]
    pub revoking: bool,
    /// Whether it was ordered by hand and its last third has begun: nothing renews it.
    #[serde(skip)]
    pub ends_for_good: bool,
    /// Whether the configuration does not name it any more while its order is open, or records of it
    /// are in DNS.
    #[serde(skip)]
    pub left_behind: bool,
    /// What cannot be done with it on this machine, which nothing tells so far: words after its name.
    #[serde(skip)]
    pub doubt: Option<&'static str>,
}

/// The states of all certificates, by name: those of the store, and those that the configuration
/// wants and the store does not have yet. No CA is asked.
///
/// # Errors
/// An error of the store.
pub async fn read(issuer: &Issuer, now: Timestamp) -> Result<Vec<CertificateView>, StoreError> {
    let mut rows = issuer.rows().await?;
    let named = issuer.certificates();
    let named = named.map(|one| (one.wanted.name.clone(), one.ca.clone()));
    let faults = issuer.faults();
    let faulty = faults.keys().map(|name| (name.clone(), String::new()));
    for (name, ca) in named.chain(faulty) {
        if !rows.iter().any(|row| row.name == name) {
            rows.push(CertificateRow {
                name,
                ca,
                wanted: true,
                home: None,
                due_at: Some(now),
                progress: Default::default(),
            });
        }
    }
    let strays = issuer.strays(&rows, now).await?;
    let is_stray: BTreeSet<_> = strays.iter().map(|row| row.name.clone()).collect();
    rows.retain(|row| !is_stray.contains(&row.name));
    rows.extend(strays);
    rows.sort_by(|a, b| a.name.cmp(&b.name));
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        let live = issuer.live(&row, now).await?;
        let keeper = issuer.keeper(&row, now).await?;
        let decision = issuer.decide_by(&row, &live, false, now).await?;
        let wanted = issuer.certificate(&row.name);
        let view = CertificateView::new(&row, wanted, &decision, &live, now);
        let view = view.still_revoking(&row.progress, now).kept_by(&keeper);
        let view = match keeper {
            Keeper::Other(_) => view.beside_its_own(issuer.unknown_here(&row, now).await?),
            _ => view
                .without_its_key(issuer.lost_key(&row))
                .without_its_password(issuer.lost_password(&row.name)),
        };
        let view = match is_stray.contains(&row.name) {
            true => view.astray(&row, issuer.directory()),
            false => view,
        };
        views.push(match faults.get(&row.name) {
            Some(why) => view.held_for(why, now),
            None => view,
        });
    }
    Ok(views)
}

fn state(
    wanted: Option<&Certificate>,
    row: &CertificateRow,
    is_gone: bool,
    now: Timestamp,
) -> CertificateState {
    let installed = row.progress.installed.as_ref();
    let order = row.progress.order.as_ref();
    let counts = installed.is_some_and(|one| one.not_after > now && one.revoked_at.is_none());
    match (wanted, installed) {
        (None, _) => CertificateState::Unmanaged,
        (Some(_), Some(_)) if counts && is_gone => CertificateState::Missing,
        // What servers read is for other names: it is no certificate for these.
        (Some(wanted), Some(one)) if counts && wanted.is_not_for(&one.names) => match order {
            Some(_) => CertificateState::Ordering,
            None => CertificateState::Missing,
        },
        (Some(_), Some(_)) if counts && order.is_some() => CertificateState::Renewing,
        (Some(_), Some(_)) if counts => CertificateState::Valid,
        (Some(_), Some(one)) if one.revoked_at.is_some() => CertificateState::Revoked,
        (Some(_), Some(_)) => CertificateState::Expired,
        (Some(_), None) if order.is_some() => CertificateState::Ordering,
        (Some(_), None) => CertificateState::Missing,
    }
}

/// What is wrong where the certificate is installed, and what went wrong beside it.
fn at_fault(fault: &str, decision: &Decision, progress: &Progress) -> String {
    let trouble = progress.trouble.as_ref().map(|why| format!("; {why}"));
    let why = match decision.why.starts_with(fault) {
        true => &decision.why,
        false => fault,
    };
    format!("{why}{}", trouble.unwrap_or_default())
}

/// Why a certificate is as it is, where nothing holds it.
fn why(
    row: &CertificateRow,
    wanted: Option<&Certificate>,
    decision: &Decision,
    live: &Live,
) -> String {
    let progress = &row.progress;
    let deployment = progress.deployment.as_ref();
    let deploy_error = deployment.and_then(|one| one.trouble.as_ref());
    if let Some(why) = deploy_error {
        format!("the deploy program failed: {why}")
    } else if let Some(why) = &progress.trouble {
        why.clone()
    } else if let Some(why) = &progress.leftovers_trouble {
        format!("a record of an order is still in DNS: {why}")
    } else if let Some(why) = live.loose() {
        why.to_owned()
    } else if wanted.is_none() && is_by_hand(row) && progress.order.is_none() {
        "it was ordered by hand, and nothing renews it".to_owned()
    } else {
        decision.why.clone()
    }
}

impl CertificateView {
    /// The state of a certificate, by its row, the configuration and what the planner says.
    pub fn new(
        row: &CertificateRow,
        wanted: Option<&Certificate>,
        decision: &Decision,
        live: &Live,
        now: Timestamp,
    ) -> Self {
        let progress = &row.progress;
        let installed = progress.installed.as_ref();
        let order = progress.order.as_ref();
        let hold = wanted.and_then(|one| holds(&one.wanted, progress));
        let is_foreign = matches!(live, Live::Foreign { .. });
        // Nothing else has a person wait without a hold.
        let is_gone = decision.step == Step::Held && hold.is_none() && !is_foreign;
        // Whatever is under way: servers have nothing until it is installed.
        let is_gone = is_gone || matches!(live, Live::Nothing | Live::Gone { .. });
        let state = state(wanted, row, is_gone, now);
        let refused = progress.refused_revocation(now).filter(|_| hold.is_none());
        let deploy_error = progress
            .deployment
            .as_ref()
            .and_then(|one| one.trouble.clone());
        let failing = progress.trouble.is_some() || deploy_error.is_some();
        let record_left = progress.leftovers_trouble.clone();
        let reason = match (live.fault(), hold, refused) {
            (Some(fault), ..) => at_fault(fault, decision, progress),
            (None, Some(hold), _) => hold.words.clone(),
            (None, None, Some(refused)) => {
                format!("the CA refuses its revocation: {}", refused.words)
            }
            (None, None, None) => why(row, wanted, decision, live),
        };
        let hint = match (hold, refused) {
            _ if is_foreign => {
                installed.map(|one| way_out(&row.name, one.version, !one.reference.is_empty()))
            }
            (Some(hold), _) => hold.hint.clone(),
            (None, refused) => refused.and_then(|refused| refused.hint.clone()),
        };
        let held = decision.step == Step::Held || hold.is_some() || refused.is_some() || is_foreign;
        let renew_at = installed
            .zip(wanted)
            .filter(|(one, _)| one.revoked_at.is_none() && !is_by_hand(row))
            .map(|(one, wanted)| {
                let lead = wanted.wanted.renew_before;
                lead.renew_at(one.not_before, one.not_after)
            });
        let late = renew_at
            .zip(installed)
            .is_some_and(|(renew_at, one)| is_late(renew_at, one.not_after, now));
        Self {
            name: row.name.clone(),
            ca: row.ca.clone(),
            client: wanted
                .and_then(|one| one.client.as_ref())
                .map(|one| one.selector.to_string()),
            product: wanted.map(|one| one.product.clone()),
            names: match (wanted, installed) {
                (Some(wanted), _) => wanted.names(),
                (None, Some(installed)) => installed.names.clone(),
                (None, None) => order.map_or_else(Vec::new, |order| {
                    let email = order.email.iter().cloned();
                    order.names.iter().cloned().chain(email).collect()
                }),
            },
            state,
            held: wanted.is_some() && held,
            failing: wanted.is_some() && failing || record_left.is_some(),
            reason,
            hint,
            next: decision.step.as_str(),
            due_at: Some(decision.at).filter(|&at| at < Timestamp::MAX),
            not_before: installed.map(|one| one.not_before),
            not_after: installed.map(|one| one.not_after),
            renew_at,
            serial: installed.map(|one| one.serial.clone()),
            issuer: installed.map(|one| one.issuer.clone()),
            version: installed.map(|one| one.version),
            order: order
                .and_then(|one| one.reference.clone())
                .or_else(|| installed.map(|one| one.reference.clone()))
                .filter(|reference| !reference.is_empty()),
            order_state: order
                .and_then(|one| one.state.as_ref())
                .map(OrderState::to_string),
            ordered_at: order
                .filter(|one| !one.is_fetched_again)
                .and_then(|one| one.submitted_at),
            revoked_at: installed.and_then(|one| one.revoked_at),
            deploy_error,
            record_left,
            elsewhere: false,
            damaged: matches!(live, Live::Damaged { .. } | Live::Unbundled { .. }),
            loose: live.loose().is_some(),
            late,
            revoking: false,
            undeployed: progress.deployment.is_some(),
            ends_for_good: wanted.is_none()
                && is_by_hand(row)
                && installed.is_some_and(|one| is_ending(one, now)),
            left_behind: wanted.is_none() && is_left(progress),
            doubt: matches!(live, Live::Unreadable { .. }).then_some("cannot be read"),
        }
    }

    /// The same for a certificate of the configuration that cannot be worked on.
    fn held_for(self, why: &str, now: Timestamp) -> Self {
        let state = match self.not_after {
            _ if self.revoked_at.is_some() => CertificateState::Revoked,
            Some(end) if end > now => CertificateState::Valid,
            Some(_) => CertificateState::Expired,
            None => CertificateState::Missing,
        };
        Self {
            state,
            held: true,
            reason: why.to_owned(),
            hint: Some("repair it, and the next run continues".to_owned()),
            next: Step::Held.as_str(),
            due_at: None,
            left_behind: false,
            ends_for_good: false,
            ..self
        }
    }
}

fn is_by_hand(row: &CertificateRow) -> bool {
    row.name.starts_with(BY_HAND)
}

/// Whether a certificate that nothing renews is in its last third, or ended not long ago.
fn is_ending(one: &Installed, now: Timestamp) -> bool {
    let begin = Lead::default().renew_at(one.not_before, one.not_after);
    let end = one.not_after.saturating_add(TOLD_AFTER_ITS_END);
    let end = end.unwrap_or(Timestamp::MAX);
    one.revoked_at.is_none() && (begin..end).contains(&now)
}

/// Whether an order is open, or records of one are in DNS.
fn is_left(progress: &Progress) -> bool {
    let order = progress.order.as_ref();
    let order = order.filter(|order| order.submitted_at.is_some() && !order.is_fetched_again);
    let is_open = order.is_some_and(|order| order.state != Some(OrderState::Issued));
    is_open || !progress.leftovers.is_empty()
}

/// Whether half of the time between a renewal's moment and the end is over.
fn is_late(renew_at: Timestamp, end: Timestamp, now: Timestamp) -> bool {
    let half = end.duration_since(renew_at) / 2;
    renew_at.saturating_add(half).is_ok_and(|at| at <= now)
}

#[cfg(test)]
pub(crate) mod tests;
