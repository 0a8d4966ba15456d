//! An inventory as an organisation has it after some months, in a real store: most domains valid,
//! some on their way, a few in trouble. For what is shown to people.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::ClientSelector;
use prevalidate::clock::{Clock as _, SimulatedClock};
use prevalidate::prevalidation::{
    Bogus, DomainName, Hold, LedgerEntry, LedgerState, Mode, Policy, Proof, RecordType,
    Registration, Sighting, Status, Token,
};
use prevalidate::server::access::Access;
use prevalidate::server::shared::{Live, Shared};
use prevalidate::store::{Claim, Event, Origin, Seen, Store, Wanted, Write};
use prevalidate::worker::{Target, unmanaged_fact};

/// What a CA or a stranger in DNS may say.
pub const EVIL: &str =
    "<script>alert(1)</script>\u{1b}[31m\u{202e}gnp.exe\u{0} \"quoted\" 'single' &amp;";

pub struct Inventory {
    pub store: Arc<dyn Store>,
    pub clock: SimulatedClock,
    pub targets: Vec<Target>,
}

pub fn name(text: &str) -> DomainName {
    DomainName::from_a_labels(text).unwrap()
}

fn days(count: i64) -> SignedDuration {
    SignedDuration::from_hours(24 * count)
}

impl Inventory {
    /// `count` domains of two clients, and next to them one for every kind of trouble.
    pub async fn of(store: Arc<dyn Store>, count: usize) -> Self {
        let inventory = Self::over(store);
        let now = inventory.clock.now();
        inventory.fill(count, now).await;
        if count > 0 {
            inventory.trouble(now).await;
        }
        inventory
    }

    /// What the store holds already.
    pub fn over(store: Arc<dyn Store>) -> Self {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let clients = ["Muster AG", "Stadtwerke & Söhne"];
        let targets = clients
            .map(|name| Target::new("swisssign", ClientSelector::Name(name.into())))
            .to_vec();
        Self {
            store,
            clock: SimulatedClock::at(now),
            targets,
        }
    }

    async fn fill(&self, count: usize, now: Timestamp) {
        let words = [
            "shop", "www", "mail", "intranet", "portal", "api", "static", "login",
        ];
        let domains: Vec<_> = (0..count)
            .map(|number| match number % 3 {
                0 => format!("{}-{number}.example", words[number % 8]),
                1 => format!("{}.standort-{number}.test", words[number % 8]),
                _ => format!("marke{number}.test"),
            })
            .collect();
        let (first, second): (Vec<_>, Vec<_>) = domains
            .iter()
            .enumerate()
            .partition(|(number, _)| number % 4 != 0);
        for (target, own) in self.targets.iter().zip([first, second]) {
            let seen = own.into_iter().map(|(number, domain)| {
                // Proofs of the last half year, no two alike.
                let age = days(1) * i32::try_from(number * 7 % 160).unwrap()
                    + SignedDuration::from_secs(number as i64);
                (
                    name(domain),
                    Some(now - age - SignedDuration::from_hours(2)),
                )
            });
            self.list(target, seen.collect(), now - SignedDuration::from_hours(3))
                .await;
        }
    }

    /// Has the inventory want these and the CA show them, each with a proof of its time, or
    /// without.
    pub async fn list(
        &self,
        target: &Target,
        seen: Vec<(DomainName, Option<Timestamp>)>,
        at: Timestamp,
    ) {
        let wanted = |(domain, _): &(DomainName, _)| Wanted {
            domain: domain.clone(),
            client: target.key.as_str().into(),
            ca: target.ca.as_str().into(),
            provider: Some("internal".into()),
        };
        self.store
            .want(
                Origin::Config,
                &seen.iter().map(wanted).collect::<Vec<_>>(),
                at,
            )
            .await
            .unwrap();
        let seen: Vec<_> = seen
            .into_iter()
            .map(|(domain, proved)| Seen {
                due_at: Some(proved.map_or(at, |proved| (proved + days(100)).max(at + days(9)))),
                changed: Some(Box::new(Sighting::Present(registration(
                    &domain, proved, at,
                )))),
                key: domain.into(),
            })
            .collect();
        self.store
            .record_listing(&target.key, &seen, at)
            .await
            .unwrap();
    }

