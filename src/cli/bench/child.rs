//! The program itself as a subject: a process of its own that reads the topic to its end.

use std::path::PathBuf;

use serde::Deserialize;
use tokio::process::Command;

use crate::cli::CommandFailure;

/// How to start it.
#[derive(Clone, Debug)]
pub(super) struct Program {
    /// The configuration file that the person named.
    pub file: Option<PathBuf>,
    /// The system that it runs.
    pub system: &'static str,
}

/// What it says at the end, as far as it is read here.
#[derive(Debug, Deserialize)]
pub(super) struct ProgramSummary {
    pub reached_end: bool,
    pub busy: Option<Busy>,
}

/// As [`crate::run::Pace`].
#[derive(Debug, Deserialize)]
pub(super) struct Busy {
    pub records: u64,
    pub seconds: f64,
    pub process_cpu_seconds: Option<f64>,
    pub process_peak_memory_bytes: Option<u64>,
}

impl Program {
    /// The process, with these variables on top of its environment.
    ///
    /// # Errors
    /// The program does not find itself.
    pub(super) fn command(
        &self,
        variables: &[(&'static str, String)],
        how: &str,
    ) -> Result<std::process::Command, CommandFailure> {
        let own = std::env::current_exe()
            .map_err(|error| CommandFailure::internal(format!("cannot find this program: {error}")))?;
        let mut command = std::process::Command::new(own);
        if let Some(file) = &self.file {
            command.arg("--config").arg(file);
        }
        command.args(["run", self.system, how]);
        for (name, value) in variables {
            // A secret may come from a file, and not from both.
            command.env(name, value).env_remove(format!("{name}_FILE"));
        }
        Ok(command)
    }

    /// Runs it to the end of the topic, with these variables on top of its environment.
    ///
    /// # Errors
    /// It could not be started, failed, or did not get to the end of the topic.
    pub(super) async fn run(&self, variables: &[(&'static str, String)]) -> Result<Busy, CommandFailure> {
        let mut command = Command::from(self.command(variables, "--once")?);
        command.kill_on_drop(true);
        let output = command
            .output()
            .await
            .map_err(|error| CommandFailure::internal(format!("cannot start the program: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or_default();
            return Err(CommandFailure::again(format!("the program ended with {}: {last}", output.status)));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let summary: ProgramSummary = serde_json::from_str(text.lines().last().unwrap_or_default())
            .map_err(|error| CommandFailure::internal(format!("the program's summary cannot be read: {error}")))?;
        match summary.busy {
            Some(busy) if summary.reached_end => Ok(busy),
            Some(_) => Err(CommandFailure::again("the program did not get to the end of the topic")),
            None => Err(CommandFailure::usage("the topic is one batch: ask for more --events")),
        }
    }
}
