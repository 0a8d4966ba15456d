//! BIND 9: configuration and command.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::process;
use super::zones::{Keys, Policy, Refresh, Source, Zone, documented};

/// What every configuration begins with.
fn head(port: u16) -> String {
    // Everything that has a path outside the directory or a fixed port by default is moved or
    // switched off.
    format!(
        "include \"tsig.key\";
controls {{ }};
options {{
  directory \".\"; managed-keys-directory \".\"; pid-file none; session-keyfile \"session.key\"; lock-file none;
  listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};
  recursion no; allow-query {{ any; }}; allow-transfer {{ any; }}; notify no; dnssec-validation no; empty-zones-enable no;
  minimal-responses yes; querylog no;
}};
logging {{
  channel all {{ file \"log\"; severity info; print-time yes; print-category yes; }};
  category default {{ all; }}; category update {{ all; }}; category update-security {{ all; }};
}};
"
    )
}

/// Writes `named.conf` with `stanzas` below the usual options, and `files` beside it.
pub fn prepare_as(directory: &Path, port: u16, stanzas: &str, files: &[(&str, &Zone)]) {
    std::fs::write(directory.join("named.conf"), head(port) + stanzas).unwrap();
    for (file, zone) in files {
        std::fs::write(directory.join(file), &zone.text).unwrap();
    }
}

/// Writes `named.conf` and the zone files.
pub fn prepare(directory: &Path, address: SocketAddr, zones: &[Zone], keys: &Keys) {
    let mut text = head(address.port());
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
        let stanza = match source {
            Source::File => {
                std::fs::write(directory.join(format!("{number}.zone")), file).unwrap();
                let policy = match policy {
                    Policy::AnyKey => {
                        let grants = keys
                            .0
                            .iter()
                            .map(|key| format!(" grant {}. zonesub ANY;", key.name));
                        format!("update-policy {{{} }};", grants.collect::<String>())
                    }
                    Policy::ApexTxt(key) => documented("bind", apex, key),
                    Policy::Closed => String::new(),
                };
                format!("type primary; file \"{number}.zone\"; {policy}")
            }
            Source::Primary(primary, refresh) => {
                let seconds = if *refresh == Refresh::EverySecond {
                    1
                } else {
                    86_400
                };
                format!(
                    "type secondary; file \"{number}.bak\"; masterfile-format text; \
                     primaries {{ {} port {}; }}; min-refresh-time {seconds}; max-refresh-time {seconds}; \
                     min-retry-time 1; max-retry-time 1;",
                    primary.ip(),
                    primary.port(),
                )
            }
        };
        writeln!(text, "zone \"{apex}\" {{ {stanza} }};").unwrap();
    }
    std::fs::write(directory.join("named.conf"), text).unwrap();
}

/// In the foreground, one worker thread.
pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(process::find("named"));
    command
        .args(["-f", "-n", "1", "-c"])
        .arg(directory.join("named.conf"));
    command
}
