//! Servers whose answers mislead resolvers, as a validating resolver (unbound 1.17) showed with
//! real servers.

use hickory_proto::rr::RecordType;
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::propagation::authority::{Asker, Failure};

#[tokio::test]
async fn a_large_answer_of_a_server_whose_tcp_hangs_is_cut_off_and_one_that_refuses_tcp_is_lame() {
    let truncated = |q: &Message| {
        let mut cut = answer(q, &[]);
        cut.metadata.truncation = true;
        once(&cut)
    };
    let refusing: Script = Box::new(move |q, over| {
        if over == Over::Udp {
            truncated(q)
        } else {
            Vec::new()
        }
    });
    assert_eq!(alone(refusing).await.answer, Answer::Lame);
    // No program takes the connection that the kernel accepts.
    let hanging = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = hanging.local_addr().unwrap();
    let datagrams = UdpSocket::bind(address).await.unwrap();
    let answering = async {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = datagrams.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            datagrams
                .send_to(&truncated(&question)[0], from)
                .await
                .unwrap();
        }
    };
    let asker = Asker::new(PATIENCE, 16, 300.0);
    let owner = name("example.test");
    let asked = asker.ask(address, &owner, RecordType::TXT);
    let failure =
        tokio::select! { reply = asked => reply.unwrap_err(), () = answering => unreachable!() };
    assert!(matches!(failure, Failure::CutOff(_)), "{failure:?}");
}

#[tokio::test]
async fn a_server_of_the_zone_that_refers_to_the_zone_says_not_there() {
    let referring = alone(always(|q| {
        let mut reply = answer(q, &[]);
        reply.metadata.authoritative = false;
        reply.authorities = vec![record("example.test NS ns1.example.test.")];
        reply
    }));
    let said = referring.await;
    assert!(
        said.answer == Answer::NoMatch && said.detail.contains("itself among them"),
        "{said:?}"
    );
}

#[tokio::test]
async fn servers_of_the_zone_above_count_only_when_they_hold_both_zones() {
    let above = [
        "example.test NS ns1.example.test",
        "ns1.example.test A 127.0.0.4",
    ];
    let zone = [TXT, above[0], above[1]];
    // `test` has two servers: one holds example.test, too, the other refers to it.
    for holder in [3, 5] {
        let top = [
            "test NS a.nic.test",
            "a.nic.test A 127.0.0.3",
            "test NS b.nic.test",
            "b.nic.test A 127.0.0.5",
        ];
        let referring = serve("test", &above);
        let both: Script = serve("example.test", &zone);
        let (first, second) = if holder == 3 {
            (both, referring)
        } else {
            (referring, both)
        };
        let verdict = check(
            &Lab::of(vec![
                serve("", &top),
                first,
                serve("example.test", &zone),
                second,
            ])
            .await,
        )
        .await;
        assert!(verdict.go && verdict.warnings.is_empty(), "{verdict:?}");
    }
}

#[tokio::test]
async fn a_server_of_the_zone_above_that_serves_this_one_too_hides_no_delegation() {
    // example.test lives on ns1 and ns2; it delegates sub.example.test to ns1 and ns3, and ns1
    // answers for both.
    let above = [
        "example.test NS ns1.example.test",
        "example.test NS ns2.example.test",
        "ns1.example.test A 127.0.0.4",
        "ns2.example.test A 127.0.0.5",
    ];
    let cut = [
        "sub.example.test NS ns1.example.test",
        "sub.example.test NS ns3.example.test",
        "ns3.example.test A 127.0.0.6",
    ];
    let sub = [
        &cut[..2],
        &["sub.example.test TXT \"swiss-pki=0123456789abcdef\""],
    ]
    .concat();
    let both = || -> Script {
        let (upper, lower) = (
            serve("example.test", &[&above[..], &cut].concat()),
            serve("sub.example.test", &sub),
        );
        Box::new(move |q, over| {
            let below = name("sub.example.test").zone_of(q.queries[0].name());
            if below {
                lower(q, over)
            } else {
                upper(q, over)
            }
        })
    };
    let servers = |second: Script| {
        vec![
            serve("", &["test NS a.nic.test", "a.nic.test A 127.0.0.3"]),
            serve("test", &above),
            both(),
            second,
            serve("sub.example.test", &sub),
        ]
    };
    // Which of the two answers first is chance.
    for _ in 0..6 {
        let lab = Lab::of(servers(serve("example.test", &[&above[..], &cut].concat()))).await;
        let verdict = lab
            .gate()
            .check(&Question::new(&domain("sub.example.test"), VALUE))
            .await;
        let said: Vec<_> = verdict
            .servers
            .iter()
            .map(|s| (s.name.as_deref().unwrap(), s.answer))
            .collect();
        assert_eq!(
            said,
            [
                ("ns1.example.test", Answer::Match),
                ("ns3.example.test", Answer::Match)
            ],
            "{verdict:?}"
        );
        assert!(verdict.go && verdict.warnings.is_empty(), "{verdict:?}");
    }
    // One that has an old copy, which is not listed, is believed by a walk from above.
    let lab = Lab::of(servers(serve("sub.example.test", &cut[..2]))).await;
    let verdict = lab
        .gate()
        .check(&Question::new(&domain("sub.example.test"), VALUE))
        .await;
    assert!(
        !verdict.go && verdict.cause.contains("ns2.example.test"),
        "{verdict:?}"
    );
}
