//! A `[[certificate]]` that is a duplicate of another one.

use prevalidate::sandbox::digicert::{Fault, What};

use super::digicert::{OV, Office};
use super::*;

const OTHER: &str = "names = [\"alpha.test\"]\n[[certificate]]\nname = \"copy\"\nduplicate_of = \"www\"\n\
     names = [\"alpha.test\"]\nproduct = \"Basic OV\"";

fn pem(office: &Office, name: &str, file: &str) -> String {
    let folder = office.site.world.path("certificates");
    std::fs::read_to_string(folder.join(name).join("current").join(file)).unwrap()
}

#[test]
fn a_duplicate_is_issued_after_the_first_with_its_own_key_and_renewed_with_it() {
    let office = Office::new();
    let setup = office.proven(OV, OTHER);
    // Not paid for longer: what comes after an order is another order.
    office.site.cc.change(|cc| cc.shows_order_end = false);
    office
        .run(&setup, "30s")
        .exits(0)
        .says(&["2 certificates: 2 valid"]);
    let orders = office.site.cc.orders();
    assert_eq!((orders.len(), orders[0].duplicates), (1, 1));
    let keys = ["www", "copy"].map(|name| pem(&office, name, "privkey.pem"));
    assert_ne!(keys[0], keys[1]);
    let folder = office.site.world.path("certificates/copy/current");
    key_matches(&folder.join("privkey.pem"), &folder.join("cert.pem"));

    // Nothing is due.
    office.run(&setup, "5s").exits(0);
    assert_eq!(office.site.cc.orders()[0].duplicates, 1);
    // The first gets another order.
    let before = pem(&office, "copy", "cert.pem");
    let again = ["certificate", "issue", "www", "--again", "--wait", "30s"];
    office.site.world.run(&setup, &again).exits(0);
    office.run(&setup, "30s").exits(0);
    let renewed = office.site.cc.orders();
    let made: usize = renewed.iter().map(|one| one.duplicates).sum();
    assert_eq!((renewed.len(), made), (2, 2), "{renewed:?}");
    assert_ne!(pem(&office, "copy", "cert.pem"), before);
}

#[test]
fn the_revocation_of_a_duplicate_is_asked_for_after_that_of_the_first() {
    let office = Office::new();
    let setup = office.proven(OV, OTHER);
    office.run(&setup, "30s").exits(0);
    for (name, asked) in [("www", 1), ("copy", 2)] {
        // Its answer is lost as well: the CA's word on this very certificate is read back.
        office.site.cc.fault(Fault {
            on: "/revoke".to_owned(),
            times: 1,
            what: What::DoneButLost,
        });
        let arguments = ["certificate", "revoke", name, "--reason", "key-compromise"];
        let arguments = [&arguments[..], &["--yes", "--wait", "30s"]].concat();
        let ran = office.site.world.run(&setup, &arguments).exits(0);
        ran.says(&["the CA says that serial number"]);
        let revoked = office.site.cc.orders()[0].revocations.len();
        assert_eq!(revoked, asked, "{name}");
        assert_eq!(office.site.cc.count("PUT", "/revoke"), asked, "{name}");
    }
}

#[test]
fn a_duplicate_whose_answer_was_lost_is_made_once() {
    let office = Office::new();
    let setup = office.proven(OV, OTHER);
    office.site.cc.fault(Fault {
        on: "/duplicate".to_owned(),
        times: 1,
        what: What::DoneButLost,
    });
    office.run(&setup, "30s").exits(0);
    let orders = office.site.cc.orders();
    assert_eq!((orders.len(), orders[0].duplicates), (1, 1));
}
