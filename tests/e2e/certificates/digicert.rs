//! Certificates at DigiCert: for a product that depends on validated domains the proof comes first
//! and the order after it; a product that brings its own record has it published by our provider.

use prevalidate::sandbox::digicert::{Approval, Fault, Rights, Submitted, What};

use super::*;
use crate::e2e::digicert::{DAY, KEY, ORGANISATION, Site};
use crate::e2e::world::Ran;

const ORDER: &str = "POST /order/certificate/ssl_basic";
pub(super) const OV: &str = "Basic OV";
pub(super) const DV: &str = "GeoTrust Standard DV";

pub(super) struct Office {
    pub(super) server: NameServer,
    pub(super) site: Site,
}

impl Office {
    /// The domain `alpha.test` is the organisation's; `beta.test` belongs to no customer at
    /// DigiCert.
    pub(super) fn new() -> Self {
        Self::with("")
    }

    pub(super) fn with(more: &str) -> Self {
        let zones = ["alpha.test", "beta.test"].map(|zone| Zone::new(zone, ""));
        let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
        let site = Site::new(&server, more);
        Self { server, site }
    }

    /// One certificate of a product with these lines.
    pub(super) fn setup(&self, product: &str, lines: &str) -> Setup {
        let mut setup = self.site.setup(&self.server, &["alpha.test"]);
        let beta = ("beta.test".to_owned(), vec![self.server.address()]);
        setup.name_servers.extend([beta]);
        setup.more = format!(
            "\n[certificates]\ndirectory = \"{}\"\n[[certificate]]\nname = \"www\"\n\
             product = \"{product}\"\n{lines}\n",
            self.site.world.path("certificates").display()
        );
        setup
    }

    /// The same, and its domain is proven already.
    pub(super) fn proven(&self, product: &str, lines: &str) -> Setup {
        let setup = self.setup(product, lines);
        self.site.cc.prove("alpha.test", DAY);
        setup
    }

    pub(super) fn run(&self, setup: &Setup, wait: &str) -> Ran {
        self.site.world.run(setup, &["run", "--wait", wait])
    }

    fn file(&self, file: &str) -> PathBuf {
        let folder = self.site.world.path("certificates");
        folder.join("www/current").join(file)
    }

    pub(super) fn verifies(&self, host: &str) {
        let root = self.site.world.path("root.pem");
        std::fs::write(&root, self.site.cc.root_pem()).unwrap();
        verify(&root, &self.file("chain.pem"), &self.file("cert.pem"), host);
        key_matches(&self.file("privkey.pem"), &self.file("cert.pem"));
    }

    fn fault(&self, on: &str, times: u32, what: What) {
        self.site.cc.fault(Fault {
            on: on.to_owned(),
            times,
            what,
        });
    }

    pub(super) fn orders(&self) -> usize {
        self.site.cc.orders().len()
    }

    fn revoke(&self, setup: &Setup, wait: &str) -> Ran {
        let arguments = ["certificate", "revoke", "www", "--reason", "superseded"];
        let arguments = [&arguments[..], &["--yes", "--wait", wait]].concat();
        self.site.world.run(setup, &arguments)
    }
}

#[test]
fn at_digicert_one_run_proves_orders_and_installs_and_the_next_is_one_list_call() {
    let office = Office::new();
    let setup = office.setup(OV, "names = [\"www.alpha.test\", \"*.alpha.test\"]");
    office
        .run(&setup, "30s")
        .exits(0)
        .says(&["1 certificate: 1 valid"]);
    office.verifies("www.alpha.test");
    office.verifies("host.alpha.test");
    let orders = office.site.cc.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].names, ["www.alpha.test", "*.alpha.test"]);
    let calls = office.site.calls();
    let proof = calls
        .iter()
        .rposition(|call| call.ends_with("/validate-token"));
    let order = calls.iter().position(|call| call == ORDER);
    assert!(proof.unwrap() < order.unwrap(), "{calls:?}");
    // Issued at once: nothing is checked before it is downloaded.
    let after = &calls[order.unwrap() + 1..];
    assert_eq!(after.len(), 1, "{after:?}");

    office.site.cc.clear_log();
    office.run(&setup, "30s").exits(0);
    assert_eq!(office.site.calls(), ["GET /domain"], "a quiet night");
    assert!(!office.site.did_harm());
}

#[test]
fn answers_that_digicert_lost_at_order_download_and_revocation_make_one_order() {
    let office = Office::new();
    let setup = office.proven(OV, "names = [\"alpha.test\"]");
    office.fault(ORDER, 1, What::DoneButLost);
    office.fault("/pem_all", 1, What::DoneButLost);
    office.run(&setup, "30s").exits(0);
    office.verifies("alpha.test");
    office.fault("/revoke", 1, What::DoneButLost);
    office.revoke(&setup, "30s").exits(0).says(&["is revoked"]);
    let orders = office.site.cc.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].status, "revoked");
    assert_eq!(orders[0].revocations, ["superseded"]);
    office.run(&setup, "5s");
    assert_eq!(office.orders(), 1, "a person decides on the next one");
}

