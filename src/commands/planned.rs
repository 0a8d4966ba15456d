//! What a pass would do with persistent records, for `plan`.

use jiff::Timestamp;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::Failed;
use super::app::{App, NOTED_BY_COMMANDS, Pass};
use crate::output::{Output, cause, relative};
use crate::persistent::Step as Next;
use crate::prevalidation::DomainName;
use crate::worker::Ports;

/// One record's next step.
#[derive(Debug, Serialize)]
pub(super) struct Step {
    domain: DomainName,
    issuer: String,
    step: &'static str,
    due_at: Option<Timestamp>,
    reason: String,
}

/// All of them, and what the guard says.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) steps: Vec<Step>,
    pub(super) alarm: Option<String>,
    hint: String,
}

/// Reads what is there and decides; nothing is stored and no zone is written.
pub(super) async fn persistent(
    app: &App,
    ports: &Ports,
    only: Option<Vec<DomainName>>,
) -> Result<Planned, Failed> {
    let pass = Pass {
        run: "plan",
        only,
        force: false,
        stop: CancellationToken::new(),
        tell: std::sync::Arc::new(|_| {}),
        noted_every: NOTED_BY_COMMANDS,
    };
    let passed = app.keeper(ports, pass).plan().await?;
    let steps = passed.decided.into_iter().map(|one| Step {
        domain: one.domain,
        issuer: one.issuer,
        step: one.decision.step.as_str(),
        due_at: Some(one.decision.at).filter(|&at| at < Timestamp::MAX),
        reason: match one.decision.step {
            // Callers need not know how a listing is made.
            Next::Check(_) | Next::Confirm(_) => "its name servers are asked again".to_owned(),
            _ => one.decision.why.to_string(),
        },
    });
    Ok(Planned {
        steps: steps.collect(),
        alarm: passed.alarm,
        hint: passed.hint,
    })
}

impl Planned {
    /// As a table.
    pub(super) fn text(&self, now: Timestamp, output: &Output) {
        if let Some(alarm) = &self.alarm {
            output.warn(
                &format!("the guard would refuse: {alarm}"),
                Some(&self.hint),
            );
        }
        if self.steps.is_empty() {
            return;
        }
        output.line("");
        let rows = self.steps.iter().map(|step| {
            let when = step
                .due_at
                .map_or_else(|| "-".to_owned(), |at| relative(at.max(now), now));
            vec![
                step.domain.both_forms().into(),
                step.issuer.clone().into(),
                step.step.into(),
                when.into(),
                cause(&step.reason, now).into(),
            ]
        });
        let headers = ["PERSISTENT", "ISSUER", "NEXT", "WHEN", "WHY"];
        output.table(&headers, rows.collect());
    }
}
