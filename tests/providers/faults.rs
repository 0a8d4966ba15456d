//! Answers that are lost, late, altered or hostile, and servers that do not do what they say.

use super::*;

/// BIND behind a proxy.
fn behind(
    rule: impl Fn(&Message, usize) -> Verdict + Send + Sync + 'static,
) -> (NameServer, Proxy, Arc<dyn Provider>) {
    let server = NameServer::bind(&[prepared_zone()], &Keys::of(&["prevalidate"]));
    let proxy = Proxy::before(server.address(), rule);
    let setup = Setup {
        more: json!({ "timeout": 2 }),
        ..Setup::at(proxy.address().to_string(), server.keys().0[0].clone())
    };
    (server, proxy, setup.build())
}

#[tokio::test]
async fn many_values_of_one_zone_are_one_update_message() {
    let (server, proxy, provider) = behind(|_, _| Verdict::Pass);
    let owners = (0..40).map(|number| format!("n{number}.many.{APEX}"));
    let values: Vec<_> = owners
        .map(|owner| Record::txt(owner, "swiss-pki=many"))
        .collect();
    assert!(
        provider
            .ensure_present(&values)
            .await
            .iter()
            .all(|result| result.as_ref().unwrap().changed)
    );
    assert_eq!(proxy.updates().len(), 1);
    assert_eq!(server.txt("n39.many.example.test"), ["swiss-pki=many"]);
}

#[tokio::test]
async fn a_lost_answer_is_found_out_by_reading() {
    let (server, proxy, provider) = behind(|message, earlier| {
        if is_update(message) && earlier == 0 {
            Verdict::LoseReply
        } else {
            Verdict::Pass
        }
    });
    let receipt = add(&*provider, APEX, "swiss-pki=lost").await.unwrap();
    assert!(
        receipt.changed
            && !receipt.before.holds("swiss-pki=lost")
            && receipt.after.holds("swiss-pki=lost")
    );
    assert_eq!((proxy.updates().len(), server.txt(APEX).len()), (1, 4));
}

#[tokio::test]
async fn a_lost_request_is_sent_again_once_a_read_shows_that_it_was_lost() {
    let (server, proxy, provider) = behind(|message, earlier| {
        if is_update(message) && earlier == 0 {
            Verdict::LoseRequest
        } else {
            Verdict::Pass
        }
    });
    assert!(
        add(&*provider, APEX, "swiss-pki=lost")
            .await
            .unwrap()
            .changed
    );
    assert_eq!((proxy.updates().len(), server.txt(APEX).len()), (2, 4));
}

#[tokio::test]
async fn a_lost_answer_without_a_read_is_unknown() {
    let done = Arc::new(Mutex::new(false));
    let (_server, _, provider) = behind(move |message, _| {
        let mut done = done.lock().unwrap();
        *done |= is_update(message);
        if is_update(message) {
            Verdict::LoseReply
        } else if *done {
            Verdict::LoseRequest
        } else {
            Verdict::Pass
        }
    });
    let error = add(&*provider, APEX, "swiss-pki=lost").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
}

#[tokio::test]
async fn a_refusal_after_a_lost_request_leaves_the_outcome_open() {
    for both in [true, false] {
        let (_server, _, provider) =
            behind(
                move |message, earlier| match (is_update(message), earlier) {
                    (false, _) => Verdict::Pass,
                    (true, 0) => Verdict::LoseRequest,
                    (true, _) => {
                        let refusal = Message::error_msg(
                            message.metadata.id,
                            OpCode::Update,
                            ResponseCode::Refused,
                        );
                        Verdict::Answer(refusal.to_vec().unwrap())
                    }
                },
            );
        let owners: &[&str] = if both {
            &[APEX, "mine.example.test"]
        } else {
            &[APEX]
        };
        let values: Vec<_> = owners
            .iter()
            .map(|&owner| Record::txt(owner, "swiss-pki=late"))
            .collect();
        for result in provider.ensure_present(&values).await {
            let error = result.unwrap_err();
            // What was lost may still be on its way.
            assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
        }
    }
}

#[tokio::test]
async fn a_server_that_never_answers_an_update_is_given_up_and_the_outcome_is_open() {
    let (_server, proxy, provider) = behind(|message, _| {
        if is_update(message) {
            Verdict::Stall
        } else {
            Verdict::Pass
        }
    });
    let error = add(&*provider, APEX, "swiss-pki=stall").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    assert_eq!(
        proxy.updates().len(),
        2,
        "sent once, repeated once after a read"
    );
}

