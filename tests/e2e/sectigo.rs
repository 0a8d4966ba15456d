//! Sectigo: orders that the CA carries out by itself, alone and beside a CA that answers at once.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::clock::SystemClock;
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::sectigo::{Behaviour, Delegation, OrderEnd, Scm, ScmOptions};
use serde_json::json;

use super::world::{Setup, World};
use crate::support::name_server::write_secret;
use crate::support::zones::Key;
use crate::support::{Keys, NameServer, Policy, Zone};

pub const ORGANISATION: u64 = 12345;
pub const DAY: SignedDuration = SignedDuration::from_hours(24);
const PASSWORD: &str = "correct horse battery";

/// A Sectigo beside the world's own CA.
pub struct Site {
    pub world: World,
    pub scm: Scm,
    /// Sectigo's.
    pub clock: Arc<ShiftedClock>,
    method: &'static str,
}

impl Site {
    pub fn new(server: &NameServer, method: &'static str) -> Self {
        let address = server.address();
        Self::checking(method, move |_| vec![address])
    }

    pub fn checking(
        method: &'static str,
        servers: impl Fn(&str) -> Vec<SocketAddr> + Clone + Send + Sync + 'static,
    ) -> Self {
        let world = World::checking(servers.clone());
        let clock = ShiftedClock::over(Arc::new(SystemClock));
        let options = ScmOptions {
            clock: Arc::clone(&clock),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            user: "prevalidate".to_owned(),
            password: PASSWORD.into(),
            customer_uri: "example".to_owned(),
            organisations: vec![(ORGANISATION, "Example Org".to_owned())],
            behaviour: Behaviour {
                first_look: 1,
                next_look: 2,
                ..Behaviour::default()
            },
            seed: 7,
            name_servers: Arc::new(servers),
        };
        let scm = world.wait_for(Scm::start(options)).unwrap();
        write_secret(&world.path("scm.password"), PASSWORD);
        Self {
            world,
            scm,
            clock,
            method,
        }
    }

    /// The account and the head of its client, which continues.
    pub fn sections(&self) -> (String, String) {
        let ca = format!(
            "[ca.sectigo]\nkind = \"sectigo\"\nurl = \"{}\"\nuser = \"prevalidate\"\n\
             password = {{ file = {} }}\ncustomer_uri = \"example\"\nmethod = \"{}\"\n\
             rate = \"1000/s\"\n",
            self.scm.url(),
            json!(self.world.path("scm.password").display().to_string()),
            self.method,
        );
        let client = format!("[[client]]\nca = \"sectigo\"\nreference = \"{ORGANISATION}\"\n");
        (ca, client)
    }

    /// An operator who has Sectigo only; the domains are SCM's already.
    pub fn setup(&self, server: &NameServer, zones: &[&str]) -> Setup {
        for zone in zones {
            self.scm.add_domain(zone, ORGANISATION);
        }
        Setup {
            instead: Some(self.sections()),
            ..self.world.setup(server, zones)
        }
    }

    /// The calls since the log was cleared: method and path below `/api`.
    pub fn calls(&self) -> Vec<String> {
        let log = self.scm.log();
        let shown = log.iter().map(|request| {
            let path = request.path.trim_start_matches("/api");
            format!("{} {path}", request.method)
        });
        shown.collect()
    }
}

fn zones() -> Vec<Zone> {
    let mut zones: Vec<Zone> = (1..=19)
        .map(|n| Zone::new(&format!("z{n:02}.test"), "@ 3600 TXT \"v=spf1 mx -all\""))
        .collect();
    zones.push(Zone::new(
        "xn--dj-kia8a.vu.test",
        "@ 3600 TXT \"v=spf1 mx -all\"\n_pki-validation 300 TXT \"foreign\"",
    ));
    zones
}

