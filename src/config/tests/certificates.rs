//! `[[certificate]]`: keys that a kind of CA has no use for are reported.

use super::*;

const WWW: &str = "[[certificate]]\nname = \"www\"\nproduct = \"OV\"\nnames = [\"example.ch\"]\n";
const CONTACT: &str = "[[contact]]\nname = \"pki\"\nfirst_name = \"P\"\nlast_name = \"M\"\nemail = \"p@example.ch\"\n";

fn good(folder: &Folder, lines: &str) -> Settings {
    folder
        .load(&format!("{GOOD}{WWW}{lines}\n{CONTACT}"))
        .unwrap()
}

#[test]
fn a_contact_that_the_ca_does_not_take_is_told_and_does_no_harm() {
    let folder = Folder::new();
    assert_eq!(good(&folder, "").notices, []);
    let settings = good(&folder, "contact = \"pki\"");
    let notices: Vec<_> = settings.notices.iter().map(ToString::to_string).collect();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains("certificate.contact") && notices[0].contains("is not used"),
        "{notices:?}"
    );
}

#[test]
fn a_client_at_a_ca_that_has_none_is_refused() {
    let folder = Folder::new();
    let robot = "[ca.robot]\nkind = \"internetx\"\nurl = \"https://api.autodns.com/v1\"\nuser = \"u\"\npassword = { file = \"api.key\" }\n";
    let good = GOOD.replace("[[client]]", "[[client]]\nca = \"swisssign\"");
    let at = |lines: &str| {
        format!("{good}{robot}{WWW}ca = \"robot\"\ncontact = \"pki\"\n{lines}\n{CONTACT}")
    };
    let settings = folder.load(&at("")).unwrap();
    assert_eq!(settings.certificates.certificates[0].client, None);
    assert_eq!(settings.notices, [], "this one takes the contact");
    let faults = folder.faults(&at("client = \"MPKI0000001 - Muster AG\""));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("certificate.client") && faults[0].contains("has no clients"),
        "{faults:?}"
    );
}

#[test]
fn a_section_of_a_client_at_a_ca_that_has_none_is_refused() {
    let folder = Folder::new();
    let robot = "[ca.robot]\nkind = \"internetx\"\nurl = \"https://api.autodns.com/v1\"\nuser = \"u\"\npassword = { file = \"api.key\" }\n";
    let good = GOOD.replace("[[client]]", "[[client]]\nca = \"swisssign\"");
    assert_eq!(
        folder
            .load(&format!("{good}{robot}"))
            .unwrap()
            .clients
            .len(),
        1
    );
    let client = "[[client]]\nca = \"robot\"\nname = \"*\"\ndomains = [\"example.net\"]\n";
    let faults = folder.faults(&format!("{good}{robot}{client}"));
    assert_eq!(faults.len(), 1, "{faults:?}");
    assert!(
        faults[0].contains("client.ca: needs no [[client]]"),
        "{faults:?}"
    );
}

#[test]
fn a_provider_that_only_orders_may_use_is_not_said_to_be_unused() {
    let folder = Folder::new();
    let idle = "[provider.idle]\nkind = \"manual\"\n";
    let digicert = GOOD
        .replace("swisssign]", "digicert]")
        .replace("swisssign\"", "digicert\"")
        .replace(
            "https://api.ra.swisssign.ch",
            "https://www.digicert.com/services/v2",
        )
        .replace("user = \"MPKI0000001.AutoRAO\"\n", "");
    for (text, expected) in [
        (format!("{GOOD}{idle}{WWW}"), 1),
        (format!("{digicert}{idle}"), 1),
        (format!("{digicert}{idle}{WWW}"), 0),
    ] {
        let notices = folder.load(&text).unwrap().notices;
        let unused = notices.iter().map(ToString::to_string);
        let unused: Vec<_> = unused
            .filter(|said| said.contains("domain names it"))
            .collect();
        assert_eq!(unused.len(), expected, "{text}: {unused:?}");
    }
}

#[test]
fn a_duplicate_of_nothing_of_itself_or_at_a_ca_that_makes_none_is_refused() {
    let folder = Folder::new();
    let digicert = GOOD
        .replace("swisssign]", "digicert]")
        .replace("swisssign\"", "digicert\"")
        .replace(
            "https://api.ra.swisssign.ch",
            "https://www.digicert.com/services/v2",
        )
        .replace("user = \"MPKI0000001.AutoRAO\"\n", "");
    let other = |lines: &str| {
        let names = "name = \"copy\"\nnames = [\"example.ch\"]\n";
        format!("{WWW}[[certificate]]\n{names}{lines}\n")
    };
    let good = "product = \"OV\"\nduplicate_of = \"www\"";
    let settings = folder.load(&format!("{digicert}{}", other(good))).unwrap();
    let all = &settings.certificates.certificates;
    assert_eq!(all[1].duplicate_of.as_deref(), Some("www"));
    assert!(all[1].print().contains("duplicate of www"));
    assert!(!all[0].print().contains("duplicate"));
    for (text, words) in [
        (format!("{GOOD}{}", other(good)), "makes no duplicates"),
        (
            format!("{digicert}{}", other(&good.replace("www", "wwww"))),
            "there is no [[certificate]] of this name",
        ),
        (
            format!("{digicert}{}", other(&good.replace("www", "copy"))),
            "is a duplicate itself",
        ),
        (
            format!("{digicert}{}", other(&good.replace("OV", "EV"))),
            "the same `ca`, `client` and `product`",
        ),
        (
            format!("{digicert}{}", other(&format!("{good}\nreuse_key = true"))),
            "leave `reuse_key` out",
        ),
    ] {
        let faults = folder.faults(&text);
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].contains(words), "{faults:?}");
    }
}
