//! The reference configuration by section, and a first configuration that is made from it: the
//! comments and the keys are the reference's own, so that the two never differ. A first configuration
//! only observes, at the CA's pre-production where it has one.

use std::collections::BTreeSet;
use std::path::Path;

use super::fault::ConfigError;
use super::read;
use crate::ca::registry;
use crate::prevalidation::DomainName;

/// Every key, its default, its meaning.
const REFERENCE: &str = include_str!("../../config/prevalidate.toml");

/// The folder of the files that the reference names.
const FOLDER: &str = "/etc/prevalidate/";

/// The kind of a CA, its address, and that of its pre-production.
const REHEARSALS: [(&str, &str, &str); 2] = [
    (
        "swisssign",
        "https://api.ra.swisssign.ch",
        "https://api.ra.pre.swisssign.ch",
    ),
    (
        "internetx",
        "https://api.autodns.com/v1",
        "https://api.demo.autodns.com/v1",
    ),
];

/// The zones that foreign writers write, in the reference.
const ZONES: &str = "\nzones = [\"example.net\"]\n";

/// A store belongs to one address of a CA: that of a rehearsal is not used for production.
const STORES: (&str, &str) = ("/prevalidate.db\"", "/rehearsal.db\"");

/// How often a missing key may show that another key is missing.
const ROUNDS: usize = 5;

/// What a first configuration is about.
#[derive(Debug, Clone)]
pub struct Starter {
    /// The kind of CA.
    pub ca: String,
    /// The name of the client as the CA shows it, or a pattern.
    pub client: String,
    /// The domains, as people write them.
    pub domains: Vec<String>,
    /// The kind of provider.
    pub provider: String,
}

/// A part of the reference without empty lines: comments, a heading, keys.
struct Paragraph<'a> {
    text: &'a str,
    /// `ca.swisssign`, also where it is a comment.
    heading: Option<&'a str>,
}

/// The reference, or the sections of it that `section` names: a heading, the beginning of one, or a
/// kind of CA or provider.
pub fn reference(section: Option<&str>) -> Option<String> {
    let Some(section) = section else {
        return Some(REFERENCE.to_owned());
    };
    let section = section.trim_matches(['[', ']']);
    // A kind of CA has keys of its own in the section of its clients.
    let has_clients = kinds("ca").contains(&section) && !only_issues(section);
    let is_meant = |paragraph: &Paragraph<'_>| {
        let heading = paragraph.heading.unwrap_or_default();
        heading == section
            || has_clients && heading == "client"
            || heading
                .strip_prefix(section)
                .is_some_and(|rest| rest.starts_with('.'))
            || paragraph.kind() == Some(section)
    };
    let found: Vec<_> = paragraphs().into_iter().filter(is_meant).collect();
    (!found.is_empty()).then(|| joined(found.iter().map(|one| one.text.to_owned())))
}

/// Whether a kind of CA keeps no domains.
fn only_issues(ca: &str) -> bool {
    let mut all = registry::ADAPTERS.iter();
    let kind = all.find(|adapter| adapter.kind.name == ca);
    let issuing = kind.and_then(|adapter| adapter.issuing);
    issuing.is_some_and(|kind| !kind.has_clients)
}

/// What `reference` takes.
pub fn sections() -> BTreeSet<&'static str> {
    let paragraphs = paragraphs();
    let first = |heading: &'static str| heading.split('.').next().unwrap_or_default();
    let headings = paragraphs.iter().filter_map(|one| one.heading).map(first);
    headings
        .chain(kinds("ca"))
        .chain(kinds("provider"))
        .collect()
}

