//! The reactions in PostgreSQL against a model that is written apart: events shuffled, cut into batches, twice, by several at once.

mod away;
mod brokers;
mod files;
mod flow;
mod letters;
mod model;
mod planted;
mod questions;
mod rate;
mod signalled;
mod stage;
mod story;
mod verified;

use std::collections::BTreeSet;

use events::Event;
use futures_util::future::join_all;
use millrace::stores::postgres::Postgres;
use millrace::stores::reactions::reaction_group::ReactionGroup;
use millrace::stores::reactions::transact::{DigestedEvent, Emission, MarkVerdict, apply};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use testkit::hold::Hold;
use testkit::services::variable;
use testkit::world::block_on;

use model::Model;

/// Seeds of stories and orders.
const SEEDS: u64 = 20;

async fn connect() -> PgConnection {
    PgConnection::connect(&variable("DATABASE_URL")).await.unwrap()
}

/// A schema of its own, with its tables.
async fn schema(name: &str) -> String {
    let schema = format!("rx_{name}_{}", std::process::id());
    postgres(&schema).install_reactions().await.unwrap();
    schema
}

/// As the program has it.
fn postgres(schema: &str) -> Postgres {
    Postgres::new(&variable("DATABASE_URL").into(), "tests", 2).unwrap().in_schema(schema)
}

async fn drop_schema(schema: &str) {
    let statement = format!("DROP SCHEMA {schema} CASCADE");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connect().await).await.unwrap();
}

async fn raise_horizon(schema: &str, recorded_ms: i64) {
    let statement = format!("UPDATE {schema}.horizon SET recorded_ms = {recorded_ms}");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connect().await).await.unwrap();
}

fn digested(event: &Event) -> DigestedEvent {
    let digest = Sha256::digest(events::write(event).unwrap()).into();
    DigestedEvent { event: event.clone(), digest, recorded_ms: Some(0) }
}

/// Applies events in batches of several sizes, and counts the verdicts: applied, repeated, conflicting.
async fn consume(schema: &str, group: ReactionGroup, events: &[DigestedEvent], sizes: &[usize]) -> [usize; 3] {
    let postgres = postgres(schema);
    let (mut counts, mut rest, mut sizes) = ([0; 3], events, sizes.iter().cycle());
    while !rest.is_empty() {
        let (batch, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
        let batch: Vec<&DigestedEvent> = batch.iter().collect();
        for verdict in apply(&postgres, group, &batch, Emission::Everything).await.unwrap().verdicts {
            let place = [MarkVerdict::Applied, MarkVerdict::Repeated, MarkVerdict::Conflicting];
            counts[place.iter().position(|one| *one == verdict).unwrap()] += 1;
        }
        rest = later;
    }
    counts
}

/// The rows of a query, as text.
async fn rows(schema: &str, query: &str) -> BTreeSet<String> {
    let mut connection = connect().await;
    let path = format!("SET search_path TO {schema}");
    sqlx::raw_sql(AssertSqlSafe(path)).execute(&mut connection).await.unwrap();
    let query = format!("SELECT (row_to_json(q)::jsonb)::text FROM ({query}) q");
    let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut connection).await.unwrap();
    let count = rows.len();
    let rows: BTreeSet<String> = rows.into_iter().collect();
    assert_eq!(rows.len(), count, "no row twice");
    rows
}

async fn compare(schema: &str, model: &Model, at: &str) {
    for (what, query, expected) in model.questions() {
        let found = rows(schema, &query).await;
        let missing: Vec<_> = expected.difference(&found).take(5).collect();
        let surplus: Vec<_> = found.difference(&expected).take(5).collect();
        assert!(missing.is_empty() && surplus.is_empty(), "{at}: {what}: missing {missing:?}, surplus {surplus:?}");
    }
}

