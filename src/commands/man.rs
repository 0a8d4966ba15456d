//! `man`: manual pages of the program and of each of its commands, for packages.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::{Exit, Failed, help};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The folder to write the pages to; it must exist
    folder: PathBuf,
}

/// What the page of the program says beside its command line: the quick reference.
const MORE: &str = r#".SH STATES
.TP
.B new
in the inventory, not registered at the CA yet
.TP
.B pending
registered, not proven yet
.TP
.B valid
a proof counts
.TP
.B renewing
a proof counts, and a new one is on its way
.TP
.B expired
the last proof counts no more
.TP
.B held
waits for a person; the reason is shown, and it is tried again every six hours
.TP
.B unmanaged
registered at the CA, and not in the inventory; nothing is done for it
.SH FILES
.TP
.I /etc/prevalidate/prevalidate.toml
the configuration; prevalidate config reference prints every setting
.TP
.I /etc/prevalidate/
the secrets that the configuration names, mode 0600, owned by the user of the service
.TP
.I /var/lib/prevalidate/prevalidate.db
the store: the state of each domain, and the ledger of our records in DNS
.TP
.I /etc/ssl/certs/ca-certificates.crt
the root certificates that are trusted
.SH ENVIRONMENT
.TP
.B PREVALIDATE_CONFIG
the configuration, where --config names none
.TP
.B PREVALIDATE_LOG
levels of the log, such as debug or prevalidate::worker=trace
.TP
.B PREVALIDATE_LOG_FORMAT
text or json
.TP
.B NO_COLOR
no colours
"#;

/// Writes the pages.
fn write(folder: &Path) -> io::Result<()> {
    clap_mangen::generate_to(help::command(), folder)?;
    let page = folder.join("prevalidate.1");
    let mut page = OpenOptions::new().append(true).open(page)?;
    page.write_all(MORE.as_bytes())
}

pub(super) fn man(args: &ManArgs, output: &Output) -> Result<Exit, Failed> {
    let folder = args.folder.display();
    write(&args.folder).map_err(|error| {
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
    use crate::prevalidation::State;

    #[test]
    fn every_command_that_is_shown_has_a_manual_page() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path()).unwrap();
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
        let page = std::fs::read_to_string(folder.path().join("prevalidate.1")).unwrap();
        for state in State::ALL {
            assert!(page.contains(&format!("\n.B {state}\n")), "{state}");
        }
        assert!(page.contains("\n.SH FILES\n"));
    }
}
