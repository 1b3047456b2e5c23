//! What no store takes as it is, and is kept as JSON text in `_unindexed`: the walk's own word on it.

use super::json::{Plain, read};
use super::{get, twice};

/// The longest number, in characters.
const LONGEST_NUMBER: usize = 1_000;
/// Fields of which the index holds a single value.
#[rustfmt::skip]
const SINGLE: [&str; 10] = [
    "id", "user_id", "transaction_type", "product", "status", "currency", "amount", "created_at", "updated_at", "search_content",
];

/// Splits a transaction's fields in those that a store takes and a list of the others, members of `metadata` first.
pub(super) fn split(fields: Vec<(String, Plain)>) -> (Vec<(String, Plain)>, Vec<Plain>) {
    let (mut kept, mut moved, mut members_moved) = (Vec::new(), Vec::new(), Vec::new());
    for (name, value) in fields {
        match value {
            Plain::Object(members) if name == "metadata" => {
                let (left, out): (Vec<_>, Vec<_>) = members.iter().cloned().partition(|(member, value)| {
                    let count = members.iter().filter(|(other, _)| other == member).count();
                    count == 1 && !member.contains('\0') && is_plain(value)
                });
                members_moved
                    .extend(out.into_iter().map(|(member, value)| entry("metadata", Plain::Text(member), value)));
                kept.push((name, Plain::Object(left)));
            }
            value if is_usual(&name) && is_plain(&value) && !(SINGLE.contains(&&*name) && has_object(&value)) => {
                kept.push((name, value));
            }
            value => moved.push(entry(&name, Plain::Null, value)),
        }
    }
    members_moved.append(&mut moved);
    (kept, members_moved)
}

/// Splits an event in what MongoDB holds and a list of the members, at any depth, that it does not.
pub(super) fn take_apart(field: &str, event: Plain) -> (Plain, Vec<Plain>) {
    let mut moved = Vec::new();
    let kept = without(field, event, String::new(), &mut moved);
    (kept, moved)
}

fn without(field: &str, value: Plain, at: String, moved: &mut Vec<Plain>) -> Plain {
    match value {
        Plain::Object(members) => {
            let names: Vec<String> = members.iter().map(|(name, _)| name.clone()).collect();
            let mut kept = Vec::new();
            for (name, value) in members {
                let below = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                if name.contains('\0') || names.iter().filter(|other| **other == name).count() > 1 {
                    moved.push(entry(field, Plain::Text(below), value));
                } else {
                    kept.push((name, without(field, value, below, moved)));
                }
            }
            Plain::Object(kept)
        }
        Plain::List(values) => {
            let each = values.into_iter().enumerate();
            Plain::List(each.map(|(index, value)| without(field, value, format!("{at}/{index}"), moved)).collect())
        }
        other => other,
    }
}

/// The list that a document holds, as [`split`] makes it; a text that is no JSON stays one.
pub(super) fn rejoin(list: &Plain, levels: usize) -> Vec<Plain> {
    let Plain::List(entries) = list else { return Vec::new() };
    let entry = |held: &Plain| match held {
        Plain::Object(members) => {
            let value = match get(members, "json") {
                Plain::Text(json) => read(json, levels).unwrap_or_else(|| Plain::Text(json.clone())),
                other => other.clone(),
            };
            Plain::List(vec![get(members, "field").clone(), get(members, "member").clone(), value])
        }
        other => other.clone(),
    };
    entries.iter().map(entry).collect()
}

fn entry(field: &str, member: Plain, value: Plain) -> Plain {
    Plain::List(vec![Plain::Text(field.to_owned()), member, value])
}

fn is_usual(name: &str) -> bool {
    let mut parts = name.split('.').map(|part| part.trim_matches(|c: char| c < ' ' || c.is_whitespace()));
    let below = SINGLE.iter().any(|single| name.strip_prefix(single).is_some_and(|rest| rest.starts_with('.')));
    !below && parts.all(|part| !part.is_empty()) && !name.starts_with('$') && !name.contains('\0') && name != "objectID"
}

/// Whether no name in it stands twice or has a NUL, and no number is too long.
fn is_plain(value: &Plain) -> bool {
    match value {
        Plain::Number(digits) => digits.len() <= LONGEST_NUMBER && digits.parse().is_ok_and(f64::is_finite),
        Plain::List(values) => values.iter().all(is_plain),
        Plain::Object(members) => {
            !twice(members) && members.iter().all(|(name, value)| !name.contains('\0') && is_plain(value))
        }
        _ => true,
    }
}

fn has_object(value: &Plain) -> bool {
    match value {
        Plain::Object(_) => true,
        Plain::List(values) => values.iter().any(has_object),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use crate::walk::tests::transaction;
    use crate::walk::transactions;

    #[test]
    fn what_no_store_takes_has_to_be_held_as_text() {
        let number = "9".repeat(1_001);
        let body = format!(
            r#"{{"id":"a","user_id":"u","transaction_type":"card","":{number},"amount.usd":1.50,"created_at":{{"$date":1}},
            "a.b":1,"metadata":{{"x":[{{"y":1,"y":2}}],"z":1}}}}"#
        );
        let passed = transactions::index(&transaction("created", &body, "1700000000")).unwrap().passed;
        let held = format!(
            r#"{{"id":"a","user_id":"u","transaction_type":"card","a.b":1,"metadata":{{"z":1,"direction":"out"}},"_unindexed":[
            {{"field":"metadata","member":"x","json":"[{{\"y\":1,\"y\":2}}]"}},{{"field":"","json":"{number}"}},
            {{"field":"amount.usd","json":"1.50"}},{{"field":"created_at","json":"{{ \"$date\" : 1}}"}}]}}"#
        );
        assert_eq!(transactions::of_source(&held), passed);
        for (from, to) in [
            ("1.50", "1.5"),
            (r#"\"y\":2"#, r#"\"y\":3"#),
            (r#""member":"x""#, r#""member":"w""#),
            (r#"_unindexed""#, r#"_other""#),
            (r#","a.b":1"#, ""),
            (r#"{"field":"amount.usd","json":"1.50"},"#, ""),
            (r#""json":"1.50""#, r#""json":"1.50,""#),
        ] {
            assert!(held.contains(from), "{from}");
            assert_ne!(transactions::of_source(&held.replace(from, to)), passed, "{from} {to}");
        }
        let moved_without_need = held.replace(r#","a.b":1"#, "").replace("}]}", r#"},{"field":"a.b","json":"1"}]}"#);
        assert_ne!(transactions::of_source(&moved_without_need), passed);
    }
}
