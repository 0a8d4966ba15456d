//! Wrong keys, wrong region, wrong account, several zones of one name: each names the setting to
//! repair and writes nothing.

use super::*;

async fn refused(provider: &dyn Provider) -> ProviderError {
    let error = provider.preflight(APEX, RecordKind::Txt).await.unwrap_err();
    let written = add(provider, APEX, "swiss-pki=wrong").await.unwrap_err();
    assert_eq!(written.kind, error.kind, "{}", shown(&written));
    assert!(
        !shown(&error).contains("wJalrXUtnFEMI"),
        "{}",
        shown(&error)
    );
    error
}

#[tokio::test]
async fn wrong_credentials_name_the_setting_to_mend_and_write_nothing() {
    let fake = prepared().await;
    let before = fake.dump(ZONE);
    let make = |key: &str, more: Value| provider_with(&fake, key, &more, None);
    for (provider, kind, words) in [
        (
            make("AKIAUNKNOWN", json!({})),
            ErrorKind::Denied,
            ["InvalidClientTokenId", "`access_key`"],
        ),
        (
            make(WRITER, json!({ "region": "eu-central-1" })),
            ErrorKind::Settings,
            ["'eu-central-1'", "`region`"],
        ),
        (
            make(OTHERS, json!({})),
            ErrorKind::NoZone,
            ["no public zone at all", "`access_key`"],
        ),
        (
            make(OTHERS, json!({ "zone_id": ZONE })),
            ErrorKind::Denied,
            ["AccessDenied", "route53:GetHostedZone"],
        ),
        (
            make(WRITER, json!({ "zone_id": "Z0UNKNOWN" })),
            ErrorKind::NoZone,
            ["NoSuchHostedZone", "`zone_id`"],
        ),
        (
            make(READER, json!({})),
            ErrorKind::Denied,
            ["AccessDenied", "route53:ChangeResourceRecordSets"],
        ),
    ] {
        let error = refused(&*provider).await;
        assert_eq!(error.kind, kind, "{}", shown(&error));
        for word in words {
            assert!(shown(&error).contains(word), "{word}: {}", shown(&error));
        }
    }
    for (code, message, kind, word) in [
        (
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match",
            ErrorKind::Denied,
            "`secret_key`",
        ),
        (
            "SignatureDoesNotMatch",
            "Signature expired: 20260101T000000Z is now earlier than",
            ErrorKind::ClockSkew,
            "NTP",
        ),
        (
            "ExpiredToken",
            "The security token included in the request is expired",
            ErrorKind::Denied,
            "log in again",
        ),
    ] {
        fake.fail_next(
            Operation::ListHostedZones,
            Fault::Refuse(403, code, message),
        );
        let error = provider(&fake, WRITER)
            .preflight(APEX, RecordKind::Txt)
            .await
            .unwrap_err();
        assert!(
            error.kind == kind && shown(&error).contains(word),
            "{}",
            shown(&error)
        );
    }
    assert_eq!(fake.dump(ZONE), before);
}