    async fn trouble(&self, now: Timestamp) {
        let target = &self.targets[0];
        let hour = SignedDuration::from_hours(1);
        let fresh = Some(now - days(20));
        let old = Some(now - days(190));
        let cases = [
            ("held.example", old),
            ("evil.example", fresh),
            ("bogus.example", None),
            ("renewing.example", Some(now - days(175))),
            ("late.example", None),
            ("lapsed.example", Some(now - days(230))),
            ("pending.example", None),
            ("xn--bcher-kva.example", fresh),
            ("below.xn--bcher-kva.example", None),
            ("withdrawn.example", fresh),
        ];
        self.list(
            target,
            cases
                .iter()
                .map(|(domain, proved)| (name(domain), *proved))
                .collect(),
            now - hour * 3,
        )
        .await;
        let new = Wanted {
            domain: name("new.example"),
            client: target.key.as_str().into(),
            ca: target.ca.as_str().into(),
            provider: None,
        };
        self.store.want(Origin::Added, &[new], now).await.unwrap();
        self.store
            .set_fact(&unmanaged_fact(&target.key), "stranger.example")
            .await
            .unwrap();

        let hold = |reason: &str| {
            Some(Hold {
                since: now - hour * 30,
                reason: reason.to_owned(),
                again_at: now + hour * 5,
            })
        };
        self.change("held.example", now, |write| {
            write.upkeep.attempt.since = Some(now - hour * 30);
            write.upkeep.setback.hold = hold(
                "the key `acme` may not write this zone (REFUSED by ns1.example.net); allow it in the zone's policy",
            );
            let refused = "ns1.example.net refused the update: REFUSED";
            write.upkeep.setback.last_error = Some(refused.to_owned());
        })
        .await;
        self.change("evil.example", now, |write| {
            write.upkeep.attempt.since = Some(now - hour);
            write.upkeep.setback.hold = hold(EVIL);
            write.upkeep.setback.last_error = Some(EVIL.to_owned());
            write.sighting = Some((
                Sighting::Present(Registration {
                    last_words: Some(EVIL.to_owned()),
                    doubt: Some(EVIL.to_owned()),
                    reference: EVIL.to_owned(),
                    status: Status::Unknown(EVIL.to_owned()),
                    ..registration(&name("evil.example"), fresh, now)
                }),
                now,
            ));
            // A value comes from the CA's word only after that was checked; no text of PostgreSQL
            // holds a zero byte.
            write.ledger = vec![entry("evil.example", &EVIL.replace('\0', ""), now)];
            write.events = vec![event("evil.example", "failed", EVIL, now)];
        })
        .await;
        self.change("withdrawn.example", now, |write| {
            write.upkeep.withdrawn_at = Some(now - hour);
            write.upkeep.setback.hold = hold("withdrawn by hand");
        })
        .await;
        for (domain, waited, bogus) in [
            ("renewing.example", 0, false),
            ("late.example", 2, false),
            ("bogus.example", 26, true),
        ] {
            let value = format!("swiss-pki={domain}");
            self.change(domain, now, |write| {
                let since = now - hour * waited;
                write.upkeep.attempt.since = Some(since);
                write.upkeep.attempt.value = Some(value.clone());
                write.upkeep.wait.since = Some(since);
                write.upkeep.wait.subject = Some("ns3.example.net (stale)".to_owned());
                write.upkeep.setback.not_before = Some(now + SignedDuration::from_mins(4));
                write.upkeep.attempt.visibility.checks = 12;
                write.upkeep.wait.bogus = bogus.then(|| Bogus {
                    since,
                    fault: "the signature of the DNSKEY set of bogus.example. ended on 2026-11-20"
                        .to_owned(),
                });
                write.ledger = vec![entry(domain, &value, since)];
                write.events = vec![
                    event(domain, "registered", "cld-1234 at swisssign", since - hour),
                    event(
                        domain,
                        "published",
                        "swiss-pki=… at ns1.example.net, TTL 300 s",
                        since,
                    ),
                ];
            })
            .await;
        }
    }

