//! `plan`: what `run` would do and why. Changes nothing anywhere.

use super::run::Which;
use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    pub which: Which,
}

pub(super) async fn plan(_: &Global, args: PlanArgs, _: &Output) -> Result<Exit, Failed> {
    let _ = args.which;
    Ok(Exit::Done)
}
