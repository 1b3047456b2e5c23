//! Version stores: the same cases in MongoDB and in PostgreSQL.

use std::sync::Arc;

use millrace::config::{Config, Database, Mongodb};
use millrace::stores::algolia::version_store::{Contribution, IndexEntry, VersionRow, VersionStore};
use millrace::stores::algolia::{MongoVersionStore, PostgresVersionStore};
use millrace::stores::follow_up::Refusals;
use millrace::stores::mongodb::{Collection, Mongo, MongoRefusals, OwnedFields};
use millrace::stores::postgres::{Postgres, PostgresRefusals};
use millrace::stores::ratings::recompute::Ratings;
use millrace::stores::ratings::{MongoRatings, PostgresRatings, SUBJECT};
use millrace::stores::reader::ObservedVersion;
use mongodb::bson::{Document, doc};
use pipeline::sink::{Order, Verdict};
use sqlx::{Connection, PgConnection};
use testkit::hold::Hold;
use testkit::services::variable;
use testkit::world::block_on;
use uuid::Uuid;

static VERSIONS: Collection =
    Collection { name: "versions", key: "_id", deleted: "deleted", fields: OwnedFields::All, indexes: &[SUBJECT] };
static ONLY: &[&Collection] = &[&VERSIONS];

pub const APPLIED: Verdict = Verdict::Applied;
pub const SUPERSEDED: Verdict = Verdict::Superseded;

/// A version store and its ratings that no other test uses.
pub enum Place {
    Mongodb(Mongodb),
    Postgres { database: Database, index: &'static str },
}

impl Place {
    pub fn mongodb() -> Self {
        let mut settings = config("MONGODB_URL").mongodb.unwrap();
        settings.database = name();
        Self::Mongodb(settings)
    }

    pub fn postgres() -> Self {
        Self::Postgres { database: config("DATABASE_URL").database.unwrap(), index: name().leak() }
    }

    /// The same database, behind a pool of transactions.
    pub fn pooled() -> Self {
        let url = ("DATABASE_URL".to_owned(), variable("PGBOUNCER_URL"));
        let database = Config::from_variables([url]).unwrap().database.unwrap();
        Self::Postgres { database, index: name().leak() }
    }

    async fn install(&self) {
        match self {
            Self::Mongodb(settings) => Mongo::new(settings).install(ONLY).await.unwrap(),
            Self::Postgres { database, .. } => postgres(database).install_version_store().await.unwrap(),
        }
    }

    /// Over connections of its own.
    pub fn versions(&self, order: Order) -> Arc<dyn VersionStore> {
        match self {
            Self::Mongodb(settings) => Arc::new(MongoVersionStore::new(Mongo::new(settings), &VERSIONS, ONLY, order)),
            Self::Postgres { database, index } => Arc::new(PostgresVersionStore::new(postgres(database), index, order)),
        }
    }

    /// Over connections of its own.
    pub fn ratings(&self) -> Arc<dyn Ratings> {
        match self {
            Self::Mongodb(settings) => Arc::new(MongoRatings::new(Mongo::new(settings), &VERSIONS, "subjects")),
            Self::Postgres { database, index } => Arc::new(PostgresRatings::new(postgres(database), index)),
        }
    }
}

impl Place {
    /// The list of refused follow-ups.
    pub fn refusals(&self) -> Arc<dyn Refusals> {
        match self {
            Self::Mongodb(settings) => Arc::new(MongoRefusals::new(Mongo::new(settings), "contributions")),
            Self::Postgres { database, index } => Arc::new(PostgresRefusals::new(postgres(database), index)),
        }
    }

    /// Makes the document of a subject one whose number cannot be raised.
    pub async fn spoil(&self, subject: &str) {
        self.change(subject, doc! {"$set": {"seq": "many"}}, i64::MAX).await;
    }

    pub async fn mend(&self, subject: &str) {
        self.change(subject, doc! {"$set": {"seq": 7}}, 7).await;
    }

