//! Which configuration is read, from where, and what a damaged list of names costs.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_configuration_of_a_folder_for_all_users_is_not_read() {
    let bench = Bench::new();
    bench.run(&["config", "check"]).ends(0).says(&format!(
        "the configuration is {}",
        bench.path("prevalidate.toml").display()
    ));
    for (path, mode, words) in [
        (
            bench.path(""),
            0o777,
            "other users may write the folder (mode 0777)",
        ),
        (
            bench.path(""),
            0o1777,
            "other users may write the folder (mode 1777)",
        ),
        (
            bench.path("prevalidate.toml"),
            0o646,
            "other users may write the file (mode 0646)",
        ),
    ] {
        set_mode(&path, mode);
        bench
            .run(&["config", "check"])
            .ends(2)
            .says("./prevalidate.toml is not read")
            .says(words);
        set_mode(&path, 0o700);
    }
    // One that is named may be in any folder.
    set_mode(&bench.path(""), 0o777);
    bench
        .run(&[
            "config",
            "check",
            "--without-secrets",
            "--config",
            "prevalidate.toml",
        ])
        .ends(0);
    // But no secret may.
    bench
        .run(&["config", "check", "--config", "prevalidate.toml"])
        .ends(2)
        .says("api.key");
    let home = bench.path(".config/prevalidate");
    std::fs::create_dir_all(&home).unwrap();
    let text = std::fs::read_to_string(bench.path("prevalidate.toml")).unwrap();
    let text = text
        .replace("api.key", "../../api.key")
        .replace("tsig.key", "../../tsig.key");
    std::fs::write(home.join("prevalidate.toml"), text).unwrap();
    bench
        .run(&["config", "check", "--without-secrets"])
        .ends(0)
        .says("./prevalidate.toml is not read")
        .says(".config/prevalidate/prevalidate.toml is in order");
    set_mode(&bench.path(""), 0o700);
}

#[test]
fn secrets_that_cannot_be_used_have_their_line_and_a_hint_of_their_own() {
    let bench = Bench::new();
    let text = std::fs::read_to_string(bench.path("prevalidate.toml")).unwrap();
    let server = "[server]\n[[server.token]]\nname = \"mon\"\nrole = \"read\"\nsecret = { file = \"short\" }\n";
    bench.write("prevalidate.toml", format!("{text}{server}"));
    bench.secret("short", "12345\n");
    let said = bench.run(&["config", "check"]).ends(2);
    let line = text.lines().count() + 5;
    let place =
        format!("prevalidate.toml:{line}: server.token.secret of mon: must have 24 to 4096");
    assert!(said.err.contains(&place), "{said:#?}");
    assert!(
        !said.err.contains("as the user of the service"),
        "{said:#?}"
    );
    std::fs::remove_file(bench.path("api.key")).unwrap();
    bench
        .run(&["config", "check"])
        .ends(2)
        .says("prevalidate.toml:9: ca.lab.api_key: ")
        .says("as the user of the service");
}

#[test]
fn a_bad_line_of_a_list_is_named_by_every_command_and_takes_no_domain_out() {
    let bench = Bench::new();
    let list = bench
        .configuration("[]")
        .replace("domains = []", "domains_file = \"list\"");
    bench.write("prevalidate.toml", &list);
    bench.write("list", "example.ch\nexample.org\nexample.net\n");
    bench.run(&["config", "check"]).ends(0).says("3 domains");
    // The store learns the inventory; the CA does not answer.
    bench.run(&["run", "--wait", "0s"]).ends(75);
    // A line that was damaged, and one that was edited: both names stay.
    bench.write(
        "list",
        "example.ch\nexample.org,internal\nexample net\nexample.li\nexample.eu\n",
    );
    bench
        .run(&["config", "check"])
        .ends(2)
        .says("list:2: ")
        .says("list:3: ");
    let said = bench
        .run(&["run", "--wait", "0s"])
        .ends(75)
        .says("2 lines of the lists");
    assert!(
        said.err.contains("a comma") && said.err.contains("white space"),
        "{said:#?}"
    );
    let status = bench.run(&["status", "--output", "json"]).ends(1);
    let names: Vec<_> = status
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["domain"].clone())
        .collect();
    assert_eq!(
        names,
        [
            "example.ch",
            "example.eu",
            "example.li",
            "example.net",
            "example.org"
        ]
    );
    // Mended, the names that are gone leave.
    bench.write("list", "example.ch\nexample.li\nexample.eu\n");
    bench.run(&["run", "--wait", "0s"]).ends(75);
    let rows = bench.run(&["status", "--output", "json"]).json();
    assert_eq!(rows.as_array().unwrap().len(), 3, "{rows}");
    // A page in the place of the list, and a list of which most is bad, are refused whole.
    for text in ["<!DOCTYPE html>\nexample.ch\n", "example.ch\na b\nc d\n"] {
        bench.write("list", text);
        bench.run(&["run", "--wait", "0s"]).ends(2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_line_is_a_warning_of_the_plug_in_and_keeps_no_domain_from_its_proof() {
    let lab = life::Lab::of(&["a.test"]).await;
    lab.configure("[[client]]\n", "[[client]]\ndomains_file = \"list\"\n");
    std::fs::write(lab.folder.path().join("list"), "a.test\nb test\n").unwrap();
    lab.run(&["run", "--wait", "60s"])
        .await
        .ends(1)
        .says("1 domain: 1 valid");
    lab.run(&["check"])
        .await
        .ends(1)
        .says("PREVALIDATE WARNING")
        .says("1 line of the lists");
    std::fs::write(lab.folder.path().join("list"), "a.test\n").unwrap();
    lab.run(&["run", "--wait", "60s"]).await.ends(0);
    lab.run(&["check"]).await.ends(0).says("PREVALIDATE OK");
}

/// Core files would hold the keys.
#[test]
fn a_process_leaves_no_core_file() {
    use std::io::{BufRead, BufReader};
    let bench = Bench::new();
    let mut child = bench
        .command(&["sandbox"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id())).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    let words: Vec<_> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core}");
}

#[test]
fn a_plan_of_windows_with_a_mark_in_front_is_read_and_a_strange_line_ends_the_check() {
    let bench = Bench::new();
    bench.run(&["run", "--wait", "0s"]).ends(75);
    let zone = ["records", "--zone", "example.ch", "--check", "-"];
    let wide = |text: &str| -> Vec<u8> {
        b"\xff\xfe"
            .iter()
            .copied()
            .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
            .collect()
    };
    bench
        .run_with(&zone, wide("@ [AGE:3692880] 1200 TXT ( \"x\" )\r\n"))
        .ends(0);
    bench
        .run_with(&zone, "@ TXT x\n@ 60 TEXT y\n")
        .ends(2)
        .says("line 2: `TEXT` is not a type");
    bench
        .run_with(&zone, "<html>")
        .ends(2)
        .says("an HTML or XML page");
}
