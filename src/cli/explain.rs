//! `millrace explain`: the report of one document.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

mod operations_report;

use super::{CommandFailure, print_json, print_line as print};
use crate::config::Config;
use crate::maintenance::explain::outcomes::{EventOutcome, EventSource, LoggedEvent};
use crate::maintenance::explain::report::{Confidence, ExplainReport, StoreState};
use crate::maintenance::explain::traced::{EventTrace, trace};
use crate::maintenance::explain::{self, ExplainError};
use crate::maintenance::verify::DifferenceName;
use crate::systems::{self, Definition};

/// `millrace explain`
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:
  millrace explain 6f1f0c1e
  millrace explain 6f1f0c1e --system transactions-audit --document")]
pub struct ExplainArgs {
    /// The document's id; of reactions an event's; of database a row, such as User:42
    #[arg(value_name = "ID", required_unless_present = "operation")]
    pub id: Option<String>,
    /// Of database: one operation, by its operationId
    #[arg(long, value_name = "ID", conflicts_with = "id")]
    pub operation: Option<String>,
    /// The system whose store is looked at
    #[arg(long, value_name = "SYSTEM", default_value = "transactions")]
    pub system: String,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Also show the field values that each store holds
    #[arg(long)]
    pub document: bool,
}

/// Tells the report, and judges by the exit code.
///
/// # Errors
/// The store is not as the log says; or that it could not be told.
pub async fn explain(args: ExplainArgs, config: Config) -> Result<(), CommandFailure> {
    let system = systems::find(&args.system)?;
    if !system.documents && operations_report::explain_operations(system, &config, &args).await?.is_some() {
        return Ok(());
    }
    let Some(id) = args.id.clone() else {
        return Err(CommandFailure::usage(format!(
            "--operation is for systems of operations, and {} has none",
            system.name
        )));
    };
    if !system.documents {
        return explain_event(system, &config, &args, &id).await;
    }
    let style = ProgressStyle::with_template("reading the log [{bar:40}] {human_pos:>10}/{human_len}");
    let bar = ProgressBar::new(0).with_style(style.map_err(|error| CommandFailure::internal(error.to_string()))?);
    let shown = bar.clone();
    let progress = Box::new(move |records, offsets| {
        shown.set_length(offsets);
        shown.set_position(records);
    });
    let report = explain::explain(system, &config, systems::projection_stores(system, &config), id, progress).await;
    bar.finish_and_clear();
    let report = report.map_err(failure)?;
    if args.json {
        print_json(&as_json(&report, args.document)?)?;
    } else {
        tell(&report, args.document)?;
    }
    match report.standing {
        Confidence::Right => Ok(()),
        Confidence::Wrong => Err(CommandFailure::findings(format!("{} is not as the log says", report.facts.store()))),
        Confidence::Open => Err(CommandFailure::again("it could not be told for certain")),
    }
}

/// Of a system without documents: an event by its id.
async fn explain_event(
    system: &Definition,
    config: &Config,
    args: &ExplainArgs,
    id: &str,
) -> Result<(), CommandFailure> {
    let EventTrace { records, letters, known } = trace(system, config, id).await.map_err(failure)?;
    let place = |(topic, partition, offset): &(String, i32, i64)| format!("{topic}/{partition}/{offset}");
    if args.json {
        let letter = |(at, consumer, why): &_| json!({"at": place(at), "consumer": consumer, "why": why});
        let records: Vec<String> = records.iter().map(place).collect();
        let letters: Vec<Value> = letters.iter().map(letter).collect();
        print_json(&json!({"id": id, "records": records, "letters": letters, "known": known}))?;
    } else {
        records.iter().try_for_each(|at| print(&format!("stands at {}", place(at))))?;
        let letter = |(at, consumer, why): &_| print(&format!("{} is a dead letter of {consumer}: {why}", place(at)));
        letters.iter().try_for_each(letter)?;
        known.iter().try_for_each(|line| print(line))?;
    }
    match records.is_empty() && known.is_empty() {
        true => Err(CommandFailure::again("no record and no mark has this id; it may be older than both are kept")),
        false => Ok(()),
    }
}

fn failure(error: ExplainError) -> CommandFailure {
    let message = error.to_string();
    match error {
        ExplainError::Kafka(_) | ExplainError::Store(_) => CommandFailure::unavailable(message),
        ExplainError::Setup(_) => CommandFailure::config(message),
        ExplainError::NoTopic(_) => CommandFailure::again(message),
    }
}

fn tell(report: &ExplainReport, document: bool) -> Result<(), CommandFailure> {
    let facts = &report.facts;
    let version = |event: &LoggedEvent| event.version().map_or_else(|| "-".to_owned(), |version| version.to_string());
    let places: Vec<String> = (0..facts.events.len()).map(|number| facts.place(number)).collect();
    let width = places.iter().map(String::len).max().unwrap_or(0);
    for ((event, outcome), place) in facts.events.iter().zip(&report.outcomes).zip(&places) {
        let source = match event.source {
            EventSource::Topic => "",
            EventSource::History => "  (no longer in the topic; from the audit's history)",
            EventSource::Letter => "  (no longer in the topic; from its dead letter)",
            EventSource::Backfill => "  (not in the topic; a backfill read it)",
        };
        let (kind, version, outcome) = (event.kind(), version(event), report.outcome_text(outcome));
        print(&format!("{place:<width$}  {kind:<7}  {version:<16}  {outcome}{source}"))?;
    }
    for store in &facts.stores {
        print(&format!("{} ({}): {}", store.name, store.system, holds(store)))?;
        if let Some(text) = store.found.as_ref().and_then(|found| found.text.as_ref()).filter(|_| document) {
            print(text)?;
        }
    }
    print(&report.why)?;
    facts.notes.iter().try_for_each(|note| print(note))
}

