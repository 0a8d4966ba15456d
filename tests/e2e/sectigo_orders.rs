//! Orders at Sectigo that continue for long, that another program has begun or ended, and that have
//! a state which this version does not know.

use jiff::SignedDuration;
use prevalidate::sandbox::sectigo::OrderEnd;

use super::sectigo::{DAY, Site, domain, one_zone};
use crate::support::{Keys, NameServer, Policy, Zone};

#[test]
fn an_order_that_outlives_its_value_keeps_its_record_and_is_held() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "txt");
    let setup = site.setup(&server, &[name]);
    site.scm
        .change(|behaviour| behaviour.orders = OrderEnd::Hang);
    site.world.run(&setup, &["run", "--wait", "6s"]);
    let published = server.axfr(name);
    assert_ne!(published, before);
    site.clock.advance(DAY * 31);
    let ahead = (31 * 86_400).to_string();
    for _ in 0..2 {
        let ahead = ("PREVALIDATE_CLOCK_AHEAD", ahead.as_str());
        let ran = site.world.run_with(&setup, &["run", "--wait", "3s"], ahead);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        assert_eq!(server.axfr(name), published, "the record stays");
        assert_eq!(site.scm.count("/submit/domain/txt"), 1, "one order");
        let shown = domain(&site, &setup);
        assert_eq!(shown["state"], "held", "{shown}");
        let reason = shown["reason"].to_string();
        for words in ["has ended", "clear the order in the CA's portal"] {
            assert!(reason.contains(words), "{shown}");
        }
    }
    let history = site.world.run(&setup, &["history", name]).said();
    assert_eq!(history.matches("has ended").count(), 1, "{history}");
    // The CA continues, and so does the domain.
    site.scm.change(|behaviour| {
        behaviour.orders = OrderEnd::Fulfilled;
        behaviour.next_look = 1;
    });
    site.clock.advance(SignedDuration::from_hours(3));
    let again = ["run", "--wait", "30s", "--force"];
    site.world.run(&setup, &again).exits(0);
    assert_eq!(server.axfr(name), before);
    assert_eq!(domain(&site, &setup)["state"], "valid");
    assert_eq!(site.scm.count("/submit/domain/txt"), 1);
}

#[test]
fn an_order_in_an_unknown_state_is_waited_for_and_its_word_is_said() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "cname");
    let setup = site.setup(&server, &[name]);
    site.scm.change(|behaviour| {
        behaviour.orders = OrderEnd::Hang;
        behaviour.submitted_is_called = Some("IN_PROGRESS".to_owned());
    });
    site.world.run(&setup, &["run", "--wait", "6s"]);
    let published = server.axfr(name);
    assert_ne!(published, before);
    let again = ["run", "--domain", name, "--wait", "4s"];
    site.world.run(&setup, &again);
    assert_eq!(server.axfr(name), published, "the record stays");
    assert_eq!(site.scm.count("/start/domain/cname"), 1);
    assert_eq!(site.scm.count("/submit/domain/cname"), 1);
    let shown = domain(&site, &setup);
    assert_eq!(shown["state"], "pending", "{shown}");
    let words = "`IN_PROGRESS`, which this version does not know";
    assert!(shown["reason"].to_string().contains(words), "{shown}");
    site.scm
        .change(|behaviour| behaviour.orders = OrderEnd::Fulfilled);
    let again = ["run", "--domain", name, "--wait", "30s"];
    site.world.run(&setup, &again).exits(0);
    assert_eq!(server.axfr(name), before);
}

#[test]
fn a_held_domain_that_another_hand_validates_is_valid_at_the_next_run() {
    let zone = Zone::new("a.test", "@ 3600 TXT \"v=spf1 mx -all\"");
    let keys = Keys::of(&["prevalidate"]);
    let server = NameServer::bind(&[zone.policy(Policy::Closed)], &keys);
    let name = "a.test";
    let before = server.axfr(name);
    for refused in [true, false] {
        let site = Site::new(&server, "cname");
        let setup = site.setup(&server, &[name]);
        if !refused {
            site.scm.change(|behaviour| behaviour.owner_outside = true);
        }
        let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
        assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
        assert_eq!(domain(&site, &setup)["state"], "held");
        site.scm.prove(name, SignedDuration::ZERO);
        let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
        assert_eq!(domain(&site, &setup)["state"], "valid", "{}", ran.said());
        ran.exits(0);
        assert_eq!(server.axfr(name), before);
    }
}

#[test]
fn an_order_begun_by_cname_is_gone_on_with_after_the_method_was_changed() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "cname");
    let mut setup = site.setup(&server, &[name]);
    let crash = ("PREVALIDATE_CRASH", "reset-done");
    site.world
        .run_with(&setup, &["run", "--wait", "20s"], crash);
    assert_eq!(site.scm.count("/start/domain/cname"), 1);
    let (ca, client) = site.sections();
    let ca = ca.replace("method = \"cname\"", "method = \"txt\"");
    setup.instead = Some((ca, client));
    site.world.run(&setup, &["run", "--wait", "40s"]).exits(0);
    let counts = ["/start/domain/cname", "/submit/domain/cname"];
    assert_eq!(counts.map(|end| site.scm.count(end)), [1, 1]);
    assert_eq!(server.axfr(name), before);
}

#[test]
fn a_record_that_is_refused_is_never_published_and_the_domain_stays_held() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    for (method, record, why) in [
        ("txt", "_dmarc.a.test. abc", "_pki-validation.a.test"),
        ("txt", "a.test. v=spf1 +all", "another protocol"),
        ("cname", "ns1.a.test. b2.sectigo.com.", "underscore"),
    ] {
        let site = Site::new(&server, method);
        let setup = site.setup(&server, &[name]);
        let named = Some(record.to_owned());
        site.scm.change(|behaviour| behaviour.names_record = named);
        for _ in 0..2 {
            let again = ["run", "--domain", name, "--wait", "5s"];
            let ran = site.world.run(&setup, &again);
            assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
            assert_eq!(server.axfr(name), before, "{record}");
            let shown = domain(&site, &setup);
            assert_eq!(shown["state"], "held", "{shown}");
            assert!(shown["reason"].to_string().contains(why), "{shown}");
        }
    }
}
