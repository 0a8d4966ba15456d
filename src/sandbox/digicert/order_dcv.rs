//! What an order waits for: validated domains and a validated organisation, or for a DV product its
//! own random value in DNS.

use jiff::{SignedDuration, Timestamp};

use super::book::{TARGET, Value};
use super::dcv::sees;
use super::orders::{Order, is_dv};
use super::{Shared, State};
use crate::sandbox::check::Data;

/// The records that an order waits for.
pub(super) struct Waits {
    /// Types of the organisation: each with whether it is there.
    pub(super) organisation: Vec<(&'static str, bool)>,
    /// Where a name is validated, with whether it is.
    pub(super) domains: Vec<(String, bool)>,
}

impl Waits {
    pub(super) fn is_over(&self) -> bool {
        self.organisation.iter().all(|(_, there)| *there)
            && self.domains.iter().all(|(_, there)| *there)
    }
}

/// The base domain of a name; here it is the last two labels.
fn base_of(name: &str) -> String {
    let labels: Vec<&str> = name.split('.').collect();
    labels[labels.len().saturating_sub(2)..].join(".")
}

/// Where the names of an order are validated, each once.
fn scopes(state: &State, order: &Order) -> Vec<String> {
    let mut scopes: Vec<String> = Vec::new();
    for name in &order.newest().names {
        let name = name.strip_prefix("*.").unwrap_or(name);
        let scope = match state.behaviour.fqdn_scope && is_dv(&order.product) {
            true => name.to_owned(),
            false => base_of(name),
        };
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes
}

/// The records that an order waits for now.
pub(super) fn waits(state: &State, order: &Order, now: Timestamp) -> Waits {
    let behaviour = &state.behaviour;
    if is_dv(&order.product) {
        let all = scopes(state, order).into_iter();
        let domains = all.map(|scope| (scope.clone(), order.proven.contains(&scope)));
        return Waits {
            organisation: Vec::new(),
            domains: domains.collect(),
        };
    }
    let kind = match order.product.contains("_ev_") {
        true => "ev",
        false => "ov",
    };
    let has = behaviour.organisation_types.iter().any(|one| one == kind);
    let is_proven = |name: &str| {
        let mut domains = state.book.domains().iter();
        domains.any(|domain| {
            Some(domain.organisation) == order.organisation
                && (name == domain.name || name.ends_with(&format!(".{}", domain.name)))
                && domain.is_valid(behaviour.reuse_days, now)
        })
    };
    let names = order.newest().names.iter();
    let names = names.map(|name| name.strip_prefix("*.").unwrap_or(name));
    let mut domains: Vec<(String, bool)> = Vec::new();
    for name in names {
        let one = (base_of(name), is_proven(name));
        if !domains.contains(&one) {
            domains.push(one);
        }
    }
    Waits {
        organisation: vec![(kind, has)],
        domains,
    }
}

/// The random value of an order; one that has ended gives way to another.
pub(super) fn value(state: &mut State, id: u64, now: Timestamp) -> Option<Value> {
    let fresh = state.book.value(state.behaviour.hostile_values);
    let order = state.orders.order_mut(id)?;
    let known = order.value.take().filter(|value| value.until > now);
    let value = known.unwrap_or_else(|| Value::new(&fresh, now, true));
    order.value = Some(value.clone());
    Some(value)
}

/// What the CA has done by itself until now: it checks every minute, and issues what waits for
/// nothing.
pub(super) async fn settle(shared: &Shared, id: u64) {
    let now = shared.now();
    let is_checked = {
        let mut state = shared.state();
        let polls = state.behaviour.polls;
        let Some(order) = state.orders.order_mut(id).filter(|order| order.is_open()) else {
            return;
        };
        let is_due = order.next_check.is_some_and(|next| next <= now);
        if is_due {
            let soon = now.saturating_add(SignedDuration::from_mins(1));
            order.next_check = soon.ok();
        }
        polls && is_due
    };
    if is_checked {
        check(shared, id).await;
    }
    let mut state = shared.state();
    let Some(order) = state.orders.order(id) else {
        return;
    };
    if order.is_open() && !order.waits_for_approval && waits(&state, order, now).is_over() {
        let behaviour = state.behaviour.clone();
        state.orders.issue(id, &behaviour, now);
    }
}

/// Checks for the value of an order at every name that lacks it. No lock is held during the check.
pub(super) async fn check(shared: &Shared, id: u64) {
    let now = shared.now();
    let (missing, value, with_cname) = {
        let state = shared.state();
        let Some(order) = state.orders.order(id) else {
            return;
        };
        let value = order.value.as_ref().filter(|value| value.until > now);
        let Some(value) = value.map(|value| value.text.clone()) else {
            return;
        };
        let waits = waits(&state, order, now).domains.into_iter();
        let missing: Vec<_> = waits.filter(|(_, there)| !there).collect();
        (missing, value, order.method == "dns-cname-token")
    };
    for (scope, _) in missing {
        let below = format!("_dnsauth.{scope}");
        let seen = if with_cname {
            sees(shared, &below, Data::Cname(&format!("{value}.{TARGET}"))).await
        } else {
            sees(shared, &below, Data::Contains(&value)).await
                || sees(shared, &scope, Data::Contains(&value)).await
        };
        if seen && let Some(order) = shared.state().orders.order_mut(id) {
            order.proven.insert(scope);
        }
    }
}
