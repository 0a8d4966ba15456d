//! The effect of each call of an authenticated client.

use std::sync::Arc;

use futures::future::join_all;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::asked::Asked;
use super::behaviour::{Behaviour, CaaCheck, Call, Refusal};
use super::book::Client;
use super::wire::{Refused, Reply};
use super::{Shared, order_calls};
use crate::sandbox::caa::Subject;

/// How many domains are checked together when the CA polls.
const POLLED_TOGETHER: usize = 32;

/// Which call a path means; `cli-` and `cld-` share a template and are told apart by their prefix.
pub(super) fn route(path: &str) -> (Call, &str) {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        ["v2", "jwt", user] => (Call::Jwt, user),
        ["v2", "clients"] => (Call::SearchClients, ""),
        ["v2", "clients", "paged"] => (Call::SearchClientsPaged, ""),
        ["v2", "client", cli] if is_reference(cli, "cli-") => (Call::Client, cli),
        ["v2", "client", "domain", cli, "list"] if is_reference(cli, "cli-") => (Call::List, cli),
        ["v2", "client", "domain", cli, "register"] if is_reference(cli, "cli-") => {
            (Call::Register, cli)
        }
        ["v2", "client", "domain", cld, rest @ ..] if is_reference(cld, "cld-") => match rest {
            [] => (Call::Get, cld),
            ["validate"] => (Call::Validate, cld),
            ["token", "reset"] => (Call::ResetToken, cld),
            ["token", "delete"] => (Call::DeleteToken, cld),
            ["delete"] => (Call::Delete, cld),
            _ => (Call::Unknown, ""),
        },
        ["v2", "issue"] => (Call::Issue, ""),
        ["v2", "issue", "csr", pma] if is_reference(pma, "pma-") => (Call::IssueCsr, pma),
        ["v2", "validate"] => (Call::ValidateIssue, ""),
        ["v2", "orders"] => (Call::SearchOrders, ""),
        ["v2", "orders", "paged"] => (Call::SearchOrdersPaged, ""),
        ["v2", "revoke"] => (Call::Revoke, ""),
        ["v2", "order", ord, rest @ ..] if is_reference(ord, "ord-") => match rest {
            [] => (Call::Order, ord),
            ["status"] => (Call::OrderStatus, ord),
            ["tasks"] => (Call::OrderTasks, ord),
            ["tags"] => (Call::OrderTags, ord),
            ["certificate", "chain"] => (Call::OrderChain, ord),
            _ => (Call::Unknown, ""),
        },
        _ => (Call::Unknown, ""),
    }
}

/// `cli-` or `cld-` and 36 of `[0-9a-f-]`, the API's pattern.
fn is_reference(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == 36
            && rest
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'))
    })
}

/// Performs a call.
pub(super) async fn perform(shared: &Arc<Shared>, asked: &Asked<'_>) -> Result<Reply, Refused> {
    let now = shared.now();
    let behaviour = shared.state().behaviour.clone();
    let takes_body =
        matches!(asked.call, Call::Jwt | Call::Register) || order_calls::takes_body(asked.call);
    if !takes_body && !asked.body.is_empty() {
        return Err(Refused::invalid("This call takes no body"));
    }
    match asked.call {
        Call::Jwt => jwt(shared, asked, &behaviour),
        Call::SearchClients => {
            let (found, _) = search(shared, asked.parameter("search"));
            Ok(Reply::json(
                &found
                    .into_iter()
                    .take(behaviour.client_search_limit)
                    .collect::<Vec<_>>(),
            ))
        }
        Call::SearchClientsPaged => {
            let (found, total) = search(shared, asked.parameter("search"));
            let limit = behaviour.client_search_limit;
            let length = usize::try_from(asked.number("length")?.unwrap_or(-1))
                .map_or(limit, |n| n.min(limit));
            let start = usize::try_from(asked.number("start")?.unwrap_or(0))
                .map_err(|_| Refused::invalid("Parameter start must not be negative"))?;
            let filtered = found.len();
            let data: Vec<Value> = found.into_iter().skip(start).take(length).collect();
            Ok(Reply::json(
                &json!({"draw": 1, "recordsFiltered": filtered, "recordsTotal": total, "data": data}),
            ))
        }
        Call::Client => {
            let state = shared.state();
            let client = state.book.client(asked.subject)?;
            let products = state.orders.products();
            Ok(Reply::json(&client_view(asked.subject, client, products)))
        }
        Call::List => {
            if behaviour.polls {
                let waiting = shared.state().book.waiting(asked.subject, now);
                poll(shared, waiting).await;
            }
            Ok(Reply::json(&shared.state().book.list(
                asked.subject,
                &behaviour,
                now,
            )?))
        }
        Call::Register => {
            let names = asked.names()?;
            Ok(Reply::json(&shared.state().book.register(
                asked.subject,
                &names,
                &behaviour,
                now,
            )?))
        }
        Call::Get => {
            if behaviour.polls {
                poll(shared, vec![asked.subject.to_owned()]).await;
            }
            show(shared, asked.subject)
        }
        Call::Validate => {
            let (refusal, words) = match validate(shared, asked.subject).await? {
                Outcome::Proved => return show(shared, asked.subject),
                Outcome::NotSeen(words) => (behaviour.not_seen, words),
                Outcome::Stale => (
                    behaviour.stale_token,
                    "There is no valid random value; reset the token first".to_owned(),
                ),
            };
            match refusal {
                Refusal::Error => Err(Refused::validation(words)),
                Refusal::Unchanged => {
                    shared.state().book.say(asked.subject, words)?;
                    show(shared, asked.subject)
                }
            }
        }
        Call::ResetToken => {
            shared
                .state()
                .book
                .reset_token(asked.subject, &behaviour, now)?;
            show(shared, asked.subject)
        }
        Call::DeleteToken => {
            shared.state().book.delete_token(asked.subject)?;
            show(shared, asked.subject)
        }
        Call::Delete => {
            shared.state().book.delete(asked.subject)?;
            Ok(Reply::empty())
        }
        Call::Unknown => Err(Refused::not_found("No such resource")),
        _ => {
            shared.check_orders().await;
            order_calls::perform(shared, asked, &behaviour)
        }
    }
}

