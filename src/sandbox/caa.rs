//! CAA as a CA obeys it before it issues: the records that count for a name, asked of DNS, and what
//! they permit (RFC 8659, RFC 8657, RFC 9495, BR 4.2.2.1).
//!
//! This is a reading of its own. It shares no code with `propagation::caa`, which foretells the
//! verdict of a CA, so that each can be held against the other.

use std::net::SocketAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{Name, RData, RecordType};
use jiff::Timestamp;

use super::check::{Sight, reply};
use super::dns::zone::fqdn;

/// From this moment a CA must obey `accounturi` and `validationmethods` (BR 4.2.2.1):
/// 2027-03-15 00:00 UTC.
pub const PARAMETERS_BIND: Timestamp = Timestamp::constant(1_805_068_800, 0);

/// Aliases in a row that are followed.
const MOST_ALIASES: u32 = 8;

/// Places that check, at most.
const MOST_PLACES: usize = 8;

/// The purpose of the certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// A host name.
    Host,
    /// All names one label below it.
    Wildcard,
    /// Mailboxes.
    Mail,
}

/// How this CA reads CAA.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    /// Its name.
    pub(super) names: &'a [String],
    /// URIs of the account that orders.
    pub(super) accounts: &'a [String],
    /// Labels of the method that the domain was validated by, the canonical one first.
    pub(super) methods: [&'a str; 2],
    /// Whether it takes the second label, another case, and what the texts leave open.
    pub(super) is_lenient: bool,
    /// Whether `accounturi` and `validationmethods` count.
    pub(super) parameters_bind: bool,
}

/// One CAA record.
#[derive(Debug, Clone)]
struct Caa {
    critical: bool,
    tag: String,
    value: Vec<u8>,
}

