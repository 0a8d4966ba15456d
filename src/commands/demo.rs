//! To come.

use super::{Exit, Failed};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {}

pub(super) async fn demo(_: DemoArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
