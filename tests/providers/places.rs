//! Reads and writes that meet different places: views chosen by the key, and secondaries that
//! forward updates and are behind.

use super::*;

const STATIC: &str = "swiss-pki=place";

/// A zone in two views of BIND. The key sees and writes `with_key`, all others see `without`.
pub(super) fn views(with_key: &str, without: &str) -> NameServer {
    let keys = Keys::of(&["prevalidate"]);
    let policy = "update-policy { grant prevalidate. zonesub ANY; };";
    let stanzas = format!(
        "view outside {{ match-clients {{ key prevalidate; !127.0.0.0/8; any; }};
           zone {APEX} {{ type primary; file \"outside.zone\"; {policy} }}; }};
         view inside {{ match-clients {{ any; }};
           zone {APEX} {{ type primary; file \"inside.zone\"; {policy} }}; }};"
    );
    let (outside, inside) = (Zone::new(APEX, with_key), Zone::new(APEX, without));
    let files = [("outside.zone", &outside), ("inside.zone", &inside)];
    NameServer::bind_as(&[Zone::new(APEX, "")], &keys, &stanzas, &files)
}

async fn remove(provider: &dyn Provider, value: &str) -> Result<Receipt, ProviderError> {
    let value = Record::txt(APEX, value);
    provider.ensure_absent(&[value]).await.remove(0)
}

#[tokio::test]
async fn in_views_by_key_the_view_of_the_key_is_read_and_written() {
    for (outside, inside) in [
        // The same values with other TTLs.
        ("@ 86400 TXT \"v=spf1 -all\"", "@ 60 TXT \"v=spf1 -all\""),
        ("@ 60 TXT \"v=spf1 -all\"", "@ 86400 TXT \"v=spf1 -all\""),
        // One value more on either side, or none.
        (
            "@ 86400 TXT \"v=spf1 -all\"\n@ 86400 TXT x",
            "@ 60 TXT \"v=spf1 -all\"",
        ),
        ("@ 86400 TXT \"v=spf1 -all\"", ""),
        ("", "@ 60 TXT \"v=spf1 -all\""),
    ] {
        let server = views(outside, inside);
        let (before, unsigned) = (server.dig_with_key(APEX, "TXT"), server.txt(APEX));
        let provider = Setup::of(&server).build();
        provider.preflight(APEX, RecordKind::Txt).await.unwrap();
        let receipt = add(&*provider, APEX, STATIC).await.unwrap();
        assert!(receipt.changed && receipt.after.holds(STATIC));
        let with_ours = server.dig_with_key(APEX, "TXT");
        assert_eq!(with_ours.len(), before.len() + 1, "{with_ours:?}");
        assert!(
            before.iter().all(|line| with_ours.contains(line)),
            "{with_ours:?}"
        );
        assert!(remove(&*provider, STATIC).await.unwrap().changed);
        assert_eq!(server.dig_with_key(APEX, "TXT"), before);
        assert_eq!(server.txt(APEX), unsigned, "the other view is as it was");
    }
}

#[tokio::test]
async fn after_a_wrong_clock_the_view_of_the_key_is_read_again() {
    let server = views("@ 86400 TXT \"v=spf1 -all\"", "@ 60 TXT \"v=spf1 -all\"");
    let before = server.dig_with_key(APEX, "TXT");
    let ahead = Arc::new(Mutex::new(SignedDuration::from_hours(24 * 400)));
    let provider = Setup::of(&server).build_with(Arc::clone(&ahead));
    // The server refuses signatures of another year; the zone is read without them, or not at all.
    drop(provider.inspect(APEX).await);
    add(&*provider, APEX, STATIC).await.unwrap_err();
    *ahead.lock().unwrap() = SignedDuration::ZERO;
    let receipt = add(&*provider, APEX, STATIC).await.unwrap();
    assert_eq!(receipt.before.ttl, Some(86_400), "the view of the key");
    assert!(remove(&*provider, STATIC).await.unwrap().changed);
    assert_eq!(server.dig_with_key(APEX, "TXT"), before);
}

#[tokio::test]
async fn without_signed_questions_nothing_is_written_into_a_view_that_is_not_read() {
    let server = views("@ 86400 TXT \"v=spf1 -all\"", "@ 60 TXT \"v=spf1 -all\"");
    // So that the serials differ, as they do where the views live lives of their own.
    server.nsupdate(&format!("update add other.{APEX}. 60 TXT x"));
    let before = server.dig_with_key(APEX, "TXT");
    let provider = Setup {
        more: json!({ "sign_query": false }),
        ..Setup::of(&server)
    };
    let provider = provider.build();
    for error in [
        provider.preflight(APEX, RecordKind::Txt).await.unwrap_err(),
        add(&*provider, APEX, STATIC).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Unavailable, "{}", shown(&error));
        assert!(shown(&error).contains("sign_query"), "{}", shown(&error));
    }
    assert_eq!(server.dig_with_key(APEX, "TXT"), before);
    // What is not seen is not gone.
    let by_key = Setup::of(&server).build();
    add(&*by_key, APEX, STATIC).await.unwrap();
    let error = remove(&*provider, STATIC).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    assert_eq!(
        server.dig_with_key(APEX, "TXT"),
        before,
        "and still it is removed"
    );
}

#[tokio::test]
async fn a_zone_that_only_the_key_may_read_is_read_with_the_key() {
    let keys = Keys::of(&["prevalidate"]);
    let zone = Zone::new(APEX, "@ TXT \"v=spf1 -all\"");
    let ready = Zone::new("ready.test", "");
    let stanzas = format!(
        "zone ready.test {{ type primary; file \"ready.zone\"; }};
         zone {APEX} {{ type primary; file \"0.zone\"; allow-query {{ key prevalidate; }};
           update-policy {{ grant prevalidate. name {APEX}. TXT; }}; }};"
    );
    let files = [("ready.zone", &ready), ("0.zone", &zone)];
    let server = NameServer::bind_as(std::slice::from_ref(&ready), &keys, &stanzas, &files);
    let provider = Setup::of(&server).build();
    assert_eq!(provider.find_zone(APEX).await.unwrap().apex, APEX);
    provider.preflight(APEX, RecordKind::Txt).await.unwrap();
    assert!(add(&*provider, APEX, STATIC).await.unwrap().changed);
    assert!(remove(&*provider, STATIC).await.unwrap().changed);
    // With a wrong secret it is the key that is at fault, not the zone.
    let wrong = Setup::at(
        server.address().to_string(),
        Key::new("prevalidate", "hmac-sha256"),
    );
    let error = wrong
        .build()
        .preflight(APEX, RecordKind::Txt)
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::Denied && error.message.contains("BadSig"),
        "{}",
        shown(&error)
    );
    // Unsigned questions are refused, and the words say what helps.
    let provider = Setup {
        more: json!({ "sign_query": false }),
        ..Setup::of(&server)
    };
    let error = provider
        .build()
        .preflight(APEX, RecordKind::Txt)
        .await
        .unwrap_err();
    assert!(shown(&error).contains("sign_query"), "{}", shown(&error));
}

/// A hidden primary and a secondary that forwards updates to it, and gets its changes only when a
/// test asks for it.
fn forwarding() -> (NameServer, NameServer) {
    let keys = Keys::of(&["prevalidate"]);
    let zone = Zone::new(APEX, "@ TXT \"v=spf1 -all\"");
    let primary = NameServer::bind(&[zone], &keys);
    let copy = Zone::secondary(APEX, &primary, Refresh::Asked);
    let port = primary.address().port();
    let stanzas = format!(
        "zone {APEX} {{ type secondary; file \"copy\"; primaries {{ 127.0.0.1 port {port}; }};
           min-refresh-time 86400; max-refresh-time 86400;
           allow-update-forwarding {{ key prevalidate; }}; }};"
    );
    let secondary = NameServer::bind_as(&[copy], &keys, &stanzas, &[]);
    (primary, secondary)
}

#[tokio::test]
async fn a_change_behind_a_secondary_that_lags_is_proved_by_the_primary() {
    let (primary, secondary) = forwarding();
    let before = primary.axfr(APEX);
    let provider = Setup::of(&secondary).build();
    let receipt = add(&*provider, APEX, STATIC).await.unwrap();
    assert!(receipt.changed && receipt.after.holds(STATIC) && !receipt.before.holds(STATIC));
    assert_eq!(
        (receipt.before.ttl, receipt.after.ttl),
        (Some(3600), Some(3600))
    );
    assert_eq!(primary.txt(APEX), [STATIC, "v=spf1 -all"]);
    assert_eq!(
        secondary.txt(APEX),
        ["v=spf1 -all"],
        "it has not got the change"
    );

    // The secondary does not show it: that is no removal.
    let error = remove(&*provider, STATIC).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(&error));
    assert_eq!(primary.axfr(APEX), before, "the deletion went out");
    secondary.refresh(APEX);
    let receipt = remove(&*provider, STATIC).await.unwrap();
    assert!(!receipt.changed && !receipt.after.holds(STATIC));
}

#[tokio::test]
async fn a_removal_behind_a_secondary_that_lags_is_proved_by_the_primary() {
    let (primary, secondary) = forwarding();
    let before = primary.axfr(APEX);
    let provider = Setup::of(&secondary).build();
    add(&*provider, APEX, STATIC).await.unwrap();
    secondary.refresh(APEX);
    let receipt = remove(&*provider, STATIC).await.unwrap();
    assert!(receipt.changed && !receipt.after.holds(STATIC));
    assert_eq!(primary.axfr(APEX), before);
    assert_eq!(
        secondary.txt(APEX),
        [STATIC, "v=spf1 -all"],
        "it has not got the change"
    );
}

#[tokio::test]
async fn a_ttl_that_a_lagging_secondary_does_not_show_yet_is_kept() {
    let (primary, secondary) = forwarding();
    primary.nsupdate(&format!(
        "update delete {APEX}. TXT\nupdate add {APEX}. 60 TXT \"v=spf1 -all\""
    ));
    let before = primary.axfr(APEX);
    let provider = Setup::of(&secondary).build();
    for error in [
        provider.preflight(APEX, RecordKind::Txt).await.unwrap_err(),
        add(&*provider, APEX, STATIC).await.unwrap_err(),
    ] {
        assert_eq!(error.kind, ErrorKind::Unavailable, "{}", shown(&error));
        assert!(
            error.message.contains("nothing was written"),
            "{}",
            shown(&error)
        );
    }
    assert_eq!(primary.axfr(APEX), before);
    secondary.refresh(APEX);
    let receipt = add(&*provider, APEX, STATIC).await.unwrap();
    assert_eq!(receipt.after.ttl, Some(60));
    assert!(
        primary
            .axfr(APEX)
            .contains(&format!("{APEX}. 60 IN TXT \"v=spf1 -all\""))
    );
}

#[tokio::test]
async fn many_names_behind_a_secondary_that_lags_are_proved_by_the_primary() {
    let (primary, secondary) = forwarding();
    let before = primary.axfr(APEX);
    let provider = Setup::of(&secondary).build();
    let names = ["a", "b", "c"].map(|label| format!("{label}.{APEX}"));
    let values: Vec<Record> = [APEX.to_owned()]
        .into_iter()
        .chain(names)
        .map(|owner| Record::txt(owner, STATIC))
        .collect();
    for result in provider.ensure_present(&values).await {
        assert!(result.unwrap().changed);
    }
    assert_eq!(primary.axfr(APEX).len(), before.len() + 4);
    for result in provider.ensure_absent(&values).await {
        assert_eq!(result.unwrap_err().kind, ErrorKind::Unknown);
    }
    assert_eq!(primary.axfr(APEX), before);
    secondary.refresh(APEX);
    for result in provider.ensure_absent(&values).await {
        assert!(!result.unwrap().changed);
    }
}

#[tokio::test]
async fn a_cname_behind_a_secondary_that_lags_is_proved_by_the_primary() {
    let (primary, secondary) = forwarding();
    let before = primary.axfr(APEX);
    let provider = Setup::of(&secondary).build();
    let ours = Record::cname(format!("_x.{APEX}"), "target.example.net");
    let made = provider.ensure_present(std::slice::from_ref(&ours)).await;
    let made = made[0].as_ref().unwrap();
    assert!(made.changed && made.after.has(&ours.data));
    assert_eq!(primary.axfr(APEX).len(), before.len() + 1);
    let gone = provider.ensure_absent(std::slice::from_ref(&ours)).await;
    let error = gone[0].as_ref().unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unknown, "{}", shown(error));
    assert_eq!(primary.axfr(APEX), before);
    secondary.refresh(APEX);
    let gone = provider.ensure_absent(std::slice::from_ref(&ours)).await;
    assert!(!gone[0].as_ref().unwrap().changed);
}

#[tokio::test]
async fn a_name_that_is_taken_between_our_read_and_our_update_takes_no_cname() {
    for line in [
        "TXT theirs",
        "CAA 0 issue \"theirs\"",
        "CNAME theirs.example.net.",
    ] {
        let keys = Keys::of(&["prevalidate"]);
        let server = Arc::new(NameServer::bind(&[prepared_zone()], &keys));
        let before = server.axfr(APEX).len();
        // Weak: the proxy lives as long as the process, and the server must not.
        let another = Arc::downgrade(&server);
        let proxy = Proxy::before(server.address(), move |message, earlier| {
            if is_update(message) && earlier == 0 {
                let server = another.upgrade().unwrap();
                server.nsupdate(&format!("update add _x.{APEX}. 60 {line}"));
            }
            Verdict::Pass
        });
        let key = server.keys().0[0].clone();
        let provider = Setup::at(proxy.address().to_string(), key).build();
        let ours = Record::cname(format!("_x.{APEX}"), "target.example.net");
        let made = provider.ensure_present(&[ours]).await.remove(0);
        let error = made.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsafe, "{line}: {}", shown(&error));
        assert_eq!(
            server.axfr(APEX).len(),
            before + 1,
            "{line}: theirs alone came"
        );
    }
}
