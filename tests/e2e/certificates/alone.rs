//! What is wrong with certificates costs no domain, and orders by hand have names of their own.

use super::*;

fn request(lab: &Lab, file: &str, key: &str, name: &str) -> String {
    let path = |name: &str| lab.world.path(name).display().to_string();
    let (key, file) = (path(key), path(file));
    if !Path::new(&key).exists() {
        let curve = "ec_paramgen_curve:P-256";
        let arguments = [
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            curve,
            "-out",
            &key,
        ];
        run("openssl", &arguments, "");
    }
    let (subject, names) = (format!("/CN={name}"), format!("subjectAltName=DNS:{name}"));
    run(
        "openssl",
        &[
            "req", "-new", "-key", &key, "-subj", &subject, "-addext", &names, "-out", &file,
        ],
        "",
    );
    file
}

#[test]
fn a_request_that_cannot_be_read_costs_its_certificate_only() {
    let lab = Lab::new();
    let missing = lab.world.path("own.csr").display().to_string();
    let lines = format!("csr = \"{missing}\"");
    let setup = lab.setup(&[("own", &lines), ("www", "names = [\"www.alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(1).says(&[
        "own.csr",
        "everything continues but the certificate own",
        "3 domains",
    ]);
    lab.matches("www");
    lab.world
        .run(&setup, &["config", "check"])
        .exits(2)
        .says(&["certificate.csr", "(the certificate own)"]);
    lab.world
        .run(&setup, &["certificate", "issue", "own"])
        .exits(2)
        .says(&["own.csr"]);
    request(&lab, "own.csr", "own.key", "beta.test");
    lab.world.run(&setup, &WAIT).exits(0);
    key_matches(&lab.world.path("own.key"), &lab.file("own", "cert.pem"));

    // What is installed stays wanted while its request cannot be read.
    std::fs::remove_file(&missing).unwrap();
    lab.world.run(&setup, &WAIT).exits(1).says(&["own held"]);
    request(&lab, "own.csr", "own.key", "beta.test");
    lab.world.run(&setup, &WAIT).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 2);
}

#[test]
fn a_directory_that_cannot_be_made_costs_the_certificates_only() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    std::fs::write(lab.directory(), "a file").unwrap();
    lab.world
        .run(&setup, &WAIT)
        .exits(2)
        .says(&["certificates.directory", "3 domains"]);
    let status = lab.world.run(&setup, &["status", "--output", "json"]);
    assert_eq!(status.json().as_array().unwrap().len(), 3);
    assert_eq!(lab.world.ca.orders().len(), 0);
    for arguments in [
        &["config", "check"][..],
        &["certificate", "issue", "--dry-run"],
        &["doctor"],
    ] {
        lab.world
            .run(&setup, arguments)
            .exits(2)
            .says(&["is not a folder"]);
    }
    std::fs::remove_file(lab.directory()).unwrap();
    lab.world.run(&setup, &WAIT).exits(0);
}

#[test]
fn a_dry_run_before_the_first_run_knows_the_domains_of_the_configuration() {
    let lab = Lab::new();
    let setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    let ran = lab
        .world
        .run(&setup, &["certificate", "issue", "--dry-run"])
        .exits(0)
        .says(&["alpha.test is not proven yet"]);
    assert!(!ran.said().contains("add it to the domains"));
}

#[test]
fn two_orders_by_hand_with_one_key_have_names_of_their_own() {
    let lab = Lab::new();
    let setup = lab.setup(&[]);
    lab.world.run(&setup, &WAIT).exits(0);
    let product = lab.product("OV SSL Gold Single");
    let (alpha, beta) = (
        request(&lab, "alpha.csr", "one.key", "alpha.test"),
        request(&lab, "beta.csr", "one.key", "beta.test"),
    );
    for csr in [&alpha, &beta, &alpha] {
        let order = ["certificate", "order", "--product", &product, "--csr", csr];
        let order = [&order[..], &["--wait", "30s"]].concat();
        lab.world
            .run(&setup, &order)
            .exits(0)
            .says(&["is called csr-"]);
    }
    assert_eq!(lab.world.ca.orders().len(), 2);
    let list = ["certificate", "list", "--output", "json"];
    let listed = lab.world.run(&setup, &list).exits(0).json();
    let named = |host: &str| {
        let all = listed.as_array().unwrap();
        let one = all.iter().find(|one| one["names"][0] == host);
        one.unwrap()["name"].as_str().unwrap().to_owned()
    };
    let (alpha, beta) = (named("alpha.test"), named("beta.test"));
    assert_ne!(alpha, beta);
    for arguments in [
        ["certificate", "show", &beta],
        ["certificate", "history", &beta],
        ["certificate", "fetch", &beta],
    ] {
        lab.world.run(&setup, &arguments).exits(0);
    }
    assert!(lab.directory().join(&beta).join("0002").exists());
    let revoke = ["certificate", "revoke", &beta, "--reason", "superseded"];
    let revoke = [&revoke[..], &["--yes", "--wait", "30s"]].concat();
    lab.world
        .run(&setup, &revoke)
        .exits(0)
        .says(&["is revoked"]);
    let revoked: Vec<_> = lab
        .world
        .ca
        .orders()
        .into_iter()
        .filter(|order| order.status == "REVOKED")
        .collect();
    assert_eq!(revoked.len(), 1);
    lab.world.run(&setup, &["check"]).exits(0);
}

