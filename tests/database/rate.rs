//! Operations a second, beside ready-made multi-row statements; run by hand, alone on a machine that is idle otherwise:
//!
//! `MILLRACE_BIN=target/release/millrace cargo test --test database -- --ignored --nocapture --test-threads 1 rate`
//!
//! `RATE_ROWS` are present before (a million), `RATE_OPERATIONS` are measured (200,000), in batches of `RATE_BATCH` (1,000), with
//! shares of bad rows in `RATE_BAD` (0 0.001 0.1). Seven entities
//! are interleaved: 60 % create, 30 % update, 10 % delete, and 1 % of all are bulks of 20 rows; the cache is on. The time is that from
//! the first mark to the last, by the database's clock, so starting the program is not in it. The baseline writes the same
//! rows and as many marks by statements that were made before, a transaction a batch, over one connection, without the cache.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, MySqlConnection, PgConnection};
use testkit::program::measured;
use testkit::services::variable;
use testkit::world::{World, block_on};

use crate::PROGRAM;
use crate::buffer::{Buffer, Engine, operation};

/// Entity, table, a column that is changed, and the columns of a row beside `id` and the times, with what makes their values.
type EntityShape = (&'static str, &'static str, &'static str, &'static [(&'static str, &'static str)]);

const ENTITIES: [EntityShape; 7] = [
    ("User", "Users", "name", &[("name", "n#"), ("email", "#@x.co")]),
    ("Business", "Businesses", "name", &[("name", "n#"), ("taxId", "t#")]),
    ("Finance", "Finances", "notes", &[("businessId", "1"), ("notes", "n#")]),
    ("BusinessModel", "BusinessModels", "channels", &[("businessId", "1"), ("channels", "n#")]),
    ("WorkTeam", "WorkTeams", "name", &[("businessId", "1"), ("name", "n#")]),
    ("Rating", "Ratings", "comment", &[("businessId", "1"), ("score", "5"), ("comment", "n#")]),
    ("SocialEnvironmentalImpact", "SocialEnvironmentalImpacts", "category", &[("businessId", "1"), ("category", "n#")]),
];
/// Rows of a bulk.
const BULK: u64 = 20;
const AT: &str = "2023-11-13 11:55:43.210";

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

#[derive(Clone, Debug)]
enum Deed {
    Create(u64),
    /// With the email of a row that is there.
    Taken(u64),
    Update(u64),
    Delete(u64),
    Bulk(u64),
}

/// The deeds, each on an entity by its place; the same at each run.
fn deeds(present: u64, count: u64, bad: f64) -> Vec<(usize, Deed)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut drawn = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let (mut next, mut deleted) = (present + 1, 0);
    let mut deed = |number: u64| {
        let entity = (number % 7) as usize;
        if (drawn(1_000_000) as f64) < bad * 1e6 {
            next += 1;
            return (0, Deed::Taken(next - 1));
        }
        let kind = drawn(100);
        let deed = match drawn(100) {
            0 => {
                next += BULK;
                Deed::Bulk(next - BULK)
            }
            _ if kind < 60 => {
                next += 1;
                Deed::Create(next - 1)
            }
            // The first half is changed, and the second deleted, each row once.
            _ if kind < 90 || deleted >= present / 2 => Deed::Update(1 + drawn(present / 2)),
            _ => {
                deleted += 1;
                Deed::Delete(present / 2 + deleted)
            }
        };
        (entity, deed)
    };
    (0..count).map(&mut deed).collect()
}

fn value(made: &str, id: u64) -> Value {
    let text = made.replace('#', &id.to_string());
    text.parse::<u64>().map_or_else(|_| json!(text), |number| json!(number))
}

fn row(entity: usize, id: u64) -> Value {
    let columns = ENTITIES[entity].3.iter().map(|(name, made)| ((*name).to_owned(), value(made, id)));
    Value::Object(columns.chain([("id".to_owned(), json!(id))]).collect())
}

fn sent(place: usize, (entity, deed): &(usize, Deed)) -> (String, String) {
    let (name, _, column, _) = ENTITIES[*entity];
    let (verb, id, data) = match deed {
        Deed::Create(id) => ("CREATE", id, row(*entity, *id)),
        Deed::Taken(id) => {
            let mut taken = row(0, *id);
            taken["email"] = json!("1@x.co");
            ("CREATE", id, taken)
        }
        Deed::Update(id) => ("UPDATE", id, json!({"id": id, (column): format!("u{place}")})),
        Deed::Delete(id) => ("DELETE", id, json!({"id": id})),
        Deed::Bulk(id) => ("BULK_CREATE", id, (*id..id + BULK).map(|id| row(*entity, id)).collect()),
    };
    (format!("{name}:{id}"), operation(&format!("o{place}"), verb, name, data).to_string())
}

