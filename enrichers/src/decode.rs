//! Owns the judgement over a payload: what becomes an event and what is a reject, and of which class.
//! Guarantees: one pass over valid messages, no recursion over nested values, no payload value in a reason.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::depth::{MAX_DEPTH, too_deep};
use crate::event::message_id;
use crate::fields::{FieldsSeed, next_name};
use crate::json::Changes;
use crate::timestamp::FORMS;
use crate::{DecodeError, Fields, Timestamp, TransactionEvent, TransactionKind, decimal, frame, json};

/// Longest id in bytes; Elasticsearch refuses a whole request for a longer one.
const MAX_ID_BYTES: usize = 512;
/// How far ahead of its Kafka timestamp an event may be, in milliseconds.
const MAX_AHEAD_MS: i64 = 24 * 60 * 60 * 1_000;

/// Decodes a message's payload.
///
/// `record_timestamp_ms` is the Kafka record's timestamp in milliseconds since 1970; without one (or with -1, as Kafka
/// writes it) events from the future pass.
///
/// # Errors
/// A [`DecodeError`] of one of the classes `not_utf8`, `not_json`, `not_an_object`, `too_deep`, `unknown_event_type`,
/// `missing_id`, `id_too_long`, `missing_field`, `duplicate_field`, `bad_amount`, `bad_timestamp`,
/// `timestamp_out_of_range`.
pub fn decode(payload: &[u8], record_timestamp_ms: Option<i64>) -> Result<TransactionEvent<'_>, DecodeError> {
    let text = text(payload, MAX_DEPTH)?;
    let surrogates = json::has_surrogates(text);
    let envelope = whole(text, EnvelopeVisitor { surrogates })?;
    let multiline = memchr2(b'\n', b'\r', payload).is_some();
    judge(envelope, Changes { multiline, surrogates }, record_timestamp_ms).map_err(|reject| unwrapped(reject, text))
}

/// The payload as text, when it nests no deeper than so many levels.
pub(crate) fn text(payload: &[u8], max_depth: usize) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(payload).map_err(|error| {
        let from = || format!("not UTF-8 from byte {} on", error.valid_up_to());
        DecodeError::new("not_utf8", frame::name(payload).unwrap_or_else(from))
    })?;
    if too_deep(payload, max_depth) {
        return Err(DecodeError::new("too_deep", format!("nested deeper than {max_depth} levels")));
    }
    Ok(text)
}

/// The fields of a text that is one JSON object.
pub(crate) fn object(text: &str) -> Result<Fields<'_>, DecodeError> {
    whole(text, FieldsSeed { drop_reserved: false, surrogates: json::has_surrogates(text) })
}

fn whole<'a, S: DeserializeSeed<'a>>(text: &'a str, seed: S) -> Result<S::Value, DecodeError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = seed.deserialize(&mut reader).map_err(|error| not_json(text, &error))?;
    reader.end().map_err(|error| not_json(text, &error))?;
    Ok(value)
}

fn not_json(text: &str, error: &serde_json::Error) -> DecodeError {
    let named = frame::name(text.as_bytes());
    // Only syntax errors are worded without values.
    match error.classify() {
        Category::Data => {
            DecodeError::new("not_an_object", named.unwrap_or_else(|| "the payload is not a JSON object".to_owned()))
        }
        Category::Syntax | Category::Eof | Category::Io => {
            DecodeError::new("not_json", named.unwrap_or_else(|| error.to_string()))
        }
    }
}

/// The reject with what stands around the event, where it has no type because something does.
pub(crate) fn unwrapped(reject: DecodeError, text: &str) -> DecodeError {
    if reject.class != "unknown_event_type" {
        return reject;
    }
    match Fields::parse(text).as_ref().and_then(frame::envelope) {
        Some(what) => DecodeError::new(reject.class, what),
        None => reject,
    }
}

fn judge<'a>(
    envelope: TransactionEnvelope<'a>,
    changes: Changes,
    record_ms: Option<i64>,
) -> Result<TransactionEvent<'a>, DecodeError> {
    if let Some(name) = envelope.duplicate {
        return Err(DecodeError::new("duplicate_field", format!("`{name}` stands twice")));
    }
    let kind = event_kind(envelope.event_type)?;
    let (id, transaction) = identify(kind, envelope.transaction, envelope.transaction_id)?;
    if let Some(name) = transaction.duplicate() {
        return Err(DecodeError::new("duplicate_field", format!("{} stands twice", printable("transaction", name))));
    }
    if kind != TransactionKind::Deleted {
        require(&transaction)?;
    }
    let (timestamp, timestamp_received) = event_time(envelope.timestamp, "timestamp", record_ms)?;
    Ok(TransactionEvent {
        kind,
        message_id: message_id(&id, kind.event_type(), &timestamp_received),
        id,
        timestamp,
        timestamp_received,
        source: envelope.source.and_then(json::string),
        dropped_fields: transaction.dropped(),
        transaction,
        changes,
    })
}

fn event_kind(raw: Option<&RawValue>) -> Result<TransactionKind, DecodeError> {
    raw.and_then(json::string)
        .and_then(|text| TransactionKind::parse(&text))
        .ok_or_else(|| DecodeError::new("unknown_event_type", "`event_type` is missing or not one of the three known"))
}

