//! What the audit and the version store hold of a person, found and taken out.

use pipeline::sink::Failure;

use super::Postgres;
use crate::stores::erased::{ERASED, SEARCHED_AT_ONCE};
use crate::stores::reader::{Column, ObservedVersion};
use crate::stores::whose::{Whose, owner_of};

/// Where a history is read on.
type HistoryRow = (String, String, String, String);
/// A row of a version store: its id, its version, what it holds, and what it held before.
type ObjectRow = (String, i64, Column, Column);

/// The living rows of a person.
pub(super) async fn states(postgres: &Postgres, person: &str) -> Result<Vec<ObservedVersion>, Failure> {
    let rows = sqlx::query_as(
        "SELECT id, version, deleted FROM transaction_state WHERE user_id = $1 AND NOT deleted ORDER BY id",
    );
    let rows: Vec<(String, i64, bool)> = postgres.rows(rows.bind(person)).await?;
    Ok(rows.into_iter().map(|(id, version, deleted)| ObservedVersion { id, version, deleted }).collect())
}

/// Empties the events of a person in the history, and those of these transactions that name nobody; counts them.
pub(super) async fn history(
    postgres: &Postgres,
    person: &str,
    seen: &[ObservedVersion],
    only_look: bool,
) -> Result<u64, Failure> {
    let ids: Vec<&str> = seen.iter().map(|seen| seen.id.as_str()).filter(|id| !id.contains('\0')).collect();
    let mut after = (String::new(), String::new());
    let mut count = 0;
    loop {
        // A text that may be written with escapes is looked at as well.
        let page = sqlx::query_as::<_, HistoryRow>(include_str!("sql/persons_history.sql"));
        let page = page.bind(&after.0).bind(&after.1).bind(&ids).bind(person).bind(ERASED).bind(SEARCHED_AT_ONCE);
        let page = postgres.rows(page).await?;
        let Some((message, digest, ..)) = page.last() else { return Ok(count) };
        after = (message.clone(), digest.clone());
        let theirs =
            |(_, _, id, payload): &&HistoryRow| owner_of(payload.as_bytes(), person).or(|| ids.contains(&id.as_str()));
        let (messages, digests): (Vec<&str>, Vec<&str>) =
            page.iter().filter(theirs).map(|event| (event.0.as_str(), event.1.as_str())).unzip();
        count += messages.len() as u64;
        if !only_look && !messages.is_empty() {
            let empty = sqlx::query(include_str!("sql/empty_history.sql"));
            postgres.execute(empty.bind(messages).bind(digests).bind(ERASED)).await?;
        }
    }
}

/// The rows of a version store that hold an object of a person, or held one before.
pub(crate) async fn rows(postgres: &Postgres, index: &str, person: &str) -> Result<Vec<ObservedVersion>, Failure> {
    let mut after = String::new();
    let mut found = Vec::new();
    loop {
        let page = sqlx::query_as::<_, ObjectRow>(include_str!("sql/persons_objects.sql"));
        let page = postgres.rows(page.bind(index).bind(&after).bind(person).bind(SEARCHED_AT_ONCE)).await?;
        let Some((last, ..)) = page.last() else { return Ok(found) };
        after = last.clone();
        let is =
            |object: &Column| object.as_ref().is_some_and(|text| owner_of(text.as_bytes(), person) == Whose::Theirs);
        let theirs = page.into_iter().filter(|(_, _, object, previous)| is(object) || is(previous));
        found.extend(theirs.map(|(id, version, object, _)| ObservedVersion { id, version, deleted: object.is_none() }));
    }
}

/// Forgets what these rows, where they hold nothing now, held before.
pub(crate) async fn previous(postgres: &Postgres, index: &str, ids: &[&str]) -> Result<u64, Failure> {
    let forget = sqlx::query(
        "UPDATE algolia_ledger SET previous_version = NULL, previous_object = NULL, previous_subject = NULL, previous_stars = NULL
         WHERE index_name = $1 AND id = ANY($2) AND object IS NULL AND previous_version IS NOT NULL",
    );
    postgres.execute(forget.bind(index).bind(ids)).await
}
