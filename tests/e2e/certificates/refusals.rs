//! The faults that are refused before an order.

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
            "names = [\"alpha.test\"]\nkey = \"dsa\"\ncontact = \"unknown\"",
        ),
    ]);
    lab.world.run(&setup, &WAIT).exits(2).says(&[
        "1024 bits",
        "other names than `names`",
        "certificate.mode",
        "certificate.renew_before",
        "certificate.key",
        "certificate.contact",
        "is in another [[certificate]]",
    ]);
    assert_eq!(lab.world.ca.log().len(), 0);
}

/// What one kind of CA takes and another does not, each in a certificate of that kind.
#[test]
fn what_a_kind_of_ca_does_not_take_is_told_at_once_and_nothing_is_asked() {
    let lab = Lab::new();
    let swiss = "ca = \"sandbox\"\nnames = [\"alpha.test\"]\nrequester = \"pki@alpha.test\"\n\
                 fields = { \"Cost centre\" = \"4711\" }\nfirst_name = \"Joe\"";
    let mut setup = lab.setup(&[("swiss", swiss)]);
    let key = lab.world.path("api.key").display().to_string();
    setup.more.push_str(&format!(
        "[ca.scm]\nkind = \"sectigo\"\nurl = \"http://127.0.0.1:9/api\"\nuser = \"u\"\n\
         password = {{ file = \"{key}\" }}\ncustomer_uri = \"c\"\n\
         [[client]]\nca = \"scm\"\nreference = \"1\"\ndomains = [\"beta.test\"]\n\
         [[certificate]]\nname = \"scm\"\nca = \"scm\"\nproduct = \"OV\"\n\
         email = \"joe@beta.test\"\n\
         [ca.robot]\nkind = \"internetx\"\nurl = \"http://127.0.0.1:9/v1\"\nuser = \"u\"\n\
         password = {{ file = \"{key}\" }}\n\
         [[certificate]]\nname = \"robot\"\nca = \"robot\"\nproduct = \"BASIC_SSL\"\n\
         names = [\"alpha.test\"]\nemail = \"joe@alpha.test\"\nlast_name = \"Muster\"\n\
         client = \"Muster AG\"\nterm = 0\nrequester = \"pki@alpha.test\"\n",
    ));
    let ran = lab.world.run(&setup, &WAIT).exits(2);
    ran.says(&[
        "certificate.requester: this kind of CA takes none",
        "certificate.fields: this kind of CA takes none",
        "certificate.first_name: goes with `email`",
        "certificate.email: this kind of CA issues no S/MIME",
        "certificate.names: does not go with `email`",
        "certificate.last_name: goes with `first_name`",
        "certificate.client: this kind of CA has no clients",
        "certificate.contact",
        "certificate.term",
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

    // The CA names all its products: a table has the cause, and `-v` the rest.
    let list = lab.world.run(&setup, &["certificate", "list"]);
    let widest = list.stdout.lines().map(|line| line.chars().count()).max();
    assert!(widest < Some(300), "{}", list.said());
    list.says(&["could not find the product", "-v shows the whole reasons"]);
    let product = lab.product("OV SSL Gold Multi");
    lab.world
        .run(&setup, &["certificate", "list", "-v"])
        .says(&[&product]);
}

#[test]
fn a_directory_that_other_users_can_write_is_refused() {
    let lab = Lab::new();
    std::fs::create_dir(lab.directory()).unwrap();
    std::fs::set_permissions(lab.directory(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let setup = lab.setup(&[("www", "names = [\"alpha.test\"]")]);
    lab.world.run(&setup, &WAIT).exits(1).says(&["chmod go-w"]);
    assert_eq!(lab.world.ca.orders().len(), 0);
}
