//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {}

pub(super) async fn check(_: &Global, _: CheckArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
