//! The whole life of a certificate, with a CA in memory that issues real ones: waiting, lost
//! answers, deaths at every call, wrong deliveries, renewal, revocation.

#![allow(clippy::unwrap_used)]

mod access;
mod answers;
mod by_hand;
mod deaths;
mod early;
mod found;
mod gone;
mod home;
mod left;
mod links;
mod live;
mod lost;
mod machines;
mod mailboxes;
mod mended;
mod moved;
mod nearby;
mod owner;
mod predecessors;
mod records;
mod records_seen;
mod renamed;
mod renewals;
mod restored;
mod returned;
mod revocations;
mod stores;
mod taken;
mod unnoted;
mod unusable;

use super::*;
use crate::ca::in_memory::{CLIENT, InMemory, Verb, Way};
use crate::ca::issuing::Subject;
use crate::ca::{ClientSelector, Failure, Issuing};
use crate::certificates::{Access, KeyKind};
use crate::clock::{Clock, SimulatedClock};
use crate::issuance::{Lead, OrderState, RevocationReason, Wanted};
use crate::prevalidation::{DomainName, Mode};
use crate::store::Store;
use crate::store::orders::WantedCertificate;
use crate::store::sqlite::SqliteStore;
use crate::worker::{Target, reference_fact};

const LEASE: SignedDuration = SignedDuration::from_secs(300);

struct World {
    clock: Arc<SimulatedClock>,
    ca: Arc<InMemory>,
    store: Arc<dyn Store>,
    folder: tempfile::TempDir,
}

impl World {
    async fn new() -> Self {
        let now = "2026-11-29T12:00:00Z".parse().unwrap();
        let clock = Arc::new(SimulatedClock::at(now));
        let store = SqliteStore::open("sqlite::memory:", None).await.unwrap();
        let target = Target::new("memory", ClientSelector::Reference(CLIENT.to_owned()));
        store
            .set_fact(&reference_fact(&target.key), CLIENT)
            .await
            .unwrap();
        let world = Self {
            ca: Arc::new(InMemory::new(Arc::clone(&clock) as Arc<dyn Clock>).unwrap()),
            clock,
            store: Arc::new(store),
            folder: tempfile::tempdir().unwrap(),
        };
        world.keep("example.ch", &target).await;
        world
    }

    /// The client keeps this domain from now on.
    async fn keep(&self, domain: &str, target: &Target) {
        let kept = [crate::store::Wanted {
            domain: DomainName::from_a_labels(domain).unwrap(),
            client: target.key.as_str().into(),
            ca: "memory".into(),
            provider: None,
        }];
        let (origin, now) = (crate::store::Origin::Config, self.clock.now());
        self.store.want(origin, &kept, now).await.unwrap();
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate {
            wanted: Wanted {
                name: name.to_owned(),
                print: "first".to_owned(),
                renew_before: Lead::default(),
                deploys: false,
                keeps_key: false,
            },
            ca: "memory".to_owned(),
            client: Some(Target::new(
                "memory",
                ClientSelector::Reference(CLIENT.to_owned()),
            )),
            product: "Memory SSL".to_owned(),
            duplicate_of: None,
            // A mailbox depends on no proof, but on a domain of the client.
            validates_in_order: false,
            subject: Subject::Mailbox {
                email: format!("{name}@example.ch"),
                first_name: None,
                last_name: None,
            },
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

    fn issuer(&self, ca: Arc<dyn Issuing>, certificates: Vec<Certificate>) -> Issuer {
        let ports = IssuePorts {
            cas: BTreeMap::new(),
            issuers: BTreeMap::from([("memory".to_owned(), ca)]),
            providers: BTreeMap::new(),
            checker: None,
            store: Arc::clone(&self.store),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        };
        let options = IssueOptions {
            holder: "test/1".to_owned(),
            configuration: "/etc/prevalidate/prevalidate.toml".into(),
            run: "test".to_owned(),
            only: None,
            lease: LEASE,
            directory: self.folder.path().join("certificates"),
            home: "here".to_owned(),
            host: "machine".to_owned(),
            shares: true,
            hosts: BTreeMap::new(),
            faults: BTreeMap::new(),
            lanes: 1,
            observes: false,
            orders: true,
            only_revokes: false,
        };
        let policy = Policy::new(Mode::Manage);
        let stop = CancellationToken::new();
        Issuer::new(ports, policy, certificates, options, stop, Arc::new(|_| {}))
    }

    async fn want(&self, certificates: &[Certificate]) {
        let wanted: Vec<_> = certificates
            .iter()
            .map(|one| WantedCertificate {
                name: one.wanted.name.clone(),
                ca: one.ca.clone(),
            })
            .collect();
        let orders = self.store.orders();
        orders
            .sync_certificates(&wanted, self.clock.now())
            .await
            .unwrap();
    }

    /// One run by a process of its own, for as long as this.
    async fn run(&self, certificates: &[Certificate], wait: i64) -> Issuer {
        self.want(certificates).await;
        let issuer = self.issuer(
            Arc::clone(&self.ca) as Arc<dyn Issuing>,
            certificates.to_vec(),
        );
        let over = CancellationToken::new();
        over.cancel();
        let deadline = self.clock.now() + SignedDuration::from_secs(wait);
        issuer.run(deadline, &over).await.unwrap();
        issuer
    }

    /// What a person orders; the next run does it.
    async fn by_hand(&self, wanted: &[Certificate], order: ByHand) -> Result<(), String> {
        let ca = Arc::clone(&self.ca) as Arc<dyn Issuing>;
        let issuer = self.issuer(ca, wanted.to_vec());
        let name = &wanted[0].wanted.name;
        let done = issuer.by_hand(name, order).await.unwrap();
        done.map_err(|refused| refused.why)
    }

    async fn row(&self, name: &str) -> CertificateRow {
        self.store
            .orders()
            .certificate(name)
            .await
            .unwrap()
            .unwrap()
    }

    async fn kinds(&self, name: &str) -> Vec<String> {
        let events = self.store.orders().certificate_history(name).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }

    /// The entries of the history, in their own words.
    async fn history(&self, name: &str) -> Vec<String> {
        let events = self.store.orders().certificate_history(name).await.unwrap();
        events.into_iter().map(|event| event.detail).collect()
    }

    fn live(&self, name: &str) -> Option<crate::certificates::folder::Live> {
        let directory = self.folder.path().join("certificates");
        let folder = Folder::at(&directory, name, Access::default());
        let live = folder.live().unwrap()?;
        let key = folder.key(live.version).unwrap().unwrap();
        assert_eq!(
            key.fingerprint(),
            live.facts.fingerprint,
            "the pair matches"
        );
        Some(live)
    }
}

#[tokio::test]
async fn a_certificate_is_ordered_installed_and_then_costs_no_call() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_secs(20));
    world.run(&wanted, 120).await;
    assert_eq!(world.live("joe").unwrap().version, 1);
    let kinds = world.kinds("joe").await;
    assert_eq!(
        kinds,
        [
            "key",
            "ordered",
            "waiting",
            "issued",
            "fetched",
            "installed"
        ]
    );
    let calls = world.ca.calls().len();
    world.run(&wanted, 120).await;
    assert_eq!(world.ca.calls().len(), calls, "a quiet run makes no call");
}

