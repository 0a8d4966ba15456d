//! What a pass over the inventory is to do, and for which part of it.

use jiff::SignedDuration;

use super::asked;
use crate::prevalidation::DomainName;
use crate::worker::{Intake, Target};

/// The part of the inventory that a pass is about.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// Only this domain; may be given more than once
    #[arg(long = "domain", short, value_name = "DOMAIN")]
    pub domains: Vec<String>,
    #[command(flatten)]
    pub part: asked::Part,
}

/// The orders of a pass.
#[derive(Debug)]
pub(super) struct Order {
    /// The command that ordered it, for the history.
    pub command: &'static str,
    /// The clients to list.
    pub targets: Vec<Target>,
    /// Only these domains; `None`: all of `targets`.
    pub only: Option<Vec<DomainName>>,
    /// How long the command waits for the outcome.
    pub wait: SignedDuration,
    /// Acts although the guard refuses.
    pub force: bool,
    /// The domains that wait for their client to be found.
    pub intake: Intake,
    /// Whether certificates are kept, too.
    pub certificates: bool,
    /// Whether registries are asked when registrations end.
    pub registries: bool,
    /// Whether persistent records are kept, too.
    pub persistent: bool,
    /// What was asked for and names no domain: it may be one that is not kept validated.
    pub left_out: Vec<String>,
}