/// The row of a mark, as long as the program's.
fn mark(engine: Engine, number: usize) -> String {
    let hex: String = format!("o{number}").bytes().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    });
    let bytes = |hex: &str| if engine == Engine::MariaDb { format!("x'{hex}'") } else { format!("'\\x{hex}'") };
    let (id, digest, hash) = (bytes(&hex), bytes(&"00".repeat(32)), number * 7_919);
    format!("({id},{digest},'CREATE','User','1','a','a',0,'t',0,{number},{hash},'*')")
}

/// One statement that changes these rows.
fn update(engine: Engine, entity: usize, rows: &BTreeMap<u64, usize>) -> String {
    let (_, table, column, _) = ENTITIES[entity];
    match engine {
        Engine::MariaDb => {
            let rows: Vec<String> =
                rows.iter().map(|(id, place)| format!("SELECT {id} AS k, 'u{place}' AS v")).collect();
            let rows = rows.join(" UNION ALL ");
            format!(
                "UPDATE \"{table}\" AS t JOIN ({rows}) AS r ON t.id = r.k SET t.\"{column}\" = r.v, t.\"updatedAt\" = '{AT}'"
            )
        }
        Engine::Postgres => {
            let rows: Vec<String> = rows.iter().map(|(id, place)| format!("({id},'u{place}')")).collect();
            let rows = rows.join(",");
            format!(
                "UPDATE \"{table}\" AS t SET \"{column}\" = r.v, \"updatedAt\" = '{AT}' FROM (VALUES {rows}) AS r (k, v) WHERE t.id = r.k"
            )
        }
    }
}

/// The statements of a batch: as few as can be, with its marks.
fn statements(engine: Engine, first: usize, deeds: &[(usize, Deed)]) -> Vec<String> {
    let mut made: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut changed: BTreeMap<usize, BTreeMap<u64, usize>> = BTreeMap::new();
    let mut gone: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    let mut marks = Vec::new();
    for (place, (entity, deed)) in deeds.iter().enumerate() {
        match deed {
            Deed::Create(id) => made.entry(*entity).or_default().push(*id),
            Deed::Taken(_) => continue,
            Deed::Update(id) => {
                changed.entry(*entity).or_default().insert(*id, first + place);
            }
            Deed::Delete(id) => gone.entry(*entity).or_default().push(*id),
            Deed::Bulk(id) => made.entry(*entity).or_default().extend(*id..id + BULK),
        }
        marks.push(mark(engine, first + place));
    }
    let mut all = Vec::new();
    for (entity, ids) in made {
        let (_, table, _, columns) = ENTITIES[entity];
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let row = |id: &u64| {
            let values: Vec<String> =
                columns.iter().map(|(_, made)| format!("'{}'", made.replace('#', &id.to_string()))).collect();
            format!("({id},{},'{AT}','{AT}')", values.join(","))
        };
        let rows: Vec<String> = ids.iter().map(row).collect();
        let names = names.join(",");
        all.push(format!(
            "INSERT INTO \"{table}\" (\"id\",{names},\"createdAt\",\"updatedAt\") VALUES {}",
            rows.join(",")
        ));
    }
    all.extend(changed.iter().map(|(entity, rows)| update(engine, *entity, rows)));
    for (entity, ids) in gone {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        all.push(format!("DELETE FROM \"{}\" WHERE \"id\" IN ({})", ENTITIES[entity].1, ids.join(",")));
    }
    if !marks.is_empty() {
        all.push(format!(
            "INSERT INTO millrace_operations (operation_id, payload_digest, operation, entity, user_id, source, action, \
             occurred_micros, kafka_topic, kafka_partition, kafka_offset, row_hash, written_columns) VALUES {}",
            marks.join(",")
        ));
    }
    if engine == Engine::MariaDb { all.into_iter().map(|sql| sql.replace('"', "`")).collect() } else { all }
}