fn twenty_domains(server: &NameServer, method: &'static str) {
    let site = Site::new(server, method);
    let zones = zones();
    let apexes: Vec<&str> = zones.iter().map(|zone| zone.apex.as_str()).collect();
    let contents = || -> Vec<_> { apexes.iter().map(|apex| server.axfr(apex)).collect() };
    let before = contents();
    let mut setup = site.setup(server, &apexes);
    *setup.domains.last_mut().unwrap() = "déjà.vu.test".to_owned();
    site.world
        .run(&setup, &["run", "--wait", "60s"])
        .exits(0)
        .says(&["20 domains: 20 valid"]);
    for apex in &apexes {
        assert!(site.scm.validated_at(apex).is_some(), "{apex}");
    }
    assert_eq!(contents(), before, "every record and TTL is as before");
    let starts = match method {
        "cname" => "/start/domain/cname",
        _ => "/submit/domain/txt",
    };
    assert_eq!(site.scm.count(starts), 20, "one order for each");

    site.scm.clear_log();
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(
        site.calls(),
        ["GET /dcv/v1/validation"],
        "the second run of a day is one list call"
    );
    assert_eq!(contents(), before);
}

#[test]
fn on_bind_twenty_domains_are_valid_by_cname_and_the_next_run_is_one_list_call() {
    let server = NameServer::bind(&zones(), &Keys::of(&["prevalidate"]));
    twenty_domains(&server, "cname");
}

#[test]
fn on_knot_twenty_domains_are_valid_by_txt_and_the_next_run_is_one_list_call() {
    let server = NameServer::knot(&zones(), &Keys::of(&["prevalidate"]));
    twenty_domains(&server, "txt");
}

pub fn one_zone() -> (NameServer, &'static str) {
    let zone = Zone::new("a.test", "@ 3600 TXT \"v=spf1 mx -all\"");
    (
        NameServer::bind(&[zone], &Keys::of(&["prevalidate"])),
        "a.test",
    )
}

/// The one domain of `status --output json`.
pub fn domain(site: &Site, setup: &Setup) -> serde_json::Value {
    let ran = site
        .world
        .run(setup, &["status", "--output", "json"])
        .json();
    ran[0].clone()
}

#[test]
fn a_renewal_waits_until_the_date_has_moved_and_the_proof_is_there_all_the_time() {
    for leaves_submitted in [false, true] {
        let (server, name) = one_zone();
        let before = server.axfr(name);
        let site = Site::new(&server, "cname");
        let setup = site.setup(&server, &[name]);
        site.scm.change(|behaviour| {
            behaviour.orders = OrderEnd::Hang;
            behaviour.leaves_submitted = leaves_submitted;
        });
        site.scm.prove(name, DAY * 190);
        let proven = site.scm.validated_at(name);
        // The order is taken, and VALIDATED is what it was before.
        site.world.run(&setup, &["run", "--wait", "6s"]).exits(0);
        let shown = domain(&site, &setup);
        assert_eq!(shown["state"], "renewing", "{shown}");
        let published = server.axfr(name);
        assert_ne!(published, before, "the record stays");
        assert_eq!(site.scm.count("/submit/domain/cname"), 1);
        // An hour later, and a day.
        for (hours, ahead) in [(1, "3600"), (24, "90000")] {
            site.clock.advance(SignedDuration::from_hours(hours));
            let ahead = ("PREVALIDATE_CLOCK_AHEAD", ahead);
            site.world.run_with(&setup, &["run", "--wait", "3s"], ahead);
            assert_eq!(server.axfr(name), published, "{ahead:?}: it stays");
        }
        assert_eq!(
            (
                site.scm.count("/start/domain/cname"),
                site.scm.count("/submit/domain/cname"),
                site.scm.validated_at(name)
            ),
            (1, 1, proven)
        );
        for end in ["/clear", "/delete"] {
            assert_eq!(site.scm.count(end), 0, "{end}");
        }
        site.scm.change(|behaviour| {
            behaviour.orders = OrderEnd::Fulfilled;
            behaviour.next_look = 1;
        });
        site.clock.advance(SignedDuration::from_hours(3));
        // Back at the machine's own time, which signed updates need; the guard wonders at that.
        let again = ["run", "--domain", name, "--wait", "30s", "--force"];
        site.world.run(&setup, &again).exits(0);
        assert!(site.scm.validated_at(name) > proven);
        assert_eq!(server.axfr(name), before);
        assert_eq!(domain(&site, &setup)["state"], "valid");
    }
}

