//! `completions`: what a shell needs to complete our command line.

use clap_complete::Shell;
use serde_json::json;

use super::{Exit, Failed, help};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs, output: &Output) -> Result<Exit, Failed> {
    let script = script(args.shell);
    output.text(&script);
    output.json(&json!({ "shell": args.shell.to_string(), "script": script }));
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut help::command(), "prevalidate", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;
    use crate::output::escape;

    #[test]
    fn no_shell_gets_a_character_that_printing_would_escape() {
        for shell in Shell::value_variants() {
            let script = script(*shell);
            assert!(script.lines().count() > 10);
            for line in script.lines() {
                assert_eq!(escape(line), line, "{shell}");
            }
        }
    }
}
