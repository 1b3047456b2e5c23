//! What the bytes of a source are, told by themselves and never by the name of a file, and a reader of what is in them.

use std::fmt;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;
use thiserror::Error;

/// Bytes that are looked at.
const LOOK: usize = 64;
/// Bytes that are decompressed at once.
const BUFFER: usize = 256 << 10;
/// The window of a zstd frame that is accepted, as a power of two: all there are.
const LONGEST_WINDOW: u32 = 31;
/// What other formats begin with.
#[rustfmt::skip]
const OTHERS: [(&[u8], &str); 8] = [
    (b"\xff\xfe", "it is UTF-16 or UTF-32: convert it, such as with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xfe\xff", "it is UTF-16: convert it, such as with `iconv -f UTF-16 -t UTF-8`"),
    (b"BZh", "it is bzip2, which is not read: `bunzip2 -c FILE | millrace backfill SYSTEM -`"),
    (b"\xfd7zXZ\0", "it is xz, which is not read: `xz -dc FILE | millrace backfill SYSTEM -`"),
    (b"\x04\x22\x4d\x18", "it is lz4, which is not read: `lz4 -dc FILE | millrace backfill SYSTEM -`"),
    (b"PK\x03\x04", "it is a zip archive, which is not read: unpack it"),
    (b"PAR1", "it is Parquet, which is not read: export it as NDJSON"),
    (b"Obj\x01", "it is Avro, which is not read: export it as NDJSON"),
];

/// How the bytes of a source are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    Plain,
    Gzip,
    Zstd,
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// Bytes that no line can be read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub(super) struct FormatError(&'static str);

/// A reader that can be sent to a thread.
pub(super) type Stream = Box<dyn BufRead + Send>;

/// Tells by the first bytes how a stream is compressed.
///
/// # Errors
/// Where they are of a format that is not read.
pub(super) fn compression_of(first: &[u8]) -> Result<Compression, FormatError> {
    if first.starts_with(b"\x1f\x8b") {
        return Ok(Compression::Gzip);
    }
    // A frame, or one that decoders skip (RFC 8878, 3.1.2).
    let skippable = matches!(first, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]);
    if first.starts_with(b"\x28\xb5\x2f\xfd") || skippable {
        return Ok(Compression::Zstd);
    }
    check_readable(first).map(|()| Compression::Plain)
}

/// Whether these first bytes, decompressed, can be lines of text.
fn check_readable(first: &[u8]) -> Result<(), FormatError> {
    if let Some((_, why)) = OTHERS.iter().find(|(start, _)| first.starts_with(start)) {
        return Err(FormatError(why));
    }
    match first {
        [0, _, ..] | [_, 0, ..] => {
            Err(FormatError("it is UTF-16 or not text: convert it, such as with `iconv -f UTF-16LE -t UTF-8`"))
        }
        _ => Ok(()),
    }
}

/// The decompressed bytes, from their start; with how they were compressed and the first of them.
///
/// # Errors
/// Of the reader; of kind `Unsupported`, where the format is not read.
pub(super) fn decompress(mut reader: Stream) -> io::Result<(Compression, Stream)> {
    let refused = |error: FormatError| io::Error::new(ErrorKind::Unsupported, error);
    let first = look(&mut reader)?;
    let compression = compression_of(&first).map_err(refused)?;
    let whole: Stream = Box::new(Cursor::new(first).chain(reader));
    let mut inner: Stream = match compression {
        Compression::Plain => return Ok((compression, whole)),
        Compression::Gzip => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(whole))),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(whole)?;
            decoder.window_log_max(LONGEST_WINDOW)?;
            Box::new(BufReader::with_capacity(BUFFER, decoder))
        }
    };
    let first = look(&mut inner)?;
    check_readable(&first).map_err(refused)?;
    Ok((compression, Box::new(Cursor::new(first).chain(inner))))
}

/// The first bytes, of which fewer come where there are no more.
fn look(reader: &mut Stream) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(LOOK);
    reader.take(LOOK as u64).read_to_end(&mut first)?;
    Ok(first)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn stream(bytes: &[u8]) -> Stream {
        // Small buffers, so that what is looked at comes in parts.
        Box::new(BufReader::with_capacity(3, Cursor::new(bytes.to_vec())))
    }

    fn read(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
        let (compression, mut stream) = decompress(stream(bytes))?;
        let mut all = Vec::new();
        stream.read_to_end(&mut all)?;
        Ok((compression, all))
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8], window: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.long_distance_matching(window > 0).unwrap();
        if window > 0 {
            encoder.window_log(window).unwrap();
        }
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_content_decides_and_all_members_and_frames_are_read() {
        assert_eq!(read(b"").unwrap(), (Compression::Plain, Vec::new()));
        assert_eq!(read(b"{").unwrap(), (Compression::Plain, b"{".to_vec()));
        let members = [gzip(b"{\"a\":"), gzip(b""), gzip(b"1}\n")].concat();
        assert_eq!(read(&members).unwrap(), (Compression::Gzip, b"{\"a\":1}\n".to_vec()));
        let skipped = [b"\x50\x2a\x4d\x18\x04\0\0\0abcd".to_vec(), zstd(b"{\"a\":", 0), zstd(b"1}\n", 0)].concat();
        assert_eq!(read(&skipped).unwrap(), (Compression::Zstd, b"{\"a\":1}\n".to_vec()));
        let long = zstd(&b"{\"a\":1}\n".repeat(1_000), 30);
        assert_eq!(read(&long).unwrap().1.len(), 8_000);
    }

    #[test]
    fn what_is_cut_says_so_after_what_is_whole() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let text = [b"{}".to_vec(), text].concat();
        for whole in [gzip(&text), zstd(&text, 0)] {
            let (_, mut stream) = decompress(stream(&whole[..whole.len() - 9])).unwrap();
            let mut found = Vec::new();
            let error = stream.read_to_end(&mut found).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{error}");
            assert!(found.len() > 1_000 && text.starts_with(&found));
        }
    }

    #[test]
    fn what_is_not_read_is_refused_by_name() {
        let utf16: Vec<u8> = "{\"a\":1}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = "{\"a\":1}\n".encode_utf16().flat_map(u16::to_be_bytes).collect();
        let marked = [b"\xff\xfe".to_vec(), utf16.clone()].concat();
        for bytes in [utf16.clone(), big, marked, gzip(&utf16)] {
            let error = read(&bytes).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("iconv"), "{error}");
        }
        assert!(read(b"PAR1....").unwrap_err().to_string().contains("Parquet"));
    }
}
