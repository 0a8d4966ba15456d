//! The list page by page, and organisations.

use super::*;
use prevalidate::prevalidation::Status;

async fn with_domains(count: usize, change: impl FnOnce(&mut Behaviour)) -> Lab {
    let lab = Lab::start(change).await;
    for number in 0..count {
        lab.cc
            .add_domain(&format!("d{number:04}.test"), ORGANISATION);
    }
    lab
}

#[tokio::test]
async fn every_row_is_listed_with_one_call_a_page() {
    for (rows, calls) in [(0, 1), (1, 1), (1000, 1), (1001, 2)] {
        let lab = with_domains(rows, |_| {}).await;
        let listing = lab.ca.list(&client()).await.unwrap();
        assert_eq!(listing.registrations.len(), rows);
        assert_eq!(listing.unreadable, Vec::<String>::new());
        assert_eq!(lab.cc.log().len(), calls, "{rows} rows");
    }
}

#[tokio::test]
async fn pages_that_are_shorter_than_asked_for_or_overlap_lose_and_double_nothing() {
    let lab = with_domains(250, |behaviour| behaviour.largest_page = 100).await;
    let listing = lab.ca.list(&client()).await.unwrap();
    assert_eq!((listing.registrations.len(), lab.cc.log().len()), (250, 3));
    let lab = with_domains(30, |behaviour| {
        behaviour.largest_page = 10;
        behaviour.overlapping_pages = true;
        behaviour.counts_too_many = 1;
    })
    .await;
    let listing = lab.ca.list(&client()).await.unwrap();
    assert_eq!(listing.registrations.len(), 30);
}

#[tokio::test]
async fn rows_that_are_counted_and_not_shown_are_told_and_a_list_without_end_ends() {
    let lab = with_domains(10, |behaviour| behaviour.counts_too_many = 2).await;
    let listing = lab.ca.list(&client()).await.unwrap();
    assert_eq!(listing.registrations.len(), 10);
    assert_eq!(
        listing.unreadable,
        ["DigiCert counts 12 rows and showed 10"]
    );
    let lab = with_domains(11, |behaviour| {
        behaviour.largest_page = 10;
        behaviour.repeats_pages = true;
    })
    .await;
    let listing = lab.ca.list(&client()).await.unwrap();
    assert_eq!(
        listing.unreadable,
        ["DigiCert counts 11 rows and showed 10"],
        "the second page is the first again"
    );
    let lab = with_domains(30, |behaviour| {
        behaviour.largest_page = 10;
        behaviour.repeats_pages = true;
    })
    .await;
    let error = lab.ca.list(&client()).await.unwrap_err();
    assert_eq!(error.failure, Failure::Malformed);
    assert!(error.message.contains("repeats itself"), "{error}");
    assert_eq!(lab.cc.log().len(), 2);
}

#[tokio::test]
async fn the_list_has_no_values_and_only_the_domains_of_the_organisation() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.domain("a.test");
    lab.cc.add_domain("b.test", OTHER);
    lab.started(&id).await;
    let listing = lab.ca.list(&client()).await.unwrap();
    let names: Vec<_> = listing.registrations.domains().collect();
    assert_eq!(names, [&name("a.test")]);
    assert_eq!(listing.registrations.first().unwrap().challenge, None);
    assert!(lab.ca.get(&id).await.unwrap().challenge.is_some());
}

#[tokio::test]
async fn an_end_that_moves_earlier_is_read_as_it_is_and_is_no_fault() {
    for dates in [Dates::Days, Dates::Civil, Dates::Instants] {
        let lab = Lab::start(|behaviour| {
            behaviour.dates = dates;
            behaviour.reuse_days = 397;
        })
        .await;
        let id = lab.proven("a.test", DAY * 100);
        let before = lab.ca.get(&id).await.unwrap();
        lab.cc.change(|behaviour| behaviour.reuse_days = 199);
        let listed = lab
            .ca
            .list(&client())
            .await
            .unwrap()
            .registrations
            .first()
            .unwrap();
        let found = lab.ca.get(&id).await.unwrap();
        let (old, new) = (before.proof.unwrap(), found.proof.unwrap());
        assert!(new.expires_at < old.expires_at);
        assert!(!new.is_newer_than(&old) && !old.is_newer_than(&new));
        let listed = listed.proof.unwrap();
        assert!(!listed.is_newer_than(&new) && !new.is_newer_than(&listed));
        assert_eq!(found.doubt, None);
        // 199 days are over: the date is in the past.
        lab.advance(DAY * 100);
        let found = lab.ca.get(&id).await.unwrap();
        assert_eq!(found.status, Status::Expired);
    }
}

#[tokio::test]
async fn an_unknown_word_and_a_contradiction_cost_nothing_where_the_dates_tell() {
    let lab = Lab::start(|behaviour| behaviour.status_word = Some("Napping".into())).await;
    let id = lab.proven("a.test", DAY);
    let found = lab.ca.get(&id).await.unwrap();
    assert_eq!(found.status, Status::Valid);
    assert!(found.doubt.unwrap().contains("napping"));
    lab.cc
        .change(|behaviour| behaviour.status_word = Some("pending".into()));
    let found = lab.ca.get(&id).await.unwrap();
    assert_eq!((found.status, found.challenge), (Status::Valid, None));
}

#[tokio::test]
async fn an_organisation_whose_validation_ends_first_is_warned_of() {
    let lab = Lab::start(|behaviour| behaviour.organisation_days = Some(20)).await;
    lab.proven("a.test", DAY);
    let listing = lab.ca.list(&client()).await.unwrap();
    let warning = &listing.warnings[0];
    assert!(
        warning.contains("`ov`") && warning.contains("2026-12-19"),
        "{warning}"
    );
    lab.cc
        .change(|behaviour| behaviour.organisation_days = Some(60));
    assert!(lab.ca.list(&client()).await.unwrap().warnings.is_empty());
    lab.cc
        .change(|behaviour| behaviour.organisation_days = None);
    assert!(lab.ca.list(&client()).await.unwrap().warnings.is_empty());
}

#[tokio::test]
async fn an_organisation_that_is_not_there_is_said_to_be_so() {
    let lab = Lab::start(|_| {}).await;
    for (reference, failure) in [("999", Failure::NotFound), ("cli-1", Failure::Refused)] {
        let selector = ClientSelector::Reference(reference.to_owned());
        let error = lab.ca.find_client(&selector).await.unwrap_err();
        assert_eq!(error.failure, failure, "{error}");
        assert!(error.hint.is_some());
    }
    let error = lab.ca.list("../order").await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    let error = lab.ca.get("7/deactivate").await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
}
