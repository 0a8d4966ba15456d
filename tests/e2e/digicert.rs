//! DigiCert: alone, and as the third CA of one configuration.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::SignedDuration;
use prevalidate::clock::SystemClock;
use prevalidate::sandbox::clock::ShiftedClock;
use prevalidate::sandbox::digicert::{Behaviour, CertCentral, CertCentralOptions};
use serde_json::{Value, json};

use super::sectigo;
use super::world::{Setup, World};
use crate::support::name_server::write_secret;
use crate::support::zones::Key;
use crate::support::{Keys, NameServer, Policy, Zone};

pub const ORGANISATION: u64 = 117_483;
pub const DAY: SignedDuration = SignedDuration::from_hours(24);
pub const KEY: &str = "AKQ6TDJQCIMMDQKWZBWIFJWZ7CZBMZNM3JQ5HEZ6OYDQXQ";

/// A DigiCert beside what a world has, with its key in a file.
fn cert_central(
    world: &World,
    servers: impl Fn(&str) -> Vec<SocketAddr> + Send + Sync + 'static,
) -> CertCentral {
    let options = CertCentralOptions {
        clock: ShiftedClock::over(Arc::new(SystemClock)),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        api_key: KEY.into(),
        organisations: vec![(
            ORGANISATION,
            "Example Bank AG".to_owned(),
            "Zurich".to_owned(),
        )],
        behaviour: Behaviour::default(),
        seed: 7,
        name_servers: Arc::new(servers),
    };
    write_secret(&world.path("digicert.key"), KEY);
    world.wait_for(CertCentral::start(options)).unwrap()
}

/// The account with more lines of it, and the head of its client, which continues.
fn sections_of(world: &World, cc: &CertCentral, more: &str) -> (String, String) {
    let ca = format!(
        "[ca.digicert]\nkind = \"digicert\"\nurl = \"{}\"\napi_key = {{ file = {} }}\n\
         rate = \"1000/s\"\n{more}",
        cc.url(),
        json!(world.path("digicert.key").display().to_string()),
    );
    let client = format!("[[client]]\nca = \"digicert\"\nreference = \"{ORGANISATION}\"\n");
    (ca, client)
}

/// An operator who has DigiCert only.
pub struct Site {
    pub world: World,
    pub cc: CertCentral,
    /// More lines of the account.
    pub more: String,
}

impl Site {
    pub fn new(server: &NameServer, more: &str) -> Self {
        let address = server.address();
        Self::checking(more, move |_| vec![address])
    }

    fn checking(
        more: &str,
        servers: impl Fn(&str) -> Vec<SocketAddr> + Clone + Send + Sync + 'static,
    ) -> Self {
        let world = World::checking(servers.clone());
        let cc = cert_central(&world, servers);
        Self {
            world,
            cc,
            more: more.to_owned(),
        }
    }

    pub fn sections(&self) -> (String, String) {
        sections_of(&self.world, &self.cc, &self.more)
    }

    /// The domains are CertCentral's already.
    pub fn setup(&self, server: &NameServer, zones: &[&str]) -> Setup {
        for zone in zones {
            self.cc.add_domain(zone, ORGANISATION);
        }
        Setup {
            instead: Some(self.sections()),
            ..self.world.setup(server, zones)
        }
    }

    /// The calls since the log was cleared: method and path.
    pub fn calls(&self) -> Vec<String> {
        let log = self.cc.log();
        let shown = log.iter().map(|one| format!("{} {}", one.method, one.path));
        shown.collect()
    }

    /// Whether a mail was sent, or a value reset.
    pub fn did_harm(&self) -> bool {
        self.cc.mails() > 0 || self.cc.count("POST", "/dcv/token") > 0
    }
}

const SPF: &str = "@ 3600 TXT \"v=spf1 mx -all\"";

pub fn one_zone() -> (NameServer, &'static str) {
    let zone = Zone::new("a.test", SPF);
    (
        NameServer::bind(&[zone], &Keys::of(&["prevalidate"])),
        "a.test",
    )
}

/// The one domain of `status --output json`.
pub fn domain(site: &Site, setup: &Setup) -> Value {
    let ran = site
        .world
        .run(setup, &["status", "--output", "json"])
        .json();
    ran[0].clone()
}

