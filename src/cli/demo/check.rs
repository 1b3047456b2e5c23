//! The check: what the store holds against the publisher's own account, which never saw a broker.

use std::collections::{BTreeMap, HashMap, HashSet};

use pipeline::dead_letters;
use pipeline::kafka::read_topic;
use pipeline::sink::{Failure as SinkFailure, Order};
use pipeline::{Outcome, Tally};
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::super::{CommandFailure, print_line as print};
use crate::config::Config;
use crate::run::blocking::blocking;
use crate::stores::sqlite::{Sqlite, SqliteAudit, SqliteDocuments, Stored};
use crate::synthetic::{ExpectedDocument, GeneratorOptions, SyntheticKind};
use crate::systems::transactions;

/// Prints what was checked and what was found; returns the number of findings.
pub(super) async fn check(
    config: &Config,
    options: &GeneratorOptions,
    sqlite: &Sqlite,
    outcomes: &[(&'static str, Tally)],
) -> Result<u64, CommandFailure> {
    let unreadable = |failure: SinkFailure| CommandFailure::internal(failure.why);
    let expected = options.expect_documents()?;
    let living = expected.values().filter(|document| !document.deleted).count();
    let deleted = expected.len() - living;
    let counts = options.counts()?;
    print("\nChecked against the publisher's own account:")?;
    let mut found = 0;

    let documents = SqliteDocuments::new(sqlite.clone(), Order::Log).all().await.map_err(unreadable)?;
    let what =
        format!("{living} living documents at their newest version, {deleted} deleted ones gone, none in excess");
    found += verdict(&what, compare(&expected, &documents, document_fits))?;

    let audit = SqliteAudit::new(sqlite.clone(), Order::Log);
    let states = audit.all().await.map_err(unreadable)?;
    let what =
        format!("{living} living transactions in the audit, byte for byte as sent, {deleted} tombstones without them");
    found += verdict(&what, compare(&expected, &states, state_fits))?;

    let events = counts.creates + counts.updates + counts.deletes + counts.late;
    let history = audit.history().await.map_err(unreadable)?.cast_unsigned();
    let excess = if history == events { Vec::new() } else { vec![format!("there are {history}")] };
    found += verdict(&format!("{events} events in the audit's history, each once"), excess)?;

    let letters = letters(config).await?;
    let sent = count_malformed(options)?;
    let strays =
        if letters == sent { Vec::new() } else { vec![format!("there are {}", letters.values().sum::<u64>())] };
    found += verdict(&format!("{} dead letters, byte for byte as sent", sent.values().sum::<u64>()), strays)?;

    let sums = outcomes.iter().filter(|(_, tally)| tally.total() != counts.records());
    let sums = sums.map(|(name, tally)| format!("{name}: {}", tally.total())).collect();
    found += verdict(&format!("{} records, {} outcomes in each system", counts.records(), counts.records()), sums)?;
    let dead = outcomes.iter().map(|(_, tally)| tally.count(Outcome::DeadLettered)).sum::<u64>();
    let dead = if dead == sent.values().sum::<u64>() { Vec::new() } else { vec![format!("{dead} were counted")] };
    if !dead.is_empty() {
        found += verdict("dead letters are counted as they are sent", dead)?;
    }
    Ok(found)
}

/// One line when all is well, else the first findings.
fn verdict(what: &str, findings: Vec<String>) -> Result<u64, CommandFailure> {
    const SHOWN: usize = 5;
    let sign = if findings.is_empty() { "ok " } else { "NOT" };
    print(&format!("  {sign}  {what}"))?;
    findings.iter().take(SHOWN).try_for_each(|finding| print(&format!("         {finding}")))?;
    if findings.len() > SHOWN {
        print(&format!("         and {} more", findings.len() - SHOWN))?;
    }
    Ok(findings.len() as u64)
}

/// What differs, a sentence each.
fn compare(
    expected: &HashMap<String, ExpectedDocument>,
    held: &[Stored],
    fits: impl Fn(&ExpectedDocument, &Stored) -> bool,
) -> Vec<String> {
    let mut findings = Vec::new();
    let mut seen = HashSet::new();
    for one in held {
        let id = one.id.as_str();
        seen.insert(id);
        let finding = match expected.get(id) {
            None => "was never sent",
            Some(expected) if expected.deleted && !one.deleted => "was deleted, and is back",
            Some(expected) if one.version < expected.version => "is stale",
            Some(expected) if one.version > expected.version => "is ahead",
            Some(expected) if !expected.deleted && one.deleted => "is gone, and was never deleted",
            Some(expected) if !fits(expected, one) => "has another content",
            Some(_) => continue,
        };
        findings.push(format!("{id} {finding}"));
    }
    findings.extend(expected.keys().filter(|id| !seen.contains(id.as_str())).map(|id| format!("{id} is missing")));
    findings
}

fn document_fits(expected: &ExpectedDocument, stored: &Stored) -> bool {
    #[derive(Deserialize)]
    struct DocumentFields<'a> {
        status: &'a str,
        #[serde(borrow)]
        amount: &'a RawValue,
    }
    let content = || serde_json::from_str::<DocumentFields<'_>>(stored.text.as_deref()?).ok();
    expected.deleted || content().is_some_and(|c| c.status == expected.status && c.amount.get() == expected.amount)
}

fn state_fits(expected: &ExpectedDocument, state: &Stored) -> bool {
    match &state.text {
        Some(payload) => !expected.deleted && Sha256::digest(payload)[..] == expected.payload_digest,
        None => expected.deleted,
    }
}

/// How often each payload was dead-lettered.
async fn letters(config: &Config) -> Result<BTreeMap<Vec<u8>, u64>, CommandFailure> {
    let (client, topic) = (config.kafka.client_config(), dead_letters::topic_of(&config.topic(transactions::NAME)));
    let read = move || {
        let mut letters: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
        read_topic(&client, &topic, |letter| {
            *letters.entry(letter.payload.map(Vec::from).unwrap_or_default()).or_default() += 1;
        })
        .map_err(|error| error.to_string())?;
        Ok(letters)
    };
    blocking(std::convert::identity, read).await.map_err(CommandFailure::internal)
}

/// How often each payload was sent that is no event.
fn count_malformed(options: &GeneratorOptions) -> Result<BTreeMap<Vec<u8>, u64>, CommandFailure> {
    let mut sent: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for event in options.events()?.filter(|event| event.kind == SyntheticKind::Malformed) {
        *sent.entry(event.payload.unwrap_or_default().into_bytes()).or_default() += 1;
    }
    Ok(sent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(version: i64, deleted: bool) -> ExpectedDocument {
        let payload_digest = Sha256::digest("{}").into();
        ExpectedDocument { version, micros: 0, deleted, status: "pending", amount: "1.50".to_owned(), payload_digest }
    }

    fn stored(version: i64, deleted: bool) -> Vec<Stored> {
        vec![Stored {
            id: "a".to_owned(),
            version,
            deleted,
            text: Some(r#"{"status":"pending","amount":1.50}"#.to_owned()),
        }]
    }

    #[test]
    fn every_kind_of_difference_is_found() {
        let found = |expected: ExpectedDocument, stored: &[Stored]| {
            compare(&HashMap::from([("a".to_owned(), expected)]), stored, document_fits).join(";")
        };
        assert_eq!(found(expected(5, false), &stored(5, false)), "");
        assert_eq!(found(expected(5, true), &stored(5, true)), "");
        assert_eq!(found(expected(5, false), &[]), "a is missing");
        assert_eq!(found(expected(5, false), &stored(4, false)), "a is stale");
        assert_eq!(found(expected(5, false), &stored(6, false)), "a is ahead");
        assert_eq!(found(expected(5, true), &stored(5, false)), "a was deleted, and is back");
        assert_eq!(found(expected(5, false), &stored(5, true)), "a is gone, and was never deleted");
        let other = ExpectedDocument { amount: "1.5".to_owned(), ..expected(5, false) };
        assert_eq!(found(other, &stored(5, false)), "a has another content");
        assert_eq!(compare(&HashMap::new(), &stored(1, false), document_fits), ["a was never sent"]);
    }

    #[test]
    fn the_audit_is_held_to_the_bytes() {
        let state = |payload: Option<&str>| Stored {
            id: "a".to_owned(),
            version: 5,
            deleted: false,
            text: payload.map(str::to_owned),
        };
        assert!(state_fits(&expected(5, false), &state(Some("{}"))));
        assert!(!state_fits(&expected(5, false), &state(Some("{ }"))));
        assert!(!state_fits(&expected(5, false), &state(None)));
        assert!(!state_fits(&expected(5, true), &state(Some("{}"))));
    }
}