/// Its proof is known already, so that only the clock delays the order.
#[test]
fn by_a_clock_that_is_days_ahead_neither_a_run_nor_a_person_orders_at_digicert() {
    let office = Office::new();
    let mut bare = office.proven(OV, "");
    bare.more = String::new();
    office.run(&bare, "30s").exits(0);
    let setup = office.setup(OV, "names = [\"alpha.test\"]");
    let ahead = ("PREVALIDATE_CLOCK_AHEAD", "172800");
    let words = ["the local clock is 1728", "nothing is ordered"];
    let by_hand = ["certificate", "issue", "www", "--wait", "5s"];
    for (arguments, exit) in [(&["run", "--wait", "5s"][..], 5), (&by_hand, 1)] {
        let ran = office.site.world.run_with(&setup, arguments, ahead);
        ran.exits(exit).says(&words);
        assert_eq!(office.orders(), 0, "{arguments:?}");
    }
    office.run(&setup, "30s").exits(0);
    assert_eq!(office.orders(), 1);
    office.verifies("alpha.test");
}

/// Two certificates, the second one when a third of the life of the first is over.
fn renewed(shows_order_end: bool) -> Office {
    let office = Office::new();
    let lines = "names = [\"alpha.test\"]\nrenew_before = \"2/3\"\nterm = 3";
    let setup = office.proven(OV, lines);
    office.site.cc.change(|cc| {
        cc.certificate_life = 21;
        cc.shows_order_end = shows_order_end;
    });
    office.run(&setup, "5s").exits(0);
    let first = std::fs::read_to_string(office.file("privkey.pem")).unwrap();
    office.run(&setup, "9s").exits(0);
    let second = std::fs::read_to_string(office.file("privkey.pem")).unwrap();
    assert_ne!(first, second, "a new key");
    office.verifies("alpha.test");
    office
}

#[test]
fn a_renewal_at_digicert_names_the_order_before() {
    let orders = renewed(false).site.cc.orders();
    assert!(orders.len() >= 2, "{orders:?}");
    assert_eq!(orders[1].renews, Some(orders[0].id));
}

#[test]
fn a_certificate_within_the_time_that_is_paid_for_is_a_reissue_of_its_order() {
    let orders = renewed(true).site.cc.orders();
    assert_eq!(orders.len(), 1, "{orders:?}");
    assert!(orders[0].certificates >= 2, "{orders:?}");
}

#[test]
fn a_wrong_certificate_from_digicert_leaves_the_old_pair_and_is_ordered_once() {
    let office = Office::new();
    let setup = office.proven(OV, "names = [\"alpha.test\", \"www.alpha.test\"]");
    office.run(&setup, "30s").exits(0);
    let before = std::fs::read_to_string(office.file("cert.pem")).unwrap();
    let again = ["certificate", "issue", "www", "--again", "--wait", "10s"];
    for (at, words) in ["another key", "www.alpha.test"].into_iter().enumerate() {
        office.site.cc.change(|cc| {
            cc.for_another_key = at == 0;
            cc.leaves_a_name_out = at == 1;
        });
        let ran = office.site.world.run(&setup, &again);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        ran.says(&[words]);
        office.run(&setup, "10s").exits(1);
        let now = std::fs::read_to_string(office.file("cert.pem")).unwrap();
        assert_eq!(now, before, "{words}");
        office.verifies("alpha.test");
        // The order is paid for longer: each is a reissue of it.
        let seen = office.site.cc.orders().remove(0);
        assert_eq!((office.orders(), seen.certificates), (1, at + 2));
    }
}

#[test]
fn a_page_in_place_of_a_certificate_of_digicert_is_asked_for_again() {
    let office = Office::new();
    let setup = office.proven(OV, "names = [\"alpha.test\"]");
    office.fault("/pem_all", 100, What::Page(200));
    let ran = office.run(&setup, "10s");
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert!(!office.file("cert.pem").exists());
    office.site.cc.clear_faults();
    office.run(&setup, "30s").exits(0);
    office.verifies("alpha.test");
    assert_eq!(office.orders(), 1);
}

