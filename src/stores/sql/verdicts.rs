//! What an SQL upsert that returns the ids it wrote says of each write.

use std::collections::HashSet;

use pipeline::sink::Verdict;

/// A row that was not written was not newer than what the store holds. No two writes are of one document.
pub(crate) fn verdicts<'a>(written: &[String], ids: impl Iterator<Item = &'a str>) -> Vec<Verdict> {
    let written: HashSet<&str> = written.iter().map(String::as_str).collect();
    ids.map(|id| if written.contains(id) { Verdict::Applied } else { Verdict::Superseded }).collect()
}
