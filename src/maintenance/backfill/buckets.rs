//! Objects in a bucket of S3 as sources: which there are, and their bytes.
//!
//! An object is read in requests of bounded length, each for the same object as the first: one that was written anew meanwhile is
//! not mixed with what it was. Whether a request is tried again decides the library.

use std::io::{self, ErrorKind, Read};
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore};
use tokio::runtime::Handle;
use url::Url;

use super::parts::SourceIdentity;
use super::source_error::SourceError;
use crate::stores::objects;

/// How an object among the sources is named.
pub const S3: &str = "s3://";
/// Bytes of the first request; each further one asks for twice as many.
const FIRST_REQUEST: u64 = 64 << 10;
/// Bytes of the largest request.
const LARGEST_REQUEST: u64 = 8 << 20;
/// What begins a pattern.
pub(super) const WILD: [char; 3] = ['*', '?', '['];

/// An object, as it was when it was looked at.
#[derive(Clone, Debug)]
pub struct StoredObject {
    bucket: Arc<dyn ObjectStore>,
    runtime: Handle,
    meta: ObjectMeta,
    shown: String,
}

/// The objects that a word on the command line means: one, or those that match. Blocks the thread, which a runtime has to stand behind.
///
/// # Errors
/// Where there is none, or the bucket cannot be read.
pub fn objects_of(word: &str) -> Result<Vec<StoredObject>, SourceError> {
    let runtime = Handle::current();
    let refused = |why: String| SourceError::Bucket(word.to_owned(), why);
    let (name, key) = word.strip_prefix(S3).and_then(|rest| rest.split_once('/')).unwrap_or_default();
    if name.is_empty() || key.is_empty() {
        return Err(refused("write s3://BUCKET/KEY".to_owned()));
    }
    if key.ends_with('/') {
        return Err(SourceError::Directory(word.trim_end_matches('/').to_owned()));
    }
    let url = Url::parse(&format!("{S3}{name}")).map_err(|_| refused("it names no bucket".to_owned()))?;
    let (bucket, _) = objects::open(&url).map_err(|_| refused("check AWS_* in the environment".to_owned()))?;
    let bucket: Arc<dyn ObjectStore> = bucket.into();
    let object = |meta: ObjectMeta| {
        let shown = format!("{S3}{name}/{}", meta.location);
        StoredObject { bucket: bucket.clone(), runtime: runtime.clone(), meta, shown }
    };
    let path = Path::parse(key).map_err(|_| refused("S3 has no such key".to_owned()))?;
    // A key with brackets in it is a key where there is such an object.
    let missing = match runtime.block_on(bucket.head(&path)) {
        Ok(meta) => return Ok(vec![object(meta)]),
        Err(object_store::Error::NotFound { .. }) => SourceError::Missing(word.to_owned()),
        Err(error) => refused(objects::cause(&error)),
    };
    let (Some((before, _)), true) = (key.split_once(WILD), matches!(missing, SourceError::Missing(_))) else {
        return Err(missing);
    };
    let pattern = Pattern::new(key).map_err(|error| SourceError::Pattern(word.to_owned(), error))?;
    let folder = before.rsplit_once('/').map(|(folder, _)| Path::from(folder));
    let found = runtime.block_on(bucket.list(folder.as_ref()).try_collect::<Vec<ObjectMeta>>());
    let mut found = found.map_err(|error| refused(objects::cause(&error)))?;
    let options = MatchOptions { require_literal_separator: true, ..MatchOptions::new() };
    found.retain(|meta| pattern.matches_with(meta.location.as_ref(), options));
    found.sort_by(|one, other| one.location.cmp(&other.location));
    if found.is_empty() {
        Err(SourceError::NoMatch(word.to_owned()))
    } else {
        Ok(found.into_iter().map(object).collect())
    }
}

impl StoredObject {
    /// As it is named among the sources.
    pub fn address(&self) -> &str {
        &self.shown
    }

    pub(super) fn identity(&self) -> SourceIdentity {
        let modified = self.meta.last_modified.timestamp_millis();
        SourceIdentity::Object { size: self.meta.size, e_tag: self.meta.e_tag.clone(), modified }
    }

    /// Its bytes from a place on.
    pub(super) fn bytes_from(&self, place: u64) -> ObjectBytes {
        ObjectBytes { object: self.clone(), next: place, request: FIRST_REQUEST, held: Bytes::new() }
    }

    /// Whether it is still the one that was looked at first.
    ///
    /// # Errors
    /// Where the bucket does not answer.
    pub(super) fn is_unchanged(&self) -> io::Result<bool> {
        match self.runtime.block_on(self.bucket.head(&self.meta.location)) {
            Ok(found) => Ok((found.size, &found.e_tag) == (self.meta.size, &self.meta.e_tag)),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(io_error(&error)),
        }
    }
}

/// The bytes of an object, request by request.
pub(super) struct ObjectBytes {
    object: StoredObject,
    /// Where the next request begins.
    next: u64,
    /// Bytes of the next request.
    request: u64,
    held: Bytes,
}

impl ObjectBytes {
    fn fetch(&mut self) -> io::Result<()> {
        let StoredObject { bucket, meta, runtime, .. } = &self.object;
        let end = meta.size.min(self.next + self.request);
        let range = Some(GetRange::Bounded(self.next..end));
        let options = GetOptions { range, if_match: meta.e_tag.clone(), ..GetOptions::default() };
        let asked = async { bucket.get_opts(&meta.location, options).await?.bytes().await };
        self.held = runtime.block_on(asked).map_err(|error| io_error(&error))?;
        if self.held.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.next += self.held.len() as u64;
        self.request = (2 * self.request).min(LARGEST_REQUEST);
        Ok(())
    }
}

impl Read for ObjectBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.held.is_empty() && self.next < self.object.meta.size {
            self.fetch()?;
        }
        let count = buffer.len().min(self.held.len());
        self.held.split_to(count).copy_to_slice(buffer.get_mut(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Of a kind that says of no compression that it is damaged.
fn io_error(error: &object_store::Error) -> io::Error {
    let kind = match error {
        object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. } => {
            ErrorKind::StaleNetworkFileHandle
        }
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
            ErrorKind::PermissionDenied
        }
        _ => ErrorKind::NotConnected,
    };
    io::Error::new(kind, objects::cause(error))
}
