//! Settings that do not work and zones that do not count: nothing is written, and the setting to
//! repair is named.

use super::*;

/// Nothing was written, and the error says which setting to repair.
fn refuses(fake: &FakeCloudflare, error: &ProviderError, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind, kind, "{}", shown(error));
    assert!(
        words.iter().all(|word| shown(error).contains(word)),
        "{words:?} in {}",
        shown(error)
    );
    assert!(!shown(error).contains(TOKEN), "{}", shown(error));
    assert_eq!(writes(&fake.web.take_calls()), 0, "{}", shown(error));
}

#[tokio::test]
async fn a_wrong_token_and_one_with_a_line_end_name_the_setting() {
    let (fake, _) = prepared().await;
    let wrong = settings(&fake, json!({ "token": secret("wrong") })).unwrap();
    refuses(
        &fake,
        &add(&*wrong, APEX, "x").await.unwrap_err(),
        ErrorKind::Denied,
        &["`token`", "9109"],
    );
    for (text, words) in [
        (format!("{TOKEN}\\nsecond"), "line end"),
        (format!("Bearer {TOKEN}"), "blank"),
        (format!("\\\"{TOKEN}\\\""), "quotes"),
    ] {
        let error = settings(&fake, json!({ "token": secret(&text) })).unwrap_err();
        refuses(&fake, &error, ErrorKind::Settings, &["token:", words]);
    }
    for harmless in ["\\n", "\\n\\n", " \\r\\n"] {
        let text = secret(&format!("{TOKEN}{harmless}"));
        let good = settings(&fake, json!({ "token": text })).unwrap();
        good.preflight(APEX, RecordKind::Txt).await.unwrap();
        assert!(!format!("{good:?}").contains(TOKEN));
    }
}

