//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {}

pub(super) async fn run(_: &Global, _: RunArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