#[tokio::test]
async fn an_order_that_waits_is_no_failure_and_the_next_run_goes_on_with_it() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| {
        ca.becomes = OrderState::AwaitsPerson;
        ca.words = Some("approve it in the portal".to_owned());
    });
    world.run(&wanted, 60).await;
    let row = world.row("joe").await;
    assert_eq!((row.progress.failures, row.progress.hold), (0, None));
    assert!(world.live("joe").is_none());
    world.ca.change(|ca| ca.becomes = OrderState::Issued);
    world.run(&wanted, 1).await;
    assert!(world.live("joe").is_some(), "a run checks at once");
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn a_wrong_delivery_is_held_with_the_old_pair_untouched_and_orders_nothing() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.run(&wanted, 60).await;
    let before = world.live("joe").unwrap();
    world.ca.change(|ca| ca.for_another_key = true);
    world.clock.advance(SignedDuration::from_hours(24 * 70));
    world.run(&wanted, 60).await;
    let row = world.row("joe").await;
    let hold = row.progress.hold.unwrap();
    assert!(hold.words.contains("another key"), "{}", hold.words);
    assert_eq!(world.live("joe").unwrap(), before);
    assert_eq!(world.ca.held().len(), 2);
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2, "nothing is ordered by itself");

    // A person orders a new one.
    world.ca.change(|ca| ca.for_another_key = false);
    let issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    issuer.by_hand("joe", ByHand::Again).await.unwrap().unwrap();
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 3);
    assert!(world.live("joe").unwrap().version > before.version);
}

#[tokio::test]
async fn a_refusal_is_held_with_the_words_of_the_ca_and_the_others_go_on() {
    let world = World::new().await;
    let wanted = [world.certificate("ann"), world.certificate("joe")];
    let words = "the product is retired".to_owned();
    world.ca.next(
        Verb::Preflight,
        Way::Refused(Failure::Refused, words.clone()),
    );
    world.run(&wanted, 60).await;
    let [ann, joe] = [world.row("ann").await, world.row("joe").await];
    let held = [&ann, &joe].map(|row| row.progress.hold.as_ref().map(|hold| hold.words.clone()));
    assert_eq!(held.iter().flatten().collect::<Vec<_>>(), [&words]);
    assert_eq!(world.ca.held().len(), 1);
    let calls = world.ca.calls().len();
    world.run(&wanted, 60).await;
    assert_eq!(
        world.ca.calls().len(),
        calls,
        "a refusal is not asked for again"
    );
}

