//! Certificates at InterNetX, where each order brings its own validation: the record is published
//! for the order, and gone when its job is done.

use std::net::SocketAddr;
use std::sync::Arc;

use prevalidate::clock::SystemClock;
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::internetx::{Behaviour, Fault, Robot, RobotOptions, What};

use super::*;

pub(super) const PASSWORD: &str = "canary-robot-71c3";
const PHONE: &str = "+41-44-7654321";

pub(super) struct Office {
    pub(super) lab: Lab,
    robot: Robot,
}

impl Office {
    pub(super) fn new() -> Self {
        let lab = Lab::new();
        let robot = lab.world.wait_for(robot(lab.server.address()));
        let password = lab.world.path("robot.password");
        crate::support::name_server::write_secret(&password, PASSWORD);
        Self { lab, robot }
    }

    /// The world's own CA with its domains, and this account with these certificates.
    pub(super) fn setup(&self, certificates: &[(&str, &str, &str)]) -> Setup {
        let mut setup = self.lab.setup(&[]);
        let password = self.lab.world.path("robot.password");
        setup
            .more
            .push_str(&account(&self.robot.url(), &password, certificates));
        setup
    }

    pub(super) fn run(&self, setup: &Setup) -> crate::e2e::world::Ran {
        self.lab.world.run(setup, &["run", "--wait", "60s"])
    }

    fn verifies(&self, name: &str, host: &str) {
        let root = self.lab.world.path("robot.pem");
        std::fs::write(&root, self.robot.root_pem()).unwrap();
        let file = |file| self.lab.file(name, file);
        verify(&root, &file("chain.pem"), &file("cert.pem"), host);
        key_matches(&file("privkey.pem"), &file("cert.pem"));
    }

    pub(super) fn zones(&self) -> Vec<Vec<String>> {
        let zones = ["alpha.test", "beta.test", "xn--mller-kva.test"];
        zones.map(|zone| self.lab.server.axfr(zone)).to_vec()
    }

    pub(super) fn url(&self) -> String {
        self.robot.url()
    }

    pub(super) fn orders(&self) -> usize {
        self.robot.jobs().len()
    }
}

/// The account at this URL, its contact, and these certificates: name, product and further lines.
pub(super) fn account(url: &str, password: &Path, certificates: &[(&str, &str, &str)]) -> String {
    let mut text = format!(
        "[ca.robot]\nkind = \"internetx\"\nurl = \"{url}\"\nuser = \"ssl-user\"\n\
         password = {{ file = \"{}\" }}\npoll = \"own\"\n\
         [[contact]]\nname = \"pki\"\nfirst_name = \"Petra\"\nlast_name = \"Muster\"\n\
         organization = \"Muster AG\"\naddress = [\"Weg 1\"]\npostal_code = \"8000\"\n\
         city = \"Bern\"\ncountry = \"CH\"\nphone = \"{PHONE}\"\nemail = \"pki@alpha.test\"\n",
        password.display(),
    );
    for (name, product, lines) in certificates {
        text.push_str(&format!(
            "[[certificate]]\nname = \"{name}\"\nca = \"robot\"\nproduct = \"{product}\"\n\
             contact = \"pki\"\n{lines}\n"
        ));
    }
    text
}

/// A sandbox of the SSL Manager that checks records at this name server.
pub(super) async fn robot(name_server: SocketAddr) -> Robot {
    let options = RobotOptions {
        clock: ShiftedClock::over(Arc::new(SystemClock)),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        user: "ssl-user".to_owned(),
        password: PASSWORD.into(),
        context: 9,
        behaviour: Behaviour::default(),
        seed: 3,
        name_servers: Arc::new(move |_: &str| vec![name_server]),
    };
    Robot::start(options).await.unwrap()
}

#[test]
fn a_txt_and_a_cname_of_an_order_are_published_seen_and_gone_and_a_contact_is_made_once() {
    let office = Office::new();
    let before = office.zones();
    office.robot.add_foreign_message();
    let setup = office.setup(&[
        ("by-txt", "BASIC_SSL", "names = [\"www.alpha.test\"]"),
        ("by-cname", "COMODO_SSL", "names = [\"beta.test\"]"),
    ]);
    let ran = office.run(&setup).exits(0);
    ran.says(&["2 certificates: 2 valid"]);
    office.verifies("by-txt", "www.alpha.test");
    office.verifies("by-cname", "beta.test");
    let root = office.lab.world.path("robot.pem");
    tls_server_takes(&root, &office.lab.file("by-txt", ""), "www.alpha.test");
    assert_eq!(office.zones(), before, "nothing is left in DNS");
    assert_eq!((office.orders(), office.robot.contacts()), (2, 1));
    assert!(
        office.robot.messages() >= 1,
        "the message of another user is theirs to confirm"
    );
    assert!(office.robot.busiest_second() <= 3);

    let calls = office.robot.log().len();
    office.run(&setup).exits(0);
    assert_eq!(office.robot.log().len(), calls, "a quiet run asks nothing");
    let again = ["certificate", "issue", "by-txt", "--again", "--wait", "60s"];
    office.lab.world.run(&setup, &again).exits(0);
    assert_eq!((office.orders(), office.robot.contacts()), (3, 1));
    let last = office.robot.jobs().pop().unwrap();
    assert_eq!(last.action, "renew", "of the certificate that is there");
    assert_eq!(office.zones(), before);
}

