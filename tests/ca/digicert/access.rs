//! Keys, and what happens when the answer does not come from the API.

use super::*;
use prevalidate::sandbox::digicert::Rights;

#[tokio::test]
async fn a_key_that_is_wrong_or_of_the_other_region_is_shown_once_and_then_left_alone() {
    let lab = Lab::start(|_| {}).await;
    let wrong = lab.other(|settings| settings.api_key = secret("WRONG"));
    for _ in 0..3 {
        let error = wrong.list(&client()).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unauthenticated);
        let code = "access_denied|access_denied_invalid_key";
        assert!(error.message.contains(code), "{error}");
        assert!(error.message.contains("403"), "{error}");
        let hint = error.hint.unwrap();
        assert!(hint.contains("certcentral.digicert.eu"), "{hint}");
    }
    assert_eq!(lab.cc.log().len(), 1);
    lab.clock.advance(SignedDuration::from_mins(6));
    wrong.list(&client()).await.unwrap_err();
    assert_eq!(lab.cc.log().len(), 2);
}

#[tokio::test]
async fn a_key_that_was_replaced_is_read_again() {
    let lab = Lab::start(|_| {}).await;
    let reads = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = Arc::clone(&reads);
    let rolled = lab.other(|settings| {
        settings.api_key = Arc::new(move || {
            let old = counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            Ok(SecretString::from(if old { "OLD" } else { KEY }))
        });
    });
    rolled.list(&client()).await.unwrap();
    rolled.list(&client()).await.unwrap();
    assert_eq!(reads.load(std::sync::atomic::Ordering::SeqCst), 2);
    let statuses: Vec<_> = lab.cc.log().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [403, 200, 200]);
}

#[tokio::test]
async fn a_view_only_key_reads_everything_and_a_change_says_what_is_missing() {
    let lab = Lab::start(|behaviour| behaviour.rights = Rights::ViewOnly).await;
    let id = lab.proven("a.test", DAY * 180);
    let selector = ClientSelector::Name(TITLE.to_owned());
    assert_eq!(
        lab.ca.find_client(&selector).await.unwrap().reference,
        client()
    );
    let listing = lab.ca.list(&client()).await.unwrap();
    assert_eq!(listing.registrations.len(), 1);
    lab.ca.get(&id).await.unwrap();
    for error in [
        lab.ca.start(&id).await.unwrap_err(),
        lab.ca.submit(&id).await.unwrap_err(),
        lab.ca.delete(&id).await.unwrap_err(),
        lab.added("new.test").await.unwrap_err(),
    ] {
        assert_eq!(error.failure, Failure::Forbidden, "{error}");
        assert!(!error.is_account_wide(), "reads continue");
        let hint = error.hint.unwrap();
        assert!(hint.contains("Orders, Domains, Organizations"), "{hint}");
        assert!(hint.contains("View Only"), "{hint}");
    }
    lab.ca.list(&client()).await.unwrap();
}

#[tokio::test]
async fn a_key_for_orders_only_is_told_what_it_lacks() {
    let lab = Lab::start(|behaviour| behaviour.rights = Rights::Orders).await;
    let error = lab.ca.list(&client()).await.unwrap_err();
    assert_eq!(error.failure, Failure::Forbidden);
    assert!(
        error
            .hint
            .unwrap()
            .contains("Orders, Domains, Organizations")
    );
}

#[tokio::test]
async fn pages_of_the_network_before_the_api_and_empty_answers_are_no_proof_of_anything() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.proven("a.test", DAY * 180);
    let fault = |on: &str, times, what| {
        lab.cc.fault(Fault {
            on: on.to_owned(),
            times,
            what,
        });
    };
    for what in [What::Page(503), What::Empty(500), What::Empty(406)] {
        let tries = if what == What::Empty(406) { 1 } else { 3 };
        fault("/domain", tries, what);
        let error = lab.ca.list(&client()).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unavailable, "{what:?}: {error}");
    }
    for what in [What::Page(200), What::Empty(200), What::Page(404)] {
        fault("", 1, what);
        let error = lab.ca.get(&id).await.unwrap_err();
        assert_eq!(error.failure, Failure::Malformed, "{what:?}: {error}");
    }
    fault("", 1, What::Page(403));
    let error = lab.ca.get(&id).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable, "it is over later");
    assert!(
        error.hint.unwrap().contains("network"),
        "no key is refused here"
    );
    for what in [
        What::Page(503),
        What::Page(403),
        What::Empty(403),
        What::Page(200),
        What::Empty(200),
        What::Empty(500),
        What::DoneButLost,
    ] {
        fault("/validation", 1, what);
        let error = lab.ca.start(&id).await.unwrap_err();
        assert!(error.outcome_unknown(), "{what:?}: {error}");
    }
    // One of them was made: it is found and gone on with.
    let submissions = lab.cc.count("POST", "/validation");
    lab.ca.start(&id).await.unwrap();
    assert_eq!(lab.cc.count("POST", "/validation"), submissions);
}

