//! A list of names from a file or a pipe, of a sensible size; all its faults come at once. A bad line
//! costs only itself, as in a `domains_file`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::commands::{Exit, Failed};
use crate::config::names::{NameList, read_any};
use crate::output::Output;
use crate::prevalidation::DomainName;

/// Half a million names.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Reads the names to add from `path`, or from standard input when it is `-`. Reports the lines
/// that name no domain.
pub(super) fn read(
    path: &Path,
    accept_idn: bool,
    output: &Output,
) -> Result<(Vec<DomainName>, Vec<String>), Failed> {
    let (origin, bytes) = bytes(path)?;
    names(read_any(&origin, &bytes, accept_idn), output)
}

/// The names of a list with their notices told, and its bad lines, which are reported too. A list
/// that cannot be believed is refused as a whole.
pub(in crate::commands) fn names(
    list: NameList,
    output: &Output,
) -> Result<(Vec<DomainName>, Vec<String>), Failed> {
    let is_refused = list.is_unbelievable();
    let mut lines: Vec<_> = list.faults.iter().map(ToString::to_string).collect();
    if is_refused && !list.faults.is_empty() {
        if !list.names.is_empty() {
            lines.push("the rest of the list was left alone too".to_owned());
        }
        let hint = list.faults.iter().find_map(|fault| fault.hint.clone());
        return Err(Failed {
            exit: Exit::Usage,
            message: lines.join("\n"),
            hint,
        });
    }
    for fault in &list.faults {
        output.error(&fault.to_string(), fault.hint.as_deref());
    }
    for listed in &list.names {
        let told = listed.notices.iter();
        told.for_each(|notice| output.notice(&format!("{}: {notice}", listed.line)));
    }
    let names = list.names.into_iter().map(|listed| listed.name);
    Ok((names.collect(), lines))
}

/// The whole list, with what its faults call it.
pub(in crate::commands) fn bytes(path: &Path) -> Result<(PathBuf, Vec<u8>), Failed> {
    let (origin, bytes) = if path == Path::new("-") {
        ("<stdin>".into(), bounded(io::stdin().lock()))
    } else {
        (path.to_owned(), File::open(path).and_then(bounded))
    };
    let bytes = bytes.map_err(|error| {
        Failed::new(
            Exit::Usage,
            format!("{} cannot be read: {error}", origin.display()),
        )
    })?;
    if bytes.len() as u64 <= MAX_BYTES {
        return Ok((origin, bytes));
    }
    let message = format!(
        "{} is longer than {} MiB",
        origin.display(),
        MAX_BYTES / (1024 * 1024)
    );
    Err(Failed::new(Exit::Usage, message).with_hint("is it a list of names? split a longer one"))
}

fn bounded(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
