//! The collections of a system, read back document by document.

use async_trait::async_trait;
use mongodb::bson::{Document, doc};
use pipeline::sink::Failure;

use super::document::{VERSION, content};
use super::{Collection, Mongo, OwnedFields, People, number, persons_collections};
use crate::stores::reader::{ObservedVersion, StoreReader, StoredDocument, StoredVersion, Visit, in_order};
use crate::walk::fields;
use crate::walk::transactions::of_document;

/// Documents in one page.
const PAGE: u32 = 1_000;
/// Documents deleted by one command.
const DELETED_AT_ONCE: usize = 1_000;
/// Versions below which tombstones may have been purged, by collection.
const HORIZONS: &str = "millrace_horizons";

/// Reads the documents that millrace wrote: those with the field `_version`.
#[derive(Clone, Debug)]
pub struct MongoReader {
    mongo: Mongo,
    /// No id is in two of them.
    collections: &'static [&'static Collection],
    people: Option<People>,
}

impl MongoReader {
    pub fn new(mongo: Mongo, collections: &'static [&'static Collection]) -> Self {
        Self { mongo, collections, people: None }
    }

    /// Says where the documents name the person that they are of.
    #[must_use]
    pub fn of(self, people: People) -> Self {
        Self { people: Some(people), ..self }
    }

    async fn each(
        &self,
        collection: &'static Collection,
        filter: Document,
        mut visit: impl FnMut(&str, Document) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let found = self.mongo.database().await?.collection::<Document>(collection.name);
        let find = found.find(filter).batch_size(PAGE);
        let mut cursor = self.mongo.within(find.into_future()).await?;
        while self.mongo.within(cursor.advance()).await? {
            let document = self.mongo.current(&cursor)?;
            if let Ok(id) = document.get_str(collection.key).map(str::to_owned) {
                visit(&id, document)?;
            }
        }
        Ok(())
    }

    fn first_collection(&self) -> &'static str {
        self.collections.first().map_or("none", |collection| collection.name)
    }
}

/// Deletes a document while it is as it was seen.
fn delete(collection: &Collection, seen: &ObservedVersion) -> Document {
    let deleted = if seen.deleted {
        doc! {"$eq": true}
    } else {
        doc! {"$ne": true}
    };
    doc! {"q": {collection.key: &seen.id, VERSION: seen.version, collection.deleted: deleted}, "limit": 1}
}

fn version_of(collection: &Collection, document: &Document) -> StoredVersion {
    let deleted = collection.is_deleted(document);
    let content = if deleted { 0 } else { content(collection, document) };
    let passed = (!deleted).then(|| match collection.fields {
        OwnedFields::All => of_document(document),
        OwnedFields::Only(names) => fields(document, names),
    });
    StoredVersion { version: number(document, VERSION), deleted, content, passed }
}

#[async_trait]
impl StoreReader for MongoReader {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure> {
        for collection in self.collections {
            let ours = doc! {VERSION: {"$exists": true}};
            self.each(collection, ours, |id, document| visit(id, version_of(collection, &document))).await?;
        }
        Ok(())
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        let mut all = Vec::new();
        for collection in self.collections {
            let wanted = doc! {collection.key: {"$in": ids}, VERSION: {"$exists": true}};
            let found = |id: &str, document: Document| {
                let held = version_of(collection, &document);
                all.push((
                    id.to_owned(),
                    StoredDocument { version: held, text: serde_json::to_string(&document).ok() },
                ));
                Ok(())
            };
            self.each(collection, wanted, found).await?;
        }
        Ok(in_order(ids, all))
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        let mut removed = 0;
        for collection in self.collections {
            for seen in seen.chunks(DELETED_AT_ONCE) {
                let deletes: Vec<Document> = seen.iter().map(|seen| delete(collection, seen)).collect();
                let command = doc! {"delete": collection.name, "deletes": deletes, "ordered": false};
                let answer = self.mongo.write_all(command).await?;
                removed += u64::try_from(number(&answer, "n")).unwrap_or_default();
            }
        }
        Ok(removed)
    }

    async fn of_person(&self, person: &str) -> Result<Option<Vec<ObservedVersion>>, Failure> {
        let Some(people) = self.people else { return Ok(None) };
        let mut all = Vec::new();
        for collection in self.collections {
            all.extend(persons_collections::theirs(&self.mongo, collection, people, person).await?);
        }
        Ok(Some(all))
    }

    async fn forget(&self, person: &str, _: &[ObservedVersion], only_look: bool) -> Result<u64, Failure> {
        let Some(People { field, erased: Some(erased) }) = self.people else { return Ok(0) };
        let mut emptied = 0;
        for collection in self.collections {
            let people = People { field, erased: Some(erased) };
            let theirs = persons_collections::theirs(&self.mongo, collection, people, person).await?;
            emptied += match only_look {
                true => theirs.len() as u64,
                false => persons_collections::empty_documents(&self.mongo, collection, erased, &theirs).await?,
            };
        }
        Ok(emptied)
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        let horizons = self.mongo.database().await?.collection::<Document>(HORIZONS);
        let noted = self.mongo.within(horizons.find_one(doc! {"_id": self.first_collection()}).into_future()).await?;
        Ok(noted.map(|noted| number(&noted, "version")))
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        let raise = doc! {"q": {"_id": self.first_collection()}, "u": {"$max": {"version": version}}, "upsert": true};
        self.mongo.write_all(doc! {"update": HORIZONS, "updates": [raise]}).await.map(drop)
    }
}
