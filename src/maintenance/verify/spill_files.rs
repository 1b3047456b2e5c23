//! Files of buckets in a temporary folder: what is put in by a key comes out with all of that key. Entries have their length in front.

use std::fs::File;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use tempfile::TempDir;

/// More files than this may be too many to have open.
const MOST_BUCKETS: u64 = 256;

/// The folder that the files are in; it goes away with the value.
pub(super) fn folder() -> io::Result<TempDir> {
    tempfile::Builder::new().prefix("millrace-verify-").tempdir()
}

/// How many buckets keep one within a quarter of `memory` bytes, for so many entries of about so many bytes.
pub(super) fn bucket_count(entries: u64, entry_bytes: u64, memory: u64) -> u64 {
    (entries * entry_bytes).div_ceil((memory / 4).max(1)).clamp(1, MOST_BUCKETS)
}

/// Empty files, named by their kind.
pub(super) fn make(folder: &TempDir, kind: &str, count: u64) -> io::Result<Vec<BufWriter<File>>> {
    let file =
        |n| File::options().read(true).write(true).create_new(true).open(folder.path().join(format!("{kind}-{n}")));
    (0..count).map(|n| Ok(BufWriter::new(file(n)?))).collect()
}

/// The file that a key belongs into.
pub(super) fn bucket_of<'f>(files: &'f mut [BufWriter<File>], key: &str) -> Option<&'f mut BufWriter<File>> {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
    let bucket = (hash % files.len() as u64) as usize;
    files.get_mut(bucket)
}

/// Reads what was written, from the start.
pub(super) fn reader(file: &mut BufWriter<File>) -> io::Result<BufReader<&mut File>> {
    file.flush()?;
    let file = file.get_mut();
    file.rewind()?;
    Ok(BufReader::new(file))
}

pub(super) fn put_part(file: &mut impl Write, part: &[u8]) -> io::Result<()> {
    let length = u32::try_from(part.len()).map_err(|_| io::Error::other("an entry is too long"))?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(part)
}

/// The next part; `None` at the end.
pub(super) fn take_part(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match file.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    file.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

/// The next part, which is a text; `None` at the end.
pub(super) fn take_text(file: &mut impl Read) -> io::Result<Option<String>> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    take_part(file)?.map(|bytes| String::from_utf8(bytes).map_err(invalid)).transpose()
}
