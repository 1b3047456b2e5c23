//! What the demo prints: outcomes, searches, and where to go from here.

use std::path::Path;
use std::time::Duration;

use pipeline::sink::Order;
use pipeline::{Outcome, Tally};
use serde_json::Value;

use super::super::{CommandFailure, print_line as print};
use crate::stores::sqlite::{Sqlite, SqliteDocuments};

/// What is searched for, and what it shows.
const SEARCHES: [(&str, &str); 3] = [
    ("starbucks", "by merchant, however the card processor wrote it"),
    ("cafe completed", "without the accent, and by status"),
    ("bitcoin", "by the name of an asset"),
];
const HITS: u32 = 3;

/// A table of outcomes, a line a system.
pub(super) fn outcomes(outcomes: &[(&'static str, Tally)], took: &[Duration]) -> Result<(), CommandFailure> {
    let titles: String =
        Outcome::ALL.iter().map(|outcome| format!("{:>15}", outcome.name().replace('_', "-"))).collect();
    print(&format!("{:<20}{:>9}{titles}{:>11}", "", "records", "records/s"))?;
    for ((system, tally), took) in outcomes.iter().zip(took) {
        let counts: String = Outcome::ALL.iter().map(|outcome| format!("{:>15}", tally.count(*outcome))).collect();
        let rate = tally.total() as f64 / took.as_secs_f64();
        print(&format!("{system:<20}{:>9}{counts}{rate:>11.0}", tally.total()))?;
    }
    Ok(())
}

/// Three searches with their best hits.
pub(super) async fn searches(sqlite: &Sqlite) -> Result<(), CommandFailure> {
    let documents = SqliteDocuments::new(sqlite.clone(), Order::Log);
    for (words, why) in SEARCHES {
        let hits = documents.search(words, HITS).await.map_err(|failure| CommandFailure::internal(failure.why))?;
        print(&format!("\nSearch \"{words}\" ({why}): {} hits", hits.total))?;
        hits.documents.iter().try_for_each(|document| print(&format!("  {}", line(document))))?;
    }
    Ok(())
}

/// One document on a line.
fn line(document: &Value) -> String {
    let text = |pointer: &str| match document.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    let names = ["merchant_name", "peer_name", "asset", "note"].map(|name| text(&format!("/metadata/{name}")));
    let name = names.iter().filter(|name| !name.is_empty()).cloned().collect::<Vec<_>>().join(": ");
    let time = text("/created_at");
    format!(
        "{}  {:<7} {name:<40} {:>22} {:<5} {:<10} {}",
        time.get(..10).unwrap_or_default(),
        text("/transaction_type"),
        text("/amount"),
        text("/currency"),
        text("/status"),
        text("/user_id"),
    )
}

pub(super) fn ways_on(path: &Path) -> Result<(), CommandFailure> {
    let path = path.display();
    print("\nThe file stays; ask it more:")?;
    print(&format!("  sqlite3 {path} \"SELECT status, count(*) FROM transactions GROUP BY status\""))?;
    print(&format!("  sqlite3 {path} \"SELECT rowid FROM documents_search WHERE documents_search MATCH 'coffee'\""))
}
