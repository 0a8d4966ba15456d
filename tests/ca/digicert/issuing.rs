//! Orders at DigiCert: the contract, for a product that depends on validated domains and for one
//! that brings its own record, and every switch of the sandbox.

use prevalidate::ca::Failure;
use prevalidate::ca::issuing::{Fetched, Found, Issuing, Order, OrderKey, Predecessor, Succession};
use prevalidate::ca::issuing_conformance::{self as suite, Stage};
use prevalidate::issuance::OrderState;
use prevalidate::sandbox::digicert::Approval;

use super::super::{counted, documented};
use super::*;

pub(super) const OV: &str = "Basic OV";
pub(super) const DV: &str = "GeoTrust Standard DV";
pub(super) const ORDER: &str = "POST /order/certificate/ssl_basic";

/// A lab, and the product that is ordered there.
pub(super) struct Desk {
    pub(super) lab: Lab,
    product: &'static str,
    /// The path of an order for it.
    order: &'static str,
}

impl Desk {
    pub(super) async fn start(product: &'static str, change: impl FnOnce(&mut Behaviour)) -> Self {
        Self::with(product, Method::Txt, change).await
    }

    async fn with(
        product: &'static str,
        method: Method,
        change: impl FnOnce(&mut Behaviour),
    ) -> Self {
        Self {
            lab: Lab::with(method, Label::DnsAuth, change).await,
            product,
            order: match product {
                OV => ORDER,
                _ => "POST /order/certificate/ssl_dv_geotrust",
            },
        }
    }

    pub(super) fn ca(&self) -> Arc<dyn Issuing> {
        Stage::ca(self)
    }

    pub(super) fn fault(&self, on: &str, what: What) {
        self.lab.cc.fault(Fault {
            on: on.to_owned(),
            times: 1,
            what,
        });
    }

    /// The first certificate of an order for this name.
    pub(super) async fn first(&self, name: &str) -> (prevalidate::ca::issuing::Intent, Order) {
        self.make_ready(name);
        let mut intent = suite::intent(self, "first", &[name]);
        let order = suite::submit(self, &mut intent).await.unwrap();
        (intent, suite::wait(self, order).await)
    }
}

#[async_trait]
impl Stage for Desk {
    fn ca(&self) -> Arc<dyn Issuing> {
        Arc::clone(&self.lab.ca).issuing().unwrap()
    }

    fn client_and_product(&self) -> (String, String) {
        (client(), self.product.to_owned())
    }

    fn make_ready(&self, name: &str) {
        match self.product {
            OV => drop(self.lab.proven(name, SignedDuration::from_hours(1))),
            _ => {
                self.lab.dns.add_zone(Zone::new(name));
            }
        }
    }

    fn make_unproven(&self, name: &str) {
        self.lab.domain(name);
    }

    fn publish(&self, challenge: &Challenge) {
        conformance::Stage::publish(&self.lab, challenge, true);
    }

    fn lose_the_answer_to_submit(&self) {
        self.fault(self.order, What::DoneButLost);
    }

    fn lose_the_next_submit(&self) {
        self.fault(self.order, What::Lost);
    }

    fn held(&self) -> usize {
        self.lab.cc.orders().len()
    }

    fn advance(&self, span: SignedDuration) {
        self.lab.clock.advance(span);
    }

    fn now(&self) -> Timestamp {
        self.lab.clock.now()
    }
}

#[tokio::test]
async fn orders_keep_the_contract_for_a_product_that_hangs_on_validated_domains() {
    let desk = Desk::start(OV, |_| {}).await;
    suite::all(&desk).await;
    assert_eq!(desk.lab.cc.mails(), 0, "a method is always sent");
}

#[tokio::test]
async fn orders_keep_the_contract_for_a_product_that_brings_its_own_record() {
    for method in [Method::Txt, Method::Cname] {
        let desk = Desk::with(DV, method, |behaviour| behaviour.polls = false).await;
        suite::all(&desk).await;
        assert_eq!(desk.lab.cc.mails(), 0, "a method is always sent");
        assert_eq!(desk.lab.cc.count("POST", "/dcv/token"), 0);
    }
}

