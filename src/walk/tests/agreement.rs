//! The walk against the decoders: they share no code, and have to agree on everything.

use proptest::prelude::*;
use proptest::sample::select;

use super::*;

#[rustfmt::skip]
const PIECES: &[&str] = &[
    "null", "true", "0", "-0", "7", "01", "1.50", "1e3", "1E400", "\"\"", r#""a""#, r#""\ud83d""#, r#""\u00""#, "{}", "[]",
    r#"{"id":"a"}"#, r#"{"id":"a","id":"b"}"#, r#"{"user_id":"u"}"#, "[{\"id\":\"a\"}]", "12345678901234567890123",
    "\"+.5\"", "\"1,5\"", "1700000000", "-1", "-0.0000000000001", "1700000000123.9", r#""2023-11-14T22:13:20Z""#,
    r#""2023-11-14 22:13:20.1234567+0530""#, r#""2023-11-14T22:13""#, r#""9999-12-31T23:59:59""#, r#""2023-11-14""#, "5",
    "\"5\"", "\"1700000000\"", "\"170000000012.5\"", "1700000000123456", "17000000001234567.25", "4.0", "-0.0", "[2023,11,14,22,13]",
    "[2023,11,14,22,13,20,5]", "[2023,1]", r#""20231114T221320Z""#, r#""2023-11-14T22:13:20,5+01:00[A/B]""#,
    r#""2023-11-14 22:13:20 +0100""#, r#""2023-11-14T22:13:20 UTC""#, r#""20231114T2213 Z""#, r#""2023-11-14 22:13:20  +01""#, r#""2023-11-14 +0100""#, r#""20231114T2213.5""#,
];

/// A piece of JSON, sound or not.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => select(PIECES).prop_map(str::to_owned),
        1 => "[0-9]{1,12}",
        1 => "[-+.:0-9TZ ,]{0,25}".prop_map(|text| format!("\"{text}\"")),
    ]
}

