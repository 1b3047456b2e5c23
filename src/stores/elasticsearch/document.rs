//! A document on its way into an index: finished bulk lines within the buffer of its batch, and what other stores need of it.
//!
//! The buffer of a batch is written once. Elasticsearch takes it as it is; a store that takes documents apart finds id,
//! version and source in it.

use std::borrow::Cow;
use std::io::Write as _;
use std::ops::Range;

use bytes::Bytes;
use pipeline::mutant;
use pipeline::sink::{Content, Order, Write};

use crate::stores::reader::document_content;

/// A little more than a typical document, to reserve the buffer in one go.
const TYPICAL_BYTES: usize = 1_200;

/// One document as bulk lines: the action and the source, each ending in a newline.
#[derive(Clone, Debug)]
pub struct Document {
    buffer: Bytes,
    place: DocumentRange,
}

/// Where a document lies in the buffer.
#[derive(Clone, Debug)]
struct DocumentRange {
    lines: Range<usize>,
    /// As a JSON string, with its quotes.
    id: Range<usize>,
    /// Without the newline.
    source: Range<usize>,
    version: i64,
    deleted: bool,
}

impl Document {
    pub fn id(&self) -> Cow<'_, str> {
        let quoted = self.part(&self.place.id);
        let plain = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match plain {
            Some(text) if !text.contains('\\') => Cow::Borrowed(text),
            // We wrote it, so it can be read.
            _ => serde_json::from_str(quoted).unwrap_or_default(),
        }
    }

    pub fn version(&self) -> i64 {
        self.place.version
    }

    /// Whether it is a tombstone.
    pub fn is_deleted(&self) -> bool {
        self.place.deleted
    }

    /// The document itself: one JSON object.
    pub fn source(&self) -> &str {
        self.part(&self.place.source)
    }

    fn part(&self, range: &Range<usize>) -> &str {
        self.buffer.get(range.clone()).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    pub(super) fn lines(&self) -> &[u8] {
        self.buffer.get(self.place.lines.clone()).unwrap_or_default()
    }

    /// Whether `next` follows directly in the same buffer.
    fn adjoins(&self, next: &Self) -> bool {
        self.place.lines.end == next.place.lines.start && self.buffer.as_ptr() == next.buffer.as_ptr()
    }
}

impl Write for Document {
    fn bytes(&self) -> usize {
        self.place.lines.len()
    }

    fn content(&self) -> Content {
        Content { deleted: self.is_deleted(), digest: document_content(self.source()) }
    }
}

/// The documents' lines: their own buffer where they adjoin in it, a copy where they do not.
pub(super) fn body(documents: &[&Document]) -> Bytes {
    let (Some(first), Some(last)) = (documents.first(), documents.last()) else { return Bytes::new() };
    if documents.is_sorted_by(|one, next| one.adjoins(next)) {
        return first.buffer.slice(first.place.lines.start..last.place.lines.end);
    }
    let mut body = Vec::with_capacity(documents.iter().map(|document| document.bytes()).sum());
    documents.iter().for_each(|document| body.extend_from_slice(document.lines()));
    Bytes::from(body)
}

/// Documents that are being written into one buffer.
#[derive(Debug)]
pub struct Documents {
    version_type: &'static str,
    buffer: Vec<u8>,
    places: Vec<DocumentRange>,
}

impl Documents {
    /// `order` says which versions the store accepts when it holds the document already; `count` is how many are to come.
    pub fn new(order: Order, count: usize) -> Self {
        let version_type = match order {
            Order::Log => "external_gte",
            Order::Any => "external",
        };
        Self { version_type, buffer: Vec::with_capacity(count * TYPICAL_BYTES), places: Vec::with_capacity(count) }
    }

    /// Adds a document: always an `index` action with the event's own version, so that the store decides which of two is
    /// newer. `source` appends one line of JSON.
    pub fn push(&mut self, id: &str, version: i64, deleted: bool, source: impl FnOnce(&mut Vec<u8>)) {
        let buffer = &mut self.buffer;
        let start = buffer.len();
        let no_tombstone = deleted && mutant!(TombstonesLeftOff);
        buffer.extend_from_slice(if no_tombstone { br#"{"delete":{"_id":"# } else { br#"{"index":{"_id":"# });
        let id_start = buffer.len();
        // Writing a string into memory cannot fail.
        serde_json::to_writer(&mut *buffer, id).ok();
        let id = id_start..buffer.len();
        if !mutant!(VersionsLeftOff) {
            write!(buffer, r#","version":{version},"version_type":"{}""#, self.version_type).ok();
        }
        buffer.extend_from_slice(b"}}");
        buffer.push(b'\n');
        let source_start = buffer.len();
        source(buffer);
        let source = source_start..buffer.len();
        buffer.push(b'\n');
        if no_tombstone {
            buffer.truncate(source_start);
        }
        self.places.push(DocumentRange { lines: start..buffer.len(), id, source, version, deleted });
    }

    pub fn finish(self) -> Vec<Document> {
        let buffer = Bytes::from(self.buffer);
        self.places.into_iter().map(|place| Document { buffer: buffer.clone(), place }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn three() -> Vec<Document> {
        let mut documents = Documents::new(Order::Log, 3);
        for (id, deleted) in [("a", false), ("q\"\\\u{1}é", false), ("c", true)] {
            documents.push(id, 7, deleted, |out| out.extend_from_slice(br#"{"x":1}"#));
        }
        documents.finish()
    }

    #[test]
    fn a_body_is_the_batchs_own_buffer_unless_something_was_cut_out() {
        let documents = three();
        let [a, b, c] = &documents[..] else { panic!() };
        let whole = body(&[a, b, c]);
        assert_eq!(whole.as_ptr(), a.buffer.as_ptr());
        assert_eq!(whole, a.buffer);
        assert_eq!(body(&[b, c]), [b.lines(), c.lines()].concat());
        assert_eq!(body(&[a, c]), [a.lines(), c.lines()].concat());
        assert_eq!(body(&[c, a]), [c.lines(), a.lines()].concat());
    }

    #[test]
    fn the_parts_are_found_again() {
        let documents = three();
        let ids: Vec<_> = documents.iter().map(|document| document.id().into_owned()).collect();
        assert_eq!(ids, ["a", "q\"\\\u{1}é", "c"]);
        for (document, deleted) in documents.iter().zip([false, false, true]) {
            assert_eq!((document.source(), document.version(), document.is_deleted()), (r#"{"x":1}"#, 7, deleted));
        }
    }

    #[test]
    fn the_action_names_id_version_and_order() {
        for (order, version_type) in [(Order::Log, "external_gte"), (Order::Any, "external")] {
            let mut documents = Documents::new(order, 1);
            documents.push("a\"b", 4_000_000, false, |out| out.extend_from_slice(b"{}"));
            let text = String::from_utf8(documents.finish()[0].lines().to_vec()).unwrap();
            let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            assert_eq!(lines[0]["index"]["_id"], "a\"b");
            assert_eq!(lines[0]["index"]["version"], 4_000_000);
            assert_eq!(lines[0]["index"]["version_type"], version_type);
            assert_eq!(lines.len(), 2);
        }
    }
}
