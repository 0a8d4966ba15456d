//! `completions`: what a shell needs to complete our command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Exit, Failed};
use crate::output::Output;

#[derive(Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

pub(super) fn completions(args: &CompletionsArgs, output: &Output) -> Result<Exit, Failed> {
    output.text(&script(args.shell));
    Ok(Exit::Done)
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "prevalidate", &mut script);
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
