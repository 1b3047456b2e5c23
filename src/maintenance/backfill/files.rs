//! Files, and standard input, as parts of a backfill: a line is a record.

use std::fs::{File, Metadata};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use pipeline::sink::Reject;
use pipeline::{Record, TopicPartition};
use serde::de::IgnoredAny;
use sha2::{Digest, Sha256};

use super::buckets::{StoredObject, WILD};
use super::compression::{Compression, Stream, decompress};
use super::csv_table::{CsvHeader, looks_like_table};
use super::lines::{Line, LinePosition, LineReader};
use super::parts::{Item, SourceIdentity};
use super::source_error::SourceError;
use crate::systems::definition::Bare;

/// Bytes at each end of a file that its digest is made of.
const DIGESTED: u64 = 1 << 20;
/// Bytes that are read at once.
const BUFFER: usize = 256 << 10;
/// How standard input is named.
pub const STDIN: &str = "-";

/// What the lines of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// One JSON object each, or rows of CSV under a header, as the first line says.
    Auto,
    Ndjson,
    Csv,
}

impl TextFormat {
    /// As the command line names it.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Auto, Self::Ndjson, Self::Csv].into_iter().find(|format| format.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }
}

/// How sources are read.
#[derive(Clone, Debug)]
pub struct SourceReading {
    pub format: TextFormat,
    /// Makes events of documents alone, with the time that they are of, in RFC 3339.
    pub bare: Option<(Bare, String)>,
    /// The time of the records, in milliseconds since 1970: when the backfill began.
    pub time_ms: i64,
}

/// Where lines come from.
#[derive(Debug)]
pub(super) enum LineOrigin {
    Stdin,
    /// By its whole path.
    File(PathBuf),
    Object(StoredObject),
}

/// A file, an object in a bucket, or standard input.
#[derive(Debug)]
pub struct LinesPart {
    pub(super) origin: LineOrigin,
    pub(super) name: String,
    pub(super) identity: SourceIdentity,
    pub(super) at: TopicPartition,
    pub(super) compression: Compression,
    /// Of CSV; of standard input it is not known yet.
    pub(super) header: Option<CsvHeader>,
    pub(super) reading: SourceReading,
}

/// The files that a word on the command line means: one, or those that match.
///
/// # Errors
/// Where there is none.
pub fn files_of(word: &str) -> Result<Vec<PathBuf>, SourceError> {
    let path = PathBuf::from(word);
    // A name with brackets in it is a name where there is such a file.
    if path.exists() || !word.contains(WILD) {
        return Ok(vec![path]);
    }
    let found = glob::glob(word).map_err(|error| SourceError::Pattern(word.to_owned(), error))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|error| SourceError::Unreadable(word.to_owned(), error.into()))?;
        if !file.is_dir() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() { Err(SourceError::NoMatch(word.to_owned())) } else { Ok(files) }
}

impl LinesPart {
    /// A file, looked at and closed again; `number` tells it from others.
    ///
    /// # Errors
    /// Where no lines can be read from it.
    pub fn file(path: &Path, number: i32, reading: SourceReading) -> Result<Self, SourceError> {
        let shown = path.display().to_string();
        let unreadable = |error: io::Error| match error.kind() {
            ErrorKind::NotFound => SourceError::Missing(shown.clone()),
            _ => SourceError::Unreadable(shown.clone(), error),
        };
        let whole = path.canonicalize().map_err(unreadable)?;
        let metadata = whole.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(SourceError::Directory(shown));
        }
        if !metadata.is_file() {
            return Err(SourceError::Irregular(shown));
        }
        let mut file = File::open(&whole).map_err(unreadable)?;
        let identity = identity_of(&mut file).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        let (at, name) = (TopicPartition::new(format!("file:{shown}"), number), format!("file:{}", whole.display()));
        let (compression, header) = look(&shown, Box::new(BufReader::new(file)), reading.format)?;
        Ok(Self { name, origin: LineOrigin::File(whole), identity, at, compression, header, reading })
    }

    /// An object, looked at.
    ///
    /// # Errors
    /// Where no lines can be read from it.
    pub fn object(object: StoredObject, number: i32, reading: SourceReading) -> Result<Self, SourceError> {
        let (shown, identity) = (object.address().to_owned(), object.identity());
        let (compression, header) = look(&shown, Box::new(BufReader::new(object.bytes_from(0))), reading.format)?;
        let at = TopicPartition::new(shown.as_str(), number);
        Ok(Self { name: shown, origin: LineOrigin::Object(object), identity, at, compression, header, reading })
    }

    /// Standard input, which is not looked at yet.
    pub fn stdin(number: i32, reading: SourceReading) -> Self {
        let at = TopicPartition::new("file:-", number);
        let (name, identity) = ("file:-".to_owned(), SourceIdentity::Stream);
        Self { origin: LineOrigin::Stdin, name, identity, at, compression: Compression::Plain, header: None, reading }
    }

    /// A line that has something in it.
    pub(super) fn item(&self, line: i64, text: Vec<u8>) -> Item {
        let payload = match &self.reading.bare {
            None => text,
            Some((bare, time)) => match document(&text) {
                Ok(document) => bare(document, time).into_bytes(),
                Err(why) => return Item::Reject(line, Reject::new("not_a_document", why)),
            },
        };
        Item::Record(self.record(line, payload))
    }

    fn record(&self, line: i64, text: Vec<u8>) -> Record {
        Record {
            at: self.at.clone(),
            offset: line,
            timestamp_ms: Some(self.reading.time_ms),
            key: None,
            payload: Some(text.into()),
            headers: Vec::new(),
        }
    }

    pub(super) fn stream(
        &self,
        from: LinePosition,
        read: Arc<AtomicU64>,
    ) -> io::Result<(Compression, Stream, Option<File>)> {
        let path = match &self.origin {
            LineOrigin::File(path) => path,
            LineOrigin::Stdin => {
                let (compression, stream) = decompress(count_bytes(io::stdin(), read))?;
                return Ok((compression, stream, None));
            }
            LineOrigin::Object(object) if self.compression == Compression::Plain && from.byte > 0 => {
                read.fetch_add(from.byte, Ordering::Relaxed);
                return Ok((self.compression, count_bytes(object.bytes_from(from.byte), read), None));
            }
            LineOrigin::Object(object) => {
                let (compression, stream) = decompress(count_bytes(object.bytes_from(0), read))?;
                return Ok((compression, skip(stream, from.byte)?, None));
            }
        };
        let file = File::open(path)?;
        let (kept, mut again) = (file.try_clone()?, file.try_clone()?);
        let (compression, stream) = decompress(count_bytes(file, read.clone()))?;
        if compression == Compression::Plain && from.byte > 0 {
            again.seek(SeekFrom::Start(from.byte))?;
            read.fetch_add(from.byte, Ordering::Relaxed);
            return Ok((compression, count_bytes(again, read), Some(kept)));
        }
        Ok((compression, skip(stream, from.byte)?, Some(kept)))
    }
}

