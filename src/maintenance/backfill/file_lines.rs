//! The lines of a file as items: a line is a record, or a row of a table, or a reject.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};

use pipeline::sink::Reject;
use serde::de::IgnoredAny;

use super::compression::{Compression, Stream};
use super::csv_table::{CsvHeader, is_open, looks_like_table};
use super::files::{LinesPart, TextFormat, nanos};
use super::lines::{LONGEST_LINE, Line, LinePosition, LineReader};
use super::parts::{Item, Items, PartError, Place, SourceIdentity};

/// The lines of a file.
pub(super) struct FileLines<'p> {
    pub(super) part: &'p LinesPart,
    pub(super) compression: Compression,
    pub(super) lines: LineReader<Stream>,
    pub(super) header: Option<CsvHeader>,
    pub(super) file: Option<File>,
}

impl Items for FileLines<'_> {
    fn next(&mut self) -> Result<Option<Item>, PartError> {
        let position = self.lines.position();
        let number = i64::try_from(position.line).unwrap_or(i64::MAX);
        let reject = |class: &'static str, why: String| Ok(Some(Item::Reject(number, Reject::new(class, why))));
        let too_long = || reject("line_too_long", format!("the line is longer than {LONGEST_LINE} bytes"));
        let cut = || reject("cut_line", "the source ends in the middle of this line".to_owned());
        let Some(line) = self.line()? else { return self.unchanged().map(|()| None) };
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
        if self.part.path.is_none() {
            self.header =
                header_of(first, self.part.reading.format).map_err(|error| PartError::Format(error.to_string()))?;
        }
        Ok(self.header.is_some())
    }

    /// Whether the file is still the one that was looked at first, and stands where it stood.
    fn unchanged(&mut self) -> Result<(), PartError> {
        let (Some(file), Some(path)) = (&mut self.file, &self.part.path) else { return Ok(()) };
        let same = |found: io::Result<Metadata>| match (&self.part.identity, found) {
            (SourceIdentity::File { size, modified, .. }, Ok(found)) => {
                *size == found.len() && *modified == nanos(&found)
            }
            _ => false,
        };
        if same(file.metadata()) && same(path.metadata()) { Ok(()) } else { Err(PartError::Changed) }
    }
}

/// The text of one JSON object, so that it can stand in another.
pub(super) fn document(text: &[u8]) -> Result<&str, String> {
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

/// Whether a text is the beginning of a JSON value, and no whole one.
fn is_cut(text: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(text).is_err_and(|error| error.is_eof())
}

pub(super) fn failure(compression: Compression, line: u64, source: io::Error) -> PartError {
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
