//! `forecast`: what the next years bring, by week and by CA, before and after each change of the
//! rules. It reads the configuration and the store, asks no server, and changes nothing.

mod report;
mod show;

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use self::report::Report;
use super::app::App;
use super::{Exit, Failed, Global, OutputFormat, asked};
use crate::config::{AUTO, Rate};
use crate::output::Output;
use crate::overview::DomainView;
use crate::prevalidation::forecast::{Question, Rhythm, Start, forecast};
use crate::prevalidation::{Proof, State};
use crate::text::Shared;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 every proof is renewed in time · 1 some are not · 2 usage or configuration."
)]
pub(super) struct ForecastArgs {
    /// The last day of the forecast
    #[arg(long, value_name = "DATE", default_value = "2029-12-31")]
    until: Date,
    /// The highest rate of calls to each CA, in the place of the configured one; 2/s, 60/m, 500/h
    #[arg(long, value_name = "RATE", value_parser = Rate::read)]
    rate: Option<Rate>,
    /// Assumes the daemon (`serve`) in the place of a nightly `run`
    #[arg(long)]
    daemon: bool,
    #[command(flatten)]
    part: asked::Part,
}

pub(super) async fn run(
    global: &Global,
    args: ForecastArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let clients = args.part.targets(&app)?;
    let now = app.now();
    let until = end_of(args.until)?;
    if until <= now {
        return Err(Failed::new(
            Exit::Usage,
            format!("--until {}: this day is over", args.until),
        ));
    }
    let store = app.store_read_only().await?;
    let mut pages = asked::walk(&app, &*store, BTreeMap::new(), now).await?;
    let only_provider = match app.settings.providers.keys().collect::<Vec<_>>()[..] {
        [only] => only.as_str(),
        _ => AUTO,
    };
    let (mut starts, mut texts) = (Vec::new(), Shared::default());
    while let Some(page) = pages.next().await? {
        let asked = page
            .iter()
            .filter(|view| view.is_managed() && view.covered_by.is_none())
            .filter(|view| clients.iter().any(|target| target.key == view.client));
        starts.extend(asked.map(|view| start(view, only_provider, &mut texts)));
    }
    if starts.is_empty() {
        return Err(Failed::new(
            Exit::Usage,
            "there is no domain to forecast: the inventory is empty",
        ));
    }
    let rates: BTreeMap<String, f64> = app
        .settings
        .cas
        .iter()
        .map(|(name, ca)| (name.clone(), args.rate.unwrap_or(ca.rate).per_second()))
        .collect();
    let rhythm = if args.daemon {
        Rhythm::continuous()
    } else {
        Rhythm::nightly(app.settings.worker.wait.try_into().unwrap_or_default())
    };
    let question = Question {
        policy: &app.policy,
        from: now,
        until,
        rhythm,
        rates: &rates,
    };
    let found = forecast(&starts, &question);
    let report = Report::new(&found, &question, &app.settings, args.daemon);
    output.json(&report);
    if global.output == OutputFormat::Markdown {
        show::markdown(&report, output);
    } else {
        show::text(&report, global.verbose > 0, output);
    }
    Ok(if report.lapses() > 0 {
        Exit::Incomplete
    } else {
        Exit::Done
    })
}

/// The end of the last day, in UTC.
fn end_of(last: Date) -> Result<Timestamp, Failed> {
    last.checked_add(1.day())
        .and_then(|next| next.to_zoned(TimeZone::UTC))
        .map(|midnight| midnight.timestamp())
        .map_err(|_| Failed::new(Exit::Usage, format!("--until {last}: no such day")))
}

fn start(view: &DomainView, only_provider: &str, texts: &mut Shared) -> Start {
    let counts = view.proof.as_ref().filter(|p| p.usable_until.is_some());
    Start {
        domain: view.domain.clone(),
        ca: texts.get(&view.ca),
        client: texts.get(&view.client),
        provider: texts.get(view.provider.as_deref().unwrap_or(only_provider)),
        proof: counts.map(|proof| Proof {
            validated_at: proof.validated_at,
            // The earliest of its ends, which is also known where the CA shows no date.
            expires_at: proof.usable_until,
            ..Proof::default()
        }),
        waits_for_person: view.state == State::Held,
    }
}
