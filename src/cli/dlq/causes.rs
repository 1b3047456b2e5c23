//! `millrace dlq list`: letters, counted by their cause.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::coordinates;
use crate::cli::{CommandFailure, print_line as print};
use crate::maintenance::dead_letters::StoredDeadLetter;

/// One line a cause, the most frequent first.
pub(super) fn list(letters: &[StoredDeadLetter], as_json: bool) -> Result<(), CommandFailure> {
    let causes = causes(letters);
    if as_json {
        let cause = |cause: &CauseGroup<'_>| json!({"class": cause.first.class, "reason": cause.reason, "count": cause.count, "first": coordinates(&cause.first.record)});
        return print(
            &json!({"letters": letters.len(), "causes": causes.iter().map(cause).collect::<Value>()}).to_string(),
        );
    }
    if causes.is_empty() {
        return print("No dead letters.");
    }
    print(&format!("{:>8}  {:<28}  {:<32}  REASON", "COUNT", "CLASS", "FIRST"))?;
    for CauseGroup { count, first, reason } in causes {
        print(&format!("{count:>8}  {:<28}  {:<32}  {reason}", first.class, coordinates(&first.record)))?;
    }
    Ok(())
}

/// Letters of one cause.
struct CauseGroup<'a> {
    count: usize,
    first: &'a StoredDeadLetter,
    /// With `N` for each number in which they differ.
    reason: String,
}

/// The causes, the most frequent first. Reasons that differ in their numbers alone (a column, a length) are one cause.
fn causes(letters: &[StoredDeadLetter]) -> Vec<CauseGroup<'_>> {
    let mut causes: BTreeMap<(&str, String), CauseGroup<'_>> = BTreeMap::new();
    for letter in letters {
        let shape = numberless(&letter.reason);
        let fresh = CauseGroup { count: 0, first: letter, reason: letter.reason.clone() };
        let cause = causes.entry((&letter.class, shape.clone())).or_insert(fresh);
        cause.count += 1;
        if cause.reason != letter.reason {
            cause.reason = shape;
        }
    }
    let mut causes: Vec<_> = causes.into_values().collect();
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.count));
    causes
}

/// The reason with `N` for each number.
fn numberless(reason: &str) -> String {
    let mut shape = String::with_capacity(reason.len());
    for letter in reason.chars() {
        match letter {
            '0'..='9' if shape.ends_with('N') => {}
            '0'..='9' => shape.push('N'),
            other => shape.push(other),
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use pipeline::{Record, TopicPartition};

    use super::*;

    fn letter(reason: &str) -> StoredDeadLetter {
        let at = TopicPartition::new("t", 0);
        let record = Record { at, offset: 0, timestamp_ms: None, key: None, payload: None, headers: Vec::new() };
        let text = |text: &str| text.to_owned();
        StoredDeadLetter {
            record,
            system: text("s"),
            group: text("g"),
            class: text("c"),
            reason: text(reason),
            attempts: text("0"),
            failed_at: String::new(),
        }
    }

    #[test]
    fn reasons_that_differ_in_numbers_alone_are_one_cause() {
        let reasons = ["expected value at line 1 column 16", "expected value at line 1 column 7", "field a2 is odd"];
        let letters: Vec<StoredDeadLetter> = reasons.into_iter().map(letter).collect();
        let causes: Vec<(usize, String)> =
            causes(&letters).into_iter().map(|cause| (cause.count, cause.reason)).collect();
        let expected = [(2, "expected value at line N column N"), (1, "field a2 is odd")];
        assert_eq!(causes, expected.map(|(count, reason)| (count, reason.to_owned())));
    }
}
