//! Commands that only read a PostgreSQL store know that other machines share it.

use super::*;
use crate::support::postgres::Cluster;

#[test]
fn what_another_machine_keeps_is_no_alarm_on_postgresql() {
    let lab = Lab::proven();
    let database = Cluster::shared().database_now().url;
    let own = lab.directory().display().to_string();
    let [one, two] = ["one", "two"].map(|name| {
        let mut setup = lab.setup(&[("www", "names = [\"www.alpha.test\"]")]);
        let there = lab.world.path(name).display().to_string();
        setup.more = setup.more.replace(&own, &there);
        setup.name = name.to_owned();
        setup.database = Some(database.clone());
        setup
    });
    lab.world.run(&one, &WAIT).exits(0).says(&["1 valid"]);
    lab.world.run(&two, &WAIT).exits(0).says(&["1 valid"]);
    for setup in [&one, &two] {
        lab.world.run(setup, &["check"]).exits(0);
        let status = lab.world.run(setup, &["status"]).exits(0).said();
        assert!(!status.contains("files are gone"), "{status}");
    }
    let place = format!("in {}", lab.world.path("one").display());
    let shown = lab.world.run(&two, &["certificate", "show", "www"]);
    shown.exits(0).says(&["its files are kept by", &place]);
    let listed = lab.world.run(&two, &["certificate", "list", "-v"]);
    listed.exits(0).says(&["its files are kept by", &place]);
    assert_eq!(lab.world.ca.orders().len(), 1);
}
