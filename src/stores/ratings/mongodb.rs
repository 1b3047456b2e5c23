//! Ratings in MongoDB: contributions in one collection, subjects with their ratings in another.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::FindOptions;
use pipeline::sink::{Failure, FailureKind, Verdict, Why};

use super::recompute::{Rated, Rating, Ratings};
use crate::stores::mongodb::{Collection, DUPLICATE_KEY, Mongo, judge_write, number, write_errors};

/// Whom a contribution counts for.
pub const SUBJECT: &str = "creatorId";
/// Everybody that it ever counted for.
pub const SUBJECTS: &str = "creators";
pub const STARS: &str = "stars";
const SEQ: &str = "seq";
const RATING_SEQ: &str = "rating_seq";
const RATING: &str = "rating";
/// A number was to be raised, and something else is there.
const TYPE_MISMATCH: i64 = 14;
const NO_NUMBER: &str = "its field seq is no whole number: set it to one, or take it out";

/// Contributions, and the subjects that they count for. A subject's document may be another's that has further fields.
#[derive(Clone, Debug)]
pub struct MongoRatings {
    mongo: Mongo,
    contributions: &'static Collection,
    subjects: &'static str,
}

impl MongoRatings {
    pub fn new(mongo: Mongo, contributions: &'static Collection, subjects: &'static str) -> Self {
        Self { mongo, contributions, subjects }
    }

    async fn all_of(&self, collection: &str, filter: Document, fields: Document) -> Result<Vec<Document>, Failure> {
        self.mongo.find(collection, filter, FindOptions::builder().projection(fields).build()).await
    }

    /// The writes of a command that their documents refuse, by their place.
    fn find_refused(&self, answer: &Document) -> Result<HashMap<usize, Why>, Failure> {
        let mut refused = HashMap::new();
        for error in write_errors(answer) {
            let place = usize::try_from(number(error, "index"));
            let place = place.map_err(|_| Failure::broken("MongoDB named a write that was not sent"))?;
            let why = match (number(error, "code"), judge_write(error, self.mongo.address())) {
                (DUPLICATE_KEY, _) => {
                    let taken =
                        "a unique index of {} takes no second document without its field: make it sparse or partial";
                    taken.replace("{}", self.subjects).into()
                }
                (TYPE_MISMATCH, _) => NO_NUMBER.into(),
                (_, Verdict::Reject(reject)) => reject.why,
                // An error that is not known is one of this document: it is tried again all the same.
                (_, Verdict::Retry(failure)) if [FailureKind::Refused, FailureKind::Broken].contains(&failure.kind) => {
                    failure.why
                }
                (_, Verdict::Retry(failure)) => return Err(failure),
                _ => continue,
            };
            refused.insert(place, why);
        }
        Ok(refused)
    }
}

/// A whole number that can be raised by one.
fn whole_number(value: Option<&Bson>) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value? {
        Bson::Int32(number) => Some((*number).into()),
        Bson::Int64(number) => Some(*number),
        Bson::Double(number) if number.abs() < EXACT => Some(*number as i64),
        _ => None,
    }
}

fn document(rating: &Rating) -> Document {
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let stars = (1..).zip(rating.histogram).map(|(stars, n): (u8, u64)| (stars.to_string(), Bson::Int64(count(n))));
    doc! {"count": count(rating.count()), "average": rating.average(), "histogram": stars.collect::<Document>()}
}

fn read_rated(subject: &Document) -> Option<(String, Rated)> {
    let id = subject.get_str("_id").ok()?.to_owned();
    let histogram = subject.get_document(RATING).ok()?.get_document("histogram").ok()?;
    let mut rating = Rating::default();
    for stars in 1..=5 {
        rating.add(stars, u64::try_from(number(histogram, &stars.to_string())).unwrap_or_default());
    }
    Some((id.clone(), Rated { subject: id, seq: number(subject, RATING_SEQ), rating }))
}

#[async_trait]
impl Ratings for MongoRatings {
    async fn subjects(&self, contributions: &[String]) -> Result<Vec<String>, Failure> {
        let ids = doc! {self.contributions.key: {"$in": contributions}};
        let found = self.all_of(self.contributions.name, ids, doc! {SUBJECTS: 1}).await?;
        let subjects = found.iter().flat_map(|document| document.get_array(SUBJECTS).map(Vec::as_slice).unwrap_or(&[]));
        let subjects: BTreeSet<&str> = subjects.filter_map(Bson::as_str).collect();
        Ok(subjects.into_iter().map(str::to_owned).collect())
    }

