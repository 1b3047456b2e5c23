//! The lines of a file as items: a line is a record, or a row of a table, or a reject.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use pipeline::sink::Reject;
use pipeline::{TopicPartition, mutant};
use serde::de::IgnoredAny;

use super::compression::{Compression, Stream};
use super::csv_table::{CsvHeader, is_open};
use super::files::{LineOrigin, LinesPart, header_of, nanos};
use super::lines::{LONGEST_LINE, Line, LinePosition, LineReader};
use super::parts::{Item, Items, PartError, Place, SourceIdentity, SourcePart};

impl SourcePart for LinesPart {
    fn name(&self) -> &str {
        &self.name
    }

    fn identity(&self) -> &SourceIdentity {
        &self.identity
    }

    fn at(&self) -> &TopicPartition {
        &self.at
    }

    fn size(&self) -> u64 {
        match self.identity {
            SourceIdentity::File { size, .. } | SourceIdentity::Object { size, .. } => size,
            SourceIdentity::Stream | SourceIdentity::Partition | SourceIdentity::History { .. } => 0,
        }
    }

    fn start(&self) -> Place {
        Place { next: 1, byte: 0, key: None }
    }

    fn open(&self, from: &Place, read: Arc<AtomicU64>) -> Result<Box<dyn Items + '_>, PartError> {
        let counted = mutant!(ResumeByCount).then_some(from.next - 1);
        let next = LinePosition { byte: from.byte, line: from.next.unsigned_abs() };
        let next = if counted.is_some() { LinePosition { byte: 0, line: 1 } } else { next };
        let (compression, stream, file) =
            self.stream(next, read).map_err(|error| failure(self.compression, next.line, error))?;
        let mut lines = LineReader::new(stream, next);
        for _ in 0..counted.unwrap_or(0) {
            lines.next_line().map_err(|error| failure(compression, next.line, error))?;
        }
        Ok(Box::new(FileLines { part: self, compression, lines, header: self.header.clone(), file }))
    }
}

/// The lines of a file.
struct FileLines<'p> {
    part: &'p LinesPart,
    compression: Compression,
    lines: LineReader<Stream>,
    header: Option<CsvHeader>,
    file: Option<File>,
}

impl Items for FileLines<'_> {
    fn next(&mut self) -> Result<Option<Item>, PartError> {
        let position = self.lines.position();
        let number = i64::try_from(position.line).unwrap_or(i64::MAX);
        let reject = |class: &'static str, why: String| Ok(Some(Item::Reject(number, Reject::new(class, why))));
        let too_long = || reject("line_too_long", format!("the line is longer than {LONGEST_LINE} bytes"));
        let cut = || reject("cut_line", "the source ends in the middle of this line".to_owned());
        let Some(line) = self.line()? else { return self.check_unchanged().map(|()| None) };
        let (mut text, whole) = match line {
            Line::TooLong => return too_long(),
            Line::Whole(text) => (text, true),
            Line::Open(text) => (text, false),
        };
        if text.trim_ascii().is_empty() {
            return Ok(Some(Item::Nothing(number)));
        }
        if position.byte == 0 && self.begins_table(&text)? {
            return Ok(Some(Item::Nothing(number)));
        }
        let Some(header) = &self.header else {
            return if whole || !is_cut(&text) { Ok(Some(self.part.item(number, text))) } else { cut() };
        };
        while is_open(&text) {
            match self.lines.next_line().map_err(|error| failure(self.compression, position.line, error))? {
                Some(Line::Whole(more) | Line::Open(more)) if text.len() + more.len() < LONGEST_LINE => {
                    text.push(b'\n');
                    text.extend(more);
                }
                Some(_) => return too_long(),
                None => return cut(),
            }
        }
        match header.object(&text) {
            Ok(object) => Ok(Some(self.part.item(number, object))),
            Err(reject) => Ok(Some(Item::Reject(number, reject))),
        }
    }

    fn place(&self) -> Place {
        let LinePosition { byte, line } = self.lines.position();
        Place { next: i64::try_from(line).unwrap_or(i64::MAX), byte, key: None }
    }
}

impl FileLines<'_> {
    fn line(&mut self) -> Result<Option<Line>, PartError> {
        let line = self.lines.position().line;
        self.lines.next_line().map_err(|error| failure(self.compression, line, error))
    }

    /// Whether the first line is the header of a table.
    fn begins_table(&mut self, first: &[u8]) -> Result<bool, PartError> {
        if matches!(self.part.origin, LineOrigin::Stdin) {
            self.header =
                header_of(first, self.part.reading.format).map_err(|error| PartError::Format(error.to_string()))?;
        }
        Ok(self.header.is_some())
    }

    /// Whether the file is still the one that was looked at first, and stands where it stood.
    fn check_unchanged(&mut self) -> Result<(), PartError> {
        let line = self.lines.position().line;
        let (file, path) = match (&self.part.origin, &self.file) {
            (LineOrigin::Object(object), _) => {
                let same = object.is_unchanged().map_err(|error| failure(self.compression, line, error))?;
                return if same { Ok(()) } else { Err(PartError::Changed) };
            }
            (LineOrigin::File(path), Some(file)) => (file, path),
            _ => return Ok(()),
        };
        let same = |found: io::Result<Metadata>| match (&self.part.identity, found) {
            (SourceIdentity::File { size, modified, .. }, Ok(found)) => {
                *size == found.len() && *modified == nanos(&found)
            }
            _ => false,
        };
        if same(file.metadata()) && same(path.metadata()) { Ok(()) } else { Err(PartError::Changed) }
    }
}

/// Whether a text is the beginning of a JSON value, and no whole one.
fn is_cut(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

fn failure(compression: Compression, line: u64, source: io::Error) -> PartError {
    if source.kind() == ErrorKind::StaleNetworkFileHandle {
        return PartError::Changed;
    }
    let what = match compression {
        Compression::Plain => return PartError::Read { line, source },
        Compression::Gzip => "gzip member",
        Compression::Zstd => "zstd frame",
    };
    match source.kind() {
        ErrorKind::UnexpectedEof => PartError::Cut { what, line },
        ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::Other => {
            PartError::Damaged { what, line, source }
        }
        _ => PartError::Read { line, source },
    }
}