#[tokio::test]
async fn orders_keep_the_contract_at_a_slow_ca_in_the_other_shapes() {
    for (shows_comments, shows_csr) in [(false, true), (true, false), (false, false)] {
        let desk = Desk::start(OV, |behaviour| {
            behaviour.shows_comments = shows_comments;
            behaviour.shows_csr = shows_csr;
            behaviour.issued_after = 200;
            behaviour.download_lags = 100;
            behaviour.chain_in_answer = false;
            behaviour.chain_root_first = false;
            behaviour.error_objects = true;
            behaviour.largest_page = 2;
            behaviour.overlapping_pages = true;
            behaviour.approval = Approval::Skipped;
        });
        suite::all(&desk.await).await;
    }
}

#[tokio::test]
async fn orders_keep_the_contract_where_a_check_is_refused_and_nothing_says_what_is_missing() {
    let desk = Desk::start(DV, |behaviour| {
        behaviour.check_refuses = true;
        behaviour.fqdn_scope = true;
        behaviour.hides_waits = true;
    });
    let desk = desk.await;
    let (intent, order) = desk.first("www.hidden.test").await;
    assert_eq!(order.state, OrderState::Issued);
    suite::fetch(&desk, &order, &intent).await;
}

#[tokio::test]
async fn an_order_of_its_own_value_names_its_record_and_waits_for_it() {
    let desk = Desk::start(DV, |behaviour| behaviour.polls = false).await;
    desk.make_ready("a.test");
    let mut intent = suite::intent(&desk, "own", &["www.a.test", "*.a.test"]);
    let order = suite::submit(&desk, &mut intent).await.unwrap();
    let order = desk.ca().read(&order.key).await.unwrap();
    assert_eq!(order.state, OrderState::AwaitsValidation);
    assert_eq!(order.words.as_deref(), Some("not validated: a.test"));
    let id = desk.lab.cc.orders()[0].id;
    let value = desk.lab.cc.value_of_order(id).unwrap();
    let shown: Vec<_> = order.challenges.iter().map(ToString::to_string).collect();
    assert_eq!(shown, [format!("_dnsauth.a.test TXT {value}")]);
    assert!(order.challenges[0].until.is_some(), "a value has an end");
    let again = desk.ca().read(&order.key).await.unwrap();
    assert_eq!(again.challenges.len(), 1);
    assert!(again.challenges[0].is_same_record(&order.challenges[0]));
    // A value that has ended gives way to another.
    desk.lab.clock.advance(DAY * 31);
    let later = desk.ca().read(&order.key).await.unwrap();
    assert!(!later.challenges[0].is_same_record(&order.challenges[0]));
}

#[tokio::test]
async fn an_order_says_its_names_as_a_list_its_method_its_hash_and_its_tag() {
    let desk = Desk::start(OV, |behaviour| {
        behaviour.required_field = Some("Cost centre".to_owned());
    });
    let desk = desk.await;
    desk.make_ready("names.test");
    let names = ["names.test", "www.names.test", "*.names.test"];
    let mut intent = suite::intent(&desk, "names", &names);
    intent.term = Some(1000);
    intent.fields.insert("Nonsense".to_owned(), "1".to_owned());
    let error = desk.ca().preflight(&intent).await.unwrap_err();
    for fault in ["366 days", "`Cost centre` is missing", "`Nonsense`"] {
        assert!(error.message.contains(fault), "{error}");
    }
    intent.term = Some(90);
    intent.fields = [("Cost centre".to_owned(), "4711".to_owned())].into();
    intent.comments = Some("for the web team".to_owned());
    intent.requester = Some("web@names.test, pki@names.test".to_owned());
    intent.product = "Secure Site OV".to_owned();
    let flight = desk.ca().preflight(&intent).await.unwrap();
    intent.product = flight.product.reference;
    assert_eq!(intent.product, "ssl_securesite_flex");
    suite::submit(&desk, &mut intent).await.unwrap();
    let seen = desk.lab.cc.orders().remove(0);
    assert_eq!(seen.names, names);
    assert_eq!(seen.comments, "for the web team [prevalidate:names]");
    let log = desk.lab.cc.log();
    let made = log.iter().find(|one| one.method == "POST").unwrap();
    for part in [
        r#""dcv_method":"dns-txt-token""#,
        r#""signature_hash":"sha384""#,
        r#""order_validity":{"days":90}"#,
        r#""custom_fields":[{"metadata_id":12,"value":"4711"}]"#,
        r#""additional_emails":["web@names.test","pki@names.test"]"#,
        r#""organization":{"id":117483}"#,
        r#""skip_approval":true"#,
    ] {
        assert!(made.body.contains(part), "{part} in {}", made.body);
    }
}

