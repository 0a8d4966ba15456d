//! The grammar: what is written passes both validators; what is found is judged with its words.

use jiff::Timestamp;

use crate::persistent::account::{AccountForm, Belonging, belonging, why_no_uri};
use crate::persistent::lint::{allows, lint, lint_together};
use crate::persistent::record::{LONGEST, owner_of};
use crate::persistent::{PersistentRecord, Severity, Validator};
use crate::prevalidation::DomainName;

const ACCOUNT: &str = "https://acme-v02.api.letsencrypt.org/acme/acct/4711";

fn now() -> Timestamp {
    "2026-11-30T12:00:00Z".parse().unwrap()
}

fn one(text: &str) -> Vec<Vec<u8>> {
    vec![text.as_bytes().to_vec()]
}

/// Whether Boulder's and DigiCert's validators take it.
fn taken(strings: &[Vec<u8>]) -> (bool, bool) {
    let by = |validator: Validator| {
        validator
            .read(strings)
            .is_ok_and(|accepted| accepted.counts_at(now()))
    };
    (by(Validator::Boulder), by(Validator::Digicert))
}

#[test]
fn what_is_written_is_read_alike_by_both_validators_and_has_no_fault() {
    let until = "2027-11-30T12:00:00Z".parse().unwrap();
    for (issuer, account, wildcard) in [
        ("letsencrypt.org", ACCOUNT, false),
        ("letsencrypt.org", ACCOUNT, true),
        ("sectigo.com", "acct:org-4711@sectigo.com", false),
        (
            "letsencrypt.org",
            "https://acme-v02.api.letsencrypt.org/acme/acct-hash/sha-256/ptjpDuKhyzJVJtvlqDYMRi4YLLcHvHk3BPRvcxRTqqM",
            false,
        ),
    ] {
        let record = PersistentRecord {
            issuer: issuer.to_owned(),
            account: account.to_owned(),
            until,
            wildcard,
        };
        let value = record.value();
        assert!(value.len() <= LONGEST);
        assert_eq!(lint(&one(&value), now()), [], "{value}");
        for validator in Validator::ALL {
            let accepted = validator
                .judge(&one(&value), issuer, account, until)
                .unwrap();
            assert_eq!(accepted.until, Some(until.as_second()), "{value}");
            let later = until
                .checked_add(jiff::SignedDuration::from_secs(1))
                .unwrap();
            validator
                .judge(&one(&value), issuer, account, later)
                .unwrap_err();
        }
    }
}