/// The id and the transaction's fields; a delete may come with nothing but a top-level `transaction_id`.
fn identify<'a>(
    kind: TransactionKind,
    transaction: Part<'a>,
    outer_id: Option<&'a RawValue>,
) -> Result<(Cow<'a, str>, Fields<'a>), DecodeError> {
    match transaction {
        Part::Object(fields) => {
            let id = read_id(fields.get("id"), "transaction.id")?;
            Ok((id, fields))
        }
        Part::Absent if kind == TransactionKind::Deleted => {
            Ok((read_id(outer_id, "transaction_id")?, Fields::default()))
        }
        Part::Absent => Err(DecodeError::new("missing_field", "`transaction` is missing")),
        Part::Other => Err(DecodeError::new("missing_field", "`transaction` is not an object")),
    }
}

pub(crate) fn read_id<'a>(raw: Option<&'a RawValue>, name: &str) -> Result<Cow<'a, str>, DecodeError> {
    let id = raw.and_then(name_or_number).ok_or_else(|| {
        DecodeError::new("missing_id", format!("`{name}` is missing, empty, or neither string nor integer"))
    })?;
    if id.len() > MAX_ID_BYTES {
        return Err(DecodeError::new(
            "id_too_long",
            format!("`{name}` has {} bytes, {MAX_ID_BYTES} are allowed", id.len()),
        ));
    }
    Ok(id)
}

/// A string with something in it, or the digits of a whole number.
pub(crate) fn name_or_number(raw: &RawValue) -> Option<Cow<'_, str>> {
    json::string(raw).or_else(|| json::whole(raw)).filter(|text| !text.is_empty())
}

/// What a create or update must carry besides its id.
fn require(transaction: &Fields<'_>) -> Result<(), DecodeError> {
    if transaction.get("user_id").and_then(name_or_number).is_none() {
        let reason = "`user_id` is missing, empty, or neither string nor integer";
        return Err(DecodeError::new("missing_field", reason));
    }
    if transaction.get("transaction_type").and_then(json::string).is_none_or(|text| text.is_empty()) {
        return Err(DecodeError::new("missing_field", "`transaction_type` is missing, empty, or not a string"));
    }
    let amount_is_sound = transaction.get("amount").is_none_or(|raw| {
        raw.get() == "null"
            || json::number(raw).is_some()
            || json::string(raw).is_some_and(|text| decimal::is_number(&text))
    });
    if !amount_is_sound {
        return Err(DecodeError::new("bad_amount", "`amount` is neither a number nor a numeric string"));
    }
    Ok(())
}

/// The time in the field of this name, and what stands there: a string's content, a number's digits.
pub(crate) fn event_time<'a>(
    raw: Option<&'a RawValue>,
    name: &str,
    record_ms: Option<i64>,
) -> Result<(Timestamp, Cow<'a, str>), DecodeError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else {
        return Err(DecodeError::new("bad_timestamp", format!("`{name}` is missing")));
    };
    let unreadable = || DecodeError::new("bad_timestamp", format!("`{name}` is none of {FORMS}"));
    let (timestamp, received) = Timestamp::read(raw).ok_or_else(unreadable)?;
    if timestamp.is_before_epoch() {
        return Err(DecodeError::new("timestamp_out_of_range", format!("`{name}` lies before 1970")));
    }
    let latest = record_ms.filter(|ms| *ms >= 0).map(|ms| ms.saturating_add(MAX_AHEAD_MS).saturating_mul(1_000));
    if latest.is_some_and(|latest| timestamp.micros() > latest) {
        let reason = format!("`{name}` lies more than 24 h ahead of the record's Kafka timestamp");
        return Err(DecodeError::new("timestamp_out_of_range", reason));
    }
    Ok((timestamp, received))
}

/// The name of a field of `of` for a reason: only when it looks like a name, as anything may stand in a key.
pub(crate) fn printable(of: &str, name: &str) -> String {
    let is_name = name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_');
    if is_name { format!("`{of}.{name}`") } else { format!("a field of `{of}`") }
}

#[derive(Default)]
struct TransactionEnvelope<'a> {
    event_type: Option<&'a RawValue>,
    transaction: Part<'a>,
    transaction_id: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    source: Option<&'a RawValue>,
    duplicate: Option<&'static str>,
}

/// What stands in the `transaction` field; null counts as absent.
#[derive(Default)]
enum Part<'a> {
    #[default]
    Absent,
    Object(Fields<'a>),
    Other,
}

struct EnvelopeVisitor {
    surrogates: bool,
}

impl<'de> DeserializeSeed<'de> for EnvelopeVisitor {
    type Value = TransactionEnvelope<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for EnvelopeVisitor {
    type Value = TransactionEnvelope<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut envelope = TransactionEnvelope::default();
        let mut seen_transaction = false;
        while let Some(name) = next_name(&mut map, self.surrogates)? {
            let (slot, name) = match name.as_ref() {
                "event_type" => (&mut envelope.event_type, "event_type"),
                "timestamp" => (&mut envelope.timestamp, "timestamp"),
                "source" => (&mut envelope.source, "source"),
                "transaction_id" => (&mut envelope.transaction_id, "transaction_id"),
                "transaction" => {
                    if std::mem::replace(&mut seen_transaction, true) {
                        envelope.duplicate = Some("transaction");
                    }
                    envelope.transaction = map.next_value_seed(PartVisitor { surrogates: self.surrogates })?;
                    continue;
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            if slot.replace(map.next_value::<&'de RawValue>()?).is_some() {
                envelope.duplicate = Some(name);
            }
        }
        Ok(envelope)
    }
}

struct PartVisitor {
    surrogates: bool,
}

impl<'de> DeserializeSeed<'de> for PartVisitor {
    type Value = Part<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for PartVisitor {
    type Value = Part<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        FieldsSeed { drop_reserved: true, surrogates: self.surrogates }.collect(map).map(Part::Object)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(Part::Absent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Part::Other)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Part::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Part::Other)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Part::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Part::Other)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Part::Other)
    }
}
