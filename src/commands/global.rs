//! The options that every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::help;
use crate::output::{Color, Format, Options};

#[derive(Debug, Clone, Args)]
pub(super) struct Global {
    /// The configuration; otherwise $PREVALIDATE_CONFIG, ./prevalidate.toml, the user's,
    /// /etc/prevalidate/prevalidate.toml
    #[arg(long, short, global = true, value_name = "FILE", help_heading = help::GLOBAL)]
    pub(super) config: Option<PathBuf>,
    /// How results are printed
    #[arg(long, short, global = true, value_enum, default_value_t = OutputFormat::Text, help_heading = help::GLOBAL)]
    pub(super) output: OutputFormat,
    /// Says more; twice: the program's own log, three times: its details
    #[arg(long, short, global = true, action = clap::ArgAction::Count, help_heading = help::GLOBAL)]
    pub(super) verbose: u8,
    /// Results and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = help::GLOBAL)]
    pub(super) quiet: bool,
    /// When to use colours (NO_COLOR is honoured)
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN", help_heading = help::GLOBAL)]
    pub(super) color: ColorChoice,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    Text,
    Json,
    /// Only for `plan` and `forecast`
    Markdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    Auto,
    Always,
    Never,
}

impl Global {
    /// How the output is made.
    pub(super) fn output(&self) -> Options {
        Options {
            format: if self.output == OutputFormat::Json {
                Format::Json
            } else {
                Format::Text
            },
            quiet: self.quiet,
            verbose: self.verbose > 0,
            color: match self.color {
                ColorChoice::Auto => Color::Auto,
                ColorChoice::Always => Color::Always,
                ColorChoice::Never => Color::Never,
            },
        }
    }
}
