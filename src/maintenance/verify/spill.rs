//! Log and store on disk, in buckets by the hash of the id, so that a bucket at a time fits into memory.
//!
//! The files are in a temporary folder that goes away with the value.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use tempfile::TempDir;

use super::compare::{LogPosition, LoggedVersion};
use super::spill_files::{bucket_count, bucket_of, folder, make, put_part, reader, take_text};
use crate::stores::reader::StoredVersion;

/// What an entry takes in memory while its bucket is compared, about.
const ENTRY_BYTES: u64 = 200;

/// Entries that are being collected.
pub struct Buckets {
    _folder: TempDir,
    told: Vec<BufWriter<File>>,
    held: Vec<BufWriter<File>>,
}

/// Everything about one document.
#[derive(Debug, Default)]
pub struct DocumentHistory {
    pub logged: Vec<LoggedVersion>,
    pub stored: Option<StoredVersion>,
    /// Other copies of it that the store holds, in another index.
    pub twice: bool,
}

impl Buckets {
    /// Makes as many as keep a bucket within a quarter of `memory` bytes, for so many entries.
    pub fn new(entries: u64, memory: u64) -> io::Result<Self> {
        let (count, folder) = (bucket_count(entries, ENTRY_BYTES, memory), folder()?);
        Ok(Self { told: make(&folder, "log", count)?, held: make(&folder, "store", count)?, _folder: folder })
    }

    pub fn add_logged(&mut self, id: &str, told: &LoggedVersion) -> io::Result<()> {
        let mut entry = Vec::with_capacity(id.len() + 40);
        entry.push(told.at.topic);
        entry.extend_from_slice(&told.at.partition.to_le_bytes());
        entry.extend_from_slice(&told.at.offset.to_le_bytes());
        entry.push(u8::from(told.optional));
        let LoggedVersion { version, deleted, content, passed, .. } = *told;
        put(&mut self.told, id, Common { version, deleted, content, passed }, &entry)
    }

    pub fn add_stored(&mut self, id: &str, held: &StoredVersion) -> io::Result<()> {
        let StoredVersion { version, deleted, content, passed } = *held;
        put(&mut self.held, id, Common { version, deleted, content, passed }, &[])
    }

    /// Gives every document of every bucket.
    pub fn each(self, mut each: impl FnMut(&str, &DocumentHistory)) -> io::Result<()> {
        for (mut told, mut held) in self.told.into_iter().zip(self.held) {
            let mut documents: HashMap<String, DocumentHistory> = HashMap::new();
            let mut told = reader(&mut told)?;
            while let Some((id, common)) = take(&mut told)? {
                let mut rest = [0; 14];
                told.read_exact(&mut rest)?;
                let [topic, p0, p1, p2, p3, o0, o1, o2, o3, o4, o5, o6, o7, optional] = rest;
                let at = LogPosition {
                    topic,
                    partition: i32::from_le_bytes([p0, p1, p2, p3]),
                    offset: i64::from_le_bytes([o0, o1, o2, o3, o4, o5, o6, o7]),
                };
                let Common { version, deleted, content, passed } = common;
                let told = LoggedVersion { at, version, deleted, content, passed, optional: optional != 0 };
                documents.entry(id).or_default().logged.push(told);
            }
            let mut held = reader(&mut held)?;
            while let Some((id, Common { version, deleted, content, passed })) = take(&mut held)? {
                let document = documents.entry(id).or_default();
                document.twice |= document.stored.is_some();
                document.stored = Some(StoredVersion { version, deleted, content, passed });
            }
            for (id, document) in &mut documents {
                document.logged.sort_by_key(|told| told.at);
                each(id, document);
            }
        }
        Ok(())
    }
}

/// What both kinds of entries have.
struct Common {
    version: i64,
    deleted: bool,
    content: u64,
    passed: Option<u64>,
}

fn put(files: &mut [BufWriter<File>], id: &str, common: Common, rest: &[u8]) -> io::Result<()> {
    let Common { version, deleted, content, passed } = common;
    let Some(file) = bucket_of(files, id) else { return Ok(()) };
    put_part(file, id.as_bytes())?;
    file.write_all(&version.to_le_bytes())?;
    file.write_all(&[u8::from(deleted)])?;
    file.write_all(&content.to_le_bytes())?;
    file.write_all(&[u8::from(passed.is_some())])?;
    file.write_all(&passed.unwrap_or_default().to_le_bytes())?;
    file.write_all(rest)
}

/// The next entry; `None` at the end.
fn take(file: &mut impl Read) -> io::Result<Option<(String, Common)>> {
    let Some(id) = take_text(file)? else { return Ok(None) };
    let (mut version, mut deleted, mut content) = ([0; 8], [0; 1], [0; 8]);
    let (mut is_passed, mut passed) = ([0; 1], [0; 8]);
    file.read_exact(&mut version)?;
    file.read_exact(&mut deleted)?;
    file.read_exact(&mut content)?;
    file.read_exact(&mut is_passed)?;
    file.read_exact(&mut passed)?;
    let common = Common {
        version: i64::from_le_bytes(version),
        deleted: deleted == [1],
        content: u64::from_le_bytes(content),
        passed: (is_passed == [1]).then(|| u64::from_le_bytes(passed)),
    };
    Ok(Some((id, common)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn what_goes_in_comes_out_together_by_document() {
        let mut buckets = Buckets::new(1_000, 40_000).unwrap();
        assert!(buckets.told.len() > 10, "{}", buckets.told.len());
        for n in 0..1_000_i64 {
            let at = LogPosition { topic: 1, partition: 2, offset: 1_000 - n };
            let told = LoggedVersion {
                at,
                version: -n,
                deleted: n % 2 == 0,
                content: u64::MAX - n as u64,
                passed: (n % 5 > 0).then_some(n as u64),
                optional: n % 3 == 0,
            };
            buckets.add_logged(&format!("id-{}", n % 500), &told).unwrap();
        }
        for n in 250..750 {
            buckets
                .add_stored(
                    &format!("id-{n}"),
                    &StoredVersion { version: n, deleted: false, content: 7, passed: Some(9) },
                )
                .unwrap();
        }
        buckets
            .add_stored("id-300", &StoredVersion { version: 1, deleted: false, content: 7, passed: Some(9) })
            .unwrap();
        let mut seen = BTreeMap::new();
        let each = |id: &str, document: &DocumentHistory| {
            seen.insert(id.to_owned(), (document.logged.clone(), document.stored, document.twice));
        };
        buckets.each(each).unwrap();
        assert_eq!(seen.len(), 750);
        let (told, held, twice) = &seen["id-300"];
        assert_eq!(
            told.iter().map(|told| (told.at.offset, told.version)).collect::<Vec<_>>(),
            [(200, -800), (700, -300)]
        );
        assert_eq!(told.iter().map(|told| told.passed).collect::<Vec<_>>(), [None, None]);
        assert_eq!(seen["id-1"].0.iter().map(|told| told.passed).collect::<Vec<_>>(), [Some(501), Some(1)]);
        assert!(held.is_some_and(|held| held.passed == Some(9)) && *twice);
        assert!(seen["id-10"].1.is_none() && seen["id-700"].0.is_empty());
    }
}
