//! One batch, one transaction: marks, rows, what follows. A statement a table, however many events there are.
//!
//! Rows are locked in one order, table by table and by key, so that two batches wait for each other and never in a circle.

use std::collections::{BTreeMap, HashMap, HashSet};

use ::events::Event;
use pipeline::mutant;
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::effects::{BatchEffects, effects};
use super::reaction_group::ReactionGroup;
use super::rows::{ReactionTable, TableRows};
use crate::stores::postgres::Postgres;

/// An event with what tells a copy from another event of the same id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestedEvent {
    pub event: Event,
    /// Of the payload.
    pub digest: [u8; 32],
    /// The record's own time, in milliseconds since 1970.
    pub recorded_ms: Option<i64>,
}

/// Which events lead to others, and to files that are deleted. State follows from all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emission {
    /// All but those of records below the horizon, whose marks may have been purged.
    Everything,
    /// For a replay or a rebuild.
    Nothing,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MarkVerdict {
    /// Its effects are in the transaction.
    Applied,
    /// The same was applied before.
    Repeated,
    /// Another payload was applied under its id: a dead letter.
    Conflicting,
}

/// What a batch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedBatch {
    /// What became of each event, in their order.
    pub verdicts: Vec<MarkVerdict>,
    /// Events that were put into the outbox.
    pub emitted: usize,
    /// New events below the horizon, which lead to nothing further.
    pub below_horizon: usize,
    /// New events that have no reaction in the group, by their names.
    pub ignored: BTreeMap<&'static str, u64>,
}

/// Applies a batch in one transaction. An event that the outbox said itself is marked and does nothing when it is read back.
///
/// # Errors
/// What the server says; then nothing is applied.
pub async fn apply(
    postgres: &Postgres,
    group: ReactionGroup,
    events: &[&DigestedEvent],
    emission: Emission,
) -> Result<AppliedBatch, sqlx::Error> {
    let mut transaction = postgres.begin().await?;
    let marked = mark(&mut transaction, group, events).await?;
    if mutant!(EffectApart) {
        transaction.commit().await?;
        transaction = postgres.begin().await?;
    }
    let new = events.iter().copied().zip(&marked.verdicts).filter(|(digested, verdict)| {
        **verdict == MarkVerdict::Applied && !marked.own.contains(digested.event.id.as_str())
    });
    let new: Vec<&DigestedEvent> = new.map(|(digested, _)| digested).collect();
    let state = effects_of(group, &new)?;
    let ignored = state.ignored.clone();
    for (table, rows) in state.rows.tables() {
        write(&mut transaction, statement(table), &rows).await?;
    }
    let is_young = |digested: &&DigestedEvent| digested.recorded_ms.is_none_or(|ms| ms >= marked.horizon_ms);
    let young: Vec<&DigestedEvent> = new.iter().copied().filter(is_young).collect();
    let below_horizon = new.len() - young.len();
    let mut emitted = 0;
    if emission == Emission::Everything {
        let followed = if below_horizon > 0 { effects_of(group, &young)? } else { state };
        emitted = followed.emitted.len();
        follow(&mut transaction, group, &followed).await?;
    }
    transaction.commit().await?;
    Ok(AppliedBatch { verdicts: marked.verdicts, emitted, below_horizon, ignored })
}

