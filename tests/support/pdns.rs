//! PowerDNS with SQLite: configuration, database and command.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process;
use super::zones::{Keys, Policy, Source, Zone};

/// Debian's package has the schema here; the second path is where the upstream packages have it.
const SCHEMAS: [&str; 2] = [
    "/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql",
    "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql",
];

/// Writes `pdns.conf` and fills the database.
pub fn prepare(directory: &Path, address: SocketAddr, zones: &[Zone], keys: &Keys) {
    let here = directory.to_str().unwrap();
    let text = format!(
        "launch=gsqlite3
gsqlite3-database={here}/pdns.sqlite3
gsqlite3-pragma-synchronous=0
local-address={}
local-port={}
socket-dir={here}
daemon=no
guardian=no
disable-syslog=yes
loglevel=5
dnsupdate=yes
allow-dnsupdate-from=
allow-axfr-ips=127.0.0.0/8
receiver-threads=1
distributor-threads=1
query-cache-ttl=0
cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
default-soa-edit=
",
        address.ip(),
        address.port(),
    );
    std::fs::write(directory.join("pdns.conf"), text).unwrap();
    let schema = SCHEMAS
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok());
    let schema = schema.unwrap_or_else(|| {
        panic!("\n\n  The SQLite backend of PowerDNS is missing ({}). Install it: sudo tests/install\n\n", SCHEMAS[0])
    });
    let database = format!("{here}/pdns.sqlite3");
    process::run("sqlite3", &[&database], &schema);
    let mut sql = String::new();
    for key in &keys.0 {
        let (name, algorithm, secret) = (&key.name, &key.algorithm, &key.secret);
        writeln!(sql, "INSERT INTO tsigkeys (name, algorithm, secret) VALUES ('{name}', '{algorithm}', '{secret}');")
            .unwrap();
    }
    for (
        number,
        Zone {
            apex,
            text: file,
            policy,
            source,
        },
    ) in zones.iter().enumerate()
    {
        assert!(
            matches!(source, Source::File),
            "PowerDNS serves primary zones only in this harness"
        );
        let path = format!("{here}/{number}.zone");
        std::fs::write(&path, file).unwrap();
        process::run(
            "pdnsutil",
            &["--config-dir", here, "load-zone", apex, &path],
            "",
        );
        // Without it PowerDNS knows no empty non-terminals and answers for them from wildcards.
        process::run(
            "pdnsutil",
            &["--config-dir", here, "rectify-zone", apex],
            "",
        );
        let mut meta = vec![("SOA-EDIT-DNSUPDATE", "INCREASE")];
        let allowed: Vec<&str> = match policy {
            Policy::AnyKey => keys.0.iter().map(|key| key.name.as_str()).collect(),
            Policy::ApexTxt(key) => vec![key.as_str()],
            Policy::Closed => Vec::new(),
        };
        meta.extend(allowed.iter().map(|key| ("TSIG-ALLOW-DNSUPDATE", *key)));
        if !allowed.is_empty() {
            meta.push(("ALLOW-DNSUPDATE-FROM", "127.0.0.0/8"));
        }
        writeln!(
            sql,
            "UPDATE domains SET type = 'MASTER' WHERE name = '{apex}';"
        )
        .unwrap();
        for (kind, content) in meta {
            writeln!(
                sql,
                "INSERT INTO domainmetadata (domain_id, kind, content) \
                 SELECT id, '{kind}', '{content}' FROM domains WHERE name = '{apex}';"
            )
            .unwrap();
        }
    }
    process::run("sqlite3", &[&database], &sql);
}

/// Gives the caches the values of the package again.
pub fn as_packaged(directory: &Path) {
    let path = directory.join("pdns.conf");
    let text = std::fs::read_to_string(&path).unwrap();
    let ours = |line: &&str| {
        line.contains("cache-ttl=")
            || line.starts_with("zone-cache-refresh-interval=")
            || line.starts_with("default-soa-edit=")
    };
    let kept: Vec<&str> = text.lines().filter(|line| !ours(line)).collect();
    let text = kept.join("\n") + "\nenable-lua-records=yes\n";
    std::fs::write(path, text).unwrap();
}

/// What the database says to `sql`.
pub fn sql(directory: &Path, sql: &str) -> String {
    let database = directory.join("pdns.sqlite3").display().to_string();
    process::run("sqlite3", &[&database], sql)
}

/// In the foreground.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(process::find("pdns_server"));
    command.arg(format!("--config-dir={}", directory.display()));
    command
}
