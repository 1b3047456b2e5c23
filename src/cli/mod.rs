//! The command line: arguments, dispatch, exit codes.
//!
//! One file a command. Data goes to stdout, logs to stderr, and a failure is one line and a code.

pub mod backfill;
pub mod bench;
pub mod completions;
pub mod demo;
pub mod dlq;
pub mod doctor;
pub mod erase;
pub mod events;
pub mod explain;
mod failure;
mod headway;
pub mod jobs;
mod leaving;
pub mod losses;
pub mod man;
mod members;
pub mod publish;
pub mod purge;
pub mod run;
pub mod verify;

use std::future::Future;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand};
use serde::Serialize;

use crate::config::{Config, Override};
use crate::run::telemetry;
use crate::run::trouble;
pub use failure::{CommandExit, CommandFailure};

/// How long the runtime's threads may take to end. What one of them still waits for is nothing that was asked for.
const THREADS_END: Duration = Duration::from_secs(1);

/// Keeps search indexes and databases in step with Kafka.
#[derive(Debug, Parser)]
#[command(name = "millrace", version, propagate_version = true)]
#[command(after_help = "Examples:
  millrace demo
  millrace doctor
  millrace run transactions")]
struct Cli {
    /// The configuration file [default: millrace.toml in the working directory, where there is one]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// What is logged, such as debug or info,pipeline=debug
    #[arg(long, global = true, value_name = "LEVEL")]
    log_level: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run consumer systems
    Run(RunArgs),
    /// Try the main job without any service: a broker in this process, a file as index and audit
    Demo(demo::DemoArgs),
    /// Send synthetic events
    Publish(publish::PublishArgs),
    /// Write what files hold, where the store holds nothing newer
    Backfill(backfill::BackfillArgs),
    /// Look at dead letters and replay them
    Dlq(dlq::DlqArgs),
    /// Look at the configuration and every connection, and say what to change
    Doctor(doctor::DoctorArgs),
    /// Measure how fast this machine lets it be, beside what its Kafka and its Elasticsearch do without it
    Bench(bench::BenchArgs),
    /// Backfills: what runs, where and how far, and how others ended
    Jobs(jobs::JobsArgs),
    /// Records that retention took before they were read, and who has acknowledged them
    Losses(losses::LossesArgs),
    /// Compare a store with the log, document by document
    Verify(verify::VerifyArgs),
    /// Say all about one document: its events, what became of each, and what the stores hold
    Explain(explain::ExplainArgs),
    /// The catalogue of the events between services: look at it, send events, follow them
    Events(events::EventsArgs),
    /// Take a person's values out of every store and the dead letters, and say what cannot be reached
    Erase(erase::EraseArgs),
    /// Remove the tombstones of documents that were deleted long ago
    Purge(purge::PurgeArgs),
    /// Print what makes a shell complete commands and options
    Completions(completions::CompletionsArgs),
    /// Print the page of the manual of a command
    Man(man::ManArgs),
}

/// `millrace run`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace run transactions
  millrace run transactions --once
  millrace run users reviews ratings
  millrace run transactions --store sqlite:transactions.db")]
pub struct RunArgs {
    /// The systems to run [default: those enabled in the configuration]
    #[arg(value_name = "SYSTEM")]
    pub systems: Vec<String>,
    /// Where the documents of transactions go: elasticsearch, or sqlite:PATH [default: from the configuration]
    #[arg(long, value_name = "STORE")]
    pub store: Option<String>,
    /// Stop at the end of the log
    #[arg(long)]
    pub once: bool,
    /// Events of reactions change the state alone: they lead to no others, and to no file that is deleted
    #[arg(long)]
    pub no_emit: bool,
    /// Print how far each partition is finished, whenever that changes, and stop at the end of stdin; `bench` asks for it
    #[arg(long, hide = true)]
    pub headway: bool,
}