/// Without payload values.
fn holds(store: &StoreState) -> String {
    let state = match &store.found {
        None => "nothing".to_owned(),
        Some(found) => format!("version {}, {}", found.version.version, state(store)),
    };
    let kept = match list_unindexed(store).as_slice() {
        [] => String::new(),
        names => format!("; not indexed, kept as JSON text in `_unindexed`: {}", names.join(", ")),
    };
    match store.history {
        None => format!("{state}{kept}"),
        Some(1) => format!("{state}{kept}; 1 event in its history"),
        Some(events) => format!("{state}{kept}; {events} events in its history"),
    }
}

/// The names of the fields that a document keeps as JSON text; only those that look like names, as anything may stand in a key.
fn list_unindexed(store: &StoreState) -> Vec<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct UnindexedField {
        field: String,
        member: Option<String>,
    }
    #[derive(Deserialize)]
    struct DocumentText {
        #[serde(rename = "_unindexed", default)]
        kept: Vec<UnindexedField>,
    }
    let text = store.found.as_ref().and_then(|found| found.text.as_deref()).unwrap_or_default();
    let document = serde_json::from_str(text).unwrap_or(DocumentText { kept: Vec::new() });
    let name = |kept: &UnindexedField| {
        let name = kept.member.as_ref().map_or_else(|| kept.field.clone(), |member| format!("{}.{member}", kept.field));
        let usual = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '$');
        if !name.is_empty() && name.len() <= 64 && name.chars().all(usual) { name } else { "(an odd name)".to_owned() }
    };
    document.kept.iter().map(name).collect()
}

fn state(store: &StoreState) -> &'static str {
    match &store.found {
        None => "nothing",
        Some(found) if found.version.deleted => "tombstone",
        Some(_) => "living",
    }
}

/// A document keeps its digits, so it goes in as it is.
#[derive(serde::Serialize)]
struct StoreLine<'s> {
    store: &'static str,
    system: &'static str,
    state: &'static str,
    version: Option<i64>,
    history: Option<usize>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unindexed: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    document: Option<&'s RawValue>,
}

#[derive(serde::Serialize)]
struct ExplainOutput<'s> {
    id: &'s str,
    system: &'static str,
    events: Vec<Value>,
    stores: Vec<StoreLine<'s>>,
    why: &'s str,
    /// What differs, as `verify` calls it.
    finding: Option<&'static str>,
    notes: &'s [String],
}

fn as_json(report: &ExplainReport, document: bool) -> Result<ExplainOutput<'_>, CommandFailure> {
    let facts = &report.facts;
    let stores = facts.stores.iter().map(|store| {
        let text = store.found.as_ref().and_then(|found| found.text.as_deref()).filter(|_| document);
        let document = text.map(serde_json::from_str).transpose();
        Ok(StoreLine {
            store: store.name,
            system: store.system,
            state: state(store),
            version: store.found.as_ref().map(|found| found.version.version),
            history: store.history,
            unindexed: list_unindexed(store),
            document: document
                .map_err(|_| CommandFailure::internal(format!("{} holds no JSON under this id", store.name)))?,
        })
    });
    Ok(ExplainOutput {
        id: &facts.id,
        system: facts.system,
        events: facts
            .events
            .iter()
            .zip(&report.outcomes)
            .map(|(event, outcome)| event_as_json(report, event, outcome))
            .collect(),
        stores: stores.collect::<Result<_, CommandFailure>>()?,
        why: &report.why,
        finding: report.finding.map(DifferenceName::name),
        notes: &facts.notes,
    })
}

fn event_as_json(report: &ExplainReport, event: &LoggedEvent, outcome: &EventOutcome) -> Value {
    let (name, by, cause) = match outcome {
        EventOutcome::Applied => ("applied", None, None),
        EventOutcome::Replaced(by) => ("replaced", Some(*by), None),
        EventOutcome::Superseded(by) => ("superseded", Some(*by), None),
        EventOutcome::Older(than) => ("older", Some(*than), None),
        EventOutcome::Equal(with) => ("equal", Some(*with), None),
        EventOutcome::Duplicate(of) => ("duplicate", Some(*of), None),
        EventOutcome::DeadLettered { cause, replayed: false } => ("dead_lettered", None, Some(cause)),
        EventOutcome::DeadLettered { cause, replayed: true } => ("replayed", None, Some(cause)),
        EventOutcome::NotCommitted { .. } => ("not_committed", None, None),
        EventOutcome::Rejected(cause) => ("rejected", None, Some(cause)),
        EventOutcome::Ignored => ("ignored", None, None),
        EventOutcome::Deleted => ("deleted", None, None),
        EventOutcome::Lost => ("lost", None, None),
        EventOutcome::Different => ("different", None, None),
        EventOutcome::Beaten(_) => ("beaten", None, None),
    };
    let source = match event.source {
        EventSource::Topic => "topic",
        EventSource::History => "history",
        EventSource::Letter => "dead_letter",
        EventSource::Backfill => "backfill",
    };
    json!({
        "topic": &*event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "source": source,
        "kind": event.version().map(|_| event.kind()),
        "version": event.version(),
        "fate": name,
        "by": by.map(|by| report.facts.place(by)),
        "class": cause.map(|cause| &cause.class),
        "reason": cause.map(|cause| &cause.reason),
    })
}
