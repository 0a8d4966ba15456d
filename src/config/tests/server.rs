//! `[server]`: the accepted clients and their rights; no token is in the file.

use super::*;

#[test]
fn without_the_section_nothing_listens_and_with_it_only_this_machine_is_heard() {
    let folder = Folder::new();
    assert_eq!(folder.load(GOOD).unwrap().server, None);
    let server = folder
        .load(&format!("{GOOD}[server]\n"))
        .unwrap()
        .server
        .unwrap();
    assert_eq!(
        (server.listen.to_string().as_str(), server.domain_labels),
        ("127.0.0.1:8420", 0)
    );
    assert_eq!((server.tls, server.tokens), (None, Vec::new()));
}

#[test]
fn other_machines_are_heard_only_with_tls_and_a_token() {
    let folder = Folder::new();
    let pem = folder.write("server.pem", "");
    let tls = "tls = { certificate = \"server.pem\", key = \"server.pem\" }\n";
    let token =
        "[[server.token]]\nname = \"a\"\nrole = \"operate\"\nsecret = { env = \"TOKEN\" }\n";
    for address in [
        "0.0.0.0:443",
        "[::]:443",
        "192.0.2.1:0",
        "[2001:db8::1]:8420",
    ] {
        let with = |more: &str| format!("{GOOD}[server]\nlisten = \"{address}\"\n{more}");
        let faults = folder.faults(&with(""));
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults.concat().contains("without `tls`")
                && faults.concat().contains("without a token")
        );
        assert!(folder.faults(&with(tls))[0].contains("without a token"));
        assert!(folder.faults(&with(token))[0].contains("without `tls`"));
        let settings = folder.load(&with(&format!("{tls}{token}"))).unwrap();
        let server = settings.server.clone().unwrap();
        assert_eq!(
            server.tls,
            Some(TlsSettings {
                certificate: pem.clone(),
                key: pem.clone()
            })
        );
        assert_eq!(
            (server.tokens[0].role, &*server.tokens[0].name),
            (TokenRole::Operate, "a")
        );
        let shown = settings.redacted_toml();
        assert_eq!(
            folder.load(&shown).unwrap().server,
            settings.server,
            "{shown}"
        );
    }
    // One that takes hooks only has nothing to read; a sender that can sign may ask it.
    let hooks = "[[server.hook_key]]\nname = \"a\"\nsecret = { env = \"A\" }\n";
    let listen = "[server]\nlisten = \"0.0.0.0:443\"\n";
    assert!(folder.load(&format!("{GOOD}{listen}{tls}{hooks}")).is_ok());
    assert!(folder.faults(&format!("{GOOD}{listen}{hooks}"))[0].contains("without `tls`"));
    for address in ["127.0.0.53:0", "[::1]:8420"] {
        assert!(
            folder
                .load(&format!("{GOOD}[server]\nlisten = \"{address}\"\n"))
                .is_ok()
        );
    }
}

#[test]
fn all_that_is_wrong_with_the_section_is_told_at_once() {
    let folder = Folder::new();
    let faults = folder.faults(&format!(
        r#"{GOOD}[server]
listen = "localhost"
tls = {{ certificate = "none.pem", keys = "x" }}
domain_labels = -1
[[server.token]]
name = "two words"
role = "admin"
secret = "{CANARY}"
[[server.token]]
name = "a"
role = "read"
secret = {{ env = "A" }}
[[server.token]]
name = "a"
"#
    ));
    let wanted = [
        "server.listen: must be an IP address and a port",
        "server.tls.certificate: there is no such file",
        "server.tls.key: is missing",
        "server.tls.keys: is not a key",
        "server.domain_labels: must be a whole number",
        "server.token.name: must be at most 40",
        "server.token.role: must be \"read\" or",
        "server.token.secret: a secret is never",
        "server.token.role: is missing",
        "server.token.secret: is missing",
        "server.token.name: is in another",
    ];
    for wanted in wanted {
        assert!(
            faults.iter().any(|fault| fault.contains(wanted)),
            "{wanted}: {faults:#?}"
        );
    }
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
}