#[test]
fn malformed_records_are_told_with_their_words_and_with_who_takes_them() {
    let a = format!("accounturi={ACCOUNT}");
    let until = "persistUntil=1827619200";
    let le = "letsencrypt.org";
    let long = "x".repeat(250);
    // The record, what the words hold, whether Boulder and DigiCert take it.
    let table: Vec<(String, &str, (bool, bool))> = vec![
        (String::new(), "is empty", (false, false)),
        ("   ".into(), "is empty", (false, false)),
        (
            format!("\"{le}; {a}; {until}\""),
            "quotation marks",
            (false, false),
        ),
        (
            format!("{le}; {a}; {until};"),
            "ends with a semicolon",
            (false, false),
        ),
        (
            format!("{le}; {a};; {until}"),
            "two semicolons",
            (false, false),
        ),
        (
            format!("{le}.; {a}; {until}"),
            "trailing dot",
            (true, false),
        ),
        (
            format!("LetsEncrypt.org; {a}; {until}"),
            "lower case: letsencrypt.org",
            (true, true),
        ),
        (
            format!("; {a}; {until}"),
            "no issuer is named",
            (false, false),
        ),
        (
            format!("{a}; {until}"),
            "begins with a parameter",
            (false, false),
        ),
        (
            format!("letsencrypt; {a}; {until}"),
            "not a domain name of a CA",
            (false, false),
        ),
        (
            format!("lets encrypt.org; {a}; {until}"),
            "not a domain name of a CA",
            (false, false),
        ),
        (
            format!("-le.org; {a}; {until}"),
            "not a domain name of a CA",
            (false, false),
        ),
        (
            format!("https://letsencrypt.org; {a}; {until}"),
            "not a domain name of a CA",
            (false, false),
        ),
        (
            format!("{le}; {until}"),
            "no account is named",
            (false, false),
        ),
        (le.to_string(), "no account is named", (false, false)),
        (
            format!("{le}; accounturi=; {until}"),
            "`accounturi` is empty",
            (true, false),
        ),
        (
            format!("{le}; accountUri={ACCOUNT}; {until}"),
            "must be `accounturi`",
            (true, false),
        ),
        (
            format!("{le}; AccountURI={ACCOUNT}; {until}"),
            "must be `accounturi`",
            (true, false),
        ),
        (
            format!("{le}; account-uri={ACCOUNT}; {until}"),
            "must be `accounturi`",
            (false, false),
        ),
        (
            format!("{le}; accounturi=4711; {until}"),
            "no URI: it has no scheme",
            (true, false),
        ),
        (
            format!("{le}; accounturi=https://; {until}"),
            "nothing follows",
            (true, false),
        ),
        (
            format!("{le}; accounturi=<{ACCOUNT}>; {until}"),
            "scheme is malformed",
            (true, false),
        ),
        (
            format!("{le}; {a} ; {a}; {until}"),
            "more than once",
            (false, false),
        ),
        (
            format!("{le}; {a}; ACCOUNTURI=x:y; {until}"),
            "more than once",
            (false, true),
        ),
        (
            format!("{le}; {a}; {until}; {until}"),
            "more than once",
            (false, false),
        ),
        (
            format!("{le}; {a}; persistuntil=1827619200"),
            "never ends",
            (true, true),
        ),
        (
            format!("{le}; {a}; persist-until=1827619200"),
            "never ends",
            (true, true),
        ),
        (format!("{le}; {a}"), "never ends", (true, true)),
        (
            format!("{le}; {a}; persistUntil=2027-11-30"),
            "is not a number",
            (false, false),
        ),
        (
            format!("{le}; {a}; persistUntil="),
            "is not a number",
            (false, false),
        ),
        (
            format!("{le}; {a}; persistUntil=-1"),
            "is negative",
            (false, false),
        ),
        (
            format!("{le}; {a}; persistUntil=1700000000"),
            "ended at 2023-11-14",
            (false, false),
        ),
        (
            format!("{le}; {a}; persistUntil=1827619200000"),
            "milliseconds",
            (true, true),
        ),
        (
            format!("{le}; {a}; persistUntil=16725225600"),
            "more than five years",
            (true, true),
        ),
        (
            format!("{le}; {a}; persistUntil=+1827619200"),
            "without a sign",
            (true, true),
        ),
        (
            format!("{le}; {a}; persistUntil=99999999999999999999"),
            "is not a number",
            (false, false),
        ),
        (
            format!("{le}; {a}; persistUntil"),
            "has no `=`",
            (false, false),
        ),
        (
            format!("{le}; {a}; persistUntil=18 27"),
            "holds a blank",
            (false, false),
        ),
        (
            format!("{le}; {a}; {until}; policy=Wildcard"),
            "in lower case",
            (true, true),
        ),
        (
            format!("{le}; {a}; {until}; policy=exact"),
            "limits nothing",
            (true, true),
        ),
        (
            format!("{le}; {a}; {until}; note=our-own"),
            "pass over it",
            (true, true),
        ),
        (
            format!("{le}; {a}; {until}; my_key=1"),
            "is no key",
            (false, false),
        ),
        (
            format!("{le}, {a}, {until}"),
            "begins with a parameter",
            (false, false),
        ),
        (
            format!("{le}; {a}\u{7}; {until}"),
            "control character",
            (false, false),
        ),
        (
            format!("{le}; accounturi=https://ü.example/1; {until}"),
            "outside ASCII",
            (false, false),
        ),
        (
            format!("{le}; accounturi=https://acme.digicert.com/acct/1; {until}"),
            "which is digicert.com's",
            (true, true),
        ),
        (
            format!("{le}; accounturi=https://acme.example.net/acct/1; {until}"),
            "not known as one of its hosts",
            (true, true),
        ),
        (
            format!("{le}; {a}/{long}; {until}"),
            "more than 255",
            (true, true),
        ),
    ];
    assert!(table.len() >= 30);
    for (record, words, by) in &table {
        let faults = lint(&one(record), now());
        let told: Vec<_> = faults.iter().map(|fault| fault.words.as_str()).collect();
        assert!(
            told.join(" · ").contains(words),
            "`{record}`: {told:?}, not `{words}`"
        );
        assert_eq!(taken(&one(record)), *by, "`{record}`");
        // What some CA passes over is reported as broken.
        if *by != (true, true) {
            let worst = faults.iter().map(|fault| fault.severity).max();
            assert_eq!(worst, Some(Severity::Broken), "`{record}`: {told:?}");
        }
    }
}

#[test]
fn strings_and_octets_that_are_no_text_are_told() {
    let halves = vec![
        b"letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acme/ac".to_vec(),
        b"ct/1; persistUntil=1827619200".to_vec(),
    ];
    let faults = lint(&halves, now());
    assert_eq!(faults[0].code, "several-strings");
    assert_eq!(taken(&halves), (true, false));
    let raw = lint(&[vec![0xff, 0xfe]], now());
    assert_eq!((raw.len(), raw[0].code), (1, "not-text"));
    assert_eq!(lint(&[], now())[0].code, "empty");
}

