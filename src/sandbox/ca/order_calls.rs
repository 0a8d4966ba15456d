//! The calls about orders.

use serde_json::{Value, json};

use super::Shared;
use super::asked::Asked;
use super::behaviour::{Behaviour, CaaCheck, Call, SubmitFault};
use super::orders::{New, OrderView};
use super::wire::{Refused, Reply};
use crate::ca::csr::{Csr, KeyKind};
use crate::sandbox::caa::Subject;

/// The CA cuts a page at 300.
const PAGE: usize = 300;

/// Whether a call is about orders, and may have a body.
pub(super) fn takes_body(call: Call) -> bool {
    matches!(
        call,
        Call::Issue
            | Call::IssueCsr
            | Call::ValidateIssue
            | Call::OrderTags
            | Call::SearchOrders
            | Call::SearchOrdersPaged
            | Call::Revoke
    )
}

/// Performs a call about orders.
pub(super) fn perform(
    shared: &Shared,
    asked: &Asked<'_>,
    behaviour: &Behaviour,
) -> Result<Reply, Refused> {
    match asked.call {
        Call::Issue => {
            let request: Value = asked.json()?;
            let new = checked(shared, &request, behaviour)?;
            submit(shared, new, behaviour)
        }
        Call::IssueCsr => {
            asked.has_type("text/plain")?;
            let text = String::from_utf8_lossy(asked.body);
            let request = json!({"productReference": asked.subject, "csr": text});
            let new = checked(shared, &request, behaviour)?;
            submit(shared, new, behaviour)
        }
        Call::ValidateIssue => {
            let new = checked(shared, &asked.json()?, behaviour)?;
            if behaviour.validate_sees_domains
                && let Some(name) = shared.unproven(&new.client, &new.csr)
            {
                let why = format!("Domain {name} is not validated");
                return Err(Refused::order("0240", why));
            }
            Ok(Reply::empty())
        }
        Call::Order => Ok(Reply::json(&show(shared, asked.subject)?)),
        Call::OrderStatus => {
            let (status, _) = shared.order_status(asked.subject)?;
            let word = behaviour.status_word(&status);
            Ok(if behaviour.bare_status {
                Reply::text(word)
            } else {
                Reply::json(&word)
            })
        }
        Call::OrderChain => {
            shared.order_status(asked.subject)?;
            let mut state = shared.state();
            Ok(Reply::json(&state.orders.chain(asked.subject, behaviour)?))
        }
        Call::OrderTasks => {
            let (status, unproven) = shared.order_status(asked.subject)?;
            let mut state = shared.state();
            let tasks = state
                .orders
                .tasks(asked.subject, &status, unproven.as_deref())?;
            Ok(Reply::json(&tasks))
        }
        Call::OrderTags => {
            let tags: Vec<String> = asked.json()?;
            shared.state().orders.order(asked.subject)?;
            shared.state().orders.set_tags(asked.subject, tags);
            Ok(Reply::json(&show(shared, asked.subject)?))
        }
        Call::SearchOrders => {
            let found = search(shared, &asked.json()?, behaviour)?;
            Ok(Reply::json(
                &found.into_iter().take(PAGE).collect::<Vec<_>>(),
            ))
        }
        Call::SearchOrdersPaged => {
            let found = search(shared, &asked.json()?, behaviour)?;
            let number = |key: &str| Ok::<_, Refused>(asked.number(key)?.unwrap_or(0));
            let length = usize::try_from(number("length")?).unwrap_or(0);
            let start = usize::try_from(number("start")?).unwrap_or(0);
            let length = if length == 0 { PAGE } else { length.min(PAGE) };
            let (filtered, total) = (found.len(), shared.state().orders.references().len());
            let data: Vec<_> = found.into_iter().skip(start).take(length).collect();
            Ok(Reply::json(
                &json!({"draw": 1, "recordsFiltered": filtered, "recordsTotal": total, "data": data}),
            ))
        }
        Call::Revoke => {
            let requests: Vec<Value> = asked.json()?;
            let now = shared.now();
            let references = shared.state().orders.references();
            for reference in references {
                shared.order_status(&reference)?;
            }
            for request in &requests {
                shared.state().orders.revoke(request, behaviour, now)?;
            }
            Ok(Reply::empty())
        }
        _ => Err(Refused::not_found("No such resource")),
    }
}

