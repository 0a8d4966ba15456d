//! Killed at every point, by SIGKILL, with the store on disk or in PostgreSQL: the next run
//! finishes what was started.

/// Without its feature the binary cannot die on purpose, and nothing would be shown.
#[cfg(not(feature = "crashpoints"))]
#[test]
fn the_binary_can_be_killed_at_its_crash_points() {
    panic!("run the tests with --features crashpoints");
}

#[cfg(feature = "crashpoints")]
mod armed {
    use std::os::unix::process::ExitStatusExt;
    use std::sync::Mutex;

    use prevalidate::sandbox::ca::Call;
    use prevalidate::worker::crashpoint::POINTS;

    use super::super::sectigo::{ORGANISATION, Site};
    use super::super::world::World;
    use crate::support::postgres::Cluster;
    use crate::support::{Keys, NameServer, Zone};

    /// This many runs are made at once; they wait for leases most of the time.
    const AT_ONCE: usize = 4;

    /// Only a renewal passes these.
    const OF_RENEWAL: [&str; 4] = [
        "preflight-done",
        "risk-taken",
        "reset-intended",
        "reset-done",
    ];

    /// A process that dies here leaves the value in DNS.
    const VALUE_REMAINS: [&str; 5] = [
        "publish-done",
        "look-done",
        "validate-intended",
        "validate-done",
        "remove-intended",
    ];

    /// A process that dies here has not registered the name yet.
    const UNREGISTERED: [&str; 4] = ["listed", "look-stored", "claimed", "register-intended"];

    fn two_lives(server: &NameServer, domain: &str, point: &str, database: Option<String>) {
        let world = World::new(&[server]);
        let renews = OF_RENEWAL.contains(&point);
        let made = renews.then(|| world.make_due(domain));
        let before = server.axfr(domain);
        let mut setup = world.setup(server, &[domain]);
        setup.worker = "lease = \"2s\"".to_owned();
        setup.database = database;

        let first = world.run_with(
            &setup,
            &["run", "--wait", "30s"],
            ("PREVALIDATE_CRASH", &format!("{point}:1")),
        );
        assert_eq!(
            first.status.signal(),
            Some(9),
            "not killed at {point}: {}",
            first.said()
        );
        // It died where it should: not earlier, with nothing at stake.
        let remains = server
            .txt(domain)
            .iter()
            .any(|value| value.starts_with("swiss-pki="));
        assert_eq!(
            remains,
            VALUE_REMAINS.contains(&point),
            "the value is in DNS at {point}"
        );
        assert_eq!(
            world.ca.domain(domain).is_none(),
            UNREGISTERED.contains(&point),
            "unregistered at {point}"
        );
        if point == "validate-intended" {
            // Whether the CA was asked is not known: it has five minutes before it is asked again.
            // This one checks by itself.
            world.ca.change(|behaviour| behaviour.polls = true);
        }
        let second = world.run(&setup, &["run", "--wait", "30s", "--output", "json"]);
        assert_eq!(
            second.status.code(),
            Some(0),
            "after {point}: {}",
            second.said()
        );
        let summary = second.json();
        assert_eq!(
            summary["counts"],
            serde_json::json!({ "valid": 1 }),
            "after {point}"
        );
        assert_eq!(
            summary["in_dns"],
            serde_json::json!([]),
            "after {point}: no entry of the ledger is open"
        );
        assert_eq!(server.axfr(domain), before, "after {point}");
        let proved = world.ca.domain(domain).unwrap().time_validated;
        assert!(proved.is_some() && proved > made, "after {point}");
        let calls = world.calls_about(domain);
        let count = |call| calls.iter().filter(|&&made| made == call).count();
        assert_eq!(
            count(Call::Register),
            usize::from(!renews),
            "after {point}: {calls:?}"
        );
        assert_eq!(
            count(Call::ResetToken),
            usize::from(renews),
            "after {point}: {calls:?}"
        );
        assert!(
            count(Call::Validate) <= 1 && calls.len() <= 6,
            "after {point}: {calls:?}"
        );
    }