/// The kinds that the reference shows in sections of this name: `ca`, `provider`.
pub fn kinds(section: &str) -> Vec<&'static str> {
    let of_section = |one: &Paragraph<'_>| {
        let heading = one.heading.unwrap_or_default();
        heading.split('.').next() == Some(section)
    };
    let mut kinds = Vec::new();
    for kind in paragraphs()
        .iter()
        .filter(|one| of_section(one))
        .filter_map(Paragraph::kind)
    {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

impl Starter {
    /// The configuration for a file of this name: commented, and without a fault.
    ///
    /// # Errors
    /// The faults of the answers.
    pub fn text(&self, file: &Path) -> Result<String, ConfigError> {
        let is_usual = file
            .parent()
            .is_some_and(|folder| folder == Path::new(FOLDER));
        let mut keys = BTreeSet::from(["kind".to_owned()]);
        let mut text = String::new();
        for _ in 0..ROUNDS {
            text = self.draft(&keys, is_usual);
            let Err(error) = read::read(file, file, &text) else {
                return Ok(text);
            };
            let missing = error
                .faults
                .iter()
                .filter(|fault| fault.message.contains("missing"));
            let more: BTreeSet<String> = missing
                .filter_map(|fault| fault.key.rsplit('.').next().map(str::to_owned))
                .filter(|key| !keys.contains(key))
                .collect();
            if more.is_empty() {
                return Err(error);
            }
            keys.extend(more);
        }
        read::read(file, file, &text).map(|_| text)
    }

    /// With the keys that are needed; the others stay comments.
    fn draft(&self, keys: &BTreeSet<String>, is_usual: bool) -> String {
        let (ca, provider) = (of_kind("ca", &self.ca), of_kind("provider", &self.provider));
        let name = |one: &Option<Paragraph<'_>>| {
            let heading = one.as_ref().and_then(|one| one.heading).unwrap_or_default();
            heading.split('.').nth(1).unwrap_or_default().to_owned()
        };
        let (ca_name, provider_name) = (name(&ca), name(&provider));
        let mut parts = vec![
            Some(HEAD.to_owned()),
            Some(only("policy", &["mode"])),
            Some(only("store", &["url"])),
            ca.as_ref().map(|one| one.in_use(keys)),
        ];
        if self.only_issues() {
            let contact = paragraphs();
            let contact = contact.iter().find(|one| one.heading == Some("contact"));
            parts.extend([
                provider.as_ref().map(|one| one.in_use(keys)),
                Some(only("certificates", &["directory"])),
                Some(self.certificate_section(&ca_name)),
                contact.map(Paragraph::all_in_use),
            ]);
        } else {
            parts.extend([
                Some(self.client_section(&ca_name, &provider_name)),
                provider.as_ref().map(|one| one.in_use(keys)),
            ]);
        }
        let text = careful(&joined(parts.into_iter().flatten()), &self.ca);
        let domains = self.domains.iter();
        let zone = |name: &String| match DomainName::parse(name) {
            Ok(parsed) => quoted(parsed.name.as_str()),
            Err(_) => quoted(name),
        };
        let domains: Vec<String> = domains.map(zone).collect();
        let zones = format!("\nzones = [{}]\n", domains.join(", "));
        let text = text.replacen(ZONES, &zones, 1);
        if is_usual {
            return text;
        }
        // Files beside the configuration; a program is named by its whole path.
        let line = |line: &str| match line.starts_with("program") {
            true => line.to_owned(),
            false => line
                .replace(&format!("\"{FOLDER}"), "\"")
                .replace("sqlite:/var/lib/prevalidate/", "sqlite:")
                .replace("\"/var/lib/prevalidate/", "\""),
        };
        text.lines().map(|text| line(text) + "\n").collect()
    }

    /// Whether the CA keeps no domains, so that the names are those of a certificate.
    fn only_issues(&self) -> bool {
        only_issues(&self.ca)
    }

    fn certificate_section(&self, ca: &str) -> String {
        let names: Vec<String> = self.domains.iter().map(|name| quoted(name)).collect();
        format!(
            "# A certificate that is ordered, installed and renewed; any number of them.\n[[certificate]]\n\
             # Its folder, and its name in commands: letters, digits, `.`, `_` and `-`.\nname = \"first\"\n\
             ca = {}\n# The product, as the CA calls it.\nproduct = \"BASIC_SSL\"\n\
             # Its DNS names.\nnames = [{}]\n# The [[contact]] that the CA asks about the order.\ncontact = \"pki\"\n",
            quoted(ca),
            names.join(", ")
        )
    }

    fn client_section(&self, ca: &str, provider: &str) -> String {
        let domains: Vec<String> = self.domains.iter().map(|name| quoted(name)).collect();
        format!(
            "# The CA's grouping of domains. One [[client]] for each.\n[[client]]\nca = {}\n\
             # The name of the client as the CA shows it; `?` and `*` search, and must match exactly one client.\n\
             name = {}\nprovider = {}\n# The domains, also with umlauts.\ndomains = [{}]\n",
            quoted(ca),
            quoted(&self.client),
            quoted(provider),
            domains.join(", ")
        )
    }
}

