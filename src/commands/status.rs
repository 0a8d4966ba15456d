//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {}

pub(super) async fn status(_: &Global, _: StatusArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
