//! The sink: one unordered `update` command a collection, each update with the version it needs to find.
//!
//! An update that finds nothing to change tries to insert, and the key that is there already says no. Then the document is
//! looked up: it may hold something newer, another may have inserted it at the same moment, or another unique index objects.

use std::collections::HashMap;

use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::FindOptions;
use pipeline::mutant;
use pipeline::sink::{Failure, Order, Reject, Sink, SinkLimits, Verdict};

use super::document::VERSION;
use super::errors::{judge_write, write_errors};
use super::{Collection, DUPLICATE_KEY, Mongo, Upsert, number};

/// Updates in one command; the server takes 100,000.
const MAX_ITEMS: usize = 1_000;
/// Bytes in one command; the server takes 16 MiB, and a version store adds what it takes the place of.
const MAX_BYTES: usize = 6 << 20;
/// The key of no document.
const PROBE: &str = "millrace.probe";

/// Writes documents into the collections of a system.
#[derive(Clone, Debug)]
pub struct MongoSink {
    mongo: Mongo,
    order: Order,
    /// No two batches in flight hold records of one partition.
    ordered: bool,
    /// Any of those that are written; the probe goes there.
    collection: &'static Collection,
    /// What to do about a unique index that refuses a document, where there is something to do.
    hint: Option<&'static str>,
}

impl MongoSink {
    pub fn new(mongo: Mongo, collection: &'static Collection, order: Order, ordered: bool) -> Self {
        Self { mongo, order, ordered, collection, hint: None }
    }

    /// Says what to do about a unique index that refuses a document.
    #[must_use]
    pub fn hinting(self, hint: Option<&'static str>) -> Self {
        Self { hint, ..self }
    }

    /// Sends what is open; returns what has to be sent once more.
    async fn attempt<'w>(
        &self,
        collection: &'static Collection,
        open: Vec<(usize, &'w Upsert)>,
        last: bool,
        verdicts: &mut [Option<Verdict>],
    ) -> Result<Vec<(usize, &'w Upsert)>, Failure> {
        let updates: Vec<Bson> = open.iter().map(|(_, write)| self.update(write).into()).collect();
        let command = doc! {"update": collection.name, "updates": updates, "ordered": false};
        let answer = self.mongo.write(command).await?;
        let mut objected: Vec<(usize, &Upsert, &Document)> = Vec::new();
        for error in write_errors(&answer) {
            let item = usize::try_from(number(error, "index")).ok().and_then(|index| open.get(index).copied());
            // An answer that names none of our writes cannot be believed.
            let (place, write) = item.ok_or_else(|| Failure::broken("MongoDB named a write that was not sent"))?;
            if number(error, "code") == DUPLICATE_KEY {
                objected.push((place, write, error));
            } else {
                set_verdict(verdicts, place, judge_write(error, self.mongo.address()));
            }
        }
        if objected.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&str> = objected.iter().map(|(_, write, _)| write.id.as_str()).collect();
        let held = self.versions(collection, &ids).await?;
        let mut again = Vec::new();
        for (place, write, error) in objected {
            match held.get(&write.id) {
                Some(held) if self.beats(*held, write.version) => set_verdict(verdicts, place, Verdict::Superseded),
                // What is taken over a version that was read may have lost to somebody twice.
                _ if is_others(error, collection) || (last && write.held.is_none()) => {
                    set_verdict(verdicts, place, Verdict::Conflict(reject_taken(collection, error, self.hint)));
                }
                _ => again.push((place, write)),
            }
        }
        Ok(again)
    }

    fn update(&self, write: &Upsert) -> Document {
        let newer = match self.order {
            _ if mutant!(VersionsLeftOff) => doc! {"$gt": i64::MAX},
            Order::Log => doc! {"$gt": write.version},
            Order::Any => doc! {"$gte": write.version},
        };
        // "Not newer" holds as well of a document that has no version yet.
        let mut found = doc! {write.collection.key: &write.id, VERSION: {"$not": newer}};
        if let Some(held) = &write.held {
            found.insert("$and", [doc! {VERSION: held.clone()}]);
        }
        doc! {"q": found, "u": &write.update, "upsert": true}
    }

    fn beats(&self, held: i64, version: i64) -> bool {
        match self.order {
            Order::Log => held > version,
            Order::Any => held >= version,
        }
    }

