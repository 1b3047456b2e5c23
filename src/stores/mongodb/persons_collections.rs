//! What collections hold of a person, found and taken out.

use mongodb::bson::{Bson, Document, doc};
use mongodb::options::FindOptions;
use pipeline::sink::Failure;

use super::document::VERSION;
use super::{Collection, Mongo, OwnedFields, number};
use crate::stores::reader::ObservedVersion;
use crate::stores::whose::{Whose, owner_of};

/// Fields of ours that a deleted document keeps: they are times.
const KEPT: [&str; 2] = ["createdAt", "updatedAt"];

/// Who is in the documents of a system.
#[derive(Clone, Copy, Debug)]
pub struct People {
    /// The field that names the person.
    pub field: &'static str,
    /// The version of what was erased at a version, where documents are emptied in their place; else an event deletes them.
    pub erased: Option<fn(i64) -> i64>,
}

impl Collection {
    /// The fields of ours that hold values: all but times. None where a deletion takes the place of the whole document.
    pub fn values(&self) -> Vec<&'static str> {
        match self.fields {
            OwnedFields::All => Vec::new(),
            OwnedFields::Only(names) => names.iter().copied().filter(|name| !KEPT.contains(name)).collect(),
        }
    }
}

/// The documents of a person that hold more than ids, times and versions.
pub(super) async fn theirs(
    mongo: &Mongo,
    collection: &Collection,
    people: People,
    person: &str,
) -> Result<Vec<ObservedVersion>, Failure> {
    let mut named: Vec<Bson> = vec![person.into()];
    // A name may have come as a number.
    named.extend(person.parse::<i64>().ok().map(Bson::from));
    let filter = doc! {people.field: {"$in": named}, VERSION: {"$exists": true}};
    let documents = mongo.find(collection.name, filter, FindOptions::default()).await?;
    let holds = |document: &&Document| match people.erased {
        Some(erased) => {
            let version = number(document, VERSION);
            let filled = collection.values().into_iter().any(|name| document.contains_key(name));
            filled || version < erased(version)
        }
        None => !collection.is_deleted(document),
    };
    let seen = |document: &Document| {
        let id = document.get_str(collection.key).ok()?.to_owned();
        Some(ObservedVersion { id, version: number(document, VERSION), deleted: collection.is_deleted(document) })
    };
    Ok(documents.iter().filter(holds).filter_map(seen).collect())
}

/// Empties documents that are still as they were seen, and deletes them for good.
pub(super) async fn empty_documents(
    mongo: &Mongo,
    collection: &Collection,
    erased: fn(i64) -> i64,
    seen: &[ObservedVersion],
) -> Result<u64, Failure> {
    let gone: Document = collection.values().into_iter().map(|name| (name.to_owned(), Bson::Null)).collect();
    let update = |seen: &ObservedVersion| {
        // What was deleted is at such a version already, or above: its time stays.
        let version = erased(seen.version).max(seen.version);
        let mut fields = doc! {collection.deleted: true, VERSION: version};
        if !seen.deleted {
            fields.insert("deletedAt", mongodb::bson::DateTime::now());
        }
        doc! {"q": {collection.key: &seen.id, VERSION: seen.version}, "u": {"$set": fields, "$unset": gone.clone()}}
    };
    let mut emptied = 0;
    for seen in seen.chunks(1_000) {
        let updates: Vec<Document> = seen.iter().map(update).collect();
        let answer = mongo.write_all(doc! {"update": collection.name, "updates": updates, "ordered": false}).await?;
        emptied += u64::try_from(number(&answer, "n")).unwrap_or_default();
    }
    Ok(emptied)
}

/// The rows of a version store that hold an object of a person, or held one before.
pub(crate) async fn rows(
    mongo: &Mongo,
    collection: &Collection,
    [object, previous]: [&str; 2],
    person: &str,
) -> Result<Vec<ObservedVersion>, Failure> {
    // A text that may be written with escapes is looked at as well.
    let pattern = format!(r"{}|\\", literally(person));
    let before = format!("{previous}.{object}");
    let filter = doc! {"$or": [{object: {"$regex": &pattern}}, {&before: {"$regex": &pattern}}]};
    let documents = mongo.find(collection.name, filter, FindOptions::default()).await?;
    let is = |row: &Document| row.get_str(object).is_ok_and(|text| owner_of(text.as_bytes(), person) == Whose::Theirs);
    let theirs = documents.iter().filter(|row| is(row) || row.get_document(previous).is_ok_and(is));
    let seen = |row: &Document| {
        let id = row.get_str("_id").ok()?.to_owned();
        Some(ObservedVersion { id, version: number(row, VERSION), deleted: row.get_str(object).is_err() })
    };
    Ok(theirs.filter_map(seen).collect())
}

/// A pattern that finds this text and nothing else.
fn literally(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for letter in text.chars() {
        if !letter.is_alphanumeric() && letter.is_ascii() {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_is_made_of() {
        assert_eq!(literally("user_2a.b|"), r"user\_2a\.b\|");
    }
}