/// Where the CA asks.
pub(super) enum Source<'a> {
    /// The name servers of each name's zone.
    Servers(&'a (dyn Fn(&str) -> Vec<SocketAddr> + Send + Sync)),
    /// Recursive resolvers, one for each place that checks.
    Resolvers(&'a [SocketAddr]),
}

/// Asks DNS from every place that checks. One place at which the CA must not issue is enough.
///
/// # Errors
/// Why the CA must not issue, in its words.
pub(super) async fn check(
    name: &str,
    subject: Subject,
    source: &Source<'_>,
    rules: &Rules<'_>,
) -> Result<(), String> {
    let places = match source {
        Source::Servers(of) => of(name).len(),
        Source::Resolvers(all) => all.len(),
    };
    for place in 0..places.clamp(1, MOST_PLACES) {
        if let Some((at, set)) = relevant(name, place, source).await? {
            permits(&set, subject, rules).map_err(|why| format!("CAA at {at}: {why}"))?;
        }
    }
    Ok(())
}

/// The first set that is not empty, from the name upwards (RFC 8659, section 3).
async fn relevant(
    name: &str,
    place: usize,
    source: &Source<'_>,
) -> Result<Option<(String, Vec<Caa>)>, String> {
    let mut at = fqdn(name);
    while !at.is_root() {
        let set = set_of(&at, place, source).await?;
        if !set.is_empty() {
            return Ok(Some((plain(&at), set)));
        }
        at = at.base_name();
    }
    Ok(None)
}

/// The set of one name, at the end of its aliases. The parents of an alias's target do not count.
async fn set_of(owner: &Name, place: usize, source: &Source<'_>) -> Result<Vec<Caa>, String> {
    let mut at = owner.clone();
    for _ in 0..=MOST_ALIASES {
        let (mut set, mut target) = (Vec::new(), None);
        for (name, data) in ask(&at, place, source).await? {
            match data {
                _ if name != at => {}
                RData::CAA(caa) => set.push(Caa {
                    critical: caa.issuer_critical,
                    tag: caa.tag.clone(),
                    value: caa.value.clone(),
                }),
                RData::CNAME(to) => target = Some(to.0.to_lowercase()),
                _ => {}
            }
        }
        match target {
            Some(next) if set.is_empty() => at = next,
            _ => return Ok(set),
        }
    }
    Err(format!("CAA of {}: the aliases do not end", plain(owner)))
}

/// The answer of the first server that gives one. No answer is no permission.
async fn ask(
    owner: &Name,
    place: usize,
    source: &Source<'_>,
) -> Result<Vec<(Name, RData)>, String> {
    let name = plain(owner);
    let (servers, recursive) = match source {
        Source::Servers(of) => (of(&name), false),
        Source::Resolvers(all) => (all.iter().skip(place).take(1).copied().collect(), true),
    };
    // No server in this small world serves it, as most of the names above a zone.
    if servers.is_empty() {
        return Ok(Vec::new());
    }
    let mut said = Vec::new();
    for nth in 0..servers.len() {
        let server = servers[(place + nth) % servers.len()];
        match reply(server, &name, RecordType::CAA, recursive).await {
            Ok(answer) => {
                let answers = answer.answers.into_iter();
                let records = answers.map(|record| (record.name.to_lowercase(), record.data));
                return Ok(records.collect());
            }
            // It serves other zones and not this one.
            Err(Sight::Lame(ResponseCode::Refused)) => {}
            Err(Sight::Lame(code)) => said.push(format!("{server} answered {code}")),
            Err(_) => said.push(format!("{server} did not answer")),
        }
    }
    match said.is_empty() {
        true => Ok(Vec::new()),
        false => Err(format!("CAA of {name} cannot be read: {}", said.join(", "))),
    }
}

fn plain(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// What a set permits (RFC 8659, section 4; RFC 9495, section 4).
fn permits(set: &[Caa], subject: Subject, rules: &Rules<'_>) -> Result<(), String> {
    const UNDERSTOOD: [&str; 6] = [
        "issue",
        "issuewild",
        "issuemail",
        "iodef",
        "contactemail",
        "contactphone",
    ];
    for record in set.iter().filter(|record| record.critical) {
        let tag = record.tag.to_ascii_lowercase();
        if !UNDERSTOOD.contains(&tag.as_str()) {
            return Err(format!("the critical property {tag} is unknown"));
        }
    }
    let of_tag = |tag: &str| -> Vec<&Caa> {
        let records = set.iter();
        records
            .filter(|record| record.tag.to_ascii_lowercase() == tag)
            .collect()
    };
    let mut counting = match subject {
        Subject::Host => of_tag("issue"),
        Subject::Wildcard => of_tag("issuewild"),
        Subject::Mail => of_tag("issuemail"),
    };
    if subject == Subject::Wildcard && counting.is_empty() {
        counting = of_tag("issue");
    }
    let mut why = Vec::new();
    for record in &counting {
        match authorises(&record.value, subject, rules) {
            Ok(()) => return Ok(()),
            Err(words) => why.push(words),
        }
    }
    match counting.is_empty() {
        true => Ok(()),
        false => Err(why.join("; ")),
    }
}

/// Whether one property lets this CA issue to this account after this validation.
fn authorises(value: &[u8], subject: Subject, rules: &Rules<'_>) -> Result<(), String> {
    let shown = String::from_utf8_lossy(value);
    let value = Value::read(value).ok_or_else(|| format!("`{shown}` is malformed"))?;
    let issuer = value.issuer.to_ascii_lowercase();
    if !rules.names.contains(&issuer) {
        return Err(match issuer.is_empty() {
            true => "no CA may issue".to_owned(),
            false => format!("only {issuer} may issue"),
        });
    }
    // The rules of S/MIME name no parameter, so some CAs pass over them there.
    let passes_over = subject == Subject::Mail && rules.is_lenient;
    if !rules.parameters_bind || passes_over {
        return Ok(());
    }
    match value.all("accounturi")[..] {
        [] => {}
        [account] if rules.accounts.iter().any(|own| own == account) => {}
        [account] => return Err(format!("only the account {account} may order")),
        _ => return Err("two accounts are named".to_owned()),
    }
    let lists = value.all("validationmethods");
    if lists.len() > 1 && !rules.is_lenient {
        return Err("two lists of methods are given".to_owned());
    }
    match lists.iter().find(|list| !rules.takes(list)) {
        Some(list) => Err(format!("only the methods `{list}` are allowed")),
        None => Ok(()),
    }
}

impl Rules<'_> {
    /// Whether the method is one of a list (RFC 8657, section 4).
    fn takes(&self, list: &str) -> bool {
        let is_label = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
        };
        // Boulder refuses a list of which one entry is not a label.
        if !self.is_lenient && !list.is_empty() && !list.split(',').all(is_label) {
            return false;
        }
        list.split(',').any(|label| match self.is_lenient {
            true => self
                .methods
                .iter()
                .any(|method| method.eq_ignore_ascii_case(label)),
            false => label == self.methods[0],
        })
    }
}

