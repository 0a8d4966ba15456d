//! The validations: submissions, checks that are asked for, and the CA's own checks of DNS.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::book::{TARGET, Value};
use super::wire::Reply;
use super::{Shared, State};
use crate::sandbox::check::{self, Data, Perspectives};

/// Begins a validation, and gives the value that is shown now.
pub(super) fn submit(
    state: &mut State,
    name: &str,
    method: &str,
    now: Timestamp,
) -> Option<String> {
    let behaviour = state.behaviour.clone();
    let fresh = state.book.value(behaviour.hostile_values);
    let domain = state.book.named_mut(name)?;
    if !behaviour.keeps_method {
        method.clone_into(&mut domain.method);
    }
    domain.is_pending = true;
    domain.submitted_at = Some(now);
    domain.next_check = behaviour.polls.then_some(now);
    if behaviour.submission_ends_values {
        domain.values.clear();
    }
    let is_alive = domain
        .value()
        .is_some_and(|value| !value.is_used && value.until > now);
    if !is_alive || behaviour.new_value_each_submission {
        let mut value = Value::new(&fresh, now, false);
        if behaviour.ended_values {
            value.until = now;
        }
        domain.values.push(value);
    }
    domain.value().map(|value| value.text.clone())
}

/// `PUT /domain/{id}/dcv/validate-token`
pub(super) async fn check(shared: &Shared, id: u64) -> Reply {
    let (name, blind, says, is_mail, with_cname) = {
        let mut state = shared.state();
        let blind = state.behaviour.blind_checks;
        state.behaviour.blind_checks = blind.saturating_sub(1);
        let says = state.behaviour.check_says.clone();
        let Some(domain) = state.book.domain(id) else {
            return Reply::unknown();
        };
        let with_cname = domain.method == "dns-cname-token";
        (
            domain.name.clone(),
            blind > 0,
            says,
            domain.method == "email",
            with_cname,
        )
    };
    if is_mail {
        let words = "The DCV method of the domain has no token.";
        return Reply::refused(400, "invalid_dcv_method", words);
    }
    if blind || !check_dns(shared, &name).await {
        let code = if with_cname {
            "invalid_dns_cname"
        } else {
            "invalid_dns_txt"
        };
        return Reply::refused(
            400,
            code,
            "Unable to find the random value in the DNS record.",
        );
    }
    match says {
        Some(word) => Reply::json(json!({"status": word})),
        None => Reply::empty(200),
    }
}

/// What the CA has done by itself until now: it checks every minute for 15 minutes, then every 5
/// minutes for an hour, every 15 minutes for a day, every hour for ten days.
pub(super) async fn settle(shared: &Shared, name: &str) {
    let now = shared.now();
    let is_due = {
        let state = shared.state();
        let domain = state.book.named(name).filter(|domain| domain.is_pending);
        domain.is_some_and(|domain| domain.next_check.is_some_and(|next| next <= now))
    };
    if !is_due {
        return;
    }
    check_dns(shared, name).await;
    let mut state = shared.state();
    let Some(domain) = state.book.named_mut(name) else {
        return;
    };
    let age = domain.submitted_at.map(|at| now.duration_since(at));
    let minutes = match age.map_or(0, |age| age.as_mins()) {
        0..15 => 1,
        15..60 => 5,
        60..1440 => 15,
        1440..14400 => 60,
        _ => 0,
    };
    let next = now.saturating_add(SignedDuration::from_mins(minutes)).ok();
    domain.next_check = next.filter(|_| minutes > 0 && domain.is_pending);
}

/// Checks for any value that counts, and counts the domain when it is there. No lock is held during
/// the check.
pub(super) async fn check_dns(shared: &Shared, name: &str) -> bool {
    let now = shared.now();
    let (values, with_cname) = {
        let state = shared.state();
        let Some(domain) = state.book.named(name) else {
            return false;
        };
        let alive = domain
            .values
            .iter()
            .filter(|value| value.until > now && !value.is_used);
        let values: Vec<_> = alive.map(|value| value.text.clone()).collect();
        (values, domain.method == "dns-cname-token")
    };
    for value in values {
        let seen = if with_cname {
            let target = format!("{value}.{TARGET}");
            sees(shared, &format!("_dnsauth.{name}"), Data::Cname(&target)).await
        } else {
            sees(shared, &format!("_dnsauth.{name}"), Data::Contains(&value)).await
                || sees(shared, name, Data::Contains(&value)).await
        };
        if !seen {
            continue;
        }
        let mut state = shared.state();
        if let Some(domain) = state.book.named_mut(name) {
            domain.approved_at = Some(now);
            (domain.is_pending, domain.next_check) = (false, None);
            let used = domain.values.iter_mut().filter(|one| one.text == value);
            used.for_each(|one| one.is_used = true);
        }
        return true;
    }
    false
}

/// Whether all name servers show the record. A TXT record may be behind aliases.
pub(super) async fn sees(shared: &Shared, owner: &str, data: Data<'_>) -> bool {
    let every = Perspectives {
        count: 0,
        may_fail: 0,
        seed: 0,
    };
    let mut owner = owner.to_owned();
    for _ in 0..8 {
        let servers = (shared.name_servers)(&owner);
        if check::check(&owner, data, &servers, every).await.is_ok() {
            return true;
        }
        if matches!(data, Data::Cname(_)) {
            return false;
        }
        match check::alias(&owner, &servers).await {
            Some(target) => owner = target,
            None => return false,
        }
    }
    false
}
