//! The calls about domains: what is sent and what is made of the answers.

use super::server::{Server, json};
use super::*;
use crate::ca::{Failure, Validation};
use crate::prevalidation::Status;

#[tokio::test]
async fn each_call_has_its_own_path_and_nothing_in_its_body() {
    let server = Server::start(|request, _| {
        if request.path().ends_with(&format!("{DOMAIN}/delete")) {
            json(204, "")
        } else {
            json(200, pending(DOMAIN, "a.ch"))
        }
    })
    .await;
    let ca = client(&server);
    ca.get(DOMAIN).await.unwrap();
    ca.submit(DOMAIN).await.unwrap();
    ca.start(DOMAIN).await.unwrap();
    ca.delete(DOMAIN).await.unwrap();
    let base = format!("/v2/client/domain/{DOMAIN}");
    let expected = ["", "/validate", "/token/reset", "/delete"].map(|end| format!("{base}{end}"));
    assert_eq!(server.paths(), expected);
    assert!(
        server
            .log()
            .iter()
            .all(|request| request.body.is_empty() && request.line.starts_with("POST "))
    );
}

#[tokio::test]
async fn not_seen_yet_is_no_error_in_either_of_its_two_forms() {
    let unchanged = pending(DOMAIN, "a.ch").replace(
        "\"status\"",
        "\"validationResult\":\"TXT not found\",\"status\"",
    );
    let server = Server::always(json(200, unchanged)).await;
    let registration = client(&server).submit(DOMAIN).await.unwrap().registration;
    assert_eq!(
        (registration.status, registration.proof),
        (Status::Pending, None)
    );
    assert_eq!(registration.last_words.as_deref(), Some("TXT not found"));
    assert_eq!(server.log().len(), 1, "a success and a 200 cost one call");

    let server = Server::turns(vec![
        json(400, api_error("TXT not found")),
        json(200, pending(DOMAIN, "a.ch")),
    ])
    .await;
    let registration = client(&server).submit(DOMAIN).await.unwrap().registration;
    assert_eq!(
        (registration.status, registration.proof),
        (Status::Pending, None)
    );
    assert!(
        registration
            .last_words
            .unwrap()
            .contains("TXT not found; for the CA's support: sup-42")
    );
    assert_eq!(server.log().len(), 2);
}

/// An entry whose proof counts, with the words of a check that found no value.
fn unchanged_valid(words: &str) -> String {
    let proof = format!(
        "\"validated\":true,\"timeValidated\":\"2026-10-01T00:00:00Z\",\"validationResult\":\"{words}\""
    );
    pending(DOMAIN, "a.ch")
        .replace("\"validated\":false", &proof)
        .replace("\"PENDING\"", "\"VALID\"")
}

#[tokio::test]
async fn a_random_value_that_the_ca_says_it_has_not_counts_as_ended() {
    let words = "There is no valid random value; reset the token first";
    let unchanged = pending(DOMAIN, "a.ch").replace(
        "\"status\"",
        &format!("\"validationResult\":\"{words}\",\"status\""),
    );
    for answers in [
        vec![json(200, unchanged)],
        vec![
            json(400, api_error(words)),
            json(200, pending(DOMAIN, "a.ch")),
        ],
    ] {
        let server = Server::turns(answers).await;
        let registration = client(&server).submit(DOMAIN).await.unwrap().registration;
        assert!(registration.token.unwrap().expired);
    }
    // In a renewal, too: the old proof still counts, and the value that is to make the next one does
    // not.
    let renewing = unchanged_valid(words);
    let server = Server::turns(vec![json(200, renewing)]).await;
    let registration = client(&server).submit(DOMAIN).await.unwrap().registration;
    assert!(registration.token.unwrap().expired);
    // A listing repeats the words of long ago; there they say nothing about the value of today.
    let server = Server::always(json(200, pending(DOMAIN, "a.ch"))).await;
    let registration = client(&server).get(DOMAIN).await.unwrap();
    assert!(!registration.token.unwrap().expired);
}

#[tokio::test]
async fn not_seen_yet_of_an_entry_that_cannot_be_read_keeps_what_was_said() {
    let said = || json(400, api_error("TXT not found"));
    for (then, failure) in [
        (json(404, api_error("gone")), Failure::NotFound),
        (json(200, "<"), Failure::Unavailable),
    ] {
        let server = Server::turns(vec![said(), then]).await;
        let error = client(&server).submit(DOMAIN).await.unwrap_err();
        assert_eq!(error.failure, failure);
        assert!(error.message.contains("TXT not found"), "{error}");
    }
}

#[tokio::test]
async fn an_unreadable_entry_costs_the_list_only_itself() {
    let body = format!(
        r#"[{}, {{"uuid":"cld-2"}}, {{"domain":"no.uuid.ch"}}, 7, {{"uuid":"cld-3","domain":"not a name"}}, {}]"#,
        pending("cld-1", "a.ch"),
        pending("cld-4", "EXAMPLE.ch.")
    );
    let listing = client(&Server::always(json(200, body)).await)
        .list(CLIENT)
        .await
        .unwrap();
    let names: Vec<&str> = listing
        .registrations
        .domains()
        .map(|domain| domain.as_str())
        .collect();
    assert_eq!(names, ["a.ch", "example.ch"]);
    assert_eq!(listing.unreadable.len(), 4);
    assert!(
        listing.unreadable[0].contains("cld-2") && listing.unreadable[1].contains("no.uuid.ch")
    );
    assert_eq!(listing.read_at, NOW.parse().unwrap());
}

#[tokio::test]
async fn of_two_entries_for_one_name_the_valid_one_that_lasts_longest_counts_and_the_other_is_reported()
 {
    let old = pending("cld-old", "a.ch").replace("2026-11-21T11:00:00.5Z", "2026-11-01T00:00:00Z");
    for (entries, chosen) in [
        (
            vec![
                pending("cld-p", "a.ch"),
                valid("cld-v", "A.ch", "2027-01-01T00:00:00Z"),
            ],
            "cld-v",
        ),
        (
            vec![
                valid("cld-long", "a.ch", "2027-03-01T00:00:00Z"),
                valid("cld-v", "a.ch", "2027-01-01T00:00:00Z"),
            ],
            "cld-long",
        ),
        (vec![pending("cld-new", "a.ch"), old.clone()], "cld-new"),
        (vec![old, pending("cld-new", "a.ch")], "cld-new"),
    ] {
        let server = Server::always(json(200, format!("[{}]", entries.join(",")))).await;
        let listing = client(&server).list(CLIENT).await.unwrap();
        assert_eq!(listing.registrations.len(), 1);
        assert_eq!(listing.registrations.first().unwrap().reference, chosen);
        assert_eq!(listing.unreadable.len(), 1);
        assert!(
            listing.unreadable[0].contains("more than once"),
            "{:?}",
            listing.unreadable
        );
        assert_eq!(server.log().len(), 1, "nothing is deleted");
    }
}

#[tokio::test]
async fn a_list_that_is_no_list_is_not_an_empty_one() {
    for body in ["{}", "null", "{\"data\":[]}", ""] {
        let server = Server::always(json(200, body)).await;
        assert_eq!(
            client(&server).list(CLIENT).await.unwrap_err().failure,
            Failure::Malformed,
            "{body}"
        );
    }
}

#[tokio::test]
async fn deleting_is_believed_only_from_the_ca() {
    let server = Server::always(super::server::text(
        200,
        "text/html",
        "<html>welcome</html>",
    ))
    .await;
    assert!(
        client(&server)
            .delete(DOMAIN)
            .await
            .unwrap_err()
            .outcome_unknown()
    );
}
