//! Odd values, against what is written here by hand.

mod agreement;

use bytes::Bytes;
use mongodb::bson::{Bson, DateTime, doc};
use pipeline::TopicPartition;

use super::json::{Plain, read};
use super::*;

pub(super) fn record(payload: &str) -> Record {
    Record {
        at: TopicPartition::new("t", 0),
        offset: 0,
        timestamp_ms: Some(1_700_000_000_000),
        key: None,
        payload: Some(Bytes::copy_from_slice(payload.as_bytes())),
        headers: Vec::new(),
    }
}

pub(super) fn transaction(kind: &str, transaction: &str, timestamp: &str) -> Record {
    let event = format!(
        r#"{{"event_type":"transaction.{kind}","timestamp":{timestamp},"transaction":{transaction},"source":"x"}}"#
    );
    record(&event)
}

const WHOLE: &str = r#"{"id":"a","user_id":"u","transaction_type":"card"}"#;
/// 2023-11-14T22:13:20Z, the time of the record.
const NOW: i64 = 1_700_000_000_000_000 * 4;

fn said(record: &Record) -> Option<(String, i64, bool)> {
    transactions::index(record).map(|walked| (walked.id, walked.version, walked.deleted))
}

#[test]
fn a_text_has_the_characters_that_its_escapes_write() {
    for (written, expected) in [
        (r#""cut \ud83d""#, "cut \u{fffd}"),
        (r#""\uD83D\uDE00 \ude00""#, "\u{1f600} \u{fffd}"),
        (r#""\ud83d\ud83d\ude00""#, "\u{fffd}\u{1f600}"),
        (r#""\\ud83d\/\b\f\n\r\t\"""#, "\\ud83d/\u{8}\u{c}\n\r\t\""),
        (r#""\u0000é\u00e9""#, "\0éé"),
    ] {
        assert_eq!(read(written, 1), Some(Plain::Text(expected.to_owned())), "{written}");
    }
}

#[test]
fn what_is_no_json_is_nothing() {
    for text in [
        "",
        "nul",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "\"\n\"",
        r#""\x""#,
        r#""\u12g4""#,
        r#""\u+123""#,
        "[1,]",
        "[1 2]",
        r#"{"a"}"#,
        r#"{"a":1,}"#,
        r#"{a:1}"#,
        "{}{}",
        "\u{feff}{}",
        "[[1]]",
        "\"",
    ] {
        assert_eq!(read(text, 1), None, "{text}");
    }
    assert_eq!(read(" [ [ ] , { } ] ", 2), Some(Plain::List(vec![Plain::List(vec![]), Plain::Object(vec![])])));
    let numbers = ["0", "-0", "1.23456789E7", "12345678901234567890123", "1e-18", "0.10"];
    for digits in numbers {
        assert_eq!(read(digits, 0), Some(Plain::Number(digits.to_owned())));
    }
}

#[test]
fn an_id_is_a_text_or_a_whole_number() {
    for (id, expected) in [
        (r#""a""#, Some("a")),
        (r#""\ud83d""#, Some("\u{fffd}")),
        ("12345678901234567890123", Some("12345678901234567890123")),
        ("-7", Some("-7")),
        (r#""12""#, Some("12")),
        ("1.0", Some("1")),
        ("1e3", Some("1000")),
        ("-0.0", Some("0")),
        ("1.5", None),
        ("1e400", None),
        (r#""""#, None),
        ("true", None),
        ("null", None),
    ] {
        let event = transaction("deleted", &format!(r#"{{"id":{id}}}"#), "1700000000");
        assert_eq!(said(&event).map(|(id, ..)| id).as_deref(), expected, "{id}");
    }
    let long = |count: usize| transaction("deleted", &format!(r#"{{"id":"{}"}}"#, "é".repeat(count)), "1700000000");
    assert!(said(&long(256)).is_some() && said(&long(257)).is_none());
}

#[test]
fn a_version_is_the_time_and_the_rank() {
    for (timestamp, micros) in [
        (r#""2023-11-14T22:13:20Z""#, Some(0)),
        (r#""2023-11-14t23:13:20.0000019+01:00""#, Some(1)),
        (r#""2023-11-14 22:13:20""#, Some(0)),
        (r#""2023-11-14T22:13Z""#, Some(-20_000_000)),
        (r#""2023-11-14T22:13:60Z""#, Some(40_000_000)),
        (r#""2023-11-14T17:43:20-0430""#, Some(0)),
        ("1700000000", Some(0)),
        ("1700000000.000001999", Some(1)),
        ("1.7E9", Some(0)),
        ("1700000000123.5", Some(123_500)),
        (r#""1700000000""#, Some(0)),
        (r#""1700000000123""#, Some(123_000)),
        (r#""17000000001""#, None),
        (r#""20231114""#, None),
        (r#""20231114221320""#, None),
        ("1700000000123456", Some(123_456)),
        ("1700000000123456789", Some(123_456)),
        (r#""2023-11-14T23:13:20,5+01:00[Europe/Rome]""#, Some(500_000)),
        (r#""2023-11-14T22:13:20[Europe/Rome]""#, None),
        (r#""20231114T221320.5Z""#, Some(500_000)),
        (r#""20231114T2213+00""#, Some(-20_000_000)),
        (r#""20231114 221320Z""#, None),
        ("[2023,11,14,22,13]", Some(-20_000_000)),
        ("[2023,11,14,22,13,20,500000000]", Some(500_000)),
        ("[2023,11,14]", None),
        (r#""2023-11-14""#, None),
        (r#""2023-02-29T00:00:00Z""#, None),
        (r#""2023-11-14T22:13:20.Z""#, None),
        (r#""2023-11-14T22:13:20+1:00""#, None),
        (r#""1969-12-31T23:59:59Z""#, None),
        (r#""2023-11-15T22:13:21Z""#, None),
        ("1E400", None),
        ("null", None),
        ("{}", None),
    ] {
        for (kind, rank) in [("created", 0), ("updated", 1), ("deleted", 2)] {
            let expected = micros.map(|micros| ("a".to_owned(), NOW + micros * 4 + rank, kind == "deleted"));
            assert_eq!(said(&transaction(kind, WHOLE, timestamp)), expected, "{timestamp}");
        }
    }
}

#[test]
fn what_a_transaction_lacks_makes_it_none() {
    for (kind, body, is_event) in [
        ("created", WHOLE, true),
        ("created", r#"{"id":"a","user_id":7,"transaction_type":"card","amount":1e400}"#, true),
        ("created", r#"{"id":"a","user_id":"u","transaction_type":"card","amount":"+.5E-3"}"#, true),
        ("created", r#"{"id":"a","user_id":"u","transaction_type":"card","amount":null}"#, true),
        ("created", r#"{"id":"a","user_id":"u","transaction_type":"card","amount":"1,5"}"#, false),
        ("created", r#"{"id":"a","user_id":"u","transaction_type":"card","amount":"."}"#, false),
        ("created", r#"{"id":"a","user_id":"u","transaction_type":"card","amount":true}"#, false),
        ("created", r#"{"id":"a","user_id":1.5,"transaction_type":"card"}"#, false),
        ("created", r#"{"id":"a","user_id":"u","transaction_type":7}"#, false),
        ("created", r#"{"id":"a","user_id":"u"}"#, false),
        ("created", r#"{"id":"a","id":"a","user_id":"u","transaction_type":"card"}"#, false),
        ("created", r#"{"id":"a","_x":1,"_x":2,"user_id":"u","transaction_type":"card"}"#, true),
        ("created", "null", false),
        ("deleted", r#"{"id":"a"}"#, true),
        ("deleted", "null", false),
        ("deleted", "[]", false),
        ("archived", WHOLE, false),
    ] {
        assert_eq!(said(&transaction(kind, body, "1700000000")).is_some(), is_event, "{kind} {body}");
    }
    let alone = r#"{"event_type":"transaction.deleted","transaction_id":9,"timestamp":1700000000}"#;
    assert_eq!(said(&record(alone)), Some(("9".to_owned(), NOW + 2, true)));
    let doubled =
        r#"{"event_type":"transaction.deleted","transaction_id":9,"transaction_id":9,"timestamp":1700000000}"#;
    assert_eq!(said(&record(doubled)), None);
    let unknown = r#"{"x":1,"x":2,"event_type":"transaction.deleted","transaction_id":9,"timestamp":1700000000}"#;
    assert!(said(&record(unknown)).is_some(), "names that say nothing may stand twice");
    let deep = |levels: usize| format!(r#"{{"id":"a","x":{}{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(said(&transaction("deleted", &deep(126), "1700000000")).is_some());
    assert!(said(&transaction("deleted", &deep(127), "1700000000")).is_none());
}

const ODD: &str = r#"{"id":"a","user_id":"u\u0000","transaction_type":"card","amount":1.23456789E7,"big":12345678901234567890123,
    "vast":1E7000,"small":-1e-30,"zeros":1.10,"cut":"\ud83d","n":null,"flag":true,"_own":1,"search_content":"x",
    "metadata":{"note":"y","\u00e9":[1,{"z":[]}]}}"#;

#[test]
fn the_index_has_to_hold_what_came_digit_for_digit() {
    let passed = transactions::index(&transaction("created", ODD, "1700000000")).unwrap().passed;
    let held = r#"{"amount":1.23456789E+7,"id":"a","user_id":"u\u0000","transaction_type":"card","big":12345678901234567890123,
        "_unindexed":[{"field":"vast","json":"1E7000"}],"small":-1e-30,"zeros":1.10,"cut":"\ufffd","n":null,"flag":true,"search_content":"y","_enriched":true,
        "metadata":{"é":[1,{"z":[]}],"note":"added","card_masked":"**** 1"}}"#;
    assert_eq!(transactions::of_source(held), passed);
    assert!(passed.is_some());
    for (from, to) in [
        ("12345678901234567890123", "12345678901234567890124"),
        ("12345678901234567890123", "1.2345678901234568e22"),
        ("1.10", "1.1"),
        ("1.10", "\"1.10\""),
        ("true,\"search", "\"true\",\"search"),
        ("\\ufffd", ""),
        ("[1,{", "[2,{"),
        ("\"n\":null", "\"n\":0"),
    ] {
        assert_ne!(transactions::of_source(&held.replace(from, to)), passed, "{from} {to}");
    }
    assert_eq!(transactions::of_source(r#"{"id":"a","_deleted":true}"#), None);
}

#[test]
fn mongodb_has_to_hold_what_came_in_its_own_kinds() {
    let decimal = |digits: &str| Bson::Decimal128(digits.parse().unwrap());
    let passed = transactions::mongodb(&transaction("created", ODD, "1700000000")).unwrap().passed.unwrap();
    let held = doc! {
        "_id": "a", "_version": 7_i64, "id": "a", "user_id": "u\0", "transaction_type": "card", "_enriched": true,
        "amount": decimal("1.23456789E+7"), "big": decimal("12345678901234567890123"),
        "_unindexed": [{"field": "vast", "json": "1E7000"}],
        "small": decimal("-1E-30"), "zeros": decimal("1.10"), "cut": "\u{fffd}", "n": null, "flag": true,
        "metadata": {"é": [1_i64, {"z": []}], "card_masked": "x"},
    };
    assert_eq!(transactions::of_document(&held), passed);
    let with = |name: &str, value: Bson| {
        let mut other = held.clone();
        other.insert(name, value);
        transactions::of_document(&other)
    };
    for (name, value) in [
        ("zeros", decimal("1.1")),
        ("zeros", Bson::Double(1.1)),
        ("_unindexed", Bson::Null),
        ("flag", "true".into()),
        ("more", 1.into()),
    ] {
        assert_ne!(with(name, value.clone()), passed, "{name} {value}");
    }
    for (digits, held) in [("10e-6177", "1E-6176"), ("0e9000", "0E6111"), ("-0", "-0")] {
        let body = format!(r#"{{"id":"a","user_id":"u","transaction_type":"card","x":{digits}}}"#);
        let passed = transactions::mongodb(&transaction("created", &body, "1700000000")).unwrap().passed;
        let held = doc! {"id": "a", "user_id": "u", "transaction_type": "card", "x": decimal(held)};
        assert_eq!(passed, Some(transactions::of_document(&held)), "{digits}");
    }
}

#[test]
fn the_audit_has_to_hold_the_event_and_its_columns() {
    let event = transaction("created", ODD, "1700000000");
    let passed = transactions::audit(&event).unwrap().passed.unwrap();
    let payload = String::from_utf8(event.payload.unwrap().to_vec()).unwrap();
    let columns = |amount, user| [Some(user), Some("card"), None, None, None, Some(amount)];
    assert_eq!(transactions::of_row(Some(&payload), columns("12345678.9", "u\u{fffd}")), passed);
    assert_eq!(transactions::of_row(Some(&payload), columns("12345678.900", "u\u{fffd}")), passed);
    assert_ne!(transactions::of_row(Some(&payload), columns("12345678.8", "u\u{fffd}")), passed);
    assert_ne!(transactions::of_row(Some(&payload), columns("12345678.9", "u")), passed);
    assert_ne!(transactions::of_row(Some("{}"), columns("12345678.9", "u\u{fffd}")), passed);
}

fn clerk(kind: &str, data: &str, more: &str) -> Record {
    record(&format!(r#"{{"type":"{kind}","data":{data}{more}}}"#))
}

#[test]
fn users_have_the_version_of_the_first_time_that_is_there() {
    let said = |record: &Record| users::mongodb(record).map(|walked| (walked.version, walked.deleted));
    let gone =
        |data: &str, more: &str| said(&clerk("user.deleted", data, more)).map(|(version, _)| version - (1 << 60));
    assert_eq!(gone(r#"{"id":"u","updated_at":1600000000000}"#, ""), Some(1_600_000_000_000_000 * 4 + 2));
    assert_eq!(
        gone(r#"{"id":"u","updated_at":null}"#, r#","timestamp":1600000000"#),
        Some(1_600_000_000_000_000 * 4 + 2)
    );
    assert_eq!(gone(r#"{"id":"u"}"#, ""), Some(NOW + 2));
    assert_eq!(gone(r#"{"id":"u","updated_at":"never"}"#, ""), None);
    let session = |what: &str| said(&clerk(&format!("session.{what}"), r#"{"id":"s","user_id":"u"}"#, ""));
    assert_eq!((session("created"), session("ended")), (Some((NOW, false)), Some((NOW + 1, false))));
    assert_eq!((session("deleted"), said(&clerk("organization.created", r#"{"id":"o"}"#, ""))), (None, None));
    assert_eq!(said(&clerk("user.created", r#"{"id":"u","email_addresses":[]}"#, r#","type":"user.created""#)), None);
    assert_eq!(said(&clerk("user.created", r#"{"id":"u"}"#, "")), None, "without addresses it is a dead letter");
    assert_eq!(said(&clerk("session.created", r#"{"id":"s"}"#, "")), None, "nobody's session");
}

#[test]
fn users_are_held_in_fields_and_as_a_whole() {
    let data = r#"{"id":"u","first_name":"\ud83d","last_name":null,"username":12.50,"created_at":1600000000000,
        "primary_email_address_id":"b","email_addresses":[{"id":"a"},7,{"id":"b","email_address":"x@y",
        "verification":{"status":"verified","status":"failed"}}],"big":12345678901234567890123}"#;
    let walked = users::mongodb(&clerk("user.created", data, "")).unwrap();
    let held = doc! {
        "email": "x@y", "emailVerified": true, "firstName": "\u{fffd}", "username": "12.50",
        "createdAt": DateTime::from_millis(1_600_000_000_000),
    };
    let names = ["email", "emailVerified", "firstName", "lastName", "username", "imageUrl", "createdAt", "updatedAt"];
    // The whole event has its own names in it, so it is left out here.
    let without = users::mongodb(&clerk("user.created", &data.replace("x@y", "z@y"), "")).unwrap();
    assert_ne!(walked.passed, without.passed);
    assert_ne!(walked.passed, Some(fields(&held, &names)), "the whole event is part of it");
    let member = r#"{"id":"m","role":"admin","organization":{"id":"o","name":7},"public_user_data":{"user_id":"u"},"updated_at":"2023-11-14T22:13:20.123456Z"}"#;
    let walked = users::mongodb(&clerk("organizationMembership.updated", member, "")).unwrap();
    let held = doc! {
        "clerkId": "u", "organizationId": "o", "organizationName": "7", "role": "admin", "theirs": 1,
        "updatedAt": DateTime::from_millis(1_700_000_000_123), "createdAt": null,
    };
    let names = ["clerkId", "organizationId", "organizationName", "organizationSlug", "role", "createdAt", "updatedAt"];
    assert_eq!(walked.passed, Some(fields(&held, &names)));
}

#[test]
fn reviews_are_what_they_count_for() {
    let review = |kind: &str, data: &str| {
        record(&format!(r#"{{"type":"review.{kind}","timestamp":"2023-11-14T22:13:20Z","data":{data}}}"#))
    };
    let walked =
        reviews::contribution(&review("created", r#"{"id":1,"creatorId":7,"stars":"4","title":12.50}"#)).unwrap();
    assert_eq!((walked.id.as_str(), walked.version), ("1", NOW));
    assert_eq!(walked.passed, Some(fields(&doc! {"creatorId": "7", "stars": 4, "x": 1}, &["creatorId", "stars"])));
    let same = reviews::contribution(&review("created", r#"{"id":1.0,"creatorId":7e0,"stars":4.0}"#)).unwrap();
    assert_eq!((same.id, same.passed), (walked.id, walked.passed));
    let gone = review("deleted", r#"{"id":"r","updatedAt":1600000000}"#);
    let expected = Walked { id: "r".to_owned(), version: 1_600_000_000_000_000 * 4 + 2, deleted: true, passed: None };
    assert_eq!(reviews::algolia(&gone), Some(expected));
    for data in [
        r#"{"id":"r","creatorId":"c","stars":4.5}"#,
        r#"{"id":"r","creatorId":"c","stars":6}"#,
        r#"{"id":"r","stars":4}"#,
        r#"{"id":"r","creatorId":"c","stars":4,"title":true}"#,
        r#"{"id":"r","creatorId":"c","stars":4,"stars":4}"#,
    ] {
        assert_eq!(reviews::contribution(&review("updated", data)), None, "{data}");
    }
}
