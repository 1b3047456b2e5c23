//! Entries of rows on disk, in buckets by the hash of the row, so that a bucket at a time fits into memory.
//!
//! The files are in a temporary folder that goes away with the value.

use std::collections::HashMap;
use std::fs::File;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

use tempfile::TempDir;

use crate::stores::folded::RowEntry;

/// What an entry takes in memory while its bucket is compared, about.
const ENTRY_BYTES: u64 = 1_000;
/// More files than this may be too many to have open.
const MOST_BUCKETS: u64 = 256;

/// Rows with all of their entries.
pub(super) type RowEntries = Vec<(String, Vec<Vec<u8>>)>;

/// Entries that are being collected.
pub(super) struct RowBuckets {
    _folder: TempDir,
    files: Vec<BufWriter<File>>,
}

impl RowBuckets {
    /// Makes as many as keep a bucket within a quarter of `memory` bytes, for so many entries.
    pub(super) fn new(entries: u64, memory: u64) -> io::Result<Self> {
        let wanted = (entries * ENTRY_BYTES).div_ceil((memory / 4).max(1)).clamp(1, MOST_BUCKETS);
        let folder = tempfile::Builder::new().prefix("millrace-verify-").tempdir()?;
        let file =
            |n| File::options().read(true).write(true).create_new(true).open(folder.path().join(format!("rows-{n}")));
        let files = (0..wanted).map(|n| Ok(BufWriter::new(file(n)?))).collect::<io::Result<_>>()?;
        Ok(Self { files, _folder: folder })
    }

    pub(super) fn add(&mut self, RowEntry { row, entry }: &RowEntry) -> io::Result<()> {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(row);
        let bucket = (hash % self.files.len() as u64) as usize;
        let Some(file) = self.files.get_mut(bucket) else { return Ok(()) };
        for part in [row.as_bytes(), entry] {
            let length = u32::try_from(part.len()).map_err(|_| io::Error::other("an entry is too long"))?;
            file.write_all(&length.to_le_bytes())?;
            file.write_all(part)?;
        }
        Ok(())
    }

    /// Every bucket, one after the other.
    pub(super) fn buckets(&mut self) -> impl Iterator<Item = io::Result<RowEntries>> {
        self.files.iter_mut().map(|file| {
            file.flush()?;
            let file = file.get_mut();
            file.rewind()?;
            let mut file = BufReader::new(file);
            let mut rows: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
            while let Some(row) = part(&mut file)? {
                let row = String::from_utf8(row).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                let entry = part(&mut file)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                rows.entry(row).or_default().push(entry);
            }
            Ok(rows.into_iter().collect())
        })
    }
}

/// The next part; `None` at the end.
fn part(file: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn entries_come_out_together_by_row_in_their_order() {
        let mut buckets = RowBuckets::new(1_000, 400_000).unwrap();
        assert!(buckets.files.len() > 5);
        for n in 0..1_000_u32 {
            buckets.add(&RowEntry { row: format!("row-{}", n % 300), entry: n.to_le_bytes().to_vec() }).unwrap();
        }
        let all: Vec<RowEntries> = buckets.buckets().collect::<io::Result<_>>().unwrap();
        let rows: BTreeMap<String, Vec<Vec<u8>>> = all.into_iter().flatten().collect();
        assert_eq!(rows.len(), 300);
        assert_eq!(rows["row-7"], [7_u32, 307, 607, 907].map(|n| n.to_le_bytes().to_vec()));
    }
}