    async fn versions(&self, collection: &Collection, ids: &[&str]) -> Result<HashMap<String, i64>, Failure> {
        let fields = FindOptions::builder().projection(doc! {collection.key: 1, VERSION: 1}).build();
        let found = self.mongo.find(collection.name, doc! {collection.key: {"$in": ids}}, fields).await?;
        let version =
            |document: &Document| Some((document.get_str(collection.key).ok()?.to_owned(), number(document, VERSION)));
        Ok(found.iter().filter_map(version).collect())
    }

    /// An update that finds nothing: refused like any write where the server is read-only or the user without rights.
    async fn take_nothing(&self, collection: &Collection, id: &str) -> Result<(), Failure> {
        // No version is a text, so it finds nothing whatever is held under the id.
        let nothing = doc! {"q": {collection.key: id, VERSION: PROBE}, "u": {"$set": {VERSION: 0_i64}}};
        let command = doc! {"update": collection.name, "updates": [nothing], "ordered": false};
        let answer = self.mongo.write(command).await?;
        let verdict = write_errors(&answer).next().map(|error| judge_write(error, self.mongo.address()));
        match verdict {
            Some(Verdict::Retry(failure)) => Err(failure),
            Some(Verdict::Reject(reject)) => Err(Failure::misconfigured(reject.why)),
            _ => Ok(()),
        }
    }
}

/// Whether the server says that it was another index than that of our key; older ones do not say.
fn is_others(error: &Document, collection: &Collection) -> bool {
    error.get_document("keyPattern").is_ok_and(|key| !key.is_empty() && !key.contains_key(collection.key))
}

/// Names the index and its fields, as far as the server does, and no values.
fn reject_taken(collection: &Collection, error: &Document, hint: Option<&str>) -> Reject {
    let fields: Vec<&str> =
        error.get_document("keyPattern").map(|key| key.keys().map(String::as_str).collect()).unwrap_or_default();
    // The rest of the text quotes values.
    let index = error.get_str("errmsg").ok().and_then(|text| text.split_once("index: ")?.1.split_once(" dup key"));
    let index = index.map_or("another unique index", |(index, _)| index);
    let mut why = format!("the unique index {index} of {}", collection.name);
    if index == "another unique index" {
        why = format!("another unique index of {}", collection.name);
    }
    if !fields.is_empty() {
        why.push_str(&format!(" ({})", fields.join(", ")));
    }
    why.push_str(" holds a value of this document already");
    if let Some(hint) = hint {
        why.push_str(&format!("; {hint}"));
    }
    Reject::new("duplicate_key", why)
}

fn too_large() -> Reject {
    Reject::new("document_too_large", "MongoDB takes documents of at most 16 MiB, counted as BSON")
}

fn set_verdict(verdicts: &mut [Option<Verdict>], place: usize, verdict: Verdict) {
    if let Some(slot) = verdicts.get_mut(place) {
        *slot = Some(verdict);
    }
}

#[async_trait]
impl Sink<Upsert> for MongoSink {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: MAX_ITEMS, bytes: MAX_BYTES, ordered: self.ordered, one_write_a_document: true }
    }

    async fn write(&self, writes: &[&Upsert]) -> Result<Vec<Verdict>, Failure> {
        let mut verdicts: Vec<Option<Verdict>> = vec![None; writes.len()];
        let mut collections: Vec<&'static Collection> = Vec::new();
        for (place, write) in writes.iter().enumerate() {
            if write.is_too_large() {
                set_verdict(&mut verdicts, place, Verdict::Reject(too_large()));
                continue;
            }
            if !collections.iter().any(|known| std::ptr::eq(*known, write.collection)) {
                collections.push(write.collection);
            }
        }
        for collection in collections {
            let fits = |write: &Upsert| std::ptr::eq(write.collection, collection) && !write.is_too_large();
            let all = writes.iter().enumerate().filter(|(_, write)| fits(write));
            let mut open: Vec<(usize, &Upsert)> = all.map(|(place, write)| (place, *write)).collect();
            // Twice: whoever lost a race to insert finds the document the second time.
            for last in [false, true] {
                if !open.is_empty() {
                    open = self.attempt(collection, open, last, &mut verdicts).await?;
                }
            }
            for (place, _) in open {
                set_verdict(
                    &mut verdicts,
                    place,
                    Verdict::Retry(Failure::unavailable("others write the same document")),
                );
            }
        }
        Ok(verdicts.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Applied)).collect())
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.take_nothing(self.collection, PROBE).await
    }

    async fn probe_of(&self, write: &Upsert) -> Result<(), Failure> {
        self.take_nothing(write.collection, &write.id).await
    }
}
