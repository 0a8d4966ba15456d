//! Orders at InterNetX against its sandbox: the contract, every switch, and the pace of the address.

mod revocations;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use prevalidate::ca::csr::Csr;
use prevalidate::ca::http::Reach;
use prevalidate::ca::internetx::{APART, InterNetX, Settings};
use prevalidate::ca::issuing::{
    Found, Intent, Issuing, Order, Predecessor, Revocation, RevocationRequest, Subject, Succession,
};
use prevalidate::ca::issuing_conformance::{self as suite, Stage};
use prevalidate::ca::{Failure, Validation};
use prevalidate::clock::{Clock, SimulatedClock};
use prevalidate::issuance::{OrderState, RevocationReason};
use prevalidate::prevalidation::{Challenge, ChallengeData};
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::dns::{Dns, Follow, Zone};
use prevalidate::sandbox::internetx::{
    Behaviour, Fault, Lines, Nothing, Robot, RobotOptions, What,
};
use prevalidate_providers::registry::ProviderSettings;
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use secrecy::SecretString;

use super::{counted, documented};

const USER: &str = "ssl-user";
const PASSWORD: &str = "correct horse battery";

struct Lab {
    robot: Robot,
    dns: Arc<Dns>,
    clock: SimulatedClock,
    product: &'static str,
    ca: Arc<dyn Issuing>,
}

impl Lab {
    async fn start(product: &'static str, change: impl FnOnce(&mut Behaviour)) -> Self {
        Self::start_with(product, change, |_| {}).await
    }

    async fn start_with(
        product: &'static str,
        change: impl FnOnce(&mut Behaviour),
        set: impl FnOnce(&mut Settings),
    ) -> Self {
        let clock = SimulatedClock::at("2026-11-29T12:00:00Z".parse().unwrap());
        let shifted = ShiftedClock::over(Arc::new(clock.clone()));
        let loopback = "127.0.0.1:0".parse().unwrap();
        let dns = Dns::start(
            Arc::clone(&shifted) as Arc<dyn Clock>,
            loopback,
            &[Follow::Now],
        );
        let dns = Arc::new(dns.await.unwrap());
        let zones = Arc::clone(&dns);
        let mut behaviour = Behaviour {
            calls_per_second: 0,
            ..Behaviour::default()
        };
        change(&mut behaviour);
        let robot = Robot::start(RobotOptions {
            clock: shifted,
            listen: loopback,
            user: USER.to_owned(),
            password: SecretString::from(PASSWORD),
            context: 9,
            behaviour,
            seed: 7,
            name_servers: Arc::new(move |name| zones.servers_for(name)),
        });
        let robot = robot.await.unwrap();
        let mut settings = Settings {
            reach: Reach {
                rate: 1000.0,
                ..Reach::new("internetx", robot.url().parse().unwrap())
            },
            user: USER.to_owned(),
            password: Arc::new(|| Ok(SecretString::from(PASSWORD))),
            context: 9,
            confirms_messages: false,
            apart: Duration::from_millis(1),
        };
        set(&mut settings);
        let ca = Arc::new(InterNetX::new(settings, Arc::new(clock.clone())).unwrap());
        Self {
            robot,
            dns,
            clock,
            product,
            ca: ca.issuing().unwrap(),
        }
    }

    /// An order that was made and brought home.
    async fn ordered(&self, tag: &str, name: &str) -> (Intent, Order) {
        self.make_ready(name);
        let mut intent = suite::intent(self, tag, &[name]);
        suite::prepare(self, &mut intent).await;
        let order = suite::submit(self, &mut intent).await.unwrap();
        let order = suite::wait(self, order).await;
        assert_eq!(order.state, OrderState::Issued, "{order:?}");
        (intent, order)
    }
}

#[async_trait]
impl Stage for Lab {
    fn ca(&self) -> Arc<dyn Issuing> {
        Arc::clone(&self.ca)
    }

    fn client_and_product(&self) -> (String, String) {
        (String::new(), self.product.to_owned())
    }

    fn make_ready(&self, name: &str) {
        let apex = psl::domain_str(name).unwrap();
        self.dns.add_zone(Zone::new(apex));
    }

    fn make_unproven(&self, name: &str) {
        self.make_ready(name);
    }