proptest! {
    /// The walk takes for events what the decoders take for events, with the same ids and versions.
    #[test]
    fn decoders_and_walk_agree_on_whatever_comes(
        kind in select(&["created", "updated", "deleted", "ended"][..]),
        of in 0_usize..4,
        names in proptest::collection::vec((0_usize..14, piece()), 0..6),
        outer in proptest::collection::vec((0_usize..6, piece()), 0..2),
        cut in prop::option::weighted(0.05, 0_usize..400),
    ) {
        let inner = [
            "id", "user_id", "transaction_type", "amount", "updated_at", "updatedAt", "creatorId", "stars", "email_addresses", "title",
            "organization", "public_user_data", "_x", "first_name",
        ];
        let defaults = [
            r#""id":"a","user_id":"u","transaction_type":"card""#,
            r#""id":"a","email_addresses":[]"#,
            r#""id":"a","user_id":"u""#,
            r#""id":"a","creatorId":"c","stars":4"#,
        ];
        let types = ["transaction", "user", "session", "review"];
        let sent: Vec<&str> = names.iter().map(|(name, _)| inner[*name]).collect();
        let mut members: Vec<String> = defaults[of].split(',').map(str::to_owned).collect();
        members.retain(|member| !sent.iter().any(|name| member.starts_with(&format!("\"{name}\""))) || names.len() % 5 == 4);
        members.extend(names.iter().map(|(name, value)| format!("\"{}\":{value}", inner[*name])));
        let (named, object) = if of == 0 { ("event_type", "transaction") } else { ("type", "data") };
        let mut envelope =
            vec![format!(r#""{named}":"{}.{kind}""#, types[of]), format!(r#""{object}":{{{}}}"#, members.join(","))];
        let times = ["timestamp", "transaction_id", "x", "source", "transaction", "data"];
        if !outer.iter().any(|(name, _)| *name == 0) {
            envelope.push(r#""timestamp":1700000000"#.to_owned());
        }
        envelope.extend(outer.iter().map(|(name, value)| format!("\"{}\":{value}", times[*name])));
        let mut payload = format!("{{{}}}", envelope.join(","));
        if let Some(cut) = cut {
            payload.truncate((0..=cut.min(payload.len())).rev().find(|at| payload.is_char_boundary(*at)).unwrap());
        }
        let record = record(&payload);
        let (bytes, time) = (payload.as_bytes(), record.time_ms());
        let (decoded, walked) = match of {
            0 => {
                let event = enrichers::decode(bytes, time).ok();
                (event.map(|event| (event.id.to_string(), event.version(), event.is_delete())), transactions::index(&record))
            }
            3 => {
                let event = enrichers::review::decode(bytes, time).ok();
                (event.map(|event| (event.id.to_string(), event.version(), event.is_delete())), reviews::contribution(&record))
            }
            _ => {
                let event = match enrichers::clerk::decode(bytes, time) {
                    Ok(enrichers::clerk::ClerkRecord::Event(event)) => Some(event),
                    _ => None,
                };
                (event.map(|event| (event.id.to_string(), event.version(), event.is_delete())), users::mongodb(&record))
            }
        };
        let walked = walked.map(|walked| (walked.id, walked.version, walked.deleted));
        prop_assert_eq!(decoded, walked, "{}", payload);
    }
}

proptest! {
    /// What is kept as JSON text is told by both alike, and what is told is what came.
    #[test]
    fn what_no_store_takes_is_moved_by_one_rule(
        names in proptest::collection::vec((select(NAMES), piece_of(&ODD)), 0..5),
        inner in proptest::collection::vec((select(NAMES), piece_of(&ODD)), 0..5),
        kind in select(&["card", "barter"][..]),
    ) {
        let mut fields = vec![format!(r#""id":"a","user_id":"u","transaction_type":"{kind}""#)];
        fields.extend(names.iter().map(|(name, value)| format!("\"{name}\":{value}")));
        let inner: Vec<String> = inner.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        fields.push(format!(r#""metadata":{{{}}}"#, inner.join(" , \n ")));
        let payload = format!(
            r#"{{"event_type":"transaction.created","timestamp":1700000000,"transaction":{{{}}}}}"#, fields.join(","));
        let record = record(&payload);
        let Ok(decoded) = enrichers::decode(payload.as_bytes(), None) else { return Ok(()) };
        let mut document = Vec::new();
        let moved = enrichers::write_document(&decoded, "now", &mut document);
        let document = std::str::from_utf8(&document).unwrap();
        prop_assert_eq!(moved > 0, document.contains(r#""_unindexed":["#), "{}", document);
        let index = transactions::index(&record).unwrap().passed;
        prop_assert_eq!(transactions::of_source(document), index, "{}\n{}", payload, document);
        let stored = crate::stores::mongodb::document_of(document).unwrap();
        let mongodb = transactions::mongodb(&record).unwrap().passed;
        prop_assert_eq!(Some(transactions::of_document(&stored)), mongodb, "{}\n{}", payload, document);
    }
}

#[rustfmt::skip]
const NAMES: &[&str] = &[
    "x", "y", "", " ", ".", "a.b", "a..b", "a.", "amount.usd", "status", "status.x", "created_at", "product", "$oid", "\\u0000", "\\u0078",
    "\\ud83d", "\\udc00", "note", "\\u3000", "_x", "search_content", "search_content.x", "currency", "direction",
];
#[rustfmt::skip]
static ODD: [&str; 16] = [
    "1", "\"a\"", "{}", "[]", "[{}]", r#"{"a":1,"a":2}"#, r#"[[{"b":{"a":1,"\u0061":2}}]]"#, r#"{"$date":{"$numberLong":"5"}}"#,
    r#"{"\u0000":1}"#, r#"{"\ud83d":1,"\udc00":2}"#, r#"{"a":{"a":1},"b":{"a":1}}"#, "1E7000", r#"["}","{\"a\":1,\"a\":1}"]"#, "null",
    "LONG", r#"{"a" : [ LONG ]}"#,
];

fn piece_of(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let lengths = prop_oneof![Just(1_000_usize), Just(1_001), Just(3)];
    (select(pieces), lengths).prop_map(|(piece, length)| piece.replace("LONG", &"7".repeat(length)))
}

#[test]
fn what_enrichment_adds_is_known_to_the_walk() {
    let details: std::collections::BTreeSet<_> = enrichers::strategy_details().collect();
    assert_eq!(details, transactions::ADDED.into(), "verify would call what a strategy adds altered");
    let mut options = crate::synthetic::GeneratorOptions::new(1, "2023-11-01T00:00:00Z".parse().unwrap());
    (options.count, options.users, options.update_ratio) = (600, Some(20), 0.2);
    for event in options.events().unwrap() {
        let record = record(&event.payload.unwrap());
        let decoded = enrichers::decode(record.payload.as_deref().unwrap(), None).unwrap();
        let mut document = Vec::new();
        enrichers::write_document(&decoded, "now", &mut document);
        let passed = transactions::index(&record).unwrap().passed;
        assert_eq!(transactions::of_source(std::str::from_utf8(&document).unwrap()), passed, "{}", decoded.id);
    }
}
