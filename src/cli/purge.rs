//! `millrace purge`: old tombstones, out of the store.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::Args;
use serde_json::json;

use super::{CommandFailure, print_json, print_line as print};
use crate::config::{Config, values};
use crate::maintenance::purge::{self, PurgeError, PurgeOptions};
use crate::systems;

/// `millrace purge`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace purge transactions --dry-run
  millrace purge transactions --older-than 90d")]
pub struct PurgeArgs {
    /// The system whose store is purged
    #[arg(value_name = "SYSTEM")]
    pub system: String,
    /// Age of the deletes that are forgotten, such as 90d, 12h, 30m or 45s [default: TOMBSTONE_DAYS]
    #[arg(long, value_name = "DURATION")]
    pub older_than: Option<String>,
    /// Only count them
    #[arg(long)]
    pub dry_run: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Removes old tombstones, and prints how many.
///
/// # Errors
/// When the topics keep records for longer, or Kafka or the store does not answer.
pub async fn purge(args: PurgeArgs, config: Config) -> Result<(), CommandFailure> {
    let system = systems::find(&args.system)?;
    let wrong = || CommandFailure::usage("--older-than is an age such as 90d, 12h, 30m or 45s");
    let age = args.older_than.as_deref().map_or(Some(config.tombstone_age), values::age).ok_or_else(wrong)?;
    let cut_off = TimeDelta::from_std(age).ok().and_then(|age| Utc::now().checked_sub_signed(age)).ok_or_else(wrong)?;
    let options =
        PurgeOptions { age, cut_off: (system.versions.at)(cut_off.timestamp_micros()), dry_run: args.dry_run };
    let report = purge::purge(system, &config, options).await.map_err(failure)?;
    let cut_off = describe(cut_off);
    let horizon = report
        .horizon
        .and_then(|version| DateTime::from_timestamp_micros((system.versions.micros)(version)))
        .map(describe);
    if args.json {
        return print_json(&json!({
            "system": args.system,
            "store": report.store,
            "dry_run": args.dry_run,
            "cut_off": cut_off,
            "looked_at": report.looked_at,
            "tombstones": report.tombstones,
            "old": report.old,
            "removed": report.removed,
            "horizon": horizon,
        }));
    }
    print(&format!(
        "{}: {} documents looked at, {} tombstones, {} of deletes before {cut_off}; {} removed",
        report.store, report.looked_at, report.tombstones, report.old, report.removed
    ))?;
    match horizon {
        Some(horizon) => print(&format!("Dead letters of events before {horizon} update documents and create none.")),
        None => Ok(()),
    }
}

fn describe(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn failure(error: PurgeError) -> CommandFailure {
    let message = error.to_string();
    match error {
        PurgeError::Setup(_) => CommandFailure::config(message),
        PurgeError::Kafka(_) | PurgeError::Store(_) => CommandFailure::unavailable(message),
        PurgeError::NoTopic(_) | PurgeError::Untold(_) => CommandFailure::again(message),
        PurgeError::Kept(_) | PurgeError::TooYoung { .. } | PurgeError::Endless { .. } => {
            CommandFailure::usage(message)
        }
    }
}
