//! A whole system on a store in memory: `cargo run --example toy_system`. It needs no service.
//!
//! The system `books` keeps one document a book. Its records are made here. A real system is fed by Kafka, and is
//! listed in `SYSTEMS`: docs/adding-a-system.md and docs/adding-a-store.md say what else belongs to it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use pipeline::dead_letters::{DeadLetter, DeadLetters};
use pipeline::engine::batcher::{BatchLimits, Batcher};
use pipeline::feed::{self, Intake};
use pipeline::sink::{Content, Failure, Reject, SinkLimits, Verdict, Write};
use pipeline::system::{Decoded, Identity};
use pipeline::{Engine, EngineOptions, EngineParts, Record, RetryPolicy, Sink, Status, System, TopicPartition, bind};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// What the topic holds. Each outcome is there once at least.
const LOG: [&str; 9] = [
    r#"{"book": "b1", "version": 1, "title": "Dune"}"#,
    r#"{"book": "b2", "version": 1, "title": "Solaris"}"#,
    r#"{"book": "b1", "version": 3, "title": "Dune, third printing"}"#,
    // Late: superseded.
    r#"{"book": "b1", "version": 2, "title": "Dune, second printing"}"#,
    // A delete: a tombstone stays.
    r#"{"book": "b2", "version": 2}"#,
    // A copy of the second record: a duplicate.
    r#"{"book": "b2", "version": 1, "title": "Solaris"}"#,
    // Two dead letters: one cannot be read, the other not be made a document.
    r#"{"book": "b3""#,
    r#"{"book": "b4", "version": 1, "title": " "}"#,
    // Nothing of this system: ignored.
    r#"{"film": "f1", "version": 1}"#,
];
const BATCH: usize = 3;
const ONE: NonZeroUsize = NonZeroUsize::MIN;
/// Marks kept in memory, to recognise copies.
const WINDOW: NonZeroUsize = NonZeroUsize::MIN.saturating_add(999);

/// A record, read. Without a title the book is gone.
#[derive(Debug, Deserialize)]
struct BookEvent {
    book: String,
    version: i64,
    title: Option<String>,
}

/// What is written, and what the store holds. A tombstone has no title.
#[derive(Clone, Debug)]
struct BookDocument {
    id: String,
    version: i64,
    title: Option<String>,
}

impl Write for BookDocument {
    fn bytes(&self) -> usize {
        self.id.len() + self.title.as_ref().map_or(0, String::len)
    }

    fn content(&self) -> Content {
        let mut hasher = DefaultHasher::new();
        self.title.hash(&mut hasher);
        Content { deleted: self.title.is_none(), digest: hasher.finish() }
    }
}

/// The system: what a record says.
struct Books;

impl System for Books {
    type Event<'r> = BookEvent;
    type Write = BookDocument;

    fn name(&self) -> &'static str {
        "books"
    }

    fn decode<'r>(&self, record: &'r Record) -> Decoded<'r, BookEvent> {
        let payload = record.payload.as_deref().unwrap_or_default();
        if payload.starts_with(br#"{"film""#) {
            return Decoded::Ignore;
        }
        match serde_json::from_slice::<BookEvent>(payload) {
            Ok(event) => {
                let identity = Identity {
                    document: Cow::Owned(event.book.clone()),
                    message: Some(Sha256::digest(payload).into()),
                    version: event.version,
                    kind: if event.title.is_some() { "shelved" } else { "removed" },
                };
                Decoded::Event(identity, event)
            }
            // The error's own text could quote a value of the payload.
            Err(error) => {
                Decoded::Reject(Reject::new("not_a_book", format!("unreadable at column {}", error.column())))
            }
        }
    }

    fn is_about(&self, record: &Record, document: &str) -> bool {
        matches!(self.decode(record), Decoded::Event(identity, _) if identity.document == document)
    }

    async fn enrich<'e, 'r: 'e>(
        &'e self,
        events: Vec<(&'e Identity<'r>, &'e BookEvent)>,
    ) -> Vec<Result<BookDocument, Reject>> {
        let document = |(identity, event): (&Identity<'_>, &BookEvent)| {
            if event.title.as_deref().is_some_and(|title| title.trim().is_empty()) {
                return Err(Reject::new("no_title", "`title` is empty"));
            }
            let (id, title) = (identity.document.to_string(), event.title.clone());
            Ok(BookDocument { id, version: identity.version, title })
        };
        events.into_iter().map(document).collect()
    }
}

