//! `certificate`: what is installed and ordered, orders by hand, revocation.

mod ad_hoc;
mod at_ca;
mod before;
mod pass;
mod product;
mod revoke;
mod show;

use jiff::SignedDuration;

use super::app::App;
use super::{Exit, Failed, Global};
use crate::config::{self, nearest};
use crate::issuance::RevocationReason;
use crate::output::Output;
use crate::overview::certificates::CertificateView;

pub(super) use pass::{Certificates, views, voice};
pub(super) use show::table;

#[derive(Debug, clap::Subcommand)]
pub(super) enum CertificateCommand {
    /// Lists the certificates, when each ends and what is next
    List {
        /// Lists the orders of the CAs instead, also those that this program did not make
        #[arg(long)]
        at_ca: bool,
    },
    /// Shows one certificate
    Show {
        /// Its name
        name: String,
    },
    /// Orders, installs and renews what is due, as `run` does; what is held is tried again where it is
    /// named
    Issue(IssueArgs),
    /// Orders one certificate that is not in the configuration
    Order(ad_hoc::OrderArgs),
    /// Fetches a certificate again, checks it and installs it; orders nothing
    Fetch {
        /// Its name
        name: String,
    },
    /// Has the CA revoke what is installed
    Revoke(revoke::RevokeArgs),
    /// Everything that was done for a certificate
    History {
        /// Its name
        name: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct IssueArgs {
    /// The certificates; without, what is due of all of them, and nothing that a CA refused
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Orders a new one although nothing is due: it may cost money
    #[arg(long, requires = "names")]
    again: bool,
    /// Asks the CA whether it would take the order, and orders nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// How long to stay and see things through [default: `wait` of [worker], 10m]
    #[arg(long, value_name = "TIME", value_parser = config::duration)]
    wait: Option<SignedDuration>,
}

pub(super) async fn certificate(
    global: &Global,
    command: CertificateCommand,
    output: &Output,
) -> Result<Exit, Failed> {
    let mut app = App::read(global, output)?;
    match command {
        CertificateCommand::List { at_ca: true } => at_ca::list(&app, output).await,
        CertificateCommand::List { at_ca: false } => list(&app, output).await,
        CertificateCommand::Show { name } => {
            let view = one(&app, &name).await?;
            show::one(&app.settings, &view, output);
            Ok(Exit::Done)
        }
        CertificateCommand::Issue(args) => issue(&app, args, output).await,
        CertificateCommand::Order(args) => ad_hoc::order(app, args, output).await,
        CertificateCommand::Fetch { name } => {
            ad_hoc::take_in(&mut app, &name).await?;
            known(&app, std::slice::from_ref(&name))?;
            pass::by_hand(&app, &[name], pass::Action::Fetch, None, output).await
        }
        CertificateCommand::Revoke(args) => {
            ad_hoc::take_in(&mut app, args.name()).await?;
            revoke::revoke(&app, args, output).await
        }
        CertificateCommand::History { name } => history(&app, &name, output).await,
    }
}

async fn list(app: &App, output: &Output) -> Result<Exit, Failed> {
    let store = app.store_read_only().await?;
    let now = app.now();
    let views = pass::views(app, &store, now).await?;
    output.json(&views);
    if views.is_empty() {
        output.line("there are no certificates; [[certificate]] in the configuration names them");
    } else {
        show::table(&views, now, output);
    }
    Ok(Exit::Done)
}

async fn one(app: &App, name: &str) -> Result<CertificateView, Failed> {
    let store = app.store_read_only().await?;
    let views = pass::views(app, &store, app.now()).await?;
    let names: Vec<String> = views.iter().map(|view| view.name.clone()).collect();
    let found = views.into_iter().find(|view| view.name == name);
    found.ok_or_else(|| unknown(name, &names))
}

fn unknown(name: &str, names: &[String]) -> Failed {
    let hint = match nearest(name, names.iter().map(String::as_str)) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None if names.is_empty() => "[[certificate]] in the configuration names them".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    Failed::new(
        Exit::Usage,
        format!("there is no certificate named `{name}`"),
    )
    .with_hint(hint)
}

/// Refuses names that the configuration does not have, all at once.
fn known(app: &App, names: &[String]) -> Result<(), Failed> {
    let all = app.settings.certificates.certificates.iter();
    let all: Vec<String> = all.map(|one| one.name.clone()).collect();
    let missing: Vec<&String> = names.iter().filter(|name| !all.contains(name)).collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let unusable = &app.settings.certificates.unusable;
    if let Some(one) = unusable.iter().find(|one| one.name == **first) {
        let why = format!("the certificate {first} cannot be worked on: {}", one.why());
        return Err(
            Failed::new(Exit::Usage, why).with_hint("`prevalidate config check` names the line")
        );
    }
    let mut failed = unknown(first, &all);
    let lines = missing
        .iter()
        .map(|name| format!("there is no certificate named `{name}`"));
    failed.message = lines.collect::<Vec<_>>().join("\n");
    Err(failed)
}

async fn issue(app: &App, args: IssueArgs, output: &Output) -> Result<Exit, Failed> {
    known(app, &args.names)?;
    let all = || {
        let all = app.settings.certificates.certificates.iter();
        all.map(|one| one.name.clone()).collect::<Vec<_>>()
    };
    let names = if args.names.is_empty() {
        all()
    } else {
        args.names.clone()
    };
    if names.is_empty() {
        return Err(
            Failed::new(Exit::Usage, "the configuration names no certificate")
                .with_hint("write [[certificate]] with `name`, `product` and `names`"),
        );
    }
    if args.dry_run {
        return pass::rehearse(app, &names, output).await;
    }
    let action = match (args.again, args.names.is_empty()) {
        (true, _) => pass::Action::Again,
        (false, false) => pass::Action::Afresh,
        (false, true) => pass::Action::Due,
    };
    pass::by_hand(app, &names, action, args.wait, output).await
}

async fn history(app: &App, name: &str, output: &Output) -> Result<Exit, Failed> {
    let store = app.store_read_only().await?;
    let events = store.orders().certificate_history(name).await?;
    if events.is_empty() {
        one(app, name).await?;
    }
    output.json(&events);
    if events.is_empty() {
        output.notice(&format!("nothing was done for {name} yet"));
        return Ok(Exit::Done);
    }
    let rows = events.into_iter().map(|event| {
        let at = event.at.strftime("%Y-%m-%d %H:%M:%S").to_string();
        vec![
            at.into(),
            event.run.into(),
            event.kind.into(),
            event.detail.into(),
        ]
    });
    output.table(&["WHEN (UTC)", "RUN", "WHAT", "DETAIL"], rows.collect());
    Ok(Exit::Done)
}

/// Reads a reason, as people write it.
fn reason(text: &str) -> Result<RevocationReason, String> {
    let plain = text.trim().to_lowercase().replace('_', "-");
    RevocationReason::ALL
        .into_iter()
        .find(|reason| reason.word() == plain)
        .ok_or_else(|| {
            let words: Vec<_> = RevocationReason::ALL.iter().map(|one| one.word()).collect();
            format!("must be one of {}", words.join(", "))
        })
}
