//! Orders whose answer was lost: one order is made, or a person must decide.

use super::*;

#[tokio::test]
async fn an_order_whose_answer_was_lost_is_found_and_not_made_twice() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Submit, Way::AnswerLost);
    world
        .ca
        .change(|ca| ca.found_after = SignedDuration::from_secs(10));
    world.run(&wanted, 120).await;
    assert!(world.live("joe").is_some());
    assert_eq!(
        (world.ca.held().len(), world.ca.count(Verb::Submit)),
        (1, 1)
    );
}

#[tokio::test]
async fn an_order_that_never_reached_the_ca_is_made_again_after_a_clean_no() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Submit, Way::RequestLost);
    let begin = world.clock.now();
    world.run(&wanted, 120).await;
    assert!(world.live("joe").is_some());
    assert_eq!(
        (world.ca.held().len(), world.ca.count(Verb::Submit)),
        (1, 2)
    );
    let calls = world.ca.calls();
    let second = calls.iter().filter(|call| call.verb == Verb::Submit).nth(1);
    let waited = second.unwrap().at.duration_since(begin);
    assert!(waited >= SignedDuration::from_secs(30), "{waited:?}");
}

#[tokio::test]
async fn an_order_that_is_carried_out_after_a_slow_call_was_cut_off_is_not_made_twice() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Submit, Way::AnswerLost);
    world.ca.change(|ca| {
        ca.submit_takes = SignedDuration::from_secs(120);
        ca.found_after = SignedDuration::from_secs(20);
    });
    world.run(&wanted, 400).await;
    assert!(world.live("joe").is_some());
    assert_eq!(
        (world.ca.held().len(), world.ca.count(Verb::Submit)),
        (1, 1)
    );
}

#[tokio::test]
async fn an_order_that_the_ca_does_not_have_twice_is_held_and_not_sent_a_third_time() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    for _ in 0..2 {
        world.ca.next(Verb::Submit, Way::RequestLost);
    }
    world.run(&wanted, 600).await;
    let tag = world.ca.calls().iter().find_map(|call| {
        let is_order = call.verb == Verb::Submit;
        is_order.then(|| call.about.clone())
    });
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(hold.words.contains(&tag.unwrap()), "{}", hold.words);
    assert!(hold.hint.unwrap().contains("--again"));
    world.by_hand(&wanted, ByHand::Afresh).await.unwrap();
    world.run(&wanted, 600).await;
    assert_eq!(world.ca.count(Verb::Submit), 2);
    world.by_hand(&wanted, ByHand::Again).await.unwrap();
    world.run(&wanted, 600).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn an_order_costs_each_call_once_and_is_read_after_two_seconds() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_secs(1));
    world.run(&wanted, 60).await;
    let calls = world.ca.calls();
    let verbs: Vec<Verb> = calls.iter().map(|call| call.verb).collect();
    assert_eq!(
        verbs,
        [Verb::Preflight, Verb::Submit, Verb::Read, Verb::Fetch]
    );
    let waited = calls[2].at.duration_since(calls[1].at);
    assert!(waited <= SignedDuration::from_secs(2), "{waited:?}");
}

#[tokio::test]
async fn a_fetch_whose_answer_was_lost_is_made_again_and_orders_nothing() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Fetch, Way::AnswerLost);
    world.ca.next(Verb::Fetch, Way::RequestLost);
    world.run(&wanted, 120).await;
    assert!(world.live("joe").is_some());
    assert_eq!((world.ca.held().len(), world.ca.count(Verb::Fetch)), (1, 3));
}

#[tokio::test]
async fn by_a_wrong_clock_nothing_is_ordered_and_by_the_right_one_it_goes_on() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    for hours in [48, -48] {
        world
            .ca
            .change(|ca| ca.clock_ahead = SignedDuration::from_hours(hours));
        world.run(&wanted, 60).await;
        let progress = world.row("joe").await.progress;
        let trouble = progress.trouble.unwrap();
        assert!(trouble.contains("the local clock is 172800 s"), "{trouble}");
        assert_eq!(progress.hold, None, "it waits for no person");
    }
    assert_eq!(world.ca.count(Verb::Submit), 0);
    world
        .ca
        .change(|ca| ca.clock_ahead = SignedDuration::from_secs(200));
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn an_order_without_an_answer_is_not_given_up_by_a_wrong_clock() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Submit, Way::AnswerLost);
    world.run(&wanted, 1).await;
    world.ca.change(|ca| {
        ca.found_after = SignedDuration::from_hours(24);
        ca.clock_ahead = SignedDuration::from_hours(48);
    });
    world.clock.advance(SignedDuration::from_mins(5));
    world.run(&wanted, 60).await;
    let order = world.row("joe").await.progress.order.unwrap();
    assert!(world.ca.count(Verb::Find) > 0);
    assert_eq!((order.submitted_at.is_some(), order.not_found), (true, 0));
    world.ca.change(|ca| {
        ca.found_after = SignedDuration::ZERO;
        ca.clock_ahead = SignedDuration::ZERO;
    });
    world.run(&wanted, 60).await;
    assert!(world.live("joe").is_some());
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

/// By a clock that is set ahead, the time before "there is no such order" is not over.
#[tokio::test]
async fn a_clock_that_is_set_ahead_makes_no_search_sure() {
    for is_another_process in [false, true] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.ca.next(Verb::Submit, Way::RequestLost);
        world.want(&wanted).await;
        let process = || {
            let ca = Arc::clone(&world.ca) as Arc<dyn Issuing>;
            world.issuer(ca, wanted.to_vec())
        };
        let run = async |issuer: &Issuer, seconds: i64| {
            let over = CancellationToken::new();
            over.cancel();
            let deadline = world.clock.now() + SignedDuration::from_secs(seconds);
            issuer.run(deadline, &over).await.unwrap();
        };
        let mut issuer = process();
        run(&issuer, 5).await;
        world.clock.step(SignedDuration::from_secs(290));
        if is_another_process {
            issuer = process();
        }
        run(&issuer, 15).await;
        assert_eq!(world.ca.count(Verb::Submit), 1, "{is_another_process}");
        assert!(world.ca.count(Verb::Find) > 1, "{is_another_process}");
        run(&issuer, 60).await;
        assert_eq!(world.ca.count(Verb::Submit), 2, "{is_another_process}");
        assert!(world.live("joe").is_some());
    }
}

#[tokio::test]
async fn processes_that_end_at_once_are_sure_five_minutes_later() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.next(Verb::Submit, Way::RequestLost);
    world.run(&wanted, 1).await;
    for seconds in [200, 100] {
        world.clock.advance(SignedDuration::from_secs(seconds));
        world.run(&wanted, 1).await;
        assert_eq!(world.ca.count(Verb::Submit), 1, "{seconds}");
    }
    world.clock.advance(SignedDuration::from_secs(60));
    world.run(&wanted, 1).await;
    assert_eq!(world.ca.count(Verb::Submit), 2);
}
