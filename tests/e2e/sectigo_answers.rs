//! Sectigo where something is wrong: the configuration, an answer, a right; and the commands that ask
//! it.

use prevalidate::sandbox::sectigo::{Behaviour, Delegation};

use super::sectigo::{DAY, ORGANISATION, Site, domain, one_zone};
use crate::support::name_server::write_secret;
use crate::support::{Keys, NameServer, Zone};

#[test]
fn what_the_configuration_gets_wrong_about_sectigo_is_said_at_once() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "cname");
    let mut setup = site.setup(&server, &[name]);
    let (good, client) = site.sections();
    let ca =
        "[ca.sectigo]\nkind = \"sectigo\"\nauth = \"oauth\"\nuser = \"x\"\nmethod = \"http\"\n";
    setup.instead = Some((ca.to_owned(), client.clone()));
    site.world
        .run(&setup, &["config", "check"])
        .exits(2)
        .says(&[
            "ca.sectigo.client_id: is missing",
            "ca.sectigo.client_secret: is missing",
            "ca.sectigo.user: is not used with auth = \"oauth\"",
            "ca.sectigo.method: must be \"cname\" or \"txt\"",
        ]);
    let client = client.replace(
        &format!("\"{ORGANISATION}\""),
        "\"cli-1\"\ncert_types = [\"TLS\"]",
    );
    setup.instead = Some((good, client));
    site.world
        .run(&setup, &["config", "check"])
        .exits(2)
        .says(&[
            "client.reference: must be the id of an organisation",
            "client.cert_types: must hold some of \"SSL\"",
        ]);
}

#[test]
fn a_record_outside_the_domain_is_refused_and_never_published() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    for method in ["cname", "txt"] {
        let site = Site::new(&server, method);
        let setup = site.setup(&server, &[name]);
        site.scm.change(|behaviour| behaviour.owner_outside = true);
        let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        ran.says(&["is not in a.test"]);
        assert_eq!(server.axfr(name), before);
    }
}

#[test]
fn what_the_ca_refuses_is_said_in_words_and_nothing_is_written() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    type Change = fn(&mut Behaviour);
    let cases: [(Change, &str); 4] = [
        (|behaviour| behaviour.no_right = true, "-3"),
        (|behaviour| behaviour.dcv_off = true, "-1608"),
        (|behaviour| behaviour.repeats_pages = true, "repeats itself"),
        (|behaviour| behaviour.delegation = Delegation::NoRight, "-3"),
    ];
    for (at, (change, word)) in cases.into_iter().enumerate() {
        let site = Site::new(&server, "cname");
        // The last one is to be created: SCM does not have it yet.
        let mut setup = match at {
            3 => site.world.setup(&server, &[name]),
            _ => site.setup(&server, &[name]),
        };
        if word == "repeats itself" {
            for n in 0..200 {
                site.scm.add_domain(&format!("more{n}.test"), ORGANISATION);
            }
        }
        if at == 3 {
            let (ca, client) = site.sections();
            setup.instead = Some((ca, format!("{client}create_domains = true\n")));
        }
        site.scm.change(change);
        let ran = site.world.run(&setup, &["run", "--wait", "3s"]);
        assert_ne!(ran.status.code(), Some(0), "{word}: {}", ran.said());
        ran.says(&[word]);
        assert_eq!(server.axfr(name), before, "{word}");
        if at < 2 {
            // The login works, and the right is missing.
            site.world.run(&setup, &["doctor"]).exits(3).says(&[word]);
        }
    }
}

#[test]
fn a_list_that_counts_more_rows_than_it_shows_is_believed_as_far_as_it_goes() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "cname");
    let setup = site.setup(&server, &[name]);
    for n in 0..399 {
        site.scm.add_domain(&format!("more{n}.test"), ORGANISATION);
    }
    site.scm.change(|behaviour| behaviour.counts_too_many = 1);
    site.world
        .run(&setup, &["run", "--wait", "30s", "-v"])
        .says(&["401"]);
    assert_eq!(domain(&site, &setup)["state"], "valid");
    let quiet = ["run", "--wait", "3s", "--quiet"];
    let warned = site.world.run(&setup, &quiet).exits(0);
    warned.says(&["warning: sectigo/12345: ", "401"]);
    site.world.run(&setup, &["check"]).exits(1).says(&["401"]);
    // Two full pages, and one that is empty: the last row may be on it.
    site.scm.clear_log();
    site.world.run(&setup, &["run", "--wait", "3s"]);
    assert_eq!(site.scm.count("/dcv/v1/validation"), 3);
}

