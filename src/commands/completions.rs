//! To come.

use super::{Exit, Failed};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {}

pub(super) async fn completions(_: &CompletionsArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
