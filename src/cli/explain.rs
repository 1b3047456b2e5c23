//! `millrace explain`: the story of one document.

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Failure, print_json, print_line as print};
use crate::config::Config;
use crate::maintenance::explain::outcomes::{Event, Fate, Source};
use crate::maintenance::explain::report::{Standing, Store, Story};
use crate::maintenance::explain::{self, ExplainError};
use crate::maintenance::verify::Name;
use crate::systems;

/// `millrace explain`
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// The document's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// The system whose store is looked at
    #[arg(long, value_name = "SYSTEM", default_value = "transactions")]
    pub system: String,
    /// One JSON object instead of text
    #[arg(long)]
    pub json: bool,
    /// Show what each store holds, too
    #[arg(long)]
    pub document: bool,
}

/// Tells the story, and judges by the exit code.
///
/// # Errors
/// The store is not as the log says; or that it could not be told.
pub async fn explain(args: ExplainArgs, config: Config) -> Result<(), Failure> {
    let system = systems::find(&args.system).map_err(Failure::usage)?;
    let style = ProgressStyle::with_template("reading the log [{bar:40}] {human_pos:>10}/{human_len}");
    let bar = ProgressBar::new(0).with_style(style.map_err(|error| Failure::internal(error.to_string()))?);
    let shown = bar.clone();
    let progress = Box::new(move |records, offsets| {
        shown.set_length(offsets);
        shown.set_position(records);
    });
    let story = explain::explain(system, &config, systems::besides(system, &config), args.id, progress).await;
    bar.finish_and_clear();
    let story = story.map_err(failure)?;
    if args.json {
        print_json(&as_json(&story, args.document)?)?;
    } else {
        tell(&story, args.document)?;
    }
    match story.standing {
        Standing::Right => Ok(()),
        Standing::Wrong => Err(Failure::findings(format!("{} is not as the log says", story.facts.store()))),
        Standing::Open => Err(Failure::again("it could not be told for certain")),
    }
}

fn failure(error: ExplainError) -> Failure {
    let message = error.to_string();
    match error {
        ExplainError::Kafka(_) | ExplainError::Store(_) => Failure::unavailable(message),
        ExplainError::Setup(_) => Failure::config(message),
        ExplainError::NoTopic(_) => Failure::again(message),
    }
}

fn tell(story: &Story, document: bool) -> Result<(), Failure> {
    let facts = &story.facts;
    let version = |event: &Event| event.version().map_or_else(|| "-".to_owned(), |version| version.to_string());
    let places: Vec<String> = (0..facts.events.len()).map(|number| facts.place(number)).collect();
    let width = places.iter().map(String::len).max().unwrap_or(0);
    for ((event, fate), place) in facts.events.iter().zip(&story.fates).zip(&places) {
        let source = match event.source {
            Source::Topic => "",
            Source::History => "  (no longer in the topic; from the audit's history)",
            Source::Letter => "  (no longer in the topic; from its dead letter)",
        };
        let (kind, version, fate) = (event.kind(), version(event), story.fate(fate));
        print(&format!("{place:<width$}  {kind:<7}  {version:<16}  {fate}{source}"))?;
    }
    for store in &facts.stores {
        print(&format!("{} ({}): {}", store.name, store.system, holds(store)))?;
        if let Some(text) = store.found.as_ref().and_then(|found| found.text.as_ref()).filter(|_| document) {
            print(text)?;
        }
    }
    print(&story.why)?;
    facts.notes.iter().try_for_each(|note| print(note))
}

/// Without payload values.
fn holds(store: &Store) -> String {
    let state = match &store.found {
        None => "nothing".to_owned(),
        Some(found) => format!("version {}, {}", found.held.version, state(store)),
    };
    let kept = match unindexed(store).as_slice() {
        [] => String::new(),
        names => format!("; not indexed, kept as JSON text in `_unindexed`: {}", names.join(", ")),
    };
    match store.history {
        None => format!("{state}{kept}"),
        Some(events) => format!("{state}{kept}; {events} events in its history"),
    }
}

