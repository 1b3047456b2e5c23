//! Whose values a payload or an object holds. Pure.

use serde_json::Value;

/// Where events and objects name the person that they are of: transactions, memberships and sessions of Clerk, reviews.
const OWNERS: [&str; 6] =
    ["/transaction/user_id", "/data/user_id", "/data/public_user_data/user_id", "/data/userId", "/user_id", "/userId"];
/// Where an event that is about a person itself names it.
const SELF: &str = "/data/id";
/// How the type of such an event begins.
const OF_USERS: &str = "user.";

/// What a text says of whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The person's.
    Theirs,
    /// Somebody else's.
    Others,
    /// It names nobody.
    Nobodys,
}

impl Whose {
    /// Whether it is the person's; `nobodys` says so of what names nobody.
    pub(crate) fn or(self, nobodys: impl FnOnce() -> bool) -> bool {
        match self {
            Self::Theirs => true,
            Self::Others => false,
            Self::Nobodys => nobodys(),
        }
    }
}

/// Whose this JSON is. What cannot be read is the person's if it holds the name anywhere.
pub(crate) fn owner_of(text: &[u8], person: &str) -> Whose {
    let Ok(value) = serde_json::from_slice::<Value>(text) else {
        let found = !person.is_empty() && text.windows(person.len()).any(|part| part == person.as_bytes());
        return if found { Whose::Theirs } else { Whose::Nobodys };
    };
    let of_user = value.get("type").and_then(Value::as_str).is_some_and(|kind| kind.starts_with(OF_USERS));
    let own = of_user.then_some(SELF);
    let mut named = OWNERS.into_iter().chain(own).filter_map(|place| name(value.pointer(place)?)).peekable();
    match (named.peek().is_some(), named.any(|name| name == person)) {
        (_, true) => Whose::Theirs,
        (true, false) => Whose::Others,
        (false, false) => Whose::Nobodys,
    }
}

fn name(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_of_whom_it_names() {
        for (text, expected) in [
            (r#"{"event_type":"transaction.created","transaction":{"id":"t","user_id":"u1"}}"#, Whose::Theirs),
            (
                r#"{"event_type":"transaction.created","transaction":{"id":"t","user_id":"u2","note":"u1"}}"#,
                Whose::Others,
            ),
            (r#"{"event_type":"transaction.deleted","transaction":{"id":"t"}}"#, Whose::Nobodys),
            (r#"{"type":"user.created","data":{"id":"u1"}}"#, Whose::Theirs),
            (r#"{"type":"session.created","data":{"id":"u1","user_id":"u2"}}"#, Whose::Others),
            (
                r#"{"type":"organizationMembership.created","data":{"public_user_data":{"user_id":"u1"}}}"#,
                Whose::Theirs,
            ),
            (r#"{"type":"review.created","data":{"id":"r","userId":"\u00751"}}"#, Whose::Theirs),
            (r#"{"objectID":"r","userId":"u1"}"#, Whose::Theirs),
            (r#"{"id":"t","user_id":1}"#, Whose::Others),
            (r#"{"transaction":{"user_id":"u1""#, Whose::Theirs),
            ("no JSON", Whose::Nobodys),
        ] {
            assert_eq!(owner_of(text.as_bytes(), "u1"), expected, "{text}");
        }
        assert_eq!(owner_of(br#"{"user_id":1}"#, "1"), Whose::Theirs);
        assert_eq!(owner_of(b"", ""), Whose::Nobodys);
    }
}
