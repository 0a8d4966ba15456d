//! The binary at Sectigo by its other logins, and the end of the password over several nights.

use prevalidate::clock::{Clock, SystemClock};
use serde_json::json;

use super::sectigo::{Site, one_zone};
use super::world::Setup;
use crate::support::certificate::Certificate;
use crate::support::name_server::write_secret;
use crate::support::tls::TlsFront;

/// The account with these lines, and the head of its client.
fn account(site: &Site, lines: &str) -> (String, String) {
    let ca =
        format!("[ca.sectigo]\nkind = \"sectigo\"\nmethod = \"cname\"\nrate = \"1000/s\"\n{lines}");
    (ca, site.sections().1)
}

/// Every call that was made, without those that are not below `/dcv`.
fn dcv(site: &Site) -> Vec<String> {
    let calls = site.calls().into_iter();
    calls.filter(|call| call.contains("/dcv/")).collect()
}

#[test]
fn by_oauth_a_run_fetches_one_token_and_calls_version_2_only() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "cname");
    let mut setup = site.setup(&server, &[name]);
    let secret = site.world.path("scm.password");
    setup.instead = Some(account(
        &site,
        &format!(
            "auth = \"oauth\"\nurl = \"{}\"\nclient_id = \"prevalidate\"\n\
             client_secret = {{ file = {} }}\ntoken_url = \"{}\"\n",
            site.scm.url(),
            json!(secret.display().to_string()),
            site.scm.token_url(),
        ),
    ));
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert!(site.scm.validated_at(name).is_some());
    assert_eq!(server.axfr(name), before);
    assert_eq!(site.scm.count("/token"), 1, "{:?}", site.calls());
    let calls = dcv(&site);
    assert!(calls.len() >= 4, "{calls:?}");
    assert!(
        calls.iter().all(|call| call.contains("/dcv/v2/")),
        "{calls:?}"
    );

    site.scm.clear_log();
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(
        site.calls(),
        ["POST /token", "GET /dcv/v2/validation"],
        "a quiet night: the token, and one list"
    );
    // A secret that was changed at Sectigo's: one try, and it is named.
    write_secret(&secret, "wrong");
    site.scm.clear_log();
    let ran = site.world.run(&setup, &["run", "--wait", "5s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(site.calls(), ["POST /token"], "{}", ran.said());
    ran.says(&["client_secret"]);
}

#[test]
fn by_a_client_certificate_a_run_calls_the_private_api_without_a_password() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "cname");
    let folder = |name: &str| {
        let folder = site.world.path(name);
        std::fs::create_dir(&folder).unwrap();
        folder.join("root.pem")
    };
    let own = Certificate::issue(&folder("server"), "DNS:localhost");
    let client = Certificate::issue(&folder("client"), "DNS:prevalidate.test");
    let stranger = Certificate::issue(&folder("stranger"), "DNS:prevalidate.test");
    let upstream = site.scm.url();
    let upstream = upstream.trim_start_matches("http://");
    let upstream = upstream.split('/').next().unwrap().parse().unwrap();
    let front = site
        .world
        .wait_for(TlsFront::before(upstream, &own, &client.root));
    let by = |shown: &Certificate| -> Setup {
        let file = |path: &std::path::Path| json!(path.display().to_string());
        let lines = format!(
            "auth = \"certificate\"\nurl = \"{}/private/api\"\nuser = \"prevalidate\"\n\
             customer_uri = \"example\"\ncertificate = {}\nkey = {}\nca_file = {}\n",
            front.url(),
            file(&shown.signed),
            file(&shown.key),
            file(&own.root),
        );
        let mut setup = site.setup(&server, &[name]);
        setup.instead = Some(account(&site, &lines));
        setup
    };
    let setup = by(&client);
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert!(site.scm.validated_at(name).is_some());
    assert_eq!(server.axfr(name), before);
    assert_eq!(front.refused(), 0);
    let calls = dcv(&site);
    assert!(
        calls
            .iter()
            .all(|call| call.contains("/dcv/v1/") || call.contains("/dcv/v2/validation/status")),
        "{calls:?}"
    );

    site.scm.clear_log();
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(
        site.calls(),
        ["GET /dcv/v1/validation"],
        "there is no password whose end could be asked for"
    );
    site.scm.clear_log();
    let ran = site.world.run(&by(&stranger), &["run", "--wait", "3s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert!(front.refused() > 0, "{}", ran.said());
    assert_eq!(site.calls(), [""; 0], "nothing comes past the handshake");
}

#[test]
fn the_end_of_the_password_is_asked_for_once_a_day_by_separate_processes() {
    let (server, name) = one_zone();
    let site = Site::new(&server, "cname");
    let setup = site.setup(&server, &[name]);
    let soon = SystemClock.now() + jiff::SignedDuration::from_hours(24 * 10);
    let day = soon.strftime("%Y-%m-%d").to_string();
    site.scm.change(|behaviour| {
        behaviour.password_state = "ALIVE".to_owned();
        behaviour.password_ends = Some(day.clone());
    });
    let asked = || site.scm.count("/admin/v1/password");
    let first = site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(asked(), 1);
    assert!(first.said().contains(&day), "{}", first.said());
    for command in [
        &["run", "--wait", "5s"][..],
        &["run", "--wait", "5s", "--quiet"],
        &["status", "--refresh"],
        &["status"],
    ] {
        let ran = site.world.run(&setup, command).exits(0);
        assert_eq!(asked(), 1, "{command:?} of the same day");
        ran.says(&["warning: sectigo: ", &day]);
    }
    let check = site.world.run(&setup, &["check"]).exits(1);
    check.says(&["WARNING", "sectigo: ", &day]);
    let run = ["run", "--wait", "5s", "--output", "json"];
    let told = site.world.run(&setup, &run).exits(0).json();
    let warning = told["warnings"]["sectigo"].as_str().unwrap_or_default();
    assert!(warning.contains(&day), "{told}");
    site.world.run(&setup, &["doctor"]).exits(3).says(&[&day]);
    assert_eq!(asked(), 2, "`doctor` asks for itself");
    // The next night begins a little earlier than this one did.
    let ahead = ("PREVALIDATE_CLOCK_AHEAD", "86000");
    site.clock.advance(jiff::SignedDuration::from_secs(86_000));
    let next = site
        .world
        .run_with(&setup, &["run", "--wait", "5s"], ahead)
        .exits(0);
    assert_eq!(asked(), 3);
    assert!(next.said().contains(&day), "{}", next.said());
}
