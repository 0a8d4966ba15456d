//! The senders of hooks: every fault at once, and shown as it was written.

use super::*;

const KEYS: &str = r#"[server]
[[server.hook_key]]
name = "octodns"
secret = { file = "hook.secret" }
second_secret = { env = "NEXT" }
zones = ["déjà.vu.com", "_tcp.example.ch", "co.uk"]
[[server.hook_key]]
name = "github"
kind = "hub"
secret = { credential = "hub" }
"#;

fn keys(settings: &Settings) -> &[HookKeySettings] {
    &settings.server.as_ref().unwrap().hook_keys
}

#[test]
fn keys_of_hooks_are_read_and_shown_as_they_were_written() {
    let folder = Folder::new();
    let settings = folder.load(&format!("{GOOD}{KEYS}")).unwrap();
    let [octodns, github] = keys(&settings) else {
        panic!("{settings:?}")
    };
    assert_eq!(
        (octodns.name.as_str(), octodns.kind),
        ("octodns", HookKind::Standard)
    );
    assert_eq!(
        octodns.secret,
        SecretSource::File(folder.0.path().join("hook.secret"))
    );
    let zones: Vec<_> = octodns.zones.iter().map(DomainName::as_str).collect();
    assert_eq!(zones, ["xn--dj-kia8a.vu.com", "_tcp.example.ch", "co.uk"]);
    assert_eq!(
        (github.kind, github.zones.len(), &github.second_secret),
        (HookKind::Hub, 0, &None)
    );
    assert_eq!(
        folder.load(&settings.redacted_toml()).unwrap().server,
        settings.server
    );
}

#[test]
fn all_that_is_wrong_with_keys_of_hooks_comes_at_once() {
    let folder = Folder::new();
    let first = GOOD.lines().count() + 3;
    let keys = KEYS
        .replace("name = \"github\"", "name = \"octodns\"")
        .replace("\"hub\"\n", "\"gitlab\"\n")
        .replace("\"co.uk\"", "\"a b\", 7")
        .replace("{ env = \"NEXT\" }", &format!("\"{CANARY}\""))
        + "[[server.hook_key]]\nname = \"a b\"\nscret = { env = \"X\" }\n";
    let faults = folder.faults(&format!("{GOOD}{keys}"));
    let wanted = [
        (
            first + 2,
            "second_secret: a secret is never in the configuration itself",
        ),
        (first + 3, "zones: `a b` is not a domain name"),
        (first + 3, "zones: must be a list of strings"),
        (first + 5, "name: is in another"),
        (first + 6, "kind: must be \"standard\" or \"hub\""),
        (first + 8, "secret: is missing"),
        (first + 9, "name: must be at most 40"),
        (first + 10, "scret: is not a key of this section"),
    ];
    let wanted =
        wanted.map(|(line, words)| format!("prevalidate.toml:{line}: server.hook_key.{words}"));
    for (fault, wanted) in faults.iter().zip(&wanted) {
        assert!(fault.starts_with(wanted), "{fault}\nwanted: {wanted}");
    }
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
}

#[test]
fn a_key_for_no_zone_is_no_key_for_all_zones() {
    let folder = Folder::new();
    let key = "[server]\n[[server.hook_key]]\nname = \"a\"\nsecret = { env = \"A\" }\n";
    assert!(folder.load(&format!("{GOOD}{key}")).is_ok());
    let faults = folder.faults(&format!("{GOOD}{key}zones = []\n"));
    assert!(
        faults.len() == 1 && faults[0].contains("server.hook_key.zones: is empty"),
        "{faults:?}"
    );
}
