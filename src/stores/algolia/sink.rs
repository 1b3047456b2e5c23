//! The sink: the version store takes version and object, what it holds is pushed, and pushed again when it moved meanwhile.
//!
//! Both halves are one write, of records that are applied or superseded: a crash in between leaves records that are not
//! committed, and their redelivery pushes what the version store holds by then. A rating that its index refuses is no matter of the
//! record: its subject is listed.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use pipeline::mutant;
use pipeline::sink::{Failure, FailureKind, Sink, SinkLimits, Verdict, Why};
use serde_json::json;

use super::{AlgoliaClient, BATCH_BYTES, BATCH_OPERATIONS, Operation};
use crate::stores::algolia::version_store::{IndexEntry, VersionRow, VersionStore};
use crate::stores::follow_up::{FollowUp, FollowUps, Refusal, nobodys_fault};
use crate::stores::halves::Halves;
use crate::stores::ratings::recompute::{Rated, Ratings, rate};
use crate::stores::ratings::sink::list_written;

/// How often a push is repeated because the version store moved.
const PUSHES: usize = 10;

/// Writes objects into an index by way of a version store.
pub(super) struct AlgoliaSink {
    pub index: Arc<AlgoliaIndex>,
    /// No two batches in flight hold records of one partition.
    pub ordered: bool,
}

/// An index, its version store, and the ratings that follow from its objects.
pub(super) struct AlgoliaIndex {
    pub client: AlgoliaClient,
    pub name: &'static str,
    pub versions: Arc<dyn VersionStore>,
    pub rated: Option<ShownRatings>,
}

/// The ratings that follow from an index's objects.
pub(super) struct ShownRatings {
    pub shown: Arc<RatedIndex>,
    pub follow_ups: Arc<FollowUps>,
}

/// An index whose objects show ratings; they may have further attributes, which stay.
pub(super) struct RatedIndex {
    pub client: AlgoliaClient,
    pub name: &'static str,
    pub ratings: Arc<dyn Ratings>,
}

/// What an index is to show under an id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ShownObject {
    id: String,
    version: i64,
    what: ShownContent,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ShownContent {
    Object(String),
    /// Of an object that others write too.
    Attributes(String),
    Nothing,
}

/// Where what is to be shown is held.
#[derive(Clone, Copy)]
enum ContentSource<'a> {
    Versions(&'a dyn VersionStore),
    Ratings(&'a dyn Ratings),
}

impl ContentSource<'_> {
    async fn look(self, ids: &[String]) -> Result<Vec<ShownObject>, Failure> {
        Ok(match self {
            Self::Versions(versions) => versions.rows(ids).await?.into_iter().flatten().map(ShownObject::row).collect(),
            Self::Ratings(ratings) => ratings.load(ids).await?.iter().flatten().map(ShownObject::rating).collect(),
        })
    }
}

impl ShownObject {
    fn row(row: VersionRow) -> Self {
        Self { id: row.id, version: row.version, what: row.object.map_or(ShownContent::Nothing, ShownContent::Object) }
    }

    fn rating(rated: &Rated) -> Self {
        let attributes = json!({"objectID": rated.subject, "rating": rated.rating.json()}).to_string();
        Self { id: rated.subject.clone(), version: rated.seq, what: ShownContent::Attributes(attributes) }
    }

    fn operation(&self) -> Operation<'_> {
        match &self.what {
            ShownContent::Object(object) => Operation::Save { object },
            ShownContent::Attributes(object) => Operation::Merge { object },
            ShownContent::Nothing => Operation::Delete { id: &self.id },
        }
    }
}

impl RatedIndex {
    async fn rate(&self, subjects: &[String]) -> Result<Vec<Refusal>, Failure> {
        let mut refused = rate(&*self.ratings, subjects).await?;
        let mut halves = Halves::of(subjects);
        while let Some(some) = halves.next_due() {
            let ratings = ContentSource::Ratings(&*self.ratings);
            if let Err(failure) = push_until_stable(&self.client, self.name, some, ratings).await {
                halves.split_failed(some, failure)?;
            }
        }
        let refusal = |(subject, why): (String, Why)| Refusal {
            document: format!("the object {subject} of the index {} in Algolia", self.name),
            subject,
            why: format!("{why}: mend the object, or take out of it what others keep there").into(),
        };
        refused.extend(halves.into_alone().into_iter().map(refusal));
        Ok(refused)
    }
}

#[async_trait]
impl FollowUp for RatedIndex {
    async fn attempt(&self, subjects: &[String]) -> Result<Vec<Refusal>, Failure> {
        self.rate(subjects).await
    }
}

impl AlgoliaIndex {
    /// Pushes what the version store holds of these objects.
    pub(super) async fn push(&self, ids: &[String]) -> Result<(), Failure> {
        push_until_stable(&self.client, self.name, ids, ContentSource::Versions(&*self.versions)).await
    }

    /// Counts the ratings that these objects count for, and pushes them.
    async fn follow_up(&self, ids: &[String]) -> Result<(), Failure> {
        self.rate(&self.subjects(ids).await?).await
    }

