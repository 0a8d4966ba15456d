//! A store that was lost, a directory that two installations use, and certificates that leave the
//! configuration: nothing is bought twice, and nothing that servers read is replaced.

use super::*;

impl Lab {
    fn lose_store(&self, setup: &Setup) {
        for end in ["", "-wal", "-shm"] {
            let file = format!("{}{end}", setup.store(&self.world).display());
            let _ = std::fs::remove_file(file);
        }
    }

    fn leaf(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name, "cert.pem")).unwrap()
    }
}

#[test]
fn a_lost_store_takes_over_what_lies_in_the_directory_and_orders_nothing() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(0);
    let leaf = lab.leaf("www");
    lab.lose_store(&setup);
    lab.world
        .run(&setup, &WAIT)
        .exits(0)
        .says(&["1 certificate: 1 valid"]);
    assert_eq!(lab.world.ca.orders().len(), 1);
    assert_eq!(lab.leaf("www"), leaf);
    let history = ["certificate", "history", "www"];
    lab.world.run(&setup, &history).exits(0).says(&["adopted"]);
    let revoke = ["certificate", "revoke", "www", "--reason", "superseded"];
    let revoke = [&revoke[..], &["--yes", "--wait", "30s"]].concat();
    lab.world
        .run(&setup, &revoke)
        .exits(0)
        .says(&["is revoked"]);
    assert_eq!(lab.world.ca.orders()[0].status, "REVOKED");
}

#[test]
fn a_lost_store_holds_what_does_not_fit_until_it_is_mended() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(0);
    lab.lose_store(&setup);
    let key = lab.file("www", "privkey.pem").canonicalize().unwrap();
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    lab.world
        .run(&setup, &WAIT)
        .exits(1)
        .says(&["privkey.pem is gone", "certificate issue www --again"]);
    std::fs::write(&key, kept).unwrap();
    lab.world.run(&setup, &WAIT).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_store_in_memory_is_refused_where_a_certificate_would_be_ordered_at_each_run() {
    let lab = Lab::new();
    let mut setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    setup.database = Some("sqlite::memory:".to_owned());
    lab.world
        .run(&setup, &WAIT)
        .exits(2)
        .says(&["store.url", "would order each [[certificate]] again"]);
    assert_eq!(lab.world.ca.log().len(), 0);
}

