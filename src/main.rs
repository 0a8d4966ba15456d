//! Parses the command line, runs the command, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    prevalidate::commands::main()
}
