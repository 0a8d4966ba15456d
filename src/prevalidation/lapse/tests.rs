//! What is remembered of a proof, answer by answer of the CA.

#![allow(clippy::unwrap_used)]
use super::*;
use crate::prevalidation::{DomainName, State, Upkeep};

fn at(text: &str) -> Timestamp {
    format!("{text}T00:00:00Z").parse().unwrap()
}

fn answer(status: Status, dates: Option<(Option<Timestamp>, Option<Timestamp>)>) -> Sighting {
    Sighting::Present(Registration {
        proof: dates.map(|(validated_at, expires_at)| {
            Box::new(Proof {
                validated_at,
                expires_at,
                method: Some("cabdns".to_owned()),
                first_seen: None,
                ends: Default::default(),
            })
        }),
        ..Registration::bare(
            "cld-1",
            DomainName::from_a_labels("example.ch").unwrap(),
            status,
        )
    })
}

fn observed(sighting: Sighting) -> Observed {
    Observed {
        domain: DomainName::from_a_labels("example.ch").unwrap(),
        desired: true,
        covered_by: None,
        has_provider: true,
        sighting,
        read_at: None,
        upkeep: Upkeep::default(),
        ledger: Vec::new(),
    }
}

/// What is known after each answer in turn, read on its day.
fn after(answers: &[(&str, Sighting)]) -> Observed {
    let mut known = observed(Sighting::Unread);
    for (day, answer) in answers {
        let last = known.last_proof().cloned();
        known.sighting = answer.clone().with_memory_of(&known, at(day));
        known.upkeep.past.last_proof = last;
    }
    known
}

fn made(day: &str) -> Option<(Option<Timestamp>, Option<Timestamp>)> {
    Some((Some(at(day)), None))
}

#[test]
fn a_lapsed_domain_stays_lapsed_whatever_the_ca_shows_until_a_new_proof_counts() {
    let (reuse, now) = (ReuseTable::default(), at("2026-12-01"));
    let proven = ("2026-04-01", answer(Status::Valid, made("2026-04-01")));
    let ended = ("2026-11-01", answer(Status::Expired, made("2026-04-01")));
    let pending = ("2026-11-02", answer(Status::Pending, None));
    let gone = ("2026-11-03", Sighting::Absent);
    let anew = ("2026-11-04", answer(Status::NotValidated, None));
    for answers in [
        vec![ended.clone()],
        vec![proven.clone(), pending.clone()],
        vec![proven.clone(), ended.clone(), pending.clone()],
        vec![proven.clone(), gone.clone()],
        vec![proven.clone(), gone.clone(), anew.clone(), pending.clone()],
        vec![ended, pending.clone(), gone, anew],
        vec![("2026-11-01", answer(Status::Expired, None))],
    ] {
        let known = after(&answers);
        assert!(known.is_lapsed(&reuse, now), "{answers:?}");
        assert_eq!(known.state(&reuse, now), State::Expired, "{answers:?}");
    }
    let again = ("2026-11-05", answer(Status::Valid, made("2026-11-05")));
    let known = after(&[proven, pending, again]);
    assert!(!known.is_lapsed(&reuse, now));
    let lapsed = known.proven_until(&reuse).unwrap();
    assert_eq!(
        lapsed,
        reuse.end_of(at("2026-11-05")),
        "the end of the new proof"
    );
}

#[test]
fn what_was_never_proven_has_not_lapsed() {
    let (reuse, now) = (ReuseTable::default(), at("2026-12-01"));
    for sighting in [
        Sighting::Unread,
        Sighting::Absent,
        answer(Status::Pending, None),
        answer(Status::NotValidated, None),
        answer(Status::Unknown("ODD".to_owned()), None),
    ] {
        let known = after(&[("2026-11-01", sighting)]);
        assert!(!known.is_lapsed(&reuse, now), "{known:?}");
        assert_eq!(known.lapse_due_at(&reuse, now), None);
    }
    let mut unwanted = after(&[("2026-11-01", answer(Status::Expired, made("2026-04-01")))]);
    unwanted.desired = false;
    assert!(!unwanted.is_lapsed(&reuse, now), "it is not wanted");
}

#[test]
fn an_answer_without_a_proof_and_with_the_word_valid_counts_from_its_first_sight() {
    let reuse = ReuseTable::default();
    let known = after(&[
        ("2026-04-01", answer(Status::Valid, None)),
        ("2026-05-01", answer(Status::Valid, None)),
    ]);
    let end = reuse.end_of(at("2026-04-01"));
    assert_eq!(known.usable_until(&reuse, at("2026-06-01")), Some(end));
    assert!(
        known.is_lapsed(&reuse, end),
        "the CA says VALID for too long"
    );
}

