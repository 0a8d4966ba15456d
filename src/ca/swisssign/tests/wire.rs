//! Odd answers of the CA, read in the safest way.

#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::*;

const NOW: &str = "2026-11-21T12:00:00Z";
const RANDOM: &str = "CTvhM2Y1ZDk4YjI0ZTc4";

/// An entry whose text is whole.
fn registration(value: &Value, prefix: &str, now: Timestamp) -> Result<Registration, String> {
    let read = crate::ca::json::Read {
        value: value.clone(),
        fault: None,
    };
    super::registration(&read, prefix, now)
}

/// `fields` over an entry with nothing but what must be there.
fn read(fields: Value) -> Registration {
    let mut entry = json!({"uuid": "cld-1", "domain": "a.ch"});
    for (key, value) in fields.as_object().unwrap() {
        entry[key] = value.clone();
    }
    registration(&entry, "swiss-pki=", NOW.parse().unwrap()).unwrap()
}

#[test]
fn the_documented_entry_is_read_whole() {
    let got = read(json!({
        "createdOn": "2026-01-01T00:00:00Z", "domainUnicode": "a.ch", "validated": true, "trustedDomain": false,
        "timeValidated": "2026-10-01T23:20:50.52Z", "validationMethod": "cabdns", "randomValue": RANDOM,
        "randomValueTimeCreated": "2026-11-20T00:00:00Z", "randomValueTimeExpire": "2026-12-20T00:00:00Z",
        "validationResult": "Validated XYZ", "timeExpired": "2027-04-17T23:20:50Z", "expired": false,
        "randomValueTimeExpired": false, "status": "VALID", "somethingNew": {"a": [1]}
    }));
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    assert_eq!(
        got,
        Registration {
            reference: "cld-1".into(),
            domain: DomainName::parse("a.ch").unwrap().name,
            status: Status::Valid,
            proof: Some(Box::new(Proof {
                validated_at: at("2026-10-01T23:20:50.52Z"),
                expires_at: at("2027-04-17T23:20:50Z"),
                method: Some("cabdns".into()),
                first_seen: None,
                ends: Default::default(),
            })),
            token: Some(Box::new(Token {
                value: format!("swiss-pki={RANDOM}"),
                created_at: at("2026-11-20T00:00:00Z"),
                expires_at: at("2026-12-20T00:00:00Z"),
                expired: false,
            })),
            remembered: false,
            challenge: None,
            order: None,
            is_summary: false,
            last_words: Some("Validated XYZ".into()),
            doubt: None,
        }
    );
}

#[test]
fn only_reference_and_name_are_needed() {
    let got = read(json!({}));
    assert_eq!(
        (got.status, got.proof, got.token, got.doubt),
        (Status::NotValidated, None, None, None)
    );
    for bad in [
        json!({"domain": "a.ch"}),
        json!({"uuid": "cld-1"}),
        json!({"uuid": "cld-1/../x", "domain": "a.ch"}),
        json!({"uuid": 1, "domain": "a.ch"}),
        json!({"uuid": "cld-1", "domain": "a b.ch"}),
        json!([]),
        json!(null),
    ] {
        assert!(
            registration(&bad, "swiss-pki=", NOW.parse().unwrap()).is_err(),
            "{bad}"
        );
    }
    let unicode = registration(
        &json!({"uuid": "cld-1", "domain": "Déjà.vu.com"}),
        "swiss-pki=",
        NOW.parse().unwrap(),
    );
    assert_eq!(unicode.unwrap().domain.as_str(), "xn--dj-kia8a.vu.com");
}