fn effects_of(group: ReactionGroup, events: &[&DigestedEvent]) -> Result<BatchEffects, sqlx::Error> {
    let events = events.iter().map(|digested| &digested.event);
    effects(group, events).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// What is done beyond the state: files that go, and events that are said.
async fn follow(
    connection: &mut PgConnection,
    group: ReactionGroup,
    effects: &BatchEffects,
) -> Result<(), sqlx::Error> {
    if group == ReactionGroup::Media {
        delete_media(connection, &effects.rows).await?;
    }
    if effects.emitted.is_empty() {
        return Ok(());
    }
    let rows: Result<Vec<Value>, _> =
        effects.emitted.iter().enumerate().map(|(place, emitted)| emitted.row(place)).collect();
    let rows = Value::from(rows.map_err(|error| sqlx::Error::Encode(error.into()))?);
    put_into_outbox(connection, &rows).await
}

/// Rows as [`EmittedEvent::row`](super::emitted::EmittedEvent::row) makes them; one that is there already stays.
pub(super) async fn put_into_outbox(connection: &mut PgConnection, rows: &Value) -> Result<(), sqlx::Error> {
    write(connection, include_str!("sql/outbox.sql"), rows).await
}

async fn write(connection: &mut PgConnection, statement: &'static str, rows: &Value) -> Result<(), sqlx::Error> {
    // As text: the server reads it, and needs no type of ours.
    let statement = statement.replace("$1", "$1::json");
    sqlx::query(AssertSqlSafe(statement)).bind(rows.to_string()).persistent(false).execute(connection).await?;
    Ok(())
}

/// Files of media that go. Whoever wrote the other half before is seen: both took the same rows.
async fn delete_media(connection: &mut PgConnection, rows: &TableRows) -> Result<(), sqlx::Error> {
    let media = rows.keys(ReactionTable::Media, "media_id");
    let posts = rows.keys(ReactionTable::MediaOwners, "post_id");
    if media.is_empty() && posts.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(include_str!("sql/delete_media.sql")).bind(media).bind(posts);
    query.persistent(false).execute(connection).await?;
    Ok(())
}

fn statement(table: ReactionTable) -> &'static str {
    match table {
        ReactionTable::Subscriptions => include_str!("sql/subscriptions.sql"),
        ReactionTable::Access => include_str!("sql/access.sql"),
        ReactionTable::Tiers => include_str!("sql/tiers.sql"),
        ReactionTable::TierPrices => include_str!("sql/tier_prices.sql"),
        ReactionTable::Collections => include_str!("sql/collections.sql"),
        ReactionTable::Offers => include_str!("sql/offers.sql"),
        ReactionTable::Tips => include_str!("sql/tips.sql"),
        ReactionTable::Posts => include_str!("sql/posts.sql"),
        ReactionTable::Purchases => include_str!("sql/purchases.sql"),
        ReactionTable::Likes => include_str!("sql/likes.sql"),
        ReactionTable::Comments => include_str!("sql/comments.sql"),
        ReactionTable::Media => include_str!("sql/media.sql"),
        ReactionTable::MediaOwners => include_str!("sql/media_owners.sql"),
        ReactionTable::MediaPosts => include_str!("sql/media_posts.sql"),
        ReactionTable::MediaKeys => include_str!("sql/media_keys.sql"),
    }
}

/// What the marks say of a batch.
struct MarkedBatch {
    verdicts: Vec<MarkVerdict>,
    /// Ids of events that the outbox said itself.
    own: HashSet<String>,
    /// Marks of records before this time may be gone, in milliseconds since 1970. It does not rise before the transaction ends.
    horizon_ms: i64,
}

/// Marks the events, and says which are new. Of several of one id in the batch the first counts.
async fn mark(
    connection: &mut PgConnection,
    group: ReactionGroup,
    events: &[&DigestedEvent],
) -> Result<MarkedBatch, sqlx::Error> {
    let mut first: HashMap<&str, &DigestedEvent> = HashMap::with_capacity(events.len());
    let mut given: Vec<&DigestedEvent> = Vec::with_capacity(events.len());
    for digested in events.iter().copied() {
        first.entry(digested.event.id.as_str()).or_insert_with(|| {
            given.push(digested);
            digested
        });
    }
    let ids: Vec<&str> = given.iter().map(|digested| digested.event.id.as_str()).collect();
    let digests: Vec<&[u8]> = given.iter().map(|digested| digested.digest.as_slice()).collect();
    let times: Vec<Option<i64>> = given.iter().map(|digested| digested.recorded_ms).collect();
    let new = sqlx::query_scalar::<_, String>(include_str!("sql/mark.sql"))
        .bind(group.as_str())
        .bind(&ids)
        .bind(&digests)
        .bind(&times);
    let horizon = sqlx::query_scalar::<_, i64>("SELECT recorded_ms FROM horizon FOR SHARE").persistent(false);
    let horizon_ms = horizon.fetch_optional(&mut *connection).await?.unwrap_or(0);
    let mut new: HashSet<String> = new.persistent(false).fetch_all(&mut *connection).await?.into_iter().collect();
    let own = sqlx::query_scalar::<_, String>("SELECT id FROM outbox WHERE id = ANY ($1)").bind(&ids).persistent(false);
    let own = own.fetch_all(&mut *connection).await?.into_iter().collect();
    let mut held: HashMap<String, bool> = HashMap::new();
    if new.len() < ids.len() {
        let marked = sqlx::query_as::<_, (String, bool)>(include_str!("sql/marked.sql"));
        let marked = marked.bind(group.as_str()).bind(&ids).bind(&digests);
        held.extend(marked.persistent(false).fetch_all(connection).await?);
        held.retain(|id, _| !new.contains(id));
    }
    let verdict = |digested: &DigestedEvent| {
        let id = digested.event.id.as_str();
        if new.remove(id) {
            return MarkVerdict::Applied;
        }
        let same_here = first.get(id).is_none_or(|first| first.digest == digested.digest);
        let same_there = held.get(id).is_none_or(|same| *same);
        if same_here && same_there { MarkVerdict::Repeated } else { MarkVerdict::Conflicting }
    };
    let verdicts = events.iter().copied().map(verdict).collect();
    Ok(MarkedBatch { verdicts, own, horizon_ms })
}
