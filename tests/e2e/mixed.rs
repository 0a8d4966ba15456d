//! Zones at three providers, and no domain that says which: the live delegation does.
//!
//! All of it happens in a network of its own, because a delegation has no port: name servers must
//! be at port 53. Those of Route 53 and Cloudflare answer what their APIs hold.

mod persistent;

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use prevalidate::clock::SystemClock;
use prevalidate::sandbox::ca::Call;
use prevalidate::sandbox::dns::{self, Dns};
use serde_json::json;
use tokio::runtime::Runtime;

use super::world::{Setup, World};
use crate::lab::namespace;
use crate::support::apis::cloudflare::{FakeCloudflare, Token};
use crate::support::apis::route53::{Fake as FakeRoute53, Key, Operation, Rrset};
use crate::support::name_server::write_secret;
use crate::support::proxy::{forward, read, write};
use crate::support::{Keys, NameServer, Zone};

/// The last octets of 192.0.2.0/24.
const ROOT: u8 = 10;
const BIND: u8 = 11;
const AWS: u8 = 12;
const CLOUDFLARE: u8 = 13;

const SPF: &str = "v=spf1 mx -all";
const TOKEN: &str = "t0ken-of-the-team";
const OF_BIND: [&str; 3] = ["b0.test", "b1.test", "b2.test"];
/// By the zone's id. The last is in no list: what counts of it is delegated to Cloudflare.
const OF_AWS: [(&str, &str); 3] = [
    ("Z0R", "r0.test"),
    ("Z1R", "r1.test"),
    ("Z2P", "parent.test"),
];
const OF_CLOUDFLARE: [&str; 3] = ["c0.test", "c1.test", "sub.parent.test"];
const SERVERS_OF_CLOUDFLARE: [&str; 2] = ["amy.ns.cloudflare.test", "bob.ns.cloudflare.test"];

fn address(last: u8) -> IpAddr {
    IpAddr::from([192, 0, 2, last])
}

fn port_53(last: u8) -> SocketAddr {
    SocketAddr::new(address(last), 53)
}

#[test]
fn domains_at_three_providers_are_valid_after_one_run_unrouted() {
    if namespace::is_inside() {
        run();
    } else {
        namespace::rerun("e2e::mixed::domains_at_three_providers_are_valid_after_one_run_unrouted");
    }
}

fn run() {
    namespace::set_up([ROOT, BIND, AWS, CLOUDFLARE].map(address));
    let stage = Stage::start();
    let world = World::checking(|name| vec![port_53(whose(name))]);
    let setup = stage.setup(&world);
    let (before, first) = (stage.zones(), stage.serials());

    let listed = world
        .run(&setup, &["providers", "--output", "json"])
        .exits(0)
        .json();
    let rows = listed.as_array().unwrap().iter();
    let rows: Vec<_> = rows
        .map(|row| (row["provider"].as_str().unwrap(), row["zone"].as_str()))
        .collect();
    let owned = |provider: &'static str, zones: &[&'static str]| {
        zones
            .iter()
            .map(|&zone| (provider, Some(zone)))
            .collect::<Vec<_>>()
    };
    let expected = [
        owned("aws", &["r0.test", "r1.test"]),
        owned("bind", &OF_BIND),
        owned("cloudflare", &OF_CLOUDFLARE),
    ];
    assert_eq!(rows, expected.concat());
    assert_eq!(
        (stage.zones(), stage.serials()),
        (before.clone(), first.clone()),
        "nothing was written"
    );
    world.run(&setup, &["status", "--refresh"]);
    let found = world
        .run(&setup, &["diagnose", "sub.parent.test", "--output", "json"])
        .json();
    let provider = &found[0]["provider"];
    assert_eq!(
        (&provider["name"], &provider["error"]),
        (&json!("cloudflare"), &json!(null)),
        "{provider}"
    );
    stage.forget_calls();

    world
        .run(&setup, &["run", "--wait", "60s"])
        .exits(0)
        .says(&["8 domains: 8 valid"]);
    assert_eq!(
        stage.zones(),
        before,
        "every record and TTL is as before, everywhere"
    );
    assert_eq!(
        stage.serials(),
        first.iter().map(|serial| serial + 2).collect::<Vec<_>>(),
        "one change to publish each"
    );
    let calls = stage.cloudflare.web.take_calls();
    let writes = calls.iter().filter(|call| !call.starts_with("GET")).count();
    assert_eq!(writes, 2 * OF_CLOUDFLARE.len(), "{calls:#?}");
    // Two zones, two stages, after a rehearsal each.
    assert_eq!(stage.aws.calls(Operation::ChangeResourceRecordSets), 2 + 4);
    assert_eq!(stage.aws.calls(Operation::ListHostedZones), 1);

    stage.forget_calls();
    world.ca.clear_log();
    world.run(&setup, &["run", "--wait", "60s"]).exits(0);
    let calls: Vec<Call> = world.ca.log().iter().map(|request| request.call).collect();
    assert_eq!(calls, [Call::List], "the second night is one call");
    assert_eq!(
        stage.cloudflare.web.take_calls(),
        [""; 0],
        "and none at any provider"
    );
    assert_eq!(stage.aws.calls(Operation::ListHostedZones), 0);
    assert_eq!(stage.aws.calls(Operation::ListResourceRecordSets), 0);
}

