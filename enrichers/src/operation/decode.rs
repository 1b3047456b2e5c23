//! Owns the judgement over an operation's payload.

use serde_json::value::RawValue;

use super::value::whole_number;
use super::{DatabaseOperation, OperationMetadata, RowChange, Verb};
use crate::envelope::{drop_null, text};
use crate::{DecodeError, Fields, Timestamp};
use wire::json;
use wire::json::depth::MAX_DEPTH;
use wire::json::payload::{self, name_envelope, object, printable};
use wire::timestamp::FORMS;

/// The longest name of an entity, in bytes.
const MAX_ENTITY_BYTES: usize = 128;
/// The longest id of an operation, in bytes.
const MAX_OPERATION_ID_BYTES: usize = 512;

/// Decodes a message's payload.
///
/// # Errors
/// A [`DecodeError`] of one of the classes `not_utf8`, `not_json`, `not_an_object`, `too_deep`, `duplicate_field`,
/// `unknown_operation`, `bad_entity`, `bad_data`, `empty_bulk`, `bad_metadata`, `operation_id_too_long`, `bad_timestamp`.
pub fn decode(payload: &[u8]) -> Result<DatabaseOperation<'_>, DecodeError> {
    let payload = payload::text(payload, MAX_DEPTH)?;
    let fields = object(payload)?;
    once(&fields, "operation")?;
    let verb = fields.get("type").and_then(json::string);
    let verb = verb.as_deref().and_then(Verb::parse).ok_or_else(|| {
        let known = "`type` is none of CREATE, UPDATE, DELETE, BULK_CREATE, BULK_UPDATE";
        let DecodeError { reason, .. } = name_envelope(DecodeError::new("unknown_event_type", known), payload);
        DecodeError::new("unknown_operation", reason)
    })?;
    let entity = fields.get("entity").and_then(json::string);
    let entity = entity.filter(|name| (1..=MAX_ENTITY_BYTES).contains(&name.len()));
    let entity = entity.ok_or_else(|| DecodeError::new("bad_entity", "`entity` is no name of an entity"))?;
    let data = drop_null(fields.get("data")).ok_or_else(|| DecodeError::new("bad_data", "`data` is missing"))?;
    let (rows, shared) = match verb {
        Verb::Create => (vec![RowChange::Whole(fields_of(data, "data")?)], None),
        Verb::Update | Verb::Delete => (vec![change(fields_of(data, "data")?, verb, "data")?], None),
        Verb::BulkCreate | Verb::BulkUpdate => bulk(data, verb)?,
    };
    if rows.is_empty() {
        return Err(DecodeError::new("empty_bulk", "`data` holds no row"));
    }
    let metadata = metadata(fields.get("metadata"))?;
    if metadata.expected_version.is_some() && verb != Verb::Update {
        return Err(DecodeError::new("bad_metadata", "`metadata.expectedVersion` is for an UPDATE alone"));
    }
    Ok(DatabaseOperation { verb, entity, rows, shared, metadata })
}

type Rows<'a> = (Vec<RowChange<'a>>, Option<Fields<'a>>);

/// An array of rows, `{records}`, or for an update `{ids, values}`.
fn bulk(data: &RawValue, verb: Verb) -> Result<Rows<'_>, DecodeError> {
    if data.get().starts_with('[') {
        return Ok((rows(data, verb)?, None));
    }
    let fields = fields_of(data, "data")?;
    if let (Some(records), 1) = (fields.get("records"), fields.len()) {
        return Ok((rows(records, verb)?, None));
    }
    if let (Some(ids), Some(values), 2, Verb::BulkUpdate) =
        (fields.get("ids"), fields.get("values"), fields.len(), verb)
    {
        let ids = array(ids, "data.ids")?.into_iter().map(RowChange::Id).collect();
        return Ok((ids, Some(fields_of(values, "data.values")?)));
    }
    let forms = if verb == Verb::BulkUpdate { ", {records} or {ids, values}" } else { " or {records}" };
    Err(DecodeError::new("bad_data", format!("`data` is neither an array of rows{forms}")))
}

