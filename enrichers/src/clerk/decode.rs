//! Owns the judgement over a webhook's payload: what becomes an event, what is ignored and what is a reject.

use serde_json::value::RawValue;

use super::{ClerkEvent, ClerkKind, ClerkRecord, OrganizationMembership, Session, Subject, User};
use crate::envelope::{Envelope, drop_null, text};
use crate::identity::message_id;
use crate::{DecodeError, Fields, Timestamp};
use wire::json;
use wire::json::payload::event_time;
use wire::timestamp::FORMS;

/// MongoDB documents take 100 levels (MongoDB manual, limits and thresholds); the event is not stored at their top.
const MAX_DEPTH: usize = 90;

/// Decodes a message's payload.
///
/// `record_timestamp_ms` is the Kafka record's timestamp in milliseconds since 1970; without one (or with -1, as Kafka
/// writes it) events from the future pass.
///
/// # Errors
/// A [`DecodeError`] of one of the classes `not_utf8`, `not_json`, `not_an_object`, `too_deep`, `unknown_event_type` (no
/// type at all), `missing_id`, `id_too_long`, `missing_field`, `bad_field`, `duplicate_field`,
/// `bad_timestamp`, `timestamp_out_of_range`.
pub fn decode(payload: &[u8], record_timestamp_ms: Option<i64>) -> Result<ClerkRecord<'_>, DecodeError> {
    let envelope = Envelope::read(payload, MAX_DEPTH)?;
    let event_type = envelope.event_type()?;
    let Some((of, kind)) = parse_type(&event_type) else { return Ok(ClerkRecord::Ignored) };
    let data = envelope.data()?;
    let id = envelope.id(&data)?;
    let time_micros = time(data.get("updated_at"), envelope.timestamp(), record_timestamp_ms)?;
    let subject = of.read(kind, &data)?;
    let payload = json::well_formed(envelope.text);
    let message_id = message_id(&id, &event_type, &time_micros.to_string());
    Ok(ClerkRecord::Event(Box::new(ClerkEvent { id, kind, time_micros, message_id, subject, payload })))
}

/// Event types: what they are about and what they say of it.
fn parse_type(event_type: &str) -> Option<(ClerkSubject, ClerkKind)> {
    Some(match event_type {
        "user.created" => (ClerkSubject::User, ClerkKind::Created),
        "user.updated" => (ClerkSubject::User, ClerkKind::Updated),
        "user.deleted" => (ClerkSubject::User, ClerkKind::Deleted),
        "organizationMembership.created" => (ClerkSubject::Membership, ClerkKind::Created),
        "organizationMembership.updated" => (ClerkSubject::Membership, ClerkKind::Updated),
        "organizationMembership.deleted" => (ClerkSubject::Membership, ClerkKind::Deleted),
        "session.created" => (ClerkSubject::Session, ClerkKind::Created),
        "session.ended" => (ClerkSubject::Session, ClerkKind::Ended),
        "session.removed" => (ClerkSubject::Session, ClerkKind::Removed),
        "session.revoked" => (ClerkSubject::Session, ClerkKind::Revoked),
        _ => return None,
    })
}

/// The first time that is there.
fn time(updated_at: Option<&RawValue>, sent: Option<&RawValue>, record_ms: Option<i64>) -> Result<i64, DecodeError> {
    let named = drop_null(updated_at).map(|raw| (raw, "data.updated_at"));
    if let Some((raw, name)) = named.or_else(|| drop_null(sent).map(|raw| (raw, "timestamp"))) {
        return Ok(event_time(Some(raw), name, record_ms)?.0.micros());
    }
    let record = record_ms.filter(|ms| *ms >= 0).and_then(Timestamp::from_millis);
    let nowhere = "`data.updated_at` and `timestamp` are missing, and the record has no time of its own";
    Ok(record.ok_or_else(|| DecodeError::new("bad_timestamp", nowhere))?.micros())
}

/// What an event is about.
#[derive(Clone, Copy)]
enum ClerkSubject {
    User,
    Membership,
    Session,
}

