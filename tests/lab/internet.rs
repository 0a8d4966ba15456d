//! From cases to zone files: which process serves which text at which addresses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::sign::{self, Key};
use super::topology::{Case, Copy, Listed, Make, Role, Runs, Signed, Spoilt, Zone, zone};

/// The TXT value that the CA waits for.
pub const VALUE: &str = "swiss-pki=0123456789abcdef";

/// What one process serves.
#[derive(Debug, Default)]
pub struct Load {
    pub addresses: Vec<IpAddr>,
    pub files: Vec<ZoneFile>,
}

#[derive(Debug)]
pub struct ZoneFile {
    pub apex: String,
    pub content: Content,
    /// A view of BIND for askers inside our network, at these addresses.
    pub inside: Option<Vec<IpAddr>>,
    pub signed: bool,
}

#[derive(Debug)]
pub enum Content {
    Text(String),
    TransferFrom(IpAddr),
}

/// The plan of all servers, and what a validating resolver must know.
#[derive(Debug)]
pub struct Plan {
    pub loads: BTreeMap<(Role, Make), Load>,
    pub roots: Vec<IpAddr>,
    pub anchor: String,
}

/// `.`, `ch`, and `swiss`, which signs with NSEC3 and opt-out.
fn above() -> Vec<Zone> {
    let registry = |apex| zone(apex).on(Make::Knot).on(Make::Knot).by_ipv6().signed();
    vec![
        zone("").on(Make::Nsd).on(Make::Nsd).by_ipv6().signed(),
        registry("ch"),
        registry("swiss"),
    ]
}

fn role(apex: &str, copy: Copy) -> Role {
    match (apex, copy) {
        ("", _) => Role::Root,
        ("ch" | "swiss", _) => Role::Registry,
        (_, Copy::Fresh | Copy::Transferred) => Role::Main,
        _ => Role::Other,
    }
}