#[test]
fn any_order_in_any_batches_twice_comes_to_what_the_model_says() {
    let _hold = Hold::shared();
    for seed in 0..SEEDS {
        block_on(async {
            let schema = schema(&format!("order{seed}")).await;
            let mut random = StdRng::seed_from_u64(seed);
            let story = story::story(&mut random);
            let model = Model::of(&story);
            let events: Vec<DigestedEvent> = story.iter().map(digested).collect();
            // Every event twice, and two that consume at once in each group.
            let mut tasks = Vec::new();
            for group in ReactionGroup::ALL {
                let mut twice = [events.clone(), events.clone()].concat();
                twice.shuffle(&mut random);
                let (one, other) = twice.split_at(events.len());
                let sizes = [[1, 7, 40], [25, 3, 100]];
                for (part, sizes) in [one.to_vec(), other.to_vec()].into_iter().zip(sizes) {
                    let schema = schema.clone();
                    tasks.push(async move { consume(&schema, group, &part, &sizes).await });
                }
            }
            let counts = join_all(tasks).await;
            let total = counts.iter().fold([0; 3], |sum, one| [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]]);
            assert_eq!(total, [4 * events.len(), 4 * events.len(), 0], "seed {seed}");
            compare(&schema, &model, &format!("seed {seed}")).await;
            // The whole log again.
            for group in ReactionGroup::ALL {
                assert_eq!(consume(&schema, group, &events, &[500]).await, [0, events.len(), 0]);
            }
            compare(&schema, &model, &format!("seed {seed}, again")).await;
            drop_schema(&schema).await;
        });
    }
}

#[test]
fn the_same_id_with_another_payload_conflicts_and_changes_nothing() {
    let _hold = Hold::shared();
    block_on(async {
        let schema = schema("conflict").await;
        let mut events: Vec<DigestedEvent> = story::story(&mut StdRng::seed_from_u64(1)).iter().map(digested).collect();
        let good = events.clone();
        let model = Model::of(&good.iter().map(|one| one.event.clone()).collect::<Vec<_>>());
        // In the same batch, and in a later one.
        let mut twisted = good[0].clone();
        twisted.digest[0] ^= 1;
        events.push(twisted.clone());
        for group in ReactionGroup::ALL {
            assert_eq!(consume(&schema, group, &events, &[events.len()]).await, [good.len(), 0, 1]);
            assert_eq!(consume(&schema, group, &[twisted.clone(), good[0].clone()], &[2]).await, [0, 0, 2]);
            assert_eq!(consume(&schema, group, &[twisted.clone()], &[1]).await, [0, 0, 1]);
        }
        compare(&schema, &model, "after conflicts").await;
        drop_schema(&schema).await;
    });
}

#[test]
fn what_is_replayed_or_too_old_changes_state_and_says_nothing() {
    let _hold = Hold::shared();
    block_on(async {
        let story = story::story(&mut StdRng::seed_from_u64(2));
        let model = Model::of(&story);
        for (name, emission, horizon) in [("nothing", Emission::Nothing, 0), ("old", Emission::Everything, 1)] {
            let schema = schema(name).await;
            raise_horizon(&schema, horizon).await;
            let events: Vec<DigestedEvent> = story.iter().map(digested).collect();
            let events: Vec<&DigestedEvent> = events.iter().collect();
            for group in ReactionGroup::ALL {
                let applied = apply(&postgres(&schema), group, &events, emission).await.unwrap();
                assert_eq!(applied.emitted, 0);
            }
            for (what, query, expected) in model.questions() {
                let quiet = ["outbox", "files to delete"].contains(&what);
                assert!(!expected.is_empty());
                assert_eq!(
                    rows(&schema, &query).await,
                    if quiet { BTreeSet::new() } else { expected },
                    "{name}: {what}"
                );
            }
            drop_schema(&schema).await;
        }
        // One of a record that is new enough says what it has to.
        let schema = schema("new").await;
        raise_horizon(&schema, 1).await;
        let mut events: Vec<DigestedEvent> = story.iter().map(digested).collect();
        events.iter_mut().for_each(|event| event.recorded_ms = Some(1));
        for group in ReactionGroup::ALL {
            let events: Vec<&DigestedEvent> = events.iter().collect();
            apply(&postgres(&schema), group, &events, Emission::Everything).await.unwrap();
        }
        compare(&schema, &model, "new").await;
        drop_schema(&schema).await;
    });
}

/// Prints the rate; `E2E_SCALE` multiplies the events.
#[test]
fn batches_are_applied_set_wise() {
    let _hold = Hold::shared();
    block_on(async {
        let schema = schema("rate").await;
        let count = testkit::world::scaled(1);
        for group in ReactionGroup::ALL {
            let mut random = StdRng::seed_from_u64(7);
            let mut events: Vec<DigestedEvent> = Vec::new();
            for part in 0..20 * count {
                events.extend(story::of_many(&mut random, part, group).iter().map(digested));
            }
            let begun = std::time::Instant::now();
            let counts = consume(&schema, group, &events, &[1_000]).await;
            assert_eq!(counts[0], events.len());
            let rate = events.len() as f64 / begun.elapsed().as_secs_f64();
            println!("{}: {} events, {rate:.0} a second", group.as_str(), events.len());
        }
        drop_schema(&schema).await;
    });
}