/// A database with the tables, and so many rows in all.
fn filled(engine: Engine, name: &str, rows: u64) -> Buffer {
    let mut buffer = Buffer::in_world(engine, World::alone(measured(PROGRAM), name));
    buffer.world.set("CONSUMER_BATCH_SIZE", &number("RATE_BATCH", 1_000).to_string());
    buffer.world.set("REDIS_URL", &variable("REDIS_URL"));
    buffer.run_once();
    for (_, table, _, columns) in ENTITIES {
        let names: Vec<String> = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let value = |made: &str| match (made.split_once('#'), engine) {
            (None, _) => made.to_owned(),
            (Some((before, after)), Engine::MariaDb) => format!("CONCAT('{before}', s.seq, '{after}')"),
            (Some((before, after)), Engine::Postgres) => format!("'{before}' || s.seq || '{after}'"),
        };
        let values: Vec<String> = columns.iter().map(|(_, made)| value(made)).collect();
        let of = match engine {
            Engine::MariaDb => format!("seq_1_to_{} AS s", rows / 7),
            Engine::Postgres => format!("generate_series(1, {}) AS s (seq)", rows / 7),
        };
        buffer.execute(&format!(
            "INSERT INTO \"{table}\" (\"id\", {}, \"createdAt\", \"updatedAt\") SELECT s.seq, {}, '{AT}', '{AT}' FROM {of}",
            names.join(", "),
            values.join(", ")
        ));
    }
    buffer
}

/// Operations a second of the program, and its letters.
fn consumed(buffer: &Buffer, deeds: &[(usize, Deed)]) -> (f64, u64) {
    for (part, deeds) in deeds.chunks(50_000).enumerate() {
        let records: Vec<(String, String)> =
            deeds.iter().enumerate().map(|(place, deed)| sent(part * 50_000 + place, deed)).collect();
        let records: Vec<(&str, &str)> =
            records.iter().map(|(key, payload)| (key.as_str(), payload.as_str())).collect();
        buffer.world.send(&buffer.topic(), &records);
    }
    let summary = buffer.run_once();
    let between = match buffer.engine {
        Engine::MariaDb => "CAST(UNIX_TIMESTAMP(MAX(applied_at)) - UNIX_TIMESTAMP(MIN(applied_at)) AS CHAR)",
        Engine::Postgres => "CAST(extract(epoch FROM max(applied_at) - min(applied_at)) AS TEXT)",
    };
    let seconds = buffer.ask(format!("SELECT {between} FROM millrace_operations"))[0][0].clone().unwrap();
    (deeds.len() as f64 / seconds.parse::<f64>().unwrap(), summary["dead_lettered"].as_u64().unwrap())
}

/// Operations a second of the ready-made statements.
fn bare(buffer: &Buffer, deeds: &[(usize, Deed)]) -> f64 {
    let batch = number("RATE_BATCH", 1_000) as usize;
    let batches = deeds.chunks(batch).enumerate();
    let batches: Vec<Vec<String>> = batches.map(|(at, deeds)| statements(buffer.engine, at * batch, deeds)).collect();
    block_on(async {
        let begun = match buffer.engine {
            Engine::MariaDb => {
                let mut connection = MySqlConnection::connect(&buffer.admin).await.unwrap();
                let begun = Instant::now();
                for batch in batches {
                    let mut transaction = connection.begin().await.unwrap();
                    for sql in batch {
                        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
                    }
                    transaction.commit().await.unwrap();
                }
                begun
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&buffer.admin).await.unwrap();
                let begun = Instant::now();
                for batch in batches {
                    let mut transaction = connection.begin().await.unwrap();
                    for sql in batch {
                        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *transaction).await.unwrap();
                    }
                    transaction.commit().await.unwrap();
                }
                begun
            }
        };
        deeds.len() as f64 / begun.elapsed().as_secs_f64()
    })
}

fn rate(engine: Engine) {
    let (rows, count) = (number("RATE_ROWS", 1_000_000), number("RATE_OPERATIONS", 200_000));
    let present = rows / 7;
    let baseline = bare(&filled(engine, "database-rate-bare", rows), &deeds(present, count, 0.0));
    println!("| {engine:?} | operations/s | of the baseline | letters |\n|---|---|---|---|");
    println!("| ready-made statements | {baseline:.0} | 1.00 | - |");
    let bad = std::env::var("RATE_BAD").unwrap_or_else(|_| "0 0.001 0.1".to_owned());
    for bad in bad.split(' ').map(|share| share.parse::<f64>().unwrap()) {
        let deeds = deeds(present, count, bad);
        let (rate, letters) = consumed(&filled(engine, "database-rate", rows), &deeds);
        println!("| {} % bad rows | {rate:.0} | {:.2} | {letters} |", bad * 100.0, rate / baseline);
        let taken = deeds.iter().filter(|(_, deed)| matches!(deed, Deed::Taken(_))).count() as u64;
        assert_eq!(letters, taken, "a letter a bad row");
    }
}

#[test]
#[ignore = "minutes, on a machine that is idle otherwise"]
fn rate_mariadb() {
    rate(Engine::MariaDb);
}

#[test]
#[ignore = "minutes, on a machine that is idle otherwise"]
fn rate_postgres() {
    rate(Engine::Postgres);
}
