//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct PlanArgs {}

pub(super) async fn plan(_: &Global, _: PlanArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
