//! The validations: starts, submissions, and the CA's own checks of DNS.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::Shared;
use super::behaviour::{Behaviour, OrderEnd};
use super::book::{Domain, Order, Stage};
use super::wire::{Reply, order_of, status, status_of, word};
use crate::sandbox::caa::{self, PARAMETERS_BIND, Rules, Source, Subject};
use crate::sandbox::check::{self, Data, Perspectives};

/// What a call is told when the domain cannot be validated.
fn refused(shared: &Shared, name: &str) -> Option<Reply> {
    let state = shared.state();
    let behaviour = &state.behaviour;
    if behaviour.no_right {
        return Some(Reply::refused(
            400,
            -3,
            "You are not authorized to perform this operation",
        ));
    }
    if behaviour.dcv_off {
        return Some(Reply::refused(
            400,
            -1608,
            "DCV is disabled for the customer",
        ));
    }
    let base = name.strip_prefix("*.").unwrap_or(name);
    let is_base = base == name && !state.book.has_parent(name);
    match state.book.domain(base) {
        None => Some(Reply::refused(400, -727, "Domain does not exist")),
        Some(_) if !is_base => Some(Reply::refused(
            400,
            -723,
            "Only high-level domains can be validated",
        )),
        Some(domain) if domain.requested => Some(Reply::refused(
            400,
            -705,
            "The delegation of the domain is not approved",
        )),
        Some(_) => None,
    }
}

/// One of the calls below `/dcv/vN/validation`, with the name in its body.
pub(super) async fn call(shared: &Shared, verb: &[&str], force: bool, name: &str) -> Reply {
    let name = name.to_ascii_lowercase();
    if let Some(refused) = refused(shared, &name) {
        return refused;
    }
    settle(shared, &name).await;
    match verb {
        ["status"] => show(shared, &name),
        ["sync"] => {
            let is_checked = shared.state().behaviour.sync_looks;
            if force && is_checked {
                check(shared, &name).await;
            }
            show(shared, &name)
        }
        ["start", "domain", "cname"] => start(shared, &name),
        ["submit", "domain", "cname"] => submit_cname(shared, &name),
        ["submit", "domain", "txt"] => submit_txt(shared, &name),
        ["clear"] => {
            if let Some(domain) = shared.state().book.domain_mut(&name) {
                domain.order = None;
            }
            show(shared, &name)
        }
        ["delete"] => {
            if let Some(domain) = shared.state().book.domain_mut(&name) {
                (domain.order, domain.validated_at) = (None, None);
            }
            Reply::empty(200)
        }
        _ => Reply::refused(404, -1, "Not found"),
    }
}

fn show(shared: &Shared, name: &str) -> Reply {
    let (now, state) = (shared.now(), shared.state());
    state.book.domain(name).map_or_else(gone, |domain| {
        Reply::json(status(domain, &state.behaviour, now))
    })
}

fn other_record(behaviour: &Behaviour) -> Option<(String, String)> {
    let (owner, data) = behaviour.names_record.as_deref()?.split_once(' ')?;
    Some((owner.to_owned(), data.to_owned()))
}

fn gone() -> Reply {
    Reply::refused(400, -727, "Domain does not exist")
}

fn busy(domain: &Domain, behaviour: &Behaviour) -> Option<Reply> {
    let submitted = domain
        .order
        .as_ref()
        .is_some_and(|order| order.stage == Stage::Submitted);
    (behaviour.busy || submitted).then(|| {
        let words = "The request cannot be processed because of the domain's validation status";
        Reply::refused(400, -724, words)
    })
}

fn start(shared: &Shared, name: &str) -> Reply {
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    let Some(domain) = state.book.domain(name) else {
        return gone();
    };
    if let Some(busy) = busy(domain, &behaviour) {
        return busy;
    }
    let kept = domain
        .order
        .as_ref()
        .filter(|order| order.stage == Stage::Begun && !behaviour.new_pair_each_start)
        .map(|order| (order.host.clone(), order.point.clone()));
    let (mut host, mut point) = kept.unwrap_or_else(|| state.book.pair(name));
    if behaviour.owner_outside {
        host = "_0123.elsewhere.example.".to_owned();
    }
    if let Some((owner, data)) = other_record(&behaviour) {
        (host, point) = (owner, data);
    }
    let order = Order {
        id: state.book.order_id(),
        method: "CNAME",
        host: host.clone(),
        point: point.clone(),
        stage: Stage::Begun,
        submitted_at: None,
        last_check: None,
        next_check: None,
    };
    if let Some(domain) = state.book.domain_mut(name) {
        domain.order = Some(order);
    }
    Reply::json(json!({"host": host, "point": point}))
}

fn submit_cname(shared: &Shared, name: &str) -> Reply {
    let now = shared.now();
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    let Some(domain) = state.book.domain_mut(name) else {
        return gone();
    };
    if let Some(busy) = busy(domain, &behaviour) {
        return busy;
    }
    let begun = domain.order.as_mut();
    let Some(order) = begun.filter(|order| order.stage == Stage::Begun) else {
        return Reply::refused(400, -1603, "The validation has not been started");
    };
    if !behaviour.keeps_begun {
        order.stage = Stage::Submitted;
        order.submitted_at = Some(now);
        order.next_check = after(now, behaviour.first_look);
    }
    Reply::json(submitted(domain, &behaviour, now))
}

