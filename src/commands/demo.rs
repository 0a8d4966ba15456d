//! `prevalidate demo`: the whole life of a few domains on a sandbox of its own, for a person who
//! has never seen it.
//!
//! Only the clock, the CA and the name servers are substitutes ([`stage`]); what acts is the
//! program as it runs every night. What is told about proofs and zones is read from the sandbox,
//! not from the program's own words.

mod stage;
mod timeline;
mod trouble;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::sandbox::{Place, stop_on_signal};
use super::{Exit, Failed};
use crate::clock::Clock;
use crate::output::{Cell, Output, Tone};
use crate::prevalidation::DomainName;
use crate::sandbox::ca::Call;
use crate::sandbox::dns::Follow;
use stage::{Heard, Stage};
use timeline::Timeline;

/// The first night, 02:00 UTC, and the last one. A fixed time: the demo is the same next year.
const BEGIN: Timestamp = Timestamp::constant(1_796_090_400, 0);
const NIGHTS: u32 = 426;
const NIGHT: SignedDuration = SignedDuration::from_hours(24);
/// 2027-03-15: proofs count for 98 days from then on, no longer for 198.
const RULE: Timestamp = Timestamp::constant(1_805_068_800, 0);

/// Told step by step.
const FIRST: &str = "example.test";
/// Below [`FIRST`].
const BELOW: &str = "shop.example.test";
const ACCENTED: &str = "déjà-vu.example";
const OTHERS: [&str; 2] = ["muster.example", "weingut.test"];
/// Its second name server lags.
const SLOW: &str = "slow.test";
const LAG: SignedDuration = SignedDuration::from_mins(25);
/// No CA can prove these.
const REFUSED: [&str; 2] = ["co.uk", "intranet.corp"];

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Keeps configuration, store and secrets in this new directory, to read afterwards
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
}

pub(super) async fn demo(args: DemoArgs, output: &Output) -> Result<Exit, Failed> {
    if let Some(dir) = args
        .keep
        .as_deref()
        .filter(|dir| dir.read_dir().is_ok_and(|mut files| files.next().is_some()))
    {
        let message = format!("--keep {}: the directory is not empty", dir.display());
        return Err(Failed::new(Exit::Usage, message).with_hint("name one that does not exist yet"));
    }
    let stop = stop_on_signal()?;
    let place = Place::make(args.keep.as_deref(), "demo")?;
    let outcome = perform(&place, stop, output).await;
    let kept = matches!(place, Place::Kept { .. }).then(|| place.path().display().to_string());
    place.close()?;
    outcome?;
    if let Some(kept) = kept {
        output.notice(&format!(
            "configuration, store and secrets are in {kept}; the sandbox itself has ended"
        ));
    }
    Ok(Exit::Done)
}

async fn perform(place: &Place, stop: CancellationToken, output: &Output) -> Result<(), Failed> {
    let names = [FIRST, BELOW, ACCENTED, OTHERS[0], OTHERS[1], SLOW];
    let domains = names
        .iter()
        .map(|text| name(text))
        .collect::<Result<Vec<_>, _>>()?;
    let mut stage = Stage::start(place.path(), domains.clone(), BEGIN, stop).await?;
    let outcome = story(&mut stage, &domains, output).await;
    stage.close().await;
    outcome
}

async fn story(stage: &mut Stage, domains: &[DomainName], output: &Output) -> Result<(), Failed> {
    let (first, slow) = (name(FIRST)?, name(SLOW)?);
    tell_names(output)?;
    output.text(
        "\n2  The first proof, step by step\n\n   \
         What `prevalidate run` does in its first night, for example.test:\n\n",
    );
    let heard = stage.run(Some(&first)).await?;
    tell(&heard, output);
    tell_zone(stage, &first, output);

    output.text("\n   The same for the next three, in one go:\n\n");
    for domain in [ACCENTED, OTHERS[0], OTHERS[1]] {
        let domain = name(domain)?;
        let heard = stage.run(Some(&domain)).await?;
        let validated = heard.iter().find(|heard| heard.event.kind == "validated");
        let until = validated
            .and_then(|heard| heard.until)
            .map_or_else(|| "no proof".to_owned(), day);
        output.line(&format!(
            "   {:<18}registered, published, proven until {until}, removed",
            domain.unicode()
        ));
    }

    output.text(
        "\n3  A name server that lags\n\n   \
         slow.test has two name servers, and the second takes 25 minutes to learn of\n   \
         a change. A CA that asks it too early finds nothing. So prevalidate asks\n   \
         every name server itself, and the CA only when all of them agree:\n\n",
    );
    stage.sandbox.dns.follow(1, Follow::After(LAG));
    let heard = stage.run(Some(&slow)).await?;
    tell(&heard, output);
    stage.clock.advance(LAG);
    tell_zone(stage, &slow, output);
    stage.sandbox.dns.follow(1, Follow::Now);

    year(stage, output).await?;
    end(stage, domains, output).await
}

