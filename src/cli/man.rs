//! `millrace man`: the manual, a page a command.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_mangen::{Man, generate_to};

use super::{CommandFailure, print_line};

/// `millrace man`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace man > millrace.1
  millrace man dlq replay > millrace-dlq-replay.1
  millrace man --dir /usr/local/share/man/man1")]
pub struct ManArgs {
    /// The command whose page is printed, such as dlq replay [default: the program's own page]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Write the pages of all commands into this folder, which has to be there
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    pub dir: Option<PathBuf>,
}

/// Prints one page, or writes all.
///
/// # Errors
/// There is no such command; the folder cannot be written to; stdout is closed.
pub fn man(args: &ManArgs, program: Command) -> Result<(), CommandFailure> {
    if let Some(dir) = &args.dir {
        let refused = |error| CommandFailure::usage(format!("cannot write to {}: {error}", dir.display()));
        return generate_to(program, dir).map_err(refused);
    }
    let mut page = Vec::new();
    let rendered = Man::new(find(program, &args.command)?).render(&mut page);
    rendered.map_err(|error| CommandFailure::internal(error.to_string()))?;
    print_line(String::from_utf8_lossy(&page).trim_end())
}

/// A command by the words that call it, with the name of its page.
fn find(program: Command, words: &[String]) -> Result<Command, CommandFailure> {
    let mut found = program.disable_help_subcommand(true);
    found.build();
    for word in words {
        let Some(inner) = found.find_subcommand(word) else {
            return Err(CommandFailure::usage(format!("there is no command {word}; millrace --help lists them")));
        };
        found = inner.clone();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_command_has_a_page_of_its_own() {
        let program = || Command::new("outer").subcommand(Command::new("inner").subcommand(Command::new("core")));
        let words = ["inner".to_owned(), "core".to_owned()];
        let found = find(program(), &words).unwrap();
        assert_eq!(Man::new(found).get_filename(), "outer-inner-core.1");
        let failure = find(program(), &["outer".to_owned()]).unwrap_err();
        assert!(failure.message.contains("no command outer"), "{}", failure.message);
    }
}