#[test]
fn a_rehearsal_in_the_directory_of_production_replaces_no_certificate() {
    let (lab, rehearsal) = (Lab::new(), Lab::new());
    let certificates = [("www", "names = [\"www.alpha.test\"]")];
    let setup = lab.setup(&certificates);
    lab.world.run(&setup, &WAIT).exits(0);
    let leaf = lab.leaf("www");
    let mut other = rehearsal.setup(&certificates);
    let own = rehearsal.directory().display().to_string();
    other.more = other
        .more
        .replace(&own, &lab.directory().display().to_string());
    let again = ["certificate", "issue", "www", "--again", "--wait", "10s"];
    for arguments in [&WAIT[..], &again] {
        rehearsal
            .world
            .run(&other, arguments)
            .exits(1)
            .says(&["was installed for the CA at 127.0.0.1:", "`directory`"]);
        assert_eq!(rehearsal.world.ca.orders().len(), 0);
        assert_eq!(lab.leaf("www"), leaf);
    }
    lab.world.run(&setup, &WAIT).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn an_open_order_whose_section_is_gone_is_listed_and_warned_of_and_renamed() {
    let lab = Lab::proven();
    let lines = "names = [\"www.alpha.test\"]";
    let setup = lab.setup(&[("www", lines)]);
    lab.world
        .ca
        .change(|ca| ca.orders_become = "PENDING_AUTH".to_owned());
    lab.world.run(&setup, &SHORT).exits(0);
    let without = lab.setup(&[]);
    lab.world.run(&without, &SHORT).exits(0);
    let words = "not in the configuration, and its order ord-";
    lab.world
        .run(&without, &["certificate", "list", "-v"])
        .exits(0)
        .says(&[words]);
    lab.world
        .run(&without, &["check"])
        .exits(1)
        .says(&["the certificate www: not in the configuration"]);
    let renamed = lab.setup(&[("web", lines)]);
    lab.world.run(&renamed, &SHORT).exits(0);
    lab.world
        .ca
        .change(|ca| ca.orders_become = "ISSUED".to_owned());
    lab.world.run(&renamed, &WAIT).exits(0);
    lab.matches("web");
    assert_eq!(lab.world.ca.orders().len(), 1);
    lab.world.run(&renamed, &["check"]).exits(0);
}

#[test]
fn an_order_that_is_open_when_the_store_is_lost_is_found_and_not_made_again() {
    for has_note in [true, false] {
        let lab = Lab::proven();
        let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
        lab.world
            .ca
            .change(|ca| ca.orders_become = "PENDING_AUTH".to_owned());
        lab.world.run(&setup, &SHORT).exits(0);
        lab.lose_store(&setup);
        if !has_note {
            // An older program began it.
            std::fs::remove_file(lab.directory().join("www/0001/.order")).unwrap();
            lab.world
                .run(&setup, &["run", "--wait", "10s", "-v"])
                .exits(1)
                .says(&["version 0001 was started for an order", "--at-ca"]);
            assert_eq!(lab.world.ca.orders().len(), 1);
        }
        lab.world
            .ca
            .change(|ca| ca.orders_become = "ISSUED".to_owned());
        lab.world.run(&setup, &WAIT).exits(0);
        lab.matches("www");
        assert_eq!(lab.world.ca.orders().len(), 1, "{has_note}");
        let history = ["certificate", "history", "www"];
        lab.world
            .run(&setup, &history)
            .exits(0)
            .says(&["lost", "found"]);
    }
}

#[test]
fn a_fetch_with_the_folder_gone_ends_at_once_and_nothing_calls_it_valid() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(0);
    std::fs::remove_dir_all(lab.directory().join("www")).unwrap();
    let calls = lab.world.ca.log().len();
    lab.world
        .run(&setup, &["certificate", "fetch", "www"])
        .exits(2)
        .says(&["is in no version of", "certificate issue www --again"]);
    assert_eq!(lab.world.ca.log().len(), calls);
    lab.world
        .run(&setup, &["check"])
        .exits(2)
        .says(&["the certificate www is not in its directory"]);
    let list = ["certificate", "list", "--output", "json"];
    let listed = lab.world.run(&setup, &list).exits(0).json();
    assert_eq!(listed[0]["state"], "missing");
    assert!(!lab.directory().join("www").exists());
}

#[test]
fn two_stores_at_once_on_one_directory_order_each_certificate_once() {
    let lab = Lab::new();
    let names: Vec<String> = (0..4).map(|n| format!("c{n}")).collect();
    let lines: Vec<String> = (0..4)
        .map(|n| format!("names = [\"h{n}.alpha.test\"]"))
        .collect();
    let certificates: Vec<(&str, &str)> = names
        .iter()
        .zip(&lines)
        .map(|(name, lines)| (name.as_str(), lines.as_str()))
        .collect();
    // The domains are proven before.
    lab.world.run(&lab.setup(&[]), &WAIT).exits(0);
    let setups = ["one", "two"].map(|name| {
        let mut setup = lab.setup(&certificates);
        setup.name = name.to_owned();
        setup
    });
    let both = setups.each_ref().map(|setup| lab.world.start(setup, &WAIT));
    for one in both {
        crate::e2e::world::finish(one, &WAIT);
    }
    for setup in &setups {
        lab.world
            .run(setup, &WAIT)
            .exits(0)
            .says(&["4 certificates: 4 valid"]);
    }
    assert_eq!(lab.world.ca.orders().len(), names.len());
    names.iter().for_each(|name| lab.matches(name));
}
