//! Whole documents of realistic messages, and what must hold for every document.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::samples::{CARD_DOCUMENTED, samples};
use super::{create, document, sound, written};
use crate::strategies::{STRATEGIES, Strategy};
use crate::{Fields, TransactionKind, decode, strategy_details};

#[test]
fn documents_of_realistic_messages() {
    for (name, payload) in samples() {
        let line = document(payload.as_bytes());
        let mut fields = String::new();
        for (key, raw) in sound(&line).iter() {
            writeln!(fields, "{key}: {}", raw.get()).unwrap();
        }
        insta::assert_snapshot!(*name, fields);
    }
}

#[test]
fn every_strategy_has_a_sample() {
    for strategy in STRATEGIES {
        let sampled = samples().any(|(_, payload)| {
            let event = decode(payload.as_bytes(), None).unwrap();
            let found = Strategy::of(&event.transaction);
            found.is_some_and(|found| std::ptr::eq(found, strategy)) && written(&event).contains("\"_enriched\":true")
        });
        assert!(sampled, "no sample of {:?}", strategy.types);
    }
}

#[test]
fn what_a_strategy_adds_is_what_it_says() {
    let mut added = BTreeSet::new();
    for (_, payload) in samples() {
        let event = decode(payload.as_bytes(), None).unwrap();
        let own = event.transaction.get("metadata").and_then(|raw| Fields::parse(raw.get()));
        let line = written(&event);
        let Some(metadata) = sound(&line).get("metadata").and_then(|raw| Fields::parse(raw.get())) else { continue };
        let new = |name: &&str| own.as_ref().is_none_or(|own| own.get(name).is_none());
        let declared = Strategy::of(&event.transaction).map_or(&[][..], |strategy| strategy.details);
        let names: Vec<String> = metadata.iter().map(|(name, _)| name.to_string()).collect();
        for name in names.iter().map(String::as_str).filter(new) {
            added.insert(*declared.iter().find(|known| **known == name).expect(name));
        }
    }
    assert_eq!(added, strategy_details().collect(), "each is shown by a sample");
}

#[test]
fn reserved_fields_are_dropped_and_counted() {
    let (_, payload) = samples().find(|(name, _)| *name == "reserved_fields").unwrap();
    assert_eq!(decode(payload.as_bytes(), None).unwrap().dropped_fields, 4);
    assert_eq!(decode(CARD_DOCUMENTED.as_bytes(), None).unwrap().dropped_fields, 0);
}

#[test]
fn the_document_ends_the_buffer_and_begins_nothing() {
    let event = decode(CARD_DOCUMENTED.as_bytes(), None).unwrap();
    let mut out = b"before\n".to_vec();
    crate::write_document(&event, "2024-01-01T12:00:05Z", &mut out);
    assert_eq!(std::str::from_utf8(&out).unwrap(), format!("before\n{}", written(&event)));
}

#[test]
fn a_tombstone_holds_nothing_personal() {
    let whole = CARD_DOCUMENTED.replace("transaction.created", "transaction.deleted");
    let bare = r#"{"event_type":"transaction.deleted","transaction":{"id":"uuid"},"timestamp":"2024-01-01T12:00:00Z"}"#;
    let flat = r#"{"event_type":"transaction.deleted","transaction_id":"uuid","timestamp":"2024-01-01T12:00:00Z"}"#;
    for payload in [&whole, bare, flat] {
        let event = decode(payload.as_bytes(), None).unwrap();
        assert!(event.is_delete());
        assert_eq!(written(&event), r#"{"id":"uuid","_deleted":true,"_updated_at":"2024-01-01T12:00:00.000000Z"}"#);
    }
}

#[test]
fn an_event_says_what_the_envelope_said() {
    let event = decode(CARD_DOCUMENTED.as_bytes(), Some(1_704_110_400_000)).unwrap();
    assert_eq!((event.kind, &*event.id), (TransactionKind::Created, "uuid"));
    assert_eq!((event.timestamp_micros(), event.version()), (1_704_110_400_000_000, 6_816_441_600_000_000));
    assert_eq!(&*event.timestamp_received, "2024-01-01T12:00:00Z");
    assert_eq!(event.source.as_deref(), Some("synthetic_data_generator"));
    assert_eq!(event.transaction.text("amount").as_deref(), Some("100.50"));
}

#[test]
fn message_ids_tell_messages_apart() {
    let id = |payload: &str| decode(payload.as_bytes(), None).unwrap().message_id;
    let first = id(CARD_DOCUMENTED);
    assert_eq!(first, id(&CARD_DOCUMENTED.replace("100.50", "1")), "made of id, type and timestamp alone");
    assert_ne!(first, id(&CARD_DOCUMENTED.replace("\"uuid\"", "\"uuid2\"")));
    assert_ne!(first, id(&CARD_DOCUMENTED.replace("created\"", "updated\"")));
    // The same instant written in another way is another message.
    assert_ne!(
        first,
        id(&CARD_DOCUMENTED
            .replace("\"timestamp\": \"2024-01-01T12:00:00Z", "\"timestamp\": \"2024-01-01T12:00:00+00:00"))
    );
    // SHA-256 over (length as u64 big-endian, bytes) of the three parts, computed apart from this program.
    let hex: String = first.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "7e7f90bae5cef59a2903a525de356090c52b13881d48ab49a426caf37c14b915");
}