/// Makes an order, unless the backend does not take it.
fn submit(shared: &Shared, new: New, behaviour: &Behaviour) -> Result<Reply, Refused> {
    let failed = || Refused::order("0239", "Failed submitting the order");
    if behaviour.submit_fails == SubmitFault::WithoutOrder {
        return Err(failed());
    }
    let now = shared.now();
    let reference = shared.state().orders.add(new, now);
    if behaviour.submit_fails == SubmitFault::WithOrder {
        return Err(failed());
    }
    // It is new whatever it becomes a moment later.
    let state = shared.state();
    let order = state.orders.order(&reference)?;
    Ok(Reply::json(&state.orders.view(order, "NEW", behaviour)))
}

/// Checks a request as the rehearsal does.
fn checked(shared: &Shared, request: &Value, behaviour: &Behaviour) -> Result<New, Refused> {
    let state = shared.state();
    let reference = request["productReference"].as_str().unwrap_or_default();
    let product = state.orders.product(reference)?.clone();
    let text = request["csr"].as_str().unwrap_or_default();
    if product["keyGenerationType"] != "PKCS10" {
        return Err(Refused::order("0244", "The product takes no CSR"));
    }
    if product["expirationDate"].is_string() {
        return Err(Refused::order("0246", "The product is retired"));
    }
    let csr = read_csr(text).map_err(|why| Refused::order("0241", format!("The CSR {why}")))?;
    if matches!(csr.key(), KeyKind::Rsa(bits) if bits < 2048) || csr.key() == KeyKind::Other {
        return Err(Refused::order("0241", "The key of the CSR is not allowed"));
    }
    let is_mail = product["productName"]
        .as_str()
        .is_some_and(|name| name.contains("S/MIME"));
    let empty = if is_mail {
        csr.mailboxes().is_empty()
    } else {
        csr.names().is_empty()
    };
    if empty {
        return Err(Refused::order("0240", "The CSR names nothing"));
    }
    let is_single = product["productName"]
        .as_str()
        .is_some_and(|name| name.contains("Single"));
    if is_single && csr.names().len() > 1 {
        return Err(Refused::order("0240", "The product is for one name"));
    }
    if let Some(validity) = request["overrides"]["validity"].as_u64() {
        let options = product["productValidity"]["validityOptions"].as_array();
        if !options.is_some_and(|options| options.contains(&json!(validity))) {
            return Err(Refused::order(
                "0240",
                format!("A validity of {validity} is not allowed"),
            ));
        }
    }
    let tags = request["tags"].as_array().into_iter().flatten();
    let tags = tags.filter_map(Value::as_str).map(str::to_owned).collect();
    let mut clients = state.book.clients().filter(|(_, client)| client.permitted);
    let client = clients.next().map(|(reference, _)| reference.clone());
    let client = client.ok_or_else(|| Refused::order("0248", "No client has this product"))?;
    let _ = behaviour;
    Ok(New {
        client,
        product,
        csr,
        tags,
    })
}

/// A CSR with its lines or without.
fn read_csr(text: &str) -> Result<Csr, String> {
    if text.contains("BEGIN") {
        return Csr::read(text.as_bytes());
    }
    let body = text.trim();
    let pem =
        format!("-----BEGIN CERTIFICATE REQUEST-----\n{body}\n-----END CERTIFICATE REQUEST-----\n");
    Csr::read(pem.as_bytes())
}