/// AWS explains a wrong signature with everything that was signed, the session's token included.
#[tokio::test]
async fn what_aws_repeats_of_a_request_is_not_told() {
    let fake = prepared().await;
    let said = "The request signature we calculated does not match the signature you provided.\n\nThe Canonical String for \
        this request should have been\n'POST\n/\n\nhost:x\nx-amz-security-token:C4N4RY'";
    for operation in [
        Operation::ListHostedZones,
        Operation::ChangeResourceRecordSets,
        Operation::AssumeRole,
    ] {
        let role = json!({ "role_arn": "arn:aws:iam::123456789012:role/prevalidate" });
        let more = if operation == Operation::AssumeRole {
            role
        } else {
            json!({})
        };
        fake.fail_next(operation, Fault::Refuse(403, "SignatureDoesNotMatch", said));
        let error = add(&*provider_with(&fake, WRITER, &more, None), APEX, "x")
            .await
            .unwrap_err();
        let text = shown(&error);
        assert!(
            text.contains("SignatureDoesNotMatch") && text.contains("we calculated"),
            "{text}"
        );
        assert!(
            !text.contains("C4N4RY") && !text.contains(char::is_control),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_closed_port_is_unavailable_and_the_error_says_where() {
    let fake = prepared().await;
    let provider = provider_with(
        &fake,
        WRITER,
        &json!({ "endpoint": "http://127.0.0.1:1" }),
        None,
    );
    let error = add(&*provider, APEX, "x").await.unwrap_err();
    assert!(
        error.kind == ErrorKind::Unavailable && error.message.contains("127.0.0.1:1"),
        "{}",
        shown(&error)
    );
}

fn live(servers: &[&str]) -> Option<LiveNameServers> {
    let servers: Vec<String> = servers.iter().map(|server| (*server).to_owned()).collect();
    Some(Arc::new(move |apex| {
        assert_eq!(apex, APEX);
        let servers = servers.clone();
        Box::pin(async move { Ok(servers) })
    }))
}

#[tokio::test]
async fn of_several_public_zones_of_one_name_the_live_one_is_written_and_a_private_one_never() {
    let fake = prepared().await;
    fake.zone("Z0AAASTALE", APEX, ACCOUNT);
    fake.zone("Z0PRIVATE", APEX, ACCOUNT);
    fake.with("Z0PRIVATE", |zone| zone.private = true);
    let untouched = (fake.dump("Z0AAASTALE"), fake.dump("Z0PRIVATE"));
    // It is not known which is live: both are listed, with what to compare.
    let blind: Option<LiveNameServers> = Some(Arc::new(|_| {
        Box::pin(async { Err("no root server answers".to_owned()) })
    }));
    for (live, why) in [
        (None, "nothing here can ask"),
        (blind, "no root server answers"),
        (
            live(&["ns1.elsewhere.test"]),
            "delegated to ns1.elsewhere.test",
        ),
        (
            live(&["ns-1.z0example.awsdns.test", "ns-1.z0aaastale.awsdns.test"]),
            "delegated to",
        ),
    ] {
        let error = refused(&*provider_with(&fake, WRITER, &json!({}), live)).await;
        assert_eq!(error.kind, ErrorKind::NoZone);
        for word in [
            ZONE,
            "Z0AAASTALE",
            "ns-1.z0example.awsdns.test",
            "ns-1.z0aaastale.awsdns.test",
            "`zone_id`",
            why,
        ] {
            assert!(shown(&error).contains(word), "{word}: {}", shown(&error));
        }
        assert!(!shown(&error).contains("Z0PRIVATE"), "{}", shown(&error));
    }
    let servers = ["ns-2.z0example.awsdns.test", "ns1.second-operator.test"];
    let provider = provider_with(&fake, WRITER, &json!({}), live(&servers));
    let receipt = add(&*provider, APEX, "swiss-pki=live").await.unwrap();
    assert_eq!(receipt.after.zone.id.as_deref(), Some(ZONE));
    // An explicit id wins over what is live.
    let provider = provider_with(
        &fake,
        WRITER,
        &json!({ "zone_id": "Z0AAASTALE" }),
        live(&servers),
    );
    assert_eq!(
        provider.find_zone(APEX).await.unwrap().id.as_deref(),
        Some("Z0AAASTALE")
    );
    assert_eq!((fake.dump("Z0AAASTALE"), fake.dump("Z0PRIVATE")), untouched);
    let error = refused(&*provider_with(
        &fake,
        WRITER,
        &json!({ "zone_id": "Z0PRIVATE" }),
        None,
    ))
    .await;
    assert!(
        error.kind == ErrorKind::Settings && shown(&error).contains("private"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn a_domain_that_only_a_private_zone_holds_is_in_no_zone_and_that_is_said() {
    let fake = prepared().await;
    fake.zone("Z0INSIDE", "inside.test", ACCOUNT);
    fake.with("Z0INSIDE", |zone| zone.private = true);
    let error = provider(&fake, WRITER)
        .find_zone("www.inside.test")
        .await
        .unwrap_err();
    assert!(
        error.kind == ErrorKind::NoZone && error.message.contains("inside.test is private"),
        "{}",
        shown(&error)
    );
}

#[tokio::test]
async fn a_role_is_assumed_with_its_external_id() {
    let fake = prepared().await;
    fake.expect_external_id("swordfish");
    let role = "arn:aws:iam::123456789012:role/prevalidate";
    let with = |external: &str| json!({ "role_arn": role, "external_id": external });
    let provider = provider_with(&fake, WRITER, &with("swordfish"), None);
    assert!(
        add(&*provider, APEX, "swiss-pki=role")
            .await
            .unwrap()
            .changed
    );
    assert_eq!(
        fake.calls(Operation::AssumeRole),
        1,
        "for all calls of the session"
    );
    let error = refused(&*provider_with(&fake, WRITER, &with("tuna"), None)).await;
    assert!(
        error.kind == ErrorKind::Denied && error.message.contains(role),
        "{}",
        shown(&error)
    );
    assert!(shown(&error).contains("`external_id`"), "{}", shown(&error));
}

/// Runs itself again as a process of its own, because the SDK reads the environment of the process.
#[tokio::test]
async fn credentials_come_from_profile_or_environment_and_a_profile_that_is_named_wins() {
    const ENDPOINT: &str = "PREVALIDATE_TEST_ROUTE53";
    const NAME: &str =
        "bad_input::credentials_come_from_profile_or_environment_and_a_profile_that_is_named_wins";
    if let Ok(table) = std::env::var(ENDPOINT) {
        let table: Value = serde_json::from_str(&table).unwrap();
        let provider = ProviderSettings::read(table.as_object().unwrap())
            .unwrap()
            .build()
            .unwrap();
        if let Err(error) = provider.preflight(APEX, RecordKind::Txt).await {
            panic!("REFUSED {}", shown(&error));
        }
        return;
    }
    let fake = prepared().await;
    let folder = Folder::new();
    let profile = |name: &str, key: &str| {
        format!("[{name}]\naws_access_key_id = {key}\naws_secret_access_key = secret\n")
    };
    folder.secret(
        "credentials",
        &(profile("dns", WRITER) + &profile("guest", READER)),
    );
    folder.secret("config", "");
    let run = async |table: Value, environment: &[(&str, &str)]| {
        let mut table = table;
        table.as_object_mut().unwrap().extend([
            ("kind".to_owned(), json!("route53")),
            ("endpoint".to_owned(), json!(fake.endpoint())),
        ]);
        let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
        child
            .args(["--exact", NAME, "--nocapture"])
            .env_clear()
            .env(ENDPOINT, table.to_string());
        child.env("AWS_SHARED_CREDENTIALS_FILE", folder.0.join("credentials"));
        child
            .env("AWS_CONFIG_FILE", folder.0.join("config"))
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let output = child
            .envs(environment.iter().copied())
            .output()
            .await
            .unwrap();
        let text =
            String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("running 1 test") || text.contains("REFUSED"),
            "{text}"
        );
        if output.status.success() {
            Ok(())
        } else {
            Err(text)
        }
    };
    run(json!({ "profile": "dns" }), &[]).await.unwrap();
    let keys = [
        ("AWS_ACCESS_KEY_ID", WRITER),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    run(json!({}), &keys).await.unwrap();
    run(json!({}), &[("AWS_PROFILE", "dns")]).await.unwrap();
    let error = run(json!({ "profile": "guest" }), &keys).await.unwrap_err();
    assert!(
        error.contains("AccessDenied") && error.contains("the profile \"guest\""),
        "{error}"
    );
    let error = run(json!({ "profile": "unknown" }), &keys)
        .await
        .unwrap_err();
    assert!(
        error.contains("Denied: no AWS credentials from the profile \"unknown\""),
        "{error}"
    );
    let error = run(json!({}), &[]).await.unwrap_err();
    assert!(
        error.contains("no AWS credentials from the credentials that the AWS SDK finds"),
        "{error}"
    );
}