impl ClerkSubject {
    fn read(self, kind: ClerkKind, data: &Fields<'_>) -> Result<Subject, DecodeError> {
        let there = kind != ClerkKind::Deleted;
        Ok(match self {
            Self::User => Subject::User(there.then(|| user(data)).transpose()?),
            Self::Membership => Subject::Membership(there.then(|| membership(data)).transpose()?),
            Self::Session => Subject::Session(session(data)?),
        })
    }
}

fn user(data: &Fields<'_>) -> Result<User, DecodeError> {
    let missing = || DecodeError::new("missing_field", "`data.email_addresses` is missing or not an array");
    let addresses = data.get("email_addresses").and_then(array).ok_or_else(missing)?;
    let primary = data.get("primary_email_address_id").and_then(json::string);
    // An address without an id belongs to no one.
    let is_primary = |address: &Fields<'_>| primary.is_some() && address.get("id").and_then(json::string) == primary;
    let address = addresses.into_iter().filter_map(|raw| Fields::parse(raw.get())).find(is_primary).unwrap_or_default();
    let email = text(&address, "email_address", "data.email_addresses.email_address")?;
    let status = inner(&address, "verification").get("status").and_then(json::string);
    Ok(User {
        email_verified: email.is_some() && status.as_deref() == Some("verified"),
        email,
        first_name: text(data, "first_name", "data.first_name")?,
        last_name: text(data, "last_name", "data.last_name")?,
        username: text(data, "username", "data.username")?,
        image_url: text(data, "image_url", "data.image_url")?,
        created_at: millis(data, "created_at")?,
        updated_at: millis(data, "updated_at")?,
    })
}

fn membership(data: &Fields<'_>) -> Result<OrganizationMembership, DecodeError> {
    let organization = inner(data, "organization");
    Ok(OrganizationMembership {
        user_id: require(&inner(data, "public_user_data"), "user_id", "data.public_user_data.user_id")?,
        organization_id: require(&organization, "id", "data.organization.id")?,
        organization_name: text(&organization, "name", "data.organization.name")?,
        organization_slug: text(&organization, "slug", "data.organization.slug")?,
        role: text(data, "role", "data.role")?,
        created_at: millis(data, "created_at")?,
        updated_at: millis(data, "updated_at")?,
    })
}

fn session(data: &Fields<'_>) -> Result<Session, DecodeError> {
    Ok(Session {
        user_id: require(data, "user_id", "data.user_id")?,
        client_id: text(data, "client_id", "data.client_id")?,
        status: text(data, "status", "data.status")?,
        created_at: millis(data, "created_at")?,
        updated_at: millis(data, "updated_at")?,
        last_active_at: millis(data, "last_active_at")?,
        expire_at: millis(data, "expire_at")?,
        abandon_at: millis(data, "abandon_at")?,
    })
}

fn array(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// The fields of an object; none where there is no object.
fn inner<'a>(data: &Fields<'a>, name: &str) -> Fields<'a> {
    data.get(name).and_then(|raw| Fields::parse(raw.get())).unwrap_or_default()
}

fn require(data: &Fields<'_>, name: &str, path: &str) -> Result<String, DecodeError> {
    let missing = || DecodeError::new("missing_field", format!("`{path}` is missing, empty, or not a string"));
    let text = data.get(name).and_then(json::string).filter(|text| !text.is_empty());
    text.map(Into::into).ok_or_else(missing)
}

/// A time, read as the event's own is, in milliseconds since 1970. `None` where it is missing or null.
fn millis(data: &Fields<'_>, name: &str) -> Result<Option<i64>, DecodeError> {
    let Some(raw) = drop_null(data.get(name)) else { return Ok(None) };
    let wrong = || DecodeError::new("bad_timestamp", format!("`data.{name}` is none of {FORMS}"));
    let (time, _) = Timestamp::read(raw).ok_or_else(wrong)?;
    Ok(Some(time.micros().div_euclid(1_000)))
}
