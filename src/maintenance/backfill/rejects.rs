//! The file of rejects: one JSON object a line, which says of a line of a source why nothing can be made of it. The line itself
//! stays in the source.
//!
//! A reject is in the file before the checkpoint passes its line. What a killed run wrote beyond its checkpoint is taken out when
//! it is resumed, so that the file has each line once.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::Mutex;
use pipeline::dead_letters::{DeadLetter, DeadLetters};
use pipeline::sink::{Failure, Reject};
use pipeline::{Record, TopicPartition};
use serde::{Deserialize, Serialize};

/// A line of the file.
#[derive(Debug, Serialize, Deserialize)]
struct RejectLine<'a> {
    source: &'a str,
    partition: i32,
    /// The line's number, or the record's offset.
    line: i64,
    class: &'a str,
    reason: &'a str,
}

/// As it is read back.
#[derive(Deserialize)]
struct WrittenReject {
    source: String,
    partition: i32,
    line: i64,
}

/// When there are too many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxRejects {
    Count(u64),
    /// Of what was read, in percent.
    Percent(f64),
}

/// Bytes of a file that are looked at.
const FIRST_LINE: u64 = 64;
/// A share of fewer lines says nothing.
const JUDGED_FROM: u64 = 1_000;

impl MaxRejects {
    /// As it is written: `100`, or `0.5%`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.trim().strip_suffix('%') {
            Some(percent) => {
                let percent: f64 = percent.trim().parse().ok()?;
                (0.0..=100.0).contains(&percent).then_some(Self::Percent(percent))
            }
            None => text.trim().parse().ok().map(Self::Count),
        }
    }

    /// Whether so many rejects of so many lines are too many; `ended`: no line follows.
    pub fn is_exceeded(self, rejects: u64, lines: u64, ended: bool) -> bool {
        match self {
            Self::Count(most) => rejects > most,
            Self::Percent(percent) => {
                (lines >= JUDGED_FROM || ended) && rejects as f64 * 100.0 > percent * lines as f64
            }
        }
    }
}

/// Takes rejects; makes the file when the first comes.
#[derive(Debug)]
pub struct Rejects {
    path: PathBuf,
    file: Mutex<Option<File>>,
    count: AtomicU64,
}

impl Rejects {
    /// Those of a run that begins anew: a file of rejects that is there is emptied.
    ///
    /// # Errors
    /// Where it cannot be removed, or is something else.
    pub fn begin(path: PathBuf) -> io::Result<Self> {
        are_rejects(&path)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(Self { path, file: Mutex::default(), count: AtomicU64::new(0) }),
        }
    }

    /// Those of a run that goes on: keeps what stands before these places.
    ///
    /// # Errors
    /// Where the file cannot be rewritten, or is something else.
    pub fn resume(path: PathBuf, places: &HashMap<TopicPartition, i64>) -> io::Result<Self> {
        are_rejects(&path)?;
        let kept = match File::open(&path) {
            Ok(file) => keep(file, &path, places)?,
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        Ok(Self { path, file: Mutex::default(), count: AtomicU64::new(kept) })
    }

    /// How many the file has.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds some.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn add<'a>(&self, rejects: impl Iterator<Item = (&'a TopicPartition, i64, &'a Reject)>) -> io::Result<()> {
        let (mut text, mut count) = (Vec::new(), 0);
        for (at, line, reject) in rejects {
            let (source, partition, class, reason) = (&*at.topic, at.partition, &*reject.class, &*reject.why);
            serde_json::to_writer(&mut text, &RejectLine { source, partition, line, class, reason })?;
            text.push(b'\n');
            count += 1;
        }
        let mut file = self.file.lock();
        let open = match &mut *file {
            Some(open) => open,
            none => none.insert(File::options().create(true).append(true).open(&self.path)?),
        };
        // One write, so that what a kill leaves is whole lines, but for the last.
        open.write_all(&text)?;
        self.count.fetch_add(count, Ordering::Relaxed);
        Ok(())
    }

    /// Puts what was added on disk.
    ///
    /// # Errors
    /// Where that fails.
    pub fn sync(&self) -> io::Result<()> {
        self.file.lock().as_ref().map_or(Ok(()), File::sync_data)
    }
}

/// Whether a file that is there, and may be replaced, begins as one of rejects does.
fn are_rejects(path: &Path) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut first = Vec::new();
    BufReader::new(file).take(FIRST_LINE).read_until(b'\n', &mut first)?;
    // A kill may have cut the only line.
    let ours = first.is_empty() || first.starts_with(b"{\"source\":");
    if ours { Ok(()) } else { Err(io::Error::other("it is there, and is no file of rejects")) }
}

/// Rewrites the file with what stands before these places; returns how many that are.
fn keep(file: File, path: &Path, places: &HashMap<TopicPartition, i64>) -> io::Result<u64> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let mut out = BufWriter::new(File::create(&new)?);
    let mut kept = 0;
    for line in BufReader::new(file).split(b'\n') {
        let line = line?;
        // The last one may be cut.
        let Ok(found) = serde_json::from_slice::<WrittenReject>(&line) else { continue };
        let at = TopicPartition::new(found.source, found.partition);
        if places.get(&at).is_none_or(|next| found.line < *next) {
            out.write_all(&line)?;
            out.write_all(b"\n")?;
            kept += 1;
        }
    }
    out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    std::fs::rename(&new, path)?;
    Ok(kept)
}

#[async_trait]
impl DeadLetters for Rejects {
    async fn send(&self, letters: &[DeadLetter<'_>]) -> Vec<Result<(), Failure>> {
        let of = |record: &Record| (record.at.clone(), record.offset);
        let places: Vec<_> = letters.iter().map(|letter| of(letter.record)).collect();
        let rejects = places.iter().zip(letters).map(|((at, line), letter)| (at, *line, &letter.reject));
        let added = self.add(rejects).map_err(|error| {
            Failure::unavailable(format!("the file of rejects {} cannot be written: {error}", self.path.display()))
        });
        letters.iter().map(|_| added.clone()).collect()
    }
}
