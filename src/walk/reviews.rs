//! Reviews, for the two systems that read them.

use pipeline::Record;

use super::json::Plain;
use super::users::text;
use super::{VERSIONS, Walked, digest, get, id, members, time, twice, whole_number};

/// The deepest nesting of an event.
const LEVELS: usize = 128;
/// Fields of a review that are texts, or numbers that become texts.
const TEXTS: [&str; 5] = ["userId", "title", "content", "createdAt", "updatedAt"];

/// For the contributions in MongoDB.
pub fn contribution(record: &Record) -> Option<Walked> {
    let event = members(record, LEVELS)?;
    let Plain::Text(event_type) = get(&event, "type") else { return None };
    let (rank, deleted) = match event_type.as_str() {
        "review.created" => (0, false),
        "review.updated" => (1, false),
        "review.deleted" => (2, true),
        _ => return None,
    };
    let Plain::Object(data) = get(&event, "data") else { return None };
    if twice(&event) || twice(data) {
        return None;
    }
    let document = id(get(data, "id"))?;
    let time = match get(data, "updatedAt") {
        Plain::Null => get(&event, "timestamp"),
        time => time,
    };
    let version = time::of_event(time, record.timestamp_ms)?.saturating_mul(VERSIONS) + rank;
    if deleted {
        return Some(Walked { id: document, version, deleted, passed: None });
    }
    let creator = id(get(data, "creatorId"))?;
    let stars = match get(data, "stars") {
        Plain::Text(stars) | Plain::Number(stars) => whole_number(stars).filter(|stars| (1..=5).contains(stars))?,
        _ => return None,
    };
    TEXTS.iter().all(|name| text(get(data, name)).is_some()).then(|| {
        let kept =
            [("creatorId".to_owned(), Plain::Text(creator)), ("stars".to_owned(), Plain::Number(stars.to_string()))];
        Walked { id: document, version, deleted, passed: Some(digest::of(kept)) }
    })
}

/// For Algolia, which does not keep fields as they came.
pub fn algolia(record: &Record) -> Option<Walked> {
    contribution(record).map(|walked| Walked { passed: None, ..walked })
}