fn tell_names(output: &Output) -> Result<(), Failed> {
    output.text(
        "prevalidate demo: a CA, two name servers and fourteen months, all on this\n\
         machine. Nothing leaves it, and nothing is left behind.\n\
         \n\
         1  The names\n\
         \n   \
         A certificate authority (CA) issues certificates only for domains whose\n   \
         control was proven. The proof is a random value, published in DNS as a TXT\n   \
         record at the domain. It counts for some months, then it must be renewed.\n   \
         prevalidate sees to that for the names in its configuration:\n\n",
    );
    let accented = name(ACCENTED)?;
    let mut rows = vec![
        [
            FIRST.to_owned(),
            "has mail: its SPF record is TXT, too, and must stay".to_owned(),
        ],
        [
            BELOW.to_owned(),
            format!("covered: the proof of {FIRST} counts below it, too"),
        ],
        [
            ACCENTED.to_owned(),
            format!("has accents: in DNS it is {accented}"),
        ],
    ];
    rows.extend(OTHERS.map(|other| [other.to_owned(), "a domain like any other".to_owned()]));
    rows.push([SLOW.to_owned(), "its second name server is slow".to_owned()]);
    for [name, what] in rows {
        output.line(&format!("   {name:<18}{what}"));
    }
    output.text("\n   Names that cannot be proven are refused before anything is done:\n\n");
    for refused in REFUSED {
        output.line(&format!("   {refused:<18}{}", refusal(refused)));
    }
    Ok(())
}

/// Why a name is refused, without the name itself.
fn refusal(text: &str) -> String {
    use crate::prevalidation::NameError;
    match DomainName::parse(text) {
        Err(NameError::PublicSuffix(_)) => {
            "refused: a public suffix belongs to no customer".to_owned()
        }
        Err(NameError::Internal(_, tld)) => {
            format!("refused: `.{tld}` is no top-level domain of the Internet")
        }
        Err(other) => format!("refused: {other}"),
        Ok(_) => "accepted".to_owned(),
    }
}

/// The events, line by line, in plain words.
fn tell(heard: &[Heard], output: &Output) {
    for heard in heard {
        let words = match heard.event.kind.as_str() {
            "registered" => "registered at the CA, which answers with a random value".to_owned(),
            "published" => "the value is published beside what is there:".to_owned(),
            "waiting" => "one name server does not have it yet: the CA is not asked".to_owned(),
            "visible" => "every name server has the value: now the CA is asked to check".to_owned(),
            "validated" => {
                let until = heard.until.map_or_else(|| "?".to_owned(), day);
                format!("the CA has seen it: proven, and valid until {until}")
            }
            "removed" => "the value has served its purpose and is removed".to_owned(),
            other => format!("{other}: {}", heard.event.detail),
        };
        output.line(&format!("   {}  {words}", time(heard.event.at)));
        if heard.event.kind == "published" {
            let ttl = heard.ttl.unwrap_or_default();
            for value in &heard.txt {
                let new = if heard.event.detail.contains(value.as_str()) {
                    "  <- new"
                } else {
                    ""
                };
                output.line(&format!("            {ttl} TXT \"{value}\"{new}"));
            }
        }
    }
}

fn tell_zone(stage: &Stage, domain: &DomainName, output: &Output) {
    let compared = if stage.is_as_before(domain) {
        "equal, record by record"
    } else {
        "DIFFERENT"
    };
    output.line(&format!(
        "   {}  zone {domain} before and after: {compared}",
        time(stage.clock.now())
    ));
}

/// `prevalidate run`, night after night.
async fn year(stage: &mut Stage, output: &Output) -> Result<(), Failed> {
    output.text(
        "\n4  Fourteen months, one `prevalidate run` a night\n\n   \
         On 15 March 2027 a rule changes: a proof counts for 98 days, no longer for\n   \
         198, and older proofs end that day. Each domain is renewed in time, and not\n   \
         all in the same night:\n\n",
    );
    let progress = output.progress(NIGHTS.into(), "nights");
    for night in 1..=NIGHTS {
        stage
            .clock
            .set(BEGIN + NIGHT * i32::try_from(night).unwrap_or(i32::MAX));
        stage.run(None).await?;
        progress.done(night.into());
    }
    Ok(())
}

