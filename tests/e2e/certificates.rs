//! Certificates at the sandboxes, SwissSign's in this file: from a request or a key made here to a chain that
//! `openssl verify` and a TLS server take, and everything that may go wrong on the way.

mod alone;
mod autodns;
mod checking;
mod deaths;
mod digicert;
mod duplicates;
mod dv;
mod ended;
mod files;
mod internetx;
mod lost;
mod proofs;
mod ready;
mod refusals;
mod requests;
mod sectigo;
mod serve;
mod shared;
mod shown;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use prevalidate::clock::{Clock as _, SystemClock};
use prevalidate::sandbox::ca::{Call, Fault, What};

use super::world::{Setup, World};
use crate::support::process::run;
use crate::support::{Keys, NameServer, Zone};

const WAIT: [&str; 3] = ["run", "--wait", "30s"];
/// For what does not end within a run, of a [`Lab::proven`] one: time enough for a busy machine.
const SHORT: [&str; 3] = ["run", "--wait", "10s"];
const DOMAINS: [&str; 3] = ["alpha.test", "beta.test", "xn--mller-kva.test"];

struct Lab {
    world: World,
    server: NameServer,
}

impl Lab {
    fn new() -> Self {
        let zones = DOMAINS.map(|zone| Zone::new(zone, ""));
        let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
        let world = World::new(&[&server]);
        Self { world, server }
    }

    /// One whose domains the CA has validated yesterday, so that a run orders at once.
    fn proven() -> Self {
        let lab = Self::new();
        let yesterday = SystemClock.now() - SignedDuration::from_hours(24);
        for domain in DOMAINS {
            lab.world.make_validated(domain, yesterday);
        }
        lab
    }

    fn directory(&self) -> PathBuf {
        self.world.path("certificates")
    }

    fn product(&self, part: &str) -> String {
        let all = self.world.ca.products();
        let found = all.iter().find(|(name, _)| name.contains(part));
        found.unwrap_or_else(|| panic!("{part}: {all:?}")).1.clone()
    }

    /// A configuration with these certificates: their lines beside name, CA and product.
    fn setup(&self, certificates: &[(&str, &str)]) -> Setup {
        let mut setup = self.world.setup(&self.server, &DOMAINS);
        setup.more = format!(
            "\n[certificates]\ndirectory = \"{}\"\n",
            self.directory().display()
        );
        let product = self.product("OV SSL Gold Multi");
        for (name, lines) in certificates {
            setup.more.push_str(&format!(
                "[[certificate]]\nname = \"{name}\"\nproduct = \"{product}\"\n{lines}\n"
            ));
        }
        setup
    }

    fn file(&self, name: &str, file: &str) -> PathBuf {
        self.directory().join(name).join("current").join(file)
    }

    fn trust(&self) -> PathBuf {
        let path = self.world.path("root.pem");
        std::fs::write(&path, self.world.ca.root_pem()).unwrap();
        path
    }

    /// That another program takes what is installed for this host name.
    fn verifies(&self, name: &str, host: &str) {
        let (chain, leaf) = (self.file(name, "chain.pem"), self.file(name, "cert.pem"));
        verify(&self.trust(), &chain, &leaf, host);
    }

    fn matches(&self, name: &str) {
        let (key, leaf) = (self.file(name, "privkey.pem"), self.file(name, "cert.pem"));
        key_matches(&key, &leaf);
    }
}

/// That `openssl verify` takes a leaf for a host name.
fn verify(root: &Path, chain: &Path, leaf: &Path, host: &str) {
    let text = |path: &Path| path.display().to_string();
    run(
        "openssl",
        &[
            "verify",
            "-CAfile",
            &text(root),
            "-untrusted",
            &text(chain),
            "-verify_hostname",
            host,
            &text(leaf),
        ],
        "",
    );
}

