//! Machines that share a PostgreSQL store, with one directory for both or one for each: a directory
//! that is gone is reported, and nothing is bought for it.

use super::*;
use crate::support::postgres::{Cluster, Database};

const LINES: (&str, &str) = ("www", "names = [\"www.alpha.test\"]");

/// A database, and two machines that use it with these directories.
fn machines(lab: &Lab, directories: [&str; 2]) -> (Database, [Setup; 2]) {
    let database = Cluster::shared().database_now();
    let own = lab.directory().display().to_string();
    let machine = |number: usize| {
        let mut setup = lab.setup(&[LINES]);
        let there = lab.world.path(directories[number]).display().to_string();
        setup.more = setup.more.replace(&own, &there);
        setup.name = format!("machine{number}");
        setup.database = Some(database.url.clone());
        setup
    };
    let both = [machine(0), machine(1)];
    (database, both)
}

/// No machine has seen any directory for this many hours.
fn unseen_for(lab: &Lab, database: &Database, hours: i64) {
    let at = SystemClock.now() - SignedDuration::from_hours(hours);
    let sql = format!(
        r#"UPDATE fact SET value = regexp_replace(value, '"seen_at":"[^"]*"', '"seen_at":"{at}"')
           WHERE key LIKE 'certificates/home/%'"#
    );
    lab.world.wait_for(database.run(&sql));
}

#[test]
fn machines_of_one_directory_tell_that_it_is_gone_and_buy_nothing() {
    let lab = Lab::proven();
    let (database, both) = machines(&lab, ["certificates"; 2]);
    for setup in &both {
        lab.world.run(setup, &WAIT).exits(0);
        lab.world.run(setup, &["check"]).exits(0);
    }
    assert_eq!(lab.world.ca.orders().len(), 1);
    let (place, kept) = (lab.directory(), lab.world.path("kept"));
    std::fs::rename(&place, &kept).unwrap();
    // Another machine may keep it for a while yet: its place is named.
    let shown = format!("its files are kept by {}", host());
    let list = ["certificate", "list", "-v"];
    for setup in &both {
        lab.world.run(setup, &WAIT);
        let said = lab.world.run(setup, &list).exits(0);
        said.says(&[&shown, &place.display().to_string()]);
    }
    let gone = format!("its files are gone from {}", place.join("www").display());
    unseen_for(&lab, &database, 3);
    for setup in &both {
        for _ in 0..2 {
            let again = "certificate issue www --again";
            let told = lab.world.run(setup, &["check"]).exits(2);
            told.says(&["the certificate www", &gone, again]);
            lab.world.run(setup, &WAIT).exits(1).says(&[&gone]);
        }
    }
    assert_eq!(lab.world.ca.orders().len(), 1);
    assert!(!place.join("www").exists(), "nothing is made in its place");

    // Put back, it continues to be kept.
    std::fs::remove_dir_all(&place).unwrap();
    std::fs::rename(&kept, &place).unwrap();
    unseen_for(&lab, &database, 3);
    for setup in &both {
        lab.world.run(setup, &WAIT).exits(0);
        lab.world.run(setup, &["check"]).exits(0);
    }
    lab.matches("www");
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_machine_with_its_own_directory_leaves_that_of_another_alone() {
    let lab = Lab::proven();
    let (database, [first, second]) = machines(&lab, ["first", "second"]);
    lab.world.run(&first, &WAIT).exits(0);
    let place = lab.world.path("first").display().to_string();
    let words = format!("its files are kept by {} in {place}", host());
    let checks = [
        &["certificate", "list", "-v"][..],
        &["certificate", "show", "www"],
    ];
    lab.world.run(&second, &WAIT).exits(0);
    for arguments in checks {
        lab.world.run(&second, arguments).exits(0).says(&[&words]);
    }
    lab.world.run(&second, &["check"]).exits(0);
    assert!(!lab.world.path("second/www").exists());

    // Its own machine tells that it is gone, and the other one continues to leave it alone.
    let kept = lab.world.path("kept");
    std::fs::rename(lab.world.path("first"), &kept).unwrap();
    lab.world.run(&second, &WAIT).exits(0);
    unseen_for(&lab, &database, 24 * 4);
    let silent = "which no machine has seen since";
    let check = lab.world.run(&second, &["check"]).exits(1);
    check.says(&["the certificate www", &words, silent]);
    lab.world
        .run(&second, &WAIT)
        .exits(1)
        .says(&[&words, silent]);
    let gone = format!("its files are gone from {place}/www");
    let check = lab.world.run(&first, &["check"]).exits(2);
    check.says(&["the certificate www", &gone]);
    lab.world.run(&first, &WAIT).exits(1).says(&[&gone]);
    assert_eq!(lab.world.ca.orders().len(), 1);
    assert!(!lab.world.path("second/www").exists());

    // Only a person orders a new one elsewhere.
    let again = ["certificate", "issue", "www", "--again", "--wait", "30s"];
    lab.world.run(&second, &again).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 2);
    let there = lab.world.path("second/www/current");
    key_matches(&there.join("privkey.pem"), &there.join("cert.pem"));
    lab.world.run(&second, &["check"]).exits(0);
}

fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
