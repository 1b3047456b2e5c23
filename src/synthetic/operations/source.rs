//! Rows as the plan's subjects, and their operations.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::{Map, Value, json};

use super::super::message::alphanumeric;
use super::super::plan::{EventTemplate, Living};
use super::super::{SOURCE, SyntheticKind};
use super::{ExpectedRow, OperationMessage};

const ENTITIES: [&str; 4] = ["User", "Business", "Finance", "Rating"];
const SECTORS: [&str; 5] = ["Agroindustria", "Artesanía", "Comercio", "Tecnología", "Turismo"];

#[derive(Debug)]
pub(super) struct OperationTemplate;

/// What stays the same through a row's life.
struct RowConstants {
    entity: &'static str,
    id: u64,
    /// Seeds what one revision says.
    seed: u64,
    word: String,
    /// Some producers send ids in a string.
    quoted: bool,
}

impl RowConstants {
    fn of(number: u64, rng: &mut ChaCha8Rng) -> Self {
        let entity = usize::try_from(number).ok().and_then(|number| ENTITIES.get(number % ENTITIES.len()));
        Self {
            entity: entity.copied().unwrap_or("User"),
            id: number + 1,
            seed: rng.random(),
            word: alphanumeric(rng, 12),
            quoted: rng.random_ratio(1, 16),
        }
    }

    fn id(&self) -> Value {
        if self.quoted { Value::from(self.id.to_string()) } else { Value::from(self.id) }
    }

    /// Columns and values; those of an update are some of them.
    fn columns(&self, revision: u8, updated: bool) -> Vec<(&'static str, Value)> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed.wrapping_add(u64::from(revision)));
        let money = format!("{}.{:02}", rng.random_range(0..1_000_000), rng.random_range(0..100));
        let sector = SECTORS.choose(&mut rng).copied().unwrap_or_default();
        let all = match self.entity {
            "User" => vec![
                ("email", json!(format!("{}@example.com", self.word.to_lowercase()))),
                ("name", json!(format!("{} {revision}", self.word))),
                ("phone", json!(format!("+57 {}", rng.random_range(3_000_000_000_u64..3_999_999_999)))),
            ],
            "Business" => vec![
                ("name", json!(format!("{} S.A.S.", self.word))),
                ("sector", json!(sector)),
                ("description", json!(format!("{sector}: «{}» ’{revision}’", self.word))),
            ],
            "Finance" => vec![
                ("businessId", json!(rng.random_range(1..1_000))),
                ("income", json!(money)),
                ("currency", json!("COP")),
            ],
            _ => vec![("businessId", json!(rng.random_range(1..1_000))), ("score", json!(rng.random_range(1..=5)))],
        };
        let from = if updated { 1 } else { 0 };
        all.into_iter().skip(from).collect()
    }
}

fn describe(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn operation(verb: &str, row: &RowConstants, data: Value, micros: i64) -> Value {
    json!({
        "type": verb,
        "entity": row.entity,
        "data": data,
        "metadata": {
            "operationId": format!("op_{}_{}_{micros:x}", row.entity, row.id),
            "timestamp": micros.div_euclid(1_000),
            "userId": 123,
            "source": SOURCE,
            "action": format!("{}_{}", verb.to_lowercase(), row.entity.to_lowercase()),
        },
    })
}

impl EventTemplate for OperationTemplate {
    type Event = OperationMessage;
    const TICK: u32 = 1_000;

    fn about(&self, kind: SyntheticKind, living: Living, micros: i64, mut rng: ChaCha8Rng) -> OperationMessage {
        let row = RowConstants::of(living.number, &mut rng);
        let deleted = kind == SyntheticKind::Deleted;
        let (verb, columns) = match kind {
            SyntheticKind::Created => ("CREATE", row.columns(living.revision, false)),
            SyntheticKind::Deleted => ("DELETE", Vec::new()),
            _ => ("UPDATE", row.columns(living.revision, true)),
        };
        let mut data: Map<String, Value> =
            columns.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let data = if verb == "UPDATE" && living.revision.is_multiple_of(2) {
            json!({"where": {"id": row.id()}, "values": data})
        } else {
            data.insert("id".to_owned(), row.id());
            Value::Object(data)
        };
        let payload = operation(verb, &row, data, micros).to_string();
        let columns = columns.iter().map(|(name, value)| (*name, describe(value))).collect();
        let state = ExpectedRow { entity: row.entity, id: row.id, deleted, columns };
        let id = format!("{}:{}", row.entity, row.id);
        OperationMessage {
            kind,
            key: id.clone(),
            id,
            payload: Some(payload),
            micros,
            state: Some(state),
            duplicate: false,
        }
    }

    fn useless(&self, kind: SyntheticKind, micros: i64, rng: &mut ChaCha8Rng) -> OperationMessage {
        let row = RowConstants::of(rng.random_range(0..1_000_000), rng);
        let payload = (kind == SyntheticKind::Malformed).then(|| write_malformed(&row, micros, rng));
        let key = format!("{}:{}", row.entity, row.id);
        OperationMessage { kind, id: String::new(), key, payload, micros, state: None, duplicate: false }
    }

    fn repeat(event: &OperationMessage) -> OperationMessage {
        event.repeat()
    }
}

/// A message that no consumer can apply.
fn write_malformed(row: &RowConstants, micros: i64, rng: &mut ChaCha8Rng) -> String {
    let data = json!({"id": row.id(), "name": row.word});
    let mut good = operation("CREATE", row, data, micros);
    let (place, wrong) = match rng.random_range(0..5_u8) {
        0 => return good.to_string().trim_end_matches('}').to_owned(),
        1 => ("/type", Value::from("EXPLODE")),
        2 => ("/entity", Value::from("Nobody")),
        3 => ("/data", json!({"id": "one", "name": 1})),
        _ => ("/metadata/timestamp", Value::from("yesterday")),
    };
    if let Some(value) = good.pointer_mut(place) {
        *value = wrong;
    }
    good.to_string()
}
