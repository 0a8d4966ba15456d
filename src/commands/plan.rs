//! `plan`: what `run` would do and why, and when each domain is next due. Changes nothing anywhere:
//! it works on a copy of the store, and the CA is only asked for its list.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::order::{Order, Which};
use super::reasons::Cut;
use super::summary::{ClientListing, Scope, client_listings, verdict};
use super::{Exit, Failed, Global, OutputFormat, asked, certificate, held, planned};
use crate::output::{Output, cause, moment, relative, share};
use crate::overview::certificates::CertificateView;
use crate::prevalidation::{DomainName, Mode, Plan, PlannedStep, Policy, State, Step, Why};
use crate::worker::{Intake, Options, Target, Worker};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Exit status: 0 the plan was made · 2 usage or configuration · 3 CA or authentication · \
5 the guard would refuse · 75 temporary, try again."
)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub which: Which,
}

pub(super) async fn plan(global: &Global, args: PlanArgs, output: &Output) -> Result<Exit, Failed> {
    let app = App::read(global, output)?;
    let targets = args.which.part.targets(&app)?;
    let names = asked::names(&app, &args.which.domains, output)?;
    let (store, _folder) = app.store_copy().await?;
    let ports = app.ports(Arc::clone(&store))?;
    let clock = Arc::clone(&ports.clock);
    let shrunk = app.pretend(&*store).await?;
    if !names.is_empty() {
        asked::in_inventory(&names, &store.domains().await?)?;
    }

    let is_whole = names.is_empty() && args.which.part == asked::Part::default();
    let only = (!names.is_empty()).then_some(names);
    let order = order(targets, only);
    let scope = Scope::read(&app, &*store, &order).await?;
    scope.warn(output);
    let options = Options {
        only: scope.only.filter(|_| order.only.is_some()),
        ..Options::new("plan", "plan")
    };
    let policy = managing(&app, output);
    let persistent_plan = planned::persistent(&app, &ports, order.only.clone()).await?;
    let worker = Worker::new(
        ports,
        policy,
        order.targets,
        options,
        CancellationToken::new(),
        Arc::new(|_| {}),
    );
    let mut plan = worker.plan().await?;
    plan.alarms.extend(shrunk);
    held::tell_plan(&app, &mut plan).await?;
    // A domain at rest that is not wanted is no news.
    plan.steps
        .retain(|step| step.state != State::Unmanaged || step.decision.step != Step::Rest);

    let now = clock.now();
    let certificates = match is_whole {
        true => certificate::views(&app, &store, now).await?,
        false => Vec::new(),
    };
    let listings = client_listings(worker.listings());
    output.json(&Document {
        certificates: &certificates,
        persistent: &persistent_plan.steps,
        ..Document::new(&plan, &listings)
    });
    listings.iter().for_each(|listing| listing.tell(output));
    if global.output == OutputFormat::Markdown {
        markdown(&plan, output)
    } else {
        text(&plan, output);
        if !certificates.is_empty() {
            output.line("");
            certificate::table(&certificates, now, output);
        }
        persistent_plan.text(now, output);
    }
    Ok(match plan.is_refused() || persistent_plan.alarm.is_some() {
        true => Exit::Guard,
        false => verdict(&listings, std::iter::empty()),
    })
}

/// Nothing is done for it.
fn order(targets: Vec<Target>, only: Option<Vec<DomainName>>) -> Order {
    Order {
        command: "plan",
        targets,
        only,
        wait: SignedDuration::ZERO,
        force: false,
        intake: Intake::default(),
        certificates: false,
        registries: false,
        persistent: false,
        left_out: Vec::new(),
    }
}

/// The policy of the configuration, as if the program wrote in DNS.
fn managing(app: &App, output: &Output) -> Policy {
    let policy = app.policy.clone();
    if policy.mode != Mode::Observe {
        return policy;
    }
    output.notice("the mode is `observe`: this is the plan of `manage`, and nothing of it is done");
    policy.in_mode(Mode::Manage)
}

fn headline(plan: &Plan) -> String {
    let (due, all) = (plan.due().count(), plan.steps.len());
    if all == 0 {
        return "no plan: there is no domain whose state at the CA could be read".to_owned();
    }
    let now = share(
        due,
        all,
        "domain",
        ("has something to do now", "have something to do now"),
    );
    match plan
        .steps
        .iter()
        .map(|step| step.decision.at)
        .find(|&at| at > plan.made_at && at < Timestamp::MAX)
    {
        Some(next) => format!("{now}; the next one {}", relative(next, plan.made_at)),
        None => now,
    }
}

