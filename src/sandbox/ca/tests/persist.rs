//! The CA checks persistent records again and again, by the reading that is switched on.

use hickory_proto::rr::RData;
use hickory_proto::rr::rdata::CAA;

use super::*;

const OWNER: &str = "_validation-persist.example.test";
const ACCOUNT: &str = "acct:sandbox@swisssign.com";

impl Lab {
    /// The only value at the label.
    fn stand(&self, value: &str) {
        if self.dns.zone(0, "example.test").is_none() {
            self.dns.add_zone(Zone::new("example.test"));
        }
        for old in self.dns.txt(OWNER) {
            self.dns
                .edit("example.test", |zone| zone.without_txt(OWNER, &old));
        }
        self.dns.edit("example.test", |zone| zone.txt(OWNER, value));
    }
}

#[tokio::test]
async fn a_proof_lives_from_check_to_check_and_ends_after_ten_days() {
    let lab = Lab::start().await;
    let good = format!("swisssign.com; accounturi={ACCOUNT}; persistUntil=1999999999");
    assert!(lab.ca.watch_persistent("example.test").await.is_err());
    lab.register(&["example.test"]).await;
    lab.stand("swisssign.com; accounturi=acct:other@swisssign.com");
    let why = lab.ca.watch_persistent("example.test").await.unwrap_err();
    assert!(why.contains("record with the account not found"), "{why}");
    assert!(!lab.ca.domain("example.test").unwrap().validated);

    lab.stand(&good);
    lab.ca.watch_persistent("example.test").await.unwrap();
    let end = |lab: &Lab| lab.ca.domain("example.test").unwrap().time_expired;
    assert_eq!(end(&lab), Some("2026-12-01T00:00:00Z".parse().unwrap()));
    // It is not asked before its time, and by any call once it is due.
    lab.clock.advance(days(7));
    assert_eq!(lab.ca.rechecks().await.len(), 2);
    lab.clock.advance(days(1));
    let state = format!("{}/_sandbox/state", lab.ca.url());
    lab.http.get(&state).send().await.unwrap();
    assert_eq!(end(&lab), Some("2026-12-09T00:00:00Z".parse().unwrap()));

    lab.stand("v=other");
    lab.clock.advance(days(8));
    let checks = lab.ca.rechecks().await;
    let found: Vec<bool> = checks.iter().map(|check| check.found).collect();
    assert_eq!(found, [false, true, true, false]);
    assert!(lab.ca.domain("example.test").unwrap().validated);
    lab.clock.advance(days(2));
    assert!(!lab.ca.domain("example.test").unwrap().validated);
}

#[tokio::test]
async fn each_reading_takes_what_its_validator_takes() {
    let lab = Lab::start().await;
    lab.register(&["example.test"]).await;
    let value = |rest: &str| format!("swisssign.com; {rest}");
    for (value, boulder, digicert) in [
        (value(&format!("accounturi={ACCOUNT}")), true, true),
        (value(&format!("AccountURI={ACCOUNT}")), true, false),
        (
            value(&format!("accounturi={ACCOUNT}; persistuntil=1")),
            false,
            true,
        ),
        (value(&format!("accounturi={ACCOUNT};")), false, false),
        (format!("swisssign.com.; accounturi={ACCOUNT}"), true, false),
    ] {
        lab.stand(&value);
        for (reading, takes) in [
            (Reading::Boulder, boulder),
            (Reading::Digicert, digicert),
            (Reading::Both, boulder && digicert),
        ] {
            lab.ca.change(|behaviour| behaviour.persistent = reading);
            let found = lab.ca.watch_persistent("example.test").await;
            assert_eq!(found.is_ok(), takes, "{value} {reading:?}: {found:?}");
        }
    }
}

#[tokio::test]
async fn caa_stops_a_check_by_the_rules_of_the_day() {
    let lab = Lab::start().await;
    lab.register(&["example.test"]).await;
    lab.stand("v=other");
    let now = lab.clock.now();
    let day = |count| now.saturating_add(days(count)).unwrap();
    // CAA is switched off by default.
    for (caa, before, after) in [
        (None, true, true),
        (Some("swisssign.com"), true, true),
        (Some("other.example"), false, false),
        (
            Some("swisssign.com; validationmethods=ca-tbr-7"),
            true,
            false,
        ),
        (
            Some("swisssign.com; validationmethods=ca-tbr-7,ca-tbr-22"),
            true,
            true,
        ),
        (
            Some("swisssign.com; validationmethods=dns-persist-01"),
            true,
            true,
        ),
        (
            Some("swisssign.com; accounturi=acct:other@swisssign.com"),
            true,
            false,
        ),
        (
            Some("swisssign.com; accounturi=acct:sandbox@swisssign.com"),
            true,
            true,
        ),
    ] {
        lab.dns.edit("example.test", |_| {
            let value = format!("swisssign.com; accounturi={ACCOUNT}");
            let zone = Zone::new("example.test").txt(OWNER, &value);
            let Some(caa) = caa else {
                return zone;
            };
            let mut issue = CAA::new_issue(false, None, Vec::new());
            issue.value = caa.as_bytes().to_vec();
            zone.with("example.test", RData::CAA(issue))
        });
        for (from, permits) in [(day(1), before), (day(-1), after)] {
            lab.ca.change(|behaviour| {
                behaviour.caa = CaaCheck::Off;
                behaviour.caa_from = from;
            });
            let found = lab.ca.watch_persistent("example.test").await;
            assert!(found.is_ok(), "{caa:?}: {found:?}");
            for check in [CaaCheck::Orders, CaaCheck::Validate] {
                lab.ca.change(|behaviour| behaviour.caa = check);
                let found = lab.ca.watch_persistent("example.test").await;
                let expected = permits || check == CaaCheck::Orders;
                assert_eq!(found.is_ok(), expected, "{caa:?} {from}: {found:?}");
            }
        }
    }
}