/// Whether `name` is `zone` or below it.
pub fn is_in(name: &str, zone: &str) -> bool {
    zone.is_empty()
        || name
            .strip_suffix(zone)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Writes and signs everything; keys and intermediate files go to `directory`.
pub fn plan(cases: &[Case], directory: &Path) -> Plan {
    let zones: Vec<Zone> = above()
        .into_iter()
        .chain(cases.iter().flat_map(|case| case.zones.clone()))
        .collect();
    let keys: BTreeMap<&str, Key> = std::thread::scope(|scope| {
        let signed = zones.iter().filter_map(|zone| match zone.signed {
            Signed::With(algorithm) => Some((zone, algorithm)),
            Signed::No => None,
        });
        let made: Vec<_> = signed
            .map(|(zone, algorithm)| {
                (
                    zone.apex.as_str(),
                    scope.spawn(move || Key::generate(directory, &zone.apex, algorithm)),
                )
            })
            .collect();
        made.into_iter()
            .map(|(apex, key)| (apex, key.join().unwrap()))
            .collect()
    });
    let files = std::thread::scope(|scope| {
        let (zones, keys) = (&zones, &keys);
        let copies = zones
            .iter()
            .flat_map(|zone| copies(zone).into_iter().map(move |copy| (zone, copy)));
        let made: Vec<_> = copies
            .map(|(zone, copy)| {
                (
                    (zone, copy),
                    scope.spawn(move || file(zone, copy, cases, zones, keys, directory)),
                )
            })
            .collect();
        made.into_iter()
            .map(|(what, text)| (what, text.join().unwrap()))
            .collect::<Vec<_>>()
    });
    let mut loads: BTreeMap<(Role, Make), Load> = BTreeMap::new();
    for ((zone, copy), text) in files {
        for make in makes(zone, copy) {
            let content = match copy {
                Copy::Transferred => Content::TransferFrom(zone.servers[0].address),
                _ => Content::Text(text.clone()),
            };
            let (apex, signed) = (zone.apex.clone(), zone.signed != Signed::No);
            loads
                .entry((role(&zone.apex, copy), make))
                .or_default()
                .files
                .push(ZoneFile {
                    apex,
                    content,
                    inside: None,
                    signed,
                });
        }
    }
    for zone in &zones {
        for server in &zone.servers {
            let key = match server.runs {
                Runs::Serves(make, copy) => (role(&zone.apex, copy), make),
                Runs::Refuses(make) => (Role::Other, make),
                Runs::Closed | Runs::Dead => continue,
            };
            loads.entry(key).or_default().addresses.push(server.address);
        }
        if zone.split {
            let text = file(zone, Copy::Fresh, cases, &zones, &keys, directory);
            let inside = Some(zone.servers.iter().map(|server| server.address).collect());
            let load = loads
                .get_mut(&(Role::Other, Make::Bind))
                .expect("a split zone is on BIND");
            load.files.push(ZoneFile {
                apex: zone.apex.clone(),
                content: Content::Text(text),
                inside,
                signed: false,
            });
        }
    }
    let roots = zones[0]
        .servers
        .iter()
        .map(|server| server.address)
        .collect();
    Plan {
        loads,
        roots,
        anchor: keys[""].anchor().to_owned(),
    }
}

fn makes(zone: &Zone, copy: Copy) -> Vec<Make> {
    let mut makes: Vec<Make> = Vec::new();
    for server in &zone.servers {
        if let Runs::Serves(make, has) = server.runs
            && has == copy
            && !makes.contains(&make)
        {
            makes.push(make);
        }
    }
    makes
}

fn copies(zone: &Zone) -> Vec<Copy> {
    let mut copies: Vec<Copy> = Vec::new();
    for server in &zone.servers {
        if let Runs::Serves(_, copy) = server.runs
            && !copies.contains(&copy)
        {
            copies.push(copy);
        }
    }
    copies
}

fn file(
    zone: &Zone,
    copy: Copy,
    cases: &[Case],
    zones: &[Zone],
    keys: &BTreeMap<&str, Key>,
    directory: &Path,
) -> String {
    let text = match copy {
        Copy::Broken => return "this is not a zone file\n".to_owned(),
        Copy::Transferred => return String::new(),
        _ => text(zone, copy, cases, zones, keys),
    };
    let Some(key) = keys.get(zone.apex.as_str()) else {
        return text;
    };
    let spoilt = if copy == Copy::Expired {
        Spoilt::Expired
    } else {
        zone.spoilt
    };
    let label = format!("{}{copy:?}", zone.apex);
    sign::sign(
        directory,
        &label,
        &zone.apex,
        &text,
        key,
        spoilt,
        zone.apex == "swiss",
    )
}

/// The zone file of this copy, unsigned.
fn text(
    zone: &Zone,
    copy: Copy,
    cases: &[Case],
    zones: &[Zone],
    keys: &BTreeMap<&str, Key>,
) -> String {
    let apex = &zone.apex;
    let serial = if copy == Copy::Ahead {
        99
    } else {
        1 + u32::from(copy != Copy::Stale)
    };
    let mut text = format!(
        "$ORIGIN {apex}.\n$TTL 3600\n@ SOA {}. hostmaster {serial} 86400 60 604800 300\n",
        zone.servers[0].host.trim_end_matches('.')
    );
    for server in zone
        .servers
        .iter()
        .filter(|server| matches!(server.listed, Listed::Both | Listed::Child))
    {
        line(
            &mut text,
            "@",
            &format!("NS {}.", server.host.trim_end_matches('.')),
        );
    }
    if !apex.is_empty() && !["ch", "swiss"].contains(&apex.as_str()) {
        let spf = if copy == Copy::Foreign {
            "v=spf1 mx -all"
        } else {
            "v=spf1 -all"
        };
        line(&mut text, "@", &format!("TXT \"{spf}\""));
    }
    let holds = |case: &&Case| deepest(&case.domain, zones).apex == *apex;
    if matches!(copy, Copy::Fresh | Copy::Foreign | Copy::Expired) {
        for case in cases
            .iter()
            .filter(|case| case.zones.iter().any(|own| own.apex == *apex))
            .filter(holds)
        {
            if !zone
                .records
                .iter()
                .any(|record| record.contains(VALUE) || record.contains("CNAME"))
            {
                line(
                    &mut text,
                    &format!("{}.", case.domain),
                    &format!("TXT \"{VALUE}\""),
                );
            }
        }
    }
    for record in &zone.records {
        writeln!(text, "{record}").unwrap();
    }
    for child in zones
        .iter()
        .filter(|child| parent(child, zones).is_some_and(|parent| parent.apex == *apex))
    {
        let owner = format!("{}.", child.apex);
        for server in child
            .servers
            .iter()
            .filter(|server| matches!(server.listed, Listed::Both | Listed::Parent))
        {
            line(
                &mut text,
                &owner,
                &format!("NS {}.", server.host.trim_end_matches('.')),
            );
        }
        for ds in sign::ds(keys.get(child.apex.as_str()), child.ds) {
            line(&mut text, &owner, &ds);
        }
    }
    // Names of this zone, and glue: names of a zone below it among that zone's own servers.
    let addresses: BTreeSet<(&str, IpAddr)> = zones
        .iter()
        .flat_map(|zone| zone.servers.iter().map(move |server| (zone, server)))
        .filter(|(of, server)| {
            let home = deepest(&server.host, zones);
            home.apex == *apex
                || home.apex == of.apex
                    && parent(of, zones).is_some_and(|above| above.apex == *apex)
        })
        .map(|(_, server)| (server.host.as_str(), server.address))
        .collect();
    for (host, address) in addresses {
        line(
            &mut text,
            &format!("{}.", host.trim_end_matches('.')),
            &format!("{} {address}", if address.is_ipv4() { "A" } else { "AAAA" }),
        );
    }
    text
}

fn line(text: &mut String, owner: &str, data: &str) {
    writeln!(text, "{owner} {data}").unwrap();
}

fn deepest<'a>(name: &str, zones: &'a [Zone]) -> &'a Zone {
    let name = name.trim_end_matches('.');
    zones
        .iter()
        .filter(|zone| is_in(name, &zone.apex))
        .max_by_key(|zone| zone.apex.len())
        .expect("the root holds all")
}

fn parent<'a>(child: &Zone, zones: &'a [Zone]) -> Option<&'a Zone> {
    let above = |zone: &&Zone| zone.apex != child.apex && is_in(&child.apex, &zone.apex);
    zones
        .iter()
        .filter(above)
        .max_by_key(|zone| zone.apex.len())
}

/// Port 53 of an address.
pub fn dns(address: IpAddr) -> SocketAddr {
    SocketAddr::from((address, 53))
}
