//! DV orders at DigiCert beside the proofs of domains: at one name, at a name that a person withdrew,
//! before anything is bought, and by two machines.

use prevalidate::sandbox::digicert::Rights;

use super::digicert::{DV, OV, Office};

#[test]
fn a_proof_and_an_order_that_want_one_alias_take_turns_and_leave_nothing() {
    let office = Office::with("method = \"cname\"\n");
    let before = office.server.axfr("alpha.test");
    // Its proof and its order both want a CNAME at `_dnsauth.alpha.test`.
    let setup = office.setup(DV, "names = [\"alpha.test\"]");
    office.site.cc.change(|cc| cc.polls = false);
    office
        .run(&setup, "80s")
        .exits(0)
        .says(&["1 certificate: 1 valid"]);
    office.verifies("alpha.test");
    assert_eq!(office.server.axfr("alpha.test"), before);
    let journal = office.server.journal("alpha.test");
    assert_eq!(journal.len(), 4, "written, removed, twice: {journal:?}");
    assert_eq!(office.orders(), 1);
    assert!(!office.site.did_harm());
}

#[test]
fn no_order_is_bought_for_a_name_that_a_person_withdrew() {
    let office = Office::new();
    let before = office.server.axfr("alpha.test");
    let mut bare = office.setup(OV, "");
    bare.more = String::new();
    office.site.cc.change(|cc| {
        cc.polls = false;
        cc.blind_checks = 1_000;
    });
    office.run(&bare, "3s");
    assert_ne!(office.server.axfr("alpha.test"), before);
    let withdraw = ["withdraw", "alpha.test", "--yes"];
    office.site.world.run(&bare, &withdraw).exits(0);
    assert_eq!(office.server.axfr("alpha.test"), before);

    let setup = office.setup(DV, "names = [\"www.alpha.test\"]");
    let ran = office.run(&setup, "5s");
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    let show = ["certificate", "show", "www"];
    let words = ["was withdrawn by hand", "run --domain alpha.test"];
    office.site.world.run(&setup, &show).says(&words);
    assert_eq!(office.orders(), 0);
    assert_eq!(office.server.axfr("alpha.test"), before);

    office.site.cc.change(|cc| cc.blind_checks = 0);
    let again = ["run", "--domain", "alpha.test", "--wait", "30s"];
    office.site.world.run(&setup, &again);
    // The proof is asked for again later: DigiCert did not see it at first.
    let ran = office.run(&setup, "30s");
    ran.says(&["1 certificate: 1 valid"]);
    assert_eq!(office.orders(), 1);
}

#[test]
fn providers_and_doctor_try_the_names_of_orders_that_bring_their_records() {
    let office = Office::new();
    let setup = office.setup(DV, "names = [\"www.beta.test\", \"*.beta.test\"]");
    let check = ["providers", "check", "--output", "json"];
    let rows = office.site.world.run(&setup, &check).exits(0).json();
    let of = |zone: &str| {
        let mut rows = rows.as_array().unwrap().iter();
        rows.find(|row| row["zone"] == zone).unwrap().clone()
    };
    let names = serde_json::json!(["beta.test", "www.beta.test"]);
    assert_eq!(of("beta.test")["domains"], names);
    assert_eq!(of("beta.test")["checks"][0]["ok"], true);
    assert_eq!(
        of("alpha.test")["domains"],
        serde_json::json!(["alpha.test"])
    );
    let doctor = office.site.world.run(&setup, &["doctor"]);
    doctor.exits(0).says(&["beta.test"]);
    let wrong = office.setup(DV, "names = [\"www.gamma.test\"]");
    office.site.world.run(&wrong, &check).exits(4);
    // Nor is it bought.
    let ran = office.run(&wrong, "5s");
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(office.orders(), 0);
}

#[test]
fn a_rehearsal_says_what_a_run_would_not_order_although_the_ca_would_take_it() {
    let office = Office::new();
    let dry = ["certificate", "issue", "--dry-run"];
    let more = "names = [\"alpha.test\"]\n[[certificate]]\nname = \"copy\"\n\
                duplicate_of = \"www\"\nnames = [\"alpha.test\"]\nproduct = \"GeoTrust Standard DV\"";
    let copy = office.setup(DV, more);
    let ran = office.site.world.run(&copy, &dry).exits(1);
    ran.says(&["www: the CA would take the order"])
        .says(&["copy: nothing would be ordered", "leave `duplicate_of` out"]);
    let wrong = office.setup(DV, "names = [\"www.gamma.test\"]");
    let ran = office.site.world.run(&wrong, &dry).exits(4);
    let words = "nothing would be ordered: its record cannot be written";
    ran.says(&[words, "gamma.test"]);
    let good = office.setup(DV, "names = [\"www.beta.test\"]");
    let ran = office.site.world.run(&good, &dry).exits(0);
    ran.says(&["would take the order"]);
    assert_eq!(office.orders(), 0);
}

#[test]
fn a_key_for_orders_alone_is_enough_where_no_domain_is_validated_in_advance() {
    let office = Office::new();
    let mut setup = office.setup(DV, "names = [\"www.beta.test\"]");
    setup.domains.clear();
    office.site.cc.change(|cc| cc.rights = Rights::Orders);
    let ran = office.run(&setup, "30s").exits(0);
    ran.says(&["1 certificate: 1 valid"]);
    office.verifies("www.beta.test");
    assert_eq!(office.site.cc.count("GET", "/domain"), 0, "no list");
    office.site.cc.clear_log();
    office.run(&setup, "5s").exits(0);
    assert!(office.site.calls().is_empty(), "{:?}", office.site.calls());
}

#[test]
fn two_machines_at_once_make_one_order_at_digicert() {
    for product in [OV, DV] {
        let office = Office::new();
        let before = office.server.axfr("alpha.test");
        let mut setup = office.proven(product, "names = [\"alpha.test\"]");
        let database = crate::support::postgres::Cluster::shared().database_now();
        setup.database = Some(database.url);
        let wait = ["run", "--wait", "60s"];
        let both = [(); 2].map(|()| office.site.world.start(&setup, &wait));
        for one in both {
            crate::e2e::world::finish(one, &wait);
        }
        office.run(&setup, "60s").exits(0);
        assert_eq!(office.orders(), 1, "{product}");
        office.verifies("alpha.test");
        assert_eq!(office.server.axfr("alpha.test"), before, "{product}");
    }
}