/// That a key is the one of a leaf.
fn key_matches(key: &Path, leaf: &Path) {
    let (key, leaf) = (key.display().to_string(), leaf.display().to_string());
    let key = run("openssl", &["pkey", "-in", &key, "-pubout"], "");
    let leaf = run("openssl", &["x509", "-in", &leaf, "-noout", "-pubkey"], "");
    assert_eq!(key, leaf);
}

/// That a TLS server of another program takes key and chain of a folder, and a client what it serves.
fn tls_server_takes(root: &Path, folder: &Path, host: &str) {
    let port = crate::support::ports::Port::take();
    let mut server = std::process::Command::new("openssl")
        .args(["s_server", "-www", "-accept", &port.address().to_string()])
        .arg("-cert")
        .arg(folder.join("cert.pem"))
        .arg("-cert_chain")
        .arg(folder.join("chain.pem"))
        .arg("-key")
        .arg(folder.join("privkey.pem"))
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let (root, connect) = (root.display().to_string(), port.address().to_string());
    let arguments = [
        "s_client",
        "-connect",
        &connect,
        "-servername",
        host,
        "-CAfile",
        &root,
        "-verify_return_error",
        "-verify_hostname",
        host,
        "-brief",
    ];
    let mut said = String::new();
    let reached = (0..100).any(|_| {
        let client = std::process::Command::new("openssl")
            .args(arguments)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        said = String::from_utf8_lossy(&[client.stdout, client.stderr].concat()).into_owned();
        let is_up = client.status.success();
        if !is_up {
            std::thread::yield_now();
        }
        is_up
    });
    server.kill().unwrap();
    server.wait().unwrap();
    assert!(reached, "{said}");
    assert!(said.contains("Verification: OK"), "{said}");
}

#[test]
fn one_run_proves_the_domains_orders_and_installs_and_the_next_asks_for_nothing() {
    let lab = Lab::new();
    let out = lab.world.path("deployed");
    let hook = lab.world.path("hook.sh");
    std::fs::write(
        &hook,
        format!(
            "#!/bin/sh\necho \"$PREVALIDATE_NAMES $PREVALIDATE_FULLCHAIN\" >> {}\n",
            out.display()
        ),
    )
    .unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let lines = format!(
        "names = [\"www.alpha.test\", \"*.beta.test\", \"müller.test\"]\ndeploy = [\"{}\"]",
        hook.display()
    );
    let setup = lab.setup(&[("www", &lines)]);
    lab.world
        .run(&setup, &WAIT)
        .exits(0)
        .says(&["1 certificate: 1 valid"]);
    lab.verifies("www", "www.alpha.test");
    lab.verifies("www", "host.beta.test");
    lab.verifies("www", "xn--mller-kva.test");
    lab.matches("www");
    let orders = lab.world.ca.orders();
    assert_eq!(orders.len(), 1);
    let log = lab.world.ca.log();
    let first_order = log
        .iter()
        .position(|request| request.call == Call::Issue)
        .unwrap();
    let last_proof = log
        .iter()
        .rposition(|request| request.call == Call::Validate)
        .unwrap();
    assert!(last_proof < first_order, "the proof comes first");
    let mode = |file| {
        lab.file("www", file)
            .metadata()
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("privkey.pem"), 0o600);
    let told = std::fs::read_to_string(&out).unwrap();
    let chain = lab.file("www", "fullchain.pem");
    assert_eq!(
        told,
        format!(
            "www.alpha.test *.beta.test xn--mller-kva.test {}\n",
            chain.display()
        )
    );

    lab.world.ca.clear_log();
    lab.world.run(&setup, &WAIT).exits(0);
    let calls: Vec<Call> = lab
        .world
        .ca
        .log()
        .iter()
        .map(|request| request.call)
        .collect();
    assert_eq!(calls, [Call::List], "a quiet night costs one call");
    assert_eq!(
        std::fs::read_to_string(&out).unwrap(),
        told,
        "the hook ran once"
    );
}