#[tokio::test]
async fn what_the_account_may_order_is_listed_and_what_is_not_for_hosts_is_said_to_be() {
    let desk = Desk::start(OV, |_| {}).await;
    let products = desk.ca().products(&client()).await.unwrap();
    let of = |id: &str| products.iter().find(|one| one.reference == id).unwrap();
    assert!(of("code_signing").refusal.is_some());
    assert!(of("ssl_dv_geotrust").brings_records);
    assert!(!of("ssl_basic").brings_records && of("ssl_basic").refusal.is_none());
    assert_eq!(of("ssl_basic").terms, ["up to 365 days"]);
    assert!(of("ssl_ev_basic").warnings[0].contains("EV"));
}

#[tokio::test]
async fn all_that_can_be_found_for_free_is_in_one_refusal() {
    let desk = Desk::start(OV, |behaviour| behaviour.organisation_types.clear()).await;
    desk.make_ready("weak.test");
    let mut intent = suite::intent(&desk, "weak", &["weak.test", "other.test"]);
    intent.product = "Basic EV".to_owned();
    let error = desk.ca().preflight(&intent).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused);
    for fault in ["takes one name", "117483 is not validated for `ev`"] {
        assert!(error.message.contains(fault), "{error}");
    }
    intent.product = "Code Signing".to_owned();
    let error = desk.ca().preflight(&intent).await.unwrap_err();
    assert!(error.message.contains("not for host names"), "{error}");
    intent.product = DV.to_owned();
    desk.ca().preflight(&intent).await.unwrap();
    assert_eq!((desk.held(), desk.lab.effects()), (0, 0));
}

#[tokio::test]
async fn a_renewal_names_the_order_before_and_is_told_from_it_by_key_and_tag() {
    let desk = Desk::start(OV, |_| {}).await;
    let (first, order) = desk.first("renewed.test").await;
    desk.lab.clock.advance(DAY * 60);
    for (what, tag) in [(What::Lost, "never"), (What::DoneButLost, "next")] {
        let mut next = suite::intent(&desk, tag, &["renewed.test"]);
        // The same key, as with `reuse_key`.
        next.csr = first.csr.clone();
        next.after = Some(Predecessor {
            key: order.key.clone(),
            way: Succession::Renewal,
        });
        desk.fault(ORDER, what);
        let error = suite::submit(&desk, &mut next).await.unwrap_err();
        assert!(error.outcome_unknown(), "{error}");
        desk.lab.clock.advance(SignedDuration::from_secs(61));
        let found = desk.ca().find(&next).await.unwrap();
        match (&found, what) {
            (Found::Order(found), What::DoneButLost) => {
                assert_ne!(found.key.reference, order.key.reference);
                suite::fetch(&desk, found, &next).await;
            }
            (Found::No, What::Lost) => {}
            _ => panic!("{found:?}"),
        }
    }
    let orders = desk.lab.cc.orders();
    assert_eq!(orders.len(), 2);
    assert_eq!(orders[1].renews, Some(orders[0].id));
}

