//! The list page by page, and domains that are created.

use super::*;
use prevalidate::ca::Failure;
use prevalidate::prevalidation::Status;
use prevalidate::sandbox::sectigo::{Delegation, Fault, What};

async fn with_domains(count: usize, change: impl FnOnce(&mut Behaviour)) -> Lab {
    let lab = Lab::start(Method::Cname, change).await;
    for number in 0..count {
        lab.scm
            .add_domain(&format!("d{number:03}.test"), ORGANISATION);
    }
    lab
}

fn pages(lab: &Lab) -> usize {
    lab.scm.count("/dcv/v1/validation")
}

#[tokio::test]
async fn every_row_is_listed_with_as_few_calls_as_the_total_allows() {
    let client = ORGANISATION.to_string();
    for (rows, with_total, without) in [
        (0, 1, 1),
        (1, 1, 1),
        (199, 1, 1),
        (200, 1, 2),
        (201, 2, 2),
        (400, 2, 3),
    ] {
        for (shows_total, calls) in [(true, with_total), (false, without)] {
            let lab = with_domains(rows, |behaviour| behaviour.shows_total = shows_total).await;
            let listing = lab.ca.list(&client).await.unwrap();
            assert_eq!(listing.registrations.len(), rows);
            assert_eq!(listing.unreadable, Vec::<String>::new());
            assert_eq!(pages(&lab), calls, "{rows} rows, total: {shows_total}");
        }
    }
}

#[tokio::test]
async fn rows_that_are_counted_and_not_shown_are_told() {
    let lab = with_domains(400, |behaviour| behaviour.counts_too_many = 1).await;
    let listing = lab.ca.list(&ORGANISATION.to_string()).await.unwrap();
    assert_eq!(listing.registrations.len(), 400);
    assert_eq!(
        listing.unreadable,
        ["Sectigo counts 401 rows and showed 400"]
    );
    assert_eq!(pages(&lab), 3);
}

#[tokio::test]
async fn a_list_that_repeats_itself_is_refused_and_ends() {
    let lab = with_domains(300, |behaviour| behaviour.repeats_pages = true).await;
    let error = lab.ca.list(&ORGANISATION.to_string()).await.unwrap_err();
    assert_eq!(error.failure, Failure::Malformed);
    assert!(
        error.message.contains("repeats itself from row 400"),
        "{error}"
    );
    assert_eq!(pages(&lab), 2);
}

#[tokio::test]
async fn a_row_without_date_and_method_counts_and_a_wildcard_entry_follows_its_domain() {
    let lab = Lab::start(Method::Cname, |behaviour| {
        behaviour.bare_rows = true;
        behaviour.wildcard_rows = true;
    })
    .await;
    lab.domain("a.test");
    lab.scm.prove("a.test", SignedDuration::from_hours(24 * 10));
    let listing = lab.ca.list(&ORGANISATION.to_string()).await.unwrap();
    assert_eq!(
        (listing.registrations.len(), listing.unreadable.len()),
        (1, 0)
    );
    let found = listing.registrations.first().unwrap();
    assert_eq!(found.status, Status::Valid);
    let until = found.usable_until(
        &prevalidate::prevalidation::ReuseTable::sectigo(),
        lab.now(),
    );
    assert!(until.is_some(), "a missing date is no no");
}

#[tokio::test]
async fn a_list_that_is_not_allowed_says_what_is_missing() {
    let client = ORGANISATION.to_string();
    let lab = Lab::start(Method::Cname, |behaviour| behaviour.no_right = true).await;
    let error = lab.ca.list(&client).await.unwrap_err();
    assert_eq!(error.failure, Failure::Forbidden);
    assert!(error.hint.unwrap().contains("allowDCV"));
    let lab = Lab::start(Method::Cname, |behaviour| behaviour.dcv_off = true).await;
    let error = lab.ca.list(&client).await.unwrap_err();
    assert!(
        error.message.contains("switched off for this customer"),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_domain_is_created_only_where_the_configuration_says_so() {
    let client = ORGANISATION.to_string();
    let lab = Lab::start(Method::Cname, |_| {}).await;
    let strict = lab.other(|settings| settings.creation.clear());
    let names = [name("new.test")];
    let error = strict
        .register(&client, &names)
        .await
        .remove(0)
        .1
        .unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    assert!(error.hint.unwrap().contains("create_domains"));
    assert!(lab.scm.log().iter().all(|request| request.method == "GET"));
    let found = lab.ca.register(&client, &names).await.remove(0).1.unwrap();
    assert_eq!(found.domain, names[0]);
    strict.register(&client, &names).await.remove(0).1.unwrap();
}

#[tokio::test]
async fn a_domain_below_one_that_sectigo_has_is_not_created() {
    let client = ORGANISATION.to_string();
    let lab = Lab::start(Method::Cname, |_| {}).await;
    lab.scm.add_domain("there.test", ORGANISATION);
    let names = [name("a.b.there.test")];
    let refused = lab.ca.register(&client, &names).await.remove(0).1;
    let error = refused.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    assert!(error.message.contains("Sectigo has there.test"), "{error}");
    assert!(error.hint.unwrap().contains("List there.test"));
    assert!(lab.scm.log().iter().all(|request| request.method == "GET"));
}

#[tokio::test]
async fn a_delegation_that_waits_for_a_person_is_said_to_wait_and_goes_on_when_approved() {
    let client = ORGANISATION.to_string();
    let lab = Lab::start(Method::Cname, |behaviour| {
        behaviour.delegation = Delegation::Requested;
    })
    .await;
    let names = [name("new.test")];
    for _ in 0..2 {
        let error = lab
            .ca
            .register(&client, &names)
            .await
            .remove(0)
            .1
            .unwrap_err();
        assert_eq!(error.failure, Failure::Forbidden, "held, not an error loop");
        assert!(error.message.contains("REQUESTED"), "{error}");
        assert!(error.hint.unwrap().contains("approveDomainDelegation"));
    }
    let created = lab.scm.log();
    let created = created.iter().filter(|request| request.status == 201);
    assert_eq!(created.count(), 1);
    lab.scm.approve();
    lab.ca.register(&client, &names).await.remove(0).1.unwrap();
}

#[tokio::test]
async fn creating_without_the_right_names_the_right() {
    let client = ORGANISATION.to_string();
    for (delegation, words) in [
        (Delegation::NoRight, "allowManageDomains"),
        (Delegation::WebApiOff, "Web API"),
    ] {
        let lab = Lab::start(Method::Cname, |behaviour| behaviour.delegation = delegation).await;
        let error = lab
            .ca
            .register(&client, &[name("new.test")])
            .await
            .remove(0)
            .1;
        let error = error.unwrap_err();
        assert_eq!(error.failure, Failure::Forbidden);
        assert!(error.hint.unwrap().contains(words));
    }
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_found_and_not_repeated() {
    let client = ORGANISATION.to_string();
    let lab = Lab::start(Method::Cname, |_| {}).await;
    lab.scm.fault(Fault {
        on: "POST /domain/v1".to_owned(),
        times: 1,
        what: What::DoneButLost,
    });
    let names = [name("new.test")];
    let error = lab.ca.register(&client, &names).await.remove(0).1;
    assert!(error.unwrap_err().outcome_unknown());
    assert_eq!(lab.ca.list(&client).await.unwrap().registrations.len(), 1);
    lab.ca.register(&client, &names).await.remove(0).1.unwrap();
    assert_eq!(lab.ca.list(&client).await.unwrap().registrations.len(), 1);
}
