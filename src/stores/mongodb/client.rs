//! MongoDB: the connection, commands with a limit in time, and what its errors mean.
//!
//! It waits for a server at most a few seconds at a time; the engine tries again. Works with MongoDB 4.4 and newer.

use std::sync::Arc;
use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{ClientOptions, FindOptions, ReadConcern, ReadPreference, SelectionCriteria};
use mongodb::{Client, Cursor, Database};
use pipeline::sink::Failure;
use secrecy::ExposeSecret;
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::document::Collection;
use super::errors::{judge, judge_code, write_errors};
use crate::config::{Config, Mongodb};
use crate::stores::target::SetupError;

/// How long a server may take to be found and connected to.
const CONNECT: Duration = Duration::from_secs(5);
/// A key is there already.
pub(crate) const DUPLICATE_KEY: i64 = 11_000;
/// How long a command may take.
pub(crate) const COMMAND: Duration = Duration::from_secs(60);

/// A database.
#[derive(Clone, Debug)]
pub struct Mongo {
    settings: Mongodb,
    database: Arc<OnceCell<Database>>,
}

/// What the server says.
#[derive(Clone, Debug)]
pub struct MongoServer {
    /// Such as `8.0.4`.
    pub version: String,
}

impl Mongo {
    /// Connects nowhere yet.
    ///
    /// # Errors
    /// A sentence that names the variable that is missing.
    pub fn of(config: &Config, system: &str) -> Result<Self, SetupError> {
        let missing = || SetupError::Missing(format!("{system} needs MongoDB: set MONGODB_URL"));
        let settings = config.mongodb.as_ref().ok_or_else(missing)?;
        Ok(Self::new(settings))
    }

    /// Connects nowhere yet.
    pub fn new(settings: &Mongodb) -> Self {
        Self { settings: settings.clone(), database: Arc::default() }
    }

    /// Another database of the same server, as the same user.
    pub(crate) fn in_database(&self, name: &str) -> Self {
        Self::new(&Mongodb { database: name.to_owned(), ..self.settings.clone() })
    }

    /// Removes the database with all that is in it.
    ///
    /// # Errors
    /// Why not.
    pub(crate) async fn remove(&self) -> Result<(), Failure> {
        self.write(doc! {"dropDatabase": 1}).await.map(drop)
    }

    /// Hosts and database, for messages.
    pub fn address(&self) -> &str {
        &self.settings.address
    }

    /// Looks at the server; changes nothing.
    ///
    /// # Errors
    /// Why it cannot be asked.
    pub async fn inspect(&self) -> Result<MongoServer, Failure> {
        let answer = self.run(doc! {"buildInfo": 1}).await?;
        Ok(MongoServer { version: answer.get_str("version").unwrap_or("unknown").to_owned() })
    }

    /// Makes the indexes of these collections that are missing: a unique one on each key, and those that reading needs. One
    /// that is there under another name does as well.
    ///
    /// # Errors
    /// Why not; documents that share a key are named as the cause.
    pub async fn install(&self, collections: &[&Collection]) -> Result<(), Failure> {
        for collection in collections {
            let there = self.indexes(collection).await?;
            // The server makes the index on _id itself.
            let key = (collection.key != "_id").then_some((collection.key, true));
            let wanted = key.into_iter().chain(collection.indexes.iter().map(|field| (*field, false)));
            let missing = wanted.filter(|(field, unique)| {
                let is_it = |key: &Document| key.len() == 1 && number(key, field) == 1;
                let does = |index: &Document| {
                    let whole = !index.contains_key("partialFilterExpression");
                    let enough = !unique || (whole && index.get_bool("unique").unwrap_or(false));
                    index.get_document("key").is_ok_and(is_it) && enough
                };
                !there.iter().any(does)
            });
            let index = |(field, unique): (&str, bool)| {
                doc! {"key": {field: 1}, "name": format!("{field}_1"), "unique": unique}
            };
            let indexes: Vec<Document> = missing.map(index).collect();
            if !indexes.is_empty() {
                self.run(doc! {"createIndexes": collection.name, "indexes": indexes}).await?;
            }
        }
        self.run(doc! {"ping": 1}).await.map(drop)
    }