    /// At Sectigo no proof is at risk, so nothing is proven before a start and no turn is taken.
    const NOT_AT_SECTIGO: [&str; 2] = ["preflight-done", "risk-taken"];

    fn two_lives_at_sectigo(
        server: &NameServer,
        domain: &str,
        point: &str,
        database: Option<String>,
    ) {
        let site = Site::new(server, "cname");
        let world = &site.world;
        let registers = point.starts_with("register");
        let before = server.axfr(domain);
        let mut setup = site.setup(
            server,
            if registers {
                &[]
            } else {
                std::slice::from_ref(&domain)
            },
        );
        if registers {
            let (ca, client) = site.sections();
            setup.instead = Some((ca, format!("{client}create_domains = true\n")));
            setup.domains = vec![domain.to_owned()];
            let servers = vec![server.address()];
            setup.name_servers.insert(domain.to_owned(), servers);
        }
        setup.worker = "lease = \"2s\"".to_owned();
        setup.database = database;
        let crash = ("PREVALIDATE_CRASH", format!("{point}:1"));
        let first = world.run_with(&setup, &["run", "--wait", "30s"], (crash.0, &crash.1));
        assert_eq!(
            first.status.signal(),
            Some(9),
            "not killed at {point}: {}",
            first.said()
        );
        let second = world.run(&setup, &["run", "--wait", "50s", "--output", "json"]);
        assert_eq!(
            second.status.code(),
            Some(0),
            "after {point}: {}",
            second.said()
        );
        assert_eq!(
            second.json()["in_dns"],
            serde_json::json!([]),
            "after {point}"
        );
        assert_eq!(server.axfr(domain), before, "after {point}");
        assert!(site.scm.validated_at(domain).is_some(), "after {point}");
        for effect in ["/start/domain/cname", "/submit/domain/cname"] {
            assert_eq!(
                site.scm.count(effect),
                1,
                "after {point}: {:?}",
                site.calls()
            );
        }
        for never in ["/clear", "/delete"] {
            assert_eq!(site.scm.count(never), 0, "after {point}");
        }
    }

    #[test]
    fn after_kill_9_at_every_crash_point_an_order_at_sectigo_is_finished_and_not_begun_anew() {
        every_point(|server, domain, point| {
            if !NOT_AT_SECTIGO.contains(&point) {
                two_lives_at_sectigo(server, domain, point, None);
            }
        });
    }

    #[test]
    fn after_kill_9_over_postgresql_an_order_at_sectigo_is_finished_and_not_begun_anew() {
        every_point(|server, domain, point| {
            if !NOT_AT_SECTIGO.contains(&point) {
                let database = Cluster::shared().database_now().url;
                two_lives_at_sectigo(server, domain, point, Some(database));
            }
        });
    }

