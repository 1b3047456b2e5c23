use proptest::prelude::*;

use super::*;
use crate::{DecodeError, micros_of};

const NOON: i64 = 1_704_110_400_000;

const CREATED: &str = r#"{"id":"evt_1","type":"review.created","timestamp":"2024-01-01T12:00:00Z","data":{"id":"rev_1","creatorId":"cr_1","userId":"u_1","stars":4,"title":"Good","content":"Very \"good\"","createdAt":"2024-01-01T11:59:59Z","updatedAt":"2024-01-01T11:59:59.5Z"}}"#;
const DELETED: &str =
    r#"{"id":"evt_2","type":"review.deleted","timestamp":"2024-01-01T12:00:00Z","data":{"id":"rev_1"}}"#;

fn class(payload: impl AsRef<[u8]>) -> &'static str {
    match decode(payload.as_ref(), Some(NOON)) {
        Ok(_) => "accepted",
        Err(DecodeError { class, reason }) => {
            assert!(!reason.contains("SECRET"), "{reason}");
            class
        }
    }
}

/// The sound create with one piece of it replaced.
fn with(from: &str, to: &str) -> String {
    assert!(CREATED.contains(from), "{from}");
    CREATED.replace(from, to)
}

#[test]
fn a_review_as_it_came() {
    for (event_type, kind) in
        [("review.created", TransactionKind::Created), ("review.updated", TransactionKind::Updated)]
    {
        let payload = with("review.created", event_type);
        let event = decode(payload.as_bytes(), Some(NOON)).unwrap();
        assert_eq!((event.id.as_ref(), event.kind, event.is_delete()), ("rev_1", kind, false));
        assert_eq!(event.time_micros, 1_704_110_399_500_000);
        assert_eq!(event.version(), 1_704_110_399_500_000 * 4 + kind.rank());
        assert_eq!(micros_of(event.version()), event.time_micros);
        let expected = Review {
            creator_id: "cr_1".to_owned(),
            user_id: Some("u_1".to_owned()),
            stars: 4,
            title: Some("Good".to_owned()),
            content: Some("Very \"good\"".to_owned()),
            created_at: Some("2024-01-01T11:59:59Z".to_owned()),
            updated_at: Some("2024-01-01T11:59:59.5Z".to_owned()),
        };
        assert_eq!(event.review, Some(expected));
    }
}

#[test]
fn a_delete_needs_its_id_alone() {
    let event = decode(DELETED.as_bytes(), Some(NOON)).unwrap();
    assert!(event.is_delete() && event.review.is_none());
    assert_eq!(event.version(), NOON * 4_000 + 2);
    let whole = with("review.created", "review.deleted").replace("\"stars\":4", "\"stars\":\"many\"");
    let whole = whole.replace("\"creatorId\":\"cr_1\"", "\"creatorId\":{}");
    assert_eq!(decode(whole.as_bytes(), Some(NOON)).unwrap().review, None);
}

#[test]
fn message_ids_tell_messages_apart() {
    let payloads =
        [CREATED.to_owned(), DELETED.to_owned(), with("review.created", "review.updated"), with("59.5Z", "59.6Z")];
    let ids: std::collections::HashSet<_> =
        payloads.iter().map(|payload| decode(payload.as_bytes(), None).unwrap().message_id).collect();
    assert_eq!(ids.len(), payloads.len());
}

