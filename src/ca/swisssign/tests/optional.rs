//! The CA leaves out what its schema calls optional: each field in turn, and every two together, in
//! the answer to every call. Nothing of that makes a no of a yes, nor a yes of a no.

use serde_json::{Value, json};

use super::server::{Server, json as reply};
use super::*;
use crate::ca::Validation;
use crate::prevalidation::{Registration, ReuseTable, Status};

/// The fields of `ClientDNS` in the vendor's schema that need not be there; `uuid` and `domain`
/// are the only ones without which an entry says nothing.
const OPTIONAL: [&str; 14] = [
    "createdOn",
    "domainUnicode",
    "validated",
    "trustedDomain",
    "timeValidated",
    "validationMethod",
    "randomValue",
    "randomValueTimeCreated",
    "randomValueTimeExpire",
    "validationResult",
    "timeExpired",
    "expired",
    "randomValueTimeExpired",
    "status",
];

/// The fields of `Client` that need not be there.
const OPTIONAL_OF_CLIENT: [&str; 3] = ["name", "description", "products"];

/// Every way to leave out nothing, one field or two.
fn ways(fields: &[&'static str]) -> Vec<Vec<&'static str>> {
    let mut ways = vec![Vec::new()];
    for (at, &one) in fields.iter().enumerate() {
        ways.push(vec![one]);
        ways.extend(fields[at + 1..].iter().map(|&two| vec![one, two]));
    }
    ways
}

fn without(entry: &Value, left_out: &[&str]) -> Value {
    let mut entry = entry.clone();
    for field in left_out {
        entry.as_object_mut().unwrap().remove(*field);
    }
    entry
}

fn proven() -> Value {
    json!({
        "uuid": DOMAIN, "domain": "a.ch", "domainUnicode": "a.ch", "createdOn": "2026-09-30T00:00:00Z",
        "validated": true, "trustedDomain": false, "timeValidated": "2026-10-01T00:00:00Z",
        "validationMethod": "cabdns", "randomValue": TOKEN, "randomValueTimeCreated": "2026-09-30T00:00:00Z",
        "randomValueTimeExpire": "2026-10-30T00:00:00Z", "validationResult": "Validated a.ch",
        "timeExpired": "2027-03-01T00:00:00Z", "expired": false, "randomValueTimeExpired": true, "status": "VALID"
    })
}

fn ended() -> Value {
    let mut entry = proven();
    entry["timeExpired"] = json!("2026-11-01T00:00:00Z");
    (entry["expired"], entry["validated"], entry["status"]) =
        (json!(true), json!(false), json!("EXPIRED"));
    entry
}

fn waiting() -> Value {
    serde_json::from_str(&pending(DOMAIN, "a.ch")).unwrap()
}

/// The answers of every call that brings an entry.
async fn answers(entry: &Value) -> Vec<(&'static str, Registration)> {
    let (one, list) = (entry.to_string(), json!([entry]).to_string());
    let server = Server::start(move |request, _| {
        let many = ["/list", "/register"]
            .iter()
            .any(|end| request.path().ends_with(end));
        reply(200, if many { list.clone() } else { one.clone() })
    })
    .await;
    let ca = client(&server);
    let registered = ca.register(CLIENT, &[name("a.ch")]).await.remove(0).1;
    vec![
        (
            "list",
            ca.list(CLIENT)
                .await
                .unwrap()
                .registrations
                .first()
                .unwrap(),
        ),
        ("get", ca.get(DOMAIN).await.unwrap()),
        ("validate", ca.submit(DOMAIN).await.unwrap().registration),
        ("reset", ca.start(DOMAIN).await.unwrap().registration),
        ("register", registered.unwrap()),
    ]
}

#[tokio::test]
async fn a_proof_stays_one_whichever_optional_fields_are_missing() {
    let now = NOW.parse().unwrap();
    let reuse = ReuseTable::default();
    for left_out in ways(&OPTIONAL) {
        for (call, mut found) in answers(&without(&proven(), &left_out)).await {
            let until = found.usable_until(&reuse, now);
            assert!(until.is_some(), "{call} without {left_out:?}: {found:?}");
            assert!(
                until <= Some(reuse.end_of(now)),
                "{call} without {left_out:?}"
            );
            let all_dates = ["timeValidated", "timeExpired"];
            if left_out.iter().any(|field| all_dates.contains(field)) {
                // Known from a fuller answer: the same proof, no younger than it was.
                let whole = answers(&proven()).await.remove(0).1;
                found.keep_first_seen(Some(&whole));
                let made = found.proof.as_ref().unwrap().made_at();
                assert_eq!(
                    made,
                    whole.proof.unwrap().made_at(),
                    "{call} without {left_out:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_proof_comes_of_an_entry_that_has_none_whichever_fields_are_missing() {
    let now = NOW.parse().unwrap();
    let reuse = ReuseTable::default();
    for left_out in ways(&OPTIONAL) {
        for entry in [waiting(), ended()] {
            for (call, found) in answers(&without(&entry, &left_out)).await {
                assert_eq!(
                    found.usable_until(&reuse, now),
                    None,
                    "{call} without {left_out:?}"
                );
                assert_ne!(found.status, Status::Valid, "{call} without {left_out:?}");
            }
        }
        if !left_out.contains(&"randomValue") {
            for (call, found) in answers(&without(&waiting(), &left_out)).await {
                let token = found.token.unwrap();
                assert_eq!(
                    token.value,
                    format!("swiss-pki={TOKEN}"),
                    "{call} without {left_out:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_client_is_found_whichever_of_its_optional_fields_are_missing() {
    let whole = json!({"uuid": CLIENT, "name": "Example Ltd", "description": "x", "products": []});
    let totals = ["draw", "recordsFiltered", "recordsTotal"];
    for left_out in ways(&OPTIONAL_OF_CLIENT) {
        let entry = without(&whole, &left_out);
        let one = Server::always(reply(200, entry.to_string())).await;
        let selector = crate::ca::ClientSelector::Reference(CLIENT.into());
        assert_eq!(
            client(&one).find_client(&selector).await.unwrap().reference,
            CLIENT
        );
        if left_out.contains(&"name") {
            continue;
        }
        for left_out in ways(&totals) {
            let page = json!({"draw": 1, "recordsFiltered": 1, "recordsTotal": 1, "data": [entry]});
            let server = Server::always(reply(200, without(&page, &left_out).to_string())).await;
            let selector = crate::ca::ClientSelector::Name("Example Ltd".into());
            let found = client(&server).find_client(&selector).await.unwrap();
            assert_eq!(found.reference, CLIENT, "without {left_out:?}");
        }
    }
}
