//! `diagnose`: why a domain does not become valid, and what to do. Reads everything that matters,
//! and changes nothing.

mod known;
mod persistent_records;
mod report;
mod show;

use futures::StreamExt;
use futures::stream;
use jiff::SignedDuration;

use super::{Exit, Failed, Global, asked};
use crate::config::names;
use crate::output::Output;
use crate::prevalidation::{ChallengeData, DomainName, NameError, RecordName, Upkeep};
use crate::propagation::Wanted;
use crate::propagation::finding::Code;
use crate::propagation::resolver::Resolver;
use known::Surroundings;
use report::Report;

/// Domains examined at once: each asks its own name servers a dozen questions.
const AT_ONCE: usize = 8;

/// The assumed age of an unknown value: so old that the grace for servers that reload is over.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 nothing blocks · 2 usage or configuration · 3 CA or authentication · 4 DNS.",
    after_long_help = long_help())]
pub(super) struct DiagnoseArgs {
    /// The domains; they need not be in the inventory
    #[arg(required = true, value_name = "DOMAIN")]
    domains: Vec<String>,
    /// The TXT value that should be there; otherwise the one that is on its way, if one is
    #[arg(long, value_name = "VALUE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    value: Option<String>,
    /// The name of the record, when it is not the domain itself, such as
    /// `_pki-validation.example.ch`; the aliases that begin there are followed
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// The target of the CNAME that should be there
    #[arg(
        long,
        value_name = "TARGET",
        conflicts_with = "value",
        requires = "owner"
    )]
    cname: Option<String>,
    /// A resolver whose cache is checked once every name server has the value, instead of those of
    /// the configuration; may be repeated: 9.9.9.9, tls://9.9.9.9#dns.quad9.net,
    /// https://dns.quad9.net/dns-query
    #[arg(long = "resolver", value_name = "RESOLVER")]
    resolvers: Vec<Resolver>,
    #[command(flatten)]
    part: asked::Part,
    /// Checks DNS alone, not the store, the provider and the CA; does without a configuration
    #[arg(long)]
    dns_only: bool,
}

const LONG_HELP: &str = "\
Checks the delegation, every address of every name server, the TXT records, DNSSEC, CAA, caches, the provider, \
the CA's last words and the ledger; then says what is in the way and what to do. Changes nothing, anywhere.

`--output json` prints a list with one object for each domain, and for each client that it is at:
  domain, unicode, at
  verdict    {severity, code, text, next}; severity is blocks, warns or info; code is null when there is nothing to say
  findings   [{severity, code, text, next}], the gravest first; verdict repeats the first one
  value      the value that was searched for, or null; value_from says where it comes from
  dns        the examination: delegation {zone, parent, child, …}, fault, servers [{name, address, answer, detail, values, \
ttl, octets, serial, …}], gate {go, cause, …}, wildcard, dnssec, caa, caches, chance_percent
  provider   {name, zone, evidence, warnings, values, ttl, holds_value, error, hint}, or null
  ca         {name, reference, status, last_words, validated_at, expires_at, token_expires_at, read_at, error}, or null
  inventory  the domain's object of `status --output json`, or null when it is not in the inventory
  ledger     the values of ours that are or may be in DNS
Codes are stable: ";

fn long_help() -> String {
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    format!(
        "{LONG_HELP}{}.\n\nExit status: 0 nothing blocks · 2 usage or configuration · 3 CA or authentication · 4 DNS; \
         of several domains the highest.",
        codes.join(", ")
    )
}

