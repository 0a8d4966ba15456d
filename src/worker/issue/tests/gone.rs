//! Orders that their CA does not show for a while, or not by the key that it gave.

use prevalidate_providers::memory::MemoryZones;

use super::records::{go, office};
use super::*;

impl World {
    /// The next calls of these kinds find nothing.
    fn shows_nothing(&self, verb: Verb, times: usize) {
        for _ in 0..times {
            let way = Way::Refused(Failure::NotFound, "-5101: not found".to_owned());
            self.ca.next(verb, way);
        }
    }
}

#[tokio::test]
async fn an_order_that_one_check_finds_nowhere_comes_home() {
    for verb in [Verb::Read, Verb::Fetch] {
        for state in [OrderState::AwaitsPerson, OrderState::Issued] {
            let world = World::new().await;
            let wanted = [world.certificate("joe")];
            world.ca.change(|ca| {
                ca.works_for = SignedDuration::from_secs(1);
                ca.becomes = state.clone();
            });
            world.shows_nothing(verb, 1);
            world.run(&wanted, 60).await;
            let progress = world.row("joe").await.progress;
            assert_eq!(progress.hold, None, "{verb:?}, {state}");
            world.ca.change(|ca| ca.becomes = OrderState::Issued);
            world.run(&wanted, 60).await;
            assert!(world.live("joe").is_some(), "{verb:?}, {state}");
            assert_eq!(world.ca.held().len(), 1);
        }
    }
}

#[tokio::test]
async fn an_order_whose_answer_had_a_wrong_key_is_found_by_its_tag() {
    for works_for in [0, 30] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.ca.change(|ca| {
            ca.garbles_keys = true;
            ca.works_for = SignedDuration::from_secs(works_for);
        });
        world.run(&wanted, 120).await;
        assert!(world.live("joe").is_some());
        let kinds = world.kinds("joe").await;
        assert!(kinds.contains(&"missed".to_owned()), "{kinds:?}");
        assert!(kinds.contains(&"found".to_owned()), "{kinds:?}");
        assert_eq!(world.ca.count(Verb::Submit), 1);
    }
}

#[tokio::test]
async fn an_order_that_nothing_finds_for_ten_minutes_is_held_and_can_still_be_found() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| {
        ca.becomes = OrderState::AwaitsPerson;
        ca.found_after = SignedDuration::from_hours(24);
    });
    world.run(&wanted, 0).await;
    world.shows_nothing(Verb::Read, 100);
    world.run(&wanted, 500).await;
    let progress = world.row("joe").await.progress;
    assert_eq!(progress.hold, None);
    let trouble = progress.trouble.unwrap();
    assert!(trouble.contains("-5101"), "{trouble}");
    let reads = world.ca.count(Verb::Read);
    assert!((5..30).contains(&reads), "{reads} reads, ever more slowly");
    world.run(&wanted, 1200).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(hold.words.contains("prevalidate:"), "{}", hold.words);
    assert!(
        hold.hint
            .unwrap()
            .contains("issue joe` searches for it again")
    );

    // A person orders a new search: the order is found, and nothing is bought.
    world.ca.forgive();
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn an_order_that_is_held_as_gone_is_made_again_by_a_persons_word_only() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| {
        ca.becomes = OrderState::AwaitsPerson;
        ca.found_after = SignedDuration::from_hours(24);
    });
    world.run(&wanted, 0).await;
    world.shows_nothing(Verb::Read, 200);
    world.run(&wanted, 2400).await;
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 60).await;
    assert!(
        world.row("joe").await.progress.hold.is_some(),
        "both said no"
    );
    assert_eq!(world.ca.count(Verb::Submit), 1);
    world.ca.forgive();
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.count(Verb::Submit), 2);
}

#[tokio::test]
async fn records_of_an_order_stay_while_the_ca_does_not_show_it() {
    for in_order in [true, false] {
        let world = World::new().await;
        let zones = MemoryZones::new().with_zone("example.ch");
        world.ca.change(|ca| {
            ca.brings_records = !in_order;
            ca.works_for = SignedDuration::from_mins(5);
        });
        let (issuer, _) = office(&world, &zones, in_order).await;
        go(&world, &issuer, 30).await;
        world.shows_nothing(Verb::Read, 3);
        go(&world, &issuer, 60).await;
        assert!(world.kinds("www").await.contains(&"missed".to_owned()));
        assert!(
            !zones.values("_dnsauth.example.ch").is_empty(),
            "{in_order}"
        );
        go(&world, &issuer, 900).await;
        assert!(world.live("www").is_some(), "{in_order}");
        assert!(zones.values("_dnsauth.example.ch").is_empty(), "{in_order}");
    }
}

