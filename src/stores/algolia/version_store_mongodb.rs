//! A version store in MongoDB.

use std::collections::HashMap;

use async_trait::async_trait;
use mongodb::bson::{Bson, Document, doc};
use mongodb::options::FindOptions;
use pipeline::sink::{Failure, Order, Sink, Verdict};

use super::version_store::{IndexEntry, VersionRow, VersionStore};
use crate::stores::mongodb::{Collection, Mongo, MongoReader, MongoSink, Upsert, VERSION, number, persons_collections};
use crate::stores::ratings::{STARS, SUBJECT, SUBJECTS};
use crate::stores::reader::{ObservedVersion, StoreReader};

/// Rows in one page.
const PAGE: i64 = 1_000;
const OBJECT: &str = "object";
/// What was held before the version that is held now.
const PREVIOUS: &str = "previous";
/// What an entry adds to a rating, if anything.
const CONTRIBUTION: [&str; 2] = [SUBJECT, STARS];

/// Versions and objects in a collection whose key is `_id`.
#[derive(Clone, Debug)]
pub struct MongoVersionStore {
    mongo: Mongo,
    collection: &'static Collection,
    sink: MongoSink,
    reader: MongoReader,
}

impl MongoVersionStore {
    /// `only` is the collection, alone.
    pub fn new(
        mongo: Mongo,
        collection: &'static Collection,
        only: &'static [&'static Collection],
        order: Order,
    ) -> Self {
        let sink = MongoSink::new(mongo.clone(), collection, order, false);
        let reader = MongoReader::new(mongo.clone(), only);
        Self { mongo, collection, sink, reader }
    }

    /// The row of an entry, and what it takes the place of.
    fn upsert(&self, entry: &IndexEntry, held: Option<Document>) -> Upsert {
        let mut fields = doc! {OBJECT: entry.object.clone()};
        if let Some(contribution) = &entry.contribution {
            fields.insert(SUBJECT, &contribution.subject);
            fields.insert(STARS, i32::from(contribution.stars));
        }
        let version = held.as_ref().map(|held| number(held, VERSION));
        match held {
            Some(mut held) if number(&held, VERSION) < entry.version => {
                for ours in ["_id", PREVIOUS, SUBJECTS] {
                    held.remove(ours);
                }
                fields.insert(PREVIOUS, held);
            }
            // The same version once more: what was before it still is.
            Some(_) => {}
            None => {
                fields.insert(PREVIOUS, Bson::Null);
            }
        }
        // Another may take one meanwhile, and that would not be given back.
        let upsert = Upsert::set(self.collection, &entry.id, entry.version, entry.is_deleted(), fields);
        let upsert = upsert.only_over(version);
        match &entry.contribution {
            Some(contribution) => upsert.and_add(SUBJECTS, contribution.subject.as_str()),
            // What it added before must count no more.
            None => upsert.and_unset(&CONTRIBUTION),
        }
    }

    async fn documents(&self, filter: Document, options: FindOptions) -> Result<HashMap<String, Document>, Failure> {
        let documents = self.mongo.find(self.collection.name, filter, options).await?;
        Ok(documents.into_iter().filter_map(|row| Some((row.get_str("_id").ok()?.to_owned(), row))).collect())
    }
}

fn row(id: &str, document: &Document) -> VersionRow {
    let object = document.get_str(OBJECT).ok().map(str::to_owned);
    VersionRow { id: id.to_owned(), version: number(document, VERSION), object }
}

#[async_trait]
impl VersionStore for MongoVersionStore {
    async fn take(&self, entries: &[&IndexEntry]) -> Result<Vec<Verdict>, Failure> {
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        let mut held = self.documents(doc! {"_id": {"$in": ids}}, FindOptions::default()).await?;
        let writes: Vec<Upsert> = entries.iter().map(|entry| self.upsert(entry, held.remove(&entry.id))).collect();
        self.sink.write(&writes.iter().collect::<Vec<_>>()).await
    }

    async fn give_back(&self, entry: &IndexEntry) -> Result<(), Failure> {
        let ours = doc! {"_id": &entry.id, VERSION: entry.version};
        let Some(row) = self.documents(ours.clone(), FindOptions::default()).await?.remove(&entry.id) else {
            return Ok(());
        };
        let command = match row.get_document(PREVIOUS) {
            Ok(previous) => {
                let mut fields = previous.clone();
                fields.insert(PREVIOUS, Bson::Null);
                let added_nothing = CONTRIBUTION.into_iter().filter(|field| !previous.contains_key(field));
                let added_nothing: Document = added_nothing.map(|field| (field.to_owned(), Bson::Null)).collect();
                let mut update = doc! {"$set": fields};
                // The server takes no empty list.
                if !added_nothing.is_empty() {
                    update.insert("$unset", added_nothing);
                }
                doc! {"update": self.collection.name, "updates": [{"q": ours, "u": update}]}
            }
            Err(_) => doc! {"delete": self.collection.name, "deletes": [{"q": ours, "limit": 1}]},
        };
        self.mongo.write_all(command).await.map(drop)
    }

    async fn rows(&self, ids: &[String]) -> Result<Vec<Option<VersionRow>>, Failure> {
        let held = self.documents(doc! {"_id": {"$in": ids}}, FindOptions::default()).await?;
        Ok(ids.iter().map(|id| held.get(id).map(|document| row(id, document))).collect())
    }

    async fn page(&self, after: Option<&str>) -> Result<Vec<VersionRow>, Failure> {
        let options = FindOptions::builder().sort(doc! {"_id": 1}).limit(PAGE).build();
        let filter = after.map_or_else(Document::new, |after| doc! {"_id": {"$gt": after}});
        let held = self.documents(filter, options).await?;
        let mut rows: Vec<VersionRow> = held.iter().map(|(id, document)| row(id, document)).collect();
        rows.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(rows)
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        self.reader.remove(seen).await
    }

    async fn of_person(&self, person: &str) -> Result<Vec<ObservedVersion>, Failure> {
        persons_collections::rows(&self.mongo, self.collection, [OBJECT, PREVIOUS], person).await
    }

    async fn forget(&self, ids: &[String]) -> Result<u64, Failure> {
        let gone = doc! {"_id": {"$in": ids}, OBJECT: Bson::Null};
        let update = doc! {"q": gone, "u": {"$set": {PREVIOUS: Bson::Null}}, "multi": true};
        let command = doc! {"update": self.collection.name, "updates": [update]};
        let answer = self.mongo.write_all(command).await?;
        Ok(u64::try_from(number(&answer, "nModified")).unwrap_or_default())
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        self.reader.horizon().await
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        self.reader.note_horizon(version).await
    }

    async fn probe(&self) -> Result<(), Failure> {
        self.sink.probe().await
    }
}
