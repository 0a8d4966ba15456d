//! Finding the client by name or reference.

use super::server::{Server, json};
use super::*;
use crate::ca::{ClientSelector, Failure, Validation};

fn by_name(text: &str) -> ClientSelector {
    ClientSelector::Name(text.to_owned())
}

fn page(total: Option<usize>, clients: &[(&str, &str)]) -> String {
    let entries: Vec<String> = clients
        .iter()
        .map(|(id, name)| format!(r#"{{"uuid":"{id}","name":"{name}"}}"#))
        .collect();
    let total = total.map_or(String::new(), |total| {
        format!(r#""recordsFiltered":{total},"#)
    });
    format!(r#"{{"draw":1,{total}"data":[{}]}}"#, entries.join(","))
}

#[tokio::test]
async fn a_reference_is_read_directly() {
    let server = Server::always(json(
        200,
        format!(r#"{{"uuid":"{CLIENT}","name":"Muster AG","products":[1]}}"#),
    ))
    .await;
    let found = client(&server)
        .find_client(&ClientSelector::Reference(CLIENT.to_owned()))
        .await
        .unwrap();
    assert_eq!(
        (found.reference.as_str(), found.name.as_str()),
        (CLIENT, "Muster AG")
    );
    assert_eq!(server.paths(), [format!("/v2/client/{CLIENT}")]);
}

#[tokio::test]
async fn a_wrong_reference_says_what_to_check() {
    for (reply, failure) in [
        (json(404, api_error("none")), Failure::NotFound),
        (json(403, ""), Failure::Forbidden),
    ] {
        let server = Server::always(reply).await;
        let error = client(&server)
            .find_client(&ClientSelector::Reference(CLIENT.to_owned()))
            .await
            .unwrap_err();
        assert_eq!(error.failure, failure);
        assert!(error.hint.unwrap().contains("Check the reference"));
    }
}

#[tokio::test]
async fn an_exact_name_means_itself_and_not_what_the_search_finds_beside_it() {
    let server = Server::always(json(
        200,
        page(
            Some(2),
            &[("cli-1", "Muster AG"), ("cli-2", "Muster AG Zürich")],
        ),
    ))
    .await;
    let found = client(&server)
        .find_client(&by_name("Muster AG"))
        .await
        .unwrap();
    assert_eq!(found.reference, "cli-1");
    assert_eq!(
        server.paths(),
        ["/v2/clients/paged?search=Muster%20AG&length=300&start=0"]
    );
}

#[tokio::test]
async fn several_clients_are_listed_and_none_is_explained() {
    let two = || {
        json(
            200,
            page(Some(2), &[("cli-1", "Muster AG"), ("cli-2", "Muster GmbH")]),
        )
    };
    let error = client(&Server::always(two()).await)
        .find_client(&by_name("Muster*"))
        .await
        .unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    assert!(
        error
            .message
            .ends_with("2 clients fit: `Muster AG` (cli-1), `Muster GmbH` (cli-2)"),
        "{error}"
    );

    let found = client(&Server::always(two()).await)
        .find_client(&by_name("muster ?mbh"))
        .await
        .unwrap();
    assert_eq!(found.reference, "cli-2");

    let error = client(&Server::always(two()).await)
        .find_client(&by_name("muster ag"))
        .await
        .unwrap_err();
    assert_eq!(error.failure, Failure::NotFound);
    assert!(
        error.message.contains("it did find `Muster AG` (cli-1)"),
        "{error}"
    );
    assert!(error.hint.unwrap().contains("exact"));

    let error = client(&Server::always(json(200, page(Some(0), &[]))).await)
        .find_client(&by_name("x"))
        .await
        .unwrap_err();
    assert!(
        error
            .message
            .ends_with("no client of this name is visible to `robot`"),
        "{error}"
    );
}

#[tokio::test]
async fn a_search_goes_on_beyond_the_first_page_with_and_without_a_total() {
    for total in [Some(650), None] {
        let server = Server::start(move |request, _| {
            let start: usize = request
                .path()
                .rsplit_once("start=")
                .unwrap()
                .1
                .parse()
                .unwrap();
            let clients: Vec<(String, String)> = (start..650.min(start + 300))
                .map(|i| (format!("cli-{i}"), format!("Client {i}")))
                .collect();
            let clients: Vec<(&str, &str)> = clients
                .iter()
                .map(|(id, name)| (id.as_str(), name.as_str()))
                .collect();
            json(200, page(total, &clients))
        })
        .await;
        let found = client(&server)
            .find_client(&by_name("Client 649"))
            .await
            .unwrap();
        assert_eq!(found.reference, "cli-649");
    }
}

#[tokio::test]
async fn a_search_that_repeats_its_first_page_ends() {
    let server = Server::always(json(200, page(Some(9999), &[("cli-1", "A")]))).await;
    assert_eq!(
        client(&server)
            .find_client(&by_name("A"))
            .await
            .unwrap()
            .reference,
        "cli-1"
    );
    assert_eq!(server.log().len(), 2);
}