    async fn change(&self, subject: &str, update: Document, seq: i64) {
        match self {
            Self::Mongodb(settings) => {
                let client = mongodb::Client::with_uri_str(variable("MONGODB_URL")).await.unwrap();
                let subjects = client.database(&settings.database).collection::<Document>("subjects");
                subjects.update_one(doc! {"_id": subject}, update).upsert(true).await.unwrap();
            }
            Self::Postgres { index, .. } => {
                const SET: &str = "INSERT INTO algolia_ratings (index_name, subject, seq) VALUES ($1, $2, $3)
                    ON CONFLICT (index_name, subject) DO UPDATE SET seq = excluded.seq";
                let mut connection = PgConnection::connect(&variable("DATABASE_URL")).await.unwrap();
                let set = sqlx::query(SET).bind(*index).bind(subject).bind(seq);
                set.execute(&mut connection).await.unwrap();
            }
        }
    }
}

fn name() -> String {
    format!("e2e-versions-{}", Uuid::new_v4().simple())
}

fn config(name: &str) -> Config {
    Config::from_variables([(name.to_owned(), variable(name))]).unwrap()
}

fn postgres(database: &Database) -> Postgres {
    let Database::Postgres { url, address } = database else { panic!("DATABASE_URL is no PostgreSQL") };
    Postgres::new(url, address, 2).unwrap()
}

pub fn run<F: Future<Output = ()>>(place: Place, case: impl FnOnce(Arc<Place>) -> F) {
    let _hold = Hold::shared();
    let run = async {
        place.install().await;
        let place = Arc::new(place);
        case(Arc::clone(&place)).await;
        if let Place::Mongodb(settings) = &*place {
            let client = mongodb::Client::with_uri_str(variable("MONGODB_URL")).await.unwrap();
            client.database(&settings.database).drop().await.unwrap();
        }
    };
    block_on(run);
}

/// Makes a test of each case in each of them, and in PostgreSQL behind a pooler.
macro_rules! in_each {
    ($($case:ident)*) => {
        mod in_mongodb {
            $(#[test] fn $case() { $crate::version_store::run($crate::version_store::Place::mongodb(), super::$case); })*
        }
        mod in_postgres {
            $(#[test] fn $case() { $crate::version_store::run($crate::version_store::Place::postgres(), super::$case); })*
        }
        mod in_a_pool {
            $(#[test] fn $case() { $crate::version_store::run($crate::version_store::Place::pooled(), super::$case); })*
        }
    };
}
pub(crate) use in_each;

in_each! {
    the_newer_stays
    a_late_update_brings_nothing_back
    what_was_refused_is_given_back
    what_another_took_meanwhile_is_given_back
    a_page_follows_the_other
    only_what_is_as_it_was_seen_is_removed
    a_horizon_never_goes_down
}

pub fn entry(id: &str, version: i64) -> IndexEntry {
    let object = Some(format!(r#"{{"objectID":"{id}","version":{version}}}"#));
    IndexEntry { id: id.to_owned(), version, object, contribution: None }
}

pub fn deleted(id: &str, version: i64) -> IndexEntry {
    IndexEntry { object: None, ..entry(id, version) }
}

pub fn review(id: &str, version: i64, subject: &str, stars: u8) -> IndexEntry {
    IndexEntry { contribution: Some(Contribution { subject: subject.to_owned(), stars }), ..entry(id, version) }
}

fn row(entry: &IndexEntry) -> VersionRow {
    VersionRow { id: entry.id.clone(), version: entry.version, object: entry.object.clone() }
}

pub fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

pub async fn take(versions: &dyn VersionStore, entries: &[IndexEntry]) -> Vec<Verdict> {
    versions.take(&entries.iter().collect::<Vec<_>>()).await.unwrap()
}

async fn held(versions: &dyn VersionStore, id: &str) -> Option<VersionRow> {
    versions.rows(&texts(&[id])).await.unwrap().remove(0)
}

async fn the_newer_stays(place: Arc<Place>) {
    let (log, any) = (place.versions(Order::Log), place.versions(Order::Any));
    log.probe().await.unwrap();
    assert_eq!(log.rows(&texts(&["a", "n\0"])).await.unwrap(), [None, None]);
    for versions in [&log, &any] {
        let id = if Arc::ptr_eq(versions, &log) { "a" } else { "b" };
        assert_eq!(take(&**versions, &[entry(id, 5)]).await, [APPLIED]);
        assert_eq!(take(&**versions, &[entry(id, 4)]).await, [SUPERSEDED]);
        assert_eq!(held(&**versions, id).await, Some(row(&entry(id, 5))));
        assert_eq!(take(&**versions, &[entry(id, 7)]).await, [APPLIED]);
        assert_eq!(held(&**versions, id).await, Some(row(&entry(id, 7))));
    }
    let same = IndexEntry { object: Some("{}".to_owned()), ..entry("a", 7) };
    assert_eq!(take(&*any, std::slice::from_ref(&same)).await, [SUPERSEDED]);
    assert_eq!(held(&*log, "a").await, Some(row(&entry("a", 7))));
    assert_eq!(take(&*log, &[entry("c", 1), same.clone(), entry("b", 6)]).await, [APPLIED, APPLIED, SUPERSEDED]);
    let rows = log.rows(&texts(&["b", "none", "a", "c"])).await.unwrap();
    assert_eq!(rows, [Some(row(&entry("b", 7))), None, Some(row(&same)), Some(row(&entry("c", 1)))]);
}

async fn a_late_update_brings_nothing_back(place: Arc<Place>) {
    let versions = place.versions(Order::Log);
    assert_eq!(take(&*versions, &[deleted("first", 3), entry("a", 5)]).await, [APPLIED, APPLIED]);
    assert_eq!(take(&*versions, &[deleted("a", 7)]).await, [APPLIED]);
    assert_eq!(take(&*versions, &[entry("a", 6), entry("first", 2)]).await, [SUPERSEDED, SUPERSEDED]);
    assert_eq!(held(&*versions, "a").await, Some(row(&deleted("a", 7))));
    assert_eq!(take(&*versions, &[entry("a", 8)]).await, [APPLIED]);
    assert_eq!(held(&*versions, "a").await, Some(row(&entry("a", 8))));
}

async fn what_was_refused_is_given_back(place: Arc<Place>) {
    let versions = place.versions(Order::Log);
    let (one, two, three) = (entry("a", 1), entry("a", 2), entry("a", 3));
    for refused in [&one, &two, &two] {
        // The same version, taken twice, keeps what was before.
        take(&*versions, std::slice::from_ref(refused)).await;
    }
    versions.give_back(&two).await.unwrap();
    assert_eq!(held(&*versions, "a").await, Some(row(&one)));
    take(&*versions, std::slice::from_ref(&two)).await;
    take(&*versions, std::slice::from_ref(&three)).await;
    versions.give_back(&two).await.unwrap();
    assert_eq!(held(&*versions, "a").await, Some(row(&three)), "another was taken since");
    versions.give_back(&three).await.unwrap();
    assert_eq!(held(&*versions, "a").await, Some(row(&two)));

    take(&*versions, &[entry("b", 1), deleted("c", 1)]).await;
    take(&*versions, &[entry("c", 2)]).await;
    for refused in [entry("b", 1), entry("c", 2), entry("none", 1)] {
        versions.give_back(&refused).await.unwrap();
    }
    let rows = versions.rows(&texts(&["b", "c", "none"])).await.unwrap();
    assert_eq!(rows, [None, Some(row(&deleted("c", 1))), None]);
}

/// Whether it was applied; takes it until that is known.
async fn applied(versions: &dyn VersionStore, entry: &IndexEntry) -> bool {
    loop {
        match take(versions, std::slice::from_ref(entry)).await.remove(0) {
            Verdict::Retry(_) => {}
            verdict => return verdict == APPLIED,
        }
    }
}

async fn what_another_took_meanwhile_is_given_back(place: Arc<Place>) {
    let (here, there) = (place.versions(Order::Log), place.versions(Order::Log));
    for n in 0..100 {
        let id = n.to_string();
        // Of every other one nothing is there before.
        if n % 2 == 0 {
            assert_eq!(take(&*here, &[entry(&id, 1)]).await, [APPLIED]);
        }
        let (two, three) = (entry(&id, 2), entry(&id, 3));
        let (first, last) = tokio::join!(applied(&*here, &two), applied(&*there, &three));
        assert!(last);
        here.give_back(&three).await.unwrap();
        let before = if first { Some(row(&two)) } else { (n % 2 == 0).then(|| row(&entry(&id, 1))) };
        assert_eq!(held(&*here, &id).await, before);
    }
}

async fn a_page_follows_the_other(place: Arc<Place>) {
    let versions = place.versions(Order::Log);
    let ids = (0..2_500).map(|n| format!("{}{n}", ["a", "B", "é", "_"][n % 4]));
    let entries: Vec<IndexEntry> = ids.map(|id| entry(&id, 1)).collect();
    for entries in entries.chunks(700) {
        take(&*versions, entries).await;
    }
    let mut read: Vec<VersionRow> = Vec::new();
    let mut pages = 0;
    loop {
        let page = versions.page(read.last().map(|row| row.id.as_str())).await.unwrap();
        if page.is_empty() {
            break;
        }
        pages += 1;
        read.extend(page);
    }
    let mut all: Vec<VersionRow> = entries.iter().map(row).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    assert!(read == all, "{} rows of {}", read.len(), all.len());
    assert!(pages > 1);
}

async fn only_what_is_as_it_was_seen_is_removed(place: Arc<Place>) {
    let versions = place.versions(Order::Log);
    take(&*versions, &[deleted("a", 1), deleted("b", 1), entry("c", 1), deleted("d", 1)]).await;
    take(&*versions, &[entry("b", 2)]).await;
    let seen = |id: &str, deleted| ObservedVersion { id: id.to_owned(), version: 1, deleted };
    let all = [seen("d", false), seen("c", true), seen("b", true), seen("a", true), seen("none", true)];
    assert_eq!(versions.remove(&all).await.unwrap(), 1);
    let left: Vec<String> = versions.page(None).await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(left, ["b", "c", "d"]);
}

async fn a_horizon_never_goes_down(place: Arc<Place>) {
    let versions = place.versions(Order::Log);
    assert_eq!(versions.horizon().await.unwrap(), None);
    for (noted, stands) in [(5, 5), (3, 5), (8, 8)] {
        versions.note_horizon(noted).await.unwrap();
        assert_eq!(versions.horizon().await.unwrap(), Some(stands));
    }
}

#[test]
fn postgresql_rejects_a_nul_alone() {
    let nul = async |place: Arc<Place>| {
        let versions = place.versions(Order::Log);
        let (id, subject) = (entry("a\0", 1), review("b", 1, "x\0", 1));
        let verdicts = take(&*versions, &[entry("a", 1), id.clone(), subject, entry("c", 1)]).await;
        let class = |verdict: &Verdict| match verdict {
            Verdict::Reject(reject) | Verdict::Conflict(reject) => reject.class.to_string(),
            verdict => format!("{verdict:?}"),
        };
        let classes: Vec<String> = verdicts.iter().map(class).collect();
        assert_eq!(classes, ["Applied", "nul_in_id", "nul_in_subject", "Applied"]);
        versions.give_back(&id).await.unwrap();
        assert_eq!(versions.page(None).await.unwrap(), [row(&entry("a", 1)), row(&entry("c", 1))]);
    };
    run(Place::postgres(), nul);
}