fn when(step: &PlannedStep, plan: &Plan) -> String {
    let at = Some(step.decision.at).filter(|&at| at < Timestamp::MAX);
    at.map_or_else(
        || "-".to_owned(),
        |at| relative(at.max(plan.made_at), plan.made_at),
    )
}

/// The `[ca.NAME]`, which a client's key begins with.
fn ca(step: &PlannedStep) -> &str {
    step.client.split('/').next().unwrap_or(&step.client)
}

/// Where there are several CAs, a domain alone does not say which step is meant.
fn has_several_cas(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| ca(step) != ca(&plan.steps[0]))
}

fn headers(plan: &Plan) -> Vec<&'static str> {
    let mut headers = vec!["DOMAIN", "STATE", "NEXT", "WHEN", "WHY"];
    if has_several_cas(plan) {
        headers.insert(1, "CA");
    }
    headers
}

fn cells(step: &PlannedStep, plan: &Plan, with_ca: bool) -> Vec<String> {
    let mut cells = vec![
        step.domain.both_forms(),
        step.state.to_string(),
        step.decision.step.as_str().to_owned(),
        when(step, plan),
        cause(&step.decision.why.to_string(), plan.made_at),
    ];
    if with_ca {
        cells.insert(1, ca(step).to_owned());
    }
    cells
}

fn text(plan: &Plan, output: &Output) {
    for alarm in &plan.alarms {
        output.warn(
            &format!("the guard would refuse: {alarm}"),
            Some("`run --force` would act all the same"),
        );
    }
    output.line(&headline(plan));
    if !plan.steps.is_empty() {
        let with_ca = has_several_cas(plan);
        let rows = plan.steps.iter().map(|step| cells(step, plan, with_ca));
        output.table(
            &headers(plan),
            rows.map(|cells| cells.into_iter().map(Into::into).collect())
                .collect(),
        );
        let mut cut = Cut::default();
        for step in &plan.steps {
            cut.take_reason(&step.domain, &step.decision.why.to_string(), plan.made_at);
        }
        cut.tell(output);
    }
}

fn markdown(plan: &Plan, output: &Output) {
    let row = |cells: &[String]| format!("| {} |", cells.join(" | "));
    output.line(&format!("# Plan of {}", moment(plan.made_at)));
    output.line("");
    for alarm in &plan.alarms {
        output.line(&format!(
            "**The guard would refuse:** {}",
            plain(&alarm.to_string())
        ));
        output.line("");
    }
    output.line(&format!("{}.", headline(plan)));
    output.line("");
    let headers: Vec<_> = headers(plan).into_iter().map(str::to_owned).collect();
    output.line(&row(&headers));
    output.line(&format!("|{}", "---|".repeat(headers.len())));
    let with_ca = has_several_cas(plan);
    for step in &plan.steps {
        let cells: Vec<_> = cells(step, plan, with_ca)
            .iter()
            .map(|cell| plain(cell))
            .collect();
        output.line(&row(&cells));
    }
}

/// Text that means nothing in Markdown: it may come from a CA or a zone.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(
            c,
            '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' | '#' | '&'
        ) {
            plain.push('\\');
        }
        plain.push(c);
    }
    plain
}

/// The plan in JSON. A step without a time has no time there.
#[derive(Serialize)]
struct Document<'a> {
    made_at: Timestamp,
    refused: bool,
    alarms: Vec<String>,
    #[serde(rename = "looks")]
    listings: &'a [ClientListing],
    #[serde(serialize_with = "steps")]
    steps: &'a Plan,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    certificates: &'a [CertificateView],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    persistent: &'a [planned::Step],
}

#[derive(Serialize)]
struct StepDocument<'a> {
    domain: &'a str,
    unicode: String,
    client: &'a str,
    state: State,
    step: &'static str,
    due: bool,
    due_at: Option<Timestamp>,
    reason: &'a Why,
}

impl<'a> Document<'a> {
    fn new(plan: &'a Plan, listings: &'a [ClientListing]) -> Self {
        Self {
            made_at: plan.made_at,
            refused: plan.is_refused(),
            alarms: plan.alarms.iter().map(ToString::to_string).collect(),
            listings,
            steps: plan,
            certificates: &[],
            persistent: &[],
        }
    }
}

/// One after another as they are written: there may be 100,000.
fn steps<S: Serializer>(plan: &Plan, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(plan.steps.iter().map(|step| StepDocument {
        domain: step.domain.as_str(),
        unicode: step.domain.unicode(),
        client: &step.client,
        state: step.state,
        step: step.decision.step.as_str(),
        due: step.decision.is_due(plan.made_at),
        due_at: Some(step.decision.at).filter(|&at| at < Timestamp::MAX),
        reason: &step.decision.why,
    }))
}
