//! Logins: headers, tokens, and what happens when neither is taken.

use super::*;
use prevalidate::ca::{ClientSelector, Failure};
use prevalidate::sandbox::sectigo::{Fault, What};

#[tokio::test]
async fn a_wrong_login_is_tried_once_and_then_left_alone() {
    let lab = Lab::start(Method::Cname, |_| {}).await;
    let wrong = lab.other(|settings| {
        settings.login = Login::Password {
            user: USER.to_owned(),
            password: secret("wrong"),
            customer_uri: CUSTOMER.to_owned(),
        };
    });
    for _ in 0..3 {
        let error = wrong.get("a.test").await.unwrap_err();
        assert_eq!(error.failure, Failure::Unauthenticated);
        assert!(error.message.contains("-16: Unknown user"), "{error}");
        assert!(error.hint.unwrap().contains("counts against"));
    }
    assert_eq!(lab.scm.log().len(), 1, "each wrong login is counted");
    lab.clock.advance(SignedDuration::from_mins(6));
    wrong.get("a.test").await.unwrap_err();
    assert_eq!(lab.scm.log().len(), 2);
}

#[tokio::test]
async fn a_token_that_ends_in_mid_run_is_fetched_again_once() {
    let lab = Lab::start(Method::Cname, |_| {}).await;
    lab.domain("a.test");
    let ca = lab.by_oauth(PASSWORD);
    ca.get("a.test").await.unwrap();
    ca.get("a.test").await.unwrap();
    assert_eq!(lab.scm.count("/token"), 1, "one token serves many calls");
    lab.scm.end_tokens();
    ca.get("a.test").await.unwrap();
    assert_eq!(lab.scm.count("/token"), 2);

    let refused = lab.by_oauth("wrong");
    let error = refused.get("a.test").await.unwrap_err();
    assert_eq!(error.failure, Failure::Unauthenticated);
    assert!(error.hint.unwrap().contains("client_secret"));
    refused.get("a.test").await.unwrap_err();
    assert_eq!(lab.scm.count("/token"), 3, "a wrong secret is tried once");
}

#[tokio::test]
async fn a_token_is_renewed_before_its_end_with_and_without_a_named_life() {
    for life in [120, 0] {
        let lab = Lab::start(Method::Cname, |behaviour| behaviour.token_life = life).await;
        lab.domain("a.test");
        let ca = lab.by_oauth(PASSWORD);
        ca.get("a.test").await.unwrap();
        let used_for = if life == 0 { 239 } else { 59 };
        lab.clock.advance(SignedDuration::from_secs(used_for));
        ca.get("a.test").await.unwrap();
        assert_eq!(lab.scm.count("/token"), 1);
        lab.clock.advance(SignedDuration::from_secs(2));
        ca.get("a.test").await.unwrap();
        assert_eq!(lab.scm.count("/token"), 2);
    }
}

#[tokio::test]
async fn the_version_of_the_calls_goes_by_the_login() {
    let lab = Lab::start(Method::Cname, |_| {}).await;
    lab.domain("a.test");
    let client = ORGANISATION.to_string();
    let by_oauth = lab.by_oauth(PASSWORD);
    for (ca, version) in [(&*lab.ca, "v1"), (&by_oauth as &dyn Validation, "v2")] {
        lab.scm.clear_log();
        ca.list(&client).await.unwrap();
        assert_eq!(lab.scm.count(&format!("/dcv/{version}/validation")), 1);
    }
}

#[tokio::test]
async fn the_end_of_the_password_is_told_two_weeks_ahead_and_asked_for_once_a_day() {
    for (ends, state, told) in [
        (Some("2027-03-01"), "ALIVE", None),
        (Some("2026-12-10"), "ALIVE", Some("ends on 2026-12-10")),
        (Some("12/10/2026"), "ALIVE", Some("ends on 2026-12-10")),
        (None, "NEVER_EXPIRE", None),
        (None, "EXPIRED", Some("has ended")),
    ] {
        let lab = Lab::start(Method::Cname, |behaviour| {
            behaviour.password_ends = ends.map(str::to_owned);
            behaviour.password_state = state.to_owned();
        })
        .await;
        let warnings = lab.ca.warnings(None).await.unwrap().unwrap();
        let said = warnings.first().map(String::as_str).unwrap_or_default();
        assert!(said.contains(told.unwrap_or_default()), "{said}");
        assert_eq!(warnings.len(), usize::from(told.is_some()));
        let asked_at = lab.clock.now();
        lab.clock.advance(SignedDuration::from_hours(19));
        assert_eq!(lab.ca.warnings(Some(asked_at)).await.unwrap(), None);
        assert_eq!(lab.scm.count("/admin/v1/password"), 1);
        lab.clock.advance(SignedDuration::from_hours(1));
        let again = lab.ca.warnings(Some(asked_at)).await.unwrap();
        assert_eq!(again, Some(warnings));
        // A moment that a wrong clock has put into the future is none.
        let ahead = lab.clock.now() + SignedDuration::from_hours(1);
        assert!(lab.ca.warnings(Some(ahead)).await.unwrap().is_some());
        assert_eq!(lab.scm.count("/admin/v1/password"), 3);
        let other = lab.by_oauth(PASSWORD);
        assert_eq!(other.warnings(None).await.unwrap(), None, "no password");
    }
}

