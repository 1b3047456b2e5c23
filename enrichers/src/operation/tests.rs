use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::DecodeError;

const CREATE: &str = r#"{"type":"CREATE","entity":"Business","data":{"id":42,"name":"a"},"metadata":{"operationId":"op_1","timestamp":1699876543210,"userId":123,"source":"adelante-sumerce","action":"create_business"}}"#;

fn class(payload: impl AsRef<[u8]>) -> &'static str {
    match decode(payload.as_ref()) {
        Ok(_) => "accepted",
        Err(DecodeError { class, reason }) => {
            assert!(!reason.contains("SECRET"), "{reason}");
            class
        }
    }
}

fn with(from: &str, to: &str) -> String {
    assert!(CREATE.contains(from), "{from}");
    CREATE.replace(from, to)
}

fn update(expected: &str) -> String {
    with("\"userId\":123", &format!("\"expectedVersion\":{expected}")).replace("CREATE", "UPDATE")
}

fn raw(text: &str) -> &RawValue {
    serde_json::from_str(text).unwrap()
}

#[test]
fn an_operation_as_the_seed_has_it() {
    let operation = decode(CREATE.as_bytes()).unwrap();
    assert_eq!((operation.verb, operation.entity.as_ref(), operation.rows.len()), (Verb::Create, "Business", 1));
    let metadata = operation.metadata;
    assert_eq!((metadata.operation_id.as_deref(), metadata.time_micros), (Some("op_1"), Some(1_699_876_543_210_000)));
    assert_eq!(metadata.user_id.as_deref(), Some("123"));
    assert_eq!(
        (metadata.source.as_deref(), metadata.action.as_deref()),
        (Some("adelante-sumerce"), Some("create_business"))
    );
}

