//! `millrace erase`: a person's values, out of every store of ours.

use std::io::{IsTerminal, Write};

use clap::Args;
use serde_json::json;

use super::{CommandFailure, print_json, print_line as print};
use crate::config::Config;
use crate::config::values::describe_age;
use crate::maintenance::erase::{self, Report};
use crate::systems::{self, Definition, SYSTEMS};

/// What no command of ours reaches, whatever the stores are.
const NEVER: [&str; 4] = [
    "Backups and snapshots of the stores are not reached, nor room that a store gives free later (a merge of segments, a vacuum), nor segments of dead letters that Kafka has not removed from disk yet.",
    "A store that is emptied or made anew and filled from the log gets the values back: erase again after that.",
    "Events that are newer than what was erased bring values as ever: delete the user at its source first.",
    "What documents of others say of this person (as the other side of a payment, in a text) stays, and so do fields of users that other programs keep.",
];

/// `millrace erase`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace erase user_000042 --dry-run
  millrace erase user_000042 --system transactions")]
pub struct EraseArgs {
    /// The person: user_id of transactions, id of Clerk's user, userId of reviews
    #[arg(value_name = "USER")]
    pub user: String,
    /// Only this system's stores; may be given several times [default: all]
    #[arg(long = "system", value_name = "SYSTEM")]
    pub systems: Vec<String>,
    /// Only count what there is
    #[arg(long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// Erases, and says what was and what was not.
///
/// # Errors
/// When nobody confirms, or when something was not reached.
pub async fn erase(args: EraseArgs, config: Config) -> Result<(), CommandFailure> {
    if args.user.trim().is_empty() {
        return Err(CommandFailure::usage("USER is empty: give the id of a person"));
    }
    let named = args.systems.iter().map(|name| systems::find(name).map_err(CommandFailure::from));
    let mut systems: Vec<&'static Definition> = named.collect::<Result<_, _>>()?;
    if systems.is_empty() {
        // The rows that operations write are the application's own.
        systems = SYSTEMS.iter().filter(|system| system.documents).collect();
    }
    if !args.dry_run && !args.yes {
        confirm(&args.user)?;
    }
    let report = erase::erase(&systems, &config, &args.user, args.dry_run).await;
    if args.json {
        print_json(&as_json(&args, &report))?
    } else {
        tell(&args, &report)?
    }
    match report.failed.len() {
        0 => Ok(()),
        failed => Err(CommandFailure::unavailable(format!(
            "{failed} places were not reached: erase again when they answer, or name those in use with --system"
        ))),
    }
}

/// Asks on the terminal.
fn confirm(user: &str) -> Result<(), CommandFailure> {
    let asked = "nothing was erased: this cannot be undone, so type yes, or give --yes";
    if !std::io::stdin().is_terminal() {
        return Err(CommandFailure::usage(asked));
    }
    let mut terminal = std::io::stderr();
    let unread = |error: std::io::Error| CommandFailure::internal(error.to_string());
    write!(terminal, "Erase everything that the stores hold of {user}? It cannot be undone. Type yes: ")
        .map_err(unread)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(unread)?;
    if answer.trim() == "yes" { Ok(()) } else { Err(CommandFailure::usage(asked)) }
}

fn tell(args: &EraseArgs, report: &Report) -> Result<(), CommandFailure> {
    let (documents, emptied, letters) = match args.dry_run {
        true => ("documents would become tombstones", "would be emptied", "letters would be emptied"),
        false => ("documents became tombstones", "were emptied", "letters were emptied"),
    };
    for store in &report.stores {
        print(&format!(
            "{} ({}): {} {documents}; {} events, former versions and deleted documents {emptied}",
            store.system, store.store, store.documents, store.emptied
        ))?;
    }
    for topic in &report.letters {
        print(&format!(
            "{}: {} {letters}; {} of others written once more",
            topic.topic, topic.emptied, topic.rewritten
        ))?;
        topic.left.as_ref().map_or(Ok(()), |why| print(&format!("NOT REACHED: {why}")))?;
    }
    let others: Vec<&str> = SYSTEMS.iter().filter(|system| !system.documents).map(|system| system.name).collect();
    print(&format!("Not looked at, as its rows are the application's own: {}", others.join(", ")))?;
    if !report.without_store.is_empty() {
        print(&format!("Not configured here, and so not looked at: {}", report.without_store.join(", ")))?;
    }
    for why in &report.failed {
        print(&format!("NOT REACHED: {why}"))?;
    }
    for unread in &report.unread {
        print(&format!(
            "{} has {} records of {} to go; what they hold is written after this: erase again then",
            unread.group, unread.records, unread.topic
        ))?;
    }
    for (topic, keeps) in &report.logs {
        print(&format!("NOT REACHED: the log {topic} itself, which keeps its records {}", describe_retention(*keeps)))?;
    }
    NEVER.iter().try_for_each(|line| print(line))
}

fn describe_retention(retention_ms: Option<i64>) -> String {
    let age = |ms| u64::try_from(ms).ok().map(std::time::Duration::from_millis);
    match retention_ms.map(age) {
        None => "for a time that it does not tell".to_owned(),
        Some(None) => "for ever".to_owned(),
        Some(Some(age)) => format!("for {}", describe_age(age)),
    }
}

fn as_json(args: &EraseArgs, report: &Report) -> serde_json::Value {
    let stores = report.stores.iter().map(|store| {
        json!({"system": store.system, "store": store.store, "documents": store.documents, "emptied": store.emptied})
    });
    let letters = report.letters.iter().map(|letters| {
        json!({"topic": letters.topic, "emptied": letters.emptied, "rewritten": letters.rewritten, "left": letters.left})
    });
    let unread = report
        .unread
        .iter()
        .map(|unread| json!({"group": unread.group, "topic": unread.topic, "records": unread.records}));
    let logs = report.logs.iter().map(|(topic, keeps)| json!({"topic": topic, "retention_ms": keeps}));
    json!({
        "user": args.user,
        "dry_run": args.dry_run,
        "stores": stores.collect::<Vec<_>>(),
        "letters": letters.collect::<Vec<_>>(),
        "without_store": report.without_store,
        "failed": report.failed,
        "unread": unread.collect::<Vec<_>>(),
        "logs": logs.collect::<Vec<_>>(),
        "never": NEVER,
    })
}
