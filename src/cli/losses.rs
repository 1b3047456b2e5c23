//! `millrace losses`: records that retention took before they were read, until somebody acknowledges them.

use clap::Args;
use pipeline::kafka::StateTopic;
use pipeline::state::{Loss, LossKey};
use serde_json::json;

use super::{CommandFailure, print_json, print_line as print};
use crate::config::Config;
use crate::run::blocking::blocking;
use crate::systems;

/// `millrace losses`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace losses
  millrace losses --acknowledge transactions/3/1200")]
pub struct LossesArgs {
    /// The systems whose losses are shown [default: those enabled in the configuration]
    #[arg(value_name = "SYSTEM")]
    pub systems: Vec<String>,
    /// Acknowledge the loss that begins here; may be given several times
    #[arg(long, value_name = "TOPIC/PARTITION/OFFSET")]
    pub acknowledge: Vec<String>,
    /// Acknowledge all that are shown
    #[arg(long, conflicts_with = "acknowledge")]
    pub acknowledge_all: bool,
    /// One JSON object a loss
    #[arg(long)]
    pub json: bool,
}

/// Prints the losses, after acknowledging those that are named.
///
/// # Errors
/// Findings, while one stands that nobody has acknowledged; or the brokers do not answer.
pub async fn losses(args: LossesArgs, config: Config) -> Result<(), CommandFailure> {
    let names = if args.systems.is_empty() { &config.systems } else { &args.systems };
    let chosen = systems::choose(names, &config)?;
    let groups: Vec<String> = systems::groups_of(&chosen, &config).into_iter().map(|group| group.id).collect();
    let state = StateTopic::new(&config.kafka.client_config(), &config.kafka.state_topic);
    let brokers = config.kafka.bootstrap_servers.clone();
    let (named, all) = (args.acknowledge, args.acknowledge_all);
    let ask = move || acknowledge(&state, &groups, &named, all, &brokers);
    let losses = blocking(CommandFailure::internal, ask).await?;
    for loss in &losses {
        show(loss, args.json)?;
    }
    let standing: Vec<&Loss> = losses.iter().filter(|loss| loss.acknowledged_at.is_none()).collect();
    let records: u64 = standing.iter().map(|loss| loss.lost).sum();
    match (losses.len(), standing.len()) {
        (0, _) if !args.json => print("No records were lost to retention."),
        (_, 0) => Ok(()),
        _ => Err(CommandFailure::findings(format!("{records} lost records are not acknowledged"))),
    }
}

/// Acknowledges what is named, and gives all losses of the groups as they are then.
fn acknowledge(
    state: &StateTopic,
    groups: &[String],
    named: &[String],
    all: bool,
    brokers: &str,
) -> Result<Vec<Loss>, CommandFailure> {
    let failure = |error: pipeline::kafka::StateError| {
        CommandFailure::unavailable(format!("{error}; brokers: {brokers}, check KAFKA_BOOTSTRAP_SERVERS"))
    };
    let read = || -> Result<Vec<Loss>, CommandFailure> {
        let book = state.losses().map_err(failure)?;
        Ok(groups.iter().flat_map(|group| book.of(group).collect::<Vec<_>>()).collect())
    };
    let losses = read()?;
    if let Some(unknown) = named.iter().find(|at| !losses.iter().any(|loss| place(loss) == **at)) {
        return Err(CommandFailure::usage(format!("there is no loss at {unknown}; `millrace losses` names them")));
    }
    let standing = losses.iter().filter(|loss| loss.acknowledged_at.is_none());
    let meant: Vec<Loss> = standing.filter(|loss| all || named.contains(&place(loss))).cloned().collect();
    if meant.is_empty() {
        return Ok(losses);
    }
    state.acknowledge(&meant).map_err(failure)?;
    read()
}

/// `topic/partition/offset` of the first record that is gone.
fn place(loss: &Loss) -> String {
    let LossKey(_, topic, partition, first) = &loss.key;
    format!("{topic}/{partition}/{first}")
}

fn show(loss: &Loss, as_json: bool) -> Result<(), CommandFailure> {
    let Loss { key: LossKey(group, ..), next, lost, found_at, acknowledged_at } = loss;
    if as_json {
        return print_json(&json!({
            "at": place(loss),
            "group": group,
            "next": next,
            "lost": lost,
            "found_at": found_at,
            "acknowledged_at": acknowledged_at,
        }));
    }
    let acknowledged =
        acknowledged_at.as_ref().map_or("not acknowledged".to_owned(), |at| format!("acknowledged {at}"));
    print(&format!("{group}: at most {lost} records of {} up to {next}, found {found_at}, {acknowledged}", place(loss)))
}
