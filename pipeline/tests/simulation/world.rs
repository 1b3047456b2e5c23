//! The log of one seed, and the fold that the store has to end with.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pipeline::sink::{Content, Write};
use pipeline::{Header, Record, TopicPartition};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// Requests over this many bytes are refused by the store.
pub const STORE_BYTES: usize = 2_000;

/// How the world treats a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Good,
    /// The store rejects it.
    Bad,
    /// Any request that holds it breaks.
    Suspect,
    /// Larger than a request may be.
    Big,
    /// The enrichment rejects it.
    Unfit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimWrite {
    pub at: TopicPartition,
    pub offset: i64,
    pub document: String,
    pub version: i64,
    pub body: Option<String>,
    pub kind: Kind,
}

impl SimWrite {
    /// A bulk names several.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.document.split('+')
    }
}

impl Write for SimWrite {
    fn bytes(&self) -> usize {
        if self.kind == Kind::Big { STORE_BYTES + 1 } else { 60 + self.body.as_ref().map_or(0, String::len) }
    }

    /// Nobody reads this store back by its contents.
    fn content(&self) -> Content {
        Content { deleted: self.body.is_none(), digest: 0 }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Write(SimWrite),
    Poison,
    Ignored,
}

#[derive(Clone, Debug)]
pub struct Event {
    pub record: Record,
    pub what: What,
}

impl Event {
    /// The class of the dead letter that this record has to become, if any.
    pub fn dead(&self) -> Option<&'static str> {
        match &self.what {
            What::Poison => Some("poison"),
            What::Ignored => None,
            What::Write(write) => match write.kind {
                Kind::Good => None,
                Kind::Bad => Some("bad"),
                Kind::Suspect => Some("attempts_exhausted"),
                Kind::Big => Some("refused_by_store"),
                Kind::Unfit => Some("unfit"),
            },
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Partition {
    pub events: Vec<Event>,
    /// The log end; offsets without a record are control records.
    pub end: i64,
}

#[derive(Clone, Debug, Default)]
pub struct Log {
    pub partitions: BTreeMap<TopicPartition, Partition>,
}

pub type Documents = BTreeMap<String, (i64, Option<String>)>;

impl Log {
    pub fn records(&self) -> usize {
        self.partitions.values().map(|p| p.events.len()).sum()
    }

    /// What the store has to hold: the newest version of each document, of equal ones the later in its partition.
    pub fn fold(&self, from: &BTreeMap<TopicPartition, i64>, without: impl Fn(&Event) -> bool) -> Documents {
        let mut documents = Documents::new();
        for (at, partition) in &self.partitions {
            let from = from.get(at).copied().unwrap_or(0);
            for event in partition.events.iter().filter(|e| e.record.offset >= from && e.dead().is_none()) {
                if without(event) {
                    continue;
                }
                let What::Write(write) = &event.what else { continue };
                if documents.get(&write.document).is_none_or(|(version, _)| write.version >= *version) {
                    documents.insert(write.document.clone(), (write.version, write.body.clone()));
                }
            }
        }
        documents
    }

    /// Appends a record; `message` names the event, and the payload says everything else.
    pub fn append(&mut self, at: &TopicPartition, text: String, key: &str) {
        let partition = self.partitions.entry(at.clone()).or_default();
        let record = Record {
            at: at.clone(),
            offset: partition.end,
            timestamp_ms: Some(1_000 + partition.end),
            key: Some(Bytes::copy_from_slice(key.as_bytes())),
            payload: Some(Bytes::from(text)),
            headers: vec![Header { name: "trace".into(), value: Some(Bytes::from_static(b"\xff\x01")) }],
        };
        let what = read(&record);
        partition.events.push(Event { record, what });
        partition.end += 1;
    }

    pub fn write(&mut self, at: &TopicPartition, message: u64, document: &str, version: i64, body: &str, kind: Kind) {
        self.append(at, format!("{kind:?};{message};{document};{version};{body}"), document);
    }
}

pub fn read(record: &Record) -> What {
    let text = std::str::from_utf8(record.payload.as_deref().unwrap_or_default()).unwrap();
    let parts: Vec<&str> = text.split(';').collect();
    let kind = match parts[0] {
        "ignore" => return What::Ignored,
        "Good" => Kind::Good,
        "Bad" => Kind::Bad,
        "Suspect" => Kind::Suspect,
        "Big" => Kind::Big,
        "Unfit" => Kind::Unfit,
        _ => return What::Poison,
    };
    What::Write(SimWrite {
        at: record.at.clone(),
        offset: record.offset,
        document: parts[2].to_owned(),
        version: parts[3].parse().unwrap(),
        body: (parts[4] != "-").then(|| parts[4].to_owned()),
        kind,
    })
}

/// What a generated log may hold.
#[derive(Clone, Copy, Debug)]
pub struct Flavour {
    pub equal_versions: bool,
    pub copies: bool,
    pub suspects: usize,
}

struct Maker {
    copies: bool,
    rng: StdRng,
    log: Log,
    message: u64,
    /// Versions in use of each document.
    used: BTreeMap<String, BTreeSet<i64>>,
    /// Documents and versions that have a copy, or an equal version: never both.
    copied: BTreeSet<(String, i64)>,
    equal: BTreeSet<(String, i64)>,
}

pub fn make(seed: u64, flavour: Flavour) -> Log {
    let mut rng = StdRng::seed_from_u64(seed);
    let topics = rng.random_range(1..=2);
    let mut places = Vec::new();
    for topic in 0..topics {
        let partitions = rng.random_range(1..=if topics == 1 { 4 } else { 2 });
        places.extend((0..partitions).map(|p| TopicPartition::new(format!("topic{topic}"), p)));
    }
    let mut log = Log::default();
    for at in &places {
        log.partitions.insert(at.clone(), Partition::default());
    }
    let records = rng.random_range(80..=400);
    let documents = rng.random_range(3..=40);
    let mut maker = Maker {
        copies: flavour.copies,
        rng,
        log,
        message: 0,
        used: BTreeMap::new(),
        copied: BTreeSet::new(),
        equal: BTreeSet::new(),
    };
    let mut suspects = flavour.suspects;
    for n in 0..records {
        let document = maker.rng.random_range(0..documents);
        // One document in ten lives in two partitions; its versions never repeat.
        let spread = document % 10 == 9;
        let home = if spread { maker.rng.random_range(0..2) } else { document };
        let at = places[home % places.len()].clone();
        if suspects > 0 && n * 4 > records && maker.rng.random_bool(0.1) {
            suspects -= 1;
            maker.fresh(&at, &format!("d{document}"), Kind::Suspect);
        } else {
            maker.step(&at, &format!("d{document}"), flavour.equal_versions && !spread);
        }
    }
    for at in &places {
        maker.log.partitions.get_mut(at).unwrap().end += maker.rng.random_range(0..3);
    }
    maker.log
}

impl Maker {
    fn step(&mut self, at: &TopicPartition, document: &str, equal: bool) {
        match self.rng.random_range(0..100) {
            0..3 => self.log.append(at, format!("poison {}", self.message), "p"),
            3..6 => self.log.append(at, "ignore".to_owned(), "i"),
            6..9 => self.fresh(at, document, Kind::Bad),
            9..11 => self.fresh(at, document, Kind::Unfit),
            11 => self.fresh(at, document, Kind::Big),
            12..27 if self.copies => self.copy(at),
            27..37 if equal => self.equal(at),
            37..42 => self.log.partitions.get_mut(at).unwrap().end += self.rng.random_range(1..4),
            _ => self.fresh(at, document, Kind::Good),
        }
    }

    /// Writes an event with a version that this document has not used; sometimes a lower one, as of a late event.
    fn fresh(&mut self, at: &TopicPartition, document: &str, kind: Kind) {
        let used = self.used.entry(document.to_owned()).or_default();
        let newest = used.last().copied().unwrap_or(0);
        let late = self.rng.random_bool(0.15);
        let hole = (1..newest).rev().find(|version| !used.contains(version));
        let version = match hole {
            Some(hole) if late => hole,
            _ => newest + self.rng.random_range(1..4),
        };
        used.insert(version);
        // One event in twenty reuses a message id with another payload, which makes it no copy.
        if !self.rng.random_bool(0.05) {
            self.message += 1;
        }
        let delete = self.rng.random_bool(0.15);
        let body = if delete { "-".to_owned() } else { format!("b{}", self.rng.random_range(0..1_000_000)) };
        self.log.write(at, self.message, document, version, &body, kind);
    }

    /// An exact copy of an earlier record of the partition.
    fn copy(&mut self, at: &TopicPartition) {
        let Some(write) = self.pick(at) else { return };
        let id = (write.document.clone(), write.version);
        if self.equal.contains(&id) || write.kind == Kind::Suspect {
            return;
        }
        let events = &self.log.partitions[at].events;
        let text = events.iter().find(|e| e.record.offset == write.offset).unwrap().record.payload.clone().unwrap();
        self.copied.insert(id);
        self.log.append(at, String::from_utf8(text.to_vec()).unwrap(), &write.document);
    }

    /// Another payload under a document and version that the partition already holds.
    fn equal(&mut self, at: &TopicPartition) {
        let Some(write) = self.pick(at) else { return };
        let id = (write.document.clone(), write.version);
        // Documents that live in two partitions have no order among equal versions.
        let spread = write.document.ends_with('9');
        if spread || self.copied.contains(&id) || write.kind != Kind::Good {
            return;
        }
        self.equal.insert(id);
        self.message += 1;
        let body = format!("e{}", self.message);
        self.log.write(at, self.message, &write.document, write.version, &body, Kind::Good);
    }

    fn pick(&mut self, at: &TopicPartition) -> Option<SimWrite> {
        let events = &self.log.partitions[at].events;
        let recent = events.len().min(30);
        if recent == 0 {
            return None;
        }
        match &events[events.len() - 1 - self.rng.random_range(0..recent)].what {
            What::Write(write) => Some(write.clone()),
            What::Poison | What::Ignored => None,
        }
    }
}
