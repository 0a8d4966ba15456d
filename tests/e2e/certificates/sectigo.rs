//! Certificates at Sectigo: proven by CNAME, ordered, collected, renewed, revoked.

use jiff::SignedDuration;
use prevalidate::sandbox::sectigo::{Fault, Pending, What};

use super::*;
use crate::e2e::sectigo::{ORGANISATION, Site};

const ENROLL: &str = "/ssl/v1/enroll";

pub(super) struct Scm {
    server: NameServer,
    pub(super) site: Site,
}

impl Scm {
    pub(super) fn new() -> Self {
        let zones = ["alpha.test", "xn--mller-kva.test"].map(|zone| Zone::new(zone, ""));
        let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
        let site = Site::new(&server, "cname");
        Self { server, site }
    }

    pub(super) fn setup(&self, lines: &str) -> Setup {
        let mut setup = self
            .site
            .setup(&self.server, &["alpha.test", "xn--mller-kva.test"]);
        setup.more = format!(
            "\n[certificates]\ndirectory = \"{}\"\n[[certificate]]\nname = \"www\"\n\
             product = \"OV Multi-Domain SSL\"\n{lines}\n",
            self.site.world.path("certificates").display()
        );
        setup
    }

    fn run(&self, setup: &Setup) -> crate::e2e::world::Ran {
        self.site.world.run(setup, &WAIT)
    }

    pub(super) fn file(&self, file: &str) -> PathBuf {
        self.site
            .world
            .path("certificates")
            .join("www/current")
            .join(file)
    }

    fn verifies(&self, host: &str) {
        let root = self.site.world.path("root.pem");
        std::fs::write(&root, self.site.scm.root_pem()).unwrap();
        verify(&root, &self.file("chain.pem"), &self.file("cert.pem"), host);
        key_matches(&self.file("privkey.pem"), &self.file("cert.pem"));
    }
}

#[test]
fn at_sectigo_one_run_proves_orders_and_installs_and_the_next_is_one_list_call() {
    let scm = Scm::new();
    let setup = scm.setup("names = [\"www.alpha.test\", \"müller.test\"]");
    scm.run(&setup).exits(0).says(&["1 certificate: 1 valid"]);
    scm.verifies("www.alpha.test");
    scm.verifies("xn--mller-kva.test");
    let root = scm.site.world.path("root.pem");
    tls_server_takes(&root, &scm.file(""), "www.alpha.test");
    let orders = scm.site.scm.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0].names, ["www.alpha.test", "xn--mller-kva.test"]);

    scm.site.scm.clear_log();
    scm.run(&setup).exits(0);
    let mut calls = scm.site.calls();
    // Read once a day, whether or not there are certificates.
    calls.retain(|call| call != "GET /admin/v1/password");
    assert_eq!(calls, ["GET /dcv/v1/validation"]);
}

#[test]
fn a_renewal_at_sectigo_is_that_of_the_old_order_with_a_new_key() {
    let scm = Scm::new();
    let setup = scm.setup("names = [\"alpha.test\"]");
    scm.site.scm.prove("alpha.test", SignedDuration::ZERO);
    scm.site
        .scm
        .prove("xn--mller-kva.test", SignedDuration::ZERO);
    scm.site.scm.change(|scm| scm.certificate_life = 45);
    let wait = ["run", "--wait", "10s"];
    scm.site.world.run(&setup, &wait).exits(0);
    let first = std::fs::read_to_string(scm.file("privkey.pem")).unwrap();
    scm.site
        .world
        .run(&setup, &["run", "--wait", "40s"])
        .exits(0);
    assert_ne!(
        first,
        std::fs::read_to_string(scm.file("privkey.pem")).unwrap()
    );
    scm.verifies("alpha.test");
    let orders = scm.site.scm.orders();
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[1].renews, Some(orders[0].id));
}

#[test]
fn a_lost_answer_of_sectigo_leads_to_no_second_order() {
    let scm = Scm::new();
    let setup = scm.setup("names = [\"alpha.test\"]");
    scm.site.scm.prove("alpha.test", SignedDuration::ZERO);
    scm.site.scm.fault(Fault {
        on: ENROLL.to_owned(),
        times: 1,
        what: What::DoneButLost,
    });
    scm.run(&setup).exits(0);
    scm.verifies("alpha.test");
    assert_eq!(scm.site.scm.orders().len(), 1);
}

#[test]
fn what_is_not_issued_yet_is_no_failure_however_sectigo_says_it() {
    for pending in [Pending::Code0, Pending::Code183, Pending::Empty] {
        let scm = Scm::new();
        let setup = scm.setup("names = [\"alpha.test\"]");
        scm.site.scm.change(|scm| {
            scm.collect_lags = 4;
            scm.pending = pending;
        });
        scm.run(&setup).exits(0).says(&["1 certificate: 1 valid"]);
        scm.verifies("alpha.test");
        assert_eq!(scm.site.scm.orders().len(), 1, "{pending:?}");
    }
}

