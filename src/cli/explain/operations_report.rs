//! Of a system whose rows follow from operations: what became of those of a row, or of one.

use serde_json::{Value, json};

use super::super::{CommandFailure, print_json, print_line as print};
use super::{ExplainArgs, failure};
use crate::config::Config;
use crate::maintenance::explain::row_operations::{ExplainedOperation, OperationFate, operations};
use crate::stores::folded::WantedOperations;
use crate::systems::Definition;

/// Tells what became of operations; `None` of a system that has none.
pub(super) async fn explain_operations(
    system: &Definition,
    config: &Config,
    args: &ExplainArgs,
) -> Result<Option<()>, CommandFailure> {
    let wanted = match (&args.operation, &args.id) {
        (Some(id), _) => WantedOperations::Id(id.clone()),
        (None, Some(id)) => match id.split_once(':') {
            Some((entity, key)) => WantedOperations::Row { entity: entity.to_owned(), key: key.to_owned() },
            // What is no row is an operation, if the system has any.
            None => WantedOperations::Id(id.clone()),
        },
        (None, None) => return Ok(None),
    };
    let Some(found) = operations(system, config, &wanted).await.map_err(failure)? else { return Ok(None) };
    if args.json {
        let operations: Vec<Value> = found.iter().map(as_json).collect();
        print_json(&json!({"system": system.name, "operations": operations}))?;
    } else {
        found.iter().try_for_each(|one| print(&line(one)))?;
    }
    let lost = found.iter().filter(|one| one.fate == OperationFate::Lost).count();
    match found.len() {
        0 => Err(CommandFailure::again("no operation that is still in the log is about it")),
        _ if lost > 0 => Err(CommandFailure::findings(format!("{lost} operations are neither applied nor letters"))),
        _ => Ok(Some(())),
    }
}

fn line(one: &ExplainedOperation) -> String {
    let trace = &one.trace;
    let (topic, partition, offset) = &trace.at;
    let told = [
        ("operationId", &trace.operation_id),
        ("userId", &trace.user),
        ("source", &trace.source),
        ("action", &trace.action),
        ("generated id", &trace.generated_id),
    ];
    let told: String = told.iter().filter_map(|(name, value)| Some(format!("  {name} {}", value.as_ref()?))).collect();
    format!("{topic}/{partition}/{offset}  {} of {}{told}  {}", trace.verb, trace.entity, one.why)
}

fn as_json(one: &ExplainedOperation) -> Value {
    let trace = &one.trace;
    json!({
        "topic": trace.at.0,
        "partition": trace.at.1,
        "offset": trace.at.2,
        "operation_id": trace.operation_id,
        "type": trace.verb,
        "entity": trace.entity,
        "user_id": trace.user,
        "source": trace.source,
        "action": trace.action,
        "generated_id": trace.generated_id,
        "fate": one.fate.name(),
        "why": one.why,
    })
}
