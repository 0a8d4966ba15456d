//! Records that a CA names, taken and refused.

#![allow(clippy::unwrap_used)]
use super::*;

fn domain() -> DomainName {
    DomainName::from_a_labels("example.org").unwrap()
}

fn txt(owner: &str, value: &str) -> Result<Challenge, ChallengeError> {
    Challenge::txt(&domain(), owner, value, Counts::BySubmit)
}

fn cname(owner: &str, target: &str) -> Result<Challenge, ChallengeError> {
    Challenge::cname(&domain(), owner, target, Counts::Published)
}

#[test]
fn a_record_may_be_at_the_domain_or_below_it_in_any_case() {
    for (sent, owner) in [
        ("example.org", "example.org"),
        ("EXAMPLE.org.", "example.org"),
        (
            "_PKI-validation.example.org.",
            "_pki-validation.example.org",
        ),
        ("_a.b.Example.Org", "_a.b.example.org"),
    ] {
        assert_eq!(txt(sent, "x").unwrap().owner.as_str(), owner, "{sent}");
    }
    let shown = DomainName::parse("déjà.example").unwrap().name;
    for sent in ["_x.déjà.example.", "_x.xn--dj-kia8a.example"] {
        let made = Challenge::txt(&shown, sent, "x", Counts::Published).unwrap();
        assert_eq!(made.owner.as_str(), "_x.xn--dj-kia8a.example");
    }
}

#[test]
fn a_record_outside_the_domain_is_refused() {
    for sent in [
        "_x.example.com.",
        "notexample.org",
        "_x.example.org.evil.test",
        "org",
        "_x.org",
    ] {
        let refused = txt(sent, "x").unwrap_err();
        let said = refused.to_string();
        assert!(
            said.contains("is not in example.org") || said.contains("not a DNS name"),
            "{sent}: {said}"
        );
        assert!(cname(sent, "a.sectigo.com").is_err(), "{sent}");
    }
}

#[test]
fn an_owner_or_a_target_that_is_no_name_is_refused_with_the_reason() {
    let long = format!("{}.example.org", "a".repeat(64));
    let longer = format!("{}example.org", "abcdefgh.".repeat(28));
    for (sent, why) in [
        ("", "empty"),
        (".", "empty"),
        ("a..example.org", "empty label"),
        (".example.org", "empty label"),
        ("a b.example.org", "character"),
        ("a\n.example.org", "character"),
        ("*.example.org", "character"),
        ("a\\.example.org", "character"),
        ("http://x.example.org", "character"),
        (long.as_str(), "63"),
        (longer.as_str(), "253"),
    ] {
        let refused = txt(sent, "x").unwrap_err().to_string();
        assert!(refused.contains(why), "{sent:?}: {refused}");
        let refused = cname("_x.example.org", sent).unwrap_err().to_string();
        assert!(refused.contains(why), "{sent:?}: {refused}");
        assert!(!refused.contains('\n'), "{refused}");
    }
    let refused = cname("_x.example.org", "localhost").unwrap_err();
    assert!(refused.to_string().contains("one label"), "{refused}");
}

#[test]
fn a_cname_neither_hides_the_domain_nor_points_at_itself() {
    assert_eq!(
        cname("example.org.", "a.sectigo.com"),
        Err(ChallengeError::CnameAtDomain(domain()))
    );
    assert!(matches!(
        cname("_x.example.org", "_X.Example.ORG."),
        Err(ChallengeError::Loop(_))
    ));
}

#[test]
fn a_record_at_the_name_of_another_protocol_or_of_a_host_is_refused() {
    for owner in [
        "_dmarc.example.org",
        "_ACME-challenge.example.org",
        "s1._domainkey.example.org",
        "_a1._tcp.www.example.org",
    ] {
        for refused in [txt(owner, "x"), cname(owner, "a.sectigo.com")] {
            assert!(matches!(refused, Err(ChallengeError::Label(..))), "{owner}");
        }
    }
    let host = cname("ns1.example.org", "a.sectigo.com");
    assert!(matches!(host, Err(ChallengeError::Label(..))), "{host:?}");
    for target in ["example.org", "www.example.org"] {
        let made = cname("_a1.example.org", target);
        assert!(
            matches!(made, Err(ChallengeError::TargetInside { .. })),
            "{made:?}"
        );
    }
    let mut stored = cname("_a1.example.org", "a.sectigo.com").unwrap();
    assert!(stored.is_for(&domain()));
    stored.owner = RecordName::parse("_dmarc.example.org").unwrap();
    assert!(!stored.is_for(&domain()));
}

#[test]
fn a_value_of_odd_printable_characters_stays_as_it_is_and_others_are_refused() {
    let odd = r#"F(U_t|L%>8]iU6Yx\CFm;0O8"DViEQ/`"#;
    let made = txt("_pki-validation.example.org.", odd).unwrap();
    assert_eq!(made.data.as_str(), odd);
    let long = "a".repeat(256);
    for (value, why) in [
        ("", "empty"),
        ("  ", "empty"),
        ("a\nb", "control"),
        ("a\0", "control"),
        ("a\u{7f}", "control"),
        ("a\u{9b}31m", "control"),
        ("tête", "outside ASCII"),
        (" a", "blank"),
        ("a ", "blank"),
        (long.as_str(), "255"),
    ] {
        let refused = txt("example.org", value).unwrap_err().to_string();
        assert!(refused.contains(why), "{value:?}: {refused}");
        assert!(!refused.chars().any(char::is_control), "{refused:?}");
    }
}

#[test]
fn the_same_record_is_the_same_in_any_case_of_its_names_and_with_other_dates() {
    let one = cname("_A1.example.org", "B2.C3.Sectigo.com").unwrap();
    let other = cname("_a1.Example.org.", "b2.c3.sectigo.com.")
        .unwrap()
        .dated(Some(Timestamp::UNIX_EPOCH), None);
    assert!(one.is_same_record(&other));
    assert_ne!(one, other, "the dates differ");
    assert!(
        !txt("example.org", "A")
            .unwrap()
            .is_same_record(&txt("example.org", "a").unwrap())
    );
}

#[test]
fn a_stored_challenge_is_read_back_and_one_whose_name_was_spoilt_is_not() {
    let made = cname("_a1.example.org", "b2.sectigo.com").unwrap();
    let stored = serde_json::to_string(&made).unwrap();
    let read: Challenge = serde_json::from_str(&stored).unwrap();
    assert_eq!(read, made);
    assert!(read.is_for(&domain()));
    let spoilt = stored.replace("b2.sectigo.com", "b2 sectigo");
    assert!(serde_json::from_str::<Challenge>(&spoilt).is_err());
}