#[test]
fn a_rejected_order_ends_the_run_with_another_status_and_is_named() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "cname");
    let setup = site.setup(&server, &[name]);
    site.scm
        .change(|behaviour| behaviour.orders = OrderEnd::Rejected);
    let ran = site.world.run(&setup, &["run", "--wait", "20s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    ran.says(&["rejected"]);
    let shown = domain(&site, &setup);
    assert_eq!(shown["state"], "held", "{shown}");
    assert!(shown["reason"].to_string().contains("rejected"), "{shown}");
    assert_eq!(server.axfr(name), before, "the record of a dead order goes");
}

#[test]
fn an_open_order_of_another_hand_is_gone_on_with_and_not_begun_anew() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "txt");
    let setup = site.setup(&server, &[name]);
    site.scm
        .change(|behaviour| behaviour.orders = OrderEnd::Hang);
    // A run that dies after its submission, and whose store is lost.
    site.world.run_with(
        &setup,
        &["run", "--wait", "20s"],
        ("PREVALIDATE_CRASH", "reset-done"),
    );
    assert_eq!(site.scm.count("/submit/domain/txt"), 1);
    std::fs::remove_file(setup.store(&site.world)).unwrap();
    site.scm
        .change(|behaviour| behaviour.orders = OrderEnd::Fulfilled);
    site.world.run(&setup, &["run", "--wait", "40s"]).exits(0);
    assert_eq!(site.scm.count("/submit/domain/txt"), 1, "adopted");
    assert_eq!(server.axfr(name), before);
}

#[test]
fn a_domain_whose_record_cannot_be_written_is_not_created_at_sectigo() {
    for method in ["cname", "txt"] {
        let (server, name) = one_zone();
        let site = Site::new(&server, method);
        let (ca, client) = site.sections();
        let mut setup = site.world.setup(&server, &[name]);
        setup.instead = Some((ca, format!("{client}create_domains = true\n")));
        let right = setup.provider.clone();
        let wrong = site.world.path("wrong.key");
        let key = Key::new("prevalidate", "hmac-sha256");
        write_secret(&wrong, &key.file_text());
        setup.provider = Some((server.address(), wrong));
        let ran = site.world.run(&setup, &["run", "--wait", "3s"]);
        ran.exits(4);
        let calls = site.calls();
        let made = calls.iter().filter(|call| call.starts_with("POST /domain"));
        assert_eq!(made.count(), 0, "{method}: {calls:?}");
        setup.provider = right;
        let again = ["run", "--domain", name, "--wait", "30s"];
        site.world.run(&setup, &again).exits(0);
        assert!(site.scm.validated_at(name).is_some());
    }
}

#[test]
fn a_delegation_that_waits_for_a_person_above_is_held_with_that_reason() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "cname");
    let mut setup = site.setup(&server, &[]);
    setup.domains = vec![name.to_owned()];
    setup
        .name_servers
        .insert(name.to_owned(), vec![server.address()]);
    let (ca, client) = site.sections();
    setup.instead = Some((ca, format!("{client}create_domains = true\n")));
    site.scm
        .change(|behaviour| behaviour.delegation = Delegation::Requested);
    let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    let shown = domain(&site, &setup);
    assert_eq!(shown["state"], "held", "{shown}");
    assert!(shown["reason"].to_string().contains("REQUESTED"), "{shown}");
    site.scm.approve();
    site.world
        .run(&setup, &["run", "--domain", name, "--wait", "30s"])
        .exits(0);
}