    /// The indexes that are there.
    pub(crate) async fn indexes(&self, collection: &Collection) -> Result<Vec<Document>, Failure> {
        const NO_COLLECTION: i32 = 26;
        let asked = self.database().await?.run_command(doc! {"listIndexes": collection.name});
        let answer = timeout(COMMAND, asked.into_future()).await.map_err(|_| self.timeout_failure(COMMAND))?;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) if matches!(&*error.kind, ErrorKind::Command(why) if why.code == NO_COLLECTION) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(judge(&error, self.address())),
        };
        let batch = answer.get_document("cursor").and_then(|cursor| cursor.get_array("firstBatch"));
        Ok(batch.map(Vec::as_slice).unwrap_or_default().iter().filter_map(Bson::as_document).cloned().collect())
    }

    /// Runs a command.
    ///
    /// # Errors
    /// Why it failed as a whole; errors of single writes are in the answer.
    pub(crate) async fn run(&self, command: Document) -> Result<Document, Failure> {
        let database = self.database().await?;
        let answer = self.within(database.run_command(command).into_future()).await?;
        // Without it a write may be lost when the primary fails.
        if let Ok(error) = answer.get_document("writeConcernError") {
            return Err(judge_code(error.get_i32("code").unwrap_or_default(), self.address()));
        }
        Ok(answer)
    }

    /// Runs a write, which counts when most of the members have it.
    pub(crate) async fn write(&self, mut command: Document) -> Result<Document, Failure> {
        command.insert("writeConcern", doc! {"w": "majority"});
        self.run(command).await
    }

    /// As [`Mongo::write`], for writes none of which may fail alone.
    pub(crate) async fn write_all(&self, command: Document) -> Result<Document, Failure> {
        let answer = self.write(command).await?;
        let code = write_errors(&answer).next().map(|error| number(error, "code"));
        match code {
            Some(DUPLICATE_KEY) => Err(Failure::unavailable("others write the same document")),
            Some(code) => Err(judge_code(i32::try_from(code).unwrap_or_default(), self.address())),
            None => Ok(answer),
        }
    }

    /// Everything that a search finds.
    pub(crate) async fn find(
        &self,
        collection: &str,
        filter: Document,
        options: FindOptions,
    ) -> Result<Vec<Document>, Failure> {
        let found = self.database().await?.collection::<Document>(collection);
        let cursor = self.within(found.find(filter).with_options(options).into_future()).await?;
        self.drain(cursor).await
    }

    /// Everything that a pipeline gives; a large one may use the server's disk.
    pub(crate) async fn aggregate<const N: usize>(
        &self,
        collection: &str,
        stages: [Document; N],
    ) -> Result<Vec<Document>, Failure> {
        let documents = self.database().await?.collection::<Document>(collection);
        let cursor = self.within(documents.aggregate(stages).allow_disk_use(true).into_future()).await?;
        self.drain(cursor).await
    }

    pub(crate) async fn database(&self) -> Result<&Database, Failure> {
        let connect = async {
            let options = timeout(CONNECT, ClientOptions::parse(self.settings.url.expose_secret()).into_future());
            let mut options =
                options.await.map_err(|_| self.timeout_failure(CONNECT))?.map_err(|e| judge(&e, self.address()))?;
            options.app_name = Some("millrace".to_owned());
            options.server_selection_timeout = Some(CONNECT);
            options.connect_timeout = Some(CONNECT);
            // What was written must be seen, whatever the URL says.
            options.read_concern = Some(ReadConcern::local());
            options.selection_criteria = Some(SelectionCriteria::ReadPreference(ReadPreference::Primary));
            let client = Client::with_options(options).map_err(|error| judge(&error, self.address()))?;
            Ok(client.database(&self.settings.database))
        };
        self.database.get_or_try_init(|| connect).await
    }

    pub(crate) async fn within<T>(&self, asked: impl Future<Output = mongodb::error::Result<T>>) -> Result<T, Failure> {
        let answer = timeout(COMMAND, asked).await.map_err(|_| self.timeout_failure(COMMAND))?;
        answer.map_err(|error| judge(&error, self.address()))
    }

    /// Everything that a cursor gives.
    pub(crate) async fn drain(&self, mut cursor: Cursor<Document>) -> Result<Vec<Document>, Failure> {
        let mut documents = Vec::new();
        while self.within(cursor.advance()).await? {
            documents.push(self.current(&cursor)?);
        }
        Ok(documents)
    }

    /// The document that a cursor is at, as its bytes say. The driver's own reading takes an object with a name such as `$oid`
    /// for a value of another type.
    pub(crate) fn current(&self, cursor: &Cursor<Document>) -> Result<Document, Failure> {
        let document = Document::try_from(cursor.current());
        document.map_err(|_| Failure::broken(format!("MongoDB at {} gave what is no BSON", self.address())))
    }

    pub(crate) fn timeout_failure(&self, limit: Duration) -> Failure {
        Failure::broken(format!("MongoDB at {} did not answer within {limit:?}", self.address()))
    }
}

/// A number, whatever type the server gave it.
pub(crate) fn number(document: &Document, field: &str) -> i64 {
    match document.get(field) {
        Some(Bson::Int32(number)) => (*number).into(),
        Some(Bson::Int64(number)) => *number,
        Some(Bson::Double(number)) => *number as i64,
        _ => 0,
    }
}