    fn publish(&self, challenge: &Challenge) {
        let owner = challenge.owner.as_str();
        let zone = Zone::new(psl::domain_str(owner).unwrap());
        self.dns.add_zone(match &challenge.data {
            ChallengeData::Txt(value) => zone.txt(owner, value),
            ChallengeData::Cname(target) => zone.cname(owner, target.as_str()),
        });
    }

    fn lose_the_answer_to_submit(&self) {
        self.robot
            .fault(fault("POST /certificate", What::DoneButLost));
    }

    fn lose_the_next_submit(&self) {
        self.robot.fault(fault("POST /certificate", What::Lost));
    }

    fn held(&self) -> usize {
        self.robot.jobs().len()
    }

    fn advance(&self, span: SignedDuration) {
        self.clock.advance(span);
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

fn fault(on: &str, what: What) -> Fault {
    Fault {
        on: on.to_owned(),
        times: 1,
        what,
    }
}

#[tokio::test]
async fn orders_keep_the_contract_by_txt_and_by_cname() {
    for product in ["BASIC_SSL", "COMODO_SSL"] {
        suite::all(&Lab::start(product, |_| {}).await).await;
    }
}

#[tokio::test]
async fn orders_keep_the_contract_whatever_is_open_about_the_answers() {
    let others = [
        (Nothing::Absent, Lines::CrLf, 0, true),
        (Nothing::Empty, Lines::One, 3600, false),
    ];
    for (nothing, lines, job_stays, shows_tags) in others {
        let lab = Lab::start("BASIC_SSL", |behaviour| {
            behaviour.nothing = nothing;
            behaviour.lines = lines;
            behaviour.job_stays = job_stays;
            behaviour.shows_tags = shows_tags;
            behaviour.colon_in_dates = true;
            behaviour.has_chain = false;
            behaviour.look_after = 600;
            behaviour.issued_after = 120;
        });
        suite::all(&lab.await).await;
    }
}

#[tokio::test]
async fn the_record_that_was_published_goes_back_with_the_order() {
    let lab = Lab::start("BASIC_SSL", |behaviour| behaviour.look_after = 600).await;
    lab.make_ready("back.test");
    let mut intent = suite::intent(&lab, "back", &["www.back.test", "back.test"]);
    suite::prepare(&lab, &mut intent).await;
    let wanted = intent.answer.clone().unwrap();
    // Another rehearsal makes another value, which is not published.
    let other = lab.ca.challenges(&intent).await.unwrap();
    assert_ne!(other.answer.as_ref(), Some(&wanted));
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let sent = lab
        .robot
        .log()
        .into_iter()
        .rev()
        .find(|one| one.path == "/certificate")
        .unwrap();
    assert!(
        wanted.contains(
            sent.body["authentication"]["dns"]
                .as_str()
                .unwrap()
                .trim_matches('"')
                .split('"')
                .nth(1)
                .unwrap()
        )
    );
    assert_eq!(sent.body["subjectAlternativeNames"][0]["name"], "back.test");
    let checked = lab.ca.read(&order.key).await.unwrap();
    assert_eq!(
        checked.next_read_at.unwrap(),
        lab.now() + SignedDuration::from_secs(600)
    );
    let order = suite::wait(&lab, checked).await;
    assert_eq!(order.state, OrderState::Issued, "{order:?}");
}

#[tokio::test]
async fn a_contact_is_made_once_and_its_data_are_in_no_error() {
    let lab = Lab::start("BASIC_SSL", |_| {}).await;
    lab.ordered("one", "one.test").await;
    lab.ordered("two", "two.test").await;
    assert_eq!(lab.robot.contacts(), 1);
    let mut intent = suite::intent(&lab, "bad", &["one.test"]);
    if let Some(contact) = &mut intent.contact {
        contact.email = "other@example.test".to_owned();
        contact.city = String::new();
        contact.phone = "+41-55-7654321".to_owned();
    }
    let error = suite::submit(&lab, &mut intent).await.unwrap_err();
    assert_eq!(error.failure, Failure::Refused, "{error}");
    assert!(error.message.contains("city"), "{error}");
    // The CA repeats it, and writes it in its own way.
    let shown = format!("{error:?} {intent:?}");
    for part in ["7654321", "41557654321"] {
        assert!(!shown.contains(part), "{shown}");
    }
}

#[tokio::test]
async fn an_order_at_internetx_costs_the_calls_that_are_documented() {
    let lab = Lab::start("BASIC_SSL", |_| {}).await;
    // From the second order on, the contact is there.
    lab.ordered("first", "first.test").await;
    let counted = counted(&lab, "counted.test", || lab.robot.log().len()).await;
    assert_eq!(counted, documented("InterNetX"));
}

#[tokio::test]
async fn calls_keep_to_three_in_any_second_and_have_no_burst() {
    let lab = Lab::start_with(
        "BASIC_SSL",
        |behaviour| behaviour.calls_per_second = 3,
        |settings| settings.apart = APART,
    );
    let lab = lab.await;
    let reads = (0..9).map(|_| lab.ca.orders(""));
    for checked in futures::future::join_all(reads).await {
        checked.unwrap();
    }
    assert_eq!(lab.robot.log().len(), 9);
    assert!(
        lab.robot.busiest_second() <= 3,
        "{}",
        lab.robot.busiest_second()
    );
}

#[tokio::test]
async fn an_autodns_provider_of_the_same_address_keeps_to_the_same_pace() {
    let lab = Lab::start_with("BASIC_SSL", |_| {}, |settings| settings.apart = APART).await;
    let password = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(password.path(), PASSWORD).unwrap();
    let table = serde_json::json!({
        "kind": "autodns", "url": lab.robot.url(), "user": USER, "context": 9,
        "password": {"file": password.path()},
    });
    let table = ProviderSettings::read(table.as_object().unwrap()).unwrap();
    let provider = table.build().unwrap();
    let reads = async {
        for _ in 0..4 {
            lab.ca.orders("").await.unwrap();
        }
    };
    let zones = async {
        for name in ["_a.one.test", "_a.two.test", "_a.three.test"] {
            // There are no zones here; the calls are what counts.
            provider.find_zone(name).await.unwrap_err();
        }
    };
    tokio::join!(reads, zones);
    assert!(lab.robot.log().len() >= 7, "{:?}", lab.robot.log());
    assert!(
        lab.robot.busiest_second() <= 3,
        "{}",
        lab.robot.busiest_second()
    );
}

#[tokio::test]
async fn a_foreign_message_in_the_queue_is_never_confirmed() {
    let lab = Lab::start_with(
        "BASIC_SSL",
        |_| {},
        |settings| settings.confirms_messages = true,
    );
    let lab = lab.await;
    let (_, order) = lab.ordered("first", "first.test").await;
    assert_eq!(lab.robot.messages(), 0, "ours was confirmed");
    lab.robot.add_foreign_message();
    lab.ordered("second", "second.test").await;
    assert_eq!(
        lab.robot.messages(),
        2,
        "the foreign one, and ours behind it"
    );
    assert_eq!(
        lab.ca.read(&order.key).await.unwrap().state,
        OrderState::Issued
    );
    let confirmed = lab
        .robot
        .log()
        .into_iter()
        .filter(|one| one.path.starts_with("/poll/"));
    assert_eq!(confirmed.count(), 1);
}

#[tokio::test]
async fn a_renewal_is_a_reissue_where_the_paid_period_goes_on() {
    for (change, action) in [
        ((|_: &mut Behaviour| {}) as fn(&mut Behaviour), "renew"),
        (|behaviour| behaviour.reissue_required = true, "reissue"),
        (|behaviour| behaviour.renews_late_only = true, "reissue"),
    ] {
        let lab = Lab::start("COMODO_SSL", change).await;
        let (_, order) = lab.ordered("old", "again.test").await;
        let mut next = suite::intent(&lab, "new", &["again.test"]);
        next.after = Some(Predecessor {
            key: order.key.clone(),
            way: Succession::Renewal,
        });
        suite::prepare(&lab, &mut next).await;
        let order = suite::submit(&lab, &mut next).await.unwrap();
        let order = suite::wait(&lab, order).await;
        suite::fetch(&lab, &order, &next).await;
        assert_eq!(lab.robot.jobs().last().unwrap().action, action);
        assert_eq!(
            lab.robot.jobs().last().unwrap().tag.as_deref(),
            Some("prevalidate:new")
        );
    }
}

#[tokio::test]
async fn a_search_that_says_neither_yes_nor_no_is_no_clean_no() {
    let lab = Lab::start("BASIC_SSL", |_| {}).await;
    lab.make_ready("hollow.test");
    let mut intent = suite::intent(&lab, "hollow", &["hollow.test"]);
    suite::prepare(&lab, &mut intent).await;
    lab.lose_the_answer_to_submit();
    suite::submit(&lab, &mut intent).await.unwrap_err();
    lab.clock.advance(SignedDuration::from_mins(3));
    for on in ["POST /job/_search", "POST /job/history/_search"] {
        lab.robot.fault(fault(on, What::Hollow));
        let error = lab.ca.find(&intent).await.unwrap_err();
        assert!(error.is_retryable(), "{on}: {error}");
    }
    let found = lab.ca.find(&intent).await.unwrap();
    assert!(matches!(found, Found::Order(_)), "{found:?}");
}

#[tokio::test]
async fn a_certificate_for_a_mailbox_waits_for_its_owner() {
    let lab = Lab::start("GLOBALSIGN_PERSONALSIGN_1", |_| {}).await;
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params
        .distinguished_name
        .push(DnType::CommonName, "joe@example.test");
    let address = "joe@example.test".try_into().unwrap();
    params.subject_alt_names.push(SanType::Rfc822Name(address));
    let request = params.serialize_request(&key).unwrap();
    let mut intent = suite::intent(&lab, "mail", &["example.test"]);
    intent.csr = Csr::read(request.der()).unwrap();
    intent.subject = Subject::Mailbox {
        email: "joe@example.test".to_owned(),
        first_name: Some("Joe".to_owned()),
        last_name: Some("Example".to_owned()),
    };
    let flight = lab.ca.preflight(&intent).await.unwrap();
    assert!(flight.warnings[0].contains("mailbox"));
    assert!(
        lab.ca
            .challenges(&intent)
            .await
            .unwrap()
            .challenges
            .is_empty()
    );
    let order = suite::submit(&lab, &mut intent).await.unwrap();
    let checked = lab.ca.read(&order.key).await.unwrap();
    assert_eq!(checked.state, OrderState::AwaitsPerson);
    let sent = lab
        .robot
        .log()
        .into_iter()
        .rev()
        .find(|one| one.path == "/certificate")
        .unwrap();
    assert_eq!(sent.body["certificateType"], "MAIL");
    assert_eq!(
        (&sent.body["hasCsr"], &sent.body["firstname"]),
        (&true.into(), &"Joe".into())
    );
    lab.robot.decide(lab.robot.jobs()[0].id, "RUNNING");
    let order = suite::wait(&lab, checked).await;
    suite::fetch(&lab, &order, &intent).await;
}

#[tokio::test]
async fn a_refusal_says_what_is_wrong_and_buys_nothing() {
    let lab = Lab::start("EMAIL_SSL", |_| {}).await;
    lab.make_ready("wrong.test");
    let intent = suite::intent(&lab, "wrong", &["wrong.test"]);
    let error = lab.ca.challenges(&intent).await.unwrap_err();
    assert!(error.message.contains("not validated by DNS"), "{error}");
    for is_403 in [true, false] {
        let set = |settings: &mut Settings| settings.context = 4;
        let change = |behaviour: &mut Behaviour| behaviour.context_is_403 = is_403;
        let lab = Lab::start_with("BASIC_SSL", change, set).await;
        let error = lab.ca.preflight(&intent).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unauthenticated, "{error}");
        assert!(error.hint.unwrap().contains("context"));
    }
    lab.robot
        .fault(fault("POST /certificate/_prepareOrder", What::Page));
    let error = lab.ca.preflight(&intent).await.unwrap_err();
    assert!(!error.message.contains("Wartung"), "{error}");
    assert_eq!(lab.held(), 0);
}

#[tokio::test]
async fn a_job_whose_name_is_ours_and_whose_key_is_not_is_another_order() {
    let lab = Lab::start("BASIC_SSL", |behaviour| behaviour.shows_tags = false).await;
    lab.ordered("theirs", "same.test").await;
    let mut ours = suite::intent(&lab, "ours", &["same.test"]);
    ours.submitted_at = Some(lab.now());
    lab.clock.advance(SignedDuration::from_mins(3));
    assert_eq!(lab.ca.find(&ours).await.unwrap(), Found::No);
}