fn rows(list: &RawValue, verb: Verb) -> Result<Vec<RowChange<'_>>, DecodeError> {
    let row = |(number, raw): (usize, _)| {
        let name = format!("data[{number}]");
        let fields = fields_of(raw, &name)?;
        if verb == Verb::BulkUpdate { change(fields, verb, &name) } else { Ok(RowChange::Whole(fields)) }
    };
    array(list, "data")?.into_iter().enumerate().map(row).collect()
}

fn array<'a>(list: &'a RawValue, name: &str) -> Result<Vec<&'a RawValue>, DecodeError> {
    let wrong = |_| DecodeError::new("bad_data", format!("`{name}` is not an array"));
    serde_json::from_str(list.get()).map_err(wrong)
}

/// Whole, or with its key apart.
fn change<'a>(fields: Fields<'a>, verb: Verb, name: &str) -> Result<RowChange<'a>, DecodeError> {
    let is_object = |raw: &&RawValue| raw.get().starts_with('{');
    let key = fields.get("where").filter(is_object);
    let values = fields.get("values").filter(is_object);
    match (key, values, fields.len()) {
        (Some(key), Some(values), 2) if verb != Verb::Delete => Ok(RowChange::Where {
            key: fields_of(key, &format!("{name}.where"))?,
            values: fields_of(values, &format!("{name}.values"))?,
        }),
        (Some(key), None, 1) if verb == Verb::Delete => Ok(RowChange::Whole(fields_of(key, &format!("{name}.where"))?)),
        _ => Ok(RowChange::Whole(fields)),
    }
}

fn fields_of<'a>(raw: &'a RawValue, name: &str) -> Result<Fields<'a>, DecodeError> {
    let wrong = || DecodeError::new("bad_data", format!("`{name}` is not an object"));
    if !raw.get().starts_with('{') {
        return Err(wrong());
    }
    let fields = Fields::parse(raw.get()).ok_or_else(wrong)?;
    once(&fields, name)?;
    Ok(fields)
}

fn once(fields: &Fields<'_>, of: &str) -> Result<(), DecodeError> {
    fields.duplicate().map_or(Ok(()), |name| {
        Err(DecodeError::new("duplicate_field", format!("{} stands twice", printable(of, name))))
    })
}

fn metadata(raw: Option<&RawValue>) -> Result<OperationMetadata<'_>, DecodeError> {
    let Some(raw) = drop_null(raw) else { return Ok(OperationMetadata::default()) };
    let fields = fields_of(raw, "metadata").map_err(|error| match error.class {
        "bad_data" => DecodeError { class: "bad_metadata", ..error },
        _ => error,
    })?;
    let operation_id = match drop_null(fields.get("operationId")) {
        None => None,
        Some(raw) => {
            let wrong = || DecodeError::new("bad_metadata", "`metadata.operationId` is neither a string nor a number");
            Some(json::string(raw).or_else(|| json::number(raw).map(Into::into)).ok_or_else(wrong)?)
        }
    };
    if let Some(bytes) = operation_id.as_ref().map(|id| id.len()).filter(|bytes| *bytes > MAX_OPERATION_ID_BYTES) {
        let reason = format!("`metadata.operationId` has {bytes} bytes, {MAX_OPERATION_ID_BYTES} are allowed");
        return Err(DecodeError::new("operation_id_too_long", reason));
    }
    let unreadable = || DecodeError::new("bad_timestamp", format!("`metadata.timestamp` is none of {FORMS}"));
    let time_micros = match drop_null(fields.get("timestamp")) {
        None => None,
        Some(raw) => {
            let time = Timestamp::read(raw).and_then(|(time, _)| time.micros_since_year_one());
            Some(time.ok_or_else(unreadable)?)
        }
    };
    let expected_version = match drop_null(fields.get("expectedVersion")) {
        None => None,
        Some(raw) => {
            let wrong = || DecodeError::new("bad_metadata", "`metadata.expectedVersion` is not a whole number");
            Some(whole_number(raw).and_then(|number| i64::try_from(number).ok()).ok_or_else(wrong)?)
        }
    };
    let word = |name| {
        text(&fields, name, &format!("metadata.{name}")).map_err(|error| DecodeError { class: "bad_metadata", ..error })
    };
    Ok(OperationMetadata {
        operation_id: operation_id.filter(|id| !id.is_empty()),
        time_micros,
        expected_version,
        user_id: word("userId")?,
        source: word("source")?,
        action: word("action")?,
    })
}
