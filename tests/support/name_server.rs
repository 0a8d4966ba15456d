//! A running name server and what a test asks of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use hickory_proto::op::{MessageType, OpCode};
use hickory_proto::rr::{RData, RecordType};
use tempfile::TempDir;

use super::ports::Port;
use super::process::{self, Process};
use super::zones::{Keys, Source, Zone};
use super::{ask, bind, knot, pdns};

/// How long a server may take to answer for all its zones; BIND, Knot and PowerDNS need 0.1 to 0.3
/// s.
const START: Duration = Duration::from_secs(30);

/// A name server that lives as long as this value.
#[derive(Debug)]
pub struct NameServer {
    // Dropped in this order: the process before the port and the directory it uses.
    process: Process,
    port: Port,
    directory: TempDir,
    keys: Keys,
    zones: Vec<Zone>,
    command: fn(&Path) -> Command,
}

impl NameServer {
    /// BIND 9, `named`.
    pub fn bind(zones: &[Zone], keys: &Keys) -> Self {
        let prepare = |directory: &Path, address| bind::prepare(directory, address, zones, keys);
        Self::start(zones, keys, prepare, bind::command)
    }

    /// BIND 9 with `stanzas` of its own below the usual options and zone files beside them. It is
    /// up when it answers for `zones` without a key.
    pub fn bind_as(zones: &[Zone], keys: &Keys, stanzas: &str, files: &[(&str, &Zone)]) -> Self {
        let prepare = |directory: &Path, address: SocketAddr| {
            bind::prepare_as(directory, address.port(), stanzas, files);
        };
        Self::start(zones, keys, prepare, bind::command)
    }

    /// Knot DNS, `knotd`.
    pub fn knot(zones: &[Zone], keys: &Keys) -> Self {
        let prepare = |directory: &Path, address| knot::prepare(directory, address, zones, keys);
        Self::start(zones, keys, prepare, knot::command)
    }

    /// PowerDNS with SQLite, `pdns_server`; primary zones only.
    pub fn pdns(zones: &[Zone], keys: &Keys) -> Self {
        let prepare = |directory: &Path, address| {
            pdns::prepare(directory, address, zones, keys);
        };
        Self::start(zones, keys, prepare, pdns::command)
    }

    /// PowerDNS with the caches of its package; `sql` changes its database before it starts.
    pub fn pdns_packaged(zones: &[Zone], keys: &Keys, sql: &str) -> Self {
        let prepare = |directory: &Path, address| {
            pdns::prepare(directory, address, zones, keys);
            pdns::as_packaged(directory);
            pdns::sql(directory, sql);
        };
        Self::start(zones, keys, prepare, pdns::command)
    }

    /// Makes PowerDNS forget what it keeps of all zones.
    pub fn purge(&self) {
        let here = self.directory.path().display().to_string();
        process::run(
            "pdns_control",
            &[&format!("--socket-dir={here}"), "purge"],
            "",
        );
    }

    /// What the database of PowerDNS says to `sql`, line by line.
    pub fn sql(&self, sql: &str) -> Vec<String> {
        let said = pdns::sql(self.directory.path(), sql);
        said.lines().map(str::to_owned).collect()
    }