#[test]
fn a_mailbox_gets_its_certificate_when_its_owner_has_said_yes() {
    let office = Office::new();
    let lines = "email = \"joe@alpha.test\"\nfirst_name = \"Joe\"\nlast_name = \"Muster\"";
    let setup = office.setup(&[("joe", "GLOBALSIGN_PERSONALSIGN_1", lines)]);
    office
        .lab
        .world
        .run(&setup, &["run", "--wait", "10s"])
        .exits(0)
        .says(&["1 ordering"]);
    let job = &office.robot.jobs()[0];
    office.robot.decide(job.id, "RUNNING");
    office
        .run(&setup)
        .exits(0)
        .says(&["1 certificate: 1 valid"]);
    let file = |file| office.lab.file("joe", file);
    key_matches(&file("privkey.pem"), &file("cert.pem"));
    let leaf = file("cert.pem").display().to_string();
    let text = run("openssl", &["x509", "-in", &leaf, "-noout", "-email"], "");
    assert_eq!(text.trim(), "joe@alpha.test");
    assert_eq!(office.orders(), 1);
}

#[test]
fn a_lost_answer_of_internetx_leads_to_no_second_order() {
    let office = Office::new();
    let setup = office.setup(&[("www", "BASIC_SSL", "names = [\"alpha.test\"]")]);
    office.robot.fault(Fault {
        on: "POST /certificate".to_owned(),
        times: 1,
        what: What::DoneButLost,
    });
    office.run(&setup).exits(0);
    assert_eq!(office.orders(), 1);
    office.verifies("www", "alpha.test");
}

#[test]
fn a_job_that_fails_is_held_and_takes_its_record_along() {
    let office = Office::new();
    let before = office.zones();
    office.robot.change(|robot| robot.look_after = 5);
    let setup = office.setup(&[("www", "BASIC_SSL", "names = [\"alpha.test\"]")]);
    let wait = ["run", "--wait", "5s"];
    office.lab.world.run(&setup, &wait);
    let job = &office.robot.jobs()[0];
    office.robot.decide(job.id, "FAILED");
    let ran = office.run(&setup);
    assert_eq!(ran.status.code(), Some(1), "{}", ran.said());
    assert_eq!(office.zones(), before);
    office.run(&setup).exits(1);
    assert_eq!(office.orders(), 1, "no order by itself");
}

#[test]
fn a_revocation_at_internetx_is_read_back() {
    let office = Office::new();
    let setup = office.setup(&[("www", "BASIC_SSL", "names = [\"alpha.test\"]")]);
    office.run(&setup).exits(0);
    let arguments = [
        "certificate",
        "revoke",
        "www",
        "--reason",
        "superseded",
        "--yes",
        "--wait",
        "60s",
    ];
    office
        .lab
        .world
        .run(&setup, &arguments)
        .exits(0)
        .says(&["is revoked"]);
    // A process after the other knows nothing of its pace.
    office.robot.change(|robot| robot.calls_per_second = 0);
    let arguments = ["certificate", "list", "--at-ca"];
    let world = &office.lab.world;
    world
        .run(&setup, &arguments)
        .exits(0)
        .says(&["revoked", "BASIC_SSL"]);
}

#[test]
fn no_password_and_no_number_of_a_contact_is_in_any_artefact() {
    let office = Office::new();
    let setup = office.setup(&[("www", "BASIC_SSL", "names = [\"alpha.test\"]")]);
    let ran = office
        .lab
        .world
        .run(&setup, &["run", "--wait", "60s", "-vvv"])
        .exits(0);
    let store = std::fs::read(setup.store(&office.lab.world)).unwrap();
    let store = String::from_utf8_lossy(&store);
    for secret in [PASSWORD, PHONE, "7654321"] {
        assert!(!ran.said().contains(secret), "said: {secret}");
        assert!(!store.contains(secret), "stored: {secret}");
    }
    let sent = office.robot.log();
    assert!(
        sent.iter()
            .any(|call| call.body.to_string().contains("7654321")),
        "the CA was told the number"
    );
}

#[cfg(feature = "crashpoints")]
#[test]
fn a_run_killed_around_its_order_at_internetx_leaves_one_order_and_no_record() {
    use std::os::unix::process::ExitStatusExt as _;

    for point in ["order-done", "order-record-done", "certificate-switched"] {
        let office = Office::new();
        let before = office.zones();
        let setup = office.setup(&[("www", "BASIC_SSL", "names = [\"alpha.test\"]")]);
        let variable = format!("{point}:1");
        let variable = ("PREVALIDATE_CRASH", variable.as_str());
        let wait = ["run", "--wait", "60s"];
        let first = office.lab.world.run_with(&setup, &wait, variable);
        assert_eq!(first.status.signal(), Some(9), "{point}: {}", first.said());
        office.run(&setup).exits(0);
        assert_eq!(office.orders(), 1, "killed at {point}");
        office.verifies("www", "alpha.test");
        assert_eq!(office.zones(), before, "killed at {point}");
    }
}

