//! A table of record sets as they are found in zones, and what the rules of March 2027 make of each;
//! and that the changes that are proposed are enough.

use super::Permission::{Allowed, Forbidden, OtherAccount, OtherMethods, ProbablyAllowed};
use super::*;

/// What binds on 2027-03-15: certificates, wildcards and e-mail for each shape of record set.
#[test]
fn each_shape_of_record_set_means_what_the_rules_of_march_2027_say() {
    type Row = (&'static [&'static str], Permission, Permission, Permission);
    let table: &[Row] = &[
        // The name of the CA in the record.
        (&[], Allowed, Allowed, Allowed),
        (&["0 issue swisssign.com"], Allowed, Allowed, Allowed),
        (&["0 issue SWISSSIGN.COM"], Allowed, Allowed, Allowed),
        (&["128 issue swisssign.com"], Allowed, Allowed, Allowed),
        (&["0 issue swisssign.com;"], Allowed, Allowed, Allowed),
        (&["0 issue other.example"], Forbidden, Forbidden, Allowed),
        (&["0 issue ;"], Forbidden, Forbidden, Allowed),
        (
            &["0 issue other.example", "0 issue swisssign.com"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue ;", "0 issue swisssign.com"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com.evil.example"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 iodef mailto:pki@example.ch"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 contactemail pki@example.ch"],
            Allowed,
            Allowed,
            Allowed,
        ),
        // Wildcards and e-mail.
        (&["0 issuewild swisssign.com"], Allowed, Allowed, Allowed),
        (&["0 issuewild ;"], Allowed, Forbidden, Allowed),
        (
            &["0 issue ;", "0 issuewild swisssign.com"],
            Forbidden,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com", "0 issuewild other.example"],
            Allowed,
            Forbidden,
            Allowed,
        ),
        (&["0 issuemail ;"], Allowed, Allowed, Forbidden),
        (&["0 issuemail swisssign.com"], Allowed, Allowed, Allowed),
        (
            &["0 issuemail swisssign.com; validationmethods=x"],
            Allowed,
            Allowed,
            ProbablyAllowed,
        ),
        (
            &["0 issuemail swisssign.com; accounturi=https://a.example/1"],
            Allowed,
            Allowed,
            ProbablyAllowed,
        ),
        // Tags that no CA knows.
        (&["0 future x"], Allowed, Allowed, Allowed),
        (&["128 future x"], Forbidden, Forbidden, Forbidden),
        (
            &["128 future x", "0 issue swisssign.com"],
            Forbidden,
            Forbidden,
            Forbidden,
        ),
        (&["128 IODEF mailto:a@b.ch"], Allowed, Allowed, Allowed),
        // Malformed values let no CA issue, and do not spoil a good one beside them.
        (&["0 issue %%%%%"], Forbidden, Forbidden, Allowed),
        (&["0 issue swisssign.com."], Forbidden, Forbidden, Allowed),
        (&["0 issue swisssign.com; ="], Forbidden, Forbidden, Allowed),
        (
            &["0 issue swisssign.com; a=b;"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 issue swisssign.com accounturi=x"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (&["0 issue swisssign.com."], Forbidden, Forbidden, Allowed),
        (
            &["0 issue swisssign.com.", "0 issue swisssign.com"],
            Allowed,
            Allowed,
            Allowed,
        ),
        // Methods.
        (
            &["0 issue swisssign.com; validationmethods=ca-tbr-7"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com;validationmethods=ca-tbr-7"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=http-01,ca-tbr-7,dns-01"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=dns-01"],
            ProbablyAllowed,
            ProbablyAllowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=Ca-Tbr-7"],
            ProbablyAllowed,
            ProbablyAllowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; ValidationMethods=ca-tbr-7"],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=http-01"],
            OtherMethods,
            OtherMethods,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=ca-tbr-22"],
            OtherMethods,
            OtherMethods,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=ca-tbr-77"],
            OtherMethods,
            OtherMethods,
            Allowed,
        ),
        // One entry is not a label: Boulder refuses the whole list.
        (
            &["0 issue swisssign.com; validationmethods=ca-tbr-7,"],
            ProbablyAllowed,
            ProbablyAllowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=dns_01,ca-tbr-7"],
            ProbablyAllowed,
            ProbablyAllowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods="],
            OtherMethods,
            OtherMethods,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=http-01, ca-tbr-7"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=ca-tbr-7; validationmethods=ca-tbr-7"],
            ProbablyAllowed,
            ProbablyAllowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; validationmethods=ca-tbr-7; validationmethods=http-01"],
            OtherMethods,
            OtherMethods,
            Allowed,
        ),
        (
            &[
                "0 issue swisssign.com; validationmethods=http-01",
                "0 issue swisssign.com",
            ],
            Allowed,
            Allowed,
            Allowed,
        ),
        (
            &["0 issue other.example; validationmethods=ca-tbr-7"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &[
                "0 issue swisssign.com",
                "0 issuewild swisssign.com; validationmethods=http-01",
            ],
            Allowed,
            OtherMethods,
            Allowed,
        ),
        // Accounts.
        (
            &["0 issue swisssign.com; accounturi=https://acme.swisssign.example/acct/1"],
            OtherAccount,
            OtherAccount,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; accounturi=acct:example@swisssign.com"],
            ProbablyAllowed,
            ProbablyAllowed,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; accounturi=example"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; accounturi="],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; accounturi=acct:a; accounturi=acct:a"],
            Forbidden,
            Forbidden,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; accounturi=https://a.example/1; validationmethods=ca-tbr-7"],
            OtherAccount,
            OtherAccount,
            Allowed,
        ),
        (
            &["0 issue swisssign.com; accounturi=https://a.example/1; validationmethods=http-01"],
            OtherMethods,
            OtherMethods,
            Allowed,
        ),
        (
            &[
                "0 issue swisssign.com; accounturi=https://a.example/1",
                "0 issue swisssign.com; validationmethods=ca-tbr-7",
            ],
            Allowed,
            Allowed,
            Allowed,
        ),
        // Parameters that are not the CA's.
        (
            &["0 issue swisssign.com; policy=ev"],
            Allowed,
            Allowed,
            Allowed,
        ),
    ];
    assert!(table.len() >= 40, "{}", table.len());
    for (records, certificates, wildcards, mail) in table {
        let advice = advice(records, METHODS_COUNT_FROM);
        assert_eq!(
            (advice.certificates, advice.wildcards, advice.mail),
            (*certificates, *wildcards, *mail),
            "{records:?}: {advice:?}"
        );
    }
}