#[tokio::test]
async fn a_stale_read_costs_a_repetition_and_no_value_or_ttl() {
    for (start, updates) in [
        (NameServer::bind as fn(&[Zone], &Keys) -> NameServer, 2),
        (NameServer::knot, 2),
    ] {
        let server = Arc::new(start(&[prepared_zone()], &Keys::of(&["prevalidate"])));
        // Weak: the proxy lives as long as the process, and the server must not.
        let another = Arc::downgrade(&server);
        let proxy = Proxy::before(server.address(), move |message, earlier| {
            if is_update(message) && earlier == 0 {
                // Between our read and our update: a new value, and with it another TTL for all.
                another
                    .upgrade()
                    .unwrap()
                    .nsupdate("update add example.test. 60 TXT \"at the same time\"");
            }
            Verdict::Pass
        });
        let provider = Setup::at(proxy.address().to_string(), server.keys().0[0].clone()).build();
        let receipt = add(&*provider, APEX, "swiss-pki=stale").await.unwrap();
        assert!(
            receipt.before.holds("at the same time") && receipt.after.holds("at the same time")
        );
        assert_eq!(
            (receipt.before.ttl, receipt.after.ttl),
            (Some(60), Some(60))
        );
        assert_eq!(proxy.updates().len(), updates);
    }
}

#[tokio::test]
async fn a_change_that_no_read_shows_is_proved_by_the_server_that_took_it() {
    let updated = Mutex::new(false);
    let hide = |reply: Vec<u8>| {
        let mut message = Message::from_vec(&reply).unwrap();
        message
            .answers
            .retain(|record| !record.data.to_string().contains("swiss-pki"));
        message.to_vec().unwrap()
    };
    let (server, _, provider) = behind(move |message, _| {
        let mut updated = updated.lock().unwrap();
        *updated |= is_update(message);
        if *updated && !is_update(message) {
            Verdict::Alter(hide)
        } else {
            Verdict::Pass
        }
    });
    let receipt = add(&*provider, APEX, "swiss-pki=hidden").await.unwrap();
    assert!(receipt.changed && receipt.after.holds("swiss-pki=hidden"));
    assert!(server.txt(APEX).contains(&"swiss-pki=hidden".to_owned()));
}

#[tokio::test]
async fn a_foreign_value_that_goes_with_our_change_is_damage() {
    let updated = Mutex::new(false);
    let hide = |reply: Vec<u8>| {
        let mut message = Message::from_vec(&reply).unwrap();
        message
            .answers
            .retain(|record| !record.data.to_string().contains("v=spf1"));
        message.to_vec().unwrap()
    };
    let (_server, _, provider) = behind(move |message, _| {
        let mut updated = updated.lock().unwrap();
        *updated |= is_update(message);
        if *updated && !is_update(message) {
            Verdict::Alter(hide)
        } else {
            Verdict::Pass
        }
    });
    let error = add(&*provider, APEX, "swiss-pki=harm").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Damaged && error.message.contains("v=spf1"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn an_unsigned_success_is_no_success() {
    let strip = |reply: Vec<u8>| {
        let mut message = Message::from_vec(&reply).unwrap();
        message.take_signature();
        message.to_vec().unwrap()
    };
    let (_server, _, provider) = behind(move |message, _| {
        if is_update(message) {
            Verdict::Alter(strip)
        } else {
            Verdict::Pass
        }
    });
    let error = add(&*provider, APEX, "swiss-pki=unsigned")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Unknown && error.message.contains("without a signature"),
        "{}",
        shown(&error)
    );
    assert!(provider.preflight(APEX, RecordKind::Txt).await.is_err());
}

#[tokio::test]
async fn a_reply_changed_on_its_way_is_no_success() {
    let flip = |mut reply: Vec<u8>| {
        // The last octets of BIND's reply are TSIG's: original id, error, other length. Before them
        // is the MAC.
        let place = reply.len() - 10;
        reply[place] ^= 1;
        reply
    };
    let (_server, _, provider) = behind(move |message, _| {
        if is_update(message) {
            Verdict::Alter(flip)
        } else {
            Verdict::Pass
        }
    });
    let error = add(&*provider, APEX, "swiss-pki=flipped")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Unknown && error.message.contains("does not verify"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn hostile_replies_are_errors_and_never_a_panic_or_a_success() {
    let replies: [fn() -> Verdict; 6] = [
        || Verdict::Answer(Vec::new()),
        || Verdict::Answer(vec![0xff; 65_535]),
        || {
            Verdict::Answer(
                Message::error_msg(1, OpCode::Update, hickory_proto::op::ResponseCode::NoError)
                    .to_vec()
                    .unwrap(),
            )
        },
        || Verdict::Raw(vec![0]),
        || Verdict::Raw(vec![0xff, 0xff, 1, 2, 3]),
        || Verdict::Alter(|reply| reply[..reply.len() / 2].to_vec()),
    ];
    for reply in replies {
        for to_updates in [true, false] {
            let (_server, _, provider) = behind(move |message, _| {
                if is_update(message) == to_updates {
                    reply()
                } else {
                    Verdict::Pass
                }
            });
            let error = add(&*provider, APEX, "swiss-pki=hostile")
                .await
                .unwrap_err();
            assert!(
                matches!(error.kind, ErrorKind::Unknown | ErrorKind::Unavailable),
                "{}",
                shown(&error)
            );
        }
    }
}
