//! An index read back: versions from the version store, contents from the index itself.

use std::sync::Arc;

use async_trait::async_trait;
use pipeline::sink::Failure;
use serde_json::Value;
use serde_json::value::RawValue;

use super::sink::{AlgoliaIndex, RatedIndex};
use super::{MOST_OBJECTS, Operation};
use crate::stores::algolia::version_store::{VersionRow, object_content};
use crate::stores::follow_up::FollowUps;
use crate::stores::ratings::recompute::{LOOKS, Rated, wrong_subjects};
use crate::stores::reader::{ObservedVersion, StoreReader, StoredDocument, StoredVersion, Visit};

/// Reads an index and its version store.
pub(super) struct AlgoliaReader(pub(super) Arc<AlgoliaIndex>);

type Object = Option<Box<RawValue>>;

impl AlgoliaReader {
    /// Waits until whatever was written before can be read: the tasks of an index are done in order.
    async fn check_unchanged(&self, index: &str) -> Result<(), Failure> {
        let task = self.0.client.probe(index).await?;
        self.0.client.wait(index, task).await
    }

    /// The objects of these rows; those that differ are looked at once more, for writers may be at work.
    async fn with_objects(&self, mut rows: Vec<VersionRow>) -> Result<Vec<(VersionRow, Object)>, Failure> {
        let mut all = Vec::with_capacity(rows.len());
        for last in [false, true] {
            let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            let objects = self.0.client.objects(self.0.name, &ids).await?;
            let pairs = rows.into_iter().zip(objects);
            let fits = |(row, object): &(VersionRow, Object)| {
                let shown = object.as_ref().map(|object| object_content(object.get()));
                shown == row.object.as_deref().map(object_content)
            };
            let (right, wrong): (Vec<_>, Vec<_>) = pairs.partition(|pair| last || fits(pair));
            all.extend(right);
            if wrong.is_empty() {
                break;
            }
            self.check_unchanged(self.0.name).await?;
            let ids: Vec<String> = wrong.iter().map(|(row, _)| row.id.clone()).collect();
            rows = self.0.versions.rows(&ids).await?.into_iter().flatten().collect();
        }
        Ok(all)
    }

    /// The subjects whose rating the index does not show as it is held, looked at twice.
    async fn find_shown_otherwise(&self, rated: &RatedIndex) -> Result<Vec<String>, Failure> {
        let mut suspects = rated.ratings.all().await?;
        for look in LOOKS {
            look.begin(&suspects).await;
            self.check_unchanged(rated.name).await?;
            let mut wrong = Vec::new();
            for subjects in suspects.chunks(MOST_OBJECTS) {
                let objects = self.0.client.objects(rated.name, subjects).await?;
                let held = rated.ratings.load(subjects).await?;
                for (held, object) in held.into_iter().zip(objects) {
                    wrong.extend(held.filter(|held| !shows(object.as_deref(), held)).map(|held| held.subject));
                }
            }
            suspects = wrong;
        }
        Ok(suspects)
    }
}

/// Of no version: no event is about it.
fn unknown(object: &RawValue) -> StoredVersion {
    StoredVersion { version: i64::MIN, deleted: false, content: object_content(object.get()), passed: None }
}

/// Whether an object shows this rating.
fn shows(object: Option<&RawValue>, rated: &Rated) -> bool {
    let object = object.and_then(|object| serde_json::from_str::<Value>(object.get()).ok());
    let shown = object.as_ref().and_then(|object| object.get("rating")?.get("histogram"));
    shown == rated.rating.json().get("histogram")
}

/// Puts a row of the version store and the object of the index together. `None` where the row has an object and the
/// index lacks it.
fn version_of(row: &VersionRow, object: Option<&RawValue>) -> Option<StoredVersion> {
    match (object, &row.object) {
        (Some(object), _) => Some(StoredVersion {
            version: row.version,
            deleted: false,
            content: object_content(object.get()),
            passed: None,
        }),
        (None, None) => Some(StoredVersion { version: row.version, deleted: true, content: 0, passed: None }),
        (None, Some(_)) => None,
    }
}