async fn end(stage: &mut Stage, domains: &[DomainName], output: &Output) -> Result<(), Failed> {
    let proven: Vec<_> = domains
        .iter()
        .filter(|domain| domain.as_str() != BELOW)
        .collect();
    draw(stage, &proven, output);
    let (calls, validated) = (
        stage.sandbox.ca.log().len(),
        stage.sandbox.ca.count(Call::Validate),
    );
    let (updates, lost) = (stage.sandbox.dns.updates(), stage.lost());
    let proofs: usize = proven.iter().map(|domain| stage.proofs(domain).len()).sum();
    let renewals = proofs - proven.len().min(proofs);
    let equal = domains.iter().all(|domain| stage.is_as_before(domain));
    let left = stage.open_entries().await?;
    output.text(&format!(
        "\n5  What it took\n\n   \
         {:<34}{NIGHTS}\n   {:<34}{calls}, {validated} of them validation requests\n   {:<34}{updates}\n   \
         {:<34}{renewals}\n   {:<34}{}\n   {:<34}{}\n",
        "nights",
        "calls to the CA",
        "updates sent to zones",
        "renewals",
        "domains ever without a proof",
        lost.len(),
        "zones as they were before",
        if equal && left == 0 { "all" } else { "NOT ALL" },
    ));
    let (report, to) = (report(stage, domains, &lost), stage.clock.now());
    let held = trouble::tell(stage, output).await?;
    let program = super::sandbox::program();
    output.text(&format!(
        "\nTry it yourself, on a sandbox that stays, in two terminals:\n\n   \
         {program} sandbox --dir lab\n   \
         {program} --config lab/prevalidate.toml run",
    ));
    output.json(&json!({
        "from": BEGIN,
        "to": to,
        "nights": NIGHTS,
        "ca_calls": calls,
        "validate_calls": validated,
        "zone_changes": updates,
        "renewals": renewals,
        "domains_ever_without_proof": lost.len(),
        "zones_equal": equal,
        "values_left": left,
        "rule_change": RULE,
        "domains": report,
        "held": held,
        "refused": REFUSED.map(|name| json!({"name": name, "why": refusal(name)})),
    }));
    Ok(())
}

/// What the demo's JSON says of each domain.
fn report(stage: &Stage, domains: &[DomainName], lost: &BTreeSet<DomainName>) -> Vec<Value> {
    let details = |domain: &DomainName| {
        json!({
            "domain": domain,
            "unicode": domain.unicode(),
            "covered_by": (domain.as_str() == BELOW).then_some(FIRST),
            "proofs": stage.proofs(domain),
            "without_proof": lost.contains(domain),
            "zone_equal": stage.is_as_before(domain),
        })
    };
    domains.iter().map(details).collect()
}

fn draw(stage: &Stage, domains: &[&DomainName], output: &Output) {
    let line = Timeline::new(BEGIN, stage.clock.now(), RULE);
    let years = line.years();
    let mut rows = vec![vec![
        Cell::new("", Tone::Dim),
        Cell::new(line.names(), Tone::Dim),
    ]];
    rows.extend(domains.iter().map(|domain| {
        vec![
            Cell::from(format!("   {}", domain.unicode())),
            Cell::new(line.row(&stage.proofs(domain)), Tone::Good),
        ]
    }));
    let days = |at| stage.app.policy.reuse.limit_at(at).as_hours() / 24;
    let change = format!("15 March 2027: {} days become {}", days(BEGIN), days(RULE));
    rows.push(vec![
        Cell::from(""),
        Cell::new(line.rule(&change), Tone::Warn),
    ]);
    output.table(&["", &years], rows);
    output.text("\n   ● a new proof   ─ proven   × not proven");
}

fn name(text: &str) -> Result<DomainName, Failed> {
    DomainName::parse(text)
        .map(|parsed| parsed.name)
        .map_err(|error| Failed::new(Exit::Usage, error.to_string()))
}

fn time(at: Timestamp) -> String {
    at.strftime("%H:%M").to_string()
}

/// `15 March 2027`
fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%-d %B %Y").to_string()
}