fn no_emit() -> Override {
    Override { key: "reactions.emit", flag: "--no-emit", value: "false".to_owned() }
}

impl Cli {
    /// Where the documents explain how the command ends.
    fn page(&self) -> &'static str {
        match self.command {
            Command::Run(_) => trouble::RUN_ENDS,
            Command::Backfill(_) => trouble::BACKFILL_ENDS,
            _ => trouble::COMMAND_ENDS,
        }
    }

    /// What the command line sets of the configuration.
    fn overrides(&self) -> Vec<Override> {
        let mut overrides = Vec::new();
        if let Some(level) = &self.log_level {
            overrides.push(Override { key: "log.level", flag: "--log-level", value: level.clone() });
        }
        match &self.command {
            Command::Run(args) => {
                overrides.extend(args.store.iter().map(|store| Override {
                    key: "transactions.store",
                    flag: "--store",
                    value: store.clone(),
                }));
                overrides.extend(args.no_emit.then(no_emit));
            }
            Command::Dlq(args) if args.no_emit() => overrides.push(no_emit()),
            Command::Publish(args) => overrides.extend(args.overrides()),
            Command::Backfill(_)
            | Command::Bench(_)
            | Command::Completions(_)
            | Command::Demo(_)
            | Command::Dlq(_)
            | Command::Doctor(_)
            | Command::Erase(_)
            | Command::Events(_)
            | Command::Explain(_)
            | Command::Jobs(_)
            | Command::Losses(_)
            | Command::Man(_)
            | Command::Purge(_)
            | Command::Verify(_) => {}
        }
        overrides
    }

    fn run(self) -> Result<(), CommandFailure> {
        // None of these reads the configuration as it is.
        match &self.command {
            Command::Demo(args) => return demo::run(args, self.log_level.as_deref()),
            Command::Bench(args) => return bench::run(args, self.config.as_deref(), self.log_level.as_deref()),
            Command::Completions(args) => return completions::completions(args, Self::command()),
            Command::Man(args) => return man::man(args, Self::command()),
            _ => {}
        }
        let config = Config::load(self.config.as_deref(), self.overrides())?;
        telemetry::init(&config.log)?;
        if !matches!(self.command, Command::Run(_) | Command::Backfill(_)) {
            leaving::at_once()?;
        }
        match self.command {
            Command::Run(args) => block_on(run::run(args, config)),
            Command::Bench(_) | Command::Completions(_) | Command::Demo(_) | Command::Man(_) => Ok(()),
            Command::Backfill(args) => block_on(backfill::backfill(args, config)),
            Command::Publish(args) => publish::run(&args, &config),
            Command::Events(args) => events::run(&args, &config),
            Command::Dlq(args) => block_on(dlq::dlq(args, config)),
            Command::Verify(args) => block_on(verify::verify(args, config)),
            Command::Jobs(args) => block_on(jobs::jobs(args, config)),
            Command::Losses(args) => block_on(losses::losses(args, config)),
            Command::Explain(args) => block_on(explain::explain(args, config)),
            Command::Erase(args) => block_on(erase::erase(args, config)),
            Command::Purge(args) => block_on(purge::purge(args, config)),
            Command::Doctor(args) => block_on(doctor::doctor(args, config)),
        }
    }
}

/// The whole program: arguments in, exit code out.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let status = if error.use_stderr() { CommandExit::Usage } else { CommandExit::Quiet };
            return if error.print().is_ok() { status.into() } else { CommandExit::Internal.into() };
        }
    };
    let page = cli.page();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                let see = if failure.code.is_explained() { format!(" (see {page})") } else { String::new() };
                // Nowhere is left to tell that stderr is gone; the code still says it.
                drop(writeln!(std::io::stderr(), "millrace: {failure}{see}"));
            }
            failure.code.into()
        }
    }
}