/// Neither gzip nor zstd can be sought in: what was written already is decompressed, and not looked at.
fn skip(mut stream: Stream, bytes: u64) -> io::Result<Stream> {
    let skipped = io::copy(&mut (&mut stream).take(bytes), &mut io::sink())?;
    if skipped < bytes { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(stream) }
}

/// How a source is compressed, and the header of its table where it is one.
fn look(shown: &str, stream: Stream, format: TextFormat) -> Result<(Compression, Option<CsvHeader>), SourceError> {
    let unusable = |error| SourceError::Format(shown.to_owned(), error);
    let (compression, mut stream) = decompress(stream).map_err(|error| {
        let short = error.kind() == ErrorKind::UnexpectedEof;
        unusable(if short { io::Error::other("it ends before its first line") } else { error })
    })?;
    if begins_array(&mut stream).unwrap_or(false) {
        return Err(SourceError::Array(shown.to_owned()));
    }
    let mut lines = LineReader::new(stream, LinePosition { byte: 0, line: 1 });
    // What cannot be read is said when it is read.
    let header = match lines.next_line() {
        Ok(Some(Line::Whole(first) | Line::Open(first))) => header_of(&first, format).map_err(unusable)?,
        Ok(Some(Line::TooLong) | None) | Err(_) => None,
    };
    Ok((compression, header))
}

/// The text of one JSON object, so that it can stand in another.
fn document(text: &[u8]) -> Result<&str, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the line is not UTF-8".to_owned())?.trim();
    match serde_json::from_str::<IgnoredAny>(text) {
        Ok(_) if text.starts_with('{') => Ok(text),
        Ok(_) => Err("the line is no JSON object".to_owned()),
        Err(error) => Err(format!("the line is not JSON: column {}", error.column())),
    }
}

/// The header of a table, where a first line is one.
pub(super) fn header_of(first: &[u8], format: TextFormat) -> io::Result<Option<CsvHeader>> {
    let is_table = match format {
        TextFormat::Ndjson => false,
        TextFormat::Csv => true,
        TextFormat::Auto => looks_like_table(first),
    };
    if is_table { CsvHeader::read(first).map(Some).map_err(io::Error::other) } else { Ok(None) }
}

fn begins_array(stream: &mut Stream) -> io::Result<bool> {
    let buffer = stream.fill_buf()?;
    let text = buffer.strip_prefix(b"\xef\xbb\xbf").unwrap_or(buffer);
    Ok(text.trim_ascii_start().first() == Some(&b'['))
}

pub(super) fn nanos(metadata: &Metadata) -> i128 {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| i128::try_from(since.as_nanos()).unwrap_or(0))
}

fn identity_of(file: &mut File) -> io::Result<SourceIdentity> {
    let metadata = file.metadata()?;
    let (size, modified) = (metadata.len(), nanos(&metadata));
    let mut hash = Sha256::new();
    for from in [0, size.saturating_sub(DIGESTED)] {
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(DIGESTED).read_to_end(&mut bytes)?;
        hash.update(&bytes);
    }
    Ok(SourceIdentity::File { size, modified, digest: hex::encode(hash.finalize()) })
}

/// Counts the bytes that are read.
struct CountedBytes<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for CountedBytes<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(buffer)?;
        self.1.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn count_bytes(reader: impl Read + Send + 'static, read: Arc<AtomicU64>) -> Stream {
    Box::new(BufReader::with_capacity(BUFFER, CountedBytes(reader, read)))
}
