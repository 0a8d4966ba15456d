//! DigiCert where something is wrong: the configuration, the key, an answer, a name; and the commands
//! that ask it.

use prevalidate::sandbox::digicert::{Fault, Rights, What};

use super::digicert::{DAY, KEY, ORGANISATION, Site, domain, one_zone};
use crate::support::name_server::write_secret;

#[test]
fn what_the_configuration_gets_wrong_about_digicert_is_said_at_once() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let mut setup = site.setup(&server, &[name]);
    let (good, client) = site.sections();
    let ca = "[ca.digicert]\nkind = \"digicert\"\nlabel = \"below\"\nmethod = \"http\"\n";
    let spoilt = client.replace(
        &format!("\"{ORGANISATION}\""),
        "\"cli-1\"\nvalidations = [\"OV\"]\ncert_types = [\"SSL\"]",
    );
    setup.instead = Some((ca.to_owned(), spoilt));
    site.world
        .run(&setup, &["config", "check"])
        .exits(2)
        .says(&[
            "ca.digicert.api_key: is missing",
            "ca.digicert.label: must be \"_dnsauth\" or \"apex\"",
            "ca.digicert.method: must be \"txt\" or \"cname\"",
            "client.reference: must be the id of an organisation",
            "client.validations: must hold some of \"ov\", \"ev\", \"cs\", \"ev_cs\"",
            "client.cert_types: is for clients of the kind \"sectigo\"",
        ]);
    let both = format!("{good}method = \"cname\"\nlabel = \"apex\"\n");
    setup.instead = Some((both, client.clone()));
    site.world
        .run(&setup, &["config", "check"])
        .exits(2)
        .says(&["ca.digicert.label: is not for method = \"cname\""]);
    let url = format!("url = \"{}\"\n", site.cc.url());
    setup.instead = Some((good.replace(&url, ""), client));
    site.world
        .run(&setup, &["config", "check"])
        .exits(2)
        .says(&["1000 calls in 3 minutes"]);
    assert_eq!(site.calls(), Vec::<String>::new(), "no server is asked");
}

#[test]
fn a_key_that_is_wrong_or_of_the_other_region_is_said_to_be_and_nothing_is_written() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    write_secret(&site.world.path("digicert.key"), "ANOTHERKEY");
    site.world
        .run(&setup, &["run", "--wait", "3s"])
        .exits(3)
        .says(&[
            "access_denied|access_denied_invalid_key",
            "https://certcentral.digicert.eu",
        ]);
    assert_eq!(site.calls().len(), 1, "a refused key is not tried again");
    assert_eq!(server.serial(name), 1);
    write_secret(&site.world.path("digicert.key"), KEY);
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
}

#[test]
fn with_a_view_only_key_everything_that_reads_works_and_run_says_what_is_missing() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.prove(name, DAY * 180);
    site.cc
        .change(|behaviour| behaviour.rights = Rights::ViewOnly);
    site.world
        .run(&setup, &["status", "--refresh"])
        .exits(0)
        .says(&["valid"]);
    site.world
        .run(&setup, &["plan"])
        .says(&["a.test", "start", "now"]);
    site.world.run(&setup, &["check"]).says(&["PREVALIDATE"]);
    site.world.run(&setup, &["forecast"]).exits(0);
    assert_eq!(server.serial(name), 1);
    let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    ran.says(&["access_denied", "Orders, Domains, Organizations"]);
    let until = &domain(&site, &setup)["proof"]["usable_until"];
    assert!(until.is_string(), "the proof counts: {until}");
    assert_eq!(server.serial(name), 1, "nothing is written");

    let mut observing = setup.clone();
    observing.name = "observing".to_owned();
    site.world.write_config(&observing);
    let file = site.world.config(&observing);
    let text = std::fs::read_to_string(&file).unwrap();
    site.cc.clear_log();
    let mut command = site.world.command(&observing, &["run", "--wait", "3s"]);
    std::fs::write(&file, text.replace("\"manage\"", "\"observe\"")).unwrap();
    let ran = command.output().unwrap();
    assert!(
        site.calls().iter().all(|call| call.starts_with("GET ")),
        "{ran:?}"
    );
}

#[test]
fn pages_of_the_network_before_the_api_change_nothing_and_the_next_run_goes_on() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.prove(name, DAY * 180);
    for what in [
        What::Page(503),
        What::Page(200),
        What::Page(403),
        What::Empty(500),
    ] {
        site.cc.fault(Fault {
            on: String::new(),
            times: 100,
            what,
        });
        let ran = site.world.run(&setup, &["run", "--wait", "3s"]);
        assert_ne!(ran.status.code(), Some(0), "{what:?}: {}", ran.said());
        assert_eq!(server.serial(name), 1, "{what:?}");
        site.cc.clear_faults();
    }
    site.world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    assert_eq!(domain(&site, &setup)["state"], "valid");
}

