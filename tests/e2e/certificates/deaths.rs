//! Killed around an order, and two machines at once: one order each.

use super::*;

#[cfg(feature = "crashpoints")]
#[test]
fn a_run_killed_at_any_point_leaves_one_order_and_a_matching_pair() {
    use std::os::unix::process::ExitStatusExt as _;

    use prevalidate::worker::crashpoint::CERTIFICATE_POINTS;

    let lab = Lab::new();
    for point in CERTIFICATE_POINTS
        .iter()
        .filter(|point| !point.starts_with("revoke") && **point != "order-record-done")
    {
        // With the same names, the store of the next point would take over what is there.
        let lines = format!("names = [\"{point}.alpha.test\"]\ndeploy = [\"/bin/true\"]");
        let mut setup = lab.setup(&[(point, &lines)]);
        setup.name = (*point).to_owned();
        let before = lab.world.ca.orders().len();
        let first = lab
            .world
            .run_with(&setup, &WAIT, ("PREVALIDATE_CRASH", &format!("{point}:1")));
        assert_eq!(first.status.signal(), Some(9), "{}", first.said());
        lab.world.run(&setup, &["run", "--wait", "60s"]).exits(0);
        assert_eq!(lab.world.ca.orders().len(), before + 1, "killed at {point}");
        lab.matches(point);
    }
}

#[test]
fn two_machines_at_once_make_one_order_for_each_certificate() {
    let lab = Lab::new();
    let names: Vec<String> = (0..6).map(|n| format!("c{n}")).collect();
    let lines: Vec<String> = (0..6)
        .map(|n| format!("names = [\"h{n}.alpha.test\"]"))
        .collect();
    let certificates: Vec<(&str, &str)> = names
        .iter()
        .zip(&lines)
        .map(|(name, lines)| (name.as_str(), lines.as_str()))
        .collect();
    let mut setup = lab.setup(&certificates);
    setup.database = Some(
        crate::support::postgres::Cluster::shared()
            .database_now()
            .url,
    );
    let both = [(); 2].map(|()| lab.world.start(&setup, &WAIT));
    for one in both {
        crate::e2e::world::finish(one, &WAIT);
    }
    lab.world.run(&setup, &WAIT).exits(0);
    assert_eq!(lab.world.ca.orders().len(), names.len());
    names.iter().for_each(|name| lab.matches(name));
    lab.world.ca.clear_log();
    lab.world.run(&setup, &WAIT).exits(0);
    let calls: Vec<Call> = lab.world.ca.log().iter().map(|one| one.call).collect();
    assert_eq!(calls, [Call::List], "no call for a certificate that rests");
}

#[cfg(feature = "crashpoints")]
#[test]
fn on_postgresql_a_run_killed_around_its_order_leaves_one_order() {
    use std::os::unix::process::ExitStatusExt as _;

    let lab = Lab::new();
    for point in [
        "key-made",
        "order-intended",
        "order-done",
        "certificate-switched",
    ] {
        let lines = format!("names = [\"{point}.alpha.test\"]");
        let mut setup = lab.setup(&[(point, &lines)]);
        setup.name = point.to_owned();
        setup.worker = "lease = \"2s\"".to_owned();
        setup.database = Some(
            crate::support::postgres::Cluster::shared()
                .database_now()
                .url,
        );
        let before = lab.world.ca.orders().len();
        let first = lab
            .world
            .run_with(&setup, &WAIT, ("PREVALIDATE_CRASH", &format!("{point}:1")));
        assert_eq!(first.status.signal(), Some(9), "{}", first.said());
        lab.world.run(&setup, &["run", "--wait", "60s"]).exits(0);
        assert_eq!(lab.world.ca.orders().len(), before + 1, "killed at {point}");
        lab.matches(point);
    }
}