/// The server that has the zone of a name.
fn whose(name: &str) -> u8 {
    match name {
        name if OF_BIND.contains(&name) => BIND,
        name if OF_CLOUDFLARE.contains(&name) => CLOUDFLARE,
        _ => AWS,
    }
}

/// Three providers, their name servers, and the root above.
struct Stage {
    bind: NameServer,
    aws: Arc<FakeRoute53>,
    cloudflare: Arc<FakeCloudflare>,
    /// Its zones at Cloudflare.
    ids: Vec<String>,
    _root: NameServer,
    _runtime: Runtime,
}

impl Stage {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let (aws, cloudflare) = runtime.block_on(async {
            (
                Arc::new(FakeRoute53::start().await),
                Arc::new(FakeCloudflare::start().await),
            )
        });
        aws.key("AKIAOURS", Key::of("ours"));
        for (id, apex) in OF_AWS {
            aws.zone(id, apex, "ours");
            aws.with(id, |zone| {
                zone.put(Rrset::new(apex, "TXT", 3600, &[&format!("\"{SPF}\"")]))
            });
        }
        let cut: Vec<String> = SERVERS_OF_CLOUDFLARE
            .iter()
            .map(|host| format!("{host}."))
            .collect();
        let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
        aws.with("Z2P", |zone| {
            zone.put(Rrset::new("sub.parent.test", "NS", 300, &cut))
        });
        cloudflare.token(TOKEN, Token::FULL);
        let ids: Vec<String> = OF_CLOUDFLARE
            .iter()
            .map(|apex| cloudflare.zone(apex))
            .collect();
        for (id, apex) in ids.iter().zip(OF_CLOUDFLARE) {
            cloudflare.put(id, apex, "TXT", 3600, &format!("\"{SPF}\""));
        }
        // Left behind by a move: it holds the zone, and no server asks it.
        cloudflare.zone(OF_BIND[0]);

        let keys = Keys::of(&["prevalidate"]);
        let head =
            "$TTL 3600\n@ SOA ns1 hostmaster 1 86400 60 604800 300\n@ NS ns1\nns1 A 192.0.2.11";
        let zone =
            |apex: &&str| Zone::file(apex, &format!("$ORIGIN {apex}.\n{head}\n@ TXT \"{SPF}\"\n"));
        let bind = NameServer::bind(&OF_BIND.iter().map(zone).collect::<Vec<_>>(), &keys);
        let root = NameServer::bind(&[root()], &keys);

        answer_at(ROOT, root.address(), || {});
        answer_at(BIND, bind.address(), || {});
        let mirror = |_| {
            runtime
                .block_on(Dns::start(
                    Arc::new(SystemClock),
                    ([127, 0, 0, 1], 0).into(),
                    &[],
                ))
                .unwrap()
        };
        let [at_aws, at_cloudflare] = [AWS, CLOUDFLARE].map(mirror).map(Arc::new);
        let (dns, api) = (Arc::clone(&at_aws), Arc::clone(&aws));
        answer_at(AWS, at_aws.address(), move || {
            OF_AWS
                .iter()
                .for_each(|(id, apex)| dns.add_zone(aws_zone(&api, id, apex)))
        });
        let (dns, api, known) = (
            Arc::clone(&at_cloudflare),
            Arc::clone(&cloudflare),
            ids.clone(),
        );
        answer_at(CLOUDFLARE, at_cloudflare.address(), move || {
            known
                .iter()
                .zip(OF_CLOUDFLARE)
                .for_each(|(id, apex)| dns.add_zone(cloudflare_zone(&api, id, apex)));
        });
        Self {
            bind,
            aws,
            cloudflare,
            ids,
            _root: root,
            _runtime: runtime,
        }
    }

    fn setup(&self, world: &World) -> Setup {
        for (name, text) in [
            ("aws.id", "AKIAOURS"),
            ("aws.secret", "wJalrXUtnFEMI"),
            ("cloudflare.token", TOKEN),
        ] {
            write_secret(&world.path(name), text);
        }
        let file = |name: &str| {
            format!(
                "{{ file = {} }}",
                json!(world.path(name).display().to_string())
            )
        };
        let more = format!(
            r#"provider = "auto"
[provider.bind]
kind = "rfc2136"
server = "{bind}"
key_file = {key}
[provider.aws]
kind = "route53"
endpoint = "{aws}"
access_key = {id}
secret_key = {secret}
rate = "50/s"
[provider.cloudflare]
kind = "cloudflare"
url = "{cloudflare}"
token = {token}
"#,
            bind = self.bind.address(),
            key = json!(self.bind.tsig_key_file().display().to_string()),
            aws = self.aws.endpoint(),
            id = file("aws.id"),
            secret = file("aws.secret"),
            cloudflare = self.cloudflare.url(),
            token = file("cloudflare.token"),
        );
        let aws = OF_AWS[..2].iter().map(|(_, apex)| *apex);
        let domains: Vec<&str> = OF_BIND
            .into_iter()
            .chain(aws)
            .chain(OF_CLOUDFLARE)
            .collect();
        world.setup_with(&domains, &[port_53(ROOT)], more)
    }

    /// Everything that is in all zones.
    fn zones(&self) -> Vec<Vec<String>> {
        let bind = OF_BIND.iter().map(|apex| self.bind.axfr(apex));
        let aws = OF_AWS.iter().map(|(id, _)| self.aws.dump(id));
        bind.chain(aws)
            .chain(self.ids.iter().map(|id| self.cloudflare.dump(id)))
            .collect()
    }

    fn serials(&self) -> Vec<u32> {
        OF_BIND.iter().map(|apex| self.bind.serial(apex)).collect()
    }

    fn forget_calls(&self) {
        self.aws.forget_calls();
        self.cloudflare.web.take_calls();
    }
}

