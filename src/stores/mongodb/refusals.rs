//! The list of refused follow-ups in MongoDB: one document a subject.

use async_trait::async_trait;
use mongodb::bson::{Bson, DateTime, Document, doc};
use mongodb::options::FindOptions;
use pipeline::sink::Failure;

use super::Mongo;
use crate::stores::follow_up::{Listed, Refusal, Refusals};

const COLLECTION: &str = "millrace_refused_follow_ups";

/// The list of one system.
#[derive(Clone, Debug)]
pub struct MongoRefusals {
    mongo: Mongo,
    system: &'static str,
}

impl MongoRefusals {
    pub fn new(mongo: Mongo, system: &'static str) -> Self {
        Self { mongo, system }
    }

    fn id(&self, listed: &Listed) -> String {
        format!("{}/{}", self.system, listed.refusal.subject)
    }
}

fn read_listed(document: &Document) -> Option<Listed> {
    let text = |field: &str| document.get(field).and_then(Bson::as_str).map(str::to_owned);
    let refusal = Refusal {
        subject: text("subject")?,
        document: text("document").unwrap_or_default(),
        why: text("why").unwrap_or_default().into(),
    };
    Some(Listed { refusal, token: text("token").unwrap_or_default() })
}

#[async_trait]
impl Refusals for MongoRefusals {
    async fn put(&self, listed: &[Listed]) -> Result<(), Failure> {
        let update = |one: &Listed| {
            let Refusal { subject, document, why } = &one.refusal;
            let fields = doc! {
                "system": self.system, "subject": subject, "document": document, "why": why.as_ref(), "token": &one.token,
            };
            let update = doc! {"$set": fields, "$setOnInsert": {"since": DateTime::now()}};
            doc! {"q": {"_id": self.id(one)}, "u": update, "upsert": true}
        };
        let updates: Vec<Document> = listed.iter().map(update).collect();
        self.mongo.write_all(doc! {"update": COLLECTION, "updates": updates, "ordered": false}).await.map(drop)
    }

    async fn remove(&self, seen: &[Listed]) -> Result<(), Failure> {
        let delete = |one: &Listed| doc! {"q": {"_id": self.id(one), "token": &one.token}, "limit": 1};
        let deletes: Vec<Document> = seen.iter().map(delete).collect();
        self.mongo.write_all(doc! {"delete": COLLECTION, "deletes": deletes, "ordered": false}).await.map(drop)
    }

    async fn all(&self) -> Result<Vec<Listed>, Failure> {
        let found = self.mongo.find(COLLECTION, doc! {"system": self.system}, FindOptions::default()).await?;
        Ok(found.iter().filter_map(read_listed).collect())
    }
}