#[tokio::test]
async fn in_a_storm_of_429_the_waits_grow_to_the_length_of_the_window() {
    let lab = Lab::start(|_| {}).await;
    lab.cc.fault(Fault {
        on: String::new(),
        times: 5,
        what: What::Throttled,
    });
    let mut waits = Vec::new();
    for made in 1..=5 {
        let error = lab.ca.list(&client()).await.unwrap_err();
        assert_eq!(error.failure, Failure::Throttled, "never a wrong login");
        let wait = error.retry_after.unwrap();
        waits.push(wait.as_secs());
        // Whatever it is about, no other call of the account is made meanwhile.
        for error in [
            lab.ca.get("1").await.unwrap_err(),
            lab.ca.submit("2").await.unwrap_err(),
            lab.added("new.test").await.unwrap_err(),
        ] {
            assert_eq!(error.failure, Failure::Throttled, "{error}");
            assert!(!error.outcome_unknown(), "{error}");
            assert_eq!(error.retry_after, Some(wait));
        }
        assert_eq!(lab.cc.log().len(), made, "no call into the storm");
        lab.clock.advance(SignedDuration::try_from(wait).unwrap());
    }
    assert_eq!(waits, [5, 30, 180, 180, 180]);
    lab.ca.list(&client()).await.unwrap();
    lab.cc.fault(Fault {
        on: String::new(),
        times: 1,
        what: What::Throttled,
    });
    let error = lab.ca.list(&client()).await.unwrap_err();
    assert_eq!(error.retry_after.unwrap().as_secs(), 5, "it begins again");
}

#[tokio::test]
async fn five_calls_a_second_stay_below_both_limits() {
    let lab = Lab::start(|behaviour| behaviour.limits = true).await;
    // A second's worth at once, then five in each second.
    for call in 0..930 {
        lab.ca.list(&client()).await.unwrap();
        if call >= 5 {
            lab.clock.advance(SignedDuration::from_millis(200));
        }
    }
    for _ in 0..110 {
        let _ = lab.ca.list(&client()).await;
    }
    let refused = lab.cc.log().iter().filter(|one| one.status == 429).count();
    assert!(refused > 0, "the sandbox holds the limits");
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_sent() {
    let lab = Lab::start(|_| {}).await;
    let refused = |change: &dyn Fn(&mut Settings), words: &str| {
        let mut settings = lab.settings.clone();
        change(&mut settings);
        let error = DigiCert::new(settings, Arc::new(lab.clock.clone())).unwrap_err();
        assert_eq!(error.failure, Failure::Settings);
        assert!(error.message.contains(words), "{error}");
    };
    refused(
        &|settings| (settings.method, settings.label) = (Method::Cname, Label::Apex),
        "hide every other record",
    );
    refused(
        &|settings| settings.reach.base = prevalidate::ca::digicert::URL.parse().unwrap(),
        "1000 calls in 3 minutes",
    );
    refused(
        &|settings| {
            settings.reach.base = "http://www.digicert.com/services/v2".parse().unwrap();
            settings.reach.rate = 5.0;
        },
        "https",
    );
    refused(
        &|settings| {
            settings.organisations[0]
                .1
                .validations
                .push("OV".to_owned())
        },
        "lower case",
    );
    for key in ["", " ", "a\nb"] {
        let ca = lab.other(|settings| settings.api_key = secret(key));
        let error = ca.list(&client()).await.unwrap_err();
        assert_eq!(error.failure, Failure::Settings, "{key:?}");
    }
    assert!(lab.cc.log().is_empty());
}

#[tokio::test]
async fn the_key_is_in_no_error_and_in_no_debug_text() {
    let lab = Lab::start(|_| {}).await;
    let shown: Result<_, CaError> = lab.ca.get("999").await;
    let text = format!("{shown:?} {:?} {:?}", lab.ca, lab.settings);
    assert!(!text.contains(KEY), "{text}");
}