/// The store. It compares versions itself: an older one never overwrites a newer one.
#[derive(Default)]
struct Shelf(Mutex<BTreeMap<String, BookDocument>>);

#[async_trait]
impl Sink<BookDocument> for Shelf {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn limits(&self) -> SinkLimits {
        SinkLimits { items: 100, bytes: 1 << 20, ordered: false, one_write_a_document: false }
    }

    async fn write(&self, writes: &[&BookDocument]) -> Result<Vec<Verdict>, Failure> {
        let mut books = self.0.lock();
        let mut verdicts = Vec::with_capacity(writes.len());
        for write in writes {
            let newer = books.get(&write.id).is_some_and(|held| held.version > write.version);
            if !newer {
                books.insert(write.id.clone(), BookDocument::clone(write));
            }
            verdicts.push(if newer { Verdict::Superseded } else { Verdict::Applied });
        }
        Ok(verdicts)
    }

    async fn probe(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Dead letters are only printed.
struct PrintedLetters;

#[async_trait]
impl DeadLetters for PrintedLetters {
    async fn send(&self, letters: &[DeadLetter<'_>]) -> Vec<Result<(), Failure>> {
        for letter in letters {
            println!("dead letter of offset {}: {}, {}", letter.record.offset, letter.reject.class, letter.reject.why);
        }
        letters.iter().map(|_| Ok(())).collect()
    }
}

/// The source: cuts the log into batches and offers them. The engine ends when this end of the feed is dropped.
async fn offer(at: TopicPartition, intake: Intake) {
    let epoch = intake.leases.grant(&at);
    let mut batcher = Batcher::new(BatchLimits { records: BATCH, bytes: 1 << 20, age: Duration::from_secs(1) });
    let mut batches = Vec::new();
    for (offset, payload) in (0..).zip(LOG) {
        let payload = Some(Bytes::from_static(payload.as_bytes()));
        let record = Record { at: at.clone(), offset, timestamp_ms: None, key: None, payload, headers: Vec::new() };
        batches.extend(batcher.push(record, epoch, Instant::now()));
    }
    batches.extend(batcher.cut());
    for batch in batches {
        intake.leases.note_poll();
        if intake.batches.send(batch).await.is_err() {
            return;
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let shelf = Arc::new(Shelf::default());
    let (intake, feed) = feed::channel(Duration::from_secs(10));
    let parts = EngineParts {
        binding: bind(Books, shelf.clone()),
        dead_letters: Arc::new(PrintedLetters),
        marks: None,
        status: Arc::new(Status::of("books")),
    };
    let options = EngineOptions {
        group: "toy".to_owned(),
        // With more, a copy may be looked up before its original has a mark. Then it is superseded, and no duplicate.
        max_in_flight: ONE,
        max_bytes: 1 << 20,
        retry: RetryPolicy { attempts: 3, delay: Duration::from_millis(10), max_delay: Duration::from_secs(1) },
        dedupe_window: WINDOW,
        seed: 1,
        delivery: None,
    };
    let at = TopicPartition::new("books", 0);
    let frontier = intake.frontier.clone();
    let (tally, ()) = tokio::join!(Engine::new(parts, feed, options).run(), offer(at.clone(), intake));

    println!("{}", tally?);
    for BookDocument { id, version, title } in shelf.0.lock().values() {
        println!("{id}, version {version}: {}", title.as_deref().unwrap_or("a tombstone"));
    }
    let next = frontier.borrow().get(&at).map_or(0, |position| position.next);
    println!("{next} may be committed as the next offset of {at}");
    Ok(())
}
