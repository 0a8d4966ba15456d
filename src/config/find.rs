//! Which file is the configuration, and reading it.
//!
//! The file names programs that are started. So a file that is in the current folder by chance is
//! read only where no other user could have put it there.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::fault::ConfigError;
use super::{Settings, read, trust};
use crate::text::decode;

/// The environment variable that names the configuration.
pub const ENV: &str = "PREVALIDATE_CONFIG";
/// A configuration of 100,000 names has about 2 MiB.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The configuration of the current folder.
const HERE: &str = "./prevalidate.toml";

/// The file that is the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file.
    pub path: PathBuf,
    /// Whether it was not named and is in the current folder.
    pub is_here: bool,
    /// Why the file of the current folder was not read, where there is one.
    pub passed_over: Option<String>,
}

/// Finds the configuration: `--config`, then [`ENV`], then the usual places, the nearest first.
///
/// A file that was named and is not there is an error; nothing else is tried then.
pub fn find(
    cli: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<PathBuf, ConfigError> {
    find_file(cli, env).map(|found| found.path)
}

/// The same, with how it was found.
///
/// # Errors
/// As of [`find`].
pub fn find_file(
    cli: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Found, ConfigError> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let named = cli
        .map(|path| (path.to_owned(), "--config"))
        .or_else(|| set(ENV).map(|path| (path.into(), ENV)));
    if let Some((path, by)) = named {
        return named_file(path, by);
    }
    let home = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")));
    let here = PathBuf::from(HERE);
    let passed_over = here
        .is_file()
        .then(|| trust::of_the_current_folder(&here).err())
        .flatten();
    let places = [
        Some(here.clone()),
        home.map(|home| home.join("prevalidate/prevalidate.toml")),
        Some(PathBuf::from("/etc/prevalidate/prevalidate.toml")),
    ];
    let places: Vec<PathBuf> = places.into_iter().flatten().collect();
    let found = places
        .iter()
        .filter(|place| **place != here || passed_over.is_none())
        .find(|place| place.is_file());
    match found {
        Some(path) => Ok(Found {
            path: path.clone(),
            is_here: *path == here,
            passed_over: passed_over.map(|why| format!("{HERE} is not read: {why}")),
        }),
        None => Err(nothing_found(&places, passed_over)),
    }
}

fn nothing_found(places: &[PathBuf], passed_over: Option<String>) -> ConfigError {
    let tried: Vec<_> = places
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    let why = passed_over.map(|why| format!("; {HERE} is not read: {why}"));
    ConfigError::one(
        PathBuf::new(),
        format!(
            "no configuration found; tried {}{}",
            tried.join(", "),
            why.unwrap_or_default()
        ),
        format!("name one with --config FILE or {ENV}"),
    )
}

/// A file, or a pipe such as `<(sops -d …)`.
fn named_file(path: PathBuf, by: &str) -> Result<Found, ConfigError> {
    let refused = |message: String, hint: &str| {
        Err(ConfigError::one(
            path.clone(),
            format!("{message}; {by} names it"),
            hint,
        ))
    };
    match std::fs::metadata(&path) {
        Ok(what) if what.is_dir() => refused(
            "is a folder, not a file".to_owned(),
            "name the file in it: …/prevalidate.toml",
        ),
        Ok(_) => Ok(Found {
            path,
            is_here: false,
            passed_over: None,
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            refused("there is no such file".to_owned(), "nothing else was tried")
        }
        Err(error) => refused(format!("cannot be read: {error}"), "nothing else was tried"),
    }
}

/// Reads a configuration. The error holds every fault of it, of the lists and of the files of
/// certificates that it names.
pub fn load(path: &Path) -> Result<Settings, ConfigError> {
    let settings = load_as_written(path)?;
    match settings.unusable.is_empty() {
        true => Ok(settings),
        false => Err(ConfigError::all(settings.unusable)),
    }
}

/// The same, but the unusable files are in [`Settings::unusable`], for a caller that lists all of
/// them.
pub fn load_as_written(path: &Path) -> Result<Settings, ConfigError> {
    let file = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let one = |cause: String| ConfigError::one(path, cause, "the configuration is one TOML file");
    trust::of_the_configuration(&file)
        .map_err(|(cause, hint)| ConfigError::one(path, cause, hint))?;
    let bytes = bounded_of(&file, true).map_err(one)?;
    let bytes =
        decode(&bytes).map_err(|fault| ConfigError::one(path, fault.message, fault.hint))?;
    match std::str::from_utf8(&bytes) {
        Ok(text) => {
            let settings = read::read(path, &file, text)?;
            let mut faults = trust::of_its_programs(path, &settings);
            if faults.is_empty() {
                Ok(settings)
            } else {
                faults.extend(settings.unusable);
                Err(ConfigError::all(faults))
            }
        }
        Err(error) => {
            let line = bytes[..error.valid_up_to()]
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count()
                + 1;
            let mut fault = ConfigError::one(
                path,
                "is not UTF-8 text",
                "is it Latin-1? iconv -f latin1 -t utf-8 converts it",
            );
            fault
                .faults
                .iter_mut()
                .for_each(|fault| fault.line = Some(line));
            Err(fault)
        }
    }
}

/// A whole file, when it is one and of a sensible size; else why not.
pub(super) fn bounded(path: &Path) -> Result<Vec<u8>, String> {
    bounded_of(path, false)
}

/// `may_be_pipe`: a FIFO and the pipe of a shell's `<(…)` are read to their end.
fn bounded_of(path: &Path, may_be_pipe: bool) -> Result<Vec<u8>, String> {
    use std::os::unix::fs::FileTypeExt;
    let cannot = |error: io::Error| format!("cannot be read: {error}");
    let kind = std::fs::metadata(path).map_err(cannot)?.file_type();
    if kind.is_dir() {
        return Err("cannot be read: it is a folder, not a regular file".to_owned());
    }
    if !(kind.is_file() || may_be_pipe && kind.is_fifo()) {
        return Err("cannot be read: it is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(cannot)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_BYTES {
        Err(format!("is longer than {MAX_BYTES} bytes"))
    } else {
        Ok(bytes)
    }
}
