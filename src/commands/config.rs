//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Subcommand)]
pub(super) enum ConfigCommand {
    /// Checks the configuration
    Check,
}

pub(super) fn config(_: &Global, _: ConfigCommand, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
