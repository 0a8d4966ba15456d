//! Keys, signatures, and how they are spoilt: the tools of BIND, and lines of text.

use std::path::{Path, PathBuf};

use super::topology::{Ds, Spoilt};
use crate::support::process;

/// A key of one zone, which signs everything in it.
#[derive(Debug, Clone)]
pub struct Key {
    base: PathBuf,
    /// The DNSKEY record.
    pub record: String,
    /// The DS records in the parent, without owner.
    pub ds: Vec<String>,
}

impl Key {
    pub fn generate(directory: &Path, apex: &str, algorithm: &str) -> Self {
        let path = directory.to_str().unwrap();
        let size: &[&str] = if algorithm.starts_with("RSA") {
            &["-b", "2048"]
        } else {
            &[]
        };
        let zone = dotted(apex);
        let arguments = [
            &["-q", "-f", "KSK", "-K", path, "-a", algorithm],
            size,
            &[zone.as_str()],
        ]
        .concat();
        let name = process::run("dnssec-keygen", &arguments, "");
        let base = directory.join(name.trim());
        let file = base.with_added("key");
        let text = std::fs::read_to_string(&file).unwrap();
        let record = text
            .lines()
            .find(|line| !line.starts_with(';'))
            .unwrap()
            .to_owned();
        let text = process::run("dnssec-dsfromkey", &["-2", file.to_str().unwrap()], "");
        let ds = text
            .lines()
            .map(|line| line.split_once(" IN ").unwrap().1.to_owned())
            .collect();
        Self { base, record, ds }
    }

    /// As `unbound` and `prevalidate` read a trust anchor.
    pub fn anchor(&self) -> &str {
        &self.record
    }
}

trait WithAdded {
    fn with_added(&self, extension: &str) -> PathBuf;
}

impl WithAdded for PathBuf {
    /// Algorithm and tag come after dots that begin no extension.
    fn with_added(&self, extension: &str) -> PathBuf {
        PathBuf::from(format!("{}.{extension}", self.display()))
    }
}

/// What the parent of a zone with this key says.
pub fn ds(key: Option<&Key>, ds: Ds) -> Vec<String> {
    let right = || key.map_or_else(Vec::new, |key| key.ds.clone());
    let digest = "ab".repeat(32);
    match ds {
        Ds::Right => right(),
        Ds::Missing => Vec::new(),
        Ds::Wrong => vec![format!("DS 4711 13 2 {digest}")],
        Ds::Two => [right(), vec![format!("DS 4711 13 2 {digest}")]].concat(),
        Ds::Unknown => vec![format!("DS 4711 200 2 {digest}")],
    }
}

/// The zone with NSEC and signatures; NSEC3 with opt-out where wanted. One record a line.
#[expect(clippy::too_many_arguments, reason = "the parts of a signature")]
pub fn sign(
    directory: &Path,
    label: &str,
    apex: &str,
    text: &str,
    key: &Key,
    spoilt: Spoilt,
    opt_out: bool,
) -> String {
    let (plain, signed) = (
        directory.join(format!("{label}.plain")),
        directory.join(format!("{label}.signed")),
    );
    std::fs::write(&plain, format!("{text}{}\n", key.record)).unwrap();
    let (start, end) = match spoilt {
        Spoilt::Expired => ("now-30d", "now-5d"),
        Spoilt::Future => ("now+5d", "now+30d"),
        _ => ("now-1d", "now+30d"),
    };
    let apex = dotted(apex);
    let mut arguments = vec![
        "-q", "-z", "-P", "-n", "1", "-O", "full", "-o", &apex, "-s", start, "-e", end,
    ];
    if opt_out {
        arguments.extend(["-3", "-", "-A", "-H", "0"]);
    }
    let (here, to) = (directory.to_str().unwrap(), signed.to_str().unwrap());
    arguments.extend([
        "-d",
        here,
        "-f",
        to,
        plain.to_str().unwrap(),
        key.base.to_str().unwrap(),
    ]);
    process::run("dnssec-signzone", &arguments, "");
    let text = std::fs::read_to_string(signed).unwrap();
    text.lines()
        .filter_map(|line| spoil(line, spoilt))
        .collect::<Vec<_>>()
        .join("\n")
        + "\n"
}

fn spoil(line: &str, spoilt: Spoilt) -> Option<String> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let kind = fields.get(3).copied().unwrap_or_default();
    let covered = fields.get(4).copied().unwrap_or_default();
    match spoilt {
        Spoilt::Unsigned if kind == "RRSIG" && covered == "TXT" => None,
        Spoilt::NoDenial if kind == "NSEC" || kind == "RRSIG" && covered == "NSEC" => None,
        Spoilt::Forged if kind == "RRSIG" && covered == "TXT" => {
            let signature = fields[12..].concat();
            let first = if signature.starts_with('A') { 'B' } else { 'A' };
            Some(format!(
                "{} {first}{}",
                fields[..12].join(" "),
                &signature[1..]
            ))
        }
        _ => Some(line.to_owned()),
    }
}

fn dotted(apex: &str) -> String {
    format!("{}.", apex.trim_end_matches('.'))
}