    /// The records that `dig` shows when it asks with the server's first key.
    pub fn dig_with_key(&self, name: &str, record_type: &str) -> Vec<String> {
        let port = self.address().port().to_string();
        let key = self.tsig_key_file().display().to_string();
        let arguments = [
            "+tcp",
            "+noall",
            "+answer",
            "+tries=1",
            "-k",
            &key,
            "-p",
            &port,
            "@127.0.0.1",
            name,
            record_type,
        ];
        let text = process::run("dig", &arguments, "");
        let records = text.lines().filter(|line| !line.starts_with(';'));
        let mut records: Vec<String> = records
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|line| !line.is_empty())
            .collect();
        records.sort();
        records
    }

    fn start(
        zones: &[Zone],
        keys: &Keys,
        prepare: impl FnOnce(&Path, SocketAddr),
        command: fn(&Path) -> Command,
    ) -> Self {
        let (port, directory) = (
            Port::take(),
            TempDir::with_prefix("prevalidate-dns-").unwrap(),
        );
        write_secret(&directory.path().join("tsig.key"), &keys.file_text());
        prepare(directory.path(), port.address());
        let process = Process::start(command(directory.path()), directory.path());
        let (keys, zones) = (keys.clone(), zones.to_vec());
        let mut server = Self {
            process,
            port,
            directory,
            keys,
            zones,
            command,
        };
        server.wait_until_it_answers();
        server
    }

    /// Kills the server and starts it again on the same port with what it had written.
    pub fn restart(&mut self) {
        self.stop();
        self.resume();
    }

    /// Kills the server; [`Self::resume`] starts it again.
    pub fn stop(&mut self) {
        // Replacing the process by one that ends at once drops, and so kills and reaps, the server.
        self.process = Process::start(Command::new("true"), self.directory.path());
    }

    /// Starts the server again after [`Self::stop`].
    pub fn resume(&mut self) {
        self.process = Process::start((self.command)(self.directory.path()), self.directory.path());
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&mut self) {
        let begun = Instant::now();
        let ready = |zone: &Zone, server: SocketAddr| {
            ask::serial(server, &zone.apex).is_some()
                && ask::udp(server, &ask::query(&zone.apex, RecordType::SOA)).is_some()
        };
        while !self
            .zones
            .iter()
            .all(|zone| ready(zone, self.port.address()))
        {
            if self.process.ended() || begun.elapsed() > START {
                let state = if self.process.ended() {
                    "ended at once"
                } else {
                    "does not answer for its zones"
                };
                panic!(
                    "the name server in {} {state}:\n{}",
                    self.directory.path().display(),
                    self.log()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Where it listens, UDP and TCP.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its keys in a BIND key file.
    pub fn tsig_key_file(&self) -> PathBuf {
        self.directory.path().join("tsig.key")
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Everything the server said.
    pub fn log(&self) -> String {
        ["output", "log"]
            .iter()
            .filter_map(|file| std::fs::read(self.directory.path().join(file)).ok())
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }

    /// The zone as records in presentation form with their TTLs, sorted, the SOA's serial replaced
    /// by `SERIAL`.
    pub fn axfr(&self, zone: &str) -> Vec<String> {
        let port = self.address().port().to_string();
        let arguments = [
            "+tcp",
            "+noall",
            "+answer",
            "+tries=1",
            "-p",
            &port,
            "@127.0.0.1",
            zone,
            "AXFR",
        ];
        let text = process::run("dig", &arguments, "");
        let mut records: Vec<String> = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with(';'))
            .map(|line| {
                // Name, TTL, class, type; the data keeps its spaces, they may be inside a string.
                let mut fields: Vec<String> = Vec::new();
                let mut rest = line;
                for _ in 0..4 {
                    let (field, tail) = rest.split_once([' ', '\t']).unwrap_or((rest, ""));
                    fields.push(field.into());
                    rest = tail.trim_start();
                }
                if fields[3] == "SOA" {
                    let mut soa: Vec<&str> = rest.split(' ').collect();
                    soa[2] = "SERIAL";
                    fields.push(soa.join(" "));
                } else {
                    fields.push(rest.into());
                }
                fields.join(" ")
            })
            .collect();
        assert!(
            !records.is_empty(),
            "AXFR of {zone} gave nothing: {text}\n{}",
            self.log()
        );
        records.sort();
        records.dedup();
        records
    }

    /// The TXT values at `name`, character-strings joined, sorted.
    pub fn txt(&self, name: &str) -> Vec<String> {
        let reply = ask::tcp(self.address(), &ask::query(name, RecordType::TXT))
            .expect("the server answers");
        let mut values: Vec<String> = reply
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::TXT(txt) => {
                    Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned())
                }
                _ => None,
            })
            .collect();
        values.sort();
        values
    }

    /// The serial of `zone`.
    pub fn serial(&self, zone: &str) -> u32 {
        ask::serial(self.address(), zone)
            .unwrap_or_else(|| panic!("no SOA of {zone}:\n{}", self.log()))
    }

    /// The records, without SOA, that updates have removed from a zone of BIND and added to it, as its
    /// journal has them: `add NAME TTL CLASS TYPE DATA`, oldest first.
    pub fn journal(&self, zone: &str) -> Vec<String> {
        let number = self.zones.iter().position(|known| known.apex == zone);
        let number = number.unwrap_or_else(|| panic!("there is no zone {zone}"));
        let file = self.directory.path().join(format!("{number}.zone.jnl"));
        if !file.exists() {
            return Vec::new();
        }
        let file = file.display().to_string();
        let text = process::run("named-journalprint", &[&file], "");
        let lines = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
        let is_soa = |line: &String| line.split(' ').nth(4) == Some("SOA");
        lines
            .filter(|line| line.starts_with("add ") || line.starts_with("del "))
            .filter(|line| !is_soa(line))
            .collect()
    }

    /// Another writer changes a zone: lines of `nsupdate` (`update add …`), signed with the
    /// server's first key.
    pub fn nsupdate(&self, lines: &str) {
        let key = &self.keys.0[0];
        let key = format!("{}:{}:{}", key.algorithm, key.name, key.secret);
        let input = format!(
            "server 127.0.0.1 {}\n{lines}\nsend\n",
            self.address().port()
        );
        let output = process::try_run("nsupdate", &["-v", "-t", "10", "-y", &key], &input);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "nsupdate of {lines:?}: {said}\n{}",
            self.log()
        );
    }

    /// Makes a secondary fetch `zone` from its primary now; returns when both have the same serial.
    ///
    /// A NOTIFY (RFC 1996) from the primary's address does what `rndc refresh` and
    /// `knotc zone-refresh` do, the same for both.
    pub fn refresh(&self, zone: &str) {
        let of_secondary = self.zones.iter().find_map(|known| match &known.source {
            Source::Primary(primary, _) if known.apex == zone => Some(*primary),
            _ => None,
        });
        let primary = of_secondary.unwrap_or_else(|| panic!("{zone} is not a secondary zone here"));
        let wanted = ask::serial(primary, zone).expect("the primary answers");
        let mut notify = ask::query(zone, RecordType::SOA);
        notify.metadata.op_code = OpCode::Notify;
        notify.metadata.message_type = MessageType::Query;
        notify.metadata.authoritative = true;
        let begun = Instant::now();
        while ask::serial(self.address(), zone) != Some(wanted) {
            assert!(
                begun.elapsed() < START,
                "no transfer of {zone} after NOTIFY:\n{}",
                self.log()
            );
            // Repeated, because a server that is just transferring may drop it.
            ask::udp(self.address(), &notify);
            for _ in 0..25 {
                if ask::serial(self.address(), zone) == Some(wanted) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// A file that only its owner can read, as the product demands of secrets.
pub fn write_secret(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
