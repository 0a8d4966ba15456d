//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct ResetArgs {}

pub(super) async fn reset(_: &Global, _: ResetArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
