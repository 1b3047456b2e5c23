//! What becomes of records: good ones in both versions, and every field missing, null or of a wrong type.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "in a test a panic is the answer")]

use events::{
    CloudAttributes, DecodeError, Event, EventData, EventName, EventRecord, EventVersion, example, fields,
    list_required, read, schema, write,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// 2026-03-01T12:00:00Z, the time of the examples.
const AT: i64 = 1_772_366_400_000;

fn received(name: EventName, payload: &[u8], cloud: CloudAttributes<'_>) -> Result<Event, DecodeError> {
    read(name, &EventRecord { topic: name.as_str(), payload, timestamp_ms: Some(AT), cloud })
}

fn taken(name: EventName, payload: &Value) -> Result<Event, DecodeError> {
    received(name, payload.to_string().as_bytes(), CloudAttributes::default())
}

fn payload(name: EventName, version: EventVersion) -> Value {
    serde_json::from_slice(&write(&example(name, version).unwrap()).unwrap()).unwrap()
}

/// The object that holds the fields of the event.
fn data(payload: &mut Value, version: EventVersion) -> &mut serde_json::Map<String, Value> {
    match version {
        EventVersion::V1 => payload.as_object_mut().unwrap(),
        EventVersion::V2 => payload["data"].as_object_mut().unwrap(),
    }
}

fn every() -> impl Iterator<Item = (EventName, EventVersion)> {
    EventName::ALL.iter().flat_map(|name| EventVersion::ALL.map(|version| (*name, version)))
}

#[test]
fn both_versions_say_the_same() {
    for name in EventName::ALL {
        let [old, new] = EventVersion::ALL.map(|version| taken(*name, &payload(*name, version)).unwrap());
        assert_eq!(old.data, new.data, "{name}");
        assert_eq!((&old.id, old.time), (&new.id, new.time));
        assert_eq!((old.version, new.version), (EventVersion::V1, EventVersion::V2));
        assert_eq!(old, example(*name, EventVersion::V1).unwrap());
    }
}

#[test]
fn the_seeds_own_objects_are_read() {
    let created = json!({"subscriptionId": "s", "subscriberId": "u", "creatorId": "c", "tierId": "t",
        "startDate": "2026-02-01T00:00:00.000Z"});
    let event = taken(EventName::SubscriptionCreated, &created).unwrap();
    assert_eq!((event.version, event.time.micros()), (EventVersion::V1, AT * 1_000));
    assert_eq!(event.id.as_str().len(), 64);
    let paid =
        json!({"type": "subscription", "paymentId": 7, "subscriptionId": "s", "amount": "9.90", "currency": "eur"});
    let EventData::PaymentCompleted(paid) = taken(EventName::PaymentCompleted, &paid).unwrap().data else { panic!() };
    assert_eq!((paid.payment_id.as_str(), paid.amount.as_str(), paid.currency.as_str()), ("7", "9.9", "EUR"));
}

#[test]
fn each_field_that_is_missing_null_or_of_a_wrong_type_is_named() {
    for (name, version) in every() {
        let required = list_required(name);
        let prefix = if version == EventVersion::V2 { "data." } else { "" };
        for field in fields(name) {
            let path = format!("`{prefix}{}`", field.name);
            let without = |value: Option<Value>| {
                let mut payload = payload(name, version);
                let fields = data(&mut payload, version);
                match value {
                    Some(value) => _ = fields.insert(field.name.to_owned(), value),
                    None => _ = fields.remove(field.name),
                }
                taken(name, &payload)
            };
            for value in [None, Some(Value::Null)] {
                let outcome = without(value.clone());
                assert_eq!(field.required, required.contains(&field.name.to_owned()));
                match outcome {
                    Err(error) => {
                        assert!(
                            error.reason.contains(&path) && error.class == "missing_field",
                            "{name} {path}: {error}"
                        );
                        // The others may be needed by their like.
                        let needed = ["subscriptionId", "currency"].contains(&field.name);
                        assert!(field.required || needed, "{name} {path} {value:?}: {error}");
                    }
                    Ok(_) => assert!(!field.required, "{name} {path} {value:?}"),
                }
            }
            for value in [json!(true), json!({"a": 1}), json!([[]]), json!([null])] {
                let error = without(Some(value.clone())).unwrap_err();
                assert!(error.reason.contains(&path), "{name} {path} {value}: {error}");
            }
        }
    }
}

#[test]
fn values_that_mean_nothing_good_have_a_reason() {
    let with = |name: EventName, field: &str, value: Value| {
        EventVersion::ALL.map(|version| {
            let mut payload = payload(name, version);
            data(&mut payload, version).insert(field.to_owned(), value.clone());
            taken(name, &payload).unwrap_err()
        })
    };
    use EventName::{MediaUploaded, PaymentCompleted, PostLiked, TierCreated};
    for (name, field, value, class) in [
        (TierCreated, "price", json!(-1), "bad_amount"),
        (TierCreated, "price", json!("12,50"), "bad_amount"),
        (TierCreated, "price", json!(true), "bad_field"),
        (TierCreated, "currency", json!("EURO"), "bad_currency"),
        (TierCreated, "tierId", json!(""), "bad_id"),
        (TierCreated, "tierId", json!("x".repeat(5_000)), "id_too_long"),
        (TierCreated, "tierId", json!("a\u{0}b"), "bad_id"),
        (TierCreated, "tierId", json!(1.5), "bad_field"),
        (TierCreated, "name", json!("x".repeat(5_000_000)), "text_too_long"),
        (PaymentCompleted, "type", json!("gift"), "unknown_word"),
        (PaymentCompleted, "type", json!("post"), "missing_field"),
        (PaymentCompleted, "periodEnd", json!("soon"), "bad_timestamp"),
        (MediaUploaded, "objectKey", json!("a/../b"), "bad_media_key"),
        (MediaUploaded, "objectKey", json!("/etc/passwd"), "bad_media_key"),
        (MediaUploaded, "objectKey", json!("a%2e%2e/b"), "bad_media_key"),
        (MediaUploaded, "size", json!(-1), "bad_field"),
        (PostLiked, "userId", json!([1]), "bad_field"),
    ] {
        for error in with(name, field, value.clone()) {
            assert_eq!(error.class, class, "{name} {field}: {error}");
        }
    }
}

/// A price as it stands in the text: `json!` could not write it.
#[test]
fn prices_are_read_from_their_text() {
    let price = |text: &str| {
        let payload = format!(r#"{{"tierId":"t","creatorId":"c","currency":"EUR","price":{text}}}"#);
        match received(EventName::TierCreated, payload.as_bytes(), CloudAttributes::default())?.data {
            EventData::TierCreated(tier) => Ok(tier.price.to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(price("12345678901234567890.10").unwrap(), "12345678901234567890.1");
    assert_eq!(price("0.1").unwrap(), "0.1");
    assert_eq!(price("1.25e1").unwrap(), "12.5");
    assert_eq!(price("1e400"), Err(bad("`price` is too large or too fine for an amount")));
    assert_eq!(price("-1"), Err(bad("`price` is negative")));
    assert_eq!(price("\"12,50\""), Err(bad("`price` has a decimal comma: write a point")));

    fn bad(reason: &str) -> DecodeError {
        DecodeError { class: "bad_amount", reason: reason.to_owned() }
    }
}

#[test]
fn the_frame_is_judged() {
    let name = EventName::PostLiked;
    let frame = |change: fn(&mut Value)| {
        let mut payload = payload(name, EventVersion::V2);
        change(&mut payload);
        taken(name, &payload).map_err(|error| error.class)
    };
    assert_eq!(frame(|event| event["version"] = json!("3.0")), Err("unknown_version"));
    assert_eq!(frame(|event| event["version"] = json!({})), Err("unknown_version"));
    assert!(frame(|event| event["version"] = json!(2)).is_ok());
    assert_eq!(frame(|event| event["version"] = Value::Null), Err("missing_field"));
    assert_eq!(frame(|event| event["type"] = json!("content.post.shared")), Err("unknown_event_type"));
    assert!(frame(|event| event["type"] = Value::Null).is_ok());
    assert_eq!(frame(|event| event["id"] = json!("x".repeat(513))), Err("id_too_long"));
    assert_eq!(frame(|event| event["id"] = json!({})), Err("bad_field"));
    assert_eq!(frame(|event| event["data"] = json!([])), Err("missing_field"));
    assert_eq!(frame(|event| event["timestamp"] = json!("tomorrow")), Err("bad_timestamp"));
    assert_eq!(frame(|event| event["timestamp"] = json!("2026-03-02T12:00:01Z")), Err("timestamp_out_of_range"));
    assert!(frame(|event| event["timestamp"] = json!("2026-03-02T12:00:00Z")).is_ok());
    for (payload, class) in [
        (&b"\xff"[..], "not_utf8"),
        (b"", "not_json"),
        (b"[]", "not_an_object"),
        (br#"{"postId":"a","postId":"b","userId":"u"}"#, "duplicate_field"),
        (br#"{"version":"2.0","data":{"postId":"a","postId":"b","userId":"u"}}"#, "duplicate_field"),
    ] {
        let error = received(name, payload, CloudAttributes::default()).unwrap_err();
        assert_eq!(error.class, class, "{error}");
    }
    let hint = taken(name, &json!({"type": name.as_str(), "data": {"postId": "p", "userId": "u"}})).unwrap_err();
    assert!(hint.reason.contains("`version`"), "{hint}");
}

#[test]
fn ids_and_times_come_from_where_they_are() {
    let name = EventName::PostLiked;
    let bare = br#"{"postId":"p","userId":"u"}"#;
    let headers = [("ce_specversion", "1.0"), ("ce_id", "from-header"), ("ce_time", "2026-03-01T11:00:00Z")];
    let cloud = CloudAttributes::of_headers(headers.iter().map(|(name, text)| (*name, Some(text.as_bytes()))));
    let event = received(name, bare, cloud).unwrap();
    assert_eq!((event.id.as_str(), event.time.micros()), ("from-header", (AT - 3_600_000) * 1_000));
    let own = br#"{"id":"own","timestamp":"2026-03-01T10:00:00Z","postId":"p","userId":"u"}"#;
    let event = received(name, own, cloud).unwrap();
    assert_eq!((event.id.as_str(), event.time.micros()), ("own", (AT - 7_200_000) * 1_000));
    let other = CloudAttributes::of_headers([("ce_id", Some(&b"x"[..])), ("ce_specversion", Some(&b"2.0"[..]))]);
    assert_eq!(other, CloudAttributes::default());

    let id = |topic: &str, payload: &[u8], timestamp_ms| {
        read(name, &EventRecord { topic, payload, timestamp_ms, cloud: CloudAttributes::default() }).unwrap().id
    };
    let first = id("t", bare, Some(AT));
    assert_eq!(first, id("t", bare, Some(AT)));
    assert_ne!(first, id("u", bare, Some(AT)));
    assert_ne!(first, id("t", bare, Some(AT + 1)));
    assert_ne!(first, id("t", br#"{"postId":"p", "userId":"u"}"#, Some(AT)));
    let timeless = EventRecord { topic: "t", payload: bare, timestamp_ms: None, cloud: CloudAttributes::default() };
    assert_eq!(read(name, &timeless).unwrap_err().class, "bad_timestamp");
}

#[test]
fn a_price_is_left_changed_or_taken_away() {
    let price = |payload: Value| match taken(EventName::PostUpdated, &payload).unwrap().data {
        EventData::PostUpdated(post) => post.price.map(|price| price.map(|amount| amount.to_string())),
        other => panic!("{other:?}"),
    };
    assert_eq!(price(json!({"postId": "p"})), None);
    assert_eq!(price(json!({"postId": "p", "price": null})), Some(None));
    assert_eq!(price(json!({"postId": "p", "price": 3, "currency": "EUR"})), Some(Some("3".to_owned())));
}

/// Values of all kinds, most of them wrong for most fields.
fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<i32>().prop_map(|cents| Value::from(f64::from(cents) / 100.0)),
        "\\PC{0,20}".prop_map(Value::from),
        "[a-z/.%]{0,12}".prop_map(Value::from),
        "[0-9]{0,22}\\.?[0-9]{0,3}".prop_map(Value::from),
        Just(json!("EUR")),
        Just(json!("2026-03-01T12:00:00Z")),
        proptest::collection::vec("[a-z]{0,3}", 0..3).prop_map(Value::from),
        Just(json!({"a": {"b": []}})),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0..18_usize) {
        received(EventName::ALL[at], &bytes, CloudAttributes::default()).ok();
    }

    #[test]
    fn no_cut_or_changed_event_makes_it_panic(at in 0..36_usize, place in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let (name, version) = every().nth(at).unwrap();
        let mut bytes = write(&example(name, version).unwrap()).unwrap();
        let place = place.index(bytes.len());
        received(name, &bytes[..place], CloudAttributes::default()).ok();
        bytes[place] = byte;
        received(name, &bytes, CloudAttributes::default()).ok();
    }

    /// What the schema lets through, the reader takes, and writes as it was read. How many digits a number has no schema can say.
    #[test]
    fn the_reader_takes_what_the_schema_says(at in 0..36_usize, which in any::<proptest::sample::Index>(), value in value()) {
        let (name, version) = every().nth(at).unwrap();
        let mut payload = payload(name, version);
        let mut names: Vec<&str> = name.field_names().to_vec();
        names.extend(["id", "version", "timestamp"]);
        let field = names[which.index(names.len())];
        let of_frame = ["id", "version", "timestamp"].contains(&field);
        let object = if of_frame { payload.as_object_mut().unwrap() } else { data(&mut payload, version) };
        object.insert(field.to_owned(), value);
        let valid = jsonschema::options().should_validate_formats(true).build(&schema(name, version)).unwrap().is_valid(&payload);
        match taken(name, &payload) {
            Ok(event) => prop_assert_eq!(received(name, &write(&event).unwrap(), CloudAttributes::default()), Ok(event)),
            Err(error) => prop_assert!(!valid, "{name}: {payload}: {error}"),
        }
    }
}
