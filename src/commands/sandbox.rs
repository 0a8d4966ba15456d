//! To come.

use super::{Exit, Failed};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct SandboxArgs {}

pub(super) async fn sandbox(_: SandboxArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
