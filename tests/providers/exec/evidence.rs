//! Programs that read another place, or another time, than they write.

use super::*;

#[tokio::test]
async fn the_example_reads_and_writes_the_view_of_its_key() {
    let server =
        super::super::places::views("@ 86400 TXT \"v=spf1 -all\"", "@ 60 TXT \"v=spf1 -all\"");
    let (before, unsigned) = (server.dig_with_key(APEX, "TXT"), server.txt(APEX));
    let address = server.address();
    let key_file = server.tsig_key_file();
    let environment = json!({
        "SERVER": format!("{}#{}", address.ip(), address.port()),
        "KEY_FILE": key_file,
    });
    let provider = program(&example("nsupdate"), environment, 20);
    let receipt = add(&*provider, APEX, "swiss-pki=view").await.unwrap();
    assert_eq!(receipt.after.ttl, Some(86_400));
    let ours = Record::txt(APEX, "swiss-pki=view");
    let gone = provider.ensure_absent(&[ours]).await.remove(0);
    assert!(gone.unwrap().changed);
    assert_eq!(server.dig_with_key(APEX, "TXT"), before);
    assert_eq!(server.txt(APEX), unsigned);
}

#[tokio::test]
async fn a_read_of_the_zone_as_it_was_before_is_no_damage() {
    let folder = TempDir::new().unwrap();
    for (name, before, after, expected) in [
        ("lags", 7, 7, ErrorKind::Unknown),
        ("drops", 7, 8, ErrorKind::Damaged),
    ] {
        let path = folder.path().join(name);
        let state = folder.path().join(format!("{name}.state"));
        let text = format!(
            r#"#!/bin/sh
cat >/dev/null; serial={before}; test -e {state} && serial={after}
case $1 in
capabilities) echo '{{"protocol":1}}';;
inspect) echo '{{"names":[{{"name":"example.test","zone":"example.test","ttl":60,"records":["\"v=spf1 -all\""],"serial":'$serial'}}]}}';;
*) touch {state};;
esac
"#,
            state = state.display()
        );
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        let provider = program(&path, json!({}), 30);
        let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
        assert_eq!(error.kind, expected, "{name}: {}", shown(&error));
    }
}