#[test]
fn one_answer_of_the_network_before_the_api_holds_no_domain() {
    for (on, what) in [
        ("/validation", What::Page(403)),
        ("/validation", What::Empty(200)),
        ("/validate-token", What::Page(403)),
        ("/validate-token", What::Empty(200)),
    ] {
        let (server, name) = one_zone();
        let site = Site::new(&server, "");
        let setup = site.setup(&server, &[name]);
        site.cc.change(|cc| cc.polls = false);
        site.cc.fault(Fault {
            on: on.to_owned(),
            times: 1,
            what,
        });
        // A check that may have been made is made again by the usual schedule, after five minutes.
        let (wait, state) = match on {
            "/validation" => ("60s", "valid"),
            _ => ("5s", "pending"),
        };
        site.world.run(&setup, &["run", "--wait", wait]);
        assert_eq!(domain(&site, &setup)["state"], state, "{on}: {what:?}");
    }
}

#[test]
fn a_page_in_the_place_of_each_answer_is_waited_for_and_named() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.fault(Fault {
        on: "/validation".to_owned(),
        times: 100,
        what: What::Page(200),
    });
    let made = || {
        let calls = site.calls();
        let made = calls.iter().filter(|call| call.contains("/validation"));
        made.filter(|call| !call.starts_with("GET ")).count()
    };
    for calls in [2, 2] {
        site.world.run(&setup, &["run", "--wait", "10s"]).exits(1);
        assert_eq!(made(), calls, "{:?}", site.calls());
        let found = domain(&site, &setup);
        let reason = found["reason"].as_str().unwrap();
        assert!(reason.contains("html"), "{reason}");
    }
    // A person who says that something changed is heard at once.
    site.cc.clear_faults();
    let again = ["run", "--domain", name, "--wait", "60s"];
    site.world.run(&setup, &again).exits(0);
    assert_eq!(domain(&site, &setup)["state"], "valid");
}

#[test]
fn a_storm_of_429_is_waited_for_and_is_no_wrong_key() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.fault(Fault {
        on: String::new(),
        times: 1000,
        what: What::Throttled,
    });
    let ran = site.world.run(&setup, &["run", "--wait", "3s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert!(!ran.said().contains("api_key"), "{}", ran.said());
    let calls = site.calls().len();
    assert!(calls <= 2, "{calls} calls into the storm");
    site.cc.clear_faults();
    let again = ["run", "--domain", name, "--wait", "30s"];
    site.world
        .run(&setup, &again)
        .exits(0)
        .says(&["1 domain: 1 valid"]);
}

#[test]
fn of_1001_domains_those_of_the_list_are_worked_on_and_a_night_is_two_calls() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    for n in 0..1000 {
        site.cc
            .add_domain(&format!("more{n:04}.test"), ORGANISATION);
    }
    let setup = site.setup(&server, &[name]);
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(domain(&site, &setup)["state"], "valid");
    site.cc.clear_log();
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(site.calls(), ["GET /domain", "GET /domain"]);
}

#[test]
fn a_value_with_quotes_is_published_as_it_is_and_refused_as_a_cname() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.change(|behaviour| behaviour.hostile_values = true);
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(server.axfr(name), before);
    let journal = server.journal(name);
    assert!(journal[0].contains(r#"\"a\\b;c "#), "{journal:?}");

    let (server, name) = one_zone();
    let site = Site::new(&server, "method = \"cname\"\n");
    let setup = site.setup(&server, &[name]);
    site.cc.change(|behaviour| behaviour.hostile_values = true);
    let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    ran.says(&["not a DNS name"]);
    assert_eq!(server.serial(name), 1, "never published");
}

#[test]
fn a_value_that_has_ended_is_not_published_and_the_domain_is_held() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.change(|behaviour| behaviour.ended_values = true);
    let ran = site.world.run(&setup, &["run", "--wait", "3s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    ran.says(&["the value that DigiCert shows ended at"]);
    assert_eq!(domain(&site, &setup)["state"], "held");
    assert_eq!(site.cc.count("POST", "/validation"), 1);
    assert_eq!(server.serial(name), 1);
    assert!(!site.did_harm());
}

#[test]
fn a_list_whose_second_page_is_the_first_again_is_named_and_nothing_is_gone() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    for n in 0..1000 {
        site.cc.add_domain(&format!("more{n}.test"), ORGANISATION);
    }
    // The last row, which the first page does not have.
    let setup = site.setup(&server, &[name]);
    site.cc.prove(name, DAY);
    site.world.run(&setup, &["run", "--wait", "3s"]).exits(0);
    site.cc.change(|behaviour| behaviour.repeats_pages = true);
    let ran = site.world.run(&setup, &["run", "--wait", "3s", "-v"]);
    ran.says(&["DigiCert counts 1001 rows and showed 1000"]);
    assert_eq!(domain(&site, &setup)["state"], "valid");
    let effects = site.calls();
    assert!(
        effects.iter().all(|call| call.starts_with("GET ")),
        "{effects:?}"
    );
}

#[test]
fn a_domain_of_another_organisation_or_that_is_not_there_is_held_with_that_reason() {
    let (server, name) = one_zone();
    for (there, words) in [
        (true, "belongs to organisation 117484"),
        (false, "create_domains"),
    ] {
        let site = Site::new(&server, "");
        let mut setup = site.setup(&server, &[]);
        setup.domains = vec![name.to_owned()];
        let servers = &mut setup.name_servers;
        servers.insert(name.to_owned(), vec![server.address()]);
        if there {
            site.cc.add_domain(name, ORGANISATION + 1);
        }
        let ran = site.world.run(&setup, &["run", "--wait", "3s"]);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        ran.says(&[words]);
        assert_eq!(domain(&site, &setup)["state"], "held");
        assert!(site.calls().iter().all(|call| call.starts_with("GET ")));
        assert_eq!(server.serial(name), 1);
        if there {
            continue;
        }
        let (ca, client) = site.sections();
        setup.instead = Some((ca, format!("{client}create_domains = true\n")));
        let again = ["run", "--domain", name, "--wait", "30s"];
        site.world.run(&setup, &again).exits(0);
        assert_eq!(site.cc.names(), [name]);
        assert!(!site.did_harm());
    }
}

#[test]
fn a_client_that_is_named_by_the_organisations_name_has_its_settings() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let mut setup = site.setup(&server, &[]);
    setup.domains = vec![name.to_owned()];
    let servers = &mut setup.name_servers;
    servers.insert(name.to_owned(), vec![server.address()]);
    let (ca, _) = site.sections();
    let client = "[[client]]\nca = \"digicert\"\nname = \"Example Bank AG\"\ncreate_domains = true\n\
                  validations = [\"ov\", \"ev\"]\n";
    setup.instead = Some((ca, client.to_owned()));
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let log = site.cc.log();
    let made = log.iter().find(|one| one.method == "POST").unwrap();
    for words in [r#""type":"ov""#, r#""type":"ev""#, "dns-txt-token"] {
        assert!(made.body.contains(words), "{}", made.body);
    }
}