#[cfg(feature = "crashpoints")]
#[test]
fn an_order_that_may_have_reached_internetx_is_not_sent_again_before_its_search_is_sure() {
    use std::os::unix::process::ExitStatusExt as _;

    let office = Office::new();
    let setup = office.setup(&[("www", "BASIC_SSL", "names = [\"alpha.test\"]")]);
    let variable = ("PREVALIDATE_CRASH", "order-intended:1");
    let wait = ["run", "--wait", "60s"];
    let first = office.lab.world.run_with(&setup, &wait, variable);
    assert_eq!(first.status.signal(), Some(9), "{}", first.said());
    let wait = ["run", "--wait", "10s"];
    let ran = office.lab.world.run(&setup, &wait).exits(0);
    ran.says(&["1 ordering"]);
    assert_eq!(office.orders(), 0, "two minutes are not over");
}

#[test]
fn two_machines_at_once_make_one_order_at_internetx() {
    let office = Office::new();
    let before = office.zones();
    let mut setup = office.setup(&[("www", "BASIC_SSL", "names = [\"alpha.test\"]")]);
    let database = crate::support::postgres::Cluster::shared().database_now();
    setup.database = Some(database.url);
    let wait = ["run", "--wait", "60s"];
    let both = [(); 2].map(|()| office.lab.world.start(&setup, &wait));
    for one in both {
        crate::e2e::world::finish(one, &wait);
    }
    office.run(&setup).exits(0);
    assert_eq!((office.orders(), office.robot.contacts()), (1, 1));
    office.verifies("www", "alpha.test");
    assert_eq!(office.zones(), before);
    assert!(office.robot.busiest_second() <= 3, "the machines share it");
}

#[test]
fn an_order_by_hand_names_its_contact_and_a_product_that_is_sold() {
    let office = Office::new();
    office.robot.change(|robot| robot.calls_per_second = 0);
    let setup = office.setup(&[]);
    office.lab.world.run(&setup, &WAIT).exits(0);
    let key = office.lab.world.path("own.key").display().to_string();
    let csr = office.lab.world.path("own.csr").display().to_string();
    let curve = "ec_paramgen_curve:P-256";
    run(
        "openssl",
        &[
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            curve,
            "-out",
            &key,
        ],
        "",
    );
    let (subject, names) = ("/CN=www.alpha.test", "subjectAltName=DNS:www.alpha.test");
    run(
        "openssl",
        &[
            "req", "-new", "-key", &key, "-subj", subject, "-addext", names, "-out", &csr,
        ],
        "",
    );
    let order = |product: &str, more: &[&str]| {
        let own = [
            "certificate",
            "order",
            "--ca",
            "robot",
            "--product",
            product,
            "--csr",
            &csr,
        ];
        let all = [&own[..], &["--wait", "60s"], more].concat();
        office.lab.world.run(&setup, &all)
    };
    order("BASIC_SSL", &[])
        .exits(2)
        .says(&["--contact", "there are: pki"]);
    order("BASIC_SSL", &["--contact", "pkl"])
        .exits(2)
        .says(&["`pkl` is no [[contact]]"]);
    for more in [&[][..], &["--dry-run"]] {
        let more = [&["--contact", "pki"], more].concat();
        order("NO_SSL", &more)
            .exits(2)
            .says(&["Is `NO_SSL` a product of InterNetX"]);
    }
    assert_eq!(office.orders(), 0);
    let ran = order("BASIC_SSL", &["--contact", "pki"])
        .exits(0)
        .says(&["nothing renews it"]);
    assert!(!ran.said().contains("renewed then"), "{}", ran.said());
    assert_eq!(office.orders(), 1);
}

#[test]
fn a_withdrawal_tells_the_record_of_an_open_order_and_the_next_run_removes_it() {
    let office = Office::new();
    let before = office.zones();
    let setup = office.setup(&[("www", "BASIC_SSL", "names = [\"www.alpha.test\"]")]);
    office.robot.change(|robot| robot.look_after = 3_600);
    let world = &office.lab.world;
    world.run(&setup, &["run", "--wait", "20s"]);
    assert_eq!(office.orders(), 1);
    assert_ne!(office.zones(), before);
    let words = "of the open order of certificate www";
    let dry = ["withdraw", "alpha.test", "--dry-run"];
    world.run(&setup, &dry).exits(0).says(&[words]);
    let withdraw = ["withdraw", "alpha.test", "--yes"];
    world
        .run(&setup, &withdraw)
        .exits(0)
        .says(&["the next run takes out of DNS", words])
        .says(&["until then the order of certificate www waits"]);
    world.run(&setup, &["run", "--wait", "10s"]);
    assert_eq!(office.zones(), before);
    assert_eq!(office.orders(), 1);
}
