//! Lists as the world sends them: one bad entry costs only itself, and there is an end to
//! everything.

use super::server::{Reply, Server, json};
use super::*;
use crate::ca::{ClientSelector, Failure, Validation};

fn listed(entries: &[String]) -> Reply {
    json(200, format!("[{}]", entries.join(",")))
}

fn entry(number: usize, more: &str) -> String {
    let end = "2027-03-01T00:00:00Z";
    let whole = valid(&format!("cld-{number}"), &format!("d{number}.ch"), end);
    format!("{{{more}{}", &whole[1..])
}

#[tokio::test]
async fn text_that_breaks_the_rules_costs_only_its_place_and_is_named() {
    for bad in [
        r#""note":"\ud83d","#,
        r#""note":"\udc00x","#,
        r#""note":"\q","#,
        "\"note\":\"a\nb\",",
        r#""n":1e999,"#,
    ] {
        let server = Server::always(listed(&[entry(1, ""), entry(2, bad), entry(3, "")])).await;
        let listing = client(&server).list(CLIENT).await.unwrap();
        assert_eq!(listing.registrations.len(), 3, "{bad}");
        assert!(
            listing.unreadable[0].contains("d2.ch (cld-2)"),
            "{:?}",
            listing.unreadable
        );
        let doubt = listing.registrations.iter().nth(1).unwrap().doubt.unwrap();
        assert!(doubt.contains("not JSON throughout"), "{doubt}");
    }
}

#[tokio::test]
async fn an_entry_that_is_no_json_at_all_costs_only_itself_and_is_named() {
    let end = "2027-03-01T00:00:00Z";
    let whole = valid("cld-2", "d2.ch", end);
    for bad in [
        whole.replace("\"validated\":true", "\"validated\":yes"),
        "7".to_owned(),
        "{}".to_owned(),
        "null".to_owned(),
        format!("{}1{}", "[".repeat(500), "]".repeat(500)),
        format!(
            "{{\"uuid\":\"cld-2\",\"domain\":\"d2.ch\",\"x\":\"{}\"}}",
            "y".repeat(70_000)
        ),
    ] {
        let server = Server::always(listed(&[entry(1, ""), bad.clone(), entry(3, "")])).await;
        let listing = client(&server).list(CLIENT).await.unwrap();
        assert_eq!(listing.registrations.len(), 2);
        assert_eq!(listing.unreadable.len(), 1);
        let excerpt: String = bad.chars().take(12).collect();
        assert!(
            listing.unreadable[0].contains(&excerpt),
            "{:?}",
            listing.unreadable
        );
    }
}

#[tokio::test]
async fn octets_that_are_not_utf8_cost_only_their_entry() {
    let mut body = format!("[{},", entry(1, "\"note\":\"x\",")).into_bytes();
    let at = body
        .windows(5)
        .position(|five| five == b"\"x\",\"")
        .unwrap();
    body[at + 1] = 0xff;
    body.extend(entry(2, "").into_bytes());
    body.push(b']');
    let reply = Reply::Full(200, vec![("content-type", "application/json".into())], body);
    let server = Server::always(reply).await;
    let listing = client(&server).list(CLIENT).await.unwrap();
    assert_eq!(listing.registrations.len(), 2);
}

#[tokio::test]
async fn the_list_of_clients_and_the_answer_to_register_survive_a_bad_entry_too() {
    let page = format!(
        r#"{{"draw":1,"recordsTotal":3,"data":[{{"uuid":"cli-0","name":}},{{"uuid":"cli-9","name":"\ud83d"}},{{"uuid":"{CLIENT}","name":"Example Ltd"}}]}}"#
    );
    let server = Server::always(json(200, page)).await;
    let selector = ClientSelector::Name("Example Ltd".into());
    assert_eq!(
        client(&server)
            .find_client(&selector)
            .await
            .unwrap()
            .reference,
        CLIENT
    );

    let body = format!(
        "[{{\"uuid\":}}, {}]",
        pending(DOMAIN, "a.ch").replace("\"a.ch\",\"validated", "\"\\ud83d\",\"validated")
    );
    let server = Server::always(json(200, body)).await;
    let outcome = client(&server)
        .register(CLIENT, &[name("a.ch")])
        .await
        .remove(0)
        .1;
    assert_eq!(outcome.unwrap().reference, DOMAIN);
}

#[tokio::test]
async fn a_list_of_which_most_cannot_be_read_is_refused_and_few_are_told_of_many() {
    let bad = |count: usize| vec!["[]".to_owned(); count];
    let mut entries = bad(30);
    entries.extend((0..40).map(|number| entry(number, "")));
    let server = Server::always(listed(&entries)).await;
    let listing = client(&server).list(CLIENT).await.unwrap();
    assert_eq!(listing.registrations.len(), 40);
    assert_eq!(listing.unreadable.len(), 25);
    assert_eq!(listing.unreadable[24], "and 6 more of its entries");

    entries.extend(bad(30));
    let server = Server::always(listed(&entries)).await;
    let error = client(&server).list(CLIENT).await.unwrap_err();
    assert_eq!(error.failure, Failure::Malformed);
    assert!(error.message.contains("60 of the 100 entries"), "{error}");
}

#[tokio::test]
async fn a_list_without_end_is_cut_short_in_time_and_memory() {
    let list = format!("[{}[]]", "[],".repeat(5_000_000));
    let server = Server::always(json(200, list)).await;
    let error = client(&server).list(CLIENT).await.unwrap_err();
    assert_eq!(error.failure, Failure::Malformed);
    assert!(
        error.message.contains("more than 200000 entries"),
        "{error}"
    );

    let list = format!("[\"{}\"]", "eyJ".repeat(2_000_000));
    let server = Server::always(json(200, list)).await;
    let began = std::time::Instant::now();
    let listing = client(&server).list(CLIENT).await.unwrap();
    assert!(began.elapsed() < std::time::Duration::from_secs(20));
    assert!(listing.registrations.is_empty() && listing.unreadable.len() == 1);
}