/// As in February 2026, when DigiCert cut 397 days to 199; and as no rule has it.
#[test]
fn an_end_that_moves_earlier_is_taken_where_a_rule_explains_it_and_guarded_otherwise() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.prove(name, DAY * 140);
    let ends = |days| {
        site.cc.change(|behaviour| behaviour.reuse_days = days);
        let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
        let proof = domain(&site, &setup)["proof"].clone();
        (
            ran.status.code(),
            proof["expires_at"].as_str().unwrap().to_owned(),
        )
    };
    let (old, cut, odd) = (ends(397), ends(199), ends(180));
    assert_eq!((old.0, cut.0, odd.0), (Some(0), Some(0), Some(5)));
    assert!(cut.1 < old.1, "{cut:?} is shown in place of {old:?}");
    let history = site.world.run(&setup, &["history", name]).exits(0);
    history.says(&["dated-earlier", "the end of the proof was"]);
    assert_eq!(server.serial(name), 1);
}

#[test]
fn the_end_that_matters_for_the_purpose_of_the_client_drives_the_renewal() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let mut setup = site.setup(&server, &[name]);
    site.cc.change(|behaviour| behaviour.ev_ends_earlier = 25);
    // 49 days are left for OV, 24 for EV: less than the 30 days before which a renewal begins.
    site.cc.prove(name, DAY * 150);
    let (ca, client) = site.sections();
    setup.instead = Some((ca.clone(), format!("{client}purpose = \"ov\"\n")));
    site.world.run(&setup, &["run", "--wait", "5s"]).exits(0);
    assert!(!site.calls().iter().any(|call| call.starts_with("POST")));
    let proof = domain(&site, &setup)["proof"].clone();
    assert_eq!(proof["expires_at"], proof["ends"]["ov"], "{proof}");
    assert!(
        proof["ends"]["ev"].as_str() < proof["ends"]["ov"].as_str(),
        "{proof}"
    );

    setup.instead = Some((ca, client));
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    let calls = site.calls();
    let renewed = calls.iter().filter(|call| call.ends_with("/validation"));
    assert_eq!(renewed.count(), 1, "the end for EV counts too: {calls:?}");
    let proof = domain(&site, &setup)["proof"].clone();
    assert_eq!(proof["expires_at"], proof["ends"]["ev"], "{proof}");
}

#[test]
fn the_commands_about_the_ca_work_at_digicert() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "");
    let mut setup = site.setup(&server, &[name]);
    site.cc.prove(name, DAY);
    setup.domains.clear();
    site.world.run(&setup, &["import", "--from-ca"]).exits(0);
    site.world
        .run(&setup, &["status", "--refresh"])
        .exits(0)
        .says(&["valid"]);
    site.world
        .run(&setup, &["remove", name, "--at-ca", "--yes"])
        .exits(0);
    let calls = site.calls();
    assert!(
        calls.iter().any(|call| call.starts_with("DELETE /domain/")),
        "{calls:?}"
    );
    assert_eq!(site.cc.names(), Vec::<String>::new());
}