/// Runs a command that waits for several things at once. Does not wait for what it leaves behind.
///
/// # Errors
/// What the command says, or that the runtime does not start.
pub fn block_on<T>(command: impl Future<Output = Result<T, CommandFailure>>) -> Result<T, CommandFailure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CommandFailure::internal(format!("cannot start threads: {error}")))?;
    let answer = runtime.block_on(command);
    // The runtime's own drop waits without end, such as for a name that is being resolved.
    runtime.shutdown_timeout(THREADS_END);
    answer
}

/// Writes a line to stdout.
///
/// # Errors
/// When stdout is closed; quietly, when it is a pipe whose reader has seen enough.
pub fn print_line(text: &str) -> Result<(), CommandFailure> {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(CommandFailure::quiet()),
        Err(error) => Err(CommandFailure::internal(format!("cannot write to stdout: {error}"))),
    }
}

/// Writes one JSON object on a line of stdout.
///
/// # Errors
/// As [`print_line`].
pub fn print_json(value: &impl Serialize) -> Result<(), CommandFailure> {
    print_line(&serde_json::to_string(value).map_err(|error| CommandFailure::internal(error.to_string()))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// Every command below this one, with the words that call it.
    fn commands(above: &clap::Command, words: &[String], found: &mut Vec<(Vec<String>, clap::Command)>) {
        let words = [words, &[above.get_name().to_owned()]].concat();
        above.get_subcommands().for_each(|inner| commands(inner, &words, found));
        found.push((words, above.clone()));
    }

    #[test]
    fn every_command_has_examples_that_its_own_parser_takes() {
        let mut found = Vec::new();
        commands(&Cli::command(), &[], &mut found);
        for (words, command) in found {
            let name = words.join(" ");
            let help = command.get_after_help().unwrap_or_else(|| panic!("{name} has no example")).to_string();
            let examples: Vec<&str> = help.strip_prefix("Examples:\n").unwrap().lines().map(str::trim).collect();
            assert!((1..=4).contains(&examples.len()), "{name}: {examples:?}");
            for example in examples {
                let line = example.split(" > ").next().unwrap().split(' ').map(|word| word.trim_matches('\''));
                let line: Vec<&str> = line.collect();
                assert_eq!(line[..words.len()], words, "{example} is an example of {name}");
                Cli::try_parse_from(&line).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }

    #[test]
    fn each_shell_completes_each_command() {
        for shell in <clap_complete::Shell as clap::ValueEnum>::value_variants() {
            let script = completions::script(*shell, Cli::command());
            for command in Cli::command().get_subcommands() {
                assert!(script.contains(command.get_name()), "{shell}: {}", command.get_name());
            }
        }
    }

    #[test]
    fn the_manual_has_options_and_examples() {
        let page = man::page(Cli::command(), &["dlq".to_owned(), "replay".to_owned()]).unwrap();
        for part in ["millrace-dlq-replay", "millrace dlq replay --class bad_timestamp", "payload"] {
            assert!(page.replace('\\', "").contains(part), "{part} in {page}");
        }
    }

    #[test]
    fn the_command_line_sets_configuration() {
        let cli = ["millrace", "publish", "--kafka-servers", "a:1", "--topic", "t", "--log-level", "debug"];
        let overrides = Cli::try_parse_from(cli).unwrap().overrides();
        let keys: Vec<_> = overrides.iter().map(|given| (given.key, given.value.as_str())).collect();
        assert_eq!(keys, [("log.level", "debug"), ("kafka.bootstrap_servers", "a:1"), ("transactions.topic", "t")]);
    }

    #[test]
    fn run_takes_systems_and_once() {
        let cli = Cli::try_parse_from(["millrace", "run", "transactions", "users", "--once"]).unwrap();
        let Command::Run(args) = cli.command else { panic!("not run") };
        assert_eq!(
            (args.systems.as_slice(), args.once),
            (["transactions".to_owned(), "users".to_owned()].as_slice(), true)
        );
    }
}
