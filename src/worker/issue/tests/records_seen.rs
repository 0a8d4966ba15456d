//! Records of orders that are removed, lead elsewhere, cannot be written, or cannot be removed.

use prevalidate_providers::memory::MemoryFault;

use super::records::{Gate, go, job, office};
use super::*;
use crate::issuance::progress::RecordState;
use crate::prevalidation::RecordName;
use crate::propagation::{DnsChecker, Question, Verdict};
use prevalidate_providers::Provider;
use prevalidate_providers::memory::{MemoryProvider, MemoryZones};

const OWNER: &str = "_dnsauth.example.ch";
const BELOW: &str = "_abc.www.example.ch";

fn has_both(zones: &MemoryZones) -> bool {
    !zones.values(OWNER).is_empty() && zones.cname(BELOW).is_some()
}

#[tokio::test]
async fn a_record_that_vanishes_while_its_order_is_open_is_put_back() {
    for in_order in [true, false] {
        let world = World::new().await;
        let zones = MemoryZones::new().with_zone("example.ch");
        world.ca.change(|ca| {
            ca.brings_records = !in_order;
            ca.works_for = SignedDuration::from_mins(20);
        });
        let (issuer, _) = office(&world, &zones, in_order).await;
        // This CA does not see them yet.
        for _ in 0..100 {
            let way = Way::Refused(Failure::Refused, "not seen".to_owned());
            world.ca.next(Verb::CheckRecords, way);
        }
        go(&world, &issuer, 120).await;
        assert!(has_both(&zones), "{in_order}");
        zones.take(OWNER, "a-value");
        zones.take_cname(BELOW);
        go(&world, &issuer, 300).await;
        assert!(
            has_both(&zones),
            "{in_order}: {:?}",
            world.history("www").await
        );
        let kinds = world.kinds("www").await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "vanished").count(), 2);
        world.ca.forgive();
        go(&world, &issuer, 3600).await;
        assert!(world.live("www").is_some());
        assert!(!has_both(&zones) && zones.values(OWNER).is_empty());
    }
}

#[tokio::test]
async fn each_run_checks_the_records_although_the_ca_named_a_later_moment() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    let day = SignedDuration::from_hours(24);
    world.ca.change(|ca| {
        ca.works_for = day;
        ca.goes_on_after = Some(day);
    });
    let (issuer, one) = office(&world, &zones, true).await;
    go(&world, &issuer, 120).await;
    assert!(has_both(&zones));
    let order = world.row("www").await.progress.order.unwrap();
    assert!(order.next_read_is_from_ca, "{order:?}");
    world.clock.advance(SignedDuration::from_mins(5));
    let calls = world.ca.calls().len();
    go(&world, &job(&world, &zones, &one), 60).await;
    assert_eq!(world.ca.calls().len(), calls, "the CA named its moment");
    zones.take(OWNER, "a-value");
    zones.take_cname(BELOW);
    world.clock.advance(SignedDuration::from_mins(5));
    go(&world, &job(&world, &zones, &one), 60).await;
    assert!(has_both(&zones), "{:?}", world.history("www").await);
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn a_record_that_vanishes_before_every_name_server_has_it_is_written_again() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    let (mut issuer, one) = office(&world, &zones, true).await;
    issuer.ports.checker = Some(Arc::new(Gate(MemoryZones::new())));
    go(&world, &issuer, 30).await;
    assert!(has_both(&zones));
    zones.take(OWNER, "a-value");
    go(&world, &issuer, 120).await;
    assert!(has_both(&zones));
    let writes = zones.calls("ensure_present");
    assert!(
        writes < 12,
        "asked each minute, not at each check: {writes}"
    );
    go(&world, &job(&world, &zones, &one), 60).await;
    assert!(world.live("www").is_some());
}

#[tokio::test]
async fn records_of_an_open_order_stay_while_the_configuration_names_it_no_more() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_hours(3));
    let (issuer, one) = office(&world, &zones, true).await;
    go(&world, &issuer, 60).await;
    assert!(has_both(&zones));
    let mut other = world.certificate("other");
    other.wanted.print = "second".to_owned();
    world.want(std::slice::from_ref(&other)).await;
    go(&world, &job(&world, &zones, &other), 60).await;
    assert!(has_both(&zones), "it is paid, and the CA may still check");
    assert!(
        world.row("www").await.progress.order.is_some(),
        "the CA has it"
    );
    // A person removes one: the CA is not asked in a loop, and nothing is written.
    zones.take(OWNER, "a-value");
    let asked = world.ca.count(Verb::Read);
    go(&world, &job(&world, &zones, &other), 120).await;
    let asked = world.ca.count(Verb::Read) - asked;
    assert!((1..20).contains(&asked), "{asked}");
    assert!(zones.values(OWNER).is_empty());
    // Wanted again, it continues, with its records.
    world.want(std::slice::from_ref(&one)).await;
    go(&world, &job(&world, &zones, &one), 60).await;
    assert!(has_both(&zones));
}

/// A gate that follows one alias, and sees what is in the zones.
#[derive(Debug)]
struct Follows(MemoryZones, &'static str, &'static str);

#[async_trait::async_trait]
impl DnsChecker for Follows {
    async fn check(&self, question: &Question<'_>) -> Verdict {
        let owner = question.owner();
        let end = match owner.as_str() == self.1 && question.follows() {
            true => RecordName::parse(self.2).unwrap(),
            false => owner,
        };
        let question = Question {
            owner: Some(&end),
            ..*question
        };
        Gate(self.0.clone()).check(&question).await
    }