const HEAD: &str = "# Written by `prevalidate config init`; `prevalidate config reference` has every setting.\n\
                    # A line that begins with `#` and a key is a setting that is not used: remove the `#` to use it.\n\
                    # Secrets are not in this file. { file = \"…\" } names a file that only its owner can read (mode 0600).\n";

impl<'a> Paragraph<'a> {
    /// The value of `kind`.
    fn kind(&self) -> Option<&'a str> {
        let mut lines = self.text.lines();
        lines.find_map(|line| {
            let line = line.trim_start_matches('#').trim_start();
            let value = line.strip_prefix("kind = \"")?;
            value.split('"').next()
        })
    }

    /// Its heading and all its keys are no comments any more.
    fn all_in_use(&self) -> String {
        let lines = self.text.lines().filter_map(|line| line.strip_prefix('#'));
        let keys = lines.filter_map(|line| key_of(line.trim_start()));
        self.in_use(&keys.map(str::to_owned).collect())
    }

    /// The heading and the keys that are named are no comments any more.
    fn in_use(&self, keys: &BTreeSet<String>) -> String {
        // A whole section that is an example is indented behind its marks.
        let line = |line: &'a str| match line.strip_prefix('#').map(str::trim_start) {
            Some(rest) if rest.starts_with('[') => rest,
            Some(rest) if key_of(rest).is_some_and(|key| keys.contains(key)) => rest,
            _ => line,
        };
        self.text
            .lines()
            .map(|text| line(text).to_owned() + "\n")
            .collect()
    }
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The same as a first step: nothing is written anywhere, and not at the CA's production.
fn careful(text: &str, ca: &str) -> String {
    let mut careful = text.replacen(
        "mode = \"manage\"",
        "# A first run only reads. `prevalidate plan` shows what \"manage\" would do.\nmode = \"observe\"",
        1,
    );
    for (_, production, rehearsal) in REHEARSALS.iter().filter(|(kind, ..)| *kind == ca) {
        let (used, instead) = (
            format!("\nurl = \"{production}\""),
            format!("\nurl = \"{rehearsal}\""),
        );
        if careful.contains(&used) {
            let remark =
                "\n# For production write the other address, its key, and a store of its own.";
            careful = careful.replacen(&used, &format!("{remark}{instead}"), 1);
            careful = careful.replacen(STORES.0, STORES.1, 1);
        }
    }
    careful
}

/// `server` of `server = "…"`.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once(" = ")?;
    let is_key = !key.is_empty() && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    is_key.then_some(key)
}

fn paragraphs() -> Vec<Paragraph<'static>> {
    let texts = REFERENCE.split("\n\n").map(|text| text.trim_matches('\n'));
    let texts = texts.filter(|text| !text.is_empty());
    texts
        .map(|text| Paragraph {
            text,
            heading: text.lines().find_map(heading),
        })
        .collect()
}

/// `ca.swisssign` of `[ca.swisssign]`, `#[ca.swisssign]` and `#   [ca.swisssign]`.
fn heading(line: &str) -> Option<&str> {
    let line = line.strip_prefix('#').map_or(line, str::trim_start);
    let inside = line.strip_prefix('[')?.strip_suffix(']')?;
    Some(inside.trim_start_matches('[').trim_end_matches(']'))
}

fn of_kind(section: &str, kind: &str) -> Option<Paragraph<'static>> {
    paragraphs().into_iter().find(|one| {
        let heading = one.heading.unwrap_or_default();
        heading.split('.').next() == Some(section) && one.kind() == Some(kind)
    })
}

/// A section with only some of its keys, each with its comments.
fn only(section: &str, keys: &[&str]) -> String {
    let found = paragraphs()
        .into_iter()
        .find(|one| one.heading == Some(section));
    let (mut text, mut comments) = (String::new(), String::new());
    for line in found.map(|one| one.text.lines()).into_iter().flatten() {
        let is_kept =
            heading(line).is_some() || key_of(line).is_some_and(|key| keys.contains(&key));
        if is_kept {
            text.push_str(&format!("{comments}{line}\n"));
        }
        if line.starts_with("# ") {
            comments.push_str(&format!("{line}\n"));
        } else {
            comments.clear();
        }
    }
    text
}