#[test]
fn two_records_for_one_issuer_are_told_once() {
    let record = |account: u32| {
        one(&format!(
            "letsencrypt.org; accounturi=https://acme-v02.api.letsencrypt.org/acct/{account}"
        ))
    };
    let other = one("sectigo.com; accounturi=acct:1@sectigo.com");
    let faults = lint_together(&[record(1), other.clone(), record(2)]);
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0]
            .words
            .contains("2 records are for letsencrypt.org")
    );
    assert_eq!(lint_together(&[record(1), other, one("no record")]), []);
}

#[test]
fn what_a_record_allows_is_the_worst_of_both_readings() {
    let value = |more: &str| one(&format!("letsencrypt.org; accounturi={ACCOUNT}{more}"));
    let said = allows(&value("; persistUntil=1827619200"), "example.ch", now()).unwrap();
    for words in [
        "letsencrypt.org",
        ACCOUNT,
        "wildcards",
        "below it",
        "until 2027-12-01",
    ] {
        assert!(said.contains(words), "{said}");
    }
    for endless in ["", "; persistuntil=1827619200", "; persistuntil=1"] {
        let said = allows(&value(endless), "example.ch", now()).unwrap();
        assert!(said.ends_with("without end"), "{said}");
    }
    for nothing in ["; persistUntil=1", ";", "; persistUntil=x"] {
        assert_eq!(allows(&value(nothing), "example.ch", now()), None);
    }
}

#[test]
fn an_account_is_its_issuers_or_is_told_to_be_anothers() {
    let foreign = |host: &str, whose| Belonging::Foreign {
        host: host.to_owned(),
        whose,
    };
    for (issuer, account, host, want) in [
        ("letsencrypt.org", ACCOUNT, None, Belonging::Ours),
        ("LetsEncrypt.org.", ACCOUNT, None, Belonging::Ours),
        (
            "sectigo.com",
            ACCOUNT,
            None,
            foreign("acme-v02.api.letsencrypt.org", Some("letsencrypt.org")),
        ),
        // What is known of another issuer is not a setting's to change.
        (
            "sectigo.com",
            ACCOUNT,
            Some("acme-v02.api.letsencrypt.org"),
            foreign("acme-v02.api.letsencrypt.org", Some("letsencrypt.org")),
        ),
        (
            "sectigo.com",
            "https://acme.zerossl.com/v2/1",
            None,
            Belonging::Ours,
        ),
        (
            "sectigo.com",
            "https://evil-sectigo.com/1",
            None,
            foreign("evil-sectigo.com", None),
        ),
        (
            "sectigo.com",
            "https://sectigo.com.evil.net/1",
            None,
            foreign("sectigo.com.evil.net", None),
        ),
        (
            "sectigo.com",
            "https://sectigo.com@evil.net/1",
            None,
            foreign("evil.net", None),
        ),
        ("sectigo.com", "acct:1@sectigo.com", None, Belonging::Ours),
        (
            "ca.example",
            "https://acme.ca.example:8443/1",
            None,
            Belonging::Ours,
        ),
        (
            "ca.example",
            "https://accounts.other.example/1",
            None,
            Belonging::Unknown,
        ),
        (
            "ca.example",
            "https://accounts.other.example/1",
            Some("accounts.other.example"),
            Belonging::Ours,
        ),
        ("ca.example", "urn:uuid:1", None, Belonging::Unknown),
    ] {
        assert_eq!(belonging(issuer, account, host), want, "{issuer} {account}");
    }
    for (account, form) in [
        (ACCOUNT, AccountForm::Url),
        ("acct:1@sectigo.com", AccountForm::Acct),
        ("urn:x:1", AccountForm::Other),
        (
            "https://a.example/h/sha-256/ptjpDuKhyzJVJtvlqDYMRi4YLLcHvHk3BPRvcxRTqqM",
            AccountForm::Hash,
        ),
    ] {
        assert_eq!(AccountForm::of(account), form, "{account}");
    }
    assert_eq!(
        why_no_uri("https://a.example/1;x=2"),
        Some("it holds a semicolon, which ends it in the record")
    );
    // CAs without ACME assign URIs of any scheme.
    assert_eq!(why_no_uri("x-ca:account:1"), None);
}

#[test]
fn a_domain_of_the_longest_name_has_no_room_for_the_label() {
    let name = |labels: usize| {
        let text = vec!["a".repeat(49); labels].join(".") + ".ch";
        DomainName::from_a_labels(&text).unwrap()
    };
    assert_eq!(
        owner_of(&name(1)).unwrap().as_str(),
        format!("_validation-persist.{}", name(1))
    );
    assert_eq!(owner_of(&name(5)), None);
}
