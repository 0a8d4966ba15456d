//! The DNS providers against real name servers.

use crate::support::{Keys, NameServer, Policy, Refresh, Zone};

#[test]
fn the_harness_starts_updates_transfers_and_restarts_each_name_server() {
    let keys = Keys::of(&["prevalidate"]);
    let zones = [
        Zone::new("example.test", "@ TXT \"v=spf1  -all\"\n"),
        Zone::new("closed.test", "@ TXT \"v=spf1 -all\"\n").policy(Policy::Closed),
    ];
    for start in [NameServer::bind, NameServer::knot, NameServer::pdns] {
        let mut primary = start(&zones, &keys);
        assert_eq!(primary.txt("example.test"), ["v=spf1  -all"]);
        let before = primary.axfr("example.test");
        assert!(before.contains(&"example.test. 3600 IN TXT \"v=spf1  -all\"".to_owned()), "{before:#?}");
        primary.nsupdate("update add example.test. 3600 TXT \"somebody else\"");
        primary.restart();
        assert_eq!(primary.txt("example.test"), ["somebody else", "v=spf1  -all"]);
        primary.nsupdate("update delete example.test. TXT \"somebody else\"");
        assert_eq!(primary.axfr("example.test"), before);
        assert!(primary.serial("example.test") > 1);
    }
    for start in [NameServer::bind, NameServer::knot] {
        let primary = start(&zones, &keys);
        for second in [NameServer::bind, NameServer::knot] {
            let stale = second(&[Zone::secondary("example.test", &primary, Refresh::Asked)], &keys);
            primary.nsupdate("update add example.test. 3600 TXT \"news\"");
            assert_eq!(stale.txt("example.test"), ["v=spf1  -all"]);
            stale.refresh("example.test");
            assert_eq!(stale.axfr("example.test"), primary.axfr("example.test"));
            primary.nsupdate("update delete example.test. TXT \"news\"");
        }
    }
}
