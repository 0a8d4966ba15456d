//! Requests from files: their names become the certificate's, and their key stays where it is.

use jiff::SignedDuration;

use super::internetx::Office;
use super::sectigo::Scm;
use super::*;

/// A request of OpenSSL for these names, the first of which is the common name; the line of the
/// configuration that takes it.
fn request(world: &World, names: &[&str]) -> String {
    let path = |name: &str| world.path(name).display().to_string();
    let names: Vec<String> = names.iter().map(|name| format!("DNS:{name}")).collect();
    let (subject, names) = (names[0].replace("DNS:", "/CN="), names.join(","));
    run(
        "openssl",
        &[
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            &subject,
            "-addext",
            &format!("subjectAltName={names}"),
            "-keyout",
            &path("own.key"),
            "-out",
            &path("own.csr"),
        ],
        "",
    );
    format!("csr = \"{}\"", path("own.csr"))
}

/// A deploy program that keeps a line of each of its runs, and the line of the configuration.
fn hook(world: &World) -> (PathBuf, String) {
    let (out, hook) = (world.path("deployed"), world.path("hook.sh"));
    let script = format!(
        "#!/bin/sh\necho \"$PREVALIDATE_NAMES\" >> {}\n",
        out.display()
    );
    std::fs::write(&hook, script).unwrap();
    std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    let line = format!("deploy = [\"{}\"]", hook.display());
    (out, line)
}

/// That the key of the request is the certificate's.
fn has_own_key(world: &World, folder: &Path) {
    key_matches(&world.path("own.key"), &folder.join("cert.pem"));
    assert!(!folder.join("privkey.pem").exists());
}

#[test]
fn a_request_from_a_file_becomes_a_chain_and_its_key_stays_where_it_is() {
    let lab = Lab::new();
    let csr = request(&lab.world, &["alpha.test", "www.alpha.test"]);
    let setup = lab.setup(&[("own", &csr)]);
    lab.world.run(&setup, &WAIT).exits(0);
    lab.verifies("own", "www.alpha.test");
    has_own_key(&lab.world, &lab.file("own", ""));
}

#[test]
fn a_request_from_a_file_becomes_a_chain_at_sectigo_and_servers_hear_of_it_once() {
    let scm = Scm::new();
    let world = &scm.site.world;
    let csr = request(world, &["alpha.test", "xn--mller-kva.test"]);
    let (out, deploy) = hook(world);
    for name in ["alpha.test", "xn--mller-kva.test"] {
        scm.site.scm.prove(name, SignedDuration::ZERO);
    }
    let setup = scm.setup(&format!("{csr}\n{deploy}"));
    for _ in 0..2 {
        world.run(&setup, &WAIT).exits(0);
        let told = std::fs::read_to_string(&out).unwrap();
        assert_eq!(told, "alpha.test xn--mller-kva.test\n");
    }
    has_own_key(world, &scm.file(""));
    assert_eq!(
        scm.site.scm.orders()[0].names,
        ["alpha.test", "xn--mller-kva.test"]
    );
}

#[test]
fn a_request_from_a_file_becomes_a_chain_at_internetx_and_servers_hear_of_it_once() {
    let office = Office::new();
    let (before, world) = (office.zones(), &office.lab.world);
    let csr = request(world, &["alpha.test", "xn--mller-kva.test"]);
    let (out, deploy) = hook(world);
    let setup = office.setup(&[("own", "BASIC_SSL", &format!("{csr}\n{deploy}"))]);
    for _ in 0..2 {
        office.run(&setup).exits(0);
        let told = std::fs::read_to_string(&out).unwrap();
        assert_eq!(told, "alpha.test xn--mller-kva.test\n");
    }
    has_own_key(world, &office.lab.file("own", ""));
    assert_eq!(office.zones(), before, "a record for each domain, and gone");
    assert_eq!(office.orders(), 1);
}
