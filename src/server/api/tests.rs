//! The interface against its description: every answer has the members that are described, of the
//! types that are described, and no other.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use super::*;
use crate::overview::query::Sort;
use crate::overview::views;
use crate::prevalidation::State as DomainState;
use crate::server::http::app;
use crate::server::lab::{HOOK, Lab, OPERATE, READ, access};
use crate::store::Store as _;

fn described() -> Value {
    serde_json::from_str(DESCRIPTION).unwrap()
}

/// What of `value` does not fit `schema`, with its place.
fn misfits(document: &Value, schema: &Value, value: &Value, place: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = document
            .pointer(reference.trim_start_matches('#'))
            .unwrap_or_else(|| panic!("{reference}"));
        return misfits(document, schema, value, place);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let tried: Vec<_> = choices
            .iter()
            .map(|choice| misfits(document, choice, value, place))
            .collect();
        return if tried.iter().any(Vec::is_empty) {
            Vec::new()
        } else {
            tried.concat()
        };
    }
    let known = match &schema["type"] {
        Value::String(one) => vec![one.as_str()],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        _ => panic!("{place} has no type"),
    };
    let is = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if !known.contains(&is) {
        return vec![format!("{place} is {is}, not {known:?}")];
    }
    let mut found = Vec::new();
    if schema["enum"]
        .as_array()
        .is_some_and(|values| !values.contains(value))
    {
        found.push(format!("{place}: {value} is not among {}", schema["enum"]));
    }
    let is_moment = |text: &str| text.ends_with('Z') && text.parse::<jiff::Timestamp>().is_ok();
    if schema["format"] == "date-time" && value.as_str().is_some_and(|text| !is_moment(text)) {
        found.push(format!("{place}: {value} is no moment"));
    }
    for (at, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(misfits(
            document,
            &schema["items"],
            item,
            &format!("{place}[{at}]"),
        ));
    }
    if let Some(members) = value.as_object() {
        let described = schema["properties"].as_object().unwrap();
        found.extend(
            members
                .keys()
                .filter(|key| !described.contains_key(*key))
                .map(|key| format!("{place}.{key} is new")),
        );
        let required = schema["required"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str);
        found.extend(
            required
                .filter(|key| !members.contains_key(*key))
                .map(|key| format!("{place}.{key} is missing")),
        );
        for (key, member) in members
            .iter()
            .filter(|(key, _)| described.contains_key(*key))
        {
            found.extend(misfits(
                document,
                &described[key],
                member,
                &format!("{place}.{key}"),
            ));
        }
    }
    found
}

/// Asks and holds the answer against what is described for that path and status.
async fn answer(lab: &Lab, path: &str, described_as: &str) -> Value {
    let document = described();
    let reply = lab
        .ask(&app(&lab.shared), &format!("{BASE}{path}"), Some(READ))
        .await;
    let responses = &document["paths"][described_as]["get"]["responses"];
    let mut response = &responses[reply.status.as_str()];
    assert!(
        response.is_object(),
        "{path}: {} is not described",
        reply.status
    );
    if let Some(reference) = response["$ref"].as_str() {
        response = document.pointer(reference.trim_start_matches('#')).unwrap();
    }
    let (kind, content) = response["content"]
        .as_object()
        .unwrap()
        .iter()
        .next()
        .unwrap();
    assert_eq!(reply.header("content-type"), kind, "{path}");
    let misfits = misfits(&document, &content["schema"], &reply.json(), "");
    assert!(misfits.is_empty(), "{path}: {misfits:#?}\n{}", reply.body);
    reply.json()
}

const DOMAIN: &str = "/domains/{name}";
const HISTORY: &str = "/domains/{name}/history";