    async fn target(&self, owner: &RecordName) -> Result<RecordName, String> {
        match owner.as_str() == self.1 {
            true => Ok(RecordName::parse(self.2).unwrap()),
            false => Ok(owner.clone()),
        }
    }
}

#[tokio::test]
async fn a_record_of_an_order_is_written_where_an_alias_of_its_name_leads() {
    let small = "_dnsauth.small.test";
    for follows in [true, false] {
        let world = World::new().await;
        let zones = MemoryZones::new()
            .with_zone("example.ch")
            .with_zone("small.test");
        world
            .ca
            .change(|ca| ca.works_for = SignedDuration::from_hours(3));
        let (mut issuer, _) = office(&world, &zones, true).await;
        issuer.ports.checker = Some(Arc::new(Follows(zones.clone(), OWNER, small)));
        issuer.policy.follow_aliases = follows;
        go(&world, &issuer, 120).await;
        let at = |name: &str| zones.values(name).len();
        let expected = if follows { (0, 1) } else { (1, 0) };
        assert_eq!((at(OWNER), at(small)), expected);
        let order = world.row("www").await.progress.order.unwrap();
        assert_eq!(order.records[0].state, RecordState::Visible);
        world.ca.decide(&OrderState::Issued);
        go(&world, &issuer, 120).await;
        assert_eq!((at(OWNER), at(small)), (0, 0));
    }
}

#[tokio::test]
async fn nothing_is_bought_before_the_provider_could_write_the_record() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world.ca.change(|ca| ca.brings_records = true);
    let (issuer, _) = office(&world, &zones, false).await;
    zones.fail_next(MemoryFault::Refuse);
    go(&world, &issuer, 60).await;
    assert_eq!(world.ca.count(Verb::Submit), 0);
    let progress = world.row("www").await.progress;
    let trouble = progress.trouble.unwrap();
    for words in [
        "nothing is ordered",
        "example.ch",
        "the key may not do this",
    ] {
        assert!(trouble.contains(words), "{trouble}");
    }
    assert_eq!(progress.hold, None, "it continues by itself");
    zones.heal();
    go(&world, &issuer, 3600).await;
    assert!(world.live("www").is_some());
    assert_eq!(world.ca.count(Verb::Submit), 1);
}

#[tokio::test]
async fn the_removal_by_a_provider_that_is_gone_is_paced_and_told() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_mins(2));
    let (issuer, one) = office(&world, &zones, true).await;
    go(&world, &issuer, 60).await;
    let mut renamed = job(&world, &zones, &one);
    let provider = Arc::new(MemoryProvider::new(zones.clone())) as Arc<dyn Provider>;
    renamed.ports.providers = BTreeMap::from([("other".to_owned(), provider)]);
    go(&world, &renamed, 3600).await;
    assert!(world.live("www").is_some());
    let progress = world.row("www").await.progress;
    assert!((5..20).contains(&progress.leftovers_tries), "{progress:?}");
    let words = progress.leftovers_trouble.clone().unwrap();
    for part in [OWNER, "provider `memory` is no longer in the configuration"] {
        assert!(words.contains(part), "{words}");
    }
    let kinds = world.kinds("www").await;
    let told = kinds.iter().filter(|kind| *kind == "removal-failed");
    assert_eq!(told.count(), 1, "once");

    go(&world, &job(&world, &zones, &one), 60).await;
    assert!(zones.values(OWNER).is_empty() && zones.cname(BELOW).is_none());
    let progress = world.row("www").await.progress;
    assert_eq!(
        (progress.leftovers_trouble, progress.leftovers_tries),
        (None, 0)
    );
}

#[tokio::test]
async fn a_record_from_before_the_order_is_left_there() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    zones.put_cname(BELOW, 300, "target.ca.test");
    let (issuer, _) = office(&world, &zones, true).await;
    go(&world, &issuer, 60).await;
    assert!(world.live("www").is_some());
    assert!(zones.values(OWNER).is_empty());
    assert_eq!(zones.cname(BELOW).as_deref(), Some("target.ca.test"));
}

#[tokio::test]
async fn two_orders_that_want_one_alias_take_turns_and_one_record_of_two_leaves_with_the_last() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
    world
        .ca
        .change(|ca| ca.works_for = SignedDuration::from_mins(10));
    let (_, one) = office(&world, &zones, true).await;
    let mut other = one.clone();
    other.wanted.name = "zzz".to_owned();
    let both = [one.clone(), other];
    world.want(&both).await;
    let mut issuer = job(&world, &zones, &one);
    issuer.certificates = both
        .iter()
        .map(|c| (c.wanted.name.clone(), c.clone()))
        .collect();
    // Both want the same records.
    go(&world, &issuer, 60).await;
    let kinds = world.kinds("zzz").await;
    assert!(kinds.contains(&"visible".to_owned()), "{kinds:?}");
    go(&world, &issuer, 3600).await;
    for name in ["www", "zzz"] {
        assert!(world.live(name).is_some(), "{name}");
    }
    assert!(zones.values(OWNER).is_empty() && zones.cname(BELOW).is_none());
    assert_eq!(world.ca.held().len(), 2);
}
