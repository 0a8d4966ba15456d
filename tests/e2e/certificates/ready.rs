//! A secret for the bundle that cannot be read: every command that reads tells it, and nothing is
//! ordered.

use super::*;

#[test]
fn an_unreadable_p12_password_is_told_everywhere_and_nothing_is_ordered() {
    let lab = Lab::proven();
    let password = lab.world.path("p12.password");
    let lines = format!(
        "names = [\"www.alpha.test\"]\np12_password = {{ file = \"{}\" }}",
        password.display()
    );
    let setup = lab.setup(&[("www", &lines), ("api", "names = [\"api.alpha.test\"]")]);
    let file = password.display().to_string();
    let words = ["www", "p12_password", file.as_str()];
    let checks = [
        &["config", "check"][..],
        &["doctor"],
        &["certificate", "issue", "--dry-run"],
    ];
    let open = || std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644));
    for is_open in [false, true] {
        if is_open {
            // One that other users may read is refused as well.
            std::fs::write(&password, "a good password").unwrap();
            open().unwrap();
        }
        for arguments in checks {
            lab.world.run(&setup, arguments).exits(2).says(&words);
        }
        lab.world.run(&setup, &WAIT).exits(1).says(&words);
        lab.matches("api");
        assert!(!lab.file("www", "cert.pem").exists());
        assert_eq!(lab.world.ca.orders().len(), 1, "api only");
        let check = lab.world.run(&setup, &["check"]).exits(1);
        check.says(&["the certificate www", "p12_password", &file]);
        let again = ["certificate", "issue", "www", "--again", "--wait", "10s"];
        lab.world.run(&setup, &again).exits(1).says(&words);
        assert_eq!(lab.world.ca.orders().len(), 1, "api only");
    }
    std::fs::remove_file(&password).unwrap();
    crate::support::name_server::write_secret(&password, "a good password");
    for arguments in checks {
        lab.world.run(&setup, arguments).exits(0);
    }
    lab.world.run(&setup, &WAIT).exits(0);
    assert!(lab.file("www", "bundle.p12").exists());
    lab.world.run(&setup, &["check"]).exits(0);
    assert_eq!(lab.world.ca.orders().len(), 2);
}
