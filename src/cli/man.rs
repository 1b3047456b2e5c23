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
    print_line(page(program, &args.command)?.trim_end())
}

/// The page of the command that these words call.
pub(super) fn page(program: Command, words: &[String]) -> Result<String, CommandFailure> {
    let mut page = Vec::new();
    let rendered = Man::new(find(program, words)?).render(&mut page);
    rendered.map_err(|error| CommandFailure::internal(error.to_string()))?;
    Ok(String::from_utf8_lossy(&page).into_owned())
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

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn an_inner_command_has_a_page_of_its_own() {
        let program = || Command::new("outer").subcommand(Command::new("inner").subcommand(Command::new("core")));
        let found = find(program(), &words(&["inner", "core"])).unwrap();
        assert_eq!(Man::new(found).get_filename(), "outer-inner-core.1");
        let failure = find(program(), &words(&["outer"])).unwrap_err();
        assert!(failure.message.contains("no command outer"), "{}", failure.message);
    }

    #[test]
    fn all_pages_are_written_and_a_folder_that_is_not_there_is_called_wrongly() {
        let dir = tempfile::tempdir().unwrap();
        let program = || Command::new("outer").subcommand(Command::new("inner"));
        let into = |dir: PathBuf| man(&ManArgs { command: Vec::new(), dir: Some(dir) }, program());
        into(dir.path().to_owned()).unwrap();
        let written = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut written: Vec<String> = written.map(|name| name.into_string().unwrap()).collect();
        written.sort();
        assert_eq!(written, ["outer-inner.1", "outer.1"]);
        let failure = into(dir.path().join("absent")).unwrap_err();
        assert_eq!(failure.code, super::super::CommandExit::Usage);
    }
}
