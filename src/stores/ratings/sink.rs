//! Contributions of reviews, and the ratings that follow from them, in MongoDB and in the cache.
//!
//! The ratings are counted in the same write that takes the contributions, applied or superseded: a crash between the two
//! halves leaves records that are not committed, and their redelivery counts again. A rating that a document refuses is no
//! matter of the record: its subject is listed.

use std::sync::Arc;

use pipeline::mutants::{self, Mutant};
use pipeline::sink::{BoxFuture, Failure, Sink, SinkLimits, Verdict};

use super::MongoRatings;
use super::recompute::{LOOKS, Rated, Ratings, rate, wrong_subjects};
use super::redis::RatingCache;
use crate::stores::follow_up::{FollowUp, FollowUps, Refusal, nobodys_fault};
use crate::stores::mongodb::{MongoReader, MongoSink, Upsert};
use crate::stores::reader::{ObservedVersion, StoreReader, StoredDocument, Visit};

/// Ratings that are compared at once.
const AT_ONCE: usize = 500;

/// Writes contributions, and counts.
pub struct RatingsSink {
    pub sink: MongoSink,
    pub follow_ups: Arc<FollowUps>,
    pub counted: Arc<Counted>,
}

/// What follows from contributions.
pub struct Counted {
    pub ratings: MongoRatings,
    /// Where there is one, a batch waits for it as for the database.
    pub cache: Option<RatingCache>,
}

/// Contributions and ratings, read back.
pub struct RatingsReader {
    pub reader: MongoReader,
    pub follow_ups: Arc<FollowUps>,
    pub counted: Arc<Counted>,
}

impl Counted {
    async fn count(&self, subjects: &[String]) -> Result<Vec<Refusal>, Failure> {
        let mut refused = rate(&self.ratings, subjects).await?;
        if let Some(cache) = &self.cache {
            refused.extend(cache.put(&self.held(subjects).await?).await?);
        }
        Ok(refused)
    }

    async fn held(&self, subjects: &[String]) -> Result<Vec<Rated>, Failure> {
        Ok(self.ratings.held(subjects).await?.into_iter().flatten().collect())
    }

    /// The subjects whose rating the cache has otherwise, looked at twice.
    async fn cached_otherwise(&self, cache: &RatingCache) -> Result<Vec<String>, Failure> {
        let mut suspects = self.ratings.all().await?;
        for look in LOOKS {
            look.begin(&suspects).await;
            let mut wrong = Vec::new();
            for subjects in suspects.chunks(AT_ONCE) {
                wrong.extend(cache.wrong_subjects(&self.held(subjects).await?).await?);
            }
            suspects = wrong;
        }
        Ok(suspects)
    }
}

impl FollowUp for Counted {
    fn attempt<'a>(&'a self, subjects: &'a [String]) -> BoxFuture<'a, Result<Vec<Refusal>, Failure>> {
        Box::pin(self.count(subjects))
    }
}

impl RatingsReader {
    async fn wrong_subjects(&self, mend: bool) -> Result<Vec<String>, Failure> {
        let mut wrong = wrong_subjects(&self.counted.ratings).await?;
        if let Some(cache) = &self.counted.cache {
            let cached = self.counted.cached_otherwise(cache).await?;
            if mend {
                // Of a database that was set back, they would count as later.
                cache.forget(&cached).await?;
            }
            wrong.extend(cached);
        }
        wrong.sort();
        wrong.dedup();
        if mend {
            self.follow_ups.run(&wrong).await?;
        }
        Ok(wrong)
    }
}

/// The writes that the store holds now, or something newer.
pub(crate) fn written_ids<'a, W>(writes: &[&'a W], verdicts: &[Verdict], id: impl Fn(&'a W) -> &'a str) -> Vec<String> {
    let all = writes.iter().zip(verdicts);
    let settled = all.filter(|(_, verdict)| match verdict {
        Verdict::Applied => true,
        Verdict::Superseded => !mutants::on(Mutant::FollowUpSkipped),
        _ => false,
    });
    settled.map(|(write, _)| id(write).to_owned()).collect()
}

impl RatingsSink {
    async fn take(&self, writes: &[&Upsert]) -> Result<Vec<Verdict>, Failure> {
        let verdicts = self.sink.upsert(writes).await?;
        let settled = written_ids(writes, &verdicts, Upsert::id);
        let subjects = self.counted.ratings.subjects(&settled).await.map_err(nobodys_fault)?;
        self.follow_ups.run(&subjects).await?;
        Ok(verdicts)
    }
}

impl Sink<Upsert> for RatingsSink {
    fn name(&self) -> &'static str {
        Sink::name(&self.sink)
    }

    fn limits(&self) -> SinkLimits {
        self.sink.limits()
    }

    fn write<'a>(&'a self, writes: &'a [&'a Upsert]) -> BoxFuture<'a, Result<Vec<Verdict>, Failure>> {
        Box::pin(self.take(writes))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), Failure>> {
        self.sink.probe()
    }

    fn probe_of<'a>(&'a self, write: &'a Upsert) -> BoxFuture<'a, Result<(), Failure>> {
        self.sink.probe_of(write)
    }
}

impl StoreReader for RatingsReader {
    fn name(&self) -> &'static str {
        self.reader.name()
    }

    fn read<'a>(&'a self, visit: Visit<'a>) -> BoxFuture<'a, Result<(), Failure>> {
        self.reader.read(visit)
    }

    fn find<'a>(&'a self, ids: &'a [String]) -> BoxFuture<'a, Result<Vec<Option<StoredDocument>>, Failure>> {
        self.reader.find(ids)
    }

    fn remove<'a>(&'a self, seen: &'a [ObservedVersion]) -> BoxFuture<'a, Result<u64, Failure>> {
        self.reader.remove(seen)
    }

    fn derived(&self, mend: bool) -> BoxFuture<'_, Result<Vec<String>, Failure>> {
        Box::pin(self.wrong_subjects(mend))
    }

    fn follow_ups(&self) -> Option<Arc<FollowUps>> {
        Some(self.follow_ups.clone())
    }

    fn horizon(&self) -> BoxFuture<'_, Result<Option<i64>, Failure>> {
        self.reader.horizon()
    }

    fn note_horizon(&self, version: i64) -> BoxFuture<'_, Result<(), Failure>> {
        self.reader.note_horizon(version)
    }
}