#[tokio::test]
async fn every_answer_is_as_the_description_says() {
    let lab = Lab::with(access()).await;
    let mut asked = BTreeSet::new();
    for path in [
        "/overview",
        "/clients",
        "/calendar",
        "/certificates",
        "/persistent",
        "/domains",
    ] {
        answer(&lab, path, path).await;
        asked.insert(path);
    }
    for name in [
        "example.ch",
        "www.example.ch",
        "held.example",
        "new.example",
        "busy.example",
        "d%C3%A9j%C3%A0.vu.com",
    ] {
        answer(&lab, &format!("/domains/{name}"), DOMAIN).await;
        answer(&lab, &format!("/domains/{name}/history"), HISTORY).await;
    }
    for (path, as_) in [
        ("/domains?state=none", "/domains"),
        ("/domains/unknown.example", DOMAIN),
        ("/domains/unknown.example/history", HISTORY),
        ("/domains/busy.example/history?limit=0", HISTORY),
    ] {
        assert!(answer(&lab, path, as_).await["status"].as_u64().unwrap() >= 400);
        asked.insert(as_);
    }
    let document = described();
    let all: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(asked, all);
    lab.lose_the_store().await;
    for (path, as_) in [
        ("/domains/example.ch", DOMAIN),
        ("/domains/example.ch/history", HISTORY),
    ] {
        assert_eq!(answer(&lab, path, as_).await["status"], 503);
    }
    assert_eq!(
        answer(&lab, "/overview", "/overview").await["domains"]["total"],
        7,
        "lists are read off the snapshot"
    );
}

#[tokio::test]
async fn before_the_first_snapshot_there_are_no_lists() {
    let lab = Lab::open().await;
    let shared = Arc::new(Shared::new(
        Arc::clone(&lab.shared.store),
        Arc::new(lab.clock.clone()),
        (*lab.shared.live()).clone(),
    ));
    for path in ["/overview", "/domains", "/clients", "/calendar"] {
        let reply = lab.ask(&app(&shared), &format!("{BASE}{path}"), None).await;
        assert_eq!(
            (reply.status, reply.header("retry-after")),
            (StatusCode::SERVICE_UNAVAILABLE, "5")
        );
    }
}

