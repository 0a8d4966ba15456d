//! RFC 2136 below a wildcard that has TXT: what is made up from it and what a name has of its own
//! the same.

use prevalidate_providers::{ErrorKind, Provider, ProviderError, Receipt, Record, RecordKind};

use super::{APEX, Setup, add, shown};
use crate::support::proxy::{Proxy, Verdict};
use crate::support::{Keys, NameServer, Zone};

/// The usual set-up against spoofing: the wildcard and the names that exist say the same, with one
/// TTL. `token` has a CA's value of its own that the wildcard has too.
fn spoof_proof_zone() -> Zone {
    let names = ["*", "shop", "mail", "*.token", "own.token"].map(|name| {
        let value = if name.ends_with("token") {
            "swiss-pki=everywhere"
        } else {
            "v=spf1 -all"
        };
        format!("{name} 1200 TXT \"{value}\"\n")
    });
    Zone::new(APEX, &names.concat())
}

async fn remove(
    provider: &dyn Provider,
    owner: &str,
    value: &str,
) -> Result<Receipt, ProviderError> {
    provider
        .ensure_absent(&[Record::txt(owner, value)])
        .await
        .remove(0)
}

#[tokio::test]
async fn a_name_that_says_what_its_wildcard_says_takes_a_value_and_keeps_its_own() {
    for start in [NameServer::bind, NameServer::knot, NameServer::pdns] {
        let server = start(&[spoof_proof_zone()], &Keys::of(&["prevalidate"]));
        let (provider, before) = (Setup::of(&server).build(), server.axfr(APEX));
        let (owner, value) = ("shop.example.test", "swiss-pki=shop");
        provider
            .preflight(owner, RecordKind::Txt)
            .await
            .unwrap_or_else(|error| panic!("{}", shown(&error)));
        assert_eq!(server.axfr(APEX), before);
        for _ in 0..2 {
            let receipt = add(&*provider, owner, value)
                .await
                .unwrap_or_else(|error| panic!("{}", shown(&error)));
            assert!(receipt.before.holds("v=spf1 -all") && receipt.after.holds(value));
            assert_eq!(
                (receipt.before.ttl, receipt.after.ttl),
                (Some(1200), Some(1200))
            );
            let line = |value: &str| format!("{owner}. 1200 IN TXT \"{value}\"");
            let mut with_ours = before.clone();
            with_ours.push(line(value));
            with_ours.sort();
            assert_eq!(server.axfr(APEX), with_ours);
            provider.preflight(owner, RecordKind::Txt).await.unwrap();
        }
        let receipt = remove(&*provider, owner, value)
            .await
            .unwrap_or_else(|error| panic!("{}", shown(&error)));
        assert!(receipt.changed && receipt.after.holds("v=spf1 -all"));
        assert_eq!(receipt.after.ttl, Some(1200));
        assert!(!remove(&*provider, owner, value).await.unwrap().changed);
        assert_eq!(server.axfr(APEX), before);
        // Several names in one message.
        let values = ["shop", "mail"].map(|name| Record::txt(format!("{name}.{APEX}"), value));
        assert!(
            provider
                .ensure_present(&values)
                .await
                .iter()
                .all(|result| result.as_ref().unwrap().changed)
        );
        assert!(
            provider
                .ensure_absent(&values)
                .await
                .iter()
                .all(|result| result.as_ref().unwrap().changed)
        );
        assert_eq!(server.axfr(APEX), before);
    }
}

#[tokio::test]
async fn a_value_that_the_wildcard_has_too_is_removed_at_the_name_and_nowhere_else() {
    for start in [NameServer::bind, NameServer::knot, NameServer::pdns] {
        let server = start(&[spoof_proof_zone()], &Keys::of(&["prevalidate"]));
        let (provider, before) = (Setup::of(&server).build(), server.axfr(APEX));
        let value = "swiss-pki=everywhere";
        assert!(
            !remove(&*provider, "unknown.token.example.test", value)
                .await
                .unwrap()
                .changed
        );
        assert_eq!(server.axfr(APEX), before);
        assert!(
            !add(&*provider, "own.token.example.test", value)
                .await
                .unwrap()
                .changed
        );
        assert!(
            remove(&*provider, "own.token.example.test", value)
                .await
                .unwrap()
                .changed
        );
        let without: Vec<_> = before
            .iter()
            .filter(|line| !line.starts_with("own.token"))
            .cloned()
            .collect();
        assert_eq!(server.axfr(APEX), without);
    }
}

#[tokio::test]
async fn a_name_that_only_a_txt_wildcard_answers_for_is_refused_by_preflight_and_publish() {
    for start in [NameServer::bind, NameServer::knot, NameServer::pdns] {
        let server = start(&[spoof_proof_zone()], &Keys::of(&["prevalidate"]));
        let (provider, before) = (Setup::of(&server).build(), server.axfr(APEX));
        let owner = "unknown.example.test";
        for error in [
            provider
                .preflight(owner, RecordKind::Txt)
                .await
                .unwrap_err(),
            add(&*provider, owner, "x").await.unwrap_err(),
        ] {
            assert!(
                error.kind == ErrorKind::Unsafe && error.message.contains("wildcard"),
                "{}",
                shown(&error)
            );
        }
        assert_eq!(server.axfr(APEX), before);
    }
}

#[tokio::test]
async fn a_preflight_requires_what_the_publish_requires() {
    let server = NameServer::bind(&[spoof_proof_zone()], &Keys::of(&["prevalidate"]));
    let proxy = Proxy::before(server.address(), |_, _| Verdict::Pass);
    let provider = Setup::at(proxy.address().to_string(), server.keys().0[0].clone()).build();
    for owner in ["shop.example.test", APEX, "unknown.example.test"] {
        let earlier = proxy.updates().len();
        let preflight = provider.preflight(owner, RecordKind::Txt).await;
        let between = proxy.updates().len();
        assert_eq!(
            preflight.is_ok(),
            add(&*provider, owner, "swiss-pki=x").await.is_ok()
        );
        let required: Vec<_> = proxy
            .updates()
            .iter()
            .map(|update| update.answers.clone())
            .collect();
        assert_eq!(required[earlier..between], required[between..], "{owner}");
    }
}
