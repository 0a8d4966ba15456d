//! What an inventory has beside its domains, in a real store: machines, registrations that end,
//! persistent records, certificates, and a guard that refuses. For pages on which all of it is shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::issuing::Subject;
use prevalidate::certificates::{Access, KeyKind};
use prevalidate::clock::Clock as _;
use prevalidate::issuance::{Lead, Wanted as WantedOrder};
use prevalidate::overview::machines::{LastRun, note_daemon, note_run};
use prevalidate::persistent::{End, KeptHold, Wanted};
use prevalidate::prevalidation::{Mode, Policy};
use prevalidate::server::shared::Shared;
use prevalidate::store::orders::WantedCertificate;
use prevalidate::store::persistent::{PersistentClaim, PersistentWrite};
use prevalidate::worker::issue::{Certificate, IssueOptions, IssuePorts, Issuer, KeySource};
use prevalidate::worker::persist::RECORDS;
use prevalidate::worker::refusal_fact;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::inventory::{Inventory, name};

const ISSUER: &str = "ca.example";

impl Inventory {
    /// Puts it into the store, and takes a new snapshot.
    pub async fn beside(&self, shared: &Shared) {
        let now = self.clock.now();
        let hour = SignedDuration::from_hours(1);
        for (host, silent) in [("web1", 0), ("web2", 30)] {
            let seen_at = now - hour * silent;
            note_daemon(&*self.store, host, seen_at).await.unwrap();
        }
        let run = LastRun {
            host: "web1".to_owned(),
            ended_at: now - hour * 9,
            exit: 4,
        };
        note_run(&*self.store, &run).await.unwrap();

        let registration = |ends_at: Timestamp| json!({"asked_at": now, "ends_at": ends_at});
        let book = json!({
            "held.example": registration(now - hour * 24 * 3),
            "late.example": registration(now + hour * 24 * 12),
        })
        .to_string();
        self.store.set_fact("rdap", &book).await.unwrap();

        let refused = "5 of 6 records are not where they were";
        let fact = refusal_fact(RECORDS);
        self.store.set_fact(&fact, refused).await.unwrap();
        let names = ["held.example", "late.example", "marke2.test"];
        let mut live = (*shared.live()).clone();
        live.persistent = names.map(persistent).to_vec();
        shared.reload(live);
        self.hold_persistent("held.example", now).await;

        shared.keep_certificates(Arc::new(self.certificates(now).await));
        shared.read_again().await.unwrap();
    }

    async fn hold_persistent(&self, domain: &str, now: Timestamp) {
        let domain = name(domain);
        let claim = PersistentClaim {
            domain: &domain,
            issuer: ISSUER,
            holder: "test",
            now,
            lease: SignedDuration::from_hours(1),
        };
        let lease = self.store.claim_persistent(&claim).await.unwrap().unwrap();
        let mut kept = lease.row.kept;
        kept.hold = Some(KeptHold {
            since: now,
            kind: "caa".to_owned(),
            words: "the CAA records of held.example do not allow ca.example".to_owned(),
        });
        let write = PersistentWrite {
            fence: lease.fence,
            kept,
            events: Vec::new(),
            release: true,
            forget: false,
        };
        self.store.commit_persistent(&write).await.unwrap();
    }

    /// Two: one that was never ordered, and one that cannot be.
    async fn certificates(&self, now: Timestamp) -> Issuer {
        let names = ["www.held.example", "mail.late.example"];
        let wanted = names.map(|name| WantedCertificate {
            name: name.to_owned(),
            ca: "swisssign".to_owned(),
        });
        let orders = self.store.orders();
        orders.sync_certificates(&wanted, now).await.unwrap();
        let ports = IssuePorts {
            cas: BTreeMap::new(),
            issuers: BTreeMap::new(),
            providers: BTreeMap::new(),
            checker: None,
            store: Arc::clone(&self.store),
            clock: Arc::new(self.clock.clone()),
        };
        let fault = "its request has an RSA key of 1024 bits".to_owned();
        let options = IssueOptions {
            holder: "test".to_owned(),
            configuration: Default::default(),
            run: "test".to_owned(),
            only: None,
            lease: SignedDuration::from_mins(5),
            directory: std::env::temp_dir().join("prevalidate-no-such-directory"),
            home: "here".to_owned(),
            host: "machine".to_owned(),
            shares: true,
            hosts: BTreeMap::new(),
            faults: BTreeMap::from([(names[1].to_owned(), fault)]),
            lanes: 1,
            observes: true,
            orders: false,
            only_revokes: false,
        };
        Issuer::new(
            ports,
            Policy::new(Mode::Observe),
            names.map(certificate).to_vec(),
            options,
            CancellationToken::new(),
            Arc::new(|_| {}),
        )
    }
}

fn persistent(domain: &str) -> Wanted {
    Wanted {
        domain: name(domain),
        issuer: ISSUER.to_owned(),
        account: "https://ca.example/acct/123".to_owned(),
        end: End::Rolling {
            life: SignedDuration::from_hours(24 * 365),
            replace_before: SignedDuration::from_hours(24 * 60),
        },
        wildcard: false,
        provider: None,
        canary: SignedDuration::ZERO,
        is_canary: false,
    }
}

fn certificate(name: &str) -> Certificate {
    Certificate {
        wanted: WantedOrder {
            name: name.to_owned(),
            print: "first".to_owned(),
            renew_before: Lead::default(),
            deploys: false,
            keeps_key: false,
        },
        ca: "swisssign".to_owned(),
        client: None,
        product: "OV SSL Gold Multi-Domain".to_owned(),
        duplicate_of: None,
        validates_in_order: false,
        subject: Subject::Names(vec![name.to_owned()]),
        key: KeySource::Made(KeyKind::EcdsaP256),
        deploy: Vec::new(),
        deploy_timeout: Duration::from_secs(10),
        access: Access::default(),
        keep: 5,
        p12_password: None,
        term: None,
        comments: None,
        requester: None,
        fields: BTreeMap::new(),
        contact: None,
    }
}