    /// One domain at SwissSign and at Sectigo: the process dies with both under way.
    fn two_lives_at_both(server: &NameServer, domain: &str, point: &str, database: Option<String>) {
        let site = Site::new(server, "cname");
        let world = &site.world;
        site.scm.add_domain(domain, ORGANISATION);
        let renews = OF_RENEWAL.contains(&point);
        let made = renews.then(|| world.make_due(domain));
        let before = server.axfr(domain);
        let mut setup = world.setup(server, &[domain]);
        let (ca, client) = site.sections();
        setup.more = format!("{ca}{client}provider = \"dns\"\ndomains = [\"{domain}\"]\n");
        setup.worker = "lease = \"2s\"".to_owned();
        setup.database = database;
        let crash = format!("{point}:1");
        let crash = ("PREVALIDATE_CRASH", crash.as_str());
        let first = world.run_with(&setup, &["run", "--wait", "30s"], crash);
        assert_eq!(
            first.status.signal(),
            Some(9),
            "not killed at {point}: {}",
            first.said()
        );
        if point == "validate-intended" {
            world.ca.change(|behaviour| behaviour.polls = true);
        }
        let second = world.run(&setup, &["run", "--wait", "50s", "--output", "json"]);
        let said = || format!("after {point}: {}", second.said());
        assert_eq!(second.status.code(), Some(0), "{}", said());
        let summary = second.json();
        assert_eq!(
            summary["counts"],
            serde_json::json!({ "valid": 2 }),
            "{}",
            said()
        );
        assert_eq!(summary["in_dns"], serde_json::json!([]), "{}", said());
        assert_eq!(server.axfr(domain), before, "after {point}");

        let proved = world.ca.domain(domain).unwrap().time_validated;
        assert!(proved.is_some() && proved > made, "after {point}");
        assert!(site.scm.validated_at(domain).is_some(), "after {point}");
        let calls = world.calls_about(domain);
        let count = |call| calls.iter().filter(|&&made| made == call).count();
        assert_eq!(
            (count(Call::Register), count(Call::ResetToken)),
            (usize::from(!renews), usize::from(renews)),
            "after {point}: {calls:?}"
        );
        assert!(count(Call::Validate) <= 1, "after {point}: {calls:?}");
        for (effect, times) in [
            ("/start/domain/cname", 1),
            ("/submit/domain/cname", 1),
            ("/clear", 0),
            ("/delete", 0),
        ] {
            let made = site.scm.count(effect);
            assert_eq!(made, times, "{effect} after {point}: {:?}", site.calls());
        }
    }

    #[test]
    fn after_kill_9_at_every_crash_point_both_cas_of_a_domain_are_finished() {
        every_point(|server, domain, point| two_lives_at_both(server, domain, point, None));
    }

    #[test]
    fn after_kill_9_over_postgresql_both_cas_of_a_domain_are_finished() {
        every_point(|server, domain, point| {
            let database = Cluster::shared().database_now().url;
            two_lives_at_both(server, domain, point, Some(database));
        });
    }

    /// Where several machines share the store, it is not known whether a worker is dead: it holds
    /// its domains for five minutes by default.
    #[test]
    fn a_run_that_finds_the_hold_of_a_dead_one_of_a_fleet_keeps_to_its_wait_and_does_nothing() {
        let server = NameServer::bind(&[Zone::new("held.test", "")], &Keys::of(&["prevalidate"]));
        let world = World::new(&[&server]);
        let mut setup = world.setup(&server, &["held.test"]);
        setup.database = Some(Cluster::shared().database_now().url);
        let first = world.run_with(&setup, &["run"], ("PREVALIDATE_CRASH", "register-intended"));
        assert_eq!(first.status.signal(), Some(9), "{}", first.said());
        world.ca.clear_log();
        let second = world.run(&setup, &["run", "--wait", "1s"]).exits(1);
        assert!(second.said().contains("until"), "{}", second.said());
        let calls: Vec<Call> = world.ca.log().iter().map(|request| request.call).collect();
        assert_eq!(calls, [Call::List]);
    }

    #[test]
    fn after_kill_9_at_every_crash_point_the_next_run_finishes_and_the_zone_is_as_before() {
        every_point(|server, domain, point| two_lives(server, domain, point, None));
    }

    #[test]
    fn after_kill_9_at_every_crash_point_over_postgresql_the_next_run_finishes_and_the_zone_is_as_before()
     {
        every_point(|server, domain, point| {
            let database = Cluster::shared().database_now().url;
            two_lives(server, domain, point, Some(database));
        });
    }

    fn every_point(live: impl Fn(&NameServer, &str, &str) + Sync) {
        let domains: Vec<String> = POINTS.iter().map(|point| format!("{point}.test")).collect();
        let zones: Vec<Zone> = domains
            .iter()
            .map(|domain| Zone::new(domain, "@ 3600 TXT \"v=spf1 -all\""))
            .collect();
        let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
        let left = Mutex::new(POINTS.iter().zip(&domains));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    loop {
                        let next = left
                            .lock()
                            .unwrap_or_else(|poisoned| poisoned.into_inner())
                            .next();
                        let Some((point, domain)) = next else { break };
                        live(&server, domain, point);
                    }
                });
            }
        });
    }
}