#[test]
fn ten_common_domains_are_valid_at_three_cas_after_one_run_on_bind() {
    let mut zones: Vec<Zone> = (1..=9)
        .map(|n| Zone::new(&format!("z{n}.test"), SPF))
        .collect();
    let others = format!("{SPF}\n_dnsauth 300 TXT \"another writer's\"");
    zones.push(Zone::new("xn--dj-kia8a.vu.test", &others));
    let server = NameServer::bind(&zones, &Keys::of(&["prevalidate"]));
    let apexes: Vec<&str> = zones.iter().map(|zone| zone.apex.as_str()).collect();
    let contents = || -> Vec<_> { apexes.iter().map(|apex| server.axfr(apex)).collect() };
    let before = contents();
    let site = sectigo::Site::new(&server, "cname");
    let address = server.address();
    let cc = cert_central(&site.world, move |_| vec![address]);
    for apex in &apexes {
        site.scm.add_domain(apex, sectigo::ORGANISATION);
        cc.add_domain(apex, ORGANISATION);
    }
    let mut setup = site.world.setup(&server, &apexes);
    *setup.domains.last_mut().unwrap() = "déjà.vu.test".to_owned();
    let guests = [site.sections(), sections_of(&site.world, &cc, "")];
    let guests = guests.map(|(ca, client)| {
        format!(
            "{ca}{client}provider = \"dns\"\ndomains = {}\n",
            json!(setup.domains)
        )
    });
    setup.more = guests.concat();
    site.world.run(&setup, &["run", "--wait", "80s"]).exits(0);
    for apex in &apexes {
        let first = site.world.ca.domain(apex).unwrap();
        assert_eq!(first.status, "VALID", "{apex}");
        assert!(site.scm.validated_at(apex).is_some(), "{apex}");
        assert!(cc.validated_at(apex).is_some(), "{apex}");
    }
    assert_eq!(contents(), before, "every record and TTL is as before");
    assert_eq!((cc.mails(), cc.count("POST", "/dcv/token")), (0, 0));
    let rows = site
        .world
        .run(&setup, &["status", "--output", "json"])
        .json();
    let rows = rows.as_array().unwrap();
    assert!(rows.iter().all(|row| row["state"] == "valid"), "{rows:?}");
    let of = |ca: &str| rows.iter().filter(|row| row["ca"] == ca).count();
    let counts = ["sandbox", "sectigo", "digicert"].map(of);
    assert_eq!((rows.len(), counts), (30, [10, 10, 10]));

    // One call a page and client.
    cc.change(|behaviour| behaviour.largest_page = 4);
    let serials: Vec<_> = apexes.iter().map(|apex| server.serial(apex)).collect();
    cc.clear_log();
    site.scm.clear_log();
    site.world.ca.clear_log();
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert_eq!(site.world.ca.log().len(), 1, "SwissSign");
    assert_eq!(site.scm.count("/dcv/v1/validation"), 1, "Sectigo");
    let calls: Vec<_> = cc.log().into_iter().map(|one| one.path).collect();
    assert_eq!(
        calls, ["/domain"; 3],
        "DigiCert: ten domains in pages of four"
    );
    let after: Vec<_> = apexes.iter().map(|apex| server.serial(apex)).collect();
    assert_eq!(after, serials, "nothing is written");
}

/// A renewal whose record the CA does not see for a while, and then does.
fn early_renewal(more: &str, owner: &str, kind: &str) {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, more);
    let setup = site.setup(&server, &[name]);
    site.cc.prove(name, DAY * 180);
    let proven = site.cc.validated_at(name);
    site.cc.change(|behaviour| {
        behaviour.polls = false;
        behaviour.blind_checks = 1000;
    });
    site.world.run(&setup, &["run", "--wait", "6s"]);
    assert!(
        site.cc.count("PUT", "/validate-token") > 0,
        "it is asked for"
    );
    let shown = domain(&site, &setup);
    assert_eq!(shown["state"], "renewing", "{shown}");
    let until = shown["proof"]["usable_until"].clone();
    assert!(until.is_string(), "the old proof counts: {shown}");
    assert_eq!(site.cc.validated_at(name), proven);
    let published = server.axfr(name);
    let ours: Vec<_> = published
        .iter()
        .filter(|one| !before.contains(one))
        .collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    let [found, _, _, found_kind] = ours[0].splitn(5, ' ').take(4).collect::<Vec<_>>()[..] else {
        panic!("{ours:?}");
    };
    assert_eq!((found, found_kind), (owner, kind), "{ours:?}");
    assert!(
        before.iter().all(|one| published.contains(one)),
        "SPF and its TTL are as before: {published:?}"
    );

    assert!(
        site.world.wait_for(site.cc.check_now(name)),
        "the record is where DigiCert checks"
    );
    let again = ["run", "--domain", name, "--wait", "30s"];
    site.world.run(&setup, &again).exits(0);
    assert!(site.cc.validated_at(name) > proven);
    assert_eq!(site.cc.count("POST", "/validation"), 1, "one submission");
    assert!(!site.did_harm());
    let shown = domain(&site, &setup);
    assert_eq!(shown["state"], "valid", "{shown}");
    assert_ne!(shown["proof"]["usable_until"], until);
    assert_eq!(server.axfr(name), before);
    let journal = server.journal(name);
    let owners: Vec<_> = journal.iter().map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(owners, [Some(owner); 2], "written and removed: {journal:?}");
}

