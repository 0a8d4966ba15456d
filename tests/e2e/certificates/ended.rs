//! What a pass says that ends before its time, and what a CA does not sell.

use super::*;
use crate::e2e::world::{finish, kill};

#[test]
fn a_signal_during_a_deploy_program_is_no_success_and_the_next_run_deploys() {
    let lab = Lab::new();
    let fifo = lab.world.path("begun");
    let mode = rustix::fs::Mode::from_bits_truncate(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, mode).unwrap();
    let (let_go, fifo_path) = (lab.world.path("let-go"), fifo.display());
    let script = format!(
        "test -e {} && exit 0; echo begun >{fifo_path}; exec sleep 600",
        let_go.display()
    );
    let deploy = serde_json::json!(["/bin/sh", "-c", script]);
    let lines = format!("names = [\"alpha.test\"]\ndeploy = {deploy}\ndeploy_timeout = \"1h\"");
    let mut setup = lab.setup(&[("www", &lines)]);
    setup.worker = "drain = \"1s\"".to_owned();
    for arguments in [&WAIT[..], &["certificate", "issue", "www", "--wait", "30s"]] {
        let child = lab.world.start(&setup, arguments);
        // Opens once the program runs.
        assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "begun\n");
        kill(child.id(), "-TERM");
        finish(child, arguments)
            .exits(1)
            .says(&["ends after the steps under way"]);
        assert!(lab.file("www", "cert.pem").exists());
    }
    std::fs::write(&let_go, "").unwrap();
    lab.world.run(&setup, &WAIT).exits(0);
    lab.world
        .run(&setup, &["certificate", "history", "www"])
        .says(&["deployed", "by-hand", "(user "]);
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_product_that_the_ca_does_not_sell_is_a_wrong_input_and_nothing_is_begun() {
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
    let csr = csr.display().to_string();
    let mut setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    setup.more = setup
        .more
        .replace(&lab.product("OV SSL Gold Multi"), "OV SSL Gold Multi-Doman");
    let rehearsal = ["certificate", "issue", "--dry-run"];
    let order = [
        "certificate",
        "order",
        "--csr",
        &csr,
        "--product",
        "OV gold",
    ];
    let rehearsed = [&order[..], &["--dry-run"]].concat();
    for arguments in [&rehearsal[..], &order, &rehearsed] {
        lab.world
            .run(&setup, arguments)
            .exits(2)
            .says(&["sells no product `OV", "OV SSL Gold Multi"]);
    }
    assert_eq!(lab.world.ca.orders().len(), 0);
    assert!(!lab.directory().exists());
}

#[test]
fn a_ca_that_cannot_be_asked_hides_nothing_of_the_others() {
    let lab = Lab::new();
    let mut setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(0);
    let password = lab.world.path("wrong.password");
    crate::support::name_server::write_secret(&password, "wrong");
    // Its name sorts before that of the CA that answers.
    let password = serde_json::json!(password.display().to_string());
    setup.more.push_str(&format!(
        "[ca.a-dead]\nkind = \"internetx\"\nurl = \"http://127.0.0.1:1/v1\"\nuser = \"me\"\n\
         password = {{ file = {password} }}\n[ca.b-dead]\nkind = \"sectigo\"\n\
         url = \"http://127.0.0.1:1/api\"\nuser = \"me\"\ncustomer_uri = \"muster\"\n\
         password = {{ file = {password} }}\n"
    ));
    // The certificate is of the CA that it names.
    setup.more = setup.more.replace(
        "names = [\"alpha.test\"]",
        "names = [\"alpha.test\"]\nca = \"sandbox\"",
    );
    let product = lab.product("OV SSL Gold Multi");
    lab.world
        .run(&setup, &["products"])
        .exits(75)
        .says(&["b-dead: ", &product]);
    lab.world
        .run(&setup, &["certificate", "list", "--at-ca"])
        .exits(75)
        .says(&["a-dead: ", "ord-", "www"]);
}