/// All domains at both CAs, which is how a change of the CA begins.
fn common_domains(server: &NameServer, method: &'static str) {
    let zones = zones();
    let apexes: Vec<&str> = zones.iter().map(|zone| zone.apex.as_str()).collect();
    let contents = || -> Vec<_> { apexes.iter().map(|apex| server.axfr(apex)).collect() };
    let before = contents();
    let site = Site::new(server, method);
    for domain in &apexes {
        site.scm.add_domain(domain, ORGANISATION);
    }
    let mut setup = site.world.setup(server, &apexes);
    *setup.domains.last_mut().unwrap() = "déjà.vu.test".to_owned();
    let (ca, client) = site.sections();
    setup.more = format!(
        "{ca}{client}provider = \"dns\"\ndomains = {}\n",
        json!(apexes)
    );
    site.world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    for domain in &apexes {
        assert!(site.scm.validated_at(domain).is_some(), "{domain}");
        let there = site.world.ca.domain(domain).unwrap();
        assert_eq!(there.status, "VALID", "{domain}");
    }
    assert_eq!(contents(), before);
    let rows = site
        .world
        .run(&setup, &["status", "--output", "json"])
        .json();
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 40, "one for each domain and client");
    assert!(rows.iter().all(|row| row["state"] == "valid"), "{rows:?}");
    let of = |ca: &str| rows.iter().filter(|row| row["ca"] == ca).count();
    assert_eq!((of("sandbox"), of("sectigo")), (20, 20));

    site.scm.clear_log();
    site.world.ca.clear_log();
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(site.world.ca.log().len(), 1, "one list call");
    assert_eq!(site.scm.count("/dcv/v1/validation"), 1, "one list call");
}

#[test]
fn on_bind_twenty_common_domains_are_valid_at_both_cas_after_one_run() {
    let server = NameServer::bind(&zones(), &Keys::of(&["prevalidate"]));
    common_domains(&server, "cname");
}

#[test]
fn on_knot_twenty_common_domains_are_valid_at_both_cas_after_one_run() {
    let server = NameServer::knot(&zones(), &Keys::of(&["prevalidate"]));
    common_domains(&server, "txt");
}

/// The zone of the domain takes no updates at all; the small zone that its label leads into is on
/// another server, with a key that can write nothing else.
#[test]
fn a_label_that_leads_into_a_small_zone_is_proven_with_a_key_for_that_zone_only() {
    let big = Zone::new(
        "big.test",
        "@ 3600 TXT \"v=spf1 mx -all\"\n_pki-validation 300 CNAME big-test.dcv.test.",
    );
    let server = NameServer::bind(&[big.policy(Policy::Closed)], &Keys::of(&["prevalidate"]));
    let small = NameServer::knot(&[Zone::new("dcv.test", "")], &Keys::of(&["small"]));
    let contents = || [server.axfr("big.test"), small.axfr("dcv.test")];
    let before = contents();
    let (at_big, at_small) = (server.address(), small.address());
    let site = Site::checking("txt", move |name| {
        vec![if name.ends_with("dcv.test") {
            at_small
        } else {
            at_big
        }]
    });
    let mut setup = site.setup(&server, &["big.test"]);
    setup
        .name_servers
        .insert("dcv.test".to_owned(), vec![at_small]);
    setup.more = format!(
        "[provider.small]\nkind = \"rfc2136\"\nserver = \"{at_small}\"\nkey_file = {}\n",
        json!(small.tsig_key_file().display().to_string()),
    );
    let arguments = ["providers", "check", "--output", "json"];
    let tried = site.world.run(&setup, &arguments).exits(0).json();
    let tried: Vec<_> = tried.as_array().unwrap().iter().collect();
    let of_small = tried.iter().find(|row| row["provider"] == "small").unwrap();
    assert_eq!(of_small["domains"], json!(["big.test"]));
    assert_eq!(of_small["checks"][0]["record"], "big-test.dcv.test TXT");
    site.scm
        .change(|behaviour| behaviour.orders = OrderEnd::Hang);
    site.world.run(&setup, &["run", "--wait", "6s"]);
    assert_eq!(
        small.txt("big-test.dcv.test").len(),
        1,
        "written where it leads"
    );
    site.scm
        .change(|behaviour| behaviour.orders = OrderEnd::Fulfilled);
    site.world
        .run(&setup, &["run", "--domain", "big.test", "--wait", "30s"])
        .exits(0);
    assert_eq!(contents(), before);

    let (ca, client) = site.sections();
    let mut strict = setup.clone();
    strict.instead = Some((format!("{ca}follow_aliases = false\n"), client));
    strict.name = "strict".to_owned();
    site.scm.prove("big.test", DAY * 190);
    let ran = site.world.run(&strict, &["run", "--wait", "3s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(
        contents(),
        before,
        "nothing is written where it is not followed"
    );
}