fn jwt(shared: &Shared, asked: &Asked<'_>, behaviour: &Behaviour) -> Result<Reply, Refused> {
    let user = percent_decode_str(asked.subject).decode_utf8_lossy();
    let mut form = url::form_urlencoded::parse(asked.body);
    let secret = form
        .find(|(key, _)| key == "userSecret")
        .ok_or_else(|| Refused::invalid("userSecret is missing"))?;
    let token = shared
        .state()
        .account
        .issue(&user, &secret.1, &behaviour.issuer, shared.now())?;
    Ok(Reply::text(if behaviour.quoted_jwt {
        format!("\"{token}\"")
    } else {
        token
    }))
}

/// The account's clients that match, and how many it has.
fn search(shared: &Shared, pattern: Option<String>) -> (Vec<Value>, usize) {
    let state = shared.state();
    let own: Vec<_> = state
        .book
        .clients()
        .filter(|(_, client)| client.permitted)
        .collect();
    let pattern = pattern
        .filter(|pattern| !pattern.is_empty())
        .unwrap_or_else(|| "*".to_owned())
        .to_lowercase();
    let pattern: Vec<char> = pattern.chars().collect();
    let matching = own.iter().filter(|(_, client)| {
        let name: Vec<char> = client.name.to_lowercase().chars().collect();
        matches_wildcards(&pattern, &name)
    });
    (
        matching
            .map(|(reference, client)| client_view(reference, client, state.orders.products()))
            .collect(),
        own.len(),
    )
}

/// `?` is one character, `*` any number of them.
fn matches_wildcards(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => {
            (0..=text.len()).any(|skip| matches_wildcards(rest, &text[skip..]))
        }
        (['?', rest @ ..], [_, text @ ..]) => matches_wildcards(rest, text),
        ([wanted, rest @ ..], [found, text @ ..]) => {
            wanted == found && matches_wildcards(rest, text)
        }
        _ => false,
    }
}

fn client_view(reference: &str, client: &Client, products: &[Value]) -> Value {
    json!({"uuid": reference, "name": client.name, "description": null, "products": products})
}

fn show(shared: &Shared, reference: &str) -> Result<Reply, Refused> {
    let (now, state) = (shared.now(), shared.state());
    let domain = state.book.domain(reference)?;
    Ok(Reply::json(&state.book.view(domain, &state.behaviour, now)))
}

enum Outcome {
    Proved,
    /// With what the CA must say about it.
    NotSeen(String),
    /// There is no token to search for.
    Stale,
}

/// Checks for the value that a domain waits for. No lock is held during the check, so the token may
/// change meanwhile.
async fn validate(shared: &Shared, reference: &str) -> Result<Outcome, Refused> {
    let (name, value, nth) = {
        let (now, mut state) = (shared.now(), shared.state());
        let domain = state.book.domain(reference)?;
        let name = domain.name.clone();
        let Some(value) = state.book.awaited(domain, now) else {
            return Ok(Outcome::Stale);
        };
        (name, value, state.book.count_check(reference))
    };
    let mut seen = shared.check(&name, &value, nth).await;
    if seen.is_ok() && shared.state().behaviour.caa == CaaCheck::Validate {
        let permitted = shared.caa_after(&name, Subject::Host, false).await;
        seen = permitted.and(seen);
    }
    Ok(match seen {
        Ok(words) => {
            shared
                .state()
                .book
                .prove(reference, &value, words, shared.now())?;
            Outcome::Proved
        }
        Err(words) => Outcome::NotSeen(words),
    })
}

/// Validates a domain outside of any call: its words where it was not.
pub(super) async fn validate_now(shared: &Shared, reference: &str) -> Result<(), String> {
    match validate(shared, reference).await {
        Ok(Outcome::Proved) => Ok(()),
        Ok(Outcome::NotSeen(words)) => Err(words),
        Ok(Outcome::Stale) => Err("There is no valid random value".to_owned()),
        Err(refused) => Err(refused.message),
    }
}

/// What the CA would have done by itself until now.
pub(super) async fn poll(shared: &Shared, waiting: Vec<String>) {
    for together in waiting.chunks(POLLED_TOGETHER) {
        // Not seen, or deleted meanwhile: it is tried again with the next read.
        join_all(together.iter().map(|reference| validate(shared, reference))).await;
    }
}