/// The value of an `issue`, `issuewild` or `issuemail` property.
struct Value {
    issuer: String,
    parameters: Vec<(String, String)>,
}

impl Value {
    /// Reads octet by octet what RFC 8659, section 4.2 writes as
    /// `*WSP [issuer-domain-name *WSP] [";" *WSP [parameters *WSP]]`.
    fn read(value: &[u8]) -> Option<Self> {
        let mut text = Octets(value);
        text.blanks();
        let issuer = text.run(|octet| octet.is_ascii_alphanumeric() || b"-.".contains(&octet));
        if !issuer.is_empty() && !issuer.split('.').all(is_label) {
            return None;
        }
        text.blanks();
        let mut parameters = Vec::new();
        if text.is_over() {
            return Some(Self { issuer, parameters });
        }
        text.takes(b';')?;
        text.blanks();
        if text.is_over() {
            return Some(Self { issuer, parameters });
        }
        loop {
            let tag = text.run(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
            if !is_label(&tag) {
                return None;
            }
            text.blanks();
            text.takes(b'=')?;
            text.blanks();
            let value = text.run(|octet| matches!(octet, 0x21..=0x3a | 0x3c..=0x7e));
            text.blanks();
            parameters.push((tag.to_ascii_lowercase(), value));
            if text.is_over() {
                return Some(Self { issuer, parameters });
            }
            text.takes(b';')?;
            text.blanks();
        }
    }

    fn all(&self, tag: &str) -> Vec<&str> {
        let of_tag = self.parameters.iter().filter(|(own, _)| own == tag);
        of_tag.map(|(_, value)| value.as_str()).collect()
    }
}

/// `(ALPHA / DIGIT) *( *("-") (ALPHA / DIGIT))`
fn is_label(text: &str) -> bool {
    let ends = [text.chars().next(), text.chars().last()];
    let is_good = |end: &Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    ends.iter().all(is_good)
}

/// The text that is left to read.
struct Octets<'a>(&'a [u8]);

impl Octets<'_> {
    fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    fn run(&mut self, is_part: impl Fn(u8) -> bool) -> String {
        let end = self.0.iter().position(|octet| !is_part(*octet));
        let (taken, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
        self.0 = rest;
        // Only ASCII is taken.
        taken.iter().map(|octet| char::from(*octet)).collect()
    }

    fn blanks(&mut self) {
        self.run(|octet| octet == b' ' || octet == b'\t');
    }

    fn takes(&mut self, octet: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        (*first == octet).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_read_by_the_grammar_of_rfc_8659() {
        for (value, issuer) in [
            ("ca.example", Some("ca.example")),
            ("  ca.example ; ", Some("ca.example")),
            (";", Some("")),
            ("", Some("")),
            ("ca.example; a=b; c = d", Some("ca.example")),
            ("ca.example; a=", Some("ca.example")),
            ("ca.example; a=b;", None),
            ("ca.example;;", None),
            ("ca.example; a", None),
            ("ca.example; a=b c", None),
            ("ca.example; -a=b", None),
            ("ca.example.", None),
            ("ca..example", None),
            ("-ca.example", None),
            ("ca_1.example", None),
            ("ca.example a=b", None),
            ("c\u{e4}.example", None),
        ] {
            let read = Value::read(value.as_bytes()).map(|value| value.issuer);
            assert_eq!(read.as_deref(), issuer, "{value}");
        }
    }
}
