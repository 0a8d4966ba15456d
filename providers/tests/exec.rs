//! A program that speaks protocol 2: CNAME records through it.
#![cfg(feature = "exec")]
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use prevalidate_providers::registry::ProviderSettings;
use prevalidate_providers::{ErrorKind, Provider, Record, RecordKind};
use serde_json::json;

/// The whole zone is one file with the target of one alias.
const PROGRAM: &str = r#"#!/bin/sh
request=$(cat)
text() { printf '%s' "$request" | sed -n "s/.*\"$1\":\[*\"\([^\"]*\)\".*/\1/p"; }
case $1 in
capabilities) echo "{\"protocol\": $PROTOCOL}" ;;
inspect)
    alias=$(cat "$ZONE" 2>/dev/null) && alias=", \"cname\": \"$alias\""
    echo "{\"names\": [{\"name\": \"$(text names)\", \"zone\": \"a.test\", \"ttl\": 300, \"records\": []$alias}]}"
    ;;
add) text target >"$ZONE" ;;
remove) [ "$(text target)" = "$(cat "$ZONE")" ] && rm "$ZONE" ;;
esac
"#;

struct Lab(PathBuf);

impl Lab {
    fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("prevalidate-exec-{:016x}", rand::random::<u64>()));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("program"), PROGRAM).unwrap();
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.join("program"), mode).unwrap();
        Self(folder)
    }

    fn provider(&self, protocol: u32) -> Arc<dyn Provider> {
        let table = json!({
            "kind": "exec",
            "program": self.0.join("program"),
            "environment": { "PROTOCOL": protocol.to_string(), "ZONE": self.0.join("zone") },
        });
        ProviderSettings::read(table.as_object().unwrap())
            .unwrap()
            .build()
            .unwrap()
    }

    fn target(&self) -> Option<String> {
        let text = std::fs::read_to_string(self.0.join("zone")).ok()?;
        Some(text.trim().to_owned())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn an_alias_comes_and_goes_through_a_program_of_protocol_2() {
    let lab = Lab::new();
    let provider = lab.provider(2);
    let ours = Record::cname("_x.a.test", "hash.ca.test.");
    let present = async |record: &Record| {
        let answers = provider.ensure_present(std::slice::from_ref(record)).await;
        answers.into_iter().next().unwrap()
    };
    let receipt = present(&ours).await.unwrap();
    assert!(receipt.changed && receipt.after.cname.as_deref() == Some("hash.ca.test"));
    assert_eq!(lab.target().as_deref(), Some("hash.ca.test"));
    assert!(!present(&ours).await.unwrap().changed);
    for record in [
        Record::cname("_x.a.test", "other.test"),
        Record::txt("_x.a.test", "value"),
    ] {
        let error = present(&record).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Unsafe, "{record}: {error}");
    }
    let absent = provider.ensure_absent(std::slice::from_ref(&ours)).await;
    assert!(absent[0].as_ref().unwrap().changed);
    assert_eq!(lab.target(), None);
    let apex = present(&Record::cname("a.test", "hash.ca.test")).await;
    assert_eq!(apex.unwrap_err().kind, ErrorKind::Unsafe);
    provider
        .preflight("_x.a.test", RecordKind::Cname)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_program_of_protocol_1_is_asked_for_no_alias() {
    let lab = Lab::new();
    let provider = lab.provider(1);
    let ours = Record::cname("_x.a.test", "hash.ca.test");
    let error = provider
        .ensure_present(&[ours])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Settings);
    assert!(error.hint.unwrap().contains("protocol 2"));
    assert_eq!(lab.target(), None);
}