#[test]
fn a_tls_server_of_another_program_takes_key_and_chain() {
    let lab = Lab::new();
    let password = lab.world.path("p12.password");
    crate::support::name_server::write_secret(&password, "a good password");
    let lines = format!(
        "names = [\"alpha.test\"]\np12_password = {{ file = \"{}\" }}",
        password.display()
    );
    let setup = lab.setup(&[("tls", &lines)]);
    lab.world.run(&setup, &WAIT).exits(0);
    let text = |path: PathBuf| path.display().to_string();
    let listed = run(
        "openssl",
        &[
            "pkcs12",
            "-in",
            &text(lab.file("tls", "bundle.p12")),
            "-nodes",
            "-passin",
            "pass:a good password",
        ],
        "",
    );
    assert_eq!(listed.matches("BEGIN CERTIFICATE").count(), 2);
    assert_eq!(listed.matches("BEGIN PRIVATE KEY").count(), 1);

    tls_server_takes(&lab.trust(), &lab.file("tls", ""), "alpha.test");
}

#[test]
fn a_renewal_at_the_share_takes_a_new_key_and_keeps_the_old_version() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world.run(&lab.setup(&[]), &WAIT).exits(0);
    lab.world.ca.change(|ca| ca.certificate_life = 45);
    lab.world.run(&setup, &SHORT).exits(0);
    let first = std::fs::read_to_string(lab.file("www", "cert.pem")).unwrap();
    let renewed = lab.world.run(&setup, &["run", "--wait", "40s"]);
    renewed.exits(0);
    let second = std::fs::read_to_string(lab.file("www", "cert.pem")).unwrap();
    assert_ne!(first, second);
    lab.matches("www");
    assert_eq!(lab.world.ca.orders().len(), 2);
    assert!(lab.directory().join("www/0001/cert.pem").exists());
}

#[test]
fn a_revocation_ends_with_0_when_the_ca_says_revoked() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(0);
    let arguments = ["certificate", "revoke", "www", "--reason", "superseded"];
    lab.world
        .run(&setup, &arguments)
        .exits(2)
        .says(&["nothing was revoked"]);
    let arguments = [&arguments[..], &["--yes", "--wait", "30s"]].concat();
    lab.world
        .run(&setup, &arguments)
        .exits(0)
        .says(&["is revoked"]);
    let order = &lab.world.ca.orders()[0];
    assert_eq!(order.status, "REVOKED");
    assert!(order.revocation_requestor.is_some());
    lab.world.run(&setup, &WAIT);
    assert_eq!(
        lab.world.ca.orders().len(),
        1,
        "a person decides on the next one"
    );
}

#[test]
fn wrong_answers_leave_the_old_pair_and_order_nothing_again() {
    let lab = Lab::new();
    let setup = lab.setup(&[
        ("bad", "names = [\"alpha.test\"]"),
        ("good", "names = [\"beta.test\"]"),
    ]);
    lab.world.ca.change(|ca| ca.for_another_key = true);
    lab.world.run(&setup, &WAIT).exits(1).says(&["another key"]);
    assert!(!lab.file("bad", "cert.pem").exists());
    let count = lab.world.ca.orders().len();
    lab.world.run(&setup, &WAIT).exits(1);
    assert_eq!(lab.world.ca.orders().len(), count);
    lab.world.ca.change(|ca| ca.for_another_key = false);
    let again = ["certificate", "issue", "bad", "--again", "--wait", "30s"];
    lab.world.run(&setup, &again).exits(0);
    lab.matches("bad");
    assert_eq!(lab.world.ca.orders().len(), count + 1);
}

#[test]
fn a_page_in_the_place_of_a_chain_installs_nothing_and_is_asked_for_again() {
    for what in [What::Html, What::Truncate] {
        let lab = Lab::proven();
        let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
        lab.world.ca.fault(Fault {
            times: 100,
            ..Fault::nth(Call::OrderChain, 1, what)
        });
        let ran = lab.world.run(&setup, &SHORT);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        assert!(!lab.file("www", "cert.pem").exists());
        assert_eq!(lab.world.ca.orders().len(), 1);
        lab.world.ca.clear_faults();
        lab.world.run(&setup, &WAIT).exits(0);
        assert_eq!(lab.world.ca.orders().len(), 1);
    }
}