#[test]
fn an_order_at_digicert_that_waits_for_its_approval_is_no_failure_and_a_rejected_one_is_held() {
    let office = Office::new();
    let setup = office.proven(OV, "names = [\"alpha.test\"]");
    office.site.cc.change(|cc| cc.approval = Approval::Needed);
    office.run(&setup, "10s").exits(0).says(&["1 ordering"]);
    let show = ["certificate", "show", "www"];
    office
        .site
        .world
        .run(&setup, &show)
        .says(&["needs_approval", "Certificates > Requests"]);
    office.site.cc.decide_requests(false);
    office.run(&setup, "10s").exits(1).says(&["rejected"]);
    office.run(&setup, "10s").exits(1);
    assert_eq!(office.orders(), 1, "no order by itself");
    // An unknown word is no failure.
    office.site.cc.change(|cc| {
        cc.approval = Approval::Skipped;
        cc.waiting_word = "quantum".to_owned();
        cc.issued_after = 6;
    });
    let again = ["certificate", "issue", "www", "--again", "--wait", "4s"];
    office.site.world.run(&setup, &again).says(&["quantum"]);
    office.run(&setup, "30s").exits(0);
    office.verifies("alpha.test");
    assert_eq!(office.orders(), 2);
}

#[test]
fn a_revocation_at_digicert_that_waits_for_an_administrator_ends_with_0_once_it_is_approved() {
    let office = Office::new();
    let setup = office.proven(OV, "names = [\"alpha.test\"]");
    office.run(&setup, "30s").exits(0);
    office.site.cc.change(|cc| cc.approval = Approval::Needed);
    let ran = office.revoke(&setup, "1s");
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(office.site.cc.count("PUT", "/revoke"), 1);
    office.site.cc.decide_requests(true);
    office.revoke(&setup, "30s").exits(0).says(&["is revoked"]);
    assert_eq!(office.site.cc.orders()[0].status, "revoked");
    assert_eq!(office.site.cc.count("PUT", "/revoke"), 1, "asked for once");
}

#[test]
fn an_order_of_its_own_value_has_its_record_in_dns_and_hangs_on_no_domain() {
    for (more, kind) in [("", "TXT"), ("method = \"cname\"\n", "CNAME")] {
        let office = Office::with(more);
        let before = office.server.axfr("beta.test");
        let setup = office.proven(DV, "names = [\"www.beta.test\", \"beta.test\"]");
        // Only the check that we ask for, once every name server has the record.
        office.site.cc.change(|cc| cc.polls = false);
        office
            .run(&setup, "30s")
            .exits(0)
            .says(&["1 certificate: 1 valid"]);
        office.verifies("www.beta.test");
        assert_eq!(office.server.axfr("beta.test"), before, "it is gone");
        let journal = office.server.journal("beta.test");
        assert_eq!(journal.len(), 2, "written and removed: {journal:?}");
        let value = office.site.cc.value_of_order(office.site.cc.orders()[0].id);
        let (value, owner) = (value.unwrap(), "_dnsauth.beta.test.");
        for part in [owner, kind, &value] {
            assert!(journal[0].contains(part), "{part}: {journal:?}");
        }
        assert_eq!(office.site.cc.names(), ["alpha.test"], "no domain is made");
        assert_eq!(office.site.cc.count("PUT", "/check-dcv"), 1);
        assert!(!office.site.did_harm());
    }
}

#[test]
fn a_value_of_an_order_is_refused_for_a_domain_although_the_answer_offers_it() {
    let office = Office::new();
    let setup = office.setup(OV, "names = [\"alpha.test\"]");
    office.site.cc.change(|cc| {
        cc.submitted = Submitted::OrderValue;
        cc.polls = false;
    });
    office.run(&setup, "30s").exits(0);
    office.verifies("alpha.test");
    let journal = office.server.journal("alpha.test");
    assert_eq!(journal.len(), 2, "{journal:?}");
    let value = office.site.cc.value_of("alpha.test").unwrap();
    assert!(journal[0].contains(&value), "the domain's own: {journal:?}");
    let offered = office.site.cc.offered();
    assert_eq!(offered.len(), 1);
    assert!(!journal[0].contains(&offered[0]), "{journal:?}");
}

#[test]
fn a_product_in_another_spelling_is_the_same_order_by_hand() {
    let office = Office::new();
    let mut setup = office.proven(OV, "");
    setup.more = setup
        .more
        .split("[[certificate]]")
        .next()
        .unwrap()
        .to_owned();
    office.run(&setup, "30s").exits(0);
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["alpha.test".to_owned()]).unwrap();
    let csr = office.site.world.path("one.csr");
    std::fs::write(&csr, params.serialize_request(&key).unwrap().pem().unwrap()).unwrap();
    let csr = csr.display().to_string();
    for product in [OV, "ssl_basic", " Basic OV ", "SSL_BASIC", OV] {
        let order = ["certificate", "order", "--product", product, "--csr", &csr];
        let order = [&order[..], &["--wait", "30s"]].concat();
        office.site.world.run(&setup, &order).exits(0);
        let orders = office.site.cc.orders();
        assert_eq!((orders.len(), orders[0].certificates), (1, 1), "{product}");
    }
    let other = "ssl_securesite_flex";
    let order = ["certificate", "order", "--product", other, "--csr", &csr];
    let order = [&order[..], &["--wait", "30s"]].concat();
    office.site.world.run(&setup, &order).exits(0);
    assert_eq!(office.orders(), 2, "another product is another order");
}