#[test]
fn what_is_no_json_object() {
    assert_eq!(class(b"\xff"), "not_utf8");
    for payload in ["", "SECRET", "{\"type\":", &format!("{CREATED}x")] {
        assert_eq!(class(payload), "not_json", "{payload}");
    }
    for payload in ["[]", "7", "null", "\"SECRET\""] {
        assert_eq!(class(payload), "not_an_object", "{payload}");
    }
    let deep = |levels: usize| with("\"Good\"", &format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert_eq!(class(deep(126)), "bad_field");
    assert_eq!(class(deep(127)), "too_deep");
}

#[test]
fn types_ids_and_names_that_stand_twice() {
    for event_type in ["\"review.exploded\"", "null", "7", "\"\"", "\"created\""] {
        assert_eq!(class(with("\"review.created\"", event_type)), "unknown_event_type", "{event_type}");
    }
    for id in ["null", "\"\"", "true", "1.5", "[]"] {
        assert_eq!(class(with("\"rev_1\"", id)), "missing_id", "{id}");
        assert_eq!(class(with("\"cr_1\"", id)), "missing_field", "{id}");
    }
    assert_eq!(class(with("rev_1", &"x".repeat(513))), "id_too_long");
    assert_eq!(class(with("cr_1", &"x".repeat(512))), "accepted");
    assert_eq!(class(with("cr_1", &"x".repeat(513))), "id_too_long");
    assert_eq!(class(with("\"creatorId\":\"cr_1\",", "")), "missing_field");
    assert_eq!(class(r#"{"type":"review.created","timestamp":0}"#), "missing_field");
    assert_eq!(class(with("\"stars\":4", "\"stars\":4,\"stars\":5")), "duplicate_field");
    assert_eq!(class(with("\"id\":\"evt_1\"", "\"type\":\"SECRET\"")), "duplicate_field");
}

#[test]
fn stars() {
    for stars in ["1", "5", "\"4\"", "4.0", "0.4e1", "\"4.0\""] {
        assert_eq!(class(with("\"stars\":4", &format!("\"stars\":{stars}"))), "accepted", "{stars}");
    }
    for stars in ["0", "6", "-1", "4.5", "4.01", "\"\"", "\"four\"", "\" 4\"", "null", "[4]", "true", "44"] {
        assert_eq!(class(with("\"stars\":4", &format!("\"stars\":{stars}"))), "bad_stars", "{stars}");
    }
    assert_eq!(class(with(",\"stars\":4", "")), "bad_stars");
}

#[test]
fn timestamps() {
    let updated = "\"2024-01-01T11:59:59.5Z\"";
    let time = |to: &str| decode(with(updated, to).as_bytes(), Some(NOON)).unwrap().time_micros;
    assert_eq!(time("null"), NOON * 1_000);
    assert_eq!(time("1704110400"), NOON * 1_000);
    assert_eq!(time("\"2024-01-01 13:00:00+01:00\""), NOON * 1_000);
    for wrong in ["\"SECRET\"", "true", "\"2024-13-01T00:00:00Z\""] {
        assert_eq!(class(with(updated, wrong)), "bad_timestamp", "{wrong}");
    }
    let never = with(updated, "null").replace("\"2024-01-01T12:00:00Z\"", "null");
    assert_eq!(class(never), "bad_timestamp");
    assert_eq!(class(with(updated, "-1")), "timestamp_out_of_range");
    assert_eq!(class(with(updated, "\"2024-01-02T12:00:01Z\"")), "timestamp_out_of_range");
    assert_eq!(class(with(updated, "\"2024-01-02T12:00:00Z\"")), "accepted");
}

#[test]
fn what_a_payload_is_about() {
    assert!(is_about(CREATED.as_bytes(), "rev_1") && is_about(DELETED.as_bytes(), "rev_1"));
    for id in ["evt_1", "cr_1", "u_1", ""] {
        assert!(!is_about(CREATED.as_bytes(), id), "{id}");
    }
    assert!(is_about(with("\"rev_1\"", "7").as_bytes(), "7"));
    assert!(is_about(br#"{"type":"review.exploded","data":{"id":"rev_1","stars":"#, "rev_1"));
}

proptest! {
    #[test]
    fn a_damaged_event_is_judged_and_what_it_names_is_what_it_is_about(
        at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>()
    ) {
        let mut payload = CREATED.as_bytes().to_vec();
        let at = at.index(payload.len());
        if cut { payload.truncate(at) } else { payload[at] = byte }
        if let Ok(event) = decode(&payload, Some(NOON)) {
            prop_assert!(is_about(&payload, &event.id));
            prop_assert!(event.review.is_none_or(|review| (1..=5).contains(&review.stars)));
        }
    }
}