#[test]
fn what_no_store_takes_is_kept_as_text_to_the_letter() {
    let number = "9".repeat(1_001);
    let fields = format!(
        r#""amount":{number},"a..b":{{"x" :
 1}},"status":[{{}}],"metadata":{{"a":1,"b":{{"c":1}},"a":"\ud83d","n\u0000":{number},"note":"x","note":null}},"$set":"\ud83d""#
    );
    let event = create(&fields);
    let line = document(event.as_bytes());
    let document = sound(&line);
    let of =
        |field: &str, member: Option<&str>, json: &str| (field.to_owned(), member.map(str::to_owned), json.to_owned());
    let expected = [
        of("metadata", Some("a"), "1"),
        of("metadata", Some("a"), r#""\ud83d""#),
        of("metadata", Some("n\0"), &number),
        of("metadata", Some("note"), r#""x""#),
        of("metadata", Some("note"), "null"),
        of("amount", None, &number),
        of("a..b", None, "{\"x\" :\n 1}"),
        of("status", None, "[{}]"),
        of("$set", None, r#""\ud83d""#),
    ];
    assert_eq!(super::kept_as_text(&document), expected);
    assert!(line.contains(r#""metadata":{"b":{"c":1},"direction":"#), "{line}");
    for name in ["amount", "a..b", "status", "$set"] {
        assert!(document.get(name).is_none(), "{name}");
    }
    let all = document_of_other_type(&event);
    assert!(all.contains(r#""metadata":{"b":{"c":1}},"#), "{all}");
    let list = self::document(create(r#""metadata":[{"a":1,"a":2}]"#).as_bytes());
    assert_eq!(super::kept_as_text(&sound(&list)), [of("metadata", None, r#"[{"a":1,"a":2}]"#)]);
    let none = self::document(create(r#""metadata":{"a":1,"a":2}"#).as_bytes());
    assert!(none.contains(r#""metadata":{},"#), "{none}");
}

fn document_of_other_type(event: &str) -> String {
    document(event.replace("\"card\"", "\"barter\"").as_bytes())
}

#[test]
fn the_producers_own_details_win() {
    let payload = create(r#""metadata":{"card_last_four":"1234","card_masked":"mine"}"#);
    let line = document(payload.as_bytes());
    assert!(line.contains(r#""card_masked":"mine"}"#), "{line}");
    assert_eq!(line.matches("card_masked").count(), 1);
}

#[test]
fn a_name_with_a_lone_surrogate_is_read_like_any_other() {
    let line = document(create(r#""metadata":{"\ud800":1}"#).as_bytes());
    assert!(line.contains(r#""metadata":{"\ufffd":1},"search_content""#), "{line}");
    assert!(line.contains("\"_enriched\":true"));
}

#[test]
fn indentation_goes_and_strings_keep_theirs() {
    let payload = create("\"metadata\":\n{\r\n\t\"note\": \"a\\n  b  c\",\n  \"list\": [\n    1,\n    2\n  ]\n}");
    let line = document(payload.as_bytes());
    assert!(line.contains(r#""metadata":{"note": "a\n  b  c","list": [1,2]},"#), "{line}");
}

#[test]
fn ten_thousand_metadata_keys() {
    let keys: Vec<String> = (0..10_000).map(|n| format!("\"key_{n}\":{n}")).collect();
    let line = document(create(&format!("\"metadata\":{{{}}},\"amount\":5", keys.join(","))).as_bytes());
    let metadata = sound(&line).get("metadata").unwrap();
    assert_eq!(crate::Fields::parse(metadata.get()).unwrap().len(), 10_001, "the direction is added");
}

#[test]
fn ten_thousand_top_level_fields() {
    let fields: Vec<String> = (0..10_000).map(|n| format!("\"key_{n}\":{n}")).collect();
    let line = document(create(&fields.join(",")).as_bytes());
    assert_eq!(sound(&line).len(), 10_000 + 3 + 5);
}

#[test]
fn a_payload_of_five_megabytes() {
    let note = "Ünï ".repeat(1_000_000);
    let line =
        document(create(&format!("\"metadata\":{{\"note\":\"{note}\",\"a\":[{}1]}}", "1,".repeat(50_000))).as_bytes());
    let search = sound(&line).text("search_content").unwrap();
    assert!(search.starts_with("Ünï Uni card") && search.len() < 2_048, "{}", search.len());
    assert!(line.len() > 5_000_000);
}
