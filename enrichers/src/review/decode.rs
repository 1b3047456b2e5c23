//! Owns the judgement over a review's payload.

use serde_json::value::RawValue;

use super::{Review, ReviewEvent};
use crate::envelope::{Envelope, drop_null, text};
use crate::identity::message_id;
use crate::{DecodeError, Fields, TransactionKind};
use wire::decimal::Decimal;
use wire::json;
use wire::json::depth::MAX_DEPTH;
use wire::json::payload::{event_time, read_id};

/// Decodes a message's payload.
///
/// `record_timestamp_ms` is the Kafka record's timestamp in milliseconds since 1970; without one (or with -1, as Kafka
/// writes it) events from the future pass.
///
/// # Errors
/// A [`DecodeError`] of one of the classes `not_utf8`, `not_json`, `not_an_object`, `too_deep`, `unknown_event_type`,
/// `missing_id`, `id_too_long`, `missing_field`, `bad_field`, `duplicate_field`, `bad_stars`, `bad_timestamp`,
/// `timestamp_out_of_range`.
pub fn decode(payload: &[u8], record_timestamp_ms: Option<i64>) -> Result<ReviewEvent<'_>, DecodeError> {
    let envelope = Envelope::read(payload, MAX_DEPTH)?;
    let event_type = envelope.event_type()?;
    let kind = kind(&event_type)?;
    let data = envelope.data()?;
    let id = envelope.id(&data)?;
    let updated_at = drop_null(data.get("updatedAt"));
    let (raw, name) = updated_at.map_or((envelope.timestamp(), "timestamp"), |raw| (Some(raw), "data.updatedAt"));
    let time_micros = event_time(raw, name, record_timestamp_ms)?.0.micros();
    let review = (kind != TransactionKind::Deleted).then(|| review(&data)).transpose()?;
    let message_id = message_id(&id, &event_type, &time_micros.to_string());
    Ok(ReviewEvent { id, kind, time_micros, message_id, review })
}

fn kind(event_type: &str) -> Result<TransactionKind, DecodeError> {
    match event_type {
        "review.created" => Ok(TransactionKind::Created),
        "review.updated" => Ok(TransactionKind::Updated),
        "review.deleted" => Ok(TransactionKind::Deleted),
        _ => Err(DecodeError::new("unknown_event_type", "`type` is not one of the three known")),
    }
}

/// What stands in `creatorId`, which is a creator's document id as well.
fn creator(raw: &RawValue) -> Result<String, DecodeError> {
    read_id(Some(raw), "data.creatorId").map(Into::into).map_err(|reject| match reject.class {
        "missing_id" => DecodeError { class: "missing_field", ..reject },
        _ => reject,
    })
}

fn review(data: &Fields<'_>) -> Result<Review, DecodeError> {
    let missing = || DecodeError::new("missing_field", "`data.creatorId` is missing");
    let creator_id = drop_null(data.get("creatorId")).map(creator).transpose()?;
    let text = |name| text(data, name, &format!("data.{name}"));
    Ok(Review {
        creator_id: creator_id.ok_or_else(missing)?,
        user_id: text("userId")?,
        stars: stars(data.get("stars"))?,
        title: text("title")?,
        content: text("content")?,
        created_at: text("createdAt")?,
        updated_at: text("updatedAt")?,
    })
}

/// One to five, as a whole number however it is written, or as one in a string.
fn stars(raw: Option<&RawValue>) -> Result<u8, DecodeError> {
    let whole = raw.and_then(json::scalar).and_then(|text| Decimal::parse(&text)?.to_integer());
    let stars = whole.and_then(|whole| u8::try_from(whole).ok()).filter(|stars| (1..=5).contains(stars));
    stars.ok_or_else(|| DecodeError::new("bad_stars", "`data.stars` is not a whole number from 1 to 5"))
}