#[async_trait]
impl StoreReader for AlgoliaReader {
    fn name(&self) -> &'static str {
        "algolia"
    }

    async fn read(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let AlgoliaIndex { client, name, versions, .. } = &*self.0;
        self.check_unchanged(name).await?;
        let mut after: Option<String> = None;
        loop {
            let page = versions.page(after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for (row, object) in self.with_objects(page).await? {
                if let Some(held) = version_of(&row, object.as_deref()) {
                    visit(&row.id, held)?;
                }
            }
        }
        let mut cursor = None;
        loop {
            let page = client.browse(name, cursor.as_deref()).await?;
            let ids: Vec<String> = page.objects.iter().map(|(id, _)| id.clone()).collect();
            let rows = versions.rows(&ids).await?;
            for ((id, object), _) in page.objects.iter().zip(rows).filter(|(_, row)| row.is_none()) {
                visit(id, unknown(object))?;
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn find(&self, ids: &[String]) -> Result<Vec<Option<StoredDocument>>, Failure> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MOST_OBJECTS) {
            let rows = self.0.versions.rows(ids).await?;
            let objects = self.0.client.objects(self.0.name, ids).await?;
            found.extend(rows.into_iter().zip(objects).map(|(row, object)| {
                let held = match (row, &object) {
                    (Some(row), object) => version_of(&row, object.as_deref())?,
                    (None, object) => unknown(object.as_deref()?),
                };
                Some(StoredDocument { version: held, text: object.map(|object| object.get().to_owned()) })
            }));
        }
        Ok(found)
    }

    async fn remove(&self, seen: &[ObservedVersion]) -> Result<u64, Failure> {
        let mut removed = self.0.versions.remove(seen).await?;
        let living: Vec<&ObservedVersion> = seen.iter().filter(|seen| !seen.deleted).collect();
        for living in living.chunks(MOST_OBJECTS) {
            let deletes: Vec<Operation<'_>> = living.iter().map(|seen| Operation::Delete { id: &seen.id }).collect();
            self.0.client.batch(self.0.name, &deletes).await?;
            // One may have become real meanwhile.
            let ids: Vec<String> = living.iter().map(|seen| seen.id.clone()).collect();
            self.0.push(&ids).await?;
            // What the version store knew was counted.
            removed += living.iter().filter(|seen| seen.version == i64::MIN).count() as u64;
        }
        Ok(removed)
    }

    fn shows_anew(&self) -> bool {
        true
    }

    async fn check_derived(&self, mend: bool) -> Result<Vec<String>, Failure> {
        let Some(rated) = &self.0.rated else { return Ok(Vec::new()) };
        let mut wrong = wrong_subjects(&*rated.shown.ratings).await?;
        wrong.extend(self.find_shown_otherwise(&rated.shown).await?);
        wrong.sort();
        wrong.dedup();
        if mend {
            self.0.rate(&wrong).await?;
        }
        Ok(wrong)
    }

    fn follow_ups(&self) -> Option<Arc<FollowUps>> {
        self.0.rated.as_ref().map(|rated| rated.follow_ups.clone())
    }

    async fn of_person(&self, person: &str) -> Result<Option<Vec<ObservedVersion>>, Failure> {
        self.0.versions.of_person(person).await.map(Some)
    }

    async fn forget(&self, _: &str, seen: &[ObservedVersion], only_look: bool) -> Result<u64, Failure> {
        if only_look {
            return Ok(0);
        }
        let ids: Vec<String> = seen.iter().map(|seen| seen.id.clone()).collect();
        self.0.versions.forget(&ids).await
    }

    async fn horizon(&self) -> Result<Option<i64>, Failure> {
        self.0.versions.horizon().await
    }

    async fn note_horizon(&self, version: i64) -> Result<(), Failure> {
        self.0.versions.note_horizon(version).await
    }
}
