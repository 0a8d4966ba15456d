//! Registering: batches, bad names among good ones, lost answers.

use std::time::Duration;

use super::server::{Reply, Request, Server, json};
use super::*;
use crate::ca::{CaError, Failure, Validation};
use crate::prevalidation::Registration;

type Outcomes = Vec<(DomainName, Result<Registration, CaError>)>;

fn names(count: usize) -> Vec<DomainName> {
    (0..count)
        .map(|i| name(&format!("d{i}.example.ch")))
        .collect()
}

/// Each outcome as its failure, by name.
fn failures(outcomes: &Outcomes) -> Vec<(&str, Option<Failure>)> {
    outcomes
        .iter()
        .map(|(name, outcome)| {
            (
                name.as_str(),
                outcome.as_ref().err().map(|error| error.failure),
            )
        })
        .collect()
}

/// Registers all that is asked for.
fn registered(request: &Request) -> Reply {
    let entries: Vec<String> = request
        .names()
        .iter()
        .map(|name| pending(&format!("cld-{}", name.replace('.', "-")), name))
        .collect();
    json(200, format!("[{}]", entries.join(",")))
}

#[tokio::test]
async fn names_are_sent_as_a_labels_and_found_by_name_in_whatever_order() {
    let server = Server::always(json(
        200,
        format!(
            "[{}, {}]",
            pending("cld-b", "B.example.CH."),
            pending("cld-a", "XN--DJ-KIA8A.vu.com")
        ),
    ))
    .await;
    let asked = [name("déjà.vu.com"), name("b.example.ch")];
    let outcomes = client(&server).register(CLIENT, &asked).await;
    assert_eq!(
        server.log()[0].names(),
        ["xn--dj-kia8a.vu.com", "b.example.ch"]
    );
    assert_eq!(
        server.paths(),
        [format!("/v2/client/domain/{CLIENT}/register")]
    );
    let got: Vec<(&DomainName, &str)> = outcomes
        .iter()
        .map(|(name, outcome)| (name, outcome.as_ref().unwrap().reference.as_str()))
        .collect();
    assert_eq!(got, [(&asked[0], "cld-a"), (&asked[1], "cld-b")]);
    assert_eq!(
        outcomes[0]
            .1
            .as_ref()
            .unwrap()
            .token
            .as_ref()
            .unwrap()
            .value,
        format!("swiss-pki={TOKEN}")
    );
}

#[tokio::test]
async fn a_name_left_out_of_the_answer_fails_alone_and_is_not_known() {
    let server = Server::always(json(
        200,
        format!("[{}]", pending("cld-1", "d1.example.ch")),
    ))
    .await;
    let outcomes = client(&server).register(CLIENT, &names(3)).await;
    let unknown = Some(Failure::Unknown);
    assert_eq!(
        failures(&outcomes),
        [
            ("d0.example.ch", unknown),
            ("d1.example.ch", None),
            ("d2.example.ch", unknown)
        ]
    );
    assert!(
        outcomes[0]
            .1
            .as_ref()
            .unwrap_err()
            .message
            .contains("register d0.example.ch")
    );
    assert_eq!(server.log().len(), 1);
}

#[tokio::test]
async fn a_name_that_the_ca_folds_to_another_is_refused_and_says_to_which() {
    let server = Server::always(json(
        200,
        format!(
            "[{}, {}]",
            pending("cld-1", "strasse.ch"),
            pending("cld-2", "a.ch")
        ),
    ))
    .await;
    let outcomes = client(&server)
        .register(CLIENT, &[name("straße.ch"), name("a.ch")])
        .await;
    assert_eq!(
        failures(&outcomes),
        [("xn--strae-oqa.ch", Some(Failure::Refused)), ("a.ch", None)]
    );
    let message = &outcomes[0].1.as_ref().unwrap_err().message;
    assert!(
        message.contains("strasse.ch") && message.contains("cld-1"),
        "{message}"
    );

    // Alone, any other name is a stranger, whatever made it.
    let server = Server::always(json(200, format!("[{}]", pending("cld-1", "www.a.ch")))).await;
    let outcomes = client(&server).register(CLIENT, &[name("a.ch")]).await;
    assert_eq!(failures(&outcomes), [("a.ch", Some(Failure::Refused))]);
}