#[cfg(feature = "crashpoints")]
#[test]
fn a_check_warns_before_an_order_by_hand_ends_because_nothing_renews_it() {
    let lab = Lab::new();
    let setup = lab.setup(&[]);
    lab.world.run(&setup, &WAIT).exits(0);
    lab.world.ca.change(|ca| ca.certificate_life = 86_400 * 3);
    let product = lab.product("OV SSL Gold Single");
    let csr = request(&lab, "alpha.csr", "one.key", "alpha.test");
    let order = ["certificate", "order", "--product", &product, "--csr", &csr];
    let order = [&order[..], &["--wait", "30s"]].concat();
    lab.world.run(&setup, &order).exits(0);
    let words = "ordered by hand, ends on";
    let later = |seconds: &str| {
        let ahead = ("PREVALIDATE_CLOCK_AHEAD", seconds);
        lab.world.run_with(&setup, &["check"], ahead)
    };
    assert!(!later("3600").said().contains(words));
    let ran = later("180000");
    assert!(ran.said().contains(words), "{}", ran.said());
}

#[test]
fn a_request_that_is_ordered_already_is_ordered_again_by_hand_only() {
    let lab = Lab::new();
    let csr = request(&lab, "alpha.csr", "one.key", "alpha.test");
    let section = lab.setup(&[("own", &format!("csr = \"{csr}\""))]);
    let setup = lab.setup(&[]);
    lab.world.run(&setup, &WAIT).exits(0);
    let order = |setup: &Setup, product: &str, more: &[&str]| {
        let product = lab.product(product);
        let order = ["certificate", "order", "--product", &product, "--csr", &csr];
        let order = [&order[..], &["--wait", "30s"], more].concat();
        lab.world.run(setup, &order)
    };
    let (x, y) = (lab.world.path("x"), lab.world.path("y"));
    let [x, y] = [&x, &y].map(|path| path.display().to_string());
    order(&setup, "OV SSL Gold Single", &["--out", &x]).exits(0);
    let leaf = std::fs::read(lab.world.path("x/cert.pem")).unwrap();
    let list = ["certificate", "list", "--output", "json"];
    let listed = lab.world.run(&setup, &list).exits(0).json();
    let name = listed[0]["name"].as_str().unwrap().to_owned();
    let place = lab.directory().join(&name).display().to_string();

    // The same once more continues with what is there.
    order(&setup, "OV SSL Gold Single", &["--out", &y])
        .exits(0)
        .says(&["is ordered already", &name, &place, "--again"]);
    assert_eq!(std::fs::read(lab.world.path("y/cert.pem")).unwrap(), leaf);
    assert_eq!(lab.world.ca.orders().len(), 1);

    // Another product is another order.
    let other = "OV SSL Gold Multi";
    order(&setup, other, &["--dry-run"]).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 1);
    order(&setup, other, &["--out", &y]).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 2);
    assert_ne!(std::fs::read(lab.world.path("y/cert.pem")).unwrap(), leaf);
    order(&setup, other, &["--out", &y]).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 2);

    // A section of the configuration has it.
    let mut section = section;
    section.name = "section".to_owned();
    lab.world.run(&section, &WAIT).exits(0);
    let count = lab.world.ca.orders().len();
    for product in [other, "OV SSL Gold Single"] {
        order(&section, product, &[])
            .exits(2)
            .says(&["is ordered already", "own"]);
    }
    assert_eq!(lab.world.ca.orders().len(), count);
}
