//! What is refused before anything is bought.

use super::*;

#[test]
fn every_fault_of_the_certificates_is_told_at_once_and_nothing_is_bought() {
    let lab = Lab::new();
    let weak = lab.world.path("weak.csr");
    run(
        "openssl",
        &[
            "req",
            "-newkey",
            "rsa:1024",
            "-nodes",
            "-subj",
            "/CN=alpha.test",
            "-keyout",
            "/dev/null",
            "-out",
            &weak.display().to_string(),
        ],
        "",
    );
    let weak = format!("csr = \"{}\"\nnames = [\"beta.test\"]", weak.display());
    let setup = lab.setup(&[
        ("weak", &weak),
        (
            "wrong",
            "names = [\"a_b.test\"]\nmode = \"0666\"\nrenew_before = \"2\"",
        ),
        (
            "wrong",
            "names = [\"alpha.test\"]\nkey = \"dsa\"\ncontact = \"nobody\"",
        ),
    ]);
    lab.world.run(&setup, &WAIT).exits(2).says(&[
        "1024 bits",
        "other names than `names`",
        "certificate.mode",
        "certificate.renew_before",
        "certificate.key",
        "certificate.contact",
        "stands in another [[certificate]]",
    ]);
    assert_eq!(lab.world.ca.log().len(), 0);
}

#[test]
fn a_product_that_does_not_exist_is_held_with_the_words_of_the_ca() {
    let lab = Lab::new();
    let mut setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    setup.more = setup
        .more
        .replace(&lab.product("OV SSL Gold Multi"), "No such product");
    lab.world
        .run(&setup, &WAIT)
        .exits(1)
        .says(&["No such product"]);
    assert_eq!(lab.world.ca.orders().len(), 0);
}

#[test]
fn a_directory_that_others_can_write_is_refused() {
    let lab = Lab::new();
    std::fs::create_dir(lab.directory()).unwrap();
    std::fs::set_permissions(lab.directory(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(1).says(&["chmod go-w"]);
    assert_eq!(lab.world.ca.orders().len(), 0);
}
