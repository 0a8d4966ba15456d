//! Certificates: a night in which none is due, and the decision alone for many in memory.

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use prevalidate::clock::{Clock, SystemClock};
use prevalidate::issuance::progress::{Installed, Order, Progress};
use prevalidate::issuance::{Lead, Live, Observed, OrderState, Proofs, Wanted, next_step};

use crate::Row;
use crate::lab::{Lab, names, peak_memory_kb};

const MANY: usize = 100_000;
/// 2026-11-22.
const NOW: Timestamp = Timestamp::constant(1_795_305_600, 0);

/// 1,000 certificates are installed and none is due; the night before has ordered all of them.
pub fn quiet() -> Vec<Row> {
    const CERTIFICATES: usize = 1_000;
    let (lab, domains) = (Lab::start(Vec::new()), names(1));
    let (client, _) = lab.ca.clients().remove(0);
    assert_eq!(lab.ca.register(&client, &domains), 1);
    let made = SystemClock.now() - SignedDuration::from_hours(1);
    lab.ca.set_validated(&domains[0], made);
    lab.configure(&domains, None);
    let products = lab.ca.products();
    let (_, product) = products
        .iter()
        .find(|(name, _)| name.contains("OV SSL Gold Single"))
        .unwrap();
    let directory = lab.folder.path().join("certificates");
    let mut more = format!("[certificates]\ndirectory = \"{}\"\n", directory.display());
    for number in 0..CERTIFICATES {
        writeln!(
            more,
            "[[certificate]]\nname = \"c{number:04}\"\nproduct = \"{product}\"\nnames = [\"h{number:04}.{}\"]",
            domains[0]
        )
        .unwrap();
    }
    lab.reconfigure(|text| text + &more);
    let (first, first_kb) = lab.run();
    assert_eq!(lab.ca.orders().len(), CERTIFICATES);
    lab.ca.clear_log();
    let (took, peak_kb) = lab.run();
    let calls = lab.ca.log().len();
    vec![
        Row::below(
            "quiet night, 1,000 certificates",
            took,
            Duration::from_secs(2),
        ),
        Row::memory("  peak memory", peak_kb, 150),
        Row {
            case: "  calls to the CA".into(),
            figure: calls.to_string(),
            aim: "1".into(),
            met: calls == 1,
        },
        Row::below(
            "the night they were ordered",
            first,
            Duration::from_secs(300),
        ),
        Row::memory("  peak memory", first_kb, 150),
    ]
}

/// Seven of ten rest, one is due, one waits for the CA, one is not ordered yet.
fn progress(number: usize) -> Progress {
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let installed = |age: i64| Installed {
        ca: "bench".to_owned(),
        version: 1,
        serial: format!("{number:032x}"),
        issuer: "CN=Bench".to_owned(),
        not_before: NOW - days(age),
        not_after: NOW + days(90 - age),
        names: vec![format!("h{number}.example.ch")],
        fingerprint: String::new(),
        print: "first".to_owned(),
        reference: format!("ord-{number}"),
        certificate: None,
        at: NOW - days(age),
        revoked_at: None,
        paid_until: None,
        has_key: Some(true),
    };
    let order = Order {
        print: "first".to_owned(),
        product: Some("pma-bench".to_owned()),
        submitted_at: Some(NOW),
        reference: Some(format!("ord-{number}")),
        state: Some(OrderState::Working),
        next_read_at: Some(NOW + days(1)),
        ..Order::default()
    };
    match number % 10 {
        0 => Progress::default(),
        1 => Progress {
            installed: Some(installed(70)),
            ..Progress::default()
        },
        2 => Progress {
            order: Some(order),
            ..Progress::default()
        },
        _ => Progress {
            installed: Some(installed(i64::try_from(number % 55).unwrap())),
            ..Progress::default()
        },
    }
}

pub fn plan() -> Vec<Row> {
    let all: Vec<Progress> = (0..MANY).map(progress).collect();
    let wanted = Wanted {
        name: "www".to_owned(),
        print: "first".to_owned(),
        renew_before: Lead::default(),
        deploys: true,
        keeps_key: false,
    };
    let begun = Instant::now();
    let due = all.iter().filter(|progress| {
        let observed = Observed {
            wanted: Some(&wanted),
            progress,
            live: &Live::Unknown,
            proofs: &Proofs::Enough,
            is_fresh: false,
        };
        black_box(next_step(black_box(observed), NOW)).is_due(NOW)
    });
    let due = due.count();
    let took = begun.elapsed();
    assert_eq!(due, MANY / 5, "what is due, and what is not ordered yet");
    vec![
        Row::below(
            "planner, 100,000 certificates",
            took,
            Duration::from_millis(100),
        ),
        Row::memory(
            "  peak memory, with the certificates",
            peak_memory_kb("/proc/self/status"),
            150,
        ),
    ]
}
