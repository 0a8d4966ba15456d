//! `man`: manual pages of the program and of each of its commands, for packages.

use std::path::PathBuf;

use super::{Exit, Failed, help};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The folder to write the pages to; it must exist
    folder: PathBuf,
}

pub(super) fn man(args: &ManArgs, output: &Output) -> Result<Exit, Failed> {
    let folder = args.folder.display();
    clap_mangen::generate_to(help::command(), &args.folder).map_err(|error| {
        Failed::new(
            Exit::Usage,
            format!("cannot write manual pages to {folder}: {error}"),
        )
    })?;
    output.line(&format!("manual pages are in {folder}"));
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_command_that_is_shown_has_a_manual_page() {
        let folder = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(help::command(), folder.path()).unwrap();
        for command in help::command()
            .get_subcommands()
            .filter(|c| !c.is_hide_set())
        {
            let page = folder
                .path()
                .join(format!("prevalidate-{}.1", command.get_name()));
            let text = std::fs::read_to_string(&page).unwrap();
            assert!(text.contains(".SH OPTIONS"), "{}", page.display());
        }
        assert!(folder.path().join("prevalidate.1").exists());
    }
}
