//! Ratings: what the contributions to a subject come to, never incremented but counted anew.
//!
//! A contribution is written first; then the subject's number is raised, all its contributions are counted, and the rating
//! is written where one of a lower number is held. Whoever raised a number wrote before, so the count of a higher number
//! has seen the contributions of all lower ones: instances that race, and replays, leave the rating of all contributions.

use std::time::Duration;

use async_trait::async_trait;
use pipeline::sink::{Failure, Why};
use serde_json::{Value, json};

use crate::stores::follow_up::Refusal;
use crate::stores::halves::Halves;

/// Subjects that are rated at once.
const AT_ONCE: usize = 500;

/// How often each number of stars was given, 1 first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rating {
    pub histogram: [u64; 5],
}

impl Rating {
    /// Counts so many contributions with these stars; other numbers than 1 to 5 count for nothing.
    pub fn add(&mut self, stars: i64, count: u64) {
        let place = usize::try_from(stars).ok().and_then(|stars| stars.checked_sub(1));
        if let Some(slot) = place.and_then(|place| self.histogram.get_mut(place)) {
            *slot += count;
        }
    }

    pub fn count(&self) -> u64 {
        self.histogram.iter().sum()
    }

    /// The arithmetic mean; none of nothing.
    pub fn average(&self) -> Option<f64> {
        let sum: u64 = (1..).zip(self.histogram).map(|(stars, count): (u64, u64)| stars * count).sum();
        (self.count() > 0).then(|| sum as f64 / self.count() as f64)
    }

    /// `{"count":3,"average":4.0,"histogram":{"1":0,…,"5":1}}`
    pub fn json(&self) -> Value {
        let [one, two, three, four, five] = self.histogram;
        let histogram = json!({"1": one, "2": two, "3": three, "4": four, "5": five});
        json!({"count": self.count(), "average": self.average(), "histogram": histogram})
    }
}

/// A subject's rating as it is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rated {
    pub subject: String,
    /// Of two the higher was counted later.
    pub seq: i64,
    pub rating: Rating,
}

/// Keeps contributions, and the ratings of their subjects.
#[async_trait]
pub trait Ratings: Send + Sync + 'static {
    /// The subjects that these contributions count for or ever counted for, each once.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn subjects(&self, contributions: &[String]) -> Result<Vec<String>, Failure>;

    /// Raises the number of each of these subjects, made where it is missing. Gives numbers that are at least as high as
    /// the raised ones, in order, or why the document of one refuses it.
    ///
    /// # Errors
    /// Why they cannot be written.
    async fn raise(&self, subjects: &[String]) -> Result<Vec<Result<i64, Why>>, Failure>;

    /// Counts the living contributions of each of these subjects, in order.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn count(&self, subjects: &[String]) -> Result<Vec<Rating>, Failure>;

    /// Writes ratings where one of a lower number is held, or none. Gives one result a rating, in order: why the document
    /// of one refuses it.
    ///
    /// # Errors
    /// Why they cannot be written.
    async fn put(&self, rated: &[Rated]) -> Result<Vec<Result<(), Why>>, Failure>;

    /// The ratings that are held of these subjects, in order.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn load(&self, subjects: &[String]) -> Result<Vec<Option<Rated>>, Failure>;

    /// Every subject that a contribution counts for or ever counted for, each once.
    ///
    /// # Errors
    /// Why they cannot be read.
    async fn all(&self) -> Result<Vec<String>, Failure>;

    /// Names the document of a subject, and where it is.
    fn document(&self, subject: &str) -> String;
}

/// Counts the ratings of these subjects anew; gives those whose document refuses it.
///
/// # Errors
/// The first failure of the store; what is left is done by calling it again.
pub async fn rate(ratings: &dyn Ratings, subjects: &[String]) -> Result<Vec<Refusal>, Failure> {
    let mut refused: Vec<(String, Why)> = Vec::new();
    for subjects in subjects.chunks(AT_ONCE) {
        let mut halves = Halves::of(subjects);
        while let Some(some) = halves.next_due() {
            match rate_together(ratings, some).await {
                Ok(found) => refused.extend(found),
                Err(failure) => halves.split_failed(some, failure)?,
            }
        }
        refused.extend(halves.into_alone());
    }
    let refusal = |(subject, why): (String, Why)| Refusal { document: ratings.document(&subject), subject, why };
    Ok(refused.into_iter().map(refusal).collect())
}

/// Those that are refused, of subjects that are rated at once.
async fn rate_together(ratings: &dyn Ratings, subjects: &[String]) -> Result<Vec<(String, Why)>, Failure> {
    let numbers = ratings.raise(subjects).await?;
    let counted = ratings.count(subjects).await?;
    if numbers.len() != subjects.len() || counted.len() != subjects.len() {
        return Err(Failure::broken("the store counted other subjects than were asked for"));
    }
    let (mut rated, mut refused) = (Vec::new(), Vec::new());
    for ((subject, number), rating) in subjects.iter().zip(numbers).zip(counted) {
        match number {
            Ok(seq) => rated.push(Rated { subject: subject.clone(), seq, rating }),
            Err(why) => refused.push((subject.clone(), why)),
        }
    }
    if !rated.is_empty() {
        let written = ratings.put(&rated).await?;
        let why = |(rated, written): (Rated, Result<(), Why>)| Some((rated.subject, written.err()?));
        refused.extend(rated.into_iter().zip(written).filter_map(why));
    }
    Ok(refused)
}

/// Whoever is at work is done by then, mostly.
const PAUSE: Duration = Duration::from_secs(2);

/// A look at what may be changing: what differs is looked at once more, after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    First,
    Second,
}

/// In this order.
pub(crate) const LOOKS: [Look; 2] = [Look::First, Look::Second];

impl Look {
    pub(crate) async fn begin<T>(self, suspects: &[T]) {
        if self == Self::Second && !suspects.is_empty() {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The subjects whose rating is not that of their contributions, looked at twice, for writers may be at work.
///
/// # Errors
/// Why they cannot be read.
pub async fn wrong_subjects(ratings: &dyn Ratings) -> Result<Vec<String>, Failure> {
    let mut suspects = ratings.all().await?;
    for look in LOOKS {
        look.begin(&suspects).await;
        let mut wrong = Vec::new();
        for subjects in suspects.chunks(AT_ONCE) {
            let counted = ratings.count(subjects).await?;
            let held = ratings.load(subjects).await?;
            let compared = subjects.iter().zip(counted).zip(held);
            let differs =
                |counted: &Rating, held: &Option<Rated>| held.as_ref().is_none_or(|held| held.rating != *counted);
            wrong.extend(compared.filter(|((_, c), h)| differs(c, h)).map(|((subject, _), _)| subject.clone()));
        }
        suspects = wrong;
    }
    Ok(suspects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rating_is_count_mean_and_histogram() {
        let mut rating = Rating::default();
        assert_eq!(rating.json()["average"], Value::Null);
        for (stars, count) in [(5, 2), (4, 1), (0, 9), (6, 9), (-1, 9)] {
            rating.add(stars, count);
        }
        let expected =
            json!({"count": 3, "average": 14.0 / 3.0, "histogram": {"1": 0, "2": 0, "3": 0, "4": 1, "5": 2}});
        assert_eq!(rating.json(), expected);
    }
}