#[tokio::test]
async fn an_order_that_is_listed_and_never_shown_is_held_and_comes_back() {
    for is_told_by_the_list in [true, false] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
        world.run(&wanted, 0).await;
        match is_told_by_the_list {
            true => world.shows_nothing(Verb::Read, 200),
            false => world.ca.change(|ca| ca.lacks_details = true),
        }
        world.run(&wanted, 500).await;
        let progress = world.row("joe").await.progress;
        assert_eq!(progress.hold, None, "{is_told_by_the_list}");
        world.run(&wanted, 2400).await;
        let progress = world.row("joe").await.progress;
        let hold = progress.hold.expect("held");
        assert!(hold.words.contains("does not show"), "{}", hold.words);
        let hint = hold.hint.unwrap();
        for part in [
            "issue joe` searches for it again",
            "issue joe --again",
            "paid",
        ] {
            assert!(hint.contains(part), "{hint}");
        }
        let reads = world.ca.count(Verb::Read);
        world.run(&wanted, 2400).await;
        assert_eq!(world.ca.count(Verb::Read), reads, "it waits for a person");
        // It is kept: it may come back.
        world.ca.forgive();
        world.ca.change(|ca| {
            ca.lacks_details = false;
            ca.becomes = OrderState::Issued;
        });
        world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
        world.run(&wanted, 60).await;
        assert!(world.live("joe").is_some(), "{is_told_by_the_list}");
        assert_eq!(world.ca.count(Verb::Submit), 1);
    }
}

#[tokio::test]
async fn an_order_that_is_listed_and_never_shown_is_made_again_by_a_person() {
    // With and without an answer to the order.
    for is_lost in [false, true] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.ca.change(|ca| {
            ca.becomes = OrderState::AwaitsPerson;
            ca.lacks_details = true;
        });
        if is_lost {
            world.ca.next(Verb::Submit, Way::AnswerLost);
        }
        world.run(&wanted, 60).await;
        let why = world.by_hand(&wanted, ByHand::Again).await.unwrap_err();
        assert!(why.contains("an order is under way"), "{why}");
        world.run(&wanted, 2400).await;
        let progress = world.row("joe").await.progress;
        let hint = progress
            .hold
            .and_then(|hold| hold.hint)
            .or(progress.trouble);
        let hint = hint.unwrap();
        assert!(hint.contains("issue joe --again"), "{is_lost}: {hint}");
        assert!(progress.order.is_some(), "{is_lost}: it may come back");
        world.run(&wanted, 2400).await;
        assert_eq!(world.ca.count(Verb::Submit), 1, "never by itself");
        world.ca.change(|ca| {
            ca.lacks_details = false;
            ca.becomes = OrderState::Issued;
        });
        world.by_hand(&wanted, ByHand::Again).await.unwrap();
        world.run(&wanted, 60).await;
        assert!(world.live("joe").is_some(), "{is_lost}");
        assert_eq!(world.ca.count(Verb::Submit), 2);
    }
}

#[tokio::test]
async fn an_order_without_an_answer_that_a_ca_is_unsure_of_for_long_still_comes_back() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.lacks_details = true);
    world.ca.next(Verb::Submit, Way::AnswerLost);
    world.run(&wanted, 2400).await;
    world.ca.change(|ca| ca.lacks_details = false);
    world.run(&wanted, 120).await;
    assert!(world.live("joe").is_some(), "no person had to act");
    let progress = world.row("joe").await.progress;
    assert_eq!((progress.hold, progress.trouble), (None, None));
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn an_order_that_cannot_even_be_searched_for_is_held() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| ca.becomes = OrderState::AwaitsPerson);
    world.run(&wanted, 0).await;
    world.shows_nothing(Verb::Read, 200);
    for _ in 0..200 {
        let words = "this user may not list orders".to_owned();
        world
            .ca
            .next(Verb::Find, Way::Refused(Failure::Refused, words));
    }
    for _ in 0..4 {
        world.run(&wanted, 60).await;
        world.clock.advance(SignedDuration::from_mins(5));
    }
    let hold = world.row("joe").await.progress.hold.expect("held");
    assert!(hold.words.contains("may not list"), "{}", hold.words);
    assert_eq!(world.ca.count(Verb::Submit), 1);
}