#[cfg(feature = "crashpoints")]
#[test]
fn a_run_killed_around_its_order_at_digicert_leaves_one_order_and_no_record() {
    use std::os::unix::process::ExitStatusExt as _;

    for (product, point) in [
        (OV, "order-done"),
        (DV, "order-done"),
        (DV, "order-record-done"),
        (OV, "certificate-switched"),
    ] {
        let office = Office::new();
        let before = office.server.axfr("alpha.test");
        let setup = office.proven(product, "names = [\"alpha.test\"]");
        let variable = format!("{point}:1");
        let variable = ("PREVALIDATE_CRASH", variable.as_str());
        let wait = ["run", "--wait", "30s"];
        let first = office.site.world.run_with(&setup, &wait, variable);
        assert_eq!(first.status.signal(), Some(9), "{}", first.said());
        office.run(&setup, "60s").exits(0);
        assert_eq!(office.orders(), 1, "{product}, killed at {point}");
        office.verifies("alpha.test");
        assert_eq!(
            office.server.axfr("alpha.test"),
            before,
            "{product}: {point}"
        );
    }
}

#[test]
fn what_digicert_would_refuse_is_said_before_anything_is_bought() {
    let office = Office::new();
    let names = "names = [\"alpha.test\"]";
    office.site.cc.change(|cc| cc.organisation_types.clear());
    for (product, words) in [
        ("No such product", "`Basic OV` (ssl_basic)"),
        ("Code Signing", "it is not for host names"),
        (OV, "organisation 117483 is not validated for `ov`"),
    ] {
        let mut setup = office.proven(product, names);
        setup.name = product.replace(' ', "-");
        let dry = ["certificate", "issue", "--dry-run"];
        let ran = office.site.world.run(&setup, &dry);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        ran.says(&[words]);
    }
    let setup = office.setup(OV, names);
    office
        .run(&setup, "10s")
        .exits(1)
        .says(&["is not validated for `ov`"]);
    let cc = &office.site.cc;
    cc.change(|cc| {
        cc.organisation_types = vec!["ov".to_owned()];
        cc.rights = Rights::ViewOnly;
    });
    let again = ["certificate", "issue", "www", "--wait", "10s"];
    let ran = office.site.world.run(&setup, &again);
    ran.says(&["access_denied", "orders certificates", "order alpha.test"]);
    assert_eq!(office.orders(), 0);
    cc.change(|cc| cc.rights = Rights::All);
    office.site.world.run(&setup, &again).exits(0);
    office.verifies("alpha.test");
    assert_eq!(office.orders(), 1);
}

#[test]
fn commands_about_certificates_work_at_digicert_and_leak_no_key() {
    let office = Office::new();
    let lines = "names = [\"alpha.test\"]\ncomments = \"for the web team\"\nterm = 90";
    let setup = office.proven(OV, lines);
    let say = |arguments: &[&str], words: &[&str]| {
        let ran = office.site.world.run(&setup, arguments).exits(0);
        ran.says(words)
    };
    let organisation = ORGANISATION.to_string();
    say(
        &["clients", "--ca", "digicert"],
        &["Example Bank AG", &organisation],
    );
    let products = ["products", "--ca", "digicert"];
    say(
        &products,
        &[
            OV,
            "ssl_basic",
            "up to 365 days",
            "it is not for host names",
        ],
    );
    let dry = ["certificate", "issue", "--dry-run"];
    say(&dry, &["would take the order"]);
    assert_eq!(office.orders(), 0);
    let ran = say(&["run", "--wait", "30s", "-vvv"], &["1 valid"]);
    let seen = office.site.cc.orders().remove(0);
    assert!(seen.comments.starts_with("for the web team [prevalidate:"));
    say(&["certificate", "list"], &["www", "valid"]);
    say(
        &["certificate", "list", "--at-ca"],
        &["issued", "alpha.test", "www"],
    );
    say(&["certificate", "show", "www"], &["alpha.test"]);
    say(&["certificate", "fetch", "www"], &["www"]);
    office.verifies("alpha.test");
    assert_eq!(office.orders(), 1);

    let key = std::fs::read_to_string(office.file("privkey.pem")).unwrap();
    let store = std::fs::read(setup.store(&office.site.world)).unwrap();
    let store = String::from_utf8_lossy(&store);
    let sent = format!("{:?}", office.site.cc.log());
    for secret in [KEY, key.lines().nth(1).unwrap()] {
        assert!(!ran.said().contains(secret), "said: {secret}");
        assert!(!store.contains(secret), "stored: {secret}");
        assert!(!sent.contains(secret), "sent: {secret}");
    }
}
