//! Each class of reject, and what is near one but passes.

use super::{create, document};
use crate::decode;

const NOON: i64 = 1_704_110_400_000;
const DAY_MS: i64 = 86_400_000;

fn class(payload: impl AsRef<[u8]>) -> &'static str {
    match decode(payload.as_ref(), Some(NOON)) {
        Ok(_) => "accepted",
        Err(reject) => {
            assert!(!reject.reason.contains("SECRET"), "{reject}");
            reject.class
        }
    }
}

/// The sound message with one piece of it replaced.
fn with(from: &str, to: &str) -> &'static str {
    let sound = create("\"amount\":1");
    assert!(sound.contains(from), "{from}");
    class(sound.replace(from, to))
}

#[test]
fn what_is_no_json_object() {
    assert_eq!(class(b"\xff\xfe{}"), "not_utf8");
    assert_eq!(class([create("").as_bytes(), b"\xc3("].concat()), "not_utf8");
    assert_eq!(class(r#"{"event_type":"#), "not_json");
    assert_eq!(class("SECRET"), "not_json");
    assert_eq!(class(""), "not_json");
    assert_eq!(class(format!("{}x", create(""))), "not_json");
    assert_eq!(class(create("\"amount\":NaN")), "not_json");
    assert_eq!(class(create("\"note\":\"line\nbreak\"")), "not_json");
    for payload in ["[]", "5", "null", "\"SECRET\"", "true"] {
        assert_eq!(class(payload), "not_an_object", "{payload}");
    }
}

#[test]
fn what_stands_around_an_event_is_named() {
    let why = |payload: &[u8]| decode(payload, Some(NOON)).unwrap_err().reason;
    let event = create("");
    let wrapped = format!(r#"{{"schema":{{"type":"struct"}},"payload":{event}}}"#);
    for (payload, expected) in [
        (format!("\u{feff}{event}").into_bytes(), "byte order mark"),
        ([b"\0\0\0\0\x07", event.as_bytes()].concat(), "schema 7"),
        (event.encode_utf16().flat_map(u16::to_le_bytes).collect(), "UTF-16"),
        (serde_json::to_vec(&event).unwrap(), "encoded twice"),
        (wrapped.into_bytes(), "schemas.enable=false"),
        (br#"{"before":null,"after":{},"op":"c"}"#.to_vec(), "Debezium"),
    ] {
        assert!(why(&payload).contains(expected), "{expected}: {}", why(&payload));
    }
}

#[test]
fn ids() {
    assert_eq!(with("\"id\":\"t1\",", ""), "missing_id");
    for id in ["\"\"", "null", "true", "1.5", "1e400", "[]", r#"{"SECRET":1}"#] {
        assert_eq!(with("\"t1\"", id), "missing_id", "{id}");
    }
    for id in ["42", "42.0", "4.2e1", "1e3"] {
        assert_eq!(with("\"t1\"", id), "accepted", "{id}");
    }
    assert_eq!(with("t1", &"é".repeat(256)), "accepted");
    assert_eq!(with("t1", &"é".repeat(257)), "id_too_long");
    assert_eq!(with("\"t1\"", &"9".repeat(513)), "id_too_long");
    assert_eq!(class(r#"{"event_type":"transaction.deleted","timestamp":"2024-01-01T12:00:00Z"}"#), "missing_id");
    assert_eq!(
        class(r#"{"event_type":"transaction.deleted","transaction":{},"timestamp":"2024-01-01T12:00:00Z"}"#),
        "missing_id"
    );
}

#[test]
fn event_types() {
    for event_type in ["\"transaction.archived\"", "\"created\"", "null", "1", "\"TRANSACTION.CREATED\"", "\"\""] {
        assert_eq!(with("\"transaction.created\"", event_type), "unknown_event_type", "{event_type}");
    }
    assert_eq!(with("\"event_type\":\"transaction.created\",", ""), "unknown_event_type");
    assert_eq!(with("transaction.created", r"transaction\u002ecreated"), "accepted");
}

#[test]
fn required_fields() {
    assert_eq!(with("\"user_id\":\"u1\",", ""), "missing_field");
    assert_eq!(with("\"transaction_type\":\"card\",", ""), "missing_field");
    for value in ["\"\"", "null", "[]"] {
        assert_eq!(with("\"u1\"", value), "missing_field", "{value}");
        assert_eq!(with("\"card\"", value), "missing_field", "{value}");
    }
    assert_eq!(with("\"u1\"", "7"), "accepted");
    assert_eq!(with("\"card\"", "7"), "missing_field");
    assert_eq!(with("\"transaction\":", "\"transactions\":"), "missing_field");
    for value in ["\"SECRET\"", "[1]", "5", "-5", "1.5", "true"] {
        let payload = format!(r#"{{"event_type":"transaction.created","transaction":{value}}}"#);
        assert_eq!(class(payload), "missing_field", "{value}");
    }
}

#[test]
fn a_delete_needs_its_id_alone() {
    let delete = r#"{"event_type":"transaction.deleted","transaction":{"id":"a","amount":"SECRET"},"timestamp":"2024-01-01T12:00:00Z"}"#;
    assert_eq!(class(delete), "accepted");
    assert_eq!(class(delete.replace("12:00:00Z", "SECRET")), "bad_timestamp");
}

#[test]
fn amounts() {
    for amount in ["\"1,000.00\"", "\"SECRET\"", "\"\"", "true", "[]", "{}", "\" 5\"", "\"NaN\""] {
        assert_eq!(class(create(&format!("\"amount\":{amount}"))), "bad_amount", "{amount}");
    }
    for amount in ["1E400", "-0", "\"0.123456789012345678\"", "\"1E+3\"", "null", &"9".repeat(2_000)] {
        assert_eq!(class(create(&format!("\"amount\":{amount}"))), "accepted", "{amount}");
    }
    assert_eq!(class(create("")), "accepted");
}

#[test]
fn timestamps() {
    let time = |value: &str| with("\"2024-01-01T12:00:00Z\"", value);
    for value in ["null", "\"\"", "\"SECRET\"", "true", "{}", "[2024,1,1]", "\"20240101\""] {
        assert_eq!(time(value), "bad_timestamp", "{value}");
    }
    assert_eq!(with(",\"timestamp\":\"2024-01-01T12:00:00Z\"", ""), "bad_timestamp");
    assert_eq!(time("\"1969-12-31T23:59:59.999999999Z\""), "timestamp_out_of_range");
    assert_eq!(time("-1"), "timestamp_out_of_range");
    assert_eq!(time("\"1970-01-01T00:00:00Z\""), "accepted");
    assert_eq!(time("\"2099-01-01T00:00:00Z\""), "timestamp_out_of_range");
    assert_eq!(time("\"2024-01-02T12:00:00Z\""), "accepted");
    assert_eq!(time("\"2024-01-02T12:00:00.000001Z\""), "timestamp_out_of_range");
    for same in ["1704110400", "\"1704110400\"", "1704110400000000", "[2024,1,1,12,0]", "\"20240101T120000Z\""] {
        assert_eq!(time(same), "accepted", "{same}");
    }
}

#[test]
fn without_a_kafka_timestamp_the_future_is_not_judged() {
    let future = create("").replace("2024", "2099");
    for record in [None, Some(-1), Some(i64::MAX)] {
        assert!(decode(future.as_bytes(), record).is_ok());
    }
    assert!(decode(create("").as_bytes(), Some(NOON - DAY_MS)).is_ok());
    assert!(decode(create("").as_bytes(), Some(NOON - DAY_MS - 1)).is_err());
}

#[test]
fn nesting() {
    // The payload and the transaction are two levels.
    let nested = |levels: usize| create(&format!("\"deep\":{}{}", "[".repeat(levels), "]".repeat(levels)));
    assert_eq!(class(nested(126)), "accepted");
    assert_eq!(class(nested(127)), "too_deep");
    assert_eq!(class(nested(5_000)), "too_deep");
    assert_eq!(class("[".repeat(100_000)), "too_deep");
    assert_eq!(class(create(&format!("\"note\":\"{}\"", r#"\"[{"#.repeat(500)))), "accepted");
    assert_eq!(class(create(&format!("\"wide\":[{}0]", "[],".repeat(500)))), "accepted");
    assert_eq!(class(format!(r#"{{"skipped":{}"#, "{\"a\":".repeat(5_000))), "too_deep");
}

#[test]
fn names_that_stand_twice() {
    assert_eq!(class(create("\"amount\":1,\"amount\":2")), "duplicate_field");
    assert_eq!(class(create("\"SECRET 4111\":1,\"SECRET 4111\":2")), "duplicate_field");
    assert_eq!(class(create(r#""note":1,"n\u006fte":2"#)), "duplicate_field");
    assert_eq!(with("\"timestamp\":", "\"timestamp\":1,\"timestamp\":"), "duplicate_field");
    assert_eq!(with("\"transaction\":", "\"transaction\":null,\"transaction\":"), "duplicate_field");
    let many: Vec<String> = (0..10_000).map(|n| format!("\"key_{n}\":{n}")).collect();
    assert_eq!(class(create(&format!("{},\"key_5000\":0", many.join(",")))), "duplicate_field");
    // Dropped names and names of the envelope that nobody reads may stand twice.
    assert_eq!(class(create("\"_a\":1,\"_a\":2")), "accepted");
    assert_eq!(with("\"timestamp\":", "\"x\":1,\"x\":2,\"timestamp\":"), "accepted");
}

#[test]
fn a_lone_surrogate_is_the_replacement_character() {
    let line = document(create(r#""metadata":{"merchant_name":"\ud83c"},"note":"\udf55""#).as_bytes());
    assert!(line.contains(r#""merchant_name":"\ufffd""#) && line.contains(r#""note":"\ufffd""#), "{line}");
    let line = document(create(r#""n\ud83d":{"a\ude00":"x\ud83d"},"description":"cut \ud83d""#).as_bytes());
    assert!(line.contains("\"n\u{fffd}\":{\"a\\ufffd\":\"x\\ufffd\"}"), "{line}");
    assert!(line.contains("\"search_content\":\"cut \u{fffd} "), "{line}");
    assert_eq!(with("\"t1\"", r#""\ud800""#), "accepted");
}