#[test]
fn a_lapse_is_noted_once_and_the_next_one_again() {
    let reuse = ReuseTable::default();
    let end = reuse.end_of(at("2026-04-01"));
    let mut known = after(&[("2026-04-01", answer(Status::Valid, made("2026-04-01")))]);
    assert_eq!(known.lapse_due_at(&reuse, at("2026-05-01")), Some(end));
    assert_eq!(known.lapse_due_at(&reuse, end), Some(end), "now");
    assert!(
        known
            .lapse_in_words(&reuse, end)
            .contains(&format!("ended on {end}"))
    );
    known.upkeep.past.lapsed_at = Some(end);
    assert_eq!(known.lapse_due_at(&reuse, end), None);
    known.upkeep.restart(end, None);
    assert_eq!(
        known.lapse_due_at(&reuse, end),
        None,
        "a new attempt changes nothing"
    );
    // Proven again by another user, and lost by a reset.
    let later = at("2026-11-20");
    known.sighting = answer(Status::Valid, made("2026-11-10"));
    known.sighting = answer(Status::Pending, None).with_memory_of(&known, later);
    assert_eq!(known.lapse_due_at(&reuse, later), Some(later));
    let said = known.lapse_in_words(&reuse, later);
    assert!(said.contains("does not count it any longer"), "{said}");
    known.upkeep.past.lapsed_at = Some(later);
    assert_eq!(
        known.proven_until(&reuse),
        Some(later),
        "lost before its end"
    );
}

#[test]
fn a_store_of_an_older_version_is_read_and_one_of_this_version_keeps_the_memory() {
    let read: Registration = serde_json::from_str(
        r#"{"reference":"cld-1","domain":"example.ch","status":"pending","proof":null,
            "token":null,"last_words":null,"doubt":null}"#,
    )
    .unwrap();
    assert!(!read.remembered);
    let stored = serde_json::to_string(&read).unwrap();
    assert!(
        !stored.contains("remembered"),
        "as older programs wrote it: {stored}"
    );
    let known = after(&[
        ("2026-04-01", answer(Status::Valid, made("2026-04-01"))),
        ("2026-05-01", answer(Status::Pending, None)),
    ]);
    let stored = serde_json::to_string(&known).unwrap();
    assert_eq!(serde_json::from_str::<Observed>(&stored).unwrap(), known);
}

#[test]
fn a_lapse_that_a_wrong_clock_has_noted_for_the_future_is_noted_when_it_comes() {
    let reuse = ReuseTable::default();
    let proven = answer(Status::Valid, Some((Some(at("2026-01-10")), None)));
    let gone = answer(Status::Pending, None);
    let mut known = after(&[("2026-01-10", proven), ("2026-02-01", gone)]);
    known.upkeep.past.lapsed_at = Some(at("2028-01-04"));
    let now = at("2026-11-29");
    assert!(known.is_lapsed(&reuse, now));
    assert!(known.believed(now).has_unnoted_lapse(&reuse, now));
}

/// A row of a list that states no day of validation, as it was read on `day`.
fn undated(status: Status, day: &str, ends: &str) -> Sighting {
    let mut row = answer(status, Some((None, Some(at(ends)))));
    if let Sighting::Present(found) = &mut row {
        found.proof.as_mut().unwrap().first_seen = Some(at(day));
    }
    row
}

#[test]
fn a_proof_that_has_ended_keeps_its_age_and_its_lapse_is_noted_once() {
    let reuse = ReuseTable::default();
    let ended = |day| (day, undated(Status::Expired, day, "2026-11-20"));
    let mut known = after(&[
        (
            "2026-11-01",
            undated(Status::Valid, "2026-11-01", "2026-11-20"),
        ),
        ended("2026-11-21"),
    ]);
    assert!(known.has_unnoted_lapse(&reuse, at("2026-11-21")));
    known.upkeep.past.lapsed_at = Some(at("2026-11-21"));
    for day in ["2026-11-22", "2026-11-23"] {
        known.sighting = ended(day).1.with_memory_of(&known, at(day));
        assert!(!known.has_unnoted_lapse(&reuse, at(day)), "{day}");
    }
    let made = known.last_proof().and_then(Proof::made_at);
    assert_eq!(made, Some(at("2026-11-01")), "its first reading");
    // Validated again, and the row shows no day for it.
    let day = "2026-11-24";
    known.sighting = undated(Status::Valid, day, "2027-06-10").with_memory_of(&known, at(day));
    assert_eq!(known.last_proof().and_then(Proof::made_at), Some(at(day)));
}

#[test]
fn a_day_of_validation_is_told_only_where_the_ca_states_it() {
    let reuse = ReuseTable::default();
    let said = |sighting| {
        let known = after(&[("2026-11-21", sighting)]);
        known.lapse_in_words(&reuse, at("2026-11-21"))
    };
    let told = said(undated(Status::Expired, "2026-11-21", "2026-11-20"));
    assert_eq!(
        told,
        "no proof counts any more: the last one ended on 2026-11-20T00:00:00Z"
    );
    let told = said(answer(Status::Expired, made("2026-04-01")));
    assert!(told.contains(", made on 2026-04-01T00:00:00Z,"), "{told}");
}