    async fn raise(&self, subjects: &[String]) -> Result<Vec<Result<i64, Why>>, Failure> {
        let raise = |subject: &String| doc! {"q": {"_id": subject}, "u": {"$inc": {SEQ: 1_i64}}, "upsert": true};
        let updates: Vec<Document> = subjects.iter().map(raise).collect();
        let command = doc! {"update": self.subjects, "updates": updates, "ordered": false};
        let is_taken = |error: &Document| number(error, "code") == DUPLICATE_KEY;
        let mut answer = self.mongo.write(command.clone()).await?;
        if write_errors(&answer).any(is_taken) {
            // Whoever lost a race to insert finds the subject now; who does not is up against another index.
            answer = self.mongo.write(command).await?;
        }
        let mut refused = self.find_refused(&answer)?;
        let found = self.all_of(self.subjects, doc! {"_id": {"$in": subjects}}, doc! {SEQ: 1}).await?;
        let numbers: HashMap<&str, Option<i64>> = found
            .iter()
            .filter_map(|subject| Some((subject.get_str("_id").ok()?, whole_number(subject.get(SEQ)))))
            .collect();
        let number = |(place, subject): (usize, &String)| match (refused.remove(&place), numbers.get(subject.as_str()))
        {
            (Some(why), _) => Ok(Err(why)),
            (None, Some(Some(number))) => Ok(Ok(*number)),
            (None, Some(None)) => Ok(Err(NO_NUMBER.into())),
            (None, None) => Err(Failure::broken("MongoDB lost a subject between two commands")),
        };
        subjects.iter().enumerate().map(number).collect()
    }

    async fn count(&self, subjects: &[String]) -> Result<Vec<Rating>, Failure> {
        let living = doc! {SUBJECT: {"$in": subjects}, self.contributions.deleted: {"$ne": true}};
        let group = doc! {
            "_id": {"subject": format!("${SUBJECT}"), "stars": format!("${STARS}")},
            "count": {"$sum": 1},
        };
        let stages = [doc! {"$match": living}, doc! {"$group": group}];
        let mut ratings: HashMap<String, Rating> = HashMap::new();
        for group in self.mongo.aggregate(self.contributions.name, stages).await? {
            let Ok(id) = group.get_document("_id") else { continue };
            let Ok(subject) = id.get_str("subject") else { continue };
            let count = u64::try_from(number(&group, "count")).unwrap_or_default();
            ratings.entry(subject.to_owned()).or_default().add(number(id, "stars"), count);
        }
        Ok(subjects.iter().map(|subject| ratings.get(subject).copied().unwrap_or_default()).collect())
    }

    async fn put(&self, rated: &[Rated]) -> Result<Vec<Result<(), Why>>, Failure> {
        let update = |rated: &Rated| {
            let older = doc! {"_id": &rated.subject, RATING_SEQ: {"$not": {"$gte": rated.seq}}};
            doc! {"q": older, "u": {"$set": {RATING: document(&rated.rating), RATING_SEQ: rated.seq}}}
        };
        let updates: Vec<Document> = rated.iter().map(update).collect();
        let command = doc! {"update": self.subjects, "updates": updates, "ordered": false};
        let mut refused = self.find_refused(&self.mongo.write(command).await?)?;
        Ok((0..rated.len()).map(|place| refused.remove(&place).map_or(Ok(()), Err)).collect())
    }

    async fn load(&self, subjects: &[String]) -> Result<Vec<Option<Rated>>, Failure> {
        let rated = doc! {"_id": {"$in": subjects}, RATING_SEQ: {"$exists": true}};
        let found = self.all_of(self.subjects, rated, doc! {RATING: 1, RATING_SEQ: 1}).await?;
        let mut ratings: HashMap<String, Rated> = found.iter().filter_map(read_rated).collect();
        Ok(subjects.iter().map(|subject| ratings.remove(subject)).collect())
    }

    async fn all(&self) -> Result<Vec<String>, Failure> {
        // Those that a contribution has left too, for their ratings have to follow.
        let each = [doc! {"$unwind": format!("${SUBJECTS}")}, doc! {"$group": {"_id": format!("${SUBJECTS}")}}];
        let found = self.mongo.aggregate(self.contributions.name, each).await?;
        Ok(found.iter().filter_map(|group| group.get_str("_id").ok().map(str::to_owned)).collect())
    }

    fn document(&self, subject: &str) -> String {
        format!("{}/{subject} in MongoDB at {}", self.subjects, self.mongo.address())
    }
}