#[tokio::test]
async fn a_name_that_is_told_of_twice_is_not_written() {
    let folder = TempDir::new().unwrap();
    let (path, state) = (folder.path().join("twice"), folder.path().join("state"));
    let name = |ttl: u32| {
        let spf = r#"["\"v=spf1 mx -all\""]"#;
        format!(r#"{{"name":"{APEX}","zone":"{APEX}","ttl":{ttl},"records":{spf}}}"#)
    };
    let body = format!(
        "#!/bin/sh\ncat >/dev/null\ncase $1 in\ncapabilities) echo '{{\"protocol\":1}}';;\n\
         inspect) echo '{{\"names\":[{},{}]}}';;\n*) touch {};;\nesac\n",
        name(3600),
        name(60),
        state.display()
    );
    std::fs::write(&path, body).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let provider = program(&path, json!({}), 30);
    let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
    assert!(error.message.contains("twice in one answer"), "{error}");
    assert!(!state.exists(), "whose TTL would it have written?");
}

/// An answer of `inspect` with this entry, for a program that answers so and changes nothing.
async fn told(entries: &str) -> ProviderError {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("program");
    let body = format!(
        "#!/bin/sh\ncat >/dev/null\ncase $1 in\ncapabilities) echo '{{\"protocol\":1}}';;\n\
         inspect) echo '{{\"names\":{entries}}}';;\n*) exit 3;;\nesac\n"
    );
    std::fs::write(&path, body).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let provider = program(&path, json!({}), 30);
    add(&*provider, APEX, "swiss-pki=x").await.unwrap_err()
}

#[tokio::test]
async fn a_field_of_the_wrong_kind_is_told_in_our_words() {
    let entry = |more: &str| format!(r#"[{{"name":"{APEX}","zone":"{APEX}",{more}}}]"#);
    for (entries, words) in [
        (
            entry(r#""ttl":"3600","records":[]"#),
            "`ttl` must be a whole number without quotes, and is \"3600\"",
        ),
        (
            entry(r#""ttl":60,"records":"v=spf1 -all""#),
            "`records` must be a list of texts, and is \"v=spf1 -all\"",
        ),
        (
            entry(r#""ttl":-1,"serial":1.5"#),
            "`serial` must be a whole",
        ),
        (r#"{"a":1}"#.to_owned(), "`names` must be a list of objects"),
    ] {
        let error = told(&entries).await;
        assert!(error.message.contains(words), "{entries}: {error}");
        assert!(!error.message.contains("invalid type"), "{error}");
        assert_eq!(error.kind, ErrorKind::Settings, "{error}");
    }
}

#[tokio::test]
async fn an_entry_that_was_not_asked_for_costs_only_itself() {
    let own = format!(r#"{{"name":"{APEX}","zone":"{APEX}","ttl":null,"records":null}}"#);
    for other in [
        r#"{"name":"other.test","ttl":"3600"}"#,
        r#"{"zone":7}"#,
        "7",
        "null",
    ] {
        let error = told(&format!("[{other},{own}]")).await;
        // It is asked to write: the answer was read.
        assert_eq!(error.kind, ErrorKind::Denied, "{other}: {error}");
    }
}

/// A program whose reads always show the zone as it was at the beginning; `remove` does `body`.
fn blind(folder: &TempDir, name: &str, body: &str) -> Arc<dyn Provider> {
    let path = folder.path().join(name);
    let text = format!(
        r#"#!/bin/sh
cat >/dev/null; zone={zone}
case $1 in
capabilities) echo '{{"protocol":1}}';;
inspect) echo '{{"names":[{{"name":"example.test","zone":"example.test","ttl":60,"records":["\"v=spf1 -all\""],"serial":7}}]}}';;
add) touch $zone;;
remove) {body};;
esac
"#,
        zone = folder.path().join("zone").display()
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    program(&path, json!({}), 30)
}

#[tokio::test]
async fn a_value_that_no_read_has_shown_is_removed_all_the_same() {
    let folder = TempDir::new().unwrap();
    let zone = folder.path().join("zone");
    let provider = blind(&folder, "removes", "rm -f $zone");
    let error = add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    assert!(zone.exists());
    let ours = [Record::txt(APEX, "swiss-pki=x")];
    let gone = provider.ensure_absent(&ours).await.remove(0).unwrap();
    assert!(!gone.changed && !zone.exists(), "not seen is not removed");
    assert_eq!(provider.memory().as_deref(), Some(""));
    // The worker before it died, and remembered nothing.
    add(&*provider, APEX, "swiss-pki=x").await.unwrap_err();
    let next = blind(&folder, "removes", "rm -f $zone");
    next.ensure_absent(&ours).await.remove(0).unwrap();
    assert!(!zone.exists());
}

#[tokio::test]
async fn an_undecided_write_stays_undecided_while_its_removal_fails_also_in_a_later_process() {
    let folder = TempDir::new().unwrap();
    let first = blind(&folder, "fails", "exit 1");
    add(&*first, APEX, "swiss-pki=x").await.unwrap_err();
    let ours = [Record::txt(APEX, "swiss-pki=x")];
    let memory = first.memory().unwrap();
    let later = blind(&folder, "fails", "exit 1");
    later.recall("not what it wrote");
    later.recall(&memory);
    for provider in [&first, &later] {
        let error = provider.ensure_absent(&ours).await.remove(0).unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    }
    // Once it is removed, nothing is undecided any more.
    let last = blind(&folder, "works", "rm -f $zone");
    last.recall(&memory);
    last.ensure_absent(&ours).await.remove(0).unwrap();
    assert_eq!(last.memory().as_deref(), Some(""));
    assert!(!folder.path().join("zone").exists());
}
