//! What an import found, and how it ends where something was left out.

use super::Place;
use crate::commands::{Exit, Failed};
use crate::output::Output;
use crate::prevalidation::DomainName;

/// Names with their places, and what was left out beside them.
pub(super) struct Found {
    pub(super) places: Vec<(Place, Vec<DomainName>)>,
    /// The lines of the list that name no domain.
    pub(super) faults: Vec<String>,
    /// The outcome of the CAs that were asked.
    pub(super) exit: Exit,
}

impl Found {
    pub(super) fn new(places: Vec<(Place, Vec<DomainName>)>) -> Self {
        Self {
            places,
            faults: Vec::new(),
            exit: Exit::Done,
        }
    }

    /// A line that was left out is no success: it may be a domain that is not renewed.
    pub(super) fn end(&self, output: &Output) -> Exit {
        match self.faults.len() {
            0 => return self.exit,
            1 => output.notice("1 line of the list names no domain and was left out"),
            many => output.notice(&format!(
                "{many} lines of the list name no domain and were left out"
            )),
        }
        self.exit.graver(Exit::Incomplete)
    }
}

/// Names the clients whose CA did not answer. What the others have is taken in all the same.
pub(super) fn others(
    mut refused: Vec<(String, Failed)>,
    all: bool,
    output: &Output,
) -> Result<Exit, Failed> {
    if all && refused.len() == 1 {
        return Err(refused.remove(0).1);
    }
    let mut exit = Exit::Done;
    for (client, failed) in refused {
        exit = exit.graver(failed.tell_of(("client", &client), output));
    }
    match all && exit != Exit::Done {
        true => Err(Failed::new(exit, "no CA could be asked")),
        false => Ok(exit),
    }
}
