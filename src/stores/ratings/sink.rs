//! Contributions of reviews, and the ratings that follow from them, in MongoDB and in the cache.
//!
//! The ratings are counted in the same write that takes the contributions, applied or superseded: a crash between the two
//! halves leaves records that are not committed, and their redelivery counts again. A rating that a document refuses is no
//! matter of the record: its subject is listed.

use std::sync::Arc;

use async_trait::async_trait;
use pipeline::mutant;
use pipeline::sink::{Failure, Sink, SinkLimits, Verdict};

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
    async fn load(&self, subjects: &[String]) -> Result<Vec<Rated>, Failure> {
        Ok(self.ratings.load(subjects).await?.into_iter().flatten().collect())
    }

    /// The subjects whose rating the cache has otherwise, looked at twice.
    async fn find_cached_otherwise(&self, cache: &RatingCache) -> Result<Vec<String>, Failure> {
        let mut suspects = self.ratings.all().await?;
        for look in LOOKS {
            look.begin(&suspects).await;
            let mut wrong = Vec::new();
            for subjects in suspects.chunks(AT_ONCE) {
                wrong.extend(cache.wrong_subjects(&self.load(subjects).await?).await?);
            }
            suspects = wrong;
        }
        Ok(suspects)
    }
}

#[async_trait]
impl FollowUp for Counted {
    async fn attempt(&self, subjects: &[String]) -> Result<Vec<Refusal>, Failure> {
        let mut refused = rate(&self.ratings, subjects).await?;
        if let Some(cache) = &self.cache {
            refused.extend(cache.put(&self.load(subjects).await?).await?);
        }
        Ok(refused)
    }
}

/// The writes that the store holds now, or something newer.
pub(crate) fn list_written<'a, W>(
    writes: &[&'a W],
    verdicts: &[Verdict],
    id: impl Fn(&'a W) -> &'a str,
) -> Vec<String> {
    let all = writes.iter().zip(verdicts);
    let settled = all.filter(|(_, verdict)| match verdict {
        Verdict::Applied => true,
        Verdict::Superseded => !mutant!(FollowUpSkipped),
        _ => false,
    });
    settled.map(|(write, _)| id(write).to_owned()).collect()
}

#[async_trait]
impl Sink<Upsert> for RatingsSink {
    fn name(&self) -> &'static str {
        Sink::name(&self.sink)
    }

    fn limits(&self) -> SinkLimits {
        self.sink.limits()
    }

    async fn write(&self, writes: &[&Upsert]) -> Result<Vec<Verdict>, Failure> {
        let verdicts = self.sink.write(writes).await?;
        let settled = list_written(writes, &verdicts, Upsert::id);
        let subjects = self.counted.ratings.subjects(&settled).await.map_err(nobodys_fault)?;
        self.follow_ups.run(&subjects).await?;
        Ok(verdicts)
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.sink.probe().await
    }

    async fn probe_of(&self, write: &Upsert) -> Result<(), Failure> {
        self.sink.probe_of(write).await
    }
}

#[async_trait]
impl StoreReader for RatingsReader {
    fn name(&self) -> &'static str {
        self.reader.name()
    }

    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure> {
        self.reader.read(visit).await
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        self.reader.find(ids).await
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        self.reader.remove(seen).await
    }

    async fn check_derived(&self, mend: bool) -> Result<Vec<String>, Failure> {
        let mut wrong = wrong_subjects(&self.counted.ratings).await?;
        if let Some(cache) = &self.counted.cache {
            let cached = self.counted.find_cached_otherwise(cache).await?;
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

    fn follow_ups(&self) -> Option<Arc<FollowUps>> {
        Some(self.follow_ups.clone())
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        self.reader.horizon().await
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        self.reader.note_horizon(version).await
    }
}
