//! `certificate revoke`: by order of a person, and read back from the CA.

use std::sync::Arc;

use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use super::{known, pass, reason};
use crate::commands::app::App;
use crate::commands::by_hand::{agreed, person};
use crate::commands::name::run_name;
use crate::commands::{Exit, Failed};
use crate::config;
use crate::issuance::RevocationReason;
use crate::output::Output;
use crate::overview::certificates::CertificateState;
use crate::prevalidation::Mode;
use crate::worker::issue::ByHand;

#[derive(Debug, clap::Args)]
pub(in crate::commands) struct RevokeArgs {
    /// Its name
    name: String,
    /// Why: unspecified, key-compromise, affiliation-changed, superseded or cessation-of-operation
    #[arg(long, value_parser = reason)]
    reason: RevocationReason,
    /// The person that asks for it, where the CA wants a name [default: the requester of the
    /// certificate, or prevalidate]
    #[arg(long, value_name = "NAME")]
    requestor: Option<String>,
    /// Does not ask
    #[arg(long)]
    yes: bool,
    /// How long to wait until the CA says that it is revoked
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = config::duration)]
    wait: SignedDuration,
}

impl RevokeArgs {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

pub(super) async fn revoke(app: &App, args: RevokeArgs, output: &Output) -> Result<Exit, Failed> {
    known(app, std::slice::from_ref(&args.name))?;
    if app.settings.policy.mode == Mode::Observe {
        return Err(Failed::new(
            Exit::Usage,
            "the policy's mode is `observe`: nothing is revoked",
        ));
    }
    let name = &args.name;
    let view = super::one(app, name).await?;
    let serial = view.serial.clone().ok_or_else(|| {
        Failed::new(
            Exit::Usage,
            format!("{name} is not installed: there is nothing to revoke"),
        )
    })?;
    if view.revoked_at.is_some() {
        output.line(&format!("{name} is revoked already"));
        return Ok(Exit::Done);
    }
    let question = format!(
        "{name} ({}), serial number {serial}, is revoked for ever; servers that use it fail.",
        view.names.join(", ")
    );
    let nothing = "nothing was revoked";
    agreed(&question, args.yes, nothing, "use `--yes`", output)?;
    let ca = app.settings.cas.get(&view.ca);
    let kind = ca.and_then(|ca| ca.kind.issuing);
    if kind.is_some_and(|kind| !kind.takes_reason) && args.reason != RevocationReason::Unspecified {
        let why = format!("[ca.{}] takes no reason for a revocation", view.ca);
        let hint = format!("tell the CA's support that it is {}", args.reason);
        output.warn(&why, Some(&hint));
    }
    let store = app.open_as_it_is().await?;
    let ports = app.ports(Arc::clone(&store))?;
    let now = ports.clock.now();
    let configured = app.settings.certificates.certificates.iter();
    let requester = configured
        .filter(|one| one.name == *name)
        .find_map(|one| one.requester.clone());
    let requestor = args
        .requestor
        .clone()
        .or(requester)
        .unwrap_or_else(|| "prevalidate".to_owned());
    let stop = CancellationToken::new();
    let issuer = app
        .issuer(
            &ports,
            app.certificates(),
            &run_name("revoke", now),
            Some(vec![name.clone()]),
            stop.clone(),
            pass::voice(output),
        )?
        .only_revoking()
        .asked_by(person());
    let order = ByHand::Revoke {
        reason: args.reason,
        requestor,
    };
    issuer.by_hand(name, order).await?.map_err(pass::refused)?;
    let deadline = now
        .saturating_add(args.wait)
        .unwrap_or(jiff::Timestamp::MAX);
    let wait = args.wait;
    pass::go(None, &issuer, wait, deadline, &stop, app, output).await?;
    let now = app.now();
    let names = [name.clone()];
    let all = pass::Certificates::read(&issuer, Some(&names), now).await?;
    store.close().await;
    output.json(&all.views);
    let is_revoked = all
        .views
        .iter()
        .any(|view| view.state == CertificateState::Revoked);
    if is_revoked {
        output.line(&format!(
            "{name}: the CA says that serial number {serial} is revoked"
        ));
        return Ok(Exit::Done);
    }
    for view in &all.views {
        output.error(
            &format!("{name} is not revoked yet: {}", view.reason),
            view.hint.as_deref(),
        );
    }
    for (ca, error) in &all.accounts {
        output.error(&format!("{ca}: {error}"), error.hint.as_deref());
    }
    Ok(
        match all.accounts.is_empty() && !all.views.iter().any(|view| view.held) {
            true => Exit::Temporary,
            false => Exit::Ca,
        },
    )
}
