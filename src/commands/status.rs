//! `status`: every domain as the store knows it, and how old that knowledge is; `--refresh` asks
//! the CA.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::reasons::Cut;
use super::summary::{ClientListing, Verdict, client_listings, tell_bogus, tone};
use super::{Exit, Failed, Global, ages, asked, certificate, compare};
use crate::config;
use crate::output::{Cell, JsonList, Output, moment, relative};
use crate::overview::DomainView;
use crate::overview::certificates::{CertificateView, at_stake, hanging_on};
use crate::prevalidation::{DomainName, State};
use crate::rdap::{self, Book};
use crate::store::Store;
use crate::worker::{Covering, Options, Target, Worker};

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    /// Only these domains
    #[arg(value_name = "DOMAIN")]
    domains: Vec<String>,
    /// Only domains whose proof ends within this time, or does not count now
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    expiring_within: Option<SignedDuration>,
    /// Only domains in this state
    #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.map(State::as_str)).map(state))]
    state: Option<State>,
    #[command(flatten)]
    part: asked::Part,
    /// Also domains that are at the CA and not in the inventory
    #[arg(long)]
    all: bool,
    /// Says which domains are proven at two CAs, at one of them, or at none; A and B are names of
    /// [ca.NAME], or clients
    #[arg(long, num_args = 2, value_names = ["A", "B"],
        conflicts_with_all = ["expiring_within", "state", "client", "ca", "all", "refresh"])]
    compare: Vec<String>,
    /// Asks the CA first; changes nothing there and nothing in DNS
    #[arg(long)]
    refresh: bool,
}

fn state(word: String) -> State {
    // The parser lets only these words through.
    State::ALL
        .into_iter()
        .find(|state| state.as_str() == word)
        .unwrap_or(State::New)
}

/// The store, the listings of the clients, what covers what, and the folder of a copy.
type Refreshed = (
    Arc<dyn Store>,
    Vec<ClientListing>,
    BTreeMap<String, Covering>,
    Option<TempDir>,
);

pub(super) async fn status(
    global: &Global,
    args: StatusArgs,
    output: &Output,
) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let clients = args.part.targets(&app)?;
    let asked = args.part.clients(&app)?;
    let names = asked::names(&app, &args.domains, output)?;
    if !args.compare.is_empty() {
        return compare::compare(&app, &args.compare, &names, output).await;
    }
    // The copy of a store that is not to be changed goes when all of it was shown.
    let (store, listings, covered, _copy) = match args.refresh {
        true => refreshed(&app, &clients, output).await?,
        false => {
            let store = app.store_read_only().await?;
            (store, Vec::new(), BTreeMap::new(), None)
        }
    };
    listings
        .iter()
        .for_each(|listing: &ClientListing| listing.tell(output));

    let now = app.now();
    let mut verdict = Verdict::new(&listings);
    let mut pages = asked::walk(&app, &*store, covered, now).await?;
    let is_whole = names.is_empty() && args.part == asked::Part::default() && args.state.is_none();
    let certificates = match is_whole || !app.settings.certificates.certificates.is_empty() {
        true => certificate::views(&app, &store, now).await?,
        false => Vec::new(),
    };
    let book = rdap::book(&*store).await?;
    let mut list = Listing::new(output, now, &names, &certificates, &book);
    while let Some(page) = pages.next().await? {
        for view in page {
            list.met(&view);
            if asked.contain(&view.client) && args.shows(&view, &names, now) {
                if view.is_managed() {
                    verdict.take(&view);
                }
                list.show(view);
            }
        }
    }
    list.end()?;
    // In JSON the list is that of the domains; `certificate list` has the other one.
    if is_whole && !certificates.is_empty() {
        output.line("");
        certificate::table(&certificates, now, output);
    }
    ages::tell(
        &*store,
        &app,
        (clients.len() < app.settings.clients.len()).then_some(&clients),
        now,
        output,
    )
    .await?;
    Ok(match verdict.end() {
        // Nothing was tried in DNS: what is wrong there is in the reasons.
        Exit::Dns => Exit::Incomplete,
        Exit::Done if !app.settings.left_out.is_empty() => Exit::Incomplete,
        exit => exit,
    })
}

/// The present listings of the CAs, and a store that has them.
async fn refreshed(app: &App, clients: &[Target], output: &Output) -> Result<Refreshed, Failed> {
    let (store, folder, is_ours) = app.open_to_read().await?;
    let run = format!("status-{}", app.now().strftime("%Y%m%dT%H%M%SZ"));
    let worker = Worker::new(
        app.ports(Arc::clone(&store))?,
        app.policy.clone(),
        clients.to_vec(),
        Options {
            remembers_failures: false,
            ..Options::new("status", run)
        },
        CancellationToken::new(),
        Arc::new(|_| {}),
    );
    worker.refresh().await?;
    if !is_ours {
        output.notice(
            "the inventory of this configuration is not the store's yet: what the CA says is shown and not stored; \
             `prevalidate run` takes the inventory over",
        );
    }
    let listings = client_listings(worker.listings());
    Ok((store, listings, worker.covered(), folder))
}