#[tokio::test]
async fn an_account_that_is_refused_stops_all_of_its_certificates_and_holds_none() {
    let world = World::new().await;
    let wanted = [world.certificate("ann"), world.certificate("joe")];
    let refused = Way::Refused(Failure::Unauthenticated, "wrong password".to_owned());
    world.ca.next(Verb::Preflight, refused);
    let issuer = world.run(&wanted, 60).await;
    assert_eq!(issuer.refusing_accounts().len(), 1);
    assert_eq!(
        world.ca.count(Verb::Preflight),
        1,
        "the account is left alone"
    );
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 2, "and continues when it can");
}

#[tokio::test]
async fn an_order_that_the_ca_rejects_is_held_and_not_made_again() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.ca.change(|ca| {
        ca.becomes = OrderState::Rejected;
        ca.words = Some("not this organisation".to_owned());
    });
    world.run(&wanted, 60).await;
    let hold = world.row("joe").await.progress.hold.unwrap();
    assert!(
        hold.words.contains("not this organisation"),
        "{}",
        hold.words
    );
    world.run(&wanted, 60).await;
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_certificate_of_45_seconds_is_renewed_with_15_seconds_left() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world
        .ca
        .change(|ca| ca.life = SignedDuration::from_secs(45));
    world.run(&wanted, 1).await;
    let first = world.live("joe").unwrap();
    world
        .clock
        .set(first.facts.not_before + SignedDuration::from_secs(29));
    world.run(&wanted, 0).await;
    assert_eq!(world.live("joe").unwrap(), first, "not a second too early");
    world
        .clock
        .set(first.facts.not_before + SignedDuration::from_secs(30));
    world.run(&wanted, 5).await;
    assert_eq!(world.live("joe").unwrap().version, 2);
    let directory = world.folder.path().join("certificates");
    let folder = Folder::at(&directory, "joe", Access::default());
    let [one, two] = [1, 2].map(|version| folder.key(version).unwrap().unwrap().fingerprint());
    assert_ne!(one, two, "a new key at each renewal");
}

#[tokio::test]
async fn a_deploy_program_runs_once_for_a_change_and_again_after_its_failure() {
    let world = World::new().await;
    let mut one = world.certificate("joe");
    let out = world.folder.path().join("out");
    let marker = world.folder.path().join("works");
    let script = format!(
        "test -e {marker} || exit 7; echo x >> {out}",
        marker = marker.display(),
        out = out.display()
    );
    one.wanted.deploys = true;
    one.deploy = vec!["/bin/sh".to_owned(), "-c".to_owned(), script];
    let wanted = [one];
    world.run(&wanted, 60).await;
    let open = world.row("joe").await.progress.deployment.unwrap();
    assert!(open.trouble.unwrap().contains("exit status: 7"));
    assert!(
        world.live("joe").is_some(),
        "the certificate is installed all the same"
    );
    std::fs::write(&marker, "").unwrap();
    for _ in 0..2 {
        world.run(&wanted, 60).await;
        assert_eq!(std::fs::read_to_string(&out).unwrap(), "x\n");
    }
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn a_revocation_is_read_back_also_when_its_answer_was_lost() {
    for lost in [false, true] {
        let world = World::new().await;
        let wanted = [world.certificate("joe")];
        world.run(&wanted, 60).await;
        if lost {
            world.ca.next(Verb::Revoke, Way::AnswerLost);
        }
        let issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
        let order = ByHand::Revoke {
            reason: RevocationReason::Superseded,
            requestor: "prevalidate".to_owned(),
        };
        issuer.by_hand("joe", order).await.unwrap().unwrap();
        world.run(&wanted, 60).await;
        let row = world.row("joe").await;
        assert!(
            row.progress.installed.unwrap().revoked_at.is_some(),
            "{lost}"
        );
        assert_eq!(row.progress.revocation, None);
        world.run(&wanted, 60).await;
        assert_eq!(world.ca.held().len(), 1, "a person decides on the next one");
    }
}

#[tokio::test]
async fn a_policy_that_only_observes_orders_nothing_in_a_run_or_a_daemon() {
    let world = World::new().await;
    let wanted = [world.certificate("joe")];
    world.want(&wanted).await;
    let mut issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    issuer.options.observes = true;
    assert!(issuer.is_idle());
    assert_eq!(issuer.tend(true).await.unwrap(), None);
    let over = CancellationToken::new();
    over.cancel();
    let deadline = world.clock.now() + SignedDuration::from_secs(60);
    issuer.run(deadline, &over).await.unwrap();
    issuer
        .by_hand("joe", ByHand::Again)
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(world.ca.calls(), []);
    assert_eq!(world.kinds("joe").await, [] as [&str; 0]);
    assert_eq!(world.row("joe").await.progress, Default::default());
    assert!(!world.folder.path().join("certificates").exists());

    // The same certificate is ordered once the policy manages.
    issuer.options.observes = false;
    issuer.tend(true).await.unwrap();
    assert_eq!(world.ca.held().len(), 1);
}