#[tokio::test]
async fn a_token_that_may_only_read_fails_the_preflight() {
    let (fake, _) = prepared().await;
    fake.token(
        "reader",
        Token {
            edit: false,
            ..Token::FULL
        },
    );
    let reader = settings(&fake, json!({ "token": secret("reader") })).unwrap();
    let error = reader.preflight(APEX, RecordKind::Txt).await.unwrap_err();
    refuses(
        &fake,
        &error,
        ErrorKind::Denied,
        &["#dns_records:edit", "Zone / DNS / Edit", "`token`"],
    );
    let error = add(&*reader, APEX, "x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Denied && error.message.contains("10000"),
        "{}",
        shown(&error)
    );
    fake.token(
        "old",
        Token {
            status: "expired",
            ..Token::FULL
        },
    );
    let old = settings(&fake, json!({ "token": secret("old") })).unwrap();
    let error = old.preflight(APEX, RecordKind::Txt).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Denied && error.message.contains("expired"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn an_account_without_the_zone_says_what_it_shows() {
    let (fake, _) = prepared().await;
    let other = settings(
        &fake,
        json!({ "token": secret(TOKEN), "account_id": "acc2" }),
    )
    .unwrap();
    refuses(
        &fake,
        &add(&*other, APEX, "x").await.unwrap_err(),
        ErrorKind::NoZone,
        &["no zone at all", "`account_id`"],
    );
    let gone = settings(&fake, json!({ "token": secret(TOKEN), "zone_id": "0123" })).unwrap();
    refuses(
        &fake,
        &add(&*gone, APEX, "x").await.unwrap_err(),
        ErrorKind::NoZone,
        &["`zone_id`"],
    );
}

#[tokio::test]
async fn a_zone_for_which_cloudflare_does_not_answer_takes_nothing_and_still_gives_back() {
    let fake = FakeCloudflare::start().await;
    fake.token(TOKEN, Token::FULL);
    let ids = [
        fake.zone_with("paused.test", |zone| zone.paused = true),
        fake.zone_with("pending.test", |zone| zone.status = "pending"),
        fake.zone_with("partial.test", |zone| zone.kind = "partial"),
    ];
    let provider = provider(&fake);
    for (name, id) in ["paused", "pending", "partial"].into_iter().zip(ids) {
        let owner = format!("{name}.test");
        fake.put(&id, &owner, "TXT", 300, "\"swiss-pki=old\"");
        for attempt in [
            add(&*provider, &owner, "x").await.map(drop),
            provider.preflight(&owner, RecordKind::Txt).await.map(drop),
        ] {
            refuses(
                &fake,
                &attempt.unwrap_err(),
                ErrorKind::NoZone,
                &[name, "activate"],
            );
        }
        assert_eq!(
            provider.find_zone(&owner).await.unwrap().name_servers,
            ["amy.ns.cloudflare.test", "bob.ns.cloudflare.test"]
        );
        assert!(
            remove(&*provider, &owner, "swiss-pki=old")
                .await
                .unwrap()
                .changed
        );
        fake.web.take_calls();
    }
}

#[tokio::test]
async fn of_several_zones_with_one_name_the_active_one_is_taken_or_all_are_listed() {
    let (fake, _) = prepared().await;
    let other = fake.zone_with(APEX, |zone| {
        (zone.account, zone.status) = ("acc2".into(), "moved")
    });
    assert!(provider(&fake).find_zone(APEX).await.unwrap().id != Some(other));
    let third = fake.zone_with(APEX, |zone| zone.account = "acc3".into());
    let error = add(&*provider(&fake), APEX, "x").await.unwrap_err();
    refuses(
        &fake,
        &error,
        ErrorKind::NoZone,
        &[
            "acc1",
            "acc2",
            "moved",
            "acc3",
            "bob.ns.cloudflare.test",
            "`zone_id`",
        ],
    );
    for choice in [json!({ "account_id": "acc3" }), json!({ "zone_id": third })] {
        let mut table = json!({ "token": secret(TOKEN) });
        table
            .as_object_mut()
            .unwrap()
            .extend(choice.as_object().unwrap().clone());
        assert_eq!(
            settings(&fake, table)
                .unwrap()
                .find_zone(APEX)
                .await
                .unwrap()
                .id
                .as_ref(),
            Some(&third)
        );
    }
    let child = fake.zone("child.example.test");
    assert_eq!(
        provider(&fake)
            .find_zone("www.child.example.test")
            .await
            .unwrap()
            .id,
        Some(child),
        "the longest match"
    );
}

#[tokio::test]
async fn tokens_for_zones_and_for_records_may_differ_and_a_zone_id_makes_the_first_one_needless() {
    let (fake, zone) = prepared().await;
    fake.token(
        "zones",
        Token {
            read: false,
            edit: false,
            ..Token::FULL
        },
    );
    fake.token(
        "dns",
        Token {
            zones: false,
            ..Token::FULL
        },
    );
    let both = settings(
        &fake,
        json!({ "token": secret("dns"), "zone_token": secret("zones") }),
    )
    .unwrap();
    assert!(add(&*both, APEX, "swiss-pki=two").await.unwrap().changed);
    let proof = both.preflight(APEX, RecordKind::Txt).await.unwrap();
    assert!(
        proof
            .warnings
            .iter()
            .any(|warning| warning.contains("shows only when one is")),
        "{proof:?}"
    );
    let alone = settings(
        &fake,
        json!({ "token": secret("dns"), "zone_id": zone, "zone": APEX }),
    )
    .unwrap();
    assert!(
        remove(&*alone, APEX, "swiss-pki=two")
            .await
            .unwrap()
            .changed
    );
    fake.web.take_calls();
    let nameless = settings(&fake, json!({ "token": secret("dns"), "zone_id": zone })).unwrap();
    refuses(
        &fake,
        &add(&*nameless, APEX, "x").await.unwrap_err(),
        ErrorKind::Denied,
        &["`zone`"],
    );
    let crossed = settings(
        &fake,
        json!({ "token": secret(TOKEN), "zone_id": zone, "zone": "other.test" }),
    )
    .unwrap();
    refuses(
        &fake,
        &add(&*crossed, "other.test", "x").await.unwrap_err(),
        ErrorKind::Settings,
        &["other.test", APEX],
    );
}

#[tokio::test]
async fn a_token_of_an_account_is_verified_there_and_a_global_key_is_taken_with_a_warning() {
    let (fake, _) = prepared().await;
    fake.token(
        "owned",
        Token {
            of_account: true,
            ..Token::FULL
        },
    );
    let owned = settings(
        &fake,
        json!({ "token": secret("owned"), "account_id": "acc1" }),
    )
    .unwrap();
    assert!(
        owned
            .preflight(APEX, RecordKind::Txt)
            .await
            .unwrap()
            .warnings
            .is_empty()
    );
    let unclear = settings(&fake, json!({ "token": secret("owned") })).unwrap();
    assert!(
        unclear
            .preflight(APEX, RecordKind::Txt)
            .await
            .unwrap()
            .warnings[0]
            .contains("`account_id`")
    );
    fake.global_key("me@example.test", "globalkey");
    let key = settings(
        &fake,
        json!({ "email": "me@example.test", "global_key": secret("globalkey") }),
    )
    .unwrap();
    assert!(
        key.preflight(APEX, RecordKind::Txt).await.unwrap().warnings[0].contains("`global_key`")
    );
    assert!(add(&*key, APEX, "swiss-pki=key").await.unwrap().changed);
}

#[tokio::test]
async fn what_is_not_the_api_is_not_followed_and_not_believed() {
    let (fake, _) = prepared().await;
    let provider = provider(&fake);
    fake.fail("GET zones", Fault::Page(302));
    let error = provider.inspect(APEX).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Settings && shown(&error).contains("`url`"),
        "{}",
        shown(&error)
    );
    fake.fail("GET zones", Fault::Page(404));
    let error = provider.inspect(APEX).await.unwrap_err();
    assert!(
        error.is_retryable() && shown(&error).contains("text/html"),
        "{}",
        shown(&error)
    );
    fake.fail("POST", Fault::Page(302));
    assert_eq!(
        add(&*provider, APEX, "x").await.unwrap_err().kind,
        ErrorKind::Settings
    );
    // Its connection is kept alive, and answers no more.
    provider.inspect(APEX).await.unwrap();
    drop(fake);
    let error = provider.inspect(APEX).await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && shown(&error).contains("127.0.0.1"),
        "{}",
        shown(&error)
    );
}
