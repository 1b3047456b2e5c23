//! A collection as a system writes it, and a document on its way into it.

use mongodb::bson::{Bson, Document, doc, serialize_to_vec};
use pipeline::sink::{Content, Write};
use sha2::{Digest, Sha256};

use crate::walk::first_bytes;

/// The field of the event's version.
pub(crate) const VERSION: &str = "_version";
/// The largest document, in bytes of BSON: JSON of this size may have more or fewer.
/// <https://www.mongodb.com/docs/manual/reference/limits/#mongodb-limit-BSON-Document-Size>
const MAX_DOCUMENT: usize = 16 << 20;
/// The field that differs each time a document is made.
const ENRICHED_AT: &str = "_enriched_at";

/// A collection.
#[derive(Debug)]
pub struct Collection {
    pub name: &'static str,
    /// The field that names a document; unique.
    pub key: &'static str,
    /// The field that is true of a deleted one.
    pub deleted: &'static str,
    /// The fields that are ours.
    pub fields: OwnedFields,
    /// Fields with an index of their own.
    pub indexes: &'static [&'static str],
}

/// Which fields of a document are ours.
#[derive(Clone, Copy, Debug)]
pub enum OwnedFields {
    /// All: nobody else writes the collection.
    All,
    /// These: others may keep further ones beside them.
    Only(&'static [&'static str]),
}

/// A document on its way into a collection, applied where nothing newer is held.
#[derive(Clone, Debug)]
pub struct Upsert {
    pub(crate) collection: &'static Collection,
    pub(crate) id: String,
    pub(crate) version: i64,
    deleted: bool,
    /// What the version that is held has to be besides, if anything.
    pub(crate) held: Option<Bson>,
    /// A whole document, or operators.
    pub(crate) update: Document,
    /// Bytes of the update alone.
    bson: usize,
    bytes: usize,
}

impl Upsert {
    /// The document as a whole; of a deleted one nothing is left but the fields given.
    pub fn replace(collection: &'static Collection, id: &str, version: i64, deleted: bool, document: Document) -> Self {
        let mut update = doc! {collection.key: id};
        update.extend(document);
        update.insert(VERSION, version);
        if deleted {
            update.insert(collection.deleted, true);
        }
        Self::new(collection, id, version, deleted, update)
    }

    /// These fields of it; those that others keep beside them stay.
    pub fn set(collection: &'static Collection, id: &str, version: i64, deleted: bool, mut fields: Document) -> Self {
        fields.insert(VERSION, version);
        fields.insert(collection.deleted, deleted);
        Self::new(collection, id, version, deleted, doc! {"$set": fields})
    }

    /// Adds a value to the array `list`, unless the array has it. Values are never taken out.
    #[must_use]
    pub fn and_add(mut self, list: &str, value: impl Into<Bson>) -> Self {
        self.update.insert("$addToSet", doc! {list: value.into()});
        self
    }

    /// Takes fields out of the document.
    #[must_use]
    pub fn and_unset(mut self, fields: &[&str]) -> Self {
        let fields: Document = fields.iter().map(|field| ((*field).to_owned(), Bson::Null)).collect();
        self.update.insert("$unset", fields);
        self
    }

    /// Only while this version is held, or none; else it is to be made anew of what is held then.
    #[must_use]
    pub(crate) fn only_over(mut self, version: Option<i64>) -> Self {
        self.held = Some(version.map_or_else(|| doc! {"$exists": false}.into(), Bson::Int64));
        self
    }