pub(super) async fn diagnose(
    global: &Global,
    args: DiagnoseArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let names = domains(&args.domains, output)?;
    let given = Given::read(&names, &args)?;
    let around = Surroundings::open(global, args.dns_only, output).await?;

    let clients = around.clients(&args.part)?;
    let places = names.iter().flat_map(|domain| {
        let clients = around.places(domain, &clients).into_iter();
        clients.map(move |client| (domain, client))
    });
    let places: Vec<(&DomainName, Option<String>)> = places.collect();
    let progress = output.progress(places.len() as u64, "domains");
    let examined = places.iter().map(|(domain, client)| {
        let (around, given, resolvers) = (&around, &given, &args.resolvers);
        let place = (*domain, client.as_deref());
        async move { Report::make(around, place, given, resolvers, around.clock.now()).await }
    });
    let mut examined = stream::iter(examined).buffered(AT_ONCE);
    let mut reports: Vec<Report> = Vec::with_capacity(places.len());
    while let Some(report) = examined.next().await {
        reports.push(report?);
        progress.done(reports.len() as u64);
    }
    drop(examined);
    drop(progress);

    output.json(&reports);
    for (index, report) in reports.iter().enumerate() {
        if index > 0 {
            output.line("");
        }
        let is_same = |other: &&Report| other.domain == report.domain;
        let several = reports.iter().filter(is_same).count() > 1;
        show::show(report, several, output);
    }
    Ok(reports.iter().map(Report::exit).max().unwrap_or(Exit::Done))
}

/// The record that the command line names.
#[derive(Debug, Default)]
struct Given {
    owner: Option<RecordName>,
    value: Option<String>,
    cname: Option<RecordName>,
}

impl Given {
    /// The record that is searched for; `value` is a TXT value, or the target of the CNAME.
    fn record<'a>(&self, value: Option<&'a str>) -> Option<Wanted<'a>> {
        let of: fn(&'a str) -> Wanted<'a> = match self.cname {
            Some(_) => Wanted::Cname,
            None => Wanted::Txt,
        };
        value.map(of)
    }

    /// The record of the attempt that is under way, where no other one was named and it is more
    /// than a value at the domain.
    fn of_attempt(&self, upkeep: Option<&Upkeep>) -> Option<Self> {
        if self.value.is_some() || self.owner.is_some() || self.cname.is_some() {
            return None;
        }
        let challenge = upkeep?.attempt.challenge.as_ref()?;
        let (value, cname) = match &challenge.data {
            ChallengeData::Txt(value) => (Some(value.clone()), None),
            ChallengeData::Cname(target) => (None, Some(target.clone())),
        };
        Some(Self {
            value,
            owner: Some(challenge.owner.clone()),
            cname,
        })
    }

    /// Reads the options; all faults come back at once.
    fn read(domains: &[DomainName], args: &DiagnoseArgs) -> Result<Self, Failed> {
        let mut faults = Vec::new();
        let mut name = |option: &str, text: &Option<String>| {
            let text = text.as_ref()?;
            RecordName::parse(text)
                .map_err(|why| faults.push(format!("{option}: `{text}` is not a DNS name: {why}")))
                .ok()
        };
        let (owner, cname) = (name("--owner", &args.owner), name("--cname", &args.cname));
        if let Some(owner) = &owner {
            let outside = domains.iter().filter(|it| !owner.is_within(it.as_str()));
            faults.extend(outside.map(|it| format!("--owner: {owner} is not in {it}")));
        }
        if !faults.is_empty() {
            return Err(Failed::new(Exit::Usage, faults.join("\n")));
        }
        Ok(Self {
            owner,
            value: args.value.clone(),
            cname,
        })
    }
}

/// Public suffixes are no usage error here: that is what is wrong with them.
fn domains(texts: &[String], output: &Output) -> Result<Vec<DomainName>, Failed> {
    let is_suffix =
        |text: &&String| matches!(DomainName::parse(text), Err(NameError::PublicSuffix(_)));
    let (suffixes, others): (Vec<&String>, Vec<&String>) = texts.iter().partition(is_suffix);
    let others: Vec<String> = others.into_iter().cloned().collect();
    let mut found = asked::names_with(&others, true, true, output)?;
    for suffix in suffixes {
        found.push(names::read_known(suffix).map_err(|message| Failed::new(Exit::Usage, message))?);
    }
    Ok(found)
}
