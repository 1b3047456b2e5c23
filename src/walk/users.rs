//! Clerk's users, memberships and sessions.

use pipeline::Record;

use super::json::Plain;
use super::number::in_mongodb;
use super::{VERSIONS, Walked, digest, get, id, members, time, twice, unindexed};

/// The deepest nesting of an event.
const LEVELS: usize = 90;
/// What a deletion's version is raised by, above all others.
const FINAL: i64 = 1 << 60;

type Named = Vec<(String, Plain)>;

/// For the three collections.
pub fn mongodb(record: &Record) -> Option<Walked> {
    let event = members(record, LEVELS)?;
    let Plain::Text(event_type) = get(&event, "type") else { return None };
    let (subject, what) = event_type.rsplit_once('.')?;
    let deleted = what == "deleted";
    let rank = match (subject, what) {
        ("user" | "organizationMembership" | "session", "created") => 0,
        ("user" | "organizationMembership", "updated") | ("session", "ended" | "removed" | "revoked") => 1,
        ("user" | "organizationMembership", "deleted") => 2,
        _ => return None,
    };
    let Plain::Object(data) = get(&event, "data") else { return None };
    if twice(&event) || twice(data) {
        return None;
    }
    let id = id(get(data, "id"))?;
    let named = [get(data, "updated_at"), get(&event, "timestamp")].into_iter().find(|value| **value != Plain::Null);
    let micros = match named {
        Some(time) => time::of_event(time, record.timestamp_ms)?,
        None => time::of_record(record.timestamp_ms).filter(|ms| *ms <= 253_402_300_799_999)?.saturating_mul(1_000),
    };
    let fields = match (subject, deleted) {
        (_, true) => Vec::new(),
        ("user", _) => user(data, &event)?,
        ("session", _) => session(data, what)?,
        _ => membership(data)?,
    };
    let version = micros.saturating_mul(VERSIONS) + rank + if deleted { FINAL } else { 0 };
    Some(Walked { id, version, deleted, passed: (!deleted).then(|| digest::of(fields)) })
}

fn user(data: &[(String, Plain)], event: &[(String, Plain)]) -> Option<Named> {
    let Plain::List(addresses) = get(data, "email_addresses") else { return None };
    let primary = get(data, "primary_email_address_id");
    let is_primary = |address: &&Plain| matches!(primary, Plain::Text(_)) && inner(address, "id") == primary;
    let address = addresses.iter().find(is_primary).unwrap_or(&Plain::Null);
    let email = text(inner(address, "email_address"))?;
    let verified = Plain::Text("verified".to_owned());
    let is_verified = email != Plain::Null && *inner(inner(address, "verification"), "status") == verified;
    let (payload, moved) = unindexed::take_apart("webhookPayload", Plain::Object(event.to_vec()));
    let mut fields = vec![
        ("email".to_owned(), email),
        ("emailVerified".to_owned(), Plain::Bool(is_verified)),
        ("webhookPayload".to_owned(), in_mongodb(payload)),
        ("_unindexed".to_owned(), if moved.is_empty() { Plain::Null } else { Plain::List(moved) }),
    ];
    let texts =
        [("firstName", "first_name"), ("lastName", "last_name"), ("username", "username"), ("imageUrl", "image_url")];
    add(&mut fields, data, &texts, text)?;
    add(&mut fields, data, &[("createdAt", "created_at"), ("updatedAt", "updated_at")], date)?;
    Some(fields)
}

fn membership(data: &[(String, Plain)]) -> Option<Named> {
    let organization = get(data, "organization");
    let mut fields = vec![
        ("clerkId".to_owned(), name(inner(get(data, "public_user_data"), "user_id"))?),
        ("organizationId".to_owned(), name(inner(organization, "id"))?),
        ("organizationName".to_owned(), text(inner(organization, "name"))?),
        ("organizationSlug".to_owned(), text(inner(organization, "slug"))?),
    ];
    add(&mut fields, data, &[("role", "role")], text)?;
    add(&mut fields, data, &[("createdAt", "created_at"), ("updatedAt", "updated_at")], date)?;
    Some(fields)
}

fn session(data: &[(String, Plain)], what: &str) -> Option<Named> {
    let mut fields = vec![
        ("clerkId".to_owned(), name(get(data, "user_id"))?),
        ("lastEvent".to_owned(), Plain::Text(what.to_owned())),
    ];
    add(&mut fields, data, &[("clientId", "client_id"), ("status", "status")], text)?;
    let dates = [
        ("createdAt", "created_at"),
        ("updatedAt", "updated_at"),
        ("lastActiveAt", "last_active_at"),
        ("expireAt", "expire_at"),
        ("abandonAt", "abandon_at"),
    ];
    add(&mut fields, data, &dates, date)?;
    Some(fields)
}

/// Adds fields under their new names.
fn add(
    fields: &mut Named,
    data: &[(String, Plain)],
    names: &[(&str, &str)],
    read: fn(&Plain) -> Option<Plain>,
) -> Option<()> {
    for (to, from) in names {
        fields.push(((*to).to_owned(), read(get(data, from))?));
    }
    Some(())
}

/// A member of what may be no object.
fn inner<'a>(value: &'a Plain, name: &str) -> &'a Plain {
    match value {
        Plain::Object(members) => get(members, name),
        _ => &Plain::Null,
    }
}

/// A text, or a number's digits as one; null stays.
pub(super) fn text(value: &Plain) -> Option<Plain> {
    match value {
        Plain::Null | Plain::Text(_) => Some(value.clone()),
        Plain::Number(digits) => Some(Plain::Text(digits.clone())),
        _ => None,
    }
}

/// A text with something in it.
fn name(value: &Plain) -> Option<Plain> {
    matches!(value, Plain::Text(text) if !text.is_empty()).then(|| value.clone())
}

fn date(value: &Plain) -> Option<Plain> {
    match value {
        Plain::Null => Some(Plain::Null),
        value => time::of(value).map(|micros| Plain::Time(micros.div_euclid(1_000))),
    }
}