/// The names of the fields that a document keeps as JSON text; only those that look like names, as anything may stand in a key.
fn unindexed(store: &Store) -> Vec<String> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Kept {
        field: String,
        member: Option<String>,
    }
    #[derive(Deserialize)]
    struct Document {
        #[serde(rename = "_unindexed", default)]
        kept: Vec<Kept>,
    }
    let text = store.found.as_ref().and_then(|found| found.text.as_deref()).unwrap_or_default();
    let document = serde_json::from_str(text).unwrap_or(Document { kept: Vec::new() });
    let name = |kept: &Kept| {
        let name = kept.member.as_ref().map_or_else(|| kept.field.clone(), |member| format!("{}.{member}", kept.field));
        let usual = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '.' | '$');
        if !name.is_empty() && name.len() <= 64 && name.chars().all(usual) { name } else { "(an odd name)".to_owned() }
    };
    document.kept.iter().map(name).collect()
}

fn state(store: &Store) -> &'static str {
    match &store.found {
        None => "nothing",
        Some(found) if found.held.deleted => "tombstone",
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
struct Told<'s> {
    id: &'s str,
    system: &'static str,
    events: Vec<Value>,
    stores: Vec<StoreLine<'s>>,
    why: &'s str,
    /// What differs, as `verify` calls it.
    finding: Option<&'static str>,
    notes: &'s [String],
}

fn as_json(story: &Story, document: bool) -> Result<Told<'_>, Failure> {
    let facts = &story.facts;
    let stores = facts.stores.iter().map(|store| {
        let text = store.found.as_ref().and_then(|found| found.text.as_deref()).filter(|_| document);
        let document = text.map(serde_json::from_str).transpose();
        Ok(StoreLine {
            store: store.name,
            system: store.system,
            state: state(store),
            version: store.found.as_ref().map(|found| found.held.version),
            history: store.history,
            unindexed: unindexed(store),
            document: document.map_err(|_| Failure::internal(format!("{} holds no JSON under this id", store.name)))?,
        })
    });
    Ok(Told {
        id: &facts.id,
        system: facts.system,
        events: facts.events.iter().zip(&story.fates).map(|(event, fate)| event_as_json(story, event, fate)).collect(),
        stores: stores.collect::<Result<_, Failure>>()?,
        why: &story.why,
        finding: story.finding.map(Name::name),
        notes: &facts.notes,
    })
}

fn event_as_json(story: &Story, event: &Event, fate: &Fate) -> Value {
    let (name, by, cause) = match fate {
        Fate::Applied => ("applied", None, None),
        Fate::Replaced(by) => ("replaced", Some(*by), None),
        Fate::Superseded(by) => ("superseded", Some(*by), None),
        Fate::Older(than) => ("older", Some(*than), None),
        Fate::Equal(with) => ("equal", Some(*with), None),
        Fate::Duplicate(of) => ("duplicate", Some(*of), None),
        Fate::DeadLettered { cause, replayed: false } => ("dead_lettered", None, Some(cause)),
        Fate::DeadLettered { cause, replayed: true } => ("replayed", None, Some(cause)),
        Fate::NotCommitted { .. } => ("not_committed", None, None),
        Fate::Rejected(cause) => ("rejected", None, Some(cause)),
        Fate::Ignored => ("ignored", None, None),
        Fate::Deleted => ("deleted", None, None),
        Fate::Lost => ("lost", None, None),
        Fate::Different => ("different", None, None),
        Fate::Beaten(_) => ("beaten", None, None),
    };
    let source = match event.source {
        Source::Topic => "topic",
        Source::History => "history",
        Source::Letter => "dead_letter",
    };
    json!({
        "topic": &*event.topic,
        "partition": event.partition,
        "offset": event.offset,
        "source": source,
        "kind": event.version().map(|_| event.kind()),
        "version": event.version(),
        "fate": name,
        "by": by.map(|by| story.facts.place(by)),
        "class": cause.map(|cause| &cause.class),
        "reason": cause.map(|cause| &cause.reason),
    })
}
