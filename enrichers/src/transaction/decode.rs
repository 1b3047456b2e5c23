//! Owns the judgement over a payload: what becomes an event and what is a reject, and of which class.
//! Guarantees: one pass over valid messages, no recursion over nested values, no payload value in a reason.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::identity::message_id;
use crate::{DecodeError, Fields, TransactionEvent, TransactionKind};
use wire::decimal;
use wire::json::depth::MAX_DEPTH;
use wire::json::fields::{FieldsSeed, next_name};
use wire::json::payload::{event_time, name_envelope, name_or_number, printable, read_all, read_id, text};
use wire::json::{self, Changes};

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
    let envelope = read_all(text, EnvelopeVisitor { surrogates })?;
    let multiline = memchr2(b'\n', b'\r', payload).is_some();
    judge(envelope, Changes { multiline, surrogates }, record_timestamp_ms)
        .map_err(|reject| name_envelope(reject, text))
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
        dropped_fields: transaction.count_dropped(),
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
