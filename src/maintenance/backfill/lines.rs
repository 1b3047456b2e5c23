//! Lines of a stream of bytes, each of bounded length, and where the next one begins.
//!
//! It holds one line at most; of one that is too long it holds nothing. A position is told after each line, so that a reader
//! that begins there gives the same lines from there on.

use std::io::{self, BufRead, ErrorKind};

use memchr::memchr;

/// The longest line that is read, in bytes. No store takes a document of this size.
pub(super) const LONGEST_LINE: usize = 16 << 20;
/// What some programs put before UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Where a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinePosition {
    /// From 0, after decompression.
    pub byte: u64,
    /// From 1.
    pub line: u64,
}

/// What a line is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// The last, with no end behind it: it may be cut.
    Open(Vec<u8>),
    TooLong,
}

/// Reads lines.
pub(super) struct LineReader<R> {
    reader: R,
    next: LinePosition,
    longest: usize,
}

impl<R: BufRead> LineReader<R> {
    /// Of a reader that stands there.
    pub(super) fn new(reader: R, next: LinePosition) -> Self {
        Self { reader, next, longest: LONGEST_LINE }
    }

    /// Where the next line begins.
    pub(super) fn position(&self) -> LinePosition {
        self.next
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// Of the reader; the position stays at the line that was not read to its end.
    pub(super) fn next_line(&mut self) -> io::Result<Option<Line>> {
        let (mut text, mut length, mut too_long) = (Vec::new(), 0_u64, false);
        loop {
            let buffer = match self.reader.fill_buf() {
                Ok(buffer) => buffer,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if buffer.is_empty() {
                return Ok((length > 0).then(|| self.line(text, length, too_long, Line::Open)));
            }
            let end = memchr(b'\n', buffer);
            let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or_default();
            too_long |= text.len() + part.len() > self.longest;
            if too_long {
                text = Vec::new();
            } else {
                text.extend_from_slice(part);
            }
            let taken = end.map_or(buffer.len(), |end| end + 1);
            self.reader.consume(taken);
            length += taken as u64;
            if end.is_some() {
                return Ok(Some(self.line(text, length, too_long, Line::Whole)));
            }
        }
    }

    fn line(&mut self, mut text: Vec<u8>, length: u64, too_long: bool, kind: fn(Vec<u8>) -> Line) -> Line {
        if self.next.byte == 0 && text.starts_with(MARK) {
            text.drain(..MARK.len());
        }
        if text.last() == Some(&b'\r') {
            text.pop();
        }
        self.next = LinePosition { byte: self.next.byte + length, line: self.next.line + 1 };
        if too_long { Line::TooLong } else { kind(text) }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufReader, Cursor};

    use proptest::prelude::*;

    use super::*;

    const START: LinePosition = LinePosition { byte: 0, line: 1 };

    fn lines(bytes: &[u8], capacity: usize, next: LinePosition) -> Vec<(LinePosition, Line)> {
        let mut reader = LineReader::new(BufReader::with_capacity(capacity, Cursor::new(bytes)), next);
        let mut found = Vec::new();
        while let Some(line) = reader.next_line().unwrap() {
            found.push((reader.position(), line));
        }
        found
    }

    #[test]
    fn ends_of_lines_and_a_mark_are_no_part_of_them() {
        let found = lines(b"\xef\xbb\xbfa\r\n\r\n\nb\xef\xbb\xbf\nc", 3, START);
        let text: Vec<Line> = found.iter().map(|(_, line)| line.clone()).collect();
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        assert_eq!(text, [whole(b"a"), whole(b""), whole(b""), whole(b"b\xef\xbb\xbf"), Line::Open(b"c".to_vec())]);
        assert_eq!(found[0].0, LinePosition { byte: 6, line: 2 });
        assert_eq!(lines(b"", 3, START), []);
    }

    #[test]
    fn a_line_that_is_too_long_is_held_no_longer_and_the_next_one_is_read() {
        let bytes = [vec![b'x'; 50], b"\nshort\n".to_vec(), vec![b'y'; 9]].concat();
        let mut reader = LineReader::new(BufReader::with_capacity(7, Cursor::new(&bytes)), START);
        reader.longest = 8;
        assert_eq!(reader.next_line().unwrap(), Some(Line::TooLong));
        assert_eq!(reader.position(), LinePosition { byte: 51, line: 2 });
        assert_eq!(reader.next_line().unwrap(), Some(Line::Whole(b"short".to_vec())));
        assert_eq!(reader.next_line().unwrap(), Some(Line::TooLong));
        assert_eq!(reader.next_line().unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_reader_that_begins_at_a_position_gives_the_rest(
            bytes in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a'), Just(0xef)], 0..60),
            capacity in 1_usize..9,
        ) {
            let all = lines(&bytes, 64, START);
            prop_assert_eq!(all.last().map_or(0, |(end, _)| end.byte), bytes.len() as u64);
            prop_assert_eq!(&lines(&bytes, capacity, START), &all);
            for (index, (position, _)) in all.iter().enumerate() {
                let rest = bytes.get(usize::try_from(position.byte).unwrap()..).unwrap();
                prop_assert_eq!(&lines(rest, capacity, *position), &all[index + 1..]);
            }
        }
    }
}
