//! `millrace completions`: a script that makes a shell complete the commands and options.

use clap::{Args, Command};
use clap_complete::{Shell, generate};

use super::{CommandFailure, print_line};

/// `millrace completions`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace completions bash > /etc/bash_completion.d/millrace
  millrace completions zsh > /usr/local/share/zsh/site-functions/_millrace")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Prints the script for a shell.
///
/// # Errors
/// When stdout is closed.
pub fn completions(args: &CompletionsArgs, program: Command) -> Result<(), CommandFailure> {
    print_line(script(args.shell, program).trim_end())
}

pub(super) fn script(shell: Shell, mut program: Command) -> String {
    let name = program.get_name().to_owned();
    let mut script = Vec::new();
    generate(shell, &mut program, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}
