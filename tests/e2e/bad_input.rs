//! Settings of providers that do not work, as a person meets them: every command names what to
//! repair, and nothing is written.

use std::path::PathBuf;

use serde_json::json;
use tokio::runtime::Runtime;

use super::world::World;
use crate::support::apis::autodns::FakeAutodns;
use crate::support::apis::cloudflare::{FakeCloudflare, Token};
use crate::support::apis::route53::{Fake as FakeRoute53, Key, Rrset};
use crate::support::name_server::write_secret;
use crate::support::zones;
use crate::support::{Keys, NameServer, Zone};

const APEX: &str = "a.test";
/// In every secret: no output may have it.
const CANARY: &str = "c4n4ry";

/// `kind`, the rest of its table, how the program ends, and the words that say what to repair.
type Case<'a> = (&'a str, String, i32, &'a [&'a str]);

/// Whatever the command, the words are said, no secret is, and the zone is as it was.
fn refused(world: &World, cases: &[Case<'_>], zone: impl Fn() -> Vec<String>) {
    let before = zone();
    for (kind, table, exit, words) in cases {
        let more = format!("[provider.wrong]\nkind = \"{kind}\"\n{table}\n");
        let setup = world.setup_with(&[APEX], &[], more);
        for command in [&["providers", "check"][..], &["run", "-v", "--wait", "0s"]] {
            let ran = world.run(&setup, command).exits(*exit).says(words);
            assert!(!ran.said().contains(CANARY), "{}", ran.said());
        }
        assert_eq!(zone(), before, "{table}");
        std::fs::remove_file(setup.store(world)).ok();
    }
}

fn world() -> World {
    World::checking(|_| Vec::new())
}

/// `{ file = "…" }` with a secret in it.
fn secret(world: &World, name: &str, text: &str) -> String {
    write_secret(&world.path(name), text);
    format!("{{ file = {} }}", quoted(world.path(name)))
}

fn quoted(path: PathBuf) -> String {
    json!(path.display().to_string()).to_string()
}

/// A file that every user may read is not a secret.
fn open_to_all(path: PathBuf) -> String {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(&path, CANARY).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    quoted(path)
}

#[test]
fn a_wrong_setting_of_rfc2136_is_named_and_nothing_is_written() {
    let server = NameServer::bind(&[Zone::new(APEX, "")], &Keys::of(&["prevalidate"]));
    let world = world();
    let with_key = |file: &str, key: &zones::Key| {
        write_secret(&world.path(file), &key.file_text());
        format!(
            "server = \"{}\"\nkey_file = {}",
            server.address(),
            quoted(world.path(file))
        )
    };
    let (ours, wrong) = (
        server.keys().0[0].clone(),
        zones::Key::new("prevalidate", "hmac-sha256"),
    );
    let elsewhere = zones::Key {
        name: "prevalidate".to_owned(),
        ..ours.clone()
    };
    let at = |rest: String| format!("server = \"{}\"\n{rest}", server.address());
    let cases = [
        (
            "rfc2136",
            with_key("wrong.key", &wrong),
            4,
            &["BADSIG", "`key_file`"][..],
        ),
        (
            "rfc2136",
            with_key("unknown.key", &zones::Key::new("stranger", "hmac-sha256")),
            4,
            &["BADKEY", "`key_file`"],
        ),
        (
            "rfc2136",
            at("key_file = \"/nonexistent/tsig.key\"".to_owned()),
            2,
            &["key_file", "/nonexistent/tsig.key"],
        ),
        (
            "rfc2136",
            at(format!(
                "key_file = {}",
                open_to_all(world.path("open.key"))
            )),
            2,
            &["key_file", "open.key"],
        ),
        (
            "rfc2136",
            at(format!(
                "key_name = \"prevalidate\"\nsecret = {}",
                secret(&world, "two", "c4n4ry!\nc4n4ry")
            )),
            2,
            &["secret", "two"],
        ),
        (
            "rfc2136",
            with_key("good.key", &elsewhere) + "\nzones = [\"b.test\"]",
            4,
            &["`zones`", "b.test"],
        ),
    ];
    refused(&world, &cases, || {
        [server.axfr(APEX), vec![server.serial(APEX).to_string()]].concat()
    });
}

#[test]
fn a_wrong_setting_of_route53_is_named_and_nothing_is_written() {
    let (runtime, world) = (Runtime::new().unwrap(), world());
    let fake = runtime.block_on(FakeRoute53::start());
    for (id, key) in [
        ("AKIAOURS", Key::of("ours")),
        ("AKIAOTHERS", Key::of("others")),
        (
            "AKIAREADER",
            Key {
                may_change: false,
                ..Key::of("ours")
            },
        ),
    ] {
        fake.key(id, key);
    }
    fake.zone("Z0A", APEX, "ours");
    fake.with("Z0A", |zone| {
        zone.put(Rrset::new(APEX, "TXT", 3600, &["\"v=spf1 -all\""]))
    });
    let table = |id: &str, more: &str| {
        let (id, key) = (
            secret(&world, &format!("{id}.id"), id),
            secret(&world, "key", "c4n4ry-key"),
        );
        format!(
            "endpoint = \"{}\"\naccess_key = {id}\nsecret_key = {key}\n{more}",
            fake.endpoint()
        )
    };
    let id = secret(&world, "AKIAOURS.id", "AKIAOURS");
    let keys = |key: String| {
        format!(
            "endpoint = \"{}\"\naccess_key = {id}\nsecret_key = {key}",
            fake.endpoint()
        )
    };
    let open = format!("{{ file = {} }}", open_to_all(world.path("open")));
    let cases = [
        (
            "route53",
            table("AKIAUNKNOWN", ""),
            4,
            &["InvalidClientTokenId", "`access_key`"][..],
        ),
        (
            "route53",
            table("AKIAOURS", "region = \"eu-central-1\""),
            4,
            &["eu-central-1", "`region`"],
        ),
        (
            "route53",
            table("AKIAOTHERS", ""),
            4,
            &["no public zone at all", "`access_key`"],
        ),
        (
            "route53",
            table("AKIAREADER", ""),
            4,
            &["AccessDenied", "route53:ChangeResourceRecordSets"],
        ),
        (
            "route53",
            table("AKIAOURS", "zone_id = \"Z0UNKNOWN\""),
            4,
            &["NoSuchHostedZone", "`zone_id`"],
        ),
        (
            "route53",
            keys(secret(&world, "lines", "c4n4ry\nc4n4ry")),
            2,
            &["secret_key", "line end"],
        ),
        (
            "route53",
            keys("{ file = \"/nonexistent/key\" }".to_owned()),
            2,
            &["secret_key", "/nonexistent/key"],
        ),
        ("route53", keys(open), 2, &["secret_key", "open"]),
    ];
    refused(&world, &cases, || fake.dump("Z0A"));
}

#[test]
fn a_wrong_setting_of_cloudflare_is_named_and_nothing_is_written() {
    let (runtime, world) = (Runtime::new().unwrap(), world());
    let fake = runtime.block_on(FakeCloudflare::start());
    fake.token("c4n4ry-good", Token::FULL);
    fake.token(
        "c4n4ry-reader",
        Token {
            edit: false,
            ..Token::FULL
        },
    );
    let zone = fake.zone_with(APEX, |zone| zone.paused = true);
    let token = |text: &str, more: &str| {
        format!(
            "url = \"{}\"\ntoken = {}\n{more}",
            fake.url(),
            secret(&world, &format!("token-{}", text.len()), text)
        )
    };
    let file = |path: String| format!("url = \"{}\"\ntoken = {{ file = {path} }}", fake.url());
    let cases = [
        (
            "cloudflare",
            token("c4n4ry-wrong", ""),
            4,
            &["9109", "`token`"][..],
        ),
        (
            "cloudflare",
            token("c4n4ry-\nsecond", ""),
            2,
            &["token", "line end"],
        ),
        (
            "cloudflare",
            token("c4n4ry-good", "account_id = \"acc2\""),
            4,
            &["no zone at all", "`account_id`"],
        ),
        (
            "cloudflare",
            token("c4n4ry-good", "zone_id = \"0123\""),
            4,
            &["`zone_id`"],
        ),
        (
            "cloudflare",
            token("c4n4ry-good", ""),
            4,
            &["paused", "activate"],
        ),
        (
            "cloudflare",
            file("\"/nonexistent/token\"".to_owned()),
            2,
            &["token", "/nonexistent/token"],
        ),
        (
            "cloudflare",
            file(open_to_all(world.path("open"))),
            2,
            &["token", "open"],
        ),
    ];
    refused(&world, &cases, || fake.dump(&zone));
    fake.take(&zone, APEX, "");
    let active = fake.zone("b.test");
    let setup = world.setup_with(
        &["b.test"],
        &[],
        format!(
            "[provider.wrong]\nkind = \"cloudflare\"\n{}",
            token("c4n4ry-reader", "")
        ),
    );
    world
        .run(&setup, &["providers", "check"])
        .exits(4)
        .says(&["Zone / DNS / Edit", "`token`"]);
    assert!(fake.dump(&active).is_empty());
}

#[test]
fn a_wrong_setting_of_autodns_is_named_and_nothing_is_written() {
    let (runtime, world) = (Runtime::new().unwrap(), world());
    let fake = runtime.block_on(FakeAutodns::start());
    fake.user("me", "c4n4ry-good", 4);
    fake.zone("b.test");
    let table = |password: &str, more: &str| {
        let password = secret(&world, &format!("password-{}", password.len()), password);
        format!(
            "url = \"{}\"\nuser = \"me\"\npassword = {password}\n{more}",
            fake.url()
        )
    };
    let cases = [
        (
            "autodns",
            table("c4n4ry-wrong", ""),
            4,
            &["EF00202", "`password`", "`context`"][..],
        ),
        (
            "autodns",
            table("c4n4ry-good", "context = 1"),
            4,
            &["EF00202", "`context`"],
        ),
        (
            "autodns",
            table("c4n4ry-\nsecond", ""),
            2,
            &["password", "line end"],
        ),
        ("autodns", table("c4n4ry-good", ""), 4, &["`context`"]),
        (
            "autodns",
            table("c4n4ry-good", "").replace("/password-", "/none-"),
            2,
            &["password", "none-"],
        ),
    ];
    refused(&world, &cases, || fake.dump("b.test"));
}

#[test]
fn a_silent_server_is_trouble_with_dns_for_every_command() {
    let world = world();
    let (id, key) = (
        secret(&world, "id", "AKIAOURS"),
        secret(&world, "key", "c4n4ry-key"),
    );
    write_secret(
        &world.path("tsig.key"),
        &zones::Key::new("prevalidate", "hmac-sha256").file_text(),
    );
    let url = "http://127.0.0.1:1";
    let cases = [
        (
            "rfc2136",
            format!(
                "server = \"127.0.0.1:1\"\nkey_file = {}",
                quoted(world.path("tsig.key"))
            ),
            4,
            &["127.0.0.1:1", "refused"][..],
        ),
        (
            "route53",
            format!("endpoint = \"{url}\"\naccess_key = {id}\nsecret_key = {key}"),
            4,
            &["`endpoint`"],
        ),
        (
            "cloudflare",
            format!("url = \"{url}\"\ntoken = {key}"),
            4,
            &["127.0.0.1", "`url`"],
        ),
        (
            "autodns",
            format!("url = \"{url}\"\nuser = \"me\"\npassword = {key}"),
            4,
            &["127.0.0.1", "`url`"],
        ),
    ];
    refused(&world, &cases, Vec::new);
}

#[cfg(feature = "exec")]
#[test]
fn a_wrong_setting_of_exec_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let world = world();
    let path = world.path("denied");
    std::fs::write(&path, "#!/bin/sh\necho \"not with $KEY\" >&2\nexit 3\n").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let program = quoted(path);
    let key = secret(&world, "key", "c4n4ry-key");
    let cases = [
        (
            "exec",
            "program = \"/nonexistent/program\"".to_owned(),
            4,
            &["/nonexistent/program", "`program`"][..],
        ),
        (
            "exec",
            format!("program = {program}\nenvironment = {{ KEY = {{ file = \"/nonexistent\" }} }}"),
            2,
            &["environment.KEY"],
        ),
        (
            "exec",
            format!("program = {program}\nenvironment = {{ KEY = {key} }}"),
            4,
            &["it may not (status 3)", "not with"],
        ),
    ];
    refused(&world, &cases, Vec::new);
}