#[tokio::test]
async fn a_reissue_keeps_its_order_and_is_not_taken_for_the_certificate_before_it() {
    for issued_after in [0, 50] {
        let desk = Desk::start(OV, |behaviour| behaviour.issued_after = issued_after).await;
        let (first, order) = desk.first("again.test").await;
        let (old, _) = suite::fetch(&desk, &order, &first).await;
        let end = Timestamp::from_second(old.not_after).unwrap();
        assert!(order.paid_until > Some(end), "paid for longer: {order:?}");
        let mut next = suite::intent(&desk, "second", &["again.test"]);
        next.after = Some(Predecessor {
            key: order.key.clone(),
            way: Succession::Reissue,
        });
        let path = format!("POST /order/certificate/{}/reissue", order.key);
        for what in [What::Lost, What::DoneButLost] {
            desk.fault(&path, what);
            suite::submit(&desk, &mut next).await.unwrap_err();
            let found = desk.ca().find(&next).await.unwrap();
            match (&found, what) {
                (Found::NotYet { .. }, What::Lost) => {
                    desk.lab.clock.advance(SignedDuration::from_secs(61));
                    assert_eq!(desk.ca().find(&next).await.unwrap(), Found::No);
                }
                (Found::Order(found), What::DoneButLost) => {
                    let done = suite::wait(&desk, (**found).clone()).await;
                    let (new, _) = suite::fetch(&desk, &done, &next).await;
                    assert_ne!(old.serial, new.serial);
                }
                _ => panic!("{found:?}"),
            }
        }
        let orders = desk.lab.cc.orders();
        assert_eq!((orders.len(), orders[0].certificates), (1, 2));
    }
}

#[tokio::test]
async fn a_certificate_that_every_order_downloads_is_known_by_its_key() {
    let desk = Desk::start(OV, |behaviour| behaviour.same_certificate_for_all = true).await;
    let (first, order) = desk.first("same.test").await;
    suite::fetch(&desk, &order, &first).await;
    let mut next = suite::intent(&desk, "second", &["same.test"]);
    next.after = Some(Predecessor {
        key: order.key.clone(),
        way: Succession::Reissue,
    });
    let made = suite::submit(&desk, &mut next).await.unwrap();
    let Fetched::Certificates(found) = desk.ca().fetch(&made.key).await.unwrap() else {
        panic!("it is there");
    };
    let keys = found.iter().filter_map(|der| {
        let sight = prevalidate::ca::csr::Sight::of(der).ok()?;
        Some(sight.public_key)
    });
    assert!(
        keys.into_iter().all(|key| key != next.csr.public_key()),
        "the check of what came finds it"
    );
}

#[tokio::test]
async fn an_id_that_is_no_number_is_never_sent() {
    let desk = Desk::start(OV, |_| {}).await;
    let unknown = OrderKey::new("7/status");
    let ca = desk.ca();
    for failed in [
        ca.read(&unknown).await.map(drop),
        ca.fetch(&unknown).await.map(drop),
        ca.check_records(&unknown).await,
        ca.withdraw(&unknown, "").await,
    ] {
        assert_eq!(failed.unwrap_err().failure, Failure::Refused);
    }
    assert_eq!(desk.lab.cc.log().len(), 0);
}

#[tokio::test]
async fn an_order_that_a_wrong_clock_submitted_is_found_by_its_tag() {
    suite::finds_by_its_tag_what_a_wrong_clock_submitted(&Desk::start(OV, |_| {}).await).await;
}

#[tokio::test]
async fn an_order_at_digicert_costs_the_calls_that_are_documented() {
    let desk = Desk::start(OV, |_| {}).await;
    let calls = || desk.lab.cc.log().len();
    let counted = counted(&desk, "counted.test", calls).await;
    assert_eq!(counted, documented("DigiCert, OV"));
}

#[tokio::test]
async fn a_renewal_that_is_refused_for_the_order_before_says_so() {
    let desk = Desk::start(OV, |_| {}).await;
    let (_, order) = desk.first("renew.test").await;
    let id = order.key.reference.parse().unwrap();
    assert!(desk.lab.cc.decide_order(id, Some("revoked")));
    let gone = OrderKey::new("99999999");
    for key in [&order.key, &gone] {
        let mut next = suite::intent(&desk, "next", &["renew.test"]);
        next.after = Some(Predecessor {
            key: key.clone(),
            way: Succession::Renewal,
        });
        let error = suite::submit(&desk, &mut next).await.unwrap_err();
        assert!(!error.outcome_unknown(), "{error}");
        assert!(error.is_about_predecessor, "{error}");
    }
    let mut next = suite::intent(&desk, "next", &["renew.test"]);
    next.after = Some(Predecessor {
        key: gone,
        way: Succession::Reissue,
    });
    let error = suite::submit(&desk, &mut next).await.unwrap_err();
    assert!(error.is_about_predecessor, "{error}");
    assert_eq!(desk.lab.cc.orders().len(), 1);
}