#[test]
fn an_entry_of_two_accounts_is_not_deleted_and_a_typo_does_not_let_go_of_a_ca() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "cname");
    let mut setup = site.setup(&server, &[name]);
    let (ca, client) = site.sections();
    let second = ca.replace("[ca.sectigo]", "[ca.second]");
    let other = client.replace("\"sectigo\"", "\"second\"");
    setup.instead = Some((format!("{ca}{second}"), client));
    setup.more = format!("{other}domains = [\"{name}\"]\n");
    // One after the other: both want the validation of one domain at the CA.
    for at in ["sectigo", "second"] {
        let run = ["run", "--ca", at, "--wait", "30s"];
        site.world.run(&setup, &run).exits(0);
    }
    let compare = ["status", "--compare", "sectigo", "second"];
    site.world.run(&setup, &compare).exits(0);
    let typo = [&compare[..], &["aa.test"]].concat();
    site.world
        .run(&setup, &typo)
        .exits(2)
        .says(&["aa.test is not in the inventory"]);

    site.scm.add_domain("b.test", ORGANISATION);
    let add = |at: &'static str| ["add", "b.test", "--ca", at];
    site.world.run(&setup, &add("sectigo")).exits(0);
    site.world.run(&setup, &add("second")).exits(0);
    site.world.run(&setup, &["run", "--wait", "3s"]);
    let remove = ["remove", "b.test", "--ca", "second", "--at-ca", "--yes"];
    site.world
        .run(&setup, &remove)
        .exits(2)
        .says(&["b.test is also wanted at sectigo/12345"]);
    let calls = site.calls();
    let is_deletion = |call: &String| call.starts_with("DELETE");
    assert!(!calls.iter().any(is_deletion), "{calls:?}");
}

#[test]
fn the_commands_about_the_ca_work_at_sectigo() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "cname");
    let mut setup = site.setup(&server, &[name]);
    site.scm.prove(name, DAY);
    setup.domains.clear();
    site.world.run(&setup, &["import", "--from-ca"]).exits(0);
    site.world
        .run(&setup, &["status", "--refresh"])
        .exits(0)
        .says(&["valid"]);
    site.world
        .run(&setup, &["remove", name, "--at-ca", "--yes"])
        .exits(0);
    assert!(
        site.calls()
            .iter()
            .any(|call| call.starts_with("DELETE /domain/v1/"))
    );
}

/// The domain itself is an alias, beside which no TXT value can be; the CNAME below it can.
#[test]
fn what_a_provider_is_asked_about_is_the_record_of_each_ca() {
    let zone = Zone::new(
        "a.test",
        "@ 3600 TXT \"v=spf1 mx -all\"\nwww 3600 CNAME web.a.test.\nweb 3600 A 192.0.2.1",
    );
    let server = NameServer::bind(&[zone], &Keys::of(&["prevalidate"]));
    let site = Site::new(&server, "cname");
    site.scm.add_domain("www.a.test", ORGANISATION);
    let mut setup = site.world.setup(&server, &["a.test"]);
    setup.domains = vec!["www.a.test".to_owned()];
    let (ca, client) = site.sections();
    setup.more = format!("{ca}{client}provider = \"dns\"\ndomains = [\"www.a.test\"]\n");
    let before = server.axfr("a.test");
    let ran = site.world.run(&setup, &["run", "--wait", "30s"]);
    assert!(
        site.scm.validated_at("www.a.test").is_some(),
        "{}",
        ran.said()
    );

    let found = site.world.run(&setup, &["readiness", "-o", "json"]).json();
    let refused: Vec<_> = found["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["code"] == "provider-refuses")
        .map(|finding| finding["ca"].as_str().unwrap())
        .collect();
    assert_eq!(refused, ["sandbox"], "{found}");
    for (ca, is_refused) in [("sectigo", false), ("sandbox", true)] {
        let asked = ["diagnose", "www.a.test", "--ca", ca, "-o", "json"];
        let found = site.world.run(&setup, &asked).json();
        let error = &found[0]["provider"]["error"];
        assert_eq!(error.is_string(), is_refused, "{ca}: {found}");
    }
    assert_eq!(server.axfr("a.test"), before);
}

#[test]
fn what_is_told_of_a_domain_at_two_cas_says_at_which_and_a_refused_login_is_told_as_such() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "cname");
    site.scm.add_domain(name, ORGANISATION);
    site.scm.change(|scm| scm.bare_rows = true);
    let mut setup = site.world.setup(&server, &[name]);
    let (ca, client) = site.sections();
    setup.more = format!("{ca}{client}provider = \"dns\"\ndomains = [\"{name}\"]\n");
    for _ in 0..2 {
        site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    }
    let heads = ["sandbox", "sectigo"].map(|ca| format!("{name} at {ca}/"));
    site.world
        .run(&setup, &["diagnose", name])
        .says(&[&heads[0], &heads[1]]);
    // Its list shows no day.
    let status = site.world.run(&setup, &["status", "-o", "json"]).json();
    let rows = status.as_array().unwrap();
    let proof = |ca: &str| &rows.iter().find(|row| row["ca"] == ca).unwrap()["proof"];
    assert!(proof("sectigo")["validated_at"].is_null(), "{status}");
    assert!(proof("sectigo")["first_seen"].is_string(), "{status}");
    assert!(proof("sandbox")["validated_at"].is_string(), "{status}");
    assert!(proof("sandbox")["first_seen"].is_null(), "{status}");

    write_secret(&site.world.path("scm.password"), "wrong");
    let ran = site.world.run(&setup, &["doctor"]).exits(3);
    assert!(!ran.said().contains("could not find organisation"));
    ran.says(&["the login is refused", "Unknown user"]);
}