#[test]
fn an_order_that_waits_for_a_person_ends_a_run_well() {
    let lab = Lab::proven();
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world
        .ca
        .change(|ca| ca.orders_become = "PENDING_AUTH".to_owned());
    let ran = lab.world.run(&setup, &SHORT);
    ran.exits(0).says(&["1 ordering"]);
    lab.world
        .ca
        .change(|ca| ca.orders_become = "REJECTED".to_owned());
    lab.world.run(&setup, &WAIT).exits(1).says(&["rejected"]);
    lab.world.run(&setup, &WAIT).exits(1);
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_lost_answer_to_an_order_makes_no_second_one() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world
        .ca
        .fault(Fault::nth(Call::Issue, 1, What::DeliverThenDrop));
    lab.world.run(&setup, &WAIT).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 1);
    lab.matches("www");
}

#[test]
fn a_dry_run_asks_for_free_and_leaves_no_trace() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world
        .run(&setup, &["certificate", "issue", "--dry-run"])
        .exits(0)
        .says(&["would take the order"]);
    assert_eq!(lab.world.ca.orders().len(), 0);
    assert!(!lab.directory().exists());
}

#[test]
fn an_order_by_hand_goes_on_with_the_same_request() {
    let lab = Lab::new();
    let csr = lab.world.path("hand.csr");
    run(
        "openssl",
        &[
            "req",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-subj",
            "/CN=alpha.test",
            "-addext",
            "subjectAltName=DNS:alpha.test",
            "-keyout",
            "/dev/null",
            "-out",
            &csr.display().to_string(),
        ],
        "",
    );
    let setup = lab.setup(&[]);
    lab.world.run(&setup, &WAIT).exits(0);
    let product = lab.product("OV SSL Gold Single");
    let out = lab.world.path("out");
    let (csr, out_text) = (csr.display().to_string(), out.display().to_string());
    let arguments = [
        "certificate",
        "order",
        "--product",
        &product,
        "--csr",
        &csr,
        "--out",
        &out_text,
        "--wait",
        "30s",
    ];
    for _ in 0..2 {
        lab.world.run(&setup, &arguments).exits(0);
        assert!(out.join("fullchain.pem").exists());
    }
    assert_eq!(lab.world.ca.orders().len(), 1);
    lab.world
        .run(&setup, &["certificate", "list", "--at-ca"])
        .exits(0)
        .says(&["ord-"]);
}

#[test]
fn no_key_no_password_and_no_telephone_number_is_in_any_artefact() {
    let lab = Lab::new();
    let password = lab.world.path("p12.password");
    crate::support::name_server::write_secret(&password, "canary-p12-4c9d1f0e7b2a");
    let lines = format!(
        "names = [\"alpha.test\"]\ncontact = \"pki\"\np12_password = {{ file = \"{}\" }}",
        password.display()
    );
    let mut setup = lab.setup(&[("www", &lines)]);
    setup.more.push_str(
        "[[contact]]\nname = \"pki\"\nfirst_name = \"Petra\"\nlast_name = \"Muster\"\nemail = \"pki@alpha.test\"\nphone = \"+41-44-7654321\"\n",
    );
    let ran = lab
        .world
        .run(&setup, &["run", "--wait", "30s", "-vvv"])
        .exits(0);
    let key = std::fs::read_to_string(lab.file("www", "privkey.pem")).unwrap();
    let line = key.lines().nth(1).unwrap();
    let store = std::fs::read(setup.store(&lab.world)).unwrap();
    let store = String::from_utf8_lossy(&store);
    for secret in ["canary-p12-4c9d1f0e7b2a", "7654321", line] {
        assert!(!ran.said().contains(secret), "said: {secret}");
        assert!(!store.contains(secret), "stored: {secret}");
    }
}
