//! To come.

use super::{Exit, Failed, Global};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct AddArgs {}
#[derive(Debug, clap::Args)]
pub(super) struct RemoveArgs {}
#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {}

pub(super) async fn add(_: &Global, _: AddArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
pub(super) async fn remove(_: &Global, _: RemoveArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
pub(super) async fn import(_: &Global, _: ImportArgs, _: &Output) -> Result<Exit, Failed> {
    Ok(Exit::Done)
}
