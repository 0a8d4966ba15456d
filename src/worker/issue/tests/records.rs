//! Orders that bring records for DNS with them.

use async_trait::async_trait;
use prevalidate_providers::Provider;
use prevalidate_providers::memory::{MemoryProvider, MemoryZones};

use super::*;
use crate::prevalidation::{Challenge, Counts};
use crate::propagation::{DnsChecker, GateMode, Question, Verdict, Wanted as DnsWanted};

/// A gate that sees what is in the zones.
#[derive(Debug)]
pub(super) struct Gate(pub(super) MemoryZones);

#[async_trait]
impl DnsChecker for Gate {
    async fn check(&self, question: &Question<'_>) -> Verdict {
        let owner = question.owner();
        let go = match question.wanted {
            DnsWanted::Txt(value) => self
                .0
                .values(owner.as_str())
                .contains(&value.as_bytes().to_vec()),
            DnsWanted::Cname(target) => self.0.cname(owner.as_str()).as_deref() == Some(target),
        };
        Verdict::new(GateMode::default(), go, String::new())
    }
}

/// A certificate for a name of a zone, and the job that writes the zone.
pub(super) async fn office(
    world: &World,
    zones: &MemoryZones,
    in_order: bool,
) -> (Issuer, Certificate) {
    let domain = DomainName::from_a_labels("example.ch").unwrap();
    let by = Counts::Published;
    world.ca.change(|ca| {
        ca.wants = crate::ca::issuing::Wanted {
            challenges: vec![
                Challenge::txt(&domain, "_dnsauth.example.ch", "a-value", by).unwrap(),
                Challenge::cname(&domain, "_abc.www.example.ch", "target.ca.test", by).unwrap(),
            ],
            answer: Some("opaque".to_owned()),
        };
    });
    let mut one = world.certificate("www");
    one.validates_in_order = in_order;
    one.subject = Subject::Names(vec!["www.example.ch".to_owned()]);
    world.want(std::slice::from_ref(&one)).await;
    (job(world, zones, &one), one)
}

pub(super) fn job(world: &World, zones: &MemoryZones, one: &Certificate) -> Issuer {
    let mut issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, vec![one.clone()]);
    let provider = Arc::new(MemoryProvider::new(zones.clone())) as Arc<dyn Provider>;
    issuer.ports.providers = BTreeMap::from([("memory".to_owned(), provider)]);
    issuer.ports.checker = Some(Arc::new(Gate(zones.clone())));
    issuer
}

pub(super) async fn go(world: &World, issuer: &Issuer, seconds: i64) {
    let over = CancellationToken::new();
    over.cancel();
    let deadline = world.clock.now() + SignedDuration::from_secs(seconds);
    issuer.run(deadline, &over).await.unwrap();
}

/// Where each of these events is in the history.
async fn places<const N: usize>(world: &World, kinds: [&str; N]) -> [usize; N] {
    let all = world.kinds("www").await;
    kinds.map(|kind| {
        let at = all.iter().position(|one| one == kind);
        at.unwrap_or_else(|| panic!("no `{kind}` in {all:?}"))
    })
}

#[tokio::test]
async fn records_of_an_order_are_visible_before_it_is_made_and_gone_afterwards() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    let (issuer, _) = office(&world, &zones, true).await;
    go(&world, &issuer, 60).await;
    assert!(world.live("www").is_some());
    let [visible, ordered, issued, removed] =
        places(&world, ["visible", "ordered", "issued", "removed"]).await;
    assert!(visible < ordered && issued < removed);
    let kinds = world.kinds("www").await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "removed").count(), 2);
    assert!(zones.values("_dnsauth.example.ch").is_empty());
    assert_eq!(zones.cname("_abc.www.example.ch"), None);
    let held = world.ca.held();
    assert_eq!(held[0].intent.answer.as_deref(), Some("opaque"));
}

#[tokio::test]
async fn records_that_the_ca_names_after_the_order_are_checked_once_visible_and_leave() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world.ca.change(|ca| ca.brings_records = true);
    let (issuer, _) = office(&world, &zones, false).await;
    go(&world, &issuer, 60).await;
    assert!(
        world.live("www").is_some(),
        "no proof of a domain is waited for"
    );
    let [ordered, visible, issued, removed] =
        places(&world, ["ordered", "visible", "issued", "removed"]).await;
    assert!(ordered < visible && visible < issued && issued < removed);
    assert_eq!(world.ca.count(Verb::CheckRecords), 1, "once they are there");
    assert!(zones.values("_dnsauth.example.ch").is_empty());
    assert_eq!(zones.cname("_abc.www.example.ch"), None);
}