fn joined(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts
        .map(|part| part.trim_matches('\n').to_owned())
        .collect();
    parts.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_kind_of_ca_with_every_kind_of_provider_is_a_configuration() {
        let (cas, providers) = (kinds("ca"), kinds("provider"));
        assert!(providers.contains(&"rfc2136"));
        assert!(providers.len() >= 6, "{providers:?}");
        for ca in &cas {
            for provider in &providers {
                let starter = Starter {
                    ca: (*ca).to_owned(),
                    client: "Muster \"AG\"".to_owned(),
                    domains: vec!["example.ch".to_owned(), "déjà.vu.com".to_owned()],
                    provider: (*provider).to_owned(),
                };
                for file in ["/etc/prevalidate/prevalidate.toml", "/srv/anna/p.toml"] {
                    let text = starter
                        .text(Path::new(file))
                        .unwrap_or_else(|error| panic!("{ca}, {provider}: {error}"));
                    let key = if starter.only_issues() {
                        "names"
                    } else {
                        "domains"
                    };
                    let names = format!("{key} = [\"example.ch\", \"déjà.vu.com\"]");
                    assert!(text.contains(&names), "{text}");
                    assert_eq!(text.contains("\n[[client]]\n"), key == "domains", "{text}");
                    assert!(text.lines().filter(|line| line.starts_with("# ")).count() > 10);
                    let used = text.lines().filter(|line| !line.starts_with('#'));
                    let mut used = used.filter(|line| !line.starts_with("program"));
                    let names_etc = used.any(|line| {
                        line.contains("\"/etc/prevalidate/") || line.contains("/var/lib")
                    });
                    assert!(names_etc == file.starts_with("/etc"), "{file}: {text}");
                }
            }
        }
    }

    /// README.md, step 4.
    #[test]
    fn a_first_configuration_only_observes_at_the_pre_production_of_the_ca() {
        for ca in kinds("ca") {
            let starter = Starter {
                ca: ca.to_owned(),
                client: "*".to_owned(),
                domains: vec!["example.ch".to_owned()],
                provider: "manual".to_owned(),
            };
            let text = starter.text(Path::new("/etc/prevalidate/p.toml")).unwrap();
            assert!(text.contains("\nmode = \"observe\"\n"), "{text}");
            let pre = [
                "https://api.ra.pre.swisssign.ch",
                "https://api.demo.autodns.com/v1",
            ];
            let is_in = |url: &&str| text.contains(&format!("\nurl = \"{url}\"\n"));
            let has_rehearsal = pre.iter().any(is_in);
            assert_eq!(
                has_rehearsal,
                ["swisssign", "internetx"].contains(&ca),
                "{text}"
            );
            assert!(text.contains("\nzones = [\"example.ch\"]\n"), "{text}");
            let store = "\nurl = \"sqlite:/var/lib/prevalidate/rehearsal.db\"\n";
            assert_eq!(text.contains(store), has_rehearsal, "{text}");
        }
    }

    #[test]
    fn a_domain_that_is_none_is_refused_with_its_reason() {
        let starter = Starter {
            ca: "swisssign".to_owned(),
            client: "*".to_owned(),
            domains: vec!["not a domain".to_owned()],
            provider: "manual".to_owned(),
        };
        let error = starter.text(Path::new("/tmp/p.toml")).unwrap_err();
        assert!(error.to_string().contains("not a domain"), "{error}");
    }

    #[test]
    fn the_reference_is_found_by_section_and_by_kind() {
        assert_eq!(reference(None).unwrap(), REFERENCE);
        for (section, words) in [
            ("policy", "[[policy.reuse]]"),
            ("ca", "[ca.swisssign]"),
            ("[ca.swisssign]", "api_key"),
            ("cloudflare", "#account_id"),
            ("digicert", "validations = [\"ov\"]"),
            ("sectigo", "cert_types"),
            ("swisssign", "#purpose"),
            ("propagation.zone", "name_servers"),
            ("notify", "kind = \"chat\""),
        ] {
            let found = reference(Some(section)).unwrap();
            assert!(found.contains(words), "{section}: {found}");
            assert!(found.len() < REFERENCE.len() / 2, "{section}");
        }
        assert_eq!(reference(Some("nothing")), None);
        assert!(sections().contains("worker") && sections().contains("route53"));
    }
}
