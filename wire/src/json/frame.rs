//! Owns what stands around JSON that other people's set-ups write: it is named, so that a reject says what to do.

use crate::json::fields::Fields;

/// Says what a payload is that is no JSON object; `None` where nothing is recognised. It quotes no value.
pub fn name(payload: &[u8]) -> Option<String> {
    let what = match payload {
        [0xef, 0xbb, 0xbf, ..] => "it begins with a byte order mark: write UTF-8 without one",
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [b'{', 0, _, 0, ..] | [0, b'{', 0, _, ..] => "it is UTF-16: write UTF-8",
        [0, a, b, c, d, _, ..] => {
            let id = u32::from_be_bytes([*a, *b, *c, *d]);
            return Some(format!(
                "it is framed by a schema registry (schema {id}): set a JSON converter without schemas"
            ));
        }
        [0x1f, 0x8b, ..] => "it is compressed with gzip: let the Kafka client compress, with compression.type",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            "it is compressed with zstd: let the Kafka client compress, with compression.type"
        }
        [0x04, 0x22, 0x4d, 0x18, ..] => {
            "it is compressed with LZ4: let the Kafka client compress, with compression.type"
        }
        [b'O', b'b', b'j', 1, ..] => "it is a file of Avro: write JSON",
        [0xac, 0xed, 0, 5, ..] => "it is a serialised Java object: write JSON",
        [b'<', ..] => "it is XML or HTML: write JSON",
        [b'"', ..] => match serde_json::from_slice::<String>(payload) {
            Ok(inner) if inner.trim_start().starts_with('{') => "it is JSON inside a string: it was encoded twice",
            _ => return None,
        },
        _ => return None,
    };
    Some(what.to_owned())
}

/// Says which envelope stands around an event, from the names of its fields.
pub fn envelope(fields: &Fields<'_>) -> Option<&'static str> {
    let has = |name: &str| fields.get(name).is_some();
    if has("schema") && has("payload") {
        return Some("it is wrapped with its schema by Kafka Connect: set value.converter.schemas.enable=false");
    }
    if has("op") && (has("before") || has("after")) {
        return Some("it is a change event of Debezium, not an event of the application");
    }
    if has("specversion") && has("data") {
        return Some("it is a CloudEvent in structured form: send its data");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_other_set_ups_are_named() {
        let utf16 = |order: fn(u16) -> [u8; 2]| "{\"a\":1}".encode_utf16().flat_map(order).collect::<Vec<u8>>();
        for (payload, expected) in [
            (b"\xef\xbb\xbf{}".to_vec(), "byte order mark"),
            (utf16(u16::to_le_bytes), "UTF-16"),
            (utf16(u16::to_be_bytes), "UTF-16"),
            (b"\xff\xfe{\0}\0".to_vec(), "UTF-16"),
            (b"\0\0\0\x12\x67{}".to_vec(), "schema 4711"),
            (b"\x1f\x8b\x08\0".to_vec(), "gzip"),
            (b"\x28\xb5\x2f\xfd\0".to_vec(), "zstd"),
            (b"Obj\x01\x04".to_vec(), "Avro"),
            (b"<html>".to_vec(), "HTML"),
            (br#""{\"a\":1}""#.to_vec(), "encoded twice"),
        ] {
            let named = name(&payload).unwrap_or_default();
            assert!(named.contains(expected), "{expected}: {named}");
        }
        for payload in [&b""[..], b"\0", b"SECRET", b"\"SECRET\"", b"[1]", b"\xff"] {
            assert_eq!(name(payload), None, "{payload:?}");
        }
    }
}
