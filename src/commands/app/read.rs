//! The configuration as a command reads it: found, read, its notices told.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;

use super::{App, clock};
use crate::clock::Clock;
use crate::commands::{Exit, Failed, Global};
use crate::config::{self, Fault, Settings};
use crate::output::Output;

impl App {
    /// Finds and reads the configuration; all its faults become one error, its notices are reported.
    pub fn read(global: &Global, output: &Output) -> Result<Self, Failed> {
        let settings = settings(config::load, global, output)?;
        Ok(Self::new(settings, clock()))
    }

    /// The same with files that cannot be used, which the caller tells.
    pub fn read_as_written(global: &Global, output: &Output) -> Result<Self, Failed> {
        let settings = settings(config::load_as_written, global, output)?;
        Ok(Self::new(settings, clock()))
    }

    /// Reads it once more, for a process that continues when it is broken: all its faults, a line
    /// each. The clock is that of the process.
    pub fn read_again(global: &Global, clock: Arc<dyn Clock>) -> Result<Self, Vec<String>> {
        let found = config::find(global.config.as_deref(), &env);
        if let Ok(path) = &found
            && std::fs::metadata(path).is_ok_and(|what| what.file_type().is_fifo())
        {
            // Opening it would wait for a writer.
            let shown = path.display();
            return Err(vec![format!(
                "{shown} is a pipe, which is read once: restart to change it"
            )]);
        }
        found
            .and_then(|path| config::load(&path))
            .map(|settings| Self::new(settings, clock))
            .map_err(|error| error.faults.iter().map(ToString::to_string).collect())
    }

    /// The warning about bad lines in lists of names: the first bad line, and the consequence.
    pub fn left_out(&self) -> Option<String> {
        left_out(&self.settings)
    }
}

/// A variable that is not UTF-8 names no file, and says so; it is not as good as absent.
fn env(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// Whether no configuration was named and none is at the usual places.
pub fn names_no_configuration(global: &Global) -> bool {
    let named = global.config.is_some() || env(config::ENV).is_some_and(|path| !path.is_empty());
    !named && config::find(None, &env).is_err()
}

fn settings(
    load: impl Fn(&Path) -> Result<Settings, config::ConfigError>,
    global: &Global,
    output: &Output,
) -> Result<Settings, Failed> {
    let refused = |error: config::ConfigError| Failed::new(Exit::Usage, error.to_string());
    let found = config::find_file(global.config.as_deref(), &env).map_err(refused)?;
    if let Some(why) = &found.passed_over {
        output.warn(
            why,
            Some("name it with --config, or make it root's or your own"),
        );
    }
    let settings = load(&found.path).map_err(refused)?;
    let read = format!("the configuration is {}", settings.file.display());
    if found.is_here {
        output.notice(&read);
    } else {
        output.detail(&read);
    }
    let more = |count: usize| format!("and {count} more of the kind");
    for notice in settings.notices.iter().take(MOST_TOLD) {
        output.notice(&notice.to_string());
    }
    if let Some(count) = beyond(&settings.notices) {
        output.notice(&more(count));
    }
    for fault in settings.left_out.iter().take(MOST_TOLD) {
        output.warn(&fault.to_string(), fault.hint.as_deref());
    }
    if let Some(count) = beyond(&settings.left_out) {
        output.warn(&more(count), None);
    }
    if let Some(words) = left_out(&settings) {
        output.warn(&words, None);
    }
    for one in &settings.certificates.unusable {
        let hint = format!("everything continues but the certificate {}", one.name);
        for fault in &one.faults {
            output.warn(&fault.to_string(), Some(&hint));
        }
    }
    Ok(settings)
}

/// More notices or bad lines than this do not help.
const MOST_TOLD: usize = 20;

fn beyond(faults: &[Fault]) -> Option<usize> {
    faults.len().checked_sub(MOST_TOLD).filter(|&more| more > 0)
}

fn left_out(settings: &Settings) -> Option<String> {
    let first = settings.left_out.first()?;
    let (lines, verb) = match settings.left_out.len() {
        1 => ("1 line".to_owned(), "names"),
        many => (format!("{many} lines"), "name"),
    };
    Some(format!(
        "{lines} of the lists {verb} no domain, first {}:{}; all other domains are kept, and none \
         leaves the inventory until this is repaired",
        first.file.display(),
        first.line.unwrap_or_default()
    ))
}
