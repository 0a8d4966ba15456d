//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {}

pub(super) async fn history(_: &Global, _: HistoryArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