#[tokio::test]
async fn a_gateways_plain_text_is_no_answer_of_sectigos() {
    let lab = Lab::start(Method::Cname, |_| {}).await;
    lab.domain("a.test");
    let fault = |on: &str, what| Fault {
        on: on.to_owned(),
        times: 1,
        what,
    };
    lab.scm.fault(fault("/status", What::Gateway(503)));
    assert!(lab.ca.get("a.test").await.is_ok(), "a read is tried again");
    lab.scm
        .fault(fault("/start/domain/cname", What::Gateway(502)));
    let error = lab.ca.start("a.test").await.unwrap_err();
    assert_eq!(error.failure, Failure::Unknown, "{error}");
    assert!(
        error.message.contains("`text/plain` instead of JSON"),
        "{error}"
    );
    lab.scm.fault(fault("/status", What::Gateway(404)));
    let error = lab.ca.get("a.test").await.unwrap_err();
    assert_eq!(
        error.failure,
        Failure::Malformed,
        "a proxy's 404 proves nothing"
    );
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_anything_is_sent() {
    let lab = Lab::start(Method::Cname, |_| {}).await;
    let password = |user: &str, customer: &str| Login::Password {
        user: user.to_owned(),
        password: secret(PASSWORD),
        customer_uri: customer.to_owned(),
    };
    let certificate = Login::Certificate {
        user: USER.to_owned(),
        customer_uri: CUSTOMER.to_owned(),
    };
    let token_url = Login::OAuth {
        client_id: USER.to_owned(),
        client_secret: secret(PASSWORD),
        token_url: "http://login.example.com/token".parse().unwrap(),
    };
    for bad in [
        password("", CUSTOMER),
        password("a\r\nb", CUSTOMER),
        password(USER, "https://cert-manager.com/customer/x"),
        password(USER, ""),
        certificate,
        token_url,
    ] {
        let mut settings = lab.settings.clone();
        settings.login = bad;
        let error = Sectigo::new(settings, Arc::new(lab.clock.clone())).unwrap_err();
        assert_eq!(error.failure, Failure::Settings);
    }
    let mut settings = lab.settings.clone();
    settings.reach.base = "http://cert-manager.com/api".parse().unwrap();
    assert!(Sectigo::new(settings, Arc::new(lab.clock.clone())).is_err());
    assert!(lab.scm.log().is_empty());
}

#[tokio::test]
async fn secrets_are_in_no_error_and_in_no_debug_text() {
    let lab = Lab::start(Method::Cname, |_| {}).await;
    let shown: Result<_, CaError> = lab.ca.get("unknown.test").await;
    let oauth = lab.by_oauth(PASSWORD);
    let text = format!(
        "{shown:?} {:?} {oauth:?} {:?} {:?}",
        lab.ca,
        oauth.get("unknown.test").await,
        lab.settings
    );
    assert!(!text.contains(PASSWORD), "{text}");
}

#[tokio::test]
async fn an_organisation_that_is_not_there_is_said_to_be_so() {
    let lab = Lab::start(Method::Cname, |_| {}).await;
    for (reference, failure) in [("999", Failure::Forbidden), ("cli-1", Failure::Refused)] {
        let selector = ClientSelector::Reference(reference.to_owned());
        let error = lab.ca.find_client(&selector).await.unwrap_err();
        assert_eq!(error.failure, failure, "{error}");
        assert!(error.hint.is_some());
    }
    let error = lab.ca.list("../admin").await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
}
