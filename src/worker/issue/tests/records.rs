//! Orders that bring records for DNS with them.

use async_trait::async_trait;
use prevalidate_providers::Provider;
use prevalidate_providers::memory::{MemoryProvider, MemoryZones};

use super::*;
use crate::prevalidation::{Challenge, Counts, DomainName};
use crate::propagation::{GateMode, Lookout, Question, Verdict, Wanted as DnsWanted};

/// A gate that sees what is in the zones.
#[derive(Debug)]
struct Gate(MemoryZones);

#[async_trait]
impl Lookout for Gate {
    async fn look(&self, question: &Question<'_>) -> Verdict {
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

#[tokio::test]
async fn records_of_an_order_are_visible_before_it_is_made_and_gone_afterwards() {
    let world = World::new().await;
    let zones = MemoryZones::new().with_zone("example.ch");
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
    one.validates_in_order = true;
    one.subject = Subject::Names(vec!["www.example.ch".to_owned()]);
    let wanted = [one];
    world.want(&wanted).await;
    let mut issuer = world.issuer(Arc::clone(&world.ca) as Arc<dyn Issuing>, wanted.to_vec());
    let provider = Arc::new(MemoryProvider::new(zones.clone())) as Arc<dyn Provider>;
    issuer.ports.providers = BTreeMap::from([("memory".to_owned(), provider)]);
    issuer.ports.lookout = Some(Arc::new(Gate(zones.clone())));
    let over = CancellationToken::new();
    over.cancel();
    let deadline = world.clock.now() + SignedDuration::from_secs(60);
    issuer.run(deadline, &over).await.unwrap();
    assert!(world.live("www").is_some());
    let kinds = world.kinds("www").await;
    let at = |kind: &str| kinds.iter().position(|one| one == kind).unwrap();
    assert!(
        at("visible") < at("ordered") && at("issued") < at("removed"),
        "{kinds:?}"
    );
    assert_eq!(kinds.iter().filter(|kind| *kind == "removed").count(), 2);
    assert!(zones.values("_dnsauth.example.ch").is_empty());
    assert_eq!(zones.cname("_abc.www.example.ch"), None);
    let held = world.ca.held();
    assert_eq!(held[0].intent.answer.as_deref(), Some("opaque"));
}
