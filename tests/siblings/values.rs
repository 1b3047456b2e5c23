//! Odd values through every store, held against what is written here by hand. No code of the program tells what is right.

use std::collections::BTreeMap;

use mongodb::bson::{Bson, DateTime, Document, doc};
use serde_json::value::RawValue;
use testkit::choices::{IN_ALGOLIA, OF_TRANSACTIONS, without};
use testkit::database::OwnDatabase;
use testkit::services::source_of;
use testkit::siblings::Siblings;
use testkit::world::World;

use crate::PROGRAM;

/// A value as it is sent, as the index has to hold it to the letter, and as MongoDB has to.
struct Odd {
    name: &'static str,
    sent: &'static str,
    indexed: &'static str,
    stored: Bson,
}

fn odd(name: &'static str, sent: &'static str, stored: impl Into<Bson>) -> Odd {
    Odd { name, sent, indexed: sent, stored: stored.into() }
}

fn decimal(digits: &str) -> Bson {
    Bson::Decimal128(digits.parse().unwrap())
}

fn odd_values() -> Vec<Odd> {
    let nested = doc! {"a": {"b": [1_i64, {"c": null}, []], "d": {}}, "ü": "é", "n": decimal("-0.50")};
    vec![
        Odd { indexed: r#""cut \ufffd""#, ..odd("cut", r#""cut \ud83d""#, "cut \u{fffd}") },
        Odd { indexed: r#""\ufffdx\ufffd""#, ..odd("halves", r#""\ud83dx\ude00""#, "\u{fffd}x\u{fffd}") },
        odd("pair", r#""\ud83d\ude00""#, "\u{1f600}"),
        odd("nul", r#""a\u0000b""#, "a\0b"),
        odd("escapes", r#""\\ud83d\/\"\n\t""#, "\\ud83d/\"\n\t"),
        odd("empty", r#""""#, ""),
        odd("flag", "true", true),
        odd("nothing", "null", Bson::Null),
        odd("nested", r#"{"a":{"b":[1,{"c":null},[]],"d":{}},"ü":"é","n":-0.50}"#, nested),
        odd("naïve ключ 🔑", r#""v""#, "v"),
        odd("exponent", "1.23456789E7", decimal("1.23456789E+7")),
        odd("digits23", "12345678901234567890123", decimal("12345678901234567890123")),
        odd("digits40", "1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
        odd("tiny", "0.000000000000000001", decimal("1E-18")),
        odd("tinier", "-1e-300", decimal("-1E-300")),
        odd("zeros", "1.1000", decimal("1.1000")),
        odd("oid", r#"{"$oid":"65540a1f0000000000000000"}"#, doc! {"$oid": "65540a1f0000000000000000"}),
        odd("date", r#"[{"$date":{"$numberLong":"5"}}]"#, vec![doc! {"$date": {"$numberLong": "5"}}]),
        odd("minus_zero", "-0", decimal("-0")),
        odd("long", "9223372036854775807", i64::MAX),
        odd("longer", "9223372036854775808", decimal("9223372036854775808")),
        // Where a text is usual.
        odd("status", "true", true),
        odd("currency", "978", 978_i64),
        odd("product", r#""\u0000x""#, "\0x"),
    ]
}

/// Amounts as they are sent, as the audit's column has to show them, and as MongoDB has to hold them.
fn odd_amounts() -> Vec<(String, Option<String>, Bson)> {
    let of = |sent: &str, column: &str, stored: Bson| (sent.to_owned(), Some(column.to_owned()), stored);
    let nines = "9".repeat(40);
    vec![
        of("1.23456789E7", "12345678.9", decimal("1.23456789E+7")),
        of(r#""1.23456789E7""#, "12345678.9", "1.23456789E7".into()),
        of("12345678901234567890123", "12345678901234567890123", decimal("12345678901234567890123")),
        of("-0.000000000000000001", "-0.000000000000000001", decimal("-1E-18")),
        of("1.10", "1.10", decimal("1.10")),
        of("-0", "0", decimal("-0")),
        of("1E40", &format!("1{}", "0".repeat(40)), decimal("1E+40")),
        of(&nines, &nines, nines.as_str().into()),
        of(r#""+5""#, "5", "+5".into()),
        of(r#"".5""#, "0.5", ".5".into()),
        ("null".to_owned(), None, Bson::Null),
    ]
}

fn event(id: &str, fields: &str) -> String {
    format!(
        r#"{{"event_type":"transaction.created","timestamp":"2024-01-01T00:00:00.000001Z","transaction":{{"id":"{id}","user_id":"u","transaction_type":"voucher",{fields}}}}}"#
    )
}

/// 2024-01-01T00:00:00.000001Z.
const VERSION: i64 = 1_704_067_200_000_001 * 4;

fn members(source: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(source).unwrap()
}

/// Texts by their characters, whichever way they are escaped; everything else to the letter.
pub fn same(held: &str, expected: &str) -> bool {
    let text = |json: &str| serde_json::from_str::<String>(json).ok();
    text(expected).map_or(held == expected, |expected| text(held) == Some(expected))
}

#[test]
fn odd_values_are_held_by_every_store_as_they_came() {
    let mut world = World::new(PROGRAM, "values");
    let database = OwnDatabase::of(&mut world);
    let siblings = Siblings::in_world(world);
    let (values, amounts) = (odd_values(), odd_amounts());
    let fields: Vec<String> = values.iter().map(|odd| format!(r#""{}":{}"#, odd.name, odd.sent)).collect();
    let metadata = format!(r#""metadata":{{{}}}"#, fields.join(","));
    let mut events =
        vec![("odd".to_owned(), event("odd", &fields.join(","))), ("inner".to_owned(), event("inner", &metadata))];
    for (n, (sent, ..)) in amounts.iter().enumerate() {
        let id = format!("amount-{n}");
        events.push((id.clone(), event(&id, &format!(r#""amount":{sent}"#))));
    }
    let records: Vec<(&str, &str)> = events.iter().map(|(id, event)| (id.as_str(), event.as_str())).collect();
    siblings.world.create_topic(&[]);
    siblings.world.send(&siblings.topic("transactions"), &records);
    let systems = without(&OF_TRANSACTIONS, &IN_ALGOLIA);
    for (system, summary) in siblings.run_once(&systems) {
        assert_eq!(summary["applied"], records.len(), "{system}: {summary}");
    }

    let rows = database.rows();
    let documents = siblings.collection("transactions", "_id");
    for (id, event) in &events {
        assert_eq!(rows[id].0.as_ref(), Some(event), "{id}, byte for byte");
        assert_eq!(documents[id].get_i64("_version").unwrap(), VERSION, "{id}");
    }
    let odd_columns = [None, None, Some("\u{fffd}x".to_owned()), Some("978".to_owned())];
    assert_eq!(rows["odd"].1, odd_columns, "a boolean is no text, and SQL has no NUL");
    let (source, inner) = (members(&source_of(&siblings.world.name, "odd")), source_of(&siblings.world.name, "inner"));
    let inner = members(members(&inner)["metadata"].get());
    let inner_stored = documents["inner"].get_document("metadata").unwrap();
    for Odd { name, indexed, stored, .. } in &values {
        for held in [&source[*name], &inner[*name]] {
            assert!(same(held.get(), indexed), "{name}: {held} in the index, and not {indexed}");
        }
        assert_eq!((documents["odd"].get(name), inner_stored.get(name)), (Some(stored), Some(stored)), "{name}");
    }
    for (n, (sent, column, stored)) in amounts.iter().enumerate() {
        let id = format!("amount-{n}");
        assert_eq!(members(&source_of(&siblings.world.name, &id))["amount"].get(), sent, "in the index");
        assert_eq!(&rows[&id].1[0], column, "{sent} in the audit");
        assert_eq!(documents[&id].get("amount"), Some(stored), "{sent} in MongoDB");
    }
    systems.iter().for_each(|system| siblings.assert_verified(system));
}

fn clerk(kind: &str, data: &str) -> String {
    format!(r#"{{"type":"{kind}","object":"event","timestamp":1700000000001,"data":{data}}}"#)
}

#[test]
fn odd_values_of_people_are_held_as_they_came() {
    let siblings = Siblings::new(PROGRAM, "people");
    siblings.create_topic("users");
    let mut values = odd_values();
    values.push(odd("vast", "1E7000", "1E7000"));
    let fields: Vec<String> = values.iter().map(|odd| format!(r#""{}":{}"#, odd.name, odd.sent)).collect();
    let user = format!(
        r#"{{"id":"u","first_name":"cut \ud83d","last_name":"","username":12345678901234567890123,"image_url":null,
        "created_at":1.600000000001E12,"updated_at":"2024-01-01T00:00:00.000001Z","primary_email_address_id":"b",
        "email_addresses":[{{"id":"a","email_address":"a@x"}},{{"id":"b","email_address":"\u00fc\u0000@x","verification":{{"status":"verified"}}}}],
        "public_metadata":{{{}}}}}"#,
        fields.join(",")
    );
    let member = r#"{"id":"m","role":1.50,"organization":{"id":"o","name":"\ud83d\ude00"},"public_user_data":{"user_id":"u"},"updated_at":1600000000}"#;
    let session = r#"{"id":"s","user_id":"u","client_id":7,"status":"\u0000","expire_at":"2024-01-01T00:00:00.0019Z"}"#;
    let events = [
        clerk("user.created", &user),
        clerk("organizationMembership.updated", member),
        clerk("session.ended", session),
    ];
    let records: Vec<(&str, &str)> = events.iter().map(|event| ("u", event.as_str())).collect();
    siblings.world.send(&siblings.topic("users"), &records);
    let summary = &siblings.run_once(&["users"])["users"];
    assert_eq!(summary["applied"], 3, "{summary}");

    let without = |document: &Document, names: &[&str]| -> Document {
        document.clone().into_iter().filter(|(name, _)| name != "_id" && !names.contains(&name.as_str())).collect()
    };
    let held = &siblings.collection("users", "clerkId")["u"];
    let expected = doc! {
        "clerkId": "u", "_version": VERSION, "isDeleted": false, "email": "ü\0@x", "emailVerified": true,
        "firstName": "cut \u{fffd}", "lastName": "", "username": "12345678901234567890123",
        "createdAt": DateTime::from_millis(1_600_000_000_001), "updatedAt": DateTime::from_millis(1_704_067_200_000),
    };
    assert_same(&without(held, &["webhookPayload"]), &expected);
    let data = held.get_document("webhookPayload").unwrap().get_document("data").unwrap();
    assert_eq!(data.get("first_name"), Some(&"cut \u{fffd}".into()));
    assert_eq!(data.get("created_at"), Some(&decimal("1.600000000001E+12")));
    let inner = data.get_document("public_metadata").unwrap();
    for Odd { name, stored, .. } in values {
        assert_eq!(inner.get(name), Some(&stored), "{name}");
    }
    let expected = doc! {
        "membershipId": "m", "_version": 1_600_000_000_000_000_i64 * 4 + 1, "isDeleted": false, "clerkId": "u",
        "organizationId": "o", "organizationName": "\u{1f600}", "role": "1.50",
        "updatedAt": DateTime::from_millis(1_600_000_000_000),
    };
    assert_same(&without(&siblings.collection("organizationMemberships", "membershipId")["m"], &[]), &expected);
    let expected = doc! {
        "sessionId": "s", "_version": 1_700_000_000_001_000_i64 * 4 + 1, "isDeleted": false, "clerkId": "u",
        "clientId": "7", "status": "\0", "lastEvent": "ended", "expireAt": DateTime::from_millis(1_704_067_200_001),
    };
    assert_same(&without(&siblings.collection("userSessions", "sessionId")["s"], &[]), &expected);
    siblings.assert_verified("users");
}

/// The same fields, in any order.
fn assert_same(held: &Document, expected: &Document) {
    let sorted = |document: &Document| document.clone().into_iter().collect::<BTreeMap<_, _>>();
    assert_eq!(sorted(held), sorted(expected));
}