#[test]
fn a_status_is_compared_without_case_and_the_safest_reading_of_a_contradiction_counts() {
    let past = "2026-11-21T11:59:59Z";
    let future = "2027-01-01T00:00:00Z";
    for (fields, status, in_doubt) in [
        (json!({"status": "valid"}), Status::Valid, false),
        (
            json!({"status": "Not_Validated"}),
            Status::NotValidated,
            false,
        ),
        (json!({"status": "pending"}), Status::Pending, false),
        (json!({"status": "EXPIRED"}), Status::Expired, false),
        (
            json!({"status": "VALID", "validated": true, "expired": false, "timeExpired": future}),
            Status::Valid,
            false,
        ),
        (
            json!({"status": "VALID", "timeExpired": null}),
            Status::Valid,
            false,
        ),
        (
            json!({"status": "VALID", "validated": false}),
            Status::NotValidated,
            true,
        ),
        (
            json!({"status": "VALID", "validated": false, "randomValue": RANDOM}),
            Status::Pending,
            true,
        ),
        (
            json!({"status": "VALID", "expired": true}),
            Status::Expired,
            true,
        ),
        (
            json!({"status": "VALID", "timeExpired": past}),
            Status::Expired,
            true,
        ),
        (
            json!({"status": "EXPIRED", "expired": false, "timeExpired": future}),
            Status::Expired,
            true,
        ),
        (
            json!({"status": "NOT_VALIDATED", "validated": true}),
            Status::NotValidated,
            true,
        ),
        (
            json!({"status": "PENDING", "validated": true, "timeExpired": future}),
            Status::Pending,
            true,
        ),
        (
            json!({"status": "PENDING", "validated": true, "randomValue": RANDOM}),
            Status::Pending,
            true,
        ),
        (
            json!({"status": "PENDING", "validated": true, "expired": true}),
            Status::Pending,
            false,
        ),
        (
            json!({"status": "PENDING", "validated": false, "timeValidated": past, "timeExpired": future}),
            Status::Pending,
            false,
        ),
        (
            json!({"status": "PENDING", "timeValidated": past, "timeExpired": future}),
            Status::Pending,
            true,
        ),
        (
            json!({"status": "NOT_VALIDATED", "timeValidated": past, "timeExpired": future}),
            Status::NotValidated,
            true,
        ),
        (
            json!({"status": "EXPIRED", "validated": true}),
            Status::Expired,
            true,
        ),
        (
            json!({"status": "REVIEW"}),
            Status::Unknown("REVIEW".into()),
            true,
        ),
        (json!({"status": 7, "validated": true}), Status::Valid, true),
        (json!({"validated": true}), Status::Valid, false),
        (
            json!({"validated": true, "timeExpired": past}),
            Status::Expired,
            false,
        ),
        (
            json!({"validated": false, "randomValue": RANDOM}),
            Status::Pending,
            false,
        ),
        (
            json!({"status": "VALID", "trustedDomain": true}),
            Status::Valid,
            true,
        ),
        (
            json!({"status": "VALID", "trustedDomain": true, "validationMethod": "cabdns", "timeValidated": past}),
            Status::Valid,
            false,
        ),
    ] {
        let got = read(fields.clone());
        assert_eq!(
            (got.status, got.doubt.is_some()),
            (status, in_doubt),
            "{fields}: {:?}",
            got.doubt
        );
    }
}

#[test]
fn a_no_beside_a_yes_is_told_in_the_words_of_both_fields() {
    for (fields, words) in [
        (
            json!({"status": "PENDING", "validated": true}),
            "the status is PENDING but `validated` is true",
        ),
        (
            json!({"status": "Expired", "validated": true}),
            "the status is EXPIRED but `validated` is true",
        ),
    ] {
        assert_eq!(read(fields).doubt.as_deref(), Some(words));
    }
}

#[test]
fn a_renewing_domain_keeps_showing_its_proof() {
    let got = read(json!({"status": "PENDING", "timeValidated": NOW, "randomValue": RANDOM}));
    assert_eq!(got.status, Status::Pending);
    assert_eq!(got.proof.unwrap().validated_at, Some(NOW.parse().unwrap()));
}

#[test]
fn a_random_value_gets_exactly_one_prefix() {
    let padded = format!("{RANDOM}==");
    let swissy = "swissABCDEFGHIJKLMNOP==";
    for (sent, value) in [
        (RANDOM.to_owned(), format!("swiss-pki={RANDOM}")),
        (format!("swiss-pki={RANDOM}"), format!("swiss-pki={RANDOM}")),
        (format!("Swiss-PKI={RANDOM}"), format!("Swiss-PKI={RANDOM}")),
        (
            format!("swisssign-dv2={RANDOM}"),
            format!("swisssign-dv2={RANDOM}"),
        ),
        (padded.clone(), format!("swiss-pki={padded}")),
        (format!("swiss-pki={padded}"), format!("swiss-pki={padded}")),
        (swissy.to_owned(), format!("swiss-pki={swissy}")),
    ] {
        let got = read(json!({"randomValue": sent}));
        assert_eq!(got.token.unwrap().value, value);
        assert_eq!(got.doubt, None);
    }
}

#[test]
fn the_cas_text_never_becomes_other_zone_content() {
    let long = "A".repeat(201);
    for hostile in [
        "v=spf1 include:evil.example -all",
        "v=DMARC1+p/none+rua/evil",
        "google-site-verification=ABCDEFGHIJKLMNOPQRSTUV",
        "swiss-pki=swiss-pki=ABCDEFGHIJKLMNOPQRSTUV",
        "swiss-pki=",
        "swiss-pki=short",
        "ABCDEFGHIJKLMNOP\nQRST",
        "ABCDEFGHIJKLMNOP\" \"QRST",
        "ABCDEFGHIJKLMNOP\0",
        "ABCDEFGHIJKLMNOPÄ",
        " ABCDEFGHIJKLMNOPQ",
        "short",
        &long,
    ] {
        let got = read(json!({"randomValue": hostile}));
        assert_eq!(got.token, None, "{hostile:?}");
        assert!(
            got.doubt
                .unwrap()
                .contains("`randomValue` is not published")
        );
    }
    for none in [json!(null), json!(""), json!("  ")] {
        let got = read(json!({"randomValue": none}));
        assert_eq!((got.token, got.doubt), (None, None));
    }
}

