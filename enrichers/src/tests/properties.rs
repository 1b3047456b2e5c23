//! What must hold for any input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::samples::samples;
use super::{create, document, kept_as_text, sound, written};
use crate::{Fields, Timestamp, decode, is_about};

/// A piece of JSON as a producer may write it, line breaks between tokens included.
fn json() -> impl Strategy<Value = String> {
    let text = any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap());
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?",
        text,
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        let pair = (any::<String>(), inner.clone());
        prop_oneof![
            vec(inner, 0..6).prop_map(|items| format!("[\n{}\r\n]", items.join(" ,\n"))),
            vec(pair, 0..6).prop_map(|pairs| {
                let pairs: Vec<String> = pairs
                    .into_iter()
                    .map(|(key, value)| format!("{}: \n{value}", serde_json::to_string(&key).unwrap()))
                    .collect();
                format!("{{{}\n}}", pairs.join(","))
            }),
        ]
    })
}

fn without_space_between_tokens(json: &str) -> String {
    json.replace(['\n', '\r'], "")
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes in vec(any::<u8>(), 0..512)) {
        let _judged = decode(&bytes, Some(0));
    }

    #[test]
    fn a_damaged_message_is_rejected_or_sound(
        sample in 0..samples().count(),
        damage in vec((any::<prop::sample::Index>(), prop_oneof![any::<u8>(), prop::sample::select(b"\"\\{}[]:,0eE-.n ".to_vec())], 0..3), 1..6),
    ) {
        let mut payload = samples().nth(sample).unwrap().1.as_bytes().to_vec();
        for (place, byte, how) in damage {
            let at = place.index(payload.len());
            match how {
                0 => payload[at] = byte,
                1 => payload.insert(at, byte),
                _ => drop(payload.remove(at)),
            }
        }
        if let Ok(event) = decode(&payload, None) {
            sound(&written(&event));
            prop_assert!(is_about(&payload, &event.id));
        }
    }

    #[test]
    fn any_fields_come_out_as_they_came_in(
        names in prop::collection::hash_set("[a-zé\"\\\\]{1,12}", 0..40),
        values in vec(json(), 40),
        metadata in prop::option::of(json()),
        kind in prop::sample::select(vec!["card", "p2p", "crypto", "other"]),
    ) {
        let own = ["id", "user_id", "amount", "metadata"];
        let given: Vec<(&String, &String)> = names.iter().filter(|name| !own.contains(&name.as_str())).zip(&values).collect();
        let mut fields: Vec<String> = given.iter().map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).unwrap())).collect();
        fields.extend(metadata.map(|metadata| format!("\"metadata\":{metadata}")));
        let payload = create(&fields.join(",\n")).replace("\"card\"", &format!("\"{kind}\""));
        let line = document(payload.as_bytes());
        let document = sound(&line);
        for (name, value) in given {
            match document.get(name) {
                Some(held) => prop_assert_eq!(held.get(), without_space_between_tokens(value)),
                None => prop_assert!(kept_as_text(&document).contains(&(name.clone(), None, value.clone())), "{}", name),
            }
        }
    }

    #[test]
    fn numbers_survive_digit_for_digit(number in "-?(0|[1-9][0-9]{0,200})(\\.[0-9]{1,400})?([eE][+-]?[0-9]{1,2}|[eE]-[0-9]{3,9})?") {
        let line = document(create(&format!("\"amount\":{number},\"metadata\":{{\"rate\":{number}}}")).as_bytes());
        let document = sound(&line);
        prop_assert_eq!(document.get("amount").unwrap().get(), &number);
        let metadata = Fields::parse(document.get("metadata").unwrap().get()).unwrap();
        prop_assert_eq!(metadata.get("rate").unwrap().get(), &number);
    }

    #[test]
    fn versions_order_by_time_then_rank(
        seconds in 0..4_000_000_000_i64,
        // Close together, so that equal times and neighbours are common.
        left in (0..2_i64, 0..3_u32, 0..3_usize),
        right in (0..2_i64, 0..3_u32, 0..3_usize),
    ) {
        let version = |(later, micros, rank): (i64, u32, usize)| {
            let seconds = seconds + later;
            let event_type = ["created", "updated", "deleted"][rank];
            let payload = create("").replace("created", event_type).replace("\"2024-01-01T12:00:00Z\"", &format!("{seconds}.{micros:06}"));
            decode(payload.as_bytes(), None).unwrap().version()
        };
        prop_assert_eq!(version(left).cmp(&version(right)), left.cmp(&right));
    }

    #[test]
    fn a_timestamp_reads_back_as_it_was_written(seconds in 0..253_402_300_800_i64, nanos in 0..1_000_000_000_u32) {
        let time = chrono::DateTime::from_timestamp(seconds, nanos).unwrap();
        let text = time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true);
        let parsed = Timestamp::parse(&text).unwrap();
        prop_assert_eq!(parsed.micros(), time.timestamp_micros());
        let mut out = Vec::new();
        parsed.write_rfc3339(&mut out);
        prop_assert_eq!(Timestamp::parse(std::str::from_utf8(&out).unwrap()), Some(parsed));
    }
}
