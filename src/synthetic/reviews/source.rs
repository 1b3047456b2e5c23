//! Reviews as the plan's subjects, and their events.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Value, json};

use super::super::message::alphanumeric;
use super::super::plan::{EventTemplate, Living};
use super::super::transaction::time;
use super::super::{GeneratorOptions, SyntheticKind};
use super::catalogue::{SENTENCES, TITLES};
use super::{ExpectedReview, ReviewMessage};

/// Creators, unless it is said how many.
const CREATORS: u32 = 100;

#[derive(Debug)]
pub(super) struct ReviewTemplate {
    creators: u32,
}

/// What stays the same through a review's life.
struct ReviewConstants {
    id: String,
    creator: String,
    user: String,
    /// Seeds what one revision says.
    seed: u64,
    /// Some producers send stars in a string.
    quoted: bool,
    /// Some deletes name the creator.
    telling: bool,
}

/// What one revision says.
struct Opinion {
    stars: u8,
    title: &'static str,
    content: String,
}

impl ReviewTemplate {
    pub(super) fn new(options: &GeneratorOptions) -> Self {
        Self { creators: options.users.unwrap_or(CREATORS) }
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> ReviewConstants {
        // Taken twice, so that the first creators are taken more often.
        let below = rng.random_range(0..self.creators);
        let creator = rng.random_range(0..=below).saturating_add(1);
        ReviewConstants {
            id: format!("rev_{}", alphanumeric(rng, 24)),
            creator: format!("cr_{creator:06}"),
            user: format!("u_{}", alphanumeric(rng, 12)),
            seed: rng.random(),
            quoted: rng.random_ratio(1, 16),
            telling: rng.random_bool(0.5),
        }
    }
}

impl ReviewConstants {
    fn opinion(&self, revision: u8, late: u8) -> Opinion {
        let revision = u64::from(revision) << 8 | u64::from(late);
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(revision));
        let stars = match rng.random_range(0..100_u8) {
            0..7 => 1,
            7..12 => 2,
            12..22 => 3,
            22..50 => 4,
            _ => 5,
        };
        let titles = TITLES.get(usize::from(stars) - 1).copied().unwrap_or_default();
        let title = titles.choose(&mut rng).copied().unwrap_or_default();
        let sentences = rng.random_range(1..=3);
        let content: Vec<&str> = SENTENCES.choose_multiple(&mut rng, sentences).copied().collect();
        Opinion { stars, title, content: content.join(" ") }
    }

    fn data(&self, opinion: &Opinion, created: i64, micros: i64) -> Value {
        let stars = if self.quoted { Value::from(opinion.stars.to_string()) } else { Value::from(opinion.stars) };
        json!({
            "id": self.id, "creatorId": self.creator, "userId": self.user, "stars": stars, "title": opinion.title,
            "content": opinion.content, "createdAt": time(created), "updatedAt": time(micros),
        })
    }

    fn deletion(&self) -> Value {
        if self.telling { json!({"id": self.id, "creatorId": self.creator}) } else { json!({"id": self.id}) }
    }
}

impl EventTemplate for ReviewTemplate {
    type Event = ReviewMessage;
    const TICK: u32 = 1;

    fn about(&self, kind: SyntheticKind, living: Living, micros: i64, mut rng: ChaCha8Rng) -> ReviewMessage {
        let review = self.draw(&mut rng);
        let late = if kind == SyntheticKind::Late { living.late } else { 0 };
        let opinion = review.opinion(living.revision, late);
        let deleted = kind == SyntheticKind::Deleted;
        let (event_type, rank) = match kind {
            SyntheticKind::Created => ("review.created", 0),
            SyntheticKind::Deleted => ("review.deleted", 2),
            _ => ("review.updated", 1),
        };
        let data = if deleted { review.deletion() } else { review.data(&opinion, living.created, micros) };
        let state = ExpectedReview {
            version: micros * 4 + rank,
            deleted,
            creator_id: review.creator,
            stars: if deleted { 0 } else { opinion.stars },
            title: if deleted { String::new() } else { opinion.title.to_owned() },
        };
        let payload = envelope(event_type, &data, micros).to_string();
        let (id, key) = (review.id.clone(), review.id);
        ReviewMessage { kind, id, key, payload: Some(payload), micros, state: Some(state), duplicate: false }
    }

    fn useless(&self, kind: SyntheticKind, micros: i64, rng: &mut ChaCha8Rng) -> ReviewMessage {
        let review = self.draw(rng);
        let payload = (kind == SyntheticKind::Malformed).then(|| write_malformed(&review, micros, rng));
        ReviewMessage { kind, id: String::new(), key: review.id, payload, micros, state: None, duplicate: false }
    }

    fn repeat(event: &ReviewMessage) -> ReviewMessage {
        event.repeat()
    }
}

/// No two events of a review have one time, or they are the same event.
fn envelope(event_type: &str, data: &Value, micros: i64) -> Value {
    let review = data.get("id").and_then(Value::as_str).unwrap_or_default();
    let id = format!("{}_{micros:x}", review.replace("rev_", "evt_"));
    json!({"id": id, "type": event_type, "timestamp": time(micros), "data": data})
}

/// A message that no consumer can make a document of.
fn write_malformed(review: &ReviewConstants, micros: i64, rng: &mut ChaCha8Rng) -> String {
    let mut good = envelope("review.created", &review.data(&review.opinion(0, 0), micros, micros), micros);
    let (place, wrong) = match rng.random_range(0..6_u8) {
        0 => return good.to_string().trim_end_matches('}').to_owned(),
        1 => ("/type", Value::from("review.exploded")),
        2 => ("/data/id", Value::Null),
        3 => ("/data/stars", Value::from(11)),
        4 => ("/data/creatorId", Value::Null),
        _ => ("/data/updatedAt", Value::from("yesterday")),
    };
    if let Some(value) = good.pointer_mut(place) {
        *value = wrong;
    }
    good.to_string()
}