#[test]
fn dates_are_read_in_every_form_the_api_was_seen_or_feared_to_use() {
    for (text, meant) in [
        ("2022-01-12T23:20:50.52Z", "2022-01-12T23:20:50.52Z"),
        ("2022-01-12T23:20:50Z", "2022-01-12T23:20:50Z"),
        ("2022-01-12t23:20:50z", "2022-01-12T23:20:50Z"),
        ("2022-01-12T23:20:50+00:00", "2022-01-12T23:20:50Z"),
        ("2022-01-12T23:20:50.520+0000", "2022-01-12T23:20:50.52Z"),
        ("2022-01-13T00:20:50+01:00", "2022-01-12T23:20:50Z"),
        ("2022-01-12T23:20:50", "2022-01-12T23:20:50Z"),
        (
            "2022-01-12 23:20:50.123456789",
            "2022-01-12T23:20:50.123456789Z",
        ),
        ("2022-01-12T23:20Z", "2022-01-12T23:20:00Z"),
        ("2022-01-12", "2022-01-12T00:00:00Z"),
        ("2016-12-31T23:59:60Z", "2016-12-31T23:59:59Z"),
        ("2038-01-19T03:14:08Z", "2038-01-19T03:14:08Z"),
        ("9999-12-30T00:00:00Z", "9999-12-30T00:00:00Z"),
    ] {
        assert_eq!(date(text), Some(meant.parse().unwrap()), "{text}");
    }
    for end in [
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59.999",
        "9999-12-31",
    ] {
        assert_eq!(date(end), Some(Timestamp::MAX), "{end}");
    }
    for none in [
        "",
        "soon",
        "1668945600",
        "2022-13-01T00:00:00Z",
        "12.01.2022",
        "2022-01-12T23:20:50 CET",
        "ä",
    ] {
        assert_eq!(date(none), None, "{none}");
    }
}

#[test]
fn a_field_of_the_wrong_kind_costs_only_itself() {
    let got = read(json!({
        "status": "VALID", "timeValidated": "then", "timeExpired": 1668945600, "validated": "yes", "validationResult": ["x"]
    }));
    assert_eq!(got.status, Status::Valid);
    assert_eq!(
        *got.proof.unwrap(),
        Proof {
            validated_at: None,
            expires_at: None,
            method: None,
            ends: Default::default(),
            first_seen: Some(NOW.parse().unwrap()),
        }
    );
    let doubt = got.doubt.unwrap();
    for field in [
        "timeValidated",
        "timeExpired",
        "validated",
        "validationResult",
    ] {
        assert!(doubt.contains(field), "{doubt}");
    }
}

#[test]
fn dates_in_other_forms_are_named_and_the_proof_counts_all_the_same() {
    for other in [
        json!("21.11.2026"),
        json!(1_795_262_400_000_u64),
        json!({"y": 2026}),
    ] {
        let got = read(json!({"status": "VALID", "timeValidated": other, "timeExpired": other}));
        assert_eq!(got.status, Status::Valid);
        assert_eq!(got.proof.unwrap().made_at(), Some(NOW.parse().unwrap()));
        let doubt = got.doubt.unwrap();
        for field in ["`timeValidated` is no date", "`timeExpired` is no date"] {
            assert!(doubt.contains(field), "{doubt}");
        }
    }
}

#[test]
fn a_day_of_validation_that_is_to_come_is_not_believed() {
    let got = read(json!({"status": "VALID", "timeValidated": "2030-01-01T00:00:00Z"}));
    let proof = got.proof.unwrap();
    assert_eq!(proof.made_at(), Some(NOW.parse().unwrap()));
    assert!(got.doubt.unwrap().contains("`timeValidated` is to come"));
    let few_seconds = read(json!({"status": "VALID", "timeValidated": "2026-11-21T12:00:20Z"}));
    assert_eq!(few_seconds.doubt, None, "clocks differ");
}

#[test]
fn a_value_of_another_service_is_refused_without_advice_to_publish_it() {
    for foreign in [
        "google-site-verification",
        "MS",
        "facebook-domain-verification",
    ] {
        let got = read(json!({"randomValue": format!("{foreign}={RANDOM}")}));
        let doubt = got.doubt.unwrap();
        assert!(
            got.token.is_none() && doubt.contains("another service"),
            "{doubt}"
        );
        assert!(!doubt.contains("token_prefix"), "{doubt}");
    }
    let unknown = read(json!({"randomValue": format!("newca={RANDOM}")}));
    assert!(unknown.doubt.unwrap().contains("set `token_prefix`"));
}