#[tokio::test]
async fn a_ca_that_refuses_to_check_records_is_asked_about_the_order() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world.ca.change(|ca| ca.brings_records = true);
    let (issuer, _) = office(&world, &zones, false).await;
    let way = Way::Refused(Failure::Forbidden, "not with this key".to_owned());
    world.ca.next(Verb::CheckRecords, way);
    go(&world, &issuer, 60).await;
    let calls: Vec<_> = world.ca.calls().iter().map(|call| call.verb).collect();
    let asked = calls.iter().position(|verb| *verb == Verb::CheckRecords);
    let next = calls.get(asked.unwrap() + 1);
    assert_eq!(
        next,
        Some(&Verb::Read),
        "it checks by itself too: {calls:?}"
    );
}

#[tokio::test]
async fn a_record_that_an_order_wants_no_more_leaves_and_an_answer_that_was_lost_costs_nothing() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world.ca.change(|ca| ca.brings_records = true);
    let (mut issuer, one) = office(&world, &zones, false).await;
    world.ca.next(Verb::Submit, Way::AnswerLost);
    // These name servers do not have it.
    issuer.ports.checker = Some(Arc::new(Gate(MemoryZones::new())));
    go(&world, &issuer, 30).await;
    assert_eq!(zones.values("_dnsauth.example.ch"), [b"a-value".to_vec()]);
    assert!(world.live("www").is_none());
    assert_eq!(world.ca.count(Verb::CheckRecords), 0);
    // The value ended, and the CA names another one.
    let domain = DomainName::from_a_labels("example.ch").unwrap();
    let other = Challenge::txt(&domain, "_dnsauth.example.ch", "another", Counts::Published);
    world
        .ca
        .change(|ca| ca.wants.challenges = vec![other.unwrap()]);
    go(&world, &job(&world, &zones, &one), 3_600).await;
    assert!(world.live("www").is_some());
    assert_eq!(world.ca.held().len(), 1, "one order");
    let published = world.history("www").await;
    assert!(
        published.iter().any(|told| told.contains("another")),
        "{published:?}"
    );
    assert!(zones.values("_dnsauth.example.ch").is_empty());
    assert_eq!(zones.cname("_abc.www.example.ch"), None);
}

#[tokio::test]
async fn records_leave_dns_when_the_order_ends_that_the_configuration_names_no_more() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_hours(1));
    let (issuer, one) = office(&world, &zones, true).await;
    go(&world, &issuer, 60).await;
    assert_eq!(zones.values("_dnsauth.example.ch").len(), 1);
    let mut without = job(&world, &zones, &one);
    without.certificates.clear();
    world.want(&[]).await;
    go(&world, &without, 60).await;
    assert_eq!(zones.values("_dnsauth.example.ch").len(), 1, "it is open");
    world.clock.advance(SignedDuration::from_hours(1));
    go(&world, &without, 60).await;
    assert!(zones.values("_dnsauth.example.ch").is_empty());
    assert_eq!(zones.cname("_abc.www.example.ch"), None);
    assert_eq!(world.ca.held().len(), 1);
}

#[tokio::test]
async fn records_of_an_order_that_was_never_made_leave_dns_with_the_certificate() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    let (issuer, one) = office(&world, &zones, true).await;
    let refused = Way::Refused(Failure::Unavailable, "no".to_owned());
    for _ in 0..3 {
        world.ca.next(Verb::Submit, refused.clone());
    }
    go(&world, &issuer, 0).await;
    assert_eq!(zones.values("_dnsauth.example.ch").len(), 1);
    let mut without = job(&world, &zones, &one);
    without.certificates.clear();
    world.want(&[]).await;
    go(&world, &without, 60).await;
    assert!(zones.values("_dnsauth.example.ch").is_empty());
    assert_eq!(world.ca.held().len(), 0);
    assert_eq!(world.row("www").await.progress.order, None);
}
