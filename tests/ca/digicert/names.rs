//! Names that are added: found, created, refused.

use super::*;
use prevalidate::sandbox::digicert::Existing;

#[tokio::test]
async fn a_missing_domain_is_created_only_where_the_configuration_says_so() {
    let lab = Lab::start(|_| {}).await;
    let strict = lab.other(|settings| settings.organisations.clear());
    let names = [name("new.test")];
    let error = strict.register(&client(), &names).await.remove(0).1;
    let error = error.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    assert!(error.hint.unwrap().contains("create_domains"));
    assert_eq!(lab.effects(), 0);
    let found = lab.added("new.test").await.unwrap();
    assert!(
        found.challenge.is_some(),
        "the creation is a submission as well"
    );
    strict
        .register(&client(), &names)
        .await
        .remove(0)
        .1
        .unwrap();
    assert_eq!(lab.effects(), 1);
    let sent = lab
        .cc
        .log()
        .into_iter()
        .find(|one| one.method == "POST")
        .unwrap();
    assert!(
        sent.body.contains(r#""dcv_method":"dns-txt-token""#),
        "{}",
        sent.body
    );
    assert_eq!(lab.cc.mails(), 0);
}

#[tokio::test]
async fn a_name_whose_parent_or_child_is_there_is_another_name() {
    let lab = Lab::start(|_| {}).await;
    lab.domain("a.test");
    lab.domain("x.b.a.test");
    let found = lab.added("b.a.test").await.unwrap();
    assert_eq!(found.domain, name("b.a.test"));
    assert_eq!(lab.cc.count("POST", "/domain"), 1);
}

#[tokio::test]
async fn www_is_never_cut_in_silence() {
    let lab = Lab::start(|_| {}).await;
    let found = lab.added("www.a.test").await.unwrap();
    assert_eq!(found.domain, name("www.a.test"));
    lab.cc.change(|behaviour| behaviour.cuts_www = true);
    let error = lab.added("www.b.test").await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    assert!(
        error.message.contains("registered `b.test` in its place"),
        "{error}"
    );
    let hint = error.hint.unwrap();
    assert!(hint.contains("delete it in CertCentral"), "{hint}");
}

#[tokio::test]
async fn a_domain_of_another_organisation_or_division_is_named_and_left_alone() {
    let lab = Lab::start(|_| {}).await;
    lab.cc.add_domain("theirs.test", OTHER);
    let error = lab.added("theirs.test").await.unwrap_err();
    assert_eq!(error.failure, Failure::Forbidden);
    assert!(
        error.message.contains("belongs to organisation 117484"),
        "{error}"
    );
    assert_eq!(lab.effects(), 0);
}

#[tokio::test]
async fn a_name_that_is_created_meanwhile_is_found_and_one_that_is_not_visible_is_explained() {
    for existing in [Existing::Refused, Existing::Returned] {
        let lab = Lab::start(|behaviour| behaviour.existing = existing).await;
        lab.cc.fault(Fault {
            on: "POST /domain".to_owned(),
            times: 1,
            what: What::DoneButLost,
        });
        let error = lab.added("new.test").await.unwrap_err();
        assert!(error.outcome_unknown(), "{error}");
        lab.added("new.test").await.unwrap();
        assert_eq!(lab.cc.names(), ["new.test"]);
    }
    let lab = Lab::start(|_| {}).await;
    let stranger = lab
        .other(|settings| settings.organisations[0].0 = ClientSelector::Reference("5".to_owned()));
    let error = stranger
        .register("5", &[name("new.test")])
        .await
        .remove(0)
        .1;
    let error = error.unwrap_err();
    assert!(error.message.contains("invalid_organization"), "{error}");
    assert!(error.hint.unwrap().contains("division"));
}

#[tokio::test]
async fn a_deactivated_domain_waits_for_a_person() {
    let lab = Lab::start(|_| {}).await;
    let id = lab.proven("a.test", DAY);
    lab.cc.deactivate("a.test");
    for error in [
        lab.added("a.test").await.unwrap_err(),
        lab.ca.start(&id).await.unwrap_err(),
    ] {
        assert_eq!(error.failure, Failure::Forbidden);
        assert!(error.hint.unwrap().contains("activate"));
    }
    assert_eq!(lab.effects(), 0);
}
