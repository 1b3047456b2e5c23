//! `millrace doctor`: configuration and every connection, and what to change.
//!
//! It changes nothing and waits for nothing: each part has a few seconds to answer.

mod kafka;
mod settings;
mod stores;
mod traces;
mod unpublished;

use clap::Args;
use serde::Serialize;

use super::{CommandFailure, print_json, print_line as print};
use crate::config::Config;
use crate::systems;

/// `millrace doctor`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace doctor
  millrace doctor database --json")]
pub struct DoctorArgs {
    /// The systems to look at [default: those enabled in the configuration]
    #[arg(value_name = "SYSTEM")]
    pub systems: Vec<String>,
    /// One JSON object a finding
    #[arg(long)]
    pub json: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    /// Works, and could be better.
    Note,
    /// In the way.
    Fault,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Diagnosis {
    level: Level,
    /// Such as `kafka`.
    part: &'static str,
    what: String,
    /// What to change.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Diagnosis {
    fn ok(part: &'static str, what: impl Into<String>) -> Self {
        Self { level: Level::Ok, part, what: what.into(), advice: None }
    }

    fn note(part: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Note, part, what: what.into(), advice: Some(advice.into()) }
    }

    fn fault(part: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { level: Level::Fault, part, what: what.into(), advice: Some(advice.into()) }
    }

    /// What says itself what to do.
    fn failure(part: &'static str, what: impl Into<String>) -> Self {
        Self { level: Level::Fault, part, what: what.into(), advice: None }
    }

    fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Note => "note",
            Level::Fault => "FAULT",
        };
        let advice = self.advice.as_ref().map(|advice| format!(": {advice}")).unwrap_or_default();
        format!("{level:<6}{:<15}{}{advice}", self.part, self.what)
    }
}

/// Looks at everything that the systems need and prints it.
///
/// # Errors
/// Findings, when something is in the way.
pub async fn doctor(args: DoctorArgs, config: Config) -> Result<(), CommandFailure> {
    let names = if args.systems.is_empty() { &config.systems } else { &args.systems };
    let chosen = systems::choose(names, &config)?;
    let mut findings = settings::look(&config);
    let (kafka, stores) = tokio::join!(kafka::look(&config, &chosen), stores::look(&config, &chosen));
    findings.extend(kafka);
    findings.extend(stores);
    for finding in &findings {
        if args.json { print_json(finding)? } else { print(&finding.line())? }
    }
    match findings.iter().filter(|finding| finding.level == Level::Fault).count() {
        0 => Ok(()),
        1 => Err(CommandFailure::findings("1 thing is in the way")),
        faults => Err(CommandFailure::findings(format!("{faults} things are in the way"))),
    }
}