    /// Whom these objects count for or ever counted for.
    async fn subjects(&self, ids: &[String]) -> Result<Vec<String>, Failure> {
        match &self.rated {
            Some(rated) => rated.shown.ratings.subjects(ids).await.map_err(nobodys_fault),
            None => Ok(Vec::new()),
        }
    }

    /// What is refused of it is listed.
    pub(super) async fn rate(&self, subjects: &[String]) -> Result<(), Failure> {
        match &self.rated {
            Some(rated) => rated.follow_ups.run(subjects).await,
            None => Ok(()),
        }
    }

    /// Gives back a write that is refused, unless something newer is held by now; then it was superseded.
    async fn refuse(&self, entry: &IndexEntry, failure: Failure) -> Result<Vec<Verdict>, Failure> {
        let ids = std::slice::from_ref(&entry.id);
        let held = self.versions.rows(ids).await.map_err(nobodys_fault)?.into_iter().next().flatten();
        if held.is_some_and(|held| held.version > entry.version) {
            self.follow_up(ids).await?;
            return Ok(vec![Verdict::Superseded]);
        }
        if mutant!(GiveBackSkipped) {
            return Err(failure);
        }
        let subjects = self.subjects(ids).await?;
        self.versions.give_back(entry).await.map_err(nobodys_fault)?;
        // While it was held it may have been counted.
        self.rate(&subjects).await?;
        Err(failure)
    }
}

async fn push_until_stable(
    client: &AlgoliaClient,
    index: &str,
    ids: &[String],
    source: ContentSource<'_>,
) -> Result<(), Failure> {
    let mut moved = if ids.is_empty() { Vec::new() } else { source.look(ids).await.map_err(nobodys_fault)? };
    for _ in 0..PUSHES {
        if moved.is_empty() {
            return Ok(());
        }
        for part in parts(&moved) {
            let operations: Vec<Operation<'_>> = part.iter().map(ShownObject::operation).collect();
            client.batch(index, &operations).await?;
        }
        if mutant!(PushedOnce) {
            return Ok(());
        }
        let ids: Vec<String> = moved.iter().map(|shown| shown.id.clone()).collect();
        let pushed: HashSet<ShownObject> = moved.into_iter().collect();
        let now = source.look(&ids).await.map_err(nobodys_fault)?;
        moved = now.into_iter().filter(|shown| !pushed.contains(shown)).collect();
    }
    Err(Failure::unavailable("others keep writing the same objects"))
}

/// Splits what is pushed by the limits of a batch.
fn parts(shown: &[ShownObject]) -> Vec<&[ShownObject]> {
    let mut parts = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (place, one) in shown.iter().enumerate() {
        let size = one.operation().bytes();
        if place > from && (place - from == BATCH_OPERATIONS || bytes + size > BATCH_BYTES) {
            parts.extend(shown.get(from..place));
            (from, bytes) = (place, 0);
        }
        bytes += size;
    }
    parts.extend(shown.get(from..).filter(|rest| !rest.is_empty()));
    parts
}

impl AlgoliaSink {
    async fn take(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure> {
        let index = &self.index;
        let verdicts = index.versions.take(entries).await?;
        let ids = list_written(entries, &verdicts, IndexEntry::id);
        match (index.push(&ids).await, entries) {
            (Ok(()), _) => {}
            (Err(failure), [entry]) if [FailureKind::Refused, FailureKind::TurnedAway].contains(&failure.kind) => {
                return index.refuse(entry, failure).await;
            }
            (Err(failure), _) => return Err(failure),
        }
        index.follow_up(&ids).await?;
        Ok(verdicts)
    }
}

#[async_trait]
impl Sink<IndexEntry> for AlgoliaSink {
    fn name(&self) -> &'static str {
        "algolia"
    }

    fn limits(&self) -> SinkLimits {
        let (items, bytes) = (BATCH_OPERATIONS, BATCH_BYTES);
        SinkLimits { items, bytes, ordered: self.ordered, one_write_a_document: true }
    }

    async fn write(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure> {
        self.take(entries).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.index.versions.probe().await?;
        self.index.client.probe(self.index.name).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_split_by_number_and_by_size() {
        let shown =
            |size: usize| ShownObject { id: "a".into(), version: 1, what: ShownContent::Object("x".repeat(size)) };
        let sizes = |shown: &[ShownObject]| parts(shown).into_iter().map(<[ShownObject]>::len).collect::<Vec<_>>();
        assert_eq!(sizes(&[]), [] as [usize; 0]);
        assert_eq!(sizes(&vec![shown(10); 2_500]), [1_000, 1_000, 500]);
        assert_eq!(sizes(&vec![shown(BATCH_BYTES / 3); 7]), [2, 2, 2, 1]);
        assert_eq!(sizes(&[shown(1), shown(BATCH_BYTES), shown(1), shown(1)]), [1, 1, 2]);
    }
}