impl StatusArgs {
    /// Whether a domain of a client that is asked about is shown.
    fn shows(&self, view: &DomainView, names: &[DomainName], now: Timestamp) -> bool {
        let by_name = names.is_empty() || names.contains(&view.domain);
        let by_state = self.state.map_or(
            self.all || !names.is_empty() || view.is_managed(),
            |state| view.state == state,
        );
        let by_end = self.expiring_within.is_none_or(|within| {
            view.is_managed()
                && view
                    .usable_until()
                    .map_or(!view.with_margin, |end| end.duration_since(now) <= within)
        });
        by_name && by_state && by_end
    }
}

/// A domain in JSON, with what the API says of it.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    view: &'a DomainView,
    needs_a_person: bool,
    renew_at: Option<Timestamp>,
}

/// What is shown. The whole inventory goes out as it is read; a few named domains only once it is
/// known that all of them are there.
struct Listing<'a> {
    output: &'a Output,
    now: Timestamp,
    names: &'a [DomainName],
    known: BTreeSet<DomainName>,
    json: JsonList<'a>,
    rows: Vec<(String, Vec<Cell>)>,
    cut: Cut,
    bogus: Vec<DomainView>,
    waiting: Vec<DomainView>,
    certificates: &'a [CertificateView],
    /// What is known about the ends of registrations.
    book: &'a Book,
    /// The registrable domains among those shown.
    registrable: BTreeSet<String>,
    /// What depends on the proofs of domains that were asked for by name.
    needed: Vec<String>,
    /// What cannot be renewed, because the proof of a domain is held.
    at_stake: Vec<String>,
}

impl<'a> Listing<'a> {
    fn new(
        output: &'a Output,
        now: Timestamp,
        names: &'a [DomainName],
        certificates: &'a [CertificateView],
        book: &'a Book,
    ) -> Self {
        Self {
            output,
            now,
            names,
            certificates,
            book,
            registrable: BTreeSet::new(),
            needed: Vec::new(),
            at_stake: Vec::new(),
            known: BTreeSet::new(),
            json: output.json_list(),
            rows: Vec::new(),
            cut: Cut::default(),
            bogus: Vec::new(),
            waiting: Vec::new(),
        }
    }

    fn met(&mut self, view: &DomainView) {
        if self.names.contains(&view.domain) {
            self.known.insert(view.domain.clone());
        }
    }

    fn show(&mut self, view: DomainView) {
        if self.names.is_empty() {
            self.write(view);
        } else {
            self.waiting.push(view);
        }
    }

    fn write(&mut self, view: DomainView) {
        self.json.item(&Listed {
            needs_a_person: view.needs_a_person(),
            renew_at: view.renew_at,
            view: &view,
        });
        self.weigh(&view);
        if !self.output.is_json() {
            self.rows.push((view.ca.clone(), row(&view, self.now)));
            self.cut.take(&view, self.now);
        }
        if view.bogus.is_some() {
            self.bogus.push(view);
        }
    }

    /// What depends on the proof of the domain.
    fn weigh(&mut self, view: &DomainView) {
        let (domain, shown) = (view.domain.as_str(), view.domain.both_forms());
        if view.state == State::Held {
            let until = view.usable_until();
            let stake = at_stake(self.certificates, domain, &view.client, until);
            self.at_stake
                .extend(stake.map(|stake| format!("{shown}: {stake}")));
        }
        let known = rdap::registrable(&view.domain)
            .and_then(|name| Some((name, self.book.end_of(name, self.now)?)));
        if let Some((name, _)) = known {
            self.registrable.insert(name.to_owned());
        }
        if self.names.is_empty() {
            return;
        }
        if let Some((_, end)) = known {
            let when = (relative(end, self.now), moment(end));
            let line = format!("{shown}: its registration ends {}, on {}", when.0, when.1);
            self.needed.push(line);
        }
        let hang = hanging_on(self.certificates, domain, &view.client);
        let names: Vec<&str> = hang.iter().map(|one| one.name.as_str()).collect();
        if !names.is_empty() {
            let line = format!("{shown}: its proof is needed by the certificates ");
            self.needed.push(line + &names.join(", "));
        }
    }

    fn end(mut self) -> Result<(), Failed> {
        asked::known(self.names, &self.known)?;
        for view in std::mem::take(&mut self.waiting) {
            self.write(view);
        }
        self.json.end();
        tell_bogus(&self.bogus, self.output);
        if !self.rows.is_empty() {
            let mut headers = vec!["DOMAIN", "STATE", "PROOF ENDS", "NEXT", "WHEN", "REASON"];
            let with_ca = self.rows.iter().any(|(ca, _)| *ca != self.rows[0].0);
            if with_ca {
                headers.insert(1, "CA");
            }
            let rows = self.rows.into_iter().map(|(ca, mut row)| {
                if with_ca {
                    row.insert(1, ca.into());
                }
                row
            });
            self.output.table(&headers, rows.collect());
            self.cut.tell(self.output);
        }
        self.needed.iter().for_each(|line| self.output.line(line));
        for stake in &self.at_stake {
            self.output.warn(stake, None);
        }
        for ending in self.book.ending(&self.registrable, self.now) {
            self.output.warn(&ending.said(self.now), None);
        }
        Ok(())
    }
}

fn row(view: &DomainView, now: Timestamp) -> Vec<Cell> {
    let future =
        |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| relative(at.max(now), now));
    vec![
        view.domain.both_forms().into(),
        Cell::new(view.state.as_str(), tone(view)),
        future(view.usable_until()).into(),
        view.next.into(),
        future(view.due_at).into(),
        view.cause(now).into(),
    ]
}
