//! The stored form is one flat object, although the values are in several structs here. Older and
//! younger programs read the same rows.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::prevalidation::{Challenge, Counts, DomainName, Lateness};

/// Each key with a value of its own, so that two of them cannot be exchanged unseen.
const FULL: [&str; 24] = [
    r#"{"since":"2027-01-15T08:00:01Z","#,
    r#""renews":{"validated_at":"2027-01-15T08:00:02Z","expires_at":null,"method":null},"#,
    r#""replaces":"replaces","value":"value","#,
    r#""challenge":{"owner":"_a.example.ch","data":{"cname":"b.sectigo.com"},"made":null,"#,
    r#""until":null,"counts":"published"},"#,
    r#""order":"order","look_at":"2027-01-15T08:00:03Z","order_reads":4,"change_id":"change","#,
    r#""visible_at":"2027-01-15T08:00:05Z","seen_at":"2027-01-15T08:00:06Z","#,
    r#""horizon_at":"2027-01-15T08:00:07Z","cached_until":"2027-01-15T08:00:08Z","#,
    r#""waits_since":"2027-01-15T08:00:09Z","waits_for":"waits","told":"late","#,
    r#""bogus":{"since":"2027-01-15T08:00:10Z","fault":"fault"},"#,
    r#""withdrawn_at":"2027-01-15T08:00:11Z","others":["other"],"#,
    r#""others_changed":{"at":"2027-01-15T08:00:12Z","what":"what"},"looks":13,"tries":14,"#,
    r#""submitted_at":"2027-01-15T08:00:15Z","vanished":16,"#,
    r#""preflight_at":"2027-01-15T08:00:17Z","#,
    r#""unanswered":"reset_token","lost":18,"failures":19,"last_error":"error","#,
    r#""dns_failed":true,"#,
    r#""not_before":"2027-01-15T08:00:20Z","#,
    r#""hold":{"since":"2027-01-15T08:00:21Z","reason":"reason","#,
    r#""again_at":"2027-01-15T08:00:22Z"},"#,
    r#""taken_up_at":"2027-01-15T08:00:23Z","word_waits":true,"#,
    r#""effects":["2027-01-15T08:00:24Z","2027-01-15T08:00:25Z"],"ordered":true,"#,
    r#""proved_at":"2027-01-15T08:00:26Z","#,
    r#""last_proof":{"validated_at":"2027-01-15T08:00:27Z","expires_at":null,"method":null},"#,
    r#""lapsed_at":"2027-01-15T08:00:28Z"}"#,
];

/// Fields that are left out when unknown came later than version 0.1.0.
const EMPTY: [&str; 10] = [
    r#"{"since":null,"renews":null,"replaces":null,"value":null,"change_id":null,"#,
    r#""visible_at":null,"#,
    r#""seen_at":null,"horizon_at":null,"cached_until":null,"waits_since":null,"#,
    r#""waits_for":null,"#,
    r#""told":"in_time","bogus":null,"withdrawn_at":null,"others":null,"others_changed":null,"#,
    r#""looks":0,"tries":0,"submitted_at":null,"vanished":0,"preflight_at":null,"#,
    r#""unanswered":null,"#,
    r#""failures":0,"last_error":null,"dns_failed":false,"not_before":null,"hold":null,"#,
    r#""taken_up_at":null,"word_waits":false,"effects":[],"ordered":false,"proved_at":null,"#,
    r#""last_proof":null,"lapsed_at":null}"#,
];

fn at(second: i64) -> Option<Timestamp> {
    Some(moment(second))
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn proof(second: i64) -> Option<Proof> {
    Some(Proof {
        validated_at: at(second),
        ..Proof::default()
    })
}

fn challenge() -> Challenge {
    let domain = DomainName::from_a_labels("example.ch").unwrap();
    Challenge::cname(&domain, "_a.example.ch", "b.sectigo.com", Counts::Published).unwrap()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn attempt() -> Attempt {
    Attempt {
        since: at(1),
        renews: proof(2),
        replaces: some("replaces"),
        value: some("value"),
        challenge: Some(challenge()),
        submission: Submission {
            order: some("order"),
            next_read_at: at(3),
            reads: 4,
            tries: 14,
            submitted_at: at(15),
        },
        visibility: Visibility {
            change_id: some("change"),
            visible_at: at(5),
            seen_at: at(6),
            horizon_at: at(7),
            cached_until: at(8),
            checks: 13,
            vanished: 16,
        },
        ordered: true,
    }
}

pub(super) fn full() -> Upkeep {
    Upkeep {
        attempt: attempt(),
        wait: Wait {
            since: at(9),
            subject: some("waits"),
            told: Lateness::Late,
            bogus: Some(Bogus {
                since: moment(10),
                fault: "fault".to_owned(),
            }),
        },
        withdrawn_at: at(11),
        foreign: Foreign {
            values: Some(vec!["other".to_owned()]),
            changed: Some(OthersChanged {
                at: moment(12),
                what: "what".to_owned(),
            }),
        },
        preflight_at: at(17),
        calls: Calls {
            unanswered: Some(Effect::ResetToken),
            lost: 18,
            made: vec![moment(24), moment(25)],
        },
        setback: Setback {
            failures: 19,
            last_error: some("error"),
            dns_failed: true,
            not_before: at(20),
            hold: Some(Hold {
                since: moment(21),
                reason: "reason".to_owned(),
                again_at: moment(22),
            }),
        },
        wake: Wake {
            taken_up_at: at(23),
            waits: true,
        },
        past: Past {
            proved_at: at(26),
            last_proof: proof(27),
            lapsed_at: at(28),
            false_lapse: None,
        },
    }
}

#[test]
fn all_that_is_known_is_stored_as_ever_and_found_again() {
    let stored = FULL.concat();
    assert_eq!(serde_json::to_string(&full()).unwrap(), stored);
    assert_eq!(serde_json::from_str::<Upkeep>(&stored).unwrap(), full());
}

#[test]
fn where_nothing_is_known_the_same_keys_are_stored_as_ever() {
    let stored = EMPTY.concat();
    assert_eq!(serde_json::to_string(&Upkeep::default()).unwrap(), stored);
    for text in [&*stored, "{}"] {
        let read: Upkeep = serde_json::from_str(text).unwrap();
        assert_eq!(read, Upkeep::default(), "{text}");
    }
}

#[test]
fn unknown_keys_are_ignored_and_missing_ones_are_empty() {
    let all: serde_json::Value = serde_json::from_str(&FULL.concat()).unwrap();
    let serde_json::Value::Object(all) = all else {
        unreachable!()
    };
    let empty = serde_json::to_value(Upkeep::default()).unwrap();
    for key in all.keys() {
        let mut other = all.clone();
        other.remove(key);
        other.insert(
            "of_another_version".to_owned(),
            serde_json::json!({"a": [1]}),
        );
        let read: Upkeep = serde_json::from_value(other.into()).unwrap();
        let again = serde_json::to_value(&read).unwrap();
        for (other, value) in &all {
            let wanted = if other == key {
                empty.get(key)
            } else {
                Some(value)
            };
            assert_eq!(again.get(other), wanted, "{other} without {key}");
        }
        assert_eq!(again.get("of_another_version"), None);
    }
}

#[test]
fn a_lapse_that_was_none_is_not_stored() {
    let found = Upkeep {
        past: Past {
            false_lapse: at(29),
            ..full().past
        },
        ..full()
    };
    assert_eq!(serde_json::to_string(&found).unwrap(), FULL.concat());
}