    /// Writes into one row as a worker does.
    pub async fn change(&self, domain: &str, now: Timestamp, change: impl FnOnce(&mut Write)) {
        let only = [name(domain).into()];
        self.store.wake(&only, now).await.unwrap();
        let claim = Claim {
            holder: "test",
            now,
            lease: days(1),
            limit: 1,
            only: Some(&only),
            except_clients: &[],
        };
        let lease = self.store.claim(&claim).await.unwrap().remove(0);
        let mut write = Write {
            fence: lease.fence,
            sighting: None,
            upkeep: lease.row.upkeep,
            due_at: Some(now + SignedDuration::from_mins(4)),
            at_risk: None,
            ledger: Vec::new(),
            events: Vec::new(),
            effect: None,
            release: true,
        };
        change(&mut write);
        self.store
            .commit(&[write])
            .await
            .unwrap()
            .remove(0)
            .unwrap();
    }

    /// What the parts of a daemon share that keeps it validated; the snapshot is taken.
    pub async fn shared(&self, access: Access) -> Arc<Shared> {
        let live = Live {
            policy: Policy::new(Mode::Manage),
            targets: self.targets.clone(),
            providers: BTreeSet::from(["internal".to_owned()]),
            access,
            tls: None,
            domain_labels: 0,
            persistent: Vec::new(),
            hook_keys: Vec::new(),
        };
        let shared = Shared::new(Arc::clone(&self.store), Arc::new(self.clock.clone()), live);
        shared.read_again().await.unwrap();
        Arc::new(shared)
    }
}

fn registration(domain: &DomainName, proved: Option<Timestamp>, now: Timestamp) -> Registration {
    let made = proved.map_or(now - days(2), |at| at - SignedDuration::from_hours(1));
    Registration {
        reference: format!("cld-{:08x}", domain.as_str().len() * 7919),
        domain: domain.clone(),
        status: if proved.is_some() {
            Status::Valid
        } else {
            Status::Pending
        },
        proof: proved.map(|at| {
            Box::new(Proof {
                validated_at: Some(at),
                expires_at: Some(at + days(198)),
                method: Some("cabdns".to_owned()),
                first_seen: None,
                ends: Default::default(),
            })
        }),
        token: Some(Box::new(Token {
            value: format!("swiss-pki={domain}"),
            created_at: Some(made),
            expires_at: Some(made + days(30)),
            expired: false,
        })),
        remembered: false,
        challenge: None,
        order: None,
        is_summary: false,
        last_words: proved.is_none().then(|| "TXT record not found".to_owned()),
        doubt: None,
    }
}

fn entry(domain: &str, value: &str, since: Timestamp) -> LedgerEntry {
    LedgerEntry {
        id: i64::from(since.subsec_nanosecond()) + domain.bytes().map(i64::from).sum::<i64>(),
        key: DomainName::from_a_labels(domain).unwrap().into(),
        owner: domain.to_owned(),
        kind: RecordType::Txt,
        value: value.to_owned(),
        provider: "internal".to_owned(),
        zone: Some(domain.to_owned()),
        state: LedgerState::Published,
        ttl_before: Some(3600),
        negative_ttl: Some(300),
        created_at: since,
        published_at: Some(since),
        removal_tries: 0,
        retry_at: None,
    }
}

fn event(domain: &str, kind: &str, detail: &str, at: Timestamp) -> Event {
    Event {
        at,
        run: "serve-web1".to_owned(),
        domain: Some(name(domain)),
        client: None,
        kind: kind.to_owned(),
        detail: detail.to_owned(),
    }
}