#[test]
fn the_changes_that_are_proposed_let_the_ca_issue() {
    for records in [
        &["0 issue other.example"][..],
        &["0 issue ;", "0 issuewild ;"],
        &["0 issue swisssign.com; validationmethods=http-01"],
        &["0 issue swisssign.com; validationmethods="],
        &["0 issue swisssign.com; validationmethods=dns-01; policy=ev"],
        &["0 issue swisssign.com; validationmethods=ca-tbr-7,"],
        &["0 issue swisssign.com; validationmethods=dns_01,,http-01"],
        &["0 issue swisssign.com; accounturi=https://a.example/1"],
        &["0 issue other.example; accounturi=https://a.example/1; validationmethods=dns-01"],
        &["0 issue swisssign.com.", "128 future x"],
        &[
            "0 issue swisssign.com",
            "0 issuewild swisssign.com; validationmethods=http-01",
        ],
    ] {
        let before = advice(records, METHODS_COUNT_FROM);
        assert!(!before.changes.is_empty(), "{records:?}");
        let plain = |line: &str| line.replacen("example.ch. CAA ", "", 1).replace('"', "");
        let mut changed: Vec<String> = records.iter().map(|it| (*it).to_owned()).collect();
        for change in &before.changes {
            if let Some(remove) = &change.remove {
                let gone = plain(remove);
                let known = changed.len();
                changed.retain(|record| *record != gone);
                assert_eq!(
                    changed.len() + 1,
                    known,
                    "{gone} is there once: {records:?}"
                );
            }
            changed.extend(change.add.as_deref().map(plain));
        }
        let changed: Vec<&str> = changed.iter().map(String::as_str).collect();
        let after = advice(&changed, METHODS_COUNT_FROM);
        assert_eq!(
            (after.certificates, after.wildcards),
            (Allowed, Allowed),
            "{records:?} became {changed:?}"
        );
        assert!(after.changes.is_empty(), "{after:?}");
    }
    assert_eq!(advice(&["0 issue swisssign.com"], BEFORE).changes, []);
}

/// A set that limits issuers by RFC 8657 gets no line without a limit, and keeps what it says.
#[test]
fn a_line_to_paste_widens_no_more_than_it_must() {
    let ours = "0 issue \"swisssign.com; validationmethods=ca-tbr-7\"";
    for (records, remove, add) in [
        (
            &["0 issue swisssign.com; accounturi=https://a.example/1"][..],
            None,
            ours,
        ),
        (
            &["0 issue swisssign.com; accounturi=https://a/1; validationmethods=http-01"],
            None,
            ours,
        ),
        (
            &["0 issue other.example; accounturi=https://a.example/1"],
            None,
            ours,
        ),
        (
            &[
                "0 issue other.example; validationmethods=dns-01",
                "0 iodef x",
            ],
            None,
            ours,
        ),
        (
            &["0 issue other.example"],
            None,
            "0 issue \"swisssign.com\"",
        ),
        (
            &["0 issue other.example; policy=ev"],
            None,
            "0 issue \"swisssign.com\"",
        ),
        // The account may be ours, so the line continues to name it.
        (
            &[
                "0 issue swisssign.com; accounturi=acct:validationmethods@a; validationmethods=http-01",
            ],
            Some(
                "0 issue \"swisssign.com; accounturi=acct:validationmethods@a; validationmethods=http-01\"",
            ),
            "0 issue \"swisssign.com; accounturi=acct:validationmethods@a; validationmethods=http-01,ca-tbr-7\"",
        ),
    ] {
        let changes = advice(records, METHODS_COUNT_FROM).changes;
        let line = |text: &str| format!("example.ch. CAA {text}");
        let expected = Change {
            remove: remove.map(line),
            add: Some(line(add)),
        };
        assert_eq!(changes, [expected], "{records:?}");
    }
    // `issuewild` has limits of its own.
    let records = [
        "0 issue swisssign.com",
        "0 issuewild other.example; accounturi=acct:1@a",
    ];
    let add = "example.ch. CAA 0 issuewild \"swisssign.com; validationmethods=ca-tbr-7\"";
    let changes = advice(&records, METHODS_COUNT_FROM).changes;
    assert_eq!(changes[0].add.as_deref(), Some(add));
}

#[test]
fn thousands_of_records_are_read_and_a_few_are_shown() {
    let malformed: Vec<String> = (0..3000).map(|nth| format!("0 issue x.{nth}.")).collect();
    let records: Vec<&str> = malformed
        .iter()
        .map(String::as_str)
        .chain(["0 issue swisssign.com"])
        .collect();
    let advice = advice(&records, METHODS_COUNT_FROM);
    assert_eq!(advice.certificates, Allowed);
    assert!(advice.records.len() <= 32 && advice.notes.len() <= 32);
}