    fn new(collection: &'static Collection, id: &str, version: i64, deleted: bool, update: Document) -> Self {
        let bson = mongodb::bson::RawDocumentBuf::try_from(&update).map_or(0, |raw| raw.as_bytes().len());
        let bytes = bson + 2 * id.len() + 100;
        Self { collection, id: id.to_owned(), version, deleted, held: None, update, bson, bytes }
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether no server would store it. It is told apart here, for a server judges the command around it.
    pub(crate) fn is_too_large(&self) -> bool {
        self.bson > MAX_DOCUMENT
    }
}

impl Write for Upsert {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn content(&self) -> Content {
        let fields = self.update.get_document("$set").unwrap_or(&self.update);
        let digest = if self.deleted { 0 } else { content(self.collection, fields) };
        Content { deleted: self.deleted, digest }
    }
}

impl Collection {
    pub(crate) fn is_deleted(&self, document: &Document) -> bool {
        document.get_bool(self.deleted).unwrap_or(false)
    }
}

/// Tells the contents of our fields apart; the same for what is written and for what is read back. Beside fields of others,
/// a field of ours that is null says the same as one that is not there.
pub(crate) fn content(collection: &Collection, document: &Document) -> u64 {
    let ours = |name: &str, value: &Bson| match collection.fields {
        OwnedFields::All => !["_id", collection.key, VERSION, ENRICHED_AT, collection.deleted].contains(&name),
        OwnedFields::Only(names) => names.contains(&name) && *value != Bson::Null,
    };
    let mut fields: Vec<(&String, &Bson)> = document.iter().filter(|(name, value)| ours(name, value)).collect();
    fields.sort_by_key(|(name, _)| name.as_str());
    let mut hash = Sha256::new();
    for (name, value) in fields {
        // What came from the server or is on its way there can be written.
        let bytes = serialize_to_vec(&doc! {name.as_str(): value.clone()}).unwrap_or_default();
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    first_bytes(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    static WHOLE: Collection =
        Collection { name: "c", key: "_id", deleted: "_deleted", fields: OwnedFields::All, indexes: &[] };
    static PART: Collection =
        Collection { name: "c", key: "k", deleted: "isDeleted", fields: OwnedFields::Only(&["a"]), indexes: &[] };

    #[test]
    fn content_is_what_is_ours_and_not_when_it_was_made() {
        let one = Upsert::replace(&WHOLE, "x", 4, false, doc! {"a": 1, "b": {"c": 2}, "_enriched_at": "now"});
        let read = doc! {"_id": "x", "b": {"c": 2}, "_version": 4_i64, "a": 1, "_enriched_at": "then"};
        assert_eq!(one.content().digest, content(&WHOLE, &read));
        assert_ne!(one.content().digest, content(&WHOLE, &doc! {"_id": "x", "b": {"c": 2}, "a": 2}));
        let part = Upsert::set(&PART, "x", 4, false, doc! {"a": 1});
        assert_eq!(
            part.content().digest,
            content(&PART, &doc! {"_id": 7, "k": "x", "a": 1, "theirs": 3, "isDeleted": false})
        );
        assert_ne!(part.content().digest, content(&PART, &doc! {"a": 1_i64}));
        assert_eq!(content(&PART, &doc! {"a": Bson::Null}), content(&PART, &doc! {}));
        assert_ne!(content(&WHOLE, &doc! {"a": Bson::Null}), content(&WHOLE, &doc! {}));
    }

    #[test]
    fn the_size_of_a_document_is_that_of_its_bson() {
        // Numbers of one digit take eight bytes and a name in BSON, two bytes in JSON.
        let numbers = |count: i64| {
            Upsert::replace(&WHOLE, "x", 4, false, doc! {"n": (0..count).map(|n| n % 10).collect::<Vec<_>>()})
        };
        assert!(!numbers(800_000).is_too_large());
        assert!(numbers(1_200_000).is_too_large());
        assert!(!Upsert::replace(&WHOLE, "x", 4, false, doc! {"s": "x".repeat((16 << 20) - 100)}).is_too_large());
        assert!(Upsert::replace(&WHOLE, "x", 4, false, doc! {"s": "x".repeat(16 << 20)}).is_too_large());
    }

    #[test]
    fn a_tombstone_of_a_whole_document_holds_nothing_else() {
        let gone = Upsert::replace(&WHOLE, "x", 4, true, Document::new());
        assert_eq!(gone.update, doc! {"_id": "x", "_version": 4_i64, "_deleted": true});
        assert_eq!(gone.content(), Content { deleted: true, digest: 0 });
    }
}
