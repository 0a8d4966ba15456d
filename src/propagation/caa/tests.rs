//! Record sets and what they mean, each by the text of RFC 8659, RFC 8657, RFC 9495 and the BR.

use Permission::{Allowed, Forbidden, OtherMethods, ProbablyAllowed};

use super::*;

mod shapes;

const BEFORE: Timestamp = Timestamp::constant(1_805_068_799, 0);

fn advice(records: &[&str], now: Timestamp) -> CaaAdvice {
    let set: Vec<Property> = records
        .iter()
        .map(|text| {
            let mut words = text.splitn(3, ' ');
            let mut word = || words.next().unwrap_or_default();
            Property {
                critical: word() == "128",
                tag: word().to_owned(),
                value: word().as_bytes().to_vec(),
            }
        })
        .collect();
    evaluate(
        Some("example.ch".to_owned()),
        &set,
        &CA_NAMES.map(str::to_owned),
        now,
    )
}

#[test]
fn records_let_the_named_ca_issue_and_no_other() {
    type Row = (&'static [&'static str], Permission, Permission, Permission);
    let table: &[Row] = &[
        (&[], Allowed, Allowed, Allowed),
        (&["0 issue swisssign.com"], Allowed, Allowed, Allowed),
        (&["0 ISSUE SwissSign.COM"], Allowed, Allowed, Allowed),
        (
            &["0 issue other.example", "0 issue swisssign.com; account=1"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (&["0 issue other.example"], Forbidden, Forbidden, Allowed),
        (
            &["0 issue www.swisssign.com"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (&["0 issue ;"], Forbidden, Forbidden, Allowed),
        (&["0 issue "], Forbidden, Forbidden, Allowed),
        (&["0 iodef mailto:a@b.c"], Allowed, Allowed, Allowed),
        (&["0 issuewild swisssign.com"], Allowed, Allowed, Allowed),
        (&["0 issuewild other.example"], Allowed, Forbidden, Allowed),
        (
            &["0 issue other.example", "0 issuewild swisssign.com"],
            Forbidden,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com", "0 issuewild ;"],
            Allowed,
            Forbidden,
            Allowed,
        ),
        (&["0 issuemail other.example"], Allowed, Allowed, Forbidden),
        (
            &["0 issue ;", "0 issuemail swisssign.com"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (&["0 unknown x"], Allowed, Allowed, Allowed),
        (
            &["0 issue swisssign.com", "128 unknown x"],
            Forbidden,
            Forbidden,
            Forbidden,
        ),
        (
            &["128 issue swisssign.com", "128 contactemail a@b.c"],
            Allowed,
            Allowed,
            Allowed,
        ),
        // Malformed values let no CA issue.
        (
            &["0 issue swisssign.com; account"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; a=b c"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; a=b;"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (&["0 issue swisssign.com."], Forbidden, Forbidden, Allowed),
        (&["0 issue -swisssign.com"], Forbidden, Forbidden, Allowed),
        (&["0 issue swisssign com"], Forbidden, Forbidden, Allowed),
        (
            &["0 issue swisssign.com \t;\t a = b "],
            Allowed,
            Allowed,
            Allowed,
        ),
    ];
    for (records, certificates, wildcards, mail) in table {
        let advice = advice(records, METHODS_COUNT_FROM);
        assert_eq!(
            (advice.certificates, advice.wildcards, advice.mail),
            (*certificates, *wildcards, *mail),
            "{records:?}: {advice:?}"
        );
    }
    assert_eq!(
        advice(&["128 unknown x"], BEFORE).unknown_critical,
        ["unknown"]
    );
    assert_eq!(
        advice(&["128 unknown x"], BEFORE).records,
        ["128 unknown \"x\""]
    );
}

#[test]
fn validation_methods_count_from_a_day_on_and_are_told_before() {
    let table = [
        ("ca-tbr-7", Allowed),
        ("dns-01,ca-tbr-7", Allowed),
        ("dns-01", ProbablyAllowed),
        ("DNS-01", ProbablyAllowed),
        ("CA-TBR-7", ProbablyAllowed),
        ("", OtherMethods),
        ("ca-tbr-77", OtherMethods),
    ];
    for (methods, then) in table {
        let record = format!("0 issue swisssign.com; validationmethods={methods}");
        assert_eq!(
            advice(&[&record], METHODS_COUNT_FROM).certificates,
            then,
            "{methods}"
        );
        let now = advice(&[&record], BEFORE);
        assert_eq!(now.certificates, Allowed);
        assert_eq!(
            now.notes
                .iter()
                .any(|note| note.contains("from 2027-03-15")),
            then != Allowed,
            "{now:?}"
        );
    }
    let beside = [
        "0 issue swisssign.com; validationmethods=dns-01",
        "0 issue swisssign.com",
    ];
    assert_eq!(advice(&beside, METHODS_COUNT_FROM).certificates, Allowed);
}

#[test]
fn an_account_may_be_right_and_two_accounts_never_are() {
    let one = advice(
        &["0 issue swisssign.com; accounturi=https://a.example/1"],
        BEFORE,
    );
    assert!(
        one.certificates == Allowed && one.notes[0].contains("https://a.example/1"),
        "{one:?}"
    );
    let records = ["0 issue swisssign.com; accounturi=https://a/1; accounturi=https://a/2"];
    // As each other parameter, it binds from a day on and is reported before.
    for (at, then) in [(BEFORE, Allowed), (METHODS_COUNT_FROM, Forbidden)] {
        let two = advice(&records, at);
        assert!(
            two.certificates == then && two.notes[0].contains("several accounturi"),
            "{two:?}"
        );
    }
}

#[test]
fn what_is_no_text_is_malformed_and_shown_all_the_same() {
    let set = [Property {
        critical: false,
        tag: "issue".to_owned(),
        value: vec![0xff, b'"'],
    }];
    let advice = evaluate(None, &set, &CA_NAMES.map(str::to_owned), BEFORE);
    assert_eq!(advice.certificates, Forbidden);
    assert_eq!(advice.records, ["0 issue \"\u{fffd}\\\"\""]);
}