#[test]
fn every_form_of_data() {
    let form = |verb: &str, data: &str| {
        let operation = format!(r#"{{"type":"{verb}","entity":"X","data":{data}}}"#);
        decode(operation.as_bytes()).map_err(|error| error.class).map(|operation| {
            let form = match operation.rows.first() {
                Some(RowChange::Whole(_)) => "whole",
                Some(RowChange::Where { .. }) => "where",
                Some(RowChange::Id(_)) => "id",
                None => "none",
            };
            (operation.rows.len(), form, operation.shared.is_some())
        })
    };
    for (verb, data, expected) in [
        ("UPDATE", r#"{"id":1,"a":2}"#, Ok((1, "whole", false))),
        ("UPDATE", r#"{"where":{"id":1},"values":{"a":2}}"#, Ok((1, "where", false))),
        ("UPDATE", r#"{"where":{"id":1},"values":{"a":2},"b":1}"#, Ok((1, "whole", false))),
        ("DELETE", r#"{"id":1}"#, Ok((1, "whole", false))),
        ("DELETE", r#"{"where":{"id":1}}"#, Ok((1, "whole", false))),
        ("BULK_CREATE", r#"[{"id":1},{"id":2}]"#, Ok((2, "whole", false))),
        ("BULK_CREATE", r#"{"records":[{"id":1}]}"#, Ok((1, "whole", false))),
        ("BULK_UPDATE", r#"[{"where":{"id":1},"values":{"a":2}}]"#, Ok((1, "where", false))),
        ("BULK_UPDATE", r#"{"records":[{"id":1,"a":2}]}"#, Ok((1, "whole", false))),
        ("BULK_UPDATE", r#"{"ids":[1,2,3],"values":{"a":2}}"#, Ok((3, "id", true))),
        ("BULK_CREATE", r#"{"ids":[1],"values":{"a":2}}"#, Err("bad_data")),
        ("BULK_CREATE", "[]", Err("empty_bulk")),
        ("BULK_UPDATE", r#"{"ids":[],"values":{}}"#, Err("empty_bulk")),
        ("BULK_CREATE", "[1]", Err("bad_data")),
        ("CREATE", "[]", Err("bad_data")),
        ("CREATE", "null", Err("bad_data")),
        ("DELETE", "7", Err("bad_data")),
    ] {
        assert_eq!(form(verb, data), expected, "{verb} {data}");
    }
}

#[test]
fn what_cannot_be_understood_says_why() {
    for (payload, expected) in [
        (with("CREATE", "UPSERT"), "unknown_operation"),
        (with("\"CREATE\"", "7"), "unknown_operation"),
        (with("\"Business\"", "\"\""), "bad_entity"),
        (with("\"Business\"", "null"), "bad_entity"),
        (with("\"name\":\"a\"", "\"id\":\"SECRET\""), "duplicate_field"),
        (with("\"op_1\"", &format!("\"{}\"", "x".repeat(513))), "operation_id_too_long"),
        (with("\"op_1\"", &format!("\"{}\"", "x".repeat(512))), "accepted"),
        (with("\"op_1\"", "{}"), "bad_metadata"),
        (with("\"op_1\"", "\"\""), "accepted"),
        (with("1699876543210", "\"SECRET\""), "bad_timestamp"),
        (with("\"adelante-sumerce\"", "[\"SECRET\"]"), "bad_metadata"),
        (CREATE.replace("{\"operationId", "[{\"operationId").replace("}}", "}]}"), "bad_metadata"),
        (with("\"userId\":123", "\"expectedVersion\":1"), "bad_metadata"),
        (update(r#""1""#), "accepted"),
        (update("-1"), "accepted"),
        (update("1.5"), "bad_metadata"),
        (update(r#""SECRET""#), "bad_metadata"),
        ("[]".to_owned(), "not_an_object"),
        ("{".to_owned(), "not_json"),
        (format!("{}1{}", "[".repeat(200), "]".repeat(200)), "too_deep"),
    ] {
        assert_eq!(class(&payload), expected, "{payload}");
    }
    assert_eq!(class(b"\xff{}"), "not_utf8");
}

#[test]
fn a_column_takes_what_fits_in_one_spelling() {
    let integer = ColumnKind::Integer { min: -128, max: 127 };
    let money = ColumnKind::Decimal(Some((6, 2)));
    let text = ColumnKind::Text { most: Some(3), nul: false };
    let time = ColumnKind::DateTime { digits: 3 };
    for (kind, written, expected) in [
        (&integer, "42", Ok("42")),
        (&integer, "\"42\"", Ok("42")),
        (&integer, "4.2e1", Ok("42")),
        (&integer, "\"0042\"", Ok("42")),
        (&integer, "128", Err("out_of_range")),
        (&integer, "\"42 \"", Err("wrong_type")),
        (&integer, "1.5", Err("wrong_type")),
        (&integer, "true", Err("wrong_type")),
        (&money, "1234.50", Ok("1234.5")),
        (&money, "\"-0.10\"", Ok("-0.1")),
        (&money, "12345", Err("out_of_range")),
        (&money, "1.001", Err("out_of_range")),
        (&money, "\"1,5\"", Err("wrong_type")),
        (&text, "\"äöü\"", Ok("äöü")),
        (&text, "\"four\"", Err("too_long")),
        (&text, r#""a\u0000""#, Err("bad_text")),
        (&text, "1", Err("wrong_type")),
        (&time, "\"2024-11-14T10:30:00.123456+02:00\"", Ok("2024-11-14 08:30:00.123")),
        (&time, "1699876543210", Ok("2023-11-13 11:55:43.210")),
        (&time, "\"yesterday\"", Err("wrong_type")),
        (&ColumnKind::DateTime { digits: 0 }, "\"2024-11-14T10:30:00.9Z\"", Ok("2024-11-14 10:30:00")),
        (&ColumnKind::Date, "\"2024-11-14\"", Ok("2024-11-14")),
        (&ColumnKind::Date, "\"2024-13-14\"", Err("wrong_type")),
        (&ColumnKind::Boolean, "true", Ok("true")),
        (&ColumnKind::Boolean, "0", Ok("false")),
        (&ColumnKind::Boolean, "2", Err("wrong_type")),
        (&ColumnKind::Float, "1e400", Err("out_of_range")),
        (&ColumnKind::Json, "{\"a\":[1.50]}", Ok("{\"a\":[1.50]}")),
        (&ColumnKind::OneOf(vec!["a".into()]), "\"b\"", Err("out_of_range")),
    ] {
        let value = kind.value(raw(written), "c").map_err(|error| error.class);
        let value = value.map(|value| value.text().unwrap().into_owned());
        assert_eq!(value.as_deref().map_err(|class| *class), expected, "{written}");
        assert_eq!(kind.value(raw("null"), "c"), Ok(SqlValue::Null));
    }
}

#[test]
fn a_key_is_folded_as_its_collation_folds() {
    let key = |parts: &[(&str, bool)]| {
        let values: Vec<_> = parts.iter().map(|(text, folded)| (SqlValue::Text((*text).to_owned()), *folded)).collect();
        canonical(values.iter().map(|(value, folded)| (value, *folded)))
    };
    assert_eq!(key(&[("José ", true)]), key(&[("JOSE", true)]));
    assert_ne!(key(&[("José", false)]), key(&[("jose", false)]));
    assert_ne!(key(&[("a,b", false), ("c", false)]), key(&[("a", false), ("b,c", false)]));
    assert_eq!(canonical([(&SqlValue::Integer(42), false)].into_iter()), "42");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        decode(&payload).ok();
    }

    #[test]
    fn no_value_makes_it_panic(text in "\\PC{0,40}", digits in 0_u32..9, number in any::<f64>()) {
        let quoted = serde_json::to_string(&text).unwrap();
        let kinds = [
            ColumnKind::Integer { min: 0, max: 9 }, ColumnKind::Decimal(Some((5, 2))), ColumnKind::Decimal(None), ColumnKind::Float,
            ColumnKind::Text { most: Some(5), nul: true }, ColumnKind::Boolean, ColumnKind::Date,
            ColumnKind::DateTime { digits }, ColumnKind::Json, ColumnKind::Other,
        ];
        let number = serde_json::to_string(&number).unwrap();
        for kind in kinds {
            kind.value(raw(&quoted), "c").ok();
            kind.value(raw(&number), "c").ok();
        }
    }

    #[test]
    fn whatever_is_decoded_is_about_its_id(id in "[a-z0-9]{1,20}") {
        let payload = format!(r#"{{"type":"DELETE","entity":"User","data":{{"id":"{id}"}}}}"#);
        prop_assert!(is_about(payload.as_bytes(), &id));
    }
}
