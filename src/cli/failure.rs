//! How a command ends that did not succeed: an exit code, and one line for a person.

use std::process::ExitCode;

use crate::config::ConfigError;
use crate::maintenance::replay::ReplayError;
use crate::run::http::HttpError;
use crate::run::telemetry::TelemetryError;
use crate::stores::target::SetupError;
use crate::synthetic::OptionsError;
use crate::systems::ChoiceError;

/// How the process ends, after `sysexits.h` of BSD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CommandExit {
    /// Nobody reads on.
    Quiet = 0,
    Findings = 1,
    Usage = 64,
    Unavailable = 69,
    Internal = 70,
    Again = 75,
    Config = 78,
}

impl CommandExit {
    /// Whether the documents say more than the line does. A wrong option or setting is named in the line itself.
    pub(super) fn is_explained(self) -> bool {
        match self {
            Self::Findings | Self::Unavailable | Self::Internal | Self::Again => true,
            Self::Quiet | Self::Usage | Self::Config => false,
        }
    }
}

impl From<CommandExit> for ExitCode {
    fn from(status: CommandExit) -> Self {
        Self::from(status as u8)
    }
}

/// Why a command did not succeed: an exit code and one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CommandFailure {
    pub code: CommandExit,
    pub message: String,
}

impl CommandFailure {
    /// The command worked, and found something.
    pub fn findings(message: impl Into<String>) -> Self {
        Self { code: CommandExit::Findings, message: message.into() }
    }

    /// Nobody reads on, as behind `head`: the end, without a word.
    pub fn quiet() -> Self {
        Self { code: CommandExit::Quiet, message: String::new() }
    }

    /// The command was called wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: CommandExit::Usage, message: message.into() }
    }

    /// A service does not answer, and the command does not wait.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { code: CommandExit::Unavailable, message: message.into() }
    }

    /// A fault of the program.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: CommandExit::Internal, message: message.into() }
    }

    /// Try again, or: could not tell.
    pub fn again(message: impl Into<String>) -> Self {
        Self { code: CommandExit::Again, message: message.into() }
    }

    /// Configuration that cannot be used.
    pub fn config(message: impl Into<String>) -> Self {
        Self { code: CommandExit::Config, message: message.into() }
    }
}

impl From<ChoiceError> for CommandFailure {
    fn from(error: ChoiceError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<OptionsError> for CommandFailure {
    fn from(error: OptionsError) -> Self {
        Self::usage(error.to_string())
    }
}

impl From<ConfigError> for CommandFailure {
    fn from(error: ConfigError) -> Self {
        let message = error.to_string();
        if error.of_command_line { Self::usage(message) } else { Self::config(message) }
    }
}

impl From<SetupError> for CommandFailure {
    fn from(error: SetupError) -> Self {
        let message = error.to_string();
        match error {
            SetupError::Missing(_) | SetupError::Unusable(_) => Self::config(message),
            SetupError::Store(_) => Self::unavailable(message),
        }
    }
}

impl From<ReplayError> for CommandFailure {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::Setup(error) => error.into(),
            ReplayError::Engine(error) => Self::unavailable(error.to_string()),
        }
    }
}

impl From<TelemetryError> for CommandFailure {
    fn from(error: TelemetryError) -> Self {
        Self::internal(error.to_string())
    }
}

impl From<HttpError> for CommandFailure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Bind { .. } => Self::unavailable(error.to_string()),
        }
    }
}