fn submit_txt(shared: &Shared, name: &str) -> Reply {
    let now = shared.now();
    let mut state = shared.state();
    let behaviour = state.behaviour.clone();
    let Some(domain) = state.book.domain(name) else {
        return gone();
    };
    if let Some(busy) = busy(domain, &behaviour) {
        return busy;
    }
    let mut host = if behaviour.owner_outside {
        "_pki-validation.elsewhere.example.".to_owned()
    } else {
        format!("_pki-validation.{name}.")
    };
    let mut point = state.book.value(behaviour.hostile_values);
    if let Some((owner, data)) = other_record(&behaviour) {
        (host, point) = (owner, data);
    }
    let order = Order {
        method: "TXT",
        host: host.clone(),
        point,
        id: state.book.order_id(),
        stage: Stage::Submitted,
        submitted_at: Some(now),
        last_check: None,
        next_check: after(now, behaviour.first_look),
    };
    let point = order.point.clone();
    let Some(domain) = state.book.domain_mut(name) else {
        return gone();
    };
    domain.order = Some(order);
    let mut answer = submitted(domain, &behaviour, now);
    (answer["host"], answer["point"]) = (json!(host), json!(point));
    Reply::json(answer)
}

fn submitted(domain: &Domain, behaviour: &Behaviour, now: Timestamp) -> Value {
    let (status, order) = (
        word(status_of(domain, now), behaviour),
        word(order_of(domain, behaviour), behaviour),
    );
    json!({
        "status": status,
        "orderStatus": order,
        "message": format!("DCV status: {status}; DCV order status: {order}"),
        "orderBackendId": domain.order.as_ref().map(|order| order.id.clone()),
    })
}

/// What the CA has done by itself until now.
pub(super) async fn settle(shared: &Shared, name: &str) {
    let now = shared.now();
    let is_due = {
        let state = shared.state();
        let order = state
            .book
            .domain(name)
            .and_then(|domain| domain.order.as_ref());
        order.is_some_and(|order| {
            order.stage == Stage::Submitted && order.next_check.is_some_and(|next| next <= now)
        })
    };
    if is_due {
        check(shared, name).await;
    }
}

/// Checks for the record of a submitted order. No lock is held during the check.
async fn check(shared: &Shared, name: &str) {
    let (order, behaviour) = {
        let state = shared.state();
        let order = state
            .book
            .domain(name)
            .and_then(|domain| domain.order.clone());
        (order, state.behaviour.clone())
    };
    let Some(order) = order.filter(|order| order.stage == Stage::Submitted) else {
        return;
    };
    let servers_of = |name: &str| (shared.name_servers)(name);
    // A CNAME record is the record itself; a value may be where an alias leads.
    let owner = match order.method {
        "CNAME" => order.host.trim_end_matches('.').to_owned(),
        _ => end_of_aliases(order.host.trim_end_matches('.'), servers_of).await,
    };
    let data = match order.method {
        "CNAME" => Data::Cname(&order.point),
        _ => Data::Txt(&order.point),
    };
    let every = Perspectives {
        count: 0,
        may_fail: 0,
        seed: 0,
    };
    let servers = servers_of(&owner);
    let seen = check::check(&owner, data, &servers, every).await.is_ok()
        && (!behaviour.caa || is_allowed(shared, name).await);
    let now = shared.now();
    let mut state = shared.state();
    let Some(domain) = state.book.domain_mut(name) else {
        return;
    };
    let Some(current) = domain.order.as_mut().filter(|now| now.id == order.id) else {
        return;
    };
    current.last_check = Some(now);
    match behaviour.orders {
        OrderEnd::Rejected => (current.stage, current.next_check) = (Stage::Rejected, None),
        OrderEnd::Fulfilled if seen => {
            domain.validated_at = Some(now);
            domain.method = Some(order.method);
            if behaviour.leaves_submitted {
                (current.stage, current.next_check) = (Stage::LeftOver, None);
            } else {
                domain.order = None;
            }
        }
        OrderEnd::Hang | OrderEnd::Fulfilled => {
            current.next_check = after(now, behaviour.next_look);
        }
    }
}

/// Whether CAA lets Sectigo issue. Unlike others it asks already when it validates.
async fn is_allowed(shared: &Shared, name: &str) -> bool {
    let rules = Rules {
        names: &["sectigo.com".to_owned()],
        accounts: &[],
        methods: ["ca-tbr-7", "dns-01"],
        is_lenient: true,
        parameters_bind: shared.now() >= PARAMETERS_BIND,
    };
    let source = Source::Servers(&*shared.name_servers);
    let said = caa::check(name, Subject::Host, &source, &rules).await;
    said.is_ok()
}

/// Where the aliases lead that begin at `name`, as CAs follow them.
async fn end_of_aliases(
    name: &str,
    servers_of: impl Fn(&str) -> Vec<std::net::SocketAddr>,
) -> String {
    const MOST: usize = 8;
    let mut name = name.to_ascii_lowercase();
    for _ in 0..MOST {
        match check::alias(&name, &servers_of(&name)).await {
            Some(next) => name = next.to_ascii_lowercase(),
            None => break,
        }
    }
    name
}

fn after(now: Timestamp, seconds: i64) -> Option<Timestamp> {
    now.saturating_add(SignedDuration::from_secs(seconds)).ok()
}