#[test]
fn an_order_at_sectigo_that_waits_for_an_administrator_is_no_failure_and_one_that_is_declined_is_held()
 {
    let scm = Scm::new();
    let setup = scm.setup("names = [\"alpha.test\"]");
    scm.site.scm.change(|scm| scm.waits_for_approval = true);
    let wait = ["run", "--wait", "12s"];
    scm.site
        .world
        .run(&setup, &wait)
        .exits(0)
        .says(&["1 ordering"]);
    let order = &scm.site.scm.orders()[0];
    assert!(scm.site.scm.decide_order(order.id, Some("Declined")));
    scm.run(&setup).exits(1).says(&["eclined"]);
    scm.run(&setup).exits(1);
    assert_eq!(scm.site.scm.orders().len(), 1, "no order by itself");
}

#[test]
fn a_wrong_certificate_from_sectigo_is_not_installed() {
    let scm = Scm::new();
    let setup = scm.setup("names = [\"alpha.test\"]");
    scm.site.scm.change(|scm| scm.for_another_key = true);
    scm.run(&setup).exits(1).says(&["key"]);
    assert!(!scm.file("cert.pem").exists());
    scm.run(&setup).exits(1);
    assert_eq!(scm.site.scm.orders().len(), 1);
}

#[test]
fn a_revocation_at_sectigo_ends_with_0_when_the_ca_says_revoked() {
    let scm = Scm::new();
    let setup = scm.setup("names = [\"alpha.test\"]");
    scm.run(&setup).exits(0);
    scm.site.scm.change(|scm| scm.revoked_after = 3);
    let arguments = [
        "certificate",
        "revoke",
        "www",
        "--reason",
        "superseded",
        "--yes",
        "--wait",
        "30s",
    ];
    scm.site
        .world
        .run(&setup, &arguments)
        .exits(0)
        .says(&["is revoked"]);
    assert_eq!(scm.site.scm.orders()[0].revocation, Some(4));
    let list = || {
        let arguments = ["certificate", "list", "--at-ca", "--output", "json"];
        scm.site.world.run(&setup, &arguments).exits(0)
    };
    assert_eq!(list().json()[0]["state"], "revoked");
    // A list that does not know the question calls nothing revoked that is not.
    scm.site.scm.change(|scm| {
        (scm.revoked_after, scm.ignores_status) = (3_600, true);
    });
    let shown = list().says(&["which orders are revoked is not known"]);
    assert_eq!(shown.json()[0]["state"], "issued");
}

#[cfg(feature = "crashpoints")]
#[test]
fn a_run_killed_around_its_order_at_sectigo_leaves_one_order() {
    use std::os::unix::process::ExitStatusExt as _;

    // Before the call, it is a minute until the search is sure: SwissSign's tests have that.
    for point in ["order-done", "certificate-switched"] {
        let scm = Scm::new();
        let setup = scm.setup("names = [\"alpha.test\"]");
        scm.site.scm.prove("alpha.test", SignedDuration::ZERO);
        let variable = ("PREVALIDATE_CRASH", format!("{point}:1"));
        let variable = (variable.0, variable.1.as_str());
        let first = scm.site.world.run_with(&setup, &WAIT, variable);
        assert_eq!(first.status.signal(), Some(9), "{}", first.said());
        scm.site
            .world
            .run(&setup, &["run", "--wait", "60s"])
            .exits(0);
        assert_eq!(scm.site.scm.orders().len(), 1, "killed at {point}");
        scm.verifies("alpha.test");
    }
}

#[test]
fn an_organisation_that_is_no_client_is_named_and_nothing_is_ordered() {
    let scm = Scm::new();
    let mut setup = scm.setup("names = [\"alpha.test\"]");
    let (ca, client) = setup.instead.take().unwrap();
    let client = client.replace(&ORGANISATION.to_string(), "999");
    setup.instead = Some((ca, client));
    let ran = scm.run(&setup);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(scm.site.scm.orders().len(), 0);
}

#[test]
fn two_machines_at_once_make_one_order_at_sectigo() {
    let scm = Scm::new();
    let mut setup = scm.setup("names = [\"alpha.test\"]");
    for name in ["alpha.test", "xn--mller-kva.test"] {
        scm.site.scm.prove(name, SignedDuration::ZERO);
    }
    let database = crate::support::postgres::Cluster::shared().database_now();
    setup.database = Some(database.url);
    let both = [(); 2].map(|()| scm.site.world.start(&setup, &WAIT));
    for one in both {
        crate::e2e::world::finish(one, &WAIT);
    }
    scm.run(&setup).exits(0);
    assert_eq!(scm.site.scm.orders().len(), 1);
    scm.verifies("alpha.test");
}
