//! What people put around a secret: passed over where it means nothing, else told by
//! `config check`.

use super::{Bench, CANARY};

#[test]
fn text_around_an_api_key_is_skipped_or_told_before_the_ca_refuses() {
    let bench = Bench::new();
    for text in ["KEY", "KEY\n\n", " KEY \r\n", "\u{feff}KEY\n"] {
        bench.secret("api.key", &text.replace("KEY", CANARY));
        bench.run(&["config", "check"]).ends(0).says("in order");
    }
    for (text, words) in [
        ("KEY\nlogin: me\n", "holds a line end"),
        ("KEY KEY", "holds a blank"),
        ("\"KEY\"\n", "holds quotes"),
        ("API_KEY=KEY\n", "name of a variable"),
    ] {
        let text = text
            .replace("KEY", CANARY)
            .replace(&format!("API_{CANARY}"), "API_KEY");
        bench.secret("api.key", &text);
        bench
            .run(&["config", "check"])
            .ends(2)
            .says("ca.lab.api_key")
            .says(words);
    }
}

#[test]
fn an_api_key_of_another_form_is_doubted_and_used() {
    let bench = Bench::new();
    bench.secret("api.key", &CANARY[1..]);
    bench
        .run(&["config", "check"])
        .ends(0)
        .says("63 characters")
        .says("64 letters and digits");
}

#[test]
fn a_secret_that_users_may_replace_is_told_by_config_check() {
    use std::os::unix::fs::PermissionsExt;
    let bench = Bench::new();
    let folder = bench.path("open");
    std::fs::create_dir(&folder).unwrap();
    std::fs::rename(bench.path("api.key"), folder.join("api.key")).unwrap();
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let text = bench.configuration(r#"["example.ch"]"#);
    bench.write(
        "prevalidate.toml",
        text.replace("\"api.key\"", "\"open/api.key\""),
    );
    bench
        .run(&["config", "check"])
        .ends(2)
        .says("any user may write in the folder");
}
