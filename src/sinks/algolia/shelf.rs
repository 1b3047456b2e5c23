//! An index read back: versions from the ledger, contents from the index itself.

use std::sync::Arc;

use pipeline::sink::{Answer, Failure};
use serde_json::Value;
use serde_json::value::RawValue;

use super::sink::{Index, RatedIndex};
use super::{MOST_OBJECTS, Operation};
use crate::shelf::{Found, Held, Seen, Shelf, Visit};
use crate::sinks::follow_up::FollowUps;
use crate::sinks::ledger::{Row, object_content};
use crate::sinks::rating::{LOOKS, Rated, astray};

/// Reads an index and its ledger.
pub(super) struct AlgoliaShelf(pub(super) Arc<Index>);

type Object = Option<Box<RawValue>>;

impl AlgoliaShelf {
    /// Waits until whatever was written before can be read: the tasks of an index are done in order.
    async fn still(&self, index: &str) -> Result<(), Failure> {
        let task = self.0.client.probe(index).await?;
        self.0.client.wait(index, task).await
    }

    async fn all(&self, visit: Visit<'_>) -> Result<(), Failure> {
        let Index { client, name, ledger, .. } = &*self.0;
        self.still(name).await?;
        let mut after: Option<String> = None;
        loop {
            let page = ledger.page(after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id.clone());
            for (row, object) in self.beside(page).await? {
                if let Some(held) = held(&row, object.as_deref()) {
                    visit(&row.id, held)?;
                }
            }
        }
        let mut cursor = None;
        loop {
            let page = client.browse(name, cursor.as_deref()).await?;
            let ids: Vec<String> = page.objects.iter().map(|(id, _)| id.clone()).collect();
            let rows = ledger.rows(&ids).await?;
            for ((id, object), _) in page.objects.iter().zip(rows).filter(|(_, row)| row.is_none()) {
                visit(id, unknown(object))?;
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    /// The objects of these rows; those that differ are looked at once more, for writers may be at work.
    async fn beside(&self, mut rows: Vec<Row>) -> Result<Vec<(Row, Object)>, Failure> {
        let mut all = Vec::with_capacity(rows.len());
        for last in [false, true] {
            let ids: Vec<String> = rows.iter().map(|row| row.id.clone()).collect();
            let objects = self.0.client.objects(self.0.name, &ids).await?;
            let pairs = rows.into_iter().zip(objects);
            let fits = |(row, object): &(Row, Object)| {
                let shown = object.as_ref().map(|object| object_content(object.get()));
                shown == row.object.as_deref().map(object_content)
            };
            let (right, wrong): (Vec<_>, Vec<_>) = pairs.partition(|pair| last || fits(pair));
            all.extend(right);
            if wrong.is_empty() {
                break;
            }
            self.still(self.0.name).await?;
            let ids: Vec<String> = wrong.iter().map(|(row, _)| row.id.clone()).collect();
            rows = self.0.ledger.rows(&ids).await?.into_iter().flatten().collect();
        }
        Ok(all)
    }

    async fn look_up(&self, ids: &[String]) -> Result<Vec<Option<Found>>, Failure> {
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(MOST_OBJECTS) {
            let rows = self.0.ledger.rows(ids).await?;
            let objects = self.0.client.objects(self.0.name, ids).await?;
            found.extend(rows.into_iter().zip(objects).map(|(row, object)| {
                let held = match (row, &object) {
                    (Some(row), object) => held(&row, object.as_deref())?,
                    (None, object) => unknown(object.as_deref()?),
                };
                Some(Found { held, text: object.map(|object| object.get().to_owned()) })
            }));
        }
        Ok(found)
    }

    async fn delete(&self, seen: &[Seen]) -> Result<u64, Failure> {
        let mut removed = self.0.ledger.remove(seen).await?;
        let living: Vec<&Seen> = seen.iter().filter(|seen| !seen.deleted).collect();
        for living in living.chunks(MOST_OBJECTS) {
            let deletes: Vec<Operation<'_>> = living.iter().map(|seen| Operation::Delete { id: &seen.id }).collect();
            self.0.client.batch(self.0.name, &deletes).await?;
            // One may have become real meanwhile.
            let ids: Vec<String> = living.iter().map(|seen| seen.id.clone()).collect();
            self.0.push(&ids).await?;
            // What the ledger knew was counted.
            removed += living.iter().filter(|seen| seen.version == i64::MIN).count() as u64;
        }
        Ok(removed)
    }

    async fn ratings(&self, mend: bool) -> Result<Vec<String>, Failure> {
        let Some(rated) = &self.0.rated else { return Ok(Vec::new()) };
        let mut wrong = astray(&*rated.shown.ratings).await?;
        wrong.extend(self.shown_otherwise(&rated.shown).await?);
        wrong.sort();
        wrong.dedup();
        if mend {
            self.0.rate(&wrong).await?;
        }
        Ok(wrong)
    }

    /// The subjects whose rating the index does not show as it is held, looked at twice.
    async fn shown_otherwise(&self, rated: &RatedIndex) -> Result<Vec<String>, Failure> {
        let mut suspects = rated.ratings.all().await?;
        for look in LOOKS {
            look.begin(&suspects).await;
            self.still(rated.name).await?;
            let mut wrong = Vec::new();
            for subjects in suspects.chunks(MOST_OBJECTS) {
                let objects = self.0.client.objects(rated.name, subjects).await?;
                let held = rated.ratings.held(subjects).await?;
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
fn unknown(object: &RawValue) -> Held {
    Held { version: i64::MIN, deleted: false, content: object_content(object.get()), passed: None }
}

/// Whether an object shows this rating.
fn shows(object: Option<&RawValue>, rated: &Rated) -> bool {
    let object = object.and_then(|object| serde_json::from_str::<Value>(object.get()).ok());
    let shown = object.as_ref().and_then(|object| object.get("rating")?.get("histogram"));
    shown == rated.rating.json().get("histogram")
}

/// What the index shows, at the version of the ledger; `None` for what is to be there and is not.
fn held(row: &Row, object: Option<&RawValue>) -> Option<Held> {
    match (object, &row.object) {
        (Some(object), _) => {
            Some(Held { version: row.version, deleted: false, content: object_content(object.get()), passed: None })
        }
        (None, None) => Some(Held { version: row.version, deleted: true, content: 0, passed: None }),
        (None, Some(_)) => None,
    }
}

impl Shelf for AlgoliaShelf {
    fn name(&self) -> &'static str {
        "algolia"
    }

    fn read<'a>(&'a self, visit: Visit<'a>) -> Answer<'a, Result<(), Failure>> {
        Box::pin(self.all(visit))
    }

    fn find<'a>(&'a self, ids: &'a [String]) -> Answer<'a, Result<Vec<Option<Found>>, Failure>> {
        Box::pin(self.look_up(ids))
    }

    fn remove<'a>(&'a self, seen: &'a [Seen]) -> Answer<'a, Result<u64, Failure>> {
        Box::pin(self.delete(seen))
    }

    fn shows_anew(&self) -> bool {
        true
    }

    fn derived(&self, mend: bool) -> Answer<'_, Result<Vec<String>, Failure>> {
        Box::pin(self.ratings(mend))
    }

    fn follow_ups(&self) -> Option<Arc<FollowUps>> {
        self.0.rated.as_ref().map(|rated| rated.follow_ups.clone())
    }

    fn of_person<'a>(&'a self, person: &'a str) -> Answer<'a, Result<Option<Vec<Seen>>, Failure>> {
        Box::pin(async move { self.0.ledger.of_person(person).await.map(Some) })
    }

    fn forget<'a>(&'a self, _: &'a str, seen: &'a [Seen], only_look: bool) -> Answer<'a, Result<u64, Failure>> {
        let ids: Vec<String> = seen.iter().map(|seen| seen.id.clone()).collect();
        Box::pin(async move { if only_look { Ok(0) } else { self.0.ledger.forget(&ids).await } })
    }

    fn horizon(&self) -> Answer<'_, Result<Option<i64>, Failure>> {
        self.0.ledger.horizon()
    }

    fn note_horizon(&self, version: i64) -> Answer<'_, Result<(), Failure>> {
        self.0.ledger.note_horizon(version)
    }
}
