//! What the file holds of a person, found and taken out.

use pipeline::sink::Failure;
use serde_json::json;

use super::Sqlite;
use crate::stores::erased::{ERASED, SEARCHED_AT_ONCE};
use crate::stores::reader::ObservedVersion;
use crate::stores::whose::owner_of;

/// The living rows of a person; `query` takes the person.
pub(super) async fn living(
    sqlite: &Sqlite,
    query: &'static str,
    person: &str,
) -> Result<Vec<ObservedVersion>, Failure> {
    let rows: Result<Vec<(String, i64)>, _> = sqlx::query_as(query).bind(person).fetch_all(&sqlite.pool).await;
    let rows = rows.map_err(|error| sqlite.judge(&error))?;
    Ok(rows.into_iter().map(|(id, version)| ObservedVersion { id, version, deleted: false }).collect())
}

/// Empties the events of a person in the history, and those of these transactions that name nobody; counts them.
pub(super) async fn history(
    sqlite: &Sqlite,
    person: &str,
    seen: &[ObservedVersion],
    only_look: bool,
) -> Result<u64, Failure> {
    let ids: Vec<&str> = seen.iter().map(|seen| seen.id.as_str()).collect();
    let (mut after, mut count) = (i64::MIN, 0);
    loop {
        // A text that may be written with escapes is looked at as well.
        let page = sqlx::query_as::<_, (i64, String, String)>(include_str!("sql/persons_history.sql"));
        let page = page.bind(after).bind(json!(ids).to_string()).bind(person).bind(ERASED).bind(SEARCHED_AT_ONCE);
        let page = page.fetch_all(&sqlite.pool).await.map_err(|error| sqlite.judge(&error))?;
        let Some((last, ..)) = page.last() else { return Ok(count) };
        after = *last;
        let theirs = |(_, id, payload): &&(i64, String, String)| {
            owner_of(payload.as_bytes(), person).or(|| ids.contains(&id.as_str()))
        };
        let numbers: Vec<i64> = page.iter().filter(theirs).map(|(number, ..)| *number).collect();
        count += numbers.len() as u64;
        if !only_look && !numbers.is_empty() {
            let empty = sqlx::query(
                "UPDATE transaction_events SET payload = ?2 WHERE rowid IN (SELECT value FROM json_each(?1))",
            );
            let empty = empty.bind(json!(numbers).to_string()).bind(ERASED).execute(&sqlite.pool).await;
            empty.map_err(|error| sqlite.judge(&error))?;
        }
    }
}