#[test]
fn an_early_renewal_keeps_the_proof_and_never_writes_the_domain_itself() {
    early_renewal("", "_dnsauth.a.test.", "TXT");
}

#[test]
fn an_early_renewal_by_cname_keeps_the_proof_and_the_domain_itself() {
    early_renewal("method = \"cname\"\n", "_dnsauth.a.test.", "CNAME");
}

#[test]
fn an_early_renewal_at_the_apex_keeps_the_proof_and_spf() {
    early_renewal("label = \"apex\"\n", "a.test.", "TXT");
}

/// Our own check never sees it, so the proof is DigiCert's own doing.
#[test]
fn a_proof_that_digicert_made_by_itself_is_one_and_the_record_goes() {
    let (server, name) = one_zone();
    let before = server.axfr(name);
    let site = Site::new(&server, "");
    let setup = site.setup(&server, &[name]);
    site.cc.prove(name, DAY * 180);
    let proven = site.cc.validated_at(name);
    site.cc.change(|behaviour| behaviour.blind_checks = 1000);
    site.world.run(&setup, &["run", "--wait", "80s"]).exits(0);
    assert!(site.cc.validated_at(name) > proven);
    assert_eq!(domain(&site, &setup)["state"], "valid");
    assert_eq!(server.axfr(name), before);
}

/// The zone of the domain takes no updates at all; the small zone that its label leads into is on
/// another server, with a key that can write nothing else.
#[test]
fn a_label_that_leads_into_a_small_zone_is_proven_with_the_key_of_that_zone_alone() {
    let big = Zone::new(
        "big.test",
        &format!("{SPF}\n_dnsauth 300 CNAME big-test.dcv.test."),
    );
    let server = NameServer::bind(&[big.policy(Policy::Closed)], &Keys::of(&["prevalidate"]));
    let small = NameServer::bind(&[Zone::new("dcv.test", "")], &Keys::of(&["small"]));
    let contents = || [server.axfr("big.test"), small.axfr("dcv.test")];
    let before = contents();
    let (at_big, at_small) = (server.address(), small.address());
    let site = Site::checking("", move |name| {
        vec![if name.ends_with("dcv.test") {
            at_small
        } else {
            at_big
        }]
    });
    let mut setup = site.setup(&server, &["big.test"]);
    let servers = &mut setup.name_servers;
    servers.insert("dcv.test".to_owned(), vec![at_small]);
    setup.more = format!(
        "[provider.small]\nkind = \"rfc2136\"\nserver = \"{at_small}\"\nkey_file = {}\n",
        json!(small.tsig_key_file().display().to_string()),
    );
    site.world.run(&setup, &["run", "--wait", "30s"]).exits(0);
    assert!(site.cc.validated_at("big.test").is_some());
    assert_eq!(contents(), before);
    let journal = small.journal("dcv.test");
    let owners: Vec<_> = journal.iter().map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(
        owners,
        [Some("big-test.dcv.test."); 2],
        "written where it leads: {journal:?}"
    );
    assert_eq!(server.serial("big.test"), 1, "never written");

    let (ca, client) = site.sections();
    let mut strict = setup.clone();
    strict.instead = Some((format!("{ca}follow_aliases = false\n"), client));
    strict.name = "strict".to_owned();
    site.cc.prove("big.test", DAY * 190);
    let serial = small.serial("dcv.test");
    let ran = site.world.run(&strict, &["run", "--wait", "3s"]);
    assert_ne!(ran.status.code(), Some(0), "{}", ran.said());
    assert_eq!(small.serial("dcv.test"), serial, "no secondary follows");
    assert_eq!(contents(), before);
}

#[test]
fn a_domain_whose_record_cannot_be_written_is_not_created_at_digicert() {
    for more in ["", "label = \"apex\"\n", "method = \"cname\"\n"] {
        let (server, name) = one_zone();
        let site = Site::new(&server, more);
        let (ca, client) = site.sections();
        let mut setup = site.world.setup(&server, &[name]);
        setup.instead = Some((ca, client + "create_domains = true\n"));
        let right = setup.provider.clone();
        let wrong = site.world.path("wrong.key");
        let key = Key::new("prevalidate", "hmac-sha256");
        write_secret(&wrong, &key.file_text());
        setup.provider = Some((server.address(), wrong));
        let ran = site.world.run(&setup, &["run", "--wait", "3s"]);
        ran.exits(4);
        assert_eq!(site.cc.names().len(), 0, "{more:?}: DigiCert hears nothing");
        assert_eq!(site.cc.count("POST", "/domain"), 0);
        setup.provider = right;
        let again = ["run", "--domain", name, "--wait", "30s"];
        site.world.run(&setup, &again).exits(0);
        assert_eq!(site.cc.names(), [name]);
        assert_eq!(domain(&site, &setup)["state"], "valid");
    }
}