#[test]
fn the_description_has_the_parameters_that_are_read_and_the_words_that_there_are() {
    let document = described();
    let parameters = document["paths"]["/domains"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let names: BTreeSet<&str> = parameters
        .iter()
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    assert_eq!(names, BTreeSet::from(Query::PARAMETERS));
    let of = |name: &str| {
        parameters
            .iter()
            .find(|parameter| parameter["name"] == name)
            .unwrap()["schema"]
            .clone()
    };
    let words: BTreeSet<_> = Sort::ALL
        .into_iter()
        .flat_map(|sort| [sort.as_str().to_owned(), format!("-{}", sort.as_str())])
        .collect();
    let described: BTreeSet<String> = serde_json::from_value(of("sort")["enum"].clone()).unwrap();
    assert_eq!(described, words);
    assert_eq!(
        of("state")["enum"],
        json!(DomainState::ALL.map(DomainState::as_str))
    );
    assert_eq!(
        (of("limit")["maximum"].clone(), of("q")["maxLength"].clone()),
        (json!(MOST), json!(256))
    );
}

#[tokio::test]
async fn a_domain_is_what_status_prints_and_more() {
    let lab = Lab::with(access()).await;
    let (live, now) = (lab.shared.live(), lab.shared.clock.now());
    let rows = lab.store.domains().await.unwrap();
    for view in views(&*lab.store, rows, &live.basis(), BTreeMap::new(), now)
        .await
        .unwrap()
    {
        let mut told = answer(&lab, &format!("/domains/{}", view.domain), DOMAIN).await;
        for more in ["also_at", "ledger", "needs_a_person", "renew_at"] {
            assert!(
                told.as_object_mut().unwrap().remove(more).is_some(),
                "{}: {told}",
                view.domain
            );
        }
        assert_eq!(told, serde_json::to_value(&view).unwrap());
    }
    let busy = answer(&lab, "/domains/busy.example", DOMAIN).await;
    assert_eq!(busy["ledger"][0]["state"], "published");
    assert_eq!(
        answer(&lab, "/domains/forgotten.example", DOMAIN).await["state"],
        "unmanaged"
    );
}

#[tokio::test]
async fn domains_are_found_and_paged() {
    let lab = Lab::with(access()).await;
    let page = answer(&lab, "/domains?limit=3&sort=-usable_until", "/domains").await;
    assert_eq!(
        (page["total"].clone(), page["domains"][0]["domain"].clone()),
        (json!(7), json!("www.example.ch"))
    );
    let mut seen = page["domains"].as_array().unwrap().clone();
    let mut next = page["next"].clone();
    while let Some(after) = next.as_str() {
        let page = answer(
            &lab,
            &format!("/domains?limit=3&sort=-usable_until&after={after}"),
            "/domains",
        )
        .await;
        seen.extend(page["domains"].as_array().unwrap().clone());
        next = page["next"].clone();
    }
    let names: BTreeSet<_> = seen
        .iter()
        .map(|entry| entry["domain"].as_str().unwrap())
        .collect();
    assert_eq!((seen.len(), names.len()), (7, 7));
    let held = answer(&lab, "/domains?needs_a_person=true&q=held", "/domains").await;
    assert_eq!(held["total"], 1);
    for wrong in [
        "/domains?colour=red",
        "/domains?q=a&q=b",
        "/domains?limit=1001",
        "/domains?after=x",
    ] {
        assert_eq!(
            answer(&lab, wrong, "/domains").await["status"],
            400,
            "{wrong}"
        );
    }
    let history = answer(&lab, "/domains/busy.example/history?limit=1", HISTORY).await;
    assert_eq!(
        (
            history["total"].clone(),
            history["events"][0]["kind"].clone()
        ),
        (json!(2), json!("published"))
    );
}

#[tokio::test]
async fn only_who_may_read_reads_and_the_description_is_for_all() {
    let lab = Lab::with(access()).await;
    let app = app(&lab.shared);
    let paths = described()["paths"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect::<Vec<_>>();
    for path in paths
        .iter()
        .map(|path| path.replace("{name}", "example.ch"))
    {
        let path = format!("{BASE}{path}");
        for (token, status) in [
            (None, 401),
            (Some("x"), 401),
            (Some(HOOK), 403),
            (Some(READ), 200),
            (Some(OPERATE), 200),
        ] {
            let reply = lab.ask(&app, &path, token).await;
            assert_eq!(reply.status, status, "{path} {token:?}");
            assert_eq!(
                reply.headers.contains_key("www-authenticate"),
                status == 401
            );
            assert!(token.is_none_or(|token| token.len() < 8 || !reply.body.contains(token)));
        }
    }
    let reply = lab.ask(&app, &format!("{BASE}/openapi.json"), None).await;
    assert_eq!(
        (reply.status, reply.json()["openapi"].clone()),
        (StatusCode::OK, json!("3.1.0"))
    );
    // A token that is removed is good for nothing at once.
    lab.change(|live| live.access = super::super::access::Access::new(true));
    assert_eq!(
        lab.ask(&app, &format!("{BASE}/overview"), Some(READ))
            .await
            .status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn foreign_words_drive_nothing() {
    let lab = Lab::open().await;
    for path in [
        "/domains",
        "/domains/held.example",
        "/domains/held.example/history",
    ] {
        let reply = lab
            .ask(&app(&lab.shared), &format!("{BASE}{path}"), None)
            .await;
        assert!(
            reply.body.contains("<script>alert(1)"),
            "it is reported: {path}"
        );
        assert!(
            !reply
                .body
                .chars()
                .any(|c| c.is_control() || c == '\u{202e}'),
            "{path}"
        );
        assert_eq!(
            (
                reply.header("content-type"),
                reply.header("x-content-type-options")
            ),
            ("application/json", "nosniff")
        );
    }
}