fn search(shared: &Shared, wanted: &Value, behaviour: &Behaviour) -> Result<Vec<Value>, Refused> {
    let now = shared.now();
    let found = shared.state().orders.search(wanted, behaviour, now);
    let views = found.iter().map(|reference| show(shared, reference));
    let views: Vec<Value> = views.collect::<Result<_, _>>()?;
    let states = wanted["orderStatus"]
        .as_array()
        .filter(|states| !states.is_empty());
    Ok(views
        .into_iter()
        .filter(|view| states.is_none_or(|states| states.contains(&view["status"])))
        .collect())
}

fn show(shared: &Shared, reference: &str) -> Result<Value, Refused> {
    let (status, _) = shared.order_status(reference)?;
    let state = shared.state();
    let order = state.orders.order(reference)?;
    Ok(state.orders.view(order, &status, &state.behaviour))
}

impl Shared {
    /// Asks DNS for CAA of the orders that would be issued now, where the CA is told to.
    pub(super) async fn check_orders(&self) {
        if self.state().behaviour.caa == CaaCheck::Off {
            return;
        }
        let open = self.state().orders.without_caa();
        for (reference, client, csr) in open {
            if self.unproven(&client, &csr).is_some() {
                continue;
            }
            let said = self.caa_of(&csr).await;
            self.state().orders.note_caa(&reference, said);
        }
    }

    /// Whether CAA lets this CA issue all that a request names.
    async fn caa_of(&self, csr: &Csr) -> Result<(), String> {
        for name in csr.names() {
            match name.strip_prefix("*.") {
                Some(below) => self.caa(below, Subject::Wildcard).await?,
                None => self.caa(name, Subject::Host).await?,
            }
        }
        for mailbox in csr.mailboxes() {
            let host = mailbox.split_once('@').map_or("", |(_, host)| host);
            self.caa(host, Subject::Mail).await?;
        }
        Ok(())
    }

    /// The first name of a request that no validated domain of the client covers.
    fn unproven(&self, client: &str, csr: &Csr) -> Option<String> {
        let (now, mut state) = (self.now(), self.state());
        let behaviour = state.behaviour.clone();
        let listed = state.book.list(client, &behaviour, now).unwrap_or_default();
        let valid: Vec<_> = listed
            .iter()
            .filter(|one| one.validated)
            .map(|one| &one.domain)
            .collect();
        let mailboxes = csr.mailboxes().iter();
        let hosts = mailboxes.filter_map(|address| address.split_once('@').map(|(_, host)| host));
        let names = csr
            .names()
            .iter()
            .map(|name| name.trim_start_matches("*."))
            .chain(hosts);
        let covers = |name: &str| {
            valid
                .iter()
                .any(|domain| name == domain.as_str() || name.ends_with(&format!(".{domain}")))
        };
        let mut names = names.filter(|name| !covers(name));
        names.next().map(str::to_owned)
    }

    /// The state of an order now, and the first of its names that is not validated.
    pub(super) fn order_status(
        &self,
        reference: &str,
    ) -> Result<(String, Option<String>), Refused> {
        let (client, csr) = {
            let state = self.state();
            let order = state.orders.order(reference)?;
            (order.client.clone(), order.csr.clone())
        };
        let unproven = self.unproven(&client, &csr);
        let (now, mut state) = (self.now(), self.state());
        let behaviour = state.behaviour.clone();
        let status = state
            .orders
            .status(reference, unproven.as_deref(), &behaviour, now);
        Ok((status, unproven))
    }

    /// Every order as a test sees it, oldest first.
    pub(super) fn seen_orders(&self) -> Vec<OrderView> {
        let references = self.state().orders.references();
        let seen = references.iter().filter_map(|reference| {
            let (status, _) = self.order_status(reference).ok()?;
            let state = self.state();
            let order = state.orders.order(reference).ok()?;
            Some(state.orders.seen(order, &status))
        });
        seen.collect()
    }
}
