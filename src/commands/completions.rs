//! To come.

use super::{Exit, Failed};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {}

pub(super) fn completions(_: &CompletionsArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
