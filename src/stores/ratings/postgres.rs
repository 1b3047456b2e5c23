//! Ratings in PostgreSQL: the contributions are the rows of a version store.
//!
//! Each call is a statement of its own that sees what was committed before it began (READ COMMITTED), and subjects are
//! locked in their order: so the count that follows a raised number sees the contributions of all lower numbers.

use std::collections::HashMap;

use async_trait::async_trait;
use pipeline::sink::{Failure, Why};

use super::recompute::{Rated, Rating, Ratings};
use crate::stores::algolia::possible;
use crate::stores::postgres::Postgres;

const SUBJECTS: &str = "SELECT DISTINCT unnest(subjects) AS subject FROM algolia_ledger
    WHERE index_name = $1 AND id = ANY($2) ORDER BY subject";

const RAISE: &str = include_str!("sql/raise.sql");

/// The conditions are those of the index.
const COUNT: &str = "SELECT subject, stars::bigint, count(*) FROM algolia_ledger
    WHERE index_name = $1 AND subject = ANY($2) AND subject IS NOT NULL AND NOT deleted GROUP BY subject, stars";

const PUT: &str = include_str!("sql/put.sql");

const HELD: &str = "SELECT subject, rating_seq, histogram FROM algolia_ratings
    WHERE index_name = $1 AND subject = ANY($2) AND rating_seq IS NOT NULL";

/// Those that a contribution has left too, for their ratings have to follow.
const ALL: &str = "SELECT DISTINCT unnest(subjects) FROM algolia_ledger WHERE index_name = $1";

/// The contributions in the version store of an index, and the ratings of their subjects.
#[derive(Clone, Debug)]
pub struct PostgresRatings {
    postgres: Postgres,
    index: &'static str,
}

impl PostgresRatings {
    /// Needs the tables of [`Postgres::install_version_store`].
    pub fn new(postgres: Postgres, index: &'static str) -> Self {
        Self { postgres, index }
    }
}

fn read_rated((subject, seq, histogram): (String, i64, Vec<i64>)) -> (String, Rated) {
    let mut rating = Rating::default();
    for (stars, count) in (1..).zip(histogram) {
        rating.add(stars, u64::try_from(count).unwrap_or_default());
    }
    (subject.clone(), Rated { subject, seq, rating })
}

#[async_trait]
impl Ratings for PostgresRatings {
    async fn subjects(&self, contributions: &[String]) -> Result<Vec<String>, Failure> {
        let subjects = sqlx::query_scalar(SUBJECTS).bind(self.index).bind(possible(contributions));
        self.postgres.scalars(subjects).await
    }

    async fn raise(&self, subjects: &[String]) -> Result<Vec<Result<i64, Why>>, Failure> {
        let raise = sqlx::query_as(RAISE).bind(self.index).bind(subjects);
        let raised: Vec<(String, i64)> = self.postgres.rows(raise).await?;
        let raised: HashMap<String, i64> = raised.into_iter().collect();
        let missing = || Failure::broken("PostgreSQL did not return every number that it raised");
        subjects.iter().map(|subject| raised.get(subject).copied().map(Ok).ok_or_else(missing)).collect()
    }

    async fn count(&self, subjects: &[String]) -> Result<Vec<Rating>, Failure> {
        let count = sqlx::query_as(COUNT).bind(self.index).bind(possible(subjects));
        let counted: Vec<(String, i64, i64)> = self.postgres.rows(count).await?;
        let mut ratings: HashMap<String, Rating> = HashMap::new();
        for (subject, stars, count) in counted {
            ratings.entry(subject).or_default().add(stars, u64::try_from(count).unwrap_or_default());
        }
        Ok(subjects.iter().map(|subject| ratings.get(subject).copied().unwrap_or_default()).collect())
    }

    async fn put(&self, rated: &[Rated]) -> Result<Vec<Result<(), Why>>, Failure> {
        let subjects: Vec<&str> = rated.iter().map(|rated| rated.subject.as_str()).collect();
        let numbers: Vec<i64> = rated.iter().map(|rated| rated.seq).collect();
        let mut histograms: [Vec<i64>; 5] = Default::default();
        for rated in rated {
            for (column, count) in histograms.iter_mut().zip(rated.rating.histogram) {
                column.push(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        let mut put = sqlx::query(PUT).bind(self.index).bind(subjects).bind(numbers);
        for column in histograms {
            put = put.bind(column);
        }
        // One row that is refused takes the others with it.
        self.postgres.execute(put).await.map(|_| vec![Ok(()); rated.len()])
    }

    async fn load(&self, subjects: &[String]) -> Result<Vec<Option<Rated>>, Failure> {
        let held = sqlx::query_as(HELD).bind(self.index).bind(possible(subjects));
        let held: Vec<(String, i64, Vec<i64>)> = self.postgres.rows(held).await?;
        let held: HashMap<String, Rated> = held.into_iter().map(read_rated).collect();
        Ok(subjects.iter().map(|subject| held.get(subject).cloned()).collect())
    }

    async fn all(&self) -> Result<Vec<String>, Failure> {
        self.postgres.scalars(sqlx::query_scalar(ALL).bind(self.index)).await
    }

    fn document(&self, subject: &str) -> String {
        format!("algolia_ratings ({}, {subject}) in PostgreSQL at {}", self.index, self.postgres.address())
    }
}
