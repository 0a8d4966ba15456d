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
