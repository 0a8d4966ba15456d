//! What people and programs are shown of certificates: by the daemon, and beside the proofs.

use super::*;
use crate::support::daemon::Daemon;
use crate::support::name_server::write_secret;
use crate::support::zones::Key;

#[test]
fn a_daemon_orders_and_installs_and_metrics_api_and_page_say_so() {
    let lab = Lab::new();
    let mut setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    setup.more.push_str("[server]\nlisten = \"127.0.0.1:0\"\n");
    let serve = || Daemon::start(lab.world.command(&setup, &["serve"]));
    let mut daemon = serve();
    daemon.says(&["certificate=www", "installed"]);
    lab.matches("www");
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");

    // Its first snapshot has all of it.
    let mut daemon = serve();
    daemon.hears("STATUS=3 domains");
    let (_, metrics) = daemon.get("/metrics");
    for line in [
        "prevalidate_certificates{state=\"valid\"} 1",
        "prevalidate_certificates_needing_a_person 0",
        "prevalidate_certificate_needs_attention{certificate=\"www\"} 0",
    ] {
        let is_there = metrics.lines().any(|told| told == line);
        assert!(is_there, "{line}\n{metrics}");
    }
    for moment in ["not_after", "renewal"] {
        let series =
            format!("prevalidate_certificate_{moment}_timestamp_seconds{{certificate=\"www\"}}");
        assert!(metrics.contains(&series), "{series}\n{metrics}");
    }
    let (_, told) = daemon.get("/api/v1/certificates");
    for part in ["\"name\":\"www\"", "\"state\":\"valid\"", "\"renew_at\""] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let heading = "Certificates that need this proof";
    let (_, page) = daemon.get("/domains/alpha.test");
    assert!(page.contains(heading) && page.contains("www.alpha.test"));
    let (_, page) = daemon.get("/domains/beta.test");
    assert!(!page.contains(heading));
    let (status, said) = daemon.stop();
    assert_eq!(status.code(), Some(0), "{said}");
    assert_eq!(lab.world.ca.orders().len(), 1);
}

#[test]
fn a_held_proof_says_which_certificates_cannot_be_renewed_after_which_day() {
    let lab = Lab::new();
    let heard = lab.world.path("heard");
    let mut setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    let script = format!("cat >>{0}; echo >>{0}", heard.display());
    setup.more.push_str(&format!(
        "[[notify]]\nname = \"team\"\nkind = \"command\"\ntopics = [\"held\"]\ncommand = {}\n",
        serde_json::json!(["/bin/sh", "-c", script])
    ));
    let wrong = lab.world.path("wrong.key");
    write_secret(&wrong, &Key::new("prevalidate", "hmac-sha256").file_text());
    setup.provider = Some((lab.server.address(), wrong));
    lab.world.make_due("alpha.test");
    // The proof still counts: the certificate is ordered, and the renewal of the proof fails.
    lab.world.run(&setup, &WAIT);
    lab.verifies("www", "www.alpha.test");
    let shown = lab.world.run(&setup, &["status", "alpha.test"]);
    let shown = shown.says(&[
        "its proof is needed by the certificates www",
        "without a new proof the certificates www cannot be renewed after 20",
    ]);
    assert!(shown.stdout.contains("held"), "{}", shown.said());
    let told = std::fs::read_to_string(&heard).unwrap();
    assert!(
        told.contains("the certificates www cannot be renewed after 20"),
        "{told}"
    );
    let shown = lab.world.run(&setup, &["status", "beta.test"]);
    assert!(!shown.said().contains("www"), "{}", shown.said());
}

#[test]
fn orders_that_this_store_did_not_make_are_listed_without_a_name() {
    let lab = Lab::new();
    let ours = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
    lab.world.run(&ours, &WAIT).exits(0);
    let mut theirs = lab.setup(&[]);
    theirs.name = "theirs".to_owned();
    lab.world.run(&theirs, &WAIT).exits(0);
    for (setup, name) in [(&ours, Some("www")), (&theirs, None)] {
        let arguments = ["certificate", "list", "--at-ca", "--output", "json"];
        let shown = lab.world.run(setup, &arguments).exits(0).json();
        let orders = shown.as_array().unwrap();
        assert_eq!(orders.len(), 1, "{shown}");
        assert_eq!(orders[0]["certificate"].as_str(), name, "{shown}");
    }
}

#[test]
fn a_ca_that_refuses_is_named_beside_the_orders_of_the_others() {
    let office = internetx::Office::new();
    let lab = &office.lab;
    let account = internetx::account(&office.url(), &lab.world.path("robot.password"), &[]);
    let www = "ca = \"sandbox\"\nnames = [\"www.alpha.test\"]";
    let mut setup = lab.setup(&[("www", www)]);
    setup.more.push_str(&account);
    lab.world.run(&setup, &WAIT).exits(0);
    write_secret(&lab.world.path("robot.password"), "wrong");

    let list = ["certificate", "list", "--at-ca"];
    let ran = lab.world.run(&setup, &list).exits(3);
    let header = ran.stdout.lines().next().unwrap_or_default();
    let columns: Vec<&str> = header.split_whitespace().collect();
    assert_eq!(columns[..3], ["CA", "ORDER", "STATE"], "{}", ran.said());
    ran.says(&["error: robot: ", "www.alpha.test"]);

    let json = [&list[..], &["--output", "json"]].concat();
    let ran = lab.world.run(&setup, &json).exits(3);
    assert_eq!(ran.json().as_array().unwrap().len(), 1, "{}", ran.said());
    let lines = ran.stderr.lines().filter(|line| line.starts_with('{'));
    let errors: Vec<serde_json::Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(errors.len(), 1, "{}", ran.said());
    let error = &errors[0]["error"];
    assert_eq!((&error["ca"], &error["exit"]), (&"robot".into(), &3.into()));
    assert!(!ran.stderr.contains("error: "), "{}", ran.said());
}