#[tokio::test]
async fn one_bad_name_costs_only_itself() {
    let server = Server::start(|request, _| {
        if request.names().iter().any(|name| name == "d17.example.ch") {
            json(400, api_error("Invalid domain"))
        } else {
            registered(request)
        }
    })
    .await;
    let outcomes = client(&server).register(CLIENT, &names(50)).await;
    let failed: Vec<_> = failures(&outcomes)
        .into_iter()
        .filter(|(_, failure)| failure.is_some())
        .collect();
    assert_eq!(failed, [("d17.example.ch", Some(Failure::Refused))]);
    assert_eq!(outcomes.len(), 50);
    assert!(
        server.log().len() <= 13,
        "{} calls: halving, not one by one",
        server.log().len()
    );
    let order: Vec<&DomainName> = outcomes.iter().map(|(name, _)| name).collect();
    assert_eq!(order, names(50).iter().collect::<Vec<_>>());
}

#[tokio::test]
async fn many_names_go_in_several_calls() {
    let server = Server::start(|request, _| registered(request)).await;
    let ca = client(&server);
    let outcomes = ca.register(CLIENT, &names(120)).await;
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    let batch = ca.kind().register_batch;
    assert_eq!(
        server
            .log()
            .iter()
            .map(|request| request.names().len())
            .collect::<Vec<_>>(),
        [batch, batch, 120 - 2 * batch]
    );
}

#[tokio::test]
async fn nothing_is_sent_twice_after_a_lost_answer() {
    for lost in [
        Reply::Drop,
        json(500, ""),
        Reply::Cut(200, vec![b'['; 50], 1),
        json(200, "<html>"),
    ] {
        let server = Server::start(move |request, _| {
            if request.names().contains(&"d0.example.ch".to_owned()) {
                lost.clone()
            } else {
                registered(request)
            }
        })
        .await;
        let outcomes = client(&server).register(CLIENT, &names(60)).await;
        assert_eq!(server.log().len(), 2);
        assert!(
            outcomes[..50]
                .iter()
                .all(|(_, outcome)| outcome.as_ref().unwrap_err().outcome_unknown())
        );
        assert!(outcomes[50..].iter().all(|(_, outcome)| outcome.is_ok()));
    }
}

#[tokio::test]
async fn an_answer_lost_while_halving_leaves_only_its_half_unknown() {
    let server = Server::turns(vec![
        json(400, api_error("Invalid domain")),
        Reply::Drop,
        json(200, "[]"),
    ])
    .await;
    let outcomes = client(&server).register(CLIENT, &names(4)).await;
    assert_eq!(
        server
            .log()
            .iter()
            .map(|request| request.names().len())
            .collect::<Vec<_>>(),
        [4, 2, 2]
    );
    assert_eq!(outcomes.len(), 4);
    assert!(
        outcomes
            .iter()
            .all(|(_, outcome)| outcome.as_ref().unwrap_err().failure == Failure::Unknown)
    );
}

#[tokio::test]
async fn a_throttled_account_is_not_pressed_with_the_rest() {
    let server = Server::always(json(429, "").with("retry-after", "9")).await;
    let outcomes = client(&server).register(CLIENT, &names(120)).await;
    assert_eq!(server.log().len(), 1);
    assert_eq!(outcomes.len(), 120);
    assert!(
        outcomes
            .iter()
            .all(|(_, o)| o.as_ref().unwrap_err().retry_after == Some(Duration::from_secs(9)))
    );
}

#[tokio::test]
async fn a_name_that_exists_already_is_to_be_read_not_held() {
    for (refusal, failure) in [
        (
            json(400, api_error("Domain already registered for client")),
            Failure::Unknown,
        ),
        (json(400, api_error("Duplicate entry")), Failure::Unknown),
        (json(409, ""), Failure::Unknown),
        (
            json(400, api_error("Client does not exist")),
            Failure::Refused,
        ),
        (json(400, api_error("Invalid domain")), Failure::Refused),
    ] {
        let server = Server::always(refusal).await;
        let outcomes = client(&server).register(CLIENT, &names(1)).await;
        assert_eq!(failures(&outcomes), [("d0.example.ch", Some(failure))]);
        assert_eq!(server.log().len(), 1);
    }
}

#[tokio::test]
async fn of_two_entries_for_a_registered_name_one_is_taken() {
    let body = format!(
        "[{}, {}]",
        pending("cld-p", "d0.example.ch"),
        valid("cld-v", "d0.example.ch", "2027-01-01T00:00:00Z")
    );
    let outcomes = client(&Server::always(json(200, body)).await)
        .register(CLIENT, &names(1))
        .await;
    assert_eq!(outcomes[0].1.as_ref().unwrap().reference, "cld-v");
}

#[tokio::test]
async fn no_names_make_no_call() {
    let server = Server::always(json(200, "[]")).await;
    assert!(client(&server).register(CLIENT, &[]).await.is_empty());
    assert!(server.log().is_empty());
}
