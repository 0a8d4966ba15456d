//! The label is an alias into another zone, and the alias moves.

use jiff::SignedDuration;
use prevalidate::clock::{Clock as _, SystemClock};

use super::{ACCOUNT, section, stage};
use crate::support::NameServer;

/// The values of persistent records in a zone, with their owners.
fn values(server: &NameServer, zone: &str) -> Vec<String> {
    let lines = server.axfr(zone).into_iter();
    lines.filter(|line| line.contains("accounturi=")).collect()
}

#[test]
fn a_record_goes_where_its_alias_leads_and_leaves_the_old_place() {
    let fixed = SystemClock.now() + SignedDuration::from_hours(24 * 200);
    let fixed = fixed.strftime("%Y-%m-%d").to_string();
    for until in ["365d", fixed.as_str()] {
        let (server, world, setup) = stage(&[
            ("a.test", "_validation-persist 60 CNAME a.one.test."),
            ("one.test", ""),
            ("two.test", ""),
        ]);
        let more = format!("canary = \"0s\"\nuntil = \"{until}\"");
        let setup = section(setup, ACCOUNT, &more);
        let setup = setup.without("one.test").without("two.test");
        let zones = || ["a.test", "one.test", "two.test"].map(|zone| values(&server, zone).len());
        let before = server.axfr("one.test");
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(zones(), [0, 1, 0], "{until}");
        assert!(values(&server, "one.test")[0].starts_with("a.one.test."));

        server.nsupdate(
            "update delete _validation-persist.a.test. CNAME\n\
             update add _validation-persist.a.test. 60 CNAME a.two.test.",
        );
        world
            .run(&setup, &["run", "--dry-run"])
            .says(&["the alias leads to a.two.test now, and the record is at a.one.test"]);
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(zones(), [0, 0, 1], "{until}");
        assert_eq!(server.axfr("one.test"), before);
        // Nothing was dropped, so nothing was put back.
        let listed = world.run(&setup, &["persistent", "list", "--output", "json"]);
        assert_eq!(listed.exits(0).json()["persistent"][0]["put_back"], 0);

        // The alias goes, and the record comes to the label itself.
        server.nsupdate("update delete _validation-persist.a.test. CNAME");
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(zones(), [1, 0, 0], "{until}");
        let serial = server.serial("a.test");
        world.run(&setup, &["run", "--wait", "30s"]).exits(0);
        assert_eq!(server.serial("a.test"), serial, "it is left alone");
    }
}
