//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct HookArgs {}

pub(super) async fn hook(_: &Global, _: HookArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