/// The root delegates every zone itself, and knows the addresses of all name servers.
fn root() -> Zone {
    let head = "$ORIGIN .\n$TTL 3600\n. SOA ns.root. hostmaster.root. 1 86400 60 604800 300\n. NS ns.root.\n";
    let mut text = format!("{head}ns.root. A {}\n", address(ROOT));
    for apex in OF_BIND {
        text += &format!("{apex}. NS ns1.{apex}.\nns1.{apex}. A {}\n", address(BIND));
    }
    for (id, apex) in OF_AWS {
        for host in servers_of_aws(id) {
            text += &format!("{apex}. NS {host}.\n{host}. A {}\n", address(AWS));
        }
    }
    for host in SERVERS_OF_CLOUDFLARE {
        text += &format!("{host}. A {}\n", address(CLOUDFLARE));
        text += &OF_CLOUDFLARE[..2]
            .iter()
            .map(|apex| format!("{apex}. NS {host}.\n"))
            .collect::<String>();
    }
    Zone::file(".", &text)
}

fn servers_of_aws(id: &str) -> Vec<String> {
    (1..=4)
        .map(|n| format!("ns-{n}.{}.awsdns.test", id.to_lowercase()))
        .collect()
}

/// A zone of the API as its name servers have it now.
fn aws_zone(api: &FakeRoute53, id: &str, apex: &str) -> dns::Zone {
    let zone = servers_of_aws(id)
        .iter()
        .fold(dns::Zone::new(apex), |zone, host| zone.ns(apex, host));
    let zone = with_own_servers(zone, apex, AWS);
    api.with(id, |held| {
        let sets = held
            .sets
            .iter()
            .filter(|set| set.name != apex || set.kind == "TXT");
        sets.flat_map(|set| set.values.iter().map(move |value| (set, value)))
            .fold(zone, |zone, (set, value)| match set.kind.as_str() {
                "TXT" => zone.txt(&set.name, value.trim_matches('"')),
                "NS" => zone.ns(&set.name, value),
                other => panic!("a {other} record"),
            })
    })
}

fn cloudflare_zone(api: &FakeCloudflare, id: &str, apex: &str) -> dns::Zone {
    let zone = SERVERS_OF_CLOUDFLARE
        .iter()
        .fold(dns::Zone::new(apex), |zone, host| zone.ns(apex, host));
    let zone = with_own_servers(zone, apex, CLOUDFLARE);
    api.dump(id).iter().fold(zone, |zone, line| {
        let mut words = line.splitn(4, ' ');
        let (owner, kind) = (words.next().unwrap(), words.nth(1));
        assert_eq!(kind, Some("TXT"), "{line}");
        zone.txt(owner, words.next().unwrap().trim_matches('"'))
    })
}

/// A zone of the sandbox has two name servers of its own: they are the same machine.
fn with_own_servers(zone: dns::Zone, apex: &str, last: u8) -> dns::Zone {
    ["ns1", "ns2"].iter().fold(zone, |zone, host| {
        zone.a(&format!("{host}.{apex}"), [192, 0, 2, last])
    })
}

/// Port 53 of an address, over UDP and TCP: `before` is done, then `upstream` is asked over TCP.
fn answer_at(last: u8, upstream: SocketAddr, before: impl Fn() + Send + Sync + 'static) {
    let (udp, tcp) = (
        UdpSocket::bind(port_53(last)).unwrap(),
        TcpListener::bind(port_53(last)).unwrap(),
    );
    let answer = Arc::new(move |request: &[u8]| {
        before();
        forward(upstream, request)
    });
    let over_udp = Arc::clone(&answer);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, asker)) = udp.recv_from(&mut buffer) {
            if let Some(reply) = over_udp(&buffer[..length]) {
                udp.send_to(&reply, asker).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        for mut stream in tcp.incoming().flatten() {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                while let Some(reply) = read(&mut stream).and_then(|request| answer(&request)) {
                    write(&mut stream, &reply)?;
                }
                Some(())
            });
        }
    });
}
