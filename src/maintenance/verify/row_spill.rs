//! Entries of rows on disk, in buckets by the hash of the row, so that a bucket at a time fits into memory.
//!
//! The files are in a temporary folder that goes away with the value.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter};

use tempfile::TempDir;

use super::spill_files::{bucket_count, bucket_of, folder, make, put_part, reader, take_part, take_text};
use crate::stores::folded::RowEntry;

/// What an entry takes in memory while its bucket is compared, about.
const ENTRY_BYTES: u64 = 1_000;

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
        let (count, folder) = (bucket_count(entries, ENTRY_BYTES, memory), folder()?);
        Ok(Self { files: make(&folder, "rows", count)?, _folder: folder })
    }

    pub(super) fn add(&mut self, RowEntry { row, entry }: &RowEntry) -> io::Result<()> {
        let Some(file) = bucket_of(&mut self.files, row) else { return Ok(()) };
        put_part(file, row.as_bytes())?;
        put_part(file, entry)
    }

    /// Every bucket, one after the other.
    pub(super) fn buckets(&mut self) -> impl Iterator<Item = io::Result<RowEntries>> {
        self.files.iter_mut().map(|file| {
            let mut file = reader(file)?;
            let mut rows: HashMap<String, Vec<Vec<u8>>> = HashMap::new();
            while let Some(row) = take_text(&mut file)? {
                let entry = take_part(&mut file)?.ok_or(io::ErrorKind::UnexpectedEof)?;
                rows.entry(row).or_default().push(entry);
            }
            Ok(rows.into_iter().collect())
        })
    }
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
